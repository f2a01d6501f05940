//! Participants: joining, publishing, leaving, and being moderated.

use crate::stage::{AV, Rooms, Stage, code, keys, of, signed};
use bifrons_core::media::{Fact, MediaKind, Plan, SourceId, SourcePolicy};
use bifrons_core::plugin::{Jsep, Plugin};
use bifrons_stage::offer;
use serde_json::{Value, json};

fn join(room: u64, extra: Value) -> Value {
    let mut body = json!({ "request": "join", "ptype": "publisher", "room": room });
    for (key, value) in extra.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

fn stage(room: Value) -> Stage {
    let mut stage = Stage::new();
    let mut room = room;
    room["room"] = json!(1);
    stage.create(room);
    stage
}

/// The policies among plans, by line.
fn policies(plans: &[Plan]) -> Vec<(u16, SourcePolicy)> {
    let policy = |plan: &Plan| match *plan {
        Plan::Policy { source: SourceId::Line(line), policy } => Some((line.mindex, policy)),
        _ => None,
    };
    plans.iter().filter_map(policy).collect()
}

#[test]
fn videoroom_17_configure_on_a_fresh_handle() {
    let mut stage = stage(json!({}));
    for name in ["configure", "start", "leave", "subscribe"] {
        let handle = stage.attach();
        assert_eq!(code(&stage.answer(handle, json!({ "request": name }), None).data), 424);
    }
}

#[test]
fn videoroom_19_an_unknown_room() {
    let mut stage = stage(json!({}));
    let handle = stage.attach();
    assert_eq!(code(&stage.answer(handle, join(2, json!({})), None).data), 426);
    assert_eq!(stage.answer(handle, join(1, json!({})), None).data["videoroom"], "joined");
}

#[test]
fn videoroom_20_the_pin() {
    let mut stage = stage(json!({ "pin": "1" }));
    for (extra, wanted) in
        [(json!({}), 429), (json!({ "pin": 1 }), 430), (json!({ "pin": "2" }), 433)]
    {
        let handle = stage.attach();
        assert_eq!(code(&stage.answer(handle, join(1, extra), None).data), wanted);
    }
    let handle = stage.attach();
    let joined = stage.answer(handle, join(1, json!({ "pin": "1" })), None);
    assert_eq!(joined.data["videoroom"], "joined");
}

#[test]
fn videoroom_21_one_join_a_handle() {
    let mut stage = stage(json!({}));
    let (handle, _) = stage.join(1, 5);
    assert_eq!(code(&stage.answer(handle, join(1, json!({})), None).data), 425);
    let left = stage.answer(handle, json!({ "request": "leave" }), None);
    assert_eq!(left.data, json!({ "videoroom": "event", "room": 1, "leaving": "ok" }));
    assert_eq!(code(&stage.answer(handle, join(1, json!({})), None).data), 425);
    assert_eq!(code(&stage.answer(handle, json!({ "request": "configure" }), None).data), 426);
}

#[test]
fn videoroom_22_a_taken_user_id() {
    let mut stage = stage(json!({}));
    stage.join(1, 5);
    let handle = stage.attach();
    assert_eq!(code(&stage.answer(handle, join(1, json!({ "id": 5 })), None).data), 436);
}

#[test]
fn videoroom_23_the_allow_list_is_for_publishers() {
    let mut stage = stage(json!({ "allowed": ["t"] }));
    for extra in [json!({}), json!({ "token": "x" })] {
        let handle = stage.attach();
        assert_eq!(code(&stage.answer(handle, join(1, extra), None).data), 433);
    }
    let handle = stage.attach();
    stage.answer(handle, join(1, json!({ "token": "t", "id": 5 })), None);
    stage.answer(handle, json!({ "request": "publish" }), Some(offer(AV)));
    stage.up(handle);
    let (_, attached) = stage.subscriber(1, json!([{ "feed": 5 }]));
    assert_eq!(attached.data["videoroom"], "attached");
}

#[test]
fn signed_tokens_name_the_room() {
    let tree = bifrons_core::config::jcfg::read_alone("t", "room-1: { signed_tokens = true }");
    let mut stage = signed(&tree.expect("valid"), "good", "room=1");
    for (extra, wanted) in [(json!({}), 433), (json!({ "token": "bad" }), 433)] {
        let handle = stage.attach();
        assert_eq!(code(&stage.answer(handle, join(1, extra), None).data), wanted);
    }
    let handle = stage.attach();
    let joined = stage.answer(handle, join(1, json!({ "token": "good" })), None);
    assert_eq!(joined.data["videoroom"], "joined");
}

#[test]
fn videoroom_24_and_26_joined() {
    let mut stage = stage(json!({ "description": "Hall" }));
    let (first, joined) = stage.join(1, 5);
    assert_eq!(joined["publishers"], json!([]));
    assert!(joined["private_id"].as_u64().is_some_and(|id| id != 0 && id <= u64::from(u32::MAX)));
    assert_eq!((&joined["description"], &joined["id"]), (&json!("Hall"), &json!(5)));
    assert!(joined.get("attendees").is_none());
    let handle = stage.attach();
    let events = stage.ask(handle, join(1, json!({})), None);
    assert!(of(&events, first).is_empty(), "a mere join notifies nobody");
    let extra = json!({ "audio_active_packets": 5, "audio_level_average": 40 });
    let handle = stage.attach();
    let joined = stage.answer(handle, join(1, extra), None).data;
    assert_eq!(
        (&joined["audio_active_packets"], &joined["audio_level_average"]),
        (&json!(5), &json!(40))
    );
}

#[test]
fn videoroom_25_notify_joining() {
    let mut stage = stage(json!({ "notify_joining": true }));
    let (first, joined) = stage.join(1, 5);
    assert_eq!(joined["attendees"], json!([]));
    let handle = stage.attach();
    let extra = json!({ "id": 6, "display": "Bob", "metadata": { "seat": 3 } });
    let events = stage.ask(handle, join(1, extra), None);
    let bob = json!({ "id": 6, "display": "Bob", "metadata": { "seat": 3 } });
    let want = json!({ "videoroom": "event", "room": 1, "joining": bob });
    assert_eq!(of(&events, first), [want]);
    assert_eq!(of(&events, handle)[0]["attendees"], json!([{ "id": 5 }]));
}

#[test]
fn videoroom_27_to_29_and_31_publishing_is_told_when_up() {
    let mut stage = stage(json!({}));
    let (watcher, _) = stage.join(1, 9);
    let (handle, _) = stage.join(1, 5);
    let done = stage.answer(handle, json!({ "request": "configure" }), Some(offer(AV)));
    let names = keys(&done.data);
    assert_eq!(names, ["videoroom", "room", "configured", "audio_codec", "video_codec", "streams"]);
    let audio = json!({
        "type": "audio", "mindex": 0, "mid": "a", "codec": "opus", "fec": true,
        "audiolevel_ext_id": 1,
    });
    assert_eq!(done.data["streams"][0], audio);
    assert_eq!(done.data["streams"][1]["videoorient_ext_id"], 13);
    stage.up(handle);
    let told = of(&stage.events(), watcher);
    let audio = json!({ "type": "audio", "mindex": 0, "mid": "a", "codec": "opus", "fec": true });
    let video = json!({ "type": "video", "mindex": 1, "mid": "v", "codec": "vp8" });
    let publisher = json!({
        "id": 5, "audio_codec": "opus", "video_codec": "vp8", "streams": [audio, video],
    });
    let want = json!({ "videoroom": "event", "room": 1, "publishers": [publisher] });
    assert_eq!(told, std::slice::from_ref(&want));
    let events = stage.ask(handle, json!({ "request": "configure" }), Some(offer(AV)));
    assert_eq!(of(&events, watcher), [want], "a renegotiation tells at once");
    let (_, joined) = stage.join(1, 7);
    assert_eq!(joined["publishers"][0]["streams"][0]["talking"], false);
    assert_eq!(joined["publishers"][0]["talking"], false);
}

#[test]
fn videoroom_30_publish_while_up() {
    let mut stage = stage(json!({}));
    let handle = stage.publisher(1, 5);
    let refused = stage.answer(handle, json!({ "request": "publish" }), Some(offer(AV)));
    assert_eq!(code(&refused.data), 434);
    let done = stage.answer(handle, json!({ "request": "configure" }), Some(offer(AV)));
    assert!(done.jsep.is_some());
}

#[test]
fn videoroom_32_one_publisher_too_many() {
    let mut stage = stage(json!({ "publishers": 1 }));
    stage.publisher(1, 5);
    let (handle, _) = stage.join(1, 6);
    let refused = stage.answer(handle, json!({ "request": "publish" }), Some(offer(AV)));
    assert_eq!(code(&refused.data), 432);
    assert!(refused.jsep.is_none());
    let still = stage.answer(handle, json!({ "request": "configure", "display": "x" }), None);
    assert_eq!(still.data["configured"], "ok");
}

#[test]
fn videoroom_33_no_acceptable_codec() {
    let mut stage = stage(json!({ "videocodec": "h264" }));
    let (handle, _) = stage.join(1, 5);
    let done = stage.answer(handle, json!({ "request": "publish" }), Some(offer(AV)));
    assert!(done.data.get("video_codec").is_none());
    let disabled = json!({ "type": "video", "mindex": 1, "mid": "v", "disabled": true });
    assert_eq!(done.data["streams"][1], disabled);
    let text = done.jsep.expect("an answer").sdp.to_string();
    assert!(text.contains("a=inactive\r\na=mid:v"), "{text}");
}

#[test]
fn a_line_that_only_receives_and_a_second_data_line_are_disabled() {
    let mut stage = stage(json!({}));
    let (handle, _) = stage.join(1, 5);
    let data =
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\na=sctp-port:5000\r\n";
    let second = data.replace("mid:d", "mid:e");
    let media = format!("{}{data}{second}", AV.replacen("a=sendonly", "a=recvonly", 1));
    let done = stage.answer(handle, json!({ "request": "publish" }), Some(offer(&media)));
    let want = [
        json!({ "type": "audio", "mindex": 0, "mid": "a", "disabled": true }),
        json!({ "type": "data", "mindex": 2, "mid": "2" }),
        json!({ "type": "data", "mindex": 3, "mid": "3", "disabled": true }),
    ];
    let shown = [0, 2, 3].map(|at| done.data["streams"][at].clone());
    assert_eq!(shown, want);
    let text = done.jsep.expect("an answer").sdp.to_string();
    assert!(text.contains("m=application 0 "), "{text}");
}

#[test]
fn videoroom_34_a_codec_that_the_room_has_not() {
    let mut stage = stage(json!({ "videocodec": "vp9,vp8" }));
    let (handle, _) = stage.join(1, 5);
    let wish = |codec: &str| json!({ "request": "publish", "videocodec": codec });
    let refused = stage.answer(handle, wish("h264"), Some(offer(AV)));
    assert_eq!(code(&refused.data), 430);
    let done = stage.answer(handle, wish("vp8"), Some(offer(AV)));
    assert_eq!(done.data["video_codec"], "vp8");
    let (other, _) = stage.join(1, 6);
    let done = stage.answer(other, json!({ "request": "publish" }), Some(offer(AV)));
    assert_eq!(done.data["video_codec"], "vp9", "the room's order");
    assert_eq!(done.data["streams"][1]["vp9_profile"], "0");
}

#[test]
fn videoroom_35_encryption_is_demanded() {
    let mut stage = stage(json!({ "require_e2ee": true }));
    let (handle, _) = stage.join(1, 5);
    let refused = stage.answer(handle, json!({ "request": "publish" }), Some(offer(AV)));
    assert_eq!(code(&refused.data), 433);
    let encrypted = || Jsep { e2ee: true, ..offer(AV) };
    let done = stage.answer(handle, json!({ "request": "publish" }), Some(encrypted()));
    assert!(done.jsep.expect("an answer").e2ee);
    stage.up(handle);
    let again = stage.answer(handle, json!({ "request": "configure" }), Some(offer(AV)));
    assert!(again.jsep.expect("an answer").e2ee, "an earlier one counts");
}

#[test]
fn videoroom_36_unpublish_once() {
    let mut stage = stage(json!({}));
    let (watcher, _) = stage.join(1, 9);
    let (handle, _) = stage.join(1, 5);
    let ask = json!({ "request": "unpublish" });
    assert_eq!(code(&stage.answer(handle, ask.clone(), None).data), 435);
    stage.answer(handle, json!({ "request": "publish" }), Some(offer(AV)));
    stage.up(handle);
    let mut events = stage.ask(handle, ask, None);
    assert_eq!(stage.world.closed, [handle]);
    stage.settle();
    events.extend(stage.events());
    let ok = json!({ "videoroom": "event", "room": 1, "unpublished": "ok" });
    assert_eq!(of(&events, handle), [ok]);
    let told = json!({ "videoroom": "event", "room": 1, "unpublished": 5 });
    assert_eq!(of(&events, watcher), [told]);
    let again = stage.answer(handle, json!({ "request": "publish" }), Some(offer(AV)));
    assert_eq!(again.data["configured"], "ok", "may publish again");
}

#[test]
fn videoroom_37_detach_tells_twofold() {
    let mut stage = stage(json!({}));
    let (watcher, _) = stage.join(1, 9);
    let publisher = stage.publisher(1, 5);
    let (lurker, _) = stage.join(1, 6);
    for (handle, id) in [(publisher, 5), (lurker, 6)] {
        stage.events();
        stage.detach(handle);
        let told = of(&stage.events(), watcher);
        let want = |key: &str| {
            let mut event = json!({ "videoroom": "event", "room": 1 });
            event[key] = json!(id);
            event
        };
        assert_eq!(told, [want("unpublished"), want("leaving")]);
    }
}

#[test]
fn videoroom_38_and_89_leave_keeps_the_peerconnection() {
    let mut stage = stage(json!({}));
    let (watcher, _) = stage.join(1, 9);
    let handle = stage.attach();
    stage.answer(handle, join(1, json!({ "id": 5, "display": "Ann" })), None);
    stage.answer(handle, json!({ "request": "publish" }), Some(offer(AV)));
    stage.up(handle);
    stage.events();
    let events = stage.ask(handle, json!({ "request": "leave" }), None);
    let told = json!({ "videoroom": "event", "room": 1, "leaving": 5, "display": "Ann" });
    assert_eq!(of(&events, watcher), [told]);
    assert!(stage.world.closed.is_empty());
    stage.down(handle);
    assert!(stage.events().is_empty(), "its hangup concerns nobody any more");
}

#[test]
fn videoroom_39_kick() {
    let mut stage = stage(json!({ "secret": "s" }));
    let victim = stage.publisher(1, 5);
    let (other, _) = stage.join(1, 6);
    stage.events();
    let kick = json!({ "request": "kick", "room": 1, "id": 5, "secret": "s" });
    assert_eq!(stage.sync(kick.clone()), json!({ "videoroom": "success" }));
    let events = stage.events();
    let told = json!({ "videoroom": "event", "room": 1, "leaving": "ok", "reason": "kicked" });
    assert_eq!(of(&events, victim), [told]);
    assert_eq!(of(&events, other), [json!({ "videoroom": "event", "room": 1, "kicked": 5 })]);
    assert_eq!(stage.world.closed, [victim]);
    stage.settle();
    assert!(stage.events().is_empty());
    assert_eq!(code(&stage.sync(kick)), 428, "it has left");
    assert_eq!(code(&stage.answer(victim, json!({ "request": "configure" }), None).data), 426);
}

#[test]
fn videoroom_40_and_41_moderation_is_apart_from_muting() {
    let mut stage = stage(json!({}));
    let handle = stage.publisher(1, 5);
    let (other, _) = stage.join(1, 6);
    stage.events();
    let moderate =
        |mute: bool| json!({ "request": "moderate", "room": 1, "id": 5, "mid": "v", "mute": mute });
    stage.sync(moderate(true));
    let events = stage.events();
    let told = json!({
        "videoroom": "event", "room": 1, "id": 5, "mid": "v", "moderation": "muted",
    });
    assert_eq!((of(&events, handle), of(&events, other)), (vec![told.clone()], vec![told]));
    let muted =
        |plans: &[Plan]| policies(plans).iter().map(|(m, p)| (*m, p.muted)).collect::<Vec<_>>();
    assert_eq!(muted(&stage.plans()), [(1, true)]);
    let mute = json!({ "request": "configure", "mid": "v", "send": false });
    stage.answer(handle, mute, None);
    stage.sync(moderate(false));
    assert_eq!(muted(&stage.plans()), [], "muted by itself still");
    let unmute = json!({ "request": "configure", "streams": [{ "mid": "v", "send": true }] });
    stage.answer(handle, unmute, None);
    assert_eq!(muted(&stage.plans()), [(1, false)]);
    let wrong = json!({ "request": "moderate", "room": 1, "id": 5, "mid": "x", "mute": true });
    assert_eq!(code(&stage.sync(wrong)), 428);
}

#[test]
fn videoroom_42_a_display_that_changes() {
    let mut stage = stage(json!({}));
    let (watcher, _) = stage.join(1, 9);
    let (handle, _) = stage.join(1, 5);
    let named = |name: &str| json!({ "request": "configure", "display": name });
    assert!(of(&stage.ask(handle, named("A"), None), watcher).is_empty());
    let told = of(&stage.ask(handle, named("B"), None), watcher);
    assert_eq!(told, [json!({ "videoroom": "event", "id": 5, "display": "B" })]);
    let tagged = |n: u64| json!({ "request": "configure", "metadata": { "n": n } });
    assert!(of(&stage.ask(handle, tagged(1), None), watcher).is_empty());
    let told = of(&stage.ask(handle, tagged(2), None), watcher);
    assert_eq!(told, [json!({ "videoroom": "event", "id": 5, "metadata": { "n": 2 } })]);
}

#[test]
fn videoroom_43_an_unknown_mid() {
    let mut stage = stage(json!({}));
    let handle = stage.publisher(1, 5);
    let wish = |streams: Value| json!({ "request": "configure", "streams": streams });
    let refused = stage.answer(handle, wish(json!([{ "mid": "nope" }])), None);
    assert_eq!(code(&refused.data), 428);
    let refused = stage.answer(handle, wish(json!([{ "send": true }, { "mid": "v" }])), None);
    assert_eq!(code(&refused.data), 430);
    let refused = stage.answer(handle, wish(json!([{ "mid": 5 }])), None);
    assert_eq!(code(&refused.data), 430);
}

#[test]
fn videoroom_44_recording_under_lock_is_ignored() {
    let mut stage = stage(json!({ "lock_record": true, "secret": "s" }));
    let handle = stage.publisher(1, 5);
    let record = json!({ "request": "configure", "record": true });
    assert_eq!(stage.answer(handle, record, None).data["configured"], "ok");
    let proved = json!({ "request": "configure", "record": true, "secret": "s" });
    assert_eq!(code(&stage.answer(handle, proved, None).data), 499);
}

#[test]
fn videoroom_68_talking() {
    let mut stage = stage(json!({ "audiolevel_event": true, "audio_active_packets": 10 }));
    let (watcher, _) = stage.join(1, 9);
    let (handle, _) = stage.join(1, 5);
    let average = json!({ "request": "publish", "audio_level_average": 40 });
    stage.answer(handle, average, Some(offer(AV)));
    stage.up(handle);
    let policy = policies(&stage.plans())[0].1;
    assert_eq!((policy.level_packets, policy.level_average), (10, 40));
    stage.events();
    let fact = Fact::Talking { mindex: 0, talking: true, average_dbov: 12.5 };
    stage.plugin.fact(&mut stage.world, handle, &fact);
    stage.plugin.fact(&mut stage.world, handle, &fact);
    let events = stage.events();
    let told = json!({
        "videoroom": "talking", "room": 1, "id": 5, "mindex": 0, "mid": "a",
        "audio-level-dBov-avg": 12.5,
    });
    assert_eq!((of(&events, watcher), of(&events, handle)), (vec![told.clone()], vec![told]));
    let list = stage.sync(json!({ "request": "listparticipants", "room": 1 }));
    assert_eq!(list["participants"][0]["talking"], true);
    assert!(list["participants"][1].get("talking").is_none());
    let fact = Fact::Talking { mindex: 0, talking: false, average_dbov: 90.0 };
    stage.plugin.fact(&mut stage.world, handle, &fact);
    assert_eq!(stage.events()[0].data["videoroom"], "stopped-talking");
}

#[test]
fn videoroom_69_and_96_fir_freq_and_bitrate_become_policy() {
    let mut stage = stage(json!({ "fir_freq": 2, "bitrate": 512_000 }));
    let (handle, _) = stage.join(1, 5);
    stage.answer(handle, json!({ "request": "publish" }), Some(offer(AV)));
    let peer = stage.up(handle);
    let told = policies(&stage.plans());
    let want = |mindex: usize| (told[mindex].1.keyframe_interval_s, told[mindex].1.remb_bps);
    assert_eq!((want(0), want(1)), ((0, 0), (2, 512_000)));
    stage.answer(handle, json!({ "request": "configure", "bitrate": 900_000 }), None);
    let plans = stage.plans();
    assert!(plans.contains(&Plan::Remb { peer, bps: 900_000 }), "{plans:?}");
    assert_eq!(policies(&plans)[0].1.remb_bps, 900_000);
    stage.answer(handle, json!({ "request": "configure", "bitrate": 0 }), None);
    let plans = stage.plans();
    let last = plans.iter().find_map(|plan| match plan {
        Plan::Remb { bps, .. } => Some(*bps),
        _ => None,
    });
    assert!(last.is_some_and(|bps| bps > 50_000_000), "never a REMB of nothing: {plans:?}");
    assert_eq!(policies(&plans)[0].1.remb_bps, 0);
}

#[test]
fn a_bitrate_cap_clamps_and_is_written() {
    let mut stage = stage(json!({ "bitrate": 512_000, "bitrate_cap": true }));
    let (handle, _) = stage.join(1, 5);
    let wish = json!({ "request": "publish", "bitrate": 900_000 });
    let done = stage.answer(handle, wish, Some(offer(AV)));
    let text = done.jsep.expect("an answer").sdp.to_string();
    assert_eq!(text.matches("b=AS:512\r\n").count(), 1, "{text}");
    stage.up(handle);
    assert_eq!(policies(&stage.plans())[1].1.remb_bps, 512_000);
}

#[test]
fn videoroom_87_join_and_configure() {
    let mut stage = stage(json!({}));
    for name in ["joinandconfigure", "join"] {
        let handle = stage.attach();
        let mut body = join(1, json!({ "bitrate": 300_000 }));
        body["request"] = json!(name);
        let joined = stage.answer(handle, body, Some(offer(AV)));
        assert_eq!(joined.data["videoroom"], "joined");
        assert_eq!(joined.data["audio_codec"], "opus");
        assert_eq!(joined.data["streams"].as_array().map(Vec::len), Some(2));
        assert!(joined.jsep.is_some());
        let bitrate = stage.plugin.query_session(handle)["bitrate"].clone();
        assert_eq!(bitrate, if name == "join" { 0 } else { 300_000 });
    }
    let handle = stage.attach();
    let mut body = join(1, json!({}));
    body["request"] = json!("joinandconfigure");
    let joined = stage.answer(handle, body, None);
    assert!(joined.jsep.is_none() && joined.data.get("streams").is_none());
}

#[test]
fn descriptions_and_playout_delay() {
    let mut stage = stage(json!({}));
    let (watcher, _) = stage.join(1, 9);
    let (handle, _) = stage.join(1, 5);
    let described = |text: &str| json!({ "request": "configure", "descriptions": [{ "mid": "v", "description": text }] });
    let done = stage.answer(handle, described("Camera"), Some(offer(AV)));
    assert_eq!(done.data["streams"][1]["description"], "Camera");
    stage.up(handle);
    stage.events();
    let told = of(&stage.ask(handle, described("Screen"), None), watcher);
    assert_eq!(told[0]["publishers"][0]["streams"][1]["description"], "Screen");
    let broken = json!({ "request": "configure", "descriptions": [{ "mid": "v" }] });
    assert_eq!(code(&stage.answer(handle, broken, None).data), 429);
    stage.plans();
    let wish = json!({ "request": "configure", "min_delay": 5 });
    stage.answer(handle, wish, None);
    assert!(stage.plans().is_empty(), "both limits are needed");
    stage.answer(handle, json!({ "request": "configure", "max_delay": 3 }), None);
    let delay = policies(&stage.plans())[0].1.delay.expect("both are there");
    assert_eq!((delay.min, delay.max), (3, 3), "one drags the other along");
    stage.answer(handle, json!({ "request": "configure", "min_delay": -1 }), None);
    assert_eq!(policies(&stage.plans())[0].1.delay, None);
}

#[test]
fn slow_links_are_told_to_publishers() {
    let mut stage = stage(json!({ "bitrate": 100_000 }));
    let handle = stage.publisher(1, 5);
    let slow = |uplink| Fact::SlowLink { mindex: 1, uplink, lost: 20 };
    stage.plugin.fact(&mut stage.world, handle, &slow(false));
    stage.plugin.fact(&mut stage.world, handle, &slow(true));
    let told: Vec<_> = stage.events().into_iter().map(|event| event.data).collect();
    assert_eq!(told, [json!({ "videoroom": "slow_link", "current-bitrate": 100_000 })]);
}

#[test]
fn handle_info_of_a_publisher() {
    let mut stage = stage(json!({}));
    let fresh = stage.attach();
    let info = stage.plugin.query_session(fresh);
    assert_eq!(info, json!({ "hangingup": 0, "destroyed": 0 }));
    let handle = stage.publisher(1, 5);
    stage.watcher(1, json!([{ "feed": 5, "mid": "v" }, { "feed": 5, "mid": "v" }]));
    let info = stage.plugin.query_session(handle);
    assert_eq!((&info["type"], &info["id"]), (&json!("publisher"), &json!(5)));
    assert_eq!(info["streams"][0]["type"], MediaKind::Audio.name());
    assert_eq!(info["streams"][1]["subscribers"], 2);
}

#[test]
fn event_handlers_are_told() {
    let mut stage = stage(json!({}));
    stage.world.listens = true;
    let handle = stage.publisher(1, 5);
    stage.answer(handle, json!({ "request": "leave" }), None);
    let names: Vec<_> = stage.world.notices.iter().map(|body| body["event"].clone()).collect();
    assert_eq!(names, ["joined", "configured", "published", "leaving"]);
    assert!(stage.world.notices[0]["private_id"].is_u64());
}
