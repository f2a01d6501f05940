//! What an operator may see and do: the Admin API's way into the dispatcher.

use super::{Core, CoreSettings, Counters, Moment, SessionEnd};
use crate::auth::Authority;
use crate::capture::Capture;
use crate::negotiation::ConnectionView;
use crate::session::Sessions;
use bifrons_core::media::{
    DownReason, PeerStatistics, QueryTicket, ShardCounters, Tap, TapId, Tuning,
};
use bifrons_core::plugin::{HandleKey, ReplyKey, Verdict};
use serde_json::{Map, Value};
use std::time::{Duration, Instant};

/// What a plugin says to a request of an operator.
#[derive(Clone, Debug, PartialEq)]
pub enum PluginAnswer {
    /// This.
    Now(Value),
    /// It comes to [`Core::take_plugin_answer`].
    Later(ReplyKey),
}

/// The answer that a verdict is for an operator.
pub(super) fn answer(verdict: Verdict) -> Option<Value> {
    match verdict {
        Verdict::Reply(data) => Some(data),
        _ => None,
    }
}

impl Core {
    /// All sessions and handles.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The key of a handle, if session and handle exist.
    pub fn handle_key(&self, session_id: u64, handle_id: u64) -> Option<HandleKey> {
        Some(self.sessions.get(session_id)?.handles.get(&handle_id)?.key)
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The settings in force.
    pub fn settings(&self) -> &CoreSettings {
        &self.settings
    }

    /// The settings, to be changed while the server runs.
    pub fn settings_mut(&mut self) -> &mut CoreSettings {
        &mut self.settings
    }

    /// What the shards are set to.
    pub fn tuning(&self) -> Tuning {
        Tuning {
            min_nack_queue_ms: self.facts.min_nack_queue_ms,
            no_media_timer_s: self.settings.no_media_timer_s,
            slow_link_losses: self.settings.slow_link_losses,
        }
    }

    /// Changes what the shards are set to; `info` shows it from then on.
    pub fn retune(&mut self, change: impl FnOnce(&mut Tuning)) {
        let mut tuning = self.tuning();
        change(&mut tuning);
        self.facts.min_nack_queue_ms = tuning.min_nack_queue_ms;
        self.settings.no_media_timer_s = tuning.no_media_timer_s;
        self.settings.slow_link_losses = tuning.slow_link_losses;
        self.negotiator.tune(tuning);
    }

    /// `nack_optimizations`: shown, and otherwise without effect, since a sink's history is bounded
    /// anyway.
    pub fn nack_optimizations(&self) -> bool {
        self.facts.nack_optimizations
    }

    /// Sets what [`Core::nack_optimizations`] shows.
    pub fn set_nack_optimizations(&mut self, on: bool) {
        self.facts.nack_optimizations = on;
    }

    /// PeerConnections on each shard.
    pub fn shard_load(&self) -> Vec<usize> {
        self.negotiator.load()
    }

    /// Asks every shard for its counters; they come to [`Core::shard_counters`].
    pub fn ask_counters(&mut self) {
        self.shard_counters.clear();
        self.negotiator.ask_counters();
    }

    /// Counters by shard, `None` for one that has not answered since it was asked.
    pub fn shard_counters(&self) -> Vec<Option<ShardCounters>> {
        let shards = 0..self.negotiator.shards();
        shards.map(|shard| self.shard_counters.get(&shard).copied()).collect()
    }

    /// Secrets and tokens.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Secrets and tokens, to be changed.
    pub fn authority_mut(&mut self) -> &mut Authority {
        &mut self.authority
    }

    /// Whether a long poll with this secret and token may pass.
    pub fn admits(&mut self, now: Moment, secret: Option<&str>, token: Option<&str>) -> bool {
        self.now = now;
        self.authority.admits(secret, token, self.unix_s())
    }

    /// A uniformly random word, for transactions that a transport makes up.
    pub fn random(&mut self) -> u64 {
        (self.random)()
    }

    /// Whether `create` is served.
    pub fn is_accepting(&self) -> bool {
        self.accepting
    }

    /// Serves `create`, or answers it with 472 while what exists goes on (draining).
    pub fn set_accepting(&mut self, accepting: bool) {
        self.accepting = accepting;
    }

    /// Gives one session a timeout of its own: `None` = the server's, zero = never. False if
    /// there is no such session.
    pub fn set_session_timeout(&mut self, session_id: u64, timeout: Option<Duration>) -> bool {
        let session = self.sessions.get_mut(session_id);
        session.map(|session| session.timeout = timeout).is_some()
    }

    /// Ends a session; false if there is none.
    pub fn destroy_session(&mut self, now: Moment, session_id: u64) -> bool {
        self.now = now;
        let known = self.sessions.contains(session_id);
        self.end_session(session_id, SessionEnd::Destroyed);
        self.settle();
        known
    }

    /// Detaches a handle.
    pub fn detach_handle(&mut self, now: Moment, key: HandleKey) {
        self.now = now;
        self.detach(key);
        self.settle();
    }

    /// Closes a handle's PeerConnection with the reason `Admin API`.
    pub fn hangup_handle(&mut self, now: Moment, key: HandleKey) {
        self.now = now;
        self.hang_up(key, DownReason::AdminApi);
        self.settle();
    }

    /// The packages that clients can attach to.
    pub fn packages(&self) -> impl Iterator<Item = &'static str> {
        self.plugins.iter().map(|slot| slot.about.package)
    }

    /// The package of a handle's plugin.
    pub fn package_of_handle(&self, key: HandleKey) -> Option<&'static str> {
        self.sessions.find(key).map(|(_, handle)| self.package_of(handle.plugin))
    }

    /// A request of an operator to a plugin; the outer `None` says that there is no such plugin,
    /// the inner one that it takes none, or has no answer to this one.
    pub fn message_plugin(
        &mut self,
        now: Moment,
        package: &str,
        body: &Value,
    ) -> Option<Option<PluginAnswer>> {
        self.now = now;
        let plugin = self.plugin_index(package)?;
        let key = ReplyKey(self.fresh());
        self.operators.insert(key);
        self.serving = Some(key);
        let verdict =
            self.call(plugin, |plugin, host| plugin.handle_admin_message(host, body, key));
        self.serving = None;
        let verdict = match verdict.flatten() {
            None => None,
            Some(Verdict::Deferred) => Some(PluginAnswer::Later(key)),
            Some(verdict) => match self.closings.hold(key, verdict) {
                Some(verdict) => answer(verdict).map(PluginAnswer::Now),
                None => Some(PluginAnswer::Later(key)),
            },
        };
        if !matches!(verdict, Some(PluginAnswer::Later(_))) {
            self.operators.remove(&key);
            self.closings.forget(key);
        }
        self.settle();
        Some(verdict)
    }

    /// An answer to [`Core::message_plugin`] that came later, if it has come; the inner `None` says
    /// that it is none.
    pub fn take_plugin_answer(&mut self, key: ReplyKey) -> Option<Option<Value>> {
        self.operator_answers.remove(&key)
    }

    /// Whether [`Core::take_plugin_answer`] has something for somebody.
    pub fn has_plugin_answers(&self) -> bool {
        !self.operator_answers.is_empty()
    }

    /// Nobody waits for this answer any more.
    pub fn forget_plugin_answer(&mut self, key: ReplyKey) {
        self.operators.remove(&key);
        self.operator_answers.remove(&key);
        self.closings.forget(key);
    }

    /// What a plugin says of a handle: an object, or nothing.
    pub fn query_handle(&self, key: HandleKey) -> Option<Value> {
        let (_, handle) = self.sessions.find(key)?;
        let plugin = self.plugins.get(handle.plugin)?.plugin.as_ref()?;
        Some(plugin.query_session(key)).filter(Value::is_object)
    }

    /// What control knows of a handle's PeerConnection.
    pub fn connection_view(&self, key: HandleKey) -> Option<ConnectionView<'_>> {
        self.negotiator.view(key)
    }

    /// Asks the shard for a PeerConnection's statistics; the answer is at
    /// [`Core::take_statistics`]. `None` if there is no PeerConnection.
    pub fn ask_statistics(&mut self, key: HandleKey) -> Option<QueryTicket> {
        self.negotiator.ask_statistics(key)
    }

    /// What shards answered to [`Core::ask_statistics`]; `None` for a peer that was gone.
    pub fn take_statistics(&mut self) -> Vec<(QueryTicket, Option<Box<PeerStatistics>>)> {
        std::mem::take(&mut self.statistics)
    }

    /// The capture of a handle, if there is one.
    pub fn capture(&self, key: HandleKey) -> Option<&Capture> {
        self.captures.get(&key)
    }

    /// How many handles are captured.
    pub fn capture_count(&self) -> usize {
        self.captures.len()
    }

    /// Notes that a handle is captured, from its PeerConnection on if it has none yet.
    pub fn begin_capture(&mut self, key: HandleKey, capture: Capture) {
        self.captures.insert(key, capture);
    }

    /// Taps what a handle's PeerConnection receives and sends, now and after it was set up anew.
    pub fn tap(&mut self, key: HandleKey, tap: Option<Tap>) {
        self.negotiator.tap(key, tap);
    }

    /// Notes that a handle is captured no longer; the capture's name, if it was.
    pub fn end_capture(&mut self, key: HandleKey) -> Option<TapId> {
        let capture = self.captures.remove(&key)?;
        self.negotiator.tap(key, None);
        Some(capture.id)
    }

    /// Captures whose handle has ended.
    pub fn take_ended_captures(&mut self) -> Vec<TapId> {
        std::mem::take(&mut self.ended_captures)
    }

    /// The zero of the clock that operators see.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// The body of `server_info`.
    pub fn server_info(&self) -> Map<String, Value> {
        self.info()
    }

    /// Orderly end: no new sessions, all sessions ended, then all plugins.
    pub fn stop(&mut self, now: Moment) {
        self.now = now;
        self.accepting = false;
        let ids: Vec<u64> = self.sessions.iter().map(|session| session.id).collect();
        for session_id in ids {
            self.end_session(session_id, SessionEnd::Destroyed);
        }
        self.settle();
        for index in 0..self.plugins.len() {
            self.call(index, |plugin, host| plugin.stop(host));
        }
        self.settle();
    }
}
