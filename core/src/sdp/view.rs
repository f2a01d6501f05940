//! Typed reads of a media section and of the session level.
//!
//! Each call walks the section's lines once; nothing is cached, because a session description is
//! read a few times and thrown away. What a section can yield is bounded by the text's own bounds
//! and, where a list is built, by the numbers given at each method.

use super::attribute::{
    Direction, Extmap, GroupKind, Msid, RidLine, RtcpFeedback, Rtpmap, Setup, Simulcast, SsrcGroup,
    split_pt,
};
use super::line::{Line, values};
use super::model::{Kind, Media, Sdp};
use super::payload::{PayloadTable, listed};
use crate::codec::Codec;
use crate::dtls::{Fingerprint, FingerprintHash};
use crate::media::{COMMON_MAX_MESSAGE, DEFAULT_PEER_MAX_MESSAGE, MAX_MESSAGE};
use crate::rtp::{PayloadType, Ssrc};

/// Most SSRCs read from one m-line.
pub const MAX_SSRCS: usize = 16;

impl Media {
    /// What the line carries.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::from_token(&self.head().media)
    }

    /// Port of the `m=` line; see [`Media::is_disabled`] for what 0 means.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.head().port
    }

    /// Transport profile.
    #[must_use]
    pub fn protocol(&self) -> &str {
        &self.head().protocol
    }

    /// Whether the line is switched off: port 0 without `a=bundle-only` (RFC 9143 §6).
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.port() == 0 && !self.has("bundle-only")
    }

    /// Whether the line carries data channels: SCTP over DTLS in the form of RFC 8841 or in the
    /// draft's form `DTLS/SCTP <port>`.
    #[must_use]
    pub fn is_data(&self) -> bool {
        let protocol = self.protocol();
        self.kind() == Kind::Application
            && (self.is_legacy_data()
                || protocol.eq_ignore_ascii_case("UDP/DTLS/SCTP")
                || protocol.eq_ignore_ascii_case("TCP/DTLS/SCTP"))
    }

    /// Whether a data line is of the draft's form, answered with `a=sctpmap`.
    #[must_use]
    pub fn is_legacy_data(&self) -> bool {
        self.protocol().eq_ignore_ascii_case("DTLS/SCTP")
    }

    /// The values of the attribute `name`, in order, name in any case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        values(self.lines(), name)
    }

    /// The first value of the attribute `name`; empty for a property attribute.
    #[must_use]
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// Whether the attribute `name` is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The first word of the `mid`, whatever its length; `None` if missing or empty.
    #[must_use]
    pub fn mid(&self) -> Option<&str> {
        self.value("mid").and_then(|mid| mid.split_ascii_whitespace().next())
    }

    /// The `mid`, or the index as text for a line without one (checklist line 54).
    #[must_use]
    pub fn mid_or_index(&self, mindex: usize) -> String {
        self.mid().map_or_else(|| mindex.to_string(), str::to_owned)
    }

    /// Direction written on the line, as seen by its writer; `None` if none is.
    #[must_use]
    pub fn explicit_direction(&self) -> Option<Direction> {
        direction_in(self.lines())
    }

    /// Direction of the line, sendrecv if none is written. Where the session level may hold one,
    /// use [`Sdp::direction_of`].
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.explicit_direction().unwrap_or_default()
    }

    /// Payload types of the `m=` line in order, each once: at most 128.
    #[must_use]
    pub fn payload_types(&self) -> Vec<PayloadType> {
        listed(self)
    }

    /// The `rtpmap` lines, in order.
    pub fn rtpmaps(&self) -> impl Iterator<Item = Rtpmap<'_>> {
        self.values("rtpmap").filter_map(Rtpmap::read)
    }

    /// The mapping of `pt`: its line, else the one RFC 3551 §6 fixes for PCMU, PCMA, G722.
    #[must_use]
    pub fn rtpmap(&self, pt: PayloadType) -> Option<Rtpmap<'_>> {
        PayloadTable::of(self).rtpmap(pt)
    }

    /// The codec of `pt`, if it is one of ours.
    #[must_use]
    pub fn codec(&self, pt: PayloadType) -> Option<Codec> {
        self.rtpmap(pt).and_then(|map| Codec::from_rtpmap(map.encoding))
    }

    /// The format parameters of `pt`.
    #[must_use]
    pub fn fmtp(&self, pt: PayloadType) -> Option<&str> {
        self.values("fmtp").filter_map(split_pt).find(|(p, _)| *p == pt).map(|(_, value)| value)
    }

    /// The `rtcp-fb` lines, in order.
    pub fn feedback(&self) -> impl Iterator<Item = RtcpFeedback<'_>> {
        self.values("rtcp-fb").filter_map(RtcpFeedback::read)
    }

    /// Whether `value` (e.g. `nack pli`) is offered for `pt` or for all payload types.
    #[must_use]
    pub fn has_feedback(&self, pt: PayloadType, value: &str) -> bool {
        self.feedback()
            .any(|fb| fb.pt.is_none_or(|p| p == pt) && fb.value.eq_ignore_ascii_case(value))
    }

    /// The retransmission payload types, `rtx/90000` with an `apt`: (rtx, apt), at most 128.
    #[must_use]
    pub fn rtx(&self) -> Vec<Rtx> {
        PayloadTable::of(self).rtx()
    }

    /// The `extmap` lines, in order.
    pub fn extmaps(&self) -> impl Iterator<Item = Extmap<'_>> {
        self.values("extmap").filter_map(Extmap::read)
    }

    /// The SSRCs of `a=ssrc` lines in order, each once, at most [`MAX_SSRCS`].
    #[must_use]
    pub fn ssrcs(&self) -> Vec<Ssrc> {
        let mut found = Vec::new();
        for value in self.values("ssrc") {
            let ssrc = value.split_ascii_whitespace().next().and_then(|w| w.parse().ok()).map(Ssrc);
            if let Some(ssrc) = ssrc.filter(|s| !found.contains(s)) {
                found.push(ssrc);
            }
            if found.len() == MAX_SSRCS {
                break;
            }
        }
        found
    }

    /// The `ssrc-group` lines of a kind we know, in order.
    pub fn ssrc_groups(&self, kind: GroupKind) -> impl Iterator<Item = SsrcGroup> {
        self.values("ssrc-group").filter_map(SsrcGroup::read).filter(move |g| g.kind == kind)
    }

    /// The `rid` lines, in order.
    pub fn rids(&self) -> impl Iterator<Item = RidLine<'_>> {
        self.values("rid").filter_map(RidLine::read)
    }

    /// What the `simulcast` line says about `direction` (`send` or `recv`).
    #[must_use]
    pub fn simulcast(&self, direction: &str) -> Option<Simulcast<'_>> {
        self.values("simulcast").find_map(|value| Simulcast::read(value, direction))
    }

    /// The first well-formed `msid`.
    #[must_use]
    pub fn msid(&self) -> Option<Msid> {
        self.values("msid").find_map(Msid::read)
    }

    /// The DTLS role, `None` if the attribute is missing.
    #[must_use]
    pub fn setup(&self) -> Option<Setup> {
        self.value("setup").map(Setup::from_token)
    }

    /// The candidate lines as `candidate:...`, without `a=`, in order.
    pub fn candidates(&self) -> impl Iterator<Item = &str> {
        self.lines().iter().filter(|line| line.is_attr("candidate")).map(Line::value)
    }

    /// SCTP port: `sctp-port`, or the number of the draft's m-line; 5000 if neither is there.
    #[must_use]
    pub fn sctp_port(&self) -> u16 {
        let draft = || self.head().formats.first().map(String::as_str);
        self.value("sctp-port").or_else(draft).and_then(|p| p.parse().ok()).unwrap_or(5000)
    }

    /// The longest data message that whoever wrote the line takes, at most [`MAX_MESSAGE`]: 0 in
    /// the SDP means any, and nothing means 65536 (RFC 8841 §6.1).
    #[must_use]
    pub fn max_message_size(&self) -> u32 {
        match self.value("max-message-size").map(str::parse::<u64>) {
            Some(Ok(0)) => MAX_MESSAGE,
            Some(Ok(size)) => u32::try_from(size).unwrap_or(MAX_MESSAGE).min(MAX_MESSAGE),
            Some(Err(_)) | None => DEFAULT_PEER_MAX_MESSAGE,
        }
    }
}

/// The longest data message we say we take, answering that line or offering: as much as we can
/// where the peer takes as much itself or is not known yet, else what Chromium takes.
pub(super) fn max_receive(offered: Option<&Media>) -> u32 {
    match offered {
        Some(offered) if offered.max_message_size() < MAX_MESSAGE => COMMON_MAX_MESSAGE,
        _ => MAX_MESSAGE,
    }
}

/// A retransmission payload type and the one it repairs (RFC 4588 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtx {
    /// Payload type of retransmissions.
    pub pt: PayloadType,
    /// Payload type they repair.
    pub apt: PayloadType,
}

impl Sdp {
    /// The values of the session-level attribute `name`, in order, name in any case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        values(&self.session, name)
    }

    /// The first value of the session-level attribute `name`; empty for a property attribute.
    #[must_use]
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// Direction of `media`, which may be written at session level (RFC 8866 §6.7).
    #[must_use]
    pub fn direction_of(&self, media: &Media) -> Direction {
        media.explicit_direction().or_else(|| direction_in(&self.session)).unwrap_or_default()
    }

    /// The mids of the first `a=group:BUNDLE`, in order (RFC 9143).
    #[must_use]
    pub fn bundle(&self) -> Vec<&str> {
        let bundled = |value: &&str| value.split_ascii_whitespace().next() == Some("BUNDLE");
        let group = self.values("group").find(bundled).unwrap_or("");
        group.split_ascii_whitespace().skip(1).collect()
    }

    /// Whether the writer is ICE-lite.
    #[must_use]
    pub fn ice_lite(&self) -> bool {
        self.value("ice-lite").is_some()
    }

    /// Whether `media` (or the session) announces trickled candidates.
    #[must_use]
    pub fn trickles(&self, media: &Media) -> bool {
        let options = media.values("ice-options").chain(self.values("ice-options"));
        options.flat_map(str::split_ascii_whitespace).any(|o| o.eq_ignore_ascii_case("trickle"))
    }

    /// The value of a transport attribute for `media`: its own, else the session's.
    #[must_use]
    pub fn transport_value<'a>(&'a self, media: &'a Media, name: &'a str) -> Option<&'a str> {
        media.value(name).or_else(|| self.value(name)).filter(|value| !value.is_empty())
    }

    /// The certificate fingerprint that counts for `media`: its own before the session's, and
    /// SHA-256 before SHA-1 where several are written.
    #[must_use]
    pub fn fingerprint(&self, media: &Media) -> Option<Fingerprint> {
        let level = |lines| {
            let mut all: Vec<_> = values(lines, "fingerprint")
                .filter_map(|value| Fingerprint::parse(value).ok())
                .collect();
            all.sort_by_key(|f| f.hash() != FingerprintHash::Sha256);
            all.into_iter().next()
        };
        if media.has("fingerprint") { level(media.lines()) } else { level(&self.session) }
    }
}

/// The first direction attribute among `lines`.
pub(super) fn direction_in(lines: &[Line]) -> Option<Direction> {
    lines.iter().find_map(|line| line.attr().and_then(|(name, _)| Direction::from_name(name)))
}

/// The value of parameter `name` in a `;`-separated list; empty for one without `=`.
#[must_use]
pub fn fmtp_param<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|param| {
        let (key, value) = param.split_once('=').unwrap_or((param, ""));
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}
