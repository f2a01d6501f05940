//! The measured window, the same for every scenario of media.
//!
//! The window is exact: sources are held before and after it until nothing is under way, so what
//! they wrote times the number of listeners is what must have arrived. Peers are set up while the
//! sources are held, so that what setting up costs and what an idle peer takes stand alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use tokio::time::sleep;

use super::{Media, ScenarioError, Target};
use crate::janus::{Handle, Session};
use crate::peer::str0m::media::MediaKind;
use crate::peer::{Clip, Impaired, Impairment, Peer, Plain, Received, Sent, Shape, Stats};
use crate::report::{Report, Sample, ServerCost, latency_histogram};
use crate::server::{Account, softirq};

/// How long one peer's setup may take; a loaded stock server is slow.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Listeners being set up at the same time.
const SETUPS: usize = 8;
/// Longest time between two keepalives; the server's limit is 60 s.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Media before the window, so that caches, sockets and estimates have settled.
const WARM_UP: Duration = Duration::from_secs(3);
/// Silence around the window, for what is under way and for retransmissions.
const DRAIN: Duration = Duration::from_millis(700);
/// How long a window takes at least from being asked for to its start.
pub(super) const LEAD: Duration = DRAIN;
/// Longest time to wait for an overloaded server to hand out what it still holds.
const LONG_DRAIN: Duration = Duration::from_secs(6);
/// Time between two samples of a window's course.
const SAMPLE: Duration = Duration::from_secs(1);

/// What sends.
pub(super) enum Feed {
    /// A WebRTC peer.
    Peer(Peer),
    /// RTP without encryption.
    Plain(Plain),
}

impl Feed {
    pub(super) async fn hold(&self, held: bool) -> Result<(), ScenarioError> {
        match self {
            Feed::Peer(peer) => peer.hold(held).await?,
            Feed::Plain(plain) => plain.hold(held).await?,
        }
        Ok(())
    }

    async fn reshape(&self, kind: MediaKind, shape: Shape) -> Result<(), ScenarioError> {
        match self {
            Feed::Peer(peer) => peer.with(move |engine| engine.reshape(kind, shape)).await?,
            Feed::Plain(plain) => plain.reshape(kind, shape).await?,
        }
        Ok(())
    }

    async fn play(&self, kind: MediaKind, clip: Arc<Clip>) -> Result<(), ScenarioError> {
        match self {
            Feed::Peer(peer) => peer.with(move |engine| engine.play(kind, &clip)).await?,
            Feed::Plain(plain) => plain.play(kind, clip).await?,
        }
        Ok(())
    }

    async fn reset(&self) -> Result<(), ScenarioError> {
        match self {
            Feed::Peer(peer) => peer.reset_counts().await?,
            Feed::Plain(plain) => plain.reset_counts().await?,
        }
        Ok(())
    }

    async fn sent(&self) -> Result<Vec<Sent>, ScenarioError> {
        Ok(match self {
            Feed::Peer(peer) => peer.stats().await?.sent.into_values().collect(),
            Feed::Plain(plain) => plain.sent().await?,
        })
    }
}

/// One who listens.
pub(super) struct Listener {
    pub(super) peer: Peer,
    /// Kept open: a dropped handle would lose its events.
    pub(super) handle: Handle,
}

/// Everybody, set up and ready to be measured.
pub(super) struct Stage<'a> {
    target: &'a Target,
    media: &'a Media,
    session: &'a Session,
    feeds: Vec<Feed>,
    listeners: Vec<Listener>,
    /// Before any peer, before the listeners, with all of them.
    accounts: [Option<Account>; 3],
    setup: Duration,
    setup_us: Histogram<u64>,
}

impl<'a> Stage<'a> {
    /// Sets `count` listeners up by `join` while `feeds` are held. `idle` is the server's account
    /// before any peer.
    pub(super) async fn set<F: Future<Output = Result<Listener, ScenarioError>>>(
        target: &'a Target,
        media: &'a Media,
        session: &'a Session,
        feeds: Vec<Feed>,
        idle: Option<Account>,
        (count, join): (u32, impl Fn(u32) -> F),
    ) -> Result<Self, ScenarioError> {
        for (kind, clip) in media.clips() {
            for feed in &feeds {
                feed.play(kind, clip.clone()).await?;
            }
        }
        hold(&feeds, true).await?;
        sleep(DRAIN).await;
        let before = account(target)?;
        let started = Instant::now();
        let mut setup_us = latency_histogram();
        let timed = async |number| {
            let started = Instant::now();
            join(number).await.map(|listener| (listener, started.elapsed()))
        };
        let made: Vec<(Listener, Duration)> =
            stream::iter(0..count).map(timed).buffer_unordered(SETUPS).try_collect().await?;
        let setup = started.elapsed();
        made.iter().for_each(|(_, took)| setup_us.saturating_record(took.as_micros() as u64));
        let listeners = made.into_iter().map(|(listener, _)| listener).collect();
        alive(session, DRAIN).await?;
        let accounts = [idle, before, account(target)?];
        Ok(Self { target, media, session, feeds, listeners, accounts, setup, setup_us })
    }

    /// Lets media flow until every listener has some, and a while longer.
    pub(super) async fn warm_up(&self) -> Result<(), ScenarioError> {
        if self.media.silent {
            return alive(self.session, WARM_UP.min(self.target.window)).await;
        }
        hold(&self.feeds, false).await?;
        for listener in &self.listeners {
            listener.peer.until("first media", PATIENCE, |stats| stats.packets() > 0).await?;
        }
        alive(self.session, WARM_UP.min(self.target.window)).await
    }

    /// Lets the sources send `media` from now on.
    pub(super) async fn reshape(&self, media: &Media) -> Result<(), ScenarioError> {
        for feed in &self.feeds {
            for (kind, shape) in media.streams() {
                feed.reshape(kind, shape).await?;
            }
        }
        Ok(())
    }

    /// Makes the sources' way up and the listeners' way down bad; each peer has chances of its own.
    pub(super) async fn impair(
        &self,
        up: Option<Impairment>,
        down: Option<Impairment>,
    ) -> Result<(), ScenarioError> {
        let own = |way: Option<Impairment>, number: usize| {
            way.map(|way| Impairment { seed: way.seed.wrapping_add(number as u64), ..way })
        };
        for (number, feed) in self.feeds.iter().enumerate() {
            if let Feed::Peer(peer) = feed {
                peer.impair(own(up, number), None).await?;
            }
        }
        for (number, listener) in self.listeners.iter().enumerate() {
            listener.peer.impair(None, own(down, number)).await?;
        }
        Ok(())
    }

    /// Makes them good again; what was done on the ways up and down.
    pub(super) async fn relieve(&self) -> Result<(Impaired, Impaired), ScenarioError> {
        let (mut up, mut down) = (Impaired::default(), Impaired::default());
        for feed in &self.feeds {
            if let Feed::Peer(peer) = feed {
                up = up + peer.impair(None, None).await?[0];
            }
        }
        for listener in &self.listeners {
            down = down + listener.peer.impair(None, None).await?[1];
        }
        Ok((up, down))
    }

    /// One window.
    pub(super) async fn measure(&self, title: String) -> Result<Report, ScenarioError> {
        hold(&self.feeds, true).await?;
        self.drain().await?;
        for feed in &self.feeds {
            feed.reset().await?;
        }
        for listener in &self.listeners {
            listener.peer.reset_counts().await?;
        }
        let refused = Peer::refused();
        let irq = softirq()?;
        let mine = Account::read(None)?;
        let server = account(self.target)?;
        let started = Instant::now();
        hold(&self.feeds, self.media.silent).await?;
        let samples = self.course(started).await?;
        hold(&self.feeds, true).await?;
        let elapsed = started.elapsed();
        // Accounts end with the window where nothing is under way; else with the last packet.
        self.drain().await?;
        let after = account(self.target)?;
        let mut report = self.empty(title, elapsed);
        report.server = server.zip(after).map(|(start, end)| self.cost(start, end));
        report.generator_busy = Account::read(None)?.busy().saturating_sub(mine.busy());
        report.softirq = softirq()?.saturating_sub(irq);
        report.refused = Peer::refused() - refused;
        report.samples = samples;
        for feed in &self.feeds {
            for sent in feed.sent().await? {
                report.skipped += sent.skipped;
                report.expected += sent.packets * self.listeners.len() as u64;
            }
        }
        for listener in &self.listeners {
            add(&mut report, &listener.peer.stats().await?);
        }
        Ok(report)
    }

    /// The window's course, second by second.
    async fn course(&self, started: Instant) -> Result<Vec<Sample>, ScenarioError> {
        let mut samples = Vec::new();
        let mut spoken = started;
        while started.elapsed() < self.target.window {
            sleep(SAMPLE.min(self.target.window.saturating_sub(started.elapsed()))).await;
            if spoken.elapsed() > KEEPALIVE {
                self.session.keepalive().await?;
                spoken = Instant::now();
            }
            let account = account(self.target)?;
            let sample = Sample {
                at: started.elapsed(),
                delivered: self.delivered().await?,
                server_busy: account.map(|account| account.busy()),
                server_resident: account.map(|account| account.resident),
            };
            if self.target.progress {
                eprintln!("{}", sample.since(samples.last()));
            }
            samples.push(sample);
        }
        self.session.keepalive().await?;
        Ok(samples)
    }

    async fn delivered(&self) -> Result<u64, ScenarioError> {
        let mut sum = 0;
        for listener in &self.listeners {
            sum += listener.peer.with(|engine| engine.stats().packets()).await?;
        }
        Ok(sum)
    }

    /// Waits until nothing more comes.
    async fn drain(&self) -> Result<(), ScenarioError> {
        let started = Instant::now();
        let mut have = self.delivered().await?;
        while started.elapsed() < LONG_DRAIN {
            sleep(DRAIN).await;
            let now = self.delivered().await?;
            if now == have {
                break;
            }
            have = now;
        }
        Ok(())
    }

    fn cost(&self, start: Account, end: Account) -> ServerCost {
        let [idle, before, ready] = self.accounts.map(Option::unwrap_or_default);
        ServerCost {
            user: end.user.saturating_sub(start.user),
            system: end.system.saturating_sub(start.system),
            setup: ready.busy().saturating_sub(before.busy()),
            resident_idle: idle.resident,
            resident_publishers: before.resident,
            resident_silent: ready.resident,
            resident_full: end.resident,
        }
    }

    fn empty(&self, title: String, elapsed: Duration) -> Report {
        Report {
            title,
            elapsed,
            silent: self.media.silent,
            publishers: self.feeds.len() as u32,
            subscribers: self.listeners.len() as u32,
            setup: self.setup,
            setup_us: self.setup_us.clone(),
            ..Report::default()
        }
    }
}

/// The server's account, if its process is known.
pub(super) fn account(target: &Target) -> Result<Option<Account>, ScenarioError> {
    Ok(target.server.map(|pid| Account::read(Some(pid))).transpose()?)
}

fn add(report: &mut Report, stats: &Stats) {
    let sum = |of: fn(&Received) -> u64| stats.received.values().map(of).sum::<u64>();
    report.delivered += sum(|r| r.packets);
    report.late += sum(|r| r.reordered);
    report.bytes += sum(|r| r.bytes);
    let video = stats.received.values().filter(|r| r.temporal.is_some());
    report.frames += video.map(|r| r.frames).sum::<u64>();
    (report.sampled, report.forged) =
        (report.sampled + stats.sampled, report.forged + stats.forged);
    // All have the same bounds, so nothing can be refused.
    let _ = report.latency_us.add(&stats.latency_us);
    let _ = report.frame_us.add(&stats.frame_us);
}

pub(super) async fn hold(feeds: &[Feed], held: bool) -> Result<(), ScenarioError> {
    for feed in feeds {
        feed.hold(held).await?;
    }
    Ok(())
}

/// Waits for `span` while keeping the session alive.
pub(super) async fn alive(session: &Session, span: Duration) -> Result<(), ScenarioError> {
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
