//! Captures: what passes a tapped peer, in clear, on its way to a file (admin-events-recording §13).
//!
//! A shard owns one [`Tap`], the writing end of a ring of [`PACKETS`] packets that a thread of
//! control empties. A packet of a tapped peer costs one copy; of any other, one comparison. When the
//! ring is full the packet is left out of the capture, the next one says how many were, and media
//! notices nothing. Nobody is rung: the reader looks by itself while a capture runs.

use crate::queue::{Doorbell, Rx, Tx, link};
use crate::shard::Now;
use bifrons_core::media;
use bifrons_core::rtp::MAX_PACKET;

/// Packets that wait for the file, at most. Untouched, the ring is only address space.
pub const PACKETS: usize = 1024;

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    In,
    /// To it.
    Out,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TappedKind {
    /// RTP.
    Rtp,
    /// An RTCP compound.
    Rtcp,
}

/// One captured packet.
pub struct Tapped {
    /// Of which capture.
    pub tap: media::TapId,
    /// When, in microseconds since 1970.
    pub wall_us: u64,
    /// Which way.
    pub direction: Direction,
    /// What.
    pub kind: TappedKind,
    /// Its whole length in bytes.
    pub original_len: u16,
    /// Packets left out before it because the ring was full.
    pub left_out: u32,
    len: u16,
    bytes: [u8; MAX_PACKET],
}

impl Tapped {
    /// What was captured of it.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// A peer that is tapped.
#[derive(Clone, Copy, Debug)]
pub struct Tapping {
    /// By which capture, and how much of each packet it wants.
    pub tap: media::Tap,
    /// Packets left out since the last that was not.
    pub left_out: u32,
}

impl From<media::Tap> for Tapping {
    fn from(tap: media::Tap) -> Self {
        Tapping { tap, left_out: 0 }
    }
}

/// See the module.
#[derive(Default)]
pub struct Tap(Option<Tx<Tapped>>);

impl Tap {
    /// A tap and the end its packets come out of. Packets do not ring the bell.
    pub fn link(bell: &Doorbell) -> (Self, Rx<Tapped>) {
        let (tx, rx) = link(PACKETS, bell);
        (Tap(Some(tx)), rx)
    }

    /// Notes a packet of a peer, if the peer is tapped.
    #[inline]
    pub fn note(
        &mut self,
        peer: &mut Option<Tapping>,
        now: Now,
        direction: Direction,
        kind: TappedKind,
        packet: &[u8],
    ) {
        if let Some(peer) = peer {
            self.copy(peer, now, direction, kind, packet);
        }
    }

    #[cold]
    fn copy(
        &mut self,
        peer: &mut Tapping,
        now: Now,
        direction: Direction,
        kind: TappedKind,
        packet: &[u8],
    ) {
        let Some(ring) = self.0.as_mut() else { return };
        let wanted = match usize::from(peer.tap.truncate_bytes) {
            0 => MAX_PACKET,
            limit => limit.min(MAX_PACKET),
        };
        let captured = packet.get(..wanted).unwrap_or(packet);
        let mut tapped = Tapped {
            tap: peer.tap.id,
            wall_us: now.wall_us,
            direction,
            kind,
            original_len: u16::try_from(packet.len()).unwrap_or(u16::MAX),
            left_out: peer.left_out,
            len: captured.len() as u16,
            bytes: [0; MAX_PACKET],
        };
        let Some(place) = tapped.bytes.get_mut(..captured.len()) else { return };
        place.copy_from_slice(captured);
        peer.left_out = match ring.put(tapped) {
            Ok(()) => 0,
            Err(_) => peer.left_out.saturating_add(1),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Now {
        Now { instant: std::time::Instant::now(), us: 5, wall_us: 7 }
    }

    fn tapping(truncate_bytes: u16) -> Option<Tapping> {
        Some(media::Tap { id: media::TapId(3), truncate_bytes }.into())
    }

    #[test]
    fn a_full_ring_leaves_packets_out_and_the_next_one_says_so() {
        let bell = Doorbell::new().expect("an eventfd");
        let (mut tap, mut rx) = Tap::link(&bell);
        let mut peer = tapping(0);
        for n in 0..PACKETS + 3 {
            let packet = (n as u32).to_be_bytes();
            tap.note(&mut peer, now(), Direction::In, TappedKind::Rtp, &packet);
        }
        for n in 0..PACKETS {
            let tapped = rx.pop().expect("a packet");
            assert_eq!((tapped.bytes(), tapped.left_out), (&(n as u32).to_be_bytes()[..], 0));
        }
        assert!(rx.pop().is_none());
        tap.note(&mut peer, now(), Direction::Out, TappedKind::Rtcp, b"last");
        let last = rx.pop().expect("a packet");
        assert_eq!((last.bytes(), last.left_out, last.wall_us), (&b"last"[..], 3, 7));
    }

    #[test]
    fn packets_are_cut_and_tell_their_length() {
        let bell = Doorbell::new().expect("an eventfd");
        let (mut tap, mut rx) = Tap::link(&bell);
        tap.note(&mut tapping(4), now(), Direction::In, TappedKind::Rtp, b"12345678");
        tap.note(&mut tapping(9), now(), Direction::In, TappedKind::Rtp, b"12345678");
        tap.note(&mut tapping(0), now(), Direction::In, TappedKind::Rtp, &[1; 2000]);
        tap.note(&mut None, now(), Direction::In, TappedKind::Rtp, b"nobody's");
        let lens: Vec<_> = std::iter::from_fn(|| rx.pop())
            .map(|tapped| (tapped.bytes().len(), tapped.original_len))
            .collect();
        assert_eq!(lens, [(4, 8), (8, 8), (MAX_PACKET, 2000)]);
    }
}
