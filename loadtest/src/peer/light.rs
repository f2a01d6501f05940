//! A receiver that reads RTP without the stack, so that one core can hear hundreds of thousands of
//! packets a second.
//!
//! Sequence numbers, time stamps and markers are in the clear and are followed in every packet; one
//! packet in [`SAMPLE`], and the last of a frame as often, is opened with the keys of the handshake,
//! which shows that it is authentic and when it was sent. Nothing is reported back: what is lost
//! stays lost. ICE, DTLS and RTCP remain the stack's. Bounds: [`STREAMS`] streams, one datagram.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bifrons_core::dtls::{KeyingMaterial, Role};
use bifrons_core::rtp::Packet;
use bifrons_core::srtp::{MasterKey, OpenKey, RtpIndex, SrtpProfile};
use str0m::crypto::dtls::SrtpProfile as StackProfile;

use super::Stamp;

/// One packet in so many is opened.
const SAMPLE: u64 = 64;
/// SSRCs followed; packets of further ones are counted as foreign.
const STREAMS: usize = 64;
/// Largest packet opened.
const PACKET: usize = 2048;

/// What a handshake came to.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) profile: StackProfile,
    pub(super) exported: Vec<u8>,
    pub(super) active: bool,
}

/// Where a handshake leaves its keys.
pub(super) type KeySlot = Arc<OnceLock<Keys>>;

/// One RTP packet, as far as it could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) ssrc: u32,
    pub(super) payload_type: u8,
    /// Extended sequence number.
    pub(super) index: u64,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    /// Bytes of payload, authentication tag and all.
    pub(super) bytes: usize,
    /// It was opened, and is authentic.
    pub(super) opened: bool,
    /// When it was sent, if it was opened and says so.
    pub(super) sent: Option<Stamp>,
}

/// What became of a datagram.
pub(super) enum Verdict {
    /// Not RTP, or not yet for us: the stack's.
    Stack,
    /// RTP.
    Heard(Heard),
    /// RTP that came before, is too old, or of one stream too many.
    Refused,
    /// RTP that was opened and is not authentic.
    Forged,
}

/// See the module.
pub(super) struct Light {
    slot: KeySlot,
    key: Option<OpenKey>,
    streams: Vec<(u32, RtpIndex, u64)>,
    markers: u64,
}

impl Light {
    pub(super) fn new(slot: KeySlot) -> Self {
        Self { slot, key: None, streams: Vec::new(), markers: 0 }
    }

    fn key(&mut self) -> Option<&OpenKey> {
        if self.key.is_none() {
            let keys = self.slot.get()?;
            let profile = match keys.profile {
                StackProfile::AES128_CM_SHA1_80 => SrtpProfile::Aes128CmSha1_80,
                _ => SrtpProfile::AeadAes128Gcm,
            };
            let material = KeyingMaterial::new(profile, &keys.exported)?;
            let sender = if keys.active { Role::Server } else { Role::Client };
            self.key = OpenKey::new(&MasterKey::from_keying(&material, sender).ok()?).ok();
        }
        self.key.as_ref()
    }

    /// Takes one datagram.
    pub(super) fn take(&mut self, datagram: &[u8]) -> Verdict {
        // RFC 5761 clause 4: payload types 64 to 95 are RTCP's.
        let [first, second, ..] = datagram else { return Verdict::Stack };
        if first >> 6 != 2 || (64..96).contains(&(second & 0x7F)) || self.key().is_none() {
            return Verdict::Stack;
        }
        let Ok(view) = Packet::parse_header(datagram) else { return Verdict::Refused };
        let ssrc = view.ssrc().0;
        let at = self.streams.iter().position(|(have, ..)| *have == ssrc);
        let at = at.unwrap_or(self.streams.len());
        if at == self.streams.len() {
            if at == STREAMS {
                return Verdict::Refused;
            }
            self.streams.push((ssrc, RtpIndex::new(), 0));
        }
        let marker = view.marker();
        self.markers += u64::from(marker);
        let wanted = marker && self.markers.is_multiple_of(SAMPLE);
        let Some((_, state, count)) = self.streams.get_mut(at) else { return Verdict::Refused };
        let Ok(index) = state.estimate(view.seq()) else { return Verdict::Refused };
        if state.check(index).is_err() {
            return Verdict::Refused;
        }
        *count += 1;
        let (mut sent, opened) = (None, wanted || *count % SAMPLE == 1);
        if opened {
            let mut copy = [0; PACKET];
            let len = match (copy.get_mut(..datagram.len()), &self.key) {
                (Some(copy), Some(key)) => {
                    copy.copy_from_slice(datagram);
                    let mut trial = *state;
                    key.open_rtp(copy, &mut trial).ok().map(|opened| opened.len)
                }
                _ => None,
            };
            let Some(len) = len else { return Verdict::Forged };
            let plain = copy.get(..len).and_then(|plain| Packet::parse(plain).ok());
            sent = plain.and_then(|plain| Stamp::read(plain.payload()));
        }
        state.accept(index);
        let bytes = datagram.len().saturating_sub(view.layout().header_len());
        let (payload_type, timestamp) = (view.payload_type().get(), view.timestamp());
        Verdict::Heard(Heard { ssrc, payload_type, index, timestamp, marker, bytes, opened, sent })
    }
}

/// Delay of a stamped packet, in microseconds.
pub(super) fn delay_us(sent: Stamp, epoch: Instant, now: Instant) -> u64 {
    (now.saturating_duration_since(epoch).as_nanos() as u64).saturating_sub(sent.0) / 1000
}
