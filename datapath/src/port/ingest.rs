//! One ingest: what arrives at ports for one source.

use crate::forward::SourceKey;
use crate::peer::{Layer, MAX_LAYERS, MAX_STREAMS};
use bifrons_core::media::{IngestId, IngestSetup, PortId};
use bifrons_core::rtp::Ssrc;
use bifrons_core::srtp::{MasterKey, OpenKey, RtpIndex, SrtpError};

/// See the module.
#[derive(Debug)]
pub struct Ingest {
    /// Its name.
    pub id: IngestId,
    /// What it yields.
    pub setup: IngestSetup,
    /// Its source.
    pub source: SourceKey,
    /// Its substreams; without simulcast the first is the only one.
    pub layers: [Layer; MAX_LAYERS],
    /// Where its RTCP comes in, and keyframe requests go out.
    pub rtcp: Option<PortId>,
    /// The SSRC to ask by before anything came.
    pub expected: Ssrc,
}

impl Ingest {
    /// An ingest that nothing feeds yet.
    pub fn new(id: IngestId, setup: IngestSetup, source: SourceKey) -> Self {
        let layers = std::array::from_fn(|_| Layer::new(setup.clock_hz));
        Ingest { id, setup, source, layers, rtcp: None, expected: Ssrc(0) }
    }
}

/// Opens the SRTP of one port: a roll-over counter and a replay window for each SSRC that was found
/// genuine, at most [`MAX_STREAMS`].
#[derive(Debug)]
pub struct Opener {
    key: OpenKey,
    rtp: Vec<(Ssrc, RtpIndex)>,
}

impl Opener {
    /// For what is sealed with this key.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`], which a checked [`MasterKey`] never gives.
    pub fn new(key: &MasterKey) -> Result<Self, SrtpError> {
        Ok(Opener { key: OpenKey::new(key)?, rtp: Vec::new() })
    }

    /// Opens an RTP packet in place; returns the plain packet's length.
    ///
    /// # Errors
    /// Every reason not to take the packet.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let word = packet.get(8..12).and_then(|word| word.first_chunk::<4>());
        let ssrc = Ssrc(u32::from_be_bytes(*word.ok_or(SrtpError::TooShort)?));
        match self.rtp.binary_search_by_key(&ssrc, |&(ssrc, _)| ssrc) {
            Ok(at) => Ok(self.key.open_rtp(packet, &mut self.rtp[at].1)?.len),
            Err(at) => {
                let mut state = RtpIndex::default();
                let opened = self.key.open_rtp(packet, &mut state)?;
                if self.rtp.len() < MAX_STREAMS {
                    self.rtp.insert(at, (ssrc, state));
                }
                Ok(opened.len)
            }
        }
    }
}
