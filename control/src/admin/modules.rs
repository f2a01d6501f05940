//! Requests that are passed on to a module, and what the dispatcher itself can list:
//! `message_plugin`, `query_transport`, `query_eventhandler`, `query_logger`, `custom_event`,
//! `custom_logline`, `list_sessions`, `loops_info` (admin-events-recording §2).

use super::{Fields, Outcome, Reply, Request, failed};
use crate::dispatch::PluginAnswer;
use crate::event::{Event, EventKind};
use crate::log;
use crate::transport::{Transport, moment};
use bifrons_core::api::{ApiError, ErrorCode, Expect, Style, optional, required};
use serde_json::{Map, Value, json};
use std::rc::Rc;

/// The level of a line that names none, or one that does not exist.
const USUAL_LEVEL: u64 = 4;

pub(super) fn perform(request: &Request<'_>, verb: &str) -> Option<Outcome> {
    let result = match verb {
        "message_plugin" => return Some(message_plugin(request).unwrap_or_else(|e| Err(e).into())),
        "query_transport" => query_transport(request),
        "query_eventhandler" => query_event_handler(request),
        "query_logger" => query_logger(request),
        "custom_event" => custom_event(request),
        "custom_logline" => custom_logline(request),
        "list_sessions" => Ok(list_sessions(request)),
        "loops_info" => Ok(loops_info(request)),
        _ => return None,
    };
    Some(result.into())
}

fn text<'a>(request: &'a Request<'_>, name: &str) -> Result<&'a str, ApiError> {
    Ok(required(request.fields(), name, Expect::String)?.as_str().unwrap_or_default())
}

/// What is to be passed on; nothing is an object without fields.
fn passed_on(request: &Request<'_>) -> Result<Value, ApiError> {
    let body = optional(request.fields(), "request", Expect::Object)?;
    Ok(body.cloned().unwrap_or_else(|| json!({})))
}

fn unknown(what: &'static str) -> ApiError {
    ApiError::new(ErrorCode::PluginNotFound, what)
}

/// What a plugin has to try first (a file, a server, the disk) is answered when it was tried.
fn message_plugin(request: &Request<'_>) -> Result<Outcome, ApiError> {
    let (package, body) = (text(request, "plugin")?, passed_on(request)?);
    let answer = request.front.with(|core, now| core.message_plugin(now, package, &body));
    let answer = answer.ok_or_else(|| unknown("Invalid plugin"))?;
    let none = || failed("Plugin doesn't support Admin API messages");
    match answer.ok_or_else(none)? {
        PluginAnswer::Now(answer) => Ok(Outcome::Now(Ok(Reply::with("response", answer)))),
        PluginAnswer::Later(key) => {
            let front = request.front.clone();
            Ok(Outcome::Later(Box::pin(async move {
                let answer = front.plugin_answer(key).await.ok_or_else(none)?;
                Ok(Reply::with("response", answer))
            })))
        }
    }
}

fn query_transport(request: &Request<'_>) -> Result<Reply, ApiError> {
    let (package, body) = (text(request, "transport")?, passed_on(request)?);
    let transports = request.front.transports();
    let transport = transports.iter().find(|transport| transport.about().package == package);
    let transport = transport.ok_or_else(|| unknown("Invalid transport"))?;
    let answer = match body.as_object() {
        Some(body) => ask_transport(request, transport, body),
        None => Err((412, "Missing mandatory element (request)".to_owned())),
    };
    let answer = answer.unwrap_or_else(|(code, text)| refusal(code, &text));
    Ok(Reply::with("response", answer))
}

/// A transport's own requests (transports-auth §1.1).
fn ask_transport(
    request: &Request<'_>,
    transport: &Rc<dyn Transport>,
    body: &Map<String, Value>,
) -> Result<Value, (u16, String)> {
    let invalid = |name, should| (413, format!("Invalid element type ({name} should be {should})"));
    let word = match body.get("request") {
        None => return Err((412, "Missing mandatory element (request)".to_owned())),
        Some(word) => word.as_str().ok_or_else(|| invalid("request", "a string"))?,
    };
    match word {
        "configure" => {
            let flag = body.get("events");
            let events = flag.map(|on| on.as_bool().ok_or_else(|| invalid("events", "a boolean")));
            let (events, style) = (events.transpose()?, body.get("json"));
            let style = style.map(|word| word.as_str().ok_or_else(|| invalid("json", "a string")));
            Ok(configure(request, transport, events, style.transpose()?))
        }
        "connections" => match transport.connections() {
            Some(Value::Object(open)) => {
                let mut answer = Fields::from_iter([("result".to_owned(), json!(200))]);
                answer.extend(open);
                Ok(Value::Object(answer))
            }
            _ => Err((411, format!("Unknown request '{word}'"))),
        },
        _ => Err((411, format!("Unknown request '{word}'"))),
    }
}

/// Applies what can be applied and notes what cannot. What is absent stays as it is: the reference
/// would switch events off then, which nobody means.
fn configure(
    request: &Request<'_>,
    transport: &Rc<dyn Transport>,
    events: Option<bool>,
    style: Option<&str>,
) -> Value {
    let mut notes = Vec::new();
    if let Some(on) = events {
        let enabled = request.front.with(|core, _| core.settings().events_enabled);
        if on && !enabled {
            notes.push("Event handlers disabled at the core level");
        } else {
            request.front.set_transport_events(transport.about().package, on);
        }
    }
    match style {
        None => {}
        Some("indented") => transport.set_style(Style::Indented),
        Some("plain") => transport.set_style(Style::Plain),
        Some("compact") => transport.set_style(Style::Compact),
        Some(_) => notes.push("Ignored unsupported indentation format"),
    }
    if notes.is_empty() {
        json!({ "result": 200 })
    } else {
        json!({ "result": 200, "notes": notes })
    }
}

fn query_event_handler(request: &Request<'_>) -> Result<Reply, ApiError> {
    let (package, body) = (text(request, "handler")?, passed_on(request)?);
    let hub = request.front.hub();
    let answer = hub.and_then(|hub| hub.query(package, &body));
    answer
        .map(|answer| Reply::with("response", answer))
        .ok_or_else(|| unknown("Invalid event handler"))
}

/// The JSON logger knows one request (admin-events-recording §9).
fn query_logger(request: &Request<'_>) -> Result<Reply, ApiError> {
    let (package, body) = (text(request, "logger")?, passed_on(request)?);
    if package != log::JSON_PACKAGE || !log::has_json() {
        return Err(unknown("Invalid logger"));
    }
    let answer = match body.get("request").map(Value::as_str) {
        Some(Some("info")) => json!({ "result": 200 }),
        Some(Some(word)) => refusal(411, &format!("Unknown request '{word}'")),
        Some(None) => refusal(413, "Invalid element type (request should be a string)"),
        None => refusal(412, "Missing mandatory element (request)"),
    };
    Ok(Reply::with("response", answer))
}

fn refusal(code: u16, text: &str) -> Value {
    json!({ "error_code": code, "error": text })
}

fn custom_event(request: &Request<'_>) -> Result<Reply, ApiError> {
    let schema = text(request, "schema")?;
    let data = required(request.fields(), "data", Expect::Object)?;
    if let Some(hub) = request.front.hub().filter(|_| request.front.events_enabled()) {
        hub.publish(Event {
            kind: EventKind::External,
            subtype: 0,
            wall_us: moment().wall_us,
            session_id: 0,
            handle_id: 0,
            opaque_id: None,
            body: json!({ "schema": schema, "data": data }),
        });
    }
    Ok(Reply::new(Fields::new()))
}

fn custom_logline(request: &Request<'_>) -> Result<Reply, ApiError> {
    let line = text(request, "line")?;
    let level = optional(request.fields(), "level", Expect::PositiveInteger)?;
    match level.and_then(Value::as_u64).unwrap_or(USUAL_LEVEL) {
        1 | 2 => tracing::error!("{line}"),
        3 => tracing::warn!("{line}"),
        5 => tracing::debug!("{line}"),
        6 | 7 => tracing::trace!("{line}"),
        _ => tracing::info!("{line}"),
    }
    Ok(Reply::new(Fields::new()))
}

fn list_sessions(request: &Request<'_>) -> Reply {
    let ids: Vec<Value> = request
        .front
        .with(|core, _| core.sessions().iter().map(|session| session.id.into()).collect());
    Reply::with("sessions", ids)
}

/// Our loops are the shards; what counts as a handle there is a PeerConnection.
fn loops_info(request: &Request<'_>) -> Reply {
    let load = request.front.with(|core, _| core.shard_load());
    let one = |(id, handles): (usize, usize)| json!({ "id": id, "handles": handles });
    Reply::with("loops", load.into_iter().enumerate().map(one).collect::<Vec<_>>())
}
