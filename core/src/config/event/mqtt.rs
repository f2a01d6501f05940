//! `janus.eventhandler.mqttevh.jcfg` (reference: admin-events-recording §8.4).

use super::super::section::{Configured, Reading};
use super::super::transport::mqtt::{MqttBroker, number_flag, pairs};
use super::EventSettings;

/// Settings of the handler that publishes events over MQTT.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttEventSettings {
    /// What every handler has; events are never grouped.
    pub common: EventSettings,
    /// Where the broker is.
    pub broker: MqttBroker,
    /// The broker keeps the last event of each topic.
    pub retain: bool,
    /// Quality of service of events and status.
    pub qos: u8,
    /// Where events go.
    pub topic: String,
    /// Each kind of event to a topic of its own below `topic`.
    pub add_event: bool,
    /// Published to `<topic>/status` when the connection is up.
    pub connect_status: Option<String>,
    /// Published there when it ends.
    pub disconnect_status: Option<String>,
    /// Have the broker publish it if we are lost.
    pub will_enabled: bool,
    /// The broker keeps it then.
    pub will_retain: bool,
    /// Its quality of service.
    pub will_qos: u8,
    /// MQTT 5: user properties of every event.
    pub add_properties: Vec<(String, String)>,
}

impl Default for MqttEventSettings {
    fn default() -> Self {
        Self {
            common: EventSettings { grouping: false, ..EventSettings::default() },
            broker: MqttBroker { keep_alive_s: 30, ..MqttBroker::default() },
            retain: false,
            qos: 1,
            topic: "/janus/events".to_owned(),
            add_event: true,
            connect_status: None,
            disconnect_status: None,
            will_enabled: false,
            will_retain: true,
            will_qos: 0,
            add_properties: Vec::new(),
        }
    }
}

impl Configured for MqttEventSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        reading.section("general", |section| {
            self.common.read(section);
            self.broker.read(section);
            number_flag(section, "retain", &mut self.retain);
            section.number("qos", &mut self.qos, 0..=2, "");
            section.text("topic", &mut self.topic);
            section.flag("addevent", &mut self.add_event);
            section.text_option("connect_status", &mut self.connect_status);
            section.text_option("disconnect_status", &mut self.disconnect_status);
            section.flag("will_enabled", &mut self.will_enabled);
            number_flag(section, "will_retain", &mut self.will_retain);
            section.number("will_qos", &mut self.will_qos, 0..=2, "");
            let tls = &mut self.broker.tls;
            section.flag("tls_enable", &mut tls.enabled);
            section.former_flag("ssl_enable", &mut tls.enabled);
            section.flag("tls_verify_peer", &mut tls.verify_peer);
            section.flag("tls_verify_hostname", &mut tls.verify_hostname);
            section.text_option("tls_cacert", &mut tls.cacert);
            section.text_option("tls_client_cert", &mut tls.cert);
            section.text_option("tls_client_key", &mut tls.key);
            pairs(section, "add_user_properties", &mut self.add_properties);
        });
    }
}
