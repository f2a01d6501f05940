//! Error codes of the core API and the error every check returns.

use std::borrow::Cow;
use std::fmt;

/// Longest error text sent, in bytes (core-api §6).
const MAX_REASON: usize = 511;

/// The codes of core-api §6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum ErrorCode {
    /// Wrong or missing secret or token.
    Unauthorized = 403,
    /// The token does not cover this plugin.
    UnauthorizedPlugin = 405,
    /// An error of the transport, such as an HTTP method that means nothing here.
    TransportSpecific = 450,
    /// Reserved.
    MissingRequest = 452,
    /// Unknown verb on a valid session.
    UnknownRequest = 453,
    /// The bytes are not JSON, or contradict themselves.
    InvalidJson = 454,
    /// A value that should have been an object.
    InvalidJsonObject = 455,
    /// A mandatory field is absent.
    MissingMandatoryElement = 456,
    /// The verb does not belong at this level.
    InvalidRequestPath = 457,
    /// No such session.
    SessionNotFound = 458,
    /// No such handle.
    HandleNotFound = 459,
    /// No such plugin.
    PluginNotFound = 460,
    /// The plugin refused the handle.
    PluginAttach = 461,
    /// The plugin failed on a message.
    PluginMessage = 462,
    /// The handle could not be detached.
    PluginDetach = 463,
    /// A jsep type that is neither offer nor answer.
    JsepUnknownType = 464,
    /// The SDP is not acceptable.
    JsepInvalidSdp = 465,
    /// A candidate for a stream that does not exist.
    TrickleInvalidStream = 466,
    /// A field has the wrong JSON type.
    InvalidElementType = 467,
    /// The wanted session id is in use.
    SessionConflict = 468,
    /// An answer without an offer.
    UnexpectedAnswer = 469,
    /// No such stored token.
    TokenNotFound = 470,
    /// The PeerConnection is in the wrong state.
    WebrtcState = 471,
    /// Draining.
    NotAcceptingSessions = 472,
    /// Internal.
    Unknown = 490,
}

impl ErrorCode {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The text used where there is nothing more specific to say.
    pub fn text(self) -> &'static str {
        match self {
            ErrorCode::Unauthorized => "Unauthorized request (wrong or missing secret/token)",
            ErrorCode::UnauthorizedPlugin => {
                "Unauthorized access to plugin (token is not allowed to)"
            }
            ErrorCode::TransportSpecific => "Transport specific error",
            ErrorCode::MissingRequest => "Missing request",
            ErrorCode::UnknownRequest => "Unknown request",
            ErrorCode::InvalidJson => "Invalid JSON",
            ErrorCode::InvalidJsonObject => "Invalid JSON Object",
            ErrorCode::MissingMandatoryElement => "Missing mandatory element",
            ErrorCode::InvalidRequestPath => "Invalid path for this request",
            ErrorCode::SessionNotFound => "Session not found",
            ErrorCode::HandleNotFound => "Handle not found",
            ErrorCode::PluginNotFound => "Plugin not found",
            ErrorCode::PluginAttach => "Error attaching plugin",
            ErrorCode::PluginMessage => "Error sending message to plugin",
            ErrorCode::PluginDetach => "Error detaching from plugin",
            ErrorCode::JsepUnknownType => "Unsupported JSEP type",
            ErrorCode::JsepInvalidSdp => "Invalid SDP",
            ErrorCode::TrickleInvalidStream => "Invalid stream",
            ErrorCode::InvalidElementType => "Invalid element type",
            ErrorCode::SessionConflict => "Session ID already in use",
            ErrorCode::UnexpectedAnswer => "Unexpected ANSWER (no OFFER)",
            ErrorCode::TokenNotFound => "Token not found",
            ErrorCode::WebrtcState => "Wrong WebRTC state",
            ErrorCode::NotAcceptingSessions => "Currently not accepting new sessions",
            ErrorCode::Unknown => "Unknown error",
        }
    }
}

/// A refused request: code and text as the client sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The code.
    pub code: ErrorCode,
    /// The text, at most 511 bytes.
    pub reason: Cow<'static, str>,
}

impl ApiError {
    /// An error with a text of its own, cut to 511 bytes at a character boundary.
    pub fn new(code: ErrorCode, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut reason = reason.into();
        if reason.len() > MAX_REASON {
            reason = Cow::Owned(cut(&reason, MAX_REASON).to_owned());
        }
        ApiError { code, reason }
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        ApiError { code, reason: Cow::Borrowed(code.text()) }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.code(), self.reason)
    }
}

impl std::error::Error for ApiError {}

/// The longest prefix of `text` of at most `max` bytes that ends between characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let end = text.floor_char_boundary(max);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let error = ApiError::new(ErrorCode::Unknown, "é".repeat(400));
        assert_eq!(error.reason.len(), 510);
        assert_eq!(ApiError::new(ErrorCode::Unknown, "x").reason, "x");
    }

    #[test]
    fn a_bare_code_brings_its_default_text() {
        let error = ApiError::from(ErrorCode::NotAcceptingSessions);
        assert_eq!(error.to_string(), "472 Currently not accepting new sessions");
    }
}
