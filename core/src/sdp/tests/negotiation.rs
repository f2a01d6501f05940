//! What offers and answers come to.

use super::super::*;
use super::*;
use crate::codec::Codec;
use crate::dtls::FingerprintHash;
use crate::media::LayerSsrc;
use crate::rtp::PayloadType;

fn pt(n: u8) -> PayloadType {
    PayloadType::new(n).expect("below 128")
}

fn negotiated(text: &str, edit: impl FnOnce(&mut Vec<LineAnswer>)) -> Negotiated {
    let offer = parse(text);
    let answer = echo(&offer, edit);
    read_remote(&offer, &answer, &ReadOptions::first(SdpType::Offer)).expect("usable")
}

#[test]
fn chromium_offer_comes_to_opus_vp8_and_data() {
    let n = negotiated(CHROMIUM, |_| {});
    assert_eq!((n.remote.credentials.ufrag.as_str(), n.remote.trickle), ("8hhY", true));
    assert_eq!(n.remote.fingerprint.as_ref().map(|f| f.digest().len()), Some(32));
    assert_eq!(n.remote.setup, Setup::Actpass);
    let [audio, video, data] = n.lines.as_slice() else { panic!("three lines") };
    assert_eq!(audio.main_codec().map(|c| (c.codec, c.pt, c.channels)), {
        Some((Some(Codec::Opus), pt(111), 2))
    });
    assert!(audio.send && audio.receive && audio.transport_cc && !audio.nack);
    assert_eq!(audio.streams, [LayerSsrc { ssrc: Ssrc(2_655_508_255), rtx: None }]);
    assert_eq!(video.payload_type(Codec::Vp8), Some(pt(96)));
    assert_eq!(video.rtx, [Rtx { pt: pt(97), apt: pt(96) }]);
    assert!(video.nack && video.transport_cc && video.rids.is_empty());
    let stream = LayerSsrc { ssrc: Ssrc(1_544_246_180), rtx: Some(Ssrc(3_106_451_417)) };
    assert_eq!(video.streams, [stream]);
    assert_eq!(video.extensions.get(Extension::RepairedRid), Some(11));
    assert_eq!(video.extensions.get(Extension::TransmissionOffset), None);
    assert_eq!(
        data.data,
        Some(NegotiatedData {
            sctp_port: 5000,
            legacy: false,
            max_send: 262_144,
            max_receive: 262_144,
        })
    );
    assert_eq!(n.extensions().get(Extension::AudioLevel), Some(1));
    assert_eq!(n.extensions().get(Extension::VideoOrientation), Some(13));
}

#[test]
fn refused_lines_come_to_nothing() {
    let n = negotiated(ODDITIES, |_| {});
    let accepted: Vec<_> = n.lines.iter().map(|line| line.accepted).collect();
    assert_eq!(accepted, [true, false, true, false, false, false, true]);
    assert_eq!(n.lines[1].kind, Kind::Other);
    assert!(n.lines[5].codecs.is_empty() && !n.lines[5].receive);
    // The session says recvonly, so on the last line we only send; on the first it is sendrecv.
    assert_eq!((n.lines[6].send, n.lines[6].receive), (true, false));
    assert_eq!((n.lines[0].send, n.lines[0].receive), (true, true));
    assert_eq!(n.lines[0].main_codec().map(|c| c.clock_hz), Some(8000));
    assert_eq!(n.remote.setup, Setup::Active);
}

#[test]
fn rids_are_ordered_by_layer() {
    let offer = parse(CHROMIUM_RIDS);
    let answer = echo(&offer, |_| {});
    let rids = |rid_order| {
        let options = ReadOptions { rid_order, ..ReadOptions::first(SdpType::Offer) };
        let n = read_remote(&offer, &answer, &options).expect("usable");
        assert!(n.lines[1].streams.is_empty());
        n.lines[1].rids.clone()
    };
    assert_eq!(rids(RidOrder::HighToLow), ["l", "m", "h"]);
    assert_eq!(rids(RidOrder::LowToHigh), ["h", "m", "l"]);
    let lines = simulcast_offers(&offer, RidOrder::HighToLow);
    let streams =
        SimulcastStreams::Rids { rids: vec!["h".into(), "m".into(), "l".into()], extension_id: 10 };
    assert_eq!(lines, [SimulcastOffer { mindex: 1, mid: "1".into(), streams }]);
}

#[test]
fn ssrcs_are_the_fallback_when_the_plugin_does_not_take_rids() {
    let refuse = |lines: &mut Vec<LineAnswer>| {
        lines[1].extensions.retain(|e| *e != Extension::Rid);
    };
    let n = negotiated(FIREFOX_RIDS, refuse);
    assert!(n.lines[1].rids.is_empty());
    let stream = LayerSsrc { ssrc: Ssrc(3_313_142_087), rtx: Some(Ssrc(2_774_911_083)) };
    assert_eq!(n.lines[1].streams, [stream]);
    assert_eq!(negotiated(FIREFOX_RIDS, |_| {}).lines[1].rids, ["l", "m", "h"]);
}

#[test]
fn sim_group_gives_three_layers_with_rtx() {
    let n = negotiated(CHROMIUM_SIM, |_| {});
    let layers: Vec<_> = n.lines[1].streams.iter().map(|s| (s.ssrc.0, s.rtx)).collect();
    let rtx = |n| Some(Ssrc(n));
    assert_eq!(layers, [(1001, rtx(2001)), (1002, rtx(2002)), (1003, rtx(2003))]);
    let lines = simulcast_offers(&parse(CHROMIUM_SIM), RidOrder::HighToLow);
    let ssrcs = SimulcastStreams::Ssrcs(vec![Ssrc(1001), Ssrc(1002), Ssrc(1003)]);
    assert_eq!(lines.first().map(|line| &line.streams), Some(&ssrcs));
}

#[test]
fn an_answer_to_our_offer_comes_to_what_it_kept() {
    let mut offer = Offer::new("VideoRoom 1", 1);
    let mut audio = OfferLine::sending(Codec::Opus, pt(111));
    audio.extensions = vec![(Extension::AudioLevel, 1), (Extension::Mid, 4)];
    let mut video = OfferLine::sending(Codec::Vp8, pt(96));
    video.extensions =
        vec![(Extension::AbsSendTime, 2), (Extension::TransportCc, 3), (Extension::Mid, 4)];
    offer.add(audio);
    offer.add(video);
    offer.add(OfferLine::data());
    let offer = offer.build();
    let answer = parse(CHROMIUM_ANSWER);
    let n = read_remote(&answer, &offer, &ReadOptions::first(SdpType::Answer)).expect("usable");
    assert_eq!(n.remote.setup, Setup::Active);
    let video = &n.lines[1];
    assert_eq!((video.send, video.receive, video.nack), (true, false, true));
    assert_eq!(video.rtx, [Rtx { pt: pt(97), apt: pt(96) }]);
    assert!(video.transport_cc && video.streams.is_empty());
    assert_eq!(video.codecs.len(), 1);
    assert!(n.lines[2].accepted);
    // Extensions the answer adds on its own do not count.
    assert_eq!(n.lines[0].extensions.iter().count(), 2);
}

#[test]
fn aiortc_brings_its_candidates_and_several_fingerprints() {
    let n = negotiated(AIORTC, |_| {});
    assert_eq!(n.remote.candidates.len(), 2);
    assert!(n.remote.candidates[0].starts_with("candidate:1e2f3a4b5c6d7e8f 1 udp"));
    assert!(n.remote.end_of_candidates && !n.remote.trickle);
    let fingerprint = n.remote.fingerprint.expect("sha-256 is among them");
    assert_eq!((fingerprint.hash(), fingerprint.digest()[0]), (FingerprintHash::Sha256, 0x5C));
    assert_eq!(
        n.lines[2].data,
        Some(NegotiatedData {
            sctp_port: 5000,
            legacy: true,
            max_send: 65_536,
            max_receive: 262_144,
        })
    );
}

#[test]
fn a_stopped_first_line_lends_the_transport_to_the_next() {
    let stopped = "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:x\r\n";
    let text = GSTREAMER.replacen("m=video", &format!("{stopped}m=video"), 1);
    let n = negotiated(&text, |_| {});
    assert!(n.remote.credentials.ufrag.starts_with("wB0y"));
    assert_eq!(n.lines.iter().map(|l| l.accepted).collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn missing_transport_is_465_first_and_469_later() {
    let without = |attribute: &str| {
        let prefix = format!("a={attribute}:");
        let lines = CHROMIUM.split_inclusive('\n').filter(|line| !line.starts_with(&prefix));
        parse(&lines.collect::<String>())
    };
    let bad = [
        without("ice-ufrag"),
        without("ice-pwd"),
        without("fingerprint"),
        parse(&CHROMIUM.replace("sha-256 A1:", "sha-512 A1:")),
        parse(&CHROMIUM.replace("sha-256 A1:", "sha-256 ZZ:")),
        parse(&CHROMIUM.replace("a=msid:5f7d1a2c-8f0e-4a55-9f6e-5b0c1f6f0001 ", "a=msid:")),
    ];
    for sdp in bad {
        let first = Remote::read(&sdp, false, true).expect_err("refused");
        assert_eq!((first.code(false), first.to_string().as_str()), (465, "Error processing SDP"));
        let later = Remote::read(&sdp, true, true).expect_err("refused");
        assert_eq!(later.code(true), 469);
    }
}

#[test]
fn setup_without_value_is_refused_once() {
    let sdp = parse(&CHROMIUM.replacen("a=setup:actpass", "a=setup:", 1));
    let error = Remote::read(&sdp, false, true).expect_err("refused");
    assert_eq!((error.code(false), error.to_string().as_str()), (465, ""));
    assert_eq!(Remote::read(&sdp, true, true).map(|r| r.setup), Ok(Setup::Actpass));
}

#[test]
fn firefox_keeps_the_direction_forms_of_its_extensions() {
    let answer = echoed(FIREFOX);
    let maps: Vec<_> = answer.media[1].values("extmap").map(str::to_owned).collect();
    assert!(maps.contains(&format!("6/sendonly {}", Extension::PlayoutDelay.uri())));
    let n = negotiated(FIREFOX, |_| {});
    assert_eq!(n.lines[1].extensions.get(Extension::PlayoutDelay), Some(6));
    assert_eq!(n.lines[0].msid.as_ref().map(|m| m.stream.len()), Some(38));
}

#[test]
fn a_shard_is_told_what_was_agreed() {
    let n = negotiated(CHROMIUM_RECVONLY, |_| {});
    let line = n.lines[1].to_line(Ssrc(7), Ssrc(8)).expect("accepted");
    assert_eq!((&*line.mid, line.ssrc, line.rtx_ssrc), ("1", Ssrc(7), Some(Ssrc(8))));
    assert!(line.receive.is_none());
    let send = line.send.expect("the peer receives");
    assert_eq!(send.payloads.len(), 1);
    assert_eq!((send.payloads[0].pt, send.payloads[0].rtx_pt), (96, Some(97)));
    assert_eq!(send.extensions.get(Extension::Mid), Some(4));
    let rids = negotiated(CHROMIUM_RIDS, |_| {});
    let receive = rids.lines[1].to_line(Ssrc(7), Ssrc(8)).and_then(|line| line.receive);
    assert_eq!(receive.map(|r| r.rids.join(" ")).as_deref(), Some("l m h"));
    let audio = n.lines[0].to_line(Ssrc(1), Ssrc(2)).expect("accepted");
    assert_eq!(audio.rtx_ssrc, None);
    let odd = negotiated(ODDITIES, |_| {});
    assert_eq!(odd.lines[1].to_line(Ssrc(1), Ssrc(2)), None);
}

#[test]
fn offers_taken_from_clients_come_to_opus_vp8_and_data() {
    for (text, opus, vp8) in
        [(CHROMIUM_156, 111, 96), (FIREFOX_153, 109, 120), (AIORTC_116, 96, 97)]
    {
        let n = negotiated(text, |_| {});
        assert!(n.lines.iter().all(|line| line.accepted && line.send && line.receive));
        assert_eq!(n.lines[0].payload_type(Codec::Opus), Some(pt(opus)));
        assert_eq!(n.lines[1].payload_type(Codec::Vp8), Some(pt(vp8)));
        assert_eq!(n.lines[1].rtx.len(), 1);
        assert!(n.lines[1].streams.iter().all(|stream| stream.rtx.is_some()));
        assert!(n.lines[2].data.is_some());
    }
    for text in [CHROMIUM_156_RIDS, FIREFOX_153_RIDS] {
        assert_eq!(negotiated(text, |_| {}).lines[1].rids, ["l", "m", "h"]);
    }
}

/// The offer the captured answers were made to: one line for each codec, a line without source,
/// data; aiortc got the codecs it knows only.
fn room_offer(codecs: &[(Codec, u8)]) -> Sdp {
    let mut offer = Offer::new("VideoRoom 1", 1);
    for (codec, n) in codecs {
        let mut line = OfferLine::sending(*codec, pt(*n));
        line.extensions = vec![(Extension::TransportCc, 3), (Extension::Mid, 4)];
        offer.add(line);
    }
    if let Some(line) = offer.lines.last_mut() {
        line.direction = Direction::Inactive;
    }
    offer.add(OfferLine::data());
    offer.build()
}

#[test]
fn answers_taken_from_clients_are_read() {
    use Codec::{Av1, H264, H265, Opus, Vp8, Vp9};
    let all = [(Opus, 111), (Vp8, 96), (Vp9, 101), (H264, 107), (Av1, 98), (H265, 100), (Vp8, 96)];
    let basic = [(Opus, 111), (Vp8, 96), (H264, 107), (Vp8, 96)];
    // Chromium built without H.265, Firefox without H.264 and H.265 refuse those lines.
    let cases: [(&str, &[_], &[usize]); 3] = [
        (CHROMIUM_156_ANSWER, &all, &[5]),
        (FIREFOX_153_ANSWER, &all, &[3, 5]),
        (AIORTC_116_ANSWER, &basic, &[]),
    ];
    for (text, codecs, refused) in cases {
        let offer = room_offer(codecs);
        let options = ReadOptions::first(SdpType::Answer);
        let n = read_remote(&parse(text), &offer, &options).expect("usable");
        assert_eq!(n.remote.setup, Setup::Active);
        for (mindex, (line, (codec, _))) in n.lines.iter().zip(codecs).enumerate() {
            let live = !refused.contains(&mindex);
            assert_eq!(line.accepted, live, "{mindex}");
            assert_eq!(line.send, live && mindex + 1 < codecs.len(), "{mindex}");
            assert_eq!(line.rtx.len(), usize::from(live && codec.is_video()), "{mindex}");
        }
        assert!(n.lines.last().is_some_and(|line| line.data.is_some()));
    }
}
