//! A request, and what a plugin makes of it.

use super::{HandleKey, Jsep};
use serde_json::{Map, Value};

/// Names a request that was [`Verdict::Deferred`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplyKey(pub u64);

/// A client's `message`.
#[derive(Clone, Debug)]
pub struct Request {
    /// From which handle.
    pub handle: HandleKey,
    /// The client's transaction: goes with the event that answers an asynchronous request.
    pub transaction: String,
    /// The body, an object.
    pub body: Map<String, Value>,
    /// The description that came along.
    pub jsep: Option<Jsep>,
    /// For [`super::Host::reply`], if the verdict is `Deferred`.
    pub reply: ReplyKey,
}

/// Outcome of a request (core-api §3.10).
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Synchronous content: `success` with `plugindata`. Anything but an object becomes error 462.
    Reply(Value),
    /// Synchronous, but there is no content: error 462.
    Empty,
    /// Answered by an event: `ack`, with an optional hint for people.
    Ack(Option<String>),
    /// Failed as a whole: error 462 with this text, or a default one.
    Error(Option<String>),
    /// Synchronous for the client, but the plugin waits for a shard or the disk: it answers
    /// through [`super::Host::reply`].
    Deferred,
}
