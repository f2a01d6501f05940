//! A shard with one publisher and many subscribers, as benches drive it: peers installed with their
//! keys and addresses, packets sealed ahead, an engine whose packets go nowhere.
//!
//! Everything is fixed: keys, addresses, time. Two runs do the same work.

use crate::{packet_of, sink_extensions};
use bifrons_core::codec::Codec;
use bifrons_core::dtls::{KeyingMaterial, Role};
use bifrons_core::ice::Credentials;
use bifrons_core::media::{
    LayerSsrc, Line, LineId, MediaKind, Payload, PeerId, PeerSetup, Plan, Receive, Route, Send,
    ShardCommand, SinkId, SourceId, Transport,
};
use bifrons_core::rtp::Ssrc;
use bifrons_core::srtp::{MasterKey, SealKey, SrtpProfile};
use bifrons_datapath::engine::{Engine, EngineCounters, Received, Turn};
use bifrons_datapath::seal::Kernel;
use bifrons_datapath::shard::{Clock, Coalescing, Shard, ShardConfig};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const PUBLISHER: u32 = 0x0BAD_CAFE;
/// A VP8 descriptor with picture id, TL0PICIDX and TID, as browsers send it.
const DESCRIPTOR: [u8; 6] = [0x80, 0xE0, 0x80, 0x64, 0x01, 0x20];

/// An engine whose packets go nowhere.
pub struct Nowhere {
    arena: Vec<u8>,
    used: usize,
    counters: EngineCounters,
}

impl Nowhere {
    /// One with an arena as large as a real one's.
    #[must_use]
    pub fn new() -> Self {
        Nowhere { arena: vec![0; 256 << 10], used: 0, counters: EngineCounters::default() }
    }
}

impl Default for Nowhere {
    fn default() -> Self {
        Nowhere::new()
    }
}

impl Engine for Nowhere {
    fn turn(
        &mut self,
        _: Option<Duration>,
        _: u32,
        _: &mut dyn FnMut(Received<'_>),
    ) -> io::Result<Turn> {
        Ok(Turn::default())
    }

    fn room(&mut self, len: usize) -> io::Result<&mut [u8]> {
        if self.used + len > self.arena.len() {
            self.used = 0;
        }
        Ok(&mut self.arena[self.used..])
    }

    fn send(&mut self, _: u16, _: SocketAddr, len: usize, segment: u16) {
        self.used = (self.used + len).next_multiple_of(64).min(self.arena.len());
        let datagrams = if segment == 0 { 1 } else { len.div_ceil(usize::from(segment)) as u64 };
        self.counters.datagrams_out += datagrams;
        self.counters.trains_out += u64::from(datagrams > 1);
    }

    fn flush(&mut self) -> io::Result<()> {
        self.used = 0;
        Ok(())
    }

    fn attach(&mut self, _: UdpSocket) -> io::Result<u16> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn detach(&mut self, _: u16) {}

    fn counters(&self) -> EngineCounters {
        self.counters
    }
}

/// What is sent: its kind, and the lengths of successive payloads, which repeat.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// Video is VP8, audio Opus.
    pub kind: MediaKind,
    /// At least one.
    pub payloads: &'static [usize],
}

/// Full packets of video.
pub const VIDEO: Stream = Stream { kind: MediaKind::Video, payloads: &[1160] };
/// Opus at 64 kbit/s.
pub const AUDIO: Stream = Stream { kind: MediaKind::Audio, payloads: &[160] };

impl Stream {
    fn payload(self) -> Payload {
        match self.kind {
            MediaKind::Audio => {
                Payload { pt: 111, codec: Some(Codec::Opus), clock_hz: 48_000, rtx_pt: None }
            }
            _ => Payload { pt: 96, codec: Some(Codec::Vp8), clock_hz: 90_000, rtx_pt: Some(97) },
        }
    }
}

/// The keys between the server and peer `n`; 0 is the publisher.
///
/// # Panics
/// For no profile there is.
#[must_use]
pub fn material(profile: SrtpProfile, n: usize) -> KeyingMaterial {
    let seed = |at: usize| (at * 7 + n * 31 + n / 256) as u8;
    let bytes: Vec<u8> = (0..KeyingMaterial::len(profile)).map(seed).collect();
    KeyingMaterial::new(profile, &bytes).expect("the profile's length")
}

fn peer(n: usize) -> PeerId {
    PeerId { shard: 0, slot: n as u32, generation: 1 }
}

/// The address of peer `n`.
#[must_use]
pub fn address(n: usize) -> SocketAddr {
    let host = 512 + n as u32;
    (Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 99, 0, 0)) + host), 40_000).into()
}

fn setup(n: usize, stream: Stream) -> PeerSetup {
    let video = stream.kind == MediaKind::Video;
    let payloads = vec![stream.payload()];
    let layers = vec![LayerSsrc { ssrc: Ssrc(PUBLISHER), rtx: None }];
    let (nack, transport_cc, extensions) = (video, video, sink_extensions());
    let receive = Receive {
        layers,
        rids: Vec::new(),
        payloads: payloads.clone(),
        nack,
        transport_cc,
        extensions,
    };
    let line = Line {
        mindex: 0,
        mid: "0".into(),
        kind: stream.kind,
        ssrc: Ssrc(1000 + 2 * n as u32),
        rtx_ssrc: video.then_some(Ssrc(1001 + 2 * n as u32)),
        receive: (n == 0).then_some(receive),
        send: (n > 0).then_some(Send { payloads, nack, extensions }),
        data: None,
    };
    let transport = Transport {
        local: Credentials::generate(peer(n), &[n as u8; _]),
        remote: None,
        controlling: false,
        candidates: Vec::new(),
        end_of_candidates: true,
        dtls_role: Some(Role::Server),
        fingerprint: None,
        relay_only: false,
    };
    PeerSetup { peer: peer(n), transport, lines: vec![line] }
}

/// Who is there, and how packets are sealed.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// What the publisher sends.
    pub stream: Stream,
    /// How it seals it.
    pub from: SrtpProfile,
    /// How the subscribers want it sealed.
    pub to: SrtpProfile,
    /// How many there are.
    pub subscribers: usize,
    /// What seals for them.
    pub kernel: Kernel,
}

fn shard(layout: Layout, start: Instant) -> Shard {
    let Layout { stream, from, to, subscribers, kernel } = layout;
    let config = ShardConfig {
        id: 0,
        sockets: vec![(Ipv4Addr::new(10, 99, 0, 1), 9000).into()],
        ice_lite: true,
        hangup_on_failed: false,
        consent_freshness: false,
        min_nack_queue: Duration::from_millis(200),
        twcc_period: Duration::from_millis(200),
        busy_poll: Duration::ZERO,
        no_media: Duration::ZERO,
        slow_link_losses: 0,
        coalescing: Coalescing::default(),
        plain: false,
        secret: 7,
    };
    let clock = Clock::new(start, 1 << 50);
    let mut shard = Shard::new(config, clock, clock.at(start));
    shard.set_kernel(kernel);
    for n in 0..=subscribers {
        let material = material(if n == 0 { from } else { to }, n);
        shard.admit(setup(n, stream), (0, address(n)), &material, Role::Server);
    }
    let line = |n| LineId { peer: peer(n), mindex: 0 };
    for n in 1..=subscribers {
        let (source, sink) = (SourceId::Line(line(0)), SinkId::Line(line(n)));
        let plan = Plan::Route { source, sink, route: Route::default() };
        shard.command(ShardCommand::Plan(plan));
    }
    shard
}

/// What the publisher sends, sealed ahead.
/// The publisher.
pub struct Publisher {
    stream: Stream,
    key: SealKey,
    index: u64,
}

impl Publisher {
    /// One that seals as `profile` says.
    ///
    /// # Panics
    /// For no profile there is.
    #[must_use]
    pub fn new(stream: Stream, profile: SrtpProfile) -> Self {
        let material = material(profile, 0);
        let master = MasterKey::from_keying(&material, Role::Client).expect("lengths");
        Publisher { stream, key: SealKey::new(&master).expect("a key"), index: 0 }
    }

    /// The next packets it sends.
    ///
    /// # Panics
    /// When a payload does not fit a packet.
    pub fn packets(&mut self, count: usize) -> Vec<Vec<u8>> {
        let packet = |_| {
            self.index += 1;
            let mut bytes = vec![0; 1600];
            let payloads = self.stream.payloads;
            let payload = payloads[(self.index - 1) as usize % payloads.len()];
            let video = self.stream.kind == MediaKind::Video;
            let (head, len) = packet_of(&mut bytes, self.index as u16, payload, video);
            if video {
                bytes[head..head + DESCRIPTOR.len()].copy_from_slice(&DESCRIPTOR);
            } else {
                bytes[1] = 111;
            }
            let len = self.key.seal_rtp_in_place(self.index, &mut bytes, head, len);
            bytes.truncate(len.expect("room"));
            bytes
        };
        (0..count).map(packet).collect()
    }
}

/// The shard, and the time it believes it is.
pub struct Room {
    shard: Shard,
    now: Instant,
}

impl Room {
    /// A room in which everybody is connected.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let now = Instant::now();
        Room { shard: shard(layout, now), now }
    }

    /// One turn, a frame's time after the last: these packets arrive together, and what comes of
    /// them leaves.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn turn(&mut self, packets: &mut [Vec<u8>], engine: &mut dyn Engine) -> io::Result<()> {
        self.now += Duration::from_millis(33);
        self.shard.begin(self.now);
        for bytes in packets {
            self.shard.receive(Received { socket: 0, from: address(0), bytes });
        }
        self.shard.tick();
        self.shard.depart(engine)
    }
}
