//! Datagrams that are made while others are being received (STUN answers, DTLS records, RTCP):
//! they wait here until the engine can be written to, later in the same turn.

use std::net::SocketAddr;

/// Bytes one turn may hold back; what does not fit is let go and counted, its protocol repeats it.
const CAPACITY: usize = 512 * 1024;

/// One waiting datagram.
#[derive(Clone, Copy, Debug)]
struct Entry {
    socket: u16,
    to: SocketAddr,
    start: usize,
    len: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    bytes: Box<[u8]>,
    used: usize,
    entries: Vec<Entry>,
    refused: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Outbox {
            bytes: vec![0; CAPACITY].into_boxed_slice(),
            used: 0,
            entries: Vec::with_capacity(1024),
            refused: 0,
        }
    }
}

impl Outbox {
    /// Room for a datagram of at most `len` bytes, to be filled and then sent with
    /// [`Outbox::send`]. Empty when there is none.
    pub fn room(&mut self, len: usize) -> &mut [u8] {
        match self.bytes.get_mut(self.used..self.used + len) {
            Some(room) => room,
            None => {
                self.refused += 1;
                &mut []
            }
        }
    }

    /// Queues the first `len` bytes of the last [`Outbox::room`].
    pub fn send(&mut self, socket: u16, to: SocketAddr, len: usize) {
        if len == 0 || self.used + len > self.bytes.len() || self.entries.len() >= 1 << 14 {
            return;
        }
        self.entries.push(Entry { socket, to, start: self.used, len });
        self.used += len;
    }

    /// Queues a copy of a datagram.
    pub fn push(&mut self, socket: u16, to: SocketAddr, datagram: &[u8]) {
        let room = self.room(datagram.len());
        if let Some(room) = room.get_mut(..datagram.len()) {
            room.copy_from_slice(datagram);
            self.send(socket, to, datagram.len());
        }
    }

    /// Hands over everything that waits, oldest first, and is empty after.
    pub fn drain(&mut self, mut each: impl FnMut(u16, SocketAddr, &[u8])) {
        for entry in self.entries.drain(..) {
            each(entry.socket, entry.to, &self.bytes[entry.start..entry.start + entry.len]);
        }
        self.used = 0;
    }

    /// Datagrams that found no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_and_the_rest_is_counted() {
        let mut outbox = Outbox::default();
        let to: SocketAddr = "192.0.2.1:9".parse().expect("address");
        outbox.push(0, to, b"one");
        outbox.push(3, to, b"two");
        assert!(outbox.room(CAPACITY).is_empty());
        assert_eq!(outbox.refused(), 1);
        let mut seen = Vec::new();
        outbox.drain(|socket, _, bytes| seen.push((socket, bytes.to_vec())));
        assert_eq!(seen, [(0, b"one".to_vec()), (3, b"two".to_vec())]);
        outbox.drain(|_, _, _| panic!("empty now"));
        assert_eq!(outbox.room(CAPACITY).len(), CAPACITY);
    }
}
