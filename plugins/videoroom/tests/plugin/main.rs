//! The plugin, driven through its contract by a host of the tests' own. Tests are named after the
//! lines of the VideoRoom checklist where they hold one.

mod flow;
mod layers;
mod mock;
mod publishers;
mod rooms;
mod subscribers;
