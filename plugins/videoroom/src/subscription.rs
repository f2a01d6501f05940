//! A subscription: one server-offered PeerConnection and what flows on its lines
//! (plugin-videoroom §6, §7.2-4).

use crate::participant::{Participant, Stream};
use crate::room::Room;
use bifrons_core::codec::Codec;
use bifrons_core::media::{LayerTarget, MediaKind, Mindex, PeerId, Route, Selection, SourceId};
use bifrons_core::plugin::{DelayLimits, Id};
use serde_json::{Map, Value, json};

/// Where a line's media come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feed {
    /// The publisher.
    pub(crate) id: Id,
    /// Its line.
    pub(crate) mindex: Mindex,
    /// The mid of that line.
    pub(crate) mid: String,
}

/// One m-line of a subscription. It keeps its index for good; without a feed it is inactive.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) kind: MediaKind,
    /// `None` for data.
    pub(crate) codec: Option<Codec>,
    /// Where audio or video come from.
    pub(crate) feed: Option<Feed>,
    /// Where data come from: one line takes the messages of any number of publishers.
    pub(crate) sources: Vec<Feed>,
    pub(crate) crossrefid: Option<String>,
    /// The client's answer took it.
    pub(crate) ready: bool,
    /// The client wants it to flow.
    pub(crate) send: bool,
    pub(crate) target: LayerTarget,
    /// Layers that flow: substream or spatial, and temporal; -1 = none known.
    pub(crate) current: (i8, i8),
    pub(crate) delay: DelayLimits,
    /// What the shards were last told.
    pub(crate) routed: Option<(SourceId, Route)>,
    /// The same of data.
    pub(crate) joined: Vec<(SourceId, Id)>,
    /// Whether the shard was told to keep to itself what the client sends on a data line.
    pub(crate) deaf: bool,
}

impl Line {
    /// A line fed by a stream.
    pub(crate) fn new(feed: Feed, stream: &Stream) -> Self {
        let mut line = Line {
            kind: stream.kind,
            codec: stream.codec,
            feed: None,
            sources: Vec::new(),
            crossrefid: None,
            ready: false,
            send: true,
            target: LayerTarget::default(),
            current: (-1, -1),
            delay: DelayLimits::default(),
            routed: None,
            joined: Vec::new(),
            deaf: false,
        };
        match stream.kind {
            MediaKind::Data => line.sources.push(feed),
            MediaKind::Audio | MediaKind::Video => line.take(feed, stream),
        }
        line
    }

    /// Gives the line a feed, with everything else back at its defaults.
    pub(crate) fn take(&mut self, feed: Feed, stream: &Stream) {
        self.feed = Some(feed);
        self.send = true;
        self.target = LayerTarget { selection: selection(stream), ..LayerTarget::default() };
        self.current = (-1, -1);
        self.delay = DelayLimits::default();
    }

    /// Whether it is fed by this publisher.
    pub(crate) fn is_of(&self, feed: &Id) -> bool {
        self.feeds().any(|have| have.id == *feed)
    }

    /// All that feed it.
    pub(crate) fn feeds(&self) -> impl Iterator<Item = &Feed> {
        self.feed.iter().chain(&self.sources)
    }

    /// Takes every feed away that is meant. True if the line has lost the one it had: an offer says
    /// so then. A data line stays as it is, with fewer sources or none.
    pub(crate) fn lose(&mut self, meant: impl Fn(&Feed) -> bool) -> bool {
        self.sources.retain(|feed| !meant(feed));
        let lost = self.feed.as_ref().is_some_and(meant);
        if lost {
            self.feed = None;
            self.ready = false;
        }
        lost
    }

    /// The publisher and stream that feed it.
    pub(crate) fn source<'a>(
        &self,
        room: Option<&'a Room>,
    ) -> Option<(&'a Participant, &'a Stream)> {
        let feed = self.feed.as_ref()?;
        let publisher = room?.participants.get(&feed.id)?;
        let stream = publisher.streams.iter().find(|stream| stream.mindex == feed.mindex)?;
        Some((publisher, stream))
    }

    /// The subscription stream object (§6).
    pub(crate) fn describe(&self, mindex: usize, room: Option<&Room>) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("type", json!(self.kind.name()));
        let data = self.kind == MediaKind::Data;
        put("active", json!(data || self.feed.is_some()));
        put("mindex", json!(mindex));
        put("mid", json!(mindex.to_string()));
        if let Some(crossrefid) = &self.crossrefid {
            put("crossrefid", json!(crossrefid));
        }
        put("ready", json!(self.ready));
        put("send", json!(self.send));
        if data && !self.sources.is_empty() {
            put("sources", json!(self.sources.len()));
            let ids: Vec<_> = self.sources.iter().map(|feed| &feed.id).collect();
            put("source_ids", json!(ids));
        }
        let (Some(feed), Some((publisher, stream))) = (&self.feed, self.source(room)) else {
            return Value::Object(shown);
        };
        put("feed_id", json!(feed.id));
        if let Some(display) = &publisher.display {
            put("feed_display", json!(display));
        }
        if let Some(metadata) = &publisher.metadata {
            put("feed_metadata", metadata.clone());
        }
        put("feed_mid", json!(feed.mid));
        if let Some(description) = &stream.description {
            put("feed_description", json!(description));
        }
        if let Some(codec) = self.codec {
            put("codec", json!(codec.janus_name()));
        }
        for (name, profile) in
            [("h264-profile", &stream.h264_profile), ("vp9-profile", &stream.vp9_profile)]
        {
            if let Some(profile) = profile {
                put(name, json!(profile));
            }
        }
        if let Some(delay) = self.delay.shown() {
            put("playout-delay", delay);
        }
        if let Some((name, layers)) = self.describe_layers() {
            put(name, layers);
        }
        Value::Object(shown)
    }

    fn describe_layers(&self) -> Option<(&'static str, Value)> {
        let ((spatial, temporal), target) = (self.current, &self.target);
        match target.selection {
            Selection::Whole => None,
            Selection::Simulcast => {
                let mut shown = json!({
                    "substream": spatial,
                    "substream-target": target.spatial,
                    "temporal-layer": temporal,
                    "temporal-layer-target": target.temporal,
                });
                if target.fallback_us > 0 {
                    shown["fallback"] = json!(target.fallback_us);
                }
                Some(("simulcast", shown))
            }
            Selection::Svc => Some((
                "svc",
                json!({
                    "spatial-layer": spatial,
                    "target-spatial-layer": target.spatial,
                    "temporal-layer": temporal,
                    "target-temporal-layer": target.temporal,
                }),
            )),
        }
    }
}

/// How layers of a stream are told apart.
pub(crate) fn selection(stream: &Stream) -> Selection {
    let layered = matches!(stream.codec, Some(Codec::Vp9 | Codec::Av1));
    match (stream.simulcast, stream.svc && layered) {
        (true, _) => Selection::Simulcast,
        (false, true) => Selection::Svc,
        (false, false) => Selection::Whole,
    }
}

/// A subscriber handle's subscription.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) room: Id,
    /// The room was destroyed since.
    pub(crate) room_gone: bool,
    pub(crate) private_id: u32,
    pub(crate) use_msid: bool,
    pub(crate) autoupdate: bool,
    pub(crate) e2ee: bool,
    pub(crate) lines: Vec<Line>,
    /// Its PeerConnection, while that is up.
    pub(crate) peer: Option<PeerId>,
    /// The client has answered once.
    pub(crate) answered: bool,
    /// An offer is out and not answered.
    pub(crate) pending_offer: bool,
    /// Something changed since that offer.
    pub(crate) pending_update: bool,
    /// The next offer restarts ICE.
    pub(crate) pending_restart: bool,
    /// Something changed and nobody was told: the next change makes an offer in any case.
    pub(crate) untold: bool,
    pub(crate) paused: bool,
    /// The participant it belonged to was kicked (with `require_pvtid`).
    pub(crate) kicked: bool,
    /// The client left.
    pub(crate) left: bool,
    /// `o=` version of the last offer.
    pub(crate) version: u64,
}

impl Subscription {
    /// A subscription without lines.
    pub(crate) fn new(room: Id) -> Self {
        Subscription {
            room,
            room_gone: false,
            private_id: 0,
            use_msid: false,
            autoupdate: true,
            e2ee: false,
            lines: Vec::new(),
            peer: None,
            answered: false,
            pending_offer: false,
            pending_update: false,
            pending_restart: false,
            untold: false,
            paused: false,
            kicked: false,
            left: false,
            version: 0,
        }
    }

    /// The stream objects of all lines.
    pub(crate) fn describe_lines(&self, room: Option<&Room>) -> Value {
        let lines = self.lines.iter().enumerate();
        Value::Array(lines.map(|(mindex, line)| line.describe(mindex, room)).collect())
    }

    /// The line of a mid: its index as text.
    pub(crate) fn line_of(&self, mid: &str) -> Option<usize> {
        let mindex: usize = mid.parse().ok()?;
        (mindex < self.lines.len() && mindex.to_string() == mid).then_some(mindex)
    }
}
