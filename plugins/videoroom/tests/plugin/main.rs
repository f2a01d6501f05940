//! The plugin, driven through its contract by a host of the tests' own. Tests are named after the
//! lines of the VideoRoom checklist where they hold one.

mod checklist;
mod data;
mod flow;
mod forwarding;
mod layers;
mod publishers;
mod remote;
mod rooms;
mod stage;
mod subscribers;
