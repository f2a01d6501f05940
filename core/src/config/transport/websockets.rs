//! `janus.transport.websockets.jcfg` (reference: transports-auth §3.1).

use super::super::section::{Configured, Reading, Section};
use super::{Cors, JsonStyle, TlsCertificates};

/// Settings of the WebSockets transport.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebSocketSettings {
    /// The Janus API.
    pub general: WebSocketGeneral,
    /// The Admin API.
    pub admin: WebSocketAdmin,
    /// Cross-origin rules, for both.
    pub cors: Cors,
    /// Certificate, for both.
    pub certificates: TlsCertificates,
}

/// The Janus API over WebSockets.
#[derive(Debug, Clone, PartialEq)]
pub struct WebSocketGeneral {
    /// Tell event handlers of connections.
    pub events: bool,
    /// How JSON is written.
    pub json: JsonStyle,
    /// Where it listens without TLS.
    pub ws: WebSocketListener,
    /// Where it listens with TLS.
    pub wss: WebSocketListener,
    /// Seconds of silence before the server pings; 0: never.
    pub pingpong_trigger_s: u16,
    /// Further seconds for the pong; 0: for ever.
    pub pingpong_timeout_s: u16,
    /// Levels of the library's log: names, or one number.
    pub logging: Vec<String>,
    /// Address prefixes that may connect; empty: all.
    pub acl: Vec<String>,
    /// Compare `X-Forwarded-For` with `acl` too.
    pub acl_forwarded: bool,
}

/// The Admin API over WebSockets.
#[derive(Debug, Clone, PartialEq)]
pub struct WebSocketAdmin {
    /// Where it listens without TLS.
    pub ws: WebSocketListener,
    /// Where it listens with TLS.
    pub wss: WebSocketListener,
    /// Address prefixes that may connect; empty: all.
    pub acl: Vec<String>,
    /// Compare `X-Forwarded-For` with `acl` too.
    pub acl_forwarded: bool,
}

/// One place to listen at.
#[derive(Debug, Clone, PartialEq)]
pub struct WebSocketListener {
    /// Whether it listens.
    pub enabled: bool,
    /// TCP port.
    pub port: u16,
    /// Interface to bind to.
    pub interface: Option<String>,
    /// Address to bind to; none: all.
    pub ip: Option<String>,
    /// Unix socket to listen at instead of a port.
    pub unix: Option<String>,
}

impl WebSocketListener {
    fn on_port(port: u16) -> Self {
        Self { enabled: false, port, interface: None, ip: None, unix: None }
    }

    /// Reads the five keys, in the order enabled, port, interface, address, Unix path.
    fn read(&mut self, section: &mut Section<'_>, keys: [&'static str; 5]) {
        let [enabled, port, interface, ip, unix] = keys;
        section.flag(enabled, &mut self.enabled);
        section.number(port, &mut self.port, 1..=u16::MAX, "");
        section.text_option(interface, &mut self.interface);
        section.text_option(ip, &mut self.ip);
        section.text_option(unix, &mut self.unix);
    }
}

impl Default for WebSocketGeneral {
    fn default() -> Self {
        Self {
            events: true,
            json: JsonStyle::default(),
            ws: WebSocketListener::on_port(8188),
            wss: WebSocketListener::on_port(8989),
            pingpong_trigger_s: 0,
            pingpong_timeout_s: 0,
            logging: Vec::new(),
            acl: Vec::new(),
            acl_forwarded: false,
        }
    }
}

impl Default for WebSocketAdmin {
    fn default() -> Self {
        Self {
            ws: WebSocketListener::on_port(7188),
            wss: WebSocketListener::on_port(7989),
            acl: Vec::new(),
            acl_forwarded: false,
        }
    }
}

impl Configured for WebSocketSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        let Self { general, admin, cors, certificates } = self;
        reading.section("general", |section| {
            general.read(section);
            // Janus looks for this one here, its sample has it in `admin`: both will do.
            if section.has("admin_ws_acl_forwarded") {
                section.flag("admin_ws_acl_forwarded", &mut admin.acl_forwarded);
            }
        });
        reading.section("admin", |section| admin.read(section));
        reading.section("cors", |section| cors.read(section));
        reading.section("certificates", |section| certificates.read(section));
    }
}

impl WebSocketGeneral {
    fn read(&mut self, section: &mut Section<'_>) {
        section.flag("events", &mut self.events);
        section.word("json", &mut self.json);
        self.ws.read(section, ["ws", "ws_port", "ws_interface", "ws_ip", "ws_unix"]);
        self.wss.read(section, ["wss", "wss_port", "wss_interface", "wss_ip", "wss_unix"]);
        section.number("pingpong_trigger", &mut self.pingpong_trigger_s, 0..=u16::MAX, "seconds");
        section.number("pingpong_timeout", &mut self.pingpong_timeout_s, 0..=u16::MAX, "seconds");
        if (self.pingpong_trigger_s == 0) != (self.pingpong_timeout_s == 0) {
            let message = "pings need both `pingpong_trigger` and `pingpong_timeout`; off";
            section.warn("pingpong_trigger", message);
            section.warn("pingpong_timeout", message);
        }
        section.items("ws_logging", &mut self.logging, "names of log levels", log_levels);
        section.words("ws_acl", &mut self.acl);
        section.flag("ws_acl_forwarded", &mut self.acl_forwarded);
    }

    /// Seconds of silence before a ping and further seconds for the pong, if both are set.
    pub fn ping_pong_s(&self) -> Option<(u16, u16)> {
        let both = self.pingpong_trigger_s > 0 && self.pingpong_timeout_s > 0;
        both.then_some((self.pingpong_trigger_s, self.pingpong_timeout_s))
    }
}

impl WebSocketAdmin {
    fn read(&mut self, section: &mut Section<'_>) {
        self.ws.read(
            section,
            ["admin_ws", "admin_ws_port", "admin_ws_interface", "admin_ws_ip", "admin_ws_unix"],
        );
        self.wss.read(
            section,
            [
                "admin_wss",
                "admin_wss_port",
                "admin_wss_interface",
                "admin_wss_ip",
                "admin_wss_unix",
            ],
        );
        section.words("admin_ws_acl", &mut self.acl);
        section.flag("admin_ws_acl_forwarded", &mut self.acl_forwarded);
    }
}

/// The names of libwebsockets's log levels.
const LOG_LEVELS: [&str; 14] = [
    "err", "warn", "notice", "info", "debug", "parser", "header", "ext", "client", "latency",
    "user", "count", "none", "all",
];

/// Names between spaces, or a number.
fn log_levels(item: &str) -> Option<Vec<String>> {
    let known = |word: &&str| {
        LOG_LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
            || word.parse::<u32>().is_ok()
    };
    let words: Vec<&str> = item.split_whitespace().collect();
    words.iter().all(known).then(|| words.into_iter().map(str::to_owned).collect())
}
