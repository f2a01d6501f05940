//! `janus.logger.jsonlog.jcfg` (reference: admin-events-recording §9).

use super::section::{Configured, Reading};
use super::transport::JsonStyle;

/// Settings of the logger that writes JSON.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JsonLogSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// How JSON is written; only `compact` and `plain` keep one object on one line.
    pub json: JsonStyle,
    /// The file that lines are appended to.
    pub filename: Option<String>,
}

impl Configured for JsonLogSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        reading.section("general", |section| {
            section.flag("enabled", &mut self.enabled);
            section.word("json", &mut self.json);
            section.text_option("filename", &mut self.filename);
        });
    }
}
