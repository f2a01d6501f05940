//! The fuzz entry: any bytes through the whole module, with what must hold asserted.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    Answer, Completion, LineCompletion, OpusParameters, ReadOptions, RidOrder, Sdp, SdpError,
    SdpType, Setup, Verdict, anonymise, complete, read_remote, simulcast_offers,
};
use crate::rtp::{Extension, Ssrc};

/// Runs `data` through parse, anonymise, answer, complete and read.
///
/// # Panics
/// When an invariant breaks: a parsed text must come back byte for byte, an answer must have the
/// offer's m-lines, a completed answer must parse again (unless our lines took it past a bound),
/// and no SSRC or rid list may pass its bound.
pub fn fuzz_sdp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(offer) = Sdp::parse(text) else { return };
    assert_eq!(offer.to_string(), text, "lossless");
    let seen = anonymise(&offer);
    assert_eq!(anonymise(&seen), seen, "anonymise is idempotent");
    let mut answer = Answer::for_offer(&seen);
    for line in &mut answer.lines {
        line.verdict = Verdict::Accept;
        line.extensions = Extension::ALL.to_vec();
        line.opus = OpusParameters::ALL;
        (line.opus_red, line.dtmf) = (true, true);
    }
    let answer = answer.build();
    assert_eq!(answer.media.len(), offer.media.len(), "same m-lines");
    let text = completed(&offer, &answer);
    match Sdp::parse(&text) {
        Ok(done) => check(&offer, &answer, &done),
        Err(SdpError::TooLarge { .. }) => {}
        Err(error) => panic!("our own answer is refused: {error}"),
    }
}

fn completed(offer: &Sdp, answer: &Sdp) -> String {
    let pairs = offer.media.iter().zip(&answer.media);
    let line = |(theirs, ours)| LineCompletion::answering(theirs, ours, Ssrc(1), Ssrc(2));
    let lines: Vec<_> = pairs.map(line).collect();
    let candidates = ["candidate:1 1 udp 1 192.0.2.1 9000 typ host".to_owned()];
    complete(
        answer,
        &Completion {
            offer: Some(offer),
            ice_ufrag: "ufrag",
            ice_pwd: "passwordpasswordpassword",
            ice_lite: true,
            fingerprint: Some("AA:BB"),
            setup: Setup::Active,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            candidates: &candidates,
            end_of_candidates: true,
            session_id: 1,
            version: 1,
            lines: &lines,
        },
    )
}

fn check(offer: &Sdp, answer: &Sdp, done: &Sdp) {
    assert_eq!(done.media.len(), offer.media.len(), "same m-lines after completion");
    let accepted = done.media.iter().filter(|media| media.port() != 0).count();
    assert_eq!(done.bundle().len(), accepted, "BUNDLE lists the accepted lines");
    assert!(done.media.iter().filter(|m| m.port() != 0 && m.is_data()).count() <= 1);
    for order in [RidOrder::HighToLow, RidOrder::LowToHigh] {
        let options = ReadOptions { rid_order: order, ..ReadOptions::first(SdpType::Offer) };
        let before = read_remote(offer, answer, &options);
        let after = read_remote(offer, done, &options);
        assert_eq!(before, after, "completion changes nothing of what was agreed");
        for line in before.iter().flat_map(|n| &n.lines) {
            assert!(line.rids.len() <= 3 && line.streams.len() <= 3 && line.codecs.len() <= 3);
        }
        assert!(simulcast_offers(offer, order).len() <= offer.media.len());
    }
}
