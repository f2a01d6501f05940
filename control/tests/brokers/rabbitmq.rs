//! RabbitMQ, transports-auth §4, against the broker itself.

use crate::broker::{Rabbit, free_port};
use crate::client::{Client, PATIENCE, SILENCE, Wire};
use crate::room::whole_life;
use crate::server::{run, start, xorshift};
use bifrons_control::dispatch::CoreSettings;
use bifrons_control::transport::rabbitmq::RabbitMq;
use bifrons_control::transport::{Front, MAX_REQUEST, Transport};
use bifrons_core::api::Style;
use bifrons_core::config::RabbitMqSettings;
use bifrons_core::config::transport::rabbitmq::ExchangeType;
use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::{Value, json};
use std::rc::Rc;

/// An application behind the broker.
pub(crate) struct Application {
    _connection: Connection,
    channel: Channel,
    consumer: Consumer,
    exchange: String,
    to: String,
    /// Put into requests.
    pub(crate) correlation_id: Option<String>,
    /// Of the last message.
    pub(crate) last: BasicProperties,
}

impl Application {
    /// Takes from one queue, which it declares, and sends with one key.
    pub(crate) async fn connect(port: u16, from: &str, to: &str) -> Self {
        Self::behind(port, "", from, to).await
    }

    /// As above, through an exchange.
    async fn behind(port: u16, exchange: &str, from: &str, to: &str) -> Self {
        let uri = format!("amqp://guest:guest@127.0.0.1:{port}/%2f");
        let connection =
            Connection::connect(&uri, ConnectionProperties::default()).await.expect("connects");
        let channel = connection.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions::default();
        channel.queue_declare(from.into(), options, FieldTable::default()).await.expect("a queue");
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consuming =
            channel.basic_consume(from.into(), "".into(), options, FieldTable::default());
        let consumer = consuming.await.expect("a consumer");
        Application {
            _connection: connection,
            channel,
            consumer,
            exchange: exchange.to_owned(),
            to: to.to_owned(),
            correlation_id: None,
            last: BasicProperties::default(),
        }
    }
}

impl Wire for Application {
    async fn send(&mut self, message: &[u8]) {
        let mut properties = BasicProperties::default().with_reply_to("ignored".into());
        if let Some(id) = &self.correlation_id {
            properties = properties.with_correlation_id(id.as_str().into());
        }
        let (exchange, key) = (self.exchange.as_str().into(), self.to.as_str().into());
        let options = BasicPublishOptions::default();
        let sent = self.channel.basic_publish(exchange, key, options, message, properties);
        sent.await.expect("published").await.expect("taken");
    }

    async fn receive(&mut self) -> Option<Vec<u8>> {
        let delivery = self.consumer.next().await?.ok()?;
        self.last = delivery.properties.clone();
        Some(delivery.data)
    }
}

/// Declares a queue, for requests that are sent before anybody listens.
pub(crate) async fn declare(application: &Application, queue: &str) {
    let options = QueueDeclareOptions::default();
    let declaring = application.channel.queue_declare(queue.into(), options, FieldTable::default());
    declaring.await.expect("declared");
}

/// Names that no other test has.
pub(crate) fn settings(port: u16) -> RabbitMqSettings {
    let unique = xorshift()();
    let name = |kind: &str| Some(format!("{kind}-{unique}"));
    let mut settings = RabbitMqSettings::default();
    settings.broker.host = "127.0.0.1".to_owned();
    settings.broker.port = port;
    settings.broker.heartbeat_s = 60;
    settings.general.enabled = true;
    settings.general.to_janus = name("to-janus");
    settings.general.from_janus = name("from-janus");
    settings.admin.to_janus = name("to-janus-admin");
    settings.admin.from_janus = name("from-janus-admin");
    settings
}

struct Stage {
    front: Rc<Front>,
    transport: Rc<RabbitMq>,
    settings: RabbitMqSettings,
}

impl Stage {
    async fn with(settings: RabbitMqSettings) -> Self {
        let front = start(CoreSettings::default());
        let transport = RabbitMq::start(&front, &settings, Style::Compact).expect("starts");
        let stage = Stage { front, transport, settings };
        stage.connected(1).await;
        stage
    }

    async fn start() -> Self {
        Self::with(settings(Rabbit::shared())).await
    }

    /// Waits until the connection was made so often.
    async fn connected(&self, times: u64) {
        let made = async {
            while self.transport.counters().connections < times {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(6 * PATIENCE, made).await.expect("connected in time");
    }

    async fn application(&self) -> Client<Application> {
        let queues = &self.settings.general;
        let (from, to) = (queues.from_janus.as_deref(), queues.to_janus.as_deref());
        let port = self.settings.broker.port;
        Client::new(Application::connect(port, from.expect("named"), to.expect("named")).await)
    }

    async fn operator(&self) -> Client<Application> {
        let queues = &self.settings.admin;
        let (from, to) = (queues.from_janus.as_deref(), queues.to_janus.as_deref());
        let port = self.settings.broker.port;
        Client::new(Application::connect(port, from.expect("named"), to.expect("named")).await)
    }
}

fn correlation(client: &Client<Application>) -> Option<String> {
    client.wire.last.correlation_id().as_ref().map(ToString::to_string)
}

#[test]
fn transports_auth_35_a_response_has_the_correlation_id_and_an_event_has_none() {
    run(async {
        let stage = Stage::start().await;
        let mut client = stage.application().await;
        client.wire.correlation_id = Some("c1".to_owned());
        client.ping().await;
        assert_eq!(correlation(&client), Some("c1".to_owned()));
        let last = &client.wire.last;
        assert_eq!(
            last.content_type().as_ref().map(|text| text.as_str()),
            Some("application/json")
        );
        assert_eq!(last.reply_to().as_ref().map(|text| text.as_str()), Some("Janus"));
        let session = client.create().await;
        let handle = client.attach(session, "janus.plugin.echotest").await;
        client.wire.correlation_id = Some("c2".to_owned());
        let ack = client.message((session, handle), json!({"audio": true})).await;
        assert_eq!((&ack["janus"], correlation(&client)), (&json!("ack"), Some("c2".to_owned())));
        assert_eq!(client.next().await["janus"], "event");
        assert_eq!(correlation(&client), None);
        client.wire.correlation_id = None;
        client.ping().await;
        assert_eq!(correlation(&client), None);
    });
}

#[test]
fn transports_auth_36_admin_requests_are_told_by_their_routing_key() {
    run(async {
        let mut settings = settings(Rabbit::shared());
        settings.admin.enabled = true;
        let stage = Stage::with(settings).await;
        let (mut client, mut operator) = (stage.application().await, stage.operator().await);
        operator.wire.correlation_id = Some("a1".to_owned());
        assert_eq!(operator.ask(json!({"janus": "create"})).await["janus"], "admin");
        assert_eq!(correlation(&operator), Some("a1".to_owned()));
        assert!(stage.front.with(|core, _| core.sessions().is_empty()));
        assert_eq!(operator.ask_raw(b"{\"janus\"").await["error"]["code"], 454);
        client.create().await;
        assert_eq!(operator.next_within(SILENCE).await, None);
    });
}

#[test]
fn a_room_lives_over_rabbitmq() {
    run(async { whole_life(&mut Stage::start().await.application().await).await });
}

#[test]
fn what_is_no_json_is_answered_with_its_correlation_id() {
    run(async {
        let stage = Stage::start().await;
        let mut client = stage.application().await;
        client.wire.correlation_id = Some("bad".to_owned());
        let two = br#"{"janus":"ping","transaction":"1"}{"janus":"ping","transaction":"2"}"#;
        for bad in [&b"{\"janus\":"[..], b"", b"\xff\xfe\x00", two] {
            let reply = client.ask_raw(bad).await;
            assert_eq!(reply["error"]["code"], 454, "{reply}");
            assert!(reply["error"]["reason"].as_str().expect("a reason").contains("<buffer>"));
            assert_eq!(correlation(&client), Some("bad".to_owned()));
        }
        let long = vec![b' '; MAX_REQUEST + 1];
        assert_eq!(client.ask_raw(&long).await["error"]["code"], 454);
        assert_eq!(stage.transport.counters().oversized, 1);
        client.ping().await;
    });
}

#[test]
fn a_request_in_several_frames_is_joined() {
    run(async {
        let stage = Stage::start().await;
        let mut client = stage.application().await;
        // More than two frames of 131072 bytes.
        let long = "x".repeat(300_000);
        let pong = client.ask(json!({"janus": "ping", "transaction": long})).await;
        assert_eq!(pong, json!({"janus": "pong", "transaction": long}));
    });
}

#[test]
fn a_named_queue_is_bound_to_a_topic_exchange() {
    run(async {
        let mut settings = settings(Rabbit::shared());
        let unique = xorshift()();
        let exchange = format!("exchange-{unique}");
        settings.exchange = Some(exchange.clone());
        settings.exchange_type = ExchangeType::Topic;
        settings.general.queue_name = Some(format!("queue-{unique}"));
        settings.general.declare_outgoing = false;
        let stage = Stage::with(settings).await;
        let port = stage.settings.broker.port;
        let (to, from) = (&stage.settings.general.to_janus, &stage.settings.general.from_janus);
        let (to, from) = (to.as_deref().expect("named"), from.as_deref().expect("named"));
        let own = format!("application-{unique}");
        let mut client = Client::new(Application::behind(port, &exchange, &own, to).await);
        let bound = client.wire.channel.queue_bind(
            own.as_str().into(),
            exchange.as_str().into(),
            from.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.expect("bound");
        client.ping().await;
        whole_life(&mut client).await;
    });
}

#[test]
fn a_broker_that_is_not_there_keeps_nobody_from_serving() {
    run(async {
        let front = start(CoreSettings::default());
        let settings = settings(free_port());
        let transport = RabbitMq::start(&front, &settings, Style::Compact).expect("starts");
        let folder = crate::server::Folder::new();
        let mut client = crate::unix::beside(&front, &folder);
        whole_life(&mut client).await;
        assert_eq!(transport.counters().connections, 0);
        let info: Value = client.ask(json!({"janus": "info"})).await;
        assert!(info["transports"]["janus.transport.rabbitmq"].is_object(), "{info}");
        transport.stop();
    });
}

#[test]
fn missing_names_keep_the_transport_off() {
    run(async {
        let front = start(CoreSettings::default());
        let mut nameless = settings(1);
        nameless.general.from_janus = None;
        let error = RabbitMq::start(&front, &nameless, Style::Compact).err().expect("refused");
        assert!(error.contains("from_janus"), "{error}");
        assert!(front.transports().is_empty());
    });
}
