//! Packets of ingests that came over a ring instead of a socket (`crate::inject`).

use super::Shard;
use crate::inject::Injected;
use crate::peer::MAX_LAYERS;
use bifrons_core::rtp::is_rtcp;

impl Shard {
    /// Takes a packet as if it had arrived at a port of its ingest. The helper is ours, its bytes
    /// are not: whatever they are, at most that ingest is affected.
    pub fn take_injected(&mut self, injected: &Injected) {
        self.counters.received += 1;
        let Injected { ingest, layer, packet } = injected;
        let bytes = packet.bytes();
        let is_rtp = matches!(*bytes, [128..=191, second, ..] if !is_rtcp(second));
        if !is_rtp || usize::from(*layer) >= MAX_LAYERS || self.is_data_ingest(*ingest) {
            self.counters.stray += 1;
            return;
        }
        match self.ingest_place(*ingest) {
            Some(place) => self.accept_ingest(place, *layer, bytes),
            None => self.counters.unmatched += 1,
        }
    }
}
