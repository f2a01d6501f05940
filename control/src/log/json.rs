//! The log once more, as JSON objects: `janus.logger.jsonlog` (admin-events-recording §9).
//!
//! Each line becomes `{"timestamp":<µs since 1970>,"line":"<the text, its newline included>"}` and
//! is appended to a file; with the compact style, which is the default, one object a line. The file
//! is opened anew with the log's own, by the same signal.

use super::open;
use bifrons_core::api::{Style, json};
use bifrons_core::config::JsonLogSettings;
use bifrons_core::plugin::About;
use serde_json::json;
use std::fs::File;
use std::io::{self, Write};

/// What `info` says of it.
pub(crate) const ABOUT: About = About {
    package: super::JSON_PACKAGE,
    name: "JSON lines",
    description: "Appends the log to a file, a JSON object for each line.",
    author: "Bifrons",
    version: 1,
    version_string: "0.1.0",
};

/// A file of log lines in JSON.
#[derive(Debug)]
pub(super) struct JsonLog {
    path: String,
    file: File,
    style: Style,
}

impl JsonLog {
    /// Opens the file to append to it.
    pub(super) fn start(from: &JsonLogSettings) -> Result<Self, String> {
        let path = from.filename.clone().ok_or("it needs `filename`")?;
        let file = open(&path).map_err(|error| format!("{path}: {error}"))?;
        Ok(Self { path, file, style: from.json.into() })
    }

    /// Appends one line.
    pub(super) fn write(&mut self, unix_us: u64, line: &str) -> io::Result<()> {
        self.file.write_all(record(unix_us, line, self.style).as_bytes())
    }

    /// Opens the file anew, after somebody moved the old one away.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        Ok(())
    }
}

fn record(unix_us: u64, line: &str, style: Style) -> String {
    let mut record = json::write(&json!({ "timestamp": unix_us, "line": line }), style);
    record.push('\n');
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_object() {
        assert_eq!(
            record(1_893_456_000_123_456, "[WARN] a \"word\"\n", Style::Compact),
            "{\"timestamp\":1893456000123456,\"line\":\"[WARN] a \\\"word\\\"\\n\"}\n"
        );
    }

    #[test]
    fn a_file_is_needed() {
        let fault = JsonLog::start(&JsonLogSettings::default()).err();
        assert!(fault.is_some_and(|fault| fault.contains("filename")));
    }
}
