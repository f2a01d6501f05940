//! Which layers EchoTest sends back, and what it says of them (plugin-echotest checklist).

use crate::session::{Offered, Session, audio, frame, payload, rtp, video};
use crate::target::{Target, run};
use crate::wire::Came;
use bifrons_core::rtp::Packet;
use serde_json::{Value, json};
use std::time::Duration;

/// The plugin's data in an event.
fn data(event: &Value) -> &Value {
    &event["plugindata"]["data"]
}

/// Substreams, best first, and the SSRCs their group announces.
const SUBSTREAMS: [u32; 3] = [22, 21, 20];

/// A call that offers three substreams by SSRC, and what it sent so far.
struct Simulcast {
    session: Session,
    /// Pictures sent; each is a packet of every substream.
    sent: u16,
}

impl Simulcast {
    /// Up, and the best substream comes back.
    async fn start(target: &Target) -> Self {
        let group = "a=ssrc-group:SIM 20 21 22\r\na=ssrc:20 cname:x\r\na=ssrc:21 cname:x\r\n\
                     a=ssrc:22 cname:x\r\n";
        let lines = [audio("a=ssrc:1 cname:x\r\n"), video(group)];
        let session = Session::start(target, &lines).await;
        let mut call = Simulcast { session, sent: 0 };
        call.pictures(10, true).await;
        call.session.event_where("the best", |event| data(event)["substream"] == 2).await;
        call
    }

    /// Sends pictures 10 ms apart, keyframes or not, and waits until the last one is back. A
    /// payload ends with its substream's SSRC and the picture's number.
    async fn pictures(&mut self, count: u16, keyframes: bool) {
        for _ in 0..count {
            self.sent += 1;
            for ssrc in SUBSTREAMS {
                let mut body = frame(keyframes, ssrc as u8);
                body.push(self.sent as u8);
                let packet = rtp(96, self.sent, ssrc, None, &body);
                self.session.wire.send_rtp(&packet, self.sent.into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let last = self.sent as u8;
        let arrived = move |came: &Came| {
            let mut numbers = came.rtp.iter().map(|(_, bytes)| payload(bytes).last().copied());
            numbers.any(|number| number == Some(last)).then_some(())
        };
        self.session.wire.until_came("the last picture", arrived).await;
    }
}

#[test]
fn echotest_13_a_wished_for_substream_comes_with_a_keyframe() {
    run(async {
        let target = Target::with_media().await;
        let mut call = Simulcast::start(&target).await;
        call.session.change(json!({"substream": 0})).await;
        // Without a keyframe nothing changes.
        call.pictures(5, false).await;
        let tags = |call: &Simulcast| {
            let came = call.session.wire.came();
            let tag = |bytes| payload(bytes).iter().rev().nth(1).copied().expect("a tag");
            came.rtp.iter().map(|(_, bytes)| tag(bytes)).collect()
        };
        let before: Vec<u8> = tags(&call);
        assert!(before.iter().all(|tag| *tag == 22), "{before:?}");
        call.pictures(1, true).await;
        let told = call.session.event_where("the least", |event| data(event)["substream"] == 0);
        let told = told.await;
        assert_eq!(data(&told)["videocodec"], "vp8", "{told}");
        assert!(data(&told)["temporal"].is_i64() && told.get("transaction").is_none(), "{told}");
        call.pictures(10, false).await;
        let after: Vec<u8> = tags(&call);
        assert_eq!(after[..before.len()], before);
        // The picture with the keyframes holds the way down: what flowed, what is between, the least.
        let fresh = &after[before.len()..];
        assert!(fresh.is_sorted_by(|a, b| a >= b), "{fresh:?}");
        assert!(fresh.iter().filter(|tag| **tag == 20).count() >= 10, "{fresh:?}");
        let came = call.session.wire.came();
        let packets: Vec<_> =
            came.rtp.iter().map(|(_, bytes)| Packet::parse(bytes).expect("RTP")).collect();
        for pair in packets.windows(2) {
            assert_eq!(pair[0].ssrc(), pair[1].ssrc());
            assert_eq!(pair[1].seq().0, pair[0].seq().0.wrapping_add(1), "a gap");
            let ahead = pair[1].timestamp().wrapping_sub(pair[0].timestamp());
            assert!(ahead < 90_000, "time jumps by {ahead}");
        }
    });
}

#[test]
fn echotest_14_a_substream_that_flows_is_confirmed_first() {
    run(async {
        let target = Target::with_media().await;
        let mut call = Simulcast::start(&target).await;
        let session = &mut call.session;
        assert_eq!(session.ws.ask(json!({"janus": "ping"})).await["janus"], "pong");
        while session.ws.kept_event().is_some() {}
        let body = json!({"substream": 2});
        let ack = session.ws.on(session.at, json!({"janus": "message", "body": body})).await;
        assert_eq!(ack["janus"], "ack", "{ack}");
        let first = session.event_where("something", |event| event["janus"] == "event").await;
        let want = json!({"echotest": "event", "videocodec": "vp8", "substream": 2});
        assert_eq!(*data(&first), want, "{first}");
        let second = session.event_where("ok", |event| event["janus"] == "event").await;
        assert_eq!(second["transaction"], ack["transaction"], "{second}");
        assert_eq!(data(&second)["result"], "ok");
    });
}

#[test]
fn echotest_23_a_stream_without_temporal_layers_shows_minus_one() {
    run(async {
        let target = Target::with_media().await;
        // None of its packets has a picture id, let alone a temporal layer.
        let mut call = Simulcast::start(&target).await;
        call.session.change(json!({"substream": 1})).await;
        call.pictures(2, true).await;
        let event =
            call.session.event_where("a layer", |event| data(event)["substream"] == 1).await;
        assert_eq!(data(&event)["temporal"], -1, "{event}");
        assert_eq!(data(&event)["videocodec"], "vp8");
    });
}

const VP9: &str = "a=rtpmap:96 VP9/90000\r\na=fmtp:96 profile-id=0\r\na=rtcp-fb:96 nack\r\n\
    a=rtcp-fb:96 nack pli\r\na=ssrc:2 cname:x\r\n";

/// One layer frame of VP9 in non-flexible mode (RFC 9628 §4.2), two spatial layers announced with
/// each keyframe.
fn vp9(picture: u8, spatial: u8) -> Vec<u8> {
    let key = picture.is_multiple_of(8);
    let temporal = if key { 0 } else { picture & 1 };
    let structure = key && spatial == 0;
    // I, L, B and E; P in all but keyframes; V with the structure.
    let lead = 0xAC | u8::from(!key) << 6 | u8::from(structure) << 1;
    let layer = temporal << 5 | 0x10 | spatial << 1 | u8::from(spatial > 0);
    let mut payload = vec![lead, picture & 0x7F, layer, picture / 2];
    if structure {
        // Two spatial layers, neither sizes nor a picture group.
        payload.push(0x20);
    }
    payload.extend([0x82, 0x49, 0x83, 0x42, picture, spatial]);
    payload
}

/// Sends `count` pictures of two spatial layers each.
async fn pictures(session: &Session, first: u8, count: u8) {
    for picture in first..first + count {
        for spatial in 0..2 {
            let number = u16::from(picture) * 2 + u16::from(spatial) + 1;
            let mut packet = rtp(96, number, 2, None, &vp9(picture, spatial));
            // Both layers of a picture share its time, and the last one ends it.
            packet[4..8].copy_from_slice(&(u32::from(picture) * 3000).to_be_bytes());
            packet[1] |= spatial << 7;
            session.wire.send_rtp(&packet, number.into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn echotest_15_layers_of_svc_are_told_by_their_names() {
    run(async {
        let target = Target::with_media().await;
        let mut session = Session::prepare(&target).await;
        let lines = [
            audio("a=ssrc:1 cname:x\r\n"),
            Offered { kind: "vp9", direction: "sendrecv", more: VP9.to_owned() },
        ];
        let svc = json!({"svc": [{"mindex": 1, "mid": "1", "svc": "L2T2"}]});
        session.offer_with(&lines, &svc).await;
        session.up().await;
        pictures(&session, 0, 24).await;
        let event =
            session.event_where("the upper layer", |event| data(event)["spatial_layer"] == 1).await;
        assert_eq!(data(&event)["videocodec"], "vp9", "{event}");
        assert!(data(&event)["temporal_layer"].is_i64(), "{event}");
        assert!(data(&event).get("substream").is_none(), "{event}");
        session.change(json!({"spatial_layer": 0})).await;
        pictures(&session, 24, 24).await;
        let event =
            session.event_where("the lower layer", |event| data(event)["spatial_layer"] == 0).await;
        assert!(event.get("transaction").is_none(), "{event}");
    });
}
