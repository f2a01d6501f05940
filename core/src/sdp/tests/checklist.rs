//! Lines of the `webrtc-behaviour` conformance checklist.

use super::super::*;
use super::*;
use crate::codec::Codec;

fn accepted(sdp: &Sdp) -> impl Iterator<Item = &Media> {
    sdp.media.iter().filter(|media| media.port() != 0)
}

#[test]
fn webrtc_01_bundle_lists_accepted_mids() {
    assert_eq!(echoed(CHROMIUM).bundle(), ["0", "1", "2"]);
    let without_audio = answered(CHROMIUM, |lines| lines[0].verdict = Verdict::Reject);
    assert_eq!(without_audio.bundle(), ["1", "2"]);
    assert_eq!(echoed(GSTREAMER).bundle(), ["video0", "audio1"]);
    let none = answered(CHROMIUM, |lines| {
        lines.iter_mut().for_each(|line| line.verdict = Verdict::Reject);
    });
    assert_eq!(none.value("group"), None);
}

#[test]
fn webrtc_02_accepted_lines_have_transport_and_mid() {
    for (name, text) in ALL {
        let answer = echoed(text);
        for media in accepted(&answer).filter(|media| media.kind().is_rtp()) {
            assert!(media.has("rtcp-mux"), "{name}");
            assert_eq!(media.value("ice-ufrag"), Some("oUr1"), "{name}");
            assert_eq!(media.value("ice-pwd"), Some("ourpasswordourpassword"), "{name}");
            assert!(media.setup().is_some() && media.mid().is_some(), "{name}");
            assert_eq!(media.port(), 9, "{name}");
        }
    }
}

#[test]
fn webrtc_03_half_trickle_candidates_stand_on_every_accepted_line() {
    let answer = answered(CHROMIUM, |lines| lines[1].verdict = Verdict::Reject);
    for (mindex, media) in answer.media.iter().enumerate() {
        let expected = usize::from(mindex != 1);
        assert_eq!(media.candidates().count(), expected);
        assert_eq!(media.has("end-of-candidates"), mindex != 1);
    }
    let offer = parse(CHROMIUM);
    let plugin = echo(&offer, |_| {});
    let trickled = complete(&plugin, &completion(Some(&offer), &[], &[]));
    assert!(!trickled.contains("candidate"));
}

#[test]
fn webrtc_04_trickle_always_and_lite_only_in_lite_mode() {
    let answer = echoed(CHROMIUM);
    assert_eq!(answer.value("ice-options"), Some("trickle"));
    assert!(accepted(&answer).all(|media| media.value("ice-options") == Some("trickle")));
    assert!(!answer.ice_lite());
    let offer = parse(CHROMIUM);
    let plugin = echo(&offer, |_| {});
    let lite = Completion { ice_lite: true, ..completion(Some(&offer), &[], &[]) };
    assert!(parse(&complete(&plugin, &lite)).ice_lite());
}

#[test]
fn webrtc_05_actpass_is_answered_active_and_active_passive() {
    assert!(accepted(&echoed(CHROMIUM)).all(|m| m.setup() == Some(Setup::Active)));
    let active = CHROMIUM.replace("a=setup:actpass", "a=setup:active");
    assert!(accepted(&echoed(&active)).all(|m| m.setup() == Some(Setup::Passive)));
    assert_eq!(Setup::from_token("holdconn").ours(), Setup::Active);
}

#[test]
fn webrtc_06_server_offers_carry_actpass() {
    let mut offer = Offer::new("VideoRoom 1234", 3);
    offer.add(OfferLine::sending(Codec::Vp8, crate::rtp::PayloadType::new(96).unwrap()));
    offer.add(OfferLine::data());
    let sdp = parse(&complete(&offer.build(), &completion(None, &[], &[])));
    assert_eq!(sdp.media.len(), 2);
    assert!(sdp.media.iter().all(|media| media.setup() == Some(Setup::Actpass)));
    assert_eq!(sdp.origin(), Origin { session_id: 77, version: 3 });
    assert_eq!(sdp.name(), "VideoRoom 1234");
}

#[test]
fn webrtc_07_fingerprint_is_sha256_upper_case_and_session_level() {
    let answer = echoed(FIREFOX);
    let expected = format!("sha-256 {}", FINGERPRINT.to_uppercase());
    assert_eq!(answer.value("fingerprint"), Some(expected.as_str()));
    assert!(answer.media.iter().all(|media| !media.has("fingerprint")));
}

#[test]
fn webrtc_11_rejected_lines_keep_their_place() {
    let answer = echoed(ODDITIES);
    let ports: Vec<_> = answer.media.iter().map(Media::port).collect();
    assert_eq!(ports, [9, 0, 9, 0, 0, 0, 9]);
    assert_eq!(answer.media[1].head().media, "text");
    assert_eq!(answer.media[4].protocol(), "UDP/BFCP");
    for (mindex, media) in answer.media.iter().enumerate().filter(|(_, m)| m.port() == 0) {
        let text = media.to_string();
        let expected = format!("c=IN IP4 198.51.100.7\r\na=inactive\r\na=mid:{mindex}\r\n");
        assert_eq!(text.split_once("\r\n").map(|(_, rest)| rest), Some(expected.as_str()));
    }
    assert_eq!(answer.bundle(), ["0", "2", "6"]);
}

#[test]
fn webrtc_12_bundle_only_with_port_0_is_accepted() {
    for (text, mindex) in [(CHROMIUM_BUNDLE_ONLY, 1), (GSTREAMER, 1)] {
        assert_eq!(parse(text).media[mindex].port(), 0);
        let answer = echoed(text);
        assert_eq!(answer.media[mindex].port(), 9);
        assert!(!answer.media[mindex].has("bundle-only"));
    }
}

#[test]
fn webrtc_13_second_data_line_is_rejected() {
    let answer = echoed(ODDITIES);
    assert_eq!((answer.media[2].port(), answer.media[3].port()), (9, 0));
    // The core holds the rule too, whatever the plugin wrote.
    let offer = parse(ODDITIES);
    let greedy = parse(ODDITIES);
    let sdp = parse(&complete(&greedy, &completion(Some(&offer), &[], &[])));
    assert_eq!((sdp.media[2].port(), sdp.media[3].port()), (9, 0));
}

#[test]
fn webrtc_14_data_lines_are_answered_in_the_offered_form() {
    let modern = &echoed(CHROMIUM).media[2];
    assert_eq!(modern.value("sctp-port"), Some("5000"));
    assert!(!modern.has("sctpmap") && modern.value("max-message-size") == Some("262144"));
    let legacy = &echoed(AIORTC).media[2];
    assert_eq!(legacy.value("sctpmap"), Some("5000 webrtc-datachannel 16"));
    assert!(!legacy.has("sctp-port"));
    assert!(legacy.to_string().starts_with("m=application 9 DTLS/SCTP 5000\r\n"));
}

#[test]
fn webrtc_15_one_codec_with_its_rtx_and_fid() {
    let video = &echoed(CHROMIUM).media[1];
    let names: Vec<_> = video.rtpmaps().map(|map| map.name).collect();
    assert_eq!(names, ["VP8", "rtx"]);
    let types: Vec<_> = video.payload_types().iter().map(|pt| pt.get()).collect();
    assert_eq!(types, [96, 97]);
    assert_eq!(video.value("ssrc-group"), Some("FID 1001 2001"));
    assert_eq!(video.values("ssrc").collect::<Vec<_>>(), ["1001 cname:janus", "2001 cname:janus"]);

    // No RTX SSRC named by the offer: the payload type, but no FID.
    let rids = &echoed(&CHROMIUM_RIDS.replace("a=sendonly", "a=sendrecv")).media[1];
    assert_eq!(rids.rtx().len(), 1);
    assert_eq!((rids.value("ssrc-group"), rids.value("ssrc")), (None, Some("1001 cname:janus")));

    // No NACK for the codec: no RTX at all.
    let no_nack = CHROMIUM.replace("a=rtcp-fb:96 nack\r\n", "");
    assert_eq!(echoed(&no_nack).media[1].payload_types().len(), 1);
    // A wildcard counts.
    assert_eq!(echoed(ODDITIES).media[6].rtx().len(), 1);
}

#[test]
fn webrtc_16_fec_never_appears_in_answers() {
    for (name, text) in ALL {
        let answer = echoed(text).to_string().to_lowercase();
        for word in ["ulpfec", "flexfec", "red/90000"] {
            assert!(!answer.contains(word), "{word} in the answer to {name}");
        }
    }
}

#[test]
fn webrtc_17_dependency_descriptor_only_for_av1_and_vp9() {
    let uri = Extension::DependencyDescriptor.uri();
    let with = |codec| {
        let answer = answered(CHROMIUM, |lines| lines[1].codecs = vec![codec]);
        answer.media[1].extmaps().any(|map| map.uri == uri)
    };
    assert!(with(Codec::Av1) && with(Codec::Vp9));
    assert!(!with(Codec::Vp8) && !with(Codec::H264) && !with(Codec::H265));
}

#[test]
fn webrtc_18_transport_cc_only_with_its_extension() {
    let pt = |n| crate::rtp::PayloadType::new(n).unwrap();
    let with = echoed(CHROMIUM);
    assert!(with.media[0].has_feedback(pt(111), "transport-cc"));
    assert!(with.media[1].has_feedback(pt(96), "transport-cc"));
    let without = answered(CHROMIUM, |lines| {
        for line in lines {
            line.extensions.retain(|e| *e != Extension::TransportCc);
        }
    });
    assert!(!without.to_string().contains("transport-cc"));
    let feedback: Vec<_> = without.media[1].feedback().map(|fb| fb.value.to_owned()).collect();
    assert_eq!(feedback, ["ccm fir", "nack", "nack pli", "goog-remb"]);
}

#[test]
fn webrtc_19_rid_simulcast_is_mirrored() {
    let video = &echoed(CHROMIUM_RIDS).media[1];
    assert_eq!(video.values("rid").collect::<Vec<_>>(), ["h recv", "m recv", "l recv"]);
    assert_eq!(video.value("simulcast"), Some("recv h;~m;l"));
    let legacy = &echoed(FIREFOX_RIDS).media[1];
    assert_eq!(legacy.values("rid").collect::<Vec<_>>(), ["h recv", "m recv", "l recv"]);
    assert!(legacy.to_string().contains("a=simulcast: recv rid=h;m;l\r\n"));
    let refused = answered(CHROMIUM_RIDS, |lines| {
        lines[1].extensions.retain(|e| *e != Extension::Rid);
    });
    assert!(!refused.media[1].has("rid") && !refused.media[1].has("simulcast"));
}

#[test]
fn webrtc_41_long_or_empty_mid_is_465_with_empty_reason() {
    for mid in ["a=mid:12345678901234567", "a=mid:", "a=mid"] {
        let sdp = parse(&CHROMIUM.replacen("a=mid:1", mid, 1));
        for renegotiation in [false, true] {
            let error = Remote::read(&sdp, renegotiation, true).expect_err("refused");
            assert_eq!((error.code(renegotiation), error.to_string().as_str()), (465, ""));
        }
    }
    let sixteen = parse(&CHROMIUM.replacen("a=mid:1", "a=mid:1234567890123456", 1));
    assert!(Remote::read(&sixteen, false, true).is_ok());
}

#[test]
fn webrtc_44_without_encryption_plain_avpf() {
    let offer = parse(&ODDITIES.replace("a=fingerprint", "a=x-fingerprint"));
    assert!(Remote::read(&offer, false, false).is_ok_and(|r| r.fingerprint.is_none()));
    let plugin = echo(&offer, |_| {});
    let plain = Completion { fingerprint: None, ..completion(Some(&offer), &[], &[]) };
    let answer = parse(&complete(&plugin, &plain));
    assert_eq!(answer.media[0].protocol(), "RTP/AVPF");
    assert!(answer.media.iter().all(|media| !media.has("setup") && !media.has("fingerprint")));
    assert_eq!(answer.value("fingerprint"), None);
}

#[test]
fn webrtc_54_lines_without_mid_are_named_by_index() {
    let text: String = CHROMIUM
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("a=mid:") && !line.starts_with("a=group:"))
        .collect();
    let answer = echoed(&text);
    let mids: Vec<_> = answer.media.iter().filter_map(Media::mid).collect();
    assert_eq!(mids, ["0", "1", "2"]);
    assert_eq!(answer.bundle(), ["0", "1", "2"]);
    assert_eq!(answer.media[1].value("msid"), Some("janus janus1"));
}
