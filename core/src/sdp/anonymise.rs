//! What plugins see: the description without its transport (`webrtc-behaviour` §3.2).
//!
//! The list of removed attributes is also what [`super::complete()`] takes out of a plugin's SDP
//! before it writes its own, so a plugin that passes foreign SDP through cannot speak for the
//! core.

use super::attribute::{Direction, Extmap, RtcpFeedback, Rtpmap, payload_type, split_pt};
use super::line::Line;
use super::model::{Kind, Media, MediaLine, Sdp};
use super::view::direction_in;
use crate::rtp::PayloadType;

/// Address put into `o=` and `c=`.
const NOWHERE: &str = "IN IP4 1.1.1.1";

/// Session attributes that belong to the core.
const SESSION: [&str; 9] = [
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "fingerprint",
    "group",
    "msid-semantic",
    "extmap-allow-mixed",
    "rtcp-rsize",
    "ice-lite",
];

/// Media attributes that belong to the core.
const MEDIA: [&str; 23] = [
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "crypto",
    "fingerprint",
    "setup",
    "connection",
    "group",
    "msid-semantic",
    "rid",
    "simulcast",
    "rtcp",
    "rtcp-mux",
    "rtcp-rsize",
    "candidate",
    "end-of-candidates",
    "ssrc",
    "ssrc-group",
    "sctpmap",
    "sctp-port",
    "max-message-size",
    "bundle-only",
    "extmap-allow-mixed",
];

/// Encrypted header extensions (RFC 6904), which we do not do.
const ENCRYPTED: &str = "urn:ietf:params:rtp-hdrext:encrypt";

/// The description as plugins see it: no ICE, DTLS, SSRC, simulcast or SCTP lines, no video
/// FEC/RED or RTX payload types, addresses neutralised, session-level direction written on each
/// line. The port is 0 on a disabled line and 9 on any other, so `bundle-only` needs no looking
/// at. All lines end in CRLF.
///
/// Index 0 counts as enabled even with port 0 when it brings its own ICE credentials
/// (`webrtc-behaviour` §3.1).
#[must_use]
pub fn anonymise(sdp: &Sdp) -> Sdp {
    let session = sdp.session.iter().filter(|line| !removed(line, &SESSION));
    let session = session
        .filter(|line| !matches!(line.letter(), 0 | b'k'))
        .filter(|line| direction_in(std::slice::from_ref(line)).is_none())
        .map(neutral)
        .collect();
    let media = sdp.media.iter().enumerate().map(|(index, media)| {
        let disabled = is_disabled(index, media);
        anonymous_media(media, sdp.direction_of(media), disabled)
    });
    Sdp { session, media: media.collect() }
}

/// Whether the m-line at `mindex` is switched off: port 0, unless it is bundle-only or the first
/// line with ICE credentials of its own.
#[must_use]
pub fn is_disabled(mindex: usize, media: &Media) -> bool {
    media.is_disabled() && !(mindex == 0 && media.has("ice-ufrag"))
}

fn anonymous_media(media: &Media, direction: Direction, disabled: bool) -> Media {
    let hidden = if media.kind().is_rtp() { hidden_payload_types(media) } else { Vec::new() };
    let mut head = media.head().clone();
    head.port = if disabled { 0 } else { 9 };
    if !hidden.is_empty() {
        head.formats.retain(|f| payload_type(f).is_none_or(|pt| !hidden.contains(&pt)));
    }
    if head.formats.is_empty() {
        // Nothing but FEC was offered: no plugin can use the line.
        head = MediaLine { port: 0, formats: vec!["0".into()], ..head };
    }
    let mut shown = Media::new(head);
    for line in media.lines() {
        // Of the other letters none belongs below an m-line (RFC 8866 §5), but for keys (`k=`).
        let belongs = matches!(line.letter(), b'i' | b'c' | b'b' | b'a');
        if belongs && !removed(line, &MEDIA) && !is_hidden(line, &hidden) {
            shown.push(neutral(line));
        }
    }
    if media.kind() != Kind::Other && media.explicit_direction().is_none() {
        shown.push_attr(direction.as_str(), "");
    }
    shown
}

/// Payload types of video FEC, RED and RTX; Opus RED (`red/48000/2`) stays.
fn hidden_payload_types(media: &Media) -> Vec<PayloadType> {
    let hidden = |map: &Rtpmap<'_>| {
        ["red", "ulpfec", "flexfec-03", "rtx"].iter().any(|name| map.is(name, 90_000))
    };
    let mut types: Vec<_> = media.rtpmaps().filter(hidden).map(|map| map.pt).collect();
    types.sort_unstable();
    types.dedup();
    types
}

/// Whether the line speaks of a hidden payload type or of an encrypted extension.
fn is_hidden(line: &Line, hidden: &[PayloadType]) -> bool {
    let Some((name, value)) = line.attr() else { return false };
    let pt = match name.to_ascii_lowercase().as_str() {
        "rtpmap" | "fmtp" => split_pt(value).map(|(pt, _)| pt),
        "rtcp-fb" => RtcpFeedback::read(value).and_then(|fb| fb.pt),
        "extmap" => {
            return Extmap::read(value).is_some_and(|e| e.uri.eq_ignore_ascii_case(ENCRYPTED));
        }
        _ => None,
    };
    pt.is_some_and(|pt| hidden.binary_search(&pt).is_ok())
}

fn removed(line: &Line, names: &[&str]) -> bool {
    line.attr().is_some_and(|(name, _)| names.iter().any(|n| n.eq_ignore_ascii_case(name)))
}

/// The line with any address in it replaced, ending in CRLF.
fn neutral(line: &Line) -> Line {
    match line.letter() {
        b'c' => Line::new('c', NOWHERE),
        b'o' => {
            let kept: Vec<_> = line.value().split_ascii_whitespace().take(3).collect();
            Line::new('o', &format!("{} {NOWHERE}", kept.join(" ")))
        }
        _ => line.with_crlf(),
    }
}
