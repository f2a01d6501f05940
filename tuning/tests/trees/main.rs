//! Hosts made of files.

mod cards;
mod common;
mod odd;
