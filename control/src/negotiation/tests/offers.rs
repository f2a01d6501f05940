//! Our own offers, and what clients answer.

use super::*;
use bifrons_core::dtls::Role;

#[test]
fn webrtc_6_our_offer_is_actpass_and_the_answer_settles_the_role() {
    for (theirs, ours) in
        [("active", Role::Server), ("passive", Role::Client), ("actpass", Role::Client)]
    {
        let mut bench = Bench::new(1);
        let offer = bench.local(ADA, sending()).expect("an offer");
        assert!(offer.media.iter().all(|media| media.value("setup") == Some("actpass")));
        let setup = bench.setup();
        assert!(setup.transport.controlling && setup.transport.remote.is_none());
        assert!(setup.transport.dtls_role.is_none() && !bench.negotiation.accepts_candidates(ADA));
        let answer = answer_to(&offer, "abcd", theirs);
        let jsep = bench.remote(ADA, json!({ "type": "answer", "sdp": answer })).expect("sound");
        assert!(!jsep.update);
        let update = bench.update();
        assert_eq!(update.dtls_role, Some(ours), "{theirs}");
        assert_eq!(update.remote.expect("theirs").ufrag, "abcd");
        let lines = update.lines.expect("lines");
        assert!(lines.iter().all(|line| line.send.is_some() && line.receive.is_none()));
        assert_eq!(offer.media[1].ssrcs()[0], lines[1].ssrc);
        let payload = lines[1].send.as_ref().expect("it sends").payloads[0];
        assert_eq!((payload.pt, payload.rtx_pt), (96, Some(97)));
        assert!(bench.negotiation.accepts_candidates(ADA));
    }
}

#[test]
fn an_unusable_answer_leaves_the_offer_open() {
    let mut bench = Bench::new(1);
    let offer = bench.local(ADA, sending()).expect("an offer");
    bench.sent();
    let answer = answer_to(&offer, "abcd", "active");
    let broken = answer.replace("a=ice-pwd:", "a=pwd:");
    let broken = bench.remote(ADA, json!({ "type": "answer", "sdp": broken }));
    assert_eq!(refused(broken), "465 Error processing SDP");
    assert!(bench.sent().is_empty());
    bench.remote(ADA, json!({ "type": "answer", "sdp": answer })).expect("the offer still stands");
    bench.update();
}

#[test]
fn a_line_more_is_an_update_of_the_same_peer() {
    let mut bench = Bench::new(1);
    let offer = bench.local(ADA, sending()).expect("an offer");
    let setup = bench.setup();
    let answer = answer_to(&offer, "abcd", "active");
    bench.remote(ADA, json!({ "type": "answer", "sdp": answer })).expect("sound");
    let first = bench.update().lines.expect("lines");
    let mut more = Offer::new("room", 0);
    for codec in [Codec::Opus, Codec::Vp8, Codec::H264] {
        more.add(OfferLine::sending_fixed(codec));
    }
    let offer = bench.local(ADA, outgoing(JsepKind::Offer, more.build())).expect("an offer");
    assert!(bench.sent().is_empty(), "the shard learns of it with the answer");
    assert_eq!(offer.media[0].value("ice-ufrag"), Some(setup.transport.local.ufrag.as_str()));
    let answer = answer_to(&offer, "abcd", "active");
    let jsep = bench.remote(ADA, json!({ "type": "answer", "sdp": answer })).expect("sound");
    assert!(jsep.update);
    let update = bench.update();
    assert!(update.local.is_none() && update.remote.is_none());
    let lines = update.lines.expect("lines");
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[..2], first[..], "what was there stays as it was");
    assert!(!lines[..2].iter().any(|line| line.ssrc == lines[2].ssrc));
}

#[test]
fn a_restart_of_ours_takes_effect_with_the_answer() {
    let mut bench = Bench::with(1, |settings| settings.full_trickle = true);
    let offer = bench.local(ADA, sending()).expect("an offer");
    let former = bench.setup().transport.local;
    bench
        .remote(ADA, json!({ "type": "answer", "sdp": answer_to(&offer, "abcd", "active") }))
        .expect("sound");
    bench.update();
    bench.events();
    let restart = OutgoingJsep { restart: true, ..sending() };
    let offer = bench.local(ADA, restart).expect("an offer");
    assert!(bench.restarts(ADA), "until it is answered");
    let fresh = offer.media[0].value("ice-ufrag").expect("a ufrag").to_owned();
    assert_ne!(fresh, former.ufrag);
    assert_eq!(bench.events().len(), 2, "our candidates again, and their end");
    assert!(bench.sent().is_empty() && !bench.negotiation.accepts_candidates(ADA));
    let answer = answer_to(&offer, "efgh", "active");
    bench.remote(ADA, json!({ "type": "answer", "sdp": answer })).expect("sound");
    let update = bench.update();
    assert_eq!(update.local.expect("ours").ufrag, fresh);
    assert_eq!(update.remote.expect("theirs").ufrag, "efgh");
}

#[test]
fn a_client_may_offer_instead_of_answering() {
    let mut bench = Bench::new(1);
    bench.local(ADA, sending()).expect("an offer");
    let setup = bench.setup();
    let offer = bench.offer(ADA, CHROMIUM);
    assert!(!offer.update);
    bench.answer(ADA, &offer);
    let update = bench.update();
    assert_eq!(update.remote.expect("theirs").ufrag, "pzjr");
    assert!(update.local.is_none());
    assert_eq!(bench.peer(ADA), setup.peer);
}
