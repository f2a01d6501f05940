//! Stored tokens: `add_token`, `allow_token`, `disallow_token`, `list_tokens`, `remove_token`
//! (admin-events-recording §2, transports-auth §9).

use super::{Outcome, Reply, Request, failed};
use crate::auth::{StoredTokens, Tokens};
use crate::dispatch::Core;
use bifrons_core::api::{ApiError, ErrorCode, Expect, optional, required};
use serde_json::{Value, json};

pub(super) fn perform(request: &Request<'_>, verb: &str) -> Option<Outcome> {
    let work = match verb {
        "add_token" => add,
        "allow_token" => |request: &Request<'_>, core: &mut Core| change(request, core, true),
        "disallow_token" => |request: &Request<'_>, core: &mut Core| change(request, core, false),
        "list_tokens" => list,
        "remove_token" => remove,
        _ => return None,
    };
    Some(request.front.with(|core, _| work(request, core)).into())
}

/// The table, in stored mode only.
fn stored(core: &mut Core) -> Result<&mut StoredTokens, ApiError> {
    match core.authority_mut().tokens_mut() {
        Tokens::Stored(stored) => Ok(stored),
        Tokens::Off | Tokens::Signed(_) => {
            Err(failed("Stored-Token based authentication disabled"))
        }
    }
}

fn token<'a>(request: &'a Request<'_>) -> Result<&'a str, ApiError> {
    Ok(required(request.fields(), "token", Expect::String)?.as_str().unwrap_or_default())
}

/// The plugins a token opens, as the answer to a change of them.
fn opened(stored: &StoredTokens, token: &str) -> Reply {
    let plugins: Vec<&str> = stored.plugins(token).into_iter().flatten().collect();
    Reply::with("data", json!({ "plugins": plugins }))
}

fn add(request: &Request<'_>, core: &mut Core) -> Result<Reply, ApiError> {
    stored(core)?;
    let token = token(request)?;
    let wanted = optional(request.fields(), "plugins", Expect::Array)?;
    let wanted = wanted.and_then(Value::as_array).filter(|list| !list.is_empty());
    let loaded: Vec<&str> = core.packages().collect();
    // Unknown names are passed over; who names none at all means all.
    let plugins: Vec<String> = match wanted {
        None => loaded.iter().map(|package| (*package).to_owned()).collect(),
        Some(list) => {
            let known = list.iter().filter_map(Value::as_str).filter(|name| loaded.contains(name));
            known.map(str::to_owned).collect()
        }
    };
    let stored = stored(core)?;
    stored.add(token, plugins).map_err(|_| failed("Error adding token"))?;
    Ok(opened(stored, token))
}

/// `allow_token` and `disallow_token`: one wrong name, and nothing changes.
fn change(request: &Request<'_>, core: &mut Core, allow: bool) -> Result<Reply, ApiError> {
    stored(core)?;
    let token = token(request)?;
    let wrong = |what| ApiError::new(ErrorCode::InvalidElementType, what);
    if !stored(core)?.contains(token) {
        let text = format!("Token {token} not found");
        return Err(ApiError::new(ErrorCode::TokenNotFound, text));
    }
    let list = request.fields().get("plugins").and_then(Value::as_array);
    let list = list
        .filter(|list| !list.is_empty())
        .ok_or_else(|| wrong("Invalid element type (plugins should be a non-empty array)"))?;
    let loaded: Vec<&str> = core.packages().collect();
    let known = list.iter().map(|name| name.as_str().filter(|name| loaded.contains(name)));
    let plugins: Option<Vec<&str>> = known.collect();
    let plugins = plugins
        .ok_or_else(|| wrong("Invalid element type (some of the provided plugins are invalid)"))?;
    let stored = stored(core)?;
    let changed = if allow {
        stored.allow(token, plugins.into_iter().map(str::to_owned))
    } else {
        stored.disallow(token, plugins)
    };
    changed.map_err(|_| ErrorCode::TokenNotFound)?;
    Ok(opened(stored, token))
}

fn list(_: &Request<'_>, core: &mut Core) -> Result<Reply, ApiError> {
    let shown = stored(core)?.iter().filter_map(|(token, plugins)| {
        let plugins: Vec<&str> = plugins.collect();
        // A token without plugins is not listed, though it still authorises.
        (!plugins.is_empty()).then(|| json!({ "token": token, "allowed_plugins": plugins }))
    });
    let shown: Vec<Value> = shown.collect();
    Ok(Reply::with("data", json!({ "tokens": shown })))
}

fn remove(request: &Request<'_>, core: &mut Core) -> Result<Reply, ApiError> {
    stored(core)?;
    let token = token(request)?;
    stored(core)?.remove(token).map_err(|_| failed("Error removing token"))?;
    Ok(Reply::new(super::Fields::new()))
}
