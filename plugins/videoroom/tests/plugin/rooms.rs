//! Rooms: create, edit, destroy, list and their neighbours.

use crate::stage::{Rooms, Stage, code, of, without_config};
use bifrons_core::config::{Tree, jcfg};
use bifrons_core::media::Plan;
use bifrons_core::plugin::{Answer, Plugin};
use serde_json::{Value, json};

fn request(name: &str, mut fields: Value) -> Value {
    fields["request"] = json!(name);
    fields
}

/// The room as `list` shows it.
fn listed(stage: &mut Stage, room: u64) -> Value {
    let list = stage.sync(request("list", json!({})));
    let rooms = list["list"].as_array().expect("a list");
    let found = rooms.iter().find(|shown| shown["room"] == room);
    found.cloned().unwrap_or(Value::Null)
}

#[test]
fn videoroom_01_create_without_an_id() {
    let mut stage = Stage::new();
    let first = stage.sync(request("create", json!({})));
    let second = stage.sync(request("create", json!({ "room": 0 })));
    assert_eq!((&first["videoroom"], &first["permanent"]), (&json!("created"), &json!(false)));
    let ids: Vec<_> = [&first, &second].map(|r| r["room"].as_u64().expect("a number")).into();
    assert!(ids[0] != 0 && ids[1] != 0 && ids[0] != ids[1], "{ids:?}");
    let shown = listed(&mut stage, ids[0]);
    assert_eq!(shown["description"], format!("Room {}", ids[0]));
}

#[test]
fn videoroom_02_a_taken_id() {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 7 }));
    assert_eq!(code(&stage.sync(request("create", json!({ "room": 7 })))), 427);
}

#[test]
fn videoroom_03_a_low_bitrate_is_raised() {
    let mut stage = Stage::new();
    for (given, shown) in [(1000, 64_000), (0, 0), (63_999, 64_000), (64_001, 64_001)] {
        stage.create(json!({ "room": given + 1, "bitrate": given }));
        assert_eq!(listed(&mut stage, given + 1)["bitrate"], shown);
    }
}

#[test]
fn videoroom_04_codec_lists() {
    let mut stage = Stage::new();
    for bad in ["vp8,foo", "foo", "vp8,", ",", "opus"] {
        let reply = stage.sync(request("create", json!({ "videocodec": bad })));
        assert_eq!(code(&reply), 430, "{bad}");
    }
    stage.create(json!({ "room": 1, "videocodec": "VP9,vp8", "audiocodec": "" }));
    let shown = listed(&mut stage, 1);
    assert_eq!((&shown["videocodec"], &shown["audiocodec"]), (&json!("vp9,vp8"), &json!("opus")));
}

#[test]
fn videoroom_05_three_publishers_by_default() {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1 }));
    assert_eq!(listed(&mut stage, 1)["max_publishers"], 3);
}

const ADMIN: &str = "general: { admin_key = \"s3cret\" }";

#[test]
fn videoroom_06_the_admin_key() {
    let mut stage = Stage::with(ADMIN);
    assert_eq!(code(&stage.sync(request("create", json!({})))), 429);
    assert_eq!(code(&stage.sync(request("create", json!({ "admin_key": 5 })))), 430);
    assert_eq!(code(&stage.sync(request("create", json!({ "admin_key": "s3cre" })))), 433);
    let reply = stage.sync(request("create", json!({ "admin_key": "s3cret" })));
    assert_eq!(reply["videoroom"], "created");
}

#[test]
fn videoroom_07_and_08_private_rooms() {
    let mut stage = Stage::with(ADMIN);
    stage.create(json!({ "room": 1, "is_private": true, "admin_key": "s3cret" }));
    assert_eq!(listed(&mut stage, 1), Value::Null);
    let all = stage.sync(request("list", json!({ "admin_key": "s3cret" })));
    assert_eq!(all["list"][0]["room"], 1);
    assert_eq!(code(&stage.sync(request("list", json!({ "admin_key": "wrong" })))), 433);
    for ignored in [json!(""), json!(5)] {
        let reply = stage.sync(request("list", json!({ "admin_key": ignored })));
        assert_eq!(reply["list"], json!([]));
    }
}

#[test]
fn videoroom_09_what_list_leaves_out() {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1 }));
    let shown = listed(&mut stage, 1);
    for absent in ["opus_dtx", "bitrate_cap", "rec_dir", "audio_active_packets"] {
        assert!(shown.get(absent).is_none(), "{absent}");
    }
    assert_eq!(shown["opus_fec"], true);
    stage.create(json!({
        "room": 2, "opus_dtx": true, "bitrate_cap": true, "rec_dir": "/x", "opus_fec": false,
        "audiolevel_event": true,
    }));
    let shown = listed(&mut stage, 2);
    for present in ["opus_dtx", "bitrate_cap", "rec_dir", "audio_active_packets"] {
        assert!(shown.get(present).is_some(), "{present}");
    }
    assert!(shown.get("opus_fec").is_none());
}

#[test]
fn videoroom_10_edit_needs_the_secret() {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1, "secret": "x" }));
    assert_eq!(code(&stage.sync(request("edit", json!({ "room": 1 })))), 429);
    assert_eq!(code(&stage.sync(request("edit", json!({ "room": 1, "secret": "y" })))), 433);
    assert_eq!(code(&stage.sync(request("edit", json!({ "room": 2 })))), 426);
    let body = json!({ "room": 1, "secret": "x", "new_bitrate": 5, "new_publishers": 9 });
    assert_eq!(stage.sync(request("edit", body))["videoroom"], "edited");
    let shown = listed(&mut stage, 1);
    assert_eq!((&shown["bitrate"], &shown["max_publishers"]), (&json!(64_000), &json!(9)));
}

#[test]
fn videoroom_11_an_empty_pin_changes_nothing() {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1, "pin": "1" }));
    stage.sync(request("edit", json!({ "room": 1, "new_pin": "" })));
    assert_eq!(listed(&mut stage, 1)["pin_required"], true);
}

#[test]
fn videoroom_12_destroy() {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1, "dummy_publisher": true }));
    let publisher = stage.publisher(1, 5);
    let (lurker, _) = stage.join(1, 6);
    stage.events();
    let reply = stage.sync(request("destroy", json!({ "room": 1 })));
    assert_eq!(reply, json!({ "videoroom": "destroyed", "room": 1, "permanent": false }));
    let events = stage.events();
    for handle in [publisher, lurker] {
        let want = json!({ "videoroom": "destroyed", "room": 1 });
        assert_eq!(of(&events, handle), [want]);
    }
    assert_eq!(stage.world.closed, [publisher, lurker]);
    stage.settle();
    let refused = stage.answer(publisher, json!({ "request": "configure" }), None);
    assert_eq!(code(&refused.data), 426);
    let join = json!({ "request": "join", "ptype": "publisher", "room": 1 });
    assert_eq!(code(&stage.answer(lurker, join, None).data), 425);
}

#[test]
fn videoroom_13_exists() {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1 }));
    for (room, exists) in [(1, true), (2, false)] {
        let reply = stage.sync(request("exists", json!({ "room": room })));
        assert_eq!(reply, json!({ "videoroom": "success", "room": room, "exists": exists }));
    }
    assert_eq!(code(&stage.sync(request("exists", json!({})))), 429);
}

/// Everything a saved room has that can be seen from outside.
fn shown(stage: &mut Stage) -> Value {
    let edit = json!({ "room": 5, "secret": "s", "new_is_private": false });
    stage.sync(request("edit", edit));
    let mut shown = listed(stage, 5);
    assert_eq!(code(&stage.sync(request("edit", json!({ "room": 5, "secret": "x" })))), 433);
    shown["answer"] = {
        let (_, refused) = stage.join(5, 1);
        json!(code(&refused))
    };
    shown
}

#[test]
fn videoroom_14_permanent_rooms_survive() {
    let mut stage = Stage::with("general: { events = false }");
    let reply = stage.sync(request(
        "create",
        json!({
            "room": 5, "permanent": true, "description": "Kept \"well\"", "secret": "s", "pin": "p",
            "publishers": 0, "bitrate": 512_000, "fir_freq": 10, "videocodec": "vp9,h264",
            "vp9_profile": "2", "h264_profile": "42e01f", "opus_fec": false, "opus_dtx": true,
            "audiolevel_event": true, "audio_active_packets": 7, "audio_level_average": 99,
            "notify_joining": true, "require_pvtid": true, "lock_record": true, "rec_dir": "/x",
            "is_private": true, "playoutdelay_ext": false, "require_e2ee": true, "threads": 2,
        }),
    ));
    assert_eq!(reply["permanent"], true);
    let before = shown(&mut stage);
    let (_, text) = stage.world.stored.pop().expect("stored");
    let tree = jcfg::read_alone("stored", &text).expect("valid");
    assert_eq!(tree.group("general").and_then(|g| g.get_bool("events")), Some(false));
    let mut stage = Stage::with_tree(&tree);
    assert_eq!(shown(&mut stage), before);
    let reply =
        stage.sync(request("destroy", json!({ "room": 5, "secret": "s", "permanent": true })));
    assert_eq!(reply["permanent"], true);
    let (_, text) = stage.world.stored.pop().expect("stored");
    assert!(!text.contains("room-5"), "{text}");
}

#[test]
fn a_room_that_cannot_be_saved_is_there_all_the_same() {
    let mut stage = Stage::new();
    stage.world.has_folder = false;
    let reply = stage.sync(request("create", json!({ "room": 5, "permanent": true })));
    assert_eq!(reply, json!({ "videoroom": "created", "room": 5, "permanent": false }));
    let body = json!({ "request": "create", "room": 6, "permanent": true });
    stage.world.has_folder = true;
    let admin = stage.operate(&body);
    assert_eq!(admin["permanent"], true);
    let (ticket, text) = stage.world.stored.pop().expect("stored");
    assert!(!text.contains("room-5") && text.contains("room-6"), "{text}");
    stage.plugin.answered(&mut stage.world, ticket, Answer::Stored(Err("full".to_owned())));
    stage.sync(request("edit", json!({ "room": 5, "permanent": true })));
    let (_, text) = stage.world.stored.pop().expect("stored");
    assert!(text.contains("room-5") && !text.contains("room-6"), "{text}");
}

#[test]
fn without_a_configuration_nothing_is_permanent() {
    let mut stage = without_config();
    let reply = stage.sync(request("create", json!({ "room": 5, "permanent": true })));
    assert_eq!(code(&reply), 499);
    assert_eq!(stage.sync(request("exists", json!({ "room": 5 })))["exists"], false);
}

#[test]
fn videoroom_15_string_ids() {
    let mut stage = Stage::with("general: { string_ids = true } room-hall: { pin = \"p\" }");
    assert_eq!(code(&stage.sync(request("exists", json!({ "room": 1 })))), 430);
    assert_eq!(stage.sync(request("exists", json!({ "room": "hall" })))["exists"], true);
    let made = stage.sync(request("create", json!({})));
    let id = made["room"].as_str().expect("a text");
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "{id}");
    let mut numbers = Stage::new();
    assert_eq!(code(&numbers.sync(request("exists", json!({ "room": "1" })))), 430);
}

#[test]
fn videoroom_16_and_18_errors_are_replies_of_the_plugin() {
    let mut stage = Stage::new();
    let reply = stage.sync(request("dance", json!({})));
    assert_eq!(code(&reply), 423);
    assert!(reply["error"].is_string());
    assert_eq!(code(&stage.sync(json!({}))), 429);
    assert_eq!(code(&stage.sync(json!({ "request": 5 }))), 430);
    assert_eq!(stage.sync(json!({ "request": "LIST" }))["videoroom"], "success");
}

#[test]
fn rooms_of_the_configuration() {
    let mut stage = Stage::with(
        "room-1234: { publishers = 6; audiolevel_ext = \"yes\"; opus_dtx = \"TRUE\"; } \
         room-0: { } room-x: { } \
         room-9: { videocodec = \"nonsense\"; }",
    );
    let list = stage.sync(request("list", json!({})));
    let rooms: Vec<_> = list["list"].as_array().expect("a list").iter().collect();
    assert_eq!(rooms.len(), 1, "{list}");
    assert_eq!(rooms[0]["description"], "room-1234");
    assert_eq!((&rooms[0]["max_publishers"], &rooms[0]["opus_dtx"]), (&json!(6), &json!(true)));
}

#[test]
fn videoroom_94_allowed_tokens() {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1 }));
    let mut act = |fields: Value| {
        let mut body = request("allowed", fields);
        body["room"] = json!(1);
        stage.sync(body)
    };
    assert_eq!(act(json!({ "action": "enable", "allowed": ["a"] }))["allowed"], json!([]));
    assert_eq!(
        act(json!({ "action": "add", "allowed": ["a", "b"] }))["allowed"],
        json!(["a", "b"])
    );
    assert_eq!(act(json!({ "action": "add" }))["allowed"], json!(["a", "b"]));
    assert_eq!(act(json!({ "action": "remove", "allowed": ["a"] }))["allowed"], json!(["b"]));
    assert!(act(json!({ "action": "disable" })).get("allowed").is_none());
    assert_eq!(code(&act(json!({ "action": "burn" }))), 430);
    assert_eq!(code(&act(json!({ "action": "add", "allowed": [5] }))), 430);
    assert_eq!(code(&act(json!({}))), 429);
}

#[test]
fn videoroom_80_the_dummy_publisher() {
    let mut stage = Stage::new();
    stage.create(json!({
        "room": 1, "dummy_publisher": true, "publishers": 1, "videocodec": "vp8,vp9",
    }));
    let list = stage.sync(request("listparticipants", json!({ "room": 1 })));
    let dummy = &list["participants"][0];
    assert_eq!((&dummy["dummy"], &dummy["publisher"]), (&json!(true), &json!(true)));
    let (_, joined) = stage.join(1, 5);
    let shown = &joined["publishers"][0];
    assert_eq!(shown["display"], "Dummy publisher");
    let codecs: Vec<_> =
        shown["streams"].as_array().expect("streams").iter().map(|s| &s["codec"]).collect();
    assert_eq!(codecs, ["opus", "vp8", "vp9"]);
    let kick = json!({ "room": 1, "id": dummy["id"] });
    assert_eq!(code(&stage.sync(request("kick", kick))), 428);
    stage.publisher(1, 6);
    let (_, attached) = stage.subscriber(1, json!([{ "feed": dummy["id"] }]));
    assert_eq!(attached.data["streams"].as_array().map(Vec::len), Some(3));
    let text = attached.jsep.expect("an offer").sdp.to_string();
    assert_eq!(text.matches("a=sendonly").count(), 3, "{text}");
    let named = json!([{ "codec": "vp9" }, { "codec": "h264" }, { "x": 1 }, 5]);
    stage.create(json!({
        "room": 2, "dummy_publisher": true, "videocodec": "vp9", "dummy_streams": named,
    }));
    let (_, joined) = stage.join(2, 5);
    assert_eq!(joined["publishers"][0]["streams"].as_array().map(Vec::len), Some(1));
}

#[test]
fn videoroom_82_operators_may_list_and_not_join() {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1 }));
    let mut ask = |body: Value| stage.operate(&body);
    assert_eq!(ask(json!({ "request": "list" }))["list"][0]["room"], 1);
    assert_eq!(code(&ask(json!({ "request": "join", "room": 1, "ptype": "publisher" }))), 423);
    assert_eq!(code(&ask(json!([]))), 423);
}

#[test]
fn enable_recording_asks_for_keyframes_once() {
    let mut stage = Stage::new();
    stage.create(json!({ "room": 1 }));
    stage.publisher(1, 5);
    let ask = json!({ "request": "enable_recording", "room": 1, "record": true });
    let reply = stage.sync(ask.clone());
    assert_eq!(reply, json!({ "videoroom": "success", "record": true }));
    let keyframes = |plans: Vec<Plan>| {
        plans.iter().filter(|plan| matches!(plan, Plan::Keyframe { .. })).count()
    };
    assert_eq!(keyframes(stage.plans()), 1);
    stage.sync(ask);
    assert_eq!(keyframes(stage.plans()), 0);
    assert_eq!(listed(&mut stage, 1)["record"], true);
}

#[test]
fn an_empty_tree_is_a_configuration() {
    let mut stage = Stage::with_tree(&Tree::default());
    let reply = stage.sync(request("create", json!({ "room": 5, "permanent": true })));
    assert_eq!(reply["permanent"], true);
}

#[test]
fn a_room_is_one_home_for_publishers_and_subscribers() {
    let mut stage = Stage::new();
    for room in [1, 2] {
        stage.create(json!({ "room": room }));
    }
    let (ada, bob) = (stage.publisher(1, 10), stage.publisher(2, 20));
    let cyd = stage.watcher(1, json!([{ "feed": 10 }]));
    let homes = &stage.world.homes;
    assert!(homes.contains_key(&ada) && homes.get(&ada) == homes.get(&cyd));
    assert_ne!(homes.get(&ada), homes.get(&bob));
}
