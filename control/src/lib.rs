//! The Bifrons server: transports, sessions, negotiation and plugins on one control thread.

pub mod auth;
pub mod demo;
pub mod dispatch;
pub mod event;
pub mod negotiation;
pub mod server;
pub mod session;
pub mod transport;
