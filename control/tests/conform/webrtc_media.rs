//! Media on the wire (webrtc-behaviour checklist).

use crate::call::{Call, both};
use crate::media::Media;
use crate::session::{Offered, Session, audio, frame, payload, rtp, video};
use crate::target::{Setup, Target, run};
use crate::wire::{Came, value_of};
use bifrons_core::media::PeerStatistics;
use bifrons_core::rtcp::{Compound, Rtcp, packet_type};
use bifrons_core::rtp::{Packet, Ssrc};
use bifrons_core::srtp::SrtpProfile;
use serde_json::{Value, json};

#[test]
fn webrtc_10_gcm_where_the_peer_has_it() {
    run(async {
        let target = Target::with_media().await;
        let gcm = SrtpProfile::PREFERENCE;
        let cm = [SrtpProfile::Aes128CmSha1_80, SrtpProfile::Aes128CmSha1_32];
        for (profiles, wanted) in [(&gcm[..], gcm[0]), (&cm[..], cm[0])] {
            let mut session = Session::with_profiles(&target, profiles).await;
            session.offer(&[audio("a=ssrc:1 cname:x\r\n")]).await;
            session.up().await;
            assert_eq!(session.wire.profile(), wanted);
            session.wire.send_rtp(&rtp(111, 1, 1, None, b"sound"), 1);
            let echoed = |came: &Came| came.rtp.first().cloned();
            let (_, packet) = session.wire.until_came("the echo", echoed).await;
            assert_eq!(payload(&packet), b"sound");
        }
    });
}

/// Sends keyframes on video with these headers; returns whose came back, once the last did.
async fn echoed(session: &Session, sent: &[(u32, Option<u8>)]) -> Vec<u8> {
    for (number, &(ssrc, mid)) in (1u8..).zip(sent) {
        let packet = rtp(96, u16::from(number), ssrc, mid, &frame(true, number));
        session.wire.send_rtp(&packet, number.into());
    }
    let last = sent.len() as u8;
    let tags = |came: &Came| -> Vec<u8> {
        came.rtp.iter().filter_map(|(_, packet)| payload(packet).last().copied()).collect()
    };
    let done = |came: &Came| tags(came).contains(&last).then(|| tags(came));
    session.wire.until_came("the last packet", done).await
}

#[test]
fn webrtc_20_a_stranger_needs_a_mid() {
    run(async {
        let target = Target::with_media().await;
        let session = Session::start(&target, &[video("a=ssrc:7 cname:x\r\n")]).await;
        // Nobody is known yet, then somebody is.
        let came = echoed(&session, &[(70, None), (71, Some(5)), (7, None)]).await;
        assert_eq!(came, [3]);
        session.wire.forget();
        let came = echoed(&session, &[(72, None), (73, Some(0))]).await;
        assert_eq!(came, [2]);
    });
}

#[test]
fn webrtc_49_once_learned_the_mid_is_not_needed() {
    run(async {
        let target = Target::with_media().await;
        let session = Session::start(&target, &[video("")]).await;
        let came = echoed(&session, &[(80, None), (81, Some(0)), (81, None), (81, None)]).await;
        assert_eq!(came, [2, 3, 4]);
    });
}

#[test]
fn webrtc_42_too_large_a_packet_is_dropped_and_counted() {
    run(async {
        let Some(target) = Target::described().await else { return };
        let session = Session::start(&target, &[audio("a=ssrc:1 cname:x\r\n")]).await;
        // The tag makes it 1501 bytes.
        session.wire.send_rtp(&rtp(111, 1, 1, None, &[0; 1501 - 12 - 16]), 1);
        session.wire.send_rtp(&rtp(111, 2, 1, None, b"small"), 2);
        let two = |came: &Came| came.rtp.first().cloned();
        let (_, packet) = session.wire.until_came("the small one", two).await;
        assert_eq!(payload(&packet), b"small");
        let refused = |of: &PeerStatistics| Some(of.unopened).filter(|count| *count > 0);
        assert_eq!(session.measured(&target, refused).await, 1);
    });
}

#[test]
fn webrtc_32_an_inactive_line_ceases_to_receive() {
    run(async {
        let target = Target::with_media().await;
        let lines = || [audio("a=ssrc:1 cname:x\r\n"), video("a=ssrc:2 cname:x\r\n")];
        let mut session = Session::start(&target, &lines()).await;
        session.wire.send_rtp(&rtp(96, 1, 2, None, &frame(true, 1)), 1);
        let begins = session.media_event().await;
        assert_eq!(begins["receiving"], true, "{begins}");
        let [sound, picture] = lines();
        let inactive = Offered { direction: "inactive", ..picture };
        session.offer(&[sound, inactive]).await;
        let ends = session.media_event().await;
        let want = json!({"janus": "media", "session_id": session.at.0, "sender": session.at.1,
            "mid": "1", "type": "video", "receiving": false});
        assert_eq!(without(&ends, "seconds"), want);
    });
}

/// An event without one of its fields.
fn without(event: &Value, field: &str) -> Value {
    let mut event = event.clone();
    event.as_object_mut().expect("an object").remove(field);
    event
}

#[test]
fn webrtc_33_an_ice_restart_disturbs_nobody() {
    run(async {
        let target = Target::with_media().await;
        let mut call = Call::start(&target, json!({"audio": true}), both()).await;
        call.send_both().await;
        call.more_on(0, 20).await;
        let before = call.answer.clone();
        let sdp = call.peer.offer_restart().await.expect("an offer");
        call.negotiate(json!({"audio": true}), &sdp, json!({})).await;
        for fresh in ["a=ice-ufrag:", "a=ice-pwd:"] {
            assert_ne!(value_of(&before, fresh), value_of(&call.answer, fresh));
        }
        let print = "a=fingerprint:";
        assert_eq!(value_of(&before, print), value_of(&call.answer, print));
        call.more_on(0, 60).await;
        let stats = call.until("counts", |_| true).await;
        let audio = stats.from_mid(&call.mids[0]).expect("audio");
        assert_eq!((audio.lost(), audio.ssrcs.len()), (0, 1), "{audio:?}");
        while let Some(event) = call.ws.event_within(std::time::Duration::ZERO).await {
            assert_ne!(event["janus"], "webrtcup");
        }
    });
}

const SIMULCAST: &str = "a=ssrc-group:SIM 11 12 13\r\na=ssrc:11 cname:x\r\na=ssrc:12 cname:x\r\n\
    a=ssrc:13 cname:x\r\n";

/// The SSRCs that keyframes were asked of, in the compounds that came.
fn asked_of(came: &Came) -> Vec<u32> {
    let mut asked = Vec::new();
    for (_, bytes) in &came.rtcp {
        for part in Compound::parse(bytes).expect("a compound").parts() {
            if let Rtcp::Pli(pli) = part {
                asked.push(pli.media.0);
            }
        }
    }
    asked
}

#[test]
fn webrtc_28_and_52_ssrc_simulcast_has_three_layers() {
    run(async {
        let Some(target) = Target::described().await else { return };
        let mut session = Session::start(&target, &[video(SIMULCAST)]).await;
        for (layer, ssrc) in [(0u64, 11), (1, 12), (2, 13)] {
            session.wire.send_rtp(&rtp(96, 1, ssrc, None, &frame(true, 1)), 1);
            let event = session.media_event().await;
            assert_eq!((&event["receiving"], &event["mid"]), (&json!(true), &json!("0")));
            assert_eq!(event["substream"], layer, "{event}");
        }
        session.wire.forget();
        session.change(json!({"video": false})).await;
        session.change(json!({"video": true})).await;
        let asked = |came: &Came| {
            let asked = asked_of(came);
            (asked.len() >= 3).then_some(asked)
        };
        let mut asked = session.wire.until_came("keyframe requests", asked).await;
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked, [11, 12, 13]);
        let layers = |of: &PeerStatistics| {
            let layers = &of.lines.first()?.received;
            Some(layers.iter().map(|layer| layer.ssrc).collect::<Vec<_>>())
        };
        assert_eq!(session.measured(&target, layers).await, [11, 12, 13]);
    });
}

#[test]
fn webrtc_50_an_inactive_line_comes_back_under_its_ssrc() {
    run(async {
        let target = Target::with_media().await;
        let line = || video("a=ssrc:7 cname:x\r\n");
        let mut session = Session::start(&target, &[line()]).await;
        let mut ssrcs = Vec::new();
        for round in 0..2u16 {
            session.wire.forget();
            let packet = rtp(96, 10 + round, 7, None, &frame(true, 1));
            session.wire.send_rtp(&packet, (10 + round).into());
            let first = |came: &Came| came.rtp.first().cloned();
            let (_, packet) = session.wire.until_came("the echo", first).await;
            ssrcs.push(Packet::parse(&packet).expect("RTP").ssrc());
            session.offer(&[Offered { direction: "inactive", ..line() }]).await;
            session.offer(&[line()]).await;
        }
        assert_eq!(ssrcs[0], ssrcs[1]);
        let announced = value_of(&session.answer, "a=ssrc:").split(' ').next();
        assert_eq!(announced.and_then(|ssrc| ssrc.parse().ok()).map(Ssrc), Some(ssrcs[0]));
    });
}

#[test]
fn webrtc_44_without_encryption_media_go_as_they_are() {
    run(async {
        let media = Media { plain: true, ..Media::default() };
        let setup = Setup { media: Some(media), ..Setup::default() };
        let Some(target) = Target::with(setup).await else { return };
        let mut session = Session::prepare(&target).await;
        session.plain = true;
        session.offer(&[audio("a=ssrc:1 cname:x\r\n")]).await;
        assert!(session.answer.contains(" RTP/AVPF 111"), "{}", session.answer);
        assert!(!session.answer.contains("a=fingerprint"), "{}", session.answer);
        assert!(!session.answer.contains("a=setup"), "{}", session.answer);
        session.up().await;
        for number in 1..=3 {
            session.wire.send_rtp(&rtp(111, number, 1, None, b"in the clear"), number.into());
        }
        let echoes = |came: &Came| (came.rtp.len() >= 3).then(|| came.rtp.clone());
        for (_, packet) in session.wire.until_came("echoes", echoes).await {
            assert_eq!(payload(&packet), b"in the clear");
        }
        // Reports likewise: they would not parse otherwise.
        let report = |came: &Came| {
            let mut reports = came.rtcp.iter().filter(|(_, bytes)| bytes[1] == packet_type::SR);
            reports.next().map(|(_, bytes)| bytes.clone())
        };
        let report = session.wire.until_came("a report", report).await;
        assert!(Compound::parse(&report).is_ok());
    });
}
