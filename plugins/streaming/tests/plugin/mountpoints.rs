//! Requests about mountpoints.

use crate::stage::{Mountpoints, Stage, audio, code, video};
use bifrons_core::config::jcfg;
use bifrons_core::plugin::{Answer, Plugin};
use serde_json::{Value, json};

fn create(media: Value) -> Value {
    json!({ "request": "create", "type": "rtp", "media": media })
}

#[test]
fn what_cannot_be_made_is_refused_by_its_code() {
    let mut stage = Stage::new();
    let bad = |mut item: Value, key: &str, value: Value| {
        item[key] = value;
        create(json!([item]))
    };
    let cases = [
        (json!({ "request": "create" }), 453),
        (json!({ "request": "create", "type": "odd" }), 454),
        (create(json!([])), 456),
        (create(json!("a")), 454),
        (create(json!([1])), 454),
        (create(json!([{ "type": "audio", "mid": "0" }])), 453),
        (bad(audio(), "type", json!("smell")), 456),
        (bad(audio(), "codec", json!("mp3")), 456),
        (bad(audio(), "codec", json!("vp8")), 456),
        (bad(audio(), "pt", json!(128)), 456),
        (bad(audio(), "mid", json!("a\r\nb")), 456),
        (bad(audio(), "fmtp", json!("a\r\nb")), 456),
        (bad(audio(), "mcast", json!("127.0.0.1")), 456),
        (bad(audio(), "port", json!(65_536)), 454),
        (create(json!([audio(), audio()])), 456),
        (create(json!([{ "type": "audio", "mid": "0", "port": 0 }])), 456),
        (bad(video(), "h264sps", json!("AAAA")), 0),
        (json!({ "request": "create", "type": "rtp", "audio": true, "audioport": 0 }), 453),
        (json!({ "request": "create", "type": "rtp", "video": true }), 453),
        (json!({ "request": "create", "type": "rtp" }), 456),
        (json!({ "request": "create", "type": "rtp", "id": "x" }), 454),
    ];
    for (body, wanted) in cases {
        let reply = stage.sync(body.clone());
        match wanted {
            0 => assert_eq!(reply["streaming"], "created", "{body}: {reply}"),
            wanted => assert_eq!(code(&reply), wanted, "{body}: {reply}"),
        }
    }
}

#[test]
fn one_of_the_configuration_whose_port_is_taken_stays_in_the_file_and_is_tried_again() {
    let config = jcfg::read_alone(
        "test",
        "hall: { type = \"rtp\"; id = 9; audio = true; audioport = 7000; audiopt = 111; audiocodec = \"opus\"; }",
    );
    let mut stage = Stage::new();
    stage.world.taken = vec![7000];
    stage.plugin.start(&mut stage.world, Some(&config.expect("valid jcfg"))).expect("starts");
    assert_eq!(stage.sync(json!({ "request": "list" }))["list"], json!([]));
    let mut other = create(json!([audio()]));
    other["permanent"] = json!(true);
    stage.sync(other);
    let (_, text) = stage.world.stored.pop().expect("stored");
    assert!(text.contains("hall") && text.contains("7000"), "{text}");
    let [ticket] = stage.world.timers[..] else { panic!("{:?}", stage.world.timers) };
    stage.plugin.answered(&mut stage.world, ticket, Answer::Elapsed);
    let [_, ticket] = stage.world.timers[..] else { panic!("{:?}", stage.world.timers) };
    stage.world.taken.clear();
    stage.plugin.answered(&mut stage.world, ticket, Answer::Elapsed);
    assert!(stage.world.ports.iter().any(|(_, request)| request.first == 7000));
    assert_eq!(stage.world.timers.len(), 2, "it is there");
}

#[test]
fn an_interface_may_be_named_and_keeps_its_name_in_the_file() {
    let mut stage = Stage::new();
    let mut item = audio();
    item["iface"] = json!("eth7");
    let mut body = create(json!([item]));
    body["permanent"] = json!(true);
    let made = stage.sync(body);
    assert_eq!(made["stream"]["ports"][0]["host"], "192.0.2.7", "{made}");
    let wanted = [192, 0, 2, 7].into();
    assert_eq!(stage.world.ports[0].1.interface, Some(wanted));
    let (_, text) = stage.world.stored.pop().expect("stored");
    assert!(text.contains("iface = \"eth7\"") && !text.contains("192.0.2.7"), "{text}");
    for name in ["eth8", "no/name", "longer than names are"] {
        let mut item = audio();
        item["iface"] = json!(name);
        assert_eq!(code(&stage.sync(create(json!([item])))), 456, "{name}");
    }
}

#[test]
fn nothing_stays_open_where_one_port_is_taken() {
    let mut stage = Stage::new();
    stage.world.taken = vec![7000];
    let mut second = video();
    second["port"] = json!(7000);
    assert_eq!(code(&stage.sync(create(json!([audio(), second])))), 456);
    assert!(stage.world.ports.is_empty());
    assert_eq!(stage.sync(json!({ "request": "list" }))["list"], json!([]));
}

#[test]
fn ports_are_given_out_one_after_the_other() {
    let mut stage = Stage::with("general: { rtp_port_range = \"20001-20004\" }");
    let made = stage.stage_of(1);
    assert_eq!(made["created"], "mp-1");
    let ports = json!([
        { "mid": "a1", "type": "audio", "port": 20_002 },
        { "mid": "v1", "type": "video", "port": 20_003, "rtcp_port": 20_004 },
    ]);
    assert_eq!(made["stream"]["ports"], ports);
    assert_eq!(code(&stage.sync(create(json!([audio()])))), 456, "the range is used up");
    let done = stage.sync(json!({ "request": "destroy", "id": 1 }));
    assert_eq!(done, json!({ "streaming": "destroyed", "destroyed": 1 }));
    assert!(stage.world.ports.is_empty());
    stage.stage_of(1);
}

#[test]
fn the_older_keys_are_answered_in_the_older_form() {
    let mut stage = Stage::new();
    let made = stage.create(json!({
        "type": "rtp", "id": 5, "name": "7up", "audio": true, "audioport": 0, "audiopt": 0,
        "video": true, "videoport": 0, "videopt": 100, "videortpmap": "VP8/90000",
        "videortcpport": 0, "videosimulcast": true, "videoport2": 0, "videoport3": 0,
        "data": true, "dataport": 0,
    }));
    assert_eq!((&made["created"], &made["warning"]), (&json!("mp-7up"), &json!("deprecated_api")));
    let stream = &made["stream"];
    let keys = [
        "audio_port",
        "video_port",
        "video_rtcp_port",
        "video_port_2",
        "video_port_3",
        "data_port",
    ];
    assert!(
        keys.iter().all(|key| stream[key].as_u64().is_some_and(|port| port >= 10_000)),
        "{made}"
    );
    assert_eq!(stream.get("audio_rtcp_port"), None);
    let info = stage.sync(json!({ "request": "info", "id": 5 }))["info"].clone();
    let mids: Vec<_> = (0..3).map(|at| info["media"][at]["mid"].clone()).collect();
    assert_eq!(mids, [json!("a"), json!("v"), json!("d")]);
    assert_eq!(info["media"][0]["codec"], "pcmu", "by its payload type");
    assert_eq!(info["media"][1]["videosimulcast"], true);
}

#[test]
fn what_is_kept_comes_back_as_it_was() {
    let mut stage = Stage::new();
    let data =
        json!({ "type": "data", "mid": "d", "port": 0, "datatype": "binary", "buffermsg": true });
    let mut best = video();
    for (key, value) in [
        ("simulcast", json!(true)),
        ("port2", json!(0)),
        ("port3", json!(0)),
        ("skew", json!(true)),
    ] {
        best[key] = value;
    }
    stage.create(json!({
        "type": "rtp", "id": 9, "name": "kept", "permanent": true, "secret": "s", "pin": "p",
        "metadata": "m", "is_private": true, "collision": 50, "bufferkf_ms": 70, "threads": 2,
        "srtpsuite": 32, "srtpcrypto": "Q".repeat(40), "playoutdelay_ext": true,
        "abscapturetime_src_ext_id": 3, "media": [audio(), best, data],
    }));
    let text = stage.world.stored.last().expect("stored").1.clone();
    let tree = jcfg::read_alone("test", &text).expect("valid");
    let mut again = Stage::with_tree(&tree);
    let info = json!({ "request": "info", "id": 9, "secret": "s" });
    let was = stage.sync(info.clone());
    assert_eq!(was["info"]["name"], "kept", "{was}");
    assert_eq!(again.sync(info.clone()), was);
    assert_eq!(again.world.ports.len(), stage.world.ports.len());
    let kept = |ports: &[(_, bifrons_core::media::PortRequest)]| -> Vec<_> {
        ports.iter().map(|(_, port)| (port.first, port.open.is_some())).collect()
    };
    assert_eq!(kept(&again.world.ports), kept(&stage.world.ports));
    let destroy = json!({ "request": "destroy", "id": 9, "secret": "s", "permanent": true });
    assert_eq!(again.sync(destroy)["destroyed"], 9);
    let text = &again.world.stored.last().expect("stored").1;
    assert!(!text.contains("kept"), "{text}");
}

#[test]
fn a_bad_mountpoint_of_the_configuration_is_left_out() {
    let mut stage = Stage::with(
        "general: { }
        bad: { type = \"rtp\" id = 1 audio = true audioport = \"many\" audiopt = 111 }
        odd: { type = \"smoke\" }
        good: { type = \"rtp\" id = 2 audio = \"yes\" audioport = \"5002\" audiopt = 111
            audiocodec = \"opus\" }
        twice: { type = \"rtp\" id = 2 audio = true audioport = 0 audiopt = 111 }
        list: { type = \"rtp\" id = 3
            media = ( { type = \"video\" mid = \"v\" port = 5004 pt = 100 codec = \"vp8\" } ) }",
    );
    let list = stage.sync(json!({ "request": "list" }));
    let shown: Vec<_> = (0..3).map(|at| list["list"][at]["description"].clone()).collect();
    assert_eq!(shown, [json!("good"), json!("list"), Value::Null], "{list}");
    let ports: Vec<u16> = stage.world.ports.iter().map(|(_, port)| port.first).collect();
    assert_eq!(ports, [5002, 5004]);
}

#[test]
fn an_admin_key_guards_what_it_should() {
    let mut stage = Stage::with("general: { admin_key = \"key\" }");
    let make = |key: Option<&str>| {
        let mut body = create(json!([audio()]));
        body["is_private"] = json!(true);
        if let Some(key) = key {
            body["admin_key"] = json!(key);
        }
        body
    };
    assert_eq!(code(&stage.sync(make(None))), 453);
    assert_eq!(code(&stage.sync(make(Some("x")))), 457);
    assert_eq!(stage.sync(make(Some("key")))["streaming"], "created");
    let mut list = |key: &str| stage.sync(json!({ "request": "list", "admin_key": key }));
    assert_eq!(list("key")["list"].as_array().map(Vec::len), Some(1));
    assert_eq!(code(&list("x")), 457);
    assert_eq!(stage.sync(json!({ "request": "list" }))["list"], json!([]));
}

#[test]
fn recording_is_checked_and_then_refused() {
    let mut stage = Stage::new();
    stage.stage_of(1);
    let mut record = |more: Value| {
        let mut body = json!({ "request": "recording", "id": 1 });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        stage.sync(body)
    };
    assert_eq!(code(&record(json!({}))), 453);
    assert_eq!(code(&record(json!({ "action": "dance" }))), 454);
    assert_eq!(code(&record(json!({ "action": "start" }))), 452);
    assert_eq!(code(&record(json!({ "action": "start", "audio": true }))), 454);
    let item = json!({ "mid": "a1", "filename": "/tmp/x" });
    assert_eq!(code(&record(json!({ "action": "start", "media": [item] }))), 459);
    assert_eq!(record(json!({ "action": "stop", "audio": true }))["streaming"], "ok");
}

#[test]
fn the_sample_makes_what_it_says() {
    let mut stage = Stage::with(include_str!("../../../../conf/janus.plugin.streaming.jcfg"));
    let info = stage.sync(json!({ "request": "info", "id": 1, "secret": "adminpwd" }));
    assert_eq!(info["info"]["name"], "rtp-sample", "{info}");
    let ports: Vec<u16> = stage.world.ports.iter().map(|(_, port)| port.first).collect();
    assert_eq!(ports, [5002, 5004]);
}
