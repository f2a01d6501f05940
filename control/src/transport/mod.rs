//! How clients reach the dispatcher: one [`Front`] for the whole server, any number of
//! [`Transport`]s before it.
//!
//! All of it lives on the control thread: a `current_thread` runtime with a `LocalSet`, so there is
//! no lock. A transport turns bytes into requests and hands them to the [`Front`]; what the
//! dispatcher sends out in return is handed to the transport it is for, before the call returns.
//! A transport only queues it: it never calls back from [`Transport::deliver`], and never waits.
//!
//! Bounds are each transport's own: connections, bytes of a request, bytes waiting to be sent.

mod ciphers;
mod envelope;
mod gate;
pub mod http;
mod listen;
pub mod mqtt;
pub mod nanomsg;
mod passed;
pub mod rabbitmq;
mod tls;
pub mod unix;
pub mod websocket;

pub use gate::{Cors, Gate};
pub use listen::{Bind, Listener, Stream};
pub use passed::{Passed, PassedSockets};
pub use tls::{Tls, TlsError, TlsFiles};

use crate::dispatch::TransportId;
use crate::dispatch::{ConnectionId, Core, Errand, ModuleKind, Moment, Origin, Outgoing, Owner};
use crate::event::{Event, EventKind, Hub};
use crate::metrics::Latency;
use bifrons_core::api::{ApiError, ErrorCode, Style, reply};
use bifrons_core::media::{PeerStatistics, QueryTicket, ShardCounters, TapId};
use bifrons_core::plugin::{About, HandleKey, ReplyKey};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Notify, oneshot};

/// Largest request taken, in bytes, on any transport: room for an SDP of a thousand lines.
pub const MAX_REQUEST: usize = 1 << 20;

/// Between two looks whether shards have told their counters.
const LOOK: Duration = Duration::from_millis(5);

/// A way for clients to reach the server.
pub trait Transport {
    /// What `info` says of it; the package is unique.
    fn about(&self) -> About;

    /// Queues one message for the client it is for. The client may be gone: then it is dropped.
    fn deliver(&self, message: &Outgoing);

    /// What it counted since the start, by what it was: for monitors.
    fn tally(&self) -> Vec<(&'static str, u64)>;

    /// What `query_transport` answers to `connections`: an object without `result`. `None`: the
    /// transport has no such request (transports-auth §1.1).
    fn connections(&self) -> Option<Value> {
        None
    }

    /// Whether the Admin API can be reached by it: stored tokens make no sense without one that is
    /// so (transports-auth §9).
    fn serves_admin(&self) -> bool;

    /// Changes how messages are written, from the next one on (`query_transport`, `configure`).
    fn set_style(&self, style: Style);

    /// Takes no more connections, and ends those that are open.
    fn stop(&self);

    /// Says goodbye after [`Transport::stop`], for transports whose far end wants that; within a
    /// bound of its own.
    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(std::future::ready(()))
    }
}

/// Serves one request of the Admin API; set by [`Front::set_admin`]. It answers each request once,
/// by [`Front::answer_admin`]: before it returns, or later, when a shard or a helper has spoken.
pub type AdminApi = dyn Fn(&Rc<Front>, Origin, Value);

/// Ends a capture whose handle is gone; set by [`Front::set_capture_end`].
pub type CaptureEnd = dyn Fn(TapId);

/// Does what a plugin wants done outside of the control thread's own time.
pub type ErrandRunner = dyn Fn(&Rc<Front>, Errand);

/// Where the answer to a question for statistics goes.
type Asking = oneshot::Sender<Option<PeerStatistics>>;

/// The dispatcher behind all transports.
pub struct Front {
    core: RefCell<Core>,
    transports: RefCell<Vec<Rc<dyn Transport>>>,
    admin: RefCell<Option<Rc<AdminApi>>>,
    errands: RefCell<Option<Rc<ErrandRunner>>>,
    hub: RefCell<Option<Rc<Hub>>>,
    capture_end: RefCell<Option<Rc<CaptureEnd>>>,
    /// Who waits for a shard's statistics.
    questions: RefCell<HashMap<QueryTicket, Vec<Asking>>>,
    /// Wakes those who wait for answers of plugins.
    plugin_answered: Notify,
    latency: RefCell<Latency>,
    /// Messages that a transport refused because they were no request at all.
    malformed: Cell<u64>,
    /// Transports that event handlers are to hear nothing of.
    quiet: RefCell<HashSet<&'static str>>,
    connections: Cell<u64>,
    scheduled: Cell<Instant>,
    sooner: Notify,
}

/// A question of an operator to a plugin, while somebody waits for the answer.
struct Asked<'a> {
    front: &'a Front,
    key: ReplyKey,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.front.core.borrow_mut().forget_plugin_answer(self.key);
    }
}

/// The time as the control thread sees it; virtual while a test has paused tokio's clock.
pub fn moment() -> Moment {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let wall_us = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX);
    Moment { at: tokio::time::Instant::now().into_std(), wall_us }
}

impl Front {
    /// Before a dispatcher whose plugins are loaded.
    pub fn new(core: Core) -> Rc<Self> {
        let scheduled = Cell::new(core.next_deadline());
        Rc::new(Front {
            core: RefCell::new(core),
            transports: RefCell::new(Vec::new()),
            admin: RefCell::new(None),
            errands: RefCell::new(None),
            hub: RefCell::new(None),
            capture_end: RefCell::new(None),
            questions: RefCell::default(),
            plugin_answered: Notify::new(),
            latency: RefCell::default(),
            malformed: Cell::new(0),
            quiet: RefCell::default(),
            connections: Cell::new(0),
            scheduled,
            sooner: Notify::new(),
        })
    }

    /// Puts a transport before the dispatcher; `make` is given the name it goes by.
    pub fn add_transport<T: Transport + 'static>(
        &self,
        make: impl FnOnce(TransportId) -> Rc<T>,
    ) -> Rc<T> {
        let mut transports = self.transports.borrow_mut();
        let id = TransportId(u8::try_from(transports.len()).unwrap_or(u8::MAX));
        let transport = make(id);
        let about = transport.about();
        self.core.borrow_mut().list_module(ModuleKind::Transports, &about);
        transports.push(transport.clone());
        transport
    }

    /// The transports, in the order they were added.
    pub fn transports(&self) -> Vec<Rc<dyn Transport>> {
        self.transports.borrow().clone()
    }

    /// Whether event handlers hear of a transport's own doings (`query_transport`, `configure`).
    pub fn set_transport_events(&self, package: &'static str, on: bool) {
        let mut quiet = self.quiet.borrow_mut();
        if on {
            quiet.remove(package);
        } else {
            quiet.insert(package);
        }
    }

    /// Who answers the Admin API.
    pub fn set_admin(&self, admin: Rc<AdminApi>) {
        *self.admin.borrow_mut() = Some(admin);
    }

    /// Who closes the files of captures whose handle has ended.
    pub fn set_capture_end(&self, end: Rc<CaptureEnd>) {
        *self.capture_end.borrow_mut() = Some(end);
    }

    /// Who runs errands.
    pub fn set_errand_runner(&self, runner: Rc<ErrandRunner>) {
        *self.errands.borrow_mut() = Some(runner);
    }

    /// Who tells the event handlers; they are listed in `info`.
    pub fn set_hub(&self, hub: Rc<Hub>) {
        for about in hub.about() {
            self.core.borrow_mut().list_module(ModuleKind::Events, &about);
        }
        *self.hub.borrow_mut() = Some(hub);
    }

    /// The event handlers, if the server has any.
    pub fn hub(&self) -> Option<Rc<Hub>> {
        self.hub.borrow().clone()
    }

    /// Whether events are made at all.
    pub fn events_enabled(&self) -> bool {
        self.core.borrow().settings().events_enabled
    }

    /// Tells the event handlers something of a transport's own (transports-auth §2.7, §3.4). `id`
    /// names the connection or request, as in the session's `created`.
    pub fn transport_event(&self, package: &str, id: &str, data: Value) {
        let hub = self.hub.borrow();
        let loud = self.events_enabled() && !self.quiet.borrow().contains(package);
        let Some(hub) = hub.as_ref().filter(|_| loud) else { return };
        hub.publish(Event {
            kind: EventKind::Transport,
            subtype: 0,
            wall_us: moment().wall_us,
            session_id: 0,
            handle_id: 0,
            opaque_id: None,
            body: serde_json::json!({ "transport": package, "id": id, "data": data }),
        });
    }

    /// A name for a new connection.
    pub fn new_connection(&self) -> ConnectionId {
        self.connections.set(self.connections.get() + 1);
        ConnectionId(self.connections.get())
    }

    /// Counts a message that a transport refused by itself: too long, no JSON, no text.
    pub fn count_malformed(&self) {
        self.malformed.set(self.malformed.get() + 1);
    }

    /// How many messages transports refused by themselves.
    pub fn malformed(&self) -> u64 {
        self.malformed.get()
    }

    /// Serves one request of the Janus API.
    pub fn request(self: &Rc<Self>, origin: Origin, value: Value) {
        let begun = Instant::now();
        self.with(|core, now| core.request(now, origin, value));
        self.latency.borrow_mut().record(begun.elapsed());
    }

    /// Lends out how long requests took.
    pub fn with_latency<R>(&self, look: impl FnOnce(&Latency) -> R) -> R {
        look(&self.latency.borrow())
    }

    /// Asks every shard for its counters; `None` for those that do not answer within `limit`.
    pub async fn shard_counters(self: &Rc<Self>, limit: Duration) -> Vec<Option<ShardCounters>> {
        self.with(|core, _| core.ask_counters());
        let end = tokio::time::Instant::now() + limit;
        loop {
            let told = self.with(|core, _| core.shard_counters());
            if told.iter().all(Option::is_some) || tokio::time::Instant::now() >= end {
                return told;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Serves one request of the Admin API. Its answer comes as [`Outgoing::AdminReply`] through
    /// [`Transport::deliver`], perhaps before this returns, perhaps later, but within 10 s and
    /// exactly once; a client that has gone meanwhile misses it. Not to be called from inside
    /// [`Front::with`].
    pub fn admin_request(self: &Rc<Self>, origin: Origin, value: Value) {
        let admin = self.admin.borrow().clone();
        match admin {
            Some(admin) => admin(self, origin, value),
            None => {
                let error = ApiError::new(ErrorCode::Unknown, "There is no Admin API here");
                self.answer_admin(origin, reply::error(0, None, &error));
            }
        }
    }

    /// Sends the answer to a request of the Admin API.
    pub fn answer_admin(&self, to: Origin, message: Value) {
        self.deliver(&Outgoing::AdminReply { to, message });
    }

    /// A connection closed.
    pub fn connection_gone(self: &Rc<Self>, owner: Owner) {
        self.with(|core, now| core.connection_gone(now, owner));
    }

    /// Lends the dispatcher out, then hands on what it wants sent and done. Not to be called from
    /// inside itself.
    pub fn with<R>(self: &Rc<Self>, work: impl FnOnce(&mut Core, Moment) -> R) -> R {
        let result = work(&mut self.core.borrow_mut(), moment());
        self.hand_on();
        if self.core.borrow().next_deadline() < self.scheduled.get() {
            self.sooner.notify_one();
        }
        result
    }

    fn hand_on(self: &Rc<Self>) {
        loop {
            let (outgoing, errands, events) = {
                let mut core = self.core.borrow_mut();
                (core.take_outgoing(), core.take_errands(), core.take_events())
            };
            if let Some(hub) = self.hub.borrow().as_ref() {
                events.into_iter().for_each(|event| hub.publish(event));
            }
            self.hand_on_statistics();
            self.hand_on_ends_of_captures();
            if self.core.borrow().has_plugin_answers() {
                self.plugin_answered.notify_waiters();
            }
            if outgoing.is_empty() && errands.is_empty() {
                return;
            }
            for message in &outgoing {
                self.deliver(message);
            }
            let runner = self.errands.borrow().clone();
            for errand in errands {
                match &runner {
                    Some(runner) => runner(self, errand),
                    None => tracing::warn!(?errand, "nobody runs errands"),
                }
            }
        }
    }

    /// Asks a PeerConnection's shard how it does, and waits for the answer: `None` if there is no
    /// PeerConnection, or no answer within `limit`. However many ask at once, the shard answers
    /// each question once.
    pub async fn peer_statistics(
        self: &Rc<Self>,
        handle: HandleKey,
        limit: Duration,
    ) -> Option<PeerStatistics> {
        let ticket = self.with(|core, _| core.ask_statistics(handle))?;
        let (sender, receiver) = oneshot::channel();
        self.questions.borrow_mut().entry(ticket).or_default().push(sender);
        let answer = tokio::time::timeout(limit, receiver).await;
        if answer.is_err() {
            let mut questions = self.questions.borrow_mut();
            if let Some(waiting) = questions.get_mut(&ticket) {
                waiting.retain(|sender| !sender.is_closed());
                if waiting.is_empty() {
                    questions.remove(&ticket);
                }
            }
        }
        answer.ok()?.ok().flatten()
    }

    /// Waits for an answer that a plugin has put off; `None` for one that is no answer. Dropped, it
    /// waits no longer.
    pub async fn plugin_answer(self: &Rc<Self>, key: ReplyKey) -> Option<Value> {
        let _asked = Asked { front: self, key };
        loop {
            if let Some(answer) = self.core.borrow_mut().take_plugin_answer(key) {
                return answer;
            }
            self.plugin_answered.notified().await;
        }
    }

    fn hand_on_ends_of_captures(&self) {
        let ended = self.core.borrow_mut().take_ended_captures();
        let end = self.capture_end.borrow().clone();
        if let Some(end) = end {
            ended.into_iter().for_each(|id| end(id));
        }
    }

    fn hand_on_statistics(&self) {
        let answers = self.core.borrow_mut().take_statistics();
        for (ticket, statistics) in answers {
            let waiting = self.questions.borrow_mut().remove(&ticket);
            for sender in waiting.into_iter().flatten() {
                // One that gave up is no loss.
                let _ = sender.send(statistics.as_deref().cloned());
            }
        }
    }

    fn deliver(&self, message: &Outgoing) {
        let transports = self.transports.borrow();
        let to = message.transport();
        if let Some(transport) = transports.get(usize::from(to.0)) {
            transport.deliver(message);
        }
        // Both sides of a claim have to know.
        if let Outgoing::Claimed { from, .. } = message
            && from.transport != to
            && let Some(transport) = transports.get(usize::from(from.transport.0))
        {
            transport.deliver(message);
        }
    }

    /// Lets time act on the dispatcher, for ever.
    pub async fn run(self: Rc<Self>) {
        loop {
            let deadline = self.core.borrow().next_deadline();
            self.scheduled.set(deadline);
            tokio::select! {
                () = tokio::time::sleep_until(deadline.into()) => {
                    self.with(|core, now| core.tick(now));
                }
                () = self.sooner.notified() => {}
            }
        }
    }

    /// Orderly end: sessions, plugins, then transports (transports-auth §14).
    pub fn stop(self: &Rc<Self>) {
        self.with(|core, now| core.stop(now));
        for transport in self.transports() {
            transport.stop();
        }
    }

    /// After [`Front::stop`]: lets transports say goodbye, all at once.
    pub async fn stopped(&self) {
        let farewells = self.transports().into_iter().map(|transport| transport.stopped());
        futures_util::future::join_all(farewells).await;
    }
}
