//! Services beyond the Janus API that plugins and the server itself use: each an adapter that runs
//! on the control thread or on a helper and answers by message.

pub mod http;
pub(crate) mod outward;
pub mod player;
pub mod relay;
pub mod rtsp;
