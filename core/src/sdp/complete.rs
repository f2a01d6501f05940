//! The core's share of an outgoing description (`webrtc-behaviour` §3.3): transport, BUNDLE, RTX,
//! SSRCs, rids and candidates around what the plugin wrote.

use std::net::IpAddr;

use super::anonymise::anonymise;
use super::answer::rejected;
use super::attribute::{Direction, GroupKind, Msid, Setup};
use super::line::Line;
use super::model::{Kind, Media, Sdp};
use super::rtx::usable_rtx;
use super::simulcast::RidMirror;
use super::view::{Rtx, direction_in, max_receive};
use crate::rtp::{Extension, Ssrc};

/// Everything the core knows and the plugin does not.
#[derive(Clone, Debug)]
pub struct Completion<'a> {
    /// The peer's offer, when this is an answer; `None` for an offer of ours.
    pub offer: Option<&'a Sdp>,
    /// Our ICE user fragment.
    pub ice_ufrag: &'a str,
    /// Our ICE password.
    pub ice_pwd: &'a str,
    /// Whether we are ICE-lite.
    pub ice_lite: bool,
    /// SHA-256 of our certificate as hex bytes with colons, any case; `None` under
    /// `no_webrtc_encryption`, which also makes the profile `RTP/AVPF` and leaves out `setup`.
    pub fingerprint: Option<&'a str>,
    /// Our DTLS role: [`Setup::Actpass`] in a first offer, [`Setup::ours`] in an answer.
    pub setup: Setup,
    /// Address for `o=` and `c=`.
    pub address: IpAddr,
    /// Candidates as `candidate:...`, written on every accepted line; empty in full-trickle.
    pub candidates: &'a [String],
    /// Whether the candidates are complete.
    pub end_of_candidates: bool,
    /// Session id for `o=` if the plugin left it 0; below 2^63 (RFC 9429 §5.2.1).
    pub session_id: u64,
    /// Session version for `o=` if the plugin left it 0.
    pub version: u64,
    /// What to add to each m-line, by index. A line without an entry gets no SSRC and no RTX.
    pub lines: &'a [LineCompletion],
}

/// What the core adds to one m-line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineCompletion {
    /// SSRC of what we send. Written in answers always, in offers on sending lines.
    pub ssrc: Option<Ssrc>,
    /// SSRC of our retransmissions, written as `FID` on sending lines with RTX.
    pub rtx_ssrc: Option<Ssrc>,
    /// RTX payload types.
    pub rtx: Vec<Rtx>,
    /// Rids to mirror.
    pub rids: Option<RidMirror>,
    /// `msid` if the plugin wrote none; `janus janus<mid>` without it.
    pub msid: Option<Msid>,
}

impl LineCompletion {
    /// For a line of an offer of ours, with the pairs of [`super::RtxTable::for_offer`].
    #[must_use]
    pub const fn offering(ssrc: Ssrc, rtx_ssrc: Ssrc, rtx: Vec<Rtx>) -> Self {
        Self { ssrc: Some(ssrc), rtx_ssrc: Some(rtx_ssrc), rtx, rids: None, msid: None }
    }

    /// For a line of an answer: RTX where it was offered with NACK for the codec taken, `FID`
    /// only when the offer named an RTX SSRC itself (checklist 15), rids when the plugin has
    /// taken the rid extension and receives (checklist 19).
    #[must_use]
    pub fn answering(offered: &Media, answered: &Media, ssrc: Ssrc, rtx_ssrc: Ssrc) -> Self {
        let rtx = usable_rtx(offered, true, &answered.payload_types());
        let fid = offered.ssrc_groups(GroupKind::Fid).any(|group| group.ssrcs.len() >= 2);
        let takes_rids = answered.direction().receives()
            && answered.extmaps().any(|map| map.uri == Extension::Rid.uri());
        Self {
            ssrc: Some(ssrc),
            rtx_ssrc: (fid && !rtx.is_empty()).then_some(rtx_ssrc),
            rtx,
            rids: takes_rids.then(|| RidMirror::of(offered)).flatten(),
            msid: None,
        }
    }
}

/// Writes the SDP the peer gets: the plugin's lines with whatever it says about the transport
/// replaced by ours. An answer gets exactly the m-lines of the offer; those the plugin refused,
/// forgot or may not accept (other kinds, a second data line) keep their place with port 0.
#[must_use]
pub fn complete(plugin: &Sdp, ctx: &Completion<'_>) -> String {
    let plugin = anonymise(plugin);
    let count = ctx.offer.map_or(plugin.media.len(), |offer| offer.media.len());
    let mut has_data = false;
    let mut mids = Vec::new();
    let mut media = Vec::with_capacity(count);
    for mindex in 0..count {
        let offered = ctx.offer.and_then(|offer| offer.media.get(mindex));
        let ours = plugin.media.get(mindex);
        let Some(place) = offered.or(ours) else { break };
        let mid = place.mid_or_index(mindex);
        match ours.filter(|ours| may_accept(mindex, ours, offered, &mut has_data)) {
            Some(ours) => {
                media.push(Section { ctx, mindex, mid: &mid, ours }.write());
                mids.push(mid);
            }
            None => media.push(rejected_at(place, mindex, ctx.address)),
        }
    }
    Sdp { session: session_lines(&plugin, ctx, &mids), media }.to_string()
}

/// Whether a line the plugin wants may be accepted; counts data lines, of which one may.
fn may_accept(mindex: usize, ours: &Media, offered: Option<&Media>, has_data: &mut bool) -> bool {
    let alike =
        |offered: &Media| offered.kind() == ours.kind() && !super::is_disabled(mindex, offered);
    if ours.port() == 0 || !offered.is_none_or(alike) {
        return false;
    }
    match ours.kind() {
        Kind::Audio | Kind::Video => true,
        Kind::Application => ours.is_data() && !std::mem::replace(has_data, true),
        Kind::Other => false,
    }
}

fn rejected_at(place: &Media, mindex: usize, address: IpAddr) -> Media {
    let mut media = rejected(mindex, place);
    for line in media.lines_mut().iter_mut().filter(|line| line.letter() == b'c') {
        *line = Line::new('c', &network(address));
    }
    media
}

fn network(address: IpAddr) -> String {
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    format!("IN {family} {address}")
}

fn session_lines(plugin: &Sdp, ctx: &Completion<'_>, mids: &[String]) -> Vec<Line> {
    let origin = plugin.origin();
    let or = |plugin, ours| if plugin == 0 { ours } else { plugin };
    let session_id = or(origin.session_id, ctx.session_id);
    let version = or(origin.version, ctx.version);
    let address = network(ctx.address);
    let mut lines = vec![
        Line::new('v', "0"),
        Line::new('o', &format!("- {session_id} {version} {address}")),
        Line::new('s', if plugin.name().trim().is_empty() { "-" } else { plugin.name() }),
    ];
    let is_plain = |line: &&Line| !matches!(line.letter(), b'v' | b'o' | b's' | b'c' | b'a' | b't');
    lines.extend(plugin.session.iter().filter(is_plain).cloned());
    let timing = plugin.session.iter().find(|line| line.letter() == b't');
    lines.push(timing.cloned().unwrap_or_else(|| Line::new('t', "0 0")));
    if !mids.is_empty() {
        lines.push(Line::attribute("group", &format!("BUNDLE {}", mids.join(" "))));
    }
    lines.push(Line::attribute("ice-options", "trickle"));
    if let Some(fingerprint) = ctx.fingerprint {
        let value = format!("sha-256 {}", fingerprint.to_ascii_uppercase());
        lines.push(Line::attribute("fingerprint", &value));
    }
    lines.push(Line::attribute("extmap-allow-mixed", ""));
    lines.push(Line::attribute("msid-semantic", " WMS *"));
    if ctx.ice_lite {
        lines.push(Line::attribute("ice-lite", ""));
    }
    lines.extend(plugin.session.iter().filter(|line| line.letter() == b'a').cloned());
    lines
}

/// One accepted m-line in the making.
struct Section<'a> {
    ctx: &'a Completion<'a>,
    mindex: usize,
    mid: &'a str,
    ours: &'a Media,
}

impl Section<'_> {
    fn write(&self) -> Media {
        let direction = self.ours.direction();
        let none = LineCompletion::default();
        let line = self.ctx.lines.get(self.mindex).unwrap_or(&none);
        let mut media = self.head(line);
        media.push_attr(direction.as_str(), "");
        media.push_attr("mid", self.mid);
        self.transport(&mut media);
        // Two lines may not name the same track, so an inactive one names none.
        let unnamed = direction == Direction::Inactive;
        let is_ours = |attr: &&Line| {
            attr.letter() == b'a'
                && !attr.is_attr("mid")
                && !(unnamed && attr.is_attr("msid"))
                && direction_in(std::slice::from_ref(attr)).is_none()
                && !self.is_rid_extension(attr)
        };
        media.lines_mut().extend(self.ours.lines().iter().filter(is_ours).cloned());
        if self.ours.kind().is_rtp() {
            self.streams(line, direction, &mut media);
        } else {
            let legacy = self.ours.is_legacy_data();
            let (name, value) = if legacy {
                ("sctpmap", "5000 webrtc-datachannel 16")
            } else {
                ("sctp-port", "5000")
            };
            media.push_attr(name, value);
            let offered = self.ctx.offer.and_then(|offer| offer.media.get(self.mindex));
            media.push_attr("max-message-size", &max_receive(offered).to_string());
        }
        for candidate in self.ctx.candidates {
            media.push(Line::new('a', candidate));
        }
        if self.ctx.end_of_candidates {
            media.push_attr("end-of-candidates", "");
        }
        media
    }

    /// `m=`, `i=`, `c=`, `b=` in the order of RFC 8866 §5.
    fn head(&self, line: &LineCompletion) -> Media {
        let mut head = self.ours.head().clone();
        if self.ours.kind().is_rtp() {
            head.formats.extend(line.rtx.iter().map(|rtx| rtx.pt.to_string()));
            if self.ctx.fingerprint.is_none() {
                head.protocol = "RTP/AVPF".into();
            }
        } else if self.ours.is_legacy_data() {
            head.formats = vec!["5000".into()];
        }
        let mut media = Media::new(head);
        let with = |letter| self.ours.lines().iter().filter(move |l| l.letter() == letter).cloned();
        media.lines_mut().extend(with(b'i'));
        media.push(Line::new('c', &network(self.ctx.address)));
        media.lines_mut().extend(with(b'b'));
        media
    }

    fn transport(&self, media: &mut Media) {
        if self.ours.kind().is_rtp() {
            media.push_attr("rtcp-mux", "");
        }
        media.push_attr("ice-ufrag", self.ctx.ice_ufrag);
        media.push_attr("ice-pwd", self.ctx.ice_pwd);
        media.push_attr("ice-options", "trickle");
        if self.ctx.fingerprint.is_some() {
            media.push_attr("setup", self.ctx.setup.as_str());
        }
    }

    /// We never send simulcast, so an offer of ours has no use for the rid extensions.
    fn is_rid_extension(&self, line: &Line) -> bool {
        let rid = [Extension::Rid.uri(), Extension::RepairedRid.uri()];
        self.ctx.offer.is_none()
            && line.is_attr("extmap")
            && line.value().split_ascii_whitespace().any(|word| rid.contains(&word))
    }

    /// RTX, msid, SSRCs and rids.
    fn streams(&self, line: &LineCompletion, direction: Direction, media: &mut Media) {
        for Rtx { pt, apt } in &line.rtx {
            media.push_attr("rtpmap", &format!("{pt} rtx/90000"));
            media.push_attr("fmtp", &format!("{pt} apt={apt}"));
        }
        let answering = self.ctx.offer.is_some();
        let shown = if answering { direction != Direction::Inactive } else { direction.sends() };
        if shown && self.ours.msid().is_none() {
            let janus = || Msid::new("janus", &format!("janus{}", self.mid));
            media.push_attr("msid", &line.msid.clone().unwrap_or_else(janus).to_string());
        }
        if let Some(ssrc) = line.ssrc.filter(|_| answering || direction.sends()) {
            let repair = line.rtx_ssrc.filter(|_| direction.sends() && !line.rtx.is_empty());
            if let Some(rtx) = repair {
                media.push_attr("ssrc-group", &format!("FID {ssrc} {rtx}"));
            }
            for ssrc in [Some(ssrc), repair].into_iter().flatten() {
                media.push_attr("ssrc", &format!("{ssrc} cname:janus"));
            }
        }
        if let Some(rids) = &line.rids {
            rids.write(media);
        }
    }
}
