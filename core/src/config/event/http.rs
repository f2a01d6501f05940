//! `janus.eventhandler.sampleevh.jcfg` (reference: admin-events-recording §8.1).

use super::super::section::{Configured, Reading};
use super::EventSettings;

/// Settings of the handler that posts events over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleEventSettings {
    /// What every handler has.
    pub common: EventSettings,
    /// Where events are posted: an `http://` or `https://` URL.
    pub backend: Option<String>,
    /// User name for basic authentication.
    pub backend_user: Option<String>,
    /// Its password.
    pub backend_pwd: Option<String>,
    /// How often a post is tried again.
    pub max_retransmissions: u32,
    /// Milliseconds before the first further try; doubled each time.
    pub retransmissions_backoff_ms: u32,
    /// Compress bodies.
    pub compress: bool,
    /// How hard.
    pub compression: u32,
}

impl Default for SampleEventSettings {
    fn default() -> Self {
        Self {
            common: EventSettings::default(),
            backend: None,
            backend_user: None,
            backend_pwd: None,
            max_retransmissions: 5,
            retransmissions_backoff_ms: 100,
            compress: false,
            compression: 6,
        }
    }
}

impl Configured for SampleEventSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        reading.section("general", |section| {
            self.common.read(section);
            self.common.read_grouping(section);
            section.text_option("backend", &mut self.backend);
            section.text_option("backend_user", &mut self.backend_user);
            section.text_option("backend_pwd", &mut self.backend_pwd);
            section.number("max_retransmissions", &mut self.max_retransmissions, 0..=100, "");
            let backoff = &mut self.retransmissions_backoff_ms;
            section.number("retransmissions_backoff", backoff, 1..=600_000, "milliseconds");
            section.flag("compress", &mut self.compress);
            section.number("compression", &mut self.compression, 0..=9, "");
        });
    }
}
