//! Load scenarios against a Janus API.
fn main() {}
