//! The io_uring engine: receive, wake, send and sleep in one system call a turn.
//!
//! One ring for each shard, used by one thread (`SINGLE_ISSUER`, `DEFER_TASKRUN`: completions
//! are worked off only when this thread asks). Each socket has one multishot `recvmsg` that
//! fills buffers out of one `BufferRing`; it is armed again when the kernel ends it, mostly
//! because the buffers ran out. The bell is a multishot poll, which sees every write as an edge,
//! so nobody reads the eventfd. Sends are `sendmsg` with `MSG_DONTWAIT`, which the kernel
//! finishes, copy included, while it takes them; the arena is reused only when each has
//! reported. Bounds: completions hold at most all buffers, one send each and a few ends of
//! requests, and the completion queue is sized for all of them.

mod buffers;

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use self::buffers::{BufferRing, GROUP, NAME_ROOM};
use crate::bypass::Bypass;
use crate::engine::{
    Arrival, Egress, Engine, EngineCounters, EngineOptions, MAX_SOCKETS, Received, SEND_FLAGS,
    Sockets, Turn,
};
use crate::queue::Doorbell;
use crate::udp::wire::CONTROL_IN_LEN;

/// How long a closing engine waits for its requests to end.
const FAREWELL: types::Timespec = types::Timespec::new().sec(1);

/// What a completion is about; travels as `user_data`, kind in the upper half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Receive(u16),
    Send(u16),
    Bell,
    Cancel,
}

impl Mark {
    fn pack(self) -> u64 {
        match self {
            Self::Receive(socket) => (1 << 32) | u64::from(socket),
            Self::Send(slot) => (2 << 32) | u64::from(slot),
            Self::Bell => 3 << 32,
            Self::Cancel => 4 << 32,
        }
    }

    fn unpack(data: u64) -> Self {
        match data >> 32 {
            1 => Self::Receive(data as u16),
            2 => Self::Send(data as u16),
            3 => Self::Bell,
            _ => Self::Cancel,
        }
    }
}

/// A receive completion not worked off yet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    socket: u16,
    result: i32,
    flags: u32,
}

/// The io_uring engine; see the module's head.
pub struct UringEngine {
    ring: IoUring,
    buffers: BufferRing,
    /// What a multishot receive reads its name and control lengths from, as long as it is armed.
    shape: Box<libc::msghdr>,
    sockets: Sockets,
    /// Keeps the eventfd open as long as it is watched.
    bell: Doorbell,
    egress: Egress,
    /// Sends the kernel has, or will have with the next enter, and not reported.
    in_flight: usize,
    /// The train taken apart, and the buffer it is in.
    arrival: Option<(Arrival, u16)>,
    pending: VecDeque<Pending>,
    /// Sockets whose receive has to be armed.
    unarmed: Vec<u16>,
    bell_unarmed: bool,
    woken: bool,
    counters: EngineCounters,
}

impl UringEngine {
    /// Opens the engine over `sockets`, which also wakes by `bell`, on the thread that will use
    /// it.
    ///
    /// # Errors
    /// When the kernel refuses the ring or something it is made of (the text says which), or
    /// the buffers cannot be mapped.
    pub fn open(
        sockets: Vec<UdpSocket>,
        bell: &Doorbell,
        options: &EngineOptions,
    ) -> io::Result<Self> {
        let egress = Egress::new(options)?;
        let trains = u32::from(options.trains.clamp(1, 1024));
        let completions = 2 * (u32::from(options.buffer_count()) + trains) + 256;
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(completions.next_power_of_two())
            .build((trains + 64).next_power_of_two());
        let ring = ring.map_err(|error| said("io_uring_setup", &error))?;
        let files = ring.submitter().register_files_sparse(MAX_SOCKETS as u32);
        files.map_err(|error| said("file table", &error))?;
        let buffers = BufferRing::register(&ring, options);
        // SAFETY: all-zero is a valid msghdr (null pointers, zero lengths).
        let mut shape: libc::msghdr = unsafe { std::mem::zeroed() };
        shape.msg_namelen = NAME_ROOM as libc::socklen_t;
        shape.msg_controllen = CONTROL_IN_LEN as _;
        let mut engine = Self {
            ring,
            buffers: buffers.map_err(|error| said("buffer ring", &error))?,
            shape: Box::new(shape),
            sockets: Sockets::new(options.capabilities),
            bell: bell.clone(),
            egress,
            in_flight: 0,
            arrival: None,
            pending: VecDeque::with_capacity(completions as usize),
            unarmed: Vec::with_capacity(MAX_SOCKETS),
            bell_unarmed: true,
            woken: false,
            counters: EngineCounters::default(),
        };
        for socket in sockets {
            engine.attach(socket)?;
        }
        engine.try_out()?;
        Ok(engine)
    }

    /// Arms everything once and looks for a kernel that refuses.
    fn try_out(&mut self) -> io::Result<()> {
        self.stage()?;
        self.enter(Some(Duration::ZERO))?;
        self.reap()?;
        let refused = |pending: &&Pending| !matches!(pending.result, 0.. | NO_BUFFERS);
        match self.pending.iter().find(refused) {
            Some(pending) => {
                let error = io::Error::from_raw_os_error(-pending.result);
                Err(said("multishot receive", &error))
            }
            None => Ok(()),
        }
    }

    /// Puts a request into the submission queue, submitting what is there if it is full.
    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: every entry pushed here names files of the ring's own table, descriptors
            // that this engine closes only when the request has ended, and memory of
            // this engine's that neither moves nor is freed while the request lives: the arena
            // and header tables until all sends have reported, the receive shape and the
            // buffers until the ring is gone.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.counters.syscalls += 1;
            calm(self.ring.submit())?;
        }
    }

    /// Puts all that is due into the submission queue: receives to arm, the bell, queued sends.
    fn stage(&mut self) -> io::Result<()> {
        // Buffers still in hand would make an armed receive run dry at once.
        if self.is_caught_up() {
            while let Some(socket) = self.unarmed.pop() {
                // Not by its place in the file table: older kernels, 6.1 among them, keep a file
                // that is taken out of that until all requests from before have ended, and this
                // one lives as long as its socket: ports would stay taken.
                let Some(fd) = self.sockets.fd(socket) else { continue };
                let file = types::Fd(fd);
                let entry = opcode::RecvMsgMulti::new(file, &raw const *self.shape, GROUP);
                self.push(&entry.build().user_data(Mark::Receive(socket).pack()))?;
            }
        }
        if self.bell_unarmed {
            // Neither this one: it lives as long as the ring.
            let bell = types::Fd(self.bell.as_raw_fd());
            let entry = opcode::PollAdd::new(bell, libc::POLLIN as u32);
            self.push(&entry.multi(true).build().user_data(Mark::Bell.pack()))?;
            self.bell_unarmed = false;
        }
        self.stage_sends()
    }

    fn stage_sends(&mut self) -> io::Result<()> {
        self.egress.kick(&mut self.counters);
        for slot in 0..self.egress.queued() {
            let socket = self.egress.socket(slot);
            if self.sockets.fd(socket).is_none() {
                self.settle(slot, Some(libc::EBADF));
                continue;
            }
            let header = self.egress.header(slot).cast::<libc::msghdr>().cast_const();
            let entry = opcode::SendMsg::new(types::Fixed(socket.into()), header);
            let entry = entry.flags(SEND_FLAGS as u32).build();
            self.push(&entry.user_data(Mark::Send(slot as u16).pack()))?;
            self.in_flight += 1;
        }
        self.egress.clear_trains();
        Ok(())
    }

    /// Submits what is staged, works off what is due and sleeps if asked to.
    fn enter(&mut self, wait: Option<Duration>) -> io::Result<()> {
        // Sends report at once; what is slept for is one completion more.
        let want = self.in_flight + 1;
        let queue = self.ring.submission();
        let staged = queue.len();
        let idle = staged == 0 && !queue.taskrun() && !queue.cq_overflow();
        drop(queue);
        let submitter = self.ring.submitter();
        let done = match wait {
            Some(Duration::ZERO) if idle => return Ok(()),
            Some(Duration::ZERO) => {
                let staged = staged as u32;
                // SAFETY: an enter without arguments only works off the queues.
                unsafe { submitter.enter::<libc::sigset_t>(staged, 0, GET_EVENTS, None) }
            }
            None => submitter.submit_and_wait(want),
            Some(wait) => {
                let wait = types::Timespec::from(wait);
                submitter.submit_with_args(want, &types::SubmitArgs::new().timespec(&wait))
            }
        };
        self.counters.syscalls += 1;
        calm(done)
    }

    /// Takes every completion there is, settles the sends, and does not return before all sends
    /// have reported: only then may the arena be written again.
    fn reap(&mut self) -> io::Result<()> {
        loop {
            let mut batch = [const { MaybeUninit::uninit() }; 64];
            let batch = self.ring.completion().fill(&mut batch);
            for completion in &*batch {
                self.sort(completion);
            }
            if !batch.is_empty() {
                continue;
            }
            if self.in_flight == 0 {
                return Ok(());
            }
            // Not seen so far: a send that did not finish while it was submitted.
            self.counters.syscalls += 1;
            calm(self.ring.submit_and_wait(1))?;
        }
    }

    fn sort(&mut self, completion: &cqueue::Entry) {
        let (result, flags) = (completion.result(), completion.flags());
        match Mark::unpack(completion.user_data()) {
            Mark::Receive(socket) => self.pending.push_back(Pending { socket, result, flags }),
            Mark::Send(slot) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.settle(slot.into(), (result < 0).then_some(-result));
            }
            Mark::Bell => {
                self.woken = true;
                self.bell_unarmed |= !cqueue::more(flags);
            }
            Mark::Cancel => {}
        }
    }

    fn settle(&mut self, slot: usize, error: Option<i32>) {
        self.egress.settle(slot, error, &mut self.sockets, &mut self.counters);
    }

    /// True when every completion has been worked off.
    fn is_caught_up(&self) -> bool {
        self.pending.is_empty() && self.arrival.is_none()
    }

    /// Works off receive completions within the budget.
    fn hand_out(&mut self, budget: u32, turn: &mut Turn, on: &mut dyn FnMut(Received<'_>)) {
        while turn.received < budget {
            let Some((mut arrival, buffer)) = self.arrival.take() else {
                let Some(pending) = self.pending.pop_front() else { break };
                self.arrival = self.open_message(pending, turn);
                continue;
            };
            let payload = self.buffers.payload(buffer);
            let given = arrival.hand_out(payload, budget - turn.received, on);
            turn.received += given;
            self.counters.datagrams_in += u64::from(given);
            if arrival.is_done() {
                self.buffers.give_back(buffer);
            } else {
                self.arrival = Some((arrival, buffer));
            }
        }
        self.buffers.publish();
    }

    /// Opens a received message; `None`, with its buffer given back, if it cannot be handed out.
    fn open_message(&mut self, pending: Pending, turn: &mut Turn) -> Option<(Arrival, u16)> {
        let Pending { socket, result, flags } = pending;
        if !cqueue::more(flags) {
            self.ended(socket);
        }
        match result {
            0.. => {}
            NO_BUFFERS => self.counters.enobufs += 1,
            CANCELED => {}
            _ => self.counters.faults += 1,
        }
        let buffer = cqueue::buffer_select(flags)?;
        let arrival = self.read_head(socket, buffer, usize::try_from(result).ok(), turn);
        if arrival.is_none() {
            self.buffers.give_back(buffer);
        }
        Some((arrival?, buffer))
    }

    fn read_head(
        &mut self,
        socket: u16,
        buffer: u16,
        len: Option<usize>,
        turn: &mut Turn,
    ) -> Option<Arrival> {
        let head = self.buffers.head(buffer, len?)?;
        self.sockets.fd(socket)?;
        let lost = self.sockets.lost(socket, head.beside.overflow);
        self.counters.overflowed += u64::from(lost);
        turn.dropped += lost;
        let Some(from) = head.from.filter(|_| !head.cut) else {
            self.counters.truncated += u64::from(head.cut);
            turn.dropped += 1;
            return None;
        };
        let arrival = Arrival::new(socket, from, head.payload_len, head.beside.segment);
        self.counters.bytes_in += head.payload_len as u64;
        self.counters.trains_in += u64::from(arrival.is_train());
        Some(arrival)
    }

    /// The receive of `socket` is over: armed again next time, or the socket's last trace.
    fn ended(&mut self, socket: u16) {
        if self.sockets.fd(socket).is_some() {
            self.unarmed.push(socket);
        } else {
            self.release(socket);
        }
    }

    /// Takes a socket out of the file table and frees its number.
    fn release(&mut self, socket: u16) {
        // Fails only for a number outside the table.
        let _ = self.ring.submitter().register_files_update(socket.into(), &[-1]);
        self.sockets.remove(socket);
    }

    /// Sends everything queued and waits for each report; the arena keeps its bytes.
    fn submit(&mut self) -> io::Result<()> {
        if self.egress.queued() == 0 {
            self.egress.kick(&mut self.counters);
            return Ok(());
        }
        self.stage_sends()?;
        self.enter(Some(Duration::ZERO))?;
        self.reap()
    }
}

/// `IORING_ENTER_GETEVENTS`: works off what became ready since the last enter.
const GET_EVENTS: u32 = 1;
const NO_BUFFERS: i32 = -libc::ENOBUFS;
const CANCELED: i32 = -libc::ECANCELED;

/// An error with the step that met it.
fn said(step: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{step}: {error}"))
}

/// What ends a wait without being an error: the deadline, a signal, a completion queue that has
/// to be emptied first, memory short for the moment.
fn calm(done: io::Result<usize>) -> io::Result<()> {
    match done.as_ref().err().and_then(io::Error::raw_os_error) {
        Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
        _ => done.map(drop),
    }
}

impl Engine for UringEngine {
    fn turn(
        &mut self,
        wait: Option<Duration>,
        budget: u32,
        on: &mut dyn FnMut(Received<'_>),
    ) -> io::Result<Turn> {
        self.stage()?;
        let wait = self.egress.begin(wait);
        let wait = if self.is_caught_up() { wait } else { Some(Duration::ZERO) };
        self.enter(wait)?;
        self.reap()?;
        self.egress.clear();
        let mut turn = Turn { woken: std::mem::take(&mut self.woken), ..Turn::default() };
        self.hand_out(budget.max(1), &mut turn, on);
        Ok(turn)
    }

    fn room(&mut self, len: usize) -> io::Result<&mut [u8]> {
        if !self.egress.fits(len)? {
            self.flush()?;
        }
        Ok(self.egress.room())
    }

    fn send(&mut self, socket: u16, to: SocketAddr, len: usize, segment: u16) {
        let (mut at, mut left) = self.egress.take(len);
        let whole = self.sockets.takes_trains(socket);
        let (sockets, counters) = (&self.sockets, &mut self.counters);
        let gone = self.egress.go_around((socket, to), (at, left), segment, sockets, counters);
        (at, left) = (at + gone, left - gone);
        while left > 0 {
            if self.egress.is_full() && self.submit().is_err() {
                // The ring is dead; the next turn or flush says so.
                return;
            }
            let taken = self.egress.queue((socket, to), (at, left), segment, whole);
            at += taken;
            left -= taken;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.submit()?;
        self.egress.clear();
        Ok(())
    }

    fn attach(&mut self, socket: UdpSocket) -> io::Result<u16> {
        // The ring would hand a non-blocking socket's "nothing there" back to us.
        socket.set_nonblocking(false)?;
        let fd = socket.as_raw_fd();
        let number = self.sockets.insert(socket)?;
        if let Err(error) = self.ring.submitter().register_files_update(number.into(), &[fd]) {
            self.sockets.remove(number);
            return Err(error);
        }
        self.unarmed.push(number);
        Ok(number)
    }

    fn detach(&mut self, socket: u16) {
        // A dead ring has nothing left to send.
        let _ = self.submit();
        self.egress.forget(socket);
        if !self.sockets.close(socket) {
            return;
        }
        if let Some(at) = self.unarmed.iter().position(|&number| number == socket) {
            self.unarmed.swap_remove(at);
            self.release(socket);
            return;
        }
        // Its number is free when the receive has ended.
        let entry = opcode::AsyncCancel::new(Mark::Receive(socket).pack()).build();
        let _ = self.push(&entry.user_data(Mark::Cancel.pack()));
    }

    fn attach_bypass(&mut self, bypass: Bypass) {
        self.egress.attach_bypass(bypass);
    }

    fn holds(&self, socket: u16) -> bool {
        self.sockets.has(socket)
    }

    fn counters(&self) -> EngineCounters {
        self.counters
    }
}

impl Drop for UringEngine {
    fn drop(&mut self) {
        // Nothing may be receiving when the buffers are unmapped, and the sockets' ports are to
        // be free when the engine is gone.
        let submitter = self.ring.submitter();
        let everything = types::CancelBuilder::any();
        let _ = submitter.register_sync_cancel(Some(FAREWELL), everything);
        let _ = submitter.unregister_files();
        let _ = submitter.unregister_buf_ring(GROUP);
    }
}
