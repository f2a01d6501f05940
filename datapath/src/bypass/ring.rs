//! One device's transmit ring: an `AF_PACKET` socket with `PACKET_TX_RING` (packet(7)), mapped into
//! our memory.
//!
//! A frame is written in place, marked, and one `sendto` hands all marked frames to the driver:
//! no socket layer, no IP, no queueing discipline (`PACKET_QDISC_BYPASS`). The kernel does not copy;
//! a frame comes back when the device is done with it. Each carries a virtio-net header, by which
//! the device computes checksums and, where it can, cuts a train (`VIRTIO_NET_HDR_GSO_UDP_L4`).
//!
//! Bounds: 255 frames of 20 KiB where trains go whole, 2048 of one packet where they do not; 5 or
//! 4 MiB of kernel memory. Frames the driver has no room for stay marked and are offered again; after
//! [`PATIENCE`] offers in vain they are shed, and the ring counts as full for the next [`REST`] tries.

use super::frame::{Frame, LONGEST};
use crate::engine::EngineCounters;
use crate::udp::set_option_at;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where a frame's bytes start: `TPACKET2_HDRLEN - sizeof(struct sockaddr_ll)`.
const DATA_AT: usize = 32;
/// Where its header has the length.
const LEN_AT: usize = 4;
/// Offers in vain before what waits is shed. One comes with each flush, or each millisecond.
const PATIENCE: u32 = 64;
/// Tries that a ring which took nothing is spared.
const REST: u32 = 1024;
/// Bytes that may be under way at once: the ring's own, and the kernel's books.
const SEND_BUFFER: i32 = 32 << 20;

/// How a ring's memory is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    frame: usize,
    a_block: usize,
    blocks: usize,
}

impl Shape {
    /// For whole trains of 16 packets of 1270 bytes. An odd number of pages a frame keeps their
    /// starts out of each other's cache sets; 51 of them fill a block of a megabyte. Twice as many
    /// made a packet 10 % dearer (8 a train): the frames no longer fitted the caches.
    pub(crate) const TRAINS: Shape = Shape { frame: 5 * 4096, a_block: 51, blocks: 5 };
    /// The least, for a trial.
    const TRIAL: Shape = Shape { frame: 4096, a_block: 1, blocks: 2 };

    /// For single packets of a device with this MTU.
    pub(crate) fn singles(mtu: usize) -> Shape {
        let frame = (mtu + DATA_AT + LONGEST).next_power_of_two().clamp(2048, 1 << 17);
        Shape { frame, a_block: (1 << 20) / frame, blocks: 4 }
    }

    fn block(self) -> usize {
        self.frame * self.a_block
    }

    fn frames(self) -> usize {
        self.a_block * self.blocks
    }
}

/// The ring's memory.
#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, and no pointer into it is kept elsewhere; the
// kernel's half of the protocol is about words that are read and written atomically.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(socket: &Socket, len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        let fd = socket.as_raw_fd();
        // SAFETY: a fresh mapping of the socket's ring, at an address of the kernel's choice,
        // aliases nothing of ours.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { base, len })
    }

    /// The word at `at`, a multiple of 4. Panics past the end.
    fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4) && at + 4 <= self.len);
        // SAFETY: inside the mapping, aligned (the mapping is, to pages), and every access to this
        // word, by us and by the kernel, is atomic.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(at).cast()) }
    }

    /// `len` bytes from `at`. Panics past the end. They must be of a frame that is ours, and not
    /// its header.
    fn bytes(&mut self, at: usize, len: usize) -> &mut [u8] {
        assert!(at <= self.len && len <= self.len - at);
        // SAFETY: inside the mapping, zeroed by the kernel when it was made, borrowed from `self`
        // exclusively; the kernel does not touch a frame while its status says it is ours.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(at), len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` and nobody borrows from it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// What a frame holds, for the counters.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    datagrams: u32,
    bytes: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct TxRing {
    // In this order: a socket that goes before its mapping would keep the ring busy.
    memory: Mapping,
    socket: Socket,
    loads: Box<[Load]>,
    frame: usize,
    /// The frame to fill next.
    next: usize,
    /// The first that is marked and that the kernel has not taken.
    first: usize,
    /// How many are.
    waiting: usize,
    in_vain: u32,
    /// Tries it is spared yet.
    resting: u32,
}

impl TxRing {
    /// A ring on the device of this number.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_NET_RAW`; what else the kernel says.
    pub(crate) fn open(device: u32, shape: Shape) -> io::Result<Self> {
        // Protocol 0: it receives nothing.
        let socket = Socket::new(Domain::PACKET, Type::from(libc::SOCK_RAW), None)?;
        let set = |option, value| set_option_at(&socket, libc::SOL_PACKET, option, value);
        set(libc::PACKET_VERSION, 1)?;
        set(libc::PACKET_VNET_HDR, 1)?;
        set(libc::PACKET_QDISC_BYPASS, 1)?;
        if set_option_at(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER).is_err() {
            // Without CAP_NET_ADMIN: as much as the limits give.
            let _ = socket.set_send_buffer_size(SEND_BUFFER as usize);
        }
        set_ring(&socket, shape)?;
        bind(&socket, device)?;
        let memory = Mapping::new(&socket, shape.block() * shape.blocks)?;
        let loads = vec![Load::default(); shape.frames()].into();
        let frame = shape.frame;
        Ok(TxRing {
            memory,
            socket,
            loads,
            frame,
            next: 0,
            first: 0,
            waiting: 0,
            in_vain: 0,
            resting: 0,
        })
    }

    /// Whether this kernel takes trains (`VIRTIO_NET_HDR_GSO_UDP_L4`, since 6.2): tried with one to
    /// nobody on the loopback device.
    pub(crate) fn takes_trains() -> bool {
        use super::frame::{Hop, Marking};
        let device = std::fs::read_to_string("/sys/class/net/lo/ifindex").ok();
        // /sys may belong to another network namespace; loopback is number 1 in each.
        let device = device.and_then(|text| text.trim().parse().ok()).unwrap_or(1);
        let hop = Hop { from: [0; 6], to: [2, 0, 0, 0, 0, 1], vlan: None, mtu: 1500 };
        let (from, to) = (([127, 0, 0, 1], 9).into(), ([127, 0, 0, 1], 9).into());
        let Some(frame) = Frame::new(&hop, from, to, Marking { dscp: 0, hops: 1 }) else {
            return false;
        };
        let mut counters = EngineCounters::default();
        let trial = TxRing::open(device, Shape::TRIAL).is_ok_and(|mut ring| {
            ring.put(&frame, &[0; 200], 100);
            ring.kick(&mut counters);
            ring.waiting == 0
        });
        trial && counters.bypass.datagrams == 2
    }

    /// Payload bytes that one frame takes.
    pub(crate) fn room(&self) -> usize {
        self.frame - DATA_AT - LONGEST
    }

    /// Frames that wait for the driver.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    fn status(&self, frame: usize) -> &AtomicU32 {
        self.memory.word(frame * self.frame)
    }

    /// Writes a frame of `payload`, which the device cuts into `segment` bytes each unless that is
    /// 0. False if the ring is full, or it does not fit a frame.
    #[inline]
    pub(crate) fn put(&mut self, frame: &Frame, payload: &[u8], segment: u16) -> bool {
        if self.resting > 0 {
            self.resting -= 1;
            return false;
        }
        let at = self.next;
        let full = self.waiting == self.loads.len();
        let ours = self.status(at).load(Ordering::Acquire) & OURS_MASK == libc::TP_STATUS_AVAILABLE;
        if full || !ours || payload.len() > self.room() {
            return false;
        }
        let (start, room) = (at * self.frame, self.frame - DATA_AT);
        let out = self.memory.bytes(start + DATA_AT, room);
        let Some(head) = frame.write(out, payload.len(), segment) else { return false };
        let Some(place) = out.get_mut(head..head + payload.len()) else { return false };
        place.copy_from_slice(payload);
        let len = (head + payload.len()) as u32;
        self.memory.word(start + LEN_AT).store(len, Ordering::Relaxed);
        self.status(at).store(libc::TP_STATUS_SEND_REQUEST, Ordering::Release);
        let datagrams = match usize::from(segment) {
            0 => 1,
            segment => payload.len().div_ceil(segment) as u32,
        };
        self.loads[at] = Load { datagrams, bytes: payload.len() as u32 };
        self.next = self.after(at);
        self.waiting += 1;
        true
    }

    fn after(&self, frame: usize) -> usize {
        if frame + 1 == self.loads.len() { 0 } else { frame + 1 }
    }

    /// Offers what waits to the driver; one system call.
    pub(crate) fn kick(&mut self, counters: &mut EngineCounters) {
        if self.waiting == 0 {
            return;
        }
        counters.syscalls += 1;
        let (fd, flags) = (self.socket.as_raw_fd(), libc::MSG_DONTWAIT);
        // SAFETY: no buffer and no address are given; what is sent is in the ring.
        let sent = unsafe { libc::sendto(fd, std::ptr::null(), 0, flags, std::ptr::null(), 0) };
        let error = (sent < 0).then(io::Error::last_os_error);
        let before = self.waiting;
        self.settle(counters);
        let gone = error.as_ref().and_then(io::Error::raw_os_error);
        let gone = matches!(gone, Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV));
        self.in_vain = if self.waiting < before { 0 } else { self.in_vain + 1 };
        if self.waiting > 0 && (gone || self.in_vain >= PATIENCE) {
            self.give_up(counters);
        }
    }

    /// Books what the kernel has taken.
    fn settle(&mut self, counters: &mut EngineCounters) {
        while self.waiting > 0 {
            let status = self.status(self.first).load(Ordering::Acquire);
            if status & OURS_MASK == libc::TP_STATUS_SEND_REQUEST {
                return;
            }
            if status & libc::TP_STATUS_WRONG_FORMAT != 0 {
                // The kernel stays at this frame until it is written anew.
                self.give_up(counters);
                return;
            }
            let load = self.loads[self.first];
            counters.bypass.frames += 1;
            counters.bypass.datagrams += u64::from(load.datagrams);
            counters.datagrams_out += u64::from(load.datagrams);
            counters.bytes_out += u64::from(load.bytes);
            counters.trains_out += u64::from(load.datagrams > 1);
            self.first = self.after(self.first);
            self.waiting -= 1;
        }
    }

    /// Sheds what waits. The next frame is written where the kernel will look for it.
    fn give_up(&mut self, counters: &mut EngineCounters) {
        let mut at = self.first;
        for _ in 0..self.waiting {
            counters.shed += u64::from(self.loads[at].datagrams);
            self.status(at).store(libc::TP_STATUS_AVAILABLE, Ordering::Release);
            at = self.after(at);
        }
        (self.next, self.waiting, self.in_vain, self.resting) = (self.first, 0, 0, REST);
    }
}

/// The bits of a status that say whose the frame is.
const OURS_MASK: u32 =
    libc::TP_STATUS_SEND_REQUEST | libc::TP_STATUS_SENDING | libc::TP_STATUS_WRONG_FORMAT;

fn set_ring(socket: &Socket, shape: Shape) -> io::Result<()> {
    let request = libc::tpacket_req {
        tp_block_size: shape.block() as u32,
        tp_block_nr: shape.blocks as u32,
        tp_frame_size: shape.frame as u32,
        tp_frame_nr: shape.frames() as u32,
    };
    // SAFETY: the value is one readable tpacket_req whose size is given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_TX_RING,
            (&raw const request).cast(),
            size_of::<libc::tpacket_req>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn bind(socket: &Socket, device: u32) -> io::Result<()> {
    // SAFETY: the storage is zeroed and large enough for every kind of address; a sockaddr_ll is
    // written into it, and its length is told.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, len| {
            let link = storage.cast::<libc::sockaddr_ll>();
            (*link).sll_family = libc::AF_PACKET as u16;
            (*link).sll_ifindex = device as i32;
            *len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })
    }?;
    socket.bind(&address)
}
