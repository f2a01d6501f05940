//! The peers of a shard, by slot. Control allots the slots; a name with an old generation misses.

use super::Peer;
use bifrons_core::media::PeerId;

/// See the module.
#[derive(Default)]
pub struct PeerTable {
    slots: Vec<Option<Box<Peer>>>,
    count: u32,
}

impl PeerTable {
    /// The peer of this name.
    pub fn get(&self, id: PeerId) -> Option<&Peer> {
        self.at(id.slot).filter(|peer| peer.id == id)
    }

    /// As [`PeerTable::get`], to change it.
    pub fn get_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.at_mut(id.slot).filter(|peer| peer.id == id)
    }

    /// Whoever has the slot now.
    #[inline]
    pub fn at(&self, slot: u32) -> Option<&Peer> {
        self.slots.get(slot as usize)?.as_deref()
    }

    /// As [`PeerTable::at`], to change it.
    #[inline]
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut Peer> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Moves a peer into its slot. Returns a former tenant that was never closed.
    pub fn insert(&mut self, peer: Box<Peer>) -> Option<Box<Peer>> {
        let slot = (peer.id.slot & (PeerId::MAX_SLOTS - 1)) as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        let former = self.slots[slot].replace(peer);
        self.count += u32::from(former.is_none());
        former
    }

    /// Moves a peer out.
    pub fn remove(&mut self, id: PeerId) -> Option<Box<Peer>> {
        self.get(id)?;
        let peer = self.slots.get_mut(id.slot as usize)?.take()?;
        self.count -= 1;
        Some(peer)
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Their names.
    pub fn ids(&self) -> Vec<PeerId> {
        self.slots.iter().flatten().map(|peer| peer.id).collect()
    }
}
