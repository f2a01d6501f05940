//! The one unnamed request of the plugin, and its errors.

use bifrons_core::api::{Expect, FieldError, optional};
use bifrons_core::codec::Codec;
use serde_json::{Map, Value, json};

/// The plugin's error codes (plugin-echotest §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Wrong type or value, or nothing to do.
    InvalidElement = 413,
    /// The offer cannot be used.
    InvalidSdp = 414,
}

/// An error as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Its number.
    pub(crate) code: Code,
    /// Its text.
    pub(crate) text: String,
}

impl Refusal {
    /// A refusal with this text.
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Refusal { code, text: text.into() }
    }

    /// The event that carries it.
    pub(crate) fn event(&self) -> Value {
        json!({ "echotest": "event", "error_code": self.code as i32, "error": self.text })
    }
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        Refusal::new(Code::InvalidElement, error.text())
    }
}

/// A request, checked. What is `None` was not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EchoRequest {
    /// Echo audio.
    pub(crate) audio: Option<bool>,
    /// Echo video.
    pub(crate) video: Option<bool>,
    /// REMB target in bit/s; 0 stands for 10 Mbit/s.
    pub(crate) bitrate: Option<u32>,
    /// Simulcast target.
    pub(crate) substream: Option<u8>,
    /// Simulcast temporal target.
    pub(crate) temporal: Option<u8>,
    /// Simulcast fallback in microseconds.
    pub(crate) fallback_us: Option<u32>,
    /// SVC spatial target.
    pub(crate) spatial_layer: Option<u8>,
    /// SVC temporal target.
    pub(crate) temporal_layer: Option<u8>,
    /// Codec to force in the answer.
    pub(crate) audio_codec: Option<Codec>,
    /// Codec to force in the answer.
    pub(crate) video_codec: Option<Codec>,
    /// VP9 profile-id or H.264 profile-level-id to pick.
    pub(crate) video_profile: Option<String>,
    /// Accept audio/red.
    pub(crate) opus_red: Option<bool>,
    /// Playout delay limits in 10 ms; negative clears both.
    pub(crate) min_delay: Option<i64>,
    /// See `min_delay`.
    pub(crate) max_delay: Option<i64>,
    /// Start or stop recording.
    pub(crate) record: Option<bool>,
}

/// Keys that count as something to do (the page's quirk: `audiocodec` and `filename` do not).
const RECOGNISED: [&str; 14] = [
    "audio",
    "video",
    "videocodec",
    "videoprofile",
    "opusred",
    "bitrate",
    "substream",
    "temporal",
    "fallback",
    "spatial_layer",
    "temporal_layer",
    "record",
    "min_delay",
    "max_delay",
];

impl EchoRequest {
    /// Reads a body; `has_offer` says whether a description came along.
    pub(crate) fn parse(body: &Map<String, Value>, has_offer: bool) -> Result<Self, Refusal> {
        optional(body, "svc", Expect::Bool)?;
        optional(body, "filename", Expect::String)?;
        let request = EchoRequest {
            audio: boolean(body, "audio")?,
            video: boolean(body, "video")?,
            bitrate: number(body, "bitrate")?,
            substream: layer(body, "substream")?,
            temporal: layer(body, "temporal")?,
            fallback_us: number(body, "fallback")?,
            spatial_layer: layer(body, "spatial_layer")?,
            temporal_layer: layer(body, "temporal_layer")?,
            audio_codec: codec(body, "audiocodec")?,
            video_codec: codec(body, "videocodec")?,
            video_profile: text(body, "videoprofile")?,
            opus_red: boolean(body, "opusred")?,
            min_delay: integer(body, "min_delay")?,
            max_delay: integer(body, "max_delay")?,
            record: boolean(body, "record")?,
        };
        if !has_offer && !RECOGNISED.iter().any(|key| body.contains_key(*key)) {
            let text = "Invalid request: nothing in it that can be changed, and no offer";
            return Err(Refusal::new(Code::InvalidElement, text));
        }
        Ok(request)
    }
}

fn boolean(body: &Map<String, Value>, name: &str) -> Result<Option<bool>, Refusal> {
    Ok(optional(body, name, Expect::Bool)?.and_then(Value::as_bool))
}

fn integer(body: &Map<String, Value>, name: &str) -> Result<Option<i64>, Refusal> {
    Ok(optional(body, name, Expect::Integer)?.and_then(Value::as_i64))
}

/// An unsigned number; what is past 32 bits counts as the largest.
fn number(body: &Map<String, Value>, name: &str) -> Result<Option<u32>, Refusal> {
    let value = optional(body, name, Expect::PositiveInteger)?.and_then(Value::as_u64);
    Ok(value.map(|n| u32::try_from(n).unwrap_or(u32::MAX)))
}

fn text(body: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    let value = optional(body, name, Expect::String)?.and_then(Value::as_str);
    Ok(value.map(str::to_owned))
}

/// A layer target, 0 to 2.
fn layer(body: &Map<String, Value>, name: &str) -> Result<Option<u8>, Refusal> {
    match number(body, name)? {
        Some(n) if n > 2 => {
            let text = format!("Invalid element value ({name} should be 0, 1 or 2)");
            Err(Refusal::new(Code::InvalidElement, text))
        }
        value => Ok(value.map(|n| n as u8)),
    }
}

/// A codec by Janus's name; one that we do not know forces nothing.
fn codec(body: &Map<String, Value>, name: &str) -> Result<Option<Codec>, Refusal> {
    Ok(text(body, name)?.and_then(|name| Codec::from_janus_name(&name)))
}
