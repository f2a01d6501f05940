//! What `handle_info` shows (plugin-streaming §9).

use crate::mountpoint::{Kind, Mountpoint};
use crate::plugin::Streaming;
use crate::viewer::{Line, Viewer};
use bifrons_core::media::Selection;
use bifrons_core::plugin::HandleKey;
use serde_json::{Map, Value, json};

impl Streaming {
    /// The `plugin_specific` of a handle.
    pub(crate) fn describe(&self, handle: HandleKey) -> Value {
        let viewer = self.viewers.get(&handle);
        let id = viewer.and_then(|viewer| viewer.watching.as_ref());
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("state", json!(if id.is_some() { "watching" } else { "idle" }));
        let mountpoint = id.and_then(|id| self.mountpoints.get(id));
        if let (Some(viewer), Some(mountpoint)) = (viewer, mountpoint) {
            put("mountpoint_id", json!(mountpoint.id));
            put("mountpoint_name", json!(mountpoint.profile.name));
            put("mountpoint_viewers", json!(mountpoint.viewers.len()));
            put("media", media(mountpoint, viewer));
            if mountpoint.rules.e2ee {
                put("e2ee", json!(true));
            }
        }
        let flags = [
            ("hangingup", false),
            ("started", viewer.is_some_and(|viewer| viewer.peer.is_some())),
            ("dataready", viewer.is_some_and(|viewer| viewer.data_ready)),
            ("paused", viewer.is_some_and(|viewer| viewer.paused)),
            ("stopping", false),
            ("destroyed", false),
        ];
        for (name, on) in flags {
            put(name, json!(u8::from(on)));
        }
        Value::Object(shown)
    }
}

fn media(mountpoint: &Mountpoint, viewer: &Viewer) -> Value {
    match &mountpoint.kind {
        Kind::Live(file) | Kind::OnDemand(file) => {
            json!({ "type": mountpoint.kind.shown(), "filename": file.name })
        }
        Kind::Rtp | Kind::Rtsp(_) => {
            let capture = mountpoint.rules.abscapturetime_id;
            viewer.lines.iter().map(|line| describe_line(line, capture)).collect()
        }
    }
}

fn describe_line(line: &Line, capture: Option<u8>) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("type", json!(line.kind.name()));
    put("mindex", json!(line.mindex));
    put("mid", json!(line.mid));
    let ((spatial, temporal), target) = (line.current, &line.target);
    match target.selection {
        Selection::Whole => {}
        Selection::Simulcast => {
            let mut layers = json!({
                "substream": spatial,
                "substream-target": target.spatial,
                "temporal-layer": temporal,
                "temporal-layer-target": target.temporal,
            });
            if target.fallback_us > 0 {
                layers["fallback"] = json!(target.fallback_us);
            }
            put("simulcast", layers);
        }
        Selection::Svc => {
            let layers = json!({
                "spatial-layer": spatial,
                "target-spatial-layer": target.spatial,
                "temporal-layer": temporal,
                "target-temporal-layer": target.temporal,
            });
            put("svc", layers);
        }
    }
    if let Some(delay) = line.delay.shown() {
        put("playout-delay", delay);
    }
    if let Some(id) = capture {
        put("abs-capture-time-src-ext-id", json!(id));
    }
    Value::Object(shown)
}
