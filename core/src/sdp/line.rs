//! One line of an SDP, kept as it came.

use std::fmt;

use super::error::{SdpError, quote};

/// One line with its ending, verbatim: `<letter>=<value>` and CRLF, LF or (last line only) nothing.
///
/// A blank line is a `Line` too, so that a text can be given back byte for byte; its
/// [`Line::letter`] is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    raw: String,
    /// Length without the ending.
    len: usize,
}

impl Line {
    /// `<letter>=<value>` with CRLF. Control characters in `value` become spaces, so that no
    /// caller's text (a room name, a mid) can start a line of its own.
    #[must_use]
    pub fn new(letter: char, value: &str) -> Self {
        let mut raw = String::with_capacity(value.len() + 4);
        raw.push(letter);
        raw.push('=');
        raw.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c }));
        let len = raw.len();
        raw.push_str("\r\n");
        Self { raw, len }
    }

    /// `a=<name>:<value>` with CRLF, or `a=<name>` when `value` is empty.
    #[must_use]
    pub fn attribute(name: &str, value: &str) -> Self {
        if value.is_empty() {
            Self::new('a', name)
        } else {
            Self::new('a', &format!("{name}:{value}"))
        }
    }

    /// Takes one line of a peer's text, ending included.
    pub(super) fn read(raw: &str) -> Result<Self, SdpError> {
        let text = raw.strip_suffix('\n').unwrap_or(raw);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let bytes = text.as_bytes();
        // A bare CR inside a line would be a line ending to the next reader; other control
        // characters have no business in a description either.
        let shaped = matches!(bytes, [letter, b'=', _, ..] if letter.is_ascii_lowercase())
            && !text.chars().any(|c| c.is_control() && c != '\t');
        if !bytes.is_empty() && !shaped {
            return Err(SdpError::Line { bytes: text.len(), text: quote(text) });
        }
        Ok(Self { raw: raw.to_owned(), len: text.len() })
    }

    /// The same line with CRLF as its ending, whatever the peer wrote.
    #[must_use]
    pub fn with_crlf(&self) -> Self {
        Self { raw: format!("{}\r\n", self.text()), len: self.len }
    }

    /// The letter before `=`, or 0 for a blank line.
    #[must_use]
    pub fn letter(&self) -> u8 {
        self.raw.as_bytes().first().copied().filter(|_| self.len > 0).unwrap_or(0)
    }

    /// What stands after `=`, without the ending.
    #[must_use]
    pub fn value(&self) -> &str {
        self.raw.get(2..self.len).unwrap_or("")
    }

    /// Name and trimmed value of an `a=` line; the value of a property attribute is empty.
    #[must_use]
    pub fn attr(&self) -> Option<(&str, &str)> {
        if self.letter() != b'a' {
            return None;
        }
        let value = self.value();
        Some(value.split_once(':').map_or((value.trim(), ""), |(n, v)| (n.trim(), v.trim())))
    }

    /// Whether it is the attribute `name`, in any case.
    #[must_use]
    pub fn is_attr(&self, name: &str) -> bool {
        self.attr().is_some_and(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    /// The line without its ending.
    #[must_use]
    pub fn text(&self) -> &str {
        self.raw.get(..self.len).unwrap_or("")
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

/// The values of the attribute `name` among `lines`, in order, name in any case.
pub(super) fn values<'a>(lines: &'a [Line], name: &'a str) -> impl Iterator<Item = &'a str> {
    lines.iter().filter_map(move |line| {
        line.attr().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    })
}
