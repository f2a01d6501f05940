//! MQTT (transports-auth §5): requests from a topic, answers and events to another.
//!
//! The broker counts as one client, never reported gone: whatever becomes of the connection, its
//! sessions wait for their own timeout. While it is down, messages wait in an [`Outbox`]. With MQTT
//! 5 a request may say where its answer is to go and what it is to carry; that is kept until the
//! answer, for `vacuum_interval` at most and for at most [`MAX_OPEN`] requests. Counted: what was
//! dropped because too much waited, and what the client library gave up.

use super::envelope::{one_request, too_long};
use super::listen::{TaskGuard, spawn_guarded};
use super::{Front, MAX_REQUEST, Transport};
use crate::broker::Outbox;
use crate::broker::mqtt::{Mqtt, MqttIncoming, MqttMessage, MqttNews, MqttPlan};
use crate::counted::Counted;
use crate::dispatch::{Origin, Outgoing, Owner};
use bifrons_core::api::{Style, json as text};
use bifrons_core::config::MqttSettings;
use bifrons_core::config::transport::mqtt::{MqttStatus, MqttTopics, MqttVersion};
use bifrons_core::plugin::About;
use bytes::Bytes;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Most MQTT 5 requests whose answer is still to come; the oldest is forgotten first.
pub const MAX_OPEN: usize = 16_384;

/// What happened, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MqttCounters {
    /// How often the connection was made.
    pub connections: u64,
    /// Requests that were answered with 454 because they were too long.
    pub oversized: u64,
    /// MQTT 5 requests that were dropped without an answer, as Janus does.
    pub unreadable: u64,
    /// Messages dropped because too many waited for the broker.
    pub dropped: u64,
    /// Messages that the client library gave up.
    pub lost: u64,
    /// Requests forgotten before they were answered.
    pub vacuumed: u64,
}

/// The transport.
pub struct MqttTransport {
    front: Weak<Front>,
    style: Cell<Style>,
    settings: MqttSettings,
    api: Owner,
    admin: Owner,
    mqtt: Rc<Mqtt>,
    outbox: Outbox<MqttMessage>,
    open: RefCell<BTreeMap<u64, Wish>>,
    next_request: Cell<u64>,
    tasks: RefCell<Vec<TaskGuard>>,
    counters: Counted<MqttCounters>,
}

/// What an MQTT 5 request wants of its answer.
struct Wish {
    since: Instant,
    topic: Option<String>,
    correlation: Option<Bytes>,
    properties: Vec<(String, String)>,
}

impl MqttTransport {
    /// Begins to call the broker, which need not be there yet. An error is about the settings.
    pub fn start(
        front: &Rc<Front>,
        settings: &MqttSettings,
        style: Style,
    ) -> Result<Rc<Self>, String> {
        let mut plan = MqttPlan::default();
        for (topics, name) in [(&settings.general, "general"), (&settings.admin, "admin")] {
            if topics.enabled {
                plan.topics.push((subscribed(topics, name)?, topics.subscribe_qos));
            }
        }
        if settings.status.enabled {
            plan.greeting = status(&settings.status, &settings.status.connect_message);
            plan.will = status(&settings.status, &settings.status.disconnect_message);
        }
        let (mqtt, driven) = Mqtt::new(&settings.broker, plan)?;
        let transport = front.add_transport(|transport| {
            let owner = || Owner { transport, connection: front.new_connection() };
            Rc::new(MqttTransport {
                front: Rc::downgrade(front),
                style: Cell::new(style),
                settings: settings.clone(),
                api: owner(),
                admin: owner(),
                mqtt: mqtt.clone(),
                outbox: Outbox::default(),
                open: RefCell::default(),
                next_request: Cell::new(1),
                tasks: RefCell::default(),
                counters: Counted::default(),
            })
        });
        let listening = Rc::downgrade(&transport);
        let hear = move |news| {
            if let Some(transport) = listening.upgrade() {
                transport.hear(news);
            }
        };
        // Goes on past the end of the transport, to say goodbye.
        tokio::task::spawn_local(mqtt.keep_up(driven, hear));
        let tasks =
            [spawn_guarded(transport.clone().publish()), spawn_guarded(transport.clone().vacuum())];
        transport.tasks.borrow_mut().extend(tasks);
        Ok(transport)
    }

    /// What was counted since the start.
    pub fn counters(&self) -> MqttCounters {
        MqttCounters {
            connections: self.mqtt.connections(),
            dropped: self.outbox.dropped(),
            ..self.counters.get()
        }
    }

    fn hear(&self, news: MqttNews) {
        match news {
            MqttNews::Connected => {
                tracing::info!("MQTT transport connected");
                self.tell(json!({ "event": "connected" }));
            }
            MqttNews::Disconnected => self.tell(json!({ "event": "reconnecting" })),
            MqttNews::Message(message) => self.take_message(message),
        }
    }

    /// Tells event handlers of the connection, under the name that sessions give.
    fn tell(&self, what: Value) {
        let Some(front) = self.front.upgrade() else { return };
        for (owner, topics) in
            [(self.api, &self.settings.general), (self.admin, &self.settings.admin)]
        {
            if topics.enabled {
                let id = owner.connection.0.to_string();
                front.transport_event(self.about().package, &id, what.clone());
            }
        }
    }

    /// Serves a request. The APIs are told by their topics.
    fn take_message(&self, message: MqttIncoming) {
        let Some(front) = self.front.upgrade() else { return };
        let request = if message.payload.len() > MAX_REQUEST {
            self.counters.count(|counters| counters.oversized += 1);
            Err(too_long(MAX_REQUEST))
        } else {
            one_request(&message.payload)
        };
        if request.is_err() {
            front.count_malformed();
        }
        let admin =
            self.settings.admin.subscribe.as_deref().filter(|_| self.settings.admin.enabled);
        if admin.is_some_and(|topic| topic.eq_ignore_ascii_case(&message.topic)) {
            let origin = Origin { owner: self.admin, request: 0 };
            return match request {
                Ok(request) => front.admin_request(origin, request),
                Err(error) => self.send(self.admin, &error, None),
            };
        }
        let is_v5 = self.settings.broker.version == MqttVersion::V5;
        let marked = |request: &Value| request.get("transaction").is_some_and(Value::is_string);
        match request {
            Ok(request) if !is_v5 => {
                front.request(Origin { owner: self.api, request: 0 }, request);
            }
            Ok(request) if marked(&request) => {
                let origin = Origin { owner: self.api, request: self.keep(message) };
                front.request(origin, request);
            }
            Err(error) if !is_v5 => self.send(self.api, &error, None),
            // Without a transaction Janus has nothing to keep the wish by, and says nothing.
            Ok(_) | Err(_) => self.counters.count(|counters| counters.unreadable += 1),
        }
    }

    /// Keeps what a request wants of its answer.
    fn keep(&self, message: MqttIncoming) -> u64 {
        let request = self.next_request.get();
        self.next_request.set(request + 1);
        let proxied = &self.settings.proxy_properties;
        let wish = Wish {
            since: Instant::now(),
            topic: message.response_topic.filter(|topic| is_topic(topic)),
            correlation: message.correlation,
            properties: message
                .properties
                .into_iter()
                .filter(|(name, _)| proxied.contains(name))
                .chain(self.settings.add_properties.iter().cloned())
                .collect(),
        };
        let mut open = self.open.borrow_mut();
        open.insert(request, wish);
        if open.len() > MAX_OPEN {
            open.pop_first();
            self.counters.count(|counters| counters.vacuumed += 1);
        }
        request
    }

    /// Forgets requests that nobody answers.
    async fn vacuum(self: Rc<Self>) {
        let interval = Duration::from_secs(self.settings.vacuum_interval_s.into());
        loop {
            tokio::time::sleep(interval / 2).await;
            let mut open = self.open.borrow_mut();
            while open.first_entry().is_some_and(|first| first.get().since.elapsed() >= interval) {
                open.pop_first();
                self.counters.count(|counters| counters.vacuumed += 1);
            }
        }
    }

    fn send(&self, to: Owner, message: &Value, wish: Option<Wish>) {
        let topics = if to == self.admin { &self.settings.admin } else { &self.settings.general };
        let (topic, correlation, properties) = match wish {
            Some(wish) => (wish.topic, wish.correlation, wish.properties),
            None => (None, None, Vec::new()),
        };
        let Some(topic) = topic.or_else(|| topics.publish.clone()) else { return };
        let payload = text::write(message, self.style.get()).into_bytes();
        let qos = topics.publish_qos;
        let message = MqttMessage { topic, payload, qos, retain: false, correlation, properties };
        self.outbox.push(message.payload.len(), message);
    }

    /// Publishes what is queued, in order, and counts what is given up.
    async fn publish(self: Rc<Self>) {
        let publish = async |message| Ok(self.mqtt.publish(message).await?.wait());
        let lose = || self.counters.count(|counters| counters.lost += 1);
        self.outbox.publish_all(publish, lose).await;
    }
}

/// The topic an API's requests come from; the one its answers go to has to be there as well.
fn subscribed(topics: &MqttTopics, section: &str) -> Result<String, String> {
    let missing = |key: &str| format!("{key} is missing in `{section}`");
    topics.publish.as_ref().ok_or_else(|| missing("publish_topic"))?;
    topics.subscribe.clone().ok_or_else(|| missing("subscribe_topic"))
}

/// Whether a client may have its answer there: a topic without wildcards (MQTT 5 §4.7).
fn is_topic(topic: &str) -> bool {
    !topic.is_empty() && !topic.contains(['#', '+', '\0'])
}

/// A status message, if it is set.
fn status(settings: &MqttStatus, message: &Option<String>) -> Option<MqttMessage> {
    message.as_ref().map(|message| MqttMessage {
        topic: settings.topic.clone(),
        payload: message.clone().into_bytes(),
        qos: settings.qos,
        retain: settings.retain,
        ..MqttMessage::default()
    })
}

impl Transport for MqttTransport {
    fn about(&self) -> About {
        About::ours(
            "janus.transport.mqtt",
            "Bifrons MQTT transport",
            "Carries the Janus API through topics of an MQTT broker",
        )
    }

    fn deliver(&self, message: &Outgoing) {
        match message {
            Outgoing::Reply { to, message } => {
                let wish = self.open.borrow_mut().remove(&to.request);
                self.send(to.owner, message, wish);
            }
            Outgoing::AdminReply { to, message } => self.send(to.owner, message, None),
            Outgoing::Event { to, message, .. } => self.send(*to, message, None),
            Outgoing::Created { .. } | Outgoing::Claimed { .. } | Outgoing::Over { .. } => {}
        }
    }

    fn tally(&self) -> Vec<(&'static str, u64)> {
        let counted = self.counters();
        vec![
            ("connections", counted.connections),
            ("oversized", counted.oversized),
            ("unreadable", counted.unreadable),
            ("dropped", counted.dropped),
            ("lost", counted.lost),
            ("vacuumed", counted.vacuumed),
        ]
    }

    fn serves_admin(&self) -> bool {
        self.settings.admin.enabled && self.settings.admin.subscribe.is_some()
    }

    fn set_style(&self, style: Style) {
        self.style.set(style);
    }

    fn stop(&self) {
        self.tasks.borrow_mut().clear();
    }

    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let status = &self.settings.status;
        let farewell = self::status(status, &status.disconnect_message).filter(|_| status.enabled);
        let limit = Duration::from_millis(self.settings.broker.disconnect_timeout_ms.into());
        let mqtt = self.mqtt.clone();
        Box::pin(async move { mqtt.leave(farewell, limit).await })
    }
}
