//! The Janus API from the client's side, over WebSocket or HTTP.
//!
//! A [`Client`] is one connection (or, over HTTP, one base address), a [`Session`] and a
//! [`Handle`] what the API calls so. Replies are matched by transaction, events by session and
//! sender, as `core-api` §1 asks of every client: order between them is not relied upon. Each
//! handle has a queue of [`QUEUE`] events; what does not fit is dropped and counted.

mod client;
mod error;
mod handle;
mod http;
mod router;
mod websocket;

pub use client::{Client, Session};
pub use error::JanusError;
pub use handle::{Answer, Handle, Jsep};
pub use http::HttpBase;
pub use websocket::WebSocket;

/// Events a handle or session holds unread before further ones are dropped and counted.
pub const QUEUE: usize = 4096;
