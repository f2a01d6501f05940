//! A room: its settings, who is in it, and which subscriptions it feeds.

use crate::participant::{For, Participant, Presence, Stream};
use crate::settings::{DummyStream, Settings};
use bifrons_core::codec::Codec;
use bifrons_core::media::{MediaKind, Mindex};
use bifrons_core::plugin::{HandleKey, Home, Host, HostExt, Id};
use bifrons_core::sdp::OpusParameters;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A room.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) id: Id,
    pub(crate) settings: Settings,
    /// Tokens of those who may join as participants; `None` = everybody.
    pub(crate) allowed: Option<BTreeSet<String>>,
    /// Tokens that were listed when checking was switched off; they count again when it is
    /// switched on.
    pub(crate) tokens_at_rest: BTreeSet<String>,
    pub(crate) participants: BTreeMap<Id, Participant>,
    /// Which participant a private id belongs to.
    pub(crate) private_ids: BTreeMap<u32, Id>,
    /// Handles that subscribe here.
    pub(crate) subscribers: HashSet<HandleKey>,
}

impl Room {
    /// Where its publishers and their audience live, as long as that is no fuller than elsewhere.
    pub(crate) fn home(&self) -> Home {
        Home::of(&self.id)
    }

    /// A room with nobody in it but its dummy, if it is to have one.
    pub(crate) fn new(
        host: &mut dyn Host,
        id: Id,
        settings: Settings,
        allowed: Option<BTreeSet<String>>,
    ) -> Self {
        let mut room = Room {
            id,
            settings,
            allowed,
            tokens_at_rest: BTreeSet::new(),
            participants: BTreeMap::new(),
            private_ids: BTreeMap::new(),
            subscribers: HashSet::new(),
        };
        if room.settings.dummy_publisher {
            let texts = matches!(room.id, Id::Text(_));
            let dummy = room.dummy(Id::generate(host, texts));
            room.participants.insert(dummy.id.clone(), dummy);
        }
        room
    }

    /// The placeholder publisher (§8.10).
    fn dummy(&self, id: Id) -> Participant {
        let settings = &self.settings;
        let room_codecs = || settings.audio_codecs.iter().chain(&settings.video_codecs);
        let wanted: Vec<DummyStream> = if settings.dummy_streams.is_empty() {
            room_codecs().map(|codec| DummyStream { codec: *codec, fmtp: None }).collect()
        } else {
            let listed = settings.dummy_streams.iter();
            listed.filter(|s| room_codecs().any(|codec| *codec == s.codec)).cloned().collect()
        };
        let streams = wanted.into_iter().enumerate().map(|(mindex, wanted)| {
            let kind = if wanted.codec.is_audio() { MediaKind::Audio } else { MediaKind::Video };
            let mindex = Mindex::try_from(mindex).unwrap_or(Mindex::MAX);
            let mut stream = Stream::new(kind, mindex, mindex.to_string());
            stream.disabled = false;
            stream.codec = Some(wanted.codec);
            if wanted.codec == Codec::Opus {
                let fmtp = wanted.fmtp.as_deref().unwrap_or_default();
                stream.opus = OpusParameters::read(fmtp);
            }
            stream.fmtp = wanted.fmtp;
            stream
        });
        Participant {
            id,
            presence: Presence::Dummy,
            private_id: 0,
            display: Some("Dummy publisher".to_owned()),
            metadata: None,
            e2ee: settings.dummy_e2ee,
            bitrate_bps: 0,
            active_packets: None,
            level_average: None,
            streams: streams.collect(),
            peer: None,
            remote: None,
            forwarders: Vec::new(),
            remotizations: Vec::new(),
        }
    }

    /// A private id that nobody in the room has: random, 32 bits, not 0.
    pub(crate) fn new_private_id(&self, host: &mut dyn Host) -> u32 {
        loop {
            let id = host.random() as u32;
            if id != 0 && !self.private_ids.contains_key(&id) {
                return id;
            }
        }
    }

    /// Tells every local participant but one.
    pub(crate) fn tell(&self, host: &mut dyn Host, except: Option<&Id>, event: &Value) {
        for participant in self.participants.values() {
            if let Some(handle) = participant.handle()
                && Some(&participant.id) != except
            {
                host.notify(handle, event.clone());
            }
        }
    }

    /// How many others publish and count against the limit (§3 `publishers`).
    pub(crate) fn other_publishers(&self, id: &Id) -> usize {
        let counts = |p: &&Participant| p.sends() && p.id != *id;
        self.participants.values().filter(counts).count()
    }

    /// The publisher objects of all who publish, but one.
    pub(crate) fn publishers(&self, except: &Id) -> Vec<Value> {
        let seen = |p: &&Participant| p.is_published() && p.id != *except;
        self.participants.values().filter(seen).map(|p| p.describe(For::Newcomer)).collect()
    }

    /// Those who are there and do not publish, but one.
    pub(crate) fn attendees(&self, except: &Id) -> Vec<Value> {
        let idle = |p: &&Participant| !p.is_published() && p.id != *except;
        self.participants.values().filter(idle).map(|p| Value::Object(p.named())).collect()
    }

    /// The room as `list` shows it.
    pub(crate) fn describe(&self) -> Value {
        let mut shown = Map::new();
        shown.insert("room".to_owned(), json!(self.id));
        self.settings.describe(&mut shown);
        shown.insert("num_participants".to_owned(), json!(self.participants.len()));
        self.settings.describe_extensions(&mut shown);
        Value::Object(shown)
    }

    /// The publisher of a feed, while it can be subscribed to.
    pub(crate) fn feed(&self, id: &Id) -> Option<&Participant> {
        self.participants.get(id).filter(|p| p.is_published())
    }
}
