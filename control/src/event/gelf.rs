//! Events as GELF messages, for Graylog (admin-events-recording §8.6; `janus.eventhandler.gelfevh`).
//!
//! Over UDP a message is one datagram, or at most [`MAX_CHUNKS`] chunks of it; what does not fit is
//! given up. Over TCP messages end with a zero byte; a lost connection is opened again after 1, 2,
//! 4, 8, 8, ... s and the events that waited follow.

use super::gzip::gzip;
use super::{BackOff, Batch, EventHandler, Feed, Hub, Notice, QueryError, feed_settings, fields};
use bifrons_core::api::{Style, json};
use bifrons_core::config::Word;
use bifrons_core::config::event::{GelfEventSettings, GelfProtocol};
use bifrons_core::plugin::About;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value, json};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, lookup_host};

/// Most chunks of one message.
pub const MAX_CHUNKS: usize = 128;

/// Bytes before the payload of a chunk.
const CHUNK_HEAD: usize = 12;

/// How long a connection, a look-up or one message may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What can be tweaked.
#[derive(Clone, Debug, PartialEq)]
struct Ways {
    host: String,
    port: u16,
    protocol: GelfProtocol,
    /// Payload bytes of a chunk.
    chunk: usize,
    compress: bool,
    level: u32,
}

/// The handler.
pub struct GelfEvents {
    feed: Rc<Feed>,
    ways: RefCell<Ways>,
    /// Counts tweaks: a connection made before one is not used after it.
    epoch: Cell<u64>,
}

/// An open way to the receiver.
enum Line {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// Why a message was not sent.
enum Failure {
    /// It never will be.
    TooLong(usize),
    /// The receiver cannot be reached.
    Unreachable(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Unreachable(error)
    }
}

/// An event as a GELF message (GELF 1.1).
fn message(notice: &Notice) -> Value {
    let timestamp_us = notice.value.get("timestamp").and_then(Value::as_u64).unwrap_or(0);
    json!({
        // A double holds microseconds of today exactly.
        "timestamp": timestamp_us as f64 / 1e6,
        "host": notice.value.get("emitter"),
        "version": "1.1",
        "level": notice.kind.number(),
        "short_message": notice.kind.display_name(),
        "full_message": notice.value,
    })
}

/// The datagrams of a message: itself, or chunks of `most` bytes and their head. `None` if there
/// would be too many.
fn datagrams(message: &[u8], most: usize, id: [u8; 8]) -> Option<Vec<Vec<u8>>> {
    if message.len() <= most {
        return Some(vec![message.to_vec()]);
    }
    let count = message.len().div_ceil(most);
    let total = u8::try_from(count).ok().filter(|_| count <= MAX_CHUNKS)?;
    let chunk = |(index, payload): (u8, &[u8])| {
        let mut datagram = Vec::with_capacity(CHUNK_HEAD + payload.len());
        datagram.extend([0x1e, 0x0f]);
        datagram.extend(id);
        datagram.extend([index, total]);
        datagram.extend(payload);
        datagram
    };
    Some((0..total).zip(message.chunks(most)).map(chunk).collect())
}

impl GelfEvents {
    /// Adds the handler to the hub and starts it; an error says what its file lacks.
    pub fn start(hub: &Hub, from: &GelfEventSettings) -> Result<Rc<Self>, String> {
        let ways = Ways {
            host: from.backend.clone().ok_or("`backend` is missing")?,
            port: from.port.ok_or("`port` is missing")?,
            protocol: from.protocol,
            chunk: from.max_message_len.into(),
            compress: from.compress,
            level: from.compression,
        };
        let handler = hub.add(feed_settings(&from.common), |feed| {
            Rc::new(GelfEvents { feed, ways: RefCell::new(ways), epoch: Cell::new(0) })
        });
        tokio::task::spawn_local(handler.clone().run());
        Ok(handler)
    }

    async fn run(self: Rc<Self>) {
        let mut delays = BackOff::new(Duration::from_secs(1), Duration::from_secs(8));
        let (mut line, mut epoch) = (None, 0);
        while let Some(batch) = self.feed.batch().await {
            if epoch != self.epoch.get() {
                (line, epoch) = (None, self.epoch.get());
            }
            match self.send(&mut line, &batch).await {
                Ok(()) => {
                    delays.reset();
                    self.feed.delivered(&batch);
                }
                Err(Failure::TooLong(bytes)) => {
                    tracing::warn!(bytes, "an event is too long for GELF over UDP");
                    self.feed.lost(&batch);
                }
                Err(Failure::Unreachable(error)) => {
                    tracing::debug!(%error, "no receiver of GELF messages");
                    line = None;
                    self.feed.give_back(batch);
                    tokio::time::sleep(delays.next_delay()).await;
                }
            }
        }
    }

    async fn send(&self, line: &mut Option<Line>, batch: &Batch) -> Result<(), Failure> {
        let ways = self.ways.borrow().clone();
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let send = async {
            if line.is_none() {
                *line = Some(ways.open().await?);
            }
            for notice in &batch.notices {
                let text = json::write(&message(notice), Style::Compact);
                match line.as_mut() {
                    Some(Line::Udp(socket)) => ways.send_datagrams(socket, text).await?,
                    Some(Line::Tcp(stream)) => {
                        stream.write_all(text.as_bytes()).await?;
                        stream.write_all(&[0]).await?;
                    }
                    None => {}
                }
            }
            Ok(())
        };
        tokio::time::timeout(TIMEOUT, send).await.unwrap_or_else(|_| Err(late().into()))
    }
}

impl Ways {
    async fn open(&self) -> io::Result<Line> {
        let at = (self.host.as_str(), self.port);
        if self.protocol == GelfProtocol::Tcp {
            return Ok(Line::Tcp(TcpStream::connect(at).await?));
        }
        let nobody = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let to = lookup_host(at).await?.next().ok_or_else(nobody)?;
        let any: SocketAddr = match to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(to).await?;
        Ok(Line::Udp(socket))
    }

    async fn send_datagrams(&self, socket: &UdpSocket, text: String) -> Result<(), Failure> {
        let message = if self.compress { gzip(text, self.level).await? } else { text.into_bytes() };
        let mut id = [0; 8];
        let drawn = SystemRandom::new().fill(&mut id);
        drawn.map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let Some(datagrams) = datagrams(&message, self.chunk, id) else {
            return Err(Failure::TooLong(message.len()));
        };
        for datagram in datagrams {
            match socket.send(&datagram).await {
                // What an earlier datagram met there; UDP promises nothing.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                sent => drop(sent?),
            }
        }
        Ok(())
    }

    /// The same with what an operator wants changed; the receiver has to be named whole.
    fn tweaked(mut self, from: &Map<String, Value>) -> Result<Self, QueryError> {
        let missing = |name| move || QueryError::missing(name);
        let protocol = fields::text(from, "protocol")?.ok_or_else(missing("protocol"))?;
        self.protocol = GelfProtocol::from_word(protocol)
            .ok_or_else(|| QueryError::wrong("protocol", "udp or tcp"))?;
        self.host = fields::text(from, "backend")?.ok_or_else(missing("backend"))?.to_owned();
        self.port = fields::port(from, "port")?.ok_or_else(missing("port"))?;
        if let Some(bytes) = fields::number(from, "max_message_len", 65_000)? {
            self.chunk = usize::try_from(bytes.max(64)).unwrap_or(64);
        }
        self.compress = fields::flag(from, "compress")?.unwrap_or(self.compress);
        self.level = fields::number(from, "compression", 9)?.unwrap_or(self.level);
        Ok(self)
    }
}

impl EventHandler for GelfEvents {
    fn about(&self) -> About {
        About::ours(
            "janus.eventhandler.gelfevh",
            "Bifrons GELF event handler",
            "Sends events as GELF messages",
        )
    }

    fn groups(&self) -> bool {
        false
    }

    fn tweak(&self, fields: &Map<String, Value>) -> Result<(), QueryError> {
        let tweaked = self.ways.borrow().clone().tweaked(fields)?;
        *self.ways.borrow_mut() = tweaked;
        self.epoch.set(self.epoch.get() + 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_46_chunks_have_their_head_and_129_are_not_sent() {
        let id = [7; 8];
        let message: Vec<u8> = (0..=255).cycle().take(64_000).collect();
        assert_eq!(datagrams(&message[..500], 500, id), Some(vec![message[..500].to_vec()]));
        let chunks = datagrams(&message, 500, id).unwrap();
        assert_eq!(chunks.len(), MAX_CHUNKS);
        let mut whole: Vec<u8> = Vec::new();
        for (index, chunk) in chunks.iter().enumerate() {
            let (head, payload) = chunk.split_at(CHUNK_HEAD);
            assert_eq!((&head[..2], &head[2..10]), (&[0x1e, 0x0f][..], &id[..]));
            assert_eq!((usize::from(head[10]), head[11]), (index, 128));
            assert!(payload.len() <= 500);
            whole.extend(payload);
        }
        assert_eq!(whole, message);
        let longer = [message.as_slice(), b"x"].concat();
        assert_eq!(datagrams(&longer, 500, id), None);
    }
}
