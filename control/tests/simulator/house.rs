//! Control, shards, network and phones on one clock.

use super::net::{Datagram, Net};
use super::node::{Node, config, node};
use super::phone::Phone;
use super::rng::Rng;
use super::seal::SealWatch;
use bifrons_control::auth::Authority;
use bifrons_control::dispatch::{
    ConnectionId, Core, CoreSettings, Moment, Origin, Outgoing, Owner, Parts, ServerFacts,
    TransportId,
};
use bifrons_control::negotiation::{Negotiation, NegotiationSettings, Shards};
use bifrons_core::ice::{InterfaceAddress, LocalPlan, LocalRules};
use bifrons_core::media::ShardCommand;
use bifrons_datapath::dtls_openssl::{Certificate, DtlsContext, DtlsSettings, KeyKind};
use bifrons_datapath::handoff;
use bifrons_datapath::queue::Doorbell;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SHARDS: usize = 2;

/// Commands on their way out of control.
struct Wires {
    sockets: Vec<Vec<SocketAddr>>,
    queues: Rc<RefCell<Vec<VecDeque<ShardCommand>>>>,
}

impl Shards for Wires {
    fn count(&self) -> usize {
        self.sockets.len()
    }

    fn sockets(&self, shard: u8) -> &[SocketAddr] {
        self.sockets.get(usize::from(shard)).map_or(&[], Vec::as_slice)
    }

    fn send(&mut self, shard: u8, command: ShardCommand) {
        if let Some(queue) = self.queues.borrow_mut().get_mut(usize::from(shard)) {
            queue.push_back(command);
        }
    }

    fn flush(&mut self) -> bool {
        false
    }
}

/// See the module.
pub(crate) struct House {
    start: Instant,
    pub(crate) now_us: u64,
    pub(crate) core: Core,
    pub(crate) net: Net,
    nodes: Vec<Node>,
    pub(crate) phones: Vec<Phone>,
    pub(crate) stalled_until_us: u64,
    pub(crate) messages: VecDeque<Value>,
    queues: Rc<RefCell<Vec<VecDeque<ShardCommand>>>>,
    seals: SealWatch,
}

impl House {
    pub(crate) fn new(seed: u64) -> Self {
        let start = Instant::now();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let certificate = Certificate::self_signed(KeyKind::EcP256, since.as_secs() as i64);
        let certificate = certificate.expect("a certificate");
        let context = DtlsContext::new(&certificate, &DtlsSettings::default()).expect("OpenSSL");
        let bells: Vec<_> = (0..SHARDS).map(|_| Doorbell::new().expect("an eventfd")).collect();
        let rings = handoff::link_shards(&bells);
        let nodes: Vec<_> = bells
            .iter()
            .zip(rings)
            .enumerate()
            .map(|(index, (bell, rings))| node(config(index, seed), start, bell, rings, &context))
            .collect();
        let queues = Rc::new(RefCell::new(vec![VecDeque::new(); SHARDS]));
        let sockets: Vec<_> = nodes.iter().map(|node| vec![node.address]).collect();
        let address = InterfaceAddress { name: "eth0".into(), ip: nodes[0].address.ip() };
        let rules = LocalRules::default();
        let plan = LocalPlan::new(&[address], &rules);
        let settings = NegotiationSettings::new(certificate.fingerprint().hex(), plan, rules);
        let mut bytes = Rng::new(seed);
        let mut words = Rng::new(!seed);
        let negotiation = Negotiation::new(
            settings,
            Box::new(Wires { sockets, queues: Rc::clone(&queues) }),
            Box::new(move |out: &mut [u8]| out.fill_with(|| bytes.next() as u8)),
        );
        let now = Moment { at: start, wall_us: 0 };
        let mut core = Core::new(Parts {
            settings: CoreSettings::default(),
            authority: Authority::default(),
            facts: ServerFacts::default(),
            negotiator: Box::new(negotiation),
            random: Box::new(move || words.next()),
            now,
        });
        let echo = Box::<bifrons_echotest::EchoTest>::default();
        core.add_plugin(now, echo, None).expect("the echo test starts");
        let rooms = Box::<bifrons_videoroom::VideoRoom>::default();
        core.add_plugin(now, rooms, None).expect("the rooms start");
        House {
            start,
            now_us: 0,
            core,
            net: Net::new(seed),
            nodes,
            phones: Vec::new(),
            stalled_until_us: 0,
            messages: VecDeque::new(),
            queues,
            seals: SealWatch::default(),
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_micros(self.now_us)
    }

    fn moment(&self) -> Moment {
        Moment { at: self.now(), wall_us: 1_767_225_600_000_000 + self.now_us }
    }

    pub(crate) fn phone(&mut self) -> usize {
        let phone = Phone::new(self.phones.len() as u8 + 1, self.now());
        self.phones.push(phone);
        self.phones.len() - 1
    }

    /// Sends a request; returns its reply.
    pub(crate) fn ask(&mut self, mut request: Value) -> Value {
        request["transaction"] = json!("t");
        let owner = Owner { transport: TransportId(0), connection: ConnectionId(1) };
        self.core.request(self.moment(), Origin { owner, request: 0 }, request);
        let mut reply = None;
        for sent in self.core.take_outgoing() {
            match sent {
                Outgoing::Reply { message, .. } => reply = Some(message),
                Outgoing::Event { message, .. } => self.messages.push_back(message),
                _ => {}
            }
        }
        reply.expect("a reply")
    }

    /// A session with a handle of a plugin.
    pub(crate) fn attach(&mut self, plugin: &str) -> (u64, u64) {
        let session = self.ask(json!({"janus": "create"}))["data"]["id"].clone();
        let attach = json!({"janus": "attach", "session_id": session, "plugin": plugin});
        let handle = self.ask(attach)["data"]["id"].as_u64().expect("a handle");
        (session.as_u64().expect("a session"), handle)
    }

    /// A message to a handle; returns what answers it, be that the reply or a later event.
    pub(crate) fn message(&mut self, to: (u64, u64), body: Value, jsep: Option<Value>) -> Value {
        let mut request = json!({"janus": "message", "session_id": to.0, "handle_id": to.1,
            "body": body});
        if let Some(jsep) = jsep {
            request["jsep"] = jsep;
        }
        let reply = self.ask(request);
        if reply["janus"] != "ack" {
            return reply;
        }
        for _ in 0..100 {
            let answer = |m: &Value| m["sender"] == to.1 && m["transaction"] == "t";
            if let Some(at) = self.messages.iter().position(answer) {
                return self.messages.remove(at).expect("there");
            }
            self.run_for(Duration::from_millis(1));
        }
        panic!("no answer to {reply}; {:?}", self.messages);
    }

    /// Lets virtual time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end_us = self.now_us + time.as_micros() as u64;
        self.settle();
        while let Some(next_us) = self.next_us().filter(|&at| at <= end_us) {
            self.now_us = next_us.max(self.now_us + 1);
            self.settle();
        }
        self.now_us = end_us;
        self.settle();
    }

    fn next_us(&self) -> Option<u64> {
        let us =
            |at: Instant| at.saturating_duration_since(self.start).as_nanos().div_ceil(1000) as u64;
        let phones = self.phones.iter().flat_map(|phone| [phone.due.map(us), phone.next_us()]);
        let nodes = self.nodes.iter().flat_map(|node| {
            let sleep = node.shard.sleep(self.now()).map(|s| self.now_us + s.as_micros() as u64);
            [sleep, node.lane.next_deadline().map(us)]
        });
        let stalled = self.stalled_until_us > self.now_us;
        let control = if stalled { self.stalled_until_us } else { us(self.core.next_deadline()) };
        let known = phones.chain(nodes).flatten();
        known.chain(self.net.next_us()).chain([control]).min()
    }

    fn settle(&mut self) {
        for _ in 0..1_000 {
            let mut busy = self.deliver();
            busy |= self.run_phones();
            busy |= self.run_control();
            for index in 0..self.nodes.len() {
                busy |= self.run_node(index);
            }
            if !busy {
                return;
            }
        }
        panic!("something spins at {} us", self.now_us);
    }

    fn deliver(&mut self) -> bool {
        let (now, mut any) = (self.now(), false);
        while let Some(datagram) = self.net.arrived(self.now_us) {
            any = true;
            if let Some(node) = self.nodes.iter_mut().find(|node| node.address == datagram.to) {
                node.engine.inbox.push_back((0, datagram.from, datagram.bytes));
            } else if let Some(at) = self.phones.iter().position(|p| p.address == datagram.to) {
                self.phones[at].receive(now, &datagram);
                self.run_phone(at);
            }
        }
        any
    }

    fn run_phone(&mut self, at: usize) -> bool {
        let now = self.now();
        let sent = self.phones[at].poll(now, self.now_us);
        let any = !sent.is_empty();
        for datagram in sent {
            self.net.send(self.now_us, true, datagram);
        }
        any
    }

    fn run_phones(&mut self) -> bool {
        let (now, mut any) = (self.now(), false);
        for at in 0..self.phones.len() {
            let phone = &self.phones[at];
            let speaks = phone.next_us().is_some_and(|at_us| at_us <= self.now_us);
            if speaks || phone.due.is_some_and(|at| at <= now) {
                any |= self.run_phone(at);
            }
        }
        any
    }

    fn run_control(&mut self) -> bool {
        if self.stalled_until_us > self.now_us {
            return false;
        }
        let (moment, mut any) = (self.moment(), false);
        if self.core.next_deadline() <= moment.at {
            self.core.tick(moment);
        }
        for (node, queue) in self.nodes.iter_mut().zip(self.queues.borrow_mut().iter_mut()) {
            while let Some(command) = queue.pop_front() {
                any = true;
                assert!(node.commands.push(command).is_ok(), "commands overflow");
            }
        }
        for node in &mut self.nodes {
            while let Some(event) = node.events.pop() {
                any = true;
                self.core.shard_events(moment, [event]);
            }
        }
        for sent in self.core.take_outgoing() {
            if let Outgoing::Event { message, .. } = sent {
                self.messages.push_back(message);
            }
        }
        any
    }

    fn run_node(&mut self, index: usize) -> bool {
        let now = self.now();
        let node = &mut self.nodes[index];
        let any = node.run(now);
        for (_, to, bytes) in std::mem::take(&mut node.engine.sent) {
            if let Some(phone) = self.phones.iter().position(|phone| phone.address == to) {
                self.seals.sent(phone, &bytes);
            }
            self.net.send(self.now_us, false, Datagram { from: node.address, to, bytes });
        }
        any
    }
}
