//! One allocation, from its request to its end: `turn-client-proto` and the link it speaks over.

use super::stream::Link;
use super::{MAX_REMOTES, TurnUri, label};
use bifrons_core::config::settings::TurnType;
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant as Clock};
use turn_client_proto::api::{
    Transmit, TurnClientApi, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet,
};
use turn_client_proto::stun::Instant;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::{AddressFamily, TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

turn_client_proto::impl_client!(pub(super) Client, (Udp, TurnClientUdp), (Tcp, TurnClientTcp));

/// How long a server may take to allocate.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest message of a server that is read at once.
const BUFFER: usize = 2048;

/// The first byte of what is no STUN of ours begins here (RFC 7983): a channel is worth its while
/// from then on.
const FIRST_MEDIA: u8 = 20;

/// See the module.
pub(super) struct Allocation {
    link: Link,
    client: Client,
    local: SocketAddr,
    server: SocketAddr,
    begun: Clock,
    permitted: HashSet<IpAddr>,
    channels: HashSet<SocketAddr>,
    buffer: Box<[u8]>,
    /// Datagrams without permission yet, or for more peers than we keep.
    pub(super) dropped: u64,
}

impl Allocation {
    /// Allocates; with our address on the relay.
    ///
    /// # Errors
    /// A sentence: not reached, refused, or no answer in time.
    pub(super) async fn open(
        uri: &TurnUri,
        server: SocketAddr,
        user: &str,
        password: &str,
    ) -> Result<(Self, SocketAddr), String> {
        let opened = tokio::time::timeout(PATIENCE, Self::allocate(uri, server, user, password));
        opened.await.unwrap_or_else(|_| Err(format!("no answer in {} s", PATIENCE.as_secs())))
    }

    async fn allocate(
        uri: &TurnUri,
        server: SocketAddr,
        user: &str,
        password: &str,
    ) -> Result<(Self, SocketAddr), String> {
        let opened = Link::open(uri, server).await;
        let (link, local, server) = opened.map_err(|error| error.to_string())?;
        let mut config = TurnConfig::new(TurnCredentials::new(user, password));
        if server.is_ipv6() {
            config.set_address_family(AddressFamily::IPV6);
        }
        let client = match uri.transport {
            TurnType::Udp => Client::Udp(TurnClientUdp::allocate(local, server, config)),
            TurnType::Tcp | TurnType::Tls => {
                Client::Tcp(TurnClientTcp::allocate(local, server, config))
            }
        };
        let mut allocation = Allocation {
            link,
            client,
            local,
            server,
            begun: Clock::now(),
            permitted: HashSet::new(),
            channels: HashSet::new(),
            buffer: vec![0; BUFFER].into(),
            dropped: 0,
        };
        let relayed = allocation.wait_until_allocated().await?;
        tracing::debug!(server = label(uri), %relayed, "relay allocated");
        Ok((allocation, relayed))
    }

    async fn wait_until_allocated(&mut self) -> Result<SocketAddr, String> {
        loop {
            let wait = self.advance().await.map_err(|error| error.to_string())?;
            let got = self.wait(wait).await.map_err(|error| error.to_string())?;
            self.receive(got, &mut |_, _| {});
            while let Some(event) = self.client.poll_event() {
                match event {
                    TurnEvent::AllocationCreated(_, relayed) => return Ok(relayed),
                    TurnEvent::AllocationCreateFailed(_) => {
                        return Err("the server refused an allocation".to_owned());
                    }
                    _ => {}
                }
            }
        }
    }

    /// The time as the client counts it.
    fn now(&self) -> Instant {
        Instant::from_std(self.begun)
    }

    /// Lets time pass, sends what the client wants sent; how long it may be left alone.
    ///
    /// # Errors
    /// The link failed, or the allocation is over.
    pub(super) async fn advance(&mut self) -> io::Result<Duration> {
        let wait = match self.client.poll(self.now()) {
            TurnPollRet::WaitUntil(at) => at.saturating_duration_since(self.now()),
            TurnPollRet::Closed => return Err(io::Error::other("the allocation is over")),
            // TCP towards peers is not asked for.
            _ => Duration::ZERO,
        };
        self.pump().await?;
        Ok(wait.max(Duration::from_millis(1)))
    }

    /// Waits for the server at most that long; how many bytes came, for [`Allocation::take`]. May
    /// be dropped half way: it sends nothing.
    ///
    /// # Errors
    /// The link failed.
    pub(super) async fn wait(&mut self, at_most: Duration) -> io::Result<usize> {
        let received = tokio::time::timeout(at_most, self.link.receive(&mut self.buffer)).await;
        received.unwrap_or(Ok(0))
    }

    /// Deals with bytes that came; `deliver` gets what peers sent.
    pub(super) fn take(&mut self, got: usize, deliver: &mut dyn FnMut(SocketAddr, &[u8])) {
        self.receive(got, deliver);
        while let Some(event) = self.client.poll_event() {
            match event {
                TurnEvent::PermissionCreateFailed(_, remote) => {
                    tracing::debug!(%remote, "the relay does not let this address in");
                    self.permitted.remove(&remote);
                }
                TurnEvent::ChannelCreateFailed(_, remote) => {
                    self.channels.remove(&remote);
                }
                _ => {}
            }
        }
    }

    fn receive(&mut self, got: usize, deliver: &mut dyn FnMut(SocketAddr, &[u8])) {
        let now = self.now();
        let Some(bytes) = self.buffer.get(..got).filter(|bytes| !bytes.is_empty()) else { return };
        let transmit = Transmit::new(bytes, self.client.transport(), self.server, self.local);
        if let TurnRecvRet::PeerData(data) = self.client.recv(transmit, now) {
            deliver(data.peer, data.data());
        }
        // A stream may bring several messages at once.
        while let Some(data) = self.client.poll_recv(now) {
            deliver(data.peer, data.data());
        }
    }

    /// Sends what the client wants sent.
    async fn pump(&mut self) -> io::Result<()> {
        while let Some(transmit) = self.client.poll_transmit(self.now()) {
            self.link.send(&transmit.data).await?;
        }
        Ok(())
    }

    /// Lets an address in.
    ///
    /// # Errors
    /// The link failed.
    pub(super) async fn permit(&mut self, remote: IpAddr) -> io::Result<()> {
        let has_room = self.permitted.len() < MAX_REMOTES;
        if has_room && self.permitted.insert(remote) {
            // What is there already, or cannot be had, shows when something is sent.
            let _ = self.client.create_permission(TransportType::Udp, remote, self.now());
        }
        self.pump().await
    }

    /// Sends a datagram to a peer's address. Without a permission it asks for one instead: the
    /// checks that go first are repeated.
    ///
    /// # Errors
    /// The link failed.
    pub(super) async fn send(&mut self, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        if !self.client.have_permission(TransportType::Udp, remote.ip()) {
            self.dropped += 1;
            return self.permit(remote.ip()).await;
        }
        // RFC 8656 §12.5 wants channel data padded on a stream, which the client does not do: there
        // it goes as indications, 32 bytes longer.
        let may_bind = matches!(self.client, Client::Udp(_));
        let is_media = bytes.first().is_some_and(|first| *first >= FIRST_MEDIA);
        if may_bind && is_media && self.channels.len() < MAX_REMOTES && self.channels.insert(remote)
        {
            // Without a channel data goes in longer messages (RFC 8656 §11), no worse.
            let _ = self.client.bind_channel(TransportType::Udp, remote, self.now());
            self.pump().await?;
        }
        let now = self.now();
        match self.client.send_to(TransportType::Udp, remote, bytes, now) {
            Ok(Some(transmit)) => {
                let transmit = transmit.build();
                self.link.send(&transmit.data).await?;
            }
            Ok(None) => {}
            Err(_) => self.dropped += 1,
        }
        self.pump().await
    }

    /// Gives the allocation back; what gets lost of that, the server's own timer makes up for.
    pub(super) async fn close(mut self) {
        if self.client.delete(self.now()).is_ok() {
            let _ = self.pump().await;
        }
    }
}
