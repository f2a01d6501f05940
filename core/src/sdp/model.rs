//! The lossless model: an SDP is its lines, in order, cut at the m-lines.
//!
//! Nothing is normalised: `parse(text)?.to_string() == text` for every text that parses. Cost is
//! one allocation a line. Bounds: [`MAX_BYTES`], [`MAX_LINES`], [`MAX_MEDIA`].

use std::fmt;
use std::str::FromStr;

use super::error::{SdpError, quote};
use super::line::Line;

/// Longest SDP taken, bytes. A subscriber's answer for [`MAX_MEDIA`] m-lines is about 230 KB
/// (25 lines, 900 bytes an m-line from Chromium); an offer of 40 video lines about the same.
pub const MAX_BYTES: usize = 256 * 1024;

/// Most lines taken.
pub const MAX_LINES: usize = 8192;

/// Most m-lines taken.
pub const MAX_MEDIA: usize = 256;

/// What an m-line carries (RFC 8866 §5.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `audio`.
    Audio,
    /// `video`.
    Video,
    /// `application`: data channels, if [`Media::is_data`].
    Application,
    /// Any other word: such a line is answered with port 0 (`webrtc-behaviour` §3.1).
    Other,
}

impl Kind {
    /// The kind of the first word of an m-line, compared in any case.
    #[must_use]
    pub fn from_token(token: &str) -> Self {
        match token.to_ascii_lowercase().as_str() {
            "audio" => Self::Audio,
            "video" => Self::Video,
            "application" => Self::Application,
            _ => Self::Other,
        }
    }

    /// Whether the line carries RTP.
    #[must_use]
    pub const fn is_rtp(self) -> bool {
        matches!(self, Self::Audio | Self::Video)
    }
}

/// The fields of an `m=` line: `m=<media> <port> <protocol> <format> ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaLine {
    /// First word as written: `audio`, `video`, `application`, ...
    pub media: String,
    /// Port; 0 = rejected or disabled.
    pub port: u16,
    /// Transport profile, e.g. `UDP/TLS/RTP/SAVPF`.
    pub protocol: String,
    /// Formats: payload types for RTP, `webrtc-datachannel` or a port number for SCTP.
    pub formats: Vec<String>,
}

impl MediaLine {
    /// Reads the value of an `m=` line. A `/count` after the port is accepted and dropped.
    fn read(line: &Line) -> Result<Self, SdpError> {
        let bad = || SdpError::MediaLine(quote(line.text()));
        let mut words = line.value().split_ascii_whitespace();
        let media = words.next().ok_or_else(bad)?.to_owned();
        let port = words.next().and_then(|p| p.split('/').next()?.parse().ok()).ok_or_else(bad)?;
        let protocol = words.next().ok_or_else(bad)?.to_owned();
        let formats: Vec<String> = words.map(str::to_owned).collect();
        if formats.is_empty() {
            return Err(bad());
        }
        Ok(Self { media, port, protocol, formats })
    }

    /// The `m=` line of these fields.
    #[must_use]
    pub fn to_line(&self) -> Line {
        let Self { media, port, protocol, formats } = self;
        Line::new('m', &format!("{media} {port} {protocol} {}", formats.join(" ")))
    }
}

/// An m-line and the lines that follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    head: MediaLine,
    head_line: Line,
    lines: Vec<Line>,
}

impl Media {
    /// A section of our own with nothing but its `m=` line.
    #[must_use]
    pub fn new(head: MediaLine) -> Self {
        Self { head_line: head.to_line(), head, lines: Vec::new() }
    }

    /// The fields of its `m=` line.
    #[must_use]
    pub const fn head(&self) -> &MediaLine {
        &self.head
    }

    /// Replaces the `m=` line.
    pub fn set_head(&mut self, head: MediaLine) {
        self.head_line = head.to_line();
        self.head = head;
    }

    /// The lines after the `m=` line, in order.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The lines after the `m=` line, for editing. A line of letter `m` has no place here.
    pub const fn lines_mut(&mut self) -> &mut Vec<Line> {
        &mut self.lines
    }

    /// Appends a line.
    pub fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Appends `a=<name>:<value>` (`a=<name>` when `value` is empty).
    pub fn push_attr(&mut self, name: &str, value: &str) {
        self.lines.push(Line::attribute(name, value));
    }
}

/// A session description (RFC 8866): session lines, then media sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdp {
    /// Lines before the first `m=`, in order.
    pub session: Vec<Line>,
    /// Media sections, in order; the position is Janus's `mindex`.
    pub media: Vec<Media>,
}

/// What an `o=` line says that we use (RFC 8866 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Origin {
    /// Session id; 0 in a plugin's SDP means "let the core choose".
    pub session_id: u64,
    /// Session version; 0 in a plugin's SDP means "let the core choose".
    pub version: u64,
}

impl Sdp {
    /// Reads a session description.
    ///
    /// # Errors
    /// [`SdpError`] for a text without `v=` at its start, a malformed line, a missing `o=`, `s=`
    /// or `m=`, or one of the bounds passed. An unknown media type is not an error.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > MAX_BYTES {
            return Err(SdpError::TooLarge { what: "bytes", limit: MAX_BYTES });
        }
        if !text.starts_with("v=") {
            return Err(SdpError::NoVersion);
        }
        let mut sdp = Self { session: Vec::new(), media: Vec::new() };
        for (index, raw) in text.split_inclusive('\n').enumerate() {
            if index >= MAX_LINES {
                return Err(SdpError::TooLarge { what: "lines", limit: MAX_LINES });
            }
            sdp.take(Line::read(raw)?)?;
        }
        let has = |letter| sdp.session.iter().any(|l| l.letter() == letter);
        if !has(b'o') || !has(b's') || sdp.media.is_empty() {
            return Err(SdpError::MissingMandatory);
        }
        Ok(sdp)
    }

    fn take(&mut self, line: Line) -> Result<(), SdpError> {
        if line.letter() == b'm' {
            if self.media.len() >= MAX_MEDIA {
                return Err(SdpError::TooLarge { what: "m-lines", limit: MAX_MEDIA });
            }
            let head = MediaLine::read(&line)?;
            self.media.push(Media { head, head_line: line, lines: Vec::new() });
        } else if let Some(media) = self.media.last_mut() {
            media.lines.push(line);
        } else {
            if line.letter() == b'o' && line.value().split_ascii_whitespace().count() < 6 {
                return Err(SdpError::Origin(quote(line.text())));
            }
            self.session.push(line);
        }
        Ok(())
    }

    /// The ids of the `o=` line; zeros where they are missing or no numbers.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let line = self.session.iter().find(|l| l.letter() == b'o');
        let mut words = line.map_or("", Line::value).split_ascii_whitespace().skip(1);
        let mut number = || words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
        Origin { session_id: number(), version: number() }
    }

    /// The `s=` line's text.
    #[must_use]
    pub fn name(&self) -> &str {
        self.session.iter().find(|l| l.letter() == b's').map_or("", Line::value)
    }
}

impl FromStr for Sdp {
    type Err = SdpError;

    fn from_str(text: &str) -> Result<Self, SdpError> {
        Self::parse(text)
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head_line.fmt(f)?;
        self.lines.iter().try_for_each(|line| line.fmt(f))
    }
}

impl fmt::Display for Sdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.iter().try_for_each(|line| line.fmt(f))?;
        self.media.iter().try_for_each(|media| media.fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\ns=-\r\nt=0 0\r\na=x\r\n\r\n\
                         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\nm=text 9 X y\r\na=last";

    #[test]
    fn every_byte_comes_back() {
        let sdp = Sdp::parse(SMALL).expect("valid");
        assert_eq!(sdp.to_string(), SMALL);
        assert_eq!(sdp.media.len(), 2);
        assert_eq!(sdp.media[1].kind(), Kind::Other);
        assert_eq!(sdp.origin(), Origin { session_id: 1, version: 2 });
        assert_eq!(sdp.name(), "-");
    }

    #[test]
    fn refusals_have_the_texts_of_the_reference() {
        let reason = |text: &str| Sdp::parse(text).expect_err("invalid").to_string();
        assert_eq!(reason(""), "Invalid SDP (doesn't start with v=)");
        assert_eq!(reason("o=- 1 1 IN IP4 x\r\n"), "Invalid SDP (doesn't start with v=)");
        assert_eq!(reason("v=0\r\ns=-\r\nm=audio 9 X 0\r\n"), MISSING);
        assert_eq!(reason("v=0\r\no=- 1 1 IN IP4 x\r\nm=audio 9 X 0\r\n"), MISSING);
        assert_eq!(reason("v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\n"), MISSING);
        assert_eq!(reason("v=0\r\nhello\r\n"), "Invalid line (5 bytes): hello");
        assert_eq!(reason("v=0\r\na=x\ry\r\n"), "Invalid line (5 bytes): a=x\ry");
        assert_eq!(reason("v=0\r\no=- 1\r\n"), "Invalid o= line: o=- 1");
        assert_eq!(reason("v=0\r\nm=audio\r\n"), "Invalid m= line: m=audio");
        assert_eq!(reason("v=0\r\nm=audio 70000 X 0\r\n"), "Invalid m= line: m=audio 70000 X 0");
    }

    const MISSING: &str = "Missing mandatory lines (o=, s= or m=)";

    #[test]
    fn bounds_hold() {
        let head = "v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\n";
        let lines = format!("{head}{}", "a=x\n".repeat(MAX_LINES));
        assert_eq!(Sdp::parse(&lines), Err(SdpError::TooLarge { what: "lines", limit: MAX_LINES }));
        let media = format!("{head}{}", "m=audio 9 X 0\n".repeat(MAX_MEDIA + 1));
        assert_eq!(
            Sdp::parse(&media),
            Err(SdpError::TooLarge { what: "m-lines", limit: MAX_MEDIA })
        );
        let bytes = format!("v={}", "0".repeat(MAX_BYTES));
        assert_eq!(Sdp::parse(&bytes), Err(SdpError::TooLarge { what: "bytes", limit: MAX_BYTES }));
    }

    #[test]
    fn a_line_of_ours_cannot_hold_another() {
        let line = Line::new('s', "room\r\na=evil");
        assert_eq!(line.to_string(), "s=room  a=evil\r\n");
    }
}
