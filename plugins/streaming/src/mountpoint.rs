//! A mountpoint: what it is, where its media come from, and who watches (plugin-streaming §1).

use crate::api::{Body, is_same};
use crate::media::StreamSpec;
use crate::source::{FileSpec, RtspSpec};
use bifrons_core::media::{IngestId, Port, PortClock, PortId};
use bifrons_core::plugin::{HandleKey, Id, ServiceId};
use std::collections::BTreeSet;

/// Where media come from.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// RTP to ports of ours.
    Rtp,
    /// An RTSP server.
    Rtsp(RtspSpec),
    /// A file that is played for all.
    Live(FileSpec),
    /// A file that is played for each viewer.
    OnDemand(FileSpec),
}

impl Kind {
    /// Whether it can be switched from and to.
    pub(crate) fn is_switched(&self) -> bool {
        matches!(self, Kind::Rtp | Kind::Rtsp(_))
    }

    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&FileSpec> {
        match self {
            Kind::Live(file) | Kind::OnDemand(file) => Some(file),
            Kind::Rtp | Kind::Rtsp(_) => None,
        }
    }

    /// How replies call it.
    pub(crate) fn shown(&self) -> &'static str {
        match self {
            Kind::OnDemand(_) => "on demand",
            Kind::Rtp | Kind::Rtsp(_) | Kind::Live(_) => "live",
        }
    }

    /// How requests call it.
    pub(crate) fn asked(&self) -> &'static str {
        match self {
            Kind::Rtp => "rtp",
            Kind::Rtsp(_) => "rtsp",
            Kind::Live(_) => "live",
            Kind::OnDemand(_) => "ondemand",
        }
    }
}

/// The names of a mountpoint, and who may do what with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) metadata: Option<String>,
    pub(crate) is_private: bool,
    pub(crate) secret: Option<String>,
    pub(crate) pin: Option<String>,
}

/// What goes for all streams of a mountpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How long the former source has to be silent before another one is heard; 0 = at once.
    pub(crate) collision_ms: u32,
    pub(crate) bufferkf_ms: u16,
    pub(crate) bufferkf_bytes: u32,
    /// Shown, and of no effect: shards are what Janus has threads for.
    pub(crate) threads: u32,
    /// Suite (32 or 80) and base64 of key and salt.
    pub(crate) srtp: Option<(u8, String)>,
    pub(crate) e2ee: bool,
    pub(crate) playoutdelay_ext: bool,
    /// Id under which the source sends abs-capture-time.
    pub(crate) abscapturetime_id: Option<u8>,
}

/// A stream, with what feeds it.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) spec: StreamSpec,
    /// What viewers get; `None` on demand, and of a stream that nothing carries.
    pub(crate) ingest: Option<IngestId>,
    /// Where its packets arrive; with simulcast those of substream 0.
    pub(crate) port: Option<PortId>,
    /// Where an RTSP client notes that something came for it.
    pub(crate) clock: Option<PortClock>,
}

impl Stream {
    /// One that nothing feeds yet.
    pub(crate) fn new(spec: StreamSpec) -> Self {
        Stream { spec, ingest: None, port: None, clock: None }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Mountpoint {
    pub(crate) id: Id,
    pub(crate) profile: Profile,
    pub(crate) rules: Rules,
    pub(crate) kind: Kind,
    pub(crate) streams: Vec<Stream>,
    /// The shard of its ports and ingests.
    pub(crate) shard: u8,
    /// All its ports.
    pub(crate) ports: Vec<Port>,
    /// What feeds it, if not ports.
    pub(crate) service: Option<ServiceId>,
    pub(crate) enabled: bool,
    /// Its server is lost, and looked for.
    pub(crate) is_lost: bool,
    pub(crate) viewers: BTreeSet<HandleKey>,
}

impl Mountpoint {
    /// Whether a body that gave this secret may see everything.
    pub(crate) fn is_open_to(&self, body: &Body<'_>) -> bool {
        let given = body.text("secret");
        let knows = |secret: &str| given.is_some_and(|given| is_same(given, secret));
        self.profile.secret.as_deref().is_none_or(knows)
    }
}
