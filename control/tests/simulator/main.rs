//! The simulator with control in it: rooms are made and joined through the Janus API, offers and
//! answers are real ones, and everything runs in one process on virtual time.
//!
//! Shards, network and the watch on the wire are the datapath's own simulator.

#[allow(dead_code, reason = "shared with the datapath's simulator")]
#[path = "../../../datapath/tests/simulator/engine.rs"]
mod engine;
mod house;
#[allow(dead_code, reason = "shared with the datapath's simulator")]
#[path = "../../../datapath/tests/simulator/net.rs"]
mod net;
#[allow(dead_code, reason = "shared with the datapath's simulator")]
#[path = "../../../datapath/tests/simulator/node.rs"]
mod node;
mod phone;
#[allow(dead_code, reason = "shared with the datapath's simulator")]
#[path = "../../../datapath/tests/simulator/rng.rs"]
mod rng;
mod rooms;
#[allow(dead_code, reason = "shared with the datapath's simulator")]
#[path = "../../../datapath/tests/simulator/seal.rs"]
mod seal;
