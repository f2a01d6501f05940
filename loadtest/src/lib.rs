//! A WebRTC load generator that speaks the Janus API.
//!
//! [`janus`] is the signalling client (WebSocket and HTTP), [`peer`] a WebRTC peer with synthetic
//! media, and the scenarios of the `bifrons-loadtest` binary are built from the two. The same code
//! drives this server and a stock Janus, so both are measured by one tool; the conformance tests
//! use it as their client. Everything runs on the tokio runtime of the caller and is bounded:
//! queues drop and count, requests give up after a stated patience.

pub mod comparison;
pub mod hlog;
pub mod janus;
pub mod page;
pub mod peer;
pub mod report;
pub mod scenario;
pub mod server;
