//! TLS to brokers: who is believed, and who is not.

use crate::broker::{Mosquitto, Rabbit, certificate};
use crate::client::PATIENCE;
use crate::events::until;
use crate::server::{run, start};
use bifrons_control::dispatch::CoreSettings;
use bifrons_control::transport::Transport;
use bifrons_control::transport::mqtt::MqttTransport;
use bifrons_control::transport::rabbitmq::RabbitMq;
use bifrons_core::api::Style;
use bifrons_core::config::transport::BrokerTls;
use bifrons_core::config::transport::mqtt::MqttVersion;
use std::time::Duration;

/// Long enough for some tries that fail.
const TRIES: Duration = Duration::from_millis(800);

/// Each way to be secured, the address to call, and whether a connection is to come of it. The
/// brokers' certificate is for localhost and 127.0.0.1, and signed by itself.
fn cases() -> [(BrokerTls, &'static str, bool); 5] {
    let own = certificate("cert.pem").display().to_string();
    let open = BrokerTls { enabled: true, ..BrokerTls::default() };
    let trusting = BrokerTls { verify_peer: true, cacert: Some(own), ..open.clone() };
    let strict = BrokerTls { verify_hostname: true, ..trusting.clone() };
    [
        (open.clone(), "127.0.0.2", true),
        (BrokerTls { verify_peer: true, ..open }, "localhost", false),
        (strict.clone(), "localhost", true),
        (strict, "127.0.0.2", false),
        (trusting, "127.0.0.2", true),
    ]
}

#[test]
fn mqtt_brokers_are_believed_as_the_settings_say() {
    run(async {
        let broker = Mosquitto::start();
        for (version, (tls, host, welcome)) in
            [MqttVersion::V4, MqttVersion::V5].into_iter().cycle().zip(cases())
        {
            let front = start(CoreSettings::default());
            let mut settings = crate::mqtt::settings(broker.port, version);
            settings.broker.url = format!("ssl://{host}:{}", broker.secure_port);
            settings.broker.tls = tls.clone();
            let transport = MqttTransport::start(&front, &settings, Style::Compact);
            let transport = transport.expect("starts");
            let connected = || transport.counters().connections > 0;
            if welcome {
                until(&format!("{version:?} {host} {tls:?}"), 2 * PATIENCE, connected).await;
            } else {
                tokio::time::sleep(TRIES).await;
                assert!(!connected(), "{version:?} {host} {tls:?}");
            }
            transport.stop();
            transport.stopped().await;
        }
    });
}

#[test]
fn rabbitmq_is_believed_as_the_settings_say() {
    run(async {
        let (port, secure_port) = Rabbit::shared_ports();
        for (tls, host, welcome) in cases() {
            let front = start(CoreSettings::default());
            let mut settings = crate::rabbitmq::settings(port);
            settings.broker.host = host.to_owned();
            settings.broker.port = secure_port;
            settings.broker.tls = tls.clone();
            let transport = RabbitMq::start(&front, &settings, Style::Compact).expect("starts");
            let connected = || transport.counters().connections > 0;
            if welcome {
                until(&format!("{host} {tls:?}"), 2 * PATIENCE, connected).await;
            } else {
                tokio::time::sleep(TRIES).await;
                assert!(!connected(), "{host} {tls:?}");
            }
            transport.stop();
        }
    });
}
