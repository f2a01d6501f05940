//! `janus.transport.http.jcfg` (reference: transports-auth §2.1).

use super::super::section::{Configured, Reading, Section};
use super::{Cors, JsonStyle, TlsCertificates};

/// Settings of the HTTP transport.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HttpSettings {
    /// The Janus API.
    pub general: HttpGeneral,
    /// The Admin API.
    pub admin: HttpAdmin,
    /// Cross-origin rules, for both.
    pub cors: Cors,
    /// Certificate, for both.
    pub certificates: TlsCertificates,
}

/// The Janus API over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpGeneral {
    /// Tell event handlers of requests.
    pub events: bool,
    /// How JSON is written.
    pub json: JsonStyle,
    /// Path of the API: begins with `/`, has no `/` at its end unless it is `/` alone.
    pub base_path: String,
    /// Where it listens without TLS.
    pub http: HttpListener,
    /// Where it listens with TLS.
    pub https: HttpListener,
    /// Address prefixes that may connect; empty: all.
    pub acl: Vec<String>,
    /// Compare `X-Forwarded-For` with `acl` too.
    pub acl_forwarded: bool,
    /// Most connections of a listener.
    pub connection_limit: u32,
    /// Accepted for Janus's sake: its HTTP library's log.
    pub mhd_debug: bool,
}

/// The Admin API over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpAdmin {
    /// Path of the API, as [`HttpGeneral::base_path`].
    pub base_path: String,
    /// Where it listens without TLS.
    pub http: HttpListener,
    /// Where it listens with TLS.
    pub https: HttpListener,
    /// Address prefixes that may connect; empty: all.
    pub acl: Vec<String>,
    /// Compare `X-Forwarded-For` with `acl` too.
    pub acl_forwarded: bool,
    /// Ours: serve `/metrics` to monitors.
    pub metrics: bool,
}

/// One place to listen at.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpListener {
    /// Whether it listens.
    pub enabled: bool,
    /// TCP port.
    pub port: u16,
    /// Interface to bind to.
    pub interface: Option<String>,
    /// Address to bind to; none: all.
    pub ip: Option<String>,
}

impl HttpListener {
    fn on_port(port: u16) -> Self {
        Self { enabled: false, port, interface: None, ip: None }
    }

    /// Reads the four keys, in the order enabled, port, interface, address.
    fn read(&mut self, section: &mut Section<'_>, keys: [&'static str; 4]) {
        let [enabled, port, interface, ip] = keys;
        section.flag(enabled, &mut self.enabled);
        section.number(port, &mut self.port, 1..=u16::MAX, "");
        section.text_option(interface, &mut self.interface);
        section.text_option(ip, &mut self.ip);
    }
}

impl Default for HttpGeneral {
    fn default() -> Self {
        Self {
            events: true,
            json: JsonStyle::default(),
            base_path: "/janus".to_owned(),
            http: HttpListener::on_port(8088),
            https: HttpListener::on_port(8089),
            acl: Vec::new(),
            acl_forwarded: false,
            connection_limit: 1020,
            mhd_debug: false,
        }
    }
}

impl Default for HttpAdmin {
    fn default() -> Self {
        Self {
            base_path: "/admin".to_owned(),
            http: HttpListener::on_port(7088),
            https: HttpListener::on_port(7889),
            acl: Vec::new(),
            acl_forwarded: false,
            metrics: false,
        }
    }
}

impl Configured for HttpSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        let Self { general, admin, cors, certificates } = self;
        reading.section("general", |section| {
            general.read(section);
            // Janus looks for this one here, its sample has it in `admin`: both will do.
            if section.has("admin_acl_forwarded") {
                section.flag("admin_acl_forwarded", &mut admin.acl_forwarded);
            }
        });
        reading.section("admin", |section| admin.read(section));
        reading.section("cors", |section| cors.read(section));
        reading.section("certificates", |section| certificates.read(section));
    }
}

impl HttpGeneral {
    fn read(&mut self, section: &mut Section<'_>) {
        section.flag("events", &mut self.events);
        section.word("json", &mut self.json);
        base_path(section, "base_path", &mut self.base_path);
        self.http.read(section, ["http", "port", "interface", "ip"]);
        let secure = ["https", "secure_port", "secure_interface", "secure_ip"];
        self.https.read(section, secure);
        section.words("acl", &mut self.acl);
        section.flag("acl_forwarded", &mut self.acl_forwarded);
        let limit = &mut self.connection_limit;
        section.number("mhd_connection_limit", limit, 1..=1_000_000, "connections");
        section.flag("mhd_debug", &mut self.mhd_debug);
    }
}

impl HttpAdmin {
    fn read(&mut self, section: &mut Section<'_>) {
        base_path(section, "admin_base_path", &mut self.base_path);
        self.http.read(section, ["admin_http", "admin_port", "admin_interface", "admin_ip"]);
        self.https.read(
            section,
            ["admin_https", "admin_secure_port", "admin_secure_interface", "admin_secure_ip"],
        );
        section.words("admin_acl", &mut self.acl);
        section.flag("admin_acl_forwarded", &mut self.acl_forwarded);
        section.flag("metrics", &mut self.metrics);
    }
}

/// A path that begins with `/`; `/` at its end are dropped.
fn base_path(section: &mut Section<'_>, name: &'static str, into: &mut String) {
    let default = format!("\"{into}\"");
    section.parsed(name, into, default, "a path that begins with /", |text| {
        let path = text.trim();
        let inner = path.strip_prefix('/')?.trim_end_matches('/');
        Some(format!("/{inner}"))
    });
}
