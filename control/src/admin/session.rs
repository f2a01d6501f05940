//! Sessions and handles: `list_handles`, `destroy_session`, a session's `set_session_timeout`,
//! `detach_handle`, `hangup_webrtc` (admin-events-recording §3, §4).

use super::{Fields, Outcome, Reply, Request, unhandled};
use bifrons_core::api::{ApiError, ErrorCode, Expect, required};
use bifrons_core::plugin::HandleKey;
use serde_json::Value;
use std::time::Duration;

/// The verbs of a session.
pub(super) fn at_session(request: &Request<'_>, session_id: u64) -> Result<Outcome, ApiError> {
    let result = match request.verb().as_str() {
        "list_handles" => Ok(list_handles(request, session_id)),
        "destroy_session" => {
            request.front.with(|core, now| core.destroy_session(now, session_id));
            Ok(Reply::new(Fields::new()))
        }
        "set_session_timeout" => set_timeout(request, session_id),
        _ => return Err(unhandled(request)),
    };
    Ok(result.into())
}

fn list_handles(request: &Request<'_>, session_id: u64) -> Reply {
    let ids: Vec<Value> = request.front.with(|core, _| {
        let session = core.sessions().get(session_id);
        session
            .into_iter()
            .flat_map(|session| session.handles.keys().copied().map(Value::from))
            .collect()
    });
    Reply::with("handles", ids)
}

/// -1 = as the server's, 0 = never.
fn set_timeout(request: &Request<'_>, session_id: u64) -> Result<Reply, ApiError> {
    let wanted = required(request.fields(), "timeout", Expect::Integer)?.as_i64().unwrap_or(0);
    if wanted < -1 {
        let text = "Invalid element type (timeout should be a non-negative integer or -1)";
        return Err(ApiError::new(ErrorCode::InvalidElementType, text));
    }
    let timeout = u64::try_from(wanted).ok().map(Duration::from_secs);
    request.front.with(|core, _| core.set_session_timeout(session_id, timeout));
    Ok(Reply::with("timeout", wanted))
}

/// The verbs of a handle that end something.
pub(super) fn at_handle(request: &Request<'_>, verb: &str, key: HandleKey) -> Option<Outcome> {
    match verb {
        "detach_handle" => request.front.with(|core, now| core.detach_handle(now, key)),
        "hangup_webrtc" => request.front.with(|core, now| core.hangup_handle(now, key)),
        _ => return None,
    }
    Some(Outcome::Now(Ok(Reply::new(Fields::new()))))
}
