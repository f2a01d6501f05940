//! The control loop: shards' events in, time, signals; and the orderly end.

use super::Refusal;
use super::process::tell_manager;
use crate::dispatch::Core;
use crate::log;
use crate::transport::{Front, Tls};
use bifrons_core::config::settings::RotateSignal;
use bifrons_core::media::{ShardCommand, ShardEvent};
use bifrons_datapath::queue::Doorbell;
use bifrons_datapath::start::Datapath;
use sd_notify::NotifyState;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Events taken from one shard before the others have their turn.
const TURN: usize = 256;

/// Between two looks after the handshake lane.
const LOOK: Duration = Duration::from_secs(1);

/// How soon commands that found a ring full are tried again.
const RETRY: Duration = Duration::from_millis(2);

/// How long shards may take to send their close alerts and end.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long event handlers may take to deliver what they have.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// The bell, as the runtime waits for it.
struct Bell {
    bell: Doorbell,
    /// The bell's descriptor. An eventfd is no pipe, but it is read like one.
    strokes: Receiver,
}

impl Bell {
    fn new(bell: Doorbell) -> std::io::Result<Self> {
        let descriptor = bell.as_fd().try_clone_to_owned()?;
        Ok(Bell { bell, strokes: Receiver::from_owned_fd_unchecked(descriptor)? })
    }

    /// Waits until a shard rings. The bell is told that we sleep only while `idle`.
    async fn rung(&self, idle: impl Fn() -> bool) {
        if !self.bell.may_sleep(idle) {
            return;
        }
        if self.strokes.readable().await.is_ok() {
            // Empties the counter; that another waker was faster is no harm.
            let _ = self.strokes.try_read(&mut [0; 8]);
        }
        self.bell.awake();
    }
}

/// What signals have done while the server runs on.
pub(super) struct Upkeep {
    /// Certificates of the listeners; SIGHUP has them read anew.
    pub(super) certificates: Vec<Tls>,
    /// The signal that has the log file opened anew.
    pub(super) rotate: RotateSignal,
}

impl Upkeep {
    /// SIGUSR1 or SIGHUP came.
    fn serve(&self, signal: RotateSignal) {
        if self.rotate == signal {
            log::rotate();
        }
        if signal == RotateSignal::Hup {
            let clock = NotifyState::monotonic_usec_now().ok();
            let begun: Vec<_> = [NotifyState::Reloading].into_iter().chain(clock).collect();
            tell_manager(&begun);
            self.certificates.iter().for_each(renew);
            tell_manager(&[NotifyState::Ready]);
        }
    }
}

/// Reads a listener's certificate anew: a small file, and an operator waits for it.
fn renew(certificate: &Tls) {
    let file = certificate.chain_file().display();
    match certificate.reload() {
        Ok(()) => tracing::info!("certificate read anew from {file}"),
        Err(error) => tracing::error!("{error}; clients go on to see the former certificate"),
    }
}

/// What the signals ask for.
struct Signals<'a> {
    terminate: Signal,
    interrupt: Signal,
    user1: Signal,
    user2: Option<Signal>,
    hangup: Signal,
    upkeep: &'a Upkeep,
}

impl<'a> Signals<'a> {
    fn listen(upkeep: &'a Upkeep) -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: stall().map(|_| signal(SignalKind::user_defined2())).transpose()?,
            hangup: signal(SignalKind::hangup())?,
            upkeep,
        })
    }

    /// Waits for a signal to stop, and tells its number; others are served on the way.
    async fn stop(&mut self) -> i32 {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return SignalKind::terminate().as_raw_value(),
                _ = self.interrupt.recv() => return SignalKind::interrupt().as_raw_value(),
                _ = self.user1.recv() => self.upkeep.serve(RotateSignal::Usr1),
                _ = self.hangup.recv() => self.upkeep.serve(RotateSignal::Hup),
                () = awaited(&mut self.user2) => std::thread::sleep(stall().unwrap_or_default()),
            }
        }
    }
}

/// How long SIGUSR2 makes control stand still: a hook for tests of what media do meanwhile
/// (`BIFRONS_STALL_MS`). Without it SIGUSR2 is not listened to.
fn stall() -> Option<Duration> {
    std::env::var("BIFRONS_STALL_MS").ok()?.parse().ok().map(Duration::from_millis)
}

/// Waits for a signal that is perhaps not listened to.
async fn awaited(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Serves until a signal asks to stop, then ends in order; a third signal ends at once.
pub(super) async fn until_told_to_stop(
    front: &Rc<Front>,
    datapath: &Rc<RefCell<Datapath>>,
    upkeep: &Upkeep,
) -> Result<(), Refusal> {
    let failed = |error: std::io::Error| format!("the control loop cannot be set up: {error}");
    let mut signals = Signals::listen(upkeep).map_err(failed)?;
    let bell = datapath.borrow().bell.clone();
    let bell = Bell::new(bell).map_err(failed)?;
    let time = tokio::task::spawn_local(front.clone().run());
    front.with(|core, now| core.announce_start(now));
    let signal = tokio::select! {
        () = serve(front, datapath, &bell) => 0,
        signal = signals.stop() => signal,
    };
    tracing::info!("stopping");
    tell_manager(&[NotifyState::Stopping]);
    front.with(|core, now| core.announce_stop(now, signal));
    tokio::select! {
        () = say_farewell(front, datapath, &bell) => {}
        () = twice(&mut signals) => return Err("stopped at once, as it was asked to".to_owned()),
    }
    time.abort();
    Ok(())
}

async fn twice(signals: &mut Signals<'_>) {
    signals.stop().await;
    signals.stop().await;
}

/// Hands the shards' events to the dispatcher, for ever.
async fn serve(front: &Rc<Front>, datapath: &Rc<RefCell<Datapath>>, bell: &Bell) {
    let mut look = tokio::time::interval(LOOK);
    let mut backlog = false;
    loop {
        let events = take_events(datapath);
        if !events.is_empty() {
            front.with(|core, now| core.shard_events(now, events));
            // Others on this thread want their turn too.
            tokio::task::yield_now().await;
            continue;
        }
        let retry = tokio::time::sleep(if backlog { RETRY } else { LOOK });
        tokio::select! {
            () = bell.rung(|| is_idle(datapath)) => {}
            () = retry => {}
            _ = look.tick() => look_after(datapath),
        }
        backlog = front.with(|core: &mut Core, _| core.flush_shards());
    }
}

/// Some events of every shard, in each shard's order.
fn take_events(datapath: &RefCell<Datapath>) -> Vec<ShardEvent> {
    let mut datapath = datapath.borrow_mut();
    let mut events = Vec::new();
    for shard in &mut datapath.shards {
        events.extend((0..TURN).map_while(|_| shard.events.pop()));
    }
    events
}

/// Whether no shard has an event for us.
fn is_idle(datapath: &RefCell<Datapath>) -> bool {
    datapath.borrow().shards.iter().all(|shard| shard.events.is_empty())
}

fn look_after(datapath: &RefCell<Datapath>) {
    if let Err(error) = datapath.borrow_mut().lane.check() {
        tracing::error!(%error, "no DTLS handshakes any more");
    }
}

/// Ends sessions and plugins, then the shards with their close alerts.
async fn say_farewell(front: &Rc<Front>, datapath: &Rc<RefCell<Datapath>>, bell: &Bell) {
    front.stop();
    let parted = tokio::task::spawn_local({
        let front = front.clone();
        async move { front.stopped().await }
    });
    let mut shards = Ending::new(&datapath.borrow());
    let ended = async {
        while !shards.are_over() {
            // A full ring holds what closes the peers: that goes first, then the stop.
            let waiting = front.with(|core: &mut Core, _| core.flush_shards());
            let asked = !waiting && shards.ask(&mut datapath.borrow_mut());
            let events = take_events(datapath);
            shards.take_note(&events);
            // Event handlers are still to hear the last statistics.
            front.with(|core, now| core.shard_events(now, events));
            if shards.are_over() {
                return;
            }
            let pause = tokio::time::sleep(if asked { LOOK } else { RETRY });
            tokio::select! {
                () = bell.rung(|| is_idle(datapath)) => {}
                () = pause => {}
            }
        }
    };
    if tokio::time::timeout(FAREWELL, ended).await.is_err() {
        tracing::warn!(shards = ?shards.running, "shards did not end in time");
    }
    if let Some(hub) = front.hub() {
        hub.close();
        if tokio::time::timeout(LAST_EVENTS, hub.drained()).await.is_err() {
            tracing::warn!("some event handlers did not deliver everything");
        }
    }
    // Began with the shards' farewell, and is long over as a rule.
    let _ = tokio::time::timeout(FAREWELL, parted).await;
}

/// Shards on their way to the end.
struct Ending {
    running: BTreeSet<u8>,
    unasked: BTreeSet<u8>,
}

impl Ending {
    /// Those that live.
    fn new(datapath: &Datapath) -> Self {
        let shards = (0..=u8::MAX).zip(&datapath.shards);
        let living = shards.filter(|(_, shard)| !shard.commands.is_abandoned());
        let running: BTreeSet<u8> = living.map(|(index, _)| index).collect();
        Ending { unasked: running.clone(), running }
    }

    /// Tells those that were not told. True if that were all.
    fn ask(&mut self, datapath: &mut Datapath) -> bool {
        for (index, shard) in (0..=u8::MAX).zip(&mut datapath.shards) {
            if self.unasked.contains(&index) && shard.commands.push(ShardCommand::Stop).is_ok() {
                self.unasked.remove(&index);
            }
        }
        self.unasked.is_empty()
    }

    fn take_note(&mut self, events: &[ShardEvent]) {
        for event in events {
            if let ShardEvent::Stopped { shard, .. } = event {
                self.running.remove(shard);
            }
        }
    }

    fn are_over(&self) -> bool {
        self.running.is_empty()
    }
}
