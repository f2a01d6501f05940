//! Layer choice: which packets of a simulcast or SVC source a sink gets (design §3.5,
//! plugin-videoroom §8.1-8.3).
//!
//! What a packet shows of its layers is read once, where it arrives ([`Frame`], kept in its
//! metadata); which layers flow is noted once a packet for all sinks ([`Flow`], part of the
//! source). Each sink then decides with a few comparisons in its [`LayerChoice`], about 100 bytes,
//! without reading the packet. What a decision makes known, a changed layer or the need of a
//! keyframe, waits in the choice until the shard takes it, which it does with the same packet.
//!
//! ```text
//!            keyframe of any substream          keyframe of one on the way to the target
//! nothing ───────────────────────────► current ◄──────────────────────────────────────┐
//!                                        │ └───────────────────────────────────────────┘
//!                                        │ silent for `fallback_us` while a lower one flows:
//!                                        ▼ ceiling below it, keyframe wanted
//!                              target = min(asked, ceiling); a higher one flows: ceiling lifted
//! ```

mod flow;
mod frame;
mod simulcast;
mod svc;
mod thinning;

#[cfg(test)]
mod number_tests;
#[cfg(test)]
mod tests;

pub use flow::Flow;
pub use frame::{Frame, Reading, StepUp, Structure};
pub use thinning::{Level, Thinning};

use crate::retransmit::Meta;
use bifrons_core::media::{LayerKind, LayerTarget, Selection};

/// What becomes of a packet at one sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is of a stream that does not flow to this sink; its numbers mean nothing here.
    Ignore,
    /// It is of the stream that flows and left out of it: later numbers close the gap.
    Skip,
    /// It goes out.
    Relay {
        /// With this marker bit.
        marker: bool,
    },
    /// It goes out, and is the first of a substream that takes over.
    Switch {
        /// By how many ticks the new substream's timestamps are ahead of the former's, if known.
        ahead: Option<u32>,
    },
}

/// Silence after which a lower substream is taken, when the route names none, in microseconds.
const FALLBACK_US: u64 = 250_000;
/// Nothing relayed for so long, or a layer out of reach for so long: a keyframe is wanted, in
/// microseconds (plugin-videoroom §8.2).
const STARVED_US: u64 = 1_000_000;
/// No ceiling: the highest substream there is.
const NO_CEILING: u8 = u8::MAX;

/// The layers one sink gets. See the module.
#[derive(Clone, Copy, Debug)]
pub struct LayerChoice {
    selection: Selection,
    /// Simulcast: the substream that flows. SVC: the highest spatial layer let through.
    current: Option<u8>,
    /// SVC: the substream that has the layers, should there be several.
    stream: u8,
    /// The highest substream that is not given up as silent.
    ceiling: u8,
    thinning: Thinning,
    /// The substream, or the highest spatial layer seen to flow.
    level: Level,
    /// When a packet last went out; at first, when one could have.
    relayed_us: Option<u64>,
    /// When a keyframe was last wanted.
    asked_us: u64,
    wish: bool,
}

impl Default for LayerChoice {
    fn default() -> Self {
        Self::new()
    }
}

impl LayerChoice {
    /// Nothing flows until a keyframe.
    #[must_use]
    pub const fn new() -> Self {
        LayerChoice {
            selection: Selection::Whole,
            current: None,
            stream: 0,
            ceiling: NO_CEILING,
            thinning: Thinning::new(),
            level: Level::new(),
            relayed_us: None,
            asked_us: 0,
            wish: false,
        }
    }

    /// The choice for another source: nothing flows until a keyframe.
    #[must_use]
    pub const fn anew(self) -> Self {
        let thinning = self.thinning.anew();
        LayerChoice { selection: self.selection, thinning, ..LayerChoice::new() }
    }

    /// What flows now: substream or highest spatial layer let through.
    #[must_use]
    pub const fn current(&self) -> Option<u8> {
        self.current
    }

    /// Decides about a packet of the sink's source, which `flow` has just noted.
    #[inline]
    pub fn offer(
        &mut self,
        meta: &Meta,
        flow: &Flow,
        target: &LayerTarget,
        now_us: u64,
    ) -> Verdict {
        if self.selection != target.selection {
            *self = LayerChoice { selection: target.selection, ..LayerChoice::new() };
        }
        let verdict = match target.selection {
            Selection::Whole => self.whole(meta),
            Selection::Simulcast => self.simulcast(meta, flow, target, now_us),
            Selection::Svc => self.svc(meta, flow, target, now_us),
        };
        match verdict {
            Verdict::Relay { .. } | Verdict::Switch { .. } => self.relayed_us = Some(now_us),
            Verdict::Ignore | Verdict::Skip => self.watch(now_us),
        }
        verdict
    }

    /// Without layer choice everything flows; of several substreams, which a sink cannot take at
    /// once, the first one that shows a keyframe.
    fn whole(&mut self, meta: &Meta) -> Verdict {
        let flows = match self.current {
            Some(current) => current == meta.layer,
            None => meta.keyframe || meta.layer == 0,
        };
        if !flows {
            return Verdict::Ignore;
        }
        self.current = Some(meta.layer);
        Verdict::Relay { marker: meta.marker }
    }

    /// Nothing relayed for a second: a keyframe is wanted.
    fn watch(&mut self, now_us: u64) {
        match self.relayed_us {
            None => {
                self.relayed_us = Some(now_us);
                self.want_keyframe(now_us);
            }
            Some(relayed_us) if now_us >= relayed_us + STARVED_US => self.want_keyframe(now_us),
            Some(_) => {}
        }
    }

    /// Wants a keyframe, unless it did less than a second ago.
    fn want_keyframe(&mut self, now_us: u64) {
        if now_us >= self.asked_us + STARVED_US {
            self.asked_us = now_us;
            self.wish = true;
        }
    }

    /// Whether a keyframe is wanted or a layer changed since the last packet.
    #[inline]
    #[must_use]
    pub const fn has_news(&self) -> bool {
        self.wish || self.level.has_news() || self.thinning.has_news()
    }

    /// Whether a keyframe is wanted; asking takes the wish away.
    pub fn take_wish(&mut self) -> bool {
        std::mem::take(&mut self.wish)
    }

    /// The layers that changed, each told once (plugin-videoroom §8.2-8.3).
    pub fn take_changes(&mut self) -> [Option<(LayerKind, i8)>; 2] {
        let (base, temporal) = match self.selection {
            Selection::Svc => (LayerKind::Spatial, LayerKind::SvcTemporal),
            Selection::Simulcast | Selection::Whole => (LayerKind::Substream, LayerKind::Temporal),
        };
        [
            self.level.take_news().map(|layer| (base, layer)),
            self.thinning.take_news().map(|layer| (temporal, layer)),
        ]
    }
}

/// The fallback time a target asks for, in microseconds.
fn fallback_us(target: &LayerTarget) -> u64 {
    if target.fallback_us == 0 { FALLBACK_US } else { u64::from(target.fallback_us) }
}
