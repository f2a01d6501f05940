//! From envelope to verb (core-api §2), and the verbs that need no plugin.

use super::{Core, Moment, Origin, Outgoing, SessionEnd};
use crate::session::early::EarlyCandidates;
use crate::session::{Handle, MAX_ALL_HANDLES, MAX_HANDLES, MAX_OPAQUE_ID, MAX_SESSIONS};
use bifrons_core::api::{
    ApiError, Envelope, ErrorCode, Expect, HandleField, id_from_random, optional, reply, required,
};
use bifrons_core::media::DownReason;
use bifrons_core::plugin::HandleKey;
use serde_json::Value;

/// The verbs of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Info,
    Ping,
    Create,
    Keepalive,
    Attach,
    Destroy,
    Claim,
    Detach,
    Hangup,
    Message,
    Trickle,
}

impl Verb {
    fn read(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "info" => Verb::Info,
            "ping" => Verb::Ping,
            "create" => Verb::Create,
            "keepalive" => Verb::Keepalive,
            "attach" => Verb::Attach,
            "destroy" => Verb::Destroy,
            "claim" => Verb::Claim,
            "detach" => Verb::Detach,
            "hangup" => Verb::Hangup,
            "message" => Verb::Message,
            "trickle" => Verb::Trickle,
            _ => return None,
        })
    }
}

/// What a request that was not refused leads to.
pub(super) enum Outcome {
    /// The reply.
    Reply(Value),
    /// The reply comes later.
    Later,
}

fn wrong_level(verb: &str) -> ApiError {
    let text = format!("Unhandled request '{verb}' at this path");
    ApiError::new(ErrorCode::InvalidRequestPath, text)
}

impl Core {
    /// Serves one request; its reply and what follows from it are in the outgoing queue on return,
    /// unless the plugin deferred the reply.
    pub fn request(&mut self, now: Moment, origin: Origin, value: Value) {
        self.now = now;
        self.counters.requests += 1;
        self.held = Some(Vec::new());
        let session_id = Envelope::session_id_in(&value);
        match Envelope::read(value) {
            Err(error) => self.refuse(origin, session_id, None, &error),
            Ok(envelope) => {
                let transaction = envelope.transaction().to_owned();
                let wanted_id = envelope.wanted_id();
                match self.perform(origin, envelope) {
                    Ok(Outcome::Reply(message)) => self.reply_to(origin, message),
                    Ok(Outcome::Later) => {}
                    Err(error) => {
                        // A 468 shows the wanted id as if it were the request's (core-api §1.2).
                        let conflict = error.code == ErrorCode::SessionConflict;
                        let session_id = if conflict { wanted_id } else { session_id };
                        self.refuse(origin, session_id, Some(&transaction), &error);
                    }
                }
            }
        }
        self.outgoing.extend(self.held.take().into_iter().flatten());
        self.settle();
    }

    fn reply_to(&mut self, to: Origin, message: Value) {
        self.outgoing.push_back(Outgoing::Reply { to, message });
    }

    fn refuse(&mut self, to: Origin, session: u64, transaction: Option<&str>, error: &ApiError) {
        self.counters.errors += 1;
        self.reply_to(to, reply::error(session, transaction, error));
    }

    fn perform(&mut self, origin: Origin, envelope: Envelope) -> Result<Outcome, ApiError> {
        let session_id = envelope.session_id();
        match (session_id, envelope.handle()) {
            (0, HandleField::Absent | HandleField::Invalid) => {
                return self.perform_at_root(origin, &envelope).map(Outcome::Reply);
            }
            (0, HandleField::Id(_)) => return Err(ErrorCode::SessionNotFound.into()),
            (_, HandleField::Invalid) => return Err(ErrorCode::HandleNotFound.into()),
            (_, HandleField::Absent | HandleField::Id(_)) => {}
        }
        self.authorize(&envelope)?;
        let now = self.now.at;
        let session = self.sessions.get_mut(session_id).ok_or_else(|| {
            let text = format!("No such session {session_id}");
            ApiError::new(ErrorCode::SessionNotFound, text)
        })?;
        session.last_activity = now;
        let key = match envelope.handle() {
            HandleField::Id(id) => {
                Some(session.handles.get(&id).map(|h| h.key).ok_or_else(|| {
                    let text = format!("No such handle {id} in session {session_id}");
                    ApiError::new(ErrorCode::HandleNotFound, text)
                })?)
            }
            HandleField::Absent | HandleField::Invalid => None,
        };
        self.perform_in_session(origin, session_id, key, envelope)
    }

    fn perform_at_root(&mut self, origin: Origin, envelope: &Envelope) -> Result<Value, ApiError> {
        let transaction = envelope.transaction();
        match Verb::read(envelope.verb()) {
            Some(Verb::Info) => Ok(reply::server_info(transaction, &self.info())),
            Some(Verb::Ping) => Ok(reply::pong(transaction)),
            Some(Verb::Create) => self.create(origin, envelope),
            _ => Err(wrong_level(envelope.verb())),
        }
    }

    fn perform_in_session(
        &mut self,
        origin: Origin,
        session_id: u64,
        handle: Option<HandleKey>,
        envelope: Envelope,
    ) -> Result<Outcome, ApiError> {
        let transaction = envelope.transaction();
        let message = match (Verb::read(envelope.verb()), handle) {
            (Some(Verb::Keepalive), _) => reply::ack(session_id, transaction, None),
            (Some(Verb::Claim), _) => self.claim(origin, session_id, transaction),
            (Some(Verb::Attach), None) => self.attach(session_id, &envelope)?,
            (Some(Verb::Destroy), None) => {
                self.end_session(session_id, SessionEnd::Destroyed);
                reply::success(session_id, transaction)
            }
            (Some(Verb::Detach), Some(key)) => {
                self.detach(key);
                reply::success(session_id, transaction)
            }
            (Some(Verb::Hangup), Some(key)) => {
                self.hang_up(key, DownReason::JanusApi);
                reply::success(session_id, transaction)
            }
            (Some(Verb::Message), Some(key)) => {
                return self.message(origin, session_id, key, envelope);
            }
            (Some(Verb::Trickle), Some(key)) => {
                self.trickle(key, envelope.fields())?;
                reply::ack(session_id, transaction, None)
            }
            (None | Some(Verb::Info | Verb::Ping | Verb::Create), _) => {
                let text = format!("Unknown request '{}'", envelope.verb());
                return Err(ApiError::new(ErrorCode::UnknownRequest, text));
            }
            _ => return Err(wrong_level(envelope.verb())),
        };
        Ok(Outcome::Reply(message))
    }

    fn authorize(&self, envelope: &Envelope) -> Result<(), ApiError> {
        if self.authority.admits(envelope.api_secret(), envelope.token(), self.unix_s()) {
            Ok(())
        } else {
            Err(ErrorCode::Unauthorized.into())
        }
    }

    fn create(&mut self, origin: Origin, envelope: &Envelope) -> Result<Value, ApiError> {
        if !self.accepting {
            return Err(ErrorCode::NotAcceptingSessions.into());
        }
        self.authorize(envelope)?;
        let session_id = match envelope.wanted_id() {
            0 => self.free_id(|core, id| !core.sessions.contains(id)),
            wanted if self.sessions.contains(wanted) => {
                return Err(ErrorCode::SessionConflict.into());
            }
            wanted => wanted,
        };
        if self.sessions.len() >= MAX_SESSIONS {
            self.counters.sessions_refused += 1;
            return Err(ErrorCode::NotAcceptingSessions.into());
        }
        self.sessions.insert(session_id, origin.owner, self.now.at);
        self.outgoing.push_back(Outgoing::Created { owner: origin.owner, session_id });
        self.note_created(session_id, origin);
        Ok(reply::created(envelope.transaction(), session_id))
    }

    /// A random id for which `is_free` holds. The space is 2^53; the tables hold far less.
    fn free_id(&mut self, is_free: impl Fn(&Core, u64) -> bool) -> u64 {
        loop {
            let word = (self.random)();
            if let Some(id) = id_from_random(word).filter(|id| is_free(self, *id)) {
                return id;
            }
        }
    }

    fn claim(&mut self, origin: Origin, session_id: u64, transaction: &str) -> Value {
        let to = origin.owner;
        if let Some(from) = self.sessions.give(session_id, to).filter(|from| *from != to) {
            self.outgoing.push_back(Outgoing::Claimed { from, to, session_id });
        }
        reply::success(session_id, transaction)
    }

    fn attach(&mut self, session_id: u64, envelope: &Envelope) -> Result<Value, ApiError> {
        let fields = envelope.fields();
        let package = required(fields, "plugin", Expect::String)?.as_str().unwrap_or_default();
        let opaque_id = optional(fields, "opaque_id", Expect::String)?;
        // There is no loop to choose here; the type is checked all the same.
        optional(fields, "loop_index", Expect::PositiveInteger)?;
        let plugin = self.plugin_index(package).ok_or_else(|| {
            ApiError::new(ErrorCode::PluginNotFound, format!("No such plugin '{package}'"))
        })?;
        self.authority.admits_plugin(envelope.token(), package, self.unix_s())?;
        let opaque_id = opaque_id.and_then(Value::as_str);
        let full = self.sessions.get(session_id).is_none_or(|s| s.handles.len() >= MAX_HANDLES)
            || self.sessions.handle_count() >= MAX_ALL_HANDLES
            || opaque_id.is_some_and(|opaque_id| opaque_id.len() > MAX_OPAQUE_ID);
        if full {
            self.counters.handles_refused += 1;
            return Err(ApiError::new(ErrorCode::Unknown, "Memory error"));
        }
        let id = self.free_id(|core, id| {
            core.sessions.get(session_id).is_none_or(|s| !s.handles.contains_key(&id))
        });
        let key = HandleKey(self.fresh());
        let handle = Handle {
            id,
            key,
            plugin,
            opaque_id: opaque_id.map(str::to_owned),
            token: envelope.token().filter(|_| self.authority.wants_token()).map(str::to_owned),
            since: self.now.at,
            early: EarlyCandidates::default(),
        };
        self.sessions.attach(session_id, handle);
        self.negotiator.attached(key, session_id, opaque_id);
        let created = self.call(plugin, |plugin, host| plugin.create_session(host, key));
        if let Some(Err(code)) = created {
            self.sessions.detach(key);
            self.negotiator.forget(key);
            let text = format!("Couldn't attach to plugin: error '{code}'");
            return Err(ApiError::new(ErrorCode::PluginAttach, text));
        }
        let found = self.sessions.find(key);
        let event = found.and_then(|(s, handle)| self.handle_event("attached", s.id, handle));
        self.events.extend(event);
        Ok(reply::attached(session_id, envelope.transaction(), id))
    }
}
