//! A host that remembers what a plugin asked of it, with PeerConnections that come up on command.

use bifrons_core::config::{Tree, jcfg};
use bifrons_core::media::{DataPlan, PeerId, Plan, Port, PortError, PortId, PortRequest};
use bifrons_core::plugin::{
    Answer, HandleKey, Host, HttpRequest, Jsep, JsepKind, OutgoingJsep, Plugin, PushError,
    ReplyKey, Request, SimulcastLine, StoreRequest, SvcLine, Ticket, Verdict,
};
use bifrons_core::sdp::Sdp;
use bifrons_videoroom::VideoRoom;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// An event as a client would see it.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) handle: HandleKey,
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
    pub(crate) peers: HashMap<HandleKey, PeerId>,
    pub(crate) up: Vec<HandleKey>,
    pub(crate) has_folder: bool,
    pub(crate) listens: bool,
    /// Signed tokens are in use, and this one grants this.
    pub(crate) signed: Option<(String, String)>,
    /// Ports that are open, with what was asked for.
    pub(crate) ports: Vec<(PortId, PortRequest)>,
    pub(crate) shards: u8,
    /// Names that were looked up.
    pub(crate) lookups: Vec<(Ticket, String)>,
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
            self.next += 1;
            let peer = PeerId { shard: 0, slot: self.next as u32, generation: 1 };
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
    fn shards(&self) -> u8 {
        self.shards
    }
    fn open_port(&mut self, request: PortRequest) -> Result<Port, PortError> {
        if self.ports.iter().any(|(_, have)| request.first == request.last && *have == request) {
            return Err(PortError::Refused("taken".to_owned()));
        }
        self.next += 1;
        let id = PortId { shard: request.shard, number: self.next as u32 };
        let number = if request.first == request.last { request.first } else { self.next as u16 };
        self.ports.push((id, request));
        Ok(Port { id, address: ([0, 0, 0, 0], number).into() })
    }
    fn close_port(&mut self, port: PortId) {
        let before = self.ports.len();
        self.ports.retain(|(have, _)| *have != port);
        assert_eq!(self.ports.len(), before - 1, "closed once");
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
    fn auth_signature_contains(&self, package: &str, token: &str, descriptor: &str) -> bool {
        assert_eq!(package, "janus.plugin.videoroom");
        self.signed.as_ref().is_some_and(|(t, d)| t == token && d == descriptor)
    }
    fn after(&mut self, _delay: Duration) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }
    fn resolve(&mut self, name: &str) -> Ticket {
        self.next += 1;
        self.lookups.push((Ticket(self.next), name.to_owned()));
        Ticket(self.next)
    }

    fn http(&mut self, _request: HttpRequest) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }
    fn store(&mut self, request: StoreRequest) -> Option<Ticket> {
        if !self.has_folder {
            return None;
        }
        self.next += 1;
        let text = String::from_utf8(request.content).expect("jcfg is UTF-8");
        self.stored.push((Ticket(self.next), text));
        Some(Ticket(self.next))
    }
}

/// The plugin, the world, and clients.
pub(crate) struct Stage {
    pub(crate) plugin: VideoRoom,
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
        Self::with_tree(&jcfg::read_alone("test", config).expect("valid jcfg"))
    }

    pub(crate) fn with_tree(tree: &Tree) -> Self {
        Self::start(Some(tree), None)
    }

    /// Without any.
    pub(crate) fn without_config() -> Self {
        Self::start(None, None)
    }

    /// With a configuration, and perhaps a token that grants something.
    pub(crate) fn start(tree: Option<&Tree>, signed: Option<(&str, &str)>) -> Self {
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
            up: Vec::new(),
            has_folder: true,
            listens: false,
            signed: signed.map(|(token, grant)| (token.to_owned(), grant.to_owned())),
            ports: Vec::new(),
            shards: 1,
            lookups: Vec::new(),
            next: 100,
        };
        let mut stage = Stage { plugin: VideoRoom::default(), world, handles: 0 };
        stage.plugin.start(&mut stage.world, tree).expect("starts");
        stage
    }

    pub(crate) fn attach(&mut self) -> HandleKey {
        self.handles += 1;
        let handle = HandleKey(self.handles);
        self.plugin.create_session(&mut self.world, handle).expect("attaches");
        handle
    }

    pub(crate) fn message(
        &mut self,
        handle: HandleKey,
        body: Value,
        jsep: Option<Jsep>,
    ) -> Verdict {
        let Value::Object(body) = body else { panic!("bodies are objects") };
        self.world.next += 1;
        let reply = ReplyKey(self.world.next);
        let request = Request { handle, transaction: "tx".to_owned(), body, jsep, reply };
        self.plugin.handle_message(&mut self.world, request)
    }

    /// A synchronous request; its reply, at once or when what is stored is stored.
    pub(crate) fn sync(&mut self, body: Value) -> Value {
        let handle = self.attach();
        self.sync_on(handle, body)
    }

    pub(crate) fn sync_on(&mut self, handle: HandleKey, body: Value) -> Value {
        match self.message(handle, body, None) {
            Verdict::Reply(data) => data,
            Verdict::Deferred => {
                let ticket = self.world.stored.last().expect("stored").0;
                self.plugin.answered(&mut self.world, ticket, Answer::Stored(Ok(())));
                match self.world.replies.pop().expect("answered").1 {
                    Verdict::Reply(data) => data,
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// An asynchronous request; all events it caused, in order.
    pub(crate) fn ask(&mut self, handle: HandleKey, body: Value, jsep: Option<Jsep>) -> Vec<Event> {
        self.world.events.clear();
        assert_eq!(self.message(handle, body, jsep), Verdict::Ack(None));
        self.events()
    }

    /// The one event that answers an asynchronous request.
    pub(crate) fn answer(&mut self, handle: HandleKey, body: Value, jsep: Option<Jsep>) -> Event {
        let events = self.ask(handle, body, jsep);
        let mut own: Vec<_> = events.into_iter().filter(|e| e.transaction.is_some()).collect();
        assert_eq!(own.len(), 1, "{own:?}");
        own.remove(0)
    }

    /// The events so far, taken away.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.world.events)
    }

    /// The plans so far, taken away.
    pub(crate) fn plans(&mut self) -> Vec<Plan> {
        std::mem::take(&mut self.world.plans)
    }

    /// DTLS is done.
    pub(crate) fn up(&mut self, handle: HandleKey) -> PeerId {
        let peer = self.world.peers.get(&handle).copied().expect("negotiated");
        self.world.up.push(handle);
        self.plugin.setup_media(&mut self.world, handle, peer);
        peer
    }

    /// The PeerConnection ends, by request of whomever.
    pub(crate) fn down(&mut self, handle: HandleKey) {
        self.world.peers.remove(&handle);
        self.world.up.retain(|up| *up != handle);
        self.plugin.hangup_media(&mut self.world, handle);
    }

    pub(crate) fn detach(&mut self, handle: HandleKey) {
        self.world.peers.remove(&handle);
        self.world.up.retain(|up| *up != handle);
        self.plugin.destroy_session(&mut self.world, handle);
    }

    /// Closes what the plugin asked to close.
    pub(crate) fn settle(&mut self) {
        for handle in std::mem::take(&mut self.world.closed) {
            if self.world.peers.contains_key(&handle) {
                self.down(handle);
            }
        }
    }

    pub(crate) fn create(&mut self, mut fields: Value) {
        fields["request"] = json!("create");
        let reply = self.sync(fields);
        assert_eq!(reply["videoroom"], "created", "{reply}");
    }

    /// Joins as a participant and gives `joined`.
    pub(crate) fn join(&mut self, room: u64, id: u64) -> (HandleKey, Value) {
        let handle = self.attach();
        let body = json!({ "request": "join", "ptype": "publisher", "room": room, "id": id });
        (handle, self.answer(handle, body, None).data)
    }

    /// Joins, publishes audio and video, and comes up.
    pub(crate) fn publisher(&mut self, room: u64, id: u64) -> HandleKey {
        let (handle, joined) = self.join(room, id);
        assert_eq!(joined["videoroom"], "joined", "{joined}");
        let configured = self.answer(handle, json!({ "request": "configure" }), Some(offer(AV)));
        assert_eq!(configured.data["configured"], "ok", "{:?}", configured.data);
        self.up(handle);
        self.events();
        self.plans();
        handle
    }

    /// Subscribes to `streams`, without answering.
    pub(crate) fn subscriber(&mut self, room: u64, streams: Value) -> (HandleKey, Event) {
        let handle = self.attach();
        let body = json!({
            "request": "join", "ptype": "subscriber", "room": room, "streams": streams,
        });
        let attached = self.answer(handle, body, None);
        (handle, attached)
    }

    /// Subscribes, answers everything, and comes up.
    pub(crate) fn watcher(&mut self, room: u64, streams: Value) -> HandleKey {
        let (handle, attached) = self.subscriber(room, streams);
        self.start_with(handle, attached.jsep.as_ref().expect("an offer"));
        self.up(handle);
        self.events();
        handle
    }

    /// Answers an offer with `start`.
    pub(crate) fn start_with(&mut self, handle: HandleKey, jsep: &OutgoingJsep) -> Vec<Event> {
        let answer = answer_to(jsep);
        self.ask(handle, json!({ "request": "start" }), Some(answer))
    }
}

/// Audio and video as a browser offers them.
pub(crate) const AV: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:a\r\na=sendonly\r\n\
    a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
    a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96 98\r\na=mid:v\r\na=sendonly\r\n\
    a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:98 VP9/90000\r\n\
    a=fmtp:98 profile-id=0\r\na=extmap:13 urn:3gpp:video-orientation\r\n";

pub(crate) fn sdp(media: &str) -> Sdp {
    let text = format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{media}");
    Sdp::parse(&text).expect("valid SDP")
}

pub(crate) fn offer(media: &str) -> Jsep {
    let (simulcast, svc) = (Vec::new(), Vec::new());
    Jsep { kind: JsepKind::Offer, sdp: sdp(media), update: false, e2ee: false, simulcast, svc }
}

/// The same, with simulcast on the video line.
pub(crate) fn simulcast_offer() -> Jsep {
    let line = SimulcastLine { mindex: 1, mid: "v".to_owned(), layers: 3 };
    Jsep { simulcast: vec![line], ..offer(AV) }
}

/// The same, with SVC on the video line.
pub(crate) fn svc_offer() -> Jsep {
    let line = SvcLine { mindex: 1, mode: "L3T3".to_owned() };
    Jsep { svc: vec![line], ..offer(AV) }
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
    assert_eq!(data["videoroom"], "event", "{data}");
    data["error_code"].as_i64().unwrap_or_else(|| panic!("no error: {data}"))
}

/// The data of the events a handle got.
pub(crate) fn of(events: &[Event], handle: HandleKey) -> Vec<Value> {
    events.iter().filter(|e| e.handle == handle).map(|e| e.data.clone()).collect()
}

pub(crate) fn keys(value: &Value) -> Vec<String> {
    value.as_object().map(Map::keys).map(|keys| keys.cloned().collect()).unwrap_or_default()
}
