//! Who gets what: sources, sinks, and the rules between them (design §3.4-3.5).

mod sink;
mod source;
mod talk;

pub use sink::{Onward, SentCounts, Sink};
pub use source::{Keyframes, RembRamp, SinkPlace, Source, SourceKey, Sources};
pub use talk::{Talk, TalkChange};
