//! Publishers and subscribers in one VideoRoom.
//!
//! Every subscriber is one PeerConnection that receives every publisher. All peers are whole
//! WebRTC stacks, so the receivers decrypt, count and answer with reports as a browser would. The
//! window is exact: the sources are held before and after it until nothing is under way, so what
//! publishers wrote times the number of subscribers is what must have arrived.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::ScenarioError;
use crate::janus::{Client, Handle, Jsep, Session};
use crate::peer::str0m::media::Direction;
use crate::peer::{Line, Peer, PeerConfig, Received, Shape, Stats};
use crate::report::{Report, ServerCost, latency_histogram};
use crate::server::{Account, softirq};

/// How long one peer's setup may take; a loaded stock server is slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// Subscribers being set up at the same time.
const SETUPS: usize = 8;
/// Longest time between two keepalives; the server's limit is 60 s.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Media before the window, so that caches, sockets and estimates have settled.
const WARM_UP: Duration = Duration::from_secs(3);
/// Silence around the window, for what is under way and for retransmissions.
const DRAIN: Duration = Duration::from_millis(700);

/// Publishers and subscribers in one room.
#[derive(Clone, Debug)]
pub struct VideoRoom {
    /// `ws://…` or `http://…` of the Janus API.
    pub url: String,
    /// Local address for media.
    pub local_ip: IpAddr,
    /// Publishers.
    pub publishers: u32,
    /// Subscribers; each receives all publishers.
    pub subscribers: u32,
    /// Video payload bits per second of each publisher.
    pub rate_bps: u64,
    /// Each publisher sends Opus as well.
    pub audio: bool,
    /// Length of the measured window.
    pub window: Duration,
    /// The server's process, for CPU time and memory.
    pub server: Option<u32>,
}

struct Participant {
    peer: Peer,
    /// Kept open: a dropped handle would lose its events.
    _handle: Handle,
}

impl VideoRoom {
    /// Runs it to the end and closes the room.
    ///
    /// # Errors
    /// What went wrong in signalling, a peer, or reading the server's accounts.
    pub async fn run(&self) -> Result<Report, ScenarioError> {
        let client = Client::connect(&self.url).await?.with_patience(PATIENCE);
        let session = client.create().await?;
        let idle = self.resident()?;
        let mut keeper = session.attach("janus.plugin.videoroom").await?;
        let room = self.create_room(&mut keeper).await?;
        let mut publishers = Vec::new();
        let mut feeds = Vec::new();
        for _ in 0..self.publishers {
            let (participant, feed) = self.publish(&session, &room).await?;
            publishers.push(participant);
            feeds.push(json!({"feed": feed}));
        }
        alive(&session, WARM_UP).await?;
        let before = self.resident()?;
        let started = Instant::now();
        let (session, room, feeds) = (&session, &room, &feeds);
        let subscribers: Vec<Participant> = stream::iter(0..self.subscribers)
            .map(|_| self.subscribe(session, room, feeds))
            .buffer_unordered(SETUPS)
            .try_collect()
            .await?;
        let setup = started.elapsed();
        alive(session, WARM_UP).await?;
        let mut report = self.measure(session, &publishers, &subscribers, idle, before).await?;
        report.setup = setup;
        keeper.ask(json!({"request": "destroy", "room": room}), None).await?;
        session.destroy().await?;
        Ok(report)
    }

    fn resident(&self) -> Result<u64, ScenarioError> {
        let account = self.server.map(|pid| Account::read(Some(pid))).transpose()?;
        Ok(account.map_or(0, |account| account.resident))
    }

    async fn create_room(&self, keeper: &mut Handle) -> Result<Value, ScenarioError> {
        let body = json!({
            "request": "create", "publishers": self.publishers.max(1), "bitrate": 0,
            "audiocodec": "opus", "videocodec": "vp8", "notify_joining": false,
        });
        Ok(keeper.ask(body, None).await?.accepted()?.data["room"].clone())
    }

    /// One publisher, sending; returns it with its feed id.
    async fn publish(
        &self,
        session: &Session,
        room: &Value,
    ) -> Result<(Participant, Value), ScenarioError> {
        let mut handle = session.attach("janus.plugin.videoroom").await?;
        let join = json!({"request": "join", "ptype": "publisher", "room": room});
        let joined = handle.ask(join, None).await?.accepted()?;
        let peer = Peer::bind(PeerConfig::new(self.local_ip)).await?;
        let mut lines = vec![Line::video(Direction::SendOnly)];
        if self.audio {
            lines.push(Line::audio(Direction::SendOnly));
        }
        let (mids, offer) = peer.offer(lines).await?;
        let publish = json!({"request": "publish"});
        let answer = handle.ask(publish, Some(Jsep::offer(offer))).await?.accepted()?;
        let jsep = answer.jsep.ok_or(ScenarioError::NoSdp("the publisher's answer"))?;
        peer.accept_answer(&jsep.sdp).await?;
        peer.connected(PATIENCE).await?;
        handle.event_of("webrtcup").await?;
        for (mid, shape) in mids.iter().zip([Shape::video(self.rate_bps), Shape::audio()]) {
            peer.send(mid, None, shape).await?;
        }
        Ok((Participant { peer, _handle: handle }, joined.data["id"].clone()))
    }

    /// One subscriber, connected and receiving.
    async fn subscribe(
        &self,
        session: &Session,
        room: &Value,
        feeds: &[Value],
    ) -> Result<Participant, ScenarioError> {
        let mut handle = session.attach("janus.plugin.videoroom").await?;
        let join =
            json!({"request": "join", "ptype": "subscriber", "room": room, "streams": feeds});
        let attached = handle.ask(join, None).await?.accepted()?;
        let offer = attached.jsep.ok_or(ScenarioError::NoSdp("the subscriber's offer"))?;
        let peer = Peer::bind(PeerConfig::new(self.local_ip)).await?;
        let answer = peer.accept_offer(&offer.sdp).await?;
        let start = json!({"request": "start", "room": room});
        handle.ask(start, Some(Jsep::answer(answer))).await?.accepted()?;
        peer.until("first media", PATIENCE, |stats| stats.packets() > 0).await?;
        Ok(Participant { peer, _handle: handle })
    }

    async fn measure(
        &self,
        session: &Session,
        publishers: &[Participant],
        subscribers: &[Participant],
        idle: u64,
        before: u64,
    ) -> Result<Report, ScenarioError> {
        hold(publishers, true).await?;
        sleep(DRAIN).await;
        for participant in publishers.iter().chain(subscribers) {
            participant.peer.reset_counts().await?;
        }
        let refused = Peer::refused();
        let irq = softirq()?;
        let mine = Account::read(None)?;
        let server = self.server.map(|pid| Account::read(Some(pid))).transpose()?;
        let started = Instant::now();
        hold(publishers, false).await?;
        alive(session, self.window).await?;
        hold(publishers, true).await?;
        let elapsed = started.elapsed();
        sleep(DRAIN).await;
        let after = self.server.map(|pid| Account::read(Some(pid))).transpose()?;
        let cost = server.zip(after).map(|(a, b)| ServerCost::between(a, b, idle, before));
        let mut report = self.empty(elapsed);
        report.server = cost;
        report.generator_busy = Account::read(None)?.busy().saturating_sub(mine.busy());
        report.softirq = softirq()?.saturating_sub(irq);
        report.refused = Peer::refused() - refused;
        for publisher in publishers {
            let sent = publisher.peer.stats().await?.sent;
            let packets: u64 = sent.values().map(|sent| sent.packets).sum();
            report.skipped += sent.values().map(|sent| sent.skipped).sum::<u64>();
            report.expected += packets * u64::from(self.subscribers);
        }
        for subscriber in subscribers {
            add(&mut report, &subscriber.peer.stats().await?);
        }
        Ok(report)
    }

    fn empty(&self, elapsed: Duration) -> Report {
        let kilobits = self.rate_bps / 1000;
        let audio = if self.audio { " and Opus" } else { "" };
        let title = format!(
            "videoroom: {} publishers of {kilobits} kbit/s VP8{audio}, {} subscribers, {:.0} s",
            self.publishers,
            self.subscribers,
            self.window.as_secs_f64()
        );
        Report {
            title,
            elapsed,
            publishers: self.publishers,
            subscribers: self.subscribers,
            expected: 0,
            delivered: 0,
            late: 0,
            bytes: 0,
            frames: 0,
            latency_us: latency_histogram(),
            server: None,
            generator_busy: Duration::ZERO,
            softirq: Duration::ZERO,
            refused: 0,
            skipped: 0,
            setup: Duration::ZERO,
        }
    }
}

fn add(report: &mut Report, stats: &Stats) {
    let sum = |of: fn(&Received) -> u64| stats.received.values().map(of).sum::<u64>();
    report.delivered += sum(|r| r.packets);
    report.late += sum(|r| r.reordered);
    report.bytes += sum(|r| r.bytes);
    let video = stats.received.values().filter(|r| r.temporal.is_some());
    report.frames += video.map(|r| r.frames).sum::<u64>();
    // Both have the same bounds, so nothing can be refused.
    let _ = report.latency_us.add(&stats.latency_us);
}

async fn hold(participants: &[Participant], held: bool) -> Result<(), ScenarioError> {
    for participant in participants {
        participant.peer.hold(held).await?;
    }
    Ok(())
}

/// Waits for `span` while keeping the session alive.
async fn alive(session: &Session, span: Duration) -> Result<(), ScenarioError> {
    let end = Instant::now() + span;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        sleep(left.min(KEEPALIVE)).await;
        session.keepalive().await?;
    }
}
