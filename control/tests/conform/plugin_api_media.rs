//! The contract between host and plugins where media flow (plugin-api checklist).

use crate::call::{Call, both, peer};
use crate::media::Media;
use crate::plugin_api::{attach, spied};
use crate::session::{MID, Session, audio, rtp, video};
use crate::target::{Setup, Target, run};
use crate::wire::{Came, Wire};
use bifrons_core::rtp::{Packet, Ssrc};
use bifrons_core::srtp::SrtpProfile;
use bifrons_loadtest::peer::Peer;
use bifrons_loadtest::peer::str0m::format::Codec;
use serde_json::json;
use std::time::Duration;

fn with_media() -> Setup {
    Setup { media: Some(Media::default()), ..Setup::default() }
}

#[test]
fn plugin_api_05_setup_media_comes_once() {
    run(async {
        let Some((target, notes)) = spied(with_media()).await else { return };
        let mut ws = target.ws().await;
        let session = ws.create().await;
        let at = attach(&mut ws, session).await;
        let mut call = Call::between(ws, at, peer(&[Codec::Opus, Codec::Vp8]).await);
        call.offer(json!({"audio": true}), vec![both().remove(0)]).await;
        call.connected().await;
        // A line more, then a restart, each proved by what flows after it.
        call.offer(json!({"audio": true}), vec![both().remove(1)]).await;
        call.send_both().await;
        call.more_on(0, 20).await;
        call.more_on(1, 5).await;
        let restart = call.peer.offer_restart().await.expect("an offer");
        call.negotiate(json!({"audio": true}), &restart, json!({})).await;
        call.more_on(0, 50).await;
        assert_eq!(notes.count("setup_media"), 1);
        assert_eq!(notes.count("hangup_media"), 0);
        // Another PeerConnection is another setup.
        assert_eq!(call.ws.on(at, json!({"janus": "hangup"})).await["janus"], "success");
        call.event_where("hangup", |event| event["janus"] == "hangup").await;
        call.peer = peer(&[Codec::Opus, Codec::Vp8]).await;
        call.mids.clear();
        call.offer(json!({"audio": true}), both()).await;
        call.connected().await;
        assert_eq!((notes.count("setup_media"), notes.count("hangup_media")), (2, 1));
    });
}

/// A call with the spy on a connection of its own.
async fn spied_call(target: &Target) -> Session {
    let mut ws = target.ws().await;
    let session = ws.create().await;
    let at = attach(&mut ws, session).await;
    let wire = Wire::bind(&SrtpProfile::PREFERENCE).await;
    let mut session = Session::between(ws, at, wire);
    session.offer(&[audio("a=ssrc:1 cname:x\r\n")]).await;
    session.up().await;
    session
}

#[test]
fn plugin_api_08_after_destroy_session_there_is_silence() {
    run(async {
        let Some((target, notes)) = spied(with_media()).await else { return };
        let mut calls = Vec::new();
        for _ in 0..4 {
            calls.push(spied_call(&target).await);
        }
        for round in 1..=400u16 {
            for call in &calls {
                call.wire.send_rtp(&rtp(111, round, 1, None, b"sound"), round.into());
                call.wire.send_rtcp(|out| out.remb(Ssrc(1), 9000, &[]).expect("room"));
            }
            let end = match round {
                100 => Some((0, json!({"janus": "detach"}))),
                200 => Some((1, json!({"janus": "message", "body": {"do": "end"}}))),
                300 => Some((2, json!({"janus": "hangup"}))),
                _ => None,
            };
            if let Some((which, request)) = end {
                let call: &mut Session = &mut calls[which];
                let at = call.at;
                call.ws.on(at, request).await;
            }
            tokio::task::yield_now().await;
        }
        // The last ones are through when the call that nobody ended has heard its own.
        let last = |came: &Came| (came.rtp.len() >= 300).then_some(());
        calls[3].wire.until_came("echoes", last).await;
        let destroy = json!({"janus": "destroy", "session_id": calls[3].at.0});
        assert_eq!(calls[3].ws.ask(destroy).await["janus"], "success");
        let log = notes.all();
        let mut handles: Vec<_> = log.iter().map(|(handle, _)| *handle).collect();
        handles.sort();
        handles.dedup();
        assert_eq!(handles.len(), 4);
        for (index, handle) in handles.iter().enumerate() {
            let mine: Vec<_> = log.iter().filter(|(of, _)| of == handle).map(|(_, h)| *h).collect();
            let facts = mine.iter().filter(|hook| **hook == "fact").count();
            assert!(facts > 10, "no traffic: {facts}");
            let destroyed = mine.iter().position(|hook| *hook == "destroy_session");
            let wanted = (index != 2).then_some(mine.len() - 1);
            assert_eq!(destroyed, wanted, "handle {index}: {mine:?}");
        }
    });
}

#[test]
fn plugin_api_10_extensions_that_nobody_set_never_leave() {
    run(async {
        let target = Target::with_media().await;
        let session = Session::start(&target, &[video("a=ssrc:2 cname:x\r\n")]).await;
        // One-byte form: mid, and three that were not negotiated.
        let mut packet = rtp(96, 1, 2, None, &[]);
        packet[0] = 0x90;
        packet.extend([0xBE, 0xDE, 0, 3, MID << 4, b'0', 0x51, 1, 2, 0x90, 7, 0xA2, 1, 2, 3, 0]);
        packet.extend(crate::session::frame(true, 1));
        session.wire.send_rtp(&packet, 1);
        // Two-byte form (RFC 8285 §4.3).
        let mut packet = rtp(96, 2, 2, None, &[]);
        packet[0] = 0x90;
        packet.extend([0x10, 0, 0, 2, MID, 1, b'0', 9, 3, 1, 2, 3]);
        packet.extend(crate::session::frame(false, 2));
        session.wire.send_rtp(&packet, 2);
        let two = |came: &Came| (came.rtp.len() >= 2).then(|| came.rtp.clone());
        for (_, bytes) in session.wire.until_came("echoes", two).await {
            let packet = Packet::parse(&bytes).expect("RTP");
            let elements: Vec<_> = packet.extensions().map(|one| (one.id, one.data)).collect();
            assert_eq!(elements, [(MID, &b"0"[..])]);
        }
    });
}

/// A peer on a thread of its own: whatever happens to this one, it sends and receives. It ends
/// with the sender.
fn elsewhere() -> (Peer, tokio::sync::oneshot::Sender<()>) {
    let (give, take) = std::sync::mpsc::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            give.send(peer(&[Codec::Opus, Codec::Vp8]).await).expect("somebody waits");
            let _ = ended.await;
        });
    });
    (take.recv().expect("a peer"), end)
}

#[test]
fn plugin_api_16_media_do_not_notice_that_control_stands_still() {
    run(async {
        let target = Target::with_media().await;
        let (far, _end) = elsewhere();
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let mut call = Call::between(ws, at, far);
        call.offer(json!({"audio": true}), both()).await;
        call.connected().await;
        call.send_both().await;
        call.more_on(0, 20).await;
        call.more_on(1, 5).await;
        let before = call.packets().await;
        // Everything of control runs on this thread, and it does nothing else meanwhile.
        std::thread::sleep(Duration::from_secs(1));
        let after = call.packets().await;
        assert!(after[0] - before[0] >= 40, "50 audio packets a second: {before:?} {after:?}");
        assert!(after[1] - before[1] >= 20, "25 frames a second: {before:?} {after:?}");
        let stats = call.until("counts", |_| true).await;
        assert_eq!(stats.lost(), 0);
    });
}
