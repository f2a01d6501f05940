//! What the plugin refuses, and how it says so (plugin-textroom §2).

use bifrons_core::plugin::Codes;

/// The plugin's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// A body that is no object.
    InvalidJson = 412,
    /// A required field is absent.
    MissingElement = 413,
    /// Wrong type or value.
    InvalidElement = 414,
    /// Unknown request.
    InvalidRequest = 415,
    /// `setup` twice, or `restart` before it.
    AlreadySetup = 416,
    /// Unknown room.
    NoSuchRoom = 417,
    /// The id of a new room is taken.
    RoomExists = 418,
    /// Wrong secret, pin, admin key or token.
    Unauthorized = 419,
    /// Somebody in the room has that name.
    UsernameExists = 420,
    /// The handle is in that room.
    AlreadyInRoom = 421,
    /// The handle is not in that room.
    NotInRoom = 422,
    /// Nobody in the room has that name.
    NoSuchUser = 423,
    /// Everything else.
    Unknown = 499,
}

impl Codes for Code {
    const PLUGIN: &'static str = "textroom";
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

/// Under what a synchronous request is refused: as a whole with an `event`, else with an `error`
/// (plugin-textroom §2).
pub(crate) fn kind(refusal: &Refusal) -> &'static str {
    match refusal.code {
        Code::InvalidRequest | Code::InvalidJson => "event",
        _ => "error",
    }
}
