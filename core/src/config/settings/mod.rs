//! The settings of the server itself: what `janus.jcfg` holds (reference: transports-auth §13,
//! webrtc-behaviour §12), and Bifrons's own section `datapath`.
//!
//! One struct a section, plain data, every field at its default until a file or the command line
//! says otherwise. Units are in the names of the fields. `conf/janus.jcfg` documents each key.

pub mod datapath;
pub mod general;
pub mod media;
pub mod nat;

pub use datapath::{Datapath, Engine, Setup, Tx};
pub use general::{Certificates, General, RotateSignal};
pub use media::{Media, PortRange};
pub use nat::{IceNomination, Nat, RestMethod, TurnType};

use super::section::{Configured, Reading, Section};

/// Everything that `janus.jcfg` and the command line can set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Folders, logging, sessions, authentication.
    pub general: General,
    /// The DTLS certificate.
    pub certificates: Certificates,
    /// RTP, RTCP, DTLS.
    pub media: Media,
    /// ICE, STUN, TURN.
    pub nat: Nat,
    /// Which plugins not to start.
    pub plugins: Modules,
    /// Which transports not to start.
    pub transports: Modules,
    /// Which loggers not to start.
    pub loggers: Modules,
    /// Event handlers.
    pub events: Events,
    /// Shards and packets; Bifrons's own.
    pub datapath: Datapath,
}

impl Configured for Settings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        reading.section("general", |section| self.general.read(section));
        reading.section("certificates", |section| self.certificates.read(section));
        reading.section("media", |section| self.media.read(section));
        reading.section("nat", |section| self.nat.read(section));
        reading.section("plugins", |section| self.plugins.read(section));
        reading.section("transports", |section| self.transports.read(section));
        reading.section("loggers", |section| self.loggers.read(section));
        reading.section("events", |section| self.events.read(section));
        reading.section("datapath", |section| self.datapath.read(section));
    }
}

/// A kind of modules: plugins, transports or loggers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Modules {
    /// Library names of modules not to start, as Janus spells them: `libjanus_voicemail.so`.
    pub disable: Vec<String>,
}

impl Modules {
    fn read(&mut self, section: &mut Section<'_>) {
        section.words("disable", &mut self.disable);
    }

    /// Whether a module is listed; `name` is the middle of the library name (`voicemail`, `http`).
    pub fn is_disabled(&self, name: &str) -> bool {
        is_listed(&self.disable, name)
    }
}

fn is_listed(list: &[String], name: &str) -> bool {
    list.iter().any(|library| {
        library.strip_prefix("libjanus_").and_then(|rest| rest.strip_suffix(".so")) == Some(name)
    })
}

/// Event handlers.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    /// Master switch (`-e`): without it no event is generated.
    pub broadcast: bool,
    /// One media statistics event for a whole PeerConnection instead of one for each m-line.
    pub combine_media_stats: bool,
    /// Seconds between media statistics events; 0: none.
    pub stats_period_s: u32,
    /// Library names of event handlers not to start.
    pub disable: Vec<String>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            broadcast: false,
            combine_media_stats: false,
            stats_period_s: 1,
            disable: Vec::new(),
        }
    }
}

impl Events {
    fn read(&mut self, section: &mut Section<'_>) {
        section.flag("broadcast", &mut self.broadcast);
        section.flag("combine_media_stats", &mut self.combine_media_stats);
        section.number("stats_period", &mut self.stats_period_s, 0..=86_400, "seconds");
        section.words("disable", &mut self.disable);
    }

    /// Whether an event handler is listed; `name` is the middle of the library name (`wsevh`).
    pub fn is_disabled(&self, name: &str) -> bool {
        is_listed(&self.disable, name)
    }
}
