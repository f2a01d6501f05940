//! A VideoRoom in which one publisher speaks on a data channel and many hear it.
//!
//! Every message carries the time it was written, so the delay is that of the whole way: SCTP and
//! DTLS of the publisher, the server, and the same again to each subscriber. Everything of the
//! generator runs on one thread, whose own lateness is in the figures too.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::ScenarioError;
use crate::janus::{Client, Handle, Jsep, Session};
use crate::peer::{Peer, PeerConfig, PeerError, Stats};
use crate::report::latency_histogram;
use crate::server::{Account, threads};

/// How long one peer's setup may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Subscribers being set up at the same time.
const SETUPS: usize = 8;
/// The label that browsers' library and server agree on.
const LABEL: &str = "JanusDataChannel";
/// Silence around the window, for what is under way.
const DRAIN: Duration = Duration::from_secs(1);
/// Messages before the window: every subscriber has to have its channel by then.
const WARM_UP: u32 = 20;

/// One publisher of data, and those who hear it.
#[derive(Clone, Debug)]
pub struct Data {
    /// `ws://…` or `http://…` of the Janus API.
    pub url: String,
    /// Local address for media.
    pub local_ip: IpAddr,
    /// Subscribers.
    pub subscribers: u32,
    /// Messages a second, at least 1.
    pub rate: u32,
    /// Bytes of a message.
    pub size: usize,
    /// Length of the measured window.
    pub window: Duration,
    /// The server's process, for CPU time.
    pub server: Option<u32>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct DataReport {
    /// The scenario in words.
    pub title: String,
    /// Length of the window.
    pub elapsed: Duration,
    /// Messages that should have arrived, at all subscribers together.
    pub expected: u64,
    /// Messages that did.
    pub delivered: u64,
    /// Delay from the publisher's write to a subscriber's read, microseconds.
    pub delay_us: Histogram<u64>,
    /// CPU time of the server's threads over the window, by name.
    pub threads: BTreeMap<String, Duration>,
    /// CPU time of the generator over the window.
    pub generator: Duration,
}

impl DataReport {
    /// A quantile of the delay.
    #[must_use]
    pub fn delay(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.delay_us.value_at_quantile(quantile))
    }

    /// Share of a core that the server's control thread took, 0..=1, if its process is known.
    #[must_use]
    pub fn control(&self) -> Option<f64> {
        Some(self.threads.get("main")?.as_secs_f64() / self.elapsed.as_secs_f64())
    }
}

impl fmt::Display for DataReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.elapsed.as_secs_f64();
        writeln!(f, "{}", self.title)?;
        writeln!(f, "  messages       {} of {} delivered", self.delivered, self.expected)?;
        let ms = |quantile| self.delay(quantile).as_secs_f64() * 1e3;
        writeln!(f, "  delay          p50 {:.2} ms, p99 {:.2} ms", ms(0.5), ms(0.99))?;
        for (name, busy) in &self.threads {
            let name = if name == "main" { "control" } else { name };
            if busy.is_zero() && name != "control" {
                continue;
            }
            let share = busy.as_secs_f64() / span * 100.0;
            writeln!(f, "  CPU {name:<10} {share:.1} % of a core")?;
        }
        write!(f, "  generator      {:.1} % of a core", self.generator.as_secs_f64() / span * 100.0)
    }
}

struct Guest {
    peer: Peer,
    /// Kept open: a dropped handle would lose its events.
    _handle: Handle,
}

impl Data {
    /// Runs it to the end and closes the room.
    ///
    /// # Errors
    /// What went wrong in signalling, a peer, or reading the server's accounts.
    pub async fn run(&self) -> Result<DataReport, ScenarioError> {
        let client = Client::connect(&self.url).await?.with_patience(PATIENCE);
        let session = client.create().await?;
        let mut keeper = session.attach("janus.plugin.videoroom").await?;
        let made = keeper.ask(json!({"request": "create", "publishers": 1}), None).await?;
        let room = made.accepted()?.data["room"].clone();
        let (speaker, feed) = self.speaker(&session, &room).await?;
        let listeners: Vec<Guest> = stream::iter(0..self.subscribers)
            .map(|_| self.listener(&session, &room, &feed))
            .buffer_unordered(SETUPS)
            .try_collect()
            .await?;
        session.keepalive().await?;
        self.speak(&session, &speaker, Duration::from_secs(1) * WARM_UP / self.rate).await?;
        let report = self.measure(&session, &speaker, &listeners).await?;
        keeper.ask(json!({"request": "destroy", "room": room}), None).await?;
        session.destroy().await?;
        Ok(report)
    }

    async fn speaker(
        &self,
        session: &Session,
        room: &Value,
    ) -> Result<(Guest, Value), ScenarioError> {
        let mut handle = session.attach("janus.plugin.videoroom").await?;
        let join = json!({"request": "join", "ptype": "publisher", "room": room});
        let joined = handle.ask(join, None).await?.accepted()?;
        let peer = Peer::bind(PeerConfig::new(self.local_ip)).await?;
        let offer = peer.offer_channel(LABEL).await?;
        let publish = json!({"request": "publish"});
        let answer = handle.ask(publish, Some(Jsep::offer(offer))).await?.accepted()?;
        let jsep = answer.jsep.ok_or(ScenarioError::NoSdp("the publisher's answer"))?;
        peer.accept_answer(&jsep.sdp).await?;
        peer.connected(PATIENCE).await?;
        peer.until("an open channel", PATIENCE, has_channel).await?;
        handle.event_of("webrtcup").await?;
        Ok((Guest { peer, _handle: handle }, joined.data["id"].clone()))
    }

    async fn listener(
        &self,
        session: &Session,
        room: &Value,
        feed: &Value,
    ) -> Result<Guest, ScenarioError> {
        let mut handle = session.attach("janus.plugin.videoroom").await?;
        let join = json!({
            "request": "join", "ptype": "subscriber", "room": room, "streams": [{"feed": feed}],
        });
        let attached = handle.ask(join, None).await?.accepted()?;
        let offer = attached.jsep.ok_or(ScenarioError::NoSdp("the subscriber's offer"))?;
        let peer = Peer::bind(PeerConfig::new(self.local_ip)).await?;
        let answer = peer.accept_offer(&offer.sdp).await?;
        // Nothing is sent to a subscriber that opens no channel of its own.
        peer.with(|engine| engine.open_channel(LABEL)).await?;
        handle.ask(json!({"request": "start"}), Some(Jsep::answer(answer))).await?.accepted()?;
        peer.connected(PATIENCE).await?;
        peer.until("an open channel", PATIENCE, has_channel).await?;
        Ok(Guest { peer, _handle: handle })
    }

    /// Speaks for so long; returns how often.
    async fn speak(
        &self,
        session: &Session,
        speaker: &Guest,
        span: Duration,
    ) -> Result<u64, ScenarioError> {
        let mut ticks = interval(Duration::from_secs(1) / self.rate);
        // A burst after a pause would measure the pause.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (started, size) = (Instant::now(), self.size);
        let (mut said, mut alive) = (0, started);
        while started.elapsed() < span {
            ticks.tick().await;
            let say = move |engine: &mut crate::peer::Engine| {
                engine.say_stamped(LABEL, size, Instant::now())
            };
            if !speaker.peer.with(say).await? {
                return Err(PeerError::State("the publisher's channel takes no more").into());
            }
            said += 1;
            if alive.elapsed() > Duration::from_secs(20) {
                session.keepalive().await?;
                alive = Instant::now();
            }
        }
        Ok(said)
    }

    async fn measure(
        &self,
        session: &Session,
        speaker: &Guest,
        listeners: &[Guest],
    ) -> Result<DataReport, ScenarioError> {
        sleep(DRAIN).await;
        for listener in listeners {
            listener.peer.reset_counts().await?;
        }
        let server = || self.server.map(threads).transpose();
        let (mine, before) = (Account::read(None)?, server()?.unwrap_or_default());
        let started = Instant::now();
        let said = self.speak(session, speaker, self.window).await?;
        let elapsed = started.elapsed();
        let generator = Account::read(None)?.busy().saturating_sub(mine.busy());
        let mut threads = server()?.unwrap_or_default();
        for (name, busy) in &mut threads {
            *busy = busy.saturating_sub(before.get(name).copied().unwrap_or_default());
        }
        sleep(DRAIN).await;
        let (mut delivered, mut delay_us) = (0, latency_histogram());
        for listener in listeners {
            let stats = listener.peer.stats().await?;
            delivered += stats.stamped;
            // Both have the same bounds, so nothing can be refused.
            let _ = delay_us.add(&stats.latency_us);
        }
        let title = format!(
            "data: 1 publisher, {} messages a second of {} bytes, {} subscribers, {:.0} s",
            self.rate,
            self.size,
            self.subscribers,
            self.window.as_secs_f64()
        );
        let expected = said * u64::from(self.subscribers);
        Ok(DataReport { title, elapsed, expected, delivered, delay_us, threads, generator })
    }
}

fn has_channel(stats: &Stats) -> bool {
    stats.channels.iter().any(|label| label == LABEL)
}
