//! A participant: who it is, and what it publishes (plugin-videoroom §5).

use crate::forwarders::{Forwarder, Remotization};
use crate::remote::Remote;
use bifrons_core::codec::Codec;
use bifrons_core::media::{IngestId, MediaKind, Mindex, PeerId, SourceId, SourcePolicy};
use bifrons_core::plugin::{DelayLimits, HandleKey, Id};
use bifrons_core::sdp::OpusParameters;
use serde_json::{Map, Value, json};

/// For whom a publisher is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// Somebody who joins: who talks, and who is a dummy, is told.
    Newcomer,
    /// Everybody there.
    Others,
    /// The publisher: extension ids are told.
    Itself,
}

/// Ids under which a publisher sends extensions that its subscribers may get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamExtensions {
    pub(crate) audio_level: Option<u8>,
    pub(crate) orientation: Option<u8>,
    pub(crate) playout_delay: Option<u8>,
}

/// One m-line of a publisher.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stream {
    pub(crate) kind: MediaKind,
    pub(crate) mindex: Mindex,
    pub(crate) mid: String,
    pub(crate) description: Option<String>,
    /// Refused, or inactive.
    pub(crate) disabled: bool,
    pub(crate) codec: Option<Codec>,
    pub(crate) opus: OpusParameters,
    /// Format parameters for the offers to subscribers.
    pub(crate) fmtp: Option<String>,
    pub(crate) vp9_profile: Option<String>,
    pub(crate) h264_profile: Option<String>,
    pub(crate) simulcast: bool,
    pub(crate) svc: bool,
    pub(crate) extensions: StreamExtensions,
    /// Whether the publisher lets it be relayed.
    pub(crate) send: bool,
    /// Whether a moderator blocks it.
    pub(crate) moderated: bool,
    pub(crate) talking: bool,
    pub(crate) level_dbov: Option<f32>,
    pub(crate) delay: DelayLimits,
    /// Where it arrives, for a remote publisher's.
    pub(crate) ingest: Option<IngestId>,
    /// What the shards were last told.
    pub(crate) policy: Option<SourcePolicy>,
}

impl Stream {
    /// A stream with nothing known but its place.
    pub(crate) fn new(kind: MediaKind, mindex: Mindex, mid: String) -> Self {
        Stream {
            kind,
            mindex,
            mid,
            description: None,
            disabled: true,
            codec: None,
            opus: OpusParameters::default(),
            fmtp: None,
            vp9_profile: None,
            h264_profile: None,
            simulcast: false,
            svc: false,
            extensions: StreamExtensions::default(),
            send: true,
            moderated: false,
            talking: false,
            level_dbov: None,
            delay: DelayLimits::default(),
            ingest: None,
            policy: None,
        }
    }

    /// Whether nothing of it is relayed.
    pub(crate) fn is_muted(&self) -> bool {
        !self.send || self.moderated
    }

    /// The stream object (§5).
    pub(crate) fn describe(&self, reader: For) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("type", json!(self.kind.name()));
        put("mindex", json!(self.mindex));
        put("mid", json!(self.mid));
        if self.disabled {
            put("disabled", json!(true));
            return Value::Object(shown);
        }
        if let Some(description) = &self.description {
            put("description", json!(description));
        }
        if let Some(codec) = self.codec {
            put("codec", json!(codec.janus_name()));
        }
        let marks = [
            ("stereo", self.opus.stereo),
            ("fec", self.opus.fec),
            ("dtx", self.opus.dtx),
            ("simulcast", self.simulcast),
            ("svc", self.svc),
            ("moderated", self.moderated),
        ];
        for (name, _) in marks.into_iter().filter(|(_, on)| *on) {
            put(name, json!(true));
        }
        for (name, text) in
            [("h264_profile", &self.h264_profile), ("vp9_profile", &self.vp9_profile)]
        {
            if let Some(text) = text {
                put(name, json!(text));
            }
        }
        if reader == For::Newcomer && self.extensions.audio_level.is_some() {
            put("talking", json!(self.talking));
        }
        if reader == For::Itself {
            let ids = [
                ("audiolevel_ext_id", self.extensions.audio_level),
                ("videoorient_ext_id", self.extensions.orientation),
                ("playoutdelay_ext_id", self.extensions.playout_delay),
            ];
            for (name, id) in ids {
                if let Some(id) = id {
                    put(name, json!(id));
                }
            }
        }
        Value::Object(shown)
    }
}

/// What kind of participant it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// A client's handle.
    Local(HandleKey),
    /// A placeholder of the room's own: never told anything, never kicked.
    Dummy,
    /// A publisher of another server.
    Remote,
}

/// Somebody in the room.
#[derive(Clone, Debug)]
pub(crate) struct Participant {
    pub(crate) id: Id,
    pub(crate) presence: Presence,
    /// What ties subscriptions to it; 0 for a dummy.
    pub(crate) private_id: u32,
    pub(crate) display: Option<String>,
    pub(crate) metadata: Option<Value>,
    pub(crate) e2ee: bool,
    pub(crate) bitrate_bps: u32,
    /// Overrides of the room's talking detection.
    pub(crate) active_packets: Option<u16>,
    pub(crate) level_average: Option<u8>,
    pub(crate) streams: Vec<Stream>,
    /// Its PeerConnection, while that is up.
    pub(crate) peer: Option<PeerId>,
    /// Where it arrives, for a remote one.
    pub(crate) remote: Option<Remote>,
    pub(crate) forwarders: Vec<Forwarder>,
    pub(crate) remotizations: Vec<Remotization>,
}

impl Participant {
    /// The handle, for a local one.
    pub(crate) fn handle(&self) -> Option<HandleKey> {
        match self.presence {
            Presence::Local(handle) => Some(handle),
            Presence::Dummy | Presence::Remote => None,
        }
    }

    /// Whether others can see and subscribe to its streams.
    pub(crate) fn is_published(&self) -> bool {
        self.sends() || self.presence == Presence::Dummy
    }

    /// Whether media come from it.
    pub(crate) fn sends(&self) -> bool {
        self.peer.is_some() || self.remote.is_some()
    }

    /// Where one of its streams comes from, while it does.
    pub(crate) fn source_of(&self, stream: &Stream) -> Option<SourceId> {
        match self.remote {
            Some(_) => stream.ingest.map(SourceId::Ingest),
            None => self.peer.map(|peer| SourceId::Line(peer.line(stream.mindex))),
        }
    }

    /// The stream of a mid.
    pub(crate) fn stream(&self, mid: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.mid == mid)
    }

    /// The stream of a mid.
    pub(crate) fn stream_mut(&mut self, mid: &str) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.mid == mid)
    }

    /// The first codec of a kind.
    pub(crate) fn codec(&self, kind: MediaKind) -> Option<Codec> {
        let live = self.streams.iter().filter(|stream| !stream.disabled);
        live.filter(|stream| stream.kind == kind).find_map(|stream| stream.codec)
    }

    /// The codec of one of its lines.
    pub(crate) fn codec_at(&self, mindex: Mindex) -> Option<Codec> {
        self.streams.iter().find(|stream| stream.mindex == mindex)?.codec
    }

    /// Whether anything of it talks; `None` without audio whose level is known.
    pub(crate) fn talks(&self) -> Option<bool> {
        let mut levels = self
            .streams
            .iter()
            .filter(|s| !s.disabled && s.extensions.audio_level.is_some())
            .peekable();
        levels.peek()?;
        Some(levels.any(|stream| stream.talking))
    }

    /// `id`, and `display` and `metadata` where known.
    pub(crate) fn named(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        shown.insert("id".to_owned(), json!(self.id));
        self.put_names(&mut shown);
        shown
    }

    /// `display` and `metadata` where known.
    pub(crate) fn put_names(&self, shown: &mut Map<String, Value>) {
        if let Some(display) = &self.display {
            shown.insert("display".to_owned(), json!(display));
        }
        if let Some(metadata) = &self.metadata {
            shown.insert("metadata".to_owned(), metadata.clone());
        }
    }

    /// `audio_codec` and `video_codec` where known.
    pub(crate) fn put_codecs(&self, shown: &mut Map<String, Value>) {
        for (kind, name) in [(MediaKind::Audio, "audio_codec"), (MediaKind::Video, "video_codec")] {
            if let Some(codec) = self.codec(kind) {
                shown.insert(name.to_owned(), json!(codec.janus_name()));
            }
        }
    }

    /// Its stream objects.
    pub(crate) fn describe_streams(&self, reader: For) -> Value {
        Value::Array(self.streams.iter().map(|stream| stream.describe(reader)).collect())
    }

    /// The publisher object (§5).
    pub(crate) fn describe(&self, reader: For) -> Value {
        let mut shown = self.named();
        if self.presence == Presence::Dummy && reader == For::Newcomer {
            shown.insert("dummy".to_owned(), json!(true));
        }
        self.put_codecs(&mut shown);
        shown.insert("streams".to_owned(), self.describe_streams(reader));
        if reader == For::Newcomer
            && let Some(talks) = self.talks()
        {
            shown.insert("talking".to_owned(), json!(talks));
        }
        Value::Object(shown)
    }
}
