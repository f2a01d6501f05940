//! How much a server carries: the load is raised until packets are lost.
//!
//! One mountpoint and its viewers stay connected while the source's rate doubles from window to
//! window; between the last rate that was carried and the first that was not, the search goes on by
//! halves. Frames keep their size and come more often, so what a server may send together stays the
//! same. What the generator itself could not keep up with ends the climb and is said.

use std::fmt;

use serde_json::{Value, json};

use super::window::Stage;
use super::{Media, ScenarioError, Streaming};
use crate::report::Report;

/// The search ends when the bounds are this close.
const PRECISION: f64 = 1.1;
/// A generator with less time to spare measures itself.
const LEAST_IDLE: f64 = 0.02;

/// The scenario.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// What is climbed on; its media's rate is the first rung's.
    pub streaming: Streaming,
    /// Share of packets whose loss ends the climb, 0..1.
    pub loss: f64,
    /// Windows at most.
    pub most_rungs: usize,
}

/// One window of the climb.
#[derive(Clone, Debug)]
pub struct Rung {
    /// Video payload bits per second of the source.
    pub rate_bps: u64,
    /// What was measured.
    pub report: Report,
    /// The bound was kept.
    pub held: bool,
    /// The generator had no time to spare, or could not send in time.
    pub generator_limited: bool,
}

/// The climb.
#[derive(Clone, Debug)]
pub struct LadderReport {
    /// Windows in order.
    pub rungs: Vec<Rung>,
}

impl Ladder {
    /// Climbs.
    ///
    /// # Errors
    /// As [`Streaming::run`].
    pub async fn run(&self) -> Result<LadderReport, ScenarioError> {
        let rungs = self.streaming.on_stage(async |stage| self.climb(stage).await).await?;
        Ok(LadderReport { rungs })
    }

    async fn climb(&self, stage: &Stage<'_>) -> Result<Vec<Rung>, ScenarioError> {
        let (mut rungs, mut rate) = (Vec::new(), self.streaming.media.rate_bps.max(100_000));
        let (mut carried, mut refused) = (None, None);
        while rungs.len() < self.most_rungs {
            let rung = self.rung(stage, rate).await?;
            if self.streaming.target.progress {
                eprintln!("{rung}");
            }
            let bound = if rung.held { &mut carried } else { &mut refused };
            *bound = Some(rate);
            let limited = rung.generator_limited && rung.held;
            rungs.push(rung);
            rate = match next(carried, refused) {
                Some(rate) if !limited => rate,
                _ => break,
            };
        }
        Ok(rungs)
    }

    async fn rung(&self, stage: &Stage<'_>, rate_bps: u64) -> Result<Rung, ScenarioError> {
        let first = self.streaming.media.clone();
        let slower = first.rate_bps.max(1) as f64 / rate_bps as f64;
        let frame_interval = first.frame_interval.mul_f64(slower);
        stage.reshape(&Media { rate_bps, frame_interval, ..first }).await?;
        let report = stage.measure(format!("ladder: {} kbit/s", rate_bps / 1000)).await?;
        let generator_limited = report.generator_idle() < LEAST_IDLE || report.skipped > 0;
        Ok(Rung { rate_bps, held: report.loss() <= self.loss, generator_limited, report })
    }
}

/// The next rate to try, between the best that was carried and the least that was not.
fn next(carried: Option<u64>, refused: Option<u64>) -> Option<u64> {
    match (carried, refused) {
        (Some(carried), None) => Some(carried * 2),
        (None, Some(refused)) => (refused > 100_000).then_some(refused / 2),
        (Some(carried), Some(refused)) => {
            let (low, high) = (carried as f64, refused as f64);
            (high / low > PRECISION).then_some((low * high).sqrt() as u64)
        }
        (None, None) => None,
    }
}

impl LadderReport {
    /// The highest rung that was carried.
    #[must_use]
    pub fn best(&self) -> Option<&Rung> {
        self.rungs.iter().filter(|rung| rung.held).max_by_key(|rung| rung.rate_bps)
    }

    /// All figures as one JSON object: those of the best rung, and the climb.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = self.best().map_or(json!({}), |rung| rung.report.to_json());
        object["title"] = json!("ladder");
        object["ladder_bitrate"] = json!(self.best().map(|rung| rung.rate_bps));
        let first = self.rungs.first().zip(self.best());
        let times = first.map(|(first, best)| best.rate_bps as f64 / first.rate_bps as f64);
        object["ladder_times"] = json!(times);
        let rate = self.best().map(|rung| rung.report.delivered_per_s());
        object["ladder_packets_per_s"] = json!(rate);
        let limited = self.best().is_some_and(|rung| rung.generator_limited);
        object["generator_limited"] = json!(limited);
        let rungs = self.rungs.iter().map(|rung| {
            json!({
                "bitrate": rung.rate_bps,
                "held": rung.held,
                "loss": rung.report.loss(),
                "delivered_per_s": rung.report.delivered_per_s(),
                "server_cpu_us_per_packet": rung.report.cpu_us(),
                "server_share": rung.report.server_share(),
                "generator_idle": rung.report.generator_idle(),
            })
        });
        object["rungs"] = rungs.collect();
        object
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (report, rate) = (&self.report, self.rate_bps / 1000);
        let (loss, sent) = (report.loss() * 100.0, report.delivered_per_s());
        let (idle, share) = (report.generator_idle() * 100.0, report.server_share());
        write!(f, "{rate:7} kbit/s  {sent:8.0} packets/s  loss {loss:7.3} %")?;
        if let Some(share) = share {
            write!(f, "  server {:3.0} %", share * 100.0)?;
        }
        write!(f, "  generator {idle:3.0} % idle")?;
        f.write_str(if self.held { "" } else { "  not carried" })
    }
}

impl fmt::Display for LadderReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rungs.iter().try_for_each(|rung| writeln!(f, "{rung}"))?;
        let Some(best) = self.best() else { return write!(f, "nothing was carried") };
        write!(f, "carried {:.0} packets/s", best.report.delivered_per_s())?;
        if best.generator_limited {
            write!(f, "; the generator could do no more")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_doubles_then_halves_and_ends() {
        let limit = 7_300_000;
        let (mut carried, mut refused, mut rate) = (None, None, 1_000_000);
        let mut tried = 0;
        loop {
            tried += 1;
            *(if rate <= limit { &mut carried } else { &mut refused }) = Some(rate);
            match next(carried, refused) {
                Some(more) => rate = more,
                None => break,
            }
        }
        let best = carried.expect("one is carried");
        assert!(best <= limit && best * 11 / 10 > limit, "{best}");
        assert!(tried <= 8, "{tried}");
    }

    #[test]
    fn a_first_rung_that_is_too_high_is_left_downwards() {
        assert_eq!(next(None, Some(800_000)), Some(400_000));
        assert_eq!(next(None, Some(100_000)), None);
    }
}
