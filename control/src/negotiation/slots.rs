//! Which peer lives where: slots of the shards, given out and taken back.
//!
//! A slot is free again only when its shard has said that nothing of the former tenant is left.
//! Each tenant has another generation, so a late word about a former one misses. Bounds:
//! [`PeerId::MAX_SLOTS`] a shard.

use bifrons_core::media::PeerId;
use bifrons_core::plugin::{HandleKey, Home as Wanted};
use std::collections::HashMap;

/// PeerConnections of a session that share a shard. A browser has about as many; a gateway that
/// runs everybody's calls in one session has more, and those are spread in groups of this size.
const GROUP: u32 = 8;

/// By how many peers a home may be fuller than the emptiest shard: a small room stays on one core, a
/// large audience spreads evenly but for this.
const SPILL: usize = 16;

/// Where a session's next PeerConnection goes.
#[derive(Clone, Copy, Debug)]
struct Home {
    shard: u8,
    /// How many were placed there in a row.
    group: u32,
    /// How many the session has, wherever they are.
    live: u32,
}

/// One slot of a shard.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    generation: u16,
    /// In use, or not yet given back by the shard.
    taken: bool,
    handle: Option<HandleKey>,
}

/// The slots of one shard.
#[derive(Debug, Default)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    live: usize,
    dead: bool,
}

impl Table {
    fn take(&mut self, handle: HandleKey) -> Option<(u32, u16)> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                if index >= PeerId::MAX_SLOTS {
                    return None;
                }
                self.slots.push(Slot::default());
                index
            }
        };
        let slot = self.slots.get_mut(index as usize)?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.taken = true;
        slot.handle = Some(handle);
        self.live += 1;
        Some((index, slot.generation))
    }
}

/// The slots of all shards.
#[derive(Debug)]
pub(super) struct Slots {
    tables: Vec<Table>,
    /// Of every session that has PeerConnections.
    homes: HashMap<u64, Home>,
}

impl Slots {
    pub(super) fn new(shards: usize) -> Self {
        let tables = (0..shards.clamp(1, 256)).map(|_| Table::default()).collect();
        Slots { tables, homes: HashMap::new() }
    }

    /// Gives a handle a slot: at its home unless that is [`SPILL`] peers fuller than the emptiest
    /// shard; without a home on the shard of its session's other PeerConnections, so that what a
    /// client sends and receives shares a core; else on the least loaded one. `None` when no living
    /// shard has room.
    pub(super) fn take(
        &mut self,
        handle: HandleKey,
        session: Option<u64>,
        wanted: Option<Wanted>,
    ) -> Option<PeerId> {
        let home = session.and_then(|session| self.homes.get(&session)).copied();
        let home = home
            .filter(|home| wanted.is_none() && home.group < GROUP && self.is_usable(home.shard));
        let shard = match (wanted, home) {
            (Some(wanted), _) => self.at_home(wanted),
            (None, Some(home)) => Some(home.shard),
            (None, None) => self.least_loaded(),
        }?;
        let (slot, generation) = self.tables.get_mut(usize::from(shard))?.take(handle)?;
        if let Some(session) = session {
            let entry = self.homes.entry(session).or_insert(Home { shard, group: 0, live: 0 });
            let group = if home.is_some() { entry.group + 1 } else { 1 };
            *entry = Home { shard, group, live: entry.live + 1 };
        }
        Some(PeerId { shard, slot, generation })
    }

    fn at_home(&self, wanted: Wanted) -> Option<u8> {
        let live = |shard: u8| self.tables.get(usize::from(shard)).map_or(0, |table| table.live);
        let (shard, emptiest) = (wanted.shard(self.tables.len()), self.least_loaded()?);
        let has_room = self.is_usable(shard) && live(shard) < live(emptiest) + SPILL;
        Some(if has_room { shard } else { emptiest })
    }

    fn is_usable(&self, shard: u8) -> bool {
        let table = self.tables.get(usize::from(shard));
        table.is_some_and(|table| !table.dead && table.live < PeerId::MAX_SLOTS as usize)
    }

    fn least_loaded(&self) -> Option<u8> {
        let usable = (0..=255u8).take(self.tables.len()).filter(|shard| self.is_usable(*shard));
        usable.min_by_key(|shard| self.tables.get(usize::from(*shard)).map(|table| table.live))
    }

    fn slot(&self, peer: PeerId) -> Option<&Slot> {
        let table = self.tables.get(usize::from(peer.shard))?;
        table.slots.get(peer.slot as usize).filter(|slot| slot.generation == peer.generation)
    }

    /// Whose PeerConnection this is; `None` once it was [released](Self::release).
    pub(super) fn handle(&self, peer: PeerId) -> Option<HandleKey> {
        self.slot(peer)?.handle
    }

    /// The PeerConnection ended for its handle; the slot waits for the shard's word.
    pub(super) fn release(&mut self, peer: PeerId, session: Option<u64>) {
        if self.slot(peer).is_none_or(|slot| slot.handle.is_none()) {
            return;
        }
        let Some(table) = self.tables.get_mut(usize::from(peer.shard)) else { return };
        if let Some(slot) = table.slots.get_mut(peer.slot as usize) {
            slot.handle = None;
            table.live = table.live.saturating_sub(1);
        }
        let Some(session) = session else { return };
        if let Some(home) = self.homes.get_mut(&session) {
            home.live = home.live.saturating_sub(1);
            if home.live == 0 {
                self.homes.remove(&session);
            }
        }
    }

    /// The shard has nothing of it any more, or never had: the slot may be given away.
    pub(super) fn free(&mut self, peer: PeerId) {
        if self.slot(peer).is_none_or(|slot| !slot.taken || slot.handle.is_some()) {
            return;
        }
        let Some(table) = self.tables.get_mut(usize::from(peer.shard)) else { return };
        if let Some(slot) = table.slots.get_mut(peer.slot as usize) {
            slot.taken = false;
            table.free.push(peer.slot);
        }
    }

    /// The shard is dead: it gets no more peers. Returns those it had.
    pub(super) fn bury(&mut self, shard: u8) -> Vec<(PeerId, HandleKey)> {
        let Some(table) = self.tables.get_mut(usize::from(shard)) else { return Vec::new() };
        table.dead = true;
        let tenant = |(slot, of): (u32, &Slot)| {
            let peer = PeerId { shard, slot, generation: of.generation };
            of.handle.map(|handle| (peer, handle))
        };
        (0..).zip(&table.slots).filter_map(tenant).collect()
    }

    /// Peers on each shard.
    pub(super) fn load(&self) -> Vec<usize> {
        self.tables.iter().map(|table| table.live).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back_only_after_its_shard_said_so() {
        let mut slots = Slots::new(1);
        let first = slots.take(HandleKey(1), None, None).expect("room");
        slots.release(first, None);
        assert_eq!(slots.handle(first), None);
        let second = slots.take(HandleKey(2), None, None).expect("room");
        assert_ne!(first.slot, second.slot);
        slots.free(first);
        slots.free(first);
        let third = slots.take(HandleKey(3), None, None).expect("room");
        assert_eq!((third.slot, third.generation), (first.slot, first.generation + 1));
        assert_eq!(slots.take(HandleKey(4), None, None).map(|peer| peer.slot), Some(2));
        // A word about the former tenant does not touch the new one.
        slots.release(first, None);
        slots.free(first);
        assert_eq!(slots.handle(third), Some(HandleKey(3)));
    }

    #[test]
    fn sessions_stay_together_and_strangers_spread() {
        let mut slots = Slots::new(3);
        let mut shard =
            |handle, session| slots.take(HandleKey(handle), Some(session), None).unwrap();
        let (a, b, c) = (shard(1, 10), shard(2, 11), shard(3, 10));
        assert_eq!(a.shard, c.shard);
        assert_ne!(a.shard, b.shard);
        assert_eq!(slots.load(), [2, 1, 0]);
        slots.release(a, Some(10));
        slots.release(c, Some(10));
        assert!(!slots.homes.contains_key(&10));
    }

    #[test]
    fn a_session_with_everybody_in_it_is_spread_in_groups() {
        let mut slots = Slots::new(3);
        let place = |n: u64| slots.take(HandleKey(n), Some(1), None).map(|peer| peer.shard);
        let shards: Vec<_> = (0..u64::from(GROUP) * 3).filter_map(place).collect();
        let groups: Vec<_> = shards.chunks(GROUP as usize).collect();
        assert!(groups.iter().all(|group| group.iter().all(|shard| *shard == group[0])));
        assert_eq!(slots.load(), [GROUP as usize; 3]);
    }

    #[test]
    fn a_dead_shard_gets_nobody() {
        let mut slots = Slots::new(2);
        let peer = slots.take(HandleKey(1), Some(1), None).expect("room");
        assert_eq!(slots.bury(peer.shard), [(peer, HandleKey(1))]);
        let next = slots.take(HandleKey(2), Some(1), None).expect("the other one lives");
        assert_ne!(next.shard, peer.shard);
        slots.bury(next.shard);
        assert_eq!(slots.take(HandleKey(3), None, None), None);
    }

    #[test]
    fn what_has_a_home_lives_there_until_it_is_much_fuller() {
        let mut slots = Slots::new(3);
        let mut shard = |n: u64, home| {
            let peer = slots.take(HandleKey(n), Some(n), Some(home)).expect("room");
            usize::from(peer.shard)
        };
        let mut rooms = [0; 3];
        for n in 0..SPILL as u64 {
            rooms[shard(n, Wanted::Key(4))] += 1;
        }
        assert_eq!(rooms, [0, SPILL, 0], "a small room is together");
        for n in 100..190 {
            rooms[shard(n, Wanted::Key(4))] += 1;
        }
        let (least, most) = (rooms.iter().min().unwrap(), rooms.iter().max().unwrap());
        assert!(most - least <= SPILL, "a large one is spread: {rooms:?}");
        assert_eq!(shard(300, Wanted::Shard(2)), 2);
        slots.bury(2);
        let other = slots.take(HandleKey(400), None, Some(Wanted::Shard(2))).expect("room");
        assert_ne!(other.shard, 2, "a dead shard is nobody's home");
    }
}
