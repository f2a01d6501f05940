//! What both engines send from: one arena of packet bytes and a table of trains queued in it.
//!
//! A queued train is a ready `msghdr` whose pointers lead into the tables here, which never
//! move. The engine hands those headers to the kernel and reports each one's fate; only when
//! every queued train has met its fate is the arena empty again. A send always says
//! `MSG_DONTWAIT`: a full socket then refuses at once, where io_uring would otherwise keep the
//! request and send later, from bytes that by then belong to another packet.

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::Duration;

use super::{EngineCounters, EngineOptions, Region, Sockets};
use crate::bypass::Bypass;
use crate::udp::wire::{CONTROL_OUT_LEN, ControlOut, Name};

/// `UDP_MAX_SEGMENTS` of the oldest kernel we run on.
const MAX_SEGMENTS: usize = 64;
/// The longest UDP payload over IPv4: 65535 less 20 and 8 bytes of headers.
const MAX_TRAIN_BYTES: usize = 65_507;
/// Where packets start, for the vector kernels that write them.
const ALIGN: usize = 64;
pub(crate) const SEND_FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// One queued train.
#[derive(Debug, Clone, Copy, Default)]
struct Train {
    socket: u16,
    at: usize,
    len: usize,
    /// 0: one datagram.
    segment: u16,
}

impl Train {
    fn datagrams(&self) -> u64 {
        match self.segment {
            0 => 1,
            segment => self.len.div_ceil(usize::from(segment)) as u64,
        }
    }
}

/// What became of a queued train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The kernel has it.
    Sent,
    /// The socket buffer or a device queue is full: shed.
    Full,
    /// Refused for another reason; what could be saved was sent singly.
    Refused,
}

/// The arena and the table. Bounds: `egress_bytes`, `trains`.
pub(crate) struct Egress {
    arena: Region,
    used: usize,
    trains: Box<[Train]>,
    names: Box<[Name]>,
    controls: Box<[ControlOut]>,
    parts: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    queued: usize,
    bypass: Option<Box<Bypass>>,
}

/// How soon a driver that had no room is offered the same again.
const AGAIN: Duration = Duration::from_millis(1);

impl Egress {
    pub(crate) fn new(options: &EngineOptions) -> io::Result<Self> {
        let slots = usize::from(options.trains.clamp(1, 1024));
        // SAFETY: all-zero is a valid iovec and a valid mmsghdr (null pointers, zero lengths).
        let (part, header) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        Ok(Self {
            arena: Region::new(options.egress_bytes)?,
            used: 0,
            trains: vec![Train::default(); slots].into(),
            names: vec![Name::EMPTY; slots].into(),
            controls: vec![ControlOut::new(); slots].into(),
            parts: vec![part; slots].into(),
            headers: vec![header; slots].into(),
            queued: 0,
            bypass: None,
        })
    }

    /// Trains queued.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queued == self.trains.len()
    }

    /// Whether `len` bytes fit beside what is queued.
    ///
    /// # Errors
    /// When they would not fit an empty arena either.
    pub(crate) fn fits(&self, len: usize) -> io::Result<bool> {
        if len > self.arena.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "longer than the arena"));
        }
        Ok(len <= self.arena.len() - self.used)
    }

    /// The free rest of the arena.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.arena.slice_mut(self.used, self.arena.len() - self.used)
    }

    /// Queues as much of `bytes` (a range of the arena) as one send can carry, and returns how
    /// much. There must be a free slot.
    pub(crate) fn queue(
        &mut self,
        (socket, to): (u16, SocketAddr),
        (at, len): (usize, usize),
        segment: u16,
        whole: bool,
    ) -> usize {
        let piece = usize::from(segment);
        let len = match piece {
            0 => len,
            piece if piece >= len => len,
            piece if whole => len.min(piece * (MAX_TRAIN_BYTES / piece).clamp(1, MAX_SEGMENTS)),
            piece => piece,
        };
        let segment = if piece < len { segment } else { 0 };
        let slot = self.queued;
        self.trains[slot] = Train { socket, at, len, segment };
        self.parts[slot] = libc::iovec { iov_base: self.arena.at(at).cast(), iov_len: len };
        let header = &mut self.headers[slot].msg_hdr;
        header.msg_namelen = self.names[slot].set(to);
        header.msg_name = self.names[slot].0.as_mut_ptr().cast();
        header.msg_iov = &raw mut self.parts[slot];
        header.msg_iovlen = 1;
        if segment == 0 {
            header.msg_control = std::ptr::null_mut();
            header.msg_controllen = 0;
        } else {
            self.controls[slot].set(segment);
            header.msg_control = self.controls[slot].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_OUT_LEN as _;
        }
        self.queued += 1;
        len
    }

    /// Where the next room starts, and moves it past `len` bytes taken from it.
    pub(crate) fn take(&mut self, len: usize) -> (usize, usize) {
        let at = self.used;
        let len = len.min(self.arena.len() - at);
        self.used = (at + len).next_multiple_of(ALIGN).min(self.arena.len());
        (at, len)
    }

    /// From now on, sends what can leave by a packet ring that way.
    pub(crate) fn attach_bypass(&mut self, bypass: Bypass) {
        self.bypass = Some(Box::new(bypass));
    }

    /// Sends what can leave by a packet ring that way; returns how many bytes of `len` at `at` that
    /// are.
    #[inline]
    pub(crate) fn go_around(
        &mut self,
        (socket, to): (u16, SocketAddr),
        (at, len): (usize, usize),
        segment: u16,
        sockets: &Sockets,
        counters: &mut EngineCounters,
    ) -> usize {
        let Some(bypass) = &mut self.bypass else { return 0 };
        let Some(local) = sockets.local(socket) else { return 0 };
        let bytes = self.arena.slice_mut(at, len);
        bypass.send((socket, local), to, bytes, segment, counters)
    }

    /// Takes what is known anew of ways around; once a turn. Returns how long the turn may sleep.
    pub(crate) fn begin(&mut self, wait: Option<Duration>) -> Option<Duration> {
        let Some(bypass) = &mut self.bypass else { return wait };
        bypass.listen();
        if bypass.is_waiting() { Some(wait.map_or(AGAIN, |wait| wait.min(AGAIN))) } else { wait }
    }

    /// Has drivers take what was written for them.
    #[inline]
    pub(crate) fn kick(&mut self, counters: &mut EngineCounters) {
        if let Some(bypass) = &mut self.bypass {
            bypass.kick(counters);
        }
    }

    /// A socket is closed, and its number free.
    pub(crate) fn forget(&mut self, socket: u16) {
        if let Some(bypass) = &mut self.bypass {
            bypass.forget(socket);
        }
    }

    /// The socket a slot leaves by.
    pub(crate) fn socket(&self, slot: usize) -> u16 {
        self.trains[slot].socket
    }

    /// The header of a slot and of those after it, for the kernel. Valid until the slots are
    /// cleared.
    pub(crate) fn header(&mut self, slot: usize) -> *mut libc::mmsghdr {
        &raw mut self.headers[slot]
    }

    /// Books the fate of a train: `error` is what the kernel answered, if it refused.
    pub(crate) fn settle(
        &mut self,
        slot: usize,
        error: Option<i32>,
        sockets: &mut Sockets,
        counters: &mut EngineCounters,
    ) -> Fate {
        let train = self.trains[slot];
        match error {
            None => {
                counters.datagrams_out += train.datagrams();
                counters.bytes_out += train.len as u64;
                counters.trains_out += u64::from(train.segment != 0);
                Fate::Sent
            }
            Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => {
                counters.shed += train.datagrams();
                Fate::Full
            }
            // EIO: the device computes no checksums, so it cannot segment. The others: a
            // segment is longer than the path's MTU; singly, the kernel fragments it.
            Some(error @ (libc::EIO | libc::EINVAL | libc::EMSGSIZE)) if train.segment != 0 => {
                if error == libc::EIO {
                    sockets.refuse_trains(train.socket);
                }
                counters.unhitched += 1;
                if let Some(fd) = sockets.fd(train.socket) {
                    self.send_singly(slot, fd, counters);
                }
                Fate::Refused
            }
            Some(_) => {
                counters.refused += train.datagrams();
                Fate::Refused
            }
        }
    }

    /// The slow way for a train that cannot leave whole.
    fn send_singly(&mut self, slot: usize, fd: RawFd, counters: &mut EngineCounters) {
        let train = self.trains[slot];
        let header = self.headers[slot].msg_hdr;
        let mut at = 0;
        while at < train.len {
            let len = usize::from(train.segment).min(train.len - at);
            // SAFETY: the bytes are a queued train's, inside the arena; the name belongs to the
            // same slot; both outlive the call.
            let sent = unsafe {
                let bytes = self.arena.at(train.at + at).cast();
                libc::sendto(fd, bytes, len, SEND_FLAGS, header.msg_name.cast(), header.msg_namelen)
            };
            counters.syscalls += 1;
            if sent >= 0 {
                counters.datagrams_out += 1;
                counters.bytes_out += len as u64;
            } else {
                match io::Error::last_os_error().raw_os_error() {
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => counters.shed += 1,
                    _ => counters.refused += 1,
                }
            }
            at += len;
        }
    }

    /// Forgets the queued trains, all settled; their bytes stay untouched until
    /// [`Egress::clear`].
    pub(crate) fn clear_trains(&mut self) {
        self.queued = 0;
    }

    /// Empties the arena too.
    pub(crate) fn clear(&mut self) {
        self.queued = 0;
        self.used = 0;
    }
}
