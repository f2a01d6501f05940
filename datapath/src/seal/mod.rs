//! Sealing many packets at once, each under its own key, straight from the plain text to where it
//! leaves from.
//!
//! One register holds the same block of several packets, one in each 128-bit lane, and the kernels
//! step through all of them together: AES-GCM (RFC 7714) two or four at a time, AES-CM likewise
//! and its HMAC-SHA1 (RFC 3711) eight or sixteen at a time. What a packet costs beside its length
//! (first block, header, last block, tag) is then paid once a group. The bytes are those of
//! [`SealKey`], the scalar reference, which also seals what is left over.
//!
//! Which kernel runs is chosen once, by what the CPU can do and a trial ([`Kernel::detect`]).

mod batch;
mod ctr;
mod fuzz;
mod ghash;
mod key;
mod lanes;
mod sha1;
#[cfg(test)]
mod tests;

pub use fuzz::fuzz_seal;
pub use key::LaneKey;

use bifrons_core::rtp::FIXED_HEADER;
use bifrons_core::srtp::{MAX_RTP_INDEX, MasterKey, SealKey, SrtpError};
use std::ops::Range;

/// How packets are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// One by one, by `ring` and RustCrypto.
    Scalar,
    /// Two a step in 256-bit registers: AVX2, VAES, VPCLMULQDQ.
    Vaes256,
    /// Four a step in 512-bit registers: AVX-512F, BW and VL, VAES, VPCLMULQDQ.
    Vaes512,
    /// Copies the text and writes a tag of zeros. For counting the instructions of everything
    /// else; never detected.
    #[cfg(feature = "bench")]
    Identity,
}

impl Kernel {
    /// All that this CPU can run, the fastest last.
    #[must_use]
    pub fn available() -> Vec<Kernel> {
        let mut kernels = vec![Kernel::Scalar];
        let has_256 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("vpclmulqdq");
        if has_256 {
            kernels.push(Kernel::Vaes256);
        }
        let has_512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        if has_256 && has_512 {
            kernels.push(Kernel::Vaes512);
        }
        kernels
    }

    /// The fastest that this CPU can run and that seals a trial batch as the scalar path does.
    #[must_use]
    pub fn detect() -> Kernel {
        let mut kernels = Kernel::available().into_iter().rev();
        kernels.find(|&kernel| fuzz::is_right(kernel)).unwrap_or(Kernel::Scalar)
    }

    /// A name for the log and for `info`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kernel::Scalar => "scalar",
            Kernel::Vaes256 => "vaes-256",
            Kernel::Vaes512 => "vaes-512",
            #[cfg(feature = "bench")]
            Kernel::Identity => "identity",
        }
    }

    /// Seals every job of every run in `room`. The caller keeps the rule that one (key, SSRC,
    /// index) is sealed once, or again byte for byte, and that no two packets overlap.
    ///
    /// # Errors
    /// When a job does not fit: a header below 12 bytes, a packet past the end of `room` (there
    /// have to be 16 bytes behind the text under every profile) or longer than 1900 bytes, an index
    /// that is used up or not the header's. Nothing is sealed then, and nothing may be sent.
    pub fn seal(
        self,
        room: &mut [u8],
        jobs: &[Job<'_>],
        runs: &[Run<'_>],
    ) -> Result<(), SrtpError> {
        if runs.iter().any(|run| jobs.get(run.jobs.clone()).is_none()) {
            return Err(SrtpError::NoRoom);
        }
        for job in jobs {
            job.check(room)?;
        }
        #[cfg(feature = "bench")]
        if self == Kernel::Identity {
            jobs.iter().for_each(|job| job.copy(room));
            return Ok(());
        }
        batch::seal(self, room, jobs, runs);
        Ok(())
    }
}

/// Longest packet with its tag.
const MAX_SEALED: usize = 1900;
/// Bytes behind the text that have to be there, whatever the tag's length.
const BEHIND: usize = 16;

/// One packet to be sealed.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Where in the room it starts; its complete header stands there.
    pub at: usize,
    /// Length of the header.
    pub header_len: usize,
    /// Length of the text.
    pub len: usize,
    /// The plain text; `None`: it stands behind the header.
    pub text: Option<&'a [u8]>,
    /// Rollover counter and sequence number, 48 bits.
    pub index: u64,
}

impl Job<'_> {
    /// Where the packet ends at most.
    fn end(&self) -> usize {
        self.at + self.header_len + self.len + BEHIND
    }

    fn check(&self, room: &[u8]) -> Result<(), SrtpError> {
        let packet = room.get(self.at..self.end()).ok_or(SrtpError::NoRoom)?;
        if self.header_len < FIXED_HEADER || packet.len() > MAX_SEALED {
            return Err(SrtpError::TooShort);
        }
        if self.text.is_some_and(|text| text.len() != self.len) {
            return Err(SrtpError::NoRoom);
        }
        if self.index > MAX_RTP_INDEX {
            return Err(SrtpError::IndexExhausted);
        }
        if self.index as u16 != u16::from_be_bytes([packet[2], packet[3]]) {
            return Err(SrtpError::IndexMismatch);
        }
        Ok(())
    }

    #[cfg(feature = "bench")]
    fn copy(&self, room: &mut [u8]) {
        let body = self.at + self.header_len;
        if let Some(text) = self.text {
            room[body..body + self.len].copy_from_slice(text);
        }
        room[body + self.len..self.end()].fill(0);
    }
}

/// The packets of one key: a range of the jobs.
#[derive(Clone, Debug)]
pub struct Run<'k> {
    /// Seals them.
    pub key: &'k SenderKey,
    /// Which they are.
    pub jobs: Range<usize>,
}

impl<'k> Run<'k> {
    fn lane_key(&self) -> Option<&'k LaneKey> {
        self.key.lanes.as_ref()
    }

    fn cipher(&self) -> Option<key::Cipher> {
        self.lane_key().map(|key| key.cipher)
    }

    /// The first `taken` jobs, and the others.
    fn split(self, taken: usize) -> (Self, Self) {
        let Range { start, end } = self.jobs;
        let cut = (start + taken).min(end);
        (Run { key: self.key, jobs: start..cut }, Run { key: self.key, jobs: cut..end })
    }
}

/// The key of the direction we send in: as the scalar path wants it, and as the kernels do.
#[derive(Clone, Debug)]
pub struct SenderKey {
    scalar: SealKey,
    lanes: Option<LaneKey>,
}

impl SenderKey {
    /// Derives the session keys and sets up what `kernel` needs.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`], which a checked [`MasterKey`] never gives.
    pub fn new(master: &MasterKey, kernel: Kernel) -> Result<Self, SrtpError> {
        let keys = master.session_keys();
        let lanes = match kernel {
            Kernel::Vaes256 | Kernel::Vaes512 => LaneKey::new(&keys.rtp),
            _ => None,
        };
        Ok(SenderKey { scalar: SealKey::from_session_keys(&keys)?, lanes })
    }

    /// Seals single packets.
    #[must_use]
    pub fn scalar(&self) -> &SealKey {
        &self.scalar
    }
}
