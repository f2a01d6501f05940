//! Temporal layers: which frames of the stream that flows are left out, and what is told of it.
//!
//! A frame is decided about with its first packet, and all its packets follow: half a frame is of
//! no use. Down goes with the next frame; up where the stream says that it can be decoded, at the
//! latest with a keyframe.

use super::STARVED_US;
use super::frame::{StepUp, target_bit};
use crate::retransmit::Meta;

/// Frames over which a layer that no longer comes is forgotten: a few periods of the usual
/// patterns.
const FORGET: u8 = 16;

/// A layer as it is told: at once when a higher one is seen, after `FORGET` frames when it is
/// not seen any more.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    known: i8,
    told: i8,
    high: i8,
    frames: u8,
}

impl Default for Level {
    fn default() -> Self {
        Self::new()
    }
}

impl Level {
    /// None known.
    #[must_use]
    pub const fn new() -> Self {
        Level { known: -1, told: -1, high: -1, frames: 0 }
    }

    /// The layer that flows; 0 if none is known.
    #[must_use]
    pub const fn layer(&self) -> u8 {
        if self.known < 0 { 0 } else { self.known.cast_unsigned() }
    }

    /// A packet of this layer goes out.
    pub fn saw(&mut self, layer: u8) {
        let layer = layer.min(i8::MAX as u8).cast_signed();
        self.high = self.high.max(layer);
        self.known = self.known.max(layer);
    }

    /// A frame is complete.
    pub fn frame(&mut self) {
        self.frames += 1;
        if self.frames >= FORGET {
            (self.known, self.high, self.frames) = (self.high, -1, 0);
        }
    }

    /// This layer flows from now on.
    pub fn set(&mut self, layer: u8) {
        self.known = layer.min(i8::MAX as u8).cast_signed();
        (self.high, self.frames) = (-1, 0);
    }

    /// Nothing above `layer` flows from now on.
    pub fn cap(&mut self, layer: u8) {
        self.known = self.known.min(layer.min(i8::MAX as u8).cast_signed());
        (self.high, self.frames) = (-1, 0);
    }

    /// Whether it is not what was told.
    #[must_use]
    pub const fn has_news(&self) -> bool {
        self.known != self.told
    }

    /// The layer, if it is not what was told; -1 = none.
    pub fn take_news(&mut self) -> Option<i8> {
        let news = self.has_news().then_some(self.known);
        self.told = self.known;
        news
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Thinning {
    /// The highest layer let through.
    allowed: u8,
    /// The frame decided about last, by its timestamp, and how.
    frame: Option<(u32, bool)>,
    level: Level,
    /// Since when a wanted layer is out of reach.
    waits_us: Option<u64>,
}

impl Default for Thinning {
    fn default() -> Self {
        Self::new()
    }
}

impl Thinning {
    /// Nothing decided yet.
    #[must_use]
    pub const fn new() -> Self {
        Thinning { allowed: 0, frame: None, level: Level::new(), waits_us: None }
    }

    /// Another stream: what is told of the former one stands until the new one shows otherwise.
    #[must_use]
    pub const fn anew(self) -> Self {
        let level = Level { high: -1, frames: 0, ..self.level };
        Thinning { level, ..Thinning::new() }
    }

    /// A keyframe: every layer up to `target` can be decoded from here.
    pub fn restart(&mut self, target: u8) {
        self.allowed = target;
        self.frame = None;
        self.waits_us = None;
    }

    /// Whether the packet is of a picture after the one decided about last.
    #[must_use]
    pub fn is_next(&self, meta: &Meta) -> bool {
        self.frame.is_none_or(|(last, _)| meta.timestamp.wrapping_sub(last).cast_signed() > 0)
    }

    /// Whether a packet of the stream that flows, whose spatial layers up to `spatial` do, goes
    /// out when layers up to `target` are asked for.
    pub fn passes(&mut self, meta: &Meta, spatial: u8, target: u8, now_us: u64) -> bool {
        let temporal = meta.frame.temporal;
        match self.frame {
            Some((last, relay)) if last == meta.timestamp => return relay,
            Some(_) if !self.is_next(meta) => return temporal.is_none_or(|t| t <= self.allowed),
            _ => {}
        }
        if target < self.allowed {
            self.allowed = target;
            self.level.cap(target);
        }
        let before = self.allowed;
        let mut next = before;
        if let Some(layer) = temporal.filter(|_| self.allowed < target && meta.frame.start) {
            let step_up = meta.frame.step_up;
            (self.allowed, next) = step(step_up, layer, spatial, self.allowed, target);
        }
        let relay = temporal.is_none_or(|t| t <= self.allowed);
        self.waits_us = match temporal {
            Some(_) if next >= target || next > before => None,
            Some(t) if t > self.allowed && t <= target => self.waits_us.or(Some(now_us)),
            Some(_) => self.waits_us,
            None => None,
        };
        self.allowed = next;
        self.frame = Some((meta.timestamp, relay));
        if relay {
            if let Some(layer) = temporal {
                self.level.saw(layer);
            }
            self.level.frame();
        }
        relay
    }

    /// Whether a wanted layer came for a second without a frame to step up at.
    #[must_use]
    pub fn is_starved(&self, now_us: u64) -> bool {
        self.waits_us.is_some_and(|since| now_us >= since + STARVED_US)
    }

    /// Whether the temporal layer is not what was told.
    #[must_use]
    pub const fn has_news(&self) -> bool {
        self.level.has_news()
    }

    /// The temporal layer, if it is not what was told; -1 = the stream has none.
    pub fn take_news(&mut self) -> Option<i8> {
        self.level.take_news()
    }
}

/// The highest layer allowed for a frame of `layer`, and for those after it.
fn step(up: StepUp, layer: u8, spatial: u8, allowed: u8, target: u8) -> (u8, u8) {
    match up {
        StepUp::FromBelow if layer == allowed + 1 => (layer, layer),
        // Later pictures above this one need nothing from before it that was left out.
        StepUp::Above if layer <= allowed => (allowed, target),
        StepUp::Above if layer <= target => (layer, layer),
        StepUp::Targets(targets) => {
            let best = (allowed + 1..=target)
                .rev()
                .find(|&t| layer <= t && targets & target_bit(spatial, t) != 0);
            best.map_or((allowed, allowed), |t| (t, t))
        }
        _ => (allowed, allowed),
    }
}
