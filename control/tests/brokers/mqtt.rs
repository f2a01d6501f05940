//! MQTT, transports-auth §5, against Mosquitto. The application speaks MQTT 5, whatever we speak.

use crate::broker::Mosquitto;
use crate::client::{Client, PATIENCE, SILENCE, Wire};
use crate::room::whole_life;
use crate::server::{run, start};
use bifrons_control::dispatch::CoreSettings;
use bifrons_control::transport::mqtt::MqttTransport;
use bifrons_control::transport::{Front, Transport};
use bifrons_core::api::Style;
use bifrons_core::config::MqttSettings;
use bifrons_core::config::transport::mqtt::MqttVersion;
use rmq5::{
    AsyncClient, Event, EventLoop, MqttOptions, Packet, PublishOptions, PublishProperties, QoS,
};
use serde_json::json;
use std::rc::Rc;
use std::time::Duration;

/// An application behind the broker.
pub(crate) struct Application {
    client: AsyncClient,
    event_loop: EventLoop,
    to: String,
    /// Put into requests.
    asks: PublishProperties,
    /// Topic and properties of the last message.
    last: (String, PublishProperties),
}

impl Application {
    /// Subscribed to these topics, sends to one.
    pub(crate) async fn connect(port: u16, name: &str, topics: &[&str], to: &str) -> Self {
        let mut options = MqttOptions::new(name, rmq5::Broker::tcp("127.0.0.1", port));
        options.set_max_packet_size(Some(4 << 20));
        // Its tables have a place for each message that may be on its way, 14 MB for 65535 of them.
        options.set_outgoing_inflight_upper_limit(64);
        options.set_incoming_packet_size_limit(rmq5::IncomingPacketSizeLimit::Bytes(4 << 20));
        let (client, event_loop) = AsyncClient::builder(options).capacity(100).build();
        let mut application = Application {
            client,
            event_loop,
            to: to.to_owned(),
            asks: PublishProperties::default(),
            last: Default::default(),
        };
        for topic in topics {
            application.client.subscribe(*topic, QoS::AtLeastOnce).await.expect("asked");
            application.until(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
        }
        application
    }

    async fn until<R>(&mut self, wanted: impl Fn(Packet) -> Option<R>) -> R {
        loop {
            if let Event::Incoming(packet) = self.event_loop.poll().await.expect("connected")
                && let Some(found) = wanted(packet)
            {
                return found;
            }
        }
    }

    /// Of the last message.
    pub(crate) fn topic(&self) -> &str {
        &self.last.0
    }

    /// A user property of the last message.
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        let found = self.last.1.user_properties.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Wire for Application {
    async fn send(&mut self, message: &[u8]) {
        let options = PublishOptions::new(QoS::AtLeastOnce).properties(self.asks.clone());
        self.client.publish(self.to.as_str(), message, options).await.expect("queued");
    }

    async fn receive(&mut self) -> Option<Vec<u8>> {
        let publish = self.until(|packet| match packet {
            Packet::Publish(publish) => Some(publish),
            _ => None,
        });
        let publish = publish.await;
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        self.last = (topic, publish.properties.unwrap_or_default());
        Some(publish.payload.to_vec())
    }
}

pub(crate) fn settings(port: u16, version: MqttVersion) -> MqttSettings {
    let mut settings = MqttSettings::default();
    settings.broker.url = format!("tcp://127.0.0.1:{port}");
    settings.broker.version = version;
    settings.broker.client_id = "bifrons".to_owned();
    settings.broker.disconnect_timeout_ms = 2000;
    settings.general.enabled = true;
    settings.general.subscribe = Some("to-janus".to_owned());
    settings.general.publish = Some("from-janus".to_owned());
    settings.admin.subscribe = Some("to-janus-admin".to_owned());
    settings.admin.publish = Some("from-janus-admin".to_owned());
    settings
}

struct Stage {
    broker: Mosquitto,
    front: Rc<Front>,
    transport: Rc<MqttTransport>,
}

impl Stage {
    async fn start(version: MqttVersion, change: impl FnOnce(&mut MqttSettings)) -> Self {
        let broker = Mosquitto::start();
        let front = start(CoreSettings::default());
        let mut settings = settings(broker.port, version);
        change(&mut settings);
        let transport = MqttTransport::start(&front, &settings, Style::Compact).expect("starts");
        let stage = Stage { broker, front, transport };
        stage.connected(1).await;
        stage
    }

    async fn connected(&self, times: u64) {
        let made = async {
            while self.transport.counters().connections < times {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(6 * PATIENCE, made).await.expect("connected in time");
    }

    async fn application(&self) -> Client<Application> {
        self.listening(&["from-janus"]).await
    }

    /// Waits until the server has subscribed: it answers.
    async fn listening(&self, topics: &[&str]) -> Client<Application> {
        let port = self.broker.port;
        let mut client =
            Client::new(Application::connect(port, "application", topics, "to-janus").await);
        for _ in 0..40 {
            let ping = json!({"janus": "ping", "transaction": "first"}).to_string();
            client.wire.send(ping.as_bytes()).await;
            if client.next_within(SILENCE).await.is_some() {
                break;
            }
        }
        // Answers to the pings that were too early for our patience only.
        while client.next_within(SILENCE).await.is_some() {}
        client
    }
}

#[test]
fn transports_auth_37_v5_answers_go_where_the_request_says() {
    run(async {
        let stage = Stage::start(MqttVersion::V5, |settings| {
            settings.admin.enabled = true;
            settings.proxy_properties = vec!["pp".to_owned()];
            settings.add_properties = vec![("served".to_owned(), "here".to_owned())];
        })
        .await;
        let mut client = stage.listening(&["from-janus", "from-janus-admin", "mine"]).await;
        let session = client.create().await;
        assert_eq!(client.wire.last.0, "from-janus");
        assert_eq!(client.wire.property("served"), Some("here"));
        let handle = client.attach(session, "janus.plugin.echotest").await;
        client.wire.asks = PublishProperties {
            response_topic: Some("mine".to_owned()),
            correlation_data: Some("c7".into()),
            user_properties: vec![("pp".into(), "1".into()), ("other".into(), "2".into())],
            ..PublishProperties::default()
        };
        let ack = client.message((session, handle), json!({"audio": true})).await;
        assert_eq!(ack["janus"], "ack");
        assert_eq!(client.wire.last.0, "mine");
        assert_eq!(client.wire.last.1.correlation_data.as_deref(), Some(&b"c7"[..]));
        let properties = ["pp", "other", "served"].map(|name| client.wire.property(name));
        assert_eq!(properties, [Some("1"), None, Some("here")]);
        assert_eq!(client.next().await["janus"], "event");
        assert_eq!(client.wire.last.0, "from-janus", "an event after the ack");
        assert_eq!(client.wire.last.1.correlation_data, None);
        assert_eq!(client.wire.property("served"), None);
        client.wire.to = "to-janus-admin".to_owned();
        assert_eq!(client.ask(json!({"janus": "create"})).await["janus"], "admin");
        assert_eq!(client.wire.last.0, "from-janus-admin");
        assert_eq!(client.wire.last.1.correlation_data, None);
        assert_eq!(stage.front.with(|core, _| core.sessions().len()), 1);
    });
}

#[test]
fn an_answer_that_comes_back_as_a_request_ends_there() {
    run(async {
        let stage = Stage::start(MqttVersion::V5, |_| {}).await;
        let mut client = stage.application().await;
        client.wire.asks.response_topic = Some("to-janus".to_owned());
        client.wire.asks.correlation_data = Some("x".into());
        // Its answer comes to ourselves, is no request, and that is the end of it.
        client.wire.send(br#"{"janus":"ping","transaction":"loop"}"#).await;
        client.wire.asks = PublishProperties::default();
        let mut errors = 0;
        while let Some(message) = client.next_within(SILENCE).await {
            assert_ne!(message["janus"], "pong", "{message}");
            errors += 1;
        }
        assert!(errors <= 1, "{errors} answers to our own answer");
        client.ping().await;
    });
}

#[test]
fn transports_auth_38_status_messages_come_and_the_will_when_we_are_lost() {
    run(async {
        let broker = Mosquitto::start();
        let mut settings = settings(broker.port, MqttVersion::V4);
        settings.status.enabled = true;
        settings.status.retain = true;
        settings.status.connect_message = Some(r#"{"online":true}"#.to_owned());
        settings.status.disconnect_message = Some(r#"{"online":false}"#.to_owned());
        let connecting = Application::connect(broker.port, "watcher", &["status"], "none");
        let mut watcher = Client::new(connecting.await);
        for orderly in [true, false] {
            let front = start(CoreSettings::default());
            let transport =
                MqttTransport::start(&front, &settings, Style::Compact).expect("starts");
            assert_eq!(watcher.next().await, json!({"online": true}), "orderly {orderly}");
            if orderly {
                front.stop();
                front.stopped().await;
                assert_eq!(watcher.next().await, json!({"online": false}));
            } else {
                // Another client by our name: the broker drops us without a goodbye of ours.
                let usurper = Application::connect(broker.port, "bifrons", &[], "none");
                let mut usurper = usurper.await;
                let usurping = async {
                    loop {
                        let _ = usurper.event_loop.poll().await;
                    }
                };
                tokio::select! {
                    () = usurping => {}
                    message = watcher.next() => assert_eq!(message, json!({"online": false})),
                }
                transport.stop();
                transport.stopped().await;
            }
        }
        let late = Application::connect(broker.port, "late", &["status"], "none").await;
        assert!(Client::new(late).next().await["online"].is_boolean(), "retained");
    });
}

#[test]
fn transports_auth_68_v5_drops_what_it_cannot_read_and_v4_answers_454() {
    run(async {
        let bad: [&[u8]; 4] = [b"{\"janus\":", b"", b"\xff\xfe", b"\"text\""];
        let stage = Stage::start(MqttVersion::V5, |settings| settings.admin.enabled = true).await;
        let mut client = stage.listening(&["from-janus", "from-janus-admin"]).await;
        for message in bad {
            client.wire.send(message).await;
        }
        client.wire.send(br#"{"janus":"ping"}"#).await;
        client.wire.send(br#"{"janus":"ping","transaction":5}"#).await;
        client.ping().await;
        assert_eq!(client.next_within(SILENCE).await, None);
        assert_eq!(stage.transport.counters().unreadable, 6);
        client.wire.to = "to-janus-admin".to_owned();
        assert_eq!(client.ask_raw(bad[0]).await["error"]["code"], 454);
        let stage = Stage::start(MqttVersion::V4, |_| {}).await;
        let mut client = stage.application().await;
        for message in bad {
            assert_eq!(client.ask_raw(message).await["error"]["code"], 454);
        }
        assert_eq!(client.ask_raw(br#"{"janus":"ping"}"#).await["error"]["code"], 456);
    });
}

#[test]
fn a_room_lives_over_both_versions_of_mqtt() {
    run(async {
        for version in [MqttVersion::V4, MqttVersion::V5] {
            let stage = Stage::start(version, |_| {}).await;
            whole_life(&mut stage.application().await).await;
        }
    });
}

#[test]
fn topics_are_told_ignoring_case_and_large_messages_pass() {
    run(async {
        let stage = Stage::start(MqttVersion::V4, |_| {}).await;
        let mut client = stage.application().await;
        let long = "x".repeat(200_000);
        let pong = client.ask(json!({"janus": "ping", "transaction": long})).await;
        assert_eq!(pong["transaction"], json!(long));
        client.wire.send(&vec![b' '; bifrons_control::transport::MAX_REQUEST + 1]).await;
        assert_eq!(client.next().await["error"]["code"], 454);
        assert_eq!(stage.transport.counters().oversized, 1);
    });
}

#[test]
fn an_outage_of_the_broker_loses_no_session() {
    run(async {
        for version in [MqttVersion::V4, MqttVersion::V5] {
            let mut broker = Mosquitto::absent();
            let front = start(CoreSettings::default());
            let settings = settings(broker.port, version);
            let transport =
                MqttTransport::start(&front, &settings, Style::Compact).expect("starts");
            broker.revive();
            let stage = Stage { broker, front, transport };
            stage.connected(1).await;
            let mut client = stage.application().await;
            let session = client.create().await;
            let mut stage = stage;
            stage.broker.kill();
            drop(client);
            stage.broker.revive();
            stage.connected(2).await;
            let mut client = stage.application().await;
            assert!(client.knows(session).await, "{version:?}");
            whole_life(&mut client).await;
        }
    });
}
