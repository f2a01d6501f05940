//! The simulator: shards, network, clients and control in one process on virtual time.
//!
//! Real shards with their real rings and handshake lanes are turned inline; real PeerConnections
//! of another implementation (str0m) are on the other side of a network that loses, delays,
//! reorders and repeats as a seed says. Every scenario is watched for packets sealed twice.

mod busy;
mod client;
mod data;
mod engine;
mod flow;
mod forwarding;
mod hostile;
mod ingests;
mod injected;
mod layers;
mod lifecycle;
mod lines;
mod messages;
mod net;
mod overload;
mod ports;
mod raw;
mod reports;
mod rng;
mod room;
mod seal;
mod spec;
mod trains;
mod wire;
mod world;
