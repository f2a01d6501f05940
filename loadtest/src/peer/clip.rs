//! Media from a file: VP8 in IVF, Opus in Ogg.
//!
//! A clip is read whole and played over and over. Its packets are as the encoder made them, so they
//! carry no send time: delays are not measured with one. A keyframe that is asked for starts it
//! again at its first frame, which is one. Bounds: [`BYTES`] of a file.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use bifrons_core::ogg::OggOpus;

/// Largest file read.
const BYTES: u64 = 256 << 20;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// It cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// It is not what it should be; the text says why.
    #[error("{0}")]
    Unfit(String),
}

fn unfit<T>(why: &str) -> Result<T, ClipError> {
    Err(ClipError::Unfit(why.to_owned()))
}

/// Frames of one encoder, all of one length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) interval: Duration,
}

impl Clip {
    /// Reads a file by its name's end, `.ivf` or `.ogg`/`.opus`.
    ///
    /// # Errors
    /// [`ClipError`].
    pub fn read(file: &Path) -> Result<Self, ClipError> {
        let mut bytes = Vec::new();
        std::fs::File::open(file)?.take(BYTES).read_to_end(&mut bytes)?;
        match file.extension().and_then(|end| end.to_str()) {
            Some("ivf") => Self::ivf(&bytes),
            Some("ogg" | "opus") => Self::ogg(&bytes),
            _ => unfit("the name ends neither in .ivf nor in .ogg"),
        }
    }

    /// IVF with VP8: a header of 32 bytes, then frames with their length (32 bit) and time (64 bit,
    /// in units of the header's time base) in front, all little-endian.
    ///
    /// # Errors
    /// [`ClipError::Unfit`].
    pub fn ivf(bytes: &[u8]) -> Result<Self, ClipError> {
        let u32_at = |at: usize| {
            let four = bytes.get(at..at + 4)?.first_chunk()?;
            Some(u32::from_le_bytes(*four))
        };
        if !bytes.starts_with(b"DKIF") || bytes.get(8..12) != Some(b"VP80".as_slice()) {
            return unfit("no IVF file of VP8");
        }
        let (Some(rate), Some(scale)) = (u32_at(16), u32_at(20)) else {
            return unfit("the IVF header is cut short");
        };
        let (mut at, mut frames, mut times) = (32, Vec::new(), Vec::new());
        while let (Some(len), Some(time)) = (u32_at(at), u32_at(at + 4)) {
            let Some(frame) = bytes.get(at + 12..at + 12 + len as usize) else { break };
            if !frame.is_empty() {
                frames.push(frame.to_vec());
                times.push(time);
            }
            at += 12 + len as usize;
        }
        // RFC 6386 clause 9.1: the lowest bit of a keyframe's first byte is 0.
        match frames.first().and_then(|frame| frame.first()) {
            Some(first) if first & 1 == 0 => {}
            _ => return unfit("the IVF file begins with no keyframe"),
        }
        let step = match times.as_slice() {
            [first, second, ..] => second.saturating_sub(*first).max(1),
            _ => 1,
        };
        let seconds = f64::from(scale) * f64::from(step) / f64::from(rate.max(1));
        Ok(Self { frames, interval: Duration::from_secs_f64(seconds.clamp(0.001, 1.0)) })
    }

    /// Ogg with Opus. Packets are played in the time of the first one.
    ///
    /// # Errors
    /// [`ClipError::Unfit`].
    pub fn ogg(bytes: &[u8]) -> Result<Self, ClipError> {
        let mut rest = bytes;
        let bad = |error: bifrons_core::ogg::OggError| ClipError::Unfit(error.to_string());
        let mut reader = OggOpus::open(&mut rest).map_err(bad)?;
        let (mut frames, mut interval) = (Vec::new(), None);
        while let Some(packet) = reader.next(&mut rest).map_err(bad)? {
            let us = u64::from(packet.toc.duration_us());
            interval.get_or_insert(Duration::from_micros(us));
            frames.push(packet.bytes);
        }
        match interval {
            Some(interval) if !interval.is_zero() => Ok(Self { frames, interval }),
            _ => unfit("the Ogg file holds no packet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ivf(frames: &[&[u8]]) -> Vec<u8> {
        let mut file = b"DKIF\0\0\x20\0VP80".to_vec();
        file.extend([64, 1, 180, 0]);
        file.extend([30u32, 1, frames.len() as u32, 0].into_iter().flat_map(u32::to_le_bytes));
        for (time, frame) in frames.iter().enumerate() {
            file.extend((frame.len() as u32).to_le_bytes());
            file.extend((time as u64).to_le_bytes());
            file.extend(*frame);
        }
        file
    }

    #[test]
    fn ivf_frames_come_out_whole_and_in_time() {
        let file = ivf(&[&[0x10, 1, 2], &[0x11, 3]]);
        let clip = Clip::ivf(&file).expect("a clip");
        assert_eq!(clip.frames, [vec![0x10, 1, 2], vec![0x11, 3]]);
        assert_eq!(clip.interval.as_micros(), 33_333);
        // A file that was cut short ends with its last whole frame.
        let clip = Clip::ivf(&file[..file.len() - 1]).expect("a clip");
        assert_eq!(clip.frames.len(), 1);
    }

    #[test]
    fn what_cannot_be_played_is_named() {
        assert!(Clip::ivf(b"RIFF").is_err());
        assert!(Clip::ivf(&ivf(&[])).is_err());
        assert!(Clip::ivf(&ivf(&[&[0x11, 3]])).is_err(), "no keyframe first");
        assert!(Clip::ogg(b"OggS").is_err());
        assert!(Clip::read(Path::new("/nonexistent.ivf")).is_err());
    }
}
