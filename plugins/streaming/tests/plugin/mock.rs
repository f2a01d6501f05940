//! A host that remembers what a plugin asked of it, with PeerConnections that come up on command.

use bifrons_core::config::{Tree, jcfg};
use bifrons_core::media::{DataPlan, PeerId, Plan, Port, PortError, PortId, PortRequest};
use bifrons_core::plugin::{
    Answer, HandleKey, Host, HttpRequest, Jsep, JsepKind, OutgoingJsep, Plugin, PushError,
    ReplyKey, Request, Service, ServiceCommand, ServiceEvent, ServiceId, StoreRequest, Ticket,
    Verdict,
};
use bifrons_core::sdp::Sdp;
use bifrons_streaming::Streaming;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// An event as a client would see it.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) transaction: Option<String>,
    pub(crate) data: Value,
    pub(crate) jsep: Option<OutgoingJsep>,
}

/// What the plugin sees of the world.
#[derive(Debug)]
pub(crate) struct World {
    now: Instant,
    random: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) plans: Vec<Plan>,
    pub(crate) data_plans: Vec<DataPlan>,
    pub(crate) closed: Vec<HandleKey>,
    pub(crate) replies: Vec<(ReplyKey, Verdict)>,
    pub(crate) notices: Vec<Value>,
    pub(crate) stored: Vec<(Ticket, String)>,
    peers: HashMap<HandleKey, PeerId>,
    /// Ports that are open, and their numbers.
    pub(crate) ports: Vec<(PortId, PortRequest)>,
    /// Ports that somebody else has.
    pub(crate) taken: Vec<u16>,
    pub(crate) services: Vec<(ServiceId, Service)>,
    pub(crate) told: Vec<(ServiceId, ServiceCommand)>,
    next: u64,
}

impl Host for World {
    fn now(&self) -> Instant {
        self.now
    }
    fn wall_us(&self) -> u64 {
        1_700_000_000_000_000
    }
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random
    }
    fn push_event(
        &mut self,
        handle: HandleKey,
        transaction: Option<&str>,
        data: Value,
        jsep: Option<OutgoingJsep>,
    ) -> Result<(), PushError> {
        if jsep.is_some() && !self.peers.contains_key(&handle) {
            self.next += 1;
            let peer = PeerId { shard: 0, slot: self.next as u32, generation: 1 };
            self.peers.insert(handle, peer);
        }
        let transaction = transaction.map(str::to_owned);
        self.events.push(Event { transaction, data, jsep });
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
    fn open_port(&mut self, request: PortRequest) -> Result<Port, PortError> {
        let same = |have: &PortRequest| have.first == request.first && have.group == request.group;
        let taken = self.taken.contains(&request.first);
        if taken || self.ports.iter().any(|(_, have)| same(have)) {
            return Err(PortError::Refused("taken".to_owned()));
        }
        self.next += 1;
        let id = PortId { shard: request.shard, number: self.next as u32 };
        self.ports.push((id, request));
        Ok(Port { id, address: ([0, 0, 0, 0], request.first).into() })
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
    fn is_up(&self, _handle: HandleKey) -> bool {
        false
    }
    fn close_pc(&mut self, handle: HandleKey) {
        self.closed.push(handle);
    }
    fn end_session(&mut self, _handle: HandleKey) {}
    fn events_enabled(&self) -> bool {
        true
    }
    fn notify_event(&mut self, _handle: Option<HandleKey>, body: Value) {
        self.notices.push(body);
    }
    fn auth_is_signed(&self) -> bool {
        false
    }
    fn auth_signature_contains(&self, _: &str, _: &str, _: &str) -> bool {
        false
    }
    fn after(&mut self, _delay: Duration) -> Ticket {
        Ticket(0)
    }
    fn resolve(&mut self, _name: &str) -> Ticket {
        Ticket(0)
    }
    fn http(&mut self, _request: HttpRequest) -> Ticket {
        Ticket(0)
    }
    fn store(&mut self, request: StoreRequest) -> Option<Ticket> {
        self.next += 1;
        let text = String::from_utf8(request.content).expect("jcfg is UTF-8");
        self.stored.push((Ticket(self.next), text));
        Some(Ticket(self.next))
    }
    fn start_service(&mut self, service: Service) -> Option<ServiceId> {
        self.next += 1;
        self.services.push((ServiceId(self.next), service));
        Some(ServiceId(self.next))
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

/// The plugin, the world, and clients.
pub(crate) struct Stage {
    pub(crate) plugin: Streaming,
    pub(crate) world: World,
    handles: u64,
}

impl Stage {
    /// With an empty configuration.
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// With this configuration.
    pub(crate) fn with(config: &str) -> Self {
        let tree = jcfg::read_alone("test", config).expect("valid jcfg");
        Self::start(Some(&tree))
    }

    pub(crate) fn start(tree: Option<&Tree>) -> Self {
        let world = World {
            now: Instant::now(),
            random: 7,
            events: Vec::new(),
            plans: Vec::new(),
            data_plans: Vec::new(),
            closed: Vec::new(),
            replies: Vec::new(),
            notices: Vec::new(),
            stored: Vec::new(),
            peers: HashMap::new(),
            ports: Vec::new(),
            taken: Vec::new(),
            services: Vec::new(),
            told: Vec::new(),
            next: 100,
        };
        let mut stage = Stage { plugin: Streaming::default(), world, handles: 0 };
        stage.plugin.start(&mut stage.world, tree).expect("starts");
        stage
    }

    pub(crate) fn attach(&mut self) -> HandleKey {
        self.handles += 1;
        let handle = HandleKey(self.handles);
        self.plugin.create_session(&mut self.world, handle).expect("attaches");
        handle
    }

    fn message(&mut self, handle: HandleKey, body: Value, jsep: Option<Jsep>) -> Verdict {
        let Value::Object(body) = body else { panic!("bodies are objects") };
        self.world.next += 1;
        let reply = ReplyKey(self.world.next);
        let request = Request { handle, transaction: "tx".to_owned(), body, jsep, reply };
        self.plugin.handle_message(&mut self.world, request)
    }

    /// A synchronous request; its reply, at once or when what is stored is stored.
    pub(crate) fn sync(&mut self, body: Value) -> Value {
        let handle = self.attach();
        match self.message(handle, body, None) {
            Verdict::Reply(data) => data,
            Verdict::Deferred => {
                let ticket = self.world.stored.last().expect("stored").0;
                self.plugin.answered(&mut self.world, ticket, Answer::Stored(Ok(())));
                self.late()
            }
            other => panic!("{other:?}"),
        }
    }

    /// A synchronous request that waits for a service, and what that says.
    pub(crate) fn tried(&mut self, body: Value, says: ServiceEvent) -> Value {
        self.tried_with(body, |_| says.clone())
    }

    /// The same where what it says depends on what was started.
    pub(crate) fn tried_with(
        &mut self,
        body: Value,
        says: impl Fn(&Service) -> ServiceEvent,
    ) -> Value {
        let handle = self.attach();
        assert_eq!(self.message(handle, body, None), Verdict::Deferred);
        let (service, started) = self.world.services.last().cloned().expect("started");
        self.says(service, &says(&started));
        self.late()
    }

    /// What was answered late.
    fn late(&mut self) -> Value {
        match self.world.replies.pop().expect("answered").1 {
            Verdict::Reply(data) => data,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn says(&mut self, service: ServiceId, event: &ServiceEvent) {
        if matches!(event, ServiceEvent::Failed { .. }) {
            self.world.services.retain(|(have, _)| *have != service);
        }
        self.plugin.service_event(&mut self.world, service, event);
    }

    /// An asynchronous request; all events it caused, in order.
    pub(crate) fn ask(&mut self, handle: HandleKey, body: Value, jsep: Option<Jsep>) -> Vec<Event> {
        self.world.events.clear();
        assert_eq!(self.message(handle, body, jsep), Verdict::Ack(None));
        std::mem::take(&mut self.world.events)
    }

    /// The one event that answers an asynchronous request.
    pub(crate) fn answer(&mut self, handle: HandleKey, body: Value, jsep: Option<Jsep>) -> Event {
        let events = self.ask(handle, body, jsep);
        let mut own: Vec<_> = events.into_iter().filter(|e| e.transaction.is_some()).collect();
        assert_eq!(own.len(), 1, "{own:?}");
        own.remove(0)
    }

    /// The same for `{request}` alone; its `result`, or the whole error.
    pub(crate) fn say(&mut self, handle: HandleKey, body: Value) -> Value {
        let data = self.answer(handle, body, None).data;
        data.get("result").cloned().unwrap_or(data)
    }

    /// The events so far, taken away.
    pub(crate) fn events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.world.events).into_iter().map(|event| event.data).collect()
    }

    /// The plans so far, taken away.
    pub(crate) fn plans(&mut self) -> Vec<Plan> {
        std::mem::take(&mut self.world.plans)
    }

    /// DTLS is done.
    pub(crate) fn up(&mut self, handle: HandleKey) -> PeerId {
        let peer = self.world.peers.get(&handle).copied().expect("negotiated");
        self.plugin.setup_media(&mut self.world, handle, peer);
        peer
    }

    /// The PeerConnection ends, by request of whomever.
    pub(crate) fn down(&mut self, handle: HandleKey) {
        self.world.peers.remove(&handle);
        self.plugin.hangup_media(&mut self.world, handle);
    }

    /// Makes a mountpoint, which has to succeed; the reply.
    pub(crate) fn create(&mut self, mut fields: Value) -> Value {
        fields["request"] = json!("create");
        let reply = self.sync(fields);
        assert_eq!(reply["streaming"], "created", "{reply}");
        reply
    }

    /// A mountpoint of Opus and VP8.
    pub(crate) fn stage_of(&mut self, id: u64) -> Value {
        self.create(json!({ "type": "rtp", "id": id, "media": [audio(), video()] }))
    }

    /// Somebody who watches it, up.
    pub(crate) fn viewer(&mut self, body: Value) -> HandleKey {
        let handle = self.attach();
        let mut body = body;
        body["request"] = json!("watch");
        let offered = self.answer(handle, body, None);
        assert_eq!(offered.data["result"]["status"], "preparing", "{}", offered.data);
        let answer = answer_to(&offered.jsep.expect("an offer"));
        let started = self.answer(handle, json!({ "request": "start" }), Some(answer));
        assert_eq!(started.data["result"]["status"], "starting");
        self.up(handle);
        assert_eq!(self.events().pop().expect("told")["result"]["status"], "started");
        handle
    }
}

pub(crate) fn audio() -> Value {
    json!({ "type": "audio", "mid": "a1", "port": 0, "pt": 111, "codec": "opus" })
}

pub(crate) fn video() -> Value {
    json!({ "type": "video", "mid": "v1", "port": 0, "rtcpport": 0, "pt": 96, "codec": "vp8" })
}

pub(crate) fn offer(media: &str) -> Jsep {
    let text = format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{media}");
    let sdp = Sdp::parse(&text).expect("valid SDP");
    let (simulcast, svc) = (Vec::new(), Vec::new());
    Jsep { kind: JsepKind::Offer, sdp, update: false, e2ee: false, simulcast, svc }
}

/// What a client answers: everything, as offered.
pub(crate) fn answer_to(offered: &OutgoingJsep) -> Jsep {
    let text = offered.sdp.to_string().replace("a=sendonly", "a=recvonly");
    let sdp = Sdp::parse(&text).expect("what we offer is valid");
    let (simulcast, svc) = (Vec::new(), Vec::new());
    Jsep { kind: JsepKind::Answer, sdp, update: false, e2ee: offered.e2ee, simulcast, svc }
}

/// The error code of a reply or event.
pub(crate) fn code(data: &Value) -> i64 {
    assert_eq!(data["streaming"], "event", "{data}");
    data["error_code"].as_i64().unwrap_or_else(|| panic!("no error: {data}"))
}
