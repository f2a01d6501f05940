//! What a shard tells of a call, while it goes on.

use super::{Operator, SECRET, at, setup};
use crate::call::{Call, PATIENCE, both};
use crate::client::Ws;
use crate::media::Media;
use crate::session::{Session, audio, frame, rtp, video};
use crate::target::{Setup, Target, run};
use serde_json::{Value, json};

async fn with_media() -> Option<Target> {
    Target::with(Setup { media: Some(Media::default()), ..setup() }).await
}

async fn info(operator: &mut Operator, handle: (u64, u64)) -> Value {
    operator.done(at(handle, json!({"janus": "handle_info"}))).await["info"].take()
}

#[test]
fn admin_23_the_owner_hears_who_hung_up() {
    run(async {
        let Some(target) = with_media().await else { return };
        let mut operator = Operator::http(&target);
        let mut call = Call::start(&target, json!({"audio": true}), both()).await;
        operator.done(at(call.at, json!({"janus": "hangup_webrtc"}))).await;
        let told = loop {
            let event = call.ws.event_within(PATIENCE).await.expect("an event");
            if event["janus"] == "hangup" {
                break event;
            }
        };
        assert_eq!(told["reason"], "Admin API");
        let after = info(&mut operator, call.at).await;
        assert_eq!((after.get("webrtc"), &after["flags"]["alert"]), (None, &json!(true)));
    });
}

#[test]
fn admin_26_and_27_a_call_is_described() {
    run(async {
        let Some(target) = with_media().await else { return };
        let call = Call::start(&target, json!({"audio": true}), both()).await;
        for mut operator in Operator::both(&target).await {
            let info = info(&mut operator, call.at).await;
            let webrtc = &info["webrtc"];
            assert_eq!(webrtc.get("missing"), None, "{webrtc}");
            let state = webrtc["ice"]["state"].as_str().expect("a state");
            assert!(["ready", "connected"].contains(&state), "{state}");
            assert_eq!(webrtc["ice"]["ready"], 1);
            let pair = webrtc["ice"]["selected-pair"].as_str().expect("a pair");
            let sides: Vec<_> = pair.split(" <-> ").collect();
            assert!(sides.len() == 2 && sides[0].ends_with(" [host,udp]"), "{pair}");
            for list in ["local-candidates", "remote-candidates"] {
                assert!(!webrtc["ice"][list].as_array().expect("a list").is_empty(), "{list}");
            }
            let dtls = &webrtc["dtls"];
            assert_eq!((&dtls["dtls-state"], &dtls["ready"]), (&json!("connected"), &json!(true)));
            assert_eq!(dtls["remote-fingerprint-hash"], "sha-256");
            assert!(dtls["srtp-profile"].as_str().is_some_and(|name| name.contains("AES")));
            assert!(dtls["stats"]["in"]["packets"].as_u64().is_some_and(|count| count > 0));
            assert!(dtls["stats"]["out"]["bytes"].as_u64().is_some_and(|count| count > 0));
            assert!(dtls["connected"].as_u64() >= dtls["handshake-started"].as_u64());
            for (mindex, (mid, kind)) in call.mids.iter().zip(["audio", "video"]).enumerate() {
                let medium = &webrtc["media"][mid];
                assert_eq!((&medium["mid"], &medium["type"]), (&json!(mid), &json!(kind)));
                assert_eq!(medium["mindex"], mindex);
                assert!(medium["ssrc"]["ssrc"].is_u64() && medium["codecs"]["pt"].is_u64());
            }
            assert_eq!(webrtc["media"].as_object().expect("media").len(), call.mids.len());
            let flags = &info["flags"];
            for up in ["got-offer", "got-answer", "negotiated", "ready", "starting"] {
                assert_eq!(flags[up], true, "{up}");
            }
            assert_eq!((&flags["alert"], &flags["has-audio"]), (&json!(false), &json!(false)));
            assert_eq!(flags["ice-restart"], false);
            assert!(info["queued-packets"].is_u64(), "{info}");
            for side in ["local", "remote"] {
                let sdp = info["sdps"][side].as_str().expect("a description");
                assert!(sdp.starts_with("v=0"), "{sdp}");
            }
        }
    });
}

#[test]
fn what_comes_and_goes_is_counted_live() {
    run(async {
        let Some(target) = with_media().await else { return };
        let mut operator = Operator::ws(&target).await;
        let lines = [audio("a=ssrc:1 cname:x\r\n"), video("a=ssrc:2 cname:x\r\n")];
        let session = Session::start(&target, &lines).await;
        for seq in [1u16, 2, 4] {
            session.wire.send_rtp(&rtp(111, seq, 1, None, &[7; 20]), seq.into());
        }
        let came = session.wire.until_came("the echo", |came| (came.rtp.len() >= 3).then_some(()));
        came.await;
        let info = info(&mut operator, session.at).await;
        let medium = &info["webrtc"]["media"]["0"];
        assert_eq!(medium["stats"]["in"]["packets"], 3, "{medium}");
        assert_eq!(medium["stats"]["in"]["bytes"], 3 * 32);
        assert_eq!(medium["stats"]["out"]["packets"], 3);
        assert_eq!(medium["rtcp"]["main"]["lost"], 1);
        assert_eq!(medium["rtcp"]["main"]["base"], 48_000);
        assert_eq!(medium["ssrc"]["ssrc-peer"], 1);
        assert_eq!(medium["codecs"], json!({"pt": 111, "codec": "opus"}));
        assert_eq!(medium["direction"], json!({"send": true, "recv": true}));
        assert_eq!(info["webrtc"]["media"]["1"]["stats"]["in"]["packets"], 0);
    });
}

#[test]
fn admin_28_simulcast_shows_its_layers() {
    run(async {
        let Some(target) = with_media().await else { return };
        let mut operator = Operator::http(&target);
        let more = "a=ssrc-group:SIM 11 12 13\r\na=ssrc:11 cname:x\r\na=ssrc:12 cname:x\r\n\
            a=ssrc:13 cname:x\r\n";
        let mut session = Session::start(&target, &[video(more)]).await;
        for (n, ssrc) in [11, 12, 13].into_iter().enumerate() {
            session.wire.send_rtp(&rtp(96, 1, ssrc, None, &frame(true, n as u8)), 1);
            session.media_event().await;
        }
        let info = info(&mut operator, session.at).await;
        let medium = &info["webrtc"]["media"]["0"];
        for (name, ssrc) in [("ssrc-peer", 11), ("ssrc-peer-sim-1", 12), ("ssrc-peer-sim-2", 13)] {
            assert_eq!(medium["ssrc"][name], ssrc, "{medium}");
        }
        for (name, stats) in [("sim1", "video-simulcast-1"), ("sim2", "video-simulcast-2")] {
            assert!(medium["rtcp"][name]["base"].is_u64(), "{medium}");
            assert_eq!(medium["rtcp"][name].get("rtt"), None);
            assert_eq!(medium["stats"]["in"][stats]["packets"], 1);
        }
    });
}

#[test]
fn a_shard_that_does_not_answer_is_named_in_time() {
    run(async {
        // A deaf shard takes what it is told and says nothing.
        let Some(target) = Target::with(setup()).await else { return };
        let mut operator = Operator::ws(&target).await;
        let mut session = Session::prepare(&target).await;
        session.offer(&[audio("")]).await;
        let begin = std::time::Instant::now();
        let info = info(&mut operator, session.at).await;
        assert!(begin.elapsed() < PATIENCE);
        let webrtc = &info["webrtc"];
        assert!(webrtc["missing"].as_str().is_some_and(|text| text.contains("shard 0")));
        assert_eq!((webrtc["ice"].get("state"), &webrtc["dtls"]["valid"]), (None, &json!(false)));
        assert_eq!(webrtc["media"]["0"]["type"], "audio");
        assert_eq!(webrtc["media"]["0"].get("stats"), None);
        assert_eq!(info.get("queued-packets"), None, "nobody knows");
    });
}

#[test]
fn the_loops_are_shards_with_their_peer_connections() {
    run(async {
        let Some(target) = with_media().await else { return };
        let mut operator = Operator::http(&target);
        let _call = Call::start(&target, json!({"audio": true}), both()).await;
        let reply = operator.done(json!({"janus": "loops_info"})).await;
        let loops = reply["loops"].as_array().expect("an array");
        let handles: u64 = loops.iter().filter_map(|one| one["handles"].as_u64()).sum();
        assert!(!loops.is_empty() && handles == 1, "{reply}");
    });
}

/// However many ask at once about a shard that does not answer, each is answered within the bound,
/// and the rest of the Admin API and the Janus API go on meanwhile.
#[test]
fn a_silent_shard_holds_nobody_up() {
    run(async {
        let Some(target) = Target::with(setup()).await else { return };
        let mut operator = Operator::ws(&target).await;
        let mut session = Session::prepare(&target).await;
        session.offer(&[audio("")]).await;
        let begin = std::time::Instant::now();
        let request = at(
            session.at,
            json!({"janus": "handle_info", "transaction": "i",
            "admin_secret": SECRET}),
        );
        let mut asking = Vec::new();
        for _ in 0..20 {
            let protocol = ("Sec-WebSocket-Protocol", "janus-admin-protocol");
            let mut ws = Ws::connect(&target.admin_ws, "/", &[protocol]).await.expect("accepted");
            ws.send_text(&request.to_string()).await;
            asking.push(ws);
        }
        operator.done(json!({"janus": "get_status"})).await;
        let ping = session.ws.ask(json!({"janus": "ping"})).await;
        assert_eq!(ping["janus"], "pong");
        for ws in &mut asking {
            let reply = ws.next().await;
            let missing = reply["info"]["webrtc"]["missing"].as_str();
            assert!(missing.is_some_and(|text| text.contains("shard 0")), "{reply}");
        }
        // One after the other they would have taken ten seconds.
        assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    });
}

#[test]
fn settings_reach_the_shards_while_calls_go_on() {
    run(async {
        let Some(target) = with_media().await else { return };
        let mut operator = Operator::http(&target);
        operator.done(json!({"janus": "set_slowlink_threshold", "slowlink_threshold": 2})).await;
        let mut session = Session::start(&target, &[audio("a=ssrc:1 cname:x\r\n")]).await;
        for seq in [1u16, 2, 9] {
            session.wire.send_rtp(&rtp(111, seq, 1, None, &[7; 20]), seq.into());
        }
        let slow = |event: &Value| event["janus"] == "slowlink";
        let event = session.event_where("slowlink", slow).await;
        assert_eq!((&event["lost"], &event["uplink"]), (&json!(6), &json!(false)));
    });
}
