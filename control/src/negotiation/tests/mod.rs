//! The negotiation against shards that only write down what they are told.

mod offers;
mod peers;
mod relay;
mod rounds;
mod routes;
mod trickle;

use super::{Negotiation, NegotiationSettings, Negotiator, PeerEvent, Shards};
use bifrons_core::api::{ApiError, JsepRequest};
use bifrons_core::codec::Codec;
use bifrons_core::ice::{InterfaceAddress, LocalPlan, LocalRules};
use bifrons_core::media::{PeerId, PeerSetup, PeerUpdate, ShardCommand, ShardEvent};
use bifrons_core::plugin::{HandleKey, Jsep, JsepKind, OutgoingJsep};
use bifrons_core::rtp::Extension;
use bifrons_core::sdp::{Answer, LineAnswer, Offer, OfferLine, Sdp, Verdict};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

/// Offer of audio, video and a data channel.
const CHROMIUM: &str = include_str!("../../../../core/src/sdp/fixtures/chromium156.sdp");
/// Offer of audio and video in three layers.
const SIMULCAST: &str = include_str!("../../../../core/src/sdp/fixtures/chromium156_simulcast.sdp");
/// Offer of another browser.
const FIREFOX: &str = include_str!("../../../../core/src/sdp/fixtures/firefox153.sdp");

const ADA: HandleKey = HandleKey(1);
const BOB: HandleKey = HandleKey(2);

/// Commands in the order they were sent, with their shard.
#[derive(Clone, Default)]
struct Record(Rc<RefCell<Vec<(u8, ShardCommand)>>>);

/// Shards that only write down.
struct Recorder {
    record: Record,
    sockets: Vec<Vec<SocketAddr>>,
}

impl Shards for Recorder {
    fn count(&self) -> usize {
        self.sockets.len()
    }

    fn sockets(&self, shard: u8) -> &[SocketAddr] {
        &self.sockets[usize::from(shard)]
    }

    fn send(&mut self, shard: u8, command: ShardCommand) {
        self.record.0.borrow_mut().push((shard, command));
    }

    fn flush(&mut self) -> bool {
        false
    }
}

/// A negotiation, and what it told its shards.
struct Bench {
    negotiation: Negotiation,
    record: Record,
}

impl Bench {
    fn new(shards: usize) -> Self {
        Self::with(shards, |_| {})
    }

    fn with(shards: usize, change: impl FnOnce(&mut NegotiationSettings)) -> Self {
        let interface = InterfaceAddress { name: "eth0".into(), ip: [10, 0, 0, 5].into() };
        let rules = LocalRules::default();
        let plan = LocalPlan::new(&[interface], &rules);
        let mut settings = NegotiationSettings::new("AB:CD".into(), plan, rules);
        change(&mut settings);
        let record = Record::default();
        let socket = |shard: usize| vec![SocketAddr::from(([10, 0, 0, 5], 9000 + shard as u16))];
        let recorder =
            Recorder { record: record.clone(), sockets: (0..shards).map(socket).collect() };
        let mut seed = 0u8;
        let random = move |bytes: &mut [u8]| {
            for byte in bytes {
                seed = seed.wrapping_mul(7).wrapping_add(13);
                *byte = seed;
            }
        };
        let mut negotiation = Negotiation::new(settings, Box::new(recorder), Box::new(random));
        negotiation.attached(ADA, 100, None);
        negotiation.attached(BOB, 200, None);
        Bench { negotiation, record }
    }

    /// What was sent since the last look.
    fn sent(&self) -> Vec<(u8, ShardCommand)> {
        std::mem::take(&mut self.record.0.borrow_mut())
    }

    fn only(&self) -> ShardCommand {
        let [(_, command)] = <[_; 1]>::try_from(self.sent()).expect("one command");
        command
    }

    fn setup(&self) -> PeerSetup {
        match self.only() {
            ShardCommand::Open(setup) => *setup,
            other => panic!("not an opening: {other:?}"),
        }
    }

    fn update(&self) -> PeerUpdate {
        match self.only() {
            ShardCommand::Update { update, .. } => *update,
            other => panic!("not an update: {other:?}"),
        }
    }

    fn events(&mut self) -> Vec<(HandleKey, PeerEvent)> {
        std::iter::from_fn(|| self.negotiation.poll_event()).collect()
    }

    fn remote(&mut self, handle: HandleKey, jsep: Value) -> Result<Jsep, ApiError> {
        let jsep = JsepRequest::read(&jsep).expect("a sound jsep");
        self.negotiation.apply_remote(handle, &jsep, Instant::now())
    }

    fn offer(&mut self, handle: HandleKey, sdp: &str) -> Jsep {
        self.remote(handle, json!({ "type": "offer", "sdp": sdp })).expect("a sound offer")
    }

    fn local(&mut self, handle: HandleKey, jsep: OutgoingJsep) -> Result<Sdp, String> {
        let value = self.negotiation.complete_local(handle, jsep, Instant::now())?;
        Ok(Sdp::parse(value["sdp"].as_str().expect("a text")).expect("a sound description"))
    }

    /// Accepts every line of an offer.
    fn answer(&mut self, handle: HandleKey, offer: &Jsep) -> Sdp {
        self.local(handle, accepting(offer)).expect("an answer")
    }

    /// Offer, answer, all candidates known.
    fn connect(&mut self, handle: HandleKey, sdp: &str) -> Sdp {
        let offer = self.offer(handle, sdp);
        self.answer(handle, &offer)
    }

    /// Whether what is not answered yet restarts ICE, as operators are shown it.
    fn restarts(&self, handle: HandleKey) -> bool {
        self.negotiation.view(handle).expect("a connection").restarts
    }

    fn peer(&self, handle: HandleKey) -> PeerId {
        self.negotiation.peer(handle).expect("a PeerConnection")
    }

    fn say(&mut self, event: ShardEvent) -> Vec<(HandleKey, PeerEvent)> {
        self.negotiation.shard_event(event);
        self.events()
    }
}

fn outgoing(kind: JsepKind, sdp: Sdp) -> OutgoingJsep {
    OutgoingJsep { kind, sdp, e2ee: false, restart: false }
}

fn accepting(offer: &Jsep) -> OutgoingJsep {
    const EXTENSIONS: [Extension; 3] = [Extension::Mid, Extension::Rid, Extension::TransportCc];
    let mut answer = Answer::for_offer(&offer.sdp);
    for line in &mut answer.lines {
        *line = LineAnswer {
            verdict: Verdict::Accept,
            extensions: EXTENSIONS.to_vec(),
            ..line.clone()
        };
    }
    outgoing(JsepKind::Answer, answer.build())
}

/// An offer that sends Opus and VP8.
fn sending() -> OutgoingJsep {
    let mut offer = Offer::new("room", 0);
    offer.add(OfferLine::sending_fixed(Codec::Opus));
    offer.add(OfferLine::sending_fixed(Codec::Vp8));
    outgoing(JsepKind::Offer, offer.build())
}

/// What a browser would answer to `offer`, with these credentials.
fn answer_to(offer: &Sdp, ufrag: &str, setup: &str) -> String {
    let mut text = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n".to_owned();
    for media in &offer.media {
        let head = media.head();
        let formats = head.formats.join(" ");
        text += &format!("m={} 9 {} {formats}\r\n", head.media, head.protocol);
        text += "c=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=recvonly\r\n";
        text += &format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:pwdpwdpwdpwdpwdpwdpwdpwd\r\n");
        text += &format!("a=fingerprint:sha-256 {}\r\n", ["AB"; 32].join(":"));
        text += &format!("a=setup:{setup}\r\na=mid:{}\r\n", media.mid().unwrap_or("0"));
        for line in media.lines() {
            let kept = ["rtpmap", "fmtp", "rtcp-fb"];
            if line.attr().is_some_and(|(name, _)| kept.contains(&name)) {
                text += &format!("{}\r\n", line.text());
            }
        }
    }
    text
}

/// The code and the text of a refusal.
fn refused<T: std::fmt::Debug>(result: Result<T, ApiError>) -> String {
    result.expect_err("refused").to_string()
}
