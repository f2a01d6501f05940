//! A connection to an MQTT broker that is kept up, 3.1.1 or 5 (transports-auth §5).
//!
//! The client library keeps what was not acknowledged and sends it again on the next connection, so
//! with quality of service 1 and above nothing is lost by an outage; what it gives up is [`Gone`].
//! Topics are subscribed to whenever the broker has forgotten them. Bounds: `max_inflight` messages
//! on their way, `max_buffered` in the library's queue.

mod driver;

use super::{Gone, tls};
use crate::transport::MAX_REQUEST;
use bifrons_core::config::transport::mqtt::{MqttBroker, MqttVersion};
use bytes::Bytes;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::ClientConfig;

/// Largest packet of MQTT 3.1.1 in bytes: a larger limit of ours could not be told to the broker,
/// which would send the same message over and over.
const MAX_PACKET_V4: usize = 268_435_460;

/// What an MQTT 5 broker is told to be the largest packet: a request and its properties.
const MAX_PACKET_V5: u32 = (MAX_REQUEST + (64 << 10)) as u32;

/// A message to publish.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MqttMessage {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// MQTT 5: what it answers.
    pub correlation: Option<Bytes>,
    /// MQTT 5: user properties.
    pub properties: Vec<(String, String)>,
}

/// A message that came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MqttIncoming {
    /// Its topic.
    pub topic: String,
    /// What it says.
    pub payload: Bytes,
    /// MQTT 5: where the answer is wanted.
    pub response_topic: Option<String>,
    /// MQTT 5: for the answer.
    pub correlation: Option<Bytes>,
    /// MQTT 5: user properties.
    pub properties: Vec<(String, String)>,
}

/// What the connection has to say.
#[derive(Debug)]
pub enum MqttNews {
    /// It is up.
    Connected,
    /// It was lost, or could not be made.
    Disconnected,
    /// A message came.
    Message(MqttIncoming),
}

/// What is told to the broker besides its settings.
#[derive(Clone, Debug, Default)]
pub struct MqttPlan {
    /// Topics to subscribe to, with their quality of service.
    pub topics: Vec<(String, u8)>,
    /// What it publishes when we are lost.
    pub will: Option<MqttMessage>,
    /// What we publish when the connection is up.
    pub greeting: Option<MqttMessage>,
}

/// See the module.
pub struct Mqtt {
    client: driver::Client,
    connections: Cell<u64>,
}

/// The broker's answer to a publish, still to come.
pub struct Confirm(driver::Notice);

impl Confirm {
    /// Waits for it.
    pub async fn wait(self) -> Result<(), Gone> {
        self.0.wait().await
    }
}

/// The part that has to be driven by [`Mqtt::keep_up`].
pub struct MqttLoop {
    event_loop: driver::EventLoop,
    plan: MqttPlan,
}

/// Where a broker is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
    secure: bool,
}

impl Place {
    /// `tcp://host:port`, `ssl://host:port`; `mqtt://` and `mqtts://` are the same.
    fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (secure, default) = match scheme.to_ascii_lowercase().as_str() {
            "tcp" | "mqtt" => (false, 1883),
            "ssl" | "mqtts" | "tls" => (true, 8883),
            _ => return None,
        };
        let rest = rest.trim_end_matches('/');
        // The last colon is the port's, unless it is inside an IPv6 address.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (rest, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then(|| Place { host: host.to_owned(), port, secure })
    }
}

impl Mqtt {
    /// A connection that is not made yet; an error is about the settings.
    pub fn new(broker: &MqttBroker, plan: MqttPlan) -> Result<(Rc<Self>, MqttLoop), String> {
        let place = Place::parse(&broker.url)
            .ok_or_else(|| format!("`{}` is not tcp://host:port or ssl://host:port", broker.url))?;
        let tls: Option<Arc<ClientConfig>> =
            place.secure.then(|| tls::client(&broker.tls)).transpose()?;
        let (client, event_loop) = match broker.version {
            MqttVersion::V4 => driver::v4(broker, &place, &plan, tls)?,
            MqttVersion::V5 => driver::v5(broker, &place, &plan, tls)?,
        };
        let mqtt = Rc::new(Mqtt { client, connections: Cell::new(0) });
        Ok((mqtt, MqttLoop { event_loop, plan }))
    }

    /// How often the connection has been made.
    pub fn connections(&self) -> u64 {
        self.connections.get()
    }

    /// Hands a message to the library, as soon as it has room.
    pub async fn publish(&self, message: MqttMessage) -> Result<Confirm, Gone> {
        self.client.publish(message).await.map(Confirm)
    }

    /// Publishes a last message and says goodbye, within `limit`.
    pub async fn leave(&self, farewell: Option<MqttMessage>, limit: Duration) {
        let orderly = async {
            if let Some(message) = farewell
                && let Ok(confirm) = self.publish(message).await
            {
                let _ = confirm.wait().await;
            }
            self.client.disconnect(limit).await;
        };
        let _ = tokio::time::timeout(limit, orderly).await;
    }

    /// Keeps the connection up, until it was left.
    pub async fn keep_up(self: Rc<Self>, driven: MqttLoop, news: impl Fn(MqttNews)) {
        let MqttLoop { event_loop, plan } = driven;
        match event_loop {
            driver::EventLoop::V4(event_loop) => {
                driver::drive_v4(&self, *event_loop, &plan, &news).await;
            }
            driver::EventLoop::V5(event_loop) => {
                driver::drive_v5(&self, *event_loop, &plan, &news).await;
            }
        }
    }

    /// Subscribes and greets, beside the loop that carries it.
    fn welcome(self: &Rc<Self>, subscribe: bool, plan: &MqttPlan) {
        self.connections.set(self.connections.get() + 1);
        let (mqtt, topics) = (self.clone(), plan.topics.clone());
        let greeting = plan.greeting.clone();
        tokio::task::spawn_local(async move {
            if subscribe {
                for (topic, qos) in topics {
                    mqtt.client.subscribe(topic, qos).await;
                }
            }
            if let Some(greeting) = greeting {
                let _ = mqtt.publish(greeting).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_brokers() {
        let place = |url| Place::parse(url).map(|place| (place.host, place.port, place.secure));
        let at = |host: &str, port, secure| Some((host.to_owned(), port, secure));
        assert_eq!(place("tcp://localhost:1883"), at("localhost", 1883, false));
        assert_eq!(place("ssl://broker.example"), at("broker.example", 8883, true));
        assert_eq!(place("mqtt://[::1]:1999/"), at("::1", 1999, false));
        assert_eq!(place("tcp://[::1]"), at("::1", 1883, false));
        for bad in ["localhost:1883", "http://x", "tcp://", "tcp://x:port", "tcp://x:70000"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
