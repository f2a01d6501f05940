//! A stage on which a plugin is tested without a server: [`World`] is a host that remembers what it
//! was asked, [`Stage`] plays the clients of one plugin before it. PeerConnections come up and go
//! down on command; nothing happens by itself, and no clock runs.
//!
//! For tests only: what a client would not get is a panic here.

mod description;
mod stage;
mod world;

pub use description::{answer_to, offer, sdp};
pub use stage::Stage;
pub use world::{Event, World};
