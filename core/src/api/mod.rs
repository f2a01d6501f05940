//! The Janus API as data: what a request must look like, what replies and events look like.
//!
//! This module owns the wire form only: JSON in ([`json`]), the request envelope in its documented
//! order of checks ([`Envelope`]), the fields of `message` and `trickle` ([`JsepRequest`],
//! [`Trickle`]), the error codes ([`ErrorCode`]) and every reply and event ([`reply`], [`event`]).
//! It knows nothing of sessions or plugins. The source of all texts and codes is the core API
//! contract (`core-api.md`).
//!
//! Bounds: a message holds at most [`json::MAX_VALUES`] JSON values, nested at most
//! [`json::MAX_DEPTH`] deep; the byte size is the transport's to bound. Cost: one scan over the
//! bytes, then one parse; replies are built as trees and written once by the transport.

mod envelope;
mod error;
pub mod event;
mod field;
mod jsep;
pub mod json;
pub mod reply;
mod trickle;

pub use envelope::{Envelope, HandleField};
pub use error::{ApiError, ErrorCode};
pub use field::{Expect, FieldError, optional, required};
pub use jsep::{JsepRequest, RidOrder, SvcEntry};
pub use json::Style;
pub use trickle::{Candidate, Trickle};

/// Largest id the server itself gives out: 2^53 − 1, the largest integer that a JavaScript number
/// holds exactly (core-api §3.3).
pub const MAX_ID: u64 = (1 << 53) - 1;

/// Turns a random word into a session or handle id in `1..=MAX_ID`; `None` for the one word in
/// 2^53 that would give 0 (draw again).
pub fn id_from_random(word: u64) -> Option<u64> {
    Some(word & MAX_ID).filter(|id| *id != 0)
}

/// Fuzz entry: whatever the bytes are, reading them neither panics nor breaks a promise of this
/// module.
pub fn fuzz_api(data: &[u8]) {
    let _ = json::parse_one(data);
    let Ok(values) = json::parse_many(data) else { return };
    for value in values {
        for style in [Style::Indented, Style::Plain, Style::Compact] {
            let text = json::write(&value, style);
            // Not compared: the last bit of a float may differ.
            assert!(json::parse_one(text.as_bytes()).is_ok(), "unreadable: {text}");
        }
        let Ok(envelope) = Envelope::read(value) else { continue };
        if let Ok(trickle) = Trickle::read(envelope.fields()) {
            match trickle {
                Trickle::One(candidate) => drop(Candidate::read(&candidate)),
                Trickle::Many(list) => {
                    for candidate in list.as_array().into_iter().flatten() {
                        let _ = Candidate::read(candidate);
                    }
                }
            }
        }
        if let Some(jsep) = envelope.fields().get("jsep") {
            let _ = JsepRequest::read(jsep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_exact_in_javascript_and_never_zero() {
        assert_eq!(id_from_random(u64::MAX), Some(9_007_199_254_740_991));
        assert_eq!(id_from_random(1 << 53), None);
        assert_eq!(id_from_random((1 << 53) | 7), Some(7));
    }

    #[test]
    fn fuzz_entry_takes_odd_inputs() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"{\"janus\":\"trickle\",\"transaction\":\"\",\"candidates\":[{},null,1]}",
            b"{\"janus\":\"trickle\",\"transaction\":\"\",\"candidates\":1}",
            b"{\"janus\":\"m\",\"transaction\":\"\",\"jsep\":{\"type\":\"OFFER\",\"sdp\":\"\"}}",
            b"[[[[[[[",
            b"\xff\xfe",
            b"{}{}{}",
            b"{\"a\":1e308}",
        ];
        for input in inputs {
            fuzz_api(input);
        }
    }
}
