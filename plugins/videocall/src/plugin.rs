//! VideoCall behind the plugin contract: names, and which request goes where.

use crate::api::{self, Body, REQUEST, Refusal, event};
use crate::call::Party;
use bifrons_core::config::Tree;
use bifrons_core::media::{DataPlan, Fact, LayerKind, MediaKind, PeerId};
use bifrons_core::plugin::{About, HandleKey, Host, HostExt, Plugin, Request, Verdict};
use bifrons_core::sdp::Sdp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// See the crate.
#[derive(Debug)]
pub struct VideoCall {
    pub(crate) parties: HashMap<HandleKey, Party>,
    /// Whom each name belongs to.
    pub(crate) names: BTreeMap<String, HandleKey>,
    /// Offers that wait for the other side's answer, by who made them.
    pub(crate) offers: HashMap<HandleKey, Sdp>,
    events: bool,
}

impl Default for VideoCall {
    fn default() -> Self {
        VideoCall {
            parties: HashMap::new(),
            names: BTreeMap::new(),
            offers: HashMap::new(),
            events: true,
        }
    }
}

impl VideoCall {
    fn serve(&mut self, host: &mut dyn Host, request: &Request) -> Result<Value, Refusal> {
        let body = Body::checked(&request.body, false, &REQUEST)?;
        let name = body.text("request").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "list" => self.list(),
            "register" => self.register(host, request.handle, &body),
            "call" => self.call(host, request, &body),
            "accept" => self.accept(host, request),
            "set" => self.set(host, request, &body),
            "hangup" => self.hang_up(host, request.handle, &body),
            _ => Err(Refusal::unknown_request(name)),
        }
    }

    /// Tells the shards what goes from each side of a handle's call to the other, as far as both
    /// are up.
    pub(crate) fn connect(&self, host: &mut dyn Host, handle: HandleKey) {
        let (Some(own), Some(other)) = (self.parties.get(&handle), self.other_side(handle)) else {
            return;
        };
        for (from, to) in [(&own.leg, &other.leg), (&other.leg, &own.leg)] {
            from.plans(to).into_iter().for_each(|plan| host.plan(plan));
            from.data_plans(to).into_iter().for_each(|plan: DataPlan| host.plan_data(plan));
        }
    }

    /// A side is lost with its PeerConnection or its handle: the other one is told, and loses its
    /// PeerConnection too.
    fn lost(&mut self, host: &mut dyn Host, handle: HandleKey) {
        let name = self.name_of(handle);
        let Some(other) = self.part(handle) else { return };
        let reason = "Remote WebRTC hangup";
        host.notify(other, api::hangup(name.as_deref(), reason));
        host.close_pc(other);
        self.tell_handlers(host, other, || json!({ "event": "hangup", "reason": reason }));
    }

    /// Tells the event handlers, if anybody wants to know.
    pub(crate) fn tell_handlers(
        &self,
        host: &mut dyn Host,
        handle: HandleKey,
        body: impl FnOnce() -> Value,
    ) {
        if self.events && host.events_enabled() {
            host.notify_event(Some(handle), body());
        }
    }

    pub(crate) fn tell_configured(&self, host: &mut dyn Host, handle: HandleKey) {
        let Some(party) = self.parties.get(&handle) else { return };
        let leg = &party.leg;
        self.tell_handlers(host, handle, || {
            json!({
                "event": "configured",
                "audio_active": leg.audio,
                "video_active": leg.video,
                "bitrate": leg.bitrate_bps,
            })
        });
    }

    /// A layer that a side receives has changed.
    fn layer_changed(
        &mut self,
        host: &mut dyn Host,
        handle: HandleKey,
        kind: LayerKind,
        layer: i8,
    ) {
        let Some(party) = self.parties.get_mut(&handle) else { return };
        match kind {
            LayerKind::Substream | LayerKind::Spatial => party.leg.substream = layer,
            LayerKind::Temporal | LayerKind::SvcTemporal => party.leg.temporal = layer,
        }
        if let Ok(layer) = u8::try_from(layer) {
            host.notify(handle, event(party.leg.layer_result(kind, layer)));
        }
    }
}

impl Plugin for VideoCall {
    fn about(&self) -> About {
        About {
            package: "janus.plugin.videocall",
            name: "Bifrons VideoCall",
            description: "Calls between two users",
            author: "The Bifrons authors",
            version: 6,
            version_string: "0.0.6",
        }
    }

    fn start(&mut self, _host: &mut dyn Host, config: Option<&Tree>) -> Result<(), String> {
        let general = config.and_then(|tree| tree.group("general"));
        self.events = general.and_then(|group| group.get_bool("events")).unwrap_or(true);
        Ok(())
    }

    fn create_session(&mut self, _host: &mut dyn Host, handle: HandleKey) -> Result<(), i32> {
        self.parties.insert(handle, Party::default());
        Ok(())
    }

    fn handle_message(&mut self, host: &mut dyn Host, request: Request) -> Verdict {
        let data = self.serve(host, &request).unwrap_or_else(|refusal| refusal.event());
        // A handle that is gone needs no answer.
        let _ = host.push_event(request.handle, Some(&request.transaction), data, None);
        Verdict::Ack(None)
    }

    fn setup_media(&mut self, host: &mut dyn Host, handle: HandleKey, peer: PeerId) {
        let Some(party) = self.parties.get_mut(&handle) else { return };
        party.leg.peer = Some(peer);
        self.connect(host, handle);
        let sides = [self.parties.get(&handle), self.other_side(handle)];
        if sides.iter().flatten().filter(|party| party.leg.peer.is_some()).count() == 2 {
            let plans = sides.iter().flatten().flat_map(|party| party.leg.keyframes());
            plans.for_each(|plan| host.plan(plan));
        }
    }

    fn hangup_media(&mut self, host: &mut dyn Host, handle: HandleKey) {
        self.lost(host, handle);
        if let Some(party) = self.parties.get_mut(&handle) {
            party.leg = Default::default();
        }
    }

    fn fact(&mut self, host: &mut dyn Host, handle: HandleKey, fact: &Fact) {
        let Some(party) = self.parties.get_mut(&handle) else { return };
        match *fact {
            Fact::Remb { bps } => {
                party.leg.peer_bitrate_bps = bps;
                if let Some(remb) = party.leg.remb() {
                    host.plan(remb);
                }
            }
            Fact::SlowLink { mindex, uplink: false, .. } => {
                party.leg.slow_links += 1;
                let video = party.leg.kind_of(mindex) == Some(MediaKind::Video);
                let mut result = json!({ "event": "slow_link" });
                result["media"] = json!(if video { "video" } else { "audio" });
                if video {
                    result["current-bitrate"] = json!(party.leg.bitrate_bps);
                }
                host.notify(handle, event(result));
            }
            Fact::Layer { kind, layer, .. } => self.layer_changed(host, handle, kind, layer),
            _ => {}
        }
    }

    fn destroy_session(&mut self, host: &mut dyn Host, handle: HandleKey) {
        self.lost(host, handle);
        if let Some(name) = self.parties.remove(&handle).and_then(|party| party.username) {
            self.names.remove(&name);
        }
    }

    fn query_session(&self, handle: HandleKey) -> Value {
        let party = self.parties.get(&handle);
        party.map_or(Value::Null, |party| party.describe(self.other_side(handle)))
    }
}
