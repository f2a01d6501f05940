//! Viewers who come and go at a steady rate: how long does joining take, and what stays behind?
//!
//! Everybody has a handle and a PeerConnection of their own, waits for the first packet, stays a
//! while, detaches and is gone. A round of visits before the accounts are opened fills caches that
//! stay; what the server holds more after the last visitor than then is what a visit leaves behind.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, future};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until};

use super::window::{PATIENCE, account};
use super::{ScenarioError, Streaming};
use crate::janus::{Client, Session};
use crate::report::latency_histogram;
use crate::server::{Account, descriptors};

/// Longest time between two keepalives.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Time for the server to let go of the last ones.
const SETTLE: Duration = Duration::from_secs(3);

/// The scenario.
#[derive(Clone, Debug)]
pub struct Churn {
    /// What is visited; its viewers are those present at a time, its window how long new ones come.
    pub streaming: Streaming,
    /// Arrivals a second.
    pub per_s: f64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct ChurnReport {
    /// The scenario in words.
    pub title: String,
    /// Those who came, heard something and went.
    pub visits: u64,
    /// Those who did not get that far, and the first reason.
    pub failed: u64,
    /// Why the first one failed.
    pub failure: Option<String>,
    /// From attach to `webrtcup`, microseconds.
    pub setup_us: Histogram<u64>,
    /// From attach to the first packet, microseconds.
    pub first_us: Histogram<u64>,
    /// The server before and after, if its process is known.
    pub server: Option<[Held; 2]>,
}

/// What the server's process holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// CPU time so far.
    pub busy: Duration,
    /// Resident bytes.
    pub resident: u64,
    /// Open file descriptors.
    pub descriptors: u64,
}

/// How long a visit took to come about.
struct Visit {
    setup: Duration,
    first: Duration,
}

impl Churn {
    /// Runs it.
    ///
    /// # Errors
    /// When the mountpoint cannot be made or the server's accounts cannot be read; visits that fail
    /// are counted.
    pub async fn run(&self) -> Result<ChurnReport, ScenarioError> {
        let target = &self.streaming.target;
        let client = Client::connect(&target.url).await?.with_patience(PATIENCE);
        let session = client.create().await?;
        let mut keeper = session.attach(super::streaming::PLUGIN).await?;
        let (id, feed) = self.streaming.create(&mut keeper).await?;
        feed.hold(false).await?;
        let stay = Duration::from_secs_f64(f64::from(self.streaming.viewers) / self.per_s);
        let lead = stay.min(target.window);
        let mut ignored = self.empty();
        self.round(&session, &id, (lead, stay), &mut ignored).await?;
        let before = self.held()?;
        let mut report = self.empty();
        self.round(&session, &id, (target.window, stay), &mut report).await?;
        report.server = before.zip(self.held()?).map(|(before, after)| [before, after]);
        keeper.ask(json!({"request": "destroy", "id": id}), None).await?.accepted()?;
        session.destroy().await?;
        Ok(report)
    }

    fn empty(&self) -> ChurnReport {
        let (media, viewers) = (&self.streaming.media, self.streaming.viewers);
        let seconds = self.streaming.target.window.as_secs_f64();
        let title = format!(
            "churn: {:.1} arrivals/s, {viewers} present, a mountpoint of {media}, {seconds:.0} s",
            self.per_s
        );
        ChurnReport {
            title,
            visits: 0,
            failed: 0,
            failure: None,
            setup_us: latency_histogram(),
            first_us: latency_histogram(),
            server: None,
        }
    }

    fn held(&self) -> Result<Option<Held>, ScenarioError> {
        let Some(pid) = self.streaming.target.server else { return Ok(None) };
        let account = account(&self.streaming.target)?.unwrap_or_default();
        let Account { resident, .. } = account;
        Ok(Some(Held { busy: account.busy(), resident, descriptors: descriptors(pid)? }))
    }

    /// Visits begin for `span`, each stays for `stay`; ends when the last one has gone.
    async fn round(
        &self,
        session: &Session,
        id: &Value,
        (span, stay): (Duration, Duration),
        report: &mut ChurnReport,
    ) -> Result<(), ScenarioError> {
        let (start, mut spoken) = (Instant::now(), Instant::now());
        let total = (span.as_secs_f64() * self.per_s).ceil().max(1.0) as u32;
        let due = |number: u32| start + Duration::from_secs_f64(f64::from(number) / self.per_s);
        let (mut visits, mut begun) = (FuturesUnordered::new(), 0);
        while begun < total || !visits.is_empty() {
            let next = async {
                match begun < total {
                    true => sleep_until(due(begun).into()).await,
                    false => future::pending().await,
                }
            };
            tokio::select! {
                () = next => {
                    visits.push(self.visit(session, id, begun, stay));
                    begun += 1;
                }
                Some(visit) = visits.next() => report.add(visit),
            }
            if spoken.elapsed() > KEEPALIVE {
                session.keepalive().await?;
                spoken = Instant::now();
            }
            if self.streaming.target.progress && begun.is_multiple_of(100) && begun < total {
                eprintln!("{begun} of {total} came, {} failed", report.failed);
            }
        }
        sleep(SETTLE).await;
        Ok(session.keepalive().await?)
    }

    async fn visit(
        &self,
        session: &Session,
        id: &Value,
        number: u32,
        stay: Duration,
    ) -> Result<Visit, ScenarioError> {
        let started = Instant::now();
        let listener = self.streaming.watch(session, id, number).await?;
        let setup = started.elapsed();
        listener.peer.until("first media", PATIENCE, |stats| stats.packets() > 0).await?;
        let first = started.elapsed();
        sleep(stay).await;
        listener.handle.detach().await?;
        Ok(Visit { setup, first })
    }
}

impl ChurnReport {
    fn add(&mut self, visit: Result<Visit, ScenarioError>) {
        match visit {
            Ok(Visit { setup, first }) => {
                self.visits += 1;
                self.setup_us.saturating_record(setup.as_micros() as u64);
                self.first_us.saturating_record(first.as_micros() as u64);
            }
            Err(error) => {
                self.failed += 1;
                self.failure.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// File descriptors that stayed open.
    #[must_use]
    pub fn descriptors_left(&self) -> Option<i64> {
        let [before, after] = self.server?;
        Some(after.descriptors as i64 - before.descriptors as i64)
    }

    /// Resident bytes that stayed, a visit.
    #[must_use]
    pub fn bytes_left(&self) -> Option<f64> {
        let [before, after] = self.server?;
        let left = after.resident as f64 - before.resident as f64;
        Some(left / self.visits.max(1) as f64)
    }

    /// Server CPU time a visit, milliseconds; it contains the packets it was sent.
    #[must_use]
    pub fn cpu_ms(&self) -> Option<f64> {
        let [before, after] = self.server?;
        let busy = after.busy.saturating_sub(before.busy).as_secs_f64() * 1e3;
        Some(busy / self.visits.max(1) as f64)
    }

    /// All figures as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "title": self.title,
            "visits": self.visits,
            "failed": self.failed,
            "failure": self.failure,
            "setup_p50_us": self.setup_us.value_at_quantile(0.5),
            "setup_p99_us": self.setup_us.value_at_quantile(0.99),
            "first_media_p50_us": self.first_us.value_at_quantile(0.5),
            "first_media_p99_us": self.first_us.value_at_quantile(0.99),
            "server_cpu_ms_per_visit": self.cpu_ms(),
            "server_descriptors_left": self.descriptors_left(),
            "server_bytes_left_per_visit": self.bytes_left(),
            "server_resident_bytes": self.server.map(|held| held.map(|held| held.resident)),
        })
    }
}

impl fmt::Display for ChurnReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |times: &Histogram<u64>, at| times.value_at_quantile(at) as f64 / 1e3;
        writeln!(f, "{}", self.title)?;
        writeln!(f, "  visits      {}, {} failed", self.visits, self.failed)?;
        if let Some(failure) = &self.failure {
            writeln!(f, "  failure     {failure}")?;
        }
        let (setup, first) = (&self.setup_us, &self.first_us);
        let (p50, p99) = (ms(setup, 0.5), ms(setup, 0.99));
        writeln!(f, "  webrtcup    p50 {p50:.1} ms, p99 {p99:.1} ms after attach")?;
        let (p50, p99) = (ms(first, 0.5), ms(first, 0.99));
        write!(f, "  first media p50 {p50:.1} ms, p99 {p99:.1} ms after attach")?;
        let left = (self.cpu_ms(), self.descriptors_left(), self.bytes_left());
        if let (Some(cpu), Some(files), Some(bytes)) = left {
            let kib = bytes / 1024.0;
            write!(f, "\n  server      {cpu:.2} ms CPU a visit; {files} descriptors and ")?;
            write!(f, "{kib:.2} KiB a visit stay behind")?;
        }
        Ok(())
    }
}
