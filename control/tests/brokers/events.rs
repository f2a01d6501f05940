//! Event handlers at brokers, admin-events-recording §8, against the brokers themselves.

use crate::broker::{Mosquitto, Rabbit};
use crate::client::{Client, PATIENCE, SILENCE, Wire};
use crate::server::{Folder, run, start, xorshift};
use bifrons_control::dispatch::CoreSettings;
use bifrons_control::event::mqtt::MqttEvents;
use bifrons_control::event::nanomsg::NanomsgEvents;
use bifrons_control::event::rabbitmq::RabbitMqEvents;
use bifrons_control::event::{Event, EventKind, FeedCounters, Hub};
use bifrons_core::config::event::{MqttEventSettings, NanomsgEventSettings, RabbitMqEventSettings};
use bifrons_core::config::transport::mqtt::MqttVersion;
use bifrons_core::config::transport::nanomsg::NanomsgMode;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Duration;

/// An event with a number.
pub(crate) fn numbered(kind: EventKind, number: u64) -> Event {
    Event {
        kind,
        subtype: 0,
        wall_us: 1_893_456_000_000_000 + number,
        session_id: 0,
        handle_id: 0,
        opaque_id: None,
        body: json!({ "number": number }),
    }
}

/// The number of an event that came.
pub(crate) fn number(event: &Value) -> u64 {
    event["event"]["number"].as_u64().unwrap_or_else(|| panic!("no number: {event}"))
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, limit: Duration, is_so: impl Fn() -> bool) {
    let reached = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(limit, reached).await.is_ok(), "not in time: {what}");
}

fn counters(hub: &Hub) -> FeedCounters {
    hub.counters().first().expect("a handler").1
}

pub(crate) fn rabbit_settings(port: u16) -> RabbitMqEventSettings {
    let mut settings = RabbitMqEventSettings::default();
    settings.common.enabled = true;
    settings.common.events = Some("all".to_owned());
    settings.broker.host = "127.0.0.1".to_owned();
    settings.broker.port = port;
    settings.route_key = Some(format!("events-{}", xorshift()()));
    settings
}

pub(crate) fn mqtt_settings(port: u16, version: MqttVersion) -> MqttEventSettings {
    let mut settings = MqttEventSettings::default();
    settings.common.enabled = true;
    settings.common.events = Some("all".to_owned());
    settings.broker.url = format!("tcp://127.0.0.1:{port}");
    settings.broker.version = version;
    settings.broker.client_id = "bifrons-events".to_owned();
    settings.broker.disconnect_timeout_ms = 2000;
    settings
}

#[test]
fn events_go_through_rabbitmq_together_or_alone() {
    run(async {
        for grouping in [true, false] {
            let port = Rabbit::shared();
            let mut settings = rabbit_settings(port);
            settings.common.grouping = grouping;
            let key = settings.route_key.clone().expect("named");
            let application = crate::rabbitmq::Application::connect(port, &key, "none").await;
            let mut consumer = Client::new(application);
            let hub = Hub::new("here");
            let handler = RabbitMqEvents::start(&hub, &settings).expect("starts");
            until("connected", 6 * PATIENCE, || handler.connections() == 1).await;
            (1..=3).for_each(|n| hub.publish(numbered(EventKind::Session, n)));
            let mut events = Vec::new();
            while events.len() < 3 {
                let message = consumer.next().await;
                let properties = &consumer.wire.last;
                let kind = properties.content_type().as_ref().map(|text| text.as_str());
                assert_eq!(kind, Some("application/json"));
                match message {
                    Value::Array(all) if grouping => events.extend(all),
                    Value::Object(_) if !grouping => events.push(message),
                    other => panic!("grouping {grouping}: {other}"),
                }
            }
            assert_eq!(events.iter().map(number).collect::<Vec<_>>(), [1, 2, 3]);
            assert_eq!((&events[0]["emitter"], &events[0]["type"]), (&json!("here"), &json!(1)));
            until("settled", PATIENCE, || counters(&hub).delivered == 3).await;
        }
    });
}

#[test]
fn events_45_mqtt_publishes_to_topic_media_with_its_eventtype() {
    run(async {
        for version in [MqttVersion::V4, MqttVersion::V5] {
            let broker = Mosquitto::start();
            let hub = Hub::new("here");
            let mut settings = mqtt_settings(broker.port, version);
            settings.add_properties = vec![("served".to_owned(), "here".to_owned())];
            settings.connect_status = Some(r#"{"event":"connected"}"#.to_owned());
            settings.disconnect_status = Some(r#"{"event":"disconnected"}"#.to_owned());
            let topics = ["/janus/events/#"];
            let connecting =
                crate::mqtt::Application::connect(broker.port, "consumer", &topics, "none");
            let mut consumer = Client::new(connecting.await);
            MqttEvents::start(&hub, &settings).expect("starts");
            assert_eq!(consumer.next().await, json!({"event": "connected"}));
            assert_eq!(consumer.wire.topic(), "/janus/events/status");
            for (n, kind) in (0..).zip([EventKind::Media, EventKind::WebRtc, EventKind::Core]) {
                hub.publish(numbered(kind, n));
                let event = consumer.next().await;
                assert_eq!(consumer.wire.topic(), format!("/janus/events/{}", kind.word()));
                assert_eq!(event["eventtype"], kind.display_name());
                assert_eq!((number(&event), &event["type"]), (n, &json!(kind.number())));
                let served = (version == MqttVersion::V5).then_some("here");
                assert_eq!(consumer.wire.property("served"), served);
            }
            let tweak = json!({"request": "tweak", "events": "none"});
            let answer = hub.query("janus.eventhandler.mqttevh", &tweak).expect("known");
            assert_eq!(answer, json!({"result": 200}));
            hub.publish(numbered(EventKind::Media, 9));
            assert_eq!(consumer.next_within(SILENCE).await, None, "tweaked");
            hub.close();
            assert_eq!(consumer.next().await, json!({"event": "disconnected"}));
        }
    });
}

#[test]
fn nanocat_subscribes_to_events() {
    run(async {
        let folder = Folder::new();
        let address = format!("ipc://{}", folder.path("events").display());
        let settings = NanomsgEventSettings {
            mode: NanomsgMode::Bind,
            address: Some(address.clone()),
            ..NanomsgEventSettings::default()
        };
        let hub = Hub::new("here");
        let mut settings = settings;
        settings.common.events = Some("sessions".to_owned());
        NanomsgEvents::start(&hub, &settings).expect("starts");
        let listening = tokio::task::spawn_blocking(move || {
            Command::new("nanocat")
                .args(["--sub", "--connect", &address, "--raw", "--recv-timeout", "2"])
                .stdin(Stdio::null())
                .output()
        });
        // Nobody tells a publisher when somebody has subscribed.
        for n in 0..100 {
            hub.publish(numbered(EventKind::Session, n));
            hub.publish(numbered(EventKind::Media, n));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let output = listening.await.expect("ran").expect("nanocat is installed");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let messages = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        let events: Vec<Value> = messages
            .flat_map(|message| match message.expect("JSON") {
                Value::Array(all) => all,
                other => panic!("no array: {other}"),
            })
            .collect();
        assert!(events.len() > 10, "{} events", events.len());
        assert!(events.iter().all(|event| event["type"] == 1), "the mask holds");
        assert!(events.windows(2).all(|pair| number(&pair[0]) + 1 == number(&pair[1])));
        assert_eq!(counters(&hub).delivered, 100);
    });
}

#[test]
fn what_a_handler_needs_has_to_be_there() {
    run(async {
        let hub = Hub::new("here");
        let mut nameless = rabbit_settings(1);
        nameless.route_key = None;
        let error = RabbitMqEvents::start(&hub, &nameless).err().expect("refused");
        assert!(error.contains("route_key"), "{error}");
        let error = NanomsgEvents::start(&hub, &NanomsgEventSettings::default()).err();
        assert!(error.expect("refused").contains("address"));
        let mut odd = mqtt_settings(1, MqttVersion::V4);
        odd.broker.url = "localhost".to_owned();
        assert!(MqttEvents::start(&hub, &odd).err().expect("refused").contains("localhost"));
        assert!(hub.is_empty());
    });
}

#[test]
fn transports_tell_of_their_connections_by_the_name_that_sessions_give() {
    run(async {
        let port = Rabbit::shared();
        let settings = rabbit_settings(port);
        let key = settings.route_key.clone().expect("named");
        let mut consumer =
            Client::new(crate::rabbitmq::Application::connect(port, &key, "none").await);
        let hub = Hub::new("here");
        let mut settings = settings;
        settings.common.grouping = false;
        RabbitMqEvents::start(&hub, &settings).expect("starts");
        let front = start(CoreSettings { events_enabled: true, ..CoreSettings::default() });
        front.set_hub(hub.clone());
        let folder = Folder::new();
        let mut client = crate::unix::beside(&front, &folder);
        let session = client.create().await;
        let connected = consumer.until("connected", |event| event["type"] == 128).await;
        let data = &connected["event"]["data"];
        assert_eq!((&data["event"], &data["admin_api"]), (&json!("connected"), &json!(false)));
        assert!(data["fd"].is_u64(), "{connected}");
        let created = consumer.until("created", |event| event["type"] == 1).await;
        assert_eq!(created["session_id"], session);
        let transport = &created["event"]["transport"];
        assert_eq!(transport["transport"], "janus.transport.pfunix");
        assert_eq!(transport["id"], connected["event"]["id"]);
        drop(client);
        let gone = |event: &Value| event["event"]["data"]["event"] == "disconnected";
        let gone = consumer.until("disconnected", gone).await;
        assert_eq!(gone["event"]["id"], connected["event"]["id"]);
    });
}

/// Reads all events of a consumer until it is dropped.
pub(crate) async fn read_all<W: Wire>(mut wire: W, each: impl Fn(u64)) {
    while let Some(bytes) = wire.receive().await {
        match serde_json::from_slice(&bytes).expect("JSON") {
            Value::Array(all) => all.iter().map(number).for_each(&each),
            event => each(number(&event)),
        }
    }
}
