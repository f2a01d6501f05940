//! Requests as tables of fields, error codes, and the shape of events (plugin-videocall §2, §3).

use bifrons_core::plugin::request::{self, FLAG, Field, TEXT, UINT, Want, may, must};
use bifrons_core::plugin::{Codes, Refusal as CoreRefusal};
use serde_json::{Value, json};

/// The plugin's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Unknown request.
    InvalidRequest = 472,
    /// `call` before `register`.
    RegisterFirst = 473,
    /// Wrong type or value.
    InvalidElement = 474,
    /// A required field is absent.
    MissingElement = 475,
    /// Somebody has that name.
    UsernameTaken = 476,
    /// The handle has a name.
    AlreadyRegistered = 477,
    /// Nobody has that name.
    NoSuchUsername = 478,
    /// Calling oneself.
    UseEchoTest = 479,
    /// The handle has a call.
    AlreadyInCall = 480,
    /// `accept` with nothing ringing.
    NoCall = 481,
    /// `call` or `accept` without a description.
    MissingSdp = 482,
    /// A description that cannot be used.
    InvalidSdp = 483,
    /// Everything else.
    Unknown = 499,
}

impl Codes for Code {
    const PLUGIN: &'static str = "videocall";
    const INVALID_REQUEST: Self = Code::InvalidRequest;
    const MISSING_ELEMENT: Self = Code::MissingElement;
    const INVALID_ELEMENT: Self = Code::InvalidElement;
    /// The plugin has no secrets.
    const UNAUTHORIZED: Self = Code::Unknown;
    const UNKNOWN: Self = Code::Unknown;

    fn number(self) -> i32 {
        self as i32
    }
}

/// An error as the client sees it.
pub(crate) type Refusal = CoreRefusal<Code>;

/// A body, refused with 475 for what is missing and 474 for what has another type.
pub(crate) type Body<'a> = request::Body<'a, Code>;

/// Every request.
pub(crate) const REQUEST: [Field; 1] = [must("request", TEXT)];

/// `register` and `call`.
pub(crate) const NAMED: [Field; 1] = [must("username", TEXT)];

/// `set`.
const SET: [Field; 9] = [
    may("audio", FLAG),
    may("video", FLAG),
    may("bitrate", UINT),
    may("record", FLAG),
    may("filename", TEXT),
    may("substream", Want::Layer),
    may("temporal", Want::Layer),
    may("fallback", UINT),
    may("restart", FLAG),
];

/// A `set`, checked. What is `None` was not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Send audio.
    pub(crate) audio: Option<bool>,
    /// Send video.
    pub(crate) video: Option<bool>,
    /// REMB target in bit/s; 0 stands for 10 Mbit/s.
    pub(crate) bitrate_bps: Option<u32>,
    /// Simulcast target.
    pub(crate) substream: Option<u8>,
    /// Simulcast temporal target.
    pub(crate) temporal: Option<u8>,
    /// Simulcast fallback in microseconds.
    pub(crate) fallback_us: Option<u32>,
}

impl Wishes {
    /// Reads a `set`.
    pub(crate) fn read(body: &Body<'_>) -> Result<Self, Refusal> {
        body.check(&SET)?;
        if body.flag("record") == Some(true) {
            return Err(Refusal::invalid("Recording is not built yet (record)"));
        }
        Ok(Wishes {
            audio: body.flag("audio"),
            video: body.flag("video"),
            bitrate_bps: body.number("bitrate"),
            substream: body.layer("substream"),
            temporal: body.layer("temporal"),
            fallback_us: body.number("fallback"),
        })
    }
}

/// The event that carries a result.
pub(crate) fn event(result: Value) -> Value {
    json!({ "videocall": "event", "result": result })
}

/// The result that a call is over: `username` is who ended it.
pub(crate) fn hangup(username: Option<&str>, reason: &str) -> Value {
    let mut result = json!({ "event": "hangup", "reason": reason });
    if let Some(username) = username {
        result["username"] = json!(username);
    }
    event(result)
}
