//! Packets that no socket of a shard received: a helper thread that plays a file or speaks to a
//! camera hands them over a ring, and the shard takes each as if it had come to a port of that
//! ingest.
//!
//! One [`Injector`] a helper thread, with a ring to each shard and one back for the empty boxes, so
//! that steady traffic allocates nothing. Bounds: [`RING`] packets on their way to a shard; what
//! finds the ring full is lost and counted. Cost: two copies and a ring push a packet, and a look-up
//! of the ingest by name on the shard; a shard that is awake is not woken.

use crate::handshake::Datagram;
use crate::queue::{Doorbell, Rx, Tx, link};
use bifrons_core::media::IngestId;

/// Packets that wait between a helper and a shard: a camera's largest keyframe, 1.5 MB.
pub const RING: usize = 1024;

/// A packet for an ingest.
#[derive(Debug)]
pub struct Injected {
    /// Which ingest of the shard.
    pub ingest: IngestId,
    /// Which of its substreams, 0..=2.
    pub layer: u8,
    /// The RTP packet, at most [`MAX_PACKET`](bifrons_core::rtp::MAX_PACKET) bytes.
    pub packet: Box<Datagram>,
}

/// The rings to one shard.
#[derive(Debug)]
struct Way {
    to_shard: Tx<Injected>,
    empties: Rx<Box<Datagram>>,
    /// Something was put since the shard was woken last.
    rings: bool,
}

/// A shard's ends of its rings with one injector.
#[derive(Debug)]
pub struct InjectorEnds {
    /// What it is to take.
    pub packets: Rx<Injected>,
    /// Boxes that go back.
    pub empties: Tx<Box<Datagram>>,
}

/// A helper thread's way to every shard.
#[derive(Debug)]
pub struct Injector {
    ways: Vec<Way>,
    refused: u64,
}

impl Injector {
    /// Rings from one helper to the shards behind `bells`, and the shards' ends of them.
    #[must_use]
    pub fn link(bells: &[Doorbell]) -> (Injector, Vec<InjectorEnds>) {
        let (mut ways, mut ends) = (Vec::new(), Vec::new());
        for bell in bells {
            let (to_shard, packets) = link(RING, bell);
            // Nobody is woken for an empty box.
            let (empties, back) = link(RING, bell);
            ways.push(Way { to_shard, empties: back, rings: false });
            ends.push(InjectorEnds { packets, empties });
        }
        (Injector { ways, refused: 0 }, ends)
    }

    /// Puts a copy of an RTP packet on its way; [`Injector::ring`] has to follow the last of a
    /// batch. False, and counted, where the packet is too long, the shard does not keep up, or there
    /// is no such shard.
    pub fn put(&mut self, ingest: IngestId, layer: u8, bytes: &[u8]) -> bool {
        let way = self.ways.get_mut(usize::from(ingest.shard));
        let taken = way.is_some_and(|way| {
            let mut packet = way.empties.pop().unwrap_or_else(Datagram::boxed);
            let fits = way.to_shard.room() > 0 && packet.fill(bytes);
            way.rings |= fits;
            fits && way.to_shard.put(Injected { ingest, layer, packet }).is_ok()
        });
        self.refused += u64::from(!taken);
        taken
    }

    /// Wakes the shards that something was put for, where they sleep.
    pub fn ring(&mut self) {
        for way in &mut self.ways {
            if std::mem::take(&mut way.rings) {
                way.to_shard.ring();
            }
        }
    }

    /// Packets that were not taken, since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INGEST: IngestId = IngestId { shard: 0, number: 7 };

    #[test]
    fn packets_cross_in_order_and_what_has_no_room_is_counted() {
        let bell = Doorbell::new().expect("an eventfd");
        let (mut injector, mut ends) = Injector::link(&[bell]);
        assert!(injector.put(INGEST, 0, b"one") && injector.put(INGEST, 2, b"two"));
        assert!(!injector.put(IngestId { shard: 1, ..INGEST }, 0, b"x"), "no such shard");
        assert!(!injector.put(INGEST, 0, &[0; 1501]), "too long");
        let mut took = Vec::new();
        while let Some(Injected { ingest, layer, packet }) = ends[0].packets.pop() {
            took.push((ingest, layer, packet.bytes().to_vec()));
            ends[0].empties.put(packet).expect("room");
        }
        assert_eq!(took, [(INGEST, 0, b"one".to_vec()), (INGEST, 2, b"two".to_vec())]);
        let taken = (0..RING + 5).filter(|_| injector.put(INGEST, 0, b"x")).count();
        assert_eq!((taken, injector.refused()), (RING, 7));
    }

    #[test]
    fn only_a_sleeping_shard_is_woken() {
        let bell = Doorbell::new().expect("an eventfd");
        let (mut injector, _ends) = Injector::link(std::slice::from_ref(&bell));
        injector.put(INGEST, 0, b"x");
        injector.ring();
        assert!(!bell.silence(), "it is awake");
        assert!(bell.may_sleep(|| true));
        injector.ring();
        assert!(!bell.silence(), "nothing new");
        injector.put(INGEST, 0, b"x");
        injector.ring();
        assert!(bell.silence());
    }
}
