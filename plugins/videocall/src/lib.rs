//! VideoCall, `janus.plugin.videocall`: calls between two users who know each other's names
//! (plugin-videocall page).
//!
//! The two negotiate with each other: one's description is handed to the other, completed by the
//! core on both legs. The plugin holds names, who calls whom and a few settings of each side, and
//! turns them into plans: one route for each m-line in each direction. Bounds: one name for each
//! handle, [`MAX_NAME`] bytes long.

mod api;
mod call;
mod plugin;
mod requests;
#[cfg(test)]
mod tests;

pub use plugin::VideoCall;

/// Bytes a username may have.
pub const MAX_NAME: usize = 256;
