//! EchoTest's requests and answers (plugin-echotest checklist).

use crate::call::{Call, both, jsep, peer};
use crate::client::{Ws, error_of};
use crate::target::{Setup, Target, run};
use bifrons_control::dispatch::PluginAnswer;
use bifrons_core::plugin::HandleKey;
use bifrons_loadtest::peer::str0m::format::Codec;
use serde_json::{Value, json};
use std::time::Duration;

const PACKAGE: &str = "janus.plugin.echotest";

/// Sends a body and returns the plugin's data of the event that answers it.
async fn told(ws: &mut Ws, at: (u64, u64), body: Value) -> Value {
    let ack = ws.on(at, json!({"janus": "message", "body": body})).await;
    assert_eq!(ack["janus"], "ack", "{ack}");
    let event = ws.event().await;
    assert_eq!((&event["janus"], &event["sender"]), (&json!("event"), &json!(at.1)), "{event}");
    assert_eq!(event["transaction"], ack["transaction"]);
    assert_eq!(event["plugindata"]["plugin"], PACKAGE);
    event["plugindata"]["data"].clone()
}

/// Asserts that a body is refused with 413, and nothing is left over.
async fn refused(body: Value) {
    let target = Target::start().await;
    let mut ws = target.ws().await;
    let at = ws.attached().await;
    let data = told(&mut ws, at, body).await;
    assert_eq!((&data["echotest"], &data["error_code"]), (&json!("event"), &json!(413)), "{data}");
    assert!(data["error"].is_string() && data.get("result").is_none(), "{data}");
    ws.no_event().await;
}

/// What `handle_info` shows of a handle.
fn plugin_specific(target: &Target, at: (u64, u64)) -> Value {
    let ask = |key: HandleKey| target.front().with(|core, _| core.query_handle(key));
    let key = target.front().with(|core, _| core.handle_key(at.0, at.1)).expect("a handle");
    ask(key).expect("an object")
}

#[test]
fn echotest_01_an_empty_body_has_nothing_to_do() {
    run(async {
        refused(json!({})).await;
        // Two that do not count.
        refused(json!({"audiocodec": "opus", "filename": "x"})).await;
    });
}

#[test]
fn echotest_02_audio_has_to_be_a_boolean() {
    run(refused(json!({"audio": "yes"})));
}

#[test]
fn echotest_03_bitrate_has_to_be_positive() {
    run(refused(json!({"bitrate": -1})));
}

#[test]
fn echotest_04_an_ack_with_a_hint_then_the_event() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let request = json!({"janus": "message", "transaction": "mine", "session_id": at.0,
            "handle_id": at.1, "body": {"audio": true, "video": true}});
        let ack = ws.ask_raw(&request.to_string()).await;
        assert_eq!((&ack["janus"], &ack["transaction"]), (&json!("ack"), &json!("mine")));
        assert!(ack["hint"].is_string(), "{ack}");
        let event = ws.next().await;
        assert_eq!((&event["janus"], &event["transaction"]), (&json!("event"), &json!("mine")));
        let done = json!({"echotest": "event", "result": "ok"});
        assert_eq!(event["plugindata"]["data"], done);
    });
}

#[test]
fn echotest_05_both_lines_are_answered_sendrecv() {
    run(async {
        let target = Target::with_media().await;
        let mut call = Call::prepare(&target, &[Codec::Opus, Codec::Vp8]).await;
        call.offer(json!({"audio": true, "video": true}), both()).await;
        let lines: Vec<_> = call.answer.split("\r\nm=").skip(1).collect();
        assert!(lines[0].starts_with("audio 9 ") && lines[1].starts_with("video 9 "));
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.contains("\r\na=sendrecv")), "{}", call.answer);
    });
}

#[test]
fn echotest_11_a_codec_can_be_forced() {
    run(async {
        let target = Target::with_media().await;
        let codecs = [Codec::Opus, Codec::Vp8, Codec::H264];
        let mut call = Call::prepare(&target, &codecs).await;
        call.offer(json!({"videocodec": "h264"}), both()).await;
        assert!(call.answer.contains(" H264/90000") && !call.answer.contains(" VP8/90000"));
        let mut call = Call::prepare(&target, &codecs).await;
        call.offer(json!({"video": true}), both()).await;
        assert!(call.answer.contains(" VP8/90000") && !call.answer.contains(" H264/90000"));
    });
}

#[test]
fn echotest_12_a_layer_is_at_most_2() {
    run(async {
        for name in ["substream", "temporal", "spatial_layer", "temporal_layer"] {
            refused(json!({name: 3})).await;
        }
    });
}

#[test]
fn echotest_18_garbage_is_refused_by_the_core() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        let request = json!({"janus": "message", "body": {"audio": true}, "jsep": jsep("v=1")});
        assert!(error_of(&ws.on(at, request).await).starts_with("465 "));
        ws.no_event().await;
    });
}

#[test]
fn echotest_19_after_a_hangup_all_begins_anew() {
    run(async {
        let target = Target::with_media().await;
        let settings = json!({"audio": false, "bitrate": 300_000});
        let mut call = Call::start(&target, settings, both()).await;
        assert_eq!(call.ws.on(call.at, json!({"janus": "hangup"})).await["janus"], "success");
        let done = json!({"echotest": "event", "result": "done"});
        let is_done = |event: &Value| event["plugindata"]["data"] == done;
        let event = call.event_where("done", is_done).await;
        assert_eq!((event.get("transaction"), event.get("jsep")), (None, None));
        call.peer = peer(&[Codec::Opus, Codec::Vp8]).await;
        call.mids.clear();
        call.offer(json!({"video": true}), both()).await;
        call.connected().await;
        call.send_both().await;
        call.more_on(0, 10).await;
        if target.front.is_some() {
            assert_eq!(plugin_specific(&target, call.at)["bitrate"], 0);
        }
    });
}

#[test]
fn echotest_20_end_to_end_encryption_is_repeated() {
    run(async {
        let target = Target::with_media().await;
        for wanted in [Some(true), None] {
            let mut call = Call::prepare(&target, &[Codec::Opus, Codec::Vp8]).await;
            let (_, sdp) = call.peer.offer(both()).await.expect("an offer");
            let extra = wanted.map_or(json!({}), |e2ee| json!({"e2ee": e2ee}));
            let event = call.negotiate(json!({"audio": true}), &sdp, extra).await;
            assert_eq!(event["jsep"].get("e2ee").and_then(Value::as_bool), wanted);
        }
    });
}

#[test]
fn echotest_21_an_operators_message_comes_back() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let body = json!({"any": ["thing", {"at": "all"}], "n": 1});
        let answer = target.front().with(|core, now| core.message_plugin(now, PACKAGE, &body));
        assert_eq!(answer, Some(Some(PluginAnswer::Now(body))));
    });
}

#[test]
fn echotest_22_handle_info_shows_bitrate_and_codecs() {
    run(async {
        let Some(target) = Target::described().await else { return };
        let mut call = Call::start(&target, json!({"bitrate": 300_000}), both()).await;
        call.change(json!({"audio": false})).await;
        let info = plugin_specific(&target, call.at);
        let want = json!({"audio_active": false, "video_active": true, "audio_codec": "opus",
            "video_codec": "vp8", "bitrate": 300_000, "peer-bitrate": 0, "slowlink_count": 0,
            "hangingup": 0, "destroyed": 0});
        assert_eq!(info, want);
    });
}

#[test]
fn echotest_24_a_bitrate_with_the_first_offer_is_only_kept() {
    run(async {
        let target = Target::with_media().await;
        let mut call = Call::start(&target, json!({"bitrate": 300_000}), both()).await;
        call.send_both().await;
        // Well past the time a REMB would need, and past the first reports.
        call.more_on(0, 75).await;
        assert_eq!(call.until("counts", |_| true).await.remb, None);
        call.change(json!({"bitrate": 310_000})).await;
        call.until("a REMB", |stats| stats.remb.is_some_and(|(bps, _)| near(bps, 310_000))).await;
        tokio::time::timeout(Duration::from_millis(1), call.ws.no_event()).await.ok();
    });
}

/// Whether a REMB says that much, as far as its 18 bits of mantissa can.
pub(crate) fn near(bps: u64, want: u64) -> bool {
    bps.abs_diff(want) <= want >> 17
}
