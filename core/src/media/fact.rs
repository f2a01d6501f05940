//! What a shard tells control and plugins. Facts are coalesced and rate-limited where they arise.

use super::{LineId, Mindex};
use crate::ice::SelectedPair;

/// Why a PeerConnection ended. [`DownReason::text`] is what clients see in `hangup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DownReason {
    /// The client asked (`hangup`).
    JanusApi,
    /// An operator asked.
    AdminApi,
    /// The plugin closed it.
    ClosePc,
    /// The handle was detached or its session destroyed; never delivered to the client.
    Detach,
    /// The peer closed, or its certificate did not match the fingerprint.
    DtlsAlert,
    /// No handshake within 20 s.
    DtlsTimeout,
    /// The handshake cannot go on.
    DtlsError,
    /// No working pair, or consent was lost for good.
    IceFailed,
    /// The shard that held it died.
    ShardFailed,
}

impl DownReason {
    /// The `reason` of the `hangup` event (core-api §5).
    pub fn text(self) -> &'static str {
        match self {
            DownReason::JanusApi => "Janus API",
            DownReason::AdminApi => "Admin API",
            DownReason::ClosePc => "Close PC",
            DownReason::Detach => "Detach",
            DownReason::DtlsAlert => "DTLS alert",
            DownReason::DtlsTimeout => "DTLS timeout",
            DownReason::DtlsError => "DTLS error",
            DownReason::IceFailed => "ICE failed",
            DownReason::ShardFailed => "Media shard failed",
        }
    }
}

/// Which layer a layer change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// Simulcast substream.
    Substream,
    /// Simulcast temporal layer.
    Temporal,
    /// SVC spatial layer.
    Spatial,
    /// SVC temporal layer.
    SvcTemporal,
}

/// Something a shard noticed about one peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fact {
    /// Media of a line (or one simulcast layer of it) began or ceased to arrive.
    Receiving {
        /// The line.
        mindex: Mindex,
        /// The substream, 0..=2; `None` where the line is not simulcast.
        substream: Option<u8>,
        /// Began or ceased.
        receiving: bool,
    },
    /// A sink's layer changed.
    Layer {
        /// The sink's line.
        mindex: Mindex,
        /// Which dimension.
        kind: LayerKind,
        /// The new layer; -1 = none known.
        layer: i8,
    },
    /// A source began or ceased to talk.
    Talking {
        /// The source's line.
        mindex: Mindex,
        /// Began or ceased.
        talking: bool,
        /// Mean level over the averaged packets, in -dBov.
        average_dbov: f32,
    },
    /// Losses of the last second reached the threshold.
    SlowLink {
        /// The line.
        mindex: Mindex,
        /// True: the peer loses what we send (Janus's `uplink`).
        uplink: bool,
        /// New losses.
        lost: u32,
    },
    /// The peer announced a bandwidth estimate.
    Remb {
        /// In bit/s.
        bps: u64,
    },
    /// ICE failed after having been connected; a restart may still rescue it.
    IceFailed,
    /// Media goes by this pair of addresses from now on; the first one begins the handshake.
    Path(SelectedPair),
    /// So many flights of the DTLS handshake had to be sent again by now. Told before the peer is
    /// up or down, and only when there are any.
    HandshakeRepeats(u32),
    /// A route's source was replaced by a switch that had waited for its keyframe.
    Switched {
        /// The sink.
        sink: LineId,
    },
}
