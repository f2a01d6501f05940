//! TextRoom's checklist, with a data channel of another implementation (str0m) against the program
//! itself.

mod channel;
mod posts;
mod rooms;
mod stage;
mod talk;
