//! `janus.transport.pfunix.jcfg` (reference: transports-auth §7).

use super::super::section::{Configured, Reading, Section, Word};
use super::JsonStyle;

/// Settings of the Unix sockets transport.
#[derive(Debug, Clone, PartialEq)]
pub struct UnixSettings {
    /// Tell event handlers of connections.
    pub events: bool,
    /// How JSON is written.
    pub json: JsonStyle,
    /// Where the Janus API is served.
    pub general: UnixSocket,
    /// Where the Admin API is served.
    pub admin: UnixSocket,
}

/// One socket.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UnixSocket {
    /// Whether it is opened.
    pub enabled: bool,
    /// Its path; a socket that lies there already is replaced.
    pub path: Option<String>,
    /// How it is spoken.
    pub kind: UnixKind,
}

/// How a Unix socket is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnixKind {
    /// With connections; a packet is a message.
    #[default]
    SeqPacket,
    /// Without; a client is known by the path it is bound to.
    Datagram,
}

impl Word for UnixKind {
    const WORDS: &'static [(&'static str, Self)] =
        &[("SOCK_SEQPACKET", Self::SeqPacket), ("SOCK_DGRAM", Self::Datagram)];
}

impl Default for UnixSettings {
    fn default() -> Self {
        Self {
            events: true,
            json: JsonStyle::default(),
            general: UnixSocket::default(),
            admin: UnixSocket::default(),
        }
    }
}

impl Configured for UnixSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        reading.section("general", |section| {
            section.flag("events", &mut self.events);
            section.word("json", &mut self.json);
            self.general.read(section, ["enabled", "path", "type"]);
        });
        reading.section("admin", |section| {
            self.admin.read(section, ["admin_enabled", "admin_path", "admin_type"]);
        });
    }
}

impl UnixSocket {
    /// Reads the three keys, in the order enabled, path, type.
    fn read(&mut self, section: &mut Section<'_>, keys: [&'static str; 3]) {
        let [enabled, path, kind] = keys;
        section.flag(enabled, &mut self.enabled);
        section.text_option(path, &mut self.path);
        section.word(kind, &mut self.kind);
    }
}
