//! Requests of a viewer that choose among what there is: configure and switch, and what becomes of
//! its layers (plugin-streaming §5, §6.4).

use crate::api::{ARRAY, Body, FLAG, Field, INT, TEXT, UINT, Want, may};
use crate::error::{Code, Refusal, not_watching};
use crate::management::ID;
use crate::plugin::Streaming;
use crate::relay;
use crate::viewer::Line;
use crate::watch::result;
use bifrons_core::media::{Fact, LayerKind, MediaKind};
use bifrons_core::plugin::{HandleKey, Host, HostExt, Request, layer_key, take_layers};
use serde_json::{Map, Value, json};

/// An item of `configure`'s `streams`, and `configure` as a whole. The older `audio`, `video` and
/// `data` are read where they are booleans.
const CONFIGURE: [Field; 9] = [
    may("mid", TEXT),
    may("send", FLAG),
    may("substream", Want::Layer),
    may("temporal", Want::Layer),
    may("fallback", UINT),
    may("spatial_layer", Want::Layer),
    may("temporal_layer", Want::Layer),
    may("min_delay", INT),
    may("max_delay", INT),
];

/// The layer of this kind that flows.
fn current(line: &mut Line, kind: LayerKind) -> &mut i8 {
    match kind {
        LayerKind::Substream | LayerKind::Spatial => &mut line.current.0,
        LayerKind::Temporal | LayerKind::SvcTemporal => &mut line.current.1,
    }
}

impl Streaming {
    /// `configure`: what flows, of which layer, with which delay.
    pub(crate) fn configure(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
    ) -> Result<(), Refusal> {
        let body = Body::checked(&request.body, self.general.string_ids, &[may("streams", ARRAY)])?;
        let items = match body.has("streams") {
            true => body.items("streams", &CONFIGURE)?,
            false => {
                body.check(&CONFIGURE)?;
                vec![body]
            }
        };
        let viewer = self.watching(request.handle)?;
        if items.len() > 1 && items.iter().any(|item| !item.has("mid")) {
            let text = "Invalid element (mid is needed where streams has several items)";
            return Err(Refusal::invalid(text));
        }
        let (mut confirmed, mut starved) = (Vec::new(), Vec::new());
        for item in &items {
            for line in &mut viewer.lines {
                if item.text("mid").is_none_or(|mid| mid == line.mid) {
                    let missing = configure_line(line, item, &mut confirmed);
                    starved.extend(missing.then_some(line.mindex));
                }
            }
        }
        for (name, kind) in
            [("audio", MediaKind::Audio), ("video", MediaKind::Video), ("data", MediaKind::Data)]
        {
            let Some(send) = body.flag(name) else { continue };
            viewer.lines.iter_mut().filter(|line| line.kind == kind).for_each(|l| l.send = send);
        }
        self.sync(host, request.handle);
        if let Some(viewer) = self.viewers.get(&request.handle) {
            let starved = viewer.lines.iter().filter(|line| starved.contains(&line.mindex));
            starved.for_each(|line| relay::ask_keyframe(host, line));
        }
        for event in confirmed {
            host.notify(request.handle, result(event));
        }
        let done = result(json!({ "event": "configured" }));
        let _ = host.push_event(request.handle, Some(&request.transaction), done, None);
        Ok(())
    }

    /// `switch`: another mountpoint on the lines there are, without negotiation. Streams are
    /// matched by their place.
    pub(crate) fn switch(&mut self, host: &mut dyn Host, request: &Request) -> Result<(), Refusal> {
        let body = Body::checked(&request.body, self.general.string_ids, &[ID])?;
        let handle = request.handle;
        let former = self.watching(handle)?.watching.clone();
        let target = self.mountpoint(&body.the_id("id")?)?;
        let former = former.ok_or_else(not_watching)?;
        if !target.kind.is_switched() || !self.mountpoint(&former)?.kind.is_switched() {
            let text = "Can't switch between files: only what is live can be switched";
            return Err(Refusal::new(Code::CannotSwitch, text));
        }
        let id = target.id.clone();
        if let Some(mountpoint) = self.mountpoints.get_mut(&former) {
            mountpoint.viewers.remove(&handle);
        }
        let target = self.mountpoints.get_mut(&id);
        if let (Some(target), Some(viewer)) = (target, self.viewers.get_mut(&handle)) {
            target.viewers.insert(handle);
            viewer.watching = Some(id.clone());
            viewer.paused = false;
            for line in &mut viewer.lines {
                if let Some(stream) = target.streams.get(line.stream) {
                    line.take(&stream.spec);
                }
            }
        }
        self.sync(host, handle);
        if let Some(viewer) = self.viewers.get(&handle) {
            relay::ask_keyframes(host, viewer);
        }
        let done = result(json!({ "switched": "ok", "id": id }));
        let _ = host.push_event(handle, Some(&request.transaction), done, None);
        self.tell_of(host, handle, "switching");
        Ok(())
    }

    /// What shards say of a viewer's media.
    pub(crate) fn viewer_fact(&mut self, host: &mut dyn Host, handle: HandleKey, fact: &Fact) {
        let Fact::Layer { mindex, kind, layer } = *fact else { return };
        let Some(viewer) = self.viewers.get_mut(&handle) else { return };
        let Some(line) = viewer.lines.iter_mut().find(|line| line.mindex == mindex) else { return };
        let starts = line.current == (-1, -1);
        let place = current(line, kind);
        if *place == layer {
            return;
        }
        *place = layer;
        // "None known" is a state, not a change that clients are told of. The spatial layer that
        // SVC starts with is told with the temporal one, which follows at once.
        let waits = starts && kind == LayerKind::Spatial;
        if layer < 0 || waits {
            return;
        }
        let mut event = Map::new();
        event.insert("mid".to_owned(), json!(line.mid));
        if kind == LayerKind::SvcTemporal && !line.told {
            event.insert("spatial_layer".to_owned(), json!(line.current.0));
        }
        line.told = true;
        event.insert(layer_key(kind).to_owned(), json!(layer));
        host.notify(handle, result(Value::Object(event)));
    }
}

/// Changes one line; events that can be sent at once are added to `confirmed`. True if a keyframe
/// is needed.
fn configure_line(line: &mut Line, item: &Body<'_>, confirmed: &mut Vec<Value>) -> bool {
    if let Some(send) = item.flag("send") {
        line.send = send;
    }
    line.delay.change(item.integer("min_delay"), item.integer("max_delay"));
    let mut missing = false;
    for (kind, layer) in take_layers(&mut line.target, item) {
        if i16::from(*current(line, kind)) == i16::from(layer) {
            confirmed.push(json!({ layer_key(kind): layer }));
        } else {
            missing = true;
        }
    }
    missing
}
