//! The plugin in process, on a host of the tests': what needs no media. What does is checked over
//! the wire (`control/tests/conform/streaming`).

mod mountpoints;
mod sources;
mod stage;
mod viewers;
