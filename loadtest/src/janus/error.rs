//! What can go wrong between a client and its server.

use serde_json::Value;

/// Why a request or a wait did not end well.
#[derive(Debug, thiserror::Error)]
pub enum JanusError {
    /// The address is not one of `ws://host:port[/path]` and `http://host:port/path`.
    #[error("not an address of a Janus API: {0}")]
    Address(String),
    /// The connection could not be made or broke.
    #[error("connection: {0}")]
    Connection(String),
    /// What was waited for did not come within the client's patience.
    #[error("{0} did not come in time")]
    Late(String),
    /// The core refused the request (`core-api` §6).
    #[error("{code}: {reason}")]
    Refused {
        /// The error code, 4xx.
        code: i64,
        /// The server's text.
        reason: String,
    },
    /// The plugin refused the request: `error_code` and `error` in its data.
    #[error("plugin {code}: {reason}")]
    Plugin {
        /// The plugin's code.
        code: i64,
        /// The plugin's text.
        reason: String,
    },
    /// An answer of a shape the request does not allow.
    #[error("unexpected answer: {0}")]
    Unexpected(Value),
}
