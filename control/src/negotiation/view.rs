//! What an operator sees of a PeerConnection as control knows it; what only the shard knows is in
//! `PeerStatistics`.

use super::NegotiationSettings;
use super::connection::{Connection, Round};
use bifrons_core::api::RidOrder;
use bifrons_core::dtls::{Fingerprint, Role};
use bifrons_core::media::PeerId;
use bifrons_core::rtp::Ssrc;
use bifrons_core::sdp::{NegotiatedLine, Sdp};
use bifrons_core::srtp::SrtpProfile;
use std::time::Instant;

/// Candidates of the client that are kept to be shown.
pub(super) const MAX_SHOWN: usize = 64;

/// See the module.
#[derive(Clone, Debug)]
pub struct ConnectionView<'a> {
    /// Where it lives.
    pub peer: PeerId,
    /// When it was made.
    pub since: Instant,
    /// When its shard was told of it.
    pub opened: Option<Instant>,
    /// Whether keys are agreed.
    pub is_up: bool,
    /// Offer/answer rounds completed.
    pub rounds: u32,
    /// Whether an offer of the client waits for our answer.
    pub owes_answer: bool,
    /// Whether an offer of ours waits for the client's answer.
    pub awaits_answer: bool,
    /// Whether what is not answered yet restarts ICE.
    pub restarts: bool,
    /// Whether our agents are lite.
    pub ice_lite: bool,
    /// Whether our agent began as the controlling one.
    pub controlling: bool,
    /// Whether the client trickles.
    pub trickles: bool,
    /// Whether all candidates of the client are known.
    pub all_candidates: bool,
    /// Ours, the relay's among them, as attribute values.
    pub local_candidates: Vec<String>,
    /// The client's, at most 64.
    pub remote_candidates: &'a [String],
    /// Our DTLS role, once settled.
    pub role: Option<Role>,
    /// SHA-256 of our certificate in hex bytes with colons.
    pub fingerprint: &'a str,
    /// What the client's certificate must hash to.
    pub remote_fingerprint: Option<Fingerprint>,
    /// The SRTP profile, once agreed.
    pub profile: Option<SrtpProfile>,
    /// Whether media are encrypted end to end.
    pub e2ee: bool,
    /// In which order the client lists simulcast layers.
    pub rid_order: RidOrder,
    /// Our last description, without passwords.
    pub local_sdp: Option<String>,
    /// The client's last description, without passwords.
    pub remote_sdp: Option<String>,
    /// What was agreed, by m-line.
    pub lines: &'a [NegotiatedLine],
    /// Our SSRC and its rtx, by m-line.
    pub streams: Vec<(Ssrc, Ssrc)>,
    /// Our stream and track names, by m-line.
    pub msids: Vec<Option<(String, String)>>,
}

pub(super) fn of<'a>(
    connection: &'a Connection,
    settings: &'a NegotiationSettings,
    local_candidates: Vec<String>,
) -> ConnectionView<'a> {
    ConnectionView {
        peer: connection.peer,
        since: connection.since,
        opened: connection.opened,
        is_up: connection.is_up,
        rounds: connection.rounds,
        owes_answer: matches!(connection.round, Round::RemoteOffer(_)),
        awaits_answer: matches!(connection.round, Round::LocalOffer(_)),
        restarts: connection.restarts(),
        ice_lite: settings.ice_lite,
        controlling: connection.controlling,
        trickles: connection.trickles,
        all_candidates: connection.all_candidates,
        local_candidates,
        remote_candidates: &connection.shown,
        role: connection.role,
        fingerprint: &settings.fingerprint,
        remote_fingerprint: connection.fingerprint,
        profile: connection.profile,
        e2ee: connection.e2ee,
        rid_order: connection.rid_order,
        local_sdp: connection.local_sdp.as_deref().map(without_passwords),
        remote_sdp: connection.remote_sdp.as_deref().map(without_passwords),
        lines: &connection.lines,
        streams: connection.streams.iter().map(|ours| (ours.ssrc, ours.rtx)).collect(),
        msids: connection.local_sdp.as_deref().map(msids).unwrap_or_default(),
    }
}

fn msids(sdp: &str) -> Vec<Option<(String, String)>> {
    let Ok(sdp) = Sdp::parse(sdp) else { return Vec::new() };
    let named =
        |media: &bifrons_core::sdp::Media| media.msid().map(|msid| (msid.stream, msid.track));
    sdp.media.iter().map(named).collect()
}

/// A description without its `ice-pwd` values: whoever reads them can take the call over.
fn without_passwords(sdp: &str) -> String {
    let hide = |line: &str| match line.starts_with("a=ice-pwd:") {
        true => "a=ice-pwd:***\r\n".to_owned(),
        false => format!("{}\r\n", line.trim_end()),
    };
    sdp.lines().map(hide).collect()
}
