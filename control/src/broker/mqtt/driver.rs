//! The two client libraries, one for each version of the protocol. They have the same names for the
//! same things, so what they share is written once.

use super::{
    MAX_PACKET_V4, MAX_PACKET_V5, Mqtt, MqttIncoming, MqttMessage, MqttNews, MqttPlan, Place,
};
use crate::broker::{Gone, Pause};
use bifrons_core::config::transport::mqtt::MqttBroker;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::ClientConfig;

pub(super) enum Client {
    V4(rmq4::AsyncClient),
    V5(rmq5::AsyncClient),
}

pub(super) enum EventLoop {
    V4(Box<rmq4::EventLoop>),
    V5(Box<rmq5::EventLoop>),
}

pub(super) enum Notice {
    V4(rmq4::PublishNotice),
    V5(rmq5::PublishNotice),
}

impl Notice {
    pub(super) async fn wait(self) -> Result<(), Gone> {
        match self {
            Notice::V4(notice) => notice.wait_completion_async().await.map_err(|_| Gone),
            Notice::V5(notice) => notice.wait_completion_async().await.map_err(|_| Gone),
        }
    }
}

fn qos_v4(qos: u8) -> rmq4::QoS {
    match qos {
        0 => rmq4::QoS::AtMostOnce,
        1 => rmq4::QoS::AtLeastOnce,
        _ => rmq4::QoS::ExactlyOnce,
    }
}

fn qos_v5(qos: u8) -> rmq5::QoS {
    match qos {
        0 => rmq5::QoS::AtMostOnce,
        1 => rmq5::QoS::AtLeastOnce,
        _ => rmq5::QoS::ExactlyOnce,
    }
}

impl Client {
    pub(super) async fn publish(&self, message: MqttMessage) -> Result<Notice, Gone> {
        let MqttMessage { topic, payload, qos, retain, correlation, properties } = message;
        match self {
            Client::V4(client) => {
                let options = rmq4::PublishOptions::new(qos_v4(qos)).retain(retain);
                let published = client.publish_tracked(topic, payload, options).await;
                published.map(Notice::V4).map_err(|_| Gone)
            }
            Client::V5(client) => {
                let properties = rmq5::PublishProperties {
                    correlation_data: correlation,
                    user_properties: properties,
                    content_type: Some("application/json".to_owned()),
                    ..rmq5::PublishProperties::default()
                };
                let options = rmq5::PublishOptions::new(qos_v5(qos)).retain(retain);
                let options = options.properties(properties);
                let published = client.publish_tracked(topic, payload, options).await;
                published.map(Notice::V5).map_err(|_| Gone)
            }
        }
    }

    pub(super) async fn subscribe(&self, topic: String, qos: u8) {
        let named = topic.clone();
        let asked = match self {
            Client::V4(client) => {
                client.subscribe(topic, qos_v4(qos)).await.map_err(|error| error.to_string())
            }
            Client::V5(client) => {
                client.subscribe(topic, qos_v5(qos)).await.map_err(|error| error.to_string())
            }
        };
        if let Err(error) = asked {
            tracing::error!(topic = named, error, "cannot subscribe");
        }
    }

    pub(super) async fn disconnect(&self, limit: Duration) {
        // Either it is sent or there is nobody to send it to.
        match self {
            Client::V4(client) => _ = client.disconnect_with_timeout(limit).await,
            Client::V5(client) => _ = client.disconnect_with_timeout(limit).await,
        }
    }
}

/// The options both libraries have.
macro_rules! options {
    ($library:ident, $broker:expr, $place:expr, $tls:expr) => {{
        let (broker, place) = ($broker, $place);
        let at = $library::Broker::tcp(place.host.clone(), place.port);
        let mut options = $library::MqttOptions::new(broker.client_id.clone(), at);
        options.set_keep_alive(broker.keep_alive_s);
        options.set_session_mode(match broker.clean_session {
            true => $library::SessionMode::Clean,
            false => $library::SessionMode::Persistent,
        });
        match (&broker.username, &broker.password) {
            (Some(name), Some(password)) => {
                options.set_credentials(name.clone(), password.clone().into_bytes());
            }
            (Some(name), None) => _ = options.set_username(name.clone()),
            (None, _) => {}
        }
        if let Some(tls) = $tls {
            let tls = $library::TlsConfiguration::Rustls(tls);
            options.set_transport($library::Transport::tls_with_config(tls));
        }
        options
    }};
}

/// Room in the library's queue, in messages.
fn capacity(broker: &MqttBroker) -> usize {
    usize::try_from(broker.max_buffered).unwrap_or(usize::MAX).max(1)
}

pub(super) fn v4(
    broker: &MqttBroker,
    place: &Place,
    plan: &MqttPlan,
    tls: Option<Arc<ClientConfig>>,
) -> Result<(Client, EventLoop), String> {
    let mut options = options!(rmq4, broker, place, tls);
    options.set_max_packet_size(MAX_PACKET_V4, MAX_PACKET_V4);
    options.set_inflight(broker.max_inflight.max(1));
    if let Some(will) = plan.will.clone() {
        let qos = qos_v4(will.qos);
        options.set_last_will(rmq4::LastWill::new(will.topic, will.payload, qos, will.retain));
    }
    let built = rmq4::AsyncClient::builder(options).capacity(capacity(broker)).try_build();
    let (client, event_loop) = built.map_err(|error| error.to_string())?;
    Ok((Client::V4(client), EventLoop::V4(Box::new(event_loop))))
}

pub(super) fn v5(
    broker: &MqttBroker,
    place: &Place,
    plan: &MqttPlan,
    tls: Option<Arc<ClientConfig>>,
) -> Result<(Client, EventLoop), String> {
    let mut options = options!(rmq5, broker, place, tls);
    options.set_incoming_packet_size_limit(rmq5::IncomingPacketSizeLimit::Bytes(MAX_PACKET_V5));
    options.set_max_packet_size(Some(MAX_PACKET_V5));
    options.set_outgoing_inflight_upper_limit(broker.max_inflight.max(1));
    // The broker may know us from an earlier run, of which nothing is left here: that is welcome.
    options.set_broker_session_resume_policy(rmq5::BrokerSessionResumePolicy::AllowBrokerOnly);
    if let Some(will) = plan.will.clone() {
        let qos = qos_v5(will.qos);
        let will = rmq5::LastWill::new(will.topic, will.payload, qos, will.retain, None);
        options.set_last_will(will);
    }
    let built = rmq5::AsyncClient::builder(options).capacity(capacity(broker)).try_build();
    let (client, event_loop) = built.map_err(|error| error.to_string())?;
    Ok((Client::V5(client), EventLoop::V5(Box::new(event_loop))))
}

/// The loop both libraries have: poll, pause after an error, poll again.
macro_rules! drive {
    ($name:ident, $library:ident, $incoming:path) => {
        pub(super) async fn $name(
            mqtt: &Rc<Mqtt>,
            mut event_loop: $library::EventLoop,
            plan: &MqttPlan,
            news: &impl Fn(MqttNews),
        ) {
            use $library::{ConnectionError, Event, Packet};
            let (mut pause, mut first) = (Pause::default(), true);
            loop {
                match event_loop.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(greeted))) => {
                        pause.reset();
                        mqtt.welcome(first || !greeted.session_present, plan);
                        first = false;
                        news(MqttNews::Connected);
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        news(MqttNews::Message($incoming(publish)));
                    }
                    Ok(_) => {}
                    Err(ConnectionError::RequestsDone) => return,
                    Err(error) => {
                        news(MqttNews::Disconnected);
                        let pause = pause.next_pause();
                        tracing::warn!(%error, ?pause, "no connection to the MQTT broker");
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
    };
}

drive!(drive_v4, rmq4, incoming_v4);
drive!(drive_v5, rmq5, incoming_v5);

fn incoming_v4(publish: rmq4::Publish) -> MqttIncoming {
    MqttIncoming {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload,
        ..MqttIncoming::default()
    }
}

fn incoming_v5(publish: rmq5::Publish) -> MqttIncoming {
    let properties = publish.properties.unwrap_or_default();
    MqttIncoming {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload,
        response_topic: properties.response_topic,
        correlation: properties.correlation_data,
        properties: properties.user_properties,
    }
}
