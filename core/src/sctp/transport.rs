//! One peer's association and what runs on it.

use super::abort;
use super::channel::{Channels, STREAMS};
use super::{Channel, Dcep, Open, Reliability};
use crate::dtls::Role;
use crate::media::{DataEnd, DataKind, DataLine, DataMessage};
use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig,
    EndpointEvent, Event as Noticed, Payload, PayloadProtocolIdentifier as Ppid, ReliabilityType,
    ServerConfig, StreamEvent, TransportConfig,
};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that may wait in the association; one message more is taken, so that a message of any
/// size the peer allows finds room at some time.
pub const SEND_BUFFER: usize = 1 << 20;

/// Longest SCTP packet we make.
pub const MAX_PACKET: usize = 1228;

/// User data of one chunk: with headers and a DTLS record 1200 bytes (webrtc-behaviour §2, MTU).
const MAX_CHUNK: u32 = 1132;

/// How long the DTLS server waits for the peer's INIT before it sends its own: browsers begin at
/// once, a few peers wait to be asked.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the DTLS client insists on its own INIT.
const STUBBORN: Duration = Duration::from_secs(3);

/// The longest OPEN: two names of 65535 bytes. A peer's limit is about messages of users.
const MAX_DCEP: u32 = 12 + 2 * 65_535;

/// Our port; peers look at the SDP's, and there is one association a peer.
const LOCAL_PORT: u16 = 5000;

/// The association's only path; SCTP never sees the real one (RFC 8831 §6.1).
const PATH: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

/// What an association is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Our DTLS role, which decides who begins, and whose stream ids are even.
    pub role: Role,
    /// Ports and limits, as negotiated.
    pub line: DataLine,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The association is up. At most once.
    Ready,
    /// The peer has opened its first channel. At most once.
    Opened,
    /// A whole message came on an open channel.
    Message(DataMessage),
    /// All that was taken for sending has reached the peer.
    Drained,
    /// The association has ended. The last event.
    Lost(DataEnd),
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The association is not up (yet, or any more).
    #[error("the association is not up")]
    NotReady,
    /// Longer than the peer takes.
    #[error("the message is longer than the peer takes")]
    TooLong,
    /// [`SEND_BUFFER`] is full; [`Event::Drained`] follows.
    #[error("the send buffer is full")]
    Full,
    /// No channel with that label, and none can be opened.
    #[error("no channel can be opened")]
    NoChannel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting { connect_at: Instant },
    Connecting { since: Instant },
    Up,
    Lost,
}

/// See the module's head.
pub struct DataTransport {
    config: Config,
    state: State,
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    channels: Channels,
    /// Streams with something to read, each once.
    readable: VecDeque<u16>,
    packets: VecDeque<Bytes>,
    events: VecDeque<Event>,
    /// The peer has opened a channel.
    opened: bool,
    /// Something was sent since the last [`Event::Drained`].
    filled: bool,
    /// What our packets carry for the peer to know them by.
    peer_tag: Option<[u8; 4]>,
    dropped: u64,
}

impl DataTransport {
    /// An association that begins at once as DTLS client, and as server waits a second for the
    /// peer to begin.
    pub fn new(now: Instant, config: Config) -> Self {
        let mut endpoint = EndpointConfig::new();
        endpoint.max_payload_size(MAX_CHUNK);
        let mut server = ServerConfig::new();
        server.transport = settings(&config.line);
        let patience = if config.role == Role::Client { Duration::ZERO } else { PATIENCE };
        DataTransport {
            config,
            state: State::Waiting { connect_at: now + patience },
            endpoint: Endpoint::new(Arc::new(endpoint), Some(Arc::new(server))),
            association: None,
            channels: Channels::default(),
            readable: VecDeque::new(),
            packets: VecDeque::new(),
            events: VecDeque::new(),
            opened: false,
            filled: false,
            peer_tag: None,
            dropped: 0,
        }
    }

    /// Whether messages can be sent.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Whether messages can be sent and the peer has opened a channel.
    pub fn is_open(&self) -> bool {
        self.is_up() && self.opened
    }

    /// Whether it has ended.
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// The open channels, in the order of opening.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.channels.iter()
    }

    /// Messages thrown away: of an unknown kind, or on a stream that was never opened.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes one SCTP packet, any bytes.
    pub fn handle_packet(&mut self, now: Instant, packet: &[u8]) {
        self.guarded(|this| this.receive(now, Bytes::copy_from_slice(packet)));
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.guarded(|this| this.timeout(now));
    }

    /// When [`DataTransport::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { connect_at } => Some(connect_at),
            State::Lost => None,
            State::Connecting { .. } | State::Up => self.association.as_ref()?.1.poll_timeout(),
        }
    }

    /// The next packet to send, at most [`MAX_PACKET`] bytes.
    pub fn poll_packet(&mut self, now: Instant) -> Option<Bytes> {
        if self.packets.is_empty() {
            self.guarded(|this| this.gather(now));
        }
        self.packets.pop_front()
    }

    /// The next event. Without `read` messages stay in the association, whose window then closes.
    pub fn poll_event(&mut self, read: bool) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let mut message = None;
        if read {
            self.guarded(|this| message = this.read());
        }
        message.map(Event::Message).or_else(|| self.events.pop_front())
    }

    /// Bytes that wait to be sent or acknowledged.
    pub fn buffered(&mut self) -> usize {
        let Some((_, association)) = &mut self.association else { return 0 };
        let ids = self.channels.iter().map(|channel| channel.id);
        ids.filter_map(|id| association.stream(id).ok()?.buffered_amount().ok()).sum()
    }

    /// Sends a message on the first channel with that label, opening one (reliable, ordered) if
    /// there is none.
    ///
    /// # Errors
    /// The message is not taken then; see [`SendError`].
    pub fn send(
        &mut self,
        label: &str,
        protocol: &str,
        kind: DataKind,
        bytes: &[u8],
    ) -> Result<(), SendError> {
        if self.state != State::Up {
            return Err(SendError::NotReady);
        }
        if bytes.len() > self.config.line.max_send as usize {
            return Err(SendError::TooLong);
        }
        self.filled = true;
        if self.buffered() >= SEND_BUFFER {
            return Err(SendError::Full);
        }
        let id = match self.channels.labelled(label) {
            Some(id) => id,
            None => self.open(label, protocol).ok_or(SendError::NoChannel)?,
        };
        // SCTP has no empty messages: one byte stands for none (RFC 8831 §6.6).
        let (ppid, bytes) = match (kind, bytes) {
            (DataKind::Text, []) => (Ppid::StringEmpty, &[0][..]),
            (DataKind::Binary, []) => (Ppid::BinaryEmpty, &[0][..]),
            (DataKind::Text, bytes) => (Ppid::String, bytes),
            (DataKind::Binary, bytes) => (Ppid::Binary, bytes),
        };
        self.write(id, bytes, ppid).then_some(()).ok_or(SendError::NotReady)
    }

    /// A packet that breaks the association's code must not take the peers beside it along.
    fn guarded(&mut self, act: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| act(self))).is_err() {
            self.association = None;
            self.lose(DataEnd::Refused);
        }
    }

    fn receive(&mut self, now: Instant, packet: Bytes) {
        if self.state == State::Lost {
            return;
        }
        let ends = abort::ends(&packet);
        match self.endpoint.handle(now, PATH, None, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                if !self.yields(now) {
                    self.forget(handle);
                } else {
                    if let Some((former, _)) = self.association.take() {
                        self.forget(former);
                    }
                    self.association = Some((handle, association));
                    self.state = State::Connecting { since: now };
                }
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                if let Some((ours, association)) = &mut self.association
                    && *ours == handle
                {
                    association.handle_event(event);
                }
            }
            None => {}
        }
        self.notice(if ends { DataEnd::ByPeer } else { DataEnd::Refused });
    }

    /// Whether the peer's INIT counts more than what we have. A second association is nobody's.
    /// Where both have begun, one must give way, and that is the DTLS server; but some peers
    /// answer no INIT while they wait for an answer to theirs, so after a while anybody does.
    fn yields(&self, now: Instant) -> bool {
        match self.state {
            State::Waiting { .. } => true,
            State::Connecting { since } => {
                self.config.role == Role::Server || now >= since + STUBBORN
            }
            State::Up | State::Lost => false,
        }
    }

    fn forget(&mut self, handle: AssociationHandle) {
        let _ = self.endpoint.handle_event(handle, EndpointEvent::drained());
    }

    fn timeout(&mut self, now: Instant) {
        if self.state == State::Lost {
            return;
        }
        if let State::Waiting { connect_at } = self.state
            && connect_at <= now
        {
            let mut config = ClientConfig::new();
            config.transport = settings(&self.config.line);
            match self.endpoint.connect(config, PATH) {
                Ok(association) => {
                    self.association = Some(association);
                    self.state = State::Connecting { since: now };
                }
                Err(_) => self.lose(DataEnd::Silent),
            }
        }
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
        }
        self.notice(DataEnd::Silent);
    }

    /// Acts on what the association has to say; `end` is why it ends, if it does.
    fn notice(&mut self, end: DataEnd) {
        while let Some((_, association)) = &mut self.association {
            while association.poll_endpoint_event().is_some() {}
            let Some(event) = association.poll() else { break };
            match event {
                Noticed::Connected => {
                    association.set_max_send_message_size(self.config.line.max_send.max(MAX_DCEP));
                    self.state = State::Up;
                    self.events.push_back(Event::Ready);
                }
                Noticed::HandshakeFailed { .. } | Noticed::AssociationLost { .. } => {
                    self.lose(end);
                }
                Noticed::Stream(StreamEvent::Readable { id } | StreamEvent::Opened { id })
                    if !self.readable.contains(&id) =>
                {
                    self.readable.push_back(id);
                }
                Noticed::Stream(StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. }) => {
                    self.channels.remove(id);
                }
                _ => {}
            }
            if self.state == State::Lost {
                // What it still has to say, an ABORT, goes out; nothing comes in any more.
                break;
            }
        }
        if self.filled && self.state == State::Up && self.buffered() == 0 {
            self.filled = false;
            self.events.push_back(Event::Drained);
        }
    }

    fn lose(&mut self, end: DataEnd) {
        if self.state != State::Lost {
            self.state = State::Lost;
            if let (DataEnd::Refused, Some(tag)) = (end, self.peer_tag) {
                let remote = self.config.line.remote_port.max(1);
                self.packets.push_back(abort::packet(LOCAL_PORT, remote, tag, end.text()));
            }
            self.channels.clear();
            self.readable.clear();
            self.events.push_back(Event::Lost(end));
        }
    }

    fn gather(&mut self, now: Instant) {
        let mut take = |payload| {
            if let Payload::RawEncode(packets) = payload {
                let tag = packets.last().and_then(|packet| abort::tag_of(packet));
                self.peer_tag = tag.or(self.peer_tag);
                self.packets.extend(packets);
            }
        };
        while let Some(transmit) = self.endpoint.poll_transmit() {
            take(transmit.payload);
        }
        if let Some((_, association)) = &mut self.association
            && let Some(transmit) = association.poll_transmit(now)
        {
            take(transmit.payload);
        }
    }

    /// The next message on a channel; DCEP is dealt with on the way.
    fn read(&mut self) -> Option<DataMessage> {
        while let Some(&id) = self.readable.front() {
            let (_, association) = self.association.as_mut()?;
            let chunks = association.stream(id).ok().and_then(|mut stream| stream.read().ok()?);
            let Some(chunks) = chunks else {
                self.readable.pop_front();
                continue;
            };
            let ppid = chunks.ppi;
            let mut bytes = vec![0; chunks.len()];
            let whole = chunks.read(&mut bytes).is_ok();
            // Reading the last message of a stream that was reset ends it.
            self.notice(DataEnd::Refused);
            if self.state == State::Lost || !whole {
                return None;
            }
            let kind = match ppid {
                Ppid::Dcep => {
                    self.establish(id, &bytes);
                    continue;
                }
                Ppid::String => DataKind::Text,
                Ppid::Binary => DataKind::Binary,
                Ppid::StringEmpty | Ppid::BinaryEmpty => {
                    bytes.clear();
                    if ppid == Ppid::StringEmpty { DataKind::Text } else { DataKind::Binary }
                }
                Ppid::Unknown => {
                    self.dropped += 1;
                    continue;
                }
            };
            let Some(channel) = self.channels.get_mut(id) else {
                self.dropped += 1;
                continue;
            };
            // Data counts as acknowledgement (webrtc-behaviour §10).
            channel.acknowledged = true;
            return Some(DataMessage {
                label: channel.label.clone(),
                protocol: channel.protocol.clone(),
                kind,
                bytes: bytes.into_boxed_slice(),
            });
        }
        None
    }

    /// The peer opens a channel, or acknowledges one of ours. What makes no sense resets the
    /// stream, and nothing else.
    fn establish(&mut self, id: u16, message: &[u8]) {
        match Dcep::parse(message) {
            Some(Dcep::Ack) => {
                if let Some(channel) = self.channels.get_mut(id) {
                    channel.acknowledged = true;
                }
            }
            Some(Dcep::Open(open)) if self.channels.get(id).is_none() => {
                let (unordered, reliability) = (open.unordered, open.reliability);
                let acknowledged = self.channels.add(id, open, true)
                    && self.configure(id, unordered, reliability)
                    && self.write(id, &Dcep::Ack.write().unwrap_or_default(), Ppid::Dcep);
                if !acknowledged {
                    self.reset(id);
                } else if !std::mem::replace(&mut self.opened, true) {
                    self.events.push_back(Event::Opened);
                }
            }
            _ => self.reset(id),
        }
    }

    /// Opens a channel of our own.
    fn open(&mut self, label: &str, protocol: &str) -> Option<u16> {
        let (_, association) = self.association.as_mut()?;
        let taken = association.stream_ids();
        let id = self.channels.free_id(self.config.role, |id| taken.contains(&id))?;
        let open = Open {
            unordered: false,
            reliability: Reliability::Reliable,
            priority: 256,
            label: label.into(),
            protocol: protocol.into(),
        };
        let message = Dcep::Open(open.clone()).write()?;
        association.open_stream(id, Ppid::Binary).ok()?;
        let opened = self.channels.add(id, open, false) && self.write(id, &message, Ppid::Dcep);
        if !opened {
            self.reset(id);
        }
        opened.then_some(id)
    }

    fn configure(&mut self, id: u16, unordered: bool, reliability: Reliability) -> bool {
        let (kind, value) = match reliability {
            Reliability::Reliable => (ReliabilityType::Reliable, 0),
            Reliability::Retransmits(count) => (ReliabilityType::Rexmit, count),
            Reliability::LifetimeMs(ms) => (ReliabilityType::Timed, ms),
        };
        let association = self.association.as_mut().map(|(_, association)| association);
        let stream = association.and_then(|association| association.stream(id).ok());
        stream
            .is_some_and(|mut stream| stream.set_reliability_params(unordered, kind, value).is_ok())
    }

    fn write(&mut self, id: u16, bytes: &[u8], ppid: Ppid) -> bool {
        let association = self.association.as_mut().map(|(_, association)| association);
        let stream = association.and_then(|association| association.stream(id).ok());
        stream.is_some_and(|mut stream| stream.write_with_ppi(bytes, ppid).is_ok())
    }

    fn reset(&mut self, id: u16) {
        self.dropped += 1;
        self.channels.remove(id);
        let association = self.association.as_mut().map(|(_, association)| association);
        if let Some(mut stream) = association.and_then(|association| association.stream(id).ok()) {
            // Not up any more: then there is nothing to reset.
            let _ = stream.close();
        }
    }
}

impl std::fmt::Debug for DataTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataTransport").field("state", &self.state).finish_non_exhaustive()
    }
}

fn settings(line: &DataLine) -> Arc<TransportConfig> {
    let whole = line.max_receive.max(MAX_DCEP);
    Arc::new(
        TransportConfig::default()
            .with_local_port(LOCAL_PORT)
            .with_remote_port(line.remote_port.max(1))
            .with_max_num_inbound_streams(STREAMS)
            .with_max_num_outbound_streams(STREAMS)
            .with_max_send_message_size(line.max_send.max(MAX_DCEP))
            .with_max_receive_message_size(whole)
            .with_max_receive_buffer_size(whole.saturating_mul(2))
            .with_max_init_retransmits(None)
            .with_max_data_retransmits(None)
            .with_rto_initial_ms(500)
            .with_rto_min_ms(400)
            .with_rto_max_ms(10_000),
    )
}

#[cfg(test)]
impl DataTransport {
    /// Gives the channel other properties, on this side.
    pub(super) fn bend(&mut self, label: &str, unordered: bool, reliability: Reliability) {
        let id = self.channels.labelled(label).unwrap();
        assert!(self.configure(id, unordered, reliability));
    }

    /// Resets the channel, as its user does by closing it.
    pub(super) fn close(&mut self, label: &str) {
        let id = self.channels.labelled(label).unwrap();
        self.reset(id);
    }
}
