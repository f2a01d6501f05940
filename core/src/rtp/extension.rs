//! The header extensions we know (`webrtc-behaviour` §4), by name, URI and negotiated id.
//!
//! [`ExtensionIds`] is what a negotiation leaves behind for the packet path: 28 bytes, both
//! directions of the map, copied into each source and sink.

use std::fmt;

/// Longest mid or rid that is kept, bytes; also the most a one-byte element can carry (RFC 8285
/// §4.2) and the longest mid the API accepts (`webrtc-behaviour`, line 41).
pub const MAX_SDES_ITEM: usize = 16;

/// A known RTP header extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Extension {
    /// SDES mid (RFC 8843 §15.2).
    Mid,
    /// SDES rtp-stream-id (RFC 8852 §3.1).
    Rid,
    /// SDES repaired-rtp-stream-id (RFC 8852 §3.2).
    RepairedRid,
    /// Client-to-mixer audio level (RFC 6464).
    AudioLevel,
    /// Coordination of video orientation (3GPP TS 26.114 §7.4.5).
    VideoOrientation,
    /// Minimum and maximum playout delay, two 12-bit counts of 10 ms.
    PlayoutDelay,
    /// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportCc,
    /// Departure time, 24-bit 6.18 fixed point seconds.
    AbsSendTime,
    /// Capture time, 64-bit NTP.
    AbsCaptureTime,
    /// AV1 dependency descriptor.
    DependencyDescriptor,
    /// Bitrates of the layers a sender has active.
    VideoLayersAllocation,
    /// Transmission time offset (RFC 5450); known so that it can be named, otherwise unused.
    TransmissionOffset,
}

impl Extension {
    /// Every known extension, in declaration order.
    pub const ALL: [Self; 12] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::AudioLevel,
        Self::VideoOrientation,
        Self::PlayoutDelay,
        Self::TransportCc,
        Self::AbsSendTime,
        Self::AbsCaptureTime,
        Self::DependencyDescriptor,
        Self::VideoLayersAllocation,
        Self::TransmissionOffset,
    ];

    /// The URI of its `a=extmap` line.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Self::TransportCc => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            Self::VideoLayersAllocation => {
                "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00"
            }
            Self::TransmissionOffset => "urn:ietf:params:rtp-hdrext:toffset",
        }
    }

    /// The extension of an `a=extmap` URI, compared exactly; `None` for one we do not know.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.uri() == uri)
    }
}

/// The negotiated ids of the known extensions, both ways round.
///
/// Ids are 1..=14 for the one-byte form and 1..=255 for the two-byte form (RFC 8285 §4.2, §4.3);
/// 15 is reserved and refused.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtensionIds {
    ids: [u8; Extension::ALL.len()],
    /// Extension index + 1 by id, for the ids of the one-byte form.
    by_small_id: [u8; 16],
}

impl ExtensionIds {
    /// No extension negotiated.
    #[must_use]
    pub const fn new() -> Self {
        Self { ids: [0; Extension::ALL.len()], by_small_id: [0; 16] }
    }

    /// Gives `ext` the id `id`. Returns false and changes nothing when `id` is 0 or 15, or when
    /// the extension or the id is taken already: the first m-line that names a URI decides
    /// (`webrtc-behaviour` §4).
    pub fn set(&mut self, ext: Extension, id: u8) -> bool {
        if id == 0 || id == 15 || self.get(ext).is_some() || self.by_id(id).is_some() {
            return false;
        }
        self.ids[ext as usize] = id;
        if let Some(slot) = self.by_small_id.get_mut(usize::from(id)) {
            *slot = ext as u8 + 1;
        }
        true
    }

    /// Forgets `ext`.
    pub fn clear(&mut self, ext: Extension) {
        let id = std::mem::take(&mut self.ids[ext as usize]);
        if let Some(slot) = self.by_small_id.get_mut(usize::from(id)) {
            *slot = 0;
        }
    }

    /// The id of `ext`, if negotiated.
    #[must_use]
    pub fn get(&self, ext: Extension) -> Option<u8> {
        match self.ids[ext as usize] {
            0 => None,
            id => Some(id),
        }
    }

    /// The extension that has `id`.
    #[must_use]
    pub fn by_id(&self, id: u8) -> Option<Extension> {
        if let Some(&slot) = self.by_small_id.get(usize::from(id)) {
            return Extension::ALL.get(usize::from(slot).wrapping_sub(1)).copied();
        }
        let at = self.ids.iter().position(|&have| have == id)?;
        Extension::ALL.get(at).copied()
    }

    /// The negotiated pairs in declaration order.
    pub fn iter(&self) -> impl Iterator<Item = (Extension, u8)> + '_ {
        Extension::ALL.into_iter().filter_map(|e| self.get(e).map(|id| (e, id)))
    }
}

impl fmt::Debug for ExtensionIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The text of an SDES item carried in a header extension (RFC 7941): 0..=16 bytes, inline.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SdesItem {
    len: u8,
    bytes: [u8; MAX_SDES_ITEM],
}

/// Media identification of an m-line.
pub type Mid = SdesItem;

/// Identifier of one simulcast stream.
pub type Rid = SdesItem;

impl SdesItem {
    /// A copy of `text`, or `None` if it is empty or longer than [`MAX_SDES_ITEM`].
    #[must_use]
    pub fn new(text: &[u8]) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let mut bytes = [0; MAX_SDES_ITEM];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { len: text.len() as u8, bytes })
    }

    /// The bytes as on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The text, or `None` if the peer sent something that is not UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
    }
}

impl fmt::Debug for SdesItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_uri_names_its_extension() {
        for ext in Extension::ALL {
            assert_eq!(Extension::from_uri(ext.uri()), Some(ext));
            assert_eq!(Extension::ALL[ext as usize], ext);
        }
        assert_eq!(Extension::from_uri("urn:ietf:params:rtp-hdrext:encrypt"), None);
    }

    #[test]
    fn first_id_wins_and_reserved_ids_are_refused() {
        let mut ids = ExtensionIds::new();
        assert!(!ids.set(Extension::Mid, 0));
        assert!(!ids.set(Extension::Mid, 15));
        assert!(ids.set(Extension::Mid, 4));
        assert!(!ids.set(Extension::Mid, 5));
        assert!(!ids.set(Extension::Rid, 4));
        assert!(ids.set(Extension::Rid, 200));
        assert_eq!(ids.by_id(4), Some(Extension::Mid));
        assert_eq!(ids.by_id(200), Some(Extension::Rid));
        assert_eq!(ids.by_id(0), None);
        assert_eq!(ids.by_id(99), None);
        ids.clear(Extension::Mid);
        assert_eq!((ids.get(Extension::Mid), ids.by_id(4)), (None, None));
        assert_eq!(ids.iter().collect::<Vec<_>>(), [(Extension::Rid, 200)]);
    }

    #[test]
    fn sdes_items_hold_one_to_sixteen_bytes() {
        assert_eq!(SdesItem::new(b""), None);
        assert_eq!(SdesItem::new(&[b'x'; 17]), None);
        assert_eq!(SdesItem::new(b"video1").as_ref().and_then(|m| m.as_str()), Some("video1"));
        assert_eq!(SdesItem::new(&[0xFF]).as_ref().and_then(|m| m.as_str()), None);
    }
}
