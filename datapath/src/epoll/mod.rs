//! The epoll twin of the ring: the same engine over `epoll_pwait2`, `recvmmsg` and `sendmmsg`.
//!
//! For hosts that switch io_uring off. Bounds: one batch of at most 64 messages is received at a
//! time, what the turn's budget leaves of it waits here; sends queue in the common egress table.
//! Cost: one `epoll_pwait2` a turn, one `recvmmsg` for each batch of a ready socket and one
//! `sendmmsg` for each run of trains out of one socket.

mod batch;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use self::batch::Batch;
use crate::bypass::Bypass;
use crate::engine::{Egress, Engine, EngineCounters, EngineOptions, Fate, Received, Sockets, Turn};
use crate::queue::Doorbell;

/// Ready sockets taken from the kernel in one turn; the others come first in the next.
const EVENTS: usize = 64;
/// The bell's mark among the ready sockets.
const BELL: u64 = u64::MAX;

/// The epoll engine; see the module's head.
pub struct EpollEngine {
    epoll: OwnedFd,
    sockets: Sockets,
    /// Keeps the eventfd open as long as it is watched.
    _bell: Doorbell,
    batch: Batch,
    egress: Egress,
    counters: EngineCounters,
    events: Box<[libc::epoll_event; EVENTS]>,
    /// `epoll_pwait2` is missing or filtered: deadlines round up to a millisecond.
    coarse: bool,
}

impl EpollEngine {
    /// Opens the engine over `sockets`, which also wakes by `bell`.
    ///
    /// # Errors
    /// What the kernel says to the set-up calls, or to mapping the buffers.
    pub fn open(
        sockets: Vec<UdpSocket>,
        bell: &Doorbell,
        options: &EngineOptions,
    ) -> io::Result<Self> {
        // SAFETY: takes an integer and touches no memory of ours.
        let raw = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: epoll_create1 just returned this descriptor, nobody else owns it.
        let epoll = unsafe { OwnedFd::from_raw_fd(raw) };
        let mut engine = Self {
            epoll,
            sockets: Sockets::new(options.capabilities),
            _bell: bell.clone(),
            batch: Batch::new(options)?,
            egress: Egress::new(options)?,
            counters: EngineCounters::default(),
            events: Box::new([libc::epoll_event { events: 0, u64: 0 }; EVENTS]),
            coarse: false,
        };
        // Edge-triggered: every write of the bell is an edge, so nobody has to read it empty.
        engine.watch(bell.as_raw_fd(), libc::EPOLLIN | libc::EPOLLET, BELL)?;
        for socket in sockets {
            engine.attach(socket)?;
        }
        Ok(engine)
    }

    fn watch(&mut self, fd: RawFd, events: i32, mark: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: mark };
        let epoll = self.epoll.as_raw_fd();
        // SAFETY: the event is one readable value, both descriptors are open.
        let done = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits for readiness; how many events there are.
    fn sleep(&mut self, wait: Option<Duration>) -> io::Result<usize> {
        self.counters.syscalls += 1;
        let ready = if self.coarse { self.wait_ms(wait) } else { self.wait_ns(wait) };
        if ready >= 0 {
            return Ok(ready as usize);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => Ok(0),
            Some(libc::ENOSYS | libc::EPERM) if !self.coarse => {
                self.coarse = true;
                self.sleep(wait)
            }
            _ => Err(error),
        }
    }

    fn wait_ns(&mut self, wait: Option<Duration>) -> i32 {
        let wait = wait.map(|wait| libc::timespec {
            tv_sec: wait.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        });
        let deadline = wait.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let (epoll, events) = (self.epoll.as_raw_fd(), self.events.as_mut_ptr());
        // SAFETY: `events` has room for EVENTS entries, the deadline is null or outlives the
        // call, no signal mask is given.
        unsafe { libc::epoll_pwait2(epoll, events, EVENTS as i32, deadline, std::ptr::null()) }
    }

    fn wait_ms(&mut self, wait: Option<Duration>) -> i32 {
        let up = |wait: Duration| i32::try_from(wait.as_nanos().div_ceil(1_000_000));
        let wait = wait.map_or(-1, |wait| up(wait).unwrap_or(i32::MAX));
        let (epoll, events) = (self.epoll.as_raw_fd(), self.events.as_mut_ptr());
        // SAFETY: `events` has room for EVENTS entries.
        unsafe { libc::epoll_wait(epoll, events, EVENTS as i32, wait) }
    }

    /// Hands out from the batch in hand, within what is left of the budget.
    fn hand_out(&mut self, budget: u32, turn: &mut Turn, on: &mut dyn FnMut(Received<'_>)) {
        let left = budget - turn.received;
        self.batch.hand_out(left, &mut self.sockets, &mut self.counters, turn, on);
    }

    /// Empties one ready socket as far as the budget goes.
    fn receive(
        &mut self,
        socket: u16,
        budget: u32,
        turn: &mut Turn,
        on: &mut dyn FnMut(Received<'_>),
    ) {
        let Some(fd) = self.sockets.fd(socket) else { return };
        while turn.received < budget {
            self.counters.syscalls += 1;
            let (got, all) = match self.batch.receive(socket, fd, budget - turn.received) {
                Ok(taken) => taken,
                Err(error) => {
                    let kind = error.kind();
                    let calm = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
                    self.counters.faults += u64::from(!calm.contains(&kind));
                    return;
                }
            };
            self.hand_out(budget, turn, on);
            if got < all {
                return;
            }
        }
    }

    /// Sends everything queued; the arena keeps its bytes.
    fn submit(&mut self) {
        self.egress.kick(&mut self.counters);
        let mut at = 0;
        while at < self.egress.queued() {
            let socket = self.egress.socket(at);
            let same = |&slot: &usize| self.egress.socket(slot) == socket;
            let end = at + (at..self.egress.queued()).take_while(same).count();
            self.submit_run(socket, at, end);
            at = end;
        }
        self.egress.clear_trains();
    }

    /// Sends the trains `at..end`, all out of one socket.
    fn submit_run(&mut self, socket: u16, mut at: usize, end: usize) {
        let fd = self.sockets.fd(socket);
        // Once the socket is full, the rest of its run is shed without asking again.
        let mut verdict = if fd.is_some() { None } else { Some(libc::EBADF) };
        while at < end {
            let mut error = verdict;
            if let (None, Some(fd)) = (verdict, fd) {
                self.counters.syscalls += 1;
                let headers = self.egress.header(at);
                let count = (end - at) as u32;
                // SAFETY: `headers` starts `count` queued headers whose pointers lead into
                // tables that outlive the call.
                let sent = unsafe { libc::sendmmsg(fd, headers, count, crate::engine::SEND_FLAGS) };
                if sent > 0 {
                    for slot in at..end.min(at + sent as usize) {
                        self.settle(slot, None);
                    }
                    at += sent as usize;
                    continue;
                }
                error = io::Error::last_os_error().raw_os_error();
                if error == Some(libc::EINTR) {
                    continue;
                }
            }
            if self.settle(at, error.or(Some(libc::EINVAL))) == Fate::Full {
                verdict = error;
            }
            at += 1;
        }
    }

    fn settle(&mut self, slot: usize, error: Option<i32>) -> Fate {
        self.egress.settle(slot, error, &mut self.sockets, &mut self.counters)
    }
}

impl Engine for EpollEngine {
    fn turn(
        &mut self,
        wait: Option<Duration>,
        budget: u32,
        on: &mut dyn FnMut(Received<'_>),
    ) -> io::Result<Turn> {
        self.flush()?;
        let wait = self.egress.begin(wait);
        let budget = budget.max(1);
        let mut turn = Turn::default();
        self.hand_out(budget, &mut turn, on);
        let wait = if turn.received > 0 { Some(Duration::ZERO) } else { wait };
        let ready = self.sleep(wait)?;
        for at in 0..ready {
            let mark = self.events[at].u64;
            match u16::try_from(mark) {
                Ok(socket) => self.receive(socket, budget, &mut turn, on),
                Err(_) => turn.woken |= mark == BELL,
            }
        }
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
            if self.egress.is_full() {
                self.submit();
            }
            let taken = self.egress.queue((socket, to), (at, left), segment, whole);
            at += taken;
            left -= taken;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.submit();
        self.egress.clear();
        Ok(())
    }

    fn attach(&mut self, socket: UdpSocket) -> io::Result<u16> {
        socket.set_nonblocking(true)?;
        let fd = socket.as_raw_fd();
        let number = self.sockets.insert(socket)?;
        if let Err(error) = self.watch(fd, libc::EPOLLIN, number.into()) {
            self.sockets.remove(number);
            return Err(error);
        }
        Ok(number)
    }

    fn detach(&mut self, socket: u16) {
        self.submit();
        self.batch.forget(socket);
        self.egress.forget(socket);
        // Closing the only descriptor of a socket takes it off the watch.
        self.sockets.remove(socket);
    }

    fn attach_bypass(&mut self, bypass: Bypass) {
        self.egress.attach_bypass(bypass);
    }

    fn counters(&self) -> EngineCounters {
        self.counters
    }
}
