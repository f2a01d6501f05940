//! What can be read and set of the server as a whole: `get_status`, the `set_*` verbs,
//! `accept_new_sessions` (admin-events-recording §2).

use super::{AdminSettings, Fields, Outcome, Reply, Request};
use crate::log;
use bifrons_core::api::{ApiError, ErrorCode, Expect, required};
use serde_json::Value;
use std::cell::Cell;
use std::time::Duration;

/// Longest `min_nack_queue`, in ms.
const MAX_NACK_QUEUE_MS: u64 = 1000;

/// Switches that an operator may turn and that turn nothing here: there is neither a lock nor a
/// count of references that could be logged. What was set is shown again.
#[derive(Debug)]
pub(super) struct Switches {
    locking_debug: Cell<bool>,
    refcount_debug: Cell<bool>,
}

impl Switches {
    pub(super) fn new(settings: &AdminSettings) -> Self {
        Switches {
            locking_debug: Cell::new(settings.locking_debug),
            refcount_debug: Cell::new(false),
        }
    }
}

pub(super) fn perform(request: &Request<'_>, verb: &str) -> Option<Outcome> {
    let switches = &request.admin.switches;
    let result = match verb {
        "get_status" => Ok(status(request)),
        "set_session_timeout" => set_session_timeout(request),
        "set_log_level" => set_log_level(request),
        "set_log_timestamps" => flag(request, "timestamps", "log_timestamps", log::set_timestamps),
        "set_log_colors" => flag(request, "colors", "log_colors", log::set_colors),
        "set_locking_debug" => {
            flag(request, "debug", "locking_debug", |on| switches.locking_debug.set(on))
        }
        "set_refcount_debug" => {
            flag(request, "debug", "refcount_debug", |on| switches.refcount_debug.set(on))
        }
        "accept_new_sessions" => flag(request, "accept", "accept", |on| {
            request.front.with(|core, _| core.set_accepting(on));
        }),
        "set_nack_optimizations" => {
            flag(request, "nack_optimizations", "nack-optimizations", |on| {
                request.front.with(|core, _| core.set_nack_optimizations(on));
            })
        }
        "set_min_nack_queue" => number(request, "min_nack_queue", |core, ms| {
            let ms = ms.min(MAX_NACK_QUEUE_MS) as u32;
            core.retune(|tuning| tuning.min_nack_queue_ms = ms);
            ms.into()
        }),
        "set_no_media_timer" => number(request, "no_media_timer", |core, seconds| {
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            core.retune(|tuning| tuning.no_media_timer_s = seconds);
            seconds.into()
        }),
        "set_slowlink_threshold" => number(request, "slowlink_threshold", |core, losses| {
            let losses = u32::try_from(losses).unwrap_or(u32::MAX);
            core.retune(|tuning| tuning.slow_link_losses = losses);
            losses.into()
        }),
        _ => return None,
    };
    Some(result.into())
}

/// An integer >= 0 of the request.
pub(super) fn positive(request: &Request<'_>, name: &str) -> Result<u64, ApiError> {
    let value = required(request.fields(), name, Expect::PositiveInteger)?;
    Ok(value.as_u64().unwrap_or(0))
}

/// Sets something to what a boolean field says.
fn flag(
    request: &Request<'_>,
    field: &str,
    answer: &str,
    set: impl FnOnce(bool),
) -> Result<Reply, ApiError> {
    let on = required(request.fields(), field, Expect::Bool)?.as_bool().unwrap_or(false);
    set(on);
    Ok(Reply::with(answer, on))
}

/// Sets something to what a field with an integer >= 0 says; what is in force after is answered.
fn number(
    request: &Request<'_>,
    field: &str,
    set: impl FnOnce(&mut crate::dispatch::Core, u64) -> Value,
) -> Result<Reply, ApiError> {
    let wanted = positive(request, field)?;
    let now = request.front.with(|core, _| set(core, wanted));
    Ok(Reply::with(field, now))
}

fn set_session_timeout(request: &Request<'_>) -> Result<Reply, ApiError> {
    number(request, "timeout", |core, seconds| {
        core.settings_mut().session_timeout = Duration::from_secs(seconds);
        seconds.into()
    })
}

fn set_log_level(request: &Request<'_>) -> Result<Reply, ApiError> {
    let level = positive(request, "level")?;
    let Some(level) = u8::try_from(level).ok().filter(|level| *level <= log::MAX_LEVEL) else {
        let text = "Invalid element type (level should be between 0 and 7)";
        return Err(ApiError::new(ErrorCode::InvalidElementType, text));
    };
    log::set_level(level);
    Ok(Reply::with("level", level))
}

fn status(request: &Request<'_>) -> Reply {
    let admin = request.admin;
    let mut status = Fields::new();
    let mut put = |name: &str, value: Value| status.insert(name.to_owned(), value);
    request.front.with(|core, _| {
        let (settings, tuning) = (core.settings(), core.tuning());
        put("token_auth", core.authority().wants_token().into());
        put("session_timeout", settings.session_timeout.as_secs().into());
        put("reclaim_session_timeout", settings.reclaim_timeout.as_secs().into());
        put("candidates_timeout", settings.candidates_timeout.as_secs().into());
        put("log_level", log::level().into());
        put("log_timestamps", log::timestamps().into());
        put("log_colors", log::colors().into());
        put("log_rotate_sig", admin.settings.log_rotate_signal.into());
        put("locking_debug", admin.switches.locking_debug.get().into());
        put("refcount_debug", admin.switches.refcount_debug.get().into());
        put("min_nack_queue", tuning.min_nack_queue_ms.into());
        put("nack-optimizations", core.nack_optimizations().into());
        put("no_media_timer", tuning.no_media_timer_s.into());
        put("slowlink_threshold", tuning.slow_link_losses.into());
    });
    Reply::with("status", status)
}
