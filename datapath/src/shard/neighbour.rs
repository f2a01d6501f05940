//! What other shards send here, and what did not get to them or to control at once.

use super::Shard;
use crate::handoff::{Feedback, Parcel};

impl Shard {
    /// Takes what another shard's sinks need.
    pub fn from_neighbour_feedback(&mut self, feedback: Feedback) {
        match feedback {
            Feedback::Keyframe(source) => self.want_keyframe(source),
            Feedback::Relay(source, part) => self.relay_from_afar(source, part),
            Feedback::Remb(ingest, bps) => self.note_remb(ingest, bps),
            Feedback::Forget(source) => self.forget_burst(source),
        }
    }

    /// Takes back a packet for which the ring to another shard had no room: it is lost there.
    pub(crate) fn parcel_refused(&mut self, parcel: Box<Parcel>) {
        self.counters.shed += 1;
        self.empties.push(parcel);
    }

    /// Counts feedback for which the ring to another shard had no room.
    pub(crate) fn feedback_refused(&mut self, count: u64) {
        self.counters.feedback_lost += count;
    }

    /// Counts the events that the ring to control had no room for, once each: there were `before`
    /// of them, those that waited already among them.
    pub(crate) fn events_stayed(&mut self, before: usize) {
        let (left, fresh) = (self.events.len(), before.saturating_sub(self.events_left));
        self.counters.events_waited += left.min(fresh) as u64;
        self.events_left = left;
    }
}
