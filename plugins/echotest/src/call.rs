//! One handle's call: its settings, and the plans they come to.

use crate::answer::EchoLine;
use crate::api::EchoRequest;
use bifrons_core::media::{
    Delay, LayerKind, LayerTarget, MediaKind, PeerId, Plan, Route, RtcpRule, Selection, SinkId,
    SourceId, SourcePolicy,
};
use serde_json::{Map, Value, json};

/// What `bitrate: 0` stands for.
pub(crate) const UNLIMITED_BPS: u32 = 10_000_000;

/// How the video's layers are told apart, and what flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layers {
    /// None, simulcast or SVC.
    pub(crate) selection: Selection,
    /// Substream or spatial layer that flows; -1 = none yet.
    pub(crate) spatial: i8,
    /// Temporal layer that flows; -1 = none known.
    pub(crate) temporal: i8,
}

/// Settings of one call; a hangup sets them back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Its lines, after the first answer.
    pub(crate) lines: Vec<EchoLine>,
    /// Whether the PeerConnection is up, and which it is.
    pub(crate) peer: Option<PeerId>,
    /// Echo audio.
    pub(crate) audio: bool,
    /// Echo video.
    pub(crate) video: bool,
    /// REMB target.
    pub(crate) bitrate_bps: u32,
    /// The last REMB of the peer.
    pub(crate) peer_bitrate_bps: u64,
    /// Layer targets.
    pub(crate) target: LayerTarget,
    /// Layers that flow.
    pub(crate) layers: Layers,
    /// Playout delay limits.
    pub(crate) delay: Option<Delay>,
    /// Media are end-to-end encrypted.
    pub(crate) e2ee: bool,
    /// Slow links told so far.
    pub(crate) slow_links: u32,
}

impl Default for Call {
    fn default() -> Self {
        Call {
            lines: Vec::new(),
            peer: None,
            audio: true,
            video: true,
            bitrate_bps: 0,
            peer_bitrate_bps: 0,
            target: LayerTarget::default(),
            layers: Layers { selection: Selection::Whole, spatial: -1, temporal: -1 },
            delay: None,
            e2ee: false,
            slow_links: 0,
        }
    }
}

impl Call {
    /// Takes a request's settings over. Returns the keys of targets that already flow, for their
    /// immediate confirmation.
    pub(crate) fn change(&mut self, request: &EchoRequest) -> Vec<(LayerKind, u8)> {
        self.audio = request.audio.unwrap_or(self.audio);
        self.video = request.video.unwrap_or(self.video);
        self.bitrate_bps = request.bitrate.unwrap_or(self.bitrate_bps);
        self.change_delay(request);
        let svc = self.layers.selection == Selection::Svc;
        let asked = [
            (LayerKind::Substream, request.substream),
            (LayerKind::Temporal, request.temporal),
            (LayerKind::Spatial, request.spatial_layer),
            (LayerKind::SvcTemporal, request.temporal_layer),
        ];
        self.target.fallback_us = request.fallback_us.unwrap_or(self.target.fallback_us);
        let mut current = Vec::new();
        for (kind, layer) in asked {
            let Some(layer) = layer else { continue };
            let for_svc = matches!(kind, LayerKind::Spatial | LayerKind::SvcTemporal);
            if for_svc != svc || self.layers.selection == Selection::Whole {
                continue;
            }
            let flows = match kind {
                LayerKind::Substream | LayerKind::Spatial => {
                    self.target.spatial = layer;
                    self.layers.spatial
                }
                LayerKind::Temporal | LayerKind::SvcTemporal => {
                    self.target.temporal = layer;
                    self.layers.temporal
                }
            };
            if i16::from(flows) == i16::from(layer) {
                current.push((kind, layer));
            }
        }
        current
    }

    /// One limit drags the other along; a negative value clears both.
    fn change_delay(&mut self, request: &EchoRequest) {
        let limit = |value: i64| u16::try_from(value.min(4095)).ok();
        if let Some(min) = request.min_delay {
            self.delay = limit(min)
                .map(|min| Delay { min, max: self.delay.map_or(min, |have| have.max.max(min)) });
        }
        if let Some(max) = request.max_delay {
            self.delay = limit(max)
                .map(|max| Delay { min: self.delay.map_or(max, |have| have.min.min(max)), max });
        }
    }

    /// Everything the shards have to know about this call.
    pub(crate) fn plans(&self) -> Vec<Plan> {
        let Some(peer) = self.peer else { return Vec::new() };
        let mut plans = Vec::new();
        for line in &self.lines {
            let id = peer.line(line.mindex);
            let video = line.kind == MediaKind::Video;
            let route = Route {
                enabled: if video { self.video } else { self.audio },
                layers: if video { self.target } else { LayerTarget::default() },
                rtcp: RtcpRule::Relay,
                delay: self.delay.filter(|_| video),
                ..Route::default()
            };
            let (source, sink) = (SourceId::Line(id), SinkId::Line(id));
            plans.push(Plan::Policy { source, policy: SourcePolicy::default() });
            plans.push(Plan::Route { source, sink, route });
        }
        plans
    }

    /// The REMB the peer is held to.
    pub(crate) fn remb(&self) -> Option<Plan> {
        let bps = if self.bitrate_bps == 0 { UNLIMITED_BPS } else { self.bitrate_bps };
        self.peer.map(|peer| Plan::Remb { peer, bps })
    }

    /// The codec of the first line of a kind.
    pub(crate) fn line(&self, kind: MediaKind) -> Option<&EchoLine> {
        self.lines.iter().find(|line| line.kind == kind)
    }

    /// The keys that a layer event or `handle_info` shows.
    pub(crate) fn layer_fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let names = match self.layers.selection {
            Selection::Whole => return fields,
            Selection::Simulcast => ["substream", "temporal"],
            Selection::Svc => ["spatial_layer", "temporal_layer"],
        };
        if let Some(video) = self.line(MediaKind::Video) {
            fields.insert("videocodec".into(), json!(video.codec.janus_name()));
        }
        fields.insert(names[0].into(), json!(self.layers.spatial));
        fields.insert(names[1].into(), json!(self.layers.temporal));
        fields
    }

    /// What `handle_info` shows (plugin-echotest §8).
    pub(crate) fn describe(&self) -> Value {
        let mut info = Map::new();
        info.insert("audio_active".into(), json!(self.audio));
        info.insert("video_active".into(), json!(self.video));
        if let Some(audio) = self.line(MediaKind::Audio) {
            info.insert("audio_codec".into(), json!(audio.codec.janus_name()));
            if audio.red {
                info.insert("audio_red".into(), json!(true));
            }
        }
        if let Some(video) = self.line(MediaKind::Video) {
            info.insert("video_codec".into(), json!(video.codec.janus_name()));
        }
        info.insert("bitrate".into(), json!(self.bitrate_bps));
        info.insert("peer-bitrate".into(), json!(self.peer_bitrate_bps));
        self.describe_layers(&mut info);
        if self.e2ee {
            info.insert("e2ee".into(), json!(true));
        }
        info.insert("slowlink_count".into(), json!(self.slow_links));
        info.insert("hangingup".into(), json!(0));
        info.insert("destroyed".into(), json!(0));
        Value::Object(info)
    }

    fn describe_layers(&self, info: &mut Map<String, Value>) {
        let names = match self.layers.selection {
            Selection::Whole => return,
            Selection::Simulcast => ("simulcast", "substream", "substream-target"),
            Selection::Svc => ("svc", "spatial-layer", "spatial-layer-target"),
        };
        info.insert(names.0.into(), json!(true));
        info.insert(names.1.into(), json!(self.layers.spatial));
        info.insert(names.2.into(), json!(self.target.spatial));
        info.insert("temporal-layer".into(), json!(self.layers.temporal));
        info.insert("temporal-layer-target".into(), json!(self.target.temporal));
        if self.layers.selection == Selection::Simulcast && self.target.fallback_us > 0 {
            info.insert("fallback".into(), json!(self.target.fallback_us));
        }
    }
}
