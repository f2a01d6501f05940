//! The other side: a PeerConnection of str0m in RTP mode, with a camera, a microphone and a log
//! of what came.

use super::net::Datagram;
use super::spec::{Spec, our_ssrc, rtx_of, their_ssrc};
use bifrons_core::dtls::{Fingerprint, FingerprintHash};
use bifrons_core::ice::{Candidate, Credentials, Transport};
use bifrons_core::media::MediaKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::Fingerprint as TheirFingerprint;
use str0m::ice::IceCreds;
use str0m::media::MediaKind as TheirKind;
use str0m::net::{Protocol, Receive};
use str0m::rtp::rtcp::Rtcp;
use str0m::rtp::{ExtensionValues, RawPacket, RtpHeader, RtpWrite};
use str0m::{Event, IceConnectionState, Input, Output, Rtc};

/// A packet that arrived at a client, retransmissions unwrapped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Got {
    pub(crate) at_us: u64,
    pub(crate) ssrc: u32,
    /// Extended sequence number on the client's leg.
    pub(crate) seq: u64,
    pub(crate) timestamp: u64,
    /// Which client's camera or microphone made it.
    pub(crate) author: u32,
    /// The how-manieth of that line it is.
    pub(crate) number: u64,
    pub(crate) keyframe: bool,
}

/// What feeds one publishing line.
#[derive(Clone, Debug)]
pub(crate) struct Camera {
    pub(crate) spec: Spec,
    pub(crate) mindex: u16,
    pub(crate) ssrc: u32,
    pub(crate) on: bool,
    /// Packets of a video frame.
    pub(crate) frame_packets: u64,
    pub(crate) period_us: u64,
    pub(crate) next_us: u64,
    /// Packets made so far.
    pub(crate) made: u64,
    frames: u64,
    pub(crate) keyframe_wanted: bool,
    /// Keyframes made.
    pub(crate) keyframes: u64,
    first_seq: u64,
}

impl Camera {
    fn new(client: usize, mindex: u16, spec: Spec, now_us: u64) -> Self {
        Camera {
            spec,
            mindex,
            ssrc: their_ssrc(client, mindex),
            on: true,
            frame_packets: if spec.kind == MediaKind::Video { 4 } else { 1 },
            period_us: if spec.kind == MediaKind::Video { 33_333 } else { 20_000 },
            next_us: now_us + 1_000 * client as u64,
            made: 0,
            frames: 0,
            keyframe_wanted: true,
            keyframes: 0,
            // Some begin where the 16 bits are about to run out.
            first_seq: if client.is_multiple_of(2) { 65_500 } else { 1_000 * client as u64 },
        }
    }
}

/// See the module.
pub(crate) struct Client {
    pub(crate) index: usize,
    pub(crate) address: SocketAddr,
    pub(crate) rtc: Rtc,
    pub(crate) due: Option<Instant>,
    pub(crate) cameras: Vec<Camera>,
    pub(crate) got: Vec<Got>,
    /// Every RTP header that arrived, as on the wire.
    pub(crate) headers: Vec<(u64, RtpHeader)>,
    pub(crate) rtcp: Vec<(u64, Rtcp)>,
    pub(crate) keyframe_requests: Vec<(u64, u16)>,
    pub(crate) ice: Vec<(u64, IceConnectionState)>,
    pub(crate) connected_us: Option<u64>,
    pub(crate) died_us: Option<u64>,
    /// Whether it is the DTLS client (`a=setup:active`).
    pub(crate) dtls_active: bool,
    /// Whether its DTLS records get lost.
    pub(crate) mute_dtls: bool,
    /// The label of the data channel it opens, if it has a data line.
    pub(crate) data_label: Option<&'static str>,
    /// Its open data channels.
    pub(crate) channels: Vec<(ChannelId, String)>,
    /// Messages that came: by label, binary or not.
    pub(crate) heard: Vec<(u64, String, bool, Vec<u8>)>,
}

impl Client {
    pub(crate) fn new(index: usize, start: Instant, specs: &[Spec], now_us: u64) -> Self {
        let address = SocketAddr::from(([10, 1, (index >> 8) as u8, index as u8], 40_000));
        let mut config = Rtc::builder()
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .set_rtp_mode(true)
            .enable_raw_packets(true);
        let _ = config.codec_config();
        let now = start + std::time::Duration::from_micros(now_us);
        let mut rtc = config.build(now);
        let host = str0m::Candidate::host(address, "udp").expect("a host candidate");
        rtc.add_local_candidate(host);
        let mut client = Client {
            index,
            address,
            rtc,
            due: Some(now),
            cameras: Vec::new(),
            got: Vec::new(),
            headers: Vec::new(),
            rtcp: Vec::new(),
            keyframe_requests: Vec::new(),
            ice: Vec::new(),
            connected_us: None,
            died_us: None,
            dtls_active: true,
            mute_dtls: false,
            data_label: None,
            channels: Vec::new(),
            heard: Vec::new(),
        };
        for (mindex, &spec) in specs.iter().enumerate() {
            client.add_line(mindex as u16, spec, now_us);
        }
        client
    }

    /// Declares a line; its camera runs from then on.
    pub(crate) fn add_line(&mut self, mindex: u16, spec: Spec, now_us: u64) {
        let kind = match spec.kind {
            MediaKind::Audio => TheirKind::Audio,
            _ => TheirKind::Video,
        };
        let mid = mindex.to_string().as_str().into();
        let (ours, theirs) = (our_ssrc(self.index, mindex), their_ssrc(self.index, mindex));
        let mut api = self.rtc.direct_api();
        api.declare_media(mid, kind);
        if spec.twcc {
            api.enable_twcc_feedback();
        }
        let rtx = |ssrc: u32| spec.rtx.then(|| rtx_of(ssrc).into());
        if spec.watches {
            let stream = api.expect_stream_rx(ours.into(), rtx(ours), mid, None);
            stream.suppress_nack(!spec.nack);
        }
        if spec.publishes {
            api.declare_stream_tx(theirs.into(), rtx(theirs), mid, None);
            self.cameras.push(Camera::new(self.index, mindex, spec, now_us));
        }
    }

    /// What its SDP would say about the transport.
    pub(crate) fn credentials(&mut self) -> Credentials {
        let ours = self.rtc.direct_api().local_ice_credentials();
        Credentials { ufrag: ours.ufrag, pwd: ours.pass }
    }

    pub(crate) fn fingerprint(&mut self) -> Fingerprint {
        let api = self.rtc.direct_api();
        let digest = &api.local_dtls_fingerprint().bytes;
        Fingerprint::new(FingerprintHash::Sha256, digest).expect("a SHA-256 digest")
    }

    pub(crate) fn candidate(&self) -> Candidate {
        Candidate::host(self.address, Transport::Udp, 0)
    }

    /// Takes the server's answer: controlling, and active in DTLS.
    pub(crate) fn answer(&mut self, server: SocketAddr, ours: &Credentials, print: Fingerprint) {
        let candidate = str0m::Candidate::host(server, "udp").expect("a host candidate");
        self.rtc.add_remote_candidate(candidate);
        let bytes = hex(&print.to_string());
        let mut api = self.rtc.direct_api();
        api.set_ice_controlling(true);
        api.set_remote_ice_credentials(creds(ours));
        api.set_remote_fingerprint(TheirFingerprint { hash_func: "sha-256".into(), bytes });
        api.start_dtls(self.dtls_active).expect("DTLS begins");
        if let Some(label) = self.data_label {
            api.start_sctp(self.dtls_active);
            let config = ChannelConfig { label: label.to_owned(), ..ChannelConfig::default() };
            api.create_data_channel(config);
        }
    }

    /// It answered our offer.
    pub(crate) fn set_controlled(&mut self) {
        self.rtc.direct_api().set_ice_controlling(false);
    }

    /// An ICE restart on the client's side; returns its new credentials.
    pub(crate) fn restart(&mut self, server: SocketAddr, ours: &Credentials) -> Credentials {
        let fresh = IceCreds::new();
        let mut api = self.rtc.direct_api();
        api.set_local_ice_credentials(fresh.clone());
        api.set_remote_ice_credentials(creds(ours));
        let candidate = str0m::Candidate::host(server, "udp").expect("a host candidate");
        self.rtc.add_remote_candidate(candidate);
        Credentials { ufrag: fresh.ufrag, pwd: fresh.pass }
    }

    /// Takes a datagram; returns what it sends.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        now_us: u64,
        datagram: &Datagram,
    ) -> Vec<Datagram> {
        let Datagram { from, to, bytes } = datagram;
        let mut out = Vec::new();
        let Ok(receive) = Receive::new(Protocol::Udp, *from, *to, bytes) else { return out };
        // A dead one says so; `drain` sees it.
        let _ = self.rtc.handle_input(Input::Receive(now, receive));
        self.drain(now, now_us, &mut out);
        out
    }

    /// Lets time pass; returns what it sends.
    pub(crate) fn poll(&mut self, now: Instant, now_us: u64) -> Vec<Datagram> {
        let mut out = Vec::new();
        let _ = self.rtc.handle_input(Input::Timeout(now));
        self.film(now, now_us);
        self.drain(now, now_us, &mut out);
        out
    }

    /// All that str0m has to say: it wants to be asked after every input.
    fn drain(&mut self, now: Instant, now_us: u64, out: &mut Vec<Datagram>) {
        loop {
            if !self.rtc.is_alive() {
                self.died_us.get_or_insert(now_us);
                self.due = None;
                return;
            }
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    // A closed one would like to be asked again at once, for ever.
                    self.due = Some(at.max(now + Duration::from_micros(100)));
                    return;
                }
                Ok(Output::Transmit(sent))
                    if self.mute_dtls && matches!(sent.contents.first(), Some(20..=63)) => {}
                Ok(Output::Transmit(sent)) => out.push(Datagram {
                    from: sent.source,
                    to: sent.destination,
                    bytes: sent.contents.to_vec(),
                }),
                Ok(Output::Event(event)) => self.event(now_us, event),
                Err(_) => self.rtc.disconnect(),
            }
        }
    }

    /// When its next packet is to be made.
    pub(crate) fn next_frame_us(&self) -> Option<u64> {
        if self.connected_us.is_none() || self.died_us.is_some() {
            return None;
        }
        self.cameras.iter().filter(|c| c.on).map(|camera| camera.next_us).min()
    }

    fn film(&mut self, now: Instant, now_us: u64) {
        if self.connected_us.is_none() || !self.rtc.is_alive() {
            return;
        }
        for camera in &mut self.cameras {
            camera.next_us = camera.next_us.max(self.connected_us.unwrap_or(0));
            while camera.on && camera.next_us <= now_us {
                shoot(&mut self.rtc, self.index, camera, now);
                camera.next_us += camera.period_us;
            }
        }
        // What was written is only handed out after time was told.
        let _ = self.rtc.handle_input(Input::Timeout(now));
    }

    fn event(&mut self, now_us: u64, event: Event) {
        match event {
            Event::Connected => self.connected_us = Some(now_us),
            Event::IceConnectionStateChange(state) => self.ice.push((now_us, state)),
            Event::KeyframeRequest(request) => {
                let mindex = request.mid.to_string().parse().expect("mids are numbers");
                self.keyframe_requests.push((now_us, mindex));
                for camera in self.cameras.iter_mut().filter(|c| c.mindex == mindex) {
                    camera.keyframe_wanted = true;
                }
            }
            Event::RtpPacket(packet) => {
                let Some((keyframe, author, number)) = read_payload(&packet.payload) else {
                    panic!("client {}: payload arrived damaged", self.index)
                };
                self.got.push(Got {
                    at_us: now_us,
                    ssrc: *packet.header.ssrc,
                    seq: *packet.seq_no,
                    timestamp: packet.time.numer(),
                    author,
                    number,
                    keyframe,
                });
            }
            Event::ChannelOpen(id, label) => self.channels.push((id, label)),
            Event::ChannelData(data) => {
                let label = self.channels.iter().find(|(id, _)| *id == data.id);
                let label = label.map(|(_, label)| label.clone()).unwrap_or_default();
                self.heard.push((now_us, label, data.binary, data.data));
            }
            Event::RawPacket(packet) => match *packet {
                RawPacket::RtcpRx(rtcp) => self.rtcp.push((now_us, rtcp)),
                RawPacket::RtpRx(header, _) => self.headers.push((now_us, header)),
                RawPacket::RtcpTx(_) | RawPacket::RtpTx(..) => {}
            },
            _ => {}
        }
    }

    /// Sends a message on its own data channel; whether there was room for it.
    pub(crate) fn say(&mut self, binary: bool, bytes: &[u8]) -> bool {
        let own = self.channels.iter().find(|(_, label)| Some(label.as_str()) == self.data_label);
        let channel = own.map(|(id, _)| *id).and_then(|id| self.rtc.channel(id));
        channel.is_some_and(|mut channel| channel.write(binary, bytes).unwrap_or(false))
    }

    /// What arrived on a line.
    pub(crate) fn got_on(&self, mindex: u16) -> Vec<Got> {
        let ssrc = our_ssrc(self.index, mindex);
        self.got.iter().filter(|got| got.ssrc == ssrc).copied().collect()
    }
}

/// One frame, or one audio packet.
fn shoot(rtc: &mut Rtc, index: usize, camera: &mut Camera, now: Instant) {
    let video = camera.spec.kind == MediaKind::Video;
    let keyframe = video && std::mem::take(&mut camera.keyframe_wanted);
    camera.keyframes += u64::from(keyframe);
    let ticks = camera.frames * camera.period_us * u64::from(camera.spec.clock_hz()) / 1_000_000;
    camera.frames += 1;
    for part in 0..camera.frame_packets {
        let last = part + 1 == camera.frame_packets;
        let payload = write_payload(video, part == 0, keyframe, index, camera.made, last);
        let write = RtpWrite::new(
            camera.spec.pt().into(),
            (camera.first_seq + camera.made).into(),
            ticks as u32,
            now,
            payload,
        );
        let levels = ExtensionValues { audio_level: Some(-30), ..ExtensionValues::default() };
        let values = if video { ExtensionValues::default() } else { levels };
        // str0m answers a NACK on the rtx stream or not at all.
        let nackable = camera.spec.nack && camera.spec.rtx;
        let write = write.marker(last).nackable(nackable).ext_vals(values);
        let mut api = rtc.direct_api();
        let stream = api.stream_tx(&camera.ssrc.into()).expect("a declared stream");
        stream.write_rtp(write);
        camera.made += 1;
    }
}

/// Descriptor and header as the codec has them, then who and which.
fn write_payload(
    video: bool,
    start: bool,
    keyframe: bool,
    author: usize,
    number: u64,
    last: bool,
) -> Vec<u8> {
    let mut payload = Vec::with_capacity(1100);
    if video {
        // RFC 7741 §4.2-4.3: S on the first packet of a frame; P clear in a keyframe.
        payload.extend([if start { 0x10 } else { 0 }, u8::from(!keyframe)]);
        payload.extend([0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01]);
    } else {
        payload.extend([0xfc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    payload.extend((author as u32).to_be_bytes());
    payload.extend(number.to_be_bytes());
    payload.push(u8::from(keyframe && start));
    let len = match (video, last) {
        (true, false) => 1100,
        (true, true) => 300 + (number % 7) as usize * 50,
        _ => 90,
    };
    let check = number as u8;
    payload.resize(len, check);
    payload
}

/// Whether it is a keyframe's first packet, who made it, and the how-manieth it is; `None` if damaged.
pub(crate) fn read_payload(payload: &[u8]) -> Option<(bool, u32, u64)> {
    let (_, rest) = payload.split_at_checked(11)?;
    let (author, rest) = rest.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (keyframe, filling) = rest.split_first()?;
    let number = u64::from_be_bytes(*number);
    let whole = filling.iter().all(|&byte| byte == number as u8);
    whole.then_some((*keyframe == 1, u32::from_be_bytes(*author), number))
}

fn creds(ours: &Credentials) -> IceCreds {
    IceCreds { ufrag: ours.ufrag.clone(), pass: ours.pwd.clone() }
}

/// The digest in `sha-256 AB:CD…` or `AB:CD…`.
fn hex(text: &str) -> Vec<u8> {
    let digest = text.rsplit(' ').next().unwrap_or_default();
    digest.split(':').filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}
