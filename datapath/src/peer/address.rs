//! Which peer a media packet belongs to: (local socket, remote address) → slot.
//!
//! Only an integrity-checked STUN request or response fills this table, at most
//! [`PER_PEER`] entries a peer, so nobody without a peer's password can grow it or take another
//! peer's place. Keys are still chosen by peers, hence the secret in the hash.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, SocketAddr};

/// Entries a peer may have: more than a browser's working pairs, less than an attacker's wishes.
pub const PER_PEER: usize = 8;

/// A remote address, folded to one comparable word: 128 bits of address, the port, and the local
/// socket it was seen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    address: u128,
    rest: u64,
}

impl Key {
    fn new(socket: u16, from: SocketAddr) -> Self {
        let (address, family) = match from.ip() {
            IpAddr::V4(ip) => (u128::from(u32::from(ip)), 4u64),
            IpAddr::V6(ip) => (u128::from(ip), 6),
        };
        let rest = u64::from(from.port()) | u64::from(socket) << 16 | family << 32;
        Key { address, rest }
    }
}

impl std::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.address as u64);
        state.write_u64((self.address >> 64) as u64);
        state.write_u64(self.rest);
    }
}

/// Multiply-and-fold of each word under a secret: two multiplications a word, no table.
#[derive(Clone, Debug)]
struct Fold {
    state: u64,
    secret: u64,
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let wide = u128::from(self.state ^ word)
            .wrapping_mul(u128::from(self.secret | 1) << 32 | u128::from(self.secret));
        self.state = (wide as u64) ^ ((wide >> 64) as u64) ^ self.secret.rotate_left(23);
    }
}

#[derive(Clone, Debug)]
struct Secret(u64);

impl BuildHasher for Secret {
    type Hasher = Fold;
    fn build_hasher(&self) -> Fold {
        Fold { state: self.0.rotate_left(31), secret: self.0 }
    }
}

/// See the module.
#[derive(Debug)]
pub struct AddressTable {
    slots: HashMap<Key, u32, Secret>,
}

impl AddressTable {
    /// An empty table; `secret` is random.
    pub fn new(secret: u64) -> Self {
        AddressTable { slots: HashMap::with_capacity_and_hasher(1024, Secret(secret)) }
    }

    /// The slot of the peer that sends from here.
    #[inline]
    pub fn get(&self, socket: u16, from: SocketAddr) -> Option<u32> {
        self.slots.get(&Key::new(socket, from)).copied()
    }

    /// Gives the address to a slot, taking it from whoever had it: an address that now proves
    /// another peer's password is that peer's (browsers reuse ports).
    pub fn insert(&mut self, socket: u16, from: SocketAddr, slot: u32) {
        self.slots.insert(Key::new(socket, from), slot);
    }

    /// Takes the address back, if it still is that slot's.
    pub fn remove(&mut self, socket: u16, from: SocketAddr, slot: u32) {
        let key = Key::new(socket, from);
        if self.slots.get(&key) == Some(&slot) {
            self.slots.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_last_peer_that_proved_itself() {
        let mut table = AddressTable::new(0x9e37_79b9_7f4a_7c15);
        let from: SocketAddr = "192.0.2.1:5000".parse().expect("address");
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:5000".parse().expect("address");
        table.insert(0, from, 1);
        assert_eq!(table.get(0, from), Some(1));
        assert_eq!(table.get(1, from), None, "another local socket");
        assert_eq!(table.get(0, mapped), None, "another family");
        table.insert(0, from, 2);
        table.remove(0, from, 1);
        assert_eq!(table.get(0, from), Some(2), "no longer the first peer's to take back");
        table.remove(0, from, 2);
        assert_eq!(table.get(0, from), None);
    }
}
