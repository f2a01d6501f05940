//! `janus.transport.nanomsg.jcfg` (reference: transports-auth §6).

use super::super::section::{Configured, Reading, Section, Word};
use super::JsonStyle;

/// Settings of the Nanomsg transport.
#[derive(Debug, Clone, PartialEq)]
pub struct NanomsgSettings {
    /// Tell event handlers of the sockets.
    pub events: bool,
    /// How JSON is written.
    pub json: JsonStyle,
    /// The socket of the Janus API.
    pub general: NanomsgSocket,
    /// The socket of the Admin API.
    pub admin: NanomsgSocket,
}

/// One socket.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NanomsgSocket {
    /// Whether it is opened.
    pub enabled: bool,
    /// Whether it listens or calls.
    pub mode: NanomsgMode,
    /// The library's address: `ipc://`, `tcp://`, `inproc://` or `ws://`.
    pub address: Option<String>,
}

/// Which side of a connection a socket is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NanomsgMode {
    /// It listens at its address.
    #[default]
    Bind,
    /// It calls its address, again and again if need be.
    Connect,
}

impl Word for NanomsgMode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("bind", Self::Bind), ("connect", Self::Connect)];
}

impl Default for NanomsgSettings {
    fn default() -> Self {
        Self {
            events: true,
            json: JsonStyle::default(),
            general: NanomsgSocket::default(),
            admin: NanomsgSocket::default(),
        }
    }
}

impl Configured for NanomsgSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        reading.section("general", |section| {
            section.flag("events", &mut self.events);
            section.word("json", &mut self.json);
            self.general.read(section, ["enabled", "mode", "address"]);
        });
        reading.section("admin", |section| {
            self.admin.read(section, ["admin_enabled", "admin_mode", "admin_address"]);
        });
    }
}

impl NanomsgSocket {
    /// Reads the three keys, in the order enabled, mode, address.
    fn read(&mut self, section: &mut Section<'_>, keys: [&'static str; 3]) {
        let [enabled, mode, address] = keys;
        section.flag(enabled, &mut self.enabled);
        section.word(mode, &mut self.mode);
        section.text_option(address, &mut self.address);
    }
}
