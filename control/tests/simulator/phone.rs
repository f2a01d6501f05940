//! A client's PeerConnection with real descriptions: str0m in RTP mode.

use super::net::Datagram;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};

/// See the module.
pub(crate) struct Phone {
    pub(crate) address: SocketAddr,
    rtc: Rtc,
    pending: Option<SdpPendingOffer>,
    sends: Option<Mid>,
    number: u64,
    next_us: u64,
    pub(crate) connected: bool,
    pub(crate) due: Option<Instant>,
    /// When packets came, on which line, under which number, and what the sender wrote into them.
    pub(crate) got: Vec<(u64, Mid, u64, u64)>,
}

impl Phone {
    pub(crate) fn new(index: u8, now: Instant) -> Self {
        let address = SocketAddr::from(([10, 3, 0, index], 40_000));
        let config = Rtc::builder().clear_codecs().enable_opus(true, false).set_rtp_mode(true);
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a host candidate"));
        Phone {
            address,
            rtc,
            pending: None,
            sends: None,
            number: 0,
            next_us: 0,
            connected: false,
            due: Some(now),
            got: Vec::new(),
        }
    }

    /// Offers to send audio (and to hear it, if `both`).
    pub(crate) fn offer(&mut self, both: bool) -> String {
        let direction = if both { Direction::SendRecv } else { Direction::SendOnly };
        let mut api = self.rtc.sdp_api();
        self.sends = Some(api.add_media(MediaKind::Audio, direction, None, None, None));
        let (offer, pending) = api.apply().expect("a change");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    pub(crate) fn answered(&mut self, sdp: &str) {
        let answer = SdpAnswer::from_sdp_string(sdp).expect("an answer");
        let pending = self.pending.take().expect("an offer is out");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("an acceptable answer");
    }

    pub(crate) fn answer(&mut self, sdp: &str) -> String {
        let offer = SdpOffer::from_sdp_string(sdp).expect("an offer");
        self.rtc.sdp_api().accept_offer(offer).expect("an acceptable offer").to_sdp_string()
    }

    /// When it wants to speak next.
    pub(crate) fn next_us(&self) -> Option<u64> {
        (self.connected && self.sends.is_some()).then_some(self.next_us)
    }

    pub(crate) fn receive(&mut self, now: Instant, datagram: &Datagram) {
        let Datagram { from, to, bytes } = datagram;
        if let Ok(receive) = Receive::new(Protocol::Udp, *from, *to, bytes) {
            self.rtc.handle_input(Input::Receive(now, receive)).expect("takes a datagram");
        }
        self.due = Some(now);
    }

    pub(crate) fn poll(&mut self, now: Instant, now_us: u64) -> Vec<Datagram> {
        let mut out = Vec::new();
        self.rtc.handle_input(Input::Timeout(now)).expect("time passes");
        self.speak(now, now_us);
        loop {
            match self.rtc.poll_output().expect("output") {
                Output::Timeout(at) => {
                    self.due = Some(at.max(now + Duration::from_micros(100)));
                    return out;
                }
                Output::Transmit(sent) => out.push(Datagram {
                    from: sent.source,
                    to: sent.destination,
                    bytes: sent.contents.to_vec(),
                }),
                Output::Event(event) => self.event(now_us, event),
            }
        }
    }

    fn event(&mut self, now_us: u64, event: Event) {
        match event {
            Event::Connected => {
                self.connected = true;
                self.next_us = now_us;
            }
            Event::RtpPacket(packet) => {
                let mut api = self.rtc.direct_api();
                let stream = api.stream_rx(&packet.header.ssrc).expect("a known stream");
                let mid = stream.mid();
                let number: [u8; 8] = packet.payload[1..9].try_into().expect("eight bytes");
                self.got.push((now_us, mid, *packet.seq_no, u64::from_be_bytes(number)));
            }
            _ => {}
        }
    }

    fn speak(&mut self, now: Instant, now_us: u64) {
        let Some(mid) = self.sends.filter(|_| self.connected) else { return };
        while self.next_us <= now_us {
            self.next_us += 20_000;
            let mut payload = vec![0xfc];
            payload.extend(self.number.to_be_bytes());
            payload.resize(80, 7);
            let time = self.number as u32 * 960;
            let write = RtpWrite::new(111.into(), self.number.into(), time, now, payload);
            let mut api = self.rtc.direct_api();
            api.stream_tx_by_mid(mid, None).expect("a sending line").write_rtp(write);
            self.number += 1;
        }
        self.rtc.handle_input(Input::Timeout(now)).expect("time passes");
    }
}
