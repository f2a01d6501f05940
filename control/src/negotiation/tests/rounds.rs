//! Clients' offers and what becomes of them.

use super::*;
use bifrons_core::config::settings::Setup;
use bifrons_core::dtls::Role;
use bifrons_core::ice::Ufrag;
use bifrons_core::media::{MediaKind, SourceId};

fn answer_request(sdp: &str) -> Value {
    json!({ "type": "answer", "sdp": sdp })
}

#[test]
fn a_first_offer_opens_a_peer_with_everything_a_shard_needs() {
    let mut bench = Bench::new(1);
    let offer = bench.offer(ADA, CHROMIUM);
    assert!(!offer.update && !offer.e2ee && offer.simulcast.is_empty());
    assert!(bench.sent().is_empty(), "nothing is opened before there is an answer");
    let answer = bench.answer(ADA, &offer);
    let setup = bench.setup();
    let theirs = setup.transport.remote.as_ref().expect("the offer has credentials");
    assert_eq!(theirs.ufrag, "pzjr");
    assert_eq!(setup.peer, bench.peer(ADA));
    assert_eq!(Ufrag::decode(setup.transport.local.ufrag.as_bytes()), Some(setup.peer));
    assert!(!setup.transport.controlling && setup.transport.fingerprint.is_some());
    assert_eq!(setup.transport.dtls_role, Some(Role::Server));
    let kinds: Vec<_> = setup.lines.iter().map(|line| line.kind).collect();
    assert_eq!(kinds, [MediaKind::Audio, MediaKind::Video, MediaKind::Data]);
    let video = &setup.lines[1];
    assert_eq!(video.mid.as_ref(), "1");
    assert!(video.rtx_ssrc.is_some() && video.send.is_some());
    let received = video.receive.as_ref().expect("video is received");
    assert_eq!(received.layers[0].ssrc.0, 1_717_350_323);
    assert_eq!(received.layers[0].rtx.map(|rtx| rtx.0), Some(2_392_912_620));
    // The answer says the same as the setup.
    let written = &answer.media[1];
    assert_eq!(written.ssrcs()[0], video.ssrc);
    assert_eq!(written.value("ice-ufrag"), Some(setup.transport.local.ufrag.as_str()));
}

#[test]
fn webrtc_3_candidates_stand_on_every_accepted_line() {
    let mut bench = Bench::new(1);
    let answer = bench.connect(ADA, CHROMIUM);
    for media in &answer.media {
        let candidates: Vec<_> = media.candidates().collect();
        assert_eq!(candidates.len(), 1);
        assert!(candidates[0].contains(" 10.0.0.5 9000 typ host"), "{candidates:?}");
        assert!(media.has("end-of-candidates") && media.has("rtcp-mux") == media.kind().is_rtp());
    }
    assert!(bench.events().is_empty(), "no trickle events in half-trickle");
}

#[test]
fn webrtc_3_full_trickle_sends_candidates_as_events_with_an_end() {
    let mut bench = Bench::with(1, |settings| settings.full_trickle = true);
    let answer = bench.connect(ADA, CHROMIUM);
    for media in &answer.media {
        assert_eq!(media.candidates().count(), 0);
        assert!(!media.has("end-of-candidates"));
    }
    let events = bench.events();
    let [(ADA, PeerEvent::Candidate(Some((mid, line)))), (ADA, PeerEvent::Candidate(None))] =
        events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!(mid, "0");
    assert!(line.starts_with("candidate:"), "{line}");
    // A plain update does not repeat them.
    bench.connect(ADA, CHROMIUM);
    assert!(bench.events().is_empty());
}

#[test]
fn webrtc_5_actpass_is_left_to_the_settings_and_active_never() {
    let role = |preference: Setup, theirs: &str| {
        let mut bench = Bench::with(1, |settings| settings.setup = preference);
        let sdp = CHROMIUM.replace("a=setup:actpass", &format!("a=setup:{theirs}"));
        let answer = bench.connect(ADA, &sdp);
        let written = answer.media[0].value("setup").map(str::to_owned).expect("a setup");
        (written, bench.setup().transport.dtls_role.expect("a role"))
    };
    let (active, passive) =
        (("active".to_owned(), Role::Client), ("passive".to_owned(), Role::Server));
    assert_eq!(role(Setup::Passive, "actpass"), passive);
    assert_eq!(role(Setup::Active, "actpass"), active);
    assert_eq!(role(Setup::Active, "active"), passive);
    assert_eq!(role(Setup::Passive, "passive"), active);
}

#[test]
fn core_api_30_an_answer_without_an_offer_is_unexpected() {
    let mut bench = Bench::new(1);
    let unexpected = "469 Unexpected ANSWER (did we offer?)";
    assert_eq!(refused(bench.remote(ADA, answer_request(CHROMIUM))), unexpected);
    bench.connect(ADA, CHROMIUM);
    assert_eq!(refused(bench.remote(ADA, answer_request(CHROMIUM))), unexpected);
}

#[test]
fn core_api_62_a_refused_offer_leaves_nothing_to_answer() {
    let mut bench = Bench::new(1);
    let sdp = CHROMIUM.replace("a=fingerprint:", "a=finger:");
    let offer = json!({ "type": "offer", "sdp": sdp });
    assert_eq!(refused(bench.remote(ADA, offer)), "465 Error processing SDP");
    assert!(!bench.negotiation.has_pc(ADA));
    let answer = bench.remote(ADA, answer_request(CHROMIUM));
    assert_eq!(refused(answer), "469 Unexpected ANSWER (did we offer?)");
}

#[test]
fn core_api_43_a_restart_by_the_client_gets_new_credentials_of_ours() {
    let mut bench = Bench::new(1);
    let first = bench.connect(ADA, CHROMIUM);
    let former = bench.setup();
    let offer = bench.offer(ADA, &CHROMIUM.replace("a=ice-ufrag:pzjr", "a=ice-ufrag:new1"));
    assert!(offer.update && !bench.negotiation.accepts_candidates(ADA));
    assert!(bench.restarts(ADA), "until it is answered");
    let second = bench.answer(ADA, &offer);
    assert!(!bench.restarts(ADA));
    assert_ne!(first.media[0].value("ice-ufrag"), second.media[0].value("ice-ufrag"));
    assert_eq!(first.value("fingerprint"), second.value("fingerprint"));
    let update = bench.update();
    let ours = update.local.expect("new ones of ours");
    assert_eq!(second.media[0].value("ice-pwd"), Some(ours.pwd.as_str()));
    assert_eq!(update.remote.expect("new ones of theirs").ufrag, "new1");
    assert!(bench.negotiation.accepts_candidates(ADA));
    // Same peer, same role, same SSRCs: only the way to it is new.
    assert_eq!(bench.peer(ADA), former.peer);
    assert_eq!(update.dtls_role, former.transport.dtls_role);
    let ssrcs = |lines: &[bifrons_core::media::Line]| -> Vec<_> {
        lines.iter().map(|line| (line.ssrc, line.rtx_ssrc)).collect()
    };
    assert_eq!(ssrcs(&update.lines.expect("lines")), ssrcs(&former.lines));
}

#[test]
fn core_api_43_an_update_without_new_credentials_touches_no_transport() {
    let mut bench = Bench::new(1);
    bench.connect(ADA, CHROMIUM);
    bench.sent();
    // `setup` counts only in the first negotiation.
    bench.connect(ADA, &CHROMIUM.replace("a=setup:actpass", "a=setup:passive"));
    let update = bench.update();
    assert!(update.local.is_none() && update.remote.is_none());
    assert_eq!(update.dtls_role, Some(Role::Server));
}

#[test]
fn core_api_44_the_code_of_a_bad_description_tells_first_from_later() {
    let mut bench = Bench::new(1);
    let unusable = json!({ "type": "offer", "sdp": CHROMIUM.replace("a=ice-pwd:", "a=pwd:") });
    let long_mid = CHROMIUM.replace("a=mid:0", "a=mid:12345678901234567");
    let long_mid = json!({ "type": "offer", "sdp": long_mid });
    assert_eq!(refused(bench.remote(ADA, unusable.clone())), "465 Error processing SDP");
    assert_eq!(refused(bench.remote(ADA, long_mid.clone())), "465 ");
    bench.connect(ADA, CHROMIUM);
    bench.sent();
    assert_eq!(refused(bench.remote(ADA, unusable)), "469 Error processing SDP");
    assert_eq!(refused(bench.remote(ADA, long_mid)), "465 ");
    // Nothing changed: the next sound offer is an update like any other.
    assert!(bench.negotiation.accepts_candidates(ADA) && bench.sent().is_empty());
    bench.connect(ADA, CHROMIUM);
    bench.update();
}

#[test]
fn texts_that_are_no_description_are_refused_with_the_reason() {
    let mut bench = Bench::new(1);
    let mut offer = |sdp: &str| refused(bench.remote(ADA, json!({ "type": "offer", "sdp": sdp })));
    assert_eq!(offer("hello"), "465 Invalid SDP (doesn't start with v=)");
    let mandatory = "465 Missing mandatory lines (o=, s= or m=)";
    assert_eq!(offer("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"), mandatory);
    assert!(offer(&CHROMIUM.replace("m=audio 9", "m=audio x")).starts_with("465 Invalid m= line"));
}

/// Janus refuses the whole description; the reference recommends to refuse the line.
#[test]
fn core_api_57_a_line_of_another_kind_keeps_its_place_and_is_refused() {
    let mut bench = Bench::new(1);
    let sdp = format!("{CHROMIUM}m=text 9 RTP/AVP 98\r\na=mid:3\r\na=rtpmap:98 t140/1000\r\n");
    let answer = bench.connect(ADA, &sdp);
    assert_eq!((answer.media.len(), answer.media[3].port()), (4, 0));
    assert_eq!(answer.bundle(), ["0", "1", "2"]);
    assert_eq!(bench.setup().lines.len(), 3);
    assert_eq!(bench.negotiation.line(ADA, 3), None);
}

#[test]
fn core_api_61_lines_without_mid_are_named_by_their_index() {
    let mut bench = Bench::new(1);
    let sdp: String =
        CHROMIUM.lines().filter(|l| !l.starts_with("a=mid:")).map(|l| format!("{l}\r\n")).collect();
    let answer = bench.connect(ADA, &sdp);
    assert_eq!(answer.bundle(), ["0", "1", "2"]);
    assert_eq!(answer.media[1].mid(), Some("1"));
    assert_eq!(bench.negotiation.first_mid(ADA), Some("0"));
    assert_eq!(bench.negotiation.line(ADA, 1), Some(("1", MediaKind::Video)));
    assert_eq!(bench.negotiation.line(ADA, 3), None);
}

#[test]
fn core_api_63_encryption_end_to_end_sticks_to_the_connection() {
    let mut bench = Bench::new(1);
    let first = json!({ "type": "offer", "sdp": CHROMIUM, "e2ee": true });
    assert!(bench.remote(ADA, first).expect("sound").e2ee);
    assert!(bench.offer(ADA, CHROMIUM).e2ee, "it was said once");
    bench.negotiation.hangup(ADA, bifrons_core::media::DownReason::JanusApi);
    assert!(!bench.offer(ADA, CHROMIUM).e2ee, "another connection");
}

#[test]
fn core_api_63_svc_names_lines_by_mid_or_index() {
    let mut bench = Bench::new(1);
    let svc = json!([
        { "mid": "1", "svc": "L3T3" }, { "mindex": 0, "svc": "L1T2" },
        { "mid": "9", "svc": "L1T3" }, { "mindex": 70000, "svc": "L1T3" },
    ]);
    let jsep = bench.remote(ADA, json!({ "type": "offer", "sdp": CHROMIUM, "svc": svc }));
    let lines = jsep.expect("sound").svc;
    let lines: Vec<_> = lines.iter().map(|line| (line.mindex, line.mode.as_str())).collect();
    assert_eq!(lines, [(1, "L3T3"), (0, "L1T2")]);
}

#[test]
fn webrtc_19_simulcast_reaches_the_plugin_the_answer_and_the_shard() {
    let mut bench = Bench::new(1);
    let offer = bench.offer(ADA, SIMULCAST);
    assert_eq!((offer.simulcast[0].mindex, offer.simulcast[0].layers), (1, 3));
    let answer = bench.answer(ADA, &offer);
    assert_eq!(answer.media[1].value("simulcast"), Some("recv h;~m;l"));
    let rids = |setup: PeerSetup| -> Vec<String> {
        let receive = setup.lines[1].receive.clone().expect("video is received");
        receive.rids.iter().map(|rid| rid.to_string()).collect()
    };
    assert_eq!(rids(bench.setup()), ["l", "m", "h"], "lowest first");
    // `rid_order` turns it around.
    let mut bench = Bench::new(1);
    let jsep = json!({ "type": "offer", "sdp": SIMULCAST, "rid_order": "lmh" });
    let offer = bench.remote(ADA, jsep).expect("sound");
    bench.answer(ADA, &offer);
    assert_eq!(rids(bench.setup()), ["h", "m", "l"]);
}

#[test]
fn webrtc_50_an_inactive_line_keeps_its_ssrcs() {
    let mut bench = Bench::new(1);
    bench.connect(ADA, CHROMIUM);
    let before = bench.setup().lines[1].clone();
    bench.connect(ADA, &CHROMIUM.replace("a=sendrecv", "a=inactive"));
    let lines = bench.update().lines.expect("lines");
    assert!(lines[1].send.is_none() && lines[1].receive.is_none());
    bench.connect(ADA, CHROMIUM);
    let lines = bench.update().lines.expect("lines");
    assert_eq!(lines[1], before);
}

#[test]
fn an_offer_of_another_browser_is_understood_alike() {
    let mut bench = Bench::new(1);
    let answer = bench.connect(ADA, FIREFOX);
    assert_eq!(answer.bundle(), ["0", "1", "2"]);
    let setup = bench.setup();
    assert_eq!(setup.lines.len(), 3);
    let source = SourceId::Line(setup.peer.line(1));
    assert_eq!(source.shard(), 0);
}

#[test]
fn an_answer_to_nothing_is_refused_and_changes_nothing() {
    let mut bench = Bench::new(1);
    let offer = bench.offer(BOB, CHROMIUM);
    assert!(bench.local(ADA, accepting(&offer)).is_err());
    bench.answer(BOB, &offer);
    bench.sent();
    assert!(bench.local(BOB, accepting(&offer)).is_err(), "it was answered already");
    assert!(bench.sent().is_empty() && bench.negotiation.accepts_candidates(BOB));
}

#[test]
fn the_version_of_our_description_counts_up() {
    let mut bench = Bench::new(1);
    let first = bench.connect(ADA, CHROMIUM).origin();
    let second = bench.connect(ADA, CHROMIUM).origin();
    assert_eq!(first.session_id, second.session_id);
    assert!(second.version > first.version);
}
