//! The thread around some lanes: rings, clock, sleep, and what happens when it dies.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::lane::{Lane, LaneCounters, LaneLimits};
use super::message::{FromLane, ToLane};
use super::outbox::Outbox;
use crate::dtls_openssl::DtlsContext;
use crate::queue::{Doorbell, Rx, Tx, link};

/// Messages taken from one shard before the next has its turn.
const TURN: usize = 16;

/// Between two reports of the counters.
const REPORT: Duration = Duration::from_secs(1);

/// Sleep while a shard's ring is full: nobody rings when it has room again.
const BACKLOG_SLEEP: Duration = Duration::from_millis(1);

/// Longest sleep, so that abandoned rings are noticed.
const IDLE_SLEEP: Duration = Duration::from_secs(1);

/// A shard's two rings, lane ends. The reading one must ring the thread's bell.
#[derive(Debug)]
pub struct LanePort {
    /// What the shard asks.
    pub from_shard: Rx<ToLane>,
    /// What it is answered.
    pub to_shard: Tx<FromLane>,
}

/// A running handshake thread, as its owner holds it. Dropping it stops the thread.
#[derive(Debug)]
pub struct LaneThread {
    handle: Option<JoinHandle<Work>>,
    stop: Tx<()>,
    reports: rtrb::Consumer<(usize, LaneCounters)>,
    latest: HashMap<usize, LaneCounters>,
    restarts: u32,
}

impl LaneThread {
    /// Starts a thread with one lane for each port. `bell` must be the one that the shards'
    /// ends of the ports ring.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn spawn(
        context: DtlsContext,
        limits: LaneLimits,
        ports: Vec<LanePort>,
        bell: &Doorbell,
    ) -> io::Result<LaneThread> {
        let (stop, stopped) = link(1, bell);
        let (report, reports) = rtrb::RingBuffer::new(ports.len().max(1) * 4);
        let desks = ports.into_iter().map(|port| Desk::new(&context, limits, port)).collect();
        let work =
            Work { context, limits, desks, bell: bell.clone(), stopped, report, died: false };
        let handle = Some(start(work)?);
        Ok(LaneThread { handle, stop, reports, latest: HashMap::new(), restarts: 0 })
    }

    /// Looks after the thread; call it now and then (each second will do). If it died it is
    /// started anew with empty lanes, its peers get what [`FromLane::Restarted`] says, and the
    /// answer is true. It never waits.
    ///
    /// # Errors
    /// When the operating system gives no thread; the lanes are then gone for good.
    pub fn check(&mut self) -> io::Result<bool> {
        if !self.handle.as_ref().is_some_and(JoinHandle::is_finished) {
            return Ok(false);
        }
        let Some(Ok(mut work)) = self.handle.take().map(JoinHandle::join) else {
            return Err(io::Error::other("handshake thread left nothing behind"));
        };
        if !work.died {
            return Ok(false);
        }
        self.restarts += 1;
        tracing::error!(restarts = self.restarts, "handshake thread died; starting it anew");
        work.recover();
        self.handle = Some(start(work)?);
        Ok(true)
    }

    /// Times the thread was started anew.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// The lanes' counters summed, at most a second old. They begin at nothing after a restart.
    pub fn counters(&mut self) -> LaneCounters {
        while let Ok((desk, counters)) = self.reports.pop() {
            self.latest.insert(desk, counters);
        }
        self.latest.values().copied().fold(LaneCounters::default(), LaneCounters::plus)
    }
}

impl Drop for LaneThread {
    fn drop(&mut self) {
        // Full means that it was asked already.
        let _ = self.stop.push(());
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

/// One shard's lane with its rings.
struct Desk {
    lane: Lane,
    outbox: Outbox,
    port: LanePort,
}

impl Desk {
    fn new(context: &DtlsContext, limits: LaneLimits, port: LanePort) -> Desk {
        let lane = Lane::new(context.clone(), limits);
        Desk { outbox: lane.outbox(), lane, port }
    }

    /// Takes some messages; whether more may wait.
    fn turn(&mut self, now: Instant) -> bool {
        let mut count = 0;
        while count < TURN {
            let Some(message) = self.port.from_shard.pop() else { break };
            count += 1;
            self.lane.handle(now, message, &mut self.outbox);
            // A flight may have cost half a millisecond; the peer should not wait for the rest.
            self.flush();
        }
        self.lane.tick(now, &mut self.outbox);
        self.flush();
        count == TURN
    }

    /// Gives the shard what its ring has room for.
    fn flush(&mut self) {
        let mut put = false;
        while self.port.to_shard.room() > 0 {
            let Some(message) = self.outbox.pop() else { break };
            if let Err(message) = self.port.to_shard.put(message) {
                self.outbox.put_back(message);
                break;
            }
            put = true;
        }
        if put {
            self.port.to_shard.ring();
        }
    }
}

/// What the thread works on; comes back through its join handle when it ends.
struct Work {
    context: DtlsContext,
    limits: LaneLimits,
    desks: Vec<Desk>,
    bell: Doorbell,
    stopped: Rx<()>,
    report: rtrb::Producer<(usize, LaneCounters)>,
    died: bool,
}

fn start(mut work: Work) -> io::Result<JoinHandle<Work>> {
    std::thread::Builder::new().name("bifrons-dtls".into()).spawn(move || {
        let ended = catch_unwind(AssertUnwindSafe(|| work.run()));
        work.died = ended.is_err();
        work
    })
}

impl Work {
    fn run(&mut self) {
        let mut reported: Option<Instant> = None;
        while !self.is_over() {
            let now = Instant::now();
            let more = self.desks.iter_mut().fold(false, |more, desk| desk.turn(now) | more);
            if reported.is_none_or(|at| now.saturating_duration_since(at) >= REPORT) {
                reported = Some(now);
                self.report();
            }
            if !more {
                self.sleep(now);
            }
        }
    }

    fn is_over(&mut self) -> bool {
        let gone =
            |desk: &Desk| desk.port.from_shard.is_abandoned() && desk.port.from_shard.is_empty();
        self.stopped.pop().is_some() || self.desks.iter().all(gone)
    }

    fn report(&mut self) {
        for (number, desk) in self.desks.iter().enumerate() {
            // Nobody reads fast enough: then the next report says it.
            let _ = self.report.push((number, desk.lane.counters()));
        }
    }

    fn sleep(&mut self, now: Instant) {
        let due = self.desks.iter().filter_map(|desk| desk.lane.next_deadline()).min();
        let mut wait = due.map_or(IDLE_SLEEP, |at| at.saturating_duration_since(now));
        if self.desks.iter().any(|desk| !desk.outbox.is_empty()) {
            wait = wait.min(BACKLOG_SLEEP);
        }
        let idle = || {
            self.stopped.is_empty() && self.desks.iter().all(|desk| desk.port.from_shard.is_empty())
        };
        if self.bell.may_sleep(idle) {
            wait_readable(&self.bell, wait.min(IDLE_SLEEP));
            self.bell.awake();
            self.bell.silence();
        }
    }

    /// New lanes for old; the peers hear of it.
    fn recover(&mut self) {
        for desk in &mut self.desks {
            desk.lane.abandon(&mut desk.outbox);
            desk.lane = Lane::new(self.context.clone(), self.limits);
        }
        self.died = false;
    }
}

/// Waits until the bell is struck, or `wait` is over; whole milliseconds, rounded up.
fn wait_readable(bell: &Doorbell, wait: Duration) {
    let ms = wait.as_micros().div_ceil(1000).min(60_000) as i32;
    let mut event = libc::pollfd { fd: bell.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd that outlives the call. Whatever it answers, an interrupt
    // included, the caller looks into its rings again.
    unsafe { libc::poll(&mut event, 1, ms) };
}

#[cfg(test)]
mod tests {
    use super::super::message::Fault;
    use super::*;
    use crate::dtls_openssl::tests::context;
    use crate::dtls_openssl::{DtlsSettings, KeyKind};
    use bifrons_core::dtls::Role;
    use bifrons_core::media::PeerId;

    const PEER: PeerId = PeerId { shard: 0, slot: 7, generation: 1 };

    struct Shard {
        to_lane: Tx<ToLane>,
        from_lane: Rx<FromLane>,
        bell: Doorbell,
        lane_bell: Doorbell,
    }

    impl Shard {
        /// Waits, bell in hand, for the lane's next message.
        fn next(&mut self) -> FromLane {
            for _ in 0..30 {
                if let Some(message) = self.from_lane.pop() {
                    return message;
                }
                if self.bell.may_sleep(|| self.from_lane.is_empty()) {
                    wait_readable(&self.bell, Duration::from_secs(1));
                    self.bell.awake();
                    self.bell.silence();
                }
            }
            panic!("the lane said nothing in 30 s");
        }
    }

    fn running() -> (LaneThread, Shard) {
        let (ours, theirs) = (Doorbell::new().unwrap(), Doorbell::new().unwrap());
        let (to_lane, from_shard) = link(16, &theirs);
        let (to_shard, from_lane) = link(16, &ours);
        let context = context(KeyKind::EcP256, &DtlsSettings::default());
        let ports = vec![LanePort { from_shard, to_shard }];
        let thread = LaneThread::spawn(context, LaneLimits::default(), ports, &theirs).unwrap();
        (thread, Shard { to_lane, from_lane, bell: ours, lane_bell: theirs })
    }

    fn start_client(shard: &mut Shard) {
        let start = ToLane::Start { peer: PEER, role: Role::Client, fingerprint: None };
        shard.to_lane.push(start).unwrap();
        assert!(matches!(shard.next(), FromLane::Record { peer: PEER, .. }));
    }

    #[test]
    fn a_dead_thread_is_started_anew_and_its_handshakes_are_given_up() {
        let (mut thread, mut shard) = running();
        start_client(&mut shard);
        assert!(!thread.check().unwrap());
        shard.to_lane.push(ToLane::Fault(Fault::Thread)).unwrap();
        while !thread.check().unwrap() {
            std::thread::yield_now();
        }
        assert_eq!(thread.restarts(), 1);
        let down = shard.next();
        assert!(matches!(down, FromLane::Down { peer: PEER, .. }), "{down:?}");
        assert!(matches!(shard.next(), FromLane::Restarted { peers: 1 }));
        start_client(&mut shard);
    }

    #[test]
    fn a_thread_ends_with_its_owner_or_its_shards() {
        let (thread, shard) = running();
        drop(thread);
        assert!(shard.to_lane.is_abandoned());
        let (mut thread, shard) = running();
        let bell = shard.lane_bell.clone();
        drop(shard);
        bell.strike();
        let handle = thread.handle.take().unwrap();
        assert!(!handle.join().unwrap().died);
    }
}
