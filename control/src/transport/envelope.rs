//! From the bytes of one message to its request.

use bifrons_core::api::json::{self, SyntaxError};
use bifrons_core::api::{ApiError, ErrorCode, reply};
use serde_json::Value;

/// The one request of a message: an object or an array; for anything else the error that answers
/// it (transports-auth §7, §6: two values give 454).
pub(super) fn one_request(bytes: &[u8]) -> Result<Value, Value> {
    match json::parse_many(bytes) {
        Ok(mut values) if values.len() == 1 => Ok(values.remove(0)),
        Ok(_) => Err(refused("<buffer>: end of message expected")),
        Err(error) => Err(unparsable(&error)),
    }
}

/// The error for a message that is no JSON.
pub(super) fn unparsable(error: &SyntaxError) -> Value {
    refused(&format!("<buffer>{error}"))
}

/// The error for a message that is longer than a transport takes.
pub(super) fn too_long(limit: usize) -> Value {
    refused(&format!("<buffer>: longer than {limit} bytes"))
}

fn refused(why: &str) -> Value {
    let text = format!("Invalid Janus API request - {why}");
    reply::error(0, None, &ApiError::new(ErrorCode::InvalidJson, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_auth_61_one_value_a_message() {
        assert!(one_request(br#"{"janus":"ping"}"#).is_ok());
        assert!(one_request(b"[] ").is_ok(), "the dispatcher says what is missing");
        let two: &[u8] = br#"{"janus":"ping"}{"janus":"ping"}"#;
        for bad in [two, b"", b"\"ping\"", b"{\"janus\":", b"{\"janus\":\"\xff\xfe\"}"] {
            let error = one_request(bad).expect_err("refused");
            assert_eq!(error["error"]["code"], 454, "{error}");
            assert!(error.get("transaction").is_none());
        }
    }
}
