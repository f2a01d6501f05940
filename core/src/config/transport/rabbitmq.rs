//! `janus.transport.rabbitmq.jcfg` (reference: transports-auth §4).

use super::super::section::{Configured, Reading, Section, Word};
use super::{BrokerTls, JsonStyle};

/// Settings of the RabbitMQ transport.
#[derive(Debug, Clone, PartialEq)]
pub struct RabbitMqSettings {
    /// Tell event handlers of connections.
    pub events: bool,
    /// How JSON is written.
    pub json: JsonStyle,
    /// Where the broker is.
    pub broker: RabbitMqBroker,
    /// The exchange for what is sent and bound to; none: the broker's default one.
    pub exchange: Option<String>,
    /// Its type.
    pub exchange_type: ExchangeType,
    /// The Janus API's queues.
    pub general: RabbitMqQueues,
    /// The Admin API's queues.
    pub admin: RabbitMqQueues,
}

/// Where a broker is, and how it is greeted.
#[derive(Debug, Clone, PartialEq)]
pub struct RabbitMqBroker {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Virtual host.
    pub vhost: String,
    /// Who we are.
    pub username: String,
    /// And how that is known.
    pub password: String,
    /// Seconds of silence after which either side holds the other for gone; 0: never.
    pub heartbeat_s: u16,
    /// Security.
    pub tls: BrokerTls,
}

/// The queues of one API.
#[derive(Debug, Clone, PartialEq)]
pub struct RabbitMqQueues {
    /// Whether the API is served.
    pub enabled: bool,
    /// The queue requests come from; none: the one called [`RabbitMqQueues::to_janus`].
    pub queue_name: Option<String>,
    /// Queue of the requests, or the key that `queue_name` is bound with.
    pub to_janus: Option<String>,
    /// Routing key of all that is sent.
    pub from_janus: Option<String>,
    /// Declare a queue called `from_janus`.
    pub declare_outgoing: bool,
    /// The incoming queue outlives the broker.
    pub durable: bool,
    /// The incoming queue is ours alone.
    pub exclusive: bool,
    /// The incoming queue goes when nobody listens to it.
    pub autodelete: bool,
}

/// How an exchange passes messages on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExchangeType {
    /// To every queue bound to it.
    #[default]
    Fanout,
    /// By the routing key.
    Direct,
    /// By patterns of routing keys.
    Topic,
    /// By the headers of a message.
    Headers,
}

impl Word for ExchangeType {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("fanout", Self::Fanout),
        ("direct", Self::Direct),
        ("topic", Self::Topic),
        ("headers", Self::Headers),
    ];
}

impl Default for RabbitMqSettings {
    fn default() -> Self {
        Self {
            events: true,
            json: JsonStyle::default(),
            broker: RabbitMqBroker::default(),
            exchange: None,
            exchange_type: ExchangeType::default(),
            general: RabbitMqQueues::default(),
            admin: RabbitMqQueues::default(),
        }
    }
}

impl Default for RabbitMqBroker {
    fn default() -> Self {
        let text = |text: &str| text.to_owned();
        Self {
            host: text("localhost"),
            port: 5672,
            vhost: text("/"),
            username: text("guest"),
            password: text("guest"),
            heartbeat_s: 0,
            tls: BrokerTls::default(),
        }
    }
}

impl Default for RabbitMqQueues {
    fn default() -> Self {
        Self {
            enabled: false,
            queue_name: None,
            to_janus: None,
            from_janus: None,
            declare_outgoing: true,
            durable: false,
            exclusive: false,
            autodelete: false,
        }
    }
}

impl RabbitMqBroker {
    /// Reads what transport and event handler have in common.
    pub fn read(&mut self, section: &mut Section<'_>) {
        section.text("host", &mut self.host);
        section.number("port", &mut self.port, 1..=u16::MAX, "");
        section.text("vhost", &mut self.vhost);
        section.text("username", &mut self.username);
        section.text("password", &mut self.password);
        section.number("heartbeat", &mut self.heartbeat_s, 0..=u16::MAX, "seconds");
    }
}

/// Names of [`BrokerTls`] in RabbitMQ's files, after the one that switches it on.
pub const TLS_KEYS: [&str; 5] =
    ["ssl_verify_peer", "ssl_verify_hostname", "ssl_cacert", "ssl_cert", "ssl_key"];

impl Configured for RabbitMqSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        let Self { events, json, broker, exchange, exchange_type, general, admin } = self;
        reading.section("general", |section| {
            section.flag("events", events);
            section.word("json", json);
            general.read(section, &GENERAL);
            section.former_flag("enable", &mut general.enabled);
            section.former_flag("admin_enable", &mut admin.enabled);
            broker.read(section);
            section.text_option("janus_exchange", exchange);
            section.word("janus_exchange_type", exchange_type);
            section.flag("ssl_enabled", &mut broker.tls.enabled);
            section.former_flag("ssl_enable", &mut broker.tls.enabled);
            broker.tls.read(section, TLS_KEYS);
        });
        reading.section("admin", |section| {
            admin.read(section, &ADMIN);
            section.former_flag("admin_enable", &mut admin.enabled);
        });
    }
}

/// The keys of one API: enabled, queue, to, from, declare, durable, exclusive, autodelete.
type QueueKeys = [&'static str; 8];

const GENERAL: QueueKeys = [
    "enabled",
    "queue_name",
    "to_janus",
    "from_janus",
    "declare_outgoing_queue",
    "queue_durable",
    "queue_exclusive",
    "queue_autodelete",
];

const ADMIN: QueueKeys = [
    "admin_enabled",
    "queue_name_admin",
    "to_janus_admin",
    "from_janus_admin",
    "declare_outgoing_queue_admin",
    "queue_durable_admin",
    "queue_exclusive_admin",
    "queue_autodelete_admin",
];

impl RabbitMqQueues {
    fn read(&mut self, section: &mut Section<'_>, keys: &QueueKeys) {
        let [enabled, queue, to, from, declare, durable, exclusive, autodelete] = *keys;
        section.flag(enabled, &mut self.enabled);
        section.text_option(queue, &mut self.queue_name);
        section.text_option(to, &mut self.to_janus);
        section.text_option(from, &mut self.from_janus);
        section.flag(declare, &mut self.declare_outgoing);
        section.flag(durable, &mut self.durable);
        section.flag(exclusive, &mut self.exclusive);
        section.flag(autodelete, &mut self.autodelete);
    }
}
