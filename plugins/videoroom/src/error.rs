//! What the plugin refuses, and how it says so (plugin-videoroom §2).

use bifrons_core::plugin::Codes;

/// The plugin's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Unknown request, or not one for this role.
    InvalidRequest = 423,
    /// Anything but a join on a fresh handle.
    JoinFirst = 424,
    /// A join on a handle that joined once.
    AlreadyJoined = 425,
    /// Unknown or destroyed room.
    NoSuchRoom = 426,
    /// The id of a new room is taken.
    RoomExists = 427,
    /// Unknown publisher or mid.
    NoSuchFeed = 428,
    /// A required field is absent.
    MissingElement = 429,
    /// Wrong type or value.
    InvalidElement = 430,
    /// An offer where an answer is due, or the other way round.
    InvalidSdpType = 431,
    /// The room has as many publishers as it takes.
    PublishersFull = 432,
    /// Bad secret, pin, admin key, token or private id; or encryption is demanded.
    Unauthorized = 433,
    /// `publish` while published.
    AlreadyPublished = 434,
    /// `unpublish` while not.
    NotPublished = 435,
    /// The user id is taken.
    IdExists = 436,
    /// A description that cannot be used, or a subscription without m-lines.
    InvalidSdp = 437,
    /// Encrypted and plain sources in one subscription.
    InvalidFeed = 438,
    /// Everything else.
    Unknown = 499,
}

impl Codes for Code {
    const PLUGIN: &'static str = "videoroom";
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
