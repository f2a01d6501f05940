//! Events over MQTT (admin-events-recording §8.4; `janus.eventhandler.mqttevh`).
//!
//! One event a message, in order, at most `MAX_UNSETTLED` of them with the client library at a
//! time. The library sends again what the broker did not acknowledge; what it gives up is lost and
//! counted. While the broker is away, events wait in the feed, which bounds and counts them.

use super::{Batch, EventHandler, Feed, Hub, Notice, feed_settings};
use crate::broker::mqtt::{Mqtt, MqttMessage, MqttNews, MqttPlan};
use bifrons_core::api::json;
use bifrons_core::config::event::MqttEventSettings;
use bifrons_core::plugin::About;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use serde_json::Value;
use std::rc::Rc;
use std::time::Duration;

/// Most events with the library that the broker has not acknowledged.
const MAX_UNSETTLED: usize = 64;

/// The handler.
pub struct MqttEvents {
    feed: Rc<Feed>,
    mqtt: Rc<Mqtt>,
    settings: MqttEventSettings,
}

impl MqttEvents {
    /// Adds the handler to the hub and starts it; an error says what its file lacks.
    pub fn start(hub: &Hub, from: &MqttEventSettings) -> Result<Rc<Self>, String> {
        let will = status(from, from.disconnect_status.as_ref()).filter(|_| from.will_enabled);
        let plan = MqttPlan {
            topics: Vec::new(),
            will: will.map(|will| MqttMessage {
                qos: from.will_qos,
                retain: from.will_retain,
                ..will
            }),
            greeting: status(from, from.connect_status.as_ref()),
        };
        let (mqtt, driven) = Mqtt::new(&from.broker, plan)?;
        let mut feed_settings = feed_settings(&from.common);
        feed_settings.grouping = false;
        let handler = hub.add(feed_settings, |feed| {
            Rc::new(MqttEvents { feed, mqtt: mqtt.clone(), settings: from.clone() })
        });
        tokio::task::spawn_local(mqtt.keep_up(driven, |news| {
            if let MqttNews::Connected = news {
                tracing::info!("MQTT event handler connected");
            }
        }));
        tokio::task::spawn_local(handler.clone().run());
        Ok(handler)
    }

    /// How often the connection has been made.
    pub fn connections(&self) -> u64 {
        self.mqtt.connections()
    }

    async fn run(self: Rc<Self>) {
        let mut unsettled = FuturesOrdered::new();
        loop {
            tokio::select! {
                Some((batch, settled)) = unsettled.next(), if !unsettled.is_empty() => {
                    self.settle(&batch, Result::is_ok(&settled));
                }
                batch = self.feed.batch(), if unsettled.len() < MAX_UNSETTLED => {
                    let Some(batch) = batch else { break };
                    match self.mqtt.publish(self.message(&batch)).await {
                        Ok(confirm) => {
                            unsettled.push_back(async move { (batch, confirm.wait().await) });
                        }
                        Err(_) => self.feed.lost(&batch),
                    }
                }
            }
        }
        while let Some((batch, settled)) = unsettled.next().await {
            self.settle(&batch, settled.is_ok());
        }
        let farewell = status(&self.settings, self.settings.disconnect_status.as_ref());
        let limit = Duration::from_millis(self.settings.broker.disconnect_timeout_ms.into());
        self.mqtt.leave(farewell, limit).await;
    }

    fn settle(&self, batch: &Batch, delivered: bool) {
        if delivered {
            self.feed.delivered(batch);
        } else {
            self.feed.lost(batch);
        }
    }

    fn message(&self, batch: &Batch) -> MqttMessage {
        let from = &self.settings;
        let notice = batch.notices.first();
        let topic = match notice.filter(|_| from.add_event) {
            Some(notice) => format!("{}/{}", from.topic, notice.kind.word()),
            None => from.topic.clone(),
        };
        let value = notice.map(|notice| named(notice)).unwrap_or_default();
        MqttMessage {
            topic,
            payload: json::write(&value, self.feed.style()).into_bytes(),
            qos: from.qos,
            retain: from.retain,
            correlation: None,
            properties: from.add_properties.clone(),
        }
    }
}

/// The event with its kind's name.
fn named(notice: &Notice) -> Value {
    let mut value = notice.value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("eventtype".to_owned(), notice.kind.display_name().into());
    }
    value
}

/// A message about ourselves.
fn status(from: &MqttEventSettings, message: Option<&String>) -> Option<MqttMessage> {
    message.map(|message| MqttMessage {
        topic: format!("{}/status", from.topic),
        payload: message.clone().into_bytes(),
        qos: from.qos,
        retain: from.retain,
        ..MqttMessage::default()
    })
}

impl EventHandler for MqttEvents {
    fn about(&self) -> About {
        About::ours(
            "janus.eventhandler.mqttevh",
            "Bifrons MQTT event handler",
            "Publishes events over MQTT",
        )
    }

    fn groups(&self) -> bool {
        false
    }
}
