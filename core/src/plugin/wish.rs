//! What a client may wish for on a line it receives, the same in every plugin that routes media:
//! layers (plugin-videoroom §8.2, plugin-streaming §6.4) and limits of playout delay.

use super::Codes;
use super::request::Body;
use crate::media::{Delay, LayerKind, LayerTarget, Selection};
use serde_json::{Value, json};

/// The key under which requests and events name a kind of layer.
#[must_use]
pub fn layer_key(kind: LayerKind) -> &'static str {
    match kind {
        LayerKind::Substream => "substream",
        LayerKind::Temporal => "temporal",
        LayerKind::Spatial => "spatial_layer",
        LayerKind::SvcTemporal => "temporal_layer",
    }
}

/// Takes the layers (and `fallback`, in us) that a request names over into a target, as far as they
/// are of its kind of layers. Returns those that were given.
pub fn take_layers<C: Codes>(target: &mut LayerTarget, item: &Body<'_, C>) -> Vec<(LayerKind, u8)> {
    let kinds = match target.selection {
        Selection::Whole => return Vec::new(),
        Selection::Simulcast => {
            if let Some(fallback_us) = item.number("fallback") {
                target.fallback_us = fallback_us;
            }
            [LayerKind::Substream, LayerKind::Temporal]
        }
        Selection::Svc => [LayerKind::Spatial, LayerKind::SvcTemporal],
    };
    let mut given = Vec::new();
    for (place, kind) in [&mut target.spatial, &mut target.temporal].into_iter().zip(kinds) {
        if let Some(layer) = item.layer(layer_key(kind)) {
            *place = layer;
            given.push((kind, layer));
        }
    }
    given
}

/// Limits of playout delay as asked for, in units of 10 ms and at most 4095; both are needed to
/// have an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DelayLimits {
    min: Option<u16>,
    max: Option<u16>,
}

impl DelayLimits {
    /// Takes new limits over: one drags the other along, a negative one clears both.
    pub fn change(&mut self, min: Option<i64>, max: Option<i64>) {
        for (value, is_min) in [(min, true), (max, false)] {
            let Some(value) = value else { continue };
            let Ok(limit) = u16::try_from(value.min(4095)) else {
                *self = DelayLimits::default();
                continue;
            };
            if is_min {
                self.min = Some(limit);
                self.max = self.max.map(|max| max.max(limit));
            } else {
                self.max = Some(limit);
                self.min = self.min.map(|min| min.min(limit));
            }
        }
    }

    /// The limits, where both are known.
    #[must_use]
    pub fn delay(self) -> Option<Delay> {
        Some(Delay { min: self.min?, max: self.max? })
    }

    /// What is shown of them.
    #[must_use]
    pub fn shown(self) -> Option<Value> {
        let delay = self.delay()?;
        Some(json!({ "min-delay": delay.min, "max-delay": delay.max }))
    }
}
