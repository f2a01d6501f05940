//! `recording`: what is asked is checked as a whole. Nothing is written to disk yet, and a start
//! says so (plugin-streaming §3 `recording`).

use crate::api::{ARRAY, Body, FLAG, TEXT, may, must};
use crate::error::{Code, Refusal};
use crate::management::ID;
use crate::plugin::Streaming;
use bifrons_core::media::MediaKind;
use serde_json::{Value, json};

/// The older keys, each for all streams of a kind.
const KINDS: [(&str, MediaKind); 3] =
    [("audio", MediaKind::Audio), ("video", MediaKind::Video), ("data", MediaKind::Data)];

impl Streaming {
    /// Serves `recording`.
    pub(crate) fn recording(&self, body: &Body<'_>) -> Result<Value, Refusal> {
        body.check(&[ID, must("action", TEXT), may("media", ARRAY)])?;
        let starts = match body.text("action") {
            Some("start") => true,
            Some("stop") => false,
            _ => return Err(Refusal::invalid("Invalid action (should be start or stop)")),
        };
        let items = body.items("media", &[])?;
        if !body.has("media") {
            let want = if starts { TEXT } else { FLAG };
            body.check(&KINDS.map(|(name, _)| may(name, want)))?;
        }
        let id = self.owned(body)?;
        let mountpoint = self.mountpoint(&id)?;
        let refused = |text: &str| Err(Refusal::new(Code::InvalidRequest, text));
        if !mountpoint.kind.is_switched() {
            return refused("Recording is only available on RTP-based live streams");
        }
        let named = !items.is_empty() || KINDS.iter().any(|(name, _)| body.has(name));
        if !named {
            return refused("Missing audio, video, data or media");
        }
        let has_mid = |mid: &str| mountpoint.streams.iter().any(|stream| stream.spec.mid == mid);
        let has_kind = |kind| mountpoint.streams.iter().any(|stream| stream.spec.kind == kind);
        // Items that lack something are passed over.
        let by_mid = items
            .iter()
            .any(|item| item.text("mid").is_some_and(has_mid) && item.filled("filename").is_some());
        let by_kind =
            KINDS.iter().any(|(name, kind)| body.filled(name).is_some() && has_kind(*kind));
        if starts && (by_mid || by_kind) {
            let text = "The recording cannot be opened: this server does not record yet";
            return Err(Refusal::new(Code::CannotRecord, text));
        }
        Ok(json!({ "streaming": "ok" }))
    }
}
