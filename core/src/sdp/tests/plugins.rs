//! What plugins see and write, and the core's lines around it.

use super::super::*;
use super::*;
use crate::codec::Codec;
use crate::rtp::PayloadType;

fn pt(n: u8) -> PayloadType {
    PayloadType::new(n).expect("below 128")
}

fn chosen(text: &str, mindex: usize, edit: impl FnOnce(&mut LineAnswer)) -> Option<Chosen> {
    let seen = anonymise(&parse(text));
    let mut answer = Answer::for_offer(&seen);
    edit(&mut answer.lines[mindex]);
    answer.chosen(mindex)
}

#[test]
fn plugins_see_no_transport() {
    for (name, text) in ALL {
        let seen = anonymise(&parse(text)).to_string();
        let hidden = [
            "ice-",
            "fingerprint",
            "setup",
            "candidate",
            "ssrc:",
            "ssrc-group",
            "rid:",
            "simulcast:",
            "rtx",
            "apt=",
            "ulpfec",
            "flexfec",
            "red/90000",
            "rtcp:",
            "rtcp-mux",
            "rtcp-rsize",
            "sctp-port",
            "sctpmap",
            "max-message-size",
            "a=group",
            "msid-semantic",
            "10.77.0.2",
            "192.0.2.1",
        ];
        for word in hidden {
            assert!(!seen.contains(word), "{word} is shown of {name}");
        }
        assert!(seen.lines().all(|line| !line.is_empty()));
    }
    let seen = anonymise(&parse(CHROMIUM));
    assert!(seen.to_string().contains("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"));
    assert!(!seen.media[1].payload_types().contains(&pt(97)));
    assert!(seen.media[0].msid().is_some());
    assert_eq!(seen.origin(), parse(CHROMIUM).origin());
}

#[test]
fn session_direction_is_written_on_each_line() {
    let seen = anonymise(&parse(ODDITIES));
    assert_eq!(seen.media[0].explicit_direction(), Some(Direction::SendRecv));
    assert_eq!(seen.media[6].explicit_direction(), Some(Direction::RecvOnly));
    assert!(seen.session.iter().all(|line| !line.is_attr("recvonly")));
}

#[test]
fn codec_follows_preference_and_request() {
    let of = |codecs: &[Codec]| {
        chosen(CHROMIUM, 1, |line| line.codecs = codecs.to_vec()).and_then(|c| c.codec)
    };
    assert_eq!(of(&[]), Some((Codec::Vp8, pt(96))));
    assert_eq!(of(&[Codec::H264]), Some((Codec::H264, pt(103))));
    assert_eq!(of(&[Codec::Vp9, Codec::Vp8]), Some((Codec::Vp9, pt(98))));
    assert_eq!(of(&[Codec::Opus]), None);
    let aiortc = chosen(AIORTC, 1, |line| line.codecs = vec![Codec::Av1, Codec::Vp9]);
    assert_eq!(aiortc, None);
    let pcma = chosen(ODDITIES, 0, |line| line.codecs = vec![Codec::Pcma]);
    assert_eq!(pcma.and_then(|c| c.codec), Some((Codec::Pcma, pt(8))));
}

#[test]
fn profiles_pick_the_payload_type_and_keep_its_parameters() {
    let h264 = chosen(CHROMIUM, 1, |line| {
        line.codecs = vec![Codec::H264];
        line.h264_profile = Some("42E01F".into());
    });
    let h264 = h264.expect("offered");
    assert_eq!(h264.codec, Some((Codec::H264, pt(109))));
    assert_eq!(h264.h264_profile.as_deref(), Some("42e01f"));
    assert!(h264.fmtp.is_some_and(|f| f.contains("packetization-mode=1")));
    let vp9 = |profile: &str| {
        let edit = |line: &mut LineAnswer| {
            line.codecs = vec![Codec::Vp9];
            line.vp9_profile = Some(profile.into());
        };
        chosen(CHROMIUM, 1, edit).and_then(|c| c.codec)
    };
    assert_eq!(vp9("2"), Some((Codec::Vp9, pt(100))));
    assert_eq!(vp9("7"), Some((Codec::Vp9, pt(98))));
}

#[test]
fn opus_parameters_are_those_offered_and_allowed() {
    let fmtp = |text, opus| chosen(text, 0, |line| line.opus = opus).and_then(|c| c.fmtp);
    assert_eq!(fmtp(CHROMIUM, OpusParameters::ALL).as_deref(), Some("useinbandfec=1"));
    assert_eq!(fmtp(FIREFOX, OpusParameters::ALL).as_deref(), Some("useinbandfec=1;stereo=1"));
    let stereo = OpusParameters { stereo: true, ..OpusParameters::default() };
    assert_eq!(fmtp(FIREFOX, stereo).as_deref(), Some("stereo=1"));
    assert_eq!(fmtp(FIREFOX, OpusParameters::default()), None);
}

#[test]
fn opus_red_comes_first_and_dtmf_last() {
    let answer = answered(CHROMIUM, |lines| {
        (lines[0].opus_red, lines[0].dtmf) = (true, true);
    });
    let audio = &answer.media[0];
    let types: Vec<_> = audio.payload_types().iter().map(|pt| pt.get()).collect();
    assert_eq!(types, [63, 111, 126]);
    assert_eq!(audio.fmtp(pt(63)), Some("111/111"));
    assert_eq!(audio.rtpmap(pt(126)).map(|m| m.encoding), Some("telephone-event/8000"));
    let plain = echoed(CHROMIUM);
    assert_eq!(plain.media[0].payload_types(), [pt(111)]);
}

#[test]
fn answer_direction_is_limited_by_the_offer() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let cases = [
        (SendRecv, SendRecv, SendRecv),
        (SendRecv, RecvOnly, RecvOnly),
        (SendOnly, SendRecv, RecvOnly),
        (RecvOnly, SendRecv, SendOnly),
        (RecvOnly, RecvOnly, Inactive),
        (Inactive, SendRecv, Inactive),
    ];
    for (offered, wanted, expected) in cases {
        let text = CHROMIUM.replace("a=sendrecv", &format!("a={offered}"));
        let got = chosen(&text, 0, |line| line.direction = wanted).map(|c| c.direction);
        assert_eq!(got, Some(expected), "{offered} {wanted}");
    }
    let inactive = answered(CHROMIUM, |lines| lines[1].verdict = Verdict::Inactive);
    assert_eq!(inactive.media[1].direction(), Inactive);
    assert_eq!((inactive.media[1].port(), inactive.bundle().len()), (9, 3));
    // Inactive lines of an answer keep their SSRC, but name no stream and no repair.
    assert_eq!(inactive.media[1].ssrcs(), [Ssrc(1001)]);
    assert_eq!(inactive.media[1].msid(), None);
}

#[test]
fn recvonly_answers_keep_an_ssrc_and_an_msid() {
    let answer = answered(CHROMIUM, |lines| {
        lines.iter_mut().for_each(|line| line.direction = Direction::RecvOnly);
    });
    assert_eq!(answer.media[1].direction(), Direction::RecvOnly);
    assert_eq!(answer.media[1].ssrcs(), [Ssrc(1001)]);
    assert_eq!(answer.media[1].value("msid"), Some("janus janus1"));
    assert_eq!(answer.media[1].value("ssrc-group"), None);
}

#[test]
fn data_is_refused_unless_the_plugin_takes_it() {
    let offer = parse(CHROMIUM);
    let seen = anonymise(&offer);
    let plugin = Answer::for_offer(&seen).build();
    assert_eq!(plugin.media[2].port(), 0);
    let done = parse(&complete(&plugin, &completion(Some(&offer), &[], &[])));
    assert_eq!(done.media[2].head().formats, ["webrtc-datachannel"]);
    assert_eq!(done.bundle(), ["0", "1"]);
}

#[test]
fn an_offer_of_a_room_is_completed() {
    let mut offer = Offer::new("VideoRoom 1234", 2);
    let mut video = OfferLine::sending(Codec::Vp8, pt(96));
    video.msid = Some(Msid::new("publisher 7", "1"));
    video.extensions = vec![(Extension::TransportCc, 3), (Extension::Mid, 4), (Extension::Rid, 10)];
    let mut gone = OfferLine::sending(Codec::Vp9, pt(101));
    gone.direction = Direction::Inactive;
    gone.msid = Some(Msid::new("publisher 7", "1"));
    offer.add(OfferLine::sending(Codec::Opus, pt(111)));
    offer.add(video);
    offer.add(gone);
    let offer = offer.build();
    let mut table = RtxTable::new();
    let rtx = table.for_offer(&offer);
    let lines: Vec<_> = (0..)
        .zip(rtx)
        .map(|(i, rtx)| LineCompletion::offering(Ssrc(10 + i), Ssrc(20 + i), rtx))
        .collect();
    let sdp = parse(&complete(&offer, &completion(None, &[], &lines)));
    assert_eq!(sdp.bundle(), ["0", "1", "2"]);
    assert_eq!(sdp.media[0].value("msid"), Some("janus janus0"));
    assert_eq!(sdp.media[1].value("msid"), Some("publisher-7 1"));
    assert_eq!(sdp.media[1].value("ssrc-group"), Some("FID 11 21"));
    assert_eq!(sdp.media[1].rtx(), [Rtx { pt: pt(97), apt: pt(96) }]);
    assert!(sdp.media[1].has_feedback(pt(96), "transport-cc"));
    let ids: Vec<_> = sdp.media[1].extmaps().map(|map| map.id).collect();
    assert_eq!(ids, [3, 4]);
    assert_eq!((sdp.media[2].port(), sdp.media[2].direction()), (9, Direction::Inactive));
    assert!(sdp.media[2].ssrcs().is_empty() && sdp.media[2].msid().is_none());
}

#[test]
fn rtx_types_never_meet_a_codec_and_never_move() {
    let offer = |codecs: &[(Codec, u8)]| {
        let mut offer = Offer::new("", 1);
        for (codec, n) in codecs {
            offer.add(OfferLine::sending(*codec, pt(*n)));
        }
        offer.build()
    };
    let mut table = RtxTable::new();
    let first = table.for_offer(&offer(&[(Codec::H265, 100)]));
    // 101 is free in this offer, but it is VP9's in the next.
    assert_eq!(first, [vec![Rtx { pt: pt(102), apt: pt(100) }]]);
    let both = table.for_offer(&offer(&[(Codec::H265, 100), (Codec::Vp9, 101)]));
    assert_eq!(both[0], first[0]);
    assert_eq!(both[1], [Rtx { pt: pt(108), apt: pt(101) }]);
    let wrapped = RtxTable::new().for_offer(&offer(&[(Codec::Vp8, 127)]));
    assert_eq!(wrapped, [vec![Rtx { pt: pt(97), apt: pt(127) }]]);
    assert_eq!(RtxTable::new().for_offer(&offer(&[(Codec::Opus, 111)])), [vec![]]);
}

#[test]
fn a_plugin_cannot_speak_for_the_core() {
    let offer = parse(CHROMIUM);
    let mut plugin = echo(&offer, |_| {});
    for name in ["ice-ufrag", "candidate", "ssrc", "fingerprint"] {
        plugin.media[0].push_attr(name, "sneaky");
    }
    plugin.media[0].push(Line::new('b', "AS:64"));
    plugin.media[0].push_attr("ptime", "20");
    plugin.media.truncate(1);
    let text = complete(&plugin, &completion(Some(&offer), &[], &[]));
    assert!(!text.contains("sneaky"));
    assert!(text.contains("c=IN IP4 198.51.100.7\r\nb=AS:64\r\na=sendrecv\r\n"));
    assert!(text.contains("a=ptime:20\r\n"));
    // Lines it forgot are refused.
    assert_eq!(parse(&text).media.iter().map(Media::port).collect::<Vec<_>>(), [9, 0, 0]);
}
