//! Offers and answers of a peer, and what came out of them.

use std::time::Instant;

use str0m::change::{SdpAnswer, SdpApi, SdpOffer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, Mid, Pt, Simulcast, SimulcastLayer};
use str0m::{Candidate, Rtc};

use super::{Engine, Line, PeerConfig, PeerError};

/// An [`Rtc`] with the codecs of `config`, in RTP mode.
pub(super) fn build(config: &PeerConfig, now: Instant) -> Rtc {
    let mut builder =
        Rtc::builder().set_rtp_mode(true).enable_raw_packets(config.keep_rtcp > 0).clear_codecs();
    for codec in &config.codecs {
        builder = match codec {
            Codec::Opus => builder.enable_opus(true, false),
            Codec::PCMU => builder.enable_pcmu(true, false),
            Codec::PCMA => builder.enable_pcma(true, false),
            Codec::G722 => builder.enable_g722(true, false),
            Codec::Vp8 => builder.enable_vp8(true),
            Codec::Vp9 => builder.enable_vp9(true),
            Codec::H264 => builder.enable_h264(true),
            Codec::H265 => builder.enable_h265(true),
            Codec::Av1 => builder.enable_av1(true),
            _ => builder,
        };
    }
    if let Some(provider) = config.srtp.provider() {
        builder = builder.set_crypto_provider(provider);
    }
    builder.build(now)
}

/// The payload type to send on `mid`: the far end's first choice among media codecs.
pub(super) fn payload_type(rtc: &Rtc, mid: Mid) -> Option<Pt> {
    let known = rtc.codec_config().params();
    let chosen = rtc.media(mid)?.remote_pts().iter().copied();
    let mut media = chosen.filter(|pt| known.iter().any(|params| params.pt() == *pt));
    media.next()
}

fn unreadable(error: impl std::fmt::Display) -> PeerError {
    PeerError::Unreadable(error.to_string())
}

impl Engine {
    /// Offers the m-lines so far and the new `lines`; returns the mids of the new lines and the
    /// SDP. An offer still unanswered is forgotten.
    ///
    /// # Errors
    /// [`PeerError::State`] when there is nothing to offer.
    pub fn offer(&mut self, lines: &[Line]) -> Result<(Vec<String>, String), PeerError> {
        let mut changes = self.rtc.sdp_api();
        let mids = lines
            .iter()
            .map(|line| {
                let simulcast = (!line.rids.is_empty()).then(|| layers(&line.rids));
                let mid = changes.add_media(line.kind, line.direction, None, None, simulcast);
                mid.to_string()
            })
            .collect();
        Ok((mids, finish(changes, &mut self.pending)?))
    }

    /// Offers a data channel beside what there is (RFC 8832), labelled `label`.
    ///
    /// # Errors
    /// [`PeerError::State`] when no negotiation is needed for it.
    pub fn offer_channel(&mut self, label: &str) -> Result<String, PeerError> {
        let mut changes = self.rtc.sdp_api();
        changes.add_channel(label.to_owned());
        finish(changes, &mut self.pending)
    }

    /// Offers `mid` with another direction.
    ///
    /// # Errors
    /// [`PeerError::State`] when that changes nothing.
    pub fn offer_direction(&mut self, mid: &str, to: Direction) -> Result<String, PeerError> {
        let mut changes = self.rtc.sdp_api();
        changes.set_direction(Mid::from(mid), to);
        finish(changes, &mut self.pending)
    }

    /// Offers an ICE restart on the same socket.
    ///
    /// # Errors
    /// [`PeerError::State`] when there is nothing to offer.
    pub fn offer_restart(&mut self) -> Result<String, PeerError> {
        let mut changes = self.rtc.sdp_api();
        changes.ice_restart(true);
        finish(changes, &mut self.pending)
    }

    /// Applies the answer to the last offer.
    ///
    /// # Errors
    /// [`PeerError::Unreadable`], [`PeerError::State`] without an offer, [`PeerError::Webrtc`].
    pub fn accept_answer(&mut self, sdp: &str) -> Result<(), PeerError> {
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(unreadable)?;
        let pending = self.pending.take().ok_or(PeerError::State("no offer to answer"))?;
        Ok(self.rtc.sdp_api().accept_answer(pending, answer)?)
    }

    /// Applies an offer of the far end and returns the answer.
    ///
    /// # Errors
    /// [`PeerError::Unreadable`], [`PeerError::Webrtc`].
    pub fn accept_offer(&mut self, sdp: &str) -> Result<String, PeerError> {
        let offer = SdpOffer::from_sdp_string(sdp).map_err(unreadable)?;
        self.pending = None;
        Ok(self.rtc.sdp_api().accept_offer(offer)?.to_sdp_string())
    }

    /// Adds a candidate the far end trickled, with or without `candidate:` in front.
    ///
    /// # Errors
    /// [`PeerError::Unreadable`].
    pub fn add_candidate(&mut self, line: &str) -> Result<(), PeerError> {
        let bare = line.strip_prefix("a=").unwrap_or(line);
        let whole = match bare.strip_prefix("candidate:") {
            Some(_) => bare.to_owned(),
            None => format!("candidate:{bare}"),
        };
        let candidate = Candidate::from_sdp_string(&whole).map_err(unreadable)?;
        self.rtc.add_remote_candidate(candidate);
        Ok(())
    }
}

fn finish(changes: SdpApi<'_>, slot: &mut Option<SdpPendingOffer>) -> Result<String, PeerError> {
    let (offer, pending) = changes.apply().ok_or(PeerError::State("nothing to offer"))?;
    *slot = Some(pending);
    Ok(offer.to_sdp_string())
}

fn layers(rids: &[String]) -> Simulcast {
    let mut simulcast = Simulcast::new();
    rids.iter().for_each(|rid| simulcast.add_send_layer(SimulcastLayer::new(rid)));
    simulcast
}
