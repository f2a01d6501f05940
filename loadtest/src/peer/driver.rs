//! One engine on one UDP socket, driven by one tokio task.

use std::cell::RefCell;
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quinn_udp::{RecvMeta, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, sleep_until, timeout};

use super::impairment::Lane;
use super::{
    Engine, Impaired, Impairment, Line, Message, Output, PeerConfig, PeerError, Shape, Stats,
};

/// Calls queued to a peer before the caller waits.
const CALLS: usize = 32;
/// Datagrams read in one go before timers are looked at again.
const BATCH: usize = 64;
/// Largest datagram read.
const DATAGRAM: usize = 2048;
/// Joined datagrams read in one go.
const TRAINS: usize = 16;
/// Largest bundle of joined datagrams.
const TRAIN_BYTES: usize = 1 << 16;
/// Socket buffers asked for; the kernel may grant less.
const SOCKET_BUFFER: usize = 1 << 20;

/// Datagrams the kernel would not take at once, over all peers of the process.
static REFUSED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What joined datagrams are read into: no peer keeps any of it.
    static TRAIN: RefCell<Vec<u8>> = RefCell::new(vec![0; TRAIN_BYTES]);
}

/// The clock all peers of this process share for latency.
pub(super) fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// Counts a datagram that the kernel would not take.
pub(super) fn refuse() {
    REFUSED.fetch_add(1, Ordering::Relaxed);
}

type Call = Box<dyn FnOnce(&mut Engine) + Send>;
type Wanted = Box<dyn FnMut(&Stats) -> bool + Send>;

enum Command {
    Call(Call),
    Until(Wanted, oneshot::Sender<Stats>),
    Impair([Option<Impairment>; 2], oneshot::Sender<[Impaired; 2]>),
}

/// A peer at work. Cheap to clone; its task ends when it is closed or the last clone is gone.
#[derive(Clone)]
pub struct Peer {
    commands: mpsc::Sender<Command>,
    address: SocketAddr,
}

impl Peer {
    /// Binds a socket on an ephemeral port of `config.local_ip` and starts the task. Needs a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`PeerError::Socket`].
    pub async fn bind(config: PeerConfig) -> Result<Self, PeerError> {
        let socket = UdpSocket::bind((config.local_ip, 0)).await?;
        let options = socket2::SockRef::from(&socket);
        options.set_recv_buffer_size(SOCKET_BUFFER)?;
        options.set_send_buffer_size(SOCKET_BUFFER)?;
        let address = socket.local_addr()?;
        let trains = config.light.then(|| UdpSocketState::new((&socket).into())).transpose()?;
        let engine = Engine::new(config, address, epoch(), Instant::now());
        let (commands, queue) = mpsc::channel(CALLS);
        tokio::spawn(
            Driver { engine, socket, trains, queue, waiting: Vec::new(), lanes: [None, None] }
                .run(),
        );
        Ok(Self { commands, address })
    }

    /// Its socket's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Datagrams of this process that the kernel refused to take at once; they count as lost.
    #[must_use]
    pub fn refused() -> u64 {
        REFUSED.load(Ordering::Relaxed)
    }

    /// Runs `action` on the engine between two datagrams.
    ///
    /// # Errors
    /// [`PeerError::Gone`] after the peer has ended.
    pub async fn with<R: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Engine) -> R + Send + 'static,
    ) -> Result<R, PeerError> {
        let (sender, result) = oneshot::channel();
        let call: Call = Box::new(move |engine| {
            let _ = sender.send(action(engine));
        });
        self.commands.send(Command::Call(call)).await.map_err(|_| PeerError::Gone)?;
        result.await.map_err(|_| PeerError::Gone)
    }

    /// See [`Engine::offer`].
    ///
    /// # Errors
    /// As there.
    pub async fn offer(&self, lines: Vec<Line>) -> Result<(Vec<String>, String), PeerError> {
        self.with(move |engine| engine.offer(&lines)).await?
    }

    /// See [`Engine::offer_restart`].
    ///
    /// # Errors
    /// As there.
    pub async fn offer_restart(&self) -> Result<String, PeerError> {
        self.with(Engine::offer_restart).await?
    }

    /// See [`Engine::accept_answer`].
    ///
    /// # Errors
    /// As there.
    pub async fn accept_answer(&self, sdp: &str) -> Result<(), PeerError> {
        let sdp = sdp.to_owned();
        self.with(move |engine| engine.accept_answer(&sdp)).await?
    }

    /// See [`Engine::accept_offer`].
    ///
    /// # Errors
    /// As there.
    pub async fn accept_offer(&self, sdp: &str) -> Result<String, PeerError> {
        let sdp = sdp.to_owned();
        self.with(move |engine| engine.accept_offer(&sdp)).await?
    }

    /// See [`Engine::offer_channel`].
    ///
    /// # Errors
    /// As there.
    pub async fn offer_channel(&self, label: &str) -> Result<String, PeerError> {
        let label = label.to_owned();
        self.with(move |engine| engine.offer_channel(&label)).await?
    }

    /// See [`Engine::say`].
    ///
    /// # Errors
    /// [`PeerError::State`] if it was not taken.
    pub async fn say(&self, label: &str, binary: bool, bytes: &[u8]) -> Result<(), PeerError> {
        let (label, bytes) = (label.to_owned(), bytes.to_vec());
        let taken = self.with(move |engine| engine.say(&label, binary, &bytes)).await?;
        taken.then_some(()).ok_or(PeerError::State("no such channel, or no room on it"))
    }

    /// See [`Engine::take_messages`].
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn take_messages(&self) -> Result<Vec<Message>, PeerError> {
        self.with(Engine::take_messages).await
    }

    /// See [`Engine::candidates`].
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn candidates(&self) -> Result<Vec<String>, PeerError> {
        self.with(Engine::candidates).await
    }

    /// See [`Engine::add_candidate`].
    ///
    /// # Errors
    /// As there.
    pub async fn add_candidate(&self, line: &str) -> Result<(), PeerError> {
        let line = line.to_owned();
        self.with(move |engine| engine.add_candidate(&line)).await?
    }

    /// See [`Engine::send`].
    ///
    /// # Errors
    /// As there.
    pub async fn send(&self, mid: &str, rid: Option<&str>, shape: Shape) -> Result<(), PeerError> {
        let (mid, rid) = (mid.to_owned(), rid.map(str::to_owned));
        self.with(move |engine| engine.send(&mid, rid.as_deref(), shape, Instant::now())).await?
    }

    /// See [`Engine::hold`].
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn hold(&self, held: bool) -> Result<(), PeerError> {
        self.with(move |engine| engine.hold(held, Instant::now())).await
    }

    /// See [`Engine::reset_counts`].
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn reset_counts(&self) -> Result<(), PeerError> {
        self.with(Engine::reset_counts).await
    }

    /// See [`Engine::stop`].
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn stop(&self, mid: &str) -> Result<(), PeerError> {
        let mid = mid.to_owned();
        self.with(move |engine| engine.stop(&mid)).await
    }

    /// See [`Engine::request_keyframe`].
    ///
    /// # Errors
    /// As there.
    pub async fn request_keyframe(&self, mid: &str) -> Result<(), PeerError> {
        let mid = mid.to_owned();
        self.with(move |engine| engine.request_keyframe(&mid)).await?
    }

    /// A copy of the state and counts.
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn stats(&self) -> Result<Stats, PeerError> {
        self.with(|engine| engine.stats().clone()).await
    }

    /// Waits until `wanted` holds, looked at after every turn; returns the counts of that moment.
    /// `what` names it in the error.
    ///
    /// # Errors
    /// [`PeerError::Late`] after `patience`, [`PeerError::Gone`].
    pub async fn until(
        &self,
        what: &str,
        patience: Duration,
        wanted: impl FnMut(&Stats) -> bool + Send + 'static,
    ) -> Result<Stats, PeerError> {
        let (sender, reached) = oneshot::channel();
        let command = Command::Until(Box::new(wanted), sender);
        self.commands.send(command).await.map_err(|_| PeerError::Gone)?;
        match timeout(patience, reached).await {
            Ok(stats) => stats.map_err(|_| PeerError::Gone),
            Err(_) => {
                let stats = self.stats().await?;
                let text = format!(
                    "ICE {:?}, connected {}, received {:?}, sent {:?}",
                    stats.ice, stats.connected, stats.received, stats.sent
                );
                Err(PeerError::Late(what.to_owned(), text))
            }
        }
    }

    /// Waits for ICE and DTLS.
    ///
    /// # Errors
    /// Those of [`until`](Self::until).
    pub async fn connected(&self, patience: Duration) -> Result<Stats, PeerError> {
        self.until("connection", patience, |stats| stats.connected).await
    }

    /// Makes the way out and the way in as bad as this, or good again; returns what was done to
    /// what was sent and received since the last time. What is held back comes at once then.
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn impair(
        &self,
        out: Option<Impairment>,
        into: Option<Impairment>,
    ) -> Result<[Impaired; 2], PeerError> {
        let (sender, done) = oneshot::channel();
        let command = Command::Impair([out, into], sender);
        self.commands.send(command).await.map_err(|_| PeerError::Gone)?;
        done.await.map_err(|_| PeerError::Gone)
    }

    /// Closes with RTCP BYE and a DTLS alert; returns at once.
    ///
    /// # Errors
    /// [`PeerError::Gone`], [`PeerError::Webrtc`].
    pub async fn close(&self) -> Result<(), PeerError> {
        Ok(self.with(|engine| engine.rtc().close()).await??)
    }
}

struct Driver {
    engine: Engine,
    socket: UdpSocket,
    /// Datagrams are read as the kernel joined them (`UDP_GRO`).
    trains: Option<UdpSocketState>,
    queue: mpsc::Receiver<Command>,
    waiting: Vec<(Wanted, oneshot::Sender<Stats>)>,
    /// The bad network on the way out and on the way in.
    lanes: [Option<Lane>; 2],
}

impl Driver {
    async fn run(mut self) {
        let mut timer: Pin<Box<Sleep>> = Box::pin(sleep_until(Instant::now().into()));
        let mut buffer = [0; DATAGRAM];
        while let Some(mut at) = self.flush() {
            self.answer();
            for lane in self.lanes.iter().flatten() {
                at = lane.next().map_or(at, |next| next.min(at));
            }
            timer.as_mut().reset(at.into());
            tokio::select! {
                biased;
                command = self.queue.recv() => match command {
                    Some(Command::Call(call)) => call(&mut self.engine),
                    Some(Command::Until(wanted, sender)) => self.waiting.push((wanted, sender)),
                    Some(Command::Impair(how, done)) => {
                        if !self.impair(how, done) {
                            break;
                        }
                    }
                    None => return,
                },
                ready = self.socket.readable() => {
                    if ready.is_err() || !self.read(&mut buffer) {
                        break;
                    }
                },
                () = timer.as_mut() => {},
            }
            let now = Instant::now();
            if !self.release(now, now) {
                break;
            }
        }
        // The stack is done. Who waits for that hears of it, and what is asked now is still answered
        // from the last counts.
        self.answer();
        while let Some(command) = self.queue.recv().await {
            match command {
                Command::Call(call) => call(&mut self.engine),
                Command::Until(wanted, sender) => self.waiting.push((wanted, sender)),
                Command::Impair(_, done) => drop(done),
            }
            self.answer();
        }
    }

    /// Sends what is due; `None` when the peer is unusable or closed.
    fn flush(&mut self) -> Option<Instant> {
        loop {
            match self.engine.poll(Instant::now()).ok()? {
                Output::Wait(at) => return (!self.over()).then_some(at),
                Output::Transmit(packet) => {
                    if let [Some(lane), _] = &mut self.lanes
                        && Lane::concerns(&packet.contents)
                    {
                        lane.put(Instant::now(), packet.destination, &packet.contents);
                        continue;
                    }
                    if self.socket.try_send_to(&packet.contents, packet.destination).is_err() {
                        refuse();
                    }
                }
            }
        }
    }

    fn over(&mut self) -> bool {
        !self.engine.rtc().is_alive()
    }

    fn read(&mut self, buffer: &mut [u8]) -> bool {
        if self.trains.is_some() {
            return TRAIN.with_borrow_mut(|train| self.read_trains(train));
        }
        for _ in 0..BATCH {
            // An error is an empty socket or a far end that refused; neither ends the peer.
            let Ok((len, from)) = self.socket.try_recv_from(buffer) else { return true };
            let datagram = buffer.get(..len).unwrap_or_default();
            if !self.hear(Instant::now(), from, datagram) {
                return false;
            }
        }
        true
    }

    /// Takes in a datagram, by the bad network if there is one; false when the peer is unusable.
    fn hear(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> bool {
        match &mut self.lanes {
            [_, Some(lane)] if Lane::concerns(datagram) => {
                lane.put(now, from, datagram);
                true
            }
            _ => self.engine.receive(now, from, datagram).is_ok(),
        }
    }

    /// Lets go what the bad network holds back until no later than `until`.
    fn release(&mut self, until: Instant, now: Instant) -> bool {
        let [out, into] = &mut self.lanes;
        while let Some((to, datagram)) = out.as_mut().and_then(|lane| lane.take(until)) {
            if self.socket.try_send_to(&datagram, to).is_err() {
                refuse();
            }
        }
        while let Some((from, datagram)) = into.as_mut().and_then(|lane| lane.take(until)) {
            if self.engine.receive(now, from, &datagram).is_err() {
                return false;
            }
        }
        true
    }

    /// Changes the network; false when the peer is unusable.
    fn impair(
        &mut self,
        how: [Option<Impairment>; 2],
        done: oneshot::Sender<[Impaired; 2]>,
    ) -> bool {
        let was = self.lanes.each_ref().map(|lane| lane.as_ref().map(Lane::done));
        let latest = self.lanes.iter().flatten().filter_map(Lane::last).max();
        let usable = latest.is_none_or(|latest| self.release(latest, Instant::now()));
        self.lanes = how.map(|how| how.map(Lane::new));
        let _ = done.send(was.map(Option::unwrap_or_default));
        usable
    }

    fn read_trains(&mut self, buffer: &mut [u8]) -> bool {
        for _ in 0..TRAINS {
            let Some(state) = &self.trains else { return false };
            let mut met = [RecvMeta::default()];
            let mut into = [IoSliceMut::new(buffer)];
            let read = self.socket.try_io(Interest::READABLE, || {
                state.recv((&self.socket).into(), &mut into, &mut met)
            });
            let (Ok(_), [met]) = (read, met) else { return true };
            let now = Instant::now();
            let train = buffer.get(..met.len).unwrap_or_default();
            for datagram in train.chunks(met.stride.max(1)) {
                if !self.hear(now, met.addr, datagram) {
                    return false;
                }
            }
        }
        true
    }

    /// Answers those whose wish has come true, and forgets those who gave up.
    fn answer(&mut self) {
        let stats = self.engine.stats();
        self.waiting.retain(|(_, sender)| !sender.is_closed());
        for at in (0..self.waiting.len()).rev() {
            if (self.waiting[at].0)(stats) {
                let (_, sender) = self.waiting.swap_remove(at);
                let _ = sender.send(stats.clone());
            }
        }
    }
}
