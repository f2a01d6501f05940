//! `server_info` (core-api §3.1).

use super::Core;
use bifrons_core::plugin::About;
use serde_json::{Map, Value, json};

/// The four lists of modules in `info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModuleKind {
    /// Transports that run.
    Transports,
    /// Event handlers that run.
    Events,
    /// Loggers that run.
    Loggers,
}

impl ModuleKind {
    fn name(self) -> &'static str {
        match self {
            ModuleKind::Transports => "transports",
            ModuleKind::Events => "events",
            ModuleKind::Loggers => "loggers",
        }
    }
}

/// What `info` says that does not change while the server runs.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// Product name.
    pub name: String,
    /// Version of the API spoken, e.g. 1402.
    pub version: u32,
    /// Version of the product.
    pub version_string: String,
    /// Who wrote it.
    pub author: String,
    /// Build id.
    pub commit_hash: String,
    /// When it was built.
    pub compile_time: String,
    /// Whether the log goes to the standard output.
    pub log_to_stdout: bool,
    /// The log file, if there is one.
    pub log_path: Option<String>,
    /// Whether data channels work.
    pub data_channels: bool,
    /// `server_name`.
    pub server_name: String,
    /// The address advertised in SDP.
    pub local_ip: String,
    /// Public addresses, from STUN or configuration.
    pub public_ips: Vec<String>,
    /// Whether IPv6 candidates are used.
    pub ipv6: bool,
    /// Whether link-local ones are, too.
    pub ipv6_link_local: bool,
    /// ICE lite.
    pub ice_lite: bool,
    /// ICE over TCP.
    pub ice_tcp: bool,
    /// `aggressive` or `regular`.
    pub ice_nomination: String,
    /// RFC 7675.
    pub ice_consent_freshness: bool,
    /// Keepalives are connectivity checks.
    pub ice_keepalive_conncheck: bool,
    /// Hang up as soon as ICE fails.
    pub hangup_on_failed: bool,
    /// Candidates are trickled to clients.
    pub full_trickle: bool,
    /// `.local` candidates are resolved.
    pub mdns_enabled: bool,
    /// In ms.
    pub min_nack_queue_ms: u32,
    /// `nack_optimizations`.
    pub nack_optimizations: bool,
    /// In ms.
    pub twcc_period_ms: u32,
    /// 0 = none.
    pub dscp: u8,
    /// In bytes.
    pub dtls_mtu: u32,
    /// `ip:port`.
    pub stun_server: Option<String>,
    /// `ip:port`.
    pub turn_server: Option<String>,
    /// Clients may force a relay.
    pub allow_force_relay: bool,
    /// Media threads.
    pub static_event_loops: u32,
    /// Clients may choose one.
    pub loop_indication: bool,
    /// False: media are not encrypted (for debugging).
    pub webrtc_encryption: bool,
    /// Libraries and their versions; `None` = hidden.
    pub dependencies: Option<Map<String, Value>>,
    /// How outgoing media is sealed, as the datapath calls it; shown in an object of our own.
    pub srtp_kernel: &'static str,
    /// Whether there is a configurations folder that plugins can write to.
    pub has_configs_folder: bool,
}

impl Default for ServerFacts {
    fn default() -> Self {
        ServerFacts {
            name: "Bifrons WebRTC Server".to_owned(),
            version: 1402,
            version_string: "1.4.2".to_owned(),
            author: "The Bifrons authors".to_owned(),
            commit_hash: option_env!("BIFRONS_COMMIT").unwrap_or("not built from git").to_owned(),
            compile_time: option_env!("BIFRONS_BUILT").unwrap_or("unknown").to_owned(),
            log_to_stdout: true,
            log_path: None,
            data_channels: true,
            server_name: "MyJanusInstance".to_owned(),
            local_ip: "127.0.0.1".to_owned(),
            public_ips: Vec::new(),
            ipv6: false,
            ipv6_link_local: false,
            ice_lite: false,
            ice_tcp: false,
            ice_nomination: "aggressive".to_owned(),
            ice_consent_freshness: false,
            ice_keepalive_conncheck: false,
            hangup_on_failed: false,
            full_trickle: false,
            mdns_enabled: true,
            min_nack_queue_ms: 200,
            nack_optimizations: false,
            twcc_period_ms: 200,
            dscp: 0,
            dtls_mtu: 1200,
            stun_server: None,
            turn_server: None,
            allow_force_relay: false,
            static_event_loops: 0,
            loop_indication: false,
            webrtc_encryption: true,
            dependencies: Some(Map::new()),
            srtp_kernel: "scalar",
            has_configs_folder: false,
        }
    }
}

/// Fields of `info`, in the order they are put in.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn put_if(&mut self, shown: bool, name: &str, value: impl Into<Value>) {
        if shown {
            self.put(name, value);
        }
    }

    fn put_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }
}

impl ServerFacts {
    fn put_product(&self, to: &mut Fields) {
        to.put("name", self.name.as_str());
        to.put("version", self.version);
        to.put("version_string", self.version_string.as_str());
        to.put("author", self.author.as_str());
        to.put("commit-hash", self.commit_hash.as_str());
        to.put("compile-time", self.compile_time.as_str());
        to.put("log-to-stdout", self.log_to_stdout);
        to.put("log-to-file", self.log_path.is_some());
        to.put_some("log-path", self.log_path.as_deref());
        to.put("data_channels", self.data_channels);
    }

    fn put_addresses(&self, to: &mut Fields) {
        to.put("server-name", self.server_name.as_str());
        to.put("local-ip", self.local_ip.as_str());
        to.put_some("public-ip", self.public_ips.first().map(String::as_str));
        to.put_if(self.public_ips.len() > 1, "public-ips", self.public_ips.clone());
        to.put("ipv6", self.ipv6);
        to.put_if(self.ipv6, "ipv6-link-local", self.ipv6_link_local);
    }

    fn put_media(&self, to: &mut Fields) {
        to.put("ice-lite", self.ice_lite);
        to.put("ice-tcp", self.ice_tcp);
        to.put("ice-nomination", self.ice_nomination.as_str());
        to.put("ice-consent-freshness", self.ice_consent_freshness);
        let checks = self.ice_keepalive_conncheck || self.ice_consent_freshness;
        to.put("ice-keepalive-conncheck", checks);
        to.put("hangup-on-failed", self.hangup_on_failed);
        to.put("full-trickle", self.full_trickle);
        to.put("mdns-enabled", self.mdns_enabled);
        to.put("min-nack-queue", self.min_nack_queue_ms);
        to.put("nack-optimizations", self.nack_optimizations);
        to.put("twcc-period", self.twcc_period_ms);
        to.put_if(self.dscp > 0, "dscp", self.dscp);
        to.put("dtls-mtu", self.dtls_mtu);
        to.put_some("stun-server", self.stun_server.as_deref());
        to.put_some("turn-server", self.turn_server.as_deref());
        to.put_if(self.allow_force_relay, "allow-force-relay", true);
        to.put("static-event-loops", self.static_event_loops);
        to.put_if(self.static_event_loops > 0, "loop-indication", self.loop_indication);
        to.put("bifrons", json!({ "srtp-kernel": self.srtp_kernel }));
    }
}

/// What a list of modules says of one.
fn module(about: &About) -> Value {
    json!({
        "name": about.name,
        "author": about.author,
        "description": about.description,
        "version_string": about.version_string,
        "version": about.version,
    })
}

impl Core {
    /// Lists a module that runs under its package name, e.g. a transport.
    pub fn list_module(&mut self, kind: ModuleKind, about: &About) {
        if kind == ModuleKind::Transports {
            self.transports.push(about.package);
        }
        let list = self.modules.entry(kind).or_default();
        list.insert(about.package.to_owned(), module(about));
    }

    /// The body of `server_info`.
    pub(super) fn info(&self) -> Map<String, Value> {
        let (facts, settings) = (&self.facts, &self.settings);
        let mut to = Fields::default();
        facts.put_product(&mut to);
        to.put("accepting-new-sessions", self.accepting);
        to.put("session-timeout", settings.session_timeout.as_secs());
        to.put("reclaim-session-timeout", settings.reclaim_timeout.as_secs());
        to.put("candidates-timeout", settings.candidates_timeout.as_secs());
        facts.put_addresses(&mut to);
        facts.put_media(&mut to);
        to.put("api_secret", self.authority.wants_secret());
        to.put("auth_token", self.authority.wants_token());
        to.put("event_handlers", settings.events_enabled);
        to.put("opaqueid_in_api", settings.opaque_id_in_api);
        to.put_if(!facts.webrtc_encryption, "webrtc_encryption", false);
        if let Some(dependencies) = &facts.dependencies {
            to.put("dependencies", dependencies.clone());
        }
        for kind in [ModuleKind::Transports, ModuleKind::Events, ModuleKind::Loggers] {
            to.put(kind.name(), self.modules.get(&kind).cloned().unwrap_or_default());
        }
        let plugins = self.plugins.iter().map(|slot| &slot.about);
        let plugins: Map<_, _> = plugins.map(|a| (a.package.to_owned(), module(a))).collect();
        to.put("plugins", plugins);
        to.0
    }
}
