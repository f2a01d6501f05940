//! One batch of received messages and how far it has been handed out.

use std::io;
use std::os::fd::RawFd;

use crate::engine::{Arrival, EngineCounters, EngineOptions, Received, Region, Sockets, Turn};
use crate::udp::wire::{CONTROL_IN_LEN, Name, address, companions};

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct ControlIn([u8; CONTROL_IN_LEN]);

/// The tables `recvmmsg` fills, and the place reached in them. The headers' pointers lead into
/// the other tables, which never move.
pub(super) struct Batch {
    buffers: Region,
    stride: usize,
    names: Box<[Name]>,
    controls: Box<[ControlIn]>,
    parts: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    socket: u16,
    count: usize,
    next: usize,
    /// The message at `next - 1`, if it still holds datagrams.
    arrival: Option<Arrival>,
}

impl Batch {
    pub(super) fn new(options: &EngineOptions) -> io::Result<Self> {
        let size = usize::from(options.buffer_count() / 16).clamp(1, 64);
        let stride = options.payload_bytes();
        // SAFETY: all-zero is a valid iovec and a valid mmsghdr (null pointers, zero lengths).
        let (part, header) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let mut batch = Self {
            buffers: Region::new(size * stride)?,
            stride,
            names: vec![Name::EMPTY; size].into(),
            controls: vec![ControlIn([0; CONTROL_IN_LEN]); size].into(),
            parts: vec![part; size].into(),
            headers: vec![header; size].into(),
            socket: 0,
            count: 0,
            next: 0,
            arrival: None,
        };
        for at in 0..size {
            let base = batch.buffers.at(at * stride).cast();
            batch.parts[at] = libc::iovec { iov_base: base, iov_len: stride };
            let header = &mut batch.headers[at].msg_hdr;
            header.msg_name = batch.names[at].0.as_mut_ptr().cast();
            header.msg_iov = &raw mut batch.parts[at];
            header.msg_iovlen = 1;
            header.msg_control = batch.controls[at].0.as_mut_ptr().cast();
        }
        Ok(batch)
    }

    /// Fills the batch, which must have been handed out, with at most `most` messages; how many
    /// came and how many could have.
    ///
    /// # Errors
    /// `WouldBlock` when none waits; else what the kernel says.
    pub(super) fn receive(
        &mut self,
        socket: u16,
        fd: RawFd,
        most: u32,
    ) -> io::Result<(usize, usize)> {
        debug_assert!(self.next == self.count && self.arrival.is_none());
        let all = self.headers.len().min(most as usize);
        for header in self.headers.iter_mut().take(all) {
            header.msg_hdr.msg_namelen = size_of::<Name>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = CONTROL_IN_LEN as _;
        }
        let headers = self.headers.as_mut_ptr();
        // SAFETY: the first `all` headers are valid and lead into tables of ours that nobody
        // borrows from now; no timeout is given.
        let got = unsafe {
            libc::recvmmsg(fd, headers, all as u32, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        if got < 0 {
            return Err(io::Error::last_os_error());
        }
        (self.socket, self.count, self.next) = (socket, got as usize, 0);
        Ok((got as usize, all))
    }

    /// Hands out at most `budget` datagrams of what is in the batch.
    pub(super) fn hand_out(
        &mut self,
        budget: u32,
        sockets: &mut Sockets,
        counters: &mut EngineCounters,
        turn: &mut Turn,
        on: &mut dyn FnMut(Received<'_>),
    ) {
        let mut left = budget;
        while left > 0 {
            let Some(mut arrival) = self.arrival.take() else {
                if self.next == self.count {
                    return;
                }
                self.arrival = self.open(sockets, counters, turn);
                continue;
            };
            let payload = self.buffers.slice_mut((self.next - 1) * self.stride, self.stride);
            let given = arrival.hand_out(payload, left, on);
            left -= given;
            turn.received += given;
            counters.datagrams_in += u64::from(given);
            self.arrival = (!arrival.is_done()).then_some(arrival);
        }
    }

    /// Opens the next message; `None` if it cannot be handed out.
    fn open(
        &mut self,
        sockets: &mut Sockets,
        counters: &mut EngineCounters,
        turn: &mut Turn,
    ) -> Option<Arrival> {
        let at = self.next;
        self.next += 1;
        let header = &self.headers[at];
        let len = header.msg_len as usize;
        let control = header.msg_hdr.msg_controllen.min(CONTROL_IN_LEN);
        let beside = companions(&self.controls[at].0[..control]);
        let lost = sockets.lost(self.socket, beside.overflow);
        counters.overflowed += u64::from(lost);
        turn.dropped += lost;
        let name = size_of::<Name>().min(header.msg_hdr.msg_namelen as usize);
        let from = address(self.names[at].0.get(..name)?);
        let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        let Some(from) = from.filter(|_| !cut) else {
            counters.truncated += u64::from(cut);
            turn.dropped += 1;
            return None;
        };
        let arrival = Arrival::new(self.socket, from, len, beside.segment);
        counters.bytes_in += len as u64;
        counters.trains_in += u64::from(arrival.is_train());
        Some(arrival)
    }

    /// Drops what came from `socket` and was not handed out.
    pub(super) fn forget(&mut self, socket: u16) {
        if self.socket == socket {
            self.next = self.count;
            self.arrival = None;
        }
    }
}
