//! Offers and answers of the peers we meet, and the lines of the `webrtc-behaviour` checklist
//! that pure SDP can show.

mod checklist;
mod negotiation;
mod plugins;
mod robustness;

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::rtp::{Extension, Ssrc};

pub(super) const CHROMIUM: &str = include_str!("../fixtures/chromium.sdp");
pub(super) const CHROMIUM_ANSWER: &str = include_str!("../fixtures/chromium_answer.sdp");
pub(super) const CHROMIUM_BUNDLE_ONLY: &str = include_str!("../fixtures/chromium_bundle_only.sdp");
pub(super) const CHROMIUM_RECVONLY: &str = include_str!("../fixtures/chromium_recvonly.sdp");
pub(super) const CHROMIUM_RIDS: &str = include_str!("../fixtures/chromium_simulcast.sdp");
pub(super) const CHROMIUM_SIM: &str = include_str!("../fixtures/chromium_simulcast_ssrc.sdp");
pub(super) const FIREFOX: &str = include_str!("../fixtures/firefox.sdp");
pub(super) const FIREFOX_RIDS: &str = include_str!("../fixtures/firefox_legacy_simulcast.sdp");
pub(super) const AIORTC: &str = include_str!("../fixtures/aiortc.sdp");
pub(super) const GSTREAMER: &str = include_str!("../fixtures/gstreamer.sdp");
pub(super) const ODDITIES: &str = include_str!("../fixtures/oddities.sdp");
pub(super) const CHROMIUM_156: &str = include_str!("../fixtures/chromium156.sdp");
pub(super) const CHROMIUM_156_RIDS: &str = include_str!("../fixtures/chromium156_simulcast.sdp");
pub(super) const CHROMIUM_156_ANSWER: &str = include_str!("../fixtures/chromium156_answer.sdp");
pub(super) const FIREFOX_153: &str = include_str!("../fixtures/firefox153.sdp");
pub(super) const FIREFOX_153_RIDS: &str = include_str!("../fixtures/firefox153_simulcast.sdp");
pub(super) const FIREFOX_153_ANSWER: &str = include_str!("../fixtures/firefox153_answer.sdp");
pub(super) const AIORTC_116: &str = include_str!("../fixtures/aiortc116.sdp");
pub(super) const AIORTC_116_ANSWER: &str = include_str!("../fixtures/aiortc116_answer.sdp");

/// Every fixture, by name; those with a version were taken from that client, the others are
/// written by hand.
pub(super) const ALL: [(&str, &str); 19] = [
    ("chromium156", CHROMIUM_156),
    ("chromium156_simulcast", CHROMIUM_156_RIDS),
    ("chromium156_answer", CHROMIUM_156_ANSWER),
    ("firefox153", FIREFOX_153),
    ("firefox153_simulcast", FIREFOX_153_RIDS),
    ("firefox153_answer", FIREFOX_153_ANSWER),
    ("aiortc116", AIORTC_116),
    ("aiortc116_answer", AIORTC_116_ANSWER),
    ("chromium", CHROMIUM),
    ("chromium_answer", CHROMIUM_ANSWER),
    ("chromium_bundle_only", CHROMIUM_BUNDLE_ONLY),
    ("chromium_recvonly", CHROMIUM_RECVONLY),
    ("chromium_simulcast", CHROMIUM_RIDS),
    ("chromium_simulcast_ssrc", CHROMIUM_SIM),
    ("firefox", FIREFOX),
    ("firefox_legacy_simulcast", FIREFOX_RIDS),
    ("aiortc", AIORTC),
    ("gstreamer", GSTREAMER),
    ("oddities", ODDITIES),
];

pub(super) const FINGERPRINT: &str = "0a:1b:2c:3d:4e:5f:60:71:82:93:a4:b5:c6:d7:e8:f9:\
                                      0a:1b:2c:3d:4e:5f:60:71:82:93:a4:b5:c6:d7:e8:f9";

pub(super) fn parse(text: &str) -> Sdp {
    Sdp::parse(text).expect("a fixture parses")
}

/// The extensions EchoTest accepts.
pub(super) fn echo_extensions() -> Vec<Extension> {
    let not = [Extension::TransmissionOffset];
    Extension::ALL.into_iter().filter(|e| !not.contains(e)).collect()
}

/// What EchoTest does with an offer: takes everything it can, data too.
pub(super) fn echo(offer: &Sdp, edit: impl FnOnce(&mut Vec<LineAnswer>)) -> Sdp {
    let seen = anonymise(offer);
    let mut answer = Answer::for_offer(&seen).named("echo");
    for line in &mut answer.lines {
        line.verdict = Verdict::Accept;
        line.extensions = echo_extensions();
        line.opus = OpusParameters::ALL;
    }
    edit(&mut answer.lines);
    answer.build()
}

/// A completion with made-up credentials; SSRCs are 1000 + index, RTX 2000 + index.
pub(super) fn completion<'a>(
    offer: Option<&'a Sdp>,
    candidates: &'a [String],
    lines: &'a [LineCompletion],
) -> Completion<'a> {
    let theirs = offer.and_then(|o| o.media.first()?.setup()).unwrap_or_default();
    Completion {
        offer,
        ice_ufrag: "oUr1",
        ice_pwd: "ourpasswordourpassword",
        ice_lite: false,
        fingerprint: Some(FINGERPRINT),
        setup: if offer.is_some() { theirs.ours() } else { Setup::Actpass },
        address: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
        candidates,
        end_of_candidates: !candidates.is_empty(),
        session_id: 77,
        version: 1,
        lines,
    }
}

pub(super) fn answering(offer: &Sdp, answer: &Sdp) -> Vec<LineCompletion> {
    let pairs = offer.media.iter().zip(&answer.media).zip(0_u32..);
    pairs
        .map(|((theirs, ours), i)| {
            LineCompletion::answering(theirs, ours, Ssrc(1000 + i), Ssrc(2000 + i))
        })
        .collect()
}

/// EchoTest's answer, completed and read again.
pub(super) fn answered(text: &str, edit: impl FnOnce(&mut Vec<LineAnswer>)) -> Sdp {
    let offer = parse(text);
    let answer = echo(&offer, edit);
    let lines = answering(&offer, &answer);
    let candidates = ["candidate:1 1 udp 2015363327 198.51.100.7 9000 typ host".to_owned()];
    parse(&complete(&answer, &completion(Some(&offer), &candidates, &lines)))
}

pub(super) fn echoed(text: &str) -> Sdp {
    answered(text, |_| {})
}
