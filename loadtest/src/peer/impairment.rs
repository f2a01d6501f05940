//! A bad network in user space: what a peer sends or receives is lost, late, out of order, or comes
//! twice, by a seed.
//!
//! Only RTP and RTCP are touched, so that connections stay up and what is measured is the media.
//! Bounds: [`WAITING`] datagrams in a lane; what comes on top is lost too, and counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Datagrams that a lane holds back at most.
const WAITING: usize = 8192;

/// How bad a direction is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Share of datagrams that are lost, 0..=1.
    pub loss: f64,
    /// Share of the others that come twice, 0..=1.
    pub duplicate: f64,
    /// Share that is held back by `jitter` on top, so that later ones overtake them, 0..=1.
    pub reorder: f64,
    /// How late everything comes.
    pub delay: Duration,
    /// How much later what is reordered comes.
    pub jitter: Duration,
    /// The start of its chances.
    pub seed: u64,
}

/// What a lane has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impaired {
    /// Datagrams that went in.
    pub seen: u64,
    /// Those that were lost.
    pub lost: u64,
    /// Those that came twice.
    pub duplicated: u64,
    /// Those that were overtaken.
    pub reordered: u64,
}

impl std::ops::Add for Impaired {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            seen: self.seen + other.seen,
            lost: self.lost + other.lost,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
        }
    }
}

/// One direction of a peer.
pub(super) struct Lane {
    how: Impairment,
    chance: u64,
    count: u64,
    waiting: BTreeMap<(Instant, u64), (SocketAddr, Vec<u8>)>,
    done: Impaired,
}

impl Lane {
    pub(super) fn new(how: Impairment) -> Self {
        // A generator of this kind never leaves zero.
        let chance = how.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self { how, chance, count: 0, waiting: BTreeMap::new(), done: Impaired::default() }
    }

    /// Whether this lane concerns a datagram (RFC 7983: RTP and RTCP).
    pub(super) fn concerns(datagram: &[u8]) -> bool {
        matches!(datagram.first(), Some(128..=191))
    }

    pub(super) fn done(&self) -> Impaired {
        self.done
    }

    /// True in `share` of the calls (xorshift64*).
    fn happens(&mut self, share: f64) -> bool {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        let drawn = self.chance.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (drawn as f64) < share * (1u64 << 53) as f64
    }

    /// Takes a datagram to or from `address`.
    pub(super) fn put(&mut self, now: Instant, address: SocketAddr, datagram: &[u8]) {
        self.done.seen += 1;
        if self.happens(self.how.loss) || self.waiting.len() + 1 >= WAITING {
            self.done.lost += 1;
            return;
        }
        let mut at = now + self.how.delay;
        if self.happens(self.how.reorder) {
            self.done.reordered += 1;
            at += self.how.jitter;
        }
        let twice = self.happens(self.how.duplicate);
        self.done.duplicated += u64::from(twice);
        for _ in 0..1 + usize::from(twice) {
            self.count += 1;
            self.waiting.insert((at, self.count), (address, datagram.to_vec()));
        }
    }

    /// When the next datagram is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }

    /// When the last one is.
    pub(super) fn last(&self) -> Option<Instant> {
        self.waiting.last_key_value().map(|((at, _), _)| *at)
    }

    /// The next datagram that is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        self.next().filter(|at| *at <= now)?;
        self.waiting.pop_first().map(|(_, datagram)| datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

    fn way(how: Impairment, count: u8) -> (Vec<u8>, Impaired) {
        let (start, mut lane) = (Instant::now(), Lane::new(how));
        let mut came = Vec::new();
        for number in 0..count {
            let now = start + Duration::from_millis(u64::from(number));
            lane.put(now, NOBODY, &[number]);
            came.extend(std::iter::from_fn(|| lane.take(now)).map(|(_, bytes)| bytes[0]));
        }
        let end = start + Duration::from_secs(9);
        came.extend(std::iter::from_fn(|| lane.take(end)).map(|(_, bytes)| bytes[0]));
        assert_eq!(lane.next(), None);
        (came, lane.done())
    }

    const GOOD: Impairment = Impairment {
        loss: 0.0,
        duplicate: 0.0,
        reorder: 0.0,
        delay: Duration::from_millis(5),
        jitter: Duration::from_millis(20),
        seed: 1,
    };

    #[test]
    fn a_good_lane_keeps_order() {
        let (came, done) = way(GOOD, 200);
        assert_eq!(came, (0..200).collect::<Vec<u8>>());
        assert_eq!(done, Impaired { seen: 200, ..Impaired::default() });
    }

    #[test]
    fn each_fault_comes_about_as_often_as_asked_for() {
        let (came, done) = way(Impairment { loss: 0.2, ..GOOD }, 250);
        assert_eq!(came.len() as u64 + done.lost, 250);
        assert!((25..=75).contains(&done.lost), "{done:?}");
        let (came, done) = way(Impairment { duplicate: 0.2, ..GOOD }, 250);
        assert_eq!(came.len() as u64, 250 + done.duplicated);
        assert!((25..=75).contains(&done.duplicated), "{done:?}");
        let (came, done) = way(Impairment { reorder: 0.1, ..GOOD }, 250);
        assert!((10..=45).contains(&done.reordered) && !came.is_sorted(), "{done:?}");
        assert_eq!(came.len(), 250);
    }

    #[test]
    fn a_seed_repeats_itself() {
        let how = Impairment { loss: 0.3, reorder: 0.2, ..GOOD };
        assert_eq!(way(how, 250), way(how, 250));
        assert_ne!(way(how, 250).0, way(Impairment { seed: 2, ..how }, 250).0);
    }
}
