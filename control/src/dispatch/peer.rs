//! What shards report of a handle's PeerConnection: to its plugin, and to its client.

use super::{Core, Moment};
use crate::negotiation::PeerEvent;
use crate::service::relay::RelayEvent;
use bifrons_core::api::event::{self, MediaState};
use bifrons_core::api::reply::Sender;
use bifrons_core::media::{DownReason, Fact, MediaKind, ShardEvent};
use bifrons_core::plugin::HandleKey;
use serde_json::Value;

impl Core {
    /// Takes what the shards have said, in order.
    pub fn shard_events(&mut self, now: Moment, events: impl IntoIterator<Item = ShardEvent>) {
        self.now = now;
        for event in events {
            if let ShardEvent::Statistics { ticket, statistics } = event {
                self.negotiator.statistics(ticket, statistics.as_deref());
                self.statistics.push((ticket, statistics));
                self.settle();
                continue;
            }
            if let ShardEvent::Counters { shard, counters } = event {
                self.shard_counters.insert(shard, counters);
                continue;
            }
            self.negotiator.shard_event(event);
            self.settle();
        }
    }

    /// Takes what became of a relay.
    pub fn relay_event(&mut self, now: Moment, event: RelayEvent) {
        self.now = now;
        self.negotiator.relay_event(event);
        self.settle();
    }

    /// Sends commands that waited for a shard to have room. True while some still wait.
    pub fn flush_shards(&mut self) -> bool {
        self.negotiator.flush()
    }

    /// Takes one event of the WebRTC side. About a handle that is gone: nothing happens.
    pub fn peer_event(&mut self, now: Moment, key: HandleKey, what: PeerEvent) {
        self.now = now;
        self.take_peer_event(key, what);
        self.settle();
    }

    pub(super) fn take_peer_event(&mut self, key: HandleKey, what: PeerEvent) {
        let Some((_, handle)) = self.sessions.find(key) else { return };
        let plugin = handle.plugin;
        match what {
            PeerEvent::Up(peer) => {
                self.note_keys(key);
                self.call(plugin, |plugin, host| plugin.setup_media(host, key, peer));
                self.note_up(key);
                self.tell(key, |_, from| Some(event::webrtc_up(from)));
            }
            PeerEvent::Down(reason) => self.peer_down(key, reason),
            PeerEvent::Fact(fact) => {
                self.note_fact(key, &fact);
                self.tell(key, |core, from| core.fact_event(key, from, &fact));
                self.call(plugin, |plugin, host| plugin.fact(host, key, &fact));
            }
            PeerEvent::Data(message) => {
                self.call(plugin, |plugin, host| plugin.incoming_data(host, key, &message));
            }
            PeerEvent::DataReady => {
                self.call(plugin, |plugin, host| plugin.data_ready(host, key));
            }
            PeerEvent::Candidate(candidate) => {
                let line = candidate.as_ref().map(|(mid, line)| (mid.as_str(), line.as_str()));
                if let Some((_, line)) = line {
                    self.note_candidate(key, line, false);
                }
                self.tell(key, |_, from| Some(event::trickle(from, line)));
            }
        }
    }

    /// The plugin resets the call, then the client hears why.
    pub(super) fn peer_down(&mut self, key: HandleKey, reason: DownReason) {
        let Some(handle) = self.sessions.find_mut(key) else { return };
        handle.early.clear();
        let plugin = handle.plugin;
        if let Some(about) = self.subject(key) {
            self.note_down(key, about, reason);
        }
        self.call(plugin, |plugin, host| plugin.hangup_media(host, key));
        self.tell(key, |_, from| Some(event::hangup(from, reason.text())));
    }

    /// Sends a handle's client an event.
    fn tell(&mut self, key: HandleKey, form: impl FnOnce(&Core, Sender<'_>) -> Option<Value>) {
        let Some((session, handle)) = self.sessions.find(key) else { return };
        let (owner, session_id) = (session.owner, session.id);
        if let Some(message) = form(self, self.sender(session, handle)) {
            self.emit(owner, session_id, message);
        }
    }

    /// The client's event for a fact; most facts are for plugins only.
    fn fact_event(&self, key: HandleKey, from: Sender<'_>, fact: &Fact) -> Option<Value> {
        match *fact {
            Fact::Receiving { mindex, substream, receiving } => {
                let (mid, kind) = self.media_line(key, mindex)?;
                let timer_s = self.settings.no_media_timer_s;
                let state = MediaState { mid, kind, substream, receiving, timer_s };
                Some(event::media(from, state))
            }
            Fact::SlowLink { mindex, uplink, lost } => {
                let (mid, kind) = self.media_line(key, mindex)?;
                Some(event::slow_link(from, mid, kind, uplink, lost))
            }
            Fact::IceFailed => Some(event::ice_failed(from)),
            _ => None,
        }
    }

    /// Mid and kind of an audio or video line.
    pub(super) fn media_line(&self, key: HandleKey, mindex: u16) -> Option<(&str, &'static str)> {
        let (mid, kind) = self.negotiator.line(key, mindex)?;
        (kind != MediaKind::Data).then_some((mid, kind.name()))
    }
}
