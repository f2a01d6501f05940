//! The fields of `trickle` (core-api §3.11).

use super::{ApiError, ErrorCode, Expect, FieldError, optional, required};
use serde_json::{Map, Value};

/// Which of the two forms a `trickle` request has; the candidates are unread, because a request
/// that is queued is acknowledged without a look.
#[derive(Clone, Debug, PartialEq)]
pub enum Trickle {
    /// `candidate`: one candidate, or the end of them.
    One(Value),
    /// `candidates`: an array of them, if the client kept to the contract.
    Many(Value),
}

impl Trickle {
    /// Exactly one of the two fields has to be there.
    pub fn read(fields: &Map<String, Value>) -> Result<Self, ApiError> {
        match (fields.get("candidate"), fields.get("candidates")) {
            (Some(one), None) => Ok(Trickle::One(one.clone())),
            (None, Some(many)) => Ok(Trickle::Many(many.clone())),
            (None, None) => Err(ApiError::new(
                ErrorCode::MissingMandatoryElement,
                "Missing mandatory element (candidate|candidates)",
            )),
            (Some(_), Some(_)) => Err(ApiError::new(
                ErrorCode::InvalidJson,
                "Can't have both candidate and candidates",
            )),
        }
    }
}

/// One trickled candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// There will be no more.
    End,
    /// A candidate line, for the line with that mid or index.
    Line {
        /// `sdpMid`.
        mid: Option<String>,
        /// `sdpMLineIndex`.
        mindex: Option<u64>,
        /// The candidate attribute, with or without its `candidate:` prefix; may be empty.
        line: String,
    },
}

impl Candidate {
    /// Anything that is no object, and any object with a `completed` key, ends the candidates. Of
    /// a candidate the locators are looked at first.
    pub fn read(value: &Value) -> Result<Self, ApiError> {
        let Value::Object(fields) = value else { return Ok(Candidate::End) };
        if fields.contains_key("completed") {
            return Ok(Candidate::End);
        }
        Self::read_fields(fields).map_err(|error| error.within("Trickle"))
    }

    fn read_fields(fields: &Map<String, Value>) -> Result<Self, FieldError> {
        let mid = optional(fields, "sdpMid", Expect::String)?;
        let mindex = optional(fields, "sdpMLineIndex", Expect::PositiveInteger)?;
        if mid.is_none() && mindex.is_none() {
            return Err(FieldError::Missing("sdpMid or sdpMLineIndex".to_owned()));
        }
        let line = required(fields, "candidate", Expect::String)?;
        Ok(Candidate::Line {
            mid: mid.and_then(Value::as_str).map(str::to_owned),
            mindex: mindex.and_then(Value::as_u64),
            line: line.as_str().unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Candidate, String> {
        Candidate::read(&value).map_err(|error| error.to_string())
    }

    #[test]
    fn core_api_34_exactly_one_of_both_fields() {
        let refused = |value: Value| {
            let fields = value.as_object().cloned().unwrap_or_default();
            Trickle::read(&fields).expect_err("refused").to_string()
        };
        assert_eq!(refused(json!({})), "456 Missing mandatory element (candidate|candidates)");
        assert_eq!(
            refused(json!({"candidate": null, "candidates": []})),
            "454 Can't have both candidate and candidates"
        );
    }

    #[test]
    fn core_api_34_locators_come_first() {
        let missing = "456 Trickle error: missing mandatory element (sdpMid or sdpMLineIndex)";
        assert_eq!(read(json!({})), Err(missing.to_owned()));
        assert_eq!(
            read(json!({"sdpMid": "0"})),
            Err("456 Trickle error: missing mandatory element (candidate)".to_owned())
        );
        assert_eq!(
            read(json!({"sdpMid": 0})),
            Err("467 Trickle error: invalid element type (sdpMid should be a string)".to_owned())
        );
        assert_eq!(
            read(json!({"sdpMLineIndex": -1})),
            Err("467 Trickle error: invalid element type (sdpMLineIndex should be a positive integer)"
                .to_owned())
        );
    }

    #[test]
    fn core_api_35_what_ends_the_candidates() {
        for end in [json!(null), json!({"completed": true}), json!({"completed": false}), json!(3)]
        {
            assert_eq!(read(end), Ok(Candidate::End));
        }
        let empty = read(json!({"sdpMid": "0", "candidate": ""}));
        assert!(matches!(empty, Ok(Candidate::Line { line, .. }) if line.is_empty()));
    }
}
