//! EchoTest behind the plugin contract.

use crate::answer::answer;
use crate::api::{Code, EchoRequest, Refusal};
use crate::call::Call;
use bifrons_core::config::Tree;
use bifrons_core::media::{
    DataKind, DataMessage, Fact, LayerKind, MediaKind, PeerId, Plan, Selection, SourceId,
};
use bifrons_core::plugin::{
    About, HandleKey, Host, HostExt, Jsep, JsepKind, OutgoingJsep, Plugin, ReplyKey, Request,
    Verdict,
};
use serde_json::{Value, json};
use std::collections::HashMap;

/// What clients attach to.
const PACKAGE: &str = "janus.plugin.echotest";

/// What comes before a text that is sent back (plugin-echotest §5).
const PREFIX: &[u8] = b"Janus EchoTest here! You wrote: ";

/// See the crate.
#[derive(Debug)]
pub struct EchoTest {
    calls: HashMap<HandleKey, Call>,
    events: bool,
    /// Messages that could not be sent back.
    unsent: u64,
}

impl Default for EchoTest {
    fn default() -> Self {
        EchoTest { calls: HashMap::new(), events: true, unsent: 0 }
    }
}

impl EchoTest {
    fn process(&mut self, host: &mut dyn Host, request: &Request) -> Result<(), Refusal> {
        let offer = request.jsep.as_ref();
        if offer.is_some_and(|jsep| jsep.kind == JsepKind::Answer) {
            let text = "This plugin takes offers and never makes one to be answered";
            return Err(Refusal::new(Code::InvalidSdp, text));
        }
        let wanted = EchoRequest::parse(&request.body, offer.is_some())?;
        if wanted.record == Some(true) {
            let text = "Recording is not built yet (record)";
            return Err(Refusal::new(Code::InvalidElement, text));
        }
        let Some(call) = self.calls.get_mut(&request.handle) else { return Ok(()) };
        let video_was_on = call.video;
        let current = call.change(&wanted);
        let jsep = offer.map(|jsep| negotiate(call, jsep, &wanted));
        for (kind, layer) in current {
            host.notify(request.handle, confirmation(call, kind, layer));
        }
        let done = json!({ "echotest": "event", "result": "ok" });
        // The handle cannot have gone: its own request is being answered. A description that
        // cannot be completed is the client's to learn about.
        host.push_event(request.handle, Some(&request.transaction), done, jsep).map_err(|_| {
            Refusal::new(Code::InvalidSdp, "Error processing SDP: the answer could not be made")
        })?;
        // After the answer: lines that it adds are there now.
        for plan in call.plans() {
            host.plan(plan);
        }
        if wanted.bitrate.is_some()
            && let Some(plan) = call.remb()
        {
            host.plan(plan);
        }
        if !video_was_on && call.video {
            ask_keyframe(call, host);
        }
        self.tell_handlers(host, request.handle);
        Ok(())
    }

    fn tell_handlers(&self, host: &mut dyn Host, handle: HandleKey) {
        let Some(call) = self.calls.get(&handle) else { return };
        if !self.events || !host.events_enabled() {
            return;
        }
        let mut body = json!({
            "audio_active": call.audio,
            "video_active": call.video,
            "bitrate": call.bitrate_bps,
        });
        if call.layers.selection == Selection::Simulcast {
            body["simulcast"] = json!({
                "substream": call.layers.spatial, "temporal-layer": call.layers.temporal,
            });
        }
        host.notify_event(Some(handle), body);
    }
}

/// Answers an offer and keeps what was agreed.
fn negotiate(call: &mut Call, jsep: &Jsep, wanted: &EchoRequest) -> OutgoingJsep {
    let (sdp, lines) = answer(&jsep.sdp, wanted);
    call.lines = lines;
    call.e2ee |= jsep.e2ee;
    let video = call.line(MediaKind::Video).map(|line| line.mindex);
    let simulcast = jsep.simulcast.iter().any(|line| Some(line.mindex) == video);
    let svc = jsep.svc.iter().any(|line| Some(line.mindex) == video);
    call.layers.selection = match (simulcast, svc) {
        (true, _) => Selection::Simulcast,
        (false, true) => Selection::Svc,
        (false, false) => Selection::Whole,
    };
    call.target.selection = call.layers.selection;
    OutgoingJsep { kind: JsepKind::Answer, sdp, e2ee: call.e2ee, restart: false }
}

fn ask_keyframe(call: &Call, host: &mut dyn Host) {
    if let (Some(peer), Some(video)) = (call.peer, call.line(MediaKind::Video)) {
        host.plan(Plan::Keyframe { source: SourceId::Line(peer.line(video.mindex)) });
    }
}

/// The event that says a wished-for layer already flows.
fn confirmation(call: &Call, kind: LayerKind, layer: u8) -> Value {
    let key = match kind {
        LayerKind::Substream => "substream",
        LayerKind::Temporal => "temporal",
        LayerKind::Spatial => "spatial_layer",
        LayerKind::SvcTemporal => "temporal_layer",
    };
    let mut event = json!({ "echotest": "event" });
    if let Some(video) = call.line(MediaKind::Video) {
        event["videocodec"] = json!(video.codec.janus_name());
    }
    event[key] = json!(layer);
    event
}

impl Plugin for EchoTest {
    fn about(&self) -> About {
        About {
            package: PACKAGE,
            name: "Bifrons EchoTest",
            description: "Sends a peer its own media and messages back",
            author: "The Bifrons authors",
            version: 7,
            version_string: "0.0.7",
        }
    }

    fn start(&mut self, _host: &mut dyn Host, config: Option<&Tree>) -> Result<(), String> {
        let general = config.and_then(|tree| tree.group("general"));
        self.events = general.and_then(|group| group.get_bool("events")).unwrap_or(true);
        Ok(())
    }

    fn create_session(&mut self, _host: &mut dyn Host, handle: HandleKey) -> Result<(), i32> {
        self.calls.insert(handle, Call::default());
        Ok(())
    }

    fn handle_message(&mut self, host: &mut dyn Host, request: Request) -> Verdict {
        if let Err(refusal) = self.process(host, &request) {
            // Gone handles need no refusal.
            let _ =
                host.push_event(request.handle, Some(&request.transaction), refusal.event(), None);
        }
        Verdict::Ack(Some("The answer follows as an event".to_owned()))
    }

    fn handle_admin_message(
        &mut self,
        _: &mut dyn Host,
        body: &Value,
        _: ReplyKey,
    ) -> Option<Verdict> {
        Some(Verdict::Reply(body.clone()))
    }

    fn setup_media(&mut self, host: &mut dyn Host, handle: HandleKey, peer: PeerId) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        call.peer = Some(peer);
        for plan in call.plans() {
            host.plan(plan);
        }
        ask_keyframe(call, host);
    }

    fn hangup_media(&mut self, host: &mut dyn Host, handle: HandleKey) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        *call = Call::default();
        host.notify(handle, json!({ "echotest": "event", "result": "done" }));
    }

    fn fact(&mut self, host: &mut dyn Host, handle: HandleKey, fact: &Fact) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        match *fact {
            Fact::Remb { bps } => {
                call.peer_bitrate_bps = bps;
                if let Some(plan) = call.remb() {
                    host.plan(plan);
                }
            }
            Fact::SlowLink { mindex, uplink: false, .. } => {
                call.slow_links += 1;
                let kind = call.lines.iter().find(|line| line.mindex == mindex).map(|l| l.kind);
                let video = kind == Some(MediaKind::Video);
                let mut event = json!({ "echotest": "event", "event": "slow_link" });
                event["media"] = json!(if video { "video" } else { "audio" });
                if video {
                    event["current-bitrate"] = json!(call.bitrate_bps);
                }
                host.notify(handle, event);
            }
            Fact::Layer { kind, layer, .. } => {
                match kind {
                    LayerKind::Substream | LayerKind::Spatial => call.layers.spatial = layer,
                    LayerKind::Temporal | LayerKind::SvcTemporal => call.layers.temporal = layer,
                }
                let mut event = json!({ "echotest": "event" });
                for (key, value) in call.layer_fields() {
                    event[key] = value;
                }
                host.notify(handle, event);
            }
            _ => {}
        }
    }

    fn incoming_data(&mut self, host: &mut dyn Host, handle: HandleKey, message: &DataMessage) {
        if !self.calls.contains_key(&handle) {
            return;
        }
        let mut echo = message.clone();
        if message.kind == DataKind::Text {
            echo.bytes = [PREFIX, &message.bytes].concat().into_boxed_slice();
        }
        // With so much under way that this finds no room, the peer does not read what it is sent.
        self.unsent += u64::from(host.send_data(handle, echo).is_err());
    }

    fn destroy_session(&mut self, _host: &mut dyn Host, handle: HandleKey) {
        self.calls.remove(&handle);
    }

    fn query_session(&self, handle: HandleKey) -> Value {
        self.calls.get(&handle).map_or(Value::Null, Call::describe)
    }
}
