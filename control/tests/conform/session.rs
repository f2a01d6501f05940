//! A call of a [`Wire`] with EchoTest: offers line by line, packets byte by byte.

use crate::call::{PATIENCE, jsep};
use crate::client::{Ws, merged};
use crate::target::Target;
use crate::wire::Wire;
use bifrons_core::media::PeerStatistics;
use bifrons_core::rtp::Packet;
use bifrons_core::srtp::SrtpProfile;
use serde_json::{Value, json};

/// Extension ids of every offer here.
pub(crate) const MID: u8 = 1;

/// An offered line.
pub(crate) struct Offered {
    /// `audio`, `video`, or `vp9` for a video line whose codec stands in `more`.
    pub(crate) kind: &'static str,
    /// `sendrecv` or the like.
    pub(crate) direction: &'static str,
    /// More attribute lines.
    pub(crate) more: String,
}

/// An audio line with these attributes beside the usual ones.
pub(crate) fn audio(more: &str) -> Offered {
    Offered { kind: "audio", direction: "sendrecv", more: more.to_owned() }
}

/// A video line with these attributes beside the usual ones.
pub(crate) fn video(more: &str) -> Offered {
    Offered { kind: "video", direction: "sendrecv", more: more.to_owned() }
}

const AUDIO: &str = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";

const VIDEO: &str = "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
    a=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 transport-cc\r\n";

/// A handle and its peer.
pub(crate) struct Session {
    pub(crate) ws: Ws,
    pub(crate) at: (u64, u64),
    pub(crate) wire: Wire,
    /// The last answer.
    pub(crate) answer: String,
    version: u64,
    /// Offers without encryption.
    pub(crate) plain: bool,
    /// Offers to be the DTLS server, so that ours begins the handshake.
    pub(crate) passive: bool,
}

impl Session {
    /// A handle and a peer that has offered nothing yet.
    pub(crate) async fn prepare(target: &Target) -> Self {
        Self::with_profiles(target, &SrtpProfile::PREFERENCE).await
    }

    /// As [`Session::prepare`], with SRTP profiles of its own.
    pub(crate) async fn with_profiles(target: &Target, profiles: &[SrtpProfile]) -> Self {
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        Self::between(ws, at, Wire::bind(profiles).await)
    }

    /// A handle and a peer of the test's own making.
    pub(crate) fn between(ws: Ws, at: (u64, u64), wire: Wire) -> Self {
        Session { ws, at, wire, answer: String::new(), version: 0, plain: false, passive: false }
    }

    /// A call that is up.
    pub(crate) async fn start(target: &Target, lines: &[Offered]) -> Self {
        let mut session = Self::prepare(target).await;
        session.offer(lines).await;
        session.up().await;
        session
    }

    /// Offers, and takes the answer.
    pub(crate) async fn offer(&mut self, lines: &[Offered]) {
        self.offer_with(lines, &json!({})).await;
    }

    /// As [`Session::offer`], with more fields in its jsep.
    pub(crate) async fn offer_with(&mut self, lines: &[Offered], extra: &Value) {
        let sdp = self.sdp(lines);
        let request = json!({"janus": "message", "body": {"audio": true, "video": true},
            "jsep": merged(jsep(&sdp), extra)});
        let ack = self.ws.on(self.at, request).await;
        assert_eq!(ack["janus"], "ack", "{ack}");
        let event = self.event_where("an answer", |event| event.get("jsep").is_some()).await;
        self.answer = event["jsep"]["sdp"].as_str().expect("an SDP").to_owned();
        self.wire.accept(&self.answer);
    }

    /// Waits for both ends to be up.
    pub(crate) async fn up(&mut self) {
        self.wire.up().await;
        self.event_where("webrtcup", |event| event["janus"] == "webrtcup").await;
    }

    fn sdp(&mut self, lines: &[Offered]) -> String {
        self.version += 1;
        let mids: Vec<_> = (0..lines.len()).map(|index| index.to_string()).collect();
        let mut sdp = format!(
            "v=0\r\no=- 1 {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n",
            self.version,
            mids.join(" ")
        );
        for (mid, line) in mids.iter().zip(lines) {
            let (kind, payloads, codec) = match line.kind {
                "audio" => ("audio", "111", AUDIO),
                "vp9" => ("video", "96", ""),
                _ if line.more.contains(" rtx/") => ("video", "96 97", VIDEO),
                _ => ("video", "96", VIDEO),
            };
            sdp += &format!(
                "m={kind} 9 UDP/TLS/RTP/SAVPF {payloads}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n\
                 a=rtcp-mux\r\na={}\r\n{}{codec}\
                 a=extmap:{MID} urn:ietf:params:rtp-hdrext:sdes:mid\r\n{}",
                line.direction,
                self.wire.transport_lines(),
                line.more,
            );
        }
        if self.plain {
            let secret = |line: &&str| line.contains("fingerprint:") || line.contains("setup:");
            let lines: Vec<_> = sdp.lines().filter(|line| !secret(line)).collect();
            sdp = (lines.join("\r\n") + "\r\n").replace("UDP/TLS/RTP/SAVPF", "RTP/AVPF");
        }
        if self.passive { sdp.replace("a=setup:actpass", "a=setup:passive") } else { sdp }
    }

    /// The next event that fits; those before it are let go.
    pub(crate) async fn event_where(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.ws.event_within(PATIENCE).await;
            let event = event.unwrap_or_else(|| panic!("no event in time: {what}"));
            if fits(&event) {
                return event;
            }
        }
    }

    /// The next `media` event.
    pub(crate) async fn media_event(&mut self) -> Value {
        self.event_where("media", |event| event["janus"] == "media").await
    }

    /// Changes EchoTest's settings.
    pub(crate) async fn change(&mut self, body: Value) {
        let ack = self.ws.on(self.at, json!({"janus": "message", "body": body})).await;
        let transaction = ack["transaction"].clone();
        self.event_where("ok", move |event| event["transaction"] == transaction).await;
    }

    /// Asks the shard how the peer does, until it is as wanted.
    pub(crate) async fn measured<R>(
        &self,
        target: &Target,
        wanted: impl Fn(&PeerStatistics) -> Option<R>,
    ) -> R {
        let at = self.at;
        let key = target.front().with(|core, _| core.handle_key(at.0, at.1)).expect("a handle");
        for _ in 0..200 {
            let measured = target.front().peer_statistics(key, PATIENCE).await.expect("an answer");
            if let Some(found) = wanted(&measured) {
                return found;
            }
        }
        panic!("never measured as wanted");
    }
}

/// An RTP packet with its mid, if there is one.
pub(crate) fn rtp(pt: u8, seq: u16, ssrc: u32, mid: Option<u8>, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![if mid.is_some() { 0x90 } else { 0x80 }, pt];
    packet.extend(seq.to_be_bytes());
    packet.extend((u32::from(seq) * 3000).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    if let Some(mid) = mid {
        packet.extend([0xBE, 0xDE, 0, 1, MID << 4, b'0' + mid, 0, 0]);
    }
    packet.extend(payload);
    packet
}

/// A VP8 frame in one packet (RFC 7741 §4.2, RFC 6386 §9.1) that ends with `tag`.
pub(crate) fn frame(keyframe: bool, tag: u8) -> Vec<u8> {
    let inter = u8::from(!keyframe);
    vec![0x10, inter, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01, 0, 0, 0, tag]
}

/// The payload of a packet.
pub(crate) fn payload(packet: &[u8]) -> &[u8] {
    Packet::parse(packet).expect("RTP").payload()
}
