//! `janus.eventhandler.rabbitmqevh.jcfg` (reference: admin-events-recording §8.3).

use super::super::section::{Configured, Reading};
use super::super::transport::rabbitmq::{ExchangeType, RabbitMqBroker, TLS_KEYS};
use super::EventSettings;

/// Settings of the handler that sends events to RabbitMQ.
#[derive(Debug, Clone, PartialEq)]
pub struct RabbitMqEventSettings {
    /// What every handler has.
    pub common: EventSettings,
    /// Where the broker is.
    pub broker: RabbitMqBroker,
    /// The exchange; none: the broker's default one.
    pub exchange: Option<String>,
    /// Its type.
    pub exchange_type: ExchangeType,
    /// Routing key of all that is sent.
    pub route_key: Option<String>,
    /// Declare a queue called `route_key`.
    pub declare_outgoing: bool,
}

impl Default for RabbitMqEventSettings {
    fn default() -> Self {
        Self {
            common: EventSettings::default(),
            broker: RabbitMqBroker::default(),
            exchange: None,
            exchange_type: ExchangeType::default(),
            route_key: None,
            declare_outgoing: true,
        }
    }
}

impl Configured for RabbitMqEventSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        let Self { common, broker, exchange, exchange_type, route_key, declare_outgoing } = self;
        reading.section("general", |section| {
            common.read(section);
            common.read_grouping(section);
            broker.read(section);
            section.text_option("exchange", exchange);
            section.word("exchange_type", exchange_type);
            section.text_option("route_key", route_key);
            section.flag("declare_outgoing_queue", declare_outgoing);
            section.flag("ssl_enable", &mut broker.tls.enabled);
            section.former_flag("ssl_enabled", &mut broker.tls.enabled);
            broker.tls.read(section, TLS_KEYS);
        });
    }
}
