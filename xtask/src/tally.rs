//! Counts what passed and what failed over all parts of a test run.

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// One part's result, as the summary shows it.
struct Line {
    name: String,
    passed: u64,
    failed: u64,
    took: Duration,
}

/// The sum over the parts of one `cargo xtask test`.
pub(crate) struct Tally {
    lines: Vec<Line>,
    since: Instant,
}

impl Tally {
    /// An empty tally; the first part's time starts now.
    pub(crate) fn new() -> Self {
        Self { lines: Vec::new(), since: Instant::now() }
    }

    /// Notes a part that ended: how many of its checks held and how many did not.
    pub(crate) fn add(&mut self, name: &str, passed: u64, failed: u64) {
        let now = Instant::now();
        let took = now.duration_since(self.since);
        self.since = now;
        self.lines.push(Line { name: name.to_owned(), passed, failed, took });
    }

    /// Notes a part that is one check by itself.
    pub(crate) fn add_check(&mut self, name: &str, held: bool) {
        self.add(name, u64::from(held), u64::from(!held));
    }

    /// Prints a line for each part, then the sum alone on the last line.
    pub(crate) fn report(&self) -> ExitCode {
        println!();
        for line in &self.lines {
            let mark = if line.failed == 0 { "ok  " } else { "FAIL" };
            println!(
                "{mark} {:<14} {:>5} passed {:>4} failed {:>7.1} s",
                line.name,
                line.passed,
                line.failed,
                line.took.as_secs_f64()
            );
        }
        let (passed, failed) = self.sum();
        println!("{passed} passed, {failed} failed");
        if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn sum(&self) -> (u64, u64) {
        self.lines
            .iter()
            .fold((0, 0), |(passed, failed), line| (passed + line.passed, failed + line.failed))
    }
}

/// Reads one `test result: ok. 3 passed; 0 failed; …` line of the standard test harness.
///
/// Returns (passed, failed), or `None` for any other line.
pub(crate) fn harness_result(line: &str) -> Option<(u64, u64)> {
    let counts = line.trim().strip_prefix("test result: ")?;
    let mut passed = None;
    let mut failed = None;
    for field in counts.split(['.', ';']) {
        let mut words = field.split_whitespace();
        match (words.next().and_then(|word| word.parse().ok()), words.next()) {
            (Some(count), Some("passed")) => passed = Some(count),
            (Some(count), Some("failed")) => failed = Some(count),
            _ => {}
        }
    }
    passed.zip(failed)
}

/// Reads the last line of a runner of ours, `NAME: 7 passed, 1 failed`.
pub(crate) fn named_result(name: &str, line: &str) -> Option<(u64, u64)> {
    let counts = line.strip_prefix(name)?.strip_prefix(": ")?;
    let (passed, failed) = counts.split_once(", ")?;
    Some((
        passed.strip_suffix(" passed")?.parse().ok()?,
        failed.trim_end().strip_suffix(" failed")?.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_harness_result_line() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered \
                    out; finished in 0.01s";
        assert_eq!(harness_result(line), Some((12, 3)));
        assert_eq!(harness_result("test result: ok. 4 passed; 0 failed;"), Some((4, 0)));
    }

    #[test]
    fn ignores_lines_that_only_look_like_a_result() {
        assert_eq!(harness_result("test tally::reads ... ok"), None);
        assert_eq!(harness_result("test result: ok."), None);
        assert_eq!(harness_result(""), None);
    }

    #[test]
    fn reads_a_runners_last_line() {
        assert_eq!(named_result("end to end", "end to end: 7 passed, 1 failed"), Some((7, 1)));
        assert_eq!(named_result("conform", "end to end: 7 passed, 1 failed"), None);
        assert_eq!(named_result("conform", "ok   echotest over ws in chromium"), None);
    }

    #[test]
    fn sums_over_parts() {
        let mut tally = Tally::new();
        tally.add("unit", 10, 2);
        tally.add_check("format", true);
        tally.add_check("clippy", false);
        assert_eq!(tally.sum(), (11, 3));
    }
}
