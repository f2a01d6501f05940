//! Two servers side by side: the medians of several runs each, and their ratio.

use std::fmt;

use serde_json::Value;

/// A figure of the table: its key in a report, what to call it, and by how much to divide it.
struct Figure {
    key: &'static str,
    name: &'static str,
    divisor: f64,
}

const fn figure(key: &'static str, name: &'static str, divisor: f64) -> Figure {
    Figure { key, name, divisor }
}

const FIGURES: [Figure; 11] = [
    figure("expected_packets", "packets to deliver", 1.0),
    figure("delivered_packets", "packets delivered", 1.0),
    figure("late_packets", "of them out of order", 1.0),
    figure("server_cpu_us_per_packet", "server CPU per forwarded packet, us", 1.0),
    figure("server_user_s", "user time, s", 1.0),
    figure("server_system_s", "system time, s", 1.0),
    figure("latency_p50_us", "delay p50, ms", 1e3),
    figure("latency_p99_us", "delay p99, ms", 1e3),
    figure("server_bytes_per_subscriber", "memory per subscriber, KiB", 1024.0),
    figure("server_resident_full_bytes", "memory in all, MiB", 1048576.0),
    figure("generator_idle", "generator idle share", 1.0),
];

/// The reports of one server.
#[derive(Clone, Debug)]
pub struct Side {
    /// What to call it in the table.
    pub name: String,
    /// Its reports, as [`crate::report::Report::to_json`] wrote them.
    pub reports: Vec<Value>,
}

impl Side {
    /// The median of the figure `key` over the reports that have it.
    #[must_use]
    pub fn median(&self, key: &str) -> Option<f64> {
        let mut values: Vec<f64> = self.reports.iter().filter_map(|r| r[key].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len().checked_sub(1)? / 2).copied()
    }
}

/// A Markdown table of several sides. Ratios are each side's figure over that of the first.
#[derive(Clone, Debug)]
pub struct Comparison(pub Vec<Side>);

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((ours, others)) = self.0.split_first() else { return Ok(()) };
        write!(f, "| median of {} | {} |", ours.reports.len(), ours.name)?;
        others.iter().try_for_each(|side| write!(f, " {} | ratio |", side.name))?;
        write!(f, "\n|---|---:|")?;
        others.iter().try_for_each(|_| write!(f, "---:|---:|"))?;
        for figure in &FIGURES {
            let value = |side: &Side| side.median(figure.key).map(|v| v / figure.divisor);
            write!(f, "\n| {} | {} |", figure.name, number(value(ours)))?;
            for side in others {
                let ratio = value(ours).zip(value(side)).filter(|(a, _)| *a > 0.0);
                let ratio = ratio.map_or("–".to_owned(), |(a, b)| format!("{:.2}", b / a));
                write!(f, " {} | {ratio} |", number(value(side)))?;
            }
        }
        writeln!(f)
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.fract() == 0.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn side(name: &str, costs: &[f64]) -> Side {
        let reports = costs.iter().map(|c| json!({"server_cpu_us_per_packet": c})).collect();
        Side { name: name.to_owned(), reports }
    }

    #[test]
    fn the_table_holds_medians_and_their_ratio() {
        let both = [side("ours", &[9.0, 2.0, 3.5]), side("theirs", &[30.0, 35.0, 90.0])];
        let table = Comparison(both.to_vec()).to_string();
        let row = table.lines().find(|line| line.contains("CPU per")).expect("a row");
        assert_eq!(row, "| server CPU per forwarded packet, us | 3.50 | 35 | 10.00 |");
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        let table = Comparison(vec![side("ours", &[]), side("theirs", &[1.0])]).to_string();
        assert!(table.contains("| server CPU per forwarded packet, us | – | 1 | – |"), "{table}");
    }
}
