//! Events: what the server says unasked (core-api §1.3, §5).

use super::reply::{Sender, message};
use serde_json::{Map, Value, json};

fn from_handle(word: &str, from: Sender<'_>) -> Map<String, Value> {
    let mut fields = message(word, from.session_id);
    from.sign(&mut fields);
    fields
}

/// `event`: something a plugin says, with the transaction of the request it answers, if any.
pub fn plugin_event(
    from: Sender<'_>,
    transaction: Option<&str>,
    plugin: &str,
    data: Value,
    jsep: Option<Value>,
) -> Value {
    let mut fields = message("event", from.session_id);
    if let Some(transaction) = transaction {
        fields.insert("transaction".to_owned(), Value::from(transaction));
    }
    from.sign(&mut fields);
    fields.insert("plugindata".to_owned(), json!({ "plugin": plugin, "data": data }));
    if let Some(jsep) = jsep {
        fields.insert("jsep".to_owned(), jsep);
    }
    Value::Object(fields)
}

/// `webrtcup`: the PeerConnection is up.
pub fn webrtc_up(from: Sender<'_>) -> Value {
    Value::Object(from_handle("webrtcup", from))
}

/// What a `media` event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaState<'a> {
    /// The line.
    pub mid: &'a str,
    /// `audio` or `video`.
    pub kind: &'a str,
    /// Only for simulcast lines, 0..=2.
    pub substream: Option<u8>,
    /// Began or ceased.
    pub receiving: bool,
    /// The timer that ran out, in s; shown only where it is > 1 and `receiving` is false.
    pub timer_s: u32,
}

/// `media`: media began or ceased to arrive.
pub fn media(from: Sender<'_>, state: MediaState<'_>) -> Value {
    let mut fields = from_handle("media", from);
    fields.insert("mid".to_owned(), Value::from(state.mid));
    fields.insert("type".to_owned(), Value::from(state.kind));
    if let Some(substream) = state.substream {
        fields.insert("substream".to_owned(), Value::from(substream));
    }
    fields.insert("receiving".to_owned(), Value::from(state.receiving));
    if !state.receiving && state.timer_s > 1 {
        fields.insert("seconds".to_owned(), Value::from(state.timer_s));
    }
    Value::Object(fields)
}

/// `slowlink`: losses of the last second. `uplink` is true for what the server sends.
pub fn slow_link(from: Sender<'_>, mid: &str, kind: &str, uplink: bool, lost: u32) -> Value {
    let mut fields = from_handle("slowlink", from);
    fields.insert("mid".to_owned(), Value::from(mid));
    fields.insert("media".to_owned(), Value::from(kind));
    fields.insert("uplink".to_owned(), Value::from(uplink));
    fields.insert("lost".to_owned(), Value::from(lost));
    Value::Object(fields)
}

/// `hangup`: the PeerConnection is gone.
pub fn hangup(from: Sender<'_>, reason: &str) -> Value {
    let mut fields = from_handle("hangup", from);
    fields.insert("reason".to_owned(), Value::from(reason));
    Value::Object(fields)
}

/// `ice-failed`: connectivity was lost; a restart may rescue it.
pub fn ice_failed(from: Sender<'_>) -> Value {
    Value::Object(from_handle("ice-failed", from))
}

/// `detached`: the handle is gone.
pub fn detached(from: Sender<'_>) -> Value {
    Value::Object(from_handle("detached", from))
}

/// `trickle`: a candidate of ours; `None` is the end of them. The member is an object either way.
pub fn trickle(from: Sender<'_>, candidate: Option<(&str, &str)>) -> Value {
    let mut fields = from_handle("trickle", from);
    let candidate = match candidate {
        Some((mid, line)) => json!({ "sdpMid": mid, "sdpMLineIndex": 0, "candidate": line }),
        None => json!({ "completed": true }),
    };
    fields.insert("candidate".to_owned(), candidate);
    Value::Object(fields)
}

/// `timeout`: the session expired. It has no sender.
pub fn timeout(session_id: u64) -> Value {
    Value::Object(message("timeout", session_id))
}

/// `keepalive`: what an idle HTTP long poll ends with.
pub fn keepalive() -> Value {
    Value::Object(message("keepalive", 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Sender<'static> = Sender { session_id: 1, handle_id: 2, opaque_id: None };

    #[test]
    fn core_api_39_media_shows_only_what_applies() {
        let state =
            MediaState { mid: "1", kind: "video", substream: None, receiving: true, timer_s: 3 };
        assert_eq!(
            media(FROM, state).to_string(),
            r#"{"janus":"media","session_id":1,"sender":2,"mid":"1","type":"video","receiving":true}"#
        );
        let state = MediaState { substream: Some(2), receiving: false, ..state };
        assert_eq!(
            media(FROM, state).to_string(),
            r#"{"janus":"media","session_id":1,"sender":2,"mid":"1","type":"video","substream":2,"receiving":false,"seconds":3}"#
        );
        let state = MediaState { timer_s: 1, ..state };
        assert!(media(FROM, state).get("seconds").is_none());
    }

    #[test]
    fn core_api_51_trickle_always_has_an_object() {
        assert_eq!(
            trickle(FROM, None).to_string(),
            r#"{"janus":"trickle","session_id":1,"sender":2,"candidate":{"completed":true}}"#
        );
        let line = trickle(FROM, Some(("0", "candidate:1")));
        assert_eq!(line["candidate"]["sdpMLineIndex"], 0);
        assert_eq!(line["candidate"]["candidate"], "candidate:1");
    }

    #[test]
    fn events_without_a_handle() {
        assert_eq!(timeout(9).to_string(), r#"{"janus":"timeout","session_id":9}"#);
        assert_eq!(keepalive().to_string(), r#"{"janus":"keepalive"}"#);
    }
}
