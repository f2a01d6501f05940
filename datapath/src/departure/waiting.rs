//! What waits to leave to one peer.

use super::Departing;
use bifrons_core::media::MediaKind;

/// References one peer may have waiting: 40 ms of a very fast stream. Past it the newest is let go.
pub const QUEUE: usize = 1024;

/// Audio, which leaves in the turn it came in, and video, which may wait. Audio leaves behind the
/// video of its turn, where it can be the short last segment of a train; it never waits for it.
#[derive(Debug, Default)]
pub struct Waiting {
    audio: Vec<Departing>,
    video: Vec<Departing>,
}

impl Waiting {
    /// Puts a reference behind the others of its kind; false if there is no room.
    #[inline]
    pub fn push(&mut self, kind: MediaKind, departing: Departing) -> bool {
        let room = self.len() < QUEUE;
        if room {
            let queue = if kind == MediaKind::Video { &mut self.video } else { &mut self.audio };
            queue.push(departing);
        }
        room
    }

    /// Packets of either kind.
    pub(crate) fn len(&self) -> usize {
        self.audio.len() + self.video.len()
    }

    /// Packets of video.
    #[inline]
    pub(super) fn video(&self) -> usize {
        self.video.len()
    }

    /// What leaves as number `n`, from 0, if so much video may.
    #[inline]
    pub(super) fn at(&self, n: usize, video: usize) -> Option<&Departing> {
        match n.checked_sub(video) {
            None => self.video.get(n),
            Some(n) => self.audio.get(n),
        }
    }

    /// The video that leaves from number `n` on, if so much may.
    #[inline]
    pub(super) fn video_from(&self, n: usize, video: usize) -> &[Departing] {
        self.video.get(n..video).unwrap_or_default()
    }

    /// How much that is.
    #[inline]
    pub(super) fn front_len(&self, video: usize) -> usize {
        video + self.audio.len()
    }

    /// It has left.
    #[inline]
    pub(super) fn remove_front(&mut self, video: usize) {
        self.audio.clear();
        if video == self.video.len() {
            self.video.clear();
        } else {
            self.video.drain(..video);
        }
    }
}
