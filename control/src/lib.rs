//! The Bifrons server: transports, sessions, negotiation and plugins on one control thread.

pub mod admin;
pub mod auth;
pub mod broker;
pub mod capture;
mod counted;
pub mod demo;
pub mod dispatch;
pub mod event;
mod lasting;
pub mod log;
pub mod metrics;
pub mod negotiation;
pub mod server;
pub mod service;
pub mod session;
mod stun;
pub mod transport;
