//! The Admin API: what an operator may see and change while the server runs
//! (admin-events-recording §1-§5).
//!
//! [`Admin`] checks a request in the documented order (envelope, level, secret, session, handle,
//! verb, fields) and serves it, one file per family of requests. Most are answered before
//! [`Admin::serve`] returns. Those that need a shard, a name server or a disk become a task of the
//! control thread that waits at most [`LIMIT`]; the thread itself never waits. At most
//! [`MAX_WAITING`] requests wait at a time, further ones are refused with 490 and counted.
//!
//! Admin requests never count as activity of a session.

mod capture;
mod handle_info;
mod lookups;
mod modules;
mod session;
mod switches;
mod tokens;

use crate::auth::equal;
use crate::capture::{Captures, Folders};
use crate::counted::Counted;
use crate::dispatch::{Core, Origin};
use crate::transport::Front;
use bifrons_core::api::{ApiError, Envelope, ErrorCode, reply};
use bifrons_core::plugin::HandleKey;
use serde_json::{Map, Value};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a request may wait for whoever has to be asked. Below the 10 s that an HTTP client is
/// kept waiting, so that it is told.
pub const LIMIT: Duration = Duration::from_secs(8);

/// Most requests that wait at a time.
pub const MAX_WAITING: usize = 1024;

/// What the configuration says to the Admin API.
#[derive(Clone, Debug, Default)]
pub struct AdminSettings {
    /// `admin_secret`; `None` = everybody may ask.
    pub secret: Option<String>,
    /// `log_rotate_sig` as a number; 0 = none.
    pub log_rotate_signal: i32,
    /// `debug_locks`; there are no locks to debug, the word is kept for who asks.
    pub locking_debug: bool,
    /// `protected_folders`: nothing is captured below these.
    pub protected_folders: Vec<String>,
}

/// What was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdminCounters {
    /// Requests with a wrong secret or none.
    pub unauthorized: u64,
    /// Requests refused because too many wait.
    pub refused: u64,
    /// Requests whose answer did not come in time.
    pub late: u64,
}

/// The fields that a successful answer adds to its envelope.
type Fields = Map<String, Value>;

/// An answer that takes a while.
type Work = Pin<Box<dyn Future<Output = Result<Reply, ApiError>>>>;

/// A successful answer. The reference is not uniform in what its envelope repeats.
struct Reply {
    /// `success`, or the word of the few that have one of their own.
    word: &'static str,
    /// Whether `session_id` is repeated.
    names_session: bool,
    fields: Fields,
}

impl Reply {
    fn new(fields: Fields) -> Self {
        Reply { word: "success", names_session: true, fields }
    }

    /// With one field.
    fn with(name: &str, value: impl Into<Value>) -> Self {
        Self::new(Fields::from_iter([(name.to_owned(), value.into())]))
    }
}

/// What serving a request came to.
enum Outcome {
    Now(Result<Reply, ApiError>),
    Later(Work),
}

impl From<Result<Reply, ApiError>> for Outcome {
    fn from(result: Result<Reply, ApiError>) -> Self {
        Outcome::Now(result)
    }
}

/// A request on its way, as the families of requests see it.
struct Request<'a> {
    admin: &'a Rc<Admin>,
    front: &'a Rc<Front>,
    envelope: &'a Envelope,
}

impl Request<'_> {
    fn fields(&self) -> &Map<String, Value> {
        self.envelope.fields()
    }

    /// The verb, in lower case: verbs are compared ignoring case.
    fn verb(&self) -> String {
        self.envelope.verb().to_ascii_lowercase()
    }
}

/// See the module.
pub struct Admin {
    settings: AdminSettings,
    switches: switches::Switches,
    captures: Captures,
    folders: Folders,
    /// Of network look-ups that may be under way at a time.
    lookups: Arc<Semaphore>,
    waiting: Cell<usize>,
    counters: Counted<AdminCounters>,
}

impl Admin {
    /// An Admin API before nobody yet; [`Admin::attend`] puts it behind the transports.
    pub fn new(settings: AdminSettings, captures: Captures) -> Rc<Self> {
        Rc::new(Admin {
            switches: switches::Switches::new(&settings),
            captures,
            folders: Folders(settings.protected_folders.clone()),
            settings,
            lookups: Arc::new(Semaphore::new(lookups::MAX_LOOKUPS)),
            waiting: Cell::new(0),
            counters: Counted::default(),
        })
    }

    /// Answers the Admin API of a server from now on.
    pub fn attend(self: Rc<Self>, front: &Front) {
        let admin = self.clone();
        // Nobody waits for the file of a handle that has ended.
        front.set_capture_end(Rc::new(move |id| drop(admin.captures.end(id))));
        front.set_admin(Rc::new(move |front, origin, value| self.serve(front, origin, value)));
    }

    /// What was counted since the start.
    pub fn counters(&self) -> AdminCounters {
        self.counters.get()
    }

    /// Serves one request: [`crate::transport::AdminApi`].
    pub fn serve(self: &Rc<Self>, front: &Rc<Front>, origin: Origin, mut value: Value) {
        let session_id = Envelope::session_id_in(&value);
        // `id` means nothing here, so its type is nobody's business.
        if let Some(fields) = value.as_object_mut() {
            fields.remove("id");
        }
        let envelope = match Envelope::read(value) {
            Ok(envelope) => envelope,
            Err(error) => {
                return front.answer_admin(origin, reply::error(session_id, None, &error));
            }
        };
        let request = Request { admin: self, front, envelope: &envelope };
        let outcome = self.perform(&request).unwrap_or_else(|error| Outcome::Now(Err(error)));
        let transaction = envelope.transaction().to_owned();
        match outcome {
            Outcome::Now(result) => {
                front.answer_admin(origin, written(session_id, &transaction, result));
            }
            Outcome::Later(work) => self.answer_later(front, origin, session_id, transaction, work),
        }
    }

    fn answer_later(
        self: &Rc<Self>,
        front: &Rc<Front>,
        origin: Origin,
        session_id: u64,
        transaction: String,
        work: Work,
    ) {
        if self.waiting.get() >= MAX_WAITING {
            self.counters.count(|counters| counters.refused += 1);
            let error = ApiError::new(ErrorCode::Unknown, "Too many requests wait for an answer");
            return front.answer_admin(origin, written(session_id, &transaction, Err(error)));
        }
        self.waiting.set(self.waiting.get() + 1);
        let (admin, front) = (self.clone(), front.clone());
        tokio::task::spawn_local(async move {
            let result = tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| {
                admin.counters.count(|counters| counters.late += 1);
                Err(ApiError::new(ErrorCode::Unknown, "No answer in time"))
            });
            admin.waiting.set(admin.waiting.get() - 1);
            front.answer_admin(origin, written(session_id, &transaction, result));
        });
    }

    /// The checks of §1, then the verb.
    fn perform(&self, request: &Request<'_>) -> Result<Outcome, ApiError> {
        let envelope = request.envelope;
        let (session_id, handle_id) = (envelope.session_id(), envelope.fields().get("handle_id"));
        if session_id == 0 && handle_id.is_none() {
            match request.verb().as_str() {
                "info" => return Ok(Outcome::Now(Ok(server_info(request)))),
                "ping" => {
                    return Ok(Outcome::Now(Ok(Reply {
                        word: "pong",
                        ..Reply::new(Fields::new())
                    })));
                }
                _ => {}
            }
        }
        let handle_id = handle_id.map(|id| id.as_i64().unwrap_or(0) as u64);
        if handle_id.is_some_and(|id| id == 0 || session_id == 0) {
            return Err(ErrorCode::SessionNotFound.into());
        }
        self.authorize(envelope)?;
        if session_id == 0 {
            return self.at_root(request);
        }
        if !request.front.with(|core, _| core.sessions().contains(session_id)) {
            let text = format!("No such session {session_id}");
            return Err(ApiError::new(ErrorCode::SessionNotFound, text));
        }
        let Some(handle_id) = handle_id else {
            return session::at_session(request, session_id);
        };
        let key = request.front.with(|core, _| core.handle_key(session_id, handle_id));
        let key = key.ok_or_else(|| {
            let text = format!("No such handle {handle_id} in session {session_id}");
            ApiError::new(ErrorCode::HandleNotFound, text)
        })?;
        at_handle(request, key)
    }

    fn authorize(&self, envelope: &Envelope) -> Result<(), ApiError> {
        let Some(want) = &self.settings.secret else { return Ok(()) };
        let given = envelope.fields().get("admin_secret").and_then(Value::as_str);
        if given.is_some_and(|given| equal(given.as_bytes(), want.as_bytes())) {
            return Ok(());
        }
        self.counters.count(|counters| counters.unauthorized += 1);
        Err(ErrorCode::Unauthorized.into())
    }

    fn at_root(&self, request: &Request<'_>) -> Result<Outcome, ApiError> {
        let families = [switches::perform, tokens::perform, modules::perform, lookups::perform];
        let verb = request.verb();
        for family in families {
            if let Some(outcome) = family(request, &verb) {
                return Ok(outcome);
            }
        }
        Err(unhandled(request))
    }
}

/// The verbs of a handle (§4).
fn at_handle(request: &Request<'_>, key: HandleKey) -> Result<Outcome, ApiError> {
    let verb = request.verb();
    let outcome = session::at_handle(request, &verb, key)
        .or_else(|| handle_info::perform(request, &verb, key))
        .or_else(|| capture::perform(request, &verb, key));
    outcome.ok_or_else(|| unhandled(request))
}

/// No verb of this level.
fn unhandled(request: &Request<'_>) -> ApiError {
    let text = format!("Unhandled request '{}' at this path", request.envelope.verb());
    ApiError::new(ErrorCode::InvalidRequestPath, text)
}

/// An error that has no code of its own.
fn failed(text: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::new(ErrorCode::Unknown, text)
}

fn server_info(request: &Request<'_>) -> Reply {
    let fields = request.front.with(|core: &mut Core, _| core.server_info());
    Reply { word: "server_info", names_session: false, fields }
}

/// The message for a result.
fn written(session_id: u64, transaction: &str, result: Result<Reply, ApiError>) -> Value {
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => return reply::error(session_id, Some(transaction), &error),
    };
    let mut fields = Fields::new();
    fields.insert("janus".to_owned(), answer.word.into());
    if session_id != 0 && answer.names_session {
        fields.insert("session_id".to_owned(), session_id.into());
    }
    fields.insert("transaction".to_owned(), transaction.into());
    fields.extend(answer.fields);
    Value::Object(fields)
}
