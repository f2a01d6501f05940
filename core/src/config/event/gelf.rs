//! `janus.eventhandler.gelfevh.jcfg` (reference: admin-events-recording §8.6).

use super::super::section::{Configured, Reading, Word};
use super::EventSettings;

/// What carries GELF messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GelfProtocol {
    /// A datagram a message, or several chunks.
    #[default]
    Udp,
    /// One connection; messages end with a zero byte.
    Tcp,
}

impl Word for GelfProtocol {
    const WORDS: &'static [(&'static str, Self)] = &[("udp", Self::Udp), ("tcp", Self::Tcp)];
}

/// Settings of the handler that sends events as GELF messages (Graylog).
#[derive(Debug, Clone, PartialEq)]
pub struct GelfEventSettings {
    /// What every handler has; events are never grouped.
    pub common: EventSettings,
    /// Name or address of the receiver.
    pub backend: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// What carries the messages.
    pub protocol: GelfProtocol,
    /// Payload bytes of one datagram.
    pub max_message_len: u16,
    /// Compress datagrams.
    pub compress: bool,
    /// How hard.
    pub compression: u32,
}

impl Default for GelfEventSettings {
    fn default() -> Self {
        Self {
            common: EventSettings { grouping: false, ..EventSettings::default() },
            backend: None,
            port: None,
            protocol: GelfProtocol::Udp,
            max_message_len: 500,
            compress: false,
            compression: 6,
        }
    }
}

impl Configured for GelfEventSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        reading.section("general", |section| {
            self.common.read(section);
            section.text_option("backend", &mut self.backend);
            section.number_option("port", &mut self.port, 1..=u16::MAX, "");
            section.word("protocol", &mut self.protocol);
            section.number("max_message_len", &mut self.max_message_len, 64..=65_000, "bytes");
            section.flag("compress", &mut self.compress);
            section.number("compression", &mut self.compression, 0..=9, "");
        });
    }
}
