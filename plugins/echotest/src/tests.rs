//! The plugin before a host that remembers what it was asked.

use crate::plugin::EchoTest;
use bifrons_core::media::{
    Delay, Fact, LayerKind, PeerId, Plan, Route, RtcpRule, Selection, SinkId, SourceId,
};
use bifrons_core::plugin::*;
use bifrons_core::sdp::Sdp;
use bifrons_stage::{Stage, World};
use serde_json::{Value, json};

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96 98\r\na=mid:v\r\na=sendrecv\r\na=rtpmap:96 VP8/90000\r\n\
    a=rtpmap:98 H264/90000\r\n";

/// One handle.
struct Bench {
    stage: Stage<EchoTest>,
    handle: HandleKey,
}

impl Bench {
    fn new() -> Self {
        let mut stage = Stage::start(World::default(), None);
        stage.world.listens = true;
        let handle = stage.attach();
        Bench { stage, handle }
    }

    fn send(&mut self, body: Value, jsep: Option<Jsep>) -> Vec<Value> {
        let verdict = self.stage.message(self.handle, body, jsep);
        assert!(matches!(verdict, Verdict::Ack(Some(_))));
        self.stage.told()
    }

    /// Negotiates; what was answered.
    fn offer(&mut self, change: impl FnOnce(&mut Jsep)) -> String {
        let sdp = Sdp::parse(OFFER).expect("an SDP");
        let kind = JsepKind::Offer;
        let mut jsep =
            Jsep { kind, sdp, update: false, e2ee: false, simulcast: vec![], svc: vec![] };
        change(&mut jsep);
        let body = json!({"audio": true});
        let verdict = self.stage.message(self.handle, body, Some(jsep));
        assert!(matches!(verdict, Verdict::Ack(Some(_))));
        let events = self.stage.events();
        assert_eq!((events.len(), &events[0].data), (1, &ok()));
        events[0].jsep.as_ref().expect("an answer").sdp.to_string()
    }

    /// A call that is up, with what the plugin planned for it.
    fn up(&mut self, change: impl FnOnce(&mut Jsep)) -> Vec<Plan> {
        self.offer(change);
        self.stage.plans();
        self.stage.up(self.handle);
        self.stage.plans()
    }

    fn peer(&self) -> PeerId {
        self.stage.world.peers[&self.handle]
    }

    fn plans_of(&mut self, body: Value) -> Vec<Plan> {
        assert_eq!(self.send(body, None), [ok()]);
        self.stage.plans()
    }

    fn fact(&mut self, fact: Fact) -> Vec<Value> {
        self.stage.plugin.fact(&mut self.stage.world, self.handle, &fact);
        self.stage.told()
    }

    fn info(&self) -> Value {
        self.stage.plugin.query_session(self.handle)
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
    let video = SourceId::Line(bench.peer().line(1));
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
    assert_eq!(bench.stage.world.notices.last(), Some(&told));
}

#[test]
fn a_peers_estimate_is_answered_with_the_configured_bitrate() {
    let mut bench = Bench::new();
    bench.up(|_| {});
    let to = bench.peer();
    let remb = |plans: &[Plan]| {
        plans.iter().find_map(|plan| match plan {
            Plan::Remb { peer, bps } if *peer == to => Some(*bps),
            _ => None,
        })
    };
    assert_eq!(remb(&bench.plans_of(json!({"bitrate": 128_000}))), Some(128_000));
    assert_eq!(bench.fact(Fact::Remb { bps: 55_000 }), [] as [Value; 0]);
    assert_eq!(remb(&bench.stage.plans()), Some(128_000));
    assert_eq!(bench.info()["peer-bitrate"], 55_000);
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
    let target = routes(&bench.stage.world.plans)[1].layers;
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
    assert_eq!(bench.info()["slowlink_count"], 2);
}

#[test]
fn a_hangup_sets_everything_back() {
    let mut bench = Bench::new();
    let fresh = bench.info();
    bench.up(|jsep| jsep.e2ee = true);
    bench.plans_of(json!({"audio": false, "bitrate": 1000, "min_delay": 1}));
    assert_ne!(bench.info(), fresh);
    bench.stage.down(bench.handle);
    let done = json!({"echotest": "event", "result": "done"});
    assert_eq!(bench.stage.told(), [done]);
    assert_eq!(bench.info(), fresh);
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
        let answer = bench.offer(|jsep| jsep.sdp = Sdp::parse(&offer).expect("an SDP"));
        assert!(answer.contains(want), "{answer}");
    }
}
