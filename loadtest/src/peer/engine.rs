//! The sans-IO peer: str0m in RTP mode with sources and counters around it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use hdrhistogram::Histogram;
use str0m::bwe::BweKind;
use str0m::change::SdpPendingOffer;
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::media::{KeyframeRequest, KeyframeRequestKind, MediaKind, Mid, Rid};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::rtcp::Rtcp;
use str0m::rtp::{ExtensionValues, RawPacket, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, IceConnectionState, Input, Rtc, RtcError};

use super::light::{Heard, Light, Verdict, delay_us};
use super::source::{Source, Written};
use super::{Clip, PeerConfig, PeerError, Received, Shape, Stamp};

/// Data channel messages kept unread.
const MESSAGES: usize = 1024;

/// A message received on a data channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The channel's label.
    pub label: String,
    /// Binary, or text.
    pub binary: bool,
    /// The content.
    pub bytes: Vec<u8>,
}

/// What was sent on one m-line and layer.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// RTP packets written, retransmissions not counted.
    pub packets: u64,
    /// Payload bytes of them.
    pub bytes: u64,
    /// Frames.
    pub frames: u64,
    /// Keyframes among them.
    pub keyframes: u64,
    /// Frames left out because this process came half a second late to write them.
    pub skipped: u64,
    /// Picture loss indications received for it.
    pub plis: u64,
    /// Full intra requests received for it.
    pub firs: u64,
}

/// The state and counts of a peer. Streams are keyed by mid and rid (empty without simulcast).
#[derive(Clone, Debug)]
pub struct Stats {
    /// ICE and DTLS are up.
    pub connected: bool,
    /// Times the ICE state became connected or completed after not being so.
    pub ice_connections: u32,
    /// The ICE state.
    pub ice: IceConnectionState,
    /// The far end closed, or this end did.
    pub closed: bool,
    /// Received streams.
    pub received: BTreeMap<(String, String), Received>,
    /// Sent streams.
    pub sent: BTreeMap<(String, String), Sent>,
    /// The last REMB received, bits per second, and how many came.
    pub remb: Option<(u64, u64)>,
    /// Newest RTCP packets received, if the peer keeps them.
    pub rtcp: VecDeque<Rtcp>,
    /// Labels of the open data channels.
    pub channels: Vec<String>,
    /// Messages received on data channels, oldest first, at most 1024.
    pub messages: VecDeque<Message>,
    /// Messages received that carried their send time; they are counted and not kept.
    pub stamped: u64,
    /// Delay from writing a packet, or a message, to receiving it here, in microseconds, when the sender is a
    /// peer of this process.
    pub latency_us: Histogram<u64>,
    /// The same of the last packet of each video frame.
    pub frame_us: Histogram<u64>,
    /// Packets that a light receiver opened as a sample, all authentic.
    pub sampled: u64,
    /// Those it opened that were not.
    pub forged: u64,
}

impl Stats {
    fn new() -> Self {
        Self {
            connected: false,
            ice_connections: 0,
            ice: IceConnectionState::New,
            closed: false,
            received: BTreeMap::new(),
            sent: BTreeMap::new(),
            remb: None,
            rtcp: VecDeque::new(),
            channels: Vec::new(),
            messages: VecDeque::new(),
            stamped: 0,
            latency_us: crate::report::latency_histogram(),
            frame_us: crate::report::latency_histogram(),
            sampled: 0,
            forged: 0,
        }
    }

    /// What `mid` received, all layers of it (there is one unless the far end sends simulcast).
    #[must_use]
    pub fn from_mid(&self, mid: &str) -> Option<&Received> {
        self.received.iter().find(|((m, _), _)| m == mid).map(|(_, received)| received)
    }

    /// Packets received on all m-lines.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.received.values().map(|r| r.packets).sum()
    }

    /// Packets lost on all m-lines.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.received.values().map(Received::lost).sum()
    }
}

/// What [`Engine::poll`] asks for.
pub enum Output {
    /// Send this datagram.
    Transmit(Transmit),
    /// Nothing more until then, or until something is received or called.
    Wait(Instant),
}

/// The sans-IO peer. Time is passed in; the only randomness is str0m's own.
pub struct Engine {
    pub(super) rtc: Rtc,
    pub(super) pending: Option<SdpPendingOffer>,
    channels: Vec<(ChannelId, String)>,
    config: PeerConfig,
    address: SocketAddr,
    epoch: Instant,
    sources: Vec<(Mid, Option<Rid>, Source)>,
    written: Vec<Written>,
    stats: Stats,
    /// The time of the last input.
    now: Instant,
    wait: Instant,
    outgoing: VecDeque<Transmit>,
    light: Option<Light>,
    /// What the light receiver has heard so far.
    tracks: Vec<Track>,
}

/// A stream of a light receiver. Lines are told apart by payload type and SSRC.
struct Track {
    ssrc: u32,
    video: bool,
    key: (String, String),
}

impl Engine {
    /// A peer whose datagrams come and go at `address`. Peers that share `epoch` (not later than
    /// `now`) measure latency between each other.
    #[must_use]
    pub fn new(config: PeerConfig, address: SocketAddr, epoch: Instant, now: Instant) -> Self {
        let rtc = super::negotiation::build(&config, now);
        let keys = super::handshake::latest_keys().filter(|_| config.light);
        let mut engine = Self {
            rtc,
            pending: None,
            channels: Vec::new(),
            config,
            address,
            epoch,
            sources: Vec::new(),
            written: Vec::new(),
            stats: Stats::new(),
            now,
            wait: now,
            outgoing: VecDeque::new(),
            light: keys.map(Light::new),
            tracks: Vec::new(),
        };
        if !engine.config.trickle {
            engine.add_local_candidate();
        }
        engine
    }

    fn add_local_candidate(&mut self) -> Option<String> {
        let candidate = Candidate::host(self.address, Protocol::Udp).ok()?;
        Some(self.rtc.add_local_candidate(candidate)?.to_sdp_string())
    }

    /// Starts using the local candidate and returns its line, to trickle.
    pub fn candidates(&mut self) -> Vec<String> {
        self.add_local_candidate().into_iter().collect()
    }

    /// The str0m instance, for what this type does not wrap.
    pub fn rtc(&mut self) -> &mut Rtc {
        &mut self.rtc
    }

    /// State and counts.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Forgets the counts of streams and latency (not the state), e.g. after a warm-up.
    pub fn reset_counts(&mut self) {
        self.stats.received.clear();
        self.stats.sent.clear();
        self.stats.stamped = 0;
        self.stats.latency_us.reset();
        self.stats.frame_us.reset();
        (self.stats.sampled, self.stats.forged) = (0, 0);
    }

    /// Starts, or reshapes, the source of `mid` and `rid`. It is silent while the m-line does not
    /// send or the connection is not up, and begins with a keyframe.
    ///
    /// # Errors
    /// [`PeerError::State`] for an unknown m-line.
    pub fn send(
        &mut self,
        mid: &str,
        rid: Option<&str>,
        shape: Shape,
        now: Instant,
    ) -> Result<(), PeerError> {
        let (mid, rid) = (Mid::from(mid), rid.map(Rid::from));
        let kind = self.rtc.media(mid).ok_or(PeerError::State("no such m-line"))?.kind();
        match self.sources.iter_mut().find(|s| s.0 == mid && s.1 == rid) {
            Some((_, _, source)) => source.set_shape(shape),
            None => self.sources.push((mid, rid, Source::new(kind, shape, now))),
        }
        self.wait = now;
        Ok(())
    }

    /// Gives the sources of a kind another shape.
    pub fn reshape(&mut self, kind: MediaKind, shape: Shape) {
        let sources = self.sources.iter_mut().filter(|(_, _, source)| source.kind() == kind);
        sources.for_each(|(_, _, source)| source.set_shape(shape));
    }

    /// Lets the sources of a kind play a clip instead of synthetic media.
    pub fn play(&mut self, kind: MediaKind, clip: &Arc<Clip>) {
        let sources = self.sources.iter_mut().filter(|(_, _, source)| source.kind() == kind);
        sources.for_each(|(_, _, source)| source.play(clip.clone()));
    }

    /// Holds all sources back, or lets them go on where they stopped. Between two holds the counts
    /// of sender and receivers compare exactly, once what is under way has arrived.
    pub fn hold(&mut self, held: bool, now: Instant) {
        self.sources.iter_mut().for_each(|(_, _, source)| source.hold(held, now));
        self.wait = now;
    }

    /// Stops the sources of `mid`.
    pub fn stop(&mut self, mid: &str) {
        let mid = Mid::from(mid);
        self.sources.retain(|s| s.0 != mid);
    }

    /// Opens one more data channel on a connection that has one.
    pub fn open_channel(&mut self, label: &str) {
        let config = ChannelConfig { label: label.to_owned(), ..ChannelConfig::default() };
        self.rtc.direct_api().create_data_channel(config);
    }

    /// Sends a message on the open data channel with that label; whether it was taken.
    pub fn say(&mut self, label: &str, binary: bool, bytes: &[u8]) -> bool {
        let Some((id, _)) = self.channels.iter().find(|(_, have)| have == label) else {
            return false;
        };
        let Some(mut channel) = self.rtc.channel(*id) else { return false };
        channel.write(binary, bytes).unwrap_or(false)
    }

    /// Sends a binary message of `len` bytes that carries its send time; whether it was taken.
    pub fn say_stamped(&mut self, label: &str, len: usize, now: Instant) -> bool {
        let mut bytes = vec![0; len.max(Stamp::LEN)];
        Stamp(now.saturating_duration_since(self.epoch).as_nanos() as u64).write(&mut bytes);
        self.say(label, true, &bytes)
    }

    /// Takes the messages that came so far.
    pub fn take_messages(&mut self) -> Vec<Message> {
        self.stats.messages.drain(..).collect()
    }

    /// Asks the far end for a keyframe on `mid` by PLI.
    ///
    /// # Errors
    /// [`PeerError::State`] when nothing has been received there.
    pub fn request_keyframe(&mut self, mid: &str) -> Result<(), PeerError> {
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_rx_by_mid(Mid::from(mid), None);
        let stream = stream.ok_or(PeerError::State("nothing received on that m-line"))?;
        stream.request_keyframe(KeyframeRequestKind::Pli);
        Ok(())
    }

    /// Takes in one datagram. What str0m cannot read or place is dropped.
    ///
    /// # Errors
    /// Those of str0m, which mean that the peer is unusable.
    pub fn receive(
        &mut self,
        now: Instant,
        source: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), RtcError> {
        self.now = now;
        match self.light.as_mut().map_or(Verdict::Stack, |light| light.take(datagram)) {
            Verdict::Stack => {}
            Verdict::Heard(heard) => return self.heard(heard),
            Verdict::Refused => return Ok(()),
            Verdict::Forged => {
                self.stats.forged += 1;
                return Ok(());
            }
        }
        let Ok(contents) = datagram.try_into() else { return Ok(()) };
        let receive = Receive { proto: Protocol::Udp, source, destination: self.address, contents };
        let input = Input::Receive(now, receive);
        if self.rtc.accepts(&input) {
            self.rtc.handle_input(input)?;
            self.drain()?;
        }
        Ok(())
    }

    /// Takes out everything str0m has to say. It holds one received packet at a time, so this
    /// must follow each input.
    fn drain(&mut self) -> Result<(), RtcError> {
        loop {
            match self.rtc.poll_output()? {
                str0m::Output::Transmit(transmit) => self.outgoing.push_back(transmit),
                str0m::Output::Event(event) => self.event(event),
                str0m::Output::Timeout(at) => {
                    let due = self.sources.iter().filter_map(|s| s.2.due()).min();
                    self.wait = due.map_or(at, |due| due.min(at));
                    self.stats.closed |= !self.rtc.is_alive();
                    return Ok(());
                }
            }
        }
    }

    /// The next thing to do; call until it says to wait.
    ///
    /// # Errors
    /// Those of str0m, which mean that the peer is unusable.
    pub fn poll(&mut self, now: Instant) -> Result<Output, RtcError> {
        self.now = now;
        if self.outgoing.is_empty() {
            if now >= self.wait {
                self.produce(now);
                self.rtc.handle_input(Input::Timeout(now))?;
            }
            self.drain()?;
        }
        Ok(match self.outgoing.pop_front() {
            Some(transmit) => Output::Transmit(transmit),
            None => Output::Wait(self.wait),
        })
    }

    /// Writes the frames that are due.
    fn produce(&mut self, now: Instant) {
        let stamp = Stamp(now.saturating_duration_since(self.epoch).as_nanos() as u64);
        for (mid, rid, source) in &mut self.sources {
            while source.is_due(now) {
                self.written.clear();
                let began = source.write(now, stamp, &mut self.written);
                let kind = source.kind();
                let Some(pt) = super::negotiation::payload_type(&self.rtc, *mid) else { continue };
                let mut direct = self.rtc.direct_api();
                let Some(stream) = direct.stream_tx_by_mid(*mid, *rid) else { continue };
                let sent = self.stats.sent.entry(name(*mid, *rid)).or_default();
                sent.frames += u64::from(began.is_some());
                sent.skipped += source.take_skipped();
                sent.keyframes += u64::from(began == Some(true));
                for packet in self.written.drain(..) {
                    sent.packets += 1;
                    sent.bytes += packet.payload.len() as u64;
                    stream.write_rtp(write(pt, packet, now, kind));
                }
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Connected => self.stats.connected = true,
            Event::IceConnectionStateChange(state) => self.ice_state(state),
            Event::RtpPacket(packet) => self.rtp(&packet),
            Event::KeyframeRequest(request) => self.keyframe_request(request),
            Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. }) => {
                let count = self.stats.remb.map_or(0, |(_, count)| count);
                self.stats.remb = Some((estimate.as_u64(), count + 1));
            }
            Event::RawPacket(raw) => {
                if let RawPacket::RtcpRx(rtcp) = *raw {
                    if self.stats.rtcp.len() >= self.config.keep_rtcp {
                        self.stats.rtcp.pop_front();
                    }
                    self.stats.rtcp.push_back(rtcp);
                }
            }
            Event::ChannelOpen(id, label) => {
                self.stats.channels.push(label.clone());
                self.channels.push((id, label));
            }
            Event::ChannelData(data) if Stamp::read(&data.data).is_some() => {
                self.stats.stamped += 1;
                if let Some(Stamp(sent)) = Stamp::read(&data.data) {
                    let now = self.now.saturating_duration_since(self.epoch).as_nanos() as u64;
                    self.stats.latency_us.saturating_record(now.saturating_sub(sent) / 1000);
                }
            }
            Event::ChannelData(data) if self.stats.messages.len() < MESSAGES => {
                let label = self.channels.iter().find(|(id, _)| *id == data.id);
                let label = label.map(|(_, label)| label.clone()).unwrap_or_default();
                let (binary, bytes) = (data.binary, data.data);
                self.stats.messages.push_back(Message { label, binary, bytes });
            }
            Event::ChannelClose(id) => {
                if let Some(at) = self.channels.iter().position(|(have, _)| *have == id) {
                    let (_, label) = self.channels.remove(at);
                    self.stats.channels.retain(|have| *have != label);
                }
            }
            Event::Closed => self.stats.closed = true,
            _ => {}
        }
    }

    fn ice_state(&mut self, state: IceConnectionState) {
        if state.is_connected() && !self.stats.ice.is_connected() {
            self.stats.ice_connections += 1;
        }
        self.stats.ice = state;
    }

    fn rtp(&mut self, packet: &RtpPacket) {
        let ssrc = packet.header.ssrc;
        let placed = self.rtc.direct_api().stream_rx(&ssrc).map(|s| (s.mid(), s.rid()));
        let Some((mid, rid)) = placed else { return };
        let video = self.rtc.media(mid).is_some_and(|m| m.kind() == MediaKind::Video);
        if let Some(Stamp(sent)) = Stamp::read(&packet.payload) {
            let now = packet.timestamp.saturating_duration_since(self.epoch).as_nanos() as u64;
            let delay = now.saturating_sub(sent) / 1000;
            self.stats.latency_us.saturating_record(delay);
            if video && packet.header.marker {
                self.stats.frame_us.saturating_record(delay);
            }
        }
        let received = self.stats.received.entry(name(mid, rid)).or_default();
        received.take(packet, video, self.config.keep_headers);
    }

    /// A packet of a light receiver, which is named after its payload type.
    fn heard(&mut self, heard: Heard) -> Result<(), RtcError> {
        let known = self.tracks.iter().position(|track| track.ssrc == heard.ssrc);
        let at = match known {
            Some(at) => at,
            None => {
                let codecs = self.rtc.codec_config().params();
                let media = codecs.iter().find(|params| *params.pt() == heard.payload_type);
                // What is no media, padding on a retransmission stream say, no source has sent.
                let Some(media) = media else { return Ok(()) };
                let video = media.spec().codec.is_video();
                let key = (heard.payload_type.to_string(), heard.ssrc.to_string());
                self.tracks.push(Track { ssrc: heard.ssrc, video, key });
                self.tracks.len() - 1
            }
        };
        let Some(Track { video, key, .. }) = self.tracks.get(at) else { return Ok(()) };
        let video = *video;
        self.stats.sampled += u64::from(heard.opened);
        if let Some(sent) = heard.sent {
            let delay = delay_us(sent, self.epoch, self.now);
            self.stats.latency_us.saturating_record(delay);
            if video && heard.marker {
                self.stats.frame_us.saturating_record(delay);
            }
        }
        match self.stats.received.get_mut(key) {
            Some(received) => received.hear(&heard, video),
            None => {
                let received = self.stats.received.entry(key.clone()).or_default();
                received.hear(&heard, video);
            }
        }
        Ok(())
    }

    fn keyframe_request(&mut self, request: KeyframeRequest) {
        let sent = self.stats.sent.entry(name(request.mid, request.rid)).or_default();
        match request.kind {
            KeyframeRequestKind::Pli => sent.plis += 1,
            KeyframeRequestKind::Fir => sent.firs += 1,
        }
        let asked = self.sources.iter_mut().filter(|s| s.0 == request.mid && s.1 == request.rid);
        asked.for_each(|(_, _, source)| source.request_keyframe());
    }
}

fn name(mid: Mid, rid: Option<Rid>) -> (String, String) {
    (mid.to_string(), rid.map(|rid| rid.to_string()).unwrap_or_default())
}

fn write(pt: str0m::media::Pt, packet: Written, now: Instant, kind: MediaKind) -> RtpWrite {
    let audio = kind == MediaKind::Audio;
    let levels = ExtensionValues {
        audio_level: audio.then_some(-30),
        voice_activity: audio.then_some(true),
        ..ExtensionValues::default()
    };
    RtpWrite::new(pt, packet.seq.into(), packet.timestamp, now, packet.payload)
        .marker(packet.marker)
        .nackable(!audio)
        .ext_vals(levels)
}
