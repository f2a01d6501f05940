//! Mountpoints that no port feeds: files and cameras, of the checklist plugin-streaming, seen by a
//! viewer of another implementation (str0m). The camera is GStreamer's RTSP server.
//!
//! A test that needs files or a camera of its own passes over a server that is somebody else's.

#[allow(dead_code, reason = "of two test programs one needs all of it")]
#[path = "../sources/camera.rs"]
mod camera;

use crate::mute;
use crate::program::{Program, local_ip, session};
use crate::target::foreign;
use bifrons_loadtest::janus::{Handle, Jsep, Session};
use bifrons_loadtest::peer::str0m::format::Codec;
use bifrons_loadtest::peer::{Peer, PeerConfig, Received, Stats};
use camera::Camera;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a Streaming handle.
struct Stage {
    _program: Program,
    session: Session,
    keeper: Handle,
}

/// Runs a test against a program of its own, or against a server that says nothing.
fn on_stage(test: impl AsyncFnOnce(Stage)) {
    if foreign().is_some() {
        return eprintln!("passed over: needs files and a camera beside the server");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let limited = async {
        let files = [("janus.plugin.streaming", "general: { }".to_owned())];
        let program = Program::start_with("", &[], &files);
        let url = match std::env::var_os("BIFRONS_CONFORM_MUTE") {
            Some(_) => format!("ws://127.0.0.1:{}", mute::start().await.0),
            None => program.url(),
        };
        let session = session(&url, PATIENCE).await;
        let keeper = session.attach("janus.plugin.streaming").await.expect("attaches");
        let stage = Stage { _program: program, session, keeper };
        tokio::time::timeout(Duration::from_secs(90), test(stage)).await
    };
    LocalSet::new().block_on(&runtime.expect("a runtime"), limited).expect("in time");
}

impl Stage {
    /// A synchronous request.
    async fn ask(&mut self, body: Value) -> Value {
        self.keeper.ask(body, None).await.expect("a reply").data
    }

    /// Creates a mountpoint; the reply.
    async fn create(&mut self, mut body: Value) -> Value {
        body["request"] = json!("create");
        let made = self.ask(body).await;
        assert_eq!(made["streaming"], "created", "{made}");
        made
    }

    /// Watches a mountpoint.
    async fn watch(&self, id: &Value) -> Viewer {
        let mut handle = self.session.attach("janus.plugin.streaming").await.expect("attaches");
        let body = json!({"request": "watch", "id": id});
        let offered = handle.ask(body, None).await.expect("an answer");
        assert_eq!(offered.data["result"]["status"], "preparing", "{}", offered.data);
        let mut config = PeerConfig::new(local_ip());
        config.keep_headers = 1024;
        config.codecs = vec![Codec::Opus, Codec::PCMA, Codec::Vp8];
        let peer = Peer::bind(config).await.expect("a peer");
        let offer = offered.jsep.expect("an offer").sdp;
        let answer = peer.accept_offer(&offer).await.expect("an answer");
        let body = json!({"request": "start"});
        let started = handle.ask(body, Some(Jsep::answer(answer))).await.expect("an answer");
        assert_eq!(started.data["result"]["status"], "starting", "{}", started.data);
        peer.connected(PATIENCE).await.expect("connects");
        Viewer { handle, peer, offer }
    }
}

/// Somebody who watches.
struct Viewer {
    handle: Handle,
    peer: Peer,
    offer: String,
}

impl Viewer {
    /// What came on a line, once so many packets more did.
    async fn packets(&self, mid: &str, more: u64) -> Received {
        let have = self.received(mid).await.packets;
        let line = mid.to_owned();
        let wanted = move |stats: &Stats| {
            stats.from_mid(&line).is_some_and(|got| got.packets >= have + more)
        };
        self.peer.until("packets", PATIENCE, wanted).await.expect("packets");
        self.received(mid).await
    }

    async fn received(&self, mid: &str) -> Received {
        let stats = self.peer.stats().await.expect("counts");
        stats.from_mid(mid).cloned().unwrap_or_default()
    }

    /// The next notice of that name.
    async fn notice(&mut self, name: &str) -> Value {
        let wanted = |event: &Value| event["plugindata"]["data"]["event"] == name;
        let event = self.handle.event_where(name, wanted).await.expect(name);
        event["plugindata"]["data"].clone()
    }
}

/// Steps of the time stamp between packets whose numbers follow each other.
fn steps(received: &Received) -> Vec<u32> {
    let headers: Vec<_> = received.headers.iter().collect();
    let follow = headers
        .windows(2)
        .filter(|pair| pair[1].sequence_number == pair[0].sequence_number.wrapping_add(1));
    follow.map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp)).collect()
}

fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("bifrons-conform-{}-{name}", std::process::id()));
    std::fs::write(&path, content).expect("written");
    path
}

fn opus_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/ogg/plain")
}

#[test]
fn streaming_18_files_that_cannot_be_played_are_refused() {
    on_stage(async |mut stage| {
        let tone = file("18.alaw", &[0xd5; 800]);
        let not_ogg = file("18.opus", b"no music");
        let tone = tone.to_str().expect("a name");
        let climbs = format!("/tmp/../{tone}");
        for (body, why) in [
            (json!({"filename": tone, "audio": true, "video": true}), "video"),
            (json!({"filename": tone, "audio": false}), "no audio"),
            (json!({"filename": "/no/such/file.alaw", "audio": true}), "missing"),
            (json!({"filename": climbs, "audio": true}), "../"),
            (json!({"filename": "/tmp/a.wav", "audio": true}), "unsupported"),
            (
                json!({"filename": not_ogg, "audio": true, "audiocodec": "opus"}),
                "not what its name says",
            ),
        ] {
            for kind in ["live", "ondemand"] {
                let mut body = body.clone();
                (body["request"], body["type"]) = (json!("create"), json!(kind));
                let refused = stage.ask(body).await;
                assert_eq!(refused["error_code"], 456, "{kind}, {why}: {refused}");
            }
        }
        let list = stage.ask(json!({"request": "list"})).await;
        assert_eq!(list["list"], json!([]), "nothing is left of them");
    });
}

#[test]
fn streaming_67_a_live_file_comes_fifty_times_a_second_to_all_its_viewers() {
    on_stage(async |mut stage| {
        let tone: Vec<u8> = (0..480u32).map(|at| (at % 256) as u8).collect();
        let tone = file("67.alaw", &tone);
        let body = json!({"type": "live", "filename": tone, "audio": true});
        let made = stage.create(body).await;
        assert_eq!(made["stream"]["type"], "live", "{made}");
        let id = made["stream"]["id"].clone();
        let (one, other) = (stage.watch(&id).await, stage.watch(&id).await);
        assert!(one.offer.contains("a=mid:0\r\n"), "{}", one.offer);
        one.packets("0", 10).await;
        let (begun, before) = (Instant::now(), one.received("0").await.packets);
        let came = one.packets("0", 150).await;
        let rate = (came.packets - before) as f64 / begun.elapsed().as_secs_f64();
        assert!((40.0..60.0).contains(&rate), "{rate} packets a second");
        assert_eq!((came.payload_type, came.lost()), (8, 0));
        let steps = steps(&came);
        assert!(steps.len() > 100 && steps.iter().all(|step| *step == 160), "{steps:?}");
        assert_eq!(other.packets("0", 50).await.lost(), 0);
    });
}

#[test]
fn streaming_67_an_opus_file_on_demand_steps_by_960() {
    on_stage(async |mut stage| {
        let name = file("67.opus", &std::fs::read(opus_file()).expect("a seed"));
        let body = json!({
            "type": "ondemand", "filename": name, "audio": true, "audiocodec": "opus",
            "audiopt": 111,
        });
        let made = stage.create(body).await;
        assert_eq!(made["stream"]["type"], "on demand", "{made}");
        let viewer = stage.watch(&made["stream"]["id"]).await;
        let came = viewer.packets("0", 60).await;
        let steps = steps(&came);
        assert!(steps.len() > 40 && steps.iter().all(|step| *step == 960), "{steps:?}");
        assert_eq!(came.lost(), 0);
    });
}

#[test]
fn streaming_57_a_camera_that_is_lost_is_found_again_and_viewers_are_told() {
    on_stage(async |mut stage| {
        let mut camera = Camera::start(&["--video", "vp8", "--audio", "opus"]);
        let body = json!({
            "type": "rtsp", "url": camera.url(), "audio": true, "video": true,
            "rtsp_reconnect_delay": 1, "rtsp_notify_changes": true,
        });
        let id = stage.create(body).await["stream"]["id"].clone();
        let mut viewer = stage.watch(&id).await;
        viewer.packets("v", 30).await;
        viewer.packets("a", 30).await;
        camera.kill();
        let gone = viewer.notice("rtsp-disconnected").await;
        assert_eq!(gone["id"], id, "{gone}");
        camera.restart();
        let back = viewer.notice("rtsp-reconnected").await;
        assert_eq!(back["id"], id, "{back}");
        let came = viewer.packets("v", 60).await;
        assert_eq!(came.lost(), 0, "numbers go on where they were");
        viewer.packets("a", 60).await;
        // One that is there and silent is joined anew, each second.
        camera.be_silent(true);
        for _ in 0..2 {
            viewer.notice("rtsp-disconnected").await;
            camera.be_silent(false);
            viewer.notice("rtsp-reconnected").await;
            camera.be_silent(true);
        }
        camera.be_silent(false);
        viewer.packets("v", 30).await;
    });
}

#[test]
fn streaming_71_info_of_a_camera_shows_its_url_and_no_ports() {
    on_stage(async |mut stage| {
        let camera = Camera::start(&["--video", "vp8", "--audio", "alaw"]);
        let url = camera.url();
        let body = json!({
            "type": "rtsp", "id": 71, "url": url, "audio": true, "video": true, "secret": "s",
        });
        let made = stage.create(body).await;
        assert_eq!(made["created"], "71", "{made}");
        let info = stage.ask(json!({"request": "info", "id": 71, "secret": "s"})).await;
        let info = &info["info"];
        assert_eq!((&info["url"], &info["name"]), (&json!(url), &json!("71")), "{info}");
        assert_eq!((&info["type"], &info["rtsp"]), (&json!("live"), &json!(true)), "{info}");
        let media = info["media"].as_array().expect("media");
        assert_eq!(media.len(), 2, "{info}");
        for (line, mid) in media.iter().zip(["a", "v"]) {
            assert_eq!(line["mid"], mid, "{line}");
            for port in ["port", "rtcpport", "port2", "port3"] {
                assert_eq!(line[port], 0, "{port}: {line}");
            }
            assert_eq!(line["fmtp"], "", "{line}");
        }
        let public = stage.ask(json!({"request": "info", "id": 71})).await;
        assert!(public["info"].get("url").is_none(), "{public}");
    });
}

#[test]
fn streaming_71_a_camera_that_cannot_be_reached_is_refused_unless_that_is_no_matter() {
    on_stage(async |mut stage| {
        let url = "rtsp://127.0.0.1:9/cam";
        let mut body = json!({"request": "create", "type": "rtsp", "url": url, "video": true});
        let refused = stage.ask(body.clone()).await;
        assert_eq!(refused["error_code"], 456, "{refused}");
        body["rtsp_failcheck"] = json!(false);
        stage.create(body).await;
    });
}
