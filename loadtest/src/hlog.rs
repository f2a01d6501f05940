//! A run's histograms in the log format of HdrHistogram, for its own tools and plotters.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::report::Report;

/// Writes delays of packets, of frames' last packets and of setting up, in milliseconds, each as one
/// interval with a tag: `latency`, `frame`, `setup`.
///
/// # Errors
/// Those of `to`.
pub fn write(report: &Report, start: SystemTime, to: &mut impl Write) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment(&report.title).with_start_time(start).with_base_time(start);
    builder.with_max_value_divisor(1000.0);
    let mut log = builder.begin_log_with(to, &mut serializer)?;
    let parts: [(&str, &Histogram<u64>); 3] =
        [("latency", &report.latency_us), ("frame", &report.frame_us), ("setup", &report.setup_us)];
    for (name, times) in parts {
        log.write_histogram(times, Duration::ZERO, report.elapsed, Tag::new(name))
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn what_is_written_reads_back() {
        let mut report = Report { elapsed: Duration::from_secs(2), ..Report::default() };
        report.title = "a run".to_owned();
        report.latency_us.saturating_record(5000);
        let mut log = Vec::new();
        write(&report, SystemTime::UNIX_EPOCH, &mut log).expect("written");
        let entries: Vec<_> = IntervalLogIterator::new(&log).map(Result::unwrap).collect();
        let intervals: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                LogEntry::Interval(interval) => Some(interval),
                _ => None,
            })
            .collect();
        let tags: Vec<_> = intervals.iter().filter_map(|i| i.tag()).map(|t| t.as_str()).collect();
        assert_eq!(tags, ["latency", "frame", "setup"]);
        // Two significant digits.
        assert!((intervals[0].max() - 5.0).abs() < 0.05, "{}", intervals[0].max());
    }
}
