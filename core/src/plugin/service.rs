//! Services: helpers beside the house that feed ingests with RTP from elsewhere than a UDP port.
//!
//! A service is named when it is asked for and starts paused. What it finds comes as events:
//!
//! ```text
//! start_service ─► Described ─► Resume ─► media flow ─► Disconnected ─► Reconnected ─► media flow
//!       │                       ▲    └─ Pause ◄──┘          (RTSP)       (Described before, where
//!       └─► Failed              └───────────────┘                         the media have changed)
//! ```
//!
//! `Described` comes once the file is open or the server has said what it has, so that a plugin can
//! set the ingest up before the first packet. `Failed` is the last event: the service is gone then.
//! After [`Host::stop_service`](super::Host::stop_service) no event comes. Packets go from the
//! helper to the shard of the ingest and never see control; those for an ingest that does not exist
//! are dropped and counted there.

use crate::codec::Codec;
use crate::media::{IngestId, MediaKind, PortClock};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A running service. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u64);

/// What is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Plays an audio file, over and over.
    Player(PlayerSetup),
    /// Pulls media from an RTSP server (RFC 2326).
    Rtsp(Box<RtspSetup>),
}

/// A file to be played: one packet each 20 ms, from the start again at its end, until stopped
/// (plugin-streaming §6.7). Paused, it stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayerSetup {
    /// The file, as the process would open it.
    pub path: PathBuf,
    /// What is in it.
    pub format: PlayerFormat,
    /// What it feeds, as substream 0.
    pub ingest: IngestId,
}

/// What an audio file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlayerFormat {
    /// Opus in an Ogg file (RFC 7845), in packets of 20 ms: payload type 111, time stamp +960.
    OggOpus,
    /// Raw G.711 A-law, 8 kHz, mono: payload type 8, 160 bytes a packet, time stamp +160.
    Alaw,
    /// Raw G.711 µ-law, 8 kHz, mono: payload type 0, 160 bytes a packet, time stamp +160.
    Mulaw,
}

impl PlayerFormat {
    /// What a file's name says: `.opus`, `.alaw`, `.mulaw`; `None` for any other.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "opus" => Some(PlayerFormat::OggOpus),
            "alaw" => Some(PlayerFormat::Alaw),
            "mulaw" => Some(PlayerFormat::Mulaw),
            _ => None,
        }
    }
}

/// An RTSP server to pull from (plugin-streaming §4, type rtsp).
#[derive(Clone, PartialEq, Eq)]
pub struct RtspSetup {
    /// `rtsp://host[:port]/path`. User and password go below, not into it.
    pub url: String,
    /// User and password, for Basic or Digest, whichever the server asks for.
    pub credentials: Option<(String, String)>,
    /// Where its audio goes; `None` = not wanted. One that is wanted and not there is left out.
    pub audio: Option<IngestId>,
    /// Where its video goes; likewise.
    pub video: Option<IngestId>,
    /// Where the client notes that audio, or video, has come (`age_ms`).
    pub clocks: [Option<PortClock>; 2],
    /// How media travel.
    pub transport: RtspTransport,
    /// Ask by path alone where the server answers 404 (`rtsp_quirk`). The client that we use cannot;
    /// the log says so.
    pub path_only: bool,
    /// Whether a first try that fails ends the service with [`ServiceEvent::Failed`]
    /// (`rtsp_failcheck`); else it tries on, each `reconnect_delay`.
    pub must_connect: bool,
    /// Silence after which the connection counts as lost, and time between two tries.
    pub reconnect_delay: Duration,
    /// Longest time between two keep-alives; zero = half of what the server says, at most 30 s. The
    /// client that we use knows no other; the log says so where less is asked for.
    pub session_timeout: Duration,
    /// Longest time from a request to its answer.
    pub timeout: Duration,
    /// Longest time to connect.
    pub connect_timeout: Duration,
}

impl RtspSetup {
    /// Audio and video of a URL with the defaults of plugin-streaming §4.
    #[must_use]
    pub fn new(url: impl Into<String>, audio: Option<IngestId>, video: Option<IngestId>) -> Self {
        RtspSetup {
            url: url.into(),
            credentials: None,
            audio,
            video,
            clocks: [None, None],
            transport: RtspTransport::default(),
            path_only: false,
            must_connect: true,
            reconnect_delay: Duration::from_secs(5),
            session_timeout: Duration::ZERO,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for RtspSetup {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.credentials.as_ref().map(|(user, _)| user);
        f.debug_struct("RtspSetup").field("url", &self.url).field("user", &user).finish()
    }
}

/// How an RTSP server is to send media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RtspTransport {
    /// Over UDP, and where the server refuses that (461), inside the connection.
    #[default]
    Any,
    /// Over UDP: a pair of ports a medium, the even one for RTP.
    Udp,
    /// Inside the connection (RFC 2326 §10.12).
    Tcp,
}

/// What a running service is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceCommand {
    /// Let media flow. May be told before [`ServiceEvent::Described`], too.
    Resume,
    /// No media until the next `Resume`: a file stands still, an RTSP server's packets are dropped.
    Pause,
}

/// What a service tells its plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceEvent {
    /// What it will feed, 1..=2 media; for a player one. Comes first, and again, before
    /// `Reconnected`, when an RTSP server has something else than before.
    Described {
        /// In the order of the server's description.
        media: Vec<ServiceMedium>,
    },
    /// It cannot be, or cannot go on; nothing follows.
    Failed {
        /// Why, for people: at most 512 bytes, without passwords.
        text: String,
    },
    /// The RTSP server is lost, or silent for too long; it is tried again.
    Disconnected,
    /// It plays again.
    Reconnected,
}

/// One medium of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceMedium {
    /// Audio or video.
    pub kind: MediaKind,
    /// What it feeds.
    pub ingest: IngestId,
    /// The codec, where it is one that we know.
    pub codec: Option<Codec>,
    /// The codec as an `rtpmap` attribute has it (RFC 8866 §6.6), such as `opus/48000/2`.
    pub rtpmap: String,
    /// The payload type its packets come with.
    pub pt: u8,
    /// RTP clock in Hz; not 0.
    pub clock_hz: u32,
    /// Format parameters as the server gave them, such as H.264's `sprop-parameter-sets`; at most
    /// 4096 bytes.
    pub fmtp: Option<String>,
}
