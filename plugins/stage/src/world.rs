//! A host that remembers what a plugin asked of it.

use bifrons_core::media::{DataPlan, PeerId, Plan, Port, PortError, PortId, PortRequest};
use bifrons_core::plugin::{
    HandleKey, Home, Host, HttpRequest, OutgoingJsep, PushError, ReplyKey, Service, ServiceCommand,
    ServiceId, StoreRequest, Ticket, Verdict,
};
use serde_json::Value;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// An event as a client would see it.
#[derive(Debug)]
pub struct Event {
    /// Whose.
    pub handle: HandleKey,
    /// Of the request that it answers.
    pub transaction: Option<String>,
    /// `plugindata.data`.
    pub data: Value,
    /// The description that came with it.
    pub jsep: Option<OutgoingJsep>,
}

/// What a plugin sees of the world, and what it did to it, each list in its order.
#[derive(Debug)]
pub struct World {
    now: Instant,
    random: u64,
    next: u64,
    /// Events sent and not yet looked at.
    pub events: Vec<Event>,
    /// Plans for media.
    pub plans: Vec<Plan>,
    /// Plans for data channels.
    pub data_plans: Vec<DataPlan>,
    /// Handles whose PeerConnection was asked to close.
    pub closed: Vec<HandleKey>,
    /// Answers to deferred requests.
    pub replies: Vec<(ReplyKey, Verdict)>,
    /// What event handlers were told.
    pub notices: Vec<Value>,
    /// Files that were written: their text.
    pub stored: Vec<(Ticket, String)>,
    /// PeerConnections that were negotiated.
    pub peers: HashMap<HandleKey, PeerId>,
    /// Those of them with keys.
    pub up: Vec<HandleKey>,
    /// Whether files can be written.
    pub has_folder: bool,
    /// Whether an event handler listens.
    pub listens: bool,
    /// Signed tokens are in use, and this one grants this.
    pub signed: Option<(String, String)>,
    /// How many shards there are.
    pub shards: u8,
    /// Ports that are open, with what was asked for.
    pub ports: Vec<(PortId, PortRequest)>,
    /// Ports that somebody else has.
    pub taken: Vec<u16>,
    /// Services that run.
    pub services: Vec<(ServiceId, Service)>,
    /// What services were told.
    pub told: Vec<(ServiceId, ServiceCommand)>,
    /// Where PeerConnections were wanted.
    pub homes: HashMap<HandleKey, Home>,
    /// Timers that were set.
    pub timers: Vec<Ticket>,
    /// Names that were looked up.
    pub lookups: Vec<(Ticket, String)>,
}

impl Default for World {
    /// One shard, a folder for configuration, nobody who listens.
    fn default() -> Self {
        World {
            now: Instant::now(),
            random: 7,
            next: 100,
            events: Vec::new(),
            plans: Vec::new(),
            data_plans: Vec::new(),
            closed: Vec::new(),
            replies: Vec::new(),
            notices: Vec::new(),
            stored: Vec::new(),
            peers: HashMap::new(),
            up: Vec::new(),
            has_folder: true,
            listens: false,
            signed: None,
            shards: 1,
            ports: Vec::new(),
            taken: Vec::new(),
            services: Vec::new(),
            told: Vec::new(),
            homes: HashMap::new(),
            timers: Vec::new(),
            lookups: Vec::new(),
        }
    }
}

impl World {
    /// A number that was not given before.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Host for World {
    fn now(&self) -> Instant {
        self.now
    }

    fn wall_us(&self) -> u64 {
        1_700_000_000_000_000
    }

    fn random(&mut self) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn push_event(
        &mut self,
        handle: HandleKey,
        transaction: Option<&str>,
        data: Value,
        jsep: Option<OutgoingJsep>,
    ) -> Result<(), PushError> {
        if jsep.is_some() && !self.peers.contains_key(&handle) {
            let peer = PeerId { shard: 0, slot: self.number() as u32, generation: 1 };
            self.peers.insert(handle, peer);
        }
        let transaction = transaction.map(str::to_owned);
        self.events.push(Event { handle, transaction, data, jsep });
        Ok(())
    }

    fn reply(&mut self, key: ReplyKey, verdict: Verdict) {
        self.replies.push((key, verdict));
    }

    fn plan(&mut self, plan: Plan) {
        self.plans.push(plan);
    }

    fn plan_data(&mut self, plan: DataPlan) {
        self.data_plans.push(plan);
    }

    fn place(&mut self, handle: HandleKey, home: Home) {
        self.homes.insert(handle, home);
    }

    fn shards(&self) -> u8 {
        self.shards
    }

    fn open_port(&mut self, request: PortRequest) -> Result<Port, PortError> {
        // Two sockets share a number where they listen to different groups.
        let alone = request.first == request.last;
        let same = |have: &PortRequest| have.first == request.first && have.group == request.group;
        let held = self.taken.contains(&request.first)
            || self.ports.iter().any(|(_, have)| alone && same(have));
        if held {
            return Err(PortError::Refused("taken".to_owned()));
        }
        let number = self.number();
        let id = PortId { shard: request.shard, number: number as u32 };
        let number = if alone { request.first } else { number as u16 };
        self.ports.push((id, request));
        Ok(Port { id, address: ([0, 0, 0, 0], number).into() })
    }

    fn interface(&self, name: &str, v6: bool) -> Option<IpAddr> {
        (name == "eth7" && !v6).then_some(IpAddr::from([192, 0, 2, 7]))
    }

    fn close_port(&mut self, port: PortId) {
        let before = self.ports.len();
        self.ports.retain(|(have, _)| *have != port);
        assert_eq!(self.ports.len(), before - 1, "closed once");
    }

    fn port_age(&self, port: PortId) -> Option<Duration> {
        let open = self.ports.iter().any(|(have, _)| *have == port);
        open.then_some(Duration::from_millis(40))
    }

    fn peer(&self, handle: HandleKey) -> Option<PeerId> {
        self.peers.get(&handle).copied()
    }

    fn is_up(&self, handle: HandleKey) -> bool {
        self.up.contains(&handle)
    }

    fn close_pc(&mut self, handle: HandleKey) {
        self.closed.push(handle);
    }

    fn end_session(&mut self, _handle: HandleKey) {}

    fn events_enabled(&self) -> bool {
        self.listens
    }

    fn notify_event(&mut self, _handle: Option<HandleKey>, body: Value) {
        self.notices.push(body);
    }

    fn auth_is_signed(&self) -> bool {
        self.signed.is_some()
    }

    fn auth_signature_contains(&self, _package: &str, token: &str, descriptor: &str) -> bool {
        self.signed.as_ref().is_some_and(|(t, d)| t == token && d == descriptor)
    }

    fn after(&mut self, _delay: Duration) -> Ticket {
        let ticket = Ticket(self.number());
        self.timers.push(ticket);
        ticket
    }

    fn resolve(&mut self, name: &str) -> Ticket {
        let ticket = Ticket(self.number());
        self.lookups.push((ticket, name.to_owned()));
        ticket
    }

    fn http(&mut self, _request: HttpRequest) -> Ticket {
        Ticket(self.number())
    }

    fn store(&mut self, request: StoreRequest) -> Option<Ticket> {
        if !self.has_folder {
            return None;
        }
        let ticket = Ticket(self.number());
        let text = String::from_utf8(request.content).expect("jcfg is UTF-8");
        self.stored.push((ticket, text));
        Some(ticket)
    }

    fn start_service(&mut self, service: Service) -> Option<ServiceId> {
        let id = ServiceId(self.number());
        self.services.push((id, service));
        Some(id)
    }

    fn tell_service(&mut self, service: ServiceId, command: ServiceCommand) {
        self.told.push((service, command));
    }

    fn stop_service(&mut self, service: ServiceId) {
        let before = self.services.len();
        self.services.retain(|(have, _)| *have != service);
        assert_eq!(self.services.len(), before - 1, "stopped once");
    }
}
