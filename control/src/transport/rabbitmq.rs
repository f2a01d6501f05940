//! RabbitMQ (transports-auth §4): requests from a queue, answers and events to a routing key.
//!
//! The broker counts as one client, never reported gone: whatever becomes of the connection, its
//! sessions wait for their own timeout. While it is down, messages wait in an [`Outbox`]. A request's
//! `correlation_id` is kept from request to answer, at most [`MAX_OPEN`] at a time. Counted: what
//! was dropped because too much waited, and what the broker had not confirmed when it went.

use super::envelope::{one_request, too_long};
use super::listen::{TaskGuard, spawn_guarded};
use super::{Front, MAX_REQUEST, Transport};
use crate::broker::Outbox;
use crate::broker::amqp::{Amqp, AmqpMessage, AmqpNews, Source, Topology};
use crate::counted::Counted;
use crate::dispatch::{ConnectionId, Origin, Outgoing, Owner};
use bifrons_core::api::{Style, json as text};
use bifrons_core::config::RabbitMqSettings;
use bifrons_core::config::transport::rabbitmq::{ExchangeType, RabbitMqQueues};
use bifrons_core::plugin::About;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

/// Most requests whose answer is still to come. A request beyond is answered without its id.
pub const MAX_OPEN: usize = 16_384;

/// What happened, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RabbitMqCounters {
    /// How often the connection was made.
    pub connections: u64,
    /// Requests that were answered with 454 because they were too long.
    pub oversized: u64,
    /// Messages dropped because too many waited for the broker.
    pub dropped: u64,
    /// Messages that the broker had not confirmed when the connection went.
    pub lost: u64,
    /// Requests whose id was not kept because too many were open.
    pub unmarked: u64,
}

/// The transport.
pub struct RabbitMq {
    front: Weak<Front>,
    style: Cell<Style>,
    /// The Janus API's side, then the Admin API's.
    sides: [Side; 2],
    amqp: Rc<Amqp>,
    outbox: Outbox<AmqpMessage>,
    /// Ids of open requests.
    open: RefCell<HashMap<u64, String>>,
    next_request: Cell<u64>,
    tasks: RefCell<Vec<TaskGuard>>,
    counters: Counted<RabbitMqCounters>,
}

/// One API, as the broker knows it.
struct Side {
    owner: Owner,
    /// Routing key of all that is sent.
    from_janus: String,
    /// Routing key of requests.
    to_janus: String,
    served: bool,
}

impl RabbitMq {
    /// Begins to call the broker, which need not be there yet. An error is about the settings.
    pub fn start(
        front: &Rc<Front>,
        settings: &RabbitMqSettings,
        style: Style,
    ) -> Result<Rc<Self>, String> {
        let apis = [(&settings.general, false), (&settings.admin, true)];
        let mut topology = Topology {
            exchange: settings.exchange.clone().map(|name| (name, settings.exchange_type)),
            ..Topology::default()
        };
        for (queues, admin) in apis {
            if queues.enabled {
                let names = names(queues, admin)?;
                topology.sources.push(source(queues, names, settings));
                if queues.declare_outgoing {
                    topology.outgoing.push(names.1.to_owned());
                }
            }
        }
        let amqp = Amqp::new(&settings.broker, topology)?;
        let transport = front.add_transport(|transport| {
            let side = |queues: &RabbitMqQueues| Side {
                owner: Owner { transport, connection: front.new_connection() },
                from_janus: queues.from_janus.clone().unwrap_or_default(),
                to_janus: queues.to_janus.clone().unwrap_or_default(),
                served: queues.enabled,
            };
            Rc::new(RabbitMq {
                front: Rc::downgrade(front),
                style: Cell::new(style),
                sides: [side(&settings.general), side(&settings.admin)],
                amqp: amqp.clone(),
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
        let tasks = [spawn_guarded(amqp.keep_up(hear)), spawn_guarded(transport.clone().publish())];
        transport.tasks.borrow_mut().extend(tasks);
        Ok(transport)
    }

    /// What was counted since the start.
    pub fn counters(&self) -> RabbitMqCounters {
        RabbitMqCounters {
            connections: self.amqp.connections(),
            dropped: self.outbox.dropped(),
            ..self.counters.get()
        }
    }

    fn hear(&self, news: AmqpNews) {
        match news {
            AmqpNews::Connected => {
                tracing::info!("RabbitMQ transport connected");
                self.tell(json!({ "event": "connected" }));
            }
            AmqpNews::Disconnected => {}
            AmqpNews::Message { source, routing_key, correlation_id, body } => {
                self.take_message(source, &routing_key, correlation_id, &body);
            }
        }
    }

    /// Tells event handlers of the connection, under the name that sessions give.
    fn tell(&self, what: Value) {
        let Some(front) = self.front.upgrade() else { return };
        for side in self.sides.iter().filter(|side| side.served) {
            let id = side.owner.connection.0.to_string();
            front.transport_event(self.about().package, &id, what.clone());
        }
    }

    /// Serves a request. The Admin API's are told by their routing key.
    fn take_message(
        &self,
        source: usize,
        routing_key: &str,
        correlation_id: Option<String>,
        body: &[u8],
    ) {
        let Some(front) = self.front.upgrade() else { return };
        let [api, admin] = &self.sides;
        // With the Admin API alone, there is nothing else that a message could be for.
        let is_admin = admin.served && (routing_key == admin.to_janus || !api.served);
        let side = if is_admin { admin } else { api };
        tracing::trace!(source, routing_key, is_admin, "request from RabbitMQ");
        let request = if body.len() > MAX_REQUEST {
            self.counters.count(|counters| counters.oversized += 1);
            Err(too_long(MAX_REQUEST))
        } else {
            one_request(body)
        };
        match request {
            Err(error) => {
                front.count_malformed();
                self.send(side, &error, correlation_id);
            }
            Ok(request) => {
                let origin = Origin { owner: side.owner, request: self.keep(correlation_id) };
                if is_admin {
                    front.admin_request(origin, request);
                } else {
                    front.request(origin, request);
                }
            }
        }
    }

    /// Keeps the id of a request for its answer; 0 for one that has none.
    fn keep(&self, correlation_id: Option<String>) -> u64 {
        let Some(id) = correlation_id else { return 0 };
        let mut open = self.open.borrow_mut();
        if open.len() >= MAX_OPEN {
            self.counters.count(|counters| counters.unmarked += 1);
            return 0;
        }
        let request = self.next_request.get();
        self.next_request.set(request + 1);
        open.insert(request, id);
        request
    }

    fn side(&self, connection: ConnectionId) -> Option<&Side> {
        self.sides.iter().find(|side| side.owner.connection == connection)
    }

    fn send(&self, side: &Side, message: &Value, correlation_id: Option<String>) {
        let body = text::write(message, self.style.get()).into_bytes();
        let message = AmqpMessage { routing_key: side.from_janus.clone(), correlation_id, body };
        self.outbox.push(message.body.len(), message);
    }

    /// Publishes what is queued, in order, and counts what was not confirmed.
    async fn publish(self: Rc<Self>) {
        let publish = async |message| Ok(self.amqp.publish(&message).await.wait());
        let lose = || self.counters.count(|counters| counters.lost += 1);
        self.outbox.publish_all(publish, lose).await;
    }
}

/// The routing keys of an API, in and out.
fn names(queues: &RabbitMqQueues, admin: bool) -> Result<(&str, &str), String> {
    let suffix = if admin { "_admin" } else { "" };
    let missing = |name: &str| format!("{name}{suffix} is missing");
    let to = queues.to_janus.as_deref().ok_or_else(|| missing("to_janus"))?;
    let from = queues.from_janus.as_deref().ok_or_else(|| missing("from_janus"))?;
    Ok((to, from))
}

fn source(queues: &RabbitMqQueues, names: (&str, &str), settings: &RabbitMqSettings) -> Source {
    let by_key = matches!(settings.exchange_type, ExchangeType::Direct | ExchangeType::Topic);
    Source {
        queue: queues.queue_name.as_deref().unwrap_or(names.0).to_owned(),
        durable: queues.durable,
        exclusive: queues.exclusive,
        autodelete: queues.autodelete,
        bind: (queues.queue_name.is_some() && by_key).then(|| names.0.to_owned()),
    }
}

impl Transport for RabbitMq {
    fn about(&self) -> About {
        About::ours(
            "janus.transport.rabbitmq",
            "Bifrons RabbitMQ transport",
            "Carries the Janus API through queues of an AMQP broker",
        )
    }

    fn deliver(&self, message: &Outgoing) {
        match message {
            Outgoing::Reply { to, message } | Outgoing::AdminReply { to, message } => {
                let correlation_id = self.open.borrow_mut().remove(&to.request);
                if let Some(side) = self.side(to.owner.connection) {
                    self.send(side, message, correlation_id);
                }
            }
            Outgoing::Event { to, message, .. } => {
                if let Some(side) = self.side(to.connection) {
                    self.send(side, message, None);
                }
            }
            Outgoing::Created { .. } | Outgoing::Claimed { .. } | Outgoing::Over { .. } => {}
        }
    }

    fn tally(&self) -> Vec<(&'static str, u64)> {
        let counted = self.counters();
        vec![
            ("connections", counted.connections),
            ("oversized", counted.oversized),
            ("dropped", counted.dropped),
            ("lost", counted.lost),
            ("unmarked", counted.unmarked),
        ]
    }

    fn serves_admin(&self) -> bool {
        self.sides[1].served
    }

    fn set_style(&self, style: Style) {
        self.style.set(style);
    }

    fn stop(&self) {
        self.tasks.borrow_mut().clear();
    }
}
