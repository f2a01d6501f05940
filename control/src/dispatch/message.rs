//! `message`: what becomes of a plugin's verdict (core-api §3.10).

use super::request::Outcome;
use super::{Core, MAX_DEFERRED, Origin, Outgoing, Pending};
use bifrons_core::api::{ApiError, Envelope, ErrorCode, Expect, JsepRequest, reply, required};
use bifrons_core::plugin::{HandleKey, JsepKind, ReplyKey, Request, Verdict};
use serde_json::Value;

fn failed(text: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::new(ErrorCode::PluginMessage, text)
}

const NO_PLUGIN: &str = "No plugin to handle this message";

impl Core {
    /// A failing jsep fails the whole request: the plugin never sees the body.
    pub(super) fn message(
        &mut self,
        origin: Origin,
        session_id: u64,
        handle: HandleKey,
        mut envelope: Envelope,
    ) -> Result<Outcome, ApiError> {
        required(envelope.fields(), "body", Expect::Object)?;
        let jsep = envelope.fields().get("jsep").map(JsepRequest::read).transpose()?;
        let plugin = match self.sessions.find(handle) {
            Some((_, handle)) => handle.plugin,
            None => return Err(failed(NO_PLUGIN)),
        };
        let jsep = match &jsep {
            Some(jsep) => {
                let applied = self.negotiator.apply_remote(handle, jsep, self.now.at)?;
                let kind = match jsep.kind {
                    JsepKind::Offer => "offer",
                    JsepKind::Answer => "answer",
                };
                self.note_description(handle, kind, &jsep.sdp, true);
                Some(applied)
            }
            None => None,
        };
        if jsep.is_some() {
            self.apply_early(handle);
        }
        let Some(Value::Object(body)) = envelope.take("body") else {
            return Err(failed(NO_PLUGIN));
        };
        let transaction = envelope.transaction().to_owned();
        let key = ReplyKey(self.fresh());
        let pending = Pending { origin, session_id, handle, transaction: transaction.clone() };
        self.pending.insert(key, pending);
        let request = Request { handle, transaction, body, jsep, reply: key };
        self.serving = Some(key);
        let verdict = self.call(plugin, |plugin, host| plugin.handle_message(host, request));
        self.serving = None;
        self.conclude(key, verdict.unwrap_or(Verdict::Error(None)))
    }

    fn conclude(&mut self, key: ReplyKey, verdict: Verdict) -> Result<Outcome, ApiError> {
        if verdict == Verdict::Deferred {
            // Gone from the table: the plugin answered before it said so.
            if self.pending.len() <= MAX_DEFERRED || !self.pending.contains_key(&key) {
                return Ok(Outcome::Later);
            }
            self.counters.deferred_refused += 1;
        }
        let verdict = match verdict {
            Verdict::Reply(_) if self.pending.len() <= MAX_DEFERRED => {
                match self.closings.hold(key, verdict) {
                    Some(verdict) => verdict,
                    None => return Ok(Outcome::Later),
                }
            }
            verdict => {
                self.closings.forget(key);
                verdict
            }
        };
        match self.pending.remove(&key) {
            Some(pending) => self.render(&pending, verdict).map(Outcome::Reply),
            None => Ok(Outcome::Later),
        }
    }

    /// The reply for a verdict.
    fn render(&self, pending: &Pending, verdict: Verdict) -> Result<Value, ApiError> {
        let (session_id, transaction) = (pending.session_id, pending.transaction.as_str());
        let Some((session, handle)) = self.sessions.find(pending.handle) else {
            return Err(failed(NO_PLUGIN));
        };
        match verdict {
            Verdict::Reply(data) if data.is_object() => {
                let plugin = self.package_of(handle.plugin);
                let from = self.sender(session, handle);
                Ok(reply::plugin_success(from, transaction, plugin, data))
            }
            Verdict::Reply(_) => Err(failed("Plugin returned an invalid JSON response")),
            Verdict::Empty => {
                Err(failed("Plugin didn't provide any content for this synchronous response"))
            }
            Verdict::Ack(hint) => Ok(reply::ack(session_id, transaction, hint.as_deref())),
            Verdict::Error(Some(text)) => Err(failed(text)),
            Verdict::Error(None) => Err(failed("Plugin returned a severe (unknown) error")),
            Verdict::Deferred => Err(failed("Plugin didn't give a result")),
        }
    }

    /// The answer to a request that was deferred; a second one says nothing.
    pub(super) fn reply_deferred(&mut self, key: ReplyKey, verdict: Verdict) {
        let Some(verdict) = self.closings.hold(key, verdict) else { return };
        if self.operators.remove(&key) {
            self.operator_answers.insert(key, super::operator::answer(verdict));
            return;
        }
        let Some(pending) = self.pending.remove(&key) else { return };
        let message = self.render(&pending, verdict).unwrap_or_else(|error| {
            self.counters.errors += 1;
            reply::error(pending.session_id, Some(&pending.transaction), &error)
        });
        self.outgoing.push_back(Outgoing::Reply { to: pending.origin, message });
    }

    /// Answers what a handle that is gone still owed.
    pub(super) fn fail_pending(&mut self, handle: HandleKey) {
        let open =
            |(key, pending): (&ReplyKey, &Pending)| (pending.handle == handle).then_some(*key);
        let keys: Vec<_> = self.pending.iter().filter_map(open).collect();
        for key in keys {
            self.closings.forget(key);
            self.reply_deferred(key, Verdict::Error(None));
        }
    }
}
