//! A connection to an AMQP 0-9-1 broker that is kept up (transports-auth §4).
//!
//! Each time it is up, exchange and queues are declared anew and consumed from. What is published is
//! confirmed by the broker: a publish whose confirmation did not come before the connection went is
//! [`Gone`], and it is for the caller to count or repeat it. Bounds: `PREFETCH` messages from the
//! broker at a time. lapin runs a thread of its own for the socket.

use super::{Gone, Pause, tls};
use bifrons_core::config::transport::rabbitmq::{ExchangeType, RabbitMqBroker};
use futures_util::stream::{StreamExt, select_all};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::tcp::{AMQPUriTcpExt, RustlsConnector, TLSConfig};
use lapin::types::FieldTable;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Event, ExchangeKind,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_rustls::rustls::ClientConfig;

/// Messages the broker sends before the first of them is acknowledged.
const PREFETCH: u16 = 256;

/// Largest frame in bytes. lapin has two buffers of 32 frames a connection, which is 8 MiB with
/// RabbitMQ's default of 128 KiB; a longer message just takes more frames.
const FRAME: u32 = 32 << 10;

/// Longest time for the broker to greet and declare.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A queue to consume from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name.
    pub queue: String,
    /// It outlives the broker.
    pub durable: bool,
    /// It is ours alone.
    pub exclusive: bool,
    /// It goes when nobody listens to it.
    pub autodelete: bool,
    /// The key it is bound to the exchange with, if it is bound.
    pub bind: Option<String>,
}

/// What is declared each time the connection is up.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// The exchange published to; none: the broker's default one.
    pub exchange: Option<(String, ExchangeType)>,
    /// Queues to declare and consume from.
    pub sources: Vec<Source>,
    /// Queues to declare only.
    pub outgoing: Vec<String>,
}

/// A message to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct AmqpMessage {
    /// Its routing key.
    pub routing_key: String,
    /// What it answers.
    pub correlation_id: Option<String>,
    /// JSON.
    pub body: Vec<u8>,
}

/// What the connection has to say.
#[derive(Debug)]
pub enum AmqpNews {
    /// It is up.
    Connected,
    /// It was lost, or could not be made.
    Disconnected,
    /// A message came.
    Message {
        /// The queue it came from, as an index of [`Topology::sources`].
        source: usize,
        /// The key it was sent with.
        routing_key: String,
        /// For the answer.
        correlation_id: Option<String>,
        /// What it says.
        body: Vec<u8>,
    },
}

/// See the module.
pub struct Amqp {
    uri: AMQPUri,
    tls: Option<Arc<ClientConfig>>,
    topology: Topology,
    channel: RefCell<Option<Channel>>,
    connected: Notify,
    connections: Cell<u64>,
}

/// The broker's answer to a publish, still to come.
pub struct Confirm(lapin::PublisherConfirm);

impl Confirm {
    /// Waits for it.
    pub async fn wait(self) -> Result<(), Gone> {
        match self.0.await {
            Ok(Confirmation::Ack(_) | Confirmation::NotRequested) => Ok(()),
            Ok(Confirmation::Nack(_)) | Err(_) => Err(Gone),
        }
    }
}

impl Amqp {
    /// A connection that is not made yet; an error is about certificates.
    pub fn new(broker: &RabbitMqBroker, topology: Topology) -> Result<Rc<Self>, String> {
        let tls = broker.tls.enabled.then(|| tls::client(&broker.tls)).transpose()?;
        Ok(Rc::new(Amqp {
            uri: uri(broker),
            tls,
            topology,
            channel: RefCell::default(),
            connected: Notify::new(),
            connections: Cell::new(0),
        }))
    }

    /// How often the connection has been made.
    pub fn connections(&self) -> u64 {
        self.connections.get()
    }

    /// Publishes a message, as soon as the connection is up.
    pub async fn publish(&self, message: &AmqpMessage) -> Confirm {
        loop {
            let channel = self.channel().await;
            match self.publish_on(&channel, message).await {
                Ok(confirm) => return Confirm(confirm),
                // It never left. The channel is of no use, so the next one has to come first.
                Err(_) => _ = self.channel.take(),
            }
        }
    }

    async fn publish_on(
        &self,
        channel: &Channel,
        message: &AmqpMessage,
    ) -> lapin::Result<lapin::PublisherConfirm> {
        let exchange = self.topology.exchange.as_ref().map_or("", |(name, _)| name.as_str());
        let mut properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_reply_to("Janus".into());
        if let Some(id) = &message.correlation_id {
            properties = properties.with_correlation_id(id.as_str().into());
        }
        let options = BasicPublishOptions::default();
        let key = message.routing_key.as_str().into();
        channel.basic_publish(exchange.into(), key, options, &message.body, properties).await
    }

    async fn channel(&self) -> Channel {
        loop {
            let connected = self.connected.notified();
            if let Some(channel) = self.channel.borrow().clone() {
                return channel;
            }
            connected.await;
        }
    }

    /// Keeps the connection up, for ever.
    pub async fn keep_up(self: Rc<Self>, news: impl Fn(AmqpNews)) {
        let mut pause = Pause::default();
        loop {
            let before = self.connections.get();
            let error = match self.session(&news).await {
                Ok(()) => "closed by the broker".to_owned(),
                Err(error) => error.to_string(),
            };
            self.channel.take();
            news(AmqpNews::Disconnected);
            if self.connections.get() > before {
                pause.reset();
            }
            let pause = pause.next_pause();
            let broker = &self.uri.authority;
            tracing::warn!(
                host = broker.host, port = broker.port, %error, ?pause, "no connection to RabbitMQ"
            );
            tokio::time::sleep(pause).await;
        }
    }

    /// One connection from its making to its loss.
    async fn session(&self, news: &impl Fn(AmqpNews)) -> lapin::Result<()> {
        let timed = tokio::time::timeout(TIMEOUT, self.connect()).await;
        let connection =
            timed.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        let mut events = Box::pin(connection.events_listener());
        let channel = connection.create_channel().await?;
        let declared = tokio::time::timeout(TIMEOUT, self.declare(&channel)).await;
        let consumers =
            declared.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        self.channel.replace(Some(channel));
        self.connections.set(self.connections.get() + 1);
        self.connected.notify_waiters();
        news(AmqpNews::Connected);
        let numbered = consumers.into_iter().enumerate().map(|(source, consumer)| {
            consumer.map(move |delivery| (source, delivery)).boxed_local()
        });
        let mut deliveries = select_all(numbered);
        let consumes = !deliveries.is_empty();
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::Error(error)) => return Err(error),
                    Some(_) => {}
                    None => return Ok(()),
                },
                delivery = deliveries.next(), if consumes => {
                    let Some((source, delivery)) = delivery else { return Ok(()) };
                    let delivery = delivery?;
                    delivery.ack(BasicAckOptions::default()).await?;
                    let correlation_id = delivery.properties.correlation_id();
                    news(AmqpNews::Message {
                        source,
                        routing_key: delivery.routing_key.to_string(),
                        correlation_id: correlation_id.as_ref().map(ToString::to_string),
                        body: delivery.data,
                    });
                }
            }
        }
    }

    async fn connect(&self) -> lapin::Result<Connection> {
        let tls = self.tls.clone();
        let connect = async move |uri: AMQPUri, runtime| {
            let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
            let stream = plain.connect_with_config_async(TLSConfig::default(), &runtime).await?;
            match &tls {
                None => Ok(stream),
                Some(tls) => {
                    let connector = RustlsConnector::from(tls.clone());
                    Ok(stream.into_rustls(&connector, &uri.authority.host).await?)
                }
            }
        };
        let properties = ConnectionProperties::default().with_connection_name("Bifrons".into());
        Connection::connector(
            self.uri.clone(),
            lapin::runtime::default_runtime()?,
            connect,
            properties,
        )
        .await
    }

    async fn declare(&self, channel: &Channel) -> lapin::Result<Vec<lapin::Consumer>> {
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let exchange = self.topology.exchange.as_ref();
        if let Some((name, kind)) = exchange {
            let options = ExchangeDeclareOptions::default();
            let kind = exchange_kind(*kind);
            let name = name.as_str().into();
            channel.exchange_declare(name, kind, options, FieldTable::default()).await?;
        }
        for name in &self.topology.outgoing {
            let options = QueueDeclareOptions::default();
            channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await?;
        }
        let mut consumers = Vec::new();
        for source in &self.topology.sources {
            consumers.push(consume(channel, source, exchange.map(|(name, _)| name)).await?);
        }
        Ok(consumers)
    }
}

async fn consume(
    channel: &Channel,
    source: &Source,
    exchange: Option<&String>,
) -> lapin::Result<lapin::Consumer> {
    let options = QueueDeclareOptions {
        durable: source.durable,
        exclusive: source.exclusive,
        auto_delete: source.autodelete,
        ..QueueDeclareOptions::default()
    };
    let queue = source.queue.as_str();
    channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
    if let (Some(key), Some(exchange)) = (&source.bind, exchange) {
        let (exchange, key) = (exchange.as_str().into(), key.as_str().into());
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.into(), exchange, key, options, FieldTable::default()).await?;
    }
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await
}

fn exchange_kind(from: ExchangeType) -> ExchangeKind {
    match from {
        ExchangeType::Fanout => ExchangeKind::Fanout,
        ExchangeType::Direct => ExchangeKind::Direct,
        ExchangeType::Topic => ExchangeKind::Topic,
        ExchangeType::Headers => ExchangeKind::Headers,
    }
}

fn uri(broker: &RabbitMqBroker) -> AMQPUri {
    AMQPUri {
        scheme: if broker.tls.enabled { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: broker.username.clone(),
                password: broker.password.clone(),
            },
            host: broker.host.clone(),
            port: broker.port,
        },
        vhost: broker.vhost.clone(),
        query: AMQPQueryString {
            heartbeat: Some(broker.heartbeat_s),
            frame_max: Some(FRAME),
            ..AMQPQueryString::default()
        },
    }
}
