//! The peer's side of the transport, and the checks that refuse an SDP (`core-api` §4.1).

use super::attribute::{Msid, Setup};
use super::error::SdpError;
use super::line::Line;
use super::model::{Media, Sdp};
use crate::dtls::Fingerprint;
use crate::ice::Credentials;
use crate::rtp::MAX_SDES_ITEM;

/// What the peer says about ICE and DTLS, read from its first m-line and the session level;
/// everything else is bundled with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// ICE user fragment and password.
    pub credentials: Credentials,
    /// Fingerprint of its certificate; `None` only where encryption is switched off.
    pub fingerprint: Option<Fingerprint>,
    /// Its DTLS role, [`Setup::Actpass`] if missing or unknown.
    pub setup: Setup,
    /// Candidates as `candidate:...`, in order.
    pub candidates: Vec<String>,
    /// Whether `a=end-of-candidates` is there.
    pub end_of_candidates: bool,
    /// Whether it is ICE-lite.
    pub ice_lite: bool,
    /// Whether it announces trickled candidates.
    pub trickle: bool,
}

impl Remote {
    /// Reads the transport of a peer's offer or answer and checks what must be right for the SDP
    /// to be used at all. `encrypted` is false only under `no_webrtc_encryption`.
    ///
    /// # Errors
    /// [`SdpError::Mid`] for a `mid` without value or above 16 bytes; [`SdpError::Setup`] for a
    /// `setup` without value in a first negotiation; [`SdpError::Processing`] for missing or
    /// unusable ICE credentials, a missing fingerprint or one of another hash, and an `msid` of one token.
    pub fn read(sdp: &Sdp, renegotiation: bool, encrypted: bool) -> Result<Self, SdpError> {
        check_lines(sdp, renegotiation)?;
        let media = transport_line(sdp).ok_or(SdpError::MissingMandatory)?;
        let required =
            |name, why| sdp.transport_value(media, name).ok_or(SdpError::Processing(why));
        let ice_ufrag = required("ice-ufrag", "no ice-ufrag for the first m-line")?;
        let ice_pwd = required("ice-pwd", "no ice-pwd for the first m-line")?;
        let credentials = Credentials::remote(ice_ufrag, ice_pwd)
            .map_err(|_| SdpError::Processing("unusable ICE credentials"))?;
        let fingerprint = sdp.fingerprint(media);
        if encrypted && fingerprint.is_none() {
            return Err(SdpError::Processing("no sha-256 or sha-1 fingerprint"));
        }
        let setup = sdp.transport_value(media, "setup").map(Setup::from_token);
        Ok(Self {
            credentials,
            fingerprint,
            setup: setup.unwrap_or_default(),
            candidates: media.candidates().map(str::to_owned).collect(),
            end_of_candidates: media.has("end-of-candidates")
                || sdp.value("end-of-candidates").is_some(),
            ice_lite: sdp.ice_lite(),
            trickle: sdp.trickles(media),
        })
    }
}

/// The line whose transport counts: the first, unless it is switched off without credentials of
/// its own (a browser's stopped transceiver); then the first that is not switched off.
fn transport_line(sdp: &Sdp) -> Option<&Media> {
    let usable = |(i, media): &(usize, &Media)| !super::is_disabled(*i, media);
    let usable = sdp.media.iter().enumerate().find(usable).map(|(_, media)| media);
    usable.or(sdp.media.first())
}

fn check_lines(sdp: &Sdp, renegotiation: bool) -> Result<(), SdpError> {
    let lines = || sdp.media.iter().flat_map(Media::lines);
    let values = |name: &'static str| {
        let all = sdp.session.iter().chain(lines()).filter_map(Line::attr);
        all.filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    if values("mid").any(|mid| mid.is_empty() || mid.len() > MAX_SDES_ITEM) {
        return Err(SdpError::Mid);
    }
    if !renegotiation && values("setup").any(str::is_empty) {
        return Err(SdpError::Setup);
    }
    if values("msid").any(|msid| Msid::read(msid).is_none()) {
        return Err(SdpError::Processing("msid without two tokens"));
    }
    Ok(())
}
