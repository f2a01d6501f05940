//! Replies that wait for ports to be free: who was told that a mountpoint is gone may bind its ports
//! at once, and the shard that has them needs a moment.
//!
//! Bounds: one entry for each request under way; each waits [`LIMIT`] at most, since a shard may be
//! stuck.

use super::Core;
use bifrons_core::media::PortId;
use bifrons_core::plugin::{ReplyKey, Verdict};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a shard may take to close ports.
const LIMIT: Duration = Duration::from_millis(500);

/// One request that closed ports.
#[derive(Debug)]
struct Closing {
    ports: Vec<PortId>,
    /// What to answer then, once that is known.
    verdict: Option<Verdict>,
    until: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Closings(HashMap<ReplyKey, Closing>);

impl Closings {
    /// A request closes a port.
    pub(super) fn note(&mut self, key: ReplyKey, port: PortId, now: Instant) {
        let until = now + LIMIT;
        let entry = || Closing { ports: Vec::new(), verdict: None, until };
        self.0.entry(key).or_insert_with(entry).ports.push(port);
    }

    /// Keeps a verdict while ports of its request are closed; gives it back if none are.
    pub(super) fn hold(&mut self, key: ReplyKey, verdict: Verdict) -> Option<Verdict> {
        match self.0.get_mut(&key) {
            Some(closing) => {
                closing.verdict = Some(verdict);
                None
            }
            None => Some(verdict),
        }
    }

    /// A request waits for nothing any more.
    pub(super) fn forget(&mut self, key: ReplyKey) {
        self.0.remove(&key);
    }

    /// When the first of them has waited for too long.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.0.values().map(|closing| closing.until).min()
    }

    /// A port is free; the verdicts that waited for it alone.
    fn closed(&mut self, port: PortId) -> Vec<(ReplyKey, Verdict)> {
        self.take(|closing| {
            closing.ports.retain(|have| *have != port);
            closing.ports.is_empty()
        })
    }

    fn take(&mut self, mut ends: impl FnMut(&mut Closing) -> bool) -> Vec<(ReplyKey, Verdict)> {
        let ended = self.0.extract_if(|_, closing| ends(closing));
        ended.filter_map(|(key, closing)| Some((key, closing.verdict?))).collect()
    }
}

impl Core {
    /// The kernel has let go of a port.
    pub(super) fn port_closed(&mut self, port: PortId) {
        for (key, verdict) in self.closings.closed(port) {
            self.reply_deferred(key, verdict);
        }
    }

    /// Answers those who have waited for too long.
    pub(super) fn expire_closings(&mut self) {
        let now = self.now.at;
        for (key, verdict) in self.closings.take(|closing| closing.until <= now) {
            tracing::warn!("a shard has not closed its ports in {LIMIT:?}");
            self.reply_deferred(key, verdict);
        }
    }
}
