//! What shards notice, and what hangs up (core-api §3.7, §3.8, §5).

use super::fakes::PEER;
use super::*;
use bifrons_core::media::Fact;

#[test]
fn core_api_17_detach_is_one_detached_event_and_no_hangup() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.negotiate(at);
    server.all_sent();
    server.log.take();
    let reply = server.on(at, json!({"janus": "detach"}));
    assert_eq!(reply, json!({"janus": "success", "session_id": at.0, "transaction": "t"}));
    let want = json!({"janus": "detached", "session_id": at.0, "sender": at.1});
    assert_eq!(server.events(), [want]);
    assert_eq!(server.log.take(), ["hangup Detach", "destroy_session"]);
    assert!(error_of(&server.on(at, json!({"janus": "detach"}))).starts_with("459"));
}

#[test]
fn core_api_18_and_19_hangup_with_and_without_a_peerconnection() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.all_sent();
    assert_eq!(server.on(at, json!({"janus": "hangup"}))["janus"], "success");
    assert_eq!(server.events(), [] as [Value; 0]);
    for _ in 0..2 {
        server.negotiate(at);
        server.all_sent();
        server.log.take();
        assert_eq!(server.on(at, json!({"janus": "hangup"}))["janus"], "success");
        let events = server.events();
        assert_eq!(words(&events), ["event", "hangup"]);
        assert_eq!(events[1]["reason"], "Janus API");
        assert_eq!(events[1]["sender"], at.1);
        assert_eq!(server.log.take(), ["hangup Janus API", "hangup_media"]);
    }
}

#[test]
fn a_plugin_closes_and_ends_after_its_own_reply() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.negotiate(at);
    server.all_sent();
    server.log.take();
    let ask = |word: &str| json!({"janus": "message", "body": {"do": word}});
    assert_eq!(server.on(at, ask("close"))["janus"], "ack");
    let events = server.events();
    assert_eq!(events.last().map(|e| &e["reason"]), Some(&json!("Close PC")));
    assert_eq!(server.on(at, ask("close"))["janus"], "ack");
    assert!(server.events().is_empty(), "nothing is left to close");
    assert_eq!(server.on(at, ask("end"))["janus"], "ack");
    assert_eq!(words(&server.events()), ["detached"]);
    let log = server.log.take();
    assert_eq!(log.iter().filter(|line| *line == "destroy_session").count(), 1);
}

#[test]
fn core_api_20_destroy_is_silent() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.negotiate(at);
    server.all_sent();
    let destroy = json!({"janus": "destroy", "transaction": "x", "session_id": at.0});
    let reply = server.ask(destroy.clone());
    assert_eq!(reply, json!({"janus": "success", "session_id": at.0, "transaction": "x"}));
    assert_eq!(server.events(), [] as [Value; 0]);
    assert!(error_of(&server.ask(destroy)).starts_with("458"));
}

#[test]
fn core_api_38_webrtcup_follows_the_plugins_own_setup() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.negotiate(at);
    server.all_sent();
    server.log.take();
    server.peer_event(at, PeerEvent::Up(PEER));
    let want = json!({"janus": "webrtcup", "session_id": at.0, "sender": at.1});
    assert_eq!(server.events(), [want]);
    server.negotiate(at);
    assert_eq!(words(&server.events()), ["event"], "a renegotiation brings no second webrtcup");
    assert_eq!(server.log.take(), ["setup_media", "message answer"]);
}

#[test]
fn core_api_39_and_40_facts_become_events() {
    let settings = CoreSettings { no_media_timer_s: 3, ..CoreSettings::default() };
    let mut server = Fixture::with(settings, Authority::default());
    let at = server.attached();
    server.all_sent();
    let mut fact = |fact| {
        server.peer_event(at, PeerEvent::Fact(fact));
        server.events()
    };
    let receiving = |mindex, substream, receiving| Fact::Receiving { mindex, substream, receiving };
    let base = json!({"janus": "media", "session_id": at.0, "sender": at.1, "mid": "0",
        "type": "audio", "receiving": true});
    assert_eq!(fact(receiving(0, None, true)), [base]);
    let base = json!({"janus": "media", "session_id": at.0, "sender": at.1, "mid": "v",
        "type": "video", "substream": 2, "receiving": false, "seconds": 3});
    assert_eq!(fact(receiving(1, Some(2), false)), [base]);
    assert!(fact(receiving(2, None, true)).is_empty(), "a data line has no media events");
    let slow = json!({"janus": "slowlink", "session_id": at.0, "sender": at.1, "mid": "v",
        "media": "video", "uplink": true, "lost": 14});
    assert_eq!(fact(Fact::SlowLink { mindex: 1, uplink: true, lost: 14 }), [slow]);
    assert_eq!(words(&fact(Fact::IceFailed)), ["ice-failed"]);
    assert!(fact(Fact::Remb { bps: 9 }).is_empty());
}

#[test]
fn core_api_51_our_candidates_are_objects() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.all_sent();
    server.peer_event(at, PeerEvent::Candidate(Some(("0".into(), "candidate:1 x".into()))));
    server.peer_event(at, PeerEvent::Candidate(None));
    let events = server.events();
    assert_eq!(
        events[0]["candidate"],
        json!({"sdpMid": "0", "sdpMLineIndex": 0, "candidate": "candidate:1 x"})
    );
    assert_eq!(events[1]["candidate"], json!({"completed": true}));
}

#[test]
fn a_peer_that_goes_by_itself_is_reported_with_its_reason() {
    let mut server = Fixture::new();
    let at = server.attached();
    server.negotiate(at);
    server.all_sent();
    server.log.take();
    server.peer_event(at, PeerEvent::Down(DownReason::DtlsAlert));
    let events = server.events();
    assert_eq!(events.last().map(|e| &e["reason"]), Some(&json!("DTLS alert")));
    assert_eq!(server.log.take(), ["hangup_media"]);
}
