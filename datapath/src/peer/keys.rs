//! SRTP of one peer: a key each way, and for each SSRC that sends to us its roll-over counter and
//! replay window.
//!
//! A state is kept for an SSRC only after a packet of it was found genuine, so only the peer
//! itself can fill the tables; they are bounded all the same.

use super::MAX_STREAMS;
use crate::seal::{Kernel, SenderKey};
use bifrons_core::dtls::{KeyingMaterial, Role};
use bifrons_core::rtp::Ssrc;
use bifrons_core::srtp::{MasterKey, OpenKey, ReplayWindow, RtpIndex, SrtpError, SrtpProfile};

/// SSRCs whose RTCP is followed.
const MAX_REPORTERS: usize = 2 * MAX_STREAMS;

/// See the module.
pub struct Keys {
    profile: SrtpProfile,
    seal: SenderKey,
    open: OpenKey,
    rtp: Vec<(Ssrc, RtpIndex)>,
    rtcp: Vec<(Ssrc, ReplayWindow)>,
    rtcp_index: u32,
}

impl Keys {
    /// The keys that a handshake yielded to us in `role`, to seal packets one by one.
    ///
    /// # Errors
    /// When lengths do not fit the profile, which a handshake never gives.
    pub fn new(material: &KeyingMaterial, role: Role) -> Result<Self, SrtpError> {
        Self::for_kernel(material, role, Kernel::Scalar)
    }

    /// As [`Keys::new`], to seal many packets at once by `kernel`.
    ///
    /// # Errors
    /// As [`Keys::new`].
    pub fn for_kernel(
        material: &KeyingMaterial,
        role: Role,
        kernel: Kernel,
    ) -> Result<Self, SrtpError> {
        let profile = material.profile();
        let key = |side| MasterKey::new(profile, material.key(side), material.salt(side));
        Ok(Keys {
            profile,
            seal: SenderKey::new(&key(role)?, kernel)?,
            open: OpenKey::new(&key(role.peer())?)?,
            rtp: Vec::new(),
            rtcp: Vec::new(),
            rtcp_index: 0,
        })
    }

    /// No keys at all: packets leave and come as they are (`no_webrtc_encryption`).
    ///
    /// # Errors
    /// None; the type is that of the other makers.
    pub fn plain() -> Result<Self, SrtpError> {
        let profile = SrtpProfile::Plain;
        let nothing =
            MasterKey::new(profile, &[0; 32][..profile.key_len()], &[0; 16][..profile.salt_len()])?;
        Ok(Keys {
            profile,
            seal: SenderKey::new(&nothing, Kernel::Scalar)?,
            open: OpenKey::new(&nothing)?,
            rtp: Vec::new(),
            rtcp: Vec::new(),
            rtcp_index: 0,
        })
    }

    /// The agreed profile.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Bytes that sealing adds to an RTP packet.
    pub fn rtp_overhead(&self) -> usize {
        self.profile.rtp_tag_len()
    }

    /// What we send is sealed by it.
    pub fn sender(&self) -> &SenderKey {
        &self.seal
    }

    /// Seals one packet, whose header of `header_len` bytes stands at the front of `out`; returns
    /// its length, or `None` where it does not fit or its index is used up.
    pub fn seal_rtp(
        &self,
        out: &mut [u8],
        header_len: usize,
        payload: &[u8],
        index: u64,
    ) -> Option<usize> {
        self.seal.scalar().seal_rtp(index, out, header_len, payload).ok()
    }

    /// Opens an RTP packet in place; returns the plain packet's length.
    ///
    /// # Errors
    /// Every reason not to take the packet.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = ssrc_at(packet, 8).ok_or(SrtpError::TooShort)?;
        match self.rtp.binary_search_by_key(&ssrc, |&(ssrc, _)| ssrc) {
            Ok(at) => Ok(self.open.open_rtp(packet, &mut self.rtp[at].1)?.len),
            Err(at) => {
                let mut state = RtpIndex::default();
                let opened = self.open.open_rtp(packet, &mut state)?;
                if self.rtp.len() < MAX_STREAMS {
                    self.rtp.insert(at, (ssrc, state));
                }
                Ok(opened.len)
            }
        }
    }

    /// Opens an RTCP packet in place; returns the plain compound's length.
    ///
    /// # Errors
    /// Every reason not to take the packet.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = ssrc_at(packet, 4).ok_or(SrtpError::TooShort)?;
        match self.rtcp.binary_search_by_key(&ssrc, |&(ssrc, _)| ssrc) {
            Ok(at) => Ok(self.open.open_rtcp(packet, &mut self.rtcp[at].1)?.len),
            Err(at) => {
                let mut state = ReplayWindow::default();
                let opened = self.open.open_rtcp(packet, &mut state)?;
                if self.rtcp.len() < MAX_REPORTERS {
                    self.rtcp.insert(at, (ssrc, state));
                }
                Ok(opened.len)
            }
        }
    }

    /// Seals the plain compound `buffer[..len]` in place under the next index.
    pub fn seal_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        self.rtcp_index = (self.rtcp_index + 1) & 0x7FFF_FFFF;
        self.seal.scalar().seal_rtcp(self.rtcp_index, buffer, len).ok()
    }
}

fn ssrc_at(packet: &[u8], at: usize) -> Option<Ssrc> {
    let word: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
    Some(Ssrc(u32::from_be_bytes(word)))
}
