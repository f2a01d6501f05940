//! Events through a RabbitMQ exchange (admin-events-recording §8.3; `janus.eventhandler.rabbitmqevh`).
//!
//! One batch is on its way at a time, and counts as delivered once the broker has confirmed it. One
//! that was not confirmed when the connection went is sent again on the next: an event may come
//! twice then, but never out of order and never in silence too late. While the broker is away,
//! events wait in the feed, which bounds and counts them.

use super::{EventHandler, Feed, Hub, feed_settings};
use crate::broker::amqp::{Amqp, AmqpMessage, AmqpNews, Topology};
use bifrons_core::config::event::RabbitMqEventSettings;
use bifrons_core::plugin::About;
use std::rc::Rc;

/// The handler.
pub struct RabbitMqEvents {
    feed: Rc<Feed>,
    amqp: Rc<Amqp>,
    route_key: String,
}

impl RabbitMqEvents {
    /// Adds the handler to the hub and starts it; an error says what its file lacks.
    pub fn start(hub: &Hub, from: &RabbitMqEventSettings) -> Result<Rc<Self>, String> {
        let route_key = from.route_key.clone().ok_or("`route_key` is missing")?;
        let mut topology = Topology {
            exchange: from.exchange.clone().map(|name| (name, from.exchange_type)),
            ..Topology::default()
        };
        if from.declare_outgoing {
            topology.outgoing.push(route_key.clone());
        }
        let amqp = Amqp::new(&from.broker, topology)?;
        let handler = hub.add(feed_settings(&from.common), |feed| {
            Rc::new(RabbitMqEvents { feed, amqp: amqp.clone(), route_key })
        });
        tokio::task::spawn_local(amqp.keep_up(|news| {
            if let AmqpNews::Connected = news {
                tracing::info!("RabbitMQ event handler connected");
            }
        }));
        tokio::task::spawn_local(handler.clone().run());
        Ok(handler)
    }

    /// How often the connection has been made.
    pub fn connections(&self) -> u64 {
        self.amqp.connections()
    }

    async fn run(self: Rc<Self>) {
        while let Some(batch) = self.feed.batch().await {
            let message = AmqpMessage {
                routing_key: self.route_key.clone(),
                correlation_id: None,
                body: batch.text(self.feed.style()).into_bytes(),
            };
            match self.amqp.publish(&message).await.wait().await {
                Ok(()) => self.feed.delivered(&batch),
                Err(_) => self.feed.give_back(batch),
            }
        }
    }
}

impl EventHandler for RabbitMqEvents {
    fn about(&self) -> About {
        About::ours(
            "janus.eventhandler.rabbitmqevh",
            "Bifrons RabbitMQ event handler",
            "Sends events through a RabbitMQ exchange",
        )
    }
}
