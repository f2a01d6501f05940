//! What an event has to look like, from admin-events-recording §6-§7, written apart from the code
//! that makes them.

use super::heard;
use crate::target::run;
use serde_json::{Map, Value, json};

/// How a field is written.
#[derive(Clone, Copy)]
enum Want {
    Text,
    Int,
    Bool,
    Object,
    /// One of these texts.
    Word(&'static [&'static str]),
}

use Want::{Bool, Int, Object, Text, Word};

type Fields = &'static [(&'static str, Want)];

const ICE_STATES: Want =
    Word(&["disconnected", "gathering", "connecting", "connected", "ready", "failed"]);
const DTLS_STATES: Want = Word(&["created", "trying", "connected", "failed"]);
const ENDS: Fields = &[("stream_id", Int), ("component_id", Int)];

const TOTALS: Fields = &[
    ("mid", Text),
    ("mindex", Int),
    ("media", Word(&["audio", "video", "video-sim1", "video-sim2", "data"])),
    ("packets-received", Int),
    ("packets-sent", Int),
    ("bytes-received", Int),
    ("bytes-sent", Int),
];

const QUALITIES: Fields = &[
    ("base", Int),
    ("lost", Int),
    ("lost-by-remote", Int),
    ("jitter-local", Int),
    ("jitter-remote", Int),
    ("in-link-quality", Int),
    ("in-media-link-quality", Int),
    ("out-link-quality", Int),
    ("out-media-link-quality", Int),
    ("bytes-received-lastsec", Int),
    ("bytes-sent-lastsec", Int),
    ("nacks-received", Int),
    ("nacks-sent", Int),
    ("retransmissions-received", Int),
];

/// One object while it is checked.
struct Check<'a> {
    what: &'static str,
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Check<'a> {
    fn new(what: &'static str, value: &'a Value) -> Result<Self, String> {
        let fields = value.as_object().ok_or(format!("{what} is no object"))?;
        Ok(Check { what, fields, known: Vec::new() })
    }

    fn field(&mut self, name: &'static str, want: Want, optional: bool) -> Result<(), String> {
        self.known.push(name);
        let Some(value) = self.fields.get(name) else {
            return if optional { Ok(()) } else { Err(format!("{}.{name} is missing", self.what)) };
        };
        let fits = match want {
            Text => value.as_str().is_some_and(|text| !text.is_empty()),
            Int => value.is_i64() || value.is_u64(),
            Bool => value.is_boolean(),
            Object => value.is_object(),
            Word(words) => value.as_str().is_some_and(|text| words.contains(&text)),
        };
        if fits { Ok(()) } else { Err(format!("{}.{name} is {value}", self.what)) }
    }

    fn has(mut self, fields: Fields) -> Result<Self, String> {
        for (name, want) in fields {
            self.field(name, *want, false)?;
        }
        Ok(self)
    }

    fn may(mut self, fields: Fields) -> Result<Self, String> {
        for (name, want) in fields {
            self.field(name, *want, true)?;
        }
        Ok(self)
    }

    /// Nothing else is in it.
    fn only(self) -> Result<(), String> {
        match self.fields.keys().find(|name| !self.known.contains(&name.as_str())) {
            Some(name) => Err(format!("{}.{name} is not known", self.what)),
            None => Ok(()),
        }
    }
}

/// Whether an event is as the reference describes it.
pub(super) fn check(event: &Value) -> Result<(), String> {
    checked(event).map_err(|fault| format!("{fault}: {event}"))
}

fn checked(event: &Value) -> Result<(), String> {
    let kind = event["type"].as_u64().unwrap_or(0);
    let subtype = event["subtype"].as_u64();
    let envelope = Check::new("envelope", event)?.has(&[
        ("emitter", Text),
        ("type", Int),
        ("timestamp", Int),
    ])?;
    let mut envelope = match kind {
        1 => envelope.has(&[("session_id", Int)])?,
        2 | 8 | 16 | 32 => {
            envelope.has(&[("session_id", Int), ("handle_id", Int)])?.may(&[("opaque_id", Text)])?
        }
        64 => envelope.may(&[("session_id", Int), ("handle_id", Int), ("opaque_id", Text)])?,
        4 | 128 | 256 => envelope,
        other => return Err(format!("type {other}")),
    };
    if matches!(kind, 16 | 32 | 256) {
        envelope = envelope.has(&[("subtype", Int)])?;
    }
    envelope.known.push("event");
    envelope.only()?;
    body(kind, subtype, &event["event"])
}

fn body(kind: u64, subtype: Option<u64>, of: &Value) -> Result<(), String> {
    let body = |what| Check::new(what, of);
    match (kind, subtype) {
        (1, None) if of["name"] == "created" => {
            Check::new("transport", &of["transport"])?
                .has(&[("transport", Text), ("id", Text)])?
                .only()?;
            body("session")?.has(&[("name", Text), ("transport", Object)])?.only()
        }
        (1, None) => body("session")?.has(&[("name", Word(&["destroyed", "timeout"]))])?.only(),
        (2, None) => body("handle")?
            .has(&[("name", Word(&["attached", "detached"])), ("plugin", Text)])?
            .may(&[("opaque_id", Text), ("token", Text)])?
            .only(),
        (4, None) => body("external")?.has(&[("schema", Text), ("data", Object)])?.only(),
        (8, None) => {
            Check::new("jsep", &of["jsep"])?
                .has(&[("type", Word(&["offer", "answer"])), ("sdp", Text)])?
                .only()?;
            body("description")?
                .has(&[("owner", Word(&["local", "remote"])), ("jsep", Object)])?
                .only()
        }
        (16, Some(subtype)) => webrtc(subtype, of),
        (32, Some(1)) => body("media")?
            .has(&[("media", Word(&["audio", "video"])), ("mid", Text), ("receiving", Bool)])?
            .may(&[("substream", Int), ("seconds", Int)])?
            .only(),
        (32, Some(2)) => body("slow link")?
            .has(&[("mid", Text), ("media", Text), ("lost_lastsec", Int)])?
            .has(&[("slow_link", Word(&["uplink", "downlink"]))])?
            .only(),
        (32, Some(3)) => match of.as_array() {
            Some(all) => all.iter().try_for_each(statistics),
            None => statistics(of),
        },
        (64, None) => body("plugin")?.has(&[("plugin", Text), ("data", Object)])?.only(),
        (128, None) => {
            body("transport")?.has(&[("transport", Text), ("id", Text), ("data", Object)])?.only()
        }
        (256, Some(1)) => {
            body("core")?.has(&[("status", Word(&["started", "update"])), ("info", Object)])?.only()
        }
        (256, Some(2)) => {
            body("core")?.has(&[("status", Word(&["shutdown"])), ("signum", Int)])?.only()
        }
        (kind, subtype) => Err(format!("type {kind}, subtype {subtype:?}")),
    }
}

fn webrtc(subtype: u64, of: &Value) -> Result<(), String> {
    let body = |what| Check::new(what, of);
    match subtype {
        1 => body("ice")?.has(&[("ice", ICE_STATES)])?.has(ENDS)?.only(),
        2 => body("local")?.has(&[("local-candidate", Text)])?.has(ENDS)?.only(),
        3 => body("remote")?.has(&[("remote-candidate", Text)])?.has(ENDS)?.only(),
        4 => {
            for end in ["local", "remote"] {
                Check::new("candidate", &of["candidates"][end])?
                    .has(&[("address", Text), ("port", Int), ("family", Int)])?
                    .has(&[("transport", Word(&["udp", "tcp"]))])?
                    .has(&[("type", Word(&["host", "srflx", "prflx", "relay"]))])?
                    .only()?;
            }
            body("pair")?.has(&[("selected-pair", Text), ("candidates", Object)])?.has(ENDS)?.only()
        }
        5 => {
            body("dtls")?.has(&[("dtls", DTLS_STATES), ("retransmissions", Int)])?.has(ENDS)?.only()
        }
        6 => {
            let body = body("connection")?.has(&[("connection", Word(&["webrtcup", "hangup"]))])?;
            match of["connection"] == "hangup" {
                true => body.has(&[("reason", Text)])?.only(),
                false => body.only(),
            }
        }
        other => Err(format!("type 16, subtype {other}")),
    }
}

fn statistics(of: &Value) -> Result<(), String> {
    let body = Check::new("statistics", of)?.has(TOTALS)?;
    if of["media"] == "data" {
        return body.only();
    }
    body.has(QUALITIES)?
        .may(&[("codec", Text), ("rtt", Int), ("rtt-values", Object), ("remb-bitrate", Int)])?
        .only()?;
    for name in ["in-link-quality", "in-media-link-quality", "out-link-quality"] {
        if of[name].as_u64().is_none_or(|percent| percent > 100) {
            return Err(format!("statistics.{name}"));
        }
    }
    match of.get("rtt-values") {
        Some(values) => Check::new("rtt-values", values)?
            .has(&[("ntp", Int), ("lsr", Int), ("dlsr", Int)])?
            .only(),
        None => Ok(()),
    }
}

#[test]
fn a_wrong_event_is_noticed() {
    run(async {
        let Some((target, web)) = heard("sessions").await else { return };
        let mut ws = target.ws().await;
        let session = ws.create().await;
        ws.ask(json!({"janus": "destroy", "session_id": session})).await;
        let good = web.event("an end", |event| event["event"]["name"] == "destroyed").await;
        assert_eq!(check(&good), Ok(()));
        for (name, value) in [
            ("type", json!(3)),
            ("subtype", json!(1)),
            ("session_id", json!("2")),
            ("event", json!({"name": "left"})),
            ("event", json!({"name": "destroyed", "more": 1})),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            assert!(check(&bad).is_err(), "{bad}");
        }
    });
}
