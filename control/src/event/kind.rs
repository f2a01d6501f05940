//! The kinds of events and the masks that choose among them (admin-events-recording §6).

use std::fmt;

/// What an event is about. The number is its bit in a mask and its `type` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum EventKind {
    /// A session began or ended.
    Session = 1,
    /// A handle was attached or detached.
    Handle = 2,
    /// An operator sent it by `custom_event`.
    External = 4,
    /// An offer or answer, of the client or ours.
    Jsep = 8,
    /// ICE, DTLS, and the PeerConnection as a whole.
    WebRtc = 16,
    /// Media came or ceased, losses, statistics.
    Media = 32,
    /// A plugin's own.
    Plugin = 64,
    /// A transport's own.
    Transport = 128,
    /// The server's start, life and end.
    Core = 256,
}

impl EventKind {
    /// All of them, by their numbers.
    pub const ALL: [EventKind; 9] = [
        EventKind::Session,
        EventKind::Handle,
        EventKind::External,
        EventKind::Jsep,
        EventKind::WebRtc,
        EventKind::Media,
        EventKind::Plugin,
        EventKind::Transport,
        EventKind::Core,
    ];

    /// `type` of the envelope.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The word in masks and in topics: `sessions`.
    pub fn word(self) -> &'static str {
        match self {
            EventKind::Session => "sessions",
            EventKind::Handle => "handles",
            EventKind::External => "external",
            EventKind::Jsep => "jsep",
            EventKind::WebRtc => "webrtc",
            EventKind::Media => "media",
            EventKind::Plugin => "plugins",
            EventKind::Transport => "transports",
            EventKind::Core => "core",
        }
    }

    /// The name for people: `Sessions`.
    pub fn display_name(self) -> &'static str {
        match self {
            EventKind::Session => "Sessions",
            EventKind::Handle => "Handles",
            EventKind::External => "External",
            EventKind::Jsep => "Jsep",
            EventKind::WebRtc => "WebRTC",
            EventKind::Media => "Media",
            EventKind::Plugin => "Plugins",
            EventKind::Transport => "Transports",
            EventKind::Core => "Core",
        }
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Mask(u16);

impl Mask {
    /// No kind.
    pub const NONE: Mask = Mask(0);
    /// Every kind.
    pub const ALL: Mask = Mask(511);

    /// Reads `all`, `none`, or words with commas between them. Case and spaces do not matter, and
    /// unknown words are passed over. Without a text nothing is wanted.
    pub fn read(text: Option<&str>) -> Self {
        let words = text.unwrap_or_default().split(',').map(str::trim);
        words.fold(Mask::NONE, |mask, word| {
            let is = |name: &str| word.eq_ignore_ascii_case(name);
            if is("all") {
                return Mask::ALL;
            }
            let kind = EventKind::ALL.into_iter().find(|kind| is(kind.word()));
            kind.map_or(mask, |kind| mask.with(kind))
        })
    }

    /// The set with one kind more.
    pub fn with(self, kind: EventKind) -> Self {
        Mask(self.0 | kind.number())
    }

    /// Whether the kind is in the set.
    pub fn has(self, kind: EventKind) -> bool {
        self.0 & kind.number() != 0
    }

    /// What is in either set.
    pub fn or(self, other: Mask) -> Self {
        Mask(self.0 | other.0)
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = EventKind::ALL.into_iter().filter(|kind| self.has(*kind));
        f.debug_set().entries(kinds.map(EventKind::word)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read_as_janus_reads_them() {
        let some = Mask::NONE.with(EventKind::Session).with(EventKind::Core);
        for (text, mask) in [
            (None, Mask::NONE),
            (Some("none"), Mask::NONE),
            (Some(""), Mask::NONE),
            (Some("all"), Mask::ALL),
            (Some("sessions,core"), some),
            (Some(" Sessions , CORE,nonsense"), some),
        ] {
            assert_eq!(Mask::read(text), mask, "{text:?}");
        }
        let words: Vec<_> = EventKind::ALL.map(EventKind::word).to_vec();
        assert_eq!(Mask::read(Some(&words.join(","))), Mask::ALL);
    }

    #[test]
    fn numbers_are_bits() {
        let numbers = EventKind::ALL.map(EventKind::number);
        assert_eq!(numbers, [1, 2, 4, 8, 16, 32, 64, 128, 256]);
    }
}
