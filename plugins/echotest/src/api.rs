//! The one unnamed request of the plugin, and its errors.

use bifrons_core::codec::Codec;
use bifrons_core::plugin::Codes;
use bifrons_core::plugin::request::{Body, FLAG, Field, INT, TEXT, UINT, Want, may};
use serde_json::{Map, Value};

/// The plugin's error codes (plugin-echotest §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Wrong type or value, or nothing to do.
    InvalidElement = 413,
    /// The offer cannot be used.
    InvalidSdp = 414,
}

impl Codes for Code {
    const PLUGIN: &'static str = "echotest";
    const INVALID_REQUEST: Self = Code::InvalidElement;
    /// Nothing is required.
    const MISSING_ELEMENT: Self = Code::InvalidElement;
    const INVALID_ELEMENT: Self = Code::InvalidElement;
    /// The plugin has no secrets.
    const UNAUTHORIZED: Self = Code::InvalidElement;
    const UNKNOWN: Self = Code::InvalidElement;

    fn number(self) -> i32 {
        self as i32
    }
}

/// An error as the client sees it.
pub(crate) type Refusal = bifrons_core::plugin::Refusal<Code>;

/// All that a request may hold (plugin-echotest §3), in the order in which it is checked.
const FIELDS: [Field; 17] = [
    may("svc", FLAG),
    may("filename", TEXT),
    may("audio", FLAG),
    may("video", FLAG),
    may("bitrate", UINT),
    may("substream", Want::Layer),
    may("temporal", Want::Layer),
    may("fallback", UINT),
    may("spatial_layer", Want::Layer),
    may("temporal_layer", Want::Layer),
    may("audiocodec", TEXT),
    may("videocodec", TEXT),
    may("videoprofile", TEXT),
    may("opusred", FLAG),
    may("min_delay", INT),
    may("max_delay", INT),
    may("record", FLAG),
];

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
        let fields = Body::<Code>::checked(body, false, &FIELDS)?;
        // A codec that we do not know forces nothing.
        let codec = |name| fields.text(name).and_then(Codec::from_janus_name);
        let request = EchoRequest {
            audio: fields.flag("audio"),
            video: fields.flag("video"),
            bitrate: fields.number("bitrate"),
            substream: fields.layer("substream"),
            temporal: fields.layer("temporal"),
            fallback_us: fields.number("fallback"),
            spatial_layer: fields.layer("spatial_layer"),
            temporal_layer: fields.layer("temporal_layer"),
            audio_codec: codec("audiocodec"),
            video_codec: codec("videocodec"),
            video_profile: fields.text("videoprofile").map(str::to_owned),
            opus_red: fields.flag("opusred"),
            min_delay: fields.integer("min_delay"),
            max_delay: fields.integer("max_delay"),
            record: fields.flag("record"),
        };
        if !has_offer && !RECOGNISED.iter().any(|key| body.contains_key(*key)) {
            let text = "Invalid request: nothing in it that can be changed, and no offer";
            return Err(Refusal::new(Code::InvalidElement, text));
        }
        Ok(request)
    }
}
