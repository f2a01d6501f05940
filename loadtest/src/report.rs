//! What a run measured, and whether that is good enough.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::server::Account;

/// Longest latency recorded, microseconds; later packets count as this.
const LATENCY_TOP_US: u64 = 10_000_000;

/// An empty histogram of delays in microseconds, 1 us to 10 s, two significant digits.
#[must_use]
pub fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_TOP_US, 2).expect("constant bounds are valid")
}

/// The figures of one measured window. Packets are RTP packets as applications see them:
/// retransmissions fill gaps and do not count twice.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario and its arguments in words.
    pub title: String,
    /// Length of the window.
    pub elapsed: Duration,
    /// Publishing peers.
    pub publishers: u32,
    /// Receiving peers.
    pub subscribers: u32,
    /// Packets that should have arrived at the receivers, all together.
    pub expected: u64,
    /// Packets that did.
    pub delivered: u64,
    /// Delivered packets that came behind a later one: most of them were sent again.
    pub late: u64,
    /// RTP payload bytes delivered.
    pub bytes: u64,
    /// Whole video frames delivered.
    pub frames: u64,
    /// Delay from the sender's write to the receiver's read, microseconds.
    pub latency_us: Histogram<u64>,
    /// The server's account over the window and its memory, if its process is known.
    pub server: Option<ServerCost>,
    /// CPU time of the generator, one thread, over the window.
    pub generator_busy: Duration,
    /// Soft interrupt time of the whole host over the window.
    pub softirq: Duration,
    /// Frames the publishers left out because the generator itself was late.
    pub skipped: u64,
    /// Datagrams of the generator that its own kernel refused.
    pub refused: u64,
    /// Time from the first subscriber's request to the last one's connection.
    pub setup: Duration,
}

/// What the server's process took.
#[derive(Clone, Copy, Debug)]
pub struct ServerCost {
    /// CPU time over the window.
    pub user: Duration,
    /// Kernel time on its behalf over the window.
    pub system: Duration,
    /// Resident bytes before any peer.
    pub resident_idle: u64,
    /// Resident bytes with the publishers, before the subscribers.
    pub resident_publishers: u64,
    /// Resident bytes at the end of the window.
    pub resident_full: u64,
}

impl ServerCost {
    /// From accounts at the window's ends.
    #[must_use]
    pub fn between(start: Account, end: Account, idle: u64, publishers: u64) -> Self {
        Self {
            user: end.user.saturating_sub(start.user),
            system: end.system.saturating_sub(start.system),
            resident_idle: idle,
            resident_publishers: publishers,
            resident_full: end.resident,
        }
    }
}

/// Bounds a run must keep; `None` checks nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thresholds {
    /// Largest share of packets lost, 0..=1.
    pub loss: Option<f64>,
    /// Largest 99th percentile of latency.
    pub p99: Option<Duration>,
    /// Largest server CPU time per forwarded packet, microseconds.
    pub cpu_us: Option<f64>,
    /// Smallest idle share of the generator, below which nothing it says is worth much.
    pub idle: Option<f64>,
}

impl Report {
    /// Share of the expected packets that did not arrive, 0..=1.
    #[must_use]
    pub fn loss(&self) -> f64 {
        let lost = self.expected.saturating_sub(self.delivered);
        if self.expected == 0 { 1.0 } else { lost as f64 / self.expected as f64 }
    }

    /// Server CPU time per delivered packet, microseconds.
    #[must_use]
    pub fn cpu_us(&self) -> Option<f64> {
        let cost = self.server?;
        let busy = (cost.user + cost.system).as_secs_f64();
        (self.delivered > 0).then(|| busy * 1e6 / self.delivered as f64)
    }

    /// Resident bytes the server gained per subscriber.
    #[must_use]
    pub fn bytes_per_subscriber(&self) -> Option<u64> {
        let cost = self.server?;
        let gained = cost.resident_full.saturating_sub(cost.resident_publishers);
        gained.checked_div(u64::from(self.subscribers))
    }

    /// Share of the window the generator's thread had nothing to do, 0..=1.
    #[must_use]
    pub fn generator_idle(&self) -> f64 {
        (1.0 - self.generator_busy.as_secs_f64() / self.elapsed.as_secs_f64()).max(0.0)
    }

    fn latency(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.latency_us.value_at_quantile(quantile))
    }

    /// The bounds that were not kept, in words; empty when all is well.
    #[must_use]
    pub fn failures(&self, bounds: &Thresholds) -> Vec<String> {
        let p99 = self.latency(0.99).as_secs_f64() * 1e3;
        let mut failed = Vec::new();
        let mut check = |name: &str, value: Option<f64>, bound: Option<f64>, most: bool| {
            let (Some(value), Some(bound)) = (value, bound) else { return };
            if if most { value > bound } else { value < bound } {
                let side = if most { "above" } else { "below" };
                failed.push(format!("{name} {value:.6} is {side} {bound}"));
            }
        };
        check("loss", Some(self.loss()), bounds.loss, true);
        check("p99 ms", Some(p99), bounds.p99.map(|p| p.as_secs_f64() * 1e3), true);
        check("CPU us/packet", self.cpu_us(), bounds.cpu_us, true);
        check("generator idle share", Some(self.generator_idle()), bounds.idle, false);
        failed
    }

    /// All figures as one JSON object, units in the names.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let seconds = |d: Duration| d.as_secs_f64();
        json!({
            "title": self.title,
            "elapsed_s": seconds(self.elapsed),
            "publishers": self.publishers,
            "subscribers": self.subscribers,
            "expected_packets": self.expected,
            "delivered_packets": self.delivered,
            "late_packets": self.late,
            "loss": self.loss(),
            "delivered_bytes": self.bytes,
            "frames": self.frames,
            "latency_p50_us": self.latency_us.value_at_quantile(0.5),
            "latency_p99_us": self.latency_us.value_at_quantile(0.99),
            "latency_max_us": self.latency_us.max(),
            "server_user_s": self.server.map(|s| seconds(s.user)),
            "server_system_s": self.server.map(|s| seconds(s.system)),
            "server_cpu_us_per_packet": self.cpu_us(),
            "server_resident_idle_bytes": self.server.map(|s| s.resident_idle),
            "server_resident_publishers_bytes": self.server.map(|s| s.resident_publishers),
            "server_resident_full_bytes": self.server.map(|s| s.resident_full),
            "server_bytes_per_subscriber": self.bytes_per_subscriber(),
            "generator_idle": self.generator_idle(),
            "generator_refused_datagrams": self.refused,
            "generator_skipped_frames": self.skipped,
            "host_softirq_s": seconds(self.softirq),
            "setup_s": seconds(self.setup),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.bytes as f64 * 8.0 / self.elapsed.as_secs_f64() / 1e6;
        let ms = |quantile| self.latency(quantile).as_secs_f64() * 1e3;
        writeln!(f, "{}", self.title)?;
        writeln!(
            f,
            "  delivered   {} of {} packets, loss {:.4} %, {} late, {rate:.1} Mbit/s",
            self.delivered,
            self.expected,
            self.loss() * 100.0,
            self.late
        )?;
        writeln!(f, "  latency     p50 {:.2} ms, p99 {:.2} ms", ms(0.5), ms(0.99))?;
        if let (Some(cost), Some(cpu)) = (self.server, self.cpu_us()) {
            let (user, system) = (cost.user.as_secs_f64(), cost.system.as_secs_f64());
            writeln!(
                f,
                "  server CPU  {cpu:.2} us/packet ({user:.2} s user, {system:.2} s system)"
            )?;
            let per = self.bytes_per_subscriber().unwrap_or_default() as f64 / 1024.0;
            let full = cost.resident_full as f64 / 1048576.0;
            writeln!(f, "  memory      {per:.0} KiB/subscriber, {full:.1} MiB in all")?;
        }
        let (idle, setup) = (self.generator_idle() * 100.0, self.setup.as_secs_f64());
        write!(f, "  generator   {idle:.0} % idle, {} refused, ", self.refused)?;
        write!(f, "{} frames skipped, setup {setup:.1} s", self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let second = Duration::from_secs(1);
        let account = |ticks| Account { user: second * ticks, system: second * ticks, resident: 0 };
        let end = Account { resident: 11 << 20, ..account(3) };
        let mut latency_us = latency_histogram();
        (1..=100).for_each(|ms: u64| latency_us.saturating_record(ms * 1000));
        Report {
            title: String::new(),
            elapsed: second * 10,
            publishers: 1,
            subscribers: 10,
            expected: 1000,
            delivered: 990,
            late: 0,
            bytes: 0,
            frames: 0,
            latency_us,
            server: Some(ServerCost::between(account(1), end, 0, 1 << 20)),
            generator_busy: second * 4,
            softirq: Duration::ZERO,
            refused: 0,
            skipped: 0,
            setup: second,
        }
    }

    #[test]
    fn figures_follow_from_the_accounts() {
        let report = report();
        assert!((report.loss() - 0.01).abs() < 1e-12);
        assert!((report.cpu_us().expect("a server") - 4e6 / 990.0).abs() < 1e-6);
        assert_eq!(report.bytes_per_subscriber(), Some(1 << 20));
        assert!((report.generator_idle() - 0.6).abs() < 1e-9);
    }

    #[test]
    fn each_bound_fails_on_its_own() {
        let report = report();
        assert!(report.failures(&Thresholds::default()).is_empty());
        let bounds = Thresholds {
            loss: Some(0.001),
            p99: Some(Duration::from_millis(50)),
            cpu_us: Some(10.0),
            idle: Some(0.9),
        };
        assert_eq!(report.failures(&bounds).len(), 4);
        assert!(report.failures(&Thresholds { loss: Some(0.02), ..bounds }).len() == 3);
    }

    #[test]
    fn nothing_expected_is_all_lost() {
        let report = Report { expected: 0, delivered: 0, ..report() };
        assert!(report.loss() == 1.0);
    }
}
