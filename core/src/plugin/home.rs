//! Where a PeerConnection had best live (design §4, placement).

use std::hash::{DefaultHasher, Hash, Hasher};

/// The shard that a handle's next PeerConnection is wanted on. What shares a shard is forwarded
/// without a copy to another core, so what belongs together has one home; where that is much fuller
/// than another shard, the host chooses the emptier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// The same for all with this key, whichever that is.
    Key(u64),
    /// This one.
    Shard(u8),
}

impl Home {
    /// The home of all that belongs to `what`, a room for instance.
    pub fn of(what: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Home::Key(hasher.finish())
    }

    /// The shard it stands for, of so many.
    pub fn shard(self, shards: usize) -> u8 {
        let count = shards.clamp(1, 256) as u64;
        match self {
            Home::Key(key) => (key % count) as u8,
            Home::Shard(shard) => shard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_has_one_home_and_many_rooms_use_all_shards() {
        assert_eq!(Home::of(&"room"), Home::of(&"room"));
        let mut rooms = [0; 4];
        for room in 0..400u64 {
            rooms[usize::from(Home::of(&room).shard(4))] += 1;
        }
        assert!(rooms.iter().all(|count| *count > 60), "{rooms:?}");
        assert_eq!((Home::Key(9).shard(0), Home::Shard(3).shard(8)), (0, 3));
    }
}
