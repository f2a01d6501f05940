//! SVC: the layers of one stream up to the ones asked for (plugin-videoroom §8.3).
//!
//! Lower spatial layers go out with the one that is wanted, since it may refer to them. After a
//! keyframe every layer that has all below it can be decoded, so a layer that its sender adds
//! later needs no keyframe of its own; what is told is the highest one seen to flow.

use super::{Flow, LayerChoice, Verdict};
use crate::retransmit::Meta;
use bifrons_core::media::LayerTarget;

impl LayerChoice {
    pub(super) fn svc(
        &mut self,
        meta: &Meta,
        flow: &Flow,
        target: &LayerTarget,
        now_us: u64,
    ) -> Verdict {
        let frame = meta.frame;
        if self.current.is_some() && meta.layer != self.stream {
            return Verdict::Ignore;
        }
        if meta.keyframe && !flow.is_late() {
            self.current = Some(target.spatial);
            self.stream = meta.layer;
            self.thinning.restart(target.temporal);
            self.level.set(flow.highest_spatial(target.spatial, now_us));
        }
        let Some(mut allowed) = self.current else {
            if meta.keyframe {
                self.want_keyframe(now_us);
            }
            return Verdict::Ignore;
        };
        if self.thinning.is_next(meta) {
            if target.spatial < allowed && frame.flexible {
                allowed = target.spatial;
                self.current = Some(allowed);
                self.level.cap(allowed);
            } else if target.spatial != allowed {
                self.want_keyframe(now_us);
            }
            self.level.frame();
        }
        let flows = allowed.min(self.level.layer());
        let passes = self.thinning.passes(meta, flows, target.temporal, now_us);
        if self.thinning.is_starved(now_us) {
            self.want_keyframe(now_us);
        }
        if frame.spatial > allowed || !passes {
            return Verdict::Skip;
        }
        self.level.saw(frame.spatial);
        Verdict::Relay { marker: meta.marker || (frame.end && frame.spatial == allowed) }
    }
}
