//! Sealing and opening one packet.

use super::transform::{Cm, GCM_TAG, Gcm, Transform};
use super::{
    MAX_RTCP_INDEX, MAX_RTCP_OVERHEAD, MAX_RTP_INDEX, MasterKey, ReplayWindow, RtpIndex,
    SessionKeys, SrtpError, SrtpProfile,
};
use crate::rtp::{FIXED_HEADER, Layout, MAX_PACKET, Packet};
use std::fmt;

/// The part of an RTCP packet that stays readable: first header and sender's SSRC.
const RTCP_CLEAR: usize = 8;
/// The bit beside an SRTCP index that says the packet is encrypted (RFC 3711 §3.4).
const E_FLAG: u32 = 1 << 31;
/// Length of the word of flag and index.
const INDEX_WORD: usize = 4;

/// Both transforms of one direction.
#[derive(Clone)]
struct Transforms {
    profile: SrtpProfile,
    rtp: Transform,
    rtcp: Transform,
}

impl Transforms {
    fn new(keys: &SessionKeys) -> Result<Self, SrtpError> {
        let profile = keys.rtp.profile();
        Ok(Self {
            profile,
            rtp: Transform::new(&keys.rtp, profile.rtp_tag_len())?,
            rtcp: Transform::new(&keys.rtcp, profile.rtcp_overhead().saturating_sub(INDEX_WORD))?,
        })
    }
}

/// The key of the direction we send in.
#[derive(Clone)]
pub struct SealKey(Transforms);

/// The key of the direction we receive in.
#[derive(Clone)]
pub struct OpenKey(Transforms);

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({:?}, secret)", self.0.profile)
    }
}

impl fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenKey({:?}, secret)", self.0.profile)
    }
}

/// A packet that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Length of the plain packet now at the front of the slice.
    pub len: usize,
    /// Its index: 48 bits for RTP, 31 bits for RTCP.
    pub index: u64,
}

impl SealKey {
    /// Derives the session keys and sets the ciphers up.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`], which a checked [`MasterKey`] never gives.
    pub fn new(master: &MasterKey) -> Result<Self, SrtpError> {
        Self::from_session_keys(&master.session_keys())
    }

    /// Sets the ciphers up from session keys.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`].
    pub fn from_session_keys(keys: &SessionKeys) -> Result<Self, SrtpError> {
        Transforms::new(keys).map(Self)
    }

    /// The profile it seals with.
    #[must_use]
    pub const fn profile(&self) -> SrtpProfile {
        self.0.profile
    }

    /// Seals an RTP packet whose complete header of `header_len` bytes stands at the front of
    /// `out` and whose plain payload lies elsewhere. Returns the length of the protected packet.
    /// `index` is rollover counter and sequence number, 48 bits.
    ///
    /// # Errors
    /// [`SrtpError::NoRoom`], [`SrtpError::IndexExhausted`], [`SrtpError::IndexMismatch`].
    pub fn seal_rtp(
        &self,
        index: u64,
        out: &mut [u8],
        header_len: usize,
        payload: &[u8],
    ) -> Result<usize, SrtpError> {
        let ssrc = sealable(index, out, header_len)?;
        let len = header_len + payload.len();
        let body = out.get_mut(header_len..len).ok_or(SrtpError::NoRoom)?;
        match &self.0.rtp {
            Transform::Gcm(gcm) => {
                body.copy_from_slice(payload);
                seal_gcm_rtp(gcm, ssrc, index, out, header_len, len)
            }
            Transform::Cm(cm) => {
                cm.apply_into(ssrc, index, payload, body)?;
                append_cm_tag(cm, index, out, len)
            }
            Transform::Plain => {
                body.copy_from_slice(payload);
                Ok(len)
            }
        }
    }

    /// Seals the plain RTP packet `buf[..len]`, header of `header_len` bytes, in place. Returns the
    /// length of the protected packet.
    ///
    /// # Errors
    /// As [`SealKey::seal_rtp`].
    pub fn seal_rtp_in_place(
        &self,
        index: u64,
        buf: &mut [u8],
        header_len: usize,
        len: usize,
    ) -> Result<usize, SrtpError> {
        let ssrc = sealable(index, buf, header_len)?;
        match &self.0.rtp {
            Transform::Gcm(gcm) => seal_gcm_rtp(gcm, ssrc, index, buf, header_len, len),
            Transform::Cm(cm) => {
                let body = buf.get_mut(header_len..len).ok_or(SrtpError::NoRoom)?;
                cm.apply(ssrc, index, body)?;
                append_cm_tag(cm, index, buf, len)
            }
            Transform::Plain => Ok(len),
        }
    }

    /// Seals the plain compound packet `buf[..len]` in place, encrypted, with the caller's running
    /// 31-bit `index`. Returns the length of the protected packet.
    ///
    /// # Errors
    /// [`SrtpError::TooShort`] below one RTCP header, [`SrtpError::NoRoom`],
    /// [`SrtpError::IndexExhausted`].
    pub fn seal_rtcp(&self, index: u32, buf: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        if index > MAX_RTCP_INDEX {
            return Err(SrtpError::IndexExhausted);
        }
        let ssrc = rtcp_ssrc(buf.get(..len).ok_or(SrtpError::NoRoom)?)?;
        let total = len + self.0.profile.rtcp_overhead();
        let packet = buf.get_mut(..total).ok_or(SrtpError::NoRoom)?;
        let word = (E_FLAG | index).to_be_bytes();
        let (text, trailer) = packet.split_at_mut(len);
        let (clear, body) = text.split_at_mut(RTCP_CLEAR);
        match &self.0.rtcp {
            Transform::Gcm(gcm) => {
                let tag = gcm.seal(ssrc, u64::from(index), &rtcp_aad(clear, word), body)?;
                trailer[..GCM_TAG].copy_from_slice(tag.as_ref());
                trailer[GCM_TAG..].copy_from_slice(&word);
            }
            Transform::Cm(cm) => {
                cm.apply(ssrc, u64::from(index), body)?;
                let tag = cm.tag(text, &word);
                trailer[..INDEX_WORD].copy_from_slice(&word);
                trailer[INDEX_WORD..].copy_from_slice(&tag[..cm.tag_len()]);
            }
            Transform::Plain => {}
        }
        Ok(total)
    }
}

/// Checks what must hold before an RTP packet is sealed; returns its SSRC.
fn sealable(index: u64, packet: &[u8], header_len: usize) -> Result<u32, SrtpError> {
    let fixed = packet.first_chunk::<FIXED_HEADER>().ok_or(SrtpError::NoRoom)?;
    if header_len < FIXED_HEADER {
        return Err(SrtpError::TooShort);
    }
    if index > MAX_RTP_INDEX {
        return Err(SrtpError::IndexExhausted);
    }
    if index as u16 != u16::from_be_bytes([fixed[2], fixed[3]]) {
        return Err(SrtpError::IndexMismatch);
    }
    Ok(u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]))
}

fn seal_gcm_rtp(
    gcm: &Gcm,
    ssrc: u32,
    index: u64,
    buf: &mut [u8],
    header_len: usize,
    len: usize,
) -> Result<usize, SrtpError> {
    let total = len + GCM_TAG;
    let (text, tag_out) =
        buf.get_mut(..total).and_then(|b| b.split_at_mut_checked(len)).ok_or(SrtpError::NoRoom)?;
    let (header, body) = text.split_at_mut_checked(header_len).ok_or(SrtpError::NoRoom)?;
    let tag = gcm.seal(ssrc, index, header, body)?;
    tag_out.copy_from_slice(tag.as_ref());
    Ok(total)
}

/// Appends the tag over packet and rollover counter (RFC 3711 §4.2).
fn append_cm_tag(cm: &Cm, index: u64, buf: &mut [u8], len: usize) -> Result<usize, SrtpError> {
    let total = len + cm.tag_len();
    let (text, tag_out) =
        buf.get_mut(..total).and_then(|b| b.split_at_mut_checked(len)).ok_or(SrtpError::NoRoom)?;
    let tag = cm.tag(text, &rollover(index));
    tag_out.copy_from_slice(&tag[..cm.tag_len()]);
    Ok(total)
}

const fn rollover(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

/// Associated data of an encrypted SRTCP packet: clear header and index word (RFC 7714 §9.2).
fn rtcp_aad(clear: &[u8], word: [u8; INDEX_WORD]) -> [u8; RTCP_CLEAR + INDEX_WORD] {
    let mut aad = [0; RTCP_CLEAR + INDEX_WORD];
    aad[..RTCP_CLEAR].copy_from_slice(clear);
    aad[RTCP_CLEAR..].copy_from_slice(&word);
    aad
}

fn rtcp_ssrc(packet: &[u8]) -> Result<u32, SrtpError> {
    let head = packet.first_chunk::<RTCP_CLEAR>().ok_or(SrtpError::TooShort)?;
    if head[0] >> 6 != 2 || packet.len() > MAX_PACKET {
        return Err(SrtpError::NotRtcp);
    }
    Ok(u32::from_be_bytes([head[4], head[5], head[6], head[7]]))
}

impl OpenKey {
    /// Derives the session keys and sets the ciphers up.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`], which a checked [`MasterKey`] never gives.
    pub fn new(master: &MasterKey) -> Result<Self, SrtpError> {
        Self::from_session_keys(&master.session_keys())
    }

    /// Sets the ciphers up from session keys.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`].
    pub fn from_session_keys(keys: &SessionKeys) -> Result<Self, SrtpError> {
        Transforms::new(keys).map(Self)
    }

    /// The profile it opens.
    #[must_use]
    pub const fn profile(&self) -> SrtpProfile {
        self.0.profile
    }

    /// Opens the protected RTP packet in place. `state` is that of the packet's SSRC and changes
    /// only when the packet is genuine and new; with GCM the payload of a packet that is not is
    /// lost.
    ///
    /// # Errors
    /// Every [`SrtpError`] of receiving; the packet is to be dropped and counted.
    pub fn open_rtp(&self, packet: &mut [u8], state: &mut RtpIndex) -> Result<Opened, SrtpError> {
        let view = Packet::parse_header(packet)?;
        let (seq, ssrc, layout) = (view.seq(), view.ssrc().0, view.layout());
        let index = state.estimate(seq)?;
        state.check(index)?;
        let len = self.open_rtp_at(packet, layout, ssrc, index)?;
        state.accept(index);
        Ok(Opened { len, index })
    }

    fn open_rtp_at(
        &self,
        packet: &mut [u8],
        layout: Layout,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let len = packet
            .len()
            .checked_sub(self.0.profile.rtp_tag_len())
            .filter(|&len| len >= layout.header_len())
            .ok_or(SrtpError::TooShort)?;
        let (text, tag) = packet.split_at_mut(len);
        match &self.0.rtp {
            Transform::Gcm(gcm) => {
                let tag = tag.first_chunk().ok_or(SrtpError::TooShort)?;
                let (header, body) = text.split_at_mut(layout.header_len());
                gcm.open(ssrc, index, header, body, tag)?;
            }
            Transform::Cm(cm) => {
                cm.verify(text, &rollover(index), tag)?;
                let body = text.get_mut(layout.header_len()..).unwrap_or_default();
                cm.apply(ssrc, index, body)?;
            }
            Transform::Plain => {}
        }
        Ok(len)
    }

    /// Opens the protected RTCP packet in place; one that is authenticated but not encrypted (E
    /// flag clear) is taken too. `state` is that of the sender's SSRC (RFC 3711 §3.4).
    ///
    /// # Errors
    /// Every [`SrtpError`] of receiving; the packet is to be dropped and counted.
    pub fn open_rtcp(
        &self,
        packet: &mut [u8],
        state: &mut ReplayWindow,
    ) -> Result<Opened, SrtpError> {
        let ssrc = rtcp_ssrc(packet)?;
        let len = packet
            .len()
            .checked_sub(self.0.profile.rtcp_overhead())
            .filter(|&len| len >= RTCP_CLEAR)
            .ok_or(SrtpError::TooShort)?;
        let (text, trailer) = packet.split_at_mut(len);
        let (word, tag) = match &self.0.rtcp {
            Transform::Gcm(_) => {
                let (tag, word) = trailer.split_at(GCM_TAG);
                (word, tag)
            }
            Transform::Cm(_) => trailer.split_at(INDEX_WORD),
            // No index, so nothing to know a repetition by.
            Transform::Plain => return Ok(Opened { len, index: 0 }),
        };
        let word: [u8; INDEX_WORD] = word.try_into().map_err(|_| SrtpError::TooShort)?;
        let value = u32::from_be_bytes(word);
        let (encrypted, index) = (value & E_FLAG != 0, u64::from(value & !E_FLAG));
        state.check(index)?;
        match &self.0.rtcp {
            Transform::Gcm(gcm) => {
                let tag = tag.first_chunk().ok_or(SrtpError::TooShort)?;
                open_gcm_rtcp(gcm, ssrc, value, text, tag)?;
            }
            Transform::Cm(cm) => {
                cm.verify(text, &word, tag)?;
                if encrypted {
                    cm.apply(ssrc, index, &mut text[RTCP_CLEAR..])?;
                }
            }
            Transform::Plain => {}
        }
        state.accept(index);
        Ok(Opened { len, index })
    }
}

/// `value` is the word of flag and index. When the flag is clear, the whole packet is associated
/// data and there is no text (RFC 7714 §9.3).
fn open_gcm_rtcp(
    gcm: &Gcm,
    ssrc: u32,
    value: u32,
    text: &mut [u8],
    tag: &[u8; GCM_TAG],
) -> Result<(), SrtpError> {
    let (index, word) = (u64::from(value & !E_FLAG), value.to_be_bytes());
    if value & E_FLAG != 0 {
        let (clear, body) = text.split_at_mut(RTCP_CLEAR);
        return gcm.open(ssrc, index, &rtcp_aad(clear, word), body, tag);
    }
    let mut aad = [0; MAX_PACKET + INDEX_WORD];
    let whole = aad.get_mut(..text.len() + INDEX_WORD).ok_or(SrtpError::NotRtcp)?;
    whole[..text.len()].copy_from_slice(text);
    whole[text.len()..].copy_from_slice(&word);
    gcm.open(ssrc, index, whole, &mut [], tag)
}

const _: () = assert!(MAX_RTCP_OVERHEAD == GCM_TAG + INDEX_WORD);
