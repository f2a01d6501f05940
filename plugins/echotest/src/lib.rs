//! EchoTest, `janus.plugin.echotest`: sends a peer its own media back (plugin-echotest page).
//!
//! The plugin holds a few settings per handle and turns them into plans: one route per m-line,
//! from the peer to itself. It never sees a packet.

mod answer;
mod api;
mod call;
mod plugin;
#[cfg(test)]
mod tests;

pub use plugin::EchoTest;
