//! The plugin before a host that notes what it is asked.

use crate::plugin::EchoTest;
use bifrons_core::media::{
    Delay, Fact, LayerKind, PeerId, Plan, Route, RtcpRule, Selection, SinkId, SourceId,
};
use bifrons_core::plugin::*;
use bifrons_core::sdp::Sdp;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const HANDLE: HandleKey = HandleKey(7);
const PEER: PeerId = PeerId { shard: 0, slot: 3, generation: 1 };

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96 98\r\na=mid:v\r\na=sendrecv\r\na=rtpmap:96 VP8/90000\r\n\
    a=rtpmap:98 H264/90000\r\n";

/// What the plugin did.
struct NotingHost {
    now: Instant,
    events: Vec<Value>,
    answers: Vec<String>,
    plans: Vec<Plan>,
    told: Vec<Value>,
}

impl Host for NotingHost {
    fn now(&self) -> Instant {
        self.now
    }

    fn wall_us(&self) -> u64 {
        0
    }

    fn random(&mut self) -> u64 {
        4
    }

    fn push_event(
        &mut self,
        handle: HandleKey,
        _: Option<&str>,
        data: Value,
        jsep: Option<OutgoingJsep>,
    ) -> Result<(), PushError> {
        assert_eq!(handle, HANDLE);
        self.events.push(data);
        self.answers.extend(jsep.map(|jsep| jsep.sdp.to_string()));
        Ok(())
    }

    fn reply(&mut self, _: ReplyKey, _: Verdict) {}

    fn plan(&mut self, plan: Plan) {
        self.plans.push(plan);
    }

    fn peer(&self, _: HandleKey) -> Option<PeerId> {
        Some(PEER)
    }

    fn is_up(&self, _: HandleKey) -> bool {
        true
    }

    fn close_pc(&mut self, _: HandleKey) {}

    fn end_session(&mut self, _: HandleKey) {}

    fn events_enabled(&self) -> bool {
        true
    }

    fn notify_event(&mut self, _: Option<HandleKey>, body: Value) {
        self.told.push(body);
    }

    fn auth_is_signed(&self) -> bool {
        false
    }

    fn auth_signature_contains(&self, _: &str, _: &str, _: &str) -> bool {
        false
    }

    fn after(&mut self, _: Duration) -> Ticket {
        Ticket(1)
    }

    fn resolve(&mut self, _: &str) -> Ticket {
        Ticket(2)
    }

    fn http(&mut self, _: HttpRequest) -> Ticket {
        Ticket(3)
    }

    fn store(&mut self, _: StoreRequest) -> Option<Ticket> {
        None
    }
}

/// One handle.
struct Bench {
    plugin: EchoTest,
    host: NotingHost,
}

impl Bench {
    fn new() -> Self {
        let mut host = NotingHost {
            now: Instant::now(),
            events: Vec::new(),
            answers: Vec::new(),
            plans: Vec::new(),
            told: Vec::new(),
        };
        let mut plugin = EchoTest::default();
        plugin.create_session(&mut host, HANDLE).expect("accepted");
        Bench { plugin, host }
    }

    fn send(&mut self, body: Value, jsep: Option<Jsep>) -> Vec<Value> {
        let request = Request {
            handle: HANDLE,
            transaction: "t".to_owned(),
            body: body.as_object().expect("an object").clone(),
            jsep,
            reply: ReplyKey(1),
        };
        let verdict = self.plugin.handle_message(&mut self.host, request);
        assert!(matches!(verdict, Verdict::Ack(Some(_))));
        std::mem::take(&mut self.host.events)
    }

    /// A call that is up, with what the plugin planned for it.
    fn up(&mut self, change: impl FnOnce(&mut Jsep)) -> Vec<Plan> {
        let sdp = Sdp::parse(OFFER).expect("an SDP");
        let kind = JsepKind::Offer;
        let mut jsep =
            Jsep { kind, sdp, update: false, e2ee: false, simulcast: vec![], svc: vec![] };
        change(&mut jsep);
        assert_eq!(self.send(json!({"audio": true}), Some(jsep)), [ok()]);
        self.host.plans.clear();
        self.plugin.setup_media(&mut self.host, HANDLE, PEER);
        std::mem::take(&mut self.host.plans)
    }

    fn plans_of(&mut self, body: Value) -> Vec<Plan> {
        assert_eq!(self.send(body, None), [ok()]);
        std::mem::take(&mut self.host.plans)
    }

    fn fact(&mut self, fact: Fact) -> Vec<Value> {
        self.plugin.fact(&mut self.host, HANDLE, &fact);
        std::mem::take(&mut self.host.events)
    }
}

fn ok() -> Value {
    json!({"echotest": "event", "result": "ok"})
}

fn routes(plans: &[Plan]) -> Vec<Route> {
    let mut routes = Vec::new();
    for plan in plans {
        if let Plan::Route { source: SourceId::Line(from), sink: SinkId::Line(to), route } = plan {
            assert_eq!(from, to, "a line comes back on itself");
            routes.push(*route);
        }
    }
    routes
}

#[test]
fn a_call_is_two_routes_that_relay_feedback_and_a_keyframe() {
    let mut bench = Bench::new();
    let plans = bench.up(|_| {});
    let routes = routes(&plans);
    assert_eq!(routes.len(), 2);
    assert!(routes.iter().all(|route| route.enabled && route.rtcp == RtcpRule::Relay));
    let video = SourceId::Line(PEER.line(1));
    assert!(plans.contains(&Plan::Keyframe { source: video }));
    assert!(!plans.iter().any(|plan| matches!(plan, Plan::Remb { .. })));
}

#[test]
fn muting_switches_one_route_off() {
    let mut bench = Bench::new();
    bench.up(|_| {});
    let off = bench.plans_of(json!({"video": false}));
    assert_eq!(routes(&off).iter().map(|route| route.enabled).collect::<Vec<_>>(), [true, false]);
    assert!(!off.iter().any(|plan| matches!(plan, Plan::Keyframe { .. })));
    let on = bench.plans_of(json!({"video": true}));
    assert!(on.iter().any(|plan| matches!(plan, Plan::Keyframe { .. })));
    let told = json!({"audio_active": true, "video_active": true, "bitrate": 0});
    assert_eq!(bench.host.told.last(), Some(&told));
}

#[test]
fn a_peers_estimate_is_answered_with_the_configured_bitrate() {
    let mut bench = Bench::new();
    bench.up(|_| {});
    let remb = |plans: &[Plan]| {
        plans.iter().find_map(|plan| match plan {
            Plan::Remb { peer: PEER, bps } => Some(*bps),
            _ => None,
        })
    };
    assert_eq!(remb(&bench.plans_of(json!({"bitrate": 128_000}))), Some(128_000));
    assert_eq!(bench.fact(Fact::Remb { bps: 55_000 }), [] as [Value; 0]);
    assert_eq!(remb(&std::mem::take(&mut bench.host.plans)), Some(128_000));
    assert_eq!(bench.plugin.query_session(HANDLE)["peer-bitrate"], 55_000);
    assert_eq!(remb(&bench.plans_of(json!({"bitrate": 0}))), Some(10_000_000));
    assert_eq!(remb(&bench.plans_of(json!({"audio": true}))), None);
}

fn simulcast(jsep: &mut Jsep) {
    jsep.simulcast.push(SimulcastLine { mindex: 1, mid: "v".to_owned(), layers: 3 });
}

#[test]
fn layers_are_told_and_a_target_that_flows_is_confirmed_first() {
    let mut bench = Bench::new();
    bench.up(simulcast);
    let layer = |kind, layer| Fact::Layer { mindex: 1, kind, layer };
    let event = |substream: i8, temporal: i8| {
        json!({"echotest": "event", "videocodec": "vp8",
        "substream": substream, "temporal": temporal})
    };
    assert_eq!(bench.fact(layer(LayerKind::Substream, 1)), [event(1, -1)]);
    assert_eq!(bench.fact(layer(LayerKind::Temporal, 0)), [event(1, 0)]);
    let events = bench.send(json!({"substream": 1, "temporal": 2}), None);
    let confirmed = json!({"echotest": "event", "videocodec": "vp8", "substream": 1});
    assert_eq!(events, [confirmed, ok()]);
    let target = routes(&bench.host.plans)[1].layers;
    assert_eq!((target.selection, target.spatial, target.temporal), (Selection::Simulcast, 1, 2));
    // What is for SVC says nothing here.
    assert_eq!(bench.send(json!({"spatial_layer": 1}), None), [ok()]);
}

#[test]
fn one_playout_delay_limit_drags_the_other() {
    let mut bench = Bench::new();
    bench.up(|_| {});
    let mut delay = |body: Value| routes(&bench.plans_of(body))[1].delay;
    let both = |min, max| Some(Delay { min, max });
    assert_eq!(delay(json!({"min_delay": 5})), both(5, 5));
    assert_eq!(delay(json!({"max_delay": 9})), both(5, 9));
    assert_eq!(delay(json!({"min_delay": 20})), both(20, 20));
    assert_eq!(delay(json!({"max_delay": 3})), both(3, 3));
    assert_eq!(delay(json!({"max_delay": 99_999})), both(3, 4095));
    assert_eq!(delay(json!({"min_delay": -1})), None);
}

#[test]
fn a_slow_link_counts_and_names_its_medium() {
    let mut bench = Bench::new();
    bench.up(|_| {});
    let slow = |mindex, uplink| Fact::SlowLink { mindex, uplink, lost: 9 };
    let audio = json!({"echotest": "event", "event": "slow_link", "media": "audio"});
    assert_eq!(bench.fact(slow(0, false)), [audio]);
    let video = json!({"echotest": "event", "event": "slow_link", "media": "video",
        "current-bitrate": 0});
    assert_eq!(bench.fact(slow(1, false)), [video]);
    assert_eq!(bench.fact(slow(1, true)), [] as [Value; 0]);
    assert_eq!(bench.plugin.query_session(HANDLE)["slowlink_count"], 2);
}

#[test]
fn a_hangup_sets_everything_back() {
    let mut bench = Bench::new();
    let fresh = bench.plugin.query_session(HANDLE);
    bench.up(|jsep| jsep.e2ee = true);
    bench.plans_of(json!({"audio": false, "bitrate": 1000, "min_delay": 1}));
    assert_ne!(bench.plugin.query_session(HANDLE), fresh);
    bench.plugin.hangup_media(&mut bench.host, HANDLE);
    let done = json!({"echotest": "event", "result": "done"});
    assert_eq!(std::mem::take(&mut bench.host.events), [done]);
    assert_eq!(bench.plugin.query_session(HANDLE), fresh);
    assert_eq!(bench.plans_of(json!({"video": true})), []);
}

#[test]
fn lines_that_cannot_be_echoed_are_not() {
    let sending = OFFER.replacen("a=sendrecv", "a=sendonly", 1);
    let receiving = OFFER.replacen("a=sendrecv", "a=recvonly", 1);
    let second = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:b\r\na=rtpmap:111 opus/48000/2\r\n";
    for (offer, want) in [
        (sending, "a=recvonly"),
        (receiving, "a=inactive"),
        (format!("{OFFER}{second}"), "m=audio 0 "),
    ] {
        let mut bench = Bench::new();
        bench.up(|jsep| jsep.sdp = Sdp::parse(&offer).expect("an SDP"));
        let answer = &bench.host.answers[0];
        assert!(answer.contains(want), "{answer}");
    }
}
