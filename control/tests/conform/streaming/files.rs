//! Mountpoints of files, where they differ from others.

use super::stage::{Stage, Viewer, audio, fresh, run};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A second of silence in µ-law, for as long as the test runs.
struct Silence(PathBuf);

impl Silence {
    fn new(name: &str) -> Self {
        let name = format!("bifrons-{}-{name}.mulaw", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, [0xFF; 8000]).expect("written");
        Silence(path)
    }

    fn mountpoint(&self, kind: &str) -> Value {
        json!({
            "request": "create", "type": kind, "id": fresh(), "filename": self.0, "audio": true,
        })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn streaming_04_and_25_and_42_files_are_shown_and_neither_recorded_nor_switched_to() {
    run(async {
        let mut stage = Stage::set().await;
        let file = Silence::new("demand");
        let made = stage.manage(file.mountpoint("ondemand")).await;
        assert_eq!(made["stream"]["type"], "on demand", "{made}");
        let id = made["stream"]["id"].clone();
        let list = stage.manage(json!({ "request": "list" })).await;
        let items = list["list"].as_array().expect("a list");
        let item = items.iter().find(|item| item["id"] == id).expect("listed");
        assert_eq!((&item["type"], item.get("media")), (&json!("on demand"), None), "{item}");
        let record =
            json!({ "request": "recording", "id": id, "action": "start", "audio": "/tmp/x" });
        assert_eq!(stage.refused(record).await, 452);
        let (live, _) = stage.streams(json!([audio("0")])).await;
        let mut viewer = stage.watch(&live).await;
        let switched = viewer.ask(json!({ "request": "switch", "id": id })).await;
        assert_eq!(switched["error_code"], 458, "{switched}");
    });
}

#[test]
fn streaming_67_a_viewer_on_demand_hears_it_from_its_beginning() {
    run(async {
        let mut stage = Stage::set().await;
        let file = Silence::new("own");
        let made = stage.manage(file.mountpoint("ondemand")).await;
        let mut viewer = Viewer::new(stage.attach().await).await;
        viewer.watch(json!({ "id": made["stream"]["id"] })).await;
        viewer.packets("0", 20).await;
        assert_eq!(viewer.ask(json!({ "request": "pause" })).await["status"], "pausing");
        assert_eq!(viewer.a_second_of("0").await, 0);
        assert_eq!(viewer.ask(json!({ "request": "start" })).await["status"], "started");
        viewer.packets("0", 20).await;
        viewer.is_continuous("0").await;
        let got = viewer.received("0").await;
        assert_eq!(got.payload_type, 0);
        let stamps: Vec<u32> = got.headers.iter().map(|header| header.timestamp).collect();
        let steps = stamps.windows(2).filter(|pair| pair[1].wrapping_sub(pair[0]) == 160).count();
        assert!(steps + 2 >= stamps.len() - 1, "by 160, but for the pause: {stamps:?}");
    });
}
