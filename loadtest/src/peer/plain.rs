//! A source of RTP without encryption, as an encoder feeds a mountpoint.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::media::MediaKind;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::driver::{epoch, refuse};
use super::source::Source;
use super::{Clip, PeerError, Sent, Shape, Stamp};

/// Calls queued before the caller waits.
const CALLS: usize = 16;
/// How long a held source sleeps unless it is called.
const REST: Duration = Duration::from_secs(3600);

/// One stream of a source: what it sends and where to.
struct Stream {
    source: Source,
    to: SocketAddr,
    payload_type: u8,
    ssrc: u32,
    sent: Sent,
}

/// What the task owns.
struct Work {
    streams: Vec<Stream>,
}

type Call = Box<dyn FnOnce(&mut Work) + Send>;

/// A source at work on its own tokio task, which ends with it. Its streams begin held.
pub struct Plain {
    calls: mpsc::Sender<Call>,
}

impl Plain {
    /// Binds an ephemeral port of `local_ip`. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`PeerError::Socket`].
    pub async fn bind(local_ip: IpAddr) -> Result<Self, PeerError> {
        let socket = UdpSocket::bind((local_ip, 0)).await?;
        let (calls, queue) = mpsc::channel(CALLS);
        let work = Work { streams: Vec::new() };
        tokio::spawn(work.run(socket, queue));
        Ok(Self { calls })
    }

    async fn with<R: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Work) -> R + Send + 'static,
    ) -> Result<R, PeerError> {
        let (sender, result) = oneshot::channel();
        let call: Call = Box::new(move |work| {
            let _ = sender.send(action(work));
        });
        self.calls.send(call).await.map_err(|_| PeerError::Gone)?;
        result.await.map_err(|_| PeerError::Gone)
    }

    /// Makes the stream to `to`, held, or reshapes it.
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn send(
        &self,
        kind: MediaKind,
        to: SocketAddr,
        payload_type: u8,
        shape: Shape,
    ) -> Result<(), PeerError> {
        let now = Instant::now();
        self.with(move |work| match work.streams.iter_mut().find(|stream| stream.to == to) {
            Some(stream) => stream.source.set_shape(shape),
            None => {
                let ssrc = 0x1000 + work.streams.len() as u32;
                let (mut source, sent) = (Source::new(kind, shape, now), Sent::default());
                source.hold(true, now);
                work.streams.push(Stream { source, to, payload_type, ssrc, sent });
            }
        })
        .await
    }

    /// Gives the streams of a kind another shape.
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn reshape(&self, kind: MediaKind, shape: Shape) -> Result<(), PeerError> {
        self.with(move |work| {
            let streams = work.streams.iter_mut().filter(|stream| stream.source.kind() == kind);
            streams.for_each(|stream| stream.source.set_shape(shape));
        })
        .await
    }

    /// Lets the streams of a kind play a clip instead of synthetic media.
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn play(&self, kind: MediaKind, clip: Arc<Clip>) -> Result<(), PeerError> {
        self.with(move |work| {
            let streams = work.streams.iter_mut().filter(|stream| stream.source.kind() == kind);
            streams.for_each(|stream| stream.source.play(clip.clone()));
        })
        .await
    }

    /// Holds all streams back, or lets them go on where they stopped, with a keyframe.
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn hold(&self, held: bool) -> Result<(), PeerError> {
        let now = Instant::now();
        self.with(move |work| {
            for stream in &mut work.streams {
                stream.source.hold(held, now);
                stream.source.request_keyframe();
            }
        })
        .await
    }

    /// Forgets the counts.
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn reset_counts(&self) -> Result<(), PeerError> {
        self.with(|work| work.streams.iter_mut().for_each(|s| s.sent = Sent::default())).await
    }

    /// What was sent, stream by stream.
    ///
    /// # Errors
    /// [`PeerError::Gone`].
    pub async fn sent(&self) -> Result<Vec<Sent>, PeerError> {
        self.with(|work| work.streams.iter().map(|stream| stream.sent.clone()).collect()).await
    }
}

impl Work {
    async fn run(mut self, socket: UdpSocket, mut queue: mpsc::Receiver<Call>) {
        loop {
            let at = self.turn(&socket);
            tokio::select! {
                biased;
                call = queue.recv() => match call {
                    Some(call) => call(&mut self),
                    None => return,
                },
                () = sleep_until(at.into()) => {}
            }
        }
    }

    /// Sends what is due; when to come again.
    fn turn(&mut self, socket: &UdpSocket) -> Instant {
        let now = Instant::now();
        let stamp = Stamp(now.saturating_duration_since(epoch()).as_nanos() as u64);
        self.streams.iter_mut().for_each(|stream| stream.turn(socket, now, stamp));
        self.streams.iter().filter_map(|stream| stream.source.due()).min().unwrap_or(now + REST)
    }
}

impl Stream {
    fn turn(&mut self, socket: &UdpSocket, now: Instant, stamp: Stamp) {
        let mut written = Vec::new();
        while self.source.is_due(now) {
            let began = self.source.write(now, stamp, &mut written);
            self.sent.frames += u64::from(began.is_some());
            self.sent.keyframes += u64::from(began == Some(true));
            self.sent.skipped += self.source.take_skipped();
        }
        for packet in written {
            self.sent.packets += 1;
            self.sent.bytes += packet.payload.len() as u64;
            let marker = u8::from(packet.marker) << 7;
            // RFC 3550 clause 5.1: version 2, no padding, extension or CSRC.
            let mut datagram = vec![0x80, marker | self.payload_type];
            datagram.extend_from_slice(&(packet.seq as u16).to_be_bytes());
            datagram.extend_from_slice(&packet.timestamp.to_be_bytes());
            datagram.extend_from_slice(&self.ssrc.to_be_bytes());
            datagram.extend_from_slice(&packet.payload);
            if socket.try_send_to(&datagram, self.to).is_err() {
                refuse();
            }
        }
    }
}
