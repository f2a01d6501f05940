//! The settings of sockets and brokers.

use crate::config::transport::mqtt::MqttVersion;
use crate::config::transport::rabbitmq::ExchangeType;
use crate::config::transport::unix::UnixKind;
use crate::config::{Configured, MqttSettings, RabbitMqSettings, Tree, UnixSettings, jcfg};

fn tree(text: &str) -> Tree {
    jcfg::read_alone("t.jcfg", text).expect("the grammar")
}

#[test]
fn broker_files_of_a_stock_janus_are_read() {
    let rabbit = "general: { enable = true ssl_enable = \"yes\" heartbeat = 60 queue_name = \"q\" \
         to_janus = \"to\" from_janus = \"from\" janus_exchange_type = \"topic\" \
         admin_enable = true }\n\
         admin: { to_janus_admin = \"to-admin\" queue_durable_admin = true }";
    let (settings, found) = RabbitMqSettings::from_tree(&tree(rabbit));
    assert_eq!(found, []);
    assert!(settings.general.enabled && settings.admin.enabled && settings.broker.tls.enabled);
    assert_eq!(settings.exchange_type, ExchangeType::Topic);
    assert_eq!(settings.admin.to_janus.as_deref(), Some("to-admin"));
    assert!(settings.admin.durable && !settings.general.durable);
    let mqtt = "general: { enable = true mqtt_version = \"5\" cleansession = 1 \
         proxy_transaction_user_properties = [\"one\", \"two\"] \
         add_transaction_user_properties = ([\"a\", \"b\"], [\"odd\"]) verify_peer = true }\n\
         status: { enabled = true disconnect_message = \"{\\\"online\\\": false}\" }";
    let (settings, found) = MqttSettings::from_tree(&tree(mqtt));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(settings.general.enabled && settings.broker.clean_session);
    assert_eq!(settings.broker.version, MqttVersion::V5);
    assert_eq!(settings.proxy_properties, ["one", "two"]);
    assert_eq!(settings.add_properties, [("a".to_owned(), "b".to_owned())]);
    assert!(settings.broker.tls.verify_hostname);
    assert_eq!(settings.status.disconnect_message.as_deref(), Some("{\"online\": false}"));
    let unix = "general: { enabled = true path = \"/x\" type = \"sock_dgram\" }";
    let (settings, _) = UnixSettings::from_tree(&tree(unix));
    assert_eq!(
        (settings.general.kind, settings.admin.kind),
        (UnixKind::Datagram, UnixKind::SeqPacket)
    );
}
