//! The provided-buffer ring: memory the kernel picks from when a datagram arrives.
//!
//! Every buffer is either the kernel's (its entry lies between the ring's head and tail) or ours
//! (a completion named it and [`BufferRing::give_back`] has not). That split is what makes
//! [`BufferRing::message`] sound. Bound: the count of buffers, a power of two; when all are ours
//! the kernel stops receiving with ENOBUFS and datagrams wait in the socket.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use crate::engine::{EngineOptions, Region};
use crate::udp::wire::{CONTROL_IN_LEN, Companions, address, companions};

/// The one buffer group of a ring.
pub(super) const GROUP: u16 = 0;

/// `io_uring_recvmsg_out`: name, control and payload lengths and the message's flags, 4 bytes
/// each.
const OUT_LEN: usize = 16;
/// Room for the sender's name: a `sockaddr_in6`, rounded so that what follows is aligned.
pub(super) const NAME_ROOM: usize = 32;
const CONTROL_AT: usize = OUT_LEN + NAME_ROOM;
/// Where the payload starts in every buffer.
const PAYLOAD_AT: usize = CONTROL_AT + CONTROL_IN_LEN;

/// What stands in front of a received payload.
pub(super) struct Head {
    pub(super) from: Option<SocketAddr>,
    pub(super) beside: Companions,
    /// The message was longer than the buffer.
    pub(super) cut: bool,
    pub(super) payload_len: usize,
}

/// The buffers and the ring they are offered in.
pub(super) struct BufferRing {
    entries: Region,
    memory: Region,
    stride: usize,
    count: u16,
    /// Our copy of the ring's tail; the kernel sees it at [`BufferRing::publish`].
    tail: u16,
}

impl BufferRing {
    /// Maps the buffers, registers the ring with `ring` and offers all of them.
    pub(super) fn register(ring: &IoUring, options: &EngineOptions) -> io::Result<Self> {
        let count = options.buffer_count();
        let stride = (PAYLOAD_AT + options.payload_bytes()).next_multiple_of(64);
        let mut buffers = Self {
            entries: Region::new(usize::from(count) * size_of::<BufRingEntry>())?,
            memory: Region::new(usize::from(count) * stride)?,
            stride,
            count,
            tail: 0,
        };
        let base = buffers.entries.at(0) as u64;
        // SAFETY: `entries` is page-aligned, holds `count` entries and is unmapped only after
        // the ring: the engine drops the ring, with all requests cancelled, first.
        unsafe { ring.submitter().register_buf_ring_with_flags(base, count, GROUP, 0)? };
        for buffer in 0..count {
            buffers.give_back(buffer);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// Offers a buffer again. It is the kernel's from the next [`BufferRing::publish`] on.
    pub(super) fn give_back(&mut self, buffer: u16) {
        let slot = usize::from(self.tail & (self.count - 1));
        let entry = self.entries.at(slot * size_of::<BufRingEntry>()).cast::<BufRingEntry>();
        let base = self.memory.at(usize::from(buffer) * self.stride) as u64;
        // SAFETY: `slot` is inside the entry table, which is aligned for it. The kernel reads
        // entries only up to the published tail, and this one is at or past it: at most `count`
        // buffers exist and this one was ours. The tail word, which shares the first entry, is
        // not among the fields written.
        unsafe {
            (*entry).set_addr(base);
            (*entry).set_len(self.stride as u32);
            (*entry).set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was given back.
    pub(super) fn publish(&mut self) {
        let base = self.entries.at(0).cast::<BufRingEntry>();
        // SAFETY: `base` is the first entry of a registered ring, whose reserved field is the
        // ring's tail, 2-aligned; both sides access it atomically. Release: the entries written
        // before it are seen before it.
        unsafe {
            let tail = BufRingEntry::tail(base).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    /// Reads what the kernel put before the payload of a message of `len` bytes in all.
    pub(super) fn head(&mut self, buffer: u16, len: usize) -> Option<Head> {
        let bytes = self.message(buffer);
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (name_len, control_len) = (word(0)? as usize, word(4)? as usize);
        let name = bytes.get(OUT_LEN..OUT_LEN + name_len.min(NAME_ROOM))?;
        let control = bytes.get(CONTROL_AT..CONTROL_AT + control_len.min(CONTROL_IN_LEN))?;
        Some(Head {
            from: address(name),
            beside: companions(control),
            cut: word(12)? as i32 & libc::MSG_TRUNC != 0,
            payload_len: len.checked_sub(PAYLOAD_AT)?,
        })
    }

    /// The payload part of a buffer that is ours.
    pub(super) fn payload(&mut self, buffer: u16) -> &mut [u8] {
        &mut self.message(buffer)[PAYLOAD_AT..]
    }

    /// A whole buffer that is ours.
    fn message(&mut self, buffer: u16) -> &mut [u8] {
        self.memory.slice_mut(usize::from(buffer % self.count) * self.stride, self.stride)
    }
}
