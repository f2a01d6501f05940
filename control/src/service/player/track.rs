//! A file that is being played, packet by packet, without an end.

use bifrons_core::codec::{Codec, OpusToc};
use bifrons_core::ogg::{OggError, OggOpus, OpusPacket};
use bifrons_core::plugin::PlayerFormat;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use thiserror::Error;

/// Bytes of G.711 in 20 ms.
const G711_BYTES: usize = 160;
/// Files are read in pieces of so many bytes.
const BUFFER: usize = 8 * 1024;

/// Why a file cannot be played.
#[derive(Debug, Error)]
pub(super) enum TrackError {
    /// It cannot be opened or read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A folder, a device, a pipe.
    #[error("not a file")]
    NotAFile,
    /// It has no audio in it.
    #[error("nothing in it to play")]
    Empty,
    /// It is no Ogg file of Opus.
    #[error("{0}")]
    Ogg(#[from] OggError),
}

/// One packet's worth of audio.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The RTP payload.
    pub(super) payload: Vec<u8>,
    /// How long it lasts, in µs.
    pub(super) duration_us: u32,
    /// The same on its RTP clock.
    pub(super) ticks: u32,
}

/// What reads pieces.
enum Reading {
    Opus(OggOpus),
    G711,
}

/// See the module.
pub(super) struct Track<F = File> {
    file: BufReader<F>,
    reading: Reading,
    /// Read ahead, so that an empty file shows when it is opened.
    next: Option<Piece>,
}

impl Track {
    /// Opens a file, and makes sure that it begins as it should.
    pub(super) fn open(path: &Path, format: PlayerFormat) -> Result<Self, TrackError> {
        // A pipe would hold up whoever opens it, a device whoever reads it.
        if !std::fs::metadata(path)?.is_file() {
            return Err(TrackError::NotAFile);
        }
        Track::new(File::open(path)?, format)
    }
}

impl<F: Read + Seek> Track<F> {
    pub(super) fn new(file: F, format: PlayerFormat) -> Result<Self, TrackError> {
        let mut file = BufReader::with_capacity(BUFFER, file);
        let reading = match format {
            PlayerFormat::OggOpus => Reading::Opus(OggOpus::open(&mut file)?),
            PlayerFormat::Alaw | PlayerFormat::Mulaw => Reading::G711,
        };
        let mut track = Track { file, reading, next: None };
        track.next = Some(track.read()?);
        Ok(track)
    }

    /// The next piece; behind the last comes the first.
    pub(super) fn take(&mut self) -> Result<Piece, TrackError> {
        match self.next.take() {
            Some(piece) => Ok(piece),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Piece, TrackError> {
        match &mut self.reading {
            Reading::Opus(opus) => {
                if let Some(packet) = opus.next(&mut self.file)? {
                    return Ok(Piece::of_opus(packet));
                }
                self.file.seek(SeekFrom::Start(0))?;
                *opus = OggOpus::open(&mut self.file)?;
                let packet = opus.next(&mut self.file)?.ok_or(TrackError::Empty)?;
                Ok(Piece::of_opus(packet))
            }
            Reading::G711 => self.read_g711(),
        }
    }

    /// 20 ms, around the end of the file where it falls between.
    fn read_g711(&mut self) -> Result<Piece, TrackError> {
        let mut payload = Vec::with_capacity(G711_BYTES);
        let mut turned = false;
        while payload.len() < G711_BYTES {
            let want = (G711_BYTES - payload.len()) as u64;
            let got = self.file.by_ref().take(want).read_to_end(&mut payload)?;
            if got == 0 && std::mem::replace(&mut turned, true) {
                return Err(TrackError::Empty);
            }
            if got > 0 {
                turned = false;
            } else {
                self.file.seek(SeekFrom::Start(0))?;
            }
        }
        Ok(Piece { payload, duration_us: 20_000, ticks: G711_BYTES as u32 })
    }
}

impl Piece {
    fn of_opus(packet: OpusPacket) -> Self {
        let OpusPacket { bytes, toc } = packet;
        let (duration_us, ticks) = (OpusToc::duration_us(toc), OpusToc::duration_ticks(toc));
        Piece { payload: bytes, duration_us, ticks }
    }
}

/// The codec and the payload type of a format.
pub(super) fn codec(format: PlayerFormat) -> (Codec, u8) {
    match format {
        PlayerFormat::OggOpus => (Codec::Opus, 111),
        PlayerFormat::Alaw => (Codec::Pcma, 8),
        PlayerFormat::Mulaw => (Codec::Pcmu, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn a_raw_file_goes_round_without_a_seam() {
        let file: Vec<u8> = (0..200).collect();
        let mut track = Track::new(Cursor::new(file.clone()), PlayerFormat::Alaw).unwrap();
        let mut heard = Vec::new();
        for _ in 0..10 {
            let piece = track.take().unwrap();
            assert_eq!((piece.payload.len(), piece.ticks, piece.duration_us), (160, 160, 20_000));
            heard.extend(piece.payload);
        }
        assert_eq!(heard, file.repeat(8));
    }

    #[test]
    fn a_file_shorter_than_a_packet_is_played_and_an_empty_one_refused() {
        let mut track = Track::new(Cursor::new(vec![1, 2, 3]), PlayerFormat::Mulaw).unwrap();
        assert_eq!(track.take().unwrap().payload[..6], [1, 2, 3, 1, 2, 3]);
        let empty = Track::new(Cursor::new(Vec::new()), PlayerFormat::Mulaw);
        assert!(matches!(empty, Err(TrackError::Empty)));
    }

    #[test]
    fn only_files_are_opened() {
        let refused = Track::open(Path::new("/dev/zero"), PlayerFormat::Alaw);
        assert!(matches!(refused, Err(TrackError::NotAFile)));
        assert!(matches!(
            Track::open(Path::new("/"), PlayerFormat::Alaw),
            Err(TrackError::NotAFile)
        ));
        let none = Track::open(Path::new("/no such file.alaw"), PlayerFormat::Alaw);
        assert!(matches!(none, Err(TrackError::Io(_))));
    }
}
