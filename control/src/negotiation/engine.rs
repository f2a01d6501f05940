//! The negotiation of all handles: one table of PeerConnections, and the way to the shards.
//!
//! It makes every decision that can be made without a shard: slots, credentials, SSRCs, roles,
//! descriptions. What it decides leaves as a [`ShardCommand`] before the call returns; what shards
//! say comes in by [`Negotiator::shard_event`] and goes out by [`Negotiator::poll_event`]. Bounds:
//! a PeerConnection a handle, a line table as long as its SDP's (256), and what
//! [`super::shards`] lets wait.

use super::candidates::PassedOver;
use super::connection::Connection;
use super::ports::Ports;
use super::reports::{PeerReport, Reports};
use super::routes::Routes;
use super::slots::Slots;
use super::view::{self, ConnectionView};
use super::{NegotiationSettings, Negotiator, PeerEvent, Shards};
use crate::service::relay::{RelayEvent, Relays};
use bifrons_core::api::{ApiError, ErrorCode, JsepRequest};
use bifrons_core::ice::{CREDENTIAL_RANDOM, Credentials};
use bifrons_core::media::{
    DataMessage, DataPlan, DataRefusal, DownReason, Fact, IngestId, MediaKind, Mindex, PeerId,
    PeerStatistics, Plan, Port, PortError, PortId, PortRequest, QueryTicket, ShardCommand,
    ShardEvent, SinkId, Tap, Tuning,
};
use bifrons_core::plugin::{HandleKey, Home, Jsep, OutgoingJsep};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Fills a buffer with bytes that nobody can predict.
pub type Random = dyn FnMut(&mut [u8]);

/// Whom a handle belongs to.
#[derive(Clone, Debug)]
struct User {
    session_id: u64,
    /// What TURN REST credentials are asked for with.
    name: String,
    /// Where its PeerConnections live if there is room.
    home: Option<Home>,
}

/// See the module.
pub struct Negotiation {
    pub(super) settings: NegotiationSettings,
    pub(super) shards: Box<dyn Shards>,
    pub(super) random: Box<Random>,
    pub(super) relays: Option<Box<dyn Relays>>,
    pub(super) connections: HashMap<HandleKey, Connection>,
    /// Of every attached handle.
    sessions: HashMap<HandleKey, User>,
    /// Of handles that are captured.
    pub(super) taps: HashMap<HandleKey, Tap>,
    pub(super) slots: Slots,
    routes: Routes,
    ports: Ports,
    ingest_facts: VecDeque<(IngestId, Fact)>,
    pub(super) passed_over: PassedOver,
    /// Bytes of data messages taken from each shard and not yet told so.
    pub(super) data_taken: HashMap<u8, usize>,
    /// By shard.
    candidates: Vec<Vec<String>>,
    pub(super) events: VecDeque<(HandleKey, PeerEvent)>,
    reports: Reports,
}

impl Negotiation {
    /// No PeerConnections yet. `random` must be unpredictable: passwords come from it.
    pub fn new(
        settings: NegotiationSettings,
        shards: Box<dyn Shards>,
        random: Box<Random>,
    ) -> Self {
        let port = |shard: usize| {
            let sockets = u8::try_from(shard).map_or(&[][..], |shard| shards.sockets(shard));
            sockets.first().map_or(0, std::net::SocketAddr::port)
        };
        let candidates = (0..shards.count()).map(|shard| settings.candidates(port(shard)));
        Negotiation {
            candidates: candidates.collect(),
            slots: Slots::new(shards.count()),
            settings,
            shards,
            random,
            relays: None,
            connections: HashMap::new(),
            sessions: HashMap::new(),
            taps: HashMap::new(),
            routes: Routes::default(),
            ports: Ports::default(),
            ingest_facts: VecDeque::new(),
            passed_over: PassedOver::default(),
            data_taken: HashMap::new(),
            events: VecDeque::new(),
            reports: Reports::default(),
        }
    }

    /// Has a relay allocated for each new PeerConnection.
    pub fn set_relays(&mut self, relays: Box<dyn Relays>) {
        self.relays = Some(relays);
    }

    fn session_of(&self, handle: HandleKey) -> Option<u64> {
        self.sessions.get(&handle).map(|user| user.session_id)
    }

    /// Whom a handle's TURN REST credentials are for.
    pub(super) fn user_of(&self, handle: HandleKey) -> String {
        self.sessions.get(&handle).map(|user| user.name.clone()).unwrap_or_default()
    }

    /// Candidates of clients that could not be used.
    pub fn passed_over(&self) -> PassedOver {
        self.passed_over
    }

    /// How many sinks have a source.
    pub fn fed_sinks(&self) -> usize {
        self.routes.len()
    }

    pub(super) fn candidates_of(&self, shard: u8) -> &[String] {
        self.candidates.get(usize::from(shard)).map_or(&[], Vec::as_slice)
    }

    /// Fresh credentials that name the peer.
    pub(super) fn credentials(&mut self, peer: PeerId) -> Credentials {
        let mut bytes = [0; CREDENTIAL_RANDOM];
        (self.random)(&mut bytes);
        Credentials::generate(peer, &bytes)
    }

    fn slot_for(&mut self, handle: HandleKey) -> Option<PeerId> {
        let user = self.sessions.get(&handle);
        let (session, home) = (user.map(|user| user.session_id), user.and_then(|user| user.home));
        self.slots.take(handle, session, home)
    }

    /// The handle's PeerConnection, made if there is none.
    pub(super) fn connection(
        &mut self,
        handle: HandleKey,
        now: Instant,
    ) -> Result<&mut Connection, ApiError> {
        if !self.connections.contains_key(&handle) {
            let no_room = || ApiError::new(ErrorCode::Unknown, "Error setting ICE locally");
            let peer = self.slot_for(handle).ok_or_else(no_room)?;
            let local = self.credentials(peer);
            let mut bytes = [0; 8];
            (self.random)(&mut bytes);
            // RFC 9429 §5.2.1: below 2^63, and browsers want it above 0.
            let session_id = (u64::from_be_bytes(bytes) >> 2) + 1;
            self.connections.insert(handle, Connection::new(peer, local, session_id, now));
        }
        self.connections.get_mut(&handle).ok_or_else(|| ErrorCode::WebrtcState.into())
    }

    /// Ends a PeerConnection on our side and on its shard's.
    fn end(&mut self, handle: HandleKey) -> bool {
        let Some(connection) = self.connections.remove(&handle) else { return false };
        let peer = connection.peer;
        self.routes.forget(peer, self.shards.as_mut());
        self.slots.release(peer, self.session_of(handle));
        if self.reports.ending(handle, &connection) {
            let ticket = QueryTicket(peer.to_bits());
            self.shards.send(peer.shard, ShardCommand::Query { ticket, peer });
        }
        self.give_relay_back(peer, &connection.relay);
        if connection.is_open {
            self.shards.send(peer.shard, ShardCommand::Close { peer });
        } else {
            self.slots.free(peer);
        }
        true
    }

    fn shard_died(&mut self, shard: u8, failure: &str) {
        tracing::error!(shard, failure, "a shard ended; its PeerConnections are gone");
        for (_, handle) in self.slots.bury(shard) {
            self.end(handle);
            self.events.push_back((handle, PeerEvent::Down(DownReason::ShardFailed)));
        }
        self.reports.gone(|peer| peer.shard == shard);
        self.ports.shard_died(shard);
    }

    fn fact(&mut self, handle: HandleKey, fact: Fact) {
        if let Fact::Switched { sink } = fact {
            self.routes.switched(SinkId::Line(sink), self.shards.as_mut());
        }
        self.events.push_back((handle, PeerEvent::Fact(fact)));
    }
}

impl Negotiator for Negotiation {
    fn attached(&mut self, handle: HandleKey, session_id: u64, opaque_id: Option<&str>) {
        let name = opaque_id.map_or_else(|| session_id.to_string(), str::to_owned);
        self.sessions.insert(handle, User { session_id, name, home: None });
    }

    fn apply_remote(
        &mut self,
        handle: HandleKey,
        jsep: &JsepRequest,
        now: Instant,
    ) -> Result<Jsep, ApiError> {
        self.take_remote(handle, jsep, now)
    }

    fn complete_local(
        &mut self,
        handle: HandleKey,
        jsep: OutgoingJsep,
        now: Instant,
    ) -> Result<Value, String> {
        let sent = self.send_local(handle, &jsep, now);
        if let Err(error) = &sent {
            tracing::warn!(handle = handle.0, error, "a plugin's description is unusable");
        }
        sent
    }

    fn accepts_candidates(&self, handle: HandleKey) -> bool {
        self.connections.get(&handle).is_some_and(Connection::accepts_candidates)
    }

    fn first_mid(&self, handle: HandleKey) -> Option<&str> {
        self.connections.get(&handle)?.first_mid()
    }

    fn candidate(&mut self, handle: HandleKey, line: &str) {
        let Some(connection) = self.connections.get_mut(&handle) else { return };
        connection.show(line);
        let Some(candidate) = self.passed_over.usable(handle, line) else { return };
        let peer = connection.peer;
        self.permit(peer, std::slice::from_ref(&candidate));
        let candidate = ShardCommand::Candidate { peer, candidate: Box::new(candidate) };
        self.shards.send(peer.shard, candidate);
    }

    fn end_of_candidates(&mut self, handle: HandleKey) {
        let Some(connection) = self.connections.get_mut(&handle) else { return };
        if !std::mem::replace(&mut connection.all_candidates, true) {
            let peer = connection.peer;
            self.shards.send(peer.shard, ShardCommand::EndOfCandidates { peer });
        }
    }

    fn peer(&self, handle: HandleKey) -> Option<PeerId> {
        self.connections.get(&handle).map(|connection| connection.peer)
    }

    fn has_pc(&self, handle: HandleKey) -> bool {
        self.connections.contains_key(&handle)
    }

    fn is_up(&self, handle: HandleKey) -> bool {
        self.connections.get(&handle).is_some_and(|connection| connection.is_up)
    }

    fn line(&self, handle: HandleKey, mindex: Mindex) -> Option<(&str, MediaKind)> {
        self.connections.get(&handle)?.line(mindex)
    }

    fn hangup(&mut self, handle: HandleKey, reason: DownReason) -> bool {
        let ended = self.end(handle);
        if ended {
            tracing::debug!(handle = handle.0, reason = reason.text(), "PeerConnection closed");
        }
        ended
    }

    fn place(&mut self, handle: HandleKey, home: Home) {
        let Some(user) = self.sessions.get_mut(&handle) else { return };
        user.home = Some(home);
        let session = user.session_id;
        let shard = home.shard(self.shards.count());
        // An offer came before anybody knew where it belongs.
        let Some(connection) = self.connections.get(&handle) else { return };
        if connection.is_open || connection.peer.shard == shard {
            return;
        }
        let former = connection.peer;
        let Some(peer) = self.slot_for(handle) else { return };
        let local = self.credentials(peer);
        if let Some(connection) = self.connections.get_mut(&handle) {
            (connection.peer, connection.local) = (peer, local);
        }
        self.slots.release(former, Some(session));
        self.slots.free(former);
    }

    fn forget(&mut self, handle: HandleKey) {
        self.end(handle);
        self.sessions.remove(&handle);
        self.taps.remove(&handle);
        self.events.retain(|(of, _)| *of != handle);
    }

    fn plan(&mut self, plan: Plan) {
        if let Plan::Forwarder { forwarder, setup } = plan
            && setup.from.is_none()
            && let Err(error) =
                self.ports.share(forwarder.shard, setup.to.is_ipv6(), self.shards.as_mut())
        {
            tracing::error!(?error, to = %setup.to, "nothing can be forwarded");
        }
        self.routes.plan(plan, self.shards.as_mut());
    }

    fn shards(&self) -> u8 {
        u8::try_from(self.shards.count()).unwrap_or(u8::MAX)
    }

    fn open_port(&mut self, request: &PortRequest, now: Instant) -> Result<Port, PortError> {
        let mut bytes = [0; 2];
        (self.random)(&mut bytes);
        self.ports.open(request, u16::from_ne_bytes(bytes), now, self.shards.as_mut())
    }

    fn port_age(&self, port: PortId, now: Instant) -> Option<Duration> {
        self.ports.age(port, now)
    }

    fn interface(&self, name: &str, v6: bool) -> Option<IpAddr> {
        super::ports::interface_address(name, v6)
    }

    fn close_port(&mut self, port: PortId) -> bool {
        self.ports.close(port, self.shards.as_mut())
    }

    fn poll_closed_port(&mut self) -> Option<PortId> {
        self.ports.next_closed()
    }

    fn poll_ingest(&mut self) -> Option<(IngestId, Fact)> {
        self.ingest_facts.pop_front()
    }

    fn plan_data(&mut self, plan: DataPlan) {
        self.routes.plan_data(plan, self.shards.as_mut());
    }

    fn send_data(&mut self, handle: HandleKey, message: DataMessage) -> Result<(), DataRefusal> {
        self.send_message(handle, message)
    }

    fn shard_event(&mut self, event: ShardEvent) {
        match event {
            ShardEvent::Data(event) => self.data_event(event),
            ShardEvent::IngestFact { ingest, fact } => self.ingest_facts.push_back((ingest, fact)),
            ShardEvent::PortClosed { port } => self.ports.closed(port),
            ShardEvent::Closed { peer } => {
                self.slots.free(peer);
                self.reports.gone(|of| of == peer);
            }
            ShardEvent::Stopped { failure: None, .. } | ShardEvent::Counters { .. } => {}
            // Whoever asked takes them from the dispatcher.
            ShardEvent::Statistics { .. } => {}
            ShardEvent::Stopped { shard, failure: Some(why) } => self.shard_died(shard, &why),
            ShardEvent::Up { peer, profile } => {
                let Some(handle) = self.slots.handle(peer) else { return };
                if let Some(connection) = self.connections.get_mut(&handle) {
                    connection.is_up = true;
                    connection.profile = profile;
                }
                self.events.push_back((handle, PeerEvent::Up(peer)));
            }
            ShardEvent::Down { peer, reason } => {
                let Some(handle) = self.slots.handle(peer) else { return };
                self.end(handle);
                self.events.push_back((handle, PeerEvent::Down(reason)));
            }
            ShardEvent::Fact { peer, fact } => {
                if let Some(handle) = self.slots.handle(peer) {
                    self.fact(handle, fact);
                }
            }
        }
    }

    fn tap(&mut self, handle: HandleKey, tap: Option<Tap>) {
        match tap {
            Some(tap) => self.taps.insert(handle, tap),
            None => self.taps.remove(&handle),
        };
        if let Some(connection) = self.connections.get(&handle).filter(|c| c.is_open) {
            let peer = connection.peer;
            self.shards.send(peer.shard, ShardCommand::Tap { peer, tap });
        }
    }

    fn tune(&mut self, tuning: Tuning) {
        for shard in (0..=u8::MAX).take(self.shards.count()) {
            self.shards.send(shard, ShardCommand::Tune(tuning));
        }
    }

    fn ask_counters(&mut self) {
        for shard in (0..=u8::MAX).take(self.shards.count()) {
            self.shards.send(shard, ShardCommand::Count);
        }
    }

    fn load(&self) -> Vec<usize> {
        self.slots.load()
    }

    fn relay_event(&mut self, event: RelayEvent) {
        self.take_relay(event);
    }

    fn poll_event(&mut self) -> Option<(HandleKey, PeerEvent)> {
        self.events.pop_front()
    }

    fn count(&self) -> usize {
        self.connections.len()
    }

    fn report_ends(&mut self) -> bool {
        self.reports.on = true;
        true
    }

    fn ask_report(&mut self, handle: HandleKey) {
        let Some(connection) = self.connections.get(&handle).filter(|it| it.is_open) else {
            return;
        };
        let peer = connection.peer;
        let ticket = QueryTicket(peer.to_bits());
        self.reports.asked(peer);
        self.shards.send(peer.shard, ShardCommand::Query { ticket, peer });
    }

    fn statistics(&mut self, ticket: QueryTicket, statistics: Option<&PeerStatistics>) {
        let peer = PeerId::from_bits(ticket.0);
        let handle = self.slots.handle(peer);
        let connection = handle.and_then(|handle| Some((handle, self.connections.get(&handle)?)));
        self.reports.answered(peer, connection, statistics);
    }

    fn poll_report(&mut self) -> Option<PeerReport> {
        self.reports.next()
    }

    fn flush(&mut self) -> bool {
        self.shards.flush()
    }

    fn ask_statistics(&mut self, handle: HandleKey) -> Option<QueryTicket> {
        let peer = self.connections.get(&handle).filter(|c| c.is_open)?.peer;
        // The peer's name is ticket enough: the answer is a whole snapshot, the latest counts.
        let ticket = QueryTicket(peer.to_bits());
        self.shards.send(peer.shard, ShardCommand::Query { ticket, peer });
        Some(ticket)
    }

    fn view(&self, handle: HandleKey) -> Option<ConnectionView<'_>> {
        let connection = self.connections.get(&handle)?;
        Some(view::of(connection, &self.settings, self.offered_candidates(connection)))
    }
}
