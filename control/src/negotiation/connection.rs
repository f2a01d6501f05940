//! One handle's PeerConnection as control knows it.
//!
//! ```text
//!            offer of theirs              answer of ours
//!  Idle ────────────────────► RemoteOffer ──────────────► Idle, a round more
//!   │    offer of ours                    answer of theirs
//!   └───────────────────────► LocalOffer ───────────────► Idle, a round more
//! ```
//! An offer while another one is open replaces it. What the offer would change (credentials,
//! candidates) is kept with it and takes effect with the answer.

use super::view::MAX_SHOWN;
use bifrons_core::api::RidOrder;
use bifrons_core::dtls::{Fingerprint, Role};
use bifrons_core::ice::Credentials;
use bifrons_core::media::{MediaKind, Mindex, PeerId};
use bifrons_core::rtp::Ssrc;
use bifrons_core::sdp::{Negotiated, NegotiatedLine, Remote, RtxTable, Sdp};
use bifrons_core::srtp::SrtpProfile;
use std::time::Instant;

/// Our SSRCs on one line, random, and the same as long as the PeerConnection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OurStreams {
    pub(super) ssrc: Ssrc,
    pub(super) rtx: Ssrc,
}

/// Where the search for a relay of ours stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RelayState {
    /// Not asked for, or not to be had.
    None,
    /// Asked for: our candidates are not complete yet.
    Wanted,
    /// There: its candidate.
    Ready(String),
}

/// What of an offer/answer exchange is still missing.
#[derive(Clone, Debug)]
pub(super) enum Round {
    /// Nothing.
    Idle,
    /// Our answer.
    RemoteOffer(Box<RemoteOffer>),
    /// Their answer.
    LocalOffer(Box<LocalOffer>),
}

/// A client's offer that waits for the plugin's answer.
#[derive(Clone, Debug)]
pub(super) struct RemoteOffer {
    /// As it came.
    pub(super) sdp: Sdp,
    /// Its transport, checked.
    pub(super) transport: Remote,
    /// Whether all candidates are in it.
    pub(super) all_candidates: bool,
    /// Ours, if it restarts ICE.
    pub(super) restart: Option<Credentials>,
}

/// A plugin's offer that waits for the client's answer.
#[derive(Clone, Debug)]
pub(super) struct LocalOffer {
    /// As the client got it.
    pub(super) sdp: Sdp,
    /// Ours, if it restarts ICE.
    pub(super) restart: Option<Credentials>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: PeerId,
    /// Our credentials in force.
    pub(super) local: Credentials,
    /// The client's in force.
    pub(super) remote: Option<Credentials>,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) role: Option<Role>,
    pub(super) round: Round,
    /// Rounds completed.
    pub(super) rounds: u32,
    /// Whether the shard was told to open it.
    pub(super) is_open: bool,
    /// Whether keys are agreed.
    pub(super) is_up: bool,
    pub(super) profile: Option<SrtpProfile>,
    /// Nothing but a relay is offered and used.
    pub(super) relay_only: bool,
    pub(super) relay: RelayState,
    pub(super) e2ee: bool,
    pub(super) rid_order: RidOrder,
    /// All candidates of the client are known.
    pub(super) all_candidates: bool,
    /// Whether the client trickles.
    pub(super) trickles: bool,
    /// Whether our agent began as the controlling one.
    pub(super) controlling: bool,
    /// The client's candidates, for operators; at most [`MAX_SHOWN`].
    pub(super) shown: Vec<String>,
    /// When it was made.
    pub(super) since: Instant,
    /// When its shard was told of it.
    pub(super) opened: Option<Instant>,
    /// By m-line index.
    pub(super) streams: Vec<OurStreams>,
    pub(super) rtx: RtxTable,
    /// What was agreed in the last complete round.
    pub(super) lines: Vec<NegotiatedLine>,
    /// `o=` of our descriptions.
    pub(super) session_id: u64,
    pub(super) version: u64,
    pub(super) local_sdp: Option<String>,
    pub(super) remote_sdp: Option<String>,
    /// Bytes of messages on their way to the client's data channels.
    pub(super) data_under_way: usize,
    /// A message was refused since there was last room.
    pub(super) data_refused: bool,
}

impl Connection {
    pub(super) fn new(peer: PeerId, local: Credentials, session_id: u64, now: Instant) -> Self {
        Connection {
            peer,
            local,
            remote: None,
            fingerprint: None,
            role: None,
            round: Round::Idle,
            rounds: 0,
            is_open: false,
            is_up: false,
            profile: None,
            relay_only: false,
            relay: RelayState::None,
            e2ee: false,
            rid_order: RidOrder::default(),
            all_candidates: false,
            trickles: false,
            controlling: false,
            shown: Vec::new(),
            since: now,
            opened: None,
            streams: Vec::new(),
            rtx: RtxTable::new(),
            lines: Vec::new(),
            session_id,
            version: 0,
            local_sdp: None,
            remote_sdp: None,
            data_under_way: 0,
            data_refused: false,
        }
    }

    /// Whether an offer is an update rather than a beginning.
    pub(super) fn is_established(&self) -> bool {
        self.rounds > 0
    }

    /// Whether candidates can be used: a round is complete, and none that restarts ICE is open
    /// (its candidates belong to credentials that are not in force yet).
    pub(super) fn accepts_candidates(&self) -> bool {
        self.is_established() && !self.restarts()
    }

    /// Whether the round that is open restarts ICE.
    pub(super) fn restarts(&self) -> bool {
        match &self.round {
            Round::Idle => false,
            Round::RemoteOffer(offer) => offer.restart.is_some(),
            Round::LocalOffer(offer) => offer.restart.is_some(),
        }
    }

    /// The mid of the first line, agreed or just offered.
    pub(super) fn first_mid(&self) -> Option<&str> {
        self.lines.first().map(|line| line.mid.as_str())
    }

    /// Where our trickled candidates belong: the mid of the first line of what is being agreed.
    pub(super) fn trickle_mid(&self) -> String {
        let mid = match &self.round {
            Round::LocalOffer(offer) => offer.sdp.media.first().map(|media| media.mid_or_index(0)),
            _ => self.first_mid().map(str::to_owned),
        };
        mid.unwrap_or_else(|| "0".to_owned())
    }

    /// Whether a candidate of ours is still to come.
    pub(super) fn awaits_relay(&self) -> bool {
        self.relay == RelayState::Wanted
    }

    pub(super) fn line(&self, mindex: Mindex) -> Option<(&str, MediaKind)> {
        use bifrons_core::sdp::Kind;
        let line = self.lines.get(usize::from(mindex)).filter(|line| line.accepted)?;
        let kind = match line.kind {
            Kind::Audio => MediaKind::Audio,
            Kind::Video => MediaKind::Video,
            Kind::Application => MediaKind::Data,
            Kind::Other => return None,
        };
        Some((line.mid.as_str(), kind))
    }

    /// Remembers a candidate of the client for operators, without its prefix.
    pub(super) fn show(&mut self, candidate: &str) {
        let candidate = candidate.trim();
        let candidate = candidate.strip_prefix("candidate:").unwrap_or(candidate);
        if self.shown.len() < MAX_SHOWN && !self.shown.iter().any(|known| known == candidate) {
            self.shown.push(candidate.to_owned());
        }
    }

    /// Takes over what a complete round agreed on, and tells it in the words of the plan.
    pub(super) fn agree(&mut self, agreed: Negotiated) -> Vec<bifrons_core::media::Line> {
        let lines = agreed.lines.iter().zip(&self.streams);
        let lines = lines.filter_map(|(line, ours)| line.to_line(ours.ssrc, ours.rtx)).collect();
        for line in &agreed.lines {
            self.rtx.learn(&line.rtx);
        }
        self.remote = Some(agreed.remote.credentials);
        self.fingerprint = agreed.remote.fingerprint.or(self.fingerprint);
        self.lines = agreed.lines;
        self.round = Round::Idle;
        self.rounds += 1;
        lines
    }
}
