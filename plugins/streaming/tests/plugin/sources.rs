//! Files and RTSP servers.

use crate::stage::{Mountpoints, Stage, code};
use bifrons_core::codec::Codec;
use bifrons_core::media::{IngestId, MediaKind, Plan};
use bifrons_core::plugin::{
    Plugin, ReplyKey, Service, ServiceCommand, ServiceEvent, ServiceMedium, Verdict,
};
use serde_json::{Value, json};

fn file(kind: &str, name: &str) -> Value {
    json!({ "request": "create", "type": kind, "id": 3, "filename": name, "audio": true })
}

fn described() -> ServiceEvent {
    ServiceEvent::Described { media: Vec::new() }
}

#[test]
fn what_is_no_file_for_us_is_refused_at_once() {
    let mut stage = Stage::new();
    let mut with = |key: &str, value: Value| {
        let mut body = file("live", "/music.alaw");
        body[key] = value;
        code(&stage.sync(body))
    };
    assert_eq!(with("video", json!(true)), 456);
    assert_eq!(with("audio", json!(false)), 456);
    assert_eq!(with("filename", json!("/a/../b.alaw")), 456);
    assert_eq!(with("filename", json!("/a.wav")), 456);
    assert_eq!(with("filename", json!("/a.opus")), 456, "no codec");
    assert_eq!(with("filename", json!(7)), 454);
}

#[test]
fn a_file_that_is_not_there_is_456_and_its_id_free_again() {
    let mut stage = Stage::new();
    let failed = ServiceEvent::Failed { text: "no such file".to_owned() };
    assert_eq!(code(&stage.tried(file("live", "/gone.alaw"), failed)), 456);
    let made = stage.tried(file("live", "/there.alaw"), described());
    assert_eq!(made["created"], "mp-3", "{made}");
    assert_eq!(code(&stage.sync(file("live", "/there.alaw"))), 456, "taken");
    let info = stage.sync(json!({ "request": "info", "id": 3 }));
    let media = json!([{ "type": "audio", "pt": 8, "codec": "pcma", "rtpmap": "PCMA/8000" }]);
    assert_eq!(info["info"]["media"], media);
    assert_eq!(info["info"]["filename"], "/there.alaw");
}

#[test]
fn a_live_file_stands_still_while_disabled() {
    let mut stage = Stage::new();
    stage.tried(file("live", "/there.mulaw"), described());
    let service = stage.world.services[0].0;
    stage.sync(json!({ "request": "disable", "id": 3 }));
    stage.sync(json!({ "request": "disable", "id": 3 }));
    stage.sync(json!({ "request": "enable", "id": 3 }));
    let (resume, pause) = (ServiceCommand::Resume, ServiceCommand::Pause);
    assert_eq!(stage.world.told, [(service, resume), (service, pause), (service, resume)]);
    stage.sync(json!({ "request": "destroy", "id": 3 }));
    assert!(stage.world.services.is_empty());
}

#[test]
fn each_viewer_of_an_on_demand_file_has_a_player() {
    let mut stage = Stage::new();
    stage.tried(file("ondemand", "/there.mulaw"), described());
    assert!(stage.world.services.is_empty(), "the trial is over");
    assert_eq!(stage.sync(json!({ "request": "list" }))["list"][0]["type"], "on demand");
    let first = stage.viewer(json!({ "id": 3 }));
    let second = stage.viewer(json!({ "id": 3 }));
    assert_eq!(stage.world.services.len(), 2);
    stage.world.told.clear();
    stage.say(second, json!({ "request": "pause" }));
    let service = stage.world.services[1].0;
    assert_eq!(stage.world.told, [(service, ServiceCommand::Pause)]);
    stage.down(first);
    assert_eq!(stage.world.services.len(), 1);
    assert_eq!(code(&stage.say(second, json!({ "request": "switch", "id": 3 }))), 458);
}

fn medium(kind: MediaKind, ingest: IngestId) -> ServiceMedium {
    let fmtp = "packetization-mode=1;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==";
    ServiceMedium {
        kind,
        ingest,
        codec: Some(Codec::H264),
        rtpmap: "H264/90000".to_owned(),
        pt: 96,
        clock_hz: 90_000,
        fmtp: Some(fmtp.to_owned()),
    }
}

#[test]
fn an_rtsp_server_says_what_is_offered() {
    let mut stage = Stage::new();
    let create = json!({
        "request": "create", "type": "rtsp", "id": 8, "url": "rtsp://192.0.2.1/x",
        "audio": true, "video": true, "rtsp_user": "u", "rtsp_pwd": "p", "rtsp_notify_changes": true,
    });
    let mut bad = create.clone();
    bad.as_object_mut().expect("one").remove("url");
    assert_eq!(code(&stage.sync(bad)), 456);
    let failed = ServiceEvent::Failed { text: "refused".to_owned() };
    assert_eq!(code(&stage.tried(create.clone(), failed)), 456);
    // Only video is there.
    let made = stage.tried_with(create, |service| {
        let Service::Rtsp(setup) = service else { panic!("{service:?}") };
        let video = setup.video.expect("wanted");
        ServiceEvent::Described { media: vec![medium(MediaKind::Video, video)] }
    });
    assert_eq!((&made["created"], &made["stream"]["type"]), (&json!("8"), &json!("live")));
    let info = stage.sync(json!({ "request": "info", "id": 8 }))["info"].clone();
    assert_eq!(info["media"].as_array().map(Vec::len), Some(1), "{info}");
    let shown = &info["media"][0];
    assert_eq!(
        (&shown["mid"], &shown["codec"], &shown["pt"]),
        (&json!("v"), &json!("h264"), &json!(96))
    );
    assert_eq!((&info["url"], &info["rtsp"]), (&json!("rtsp://192.0.2.1/x"), &json!(true)));
    let sets = stage
        .plans()
        .iter()
        .any(|plan| matches!(plan, Plan::Ingest { setup, .. } if setup.parameter_sets.is_some()));
    assert!(sets, "what the server leaves out of the stream is put in");
    let viewer = stage.viewer(json!({ "id": 8 }));
    let service = stage.world.services[0].0;
    for (event, told) in [
        (ServiceEvent::Disconnected, "rtsp-disconnected"),
        (ServiceEvent::Reconnected, "rtsp-reconnected"),
    ] {
        stage.says(service, &event);
        assert_eq!(stage.told(), [json!({ "event": told, "id": 8 })]);
    }
    stage.says(service, &ServiceEvent::Failed { text: "gone".to_owned() });
    assert_eq!(stage.told()[0]["result"]["status"], "stopped");
    assert_eq!(stage.world.closed, [viewer]);
}

#[test]
fn streaming_18_and_55_operators_too_hear_of_a_file_that_cannot_be_had() {
    let mut stage = Stage::new();
    let body = json!({ "request": "create", "type": "live", "id": 5, "filename": "/none.alaw", "audio": true });
    for there in [false, true] {
        let verdict = stage.plugin.handle_admin_message(&mut stage.world, &body, ReplyKey(9));
        assert_eq!(verdict, Some(Verdict::Deferred));
        let service = stage.world.services.last().expect("started").0;
        let event = match there {
            true => ServiceEvent::Described { media: vec![] },
            false => ServiceEvent::Failed { text: "not there".to_owned() },
        };
        stage.says(service, &event);
        assert_eq!(stage.world.replies.last().expect("answered").0, ReplyKey(9));
        let reply = stage.late();
        match there {
            true => assert_eq!(reply["streaming"], "created", "{reply}"),
            false => assert_eq!(reply["error_code"], 456, "{reply}"),
        }
    }
}
