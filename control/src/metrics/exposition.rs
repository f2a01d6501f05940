//! Prometheus's text form, version 0.0.4: families of samples, each with its help and its type.
//!
//! ```text
//! # HELP name What it is.
//! # TYPE name counter
//! name{label="value"} 7
//! ```
//! The usual library has no summaries, which percentiles are; what is needed of the form is this.

use std::fmt::{Display, Write};

/// A page under construction.
#[derive(Default)]
pub(super) struct Page(String);

/// One family, while its samples are written.
pub(super) struct Family<'a> {
    page: &'a mut String,
    name: String,
}

impl Page {
    /// Numbers that only grow; their names end in `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.family(name, "counter", help)
    }

    /// Numbers that go up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Percentiles with sum and count.
    pub(super) fn summary(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, "summary", help)
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) -> Family<'_> {
        self.0 += &format!("# HELP {name} {}\n# TYPE {name} {kind}\n", escaped(help, false));
        Family { page: &mut self.0, name: name.to_owned() }
    }

    /// The page as it is sent.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// One sample.
    pub(super) fn put(&mut self, labels: &[(&str, &str)], value: u64) {
        self.line("", labels, value);
    }

    /// A percentile of a summary.
    pub(super) fn put_quantile(&mut self, quantile: f64, value: f64) {
        self.line("", &[("quantile", &quantile.to_string())], value);
    }

    /// Sum and count of a summary.
    pub(super) fn put_sum(&mut self, sum: f64, count: u64) {
        self.line("_sum", &[], sum);
        self.line("_count", &[], count);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        // Writing to a text cannot fail.
        let _ = writeln!(self.page, "{}{suffix}{labels} {value}", self.name);
    }
}

/// Backslashes and line ends, and quotes in labels, are escaped.
fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_as_the_form_wants() {
        let mut page = Page::default();
        page.counter("a_total", "One\nand \\ \"two\".").put(&[("x", "\"q\"\n"), ("y", "\\")], 7);
        let mut summary = page.summary("b_seconds", "Three.");
        summary.put_quantile(0.99, 0.25);
        summary.put_sum(1.5, 3);
        drop(summary);
        page.gauge("c", "Four.").put(&[], 0);
        let wanted = "# HELP a_total One\\nand \\\\ \"two\".\n# TYPE a_total counter\n\
            a_total{x=\"\\\"q\\\"\\n\",y=\"\\\\\"} 7\n\
            # HELP b_seconds Three.\n# TYPE b_seconds summary\nb_seconds{quantile=\"0.99\"} 0.25\n\
            b_seconds_sum 1.5\nb_seconds_count 3\n# HELP c Four.\n# TYPE c gauge\nc 0\n";
        assert_eq!(page.finish(), wanted);
    }
}
