//! Configuration: the file grammars, the typed settings, and the command line.

pub mod diagnostic;
pub mod fuzz;
pub mod ini;
pub mod jcfg;
pub mod token;
pub mod tree;

pub use diagnostic::{Diagnostic, Position, Severity};
pub use tree::{Element, Entry, Group, Tree, Value};

#[cfg(test)]
mod tests;
