//! A room over a bad network: do media still arrive whole?
//!
//! The publishers' way up and the subscribers' way down lose, delay, reorder and repeat packets.
//! Retransmissions have to fill the gaps: what is missing in the end was lost again and again until
//! it was too old. The first and the last half second of the window are spared, for a gap is seen
//! only by what follows it, and belongs to the window it is in.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::window::LEAD;
use super::{ScenarioError, VideoRoom};
use crate::peer::{Impaired, Impairment};
use crate::report::Report;

/// What of a window is spared at either end.
const SPARED: Duration = Duration::from_millis(500);

/// The scenario.
#[derive(Clone, Debug)]
pub struct Impair {
    /// The room.
    pub room: VideoRoom,
    /// The publishers' way to the server; `None` is a good one.
    pub up: Option<Impairment>,
    /// The subscribers' way from the server.
    pub down: Option<Impairment>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct ImpairReport {
    /// The window.
    pub report: Report,
    /// What was done on the ways up, all together.
    pub up: Impaired,
    /// What was done on the ways down.
    pub down: Impaired,
}

impl Impair {
    /// Runs it.
    ///
    /// # Errors
    /// As [`VideoRoom::run`].
    pub async fn run(&self) -> Result<ImpairReport, ScenarioError> {
        self.room
            .on_stage(async |stage| {
                let span = self.room.target.window.saturating_sub(2 * SPARED);
                let relief = async {
                    sleep(LEAD + SPARED).await;
                    stage.impair(self.up, self.down).await?;
                    sleep(span).await;
                    stage.relieve().await
                };
                let measure = stage.measure(self.title());
                let (report, done) = tokio::join!(measure, relief);
                let (up, down) = done?;
                Ok(ImpairReport { report: report?, up, down })
            })
            .await
    }

    fn title(&self) -> String {
        let way = |way: Option<Impairment>| match way {
            None => "good".to_owned(),
            Some(how) => format!(
                "{} % lost, {} % twice, {} % overtaken, {} ms late",
                how.loss * 100.0,
                how.duplicate * 100.0,
                how.reorder * 100.0,
                how.delay.as_millis()
            ),
        };
        format!("impair: {} up ({}) down ({})", self.room.title(), way(self.up), way(self.down))
    }
}

impl ImpairReport {
    /// All figures as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = self.report.to_json();
        for (name, way) in [("up", self.up), ("down", self.down)] {
            object[name] = json!({
                "seen": way.seen,
                "lost": way.lost,
                "duplicated": way.duplicated,
                "reordered": way.reordered,
            });
        }
        object
    }
}

impl fmt::Display for ImpairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, way) in [("up", self.up), ("down", self.down)] {
            let Impaired { seen, lost, duplicated, reordered } = way;
            writeln!(
                f,
                "{name:5} {seen} packets: {lost} lost, {duplicated} twice, {reordered} overtaken"
            )?;
        }
        self.report.fmt(f)
    }
}
