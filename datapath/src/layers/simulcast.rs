//! Simulcast: one substream at a time (plugin-videoroom §8.2).

use super::{Flow, LayerChoice, NO_CEILING, STARVED_US, Verdict, fallback_us};
use crate::retransmit::Meta;
use bifrons_core::media::LayerTarget;

impl LayerChoice {
    pub(super) fn simulcast(
        &mut self,
        meta: &Meta,
        flow: &Flow,
        target: &LayerTarget,
        now_us: u64,
    ) -> Verdict {
        let entry = meta.keyframe && !flow.is_late();
        if meta.layer > self.ceiling && !flow.is_late() {
            self.ceiling = if meta.layer >= target.spatial { NO_CEILING } else { meta.layer };
        }
        let Some(current) = self.current else {
            if entry {
                return self.enter(meta, flow, target, now_us);
            }
            if meta.keyframe {
                // What came before its first packet is lost to this sink.
                self.want_keyframe(now_us);
            }
            return Verdict::Ignore;
        };
        if meta.layer != current {
            return self.other(meta, flow, target, current, now_us);
        }
        if entry {
            self.thinning.restart(target.temporal);
        }
        let passes = self.thinning.passes(meta, 0, target.temporal, now_us);
        if self.thinning.is_starved(now_us) {
            self.want_keyframe(now_us);
        }
        if passes { Verdict::Relay { marker: meta.marker } } else { Verdict::Skip }
    }

    /// A packet of a substream that does not flow: it may have to.
    fn other(
        &mut self,
        meta: &Meta,
        flow: &Flow,
        target: &LayerTarget,
        current: u8,
        now_us: u64,
    ) -> Verdict {
        if flow.is_late() {
            return Verdict::Ignore;
        }
        let silence_us = fallback_us(target);
        let layer = meta.layer;
        if layer < current && self.ceiling >= current && flow.is_silent(current, now_us, silence_us)
        {
            self.ceiling = current - 1;
            self.asked_us = now_us;
            self.wish = true;
        }
        let want = target.spatial.min(self.ceiling);
        let up = current < layer && layer <= want;
        let past = || layer < want && !flow.is_silent(want, now_us, silence_us);
        let down = want < current && layer < current && !past();
        let dead = || self.relayed_us.is_some_and(|at| now_us >= at + STARVED_US);
        if !(up || down || dead()) {
            return Verdict::Ignore;
        }
        if meta.keyframe {
            return self.enter(meta, flow, target, now_us);
        }
        self.want_keyframe(now_us);
        Verdict::Ignore
    }

    /// The substream of this keyframe takes over.
    fn enter(&mut self, meta: &Meta, flow: &Flow, target: &LayerTarget, now_us: u64) -> Verdict {
        let former = self.current.replace(meta.layer);
        // Those of the other substreams are on their way too.
        self.asked_us = now_us;
        self.level.set(meta.layer);
        self.thinning.restart(target.temporal);
        self.thinning.passes(meta, 0, target.temporal, now_us);
        Verdict::Switch { ahead: former.and_then(|former| flow.ahead(former, meta.layer)) }
    }
}
