//! The datagrams between an engine and its OpenSSL connection, in memory.
//!
//! In: the sifted records of one datagram, handed out one a read, so that OpenSSL never holds back
//! a record behind our back. Out: at most [`MAX_OUTPUT`] datagrams to send, and the copies of the
//! current flight that wait for their time.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use bifrons_core::dtls::record::{Records, sift};
use bifrons_core::dtls::{MAX_DATAGRAM, Role};

use super::flight::{self, Writing};

/// Datagrams that may wait to be polled; a flight has at most about ten.
const MAX_OUTPUT: usize = 64;

/// Datagrams kept of one copy of a flight.
const MAX_COPY: usize = 24;

/// Datagrams to send, bounded.
#[derive(Default)]
pub(super) struct Outgoing {
    queue: VecDeque<Vec<u8>>,
    /// Datagrams refused for want of room.
    pub(super) dropped: u64,
}

impl Outgoing {
    pub(super) fn push(&mut self, datagram: Vec<u8>) {
        if self.is_full() {
            self.dropped += 1;
        } else {
            self.queue.push_back(datagram);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= MAX_OUTPUT
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Copies of all but the first `count`.
    pub(super) fn since(&self, count: usize) -> Vec<Vec<u8>> {
        self.queue.iter().skip(count).cloned().collect()
    }

    /// Writes the next one to `out`; one that does not fit is dropped.
    pub(super) fn pop(&mut self, out: &mut [u8]) -> Option<usize> {
        loop {
            let Some(datagram) = self.queue.pop_front() else {
                self.queue.shrink_to(0);
                return None;
            };
            if let Some(place) = out.get_mut(..datagram.len()) {
                place.copy_from_slice(&datagram);
                return Some(datagram.len());
            }
            self.dropped += 1;
        }
    }
}

#[derive(Default)]
pub(super) struct Wire {
    input: Vec<u8>,
    read: usize,
    pub(super) output: Outgoing,
    copies: VecDeque<Vec<Vec<u8>>>,
    /// The flight the copies are of.
    flight: u32,
    /// First record number and explicit nonce of epoch 1 that OpenSSL has not used.
    sealed: Option<(u64, u64)>,
    /// Records sifted out, and copies that found no room.
    pub(super) dropped: u64,
}

impl Wire {
    /// Makes a received datagram's plausible records the input.
    pub(super) fn receive(&mut self, role: Role, connected: bool, datagram: &[u8]) {
        self.read = 0;
        self.dropped += u64::from(sift(role, connected, datagram, &mut self.input));
    }

    /// The records not yet read, which are then no longer there.
    pub(super) fn take_unread(&mut self) -> Vec<u8> {
        let read = std::mem::take(&mut self.read);
        std::mem::take(&mut self.input).split_off(read)
    }

    /// Moves the next copy of the current flight to the output; false when none is left.
    pub(super) fn resend(&mut self) -> bool {
        match self.copies.pop_front() {
            Some(copy) => {
                copy.into_iter().for_each(|datagram| self.output.push(datagram));
                true
            }
            None => false,
        }
    }

    /// Forgets the copies, and gives memory back, once the handshake is over.
    pub(super) fn settle(&mut self) {
        self.copies = VecDeque::new();
    }

    /// Where to go on numbering records under the new keys, copies included; `None` before any.
    pub(super) fn sealed(&self) -> Option<(u64, u64)> {
        self.sealed
    }

    fn note_sealed(&mut self, datagram: &[u8]) {
        for record in Records::new(datagram).filter(|record| record.epoch == 1) {
            let next = record.sequence + 1;
            if self.sealed.is_none_or(|(so_far, _)| next > so_far) {
                let explicit = record.body.first_chunk().map_or(0, |n| u64::from_be_bytes(*n));
                self.sealed = Some((next, explicit.wrapping_add(1)));
            }
        }
    }

    fn put_aside(&mut self, copy: u8, datagram: Vec<u8>) {
        while self.copies.len() <= usize::from(copy) {
            self.copies.push_back(Vec::new());
        }
        match self.copies.back_mut() {
            Some(copy) if copy.len() < MAX_COPY => copy.push(datagram),
            _ => self.dropped += 1,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        flight::reading();
        let rest = self.input.get(self.read..).unwrap_or_default();
        let Some(record) = Records::new(rest).next() else {
            self.take_unread();
            return Err(io::ErrorKind::WouldBlock.into());
        };
        self.read += record.bytes.len();
        let len = record.bytes.len().min(buf.len());
        buf[..len].copy_from_slice(&record.bytes[..len]);
        Ok(len)
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let (number, writing) = flight::current();
        if number != self.flight {
            self.flight = number;
            self.copies.clear();
        }
        self.note_sealed(buf);
        match writing {
            _ if buf.len() > MAX_DATAGRAM => self.dropped += 1,
            Writing::Now => self.output.push(buf.to_vec()),
            Writing::Copy(copy) => self.put_aside(copy, buf.to_vec()),
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
