//! Brokers killed and restarted while requests and events go through them.
//!
//! Two rounds as a rule, `BIFRONS_SOAK_ROUNDS` of them if it is set (`cargo xtask soak brokers`).

use crate::broker::{Mosquitto, Rabbit};
use crate::client::{Client, PATIENCE, Wire};
use crate::events::{mqtt_settings, numbered, rabbit_settings, read_all, until};
use crate::server::start;
use bifrons_control::dispatch::CoreSettings;
use bifrons_control::event::mqtt::MqttEvents;
use bifrons_control::event::rabbitmq::RabbitMqEvents;
use bifrons_control::event::{EventKind, Hub};
use bifrons_control::transport::mqtt::MqttTransport;
use bifrons_control::transport::rabbitmq::RabbitMq;
use bifrons_core::api::Style;
use bifrons_core::config::transport::mqtt::MqttVersion;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Between two events.
const PACE: Duration = Duration::from_millis(5);

/// How long a broker may take to be there again, and we to notice.
const BACK: Duration = Duration::from_secs(40);

fn rounds() -> u64 {
    let asked = std::env::var("BIFRONS_SOAK_ROUNDS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(2)
}

/// Descriptors, threads and resident KiB of this process.
fn footprint() -> (usize, usize, u64) {
    let count = |folder: &str| std::fs::read_dir(folder).expect("readable").count();
    let status = std::fs::read_to_string("/proc/self/status").expect("readable");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.split_whitespace().next()?.parse().ok());
    (count("/proc/self/fd"), count("/proc/self/task"), resident.expect("a size"))
}

#[test]
fn soak_brokers_killed_and_restarted_during_a_call() {
    let own = std::env::current_exe().expect("this program");
    let body = "soak::in_a_process_of_its_own";
    let run = Command::new(own).args(["--ignored", "--exact", body, "--nocapture"]).output();
    let run = run.expect("runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    eprint!("{said}");
}

#[test]
#[ignore = "run by the test above, alone in its process, so that what it counts is its own"]
fn in_a_process_of_its_own() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), kill_and_restart());
}

/// What one consumer has seen.
#[derive(Default)]
struct Seen {
    numbers: RefCell<Vec<u64>>,
}

impl Seen {
    /// An event that was sent again may come twice in a row, as a group may; nothing comes late.
    fn check(&self, name: &str) {
        let numbers = self.numbers.borrow();
        let mut highest = 0;
        for pair in numbers.windows(2) {
            highest = pair[0].max(highest);
            let again = pair[1] <= highest && highest - pair[1] < 100;
            assert!(pair[1] == pair[0] + 1 || pair[1] > highest || again, "{name}: {pair:?}");
        }
        assert!(!numbers.is_empty(), "{name} saw nothing");
    }

    fn last(&self) -> u64 {
        self.numbers.borrow().last().copied().unwrap_or(0)
    }
}

fn consume<W: Wire + 'static>(wire: W, seen: &Rc<Seen>) -> JoinHandle<()> {
    let seen = seen.clone();
    tokio::task::spawn_local(read_all(wire, move |number| seen.numbers.borrow_mut().push(number)))
}

async fn kill_and_restart() {
    let (mut rabbit, mut mosquitto) = (Rabbit::start(false), Mosquitto::start());
    let front = start(CoreSettings::default());
    let by_rabbit = crate::rabbitmq::settings(rabbit.port);
    let over_rabbit = RabbitMq::start(&front, &by_rabbit, Style::Compact).expect("starts");
    let by_mqtt = crate::mqtt::settings(mosquitto.port, MqttVersion::V5);
    let over_mqtt = MqttTransport::start(&front, &by_mqtt, Style::Compact).expect("starts");
    let hub = Hub::new("soak");
    let rabbit_events = rabbit_settings(rabbit.port);
    let key = rabbit_events.route_key.clone().expect("named");
    let to_rabbit = RabbitMqEvents::start(&hub, &rabbit_events).expect("starts");
    let mqtt_events = mqtt_settings(mosquitto.port, MqttVersion::V4);
    let to_mqtt = MqttEvents::start(&hub, &mqtt_events).expect("starts");
    let made = Rc::new(Cell::new(0));
    tokio::task::spawn_local({
        let (hub, made) = (hub.clone(), made.clone());
        async move {
            loop {
                made.set(made.get() + 1);
                hub.publish(numbered(EventKind::Media, made.get()));
                tokio::time::sleep(PACE).await;
            }
        }
    });
    let (seen_rabbit, seen_mqtt) = (Rc::new(Seen::default()), Rc::new(Seen::default()));
    let mut sessions: Option<(u64, u64)> = None;
    let (mut before, total) = (None, rounds());
    for round in 1..=total + 1 {
        until("all connected", BACK, || {
            let counts = [
                over_rabbit.counters().connections,
                over_mqtt.counters().connections,
                to_rabbit.connections(),
                to_mqtt.connections(),
            ];
            counts.iter().all(|count| *count >= round)
        })
        .await;
        let consumers = [
            consume(connect_rabbit(rabbit.port, &key).await, &seen_rabbit),
            consume(connect_mqtt(mosquitto.port).await, &seen_mqtt),
        ];
        let (of_rabbit, of_mqtt) = ask(&by_rabbit, mosquitto.port, sessions).await;
        sessions = Some((of_rabbit, of_mqtt));
        let goal = made.get();
        until("events flow", BACK, || seen_rabbit.last() > goal && seen_mqtt.last() > goal).await;
        for consumer in consumers {
            consumer.abort();
            let _ = consumer.await;
        }
        // The consumers' own sockets take a moment to go.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = footprint();
        eprintln!("round {round}: {now:?}, {} events, {:?}", made.get(), hub.counters());
        if round > 1 {
            before.get_or_insert(now);
        }
        if round <= total {
            rabbit.kill();
            mosquitto.kill();
            tokio::time::sleep(Duration::from_millis(300)).await;
            mosquitto.revive();
            let reviving = tokio::task::spawn_blocking(move || {
                rabbit.revive();
                rabbit
            });
            rabbit = reviving.await.expect("revived");
        }
    }
    settle(&hub, made.get()).await;
    seen_rabbit.check("RabbitMQ");
    seen_mqtt.check("MQTT");
    let (before, after) = (before.expect("two rounds"), footprint());
    assert!(after.0 <= before.0 + 4, "descriptors: {before:?}, then {after:?}");
    assert!(after.1 <= before.1 + 4, "threads: {before:?}, then {after:?}");
    // Ten rounds take about 3 MiB; what grew with every round would be over this in a long run.
    assert!(after.2 <= before.2 + 12 * 1024, "memory: {before:?}, then {after:?}");
}

/// Every event that a handler wanted is accounted for.
async fn settle(hub: &Hub, made: u64) {
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (name, counted) in hub.counters() {
        let settled = counted.delivered + counted.dropped + counted.lost;
        assert!(counted.accepted >= made, "{name}: {counted:?}");
        // What waits or is on its way this very moment.
        assert!(counted.accepted - settled < 200, "{name}: {counted:?}");
    }
}

async fn connect_rabbit(port: u16, key: &str) -> crate::rabbitmq::Application {
    crate::rabbitmq::Application::connect(port, key, "none").await
}

async fn connect_mqtt(port: u16) -> crate::mqtt::Application {
    crate::mqtt::Application::connect(port, "events", &["/janus/events/#"], "none").await
}

/// Sessions of earlier rounds are still there, over either transport; the first round makes them.
async fn ask(
    by_rabbit: &bifrons_core::config::RabbitMqSettings,
    mqtt_port: u16,
    sessions: Option<(u64, u64)>,
) -> (u64, u64) {
    let queues = &by_rabbit.general;
    let (from, to) = (queues.from_janus.as_deref(), queues.to_janus.as_deref());
    let (from, to) = (from.expect("named"), to.expect("named"));
    let port = by_rabbit.broker.port;
    let mut rabbit = Client::new(crate::rabbitmq::Application::connect(port, from, to).await);
    let topics = ["from-janus"];
    let connecting =
        crate::mqtt::Application::connect(mqtt_port, "application", &topics, "to-janus");
    let mut mqtt = Client::new(connecting.await);
    // Until the server has subscribed again.
    for _ in 0..40 {
        let ping = json!({"janus": "ping", "transaction": "first"}).to_string();
        mqtt.wire.send(ping.as_bytes()).await;
        if mqtt.next_within(PATIENCE / 10).await.is_some() {
            break;
        }
    }
    match sessions {
        None => (rabbit.create().await, mqtt.create().await),
        Some((of_rabbit, of_mqtt)) => {
            assert!(rabbit.knows(of_rabbit).await, "the session of RabbitMQ's client");
            assert!(mqtt.knows(of_mqtt).await, "the session of MQTT's client");
            (of_rabbit, of_mqtt)
        }
    }
}
