//! What a media box should be set to, what this one is set to, and the difference.
//!
//! Nothing is changed here: [`findings`] reads a host through a root folder (`/`, or a fixture
//! tree) and says, for each rule, what is, what should be, why, and which command would make it
//! so. Reading and judging are apart so that every judgement is tested without a host.

mod host;
mod rules;

pub use host::Host;
pub use rules::{Finding, State, findings};
