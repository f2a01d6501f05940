//! What a plugin may ask of the datapath: plain deltas, applied between two packets.

use super::{
    Carries, ForwarderId, ForwarderSetup, IngestId, IngestSetup, PeerId, PortId, SinkId, SourceId,
};
use std::net::SocketAddr;

/// How a sink chooses among the layers of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Everything is forwarded.
    #[default]
    Whole,
    /// One simulcast substream at a time, optionally thinned in time.
    Simulcast,
    /// Spatial and temporal layers of one SVC stream.
    Svc,
}

/// The layers a sink would like. Values are 0..=2; 2 = best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerTarget {
    /// How layers are told apart.
    pub selection: Selection,
    /// Simulcast substream or SVC spatial layer.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// Silence of the current substream after which a lower one is taken, in microseconds;
    /// 0 means the default of 250 000.
    pub fallback_us: u32,
}

impl Default for LayerTarget {
    fn default() -> Self {
        LayerTarget { selection: Selection::Whole, spatial: 2, temporal: 2, fallback_us: 0 }
    }
}

/// When a changed source takes over a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwitchRule {
    /// With the next packet.
    #[default]
    Now,
    /// With the next keyframe (video); the old source flows until then.
    AtKeyframe,
}

/// What becomes of RTCP feedback that a sink's peer sends about the route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RtcpRule {
    /// The shard answers it: NACK from history, PLI and FIR merged towards the source.
    #[default]
    Terminate,
    /// As `Terminate`, and feedback that the core does not own itself (APP, other payload-specific
    /// messages) is passed to the source's peer with SSRCs mapped, REMB excepted.
    Relay,
}

/// Limits for the playout-delay extension, in units of 10 ms, at most 4095 each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// Lower limit.
    pub min: u16,
    /// Upper limit, not below `min`.
    pub max: u16,
}

/// One source to one sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Off: nothing flows; on again, sequence numbers continue without a gap.
    pub enabled: bool,
    /// Payload type on the sink's leg; `None` keeps the source's.
    pub payload_type: Option<u8>,
    /// Layer choice.
    pub layers: LayerTarget,
    /// When this source replaces the sink's former one.
    pub switch: SwitchRule,
    /// RTCP from the sink.
    pub rtcp: RtcpRule,
    /// Overrides the sender's playout delay.
    pub delay: Option<Delay>,
}

impl Default for Route {
    fn default() -> Self {
        Route {
            enabled: true,
            payload_type: None,
            layers: LayerTarget::default(),
            switch: SwitchRule::Now,
            rtcp: RtcpRule::Terminate,
            delay: None,
        }
    }
}

/// Standing wishes about a source. A policy replaces the former one whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourcePolicy {
    /// Stops the source for all sinks (mute, moderation); sequence numbers continue when lifted.
    pub muted: bool,
    /// REMB target for the source's peer in bit/s; 0 = none from us. While video flows: ramped
    /// over the first four packets (1/4, 1/3, 1/2, 1), then every 5 s (plugin-videoroom §8.4).
    pub remb_bps: u32,
    /// Ask for a keyframe when none was seen for so long, in seconds; 0 = off.
    pub keyframe_interval_s: u16,
    /// Talking detection: packets averaged over; 0 = off.
    pub level_packets: u16,
    /// Talking detection: mean level below which somebody talks, in -dBov (127 = silence).
    pub level_average: u8,
    /// Playout delay written into video of this source unless the sink has one of its own.
    pub delay: Option<Delay>,
}

/// A plugin's request to the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Gives the sink this source under these rules. A sink has one source at a time: another
    /// source is a switch, the same source again changes the rules.
    Route {
        /// Where packets come from.
        source: SourceId,
        /// Where they go.
        sink: SinkId,
        /// The rules.
        route: Route,
    },
    /// Takes the sink's source away. Its sequence space is kept for the next one.
    Unroute {
        /// The sink.
        sink: SinkId,
    },
    /// Standing wishes about a source.
    Policy {
        /// The source.
        source: SourceId,
        /// The wishes.
        policy: SourcePolicy,
    },
    /// Asks the source's sender for a keyframe (PLI, all layers; at most one a second, a request
    /// inside that second waits for its end).
    Keyframe {
        /// The source.
        source: SourceId,
    },
    /// Makes an ingest, or changes the one of that name.
    Ingest {
        /// Its name.
        ingest: IngestId,
        /// What it yields.
        setup: IngestSetup,
    },
    /// Has a port feed an ingest; both live on one shard. Up to 64 feeds a port, 8 an ingest.
    Feed {
        /// The port.
        port: PortId,
        /// The ingest.
        ingest: IngestId,
        /// What the port carries for it.
        carries: Carries,
    },
    /// Ends an ingest, with its feeds.
    EndIngest {
        /// Which.
        ingest: IngestId,
    },
    /// Makes a forwarder, or changes the one of that name. It gets its source by
    /// [`Plan::Route`], whose payload type and layer choice it follows.
    Forwarder {
        /// Its name.
        forwarder: ForwarderId,
        /// How RTP leaves.
        setup: ForwarderSetup,
    },
    /// Sends a hello from a port, so that its far side knows it: the header of an RTP packet, all
    /// zero but the version (plugin-videoroom §9.1).
    Greet {
        /// From which port.
        port: PortId,
        /// Whom.
        to: SocketAddr,
    },
    /// Ends a forwarder.
    EndForwarder {
        /// Which.
        forwarder: ForwarderId,
    },
    /// Sends one REMB to the peer now.
    Remb {
        /// Whom.
        peer: PeerId,
        /// How much, in bit/s.
        bps: u32,
    },
}
