//! Who gets what: sources, sinks, and the rules between them (design §3.4-3.5).

mod burst;
mod clock;
mod sink;
mod source;
mod talk;

pub use burst::Burst;
pub use clock::SenderClock;
pub use sink::{CatchUp, Onward, SentCounts, Sink};
pub use source::{Keyframes, RembRamp, SinkPlace, Source, SourceKey, Sources, Standing};
pub use talk::{Talk, TalkChange};
