//! The dispatcher: every Janus API request, from its envelope to its reply.
//!
//! [`Core`] is plain single-threaded state without sockets, clock or randomness of its own: a
//! request, the time and the facts of the shards go in; replies, events and errands come out of
//! [`Core::take_outgoing`] and [`Core::take_errands`]. Transports and tests drive it alike.
//!
//! Checks run in the order of core-api §2. Plugins are called one at a time; what a hook asks for
//! that would call another hook (closing a PeerConnection, ending a handle) is noted as a `Deed`
//! and done when the hook has returned, so no hook ever runs inside another. Events that a plugin
//! pushes while a request is served are held back until that request's own reply is out.
//!
//! Bounds: see [`crate::session`] for the tables; [`MAX_DEFERRED`] unanswered deferred requests;
//! [`MAX_TIMERS`] plugin timers; [`MAX_SERVICES`] services. What is refused is counted in [`Counters`].

mod closing;
mod deliver;
mod events;
mod host;
mod info;
mod lifetime;
mod message;
mod operator;
mod outgoing;
mod peer;
mod peer_events;
mod request;
mod service;
#[cfg(test)]
mod tests;
mod trickle;

pub use info::{ModuleKind, ServerFacts};
pub use operator::PluginAnswer;
pub use outgoing::{
    ConnectionId, Errand, Origin, Outgoing, Owner, ServiceOrder, SessionEnd, TransportId,
};

use crate::auth::Authority;
use crate::capture::Capture;
use crate::event::Event;
use crate::negotiation::Negotiator;
use crate::session::Sessions;
use bifrons_core::config::Tree;
use bifrons_core::media::{
    DownReason, IngestId, PeerStatistics, QueryTicket, ShardCounters, TapId,
};
use bifrons_core::plugin::{About, HandleKey, Host, Plugin, ReplyKey, ServiceId, Ticket};
use peer_events::PeerEvents;
use serde_json::{Map, Value};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Most requests whose plugin said "deferred" and has not answered yet.
pub const MAX_DEFERRED: usize = 4096;

/// Most plugin timers running at a time.
pub const MAX_TIMERS: usize = 1 << 18;

/// Most services of all plugins at a time.
pub const MAX_SERVICES: usize = 4096;

/// How often sessions are looked through for those that expired (core-api §7).
pub const SWEEP_PERIOD: Duration = Duration::from_secs(2);

/// The time, as the driver sees it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic.
    pub at: Instant,
    /// Wall clock in microseconds since 1970.
    pub wall_us: u64,
}

/// What the configuration says to the dispatcher.
#[derive(Clone, Debug)]
pub struct CoreSettings {
    /// `session_timeout`; zero = sessions never expire.
    pub session_timeout: Duration,
    /// `reclaim_session_timeout`; zero = a session ends with its connection.
    pub reclaim_timeout: Duration,
    /// `candidates_timeout`.
    pub candidates_timeout: Duration,
    /// `no_media_timer`, shown in `media` events.
    pub no_media_timer_s: u32,
    /// `slowlink_threshold`: losses in a second that make a `slowlink` event; 0 = none do.
    pub slow_link_losses: u32,
    /// `opaqueid_in_api`.
    pub opaque_id_in_api: bool,
    /// `events.broadcast`: whether events are made at all.
    pub events_enabled: bool,
    /// `events.stats_period`; zero = only the last statistics, at the end of a PeerConnection.
    pub stats_period: Duration,
    /// `events.combine_media_stats`: one event for all lines.
    pub combine_media_stats: bool,
}

impl Default for CoreSettings {
    fn default() -> Self {
        CoreSettings {
            session_timeout: Duration::from_secs(60),
            reclaim_timeout: Duration::ZERO,
            candidates_timeout: Duration::from_secs(45),
            no_media_timer_s: 1,
            slow_link_losses: 0,
            opaque_id_in_api: false,
            events_enabled: false,
            stats_period: Duration::from_secs(1),
            combine_media_stats: false,
        }
    }
}

/// What was refused or dropped because a bound was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests read, sound or not.
    pub requests: u64,
    /// Requests answered with an error.
    pub errors: u64,
    /// `create` refused because the session table is full.
    pub sessions_refused: u64,
    /// `attach` refused because the session has too many handles.
    pub handles_refused: u64,
    /// Early candidates dropped, because too many or too old.
    pub early_dropped: u64,
    /// Deferred requests refused because too many are open.
    pub deferred_refused: u64,
    /// Plugin timers that fire at once because too many run.
    pub timers_refused: u64,
    /// Services refused because too many run.
    pub services_refused: u64,
    /// Hooks of plugins that panicked.
    pub hooks_failed: u64,
}

/// What a new dispatcher is made of.
pub struct Parts {
    /// From the configuration.
    pub settings: CoreSettings,
    /// Secrets and tokens.
    pub authority: Authority,
    /// What `info` says.
    pub facts: ServerFacts,
    /// The WebRTC side.
    pub negotiator: Box<dyn Negotiator>,
    /// Uniformly random words, unpredictable in production: ids come from it.
    pub random: Box<dyn FnMut() -> u64>,
    /// The time of creation.
    pub now: Moment,
}

/// A registered plugin; `plugin` is away while one of its hooks runs.
struct Slot {
    about: About,
    plugin: Option<Box<dyn Plugin>>,
}

/// Something a hook asked for that calls hooks itself.
enum Deed {
    /// A PeerConnection was closed: tell plugin and client.
    HungUp(HandleKey, DownReason),
    /// A plugin ended a handle.
    End(HandleKey),
}

/// A request whose reply is still owed.
struct Pending {
    origin: Origin,
    session_id: u64,
    handle: HandleKey,
    transaction: String,
}

/// Sessions, handles and plugins of one server.
pub struct Core {
    settings: CoreSettings,
    authority: Authority,
    facts: ServerFacts,
    modules: HashMap<ModuleKind, Map<String, Value>>,
    negotiator: Box<dyn Negotiator>,
    random: Box<dyn FnMut() -> u64>,
    now: Moment,
    accepting: bool,
    sessions: Sessions,
    plugins: Vec<Slot>,
    outgoing: VecDeque<Outgoing>,
    held: Option<Vec<Outgoing>>,
    errands: VecDeque<Errand>,
    events: VecDeque<Event>,
    peer_events: PeerEvents,
    /// Packages of the transports, by their ids.
    transports: Vec<&'static str>,
    next_update: Option<Instant>,
    /// The last statistics of a PeerConnection come after its end.
    reports_ends: bool,
    deeds: VecDeque<Deed>,
    pending: HashMap<ReplyKey, Pending>,
    /// The request whose hook runs.
    serving: Option<ReplyKey>,
    closings: closing::Closings,
    /// Requests of operators whose plugin has deferred the answer.
    operators: HashSet<ReplyKey>,
    /// Their answers, until somebody takes them.
    operator_answers: HashMap<ReplyKey, Option<Value>>,
    /// Whose each ingest is.
    ingests: HashMap<IngestId, usize>,
    /// Whose each service is.
    services: HashMap<ServiceId, usize>,
    tickets: HashMap<Ticket, usize>,
    timers: BinaryHeap<Reverse<(Instant, Ticket)>>,
    next_sweep: Instant,
    next_name: u64,
    counters: Counters,
    /// Answers of shards that nobody has taken yet: as many as were asked for.
    statistics: Vec<(QueryTicket, Option<Box<PeerStatistics>>)>,
    /// What shards answered when they were last asked for their counters.
    shard_counters: BTreeMap<u8, ShardCounters>,
    since: Instant,
    /// Of handles that are captured.
    captures: HashMap<HandleKey, Capture>,
    /// Captures whose handle is gone, until somebody closes their files.
    ended_captures: Vec<TapId>,
}

impl Core {
    /// A server without plugins.
    pub fn new(mut parts: Parts) -> Self {
        let reports_ends = parts.settings.events_enabled && parts.negotiator.report_ends();
        Core {
            settings: parts.settings,
            authority: parts.authority,
            facts: parts.facts,
            modules: HashMap::new(),
            negotiator: parts.negotiator,
            random: parts.random,
            now: parts.now,
            accepting: true,
            sessions: Sessions::default(),
            plugins: Vec::new(),
            outgoing: VecDeque::new(),
            held: None,
            errands: VecDeque::new(),
            events: VecDeque::new(),
            peer_events: PeerEvents::default(),
            transports: Vec::new(),
            next_update: None,
            reports_ends,
            deeds: VecDeque::new(),
            pending: HashMap::new(),
            serving: None,
            closings: closing::Closings::default(),
            operators: HashSet::new(),
            operator_answers: HashMap::new(),
            tickets: HashMap::new(),
            ingests: HashMap::new(),
            services: HashMap::new(),
            timers: BinaryHeap::new(),
            next_sweep: parts.now.at + SWEEP_PERIOD,
            next_name: 1,
            counters: Counters::default(),
            statistics: Vec::new(),
            shard_counters: BTreeMap::new(),
            since: parts.now.at,
            captures: HashMap::new(),
            ended_captures: Vec::new(),
        }
    }

    /// Starts a plugin and, if it starts, offers it to clients. A package that is taken already
    /// is refused.
    pub fn add_plugin(
        &mut self,
        now: Moment,
        plugin: Box<dyn Plugin>,
        config: Option<&Tree>,
    ) -> Result<(), String> {
        self.now = now;
        let about = plugin.about();
        let package = about.package;
        if self.plugin_index(package).is_some() {
            return Err(format!("{package}: already loaded"));
        }
        let (built, ours) = (plugin.contract_version(), bifrons_core::plugin::CONTRACT_VERSION);
        if built < ours {
            return Err(format!(
                "{package}: built against contract {built}, this server has {ours}"
            ));
        }
        let index = self.plugins.len();
        self.plugins.push(Slot { about, plugin: Some(plugin) });
        let started = self
            .call(index, |plugin, host| plugin.start(host, config))
            .unwrap_or_else(|| Err("not there".to_owned()));
        self.settle();
        if let Err(reason) = started {
            self.plugins.pop();
            return Err(format!("{package}: {reason}"));
        }
        Ok(())
    }

    /// What is to be sent, in order.
    pub fn take_outgoing(&mut self) -> VecDeque<Outgoing> {
        std::mem::take(&mut self.outgoing)
    }

    /// What plugins want done by someone who may wait; answers come by [`Core::answered`].
    pub fn take_errands(&mut self) -> VecDeque<Errand> {
        std::mem::take(&mut self.errands)
    }

    /// What event handlers are to hear, in order.
    pub fn take_events(&mut self) -> VecDeque<Event> {
        std::mem::take(&mut self.events)
    }

    /// Index of the plugin with that package name.
    fn plugin_index(&self, package: &str) -> Option<usize> {
        self.plugins.iter().position(|slot| slot.about.package == package)
    }

    /// Calls one hook. `None` if there is no such plugin, or if the hook panicked: that is a fault
    /// of ours, but it must not end the calls of everybody else.
    fn call<R>(
        &mut self,
        index: usize,
        hook: impl FnOnce(&mut dyn Plugin, &mut dyn Host) -> R,
    ) -> Option<R> {
        let mut plugin = self.plugins.get_mut(index)?.plugin.take()?;
        let mut host = host::View { core: self, plugin: index };
        // What the hook leaves half done is the plugin's own state, or a message not sent.
        let called = AssertUnwindSafe(|| hook(plugin.as_mut(), &mut host));
        let result = catch_unwind(called);
        let slot = self.plugins.get_mut(index)?;
        slot.plugin = Some(plugin);
        if result.is_err() {
            self.counters.hooks_failed += 1;
            tracing::error!(package = slot.about.package, "a hook of the plugin panicked");
        }
        result.ok()
    }

    /// A number that is given out once.
    fn fresh(&mut self) -> u64 {
        self.next_name += 1;
        self.next_name
    }

    /// Wall clock in seconds since 1970.
    fn unix_s(&self) -> u64 {
        self.now.wall_us / 1_000_000
    }
}
