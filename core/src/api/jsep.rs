//! The `jsep` object of a `message` (core-api §4.1).

use super::{ApiError, ErrorCode, Expect, optional, required};
use crate::plugin::JsepKind;
use serde_json::{Map, Value};

pub use crate::sdp::RidOrder;

/// One entry of `svc`: which line, and the scalability mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SvcEntry {
    /// The line by its mid.
    pub mid: Option<String>,
    /// The line by its index.
    pub mindex: Option<u64>,
    /// The mode, such as `L3T3_KEY`.
    pub mode: String,
}

/// A session description as it came from the client; the SDP is unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsepRequest {
    /// Offer or answer.
    pub kind: JsepKind,
    /// The SDP text.
    pub sdp: String,
    /// False: all candidates are in the SDP.
    pub trickle: bool,
    /// How to read the rids.
    pub rid_order: RidOrder,
    /// The client wants media to pass through a relay.
    pub force_relay: bool,
    /// Media are end-to-end encrypted; `None` where nothing was said.
    pub e2ee: Option<bool>,
    /// SVC modes by line; empty where absent or malformed.
    pub svc: Vec<SvcEntry>,
}

impl JsepRequest {
    /// Checks the object; the SDP itself is the negotiation's to read.
    pub fn read(value: &Value) -> Result<Self, ApiError> {
        let Value::Object(fields) = value else {
            return Err(ApiError::new(ErrorCode::InvalidJsonObject, "Invalid jsep object"));
        };
        let read = Self::read_fields(fields).map_err(|error| error.within("JSEP"))?;
        let (kind, mut jsep) = read;
        jsep.kind = if kind.eq_ignore_ascii_case("offer") {
            JsepKind::Offer
        } else if kind.eq_ignore_ascii_case("answer") {
            JsepKind::Answer
        } else {
            let text = format!("JSEP error: unknown message type '{kind}'");
            return Err(ApiError::new(ErrorCode::JsepUnknownType, text));
        };
        Ok(jsep)
    }

    /// The type as written, and the rest.
    fn read_fields(fields: &Map<String, Value>) -> Result<(&str, Self), super::FieldError> {
        let kind = required(fields, "type", Expect::String)?;
        let sdp = required(fields, "sdp", Expect::String)?;
        let trickle = optional(fields, "trickle", Expect::Bool)?;
        let rid_order = optional(fields, "rid_order", Expect::String)?;
        let force_relay = optional(fields, "force_relay", Expect::Bool)?;
        let e2ee = optional(fields, "e2ee", Expect::Bool)?;
        let flag = |value: Option<&Value>| value.and_then(Value::as_bool);
        let jsep = JsepRequest {
            kind: JsepKind::Offer,
            sdp: sdp.as_str().unwrap_or_default().to_owned(),
            trickle: flag(trickle).unwrap_or(true),
            rid_order: match rid_order.and_then(Value::as_str) {
                Some("lmh") => RidOrder::LowToHigh,
                _ => RidOrder::HighToLow,
            },
            force_relay: flag(force_relay).unwrap_or(false),
            e2ee: flag(e2ee),
            svc: fields.get("svc").and_then(read_svc).unwrap_or_default(),
        };
        Ok((kind.as_str().unwrap_or_default(), jsep))
    }
}

/// All entries, or `None` when one of them is malformed: the whole array is then dropped.
fn read_svc(value: &Value) -> Option<Vec<SvcEntry>> {
    value.as_array()?.iter().map(read_svc_entry).collect()
}

fn read_svc_entry(value: &Value) -> Option<SvcEntry> {
    let fields = value.as_object()?;
    let mid = optional(fields, "mid", Expect::String).ok()?;
    let mindex = optional(fields, "mindex", Expect::PositiveInteger).ok()?;
    let mode = required(fields, "svc", Expect::String).ok()?;
    if mid.is_none() && mindex.is_none() {
        return None;
    }
    Some(SvcEntry {
        mid: mid.and_then(Value::as_str).map(str::to_owned),
        mindex: mindex.and_then(Value::as_u64),
        mode: mode.as_str()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(value: Value) -> String {
        JsepRequest::read(&value).expect_err("refused").to_string()
    }

    #[test]
    fn core_api_28_jsep_has_to_be_an_object() {
        for value in [json!(null), json!("offer"), json!([])] {
            assert_eq!(refused(value), "455 Invalid jsep object");
        }
    }

    #[test]
    fn core_api_29_type_is_offer_or_answer() {
        assert_eq!(
            refused(json!({"type": "pranswer", "sdp": ""})),
            "464 JSEP error: unknown message type 'pranswer'"
        );
        let jsep = JsepRequest::read(&json!({"type": "ANSWER", "sdp": "v=0"})).expect("answer");
        assert_eq!(jsep.kind, JsepKind::Answer);
        assert!(jsep.trickle && !jsep.force_relay && jsep.e2ee.is_none());
    }

    #[test]
    fn core_api_63_wrong_types_name_the_field() {
        assert_eq!(refused(json!({})), "456 JSEP error: missing mandatory element (type)");
        assert_eq!(
            refused(json!({"type": "offer", "sdp": 1})),
            "467 JSEP error: invalid element type (sdp should be a string)"
        );
        for (name, kind) in [("e2ee", "boolean"), ("trickle", "boolean"), ("rid_order", "string")] {
            let mut value = json!({"type": "offer", "sdp": ""});
            value[name] = json!(1);
            let want = format!("467 JSEP error: invalid element type ({name} should be a {kind})");
            assert_eq!(refused(value), want);
        }
    }

    #[test]
    fn core_api_63_malformed_svc_is_dropped() {
        let read = |svc: Value| {
            let value = json!({"type": "offer", "sdp": "", "svc": svc});
            JsepRequest::read(&value).expect("taken").svc.len()
        };
        assert_eq!(read(json!([{"mid": "1", "svc": "L3T3"}, {"mindex": 2, "svc": "L1T2"}])), 2);
        assert_eq!(read(json!([{"mid": "1", "svc": "L3T3"}, {"svc": "L1T2"}])), 0);
        assert_eq!(read(json!("L3T3")), 0);
        assert_eq!(read(json!([{"mid": 1, "svc": "L3T3"}])), 0);
    }

    #[test]
    fn rid_order_words() {
        let read = |word: &str| {
            let value = json!({"type": "offer", "sdp": "", "rid_order": word});
            JsepRequest::read(&value).expect("taken").rid_order
        };
        assert_eq!(read("lmh"), RidOrder::LowToHigh);
        assert_eq!(read("hml"), RidOrder::HighToLow);
        assert_eq!(read("mlh"), RidOrder::HighToLow);
    }
}
