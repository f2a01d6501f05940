//! What a run measured, and whether that is good enough.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Longest latency recorded, microseconds; later packets count as this.
const LATENCY_TOP_US: u64 = 10_000_000;

/// Those that plots show.
const PERCENTILES: [f64; 10] = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0];

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
    /// Nothing was sent on purpose, so nothing is expected.
    pub silent: bool,
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
    /// Packets that light receivers opened as a sample, all authentic.
    pub sampled: u64,
    /// Those they opened that were not; they are not counted as delivered.
    pub forged: u64,
    /// Delay from the sender's write to the receiver's read, microseconds.
    pub latency_us: Histogram<u64>,
    /// The same of the last packet of each video frame.
    pub frame_us: Histogram<u64>,
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
    /// Time from one subscriber's attach to its `webrtcup`, microseconds.
    pub setup_us: Histogram<u64>,
    /// The window's course, once a second.
    pub samples: Vec<Sample>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            title: String::new(),
            elapsed: Duration::ZERO,
            silent: false,
            publishers: 0,
            subscribers: 0,
            expected: 0,
            delivered: 0,
            late: 0,
            bytes: 0,
            frames: 0,
            sampled: 0,
            forged: 0,
            latency_us: latency_histogram(),
            frame_us: latency_histogram(),
            server: None,
            generator_busy: Duration::ZERO,
            softirq: Duration::ZERO,
            skipped: 0,
            refused: 0,
            setup: Duration::ZERO,
            setup_us: latency_histogram(),
            samples: Vec::new(),
        }
    }
}

/// How far a window has come.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Time since its start.
    pub at: Duration,
    /// Packets delivered since then.
    pub delivered: u64,
    /// CPU time of the server since the server's start.
    pub server_busy: Option<Duration>,
    /// Its resident bytes.
    pub server_resident: Option<u64>,
}

impl Sample {
    /// What happened since the sample before, in a line for a person.
    #[must_use]
    pub fn since(&self, before: Option<&Sample>) -> String {
        let start = (Duration::ZERO, 0, None);
        let (at, delivered, busy) = before.map_or(start, |b| (b.at, b.delivered, b.server_busy));
        let span = self.at.saturating_sub(at).as_secs_f64().max(1e-3);
        let rate = self.delivered.saturating_sub(delivered) as f64 / span;
        let mut line = format!("{:4.0} s  {rate:8.0} packets/s", self.at.as_secs_f64());
        if let Some((now, before)) = self.server_busy.zip(busy) {
            let share = now.saturating_sub(before).as_secs_f64() / span * 100.0;
            line += &format!("  server {share:3.0} % of a core");
        }
        if let Some(resident) = self.server_resident {
            line += &format!("  {:.1} MiB", resident as f64 / 1048576.0);
        }
        line
    }

    fn to_json(self) -> Value {
        json!({
            "at_s": self.at.as_secs_f64(),
            "delivered_packets": self.delivered,
            "server_busy_s": self.server_busy.map(|busy| busy.as_secs_f64()),
            "server_resident_bytes": self.server_resident,
        })
    }
}

/// What the server's process took.
#[derive(Clone, Copy, Debug)]
pub struct ServerCost {
    /// CPU time over the window.
    pub user: Duration,
    /// Kernel time on its behalf over the window.
    pub system: Duration,
    /// CPU time, user and kernel, of setting the subscribers up.
    pub setup: Duration,
    /// Resident bytes before any peer.
    pub resident_idle: u64,
    /// Resident bytes with the publishers, before the subscribers.
    pub resident_publishers: u64,
    /// Resident bytes with all subscribers connected and nothing sent to them yet.
    pub resident_silent: u64,
    /// Resident bytes at the end of the window.
    pub resident_full: u64,
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
        if self.silent && self.expected == 0 {
            return 0.0;
        }
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

    /// Resident bytes the server gained per subscriber that is connected and gets nothing.
    #[must_use]
    pub fn bytes_per_idle_peer(&self) -> Option<u64> {
        let cost = self.server?;
        let gained = cost.resident_silent.saturating_sub(cost.resident_publishers);
        gained.checked_div(u64::from(self.subscribers))
    }

    /// Server CPU time of setting one subscriber up, milliseconds.
    #[must_use]
    pub fn setup_cpu_ms(&self) -> Option<f64> {
        let setup = self.server?.setup.as_secs_f64() * 1e3;
        (self.subscribers > 0).then(|| setup / f64::from(self.subscribers))
    }

    /// Share of a core that the server took over the window.
    #[must_use]
    pub fn server_share(&self) -> Option<f64> {
        let cost = self.server?;
        Some((cost.user + cost.system).as_secs_f64() / self.elapsed.as_secs_f64())
    }

    /// Packets delivered a second.
    #[must_use]
    pub fn delivered_per_s(&self) -> f64 {
        self.delivered as f64 / self.elapsed.as_secs_f64()
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
        check("forged packets", Some(self.forged as f64), Some(0.0), true);
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
            "sampled_packets": self.sampled,
            "forged_packets": self.forged,
            "latency_p50_us": self.latency_us.value_at_quantile(0.5),
            "latency_p99_us": self.latency_us.value_at_quantile(0.99),
            "latency_max_us": self.latency_us.max(),
            "latency_percentiles_us": PERCENTILES
                .map(|at| (at, self.latency_us.value_at_percentile(at))),
            "frame_p50_us": self.frame_us.value_at_quantile(0.5),
            "frame_p99_us": self.frame_us.value_at_quantile(0.99),
            "delivered_per_s": self.delivered_per_s(),
            "server_user_s": self.server.map(|s| seconds(s.user)),
            "server_system_s": self.server.map(|s| seconds(s.system)),
            "server_cpu_us_per_packet": self.cpu_us(),
            "server_share": self.server_share(),
            "server_setup_cpu_ms_per_peer": self.setup_cpu_ms(),
            "server_resident_idle_bytes": self.server.map(|s| s.resident_idle),
            "server_resident_publishers_bytes": self.server.map(|s| s.resident_publishers),
            "server_resident_silent_bytes": self.server.map(|s| s.resident_silent),
            "server_resident_full_bytes": self.server.map(|s| s.resident_full),
            "server_bytes_per_subscriber": self.bytes_per_subscriber(),
            "server_bytes_per_idle_peer": self.bytes_per_idle_peer(),
            "generator_idle": self.generator_idle(),
            "generator_refused_datagrams": self.refused,
            "generator_skipped_frames": self.skipped,
            "host_softirq_s": seconds(self.softirq),
            "setup_s": seconds(self.setup),
            "setup_p50_us": self.setup_us.value_at_quantile(0.5),
            "setup_p99_us": self.setup_us.value_at_quantile(0.99),
            "samples": self.samples.iter().map(|sample| sample.to_json()).collect::<Vec<_>>(),
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
        if !self.latency_us.is_empty() {
            writeln!(f, "  latency     p50 {:.2} ms, p99 {:.2} ms", ms(0.5), ms(0.99))?;
        }
        if !self.frame_us.is_empty() {
            let frame = self.frame_us.value_at_quantile(0.99) as f64 / 1e3;
            writeln!(f, "  frames      last packet p99 {frame:.2} ms")?;
        }
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
        if let (Some(setup), Some(share)) = (self.setup_cpu_ms(), self.server_share()) {
            let idle = self.bytes_per_idle_peer().unwrap_or_default() as f64 / 1024.0;
            let share = share * 100.0;
            writeln!(f, "  peers       {setup:.2} ms CPU to set one up, {idle:.0} KiB while idle")?;
            writeln!(f, "  server      {share:.1} % of a core")?;
        }
        if self.sampled > 0 {
            writeln!(f, "  sample      {} opened, {} forged", self.sampled, self.forged)?;
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
        let cost = ServerCost {
            user: second * 2,
            system: second * 2,
            setup: second,
            resident_idle: 0,
            resident_publishers: 1 << 20,
            resident_silent: 6 << 20,
            resident_full: 11 << 20,
        };
        let mut latency_us = latency_histogram();
        (1..=100).for_each(|ms: u64| latency_us.saturating_record(ms * 1000));
        Report {
            elapsed: second * 10,
            publishers: 1,
            subscribers: 10,
            expected: 1000,
            delivered: 990,
            latency_us,
            server: Some(cost),
            generator_busy: second * 4,
            setup: second,
            ..Report::default()
        }
    }

    #[test]
    fn figures_follow_from_the_accounts() {
        let report = report();
        assert!((report.loss() - 0.01).abs() < 1e-12);
        assert!((report.cpu_us().expect("a server") - 4e6 / 990.0).abs() < 1e-6);
        assert_eq!(report.bytes_per_subscriber(), Some(1 << 20));
        assert_eq!(report.bytes_per_idle_peer(), Some(1 << 19));
        assert!((report.setup_cpu_ms().expect("a server") - 100.0).abs() < 1e-9);
        assert!((report.server_share().expect("a server") - 0.4).abs() < 1e-9);
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
    fn nothing_expected_is_all_lost_unless_nothing_was_sent_on_purpose() {
        let report = Report { expected: 0, delivered: 0, ..report() };
        assert!(report.loss() == 1.0);
        assert!(Report { silent: true, ..report }.loss() == 0.0);
    }
}
