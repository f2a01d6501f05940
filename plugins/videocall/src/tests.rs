//! What a side's settings come to. Requests and events are held over the wire
//! (`control/tests/conform/videocall`).

use crate::api::Wishes;
use crate::call::{AgreedLine, Leg, agreed};
use bifrons_core::codec::Codec;
use bifrons_core::media::{
    DataPlan, LayerKind, MediaKind, PeerId, Plan, Route, Selection, SinkId, SourceId,
};
use bifrons_core::sdp::Sdp;

const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 1.1.1.1\r\ns=-\r\nt=0 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\na=rtpmap:63 red/48000/2\r\n\
    a=rtpmap:111 opus/48000/2\r\n\
    m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 98\r\na=rtpmap:98 VP9/90000\r\n\
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";

fn leg(slot: u32) -> Leg {
    let lines = agreed(&Sdp::parse(ANSWER).expect("an SDP"));
    Leg { peer: Some(PeerId { shard: 0, slot, generation: 1 }), lines, ..Leg::default() }
}

/// The routes among plans, by line.
fn routes(plans: &[Plan]) -> Vec<(SourceId, SinkId, Route)> {
    let route = |plan: &Plan| match *plan {
        Plan::Route { source, sink, route } => Some((source, sink, route)),
        _ => None,
    };
    plans.iter().filter_map(route).collect()
}

#[test]
fn lines_are_those_that_the_answer_accepts() {
    let line = |mindex, kind, codec, red| AgreedLine { mindex, kind, codec, red };
    let expected = [
        line(0, MediaKind::Audio, Some(Codec::Opus), true),
        line(2, MediaKind::Video, Some(Codec::Vp9), false),
        line(3, MediaKind::Data, None, false),
    ];
    assert_eq!(leg(1).lines, expected);
}

#[test]
fn each_line_goes_to_the_same_line_of_the_other() {
    let (alice, bob) = (leg(1), leg(2));
    let (from, to) = (alice.peer.expect("one"), bob.peer.expect("one"));
    let plans = routes(&alice.plans(&bob));
    let ends: Vec<_> = plans.iter().map(|(source, sink, _)| (*source, *sink)).collect();
    let end = |mindex| (SourceId::Line(from.line(mindex)), SinkId::Line(to.line(mindex)));
    assert_eq!(ends, [end(0), end(2)]);
    let (source, sink) = end(3);
    let data =
        [DataPlan::Route { source, sink, label: None }, DataPlan::Deliver { source, on: false }];
    assert_eq!(alice.data_plans(&bob), data);
    let down = Leg { peer: None, ..leg(2) };
    assert!(alice.plans(&down).is_empty() && alice.data_plans(&down).is_empty());
}

#[test]
fn who_is_mute_sends_nothing_and_receives_all() {
    let (mut alice, bob) = (leg(1), leg(2));
    alice.change(&Wishes { audio: Some(false), ..Wishes::default() }, false);
    let on = |plans: Vec<Plan>| -> Vec<bool> {
        routes(&plans).iter().map(|(_, _, route)| route.enabled).collect()
    };
    assert_eq!(on(alice.plans(&bob)), [false, true]);
    assert_eq!(on(bob.plans(&alice)), [true, true]);
}

#[test]
fn layers_are_chosen_by_who_receives_them() {
    let (mut alice, mut bob) = (leg(1), leg(2));
    alice.simulcast = Some(2);
    bob.substream = 2;
    let wishes = Wishes { substream: Some(2), temporal: Some(1), ..Wishes::default() };
    assert_eq!(bob.change(&wishes, true), (vec![(LayerKind::Substream, 2)], true));
    let there = routes(&alice.plans(&bob));
    assert_eq!(there[1].2.layers.selection, Selection::Simulcast);
    assert_eq!((there[1].2.layers.spatial, there[1].2.layers.temporal), (2, 1));
    let back = routes(&bob.plans(&alice));
    assert_eq!(back[1].2.layers.selection, Selection::Whole);
    // Without simulcast there is nothing to confirm.
    assert_eq!(alice.change(&wishes, false), (Vec::new(), false));
}

#[test]
fn no_bitrate_is_ten_megabits() {
    let mut alice = leg(1);
    let remb = |leg: &Leg| match leg.remb() {
        Some(Plan::Remb { bps, .. }) => bps,
        other => panic!("{other:?}"),
    };
    assert_eq!(remb(&alice), 10_000_000);
    alice.change(&Wishes { bitrate_bps: Some(64_000), ..Wishes::default() }, false);
    assert_eq!(remb(&alice), 64_000);
}
