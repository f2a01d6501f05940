//! `janus.transport.mqtt.jcfg` (reference: transports-auth §5).

use super::super::section::{Configured, Reading, Section, Word};
use super::super::tree::Value;
use super::{BrokerTls, JsonStyle};

/// Settings of the MQTT transport.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttSettings {
    /// Tell event handlers of connections.
    pub events: bool,
    /// How JSON is written.
    pub json: JsonStyle,
    /// Where the broker is.
    pub broker: MqttBroker,
    /// The Janus API's topics.
    pub general: MqttTopics,
    /// The Admin API's topics.
    pub admin: MqttTopics,
    /// MQTT 5: seconds until a request that was not answered is forgotten.
    pub vacuum_interval_s: u32,
    /// MQTT 5: user properties that come back with the response.
    pub proxy_properties: Vec<String>,
    /// MQTT 5: user properties that every response gets.
    pub add_properties: Vec<(String, String)>,
    /// What is published about ourselves.
    pub status: MqttStatus,
}

/// Where a broker is, and how it is greeted.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttBroker {
    /// `tcp://host:port`, or `ssl://host:port`.
    pub url: String,
    /// Version of the protocol.
    pub version: MqttVersion,
    /// Who we are to the broker.
    pub client_id: String,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Seconds between signs of life.
    pub keep_alive_s: u16,
    /// Begin with nothing; else the broker keeps what came while we were away.
    pub clean_session: bool,
    /// How long an orderly end may take.
    pub disconnect_timeout_ms: u32,
    /// Most messages on their way.
    pub max_inflight: u16,
    /// Most messages waiting behind those.
    pub max_buffered: u32,
    /// Security.
    pub tls: BrokerTls,
}

/// Version of MQTT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MqttVersion {
    /// 3.1.1; what asks for 3.1 gets it too.
    #[default]
    V4,
    /// 5.
    V5,
}

impl Word for MqttVersion {
    const WORDS: &'static [(&'static str, Self)] =
        &[("3.1.1", Self::V4), ("3.1", Self::V4), ("5", Self::V5)];
}

/// The topics of one API.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttTopics {
    /// Whether the API is served.
    pub enabled: bool,
    /// Where requests come from.
    pub subscribe: Option<String>,
    /// Quality of service of those.
    pub subscribe_qos: u8,
    /// Where answers and events go.
    pub publish: Option<String>,
    /// Quality of service of those.
    pub publish_qos: u8,
}

/// What is published about ourselves.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttStatus {
    /// Whether anything is.
    pub enabled: bool,
    /// When the connection is up.
    pub connect_message: Option<String>,
    /// When it ends, by us or as our last will.
    pub disconnect_message: Option<String>,
    /// Where.
    pub topic: String,
    /// With which quality of service.
    pub qos: u8,
    /// Whether the broker keeps it for those who come later.
    pub retain: bool,
}

impl Default for MqttBroker {
    fn default() -> Self {
        Self {
            url: "tcp://localhost:1883".to_owned(),
            version: MqttVersion::default(),
            client_id: "guest".to_owned(),
            username: None,
            password: None,
            keep_alive_s: 20,
            clean_session: false,
            disconnect_timeout_ms: 100,
            max_inflight: 10,
            max_buffered: 100,
            tls: BrokerTls::default(),
        }
    }
}

impl Default for MqttTopics {
    fn default() -> Self {
        Self { enabled: false, subscribe: None, subscribe_qos: 1, publish: None, publish_qos: 1 }
    }
}

impl Default for MqttStatus {
    fn default() -> Self {
        Self {
            enabled: false,
            connect_message: None,
            disconnect_message: None,
            topic: "status".to_owned(),
            qos: 1,
            retain: false,
        }
    }
}

impl Default for MqttSettings {
    fn default() -> Self {
        Self {
            events: true,
            json: JsonStyle::default(),
            broker: MqttBroker::default(),
            general: MqttTopics::default(),
            admin: MqttTopics::default(),
            vacuum_interval_s: 60,
            proxy_properties: Vec::new(),
            add_properties: Vec::new(),
            status: MqttStatus::default(),
        }
    }
}

impl MqttBroker {
    /// Reads what transport and event handler have in common.
    pub fn read(&mut self, section: &mut Section<'_>) {
        section.text("url", &mut self.url);
        section.word("mqtt_version", &mut self.version);
        section.text("client_id", &mut self.client_id);
        section.text_option("username", &mut self.username);
        section.text_option("password", &mut self.password);
        let keep_alive = &mut self.keep_alive_s;
        section.number("keep_alive_interval", keep_alive, 1..=u16::MAX, "seconds");
        number_flag(section, "cleansession", &mut self.clean_session);
        let timeout = &mut self.disconnect_timeout_ms;
        section.number("disconnect_timeout", timeout, 0..=60_000, "milliseconds");
        section.number("max_inflight", &mut self.max_inflight, 1..=u16::MAX, "messages");
        section.number("max_buffered", &mut self.max_buffered, 1..=1_000_000, "messages");
    }
}

/// A flag that Janus writes as a number: 0 is false, everything else is true.
pub fn number_flag(section: &mut Section<'_>, name: &'static str, into: &mut bool) {
    let default = if *into { "1" } else { "0" }.to_owned();
    section.parsed(name, into, default, "0 or 1", |text| match text.trim() {
        "0" | "false" | "no" => Some(false),
        "1" | "true" | "yes" => Some(true),
        _ => None,
    });
}

/// A list of `["key", "value"]` pairs; what has another form is reported and left out.
pub fn pairs(section: &mut Section<'_>, name: &'static str, into: &mut Vec<(String, String)>) {
    let Some(value) = section.raw(name) else { return };
    let (Value::List(elements) | Value::Array(elements)) = value else {
        return section.warn(name, format!("`{name}` expects a list of [\"key\", \"value\"]"));
    };
    let mut found = Vec::new();
    for element in elements {
        let (Value::Array(pair) | Value::List(pair)) = &element.value else {
            section.warn(name, format!("`{name}` expects pairs [\"key\", \"value\"]; left out"));
            continue;
        };
        match pair.as_slice() {
            [key, value] => {
                if let (Some(key), Some(value)) = (key.value.text(), value.value.text()) {
                    found.push((key.into_owned(), value.into_owned()));
                }
            }
            _ => section.warn(name, format!("`{name}` expects pairs of two texts; left out")),
        }
    }
    *into = found;
}

impl Configured for MqttSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        let Self { events, json, broker, general, admin, status, .. } = self;
        let (vacuum, proxied, added) =
            (&mut self.vacuum_interval_s, &mut self.proxy_properties, &mut self.add_properties);
        reading.section("general", |section| {
            section.flag("events", events);
            section.word("json", json);
            section.flag("enabled", &mut general.enabled);
            section.former_flag("enable", &mut general.enabled);
            broker.read(section);
            general.read(section);
            section.flag("ssl_enabled", &mut broker.tls.enabled);
            section.former_flag("ssl_enable", &mut broker.tls.enabled);
            section.flag("verify_peer", &mut broker.tls.verify_peer);
            // Janus's library checks the name whenever it checks the certificate.
            broker.tls.verify_hostname = broker.tls.verify_peer;
            section.text_option("cacertfile", &mut broker.tls.cacert);
            section.text_option("certfile", &mut broker.tls.cert);
            section.text_option("keyfile", &mut broker.tls.key);
            section.number("vacuum_interval", vacuum, 1..=86_400, "seconds");
            section.words("proxy_transaction_user_properties", proxied);
            pairs(section, "add_transaction_user_properties", added);
        });
        reading.section("admin", |section| {
            section.flag("admin_enabled", &mut admin.enabled);
            section.former_flag("admin_enable", &mut admin.enabled);
            admin.read(section);
        });
        reading.section("status", |section| status.read(section));
    }
}

impl MqttTopics {
    fn read(&mut self, section: &mut Section<'_>) {
        section.text_option("subscribe_topic", &mut self.subscribe);
        section.number("subscribe_qos", &mut self.subscribe_qos, 0..=2, "");
        section.text_option("publish_topic", &mut self.publish);
        section.number("publish_qos", &mut self.publish_qos, 0..=2, "");
    }
}

impl MqttStatus {
    fn read(&mut self, section: &mut Section<'_>) {
        section.flag("enabled", &mut self.enabled);
        section.text_option("connect_message", &mut self.connect_message);
        section.text_option("disconnect_message", &mut self.disconnect_message);
        section.text("topic", &mut self.topic);
        section.number("qos", &mut self.qos, 0..=2, "");
        section.flag("retain", &mut self.retain);
    }
}
