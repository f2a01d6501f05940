//! What an ingest yields, and the rules it goes by (plugin-streaming §4 and §6).
//!
//! Settings of one m-line of a mountpoint or remote publisher. They are plain data, given whole
//! with [`super::Plan::Ingest`] and given again to change them; what each costs is said with it.
//! Unless a rule is asked for, a packet is relayed as it came: its sequence numbers and timestamps
//! go on without a break at each viewer, whatever its sender does (a new SSRC is a switch of
//! source there).

use super::{DataKind, MediaKind};
use crate::codec::{Codec, ParameterSets};
use crate::rtp::{ExtensionIds, Ssrc};

/// What an ingest yields.
///
/// Payload types do not matter: those of the viewers' legs come with their routes. Whether anything
/// goes upstream (keyframe requests, REMB) depends on a port that feeds it with
/// [`Carries::Rtcp`]: without one nothing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestSetup {
    /// Its kind. Of data each datagram is one message, routed by [`super::DataPlan::Route`]; muted,
    /// as any source, by [`super::SourcePolicy::muted`].
    pub kind: MediaKind,
    /// Its codec, whatever payload type arrives; `None` for one that is passed on unread.
    pub codec: Option<Codec>,
    /// RTP clock in Hz.
    pub clock_hz: u32,
    /// Whether several simulcast substreams come.
    pub simulcast: bool,
    /// Ids under which header extensions arrive; others are left out. A mountpoint names
    /// abs-capture-time alone, if that (`abscapturetime_src_ext_id`).
    pub extensions: ExtensionIds,
    /// Off: what arrives is taken and not relayed. On again, sequence numbers show a gap as long as
    /// the pause (plugin-streaming §3, `disable`).
    pub enabled: bool,
    /// Packets of another SSRC are dropped until the former one was silent for so many ms; 0 = a
    /// new SSRC takes over at once. Of each substream alone. Costs a comparison a packet.
    pub collision_ms: u32,
    /// Whether a sender's clock that runs too fast or too slow is made up for: the drift is
    /// estimated over 10 s and acted on from 120 ms (plugin-streaming §6.1). Audio that comes too
    /// fast loses packets, audio that comes too slowly gets a gap; video gets other timestamps
    /// only. Costs 80 bytes a substream and some twenty instructions a packet.
    pub skew: bool,
    /// What is kept for viewers who come between two keyframes; of video without simulcast only.
    pub keyframe_buffer: KeyframeBuffer,
    /// Parameter sets to put before each IDR picture that has none with it (H.264 only). The added
    /// packet takes a sequence number. Costs a look at the first bytes of each payload.
    pub parameter_sets: Option<ParameterSets>,
    /// Whether the lowest REMB of its viewers is told to its sender, at most once a second
    /// (plugin-streaming §6.2). Else REMB ends with the viewer's handle.
    pub relay_remb: bool,
    /// Of data: what datagrams mean. Of no account otherwise.
    pub message: MessageRule,
}

impl IngestSetup {
    /// One that relays what comes, by no rule.
    #[must_use]
    pub const fn new(kind: MediaKind, codec: Option<Codec>, clock_hz: u32) -> Self {
        IngestSetup {
            kind,
            codec,
            clock_hz,
            simulcast: false,
            extensions: ExtensionIds::new(),
            enabled: true,
            collision_ms: 0,
            skew: false,
            keyframe_buffer: KeyframeBuffer { ms: 0, bytes: 0 },
            parameter_sets: None,
            relay_remb: false,
            message: MessageRule { kind: DataKind::Text, keep_last: false },
        }
    }
}

/// How the datagrams of a data ingest become messages.
///
/// At a port that carries a layer ([`Carries::Layer`]) each datagram is one message, as it is. At
/// one that tells sources apart by SSRC ([`Carries::Ssrcs`]) it follows a header of 12 bytes like
/// that of RTP, whose payload type says whether it is text (0) or binary (1) (plugin-videoroom
/// §9.2). Neither is ever SRTP. An empty datagram is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRule {
    /// What they are where no header says so.
    pub kind: DataKind,
    /// Whether the last message is kept, and given to each new sink as soon as that can take one:
    /// when its peer opens its first channel, or at once if that is open (`buffermsg` of
    /// plugin-streaming).
    pub keep_last: bool,
}

impl Default for MessageRule {
    fn default() -> Self {
        MessageRule { kind: DataKind::Text, keep_last: false }
    }
}

/// How much of a video is kept from each keyframe on, and given to a new viewer as soon as it is
/// up (plugin-streaming §6.3). Keeping ends where either limit is reached; the keyframe itself is
/// kept in any case. Both 0: nothing is kept.
///
/// Costs no copy: the packets lie in the source's ring, which is larger for it, 0.8 to 7 MiB. At
/// most [`KeyframeBuffer::MAX_PACKETS`] are kept, whatever the limits. A viewer gets them at the
/// pace of [`KeyframeBuffer::PACE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyframeBuffer {
    /// Time since the keyframe's first packet, in ms; 0 = no such limit.
    pub ms: u16,
    /// RTP bytes, headers included; 0 = no such limit.
    pub bytes: u32,
}

impl KeyframeBuffer {
    /// Packets that are kept at most.
    pub const MAX_PACKETS: usize = 3840;

    /// Packets a viewer gets in one go, and the time to the next ones in ms: 48 Mbit/s of full
    /// packets.
    pub const PACE: (usize, u64) = (20, 5);

    /// Whether anything is kept.
    #[must_use]
    pub const fn is_on(self) -> bool {
        self.ms > 0 || self.bytes > 0
    }
}

/// What a port carries for an ingest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// All RTP that arrives, as this substream (0..=2).
    Layer(u8),
    /// The RTP of three SSRCs in a row from this one: substreams 0, 1, 2 (plugin-videoroom §9.2).
    Ssrcs(Ssrc),
    /// RTCP, never encrypted. Where it last came from, be it by a packet that is no RTCP, is where
    /// keyframe requests and REMB go, each at most once a second; before, they wait. Sender reports
    /// give viewers the sender's own wall clock (plugin-streaming §6.2).
    Rtcp,
}
