//! Players of audio files (plugin-streaming §6.7): one helper thread for all of them.
//!
//! The thread wakes each [`BEAT`] while something plays, reads one packet's worth of each file that
//! is not paused, and injects it into the shard of its ingest. The pace is that of the steady clock:
//! a beat that comes late is made up for, up to half a second. Files are read in place, 8 KiB at a
//! time; a disk that does not answer holds up the other players, and nobody else. Bounds:
//! [`MAX_PLAYERS`] files, each with a descriptor and about 80 KiB at most times.

mod deck;
mod thread;
mod track;

pub use thread::{PlayerThread, start};

use std::time::Duration;

/// Most files that are played at a time.
pub const MAX_PLAYERS: usize = 1024;

/// The common beat of all players: how long a packet lasts as a rule.
pub const BEAT: Duration = Duration::from_millis(20);

/// Longest text of an event, in bytes.
const TEXT: usize = 512;

/// Cuts a text for an event.
pub(super) fn shorten(text: &mut String) {
    if text.len() > TEXT {
        text.truncate(text.floor_char_boundary(TEXT));
    }
}
