//! Why an SDP was refused, in the words a Janus client reads.

/// Longest piece of the peer's text quoted back in an error, bytes.
const MAX_QUOTE: usize = 160;

/// Why an SDP was refused. The display text is the `reason` of the Janus error, the number comes
/// from [`SdpError::code`] (`core-api` §4.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// The text does not begin with `v=`.
    #[error("Invalid SDP (doesn't start with v=)")]
    NoVersion,
    /// A line that is not `<letter>=<value>`, or that holds a control character.
    #[error("Invalid line ({bytes} bytes): {text}")]
    Line {
        /// Length of the refused line, bytes, without its ending.
        bytes: usize,
        /// Its beginning.
        text: String,
    },
    /// An `o=` line without its six fields (RFC 8866 §5.2).
    #[error("Invalid o= line: {0}")]
    Origin(String),
    /// An `m=` line without media, port, protocol and at least one format (RFC 8866 §5.14).
    #[error("Invalid m= line: {0}")]
    MediaLine(String),
    /// No `o=`, no `s=` or no `m=`.
    #[error("Missing mandatory lines (o=, s= or m=)")]
    MissingMandatory,
    /// More bytes, lines or m-lines than this parser takes.
    #[error("SDP too large (more than {limit} {what})")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The bound it passed.
        limit: usize,
    },
    /// A `mid` without value or longer than 16 characters. The reason is empty on purpose.
    #[error("")]
    Mid,
    /// A `setup` without value in a first negotiation. The reason is empty on purpose.
    #[error("")]
    Setup,
    /// The SDP can be read but not used; the field says why, for the log.
    #[error("Error processing SDP")]
    Processing(&'static str),
}

impl SdpError {
    /// The Janus error code: 465, but 469 for [`SdpError::Processing`] once an offer/answer round
    /// has been completed (`core-api` §4.1, checklist 44).
    #[must_use]
    pub const fn code(&self, renegotiation: bool) -> u16 {
        match self {
            Self::Processing(_) if renegotiation => 469,
            _ => 465,
        }
    }
}

/// The beginning of `text`, cut at a character boundary.
pub(super) fn quote(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_QUOTE)].to_owned()
}
