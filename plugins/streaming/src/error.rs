//! What the plugin refuses, and how it says so (plugin-streaming §2).

use bifrons_core::plugin::Codes;

/// The plugin's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Unknown request, or not one that is possible as things are.
    InvalidRequest = 452,
    /// A required field is absent.
    MissingElement = 453,
    /// Wrong type or value.
    InvalidElement = 454,
    /// Unknown mountpoint, or none watched.
    NoSuchMountpoint = 455,
    /// A mountpoint cannot be made.
    CannotCreate = 456,
    /// Bad secret, pin or admin key.
    Unauthorized = 457,
    /// One of the two mountpoints of a switch is a file.
    CannotSwitch = 458,
    /// The recording cannot be opened.
    CannotRecord = 459,
    /// Something else is watched, or the same is not up yet.
    InvalidState = 460,
    /// A viewer's offer cannot be used.
    InvalidSdp = 461,
    /// Everything else.
    Unknown = 470,
}

impl Codes for Code {
    const PLUGIN: &'static str = "streaming";
    const INVALID_REQUEST: Self = Code::InvalidRequest;
    const MISSING_ELEMENT: Self = Code::MissingElement;
    const INVALID_ELEMENT: Self = Code::InvalidElement;
    const UNAUTHORIZED: Self = Code::Unauthorized;
    const UNKNOWN: Self = Code::Unknown;

    fn number(self) -> i32 {
        self as i32
    }
}

/// An error as the client sees it.
pub(crate) type Refusal = bifrons_core::plugin::Refusal<Code>;

/// 456 with this text.
pub(crate) fn cannot(text: impl Into<String>) -> Refusal {
    Refusal::new(Code::CannotCreate, text)
}

/// 455 for a handle that watches nothing.
pub(crate) fn not_watching() -> Refusal {
    Refusal::new(Code::NoSuchMountpoint, "Not watching any mountpoint")
}
