//! The sockets of one engine, by number.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use crate::udp;

/// Sockets an engine can hold. The ring's file table is that long, and may not be longer than the
/// limit on open files, by default 1024.
pub(crate) const MAX_SOCKETS: usize = 960;

#[derive(Debug)]
struct Entry {
    socket: UdpSocket,
    /// Where it is bound, if the system says so.
    local: Option<SocketAddr>,
    /// Trains may leave here; cleared when the device turned out not to take them.
    trains: bool,
    /// Detached; only the number is still taken.
    closing: bool,
    /// The last overflow count the kernel gave.
    overflow: u32,
}

/// Numbered slots; a number is free again once its socket is removed.
#[derive(Debug)]
pub(crate) struct Sockets {
    slots: Vec<Option<Entry>>,
    gso: bool,
    gro: bool,
}

impl Sockets {
    pub(crate) fn new(capabilities: udp::UdpCapabilities) -> Self {
        Self { slots: Vec::new(), gso: capabilities.gso, gro: capabilities.gro }
    }

    /// Takes a socket, sets what the engine relies on, returns its number.
    pub(crate) fn insert(&mut self, socket: UdpSocket) -> io::Result<u16> {
        // GRO has to match the buffers. A kernel too old to know the option has it off.
        let set = udp::set_gro(&socket, self.gro);
        if self.gro {
            set?;
        }
        // Only a measure hangs on it.
        let _ = udp::report_overflow(&socket);
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let number = u16::try_from(free).ok().filter(|_| free < MAX_SOCKETS);
        let number = number.ok_or_else(|| io::Error::other("960 sockets are attached"))?;
        let local = socket.local_addr().ok();
        let entry = Entry { socket, local, trains: self.gso, closing: false, overflow: 0 };
        match self.slots.get_mut(free) {
            Some(slot) => *slot = Some(entry),
            None => self.slots.push(Some(entry)),
        }
        Ok(number)
    }

    /// Makes a socket unknown while its number stays taken; false if there is none.
    pub(crate) fn close(&mut self, number: u16) -> bool {
        let Some(entry) = self.get_mut(number) else { return false };
        entry.closing = true;
        true
    }

    /// Whether this number is taken.
    pub(crate) fn has(&self, number: u16) -> bool {
        self.slots.get(usize::from(number)).is_some_and(Option::is_some)
    }

    /// Closes a socket for good and frees its number; false if there is none of that number.
    pub(crate) fn remove(&mut self, number: u16) -> bool {
        self.slots.get_mut(usize::from(number)).and_then(Option::take).is_some()
    }

    pub(crate) fn fd(&self, number: u16) -> Option<RawFd> {
        Some(self.get(number)?.socket.as_raw_fd())
    }

    /// The address `number` is bound to.
    pub(crate) fn local(&self, number: u16) -> Option<SocketAddr> {
        self.get(number)?.local
    }

    /// Whether a train may leave `number` whole.
    pub(crate) fn takes_trains(&self, number: u16) -> bool {
        self.get(number).is_some_and(|entry| entry.trains)
    }

    /// Remembers that the device behind `number` does not segment.
    pub(crate) fn refuse_trains(&mut self, number: u16) {
        if let Some(entry) = self.get_mut(number) {
            entry.trains = false;
        }
    }

    /// Takes note of the kernel's overflow count and returns the datagrams lost since the last.
    pub(crate) fn lost(&mut self, number: u16, overflow: Option<u32>) -> u32 {
        let Some((entry, now)) = self.get_mut(number).zip(overflow) else { return 0 };
        let lost = now.wrapping_sub(entry.overflow);
        entry.overflow = now;
        lost
    }

    fn get(&self, number: u16) -> Option<&Entry> {
        self.slots.get(usize::from(number))?.as_ref().filter(|entry| !entry.closing)
    }

    fn get_mut(&mut self, number: u16) -> Option<&mut Entry> {
        self.slots.get_mut(usize::from(number))?.as_mut().filter(|entry| !entry.closing)
    }
}
