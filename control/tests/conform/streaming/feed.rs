//! Sources: RTP as an encoder sends it to a mountpoint's ports.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// One RTP packet.
pub(super) fn rtp(
    pt: u8,
    seq: u16,
    timestamp: u32,
    ssrc: u32,
    marker: bool,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x80, pt | (u8::from(marker) << 7)];
    packet.extend(seq.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

/// A whole VP8 picture in one packet (RFC 7741 §4.2), of temporal layer 0.
pub(super) fn vp8(picture: u16, key: bool) -> Vec<u8> {
    let [high, low] = (picture & 0x7FFF).to_be_bytes();
    let mut payload = vec![0x90, 0xE0, 0x80 | high, low, picture as u8, 0x20];
    // The frame tag: bit 0 is clear in a keyframe, whose start code and size follow.
    match key {
        true => payload.extend([0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xF0, 0x00]),
        false => payload.extend([0x11, 0x02, 0x00]),
    }
    payload.extend([0x5A; 60]);
    payload
}

/// What a source sends next.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) pt: u8,
    pub(super) seq: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    /// Pictures so far, and each how many of them a keyframe comes; 0 = only the first one.
    pub(super) pictures: u16,
    pub(super) every: u16,
    /// Nothing is sent.
    pub(super) held: bool,
    pub(super) video: bool,
}

/// A source that sends, 50 packets of audio or 25 pictures of video a second, until it is dropped.
pub(super) struct Feed {
    pub(super) state: Rc<RefCell<State>>,
    task: JoinHandle<()>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Feed {
    fn start(port: u16, state: State) -> Self {
        let state = Rc::new(RefCell::new(state));
        let shared = state.clone();
        let task = tokio::task::spawn_local(async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
            loop {
                let step = Duration::from_millis(if shared.borrow().video { 40 } else { 20 });
                let packet = shared.borrow_mut().next();
                if let Some(packet) = packet {
                    let to = SocketAddr::from(([127, 0, 0, 1], port));
                    // What nobody listens to may be refused: that is the test's own affair.
                    let _ = socket.send_to(&packet, to).await;
                }
                tokio::time::sleep(step).await;
            }
        });
        Feed { state, task }
    }

    /// Opus, 20 ms a packet.
    pub(super) fn audio(port: u16) -> Self {
        Feed::start(port, State::new(111, 0x1111, 0, false))
    }

    /// VP8 with a keyframe each `every` pictures; 0 = only the first one.
    pub(super) fn video(port: u16, every: u16) -> Self {
        Feed::start(port, State::new(96, 0x2222, every, true))
    }

    /// Sends nothing, or goes on.
    pub(super) fn hold(&self, held: bool) {
        self.state.borrow_mut().held = held;
    }

    /// The next picture is a keyframe.
    pub(super) fn key(&self) {
        self.state.borrow_mut().pictures = 0;
    }
}

impl State {
    pub(super) fn new(pt: u8, ssrc: u32, every: u16, video: bool) -> Self {
        let (seq, timestamp) = (65_500, u32::MAX - 9000);
        State { pt, seq, timestamp, ssrc, pictures: 0, every, held: false, video }
    }

    /// The next packet, unless the source is held.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        if self.held {
            return None;
        }
        let payload = match self.video {
            true => {
                // A multiple of 0 is 0 alone.
                let key = self.pictures.is_multiple_of(self.every);
                vp8(self.seq, key)
            }
            false => vec![0xF8, 0xFF, 0xFE],
        };
        let packet = rtp(self.pt, self.seq, self.timestamp, self.ssrc, self.video, &payload);
        self.pictures = self.pictures.wrapping_add(1).max(1);
        self.seq = self.seq.wrapping_add(1);
        let step = if self.video { 3600 } else { 960 };
        self.timestamp = self.timestamp.wrapping_add(step);
        Some(packet)
    }
}

/// A source's RTCP port.
pub(super) struct Control(pub(super) UdpSocket);

impl Control {
    /// One that the mountpoint knows: it has sent something there.
    pub(super) async fn latched(port: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        // A receiver report about nothing.
        let hello = [0x80, 201, 0, 1, 0, 0, 0x22, 0x22];
        socket.send_to(&hello, ("127.0.0.1", port)).await.expect("sent");
        Control(socket)
    }

    /// What comes within `span`: PLIs, and bitrates of REMBs.
    pub(super) async fn within(&self, span: Duration) -> (usize, Vec<u64>) {
        let end = tokio::time::Instant::now() + span;
        let (mut plis, mut rembs) = (0, Vec::new());
        let mut bytes = [0; 2048];
        loop {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let Ok(received) = timeout(left, self.0.recv_from(&mut bytes)).await else { break };
            let (len, _) = received.expect("a datagram");
            for packet in packets(&bytes[..len]) {
                match (packet.get(1), packet.first().map(|byte| byte & 0x1F)) {
                    (Some(206), Some(1)) => plis += 1,
                    (Some(206), Some(15)) if packet.get(12..16) == Some(b"REMB") => {
                        let (exp, high) = (packet[17] >> 2, u64::from(packet[17] & 3));
                        let low = u64::from(packet[18]) << 8 | u64::from(packet[19]);
                        rembs.push((high << 16 | low) << exp);
                    }
                    _ => {}
                }
            }
        }
        (plis, rembs)
    }
}

/// The packets of a compound one (RFC 3550 §6.1).
fn packets(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut packets = Vec::new();
    while let [_, _, high, low, ..] = *bytes {
        let len = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let Some((packet, rest)) = bytes.split_at_checked(len) else { break };
        packets.push(packet);
        bytes = rest;
    }
    packets
}
