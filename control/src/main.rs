//! The Bifrons server.
fn main() {}
