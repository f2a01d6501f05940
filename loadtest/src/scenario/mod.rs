//! What a run does: peers, media and the window that is measured.

mod api;
mod churn;
mod data;
mod echo;
mod impair;
mod ladder;
mod media;
mod streaming;
mod videoroom;
mod window;

pub use api::{Api, ApiReport};
pub use churn::{Churn, ChurnReport, Held};
pub use data::{Data, DataReport};
pub use echo::Echo;
pub use impair::{Impair, ImpairReport};
pub use ladder::{Ladder, LadderReport, Rung};
pub use media::{FULL, Media, Target};
pub use streaming::Streaming;
pub use videoroom::VideoRoom;

use crate::janus::JanusError;
use crate::peer::{ClipError, PeerError};

/// Why a scenario could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Signalling.
    #[error("signalling: {0}")]
    Janus(#[from] JanusError),
    /// A peer.
    #[error("peer: {0}")]
    Peer(#[from] PeerError),
    /// A file: the accounts of the server's process, or a report.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// A file of media that cannot be played.
    #[error("{0}")]
    Clip(#[from] ClipError),
    /// An answer without the SDP it needs.
    #[error("the server sent no SDP with {0}")]
    NoSdp(&'static str),
    /// A mountpoint without the port that was asked for.
    #[error("the server named no port for {0}")]
    NoPort(&'static str),
}
