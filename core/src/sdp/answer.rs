//! Answers as plugins make them: one codec a line, accepted extensions, no transport.
//!
//! [`Answer::for_offer`] takes the anonymised offer and proposes one [`LineAnswer`] for each
//! m-line; the plugin edits these choices, asks [`Answer::chosen`] what they come to, and
//! [`Answer::build`] writes the SDP for the core to complete. Facts: `webrtc-behaviour` §3.4.

use super::attribute::{Direction, Extmap};
use super::choose::{self, Chosen};
use super::line::Line;
use super::model::{Kind, Media, MediaLine, Sdp};
use crate::codec::Codec;
use crate::rtp::Extension;

/// What the plugin does with one m-line of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Verdict {
    /// Take it, in the direction that both sides allow.
    #[default]
    Accept,
    /// Keep the line with its codec, but inactive.
    Inactive,
    /// Refuse it: port 0.
    Reject,
}

/// Opus parameters a plugin allows; each is answered only if it was offered too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OpusParameters {
    /// `useinbandfec=1`.
    pub fec: bool,
    /// `usedtx=1`.
    pub dtx: bool,
    /// `stereo=1`.
    pub stereo: bool,
}

impl OpusParameters {
    /// All three allowed.
    pub const ALL: Self = Self { fec: true, dtx: true, stereo: true };

    /// Reads them from an fmtp value.
    #[must_use]
    pub fn read(fmtp: &str) -> Self {
        let on = |name| super::fmtp_param(fmtp, name) == Some("1");
        Self { fec: on("useinbandfec"), dtx: on("usedtx"), stereo: on("stereo") }
    }

    /// Those set in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            fec: self.fec && other.fec,
            dtx: self.dtx && other.dtx,
            stereo: self.stereo && other.stereo,
        }
    }

    /// The fmtp value that says so, `None` when nothing is set.
    #[must_use]
    pub fn fmtp(self) -> Option<String> {
        let all = [(self.fec, "useinbandfec=1"), (self.dtx, "usedtx=1"), (self.stereo, "stereo=1")];
        let set: Vec<_> = all.into_iter().filter(|(on, _)| *on).map(|(_, text)| text).collect();
        (!set.is_empty()).then(|| set.join(";"))
    }
}

/// The plugin's choices for one m-line of the offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineAnswer {
    /// Take, keep inactive, or refuse.
    pub verdict: Verdict,
    /// Codecs in order of preference; the first one offered is answered, with none the line is
    /// refused. Empty stands for the default order ([`Codec::AUDIO_PREFERENCE`],
    /// [`Codec::VIDEO_PREFERENCE`]).
    pub codecs: Vec<Codec>,
    /// VP9 `profile-id` to prefer among several VP9 payload types.
    pub vp9_profile: Option<String>,
    /// H.264 `profile-level-id` to prefer among several H.264 payload types, in any case.
    pub h264_profile: Option<String>,
    /// What we would do if the peer allowed it; the answer is limited by the offered direction.
    pub direction: Direction,
    /// Extensions to answer when offered. The dependency descriptor is answered for AV1 and VP9
    /// only.
    pub extensions: Vec<Extension>,
    /// Answer `red/48000/2` with Opus when offered.
    pub opus_red: bool,
    /// Answer `telephone-event` when offered.
    pub dtmf: bool,
    /// Opus parameters allowed.
    pub opus: OpusParameters,
}

impl Default for LineAnswer {
    fn default() -> Self {
        Self {
            verdict: Verdict::Accept,
            codecs: Vec::new(),
            vp9_profile: None,
            h264_profile: None,
            direction: Direction::SendRecv,
            extensions: Vec::new(),
            opus_red: false,
            dtmf: false,
            opus: OpusParameters::default(),
        }
    }
}

/// An answer in the making.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    offer: &'a Sdp,
    name: String,
    /// Choices by m-line, as many as the offer has lines, in its order. Changing the length
    /// makes lines be refused (shorter) or has no effect (longer).
    pub lines: Vec<LineAnswer>,
}

impl<'a> Answer<'a> {
    /// Proposes to take every audio and video line sendrecv with the default codec order and no
    /// extensions, and to refuse everything else, data included.
    #[must_use]
    pub fn for_offer(offer: &'a Sdp) -> Self {
        let propose = |media: &Media| LineAnswer {
            verdict: if media.kind().is_rtp() { Verdict::Accept } else { Verdict::Reject },
            ..LineAnswer::default()
        };
        let lines = offer.media.iter().map(propose).collect();
        Self { offer, name: "-".into(), lines }
    }

    /// Sets the `s=` text, e.g. `VideoRoom 1234`.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// The offer being answered.
    #[must_use]
    pub const fn offer(&self) -> &'a Sdp {
        self.offer
    }

    /// What the choices for the m-line at `mindex` come to; `None` if it is answered with port 0:
    /// refused, disabled in the offer, of a kind we do not know, no codec in common, or a second
    /// data line.
    #[must_use]
    pub fn chosen(&self, mindex: usize) -> Option<Chosen> {
        let media = self.offer.media.get(mindex)?;
        let line = self.lines.get(mindex)?;
        if line.verdict == Verdict::Reject || super::is_disabled(mindex, media) {
            return None;
        }
        match media.kind() {
            Kind::Audio | Kind::Video => choose::rtp(self.offer, media, line),
            Kind::Application if self.is_the_data_line(mindex) => {
                Some(Chosen::data(choose::direction(self.offer, media, line)))
            }
            Kind::Application | Kind::Other => None,
        }
    }

    /// Whether `mindex` is the first data line that is neither disabled nor refused.
    fn is_the_data_line(&self, mindex: usize) -> bool {
        let usable = |(i, media): (usize, &Media)| {
            media.is_data()
                && !super::is_disabled(i, media)
                && self.lines.get(i).is_some_and(|l| l.verdict != Verdict::Reject)
        };
        self.offer.media.iter().enumerate().position(usable) == Some(mindex)
    }

    /// Writes the answer: the same m-lines in the same order. The `o=` ids are 0, for the core to
    /// fill.
    #[must_use]
    pub fn build(&self) -> Sdp {
        let session = session_lines(&self.name, 0, 0);
        let profile = self.rtp_profile();
        let media = self.offer.media.iter().enumerate().map(|(mindex, offered)| {
            match self.chosen(mindex) {
                Some(chosen) if offered.kind().is_rtp() => {
                    rtp_media(mindex, offered, &chosen, &profile)
                }
                Some(chosen) => data_media(mindex, offered, &chosen),
                None => rejected(mindex, offered),
            }
        });
        Sdp { session, media: media.collect() }
    }

    /// The profile of the first RTP line, for all of them (`webrtc-behaviour` §3.1).
    fn rtp_profile(&self) -> String {
        let first = self.offer.media.iter().find(|m| m.kind().is_rtp());
        first.map_or_else(|| super::DEFAULT_PROFILE.to_owned(), |m| m.protocol().to_owned())
    }
}

/// `v= o= s= t=`, the address left to the core.
pub(super) fn session_lines(name: &str, session_id: u64, version: u64) -> Vec<Line> {
    let name = if name.trim().is_empty() { "-" } else { name };
    vec![
        Line::new('v', "0"),
        Line::new('o', &format!("- {session_id} {version} IN IP4 1.1.1.1")),
        Line::new('s', name),
        Line::new('t', "0 0"),
    ]
}

/// The line in its place with port 0 (`webrtc-behaviour` §3.1).
pub(super) fn rejected(mindex: usize, offered: &Media) -> Media {
    let formats = match offered.head().formats.first() {
        Some(format) if offered.is_data() => vec![format.clone()],
        _ => vec!["0".to_owned()],
    };
    let mut media = Media::new(MediaLine { port: 0, formats, ..offered.head().clone() });
    media.push(Line::new('c', "IN IP4 1.1.1.1"));
    media.push_attr("inactive", "");
    media.push_attr("mid", &offered.mid_or_index(mindex));
    media
}

fn accepted(mindex: usize, offered: &Media, chosen: &Chosen, head: MediaLine) -> Media {
    let mut media = Media::new(head);
    media.push(Line::new('c', "IN IP4 1.1.1.1"));
    media.push_attr(chosen.direction.as_str(), "");
    media.push_attr("mid", &offered.mid_or_index(mindex));
    media
}

fn data_media(mindex: usize, offered: &Media, chosen: &Chosen) -> Media {
    let head = MediaLine { port: 9, ..offered.head().clone() };
    accepted(mindex, offered, chosen, head)
}

fn rtp_media(mindex: usize, offered: &Media, chosen: &Chosen, profile: &str) -> Media {
    let head = MediaLine {
        media: offered.head().media.clone(),
        port: 9,
        protocol: profile.to_owned(),
        formats: chosen.payload_types().iter().map(ToString::to_string).collect(),
    };
    let mut media = accepted(mindex, offered, chosen, head);
    chosen.write_codecs(&mut media);
    for Extmap { id, direction, uri } in offered.extmaps() {
        if chosen.has_extension(uri, id) {
            let id = match direction {
                Some(direction) => format!("{id}/{}", direction.reversed()),
                None => id.to_string(),
            };
            media.push_attr("extmap", &format!("{id} {uri}"));
        }
    }
    media
}
