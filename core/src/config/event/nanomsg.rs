//! `janus.eventhandler.nanomsgevh.jcfg` (reference: admin-events-recording §8.5).

use super::super::section::{Configured, Reading};
use super::super::transport::nanomsg::NanomsgMode;
use super::EventSettings;

/// Settings of the handler that publishes events over Nanomsg.
#[derive(Debug, Clone, PartialEq)]
pub struct NanomsgEventSettings {
    /// What every handler has.
    pub common: EventSettings,
    /// Whether it listens or calls.
    pub mode: NanomsgMode,
    /// The library's address.
    pub address: Option<String>,
}

impl Default for NanomsgEventSettings {
    fn default() -> Self {
        Self { common: EventSettings::default(), mode: NanomsgMode::Connect, address: None }
    }
}

impl Configured for NanomsgEventSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        reading.section("general", |section| {
            self.common.read(section);
            self.common.read_grouping(section);
            section.word("mode", &mut self.mode);
            section.text_option("address", &mut self.address);
        });
    }
}
