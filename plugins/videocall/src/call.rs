//! One side of a call: its name, its settings, and the plans they come to.
//!
//! ```text
//!           register              call                     accept
//!  (fresh) ─────────► registered ───────► calling/ringing ────────► in call
//!                          ▲                    │                      │
//!                          └────────────────────┴──────────────────────┘
//!                                     hangup, loss of either side
//! ```

use bifrons_core::codec::Codec;
use bifrons_core::media::{
    DataPlan, LayerKind, LayerTarget, MediaKind, Mindex, PeerId, Plan, Route, RtcpRule, Selection,
    SinkId, SourceId,
};
use bifrons_core::plugin::HandleKey;
use bifrons_core::sdp::{Kind, Sdp};
use serde_json::{Map, Value, json};

use crate::api::Wishes;

/// What `bitrate: 0` stands for.
const UNLIMITED_BPS: u32 = 10_000_000;

/// An m-line that both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AgreedLine {
    /// Its index, the same on both sides.
    pub(crate) mindex: Mindex,
    /// What it carries.
    pub(crate) kind: MediaKind,
    /// The codec that comes first in the answer.
    pub(crate) codec: Option<Codec>,
    /// Whether Opus RED comes first.
    pub(crate) red: bool,
}

/// The lines that an answer accepts.
pub(crate) fn agreed(answer: &Sdp) -> Vec<AgreedLine> {
    let line = |(index, media): (usize, &bifrons_core::sdp::Media)| {
        let kind = match media.kind() {
            Kind::Audio => MediaKind::Audio,
            Kind::Video => MediaKind::Video,
            Kind::Application => MediaKind::Data,
            Kind::Other => return None,
        };
        let mut codecs = media.payload_types().into_iter().filter_map(|pt| media.codec(pt));
        let first = codecs.next();
        let red = first == Some(Codec::Red);
        Some(AgreedLine {
            mindex: Mindex::try_from(index).ok()?,
            kind,
            codec: if red { codecs.next() } else { first },
            red,
        })
    };
    let lines = answer.media.iter().enumerate().filter(|(_, media)| !media.is_disabled());
    lines.filter_map(line).collect()
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Ours rings there.
    Calling,
    /// Theirs rings here.
    Ringing,
    /// Accepted.
    InCall,
}

/// The other side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Who.
    pub(crate) other: HandleKey,
    /// How far it got.
    pub(crate) stage: Stage,
}

/// What lasts as long as a call; a hangup sets it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leg {
    /// Which PeerConnection is up.
    pub(crate) peer: Option<PeerId>,
    /// What was agreed on, the same on both sides.
    pub(crate) lines: Vec<AgreedLine>,
    /// Send audio.
    pub(crate) audio: bool,
    /// Send video.
    pub(crate) video: bool,
    /// REMB target.
    pub(crate) bitrate_bps: u32,
    /// The last REMB of this side.
    pub(crate) peer_bitrate_bps: u64,
    /// The line on which this side sends simulcast.
    pub(crate) simulcast: Option<Mindex>,
    /// Layers this side would like to receive.
    pub(crate) target: LayerTarget,
    /// Substream this side receives; -1 = none yet.
    pub(crate) substream: i8,
    /// Temporal layer this side receives; -1 = none known.
    pub(crate) temporal: i8,
    /// This side's media are end-to-end encrypted.
    pub(crate) e2ee: bool,
    /// Slow links told so far.
    pub(crate) slow_links: u32,
}

impl Default for Leg {
    fn default() -> Self {
        Leg {
            peer: None,
            lines: Vec::new(),
            audio: true,
            video: true,
            bitrate_bps: 0,
            peer_bitrate_bps: 0,
            simulcast: None,
            target: LayerTarget::default(),
            substream: -1,
            temporal: -1,
            e2ee: false,
            slow_links: 0,
        }
    }
}

/// A handle: who is behind it, and its side of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Party {
    /// Under what name it can be called, for as long as it lives.
    pub(crate) username: Option<String>,
    /// Whom it is connected with.
    pub(crate) link: Option<Link>,
    /// See there.
    pub(crate) leg: Leg,
}

impl Leg {
    /// Takes a `set` over. Returns the targets that already flow, for their confirmation at once,
    /// and whether a keyframe is needed for one that does not; `simulcast` says whether the other
    /// side sends in layers.
    pub(crate) fn change(
        &mut self,
        wishes: &Wishes,
        simulcast: bool,
    ) -> (Vec<(LayerKind, u8)>, bool) {
        self.audio = wishes.audio.unwrap_or(self.audio);
        self.video = wishes.video.unwrap_or(self.video);
        self.bitrate_bps = wishes.bitrate_bps.unwrap_or(self.bitrate_bps);
        self.target.fallback_us = wishes.fallback_us.unwrap_or(self.target.fallback_us);
        self.target.spatial = wishes.substream.unwrap_or(self.target.spatial);
        self.target.temporal = wishes.temporal.unwrap_or(self.target.temporal);
        if !simulcast {
            return (Vec::new(), false);
        }
        let asked = [
            (LayerKind::Substream, wishes.substream, self.substream),
            (LayerKind::Temporal, wishes.temporal, self.temporal),
        ];
        let asked = asked.into_iter().filter_map(|(kind, wish, now)| Some((kind, wish?, now)));
        let (flows, waits): (Vec<_>, Vec<_>) =
            asked.partition(|(_, wish, now)| i16::from(*wish) == i16::from(*now));
        (flows.into_iter().map(|(kind, wish, _)| (kind, wish)).collect(), !waits.is_empty())
    }

    /// Everything the shards have to know about what goes from this side to the other.
    pub(crate) fn plans(&self, other: &Leg) -> Vec<Plan> {
        let (Some(from), Some(to)) = (self.peer, other.peer) else { return Vec::new() };
        let mut plans = Vec::new();
        for line in self.lines.iter().filter(|line| line.kind != MediaKind::Data) {
            let video = line.kind == MediaKind::Video;
            let layers = match self.simulcast == Some(line.mindex) {
                true => LayerTarget { selection: Selection::Simulcast, ..other.target },
                false => LayerTarget::default(),
            };
            let route = Route {
                enabled: if video { self.video } else { self.audio },
                layers,
                rtcp: RtcpRule::Relay,
                ..Route::default()
            };
            plans.push(Plan::Route {
                source: SourceId::Line(from.line(line.mindex)),
                sink: SinkId::Line(to.line(line.mindex)),
                route,
            });
        }
        plans
    }

    /// Messages of this side go to the other, and not to the plugin.
    pub(crate) fn data_plans(&self, other: &Leg) -> Vec<DataPlan> {
        let (Some(from), Some(to)) = (self.peer, other.peer) else { return Vec::new() };
        let data = |leg: &Leg| leg.lines.iter().find(|line| line.kind == MediaKind::Data).copied();
        let (Some(ours), Some(theirs)) = (data(self), data(other)) else { return Vec::new() };
        let source = SourceId::Line(from.line(ours.mindex));
        let sink = SinkId::Line(to.line(theirs.mindex));
        vec![DataPlan::Route { source, sink, label: None }, DataPlan::Deliver { source, on: false }]
    }

    /// Asks this side for a keyframe of each video line.
    pub(crate) fn keyframes(&self) -> Vec<Plan> {
        let videos = self.lines.iter().filter(|line| line.kind == MediaKind::Video);
        let ask = |(line, peer): (&AgreedLine, PeerId)| Plan::Keyframe {
            source: SourceId::Line(peer.line(line.mindex)),
        };
        videos.filter_map(|line| Some((line, self.peer?))).map(ask).collect()
    }

    /// The REMB this side is held to.
    pub(crate) fn remb(&self) -> Option<Plan> {
        let bps = if self.bitrate_bps == 0 { UNLIMITED_BPS } else { self.bitrate_bps };
        self.peer.map(|peer| Plan::Remb { peer, bps })
    }

    /// The first line of a kind.
    pub(crate) fn line(&self, kind: MediaKind) -> Option<&AgreedLine> {
        self.lines.iter().find(|line| line.kind == kind)
    }

    /// What a line carries.
    pub(crate) fn kind_of(&self, mindex: Mindex) -> Option<MediaKind> {
        self.lines.iter().find(|line| line.mindex == mindex).map(|line| line.kind)
    }

    /// The result that says which layer this side receives.
    pub(crate) fn layer_result(&self, kind: LayerKind, layer: u8) -> Value {
        let mut result = json!({ "event": "simulcast" });
        if let Some(codec) = self.line(MediaKind::Video).and_then(|line| line.codec) {
            result["videocodec"] = json!(codec.janus_name());
        }
        let temporal = matches!(kind, LayerKind::Temporal | LayerKind::SvcTemporal);
        result[if temporal { "temporal" } else { "substream" }] = json!(layer);
        result
    }
}

impl Party {
    /// Whether it is in a call that was accepted.
    pub(crate) fn is_in_call(&self) -> bool {
        self.link.is_some_and(|link| link.stage == Stage::InCall)
    }

    /// What `handle_info` shows (plugin-videocall §8); `other` is the other side, if any.
    pub(crate) fn describe(&self, other: Option<&Party>) -> Value {
        let leg = &self.leg;
        let mut info = Map::new();
        let mut put = |name: &str, value: Value| info.insert(name.to_owned(), value);
        put("state", json!(if self.link.is_some() { "incall" } else { "idle" }));
        if let Some(username) = &self.username {
            put("username", json!(username));
        }
        if let Some(other) = other {
            put("peer", json!(other.username));
            put("audio_active", json!(leg.audio));
            put("video_active", json!(leg.video));
            if let Some(audio) = leg.line(MediaKind::Audio) {
                if let Some(codec) = audio.codec {
                    put("audio_codec", json!(codec.janus_name()));
                }
                if audio.red {
                    put("audio_red", json!(true));
                }
            }
            if let Some(codec) = leg.line(MediaKind::Video).and_then(|line| line.codec) {
                put("video_codec", json!(codec.janus_name()));
            }
            put("bitrate", json!(leg.bitrate_bps));
            put("peer-bitrate", json!(leg.peer_bitrate_bps));
            put("slowlink_count", json!(leg.slow_links));
            if leg.simulcast.is_some() {
                put("simulcast", json!(true));
            }
            if other.leg.simulcast.is_some() {
                put("simulcast-peer", json!(true));
                put("substream", json!(leg.substream));
                put("substream-target", json!(leg.target.spatial));
                put("temporal-layer", json!(leg.temporal));
                put("temporal-layer-target", json!(leg.target.temporal));
                if leg.target.fallback_us > 0 {
                    put("fallback", json!(leg.target.fallback_us));
                }
            }
        }
        put("incall", json!(u8::from(self.is_in_call())));
        if leg.e2ee {
            put("e2ee", json!(true));
        }
        put("hangingup", json!(0));
        put("destroyed", json!(0));
        Value::Object(info)
    }
}
