//! Publishers of another server.

use crate::stage::{Rooms, Stage, code, of};
use bifrons_core::codec::Codec;
use bifrons_core::media::{
    Carries, Fact, IngestId, IngestSetup, MediaKind, Plan, SinkId, SourceId,
};
use bifrons_core::plugin::Plugin;
use bifrons_core::rtp::{Extension, Ssrc};
use serde_json::{Value, json};

fn ask(stage: &mut Stage, name: &str, extra: Value) -> Value {
    let mut body = json!({ "request": name, "room": 1 });
    for (key, value) in extra.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    stage.sync(body)
}

fn audio_and_video() -> Value {
    json!([
        { "mid": "x", "mindex": 7, "type": "audio", "codec": "opus", "fec": true,
          "audiolevel_ext_id": 3 },
        { "mid": "y", "mindex": 9, "type": "video", "codec": "vp8", "simulcast": true,
          "description": "camera" },
    ])
}

fn stage(room: Value) -> Stage {
    let mut stage = Stage::new();
    let mut room = room;
    room["room"] = json!(1);
    stage.create(room);
    stage
}

fn ingests(plans: &[Plan]) -> Vec<(IngestId, IngestSetup)> {
    let setup = |plan: &Plan| match *plan {
        Plan::Ingest { ingest, setup } => Some((ingest, setup)),
        _ => None,
    };
    plans.iter().filter_map(setup).collect()
}

#[test]
fn videoroom_75_a_remote_publisher_is_there_at_once() {
    let mut stage = stage(json!({}));
    let (other, _) = stage.join(1, 5);
    let wish = json!({ "id": 9, "display": "Far", "streams": audio_and_video() });
    stage.events();
    let reply = ask(&mut stage, "add_remote_publisher", wish.clone());
    assert_eq!((&reply["videoroom"], &reply["id"]), (&json!("success"), &json!(9)));
    assert!(reply["port"].is_u64() && reply["rtcp_port"].is_u64(), "{reply}");
    assert!(reply.get("ip").is_none());
    let told = of(&stage.events(), other);
    let publisher = &told[0]["publishers"][0];
    assert_eq!((&publisher["id"], &publisher["display"]), (&json!(9), &json!("Far")));
    let mids: Vec<_> = [0, 1].map(|at| publisher["streams"][at]["mid"].clone()).to_vec();
    assert_eq!(mids, ["0", "1"], "places are assigned here");
    let plans = stage.plans();
    let made = ingests(&plans);
    assert_eq!((made[0].1.kind, made[0].1.codec), (MediaKind::Audio, Some(Codec::Opus)));
    assert_eq!(made[0].1.extensions.get(Extension::AudioLevel), Some(3));
    assert!(made[1].1.simulcast);
    let rtp = stage.world.ports[0].0;
    for (at, base) in [(0, 1000), (1, 1010)] {
        let carries = Carries::Ssrcs(Ssrc(base));
        let feed = Plan::Feed { port: rtp, ingest: made[at].0, carries };
        assert!(plans.contains(&feed), "{plans:?}");
    }
    assert_eq!(code(&ask(&mut stage, "add_remote_publisher", wish)), 436);
    let list = ask(&mut stage, "listparticipants", json!({}));
    let far = &list["participants"][1];
    assert_eq!((&far["remote"], &far["publisher"]), (&json!(true), &json!(true)));
    let (_, joined) = stage.join(1, 6);
    assert_eq!(joined["publishers"][0]["id"], 9);
}

#[test]
fn what_a_remote_publisher_has_to_say_of_itself() {
    let mut stage = stage(json!({}));
    let add = |stage: &mut Stage, extra: Value| ask(stage, "add_remote_publisher", extra);
    assert_eq!(code(&add(&mut stage, json!({}))), 429);
    assert_eq!(code(&add(&mut stage, json!({ "streams": [] }))), 430);
    let one = |item: Value| json!({ "streams": [item] });
    let bare = json!({ "mid": "0", "mindex": 0, "type": "audio" });
    assert_eq!(code(&add(&mut stage, one(bare.clone()))), 429);
    let mut odd = bare.clone();
    odd["codec"] = json!("gramophone");
    assert_eq!(code(&add(&mut stage, one(odd))), 429);
    let smell = json!({ "mid": "0", "mindex": 0, "type": "smell", "codec": "opus" });
    assert_eq!(code(&add(&mut stage, one(smell))), 430);
    let mut known = bare;
    known["codec"] = json!("opus");
    for (key, value, wanted) in
        [("iface", json!("eth0"), 499), ("srtp_suite", json!(5), 430), ("port", json!(99_999), 430)]
    {
        let mut body = one(known.clone());
        body[key] = value;
        body["srtp_crypto"] = json!("x");
        assert_eq!(code(&add(&mut stage, body)), wanted, "{key}");
    }
    assert!(stage.world.ports.is_empty(), "a refusal opens nothing");
    let mut named = one(known);
    (named["iface"], named["port"]) = (json!("127.0.0.1"), json!(5000));
    let reply = add(&mut stage, named.clone());
    assert_eq!((&reply["ip"], &reply["port"]), (&json!("127.0.0.1"), &json!(5000)));
    assert_eq!(code(&add(&mut stage, named)), 499, "the port is taken");
    let far = one(json!({ "mid": "0", "mindex": 0, "type": "video", "codec": "av1" }));
    stage.plans();
    let reply = add(&mut stage, far);
    assert!(ingests(&stage.plans()).is_empty(), "a codec the room has not: {reply}");
}

#[test]
fn a_remote_publisher_is_watched_like_any_other() {
    let mut stage = stage(json!({ "publishers": 1, "audiolevel_event": true, "fir_freq": 5 }));
    ask(&mut stage, "add_remote_publisher", json!({ "id": 9, "streams": audio_and_video() }));
    let plans = stage.plans();
    let made = ingests(&plans);
    let policy = plans.iter().find_map(|plan| match *plan {
        Plan::Policy { source, policy } if source == SourceId::Ingest(made[1].0) => Some(policy),
        _ => None,
    });
    assert_eq!(policy.expect("a policy").keyframe_interval_s, 5);
    stage.watcher(1, json!([{ "feed": 9 }]));
    let plans = stage.plans();
    let fed: Vec<_> = plans
        .iter()
        .filter_map(|plan| match plan {
            Plan::Route { source, sink: SinkId::Line(_), .. } => Some(*source),
            _ => None,
        })
        .collect();
    assert_eq!(fed, [SourceId::Ingest(made[0].0), SourceId::Ingest(made[1].0)]);
    assert!(plans.contains(&Plan::Keyframe { source: SourceId::Ingest(made[1].0) }));
    let (other, _) = stage.join(1, 5);
    stage.events();
    let talking = Fact::Talking { mindex: 0, talking: true, average_dbov: 20.0 };
    stage.plugin.ingest_fact(&mut stage.world, made[0].0, &talking);
    let told = of(&stage.events(), other);
    assert_eq!((&told[0]["videoroom"], &told[0]["id"]), (&json!("talking"), &json!(9)));
    // It counts against the room's publishers.
    let body = json!({ "request": "publish" });
    let offer = bifrons_stage::offer(crate::stage::AV);
    assert_eq!(code(&stage.answer(other, body, Some(offer)).data), 432);
    let mute = json!({ "id": 9, "mid": "0", "mute": true });
    assert_eq!(ask(&mut stage, "moderate", mute)["videoroom"], "success");
    let muted = stage.plans().iter().any(|plan| {
        matches!(plan,
        Plan::Policy { source, policy } if *source == SourceId::Ingest(made[0].0) && policy.muted)
    });
    assert!(muted);
}

#[test]
fn an_update_changes_and_adds_streams() {
    let mut stage = stage(json!({}));
    let (other, _) = stage.join(1, 5);
    ask(&mut stage, "add_remote_publisher", json!({ "id": 9, "streams": audio_and_video() }));
    stage.plans();
    stage.events();
    let quiet = json!({ "id": 9, "display": "New", "streams": [
        { "mid": "0", "mindex": 0, "type": "audio", "codec": "opus" },
        { "mid": "5", "mindex": 5, "type": "audio", "codec": "opus" }] });
    let reply = ask(&mut stage, "update_remote_publisher", quiet);
    assert_eq!(reply, json!({ "videoroom": "success" }));
    assert!(stage.events().is_empty(), "nothing changed but a name, and a gap is refused");
    let loud = json!({ "id": 9, "streams": [
        { "mid": "0", "mindex": 0, "type": "audio", "codec": "opus", "disabled": true },
        { "mid": "2", "mindex": 2, "type": "video", "codec": "vp8" }] });
    ask(&mut stage, "update_remote_publisher", loud);
    let told = of(&stage.events(), other);
    let publisher = &told[0]["publishers"][0];
    assert_eq!((&publisher["display"], told.len()), (&json!("New"), 1));
    assert_eq!(publisher["streams"][0]["disabled"], true);
    assert_eq!(publisher["streams"][2]["mid"], "2");
    let plans = stage.plans();
    assert_eq!(ingests(&plans).len(), 1);
    assert!(plans.iter().any(|plan| matches!(plan, Plan::EndIngest { .. })), "{plans:?}");
    assert_eq!(code(&ask(&mut stage, "update_remote_publisher", json!({ "id": 9 }))), 429);
    let unknown = json!({ "id": 5, "streams": audio_and_video() });
    assert_eq!(code(&ask(&mut stage, "update_remote_publisher", unknown)), 428, "a local one");
}

#[test]
fn videoroom_78_a_remote_publisher_is_removed_once() {
    let mut stage = stage(json!({}));
    let (other, _) = stage.join(1, 5);
    ask(&mut stage, "add_remote_publisher", json!({ "id": 9, "streams": audio_and_video() }));
    let watcher = stage.watcher(1, json!([{ "feed": 9 }]));
    stage.events();
    stage.plans();
    let reply = ask(&mut stage, "remove_remote_publisher", json!({ "id": 9 }));
    assert_eq!(reply, json!({ "videoroom": "success" }));
    let events = stage.events();
    assert_eq!(of(&events, other), [json!({ "videoroom": "event", "room": 1, "leaving": 9 })]);
    assert_eq!(of(&events, watcher)[0]["videoroom"], "updated");
    let ended = stage.plans().iter().filter(|p| matches!(p, Plan::EndIngest { .. })).count();
    assert_eq!((ended, stage.world.ports.len()), (2, 0));
    assert_eq!(code(&ask(&mut stage, "remove_remote_publisher", json!({ "id": 9 }))), 428);
    assert_eq!(code(&ask(&mut stage, "remove_remote_publisher", json!({ "id": 5 }))), 428);
}
