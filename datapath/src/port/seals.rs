//! SRTP of forwarders: one (key, SSRC, index) is sealed once, or again byte for byte (design §3).
//!
//! The keys come from clients, who may give one key to many forwarders, and give it again after a
//! forwarder has ended. So the numbers belong to the key, not to the forwarder: the shard remembers
//! for each (key, SSRC) what was sealed last. A stream has one *tenant* at a time, that is one
//! source with one payload type; forwarders of the same tenant send the same bytes to several
//! addresses. The next tenant's numbers go on behind those of the former. A second tenant beside a
//! living one is refused. Control sends all forwarders of a key to one shard.
//!
//! Bounds: [`MAX_KEYS`] keys, the one longest without a forwarder forgotten first; [`MAX_STREAMS`]
//! SSRCs a key.

use crate::forward::SourceKey;
use bifrons_core::rtp::{Seq, SeqUnwrapper, Ssrc};
use bifrons_core::srtp::{MasterKey, REPLAY_WINDOW, ReplayWindow, SealKey};

/// Keys that are remembered.
pub const MAX_KEYS: usize = 1024;
/// SSRCs of one key.
const MAX_STREAMS: usize = 256;
/// Packets back that may be sealed again.
const WINDOW: usize = REPLAY_WINDOW as usize;

/// Whose packets a stream carries: what makes two sealed packets of one number the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The source.
    pub source: SourceKey,
    /// The payload type it leaves with, if not its own.
    pub payload_type: Option<u8>,
    /// The substream, where the SSRC does not tell.
    pub layer: u8,
    /// A forwarder that gives numbers of its own is alone; 0 for those that keep the source's.
    pub forwarder: u32,
}

/// One SSRC under one key.
#[derive(Debug)]
struct Stream {
    ssrc: Ssrc,
    tenant: Option<Tenant>,
    /// Added to the tenant's sequence numbers.
    offset: u16,
    index: SeqUnwrapper,
    last: Seq,
    sealed: ReplayWindow,
    /// Which packet of the source was sealed, by the low bits of its index.
    packets: Box<[u64; WINDOW]>,
}

/// One key.
#[derive(Debug)]
struct Space {
    master: MasterKey,
    seal: SealKey,
    streams: Vec<Stream>,
    users: u32,
    /// When it was last without a user.
    left: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Seals {
    spaces: Vec<Space>,
    clock: u64,
}

impl Seals {
    /// The place of a key, for one more forwarder. `None` when all keys are in use.
    pub fn enter(&mut self, master: &MasterKey) -> Option<u32> {
        if let Some(at) = self.spaces.iter().position(|space| space.master == *master) {
            self.spaces[at].users += 1;
            return u32::try_from(at).ok();
        }
        let space = Space {
            master: *master,
            seal: SealKey::new(master).ok()?,
            streams: Vec::new(),
            users: 1,
            left: 0,
        };
        if self.spaces.len() < MAX_KEYS {
            self.spaces.push(space);
            return u32::try_from(self.spaces.len() - 1).ok();
        }
        let idle = self.spaces.iter().enumerate().filter(|(_, space)| space.users == 0);
        let (at, _) = idle.min_by_key(|(_, space)| space.left)?;
        self.spaces[at] = space;
        u32::try_from(at).ok()
    }

    /// One forwarder less.
    pub fn leave(&mut self, place: u32) {
        self.clock += 1;
        let Some(space) = self.spaces.get_mut(place as usize) else { return };
        space.users = space.users.saturating_sub(1);
        space.left = self.clock;
    }

    /// The tenant is gone; the next one's numbers follow.
    pub fn vacate(&mut self, place: u32, left: impl Fn(Ssrc, &Tenant) -> bool) {
        let Some(space) = self.spaces.get_mut(place as usize) else { return };
        for stream in &mut space.streams {
            if stream.tenant.is_some_and(|tenant| left(stream.ssrc, &tenant)) {
                stream.tenant = None;
            }
        }
    }

    /// Bytes that sealing adds.
    pub fn overhead(&self, place: u32) -> usize {
        self.spaces.get(place as usize).map_or(0, |space| space.master.profile().rtp_tag_len())
    }

    /// Gives the packet its sequence number and seals it in place: a header of `header_len` bytes,
    /// `len` in all, the source's packet number `packet`. Returns its length; `None` when its
    /// number may not be sealed, or another tenant has the SSRC.
    #[inline]
    pub fn seal(
        &mut self,
        place: u32,
        tenant: Tenant,
        packet: u64,
        out: &mut [u8],
        (header_len, len): (usize, usize),
    ) -> Option<usize> {
        let space = self.spaces.get_mut(place as usize)?;
        let head = out.first_chunk::<12>()?;
        let seq = Seq(u16::from_be_bytes([head[2], head[3]]));
        let ssrc = Ssrc(u32::from_be_bytes([head[8], head[9], head[10], head[11]]));
        let stream = space.streams.iter().position(|stream| stream.ssrc == ssrc);
        let stream = match stream {
            Some(at) => space.streams.get_mut(at)?,
            None if space.streams.len() < MAX_STREAMS => {
                space.streams.push(Stream::new(ssrc));
                space.streams.last_mut()?
            }
            None => return None,
        };
        let (seq, index) = stream.number(tenant, seq, packet)?;
        out.get_mut(2..4)?.copy_from_slice(&seq.0.to_be_bytes());
        space.seal.seal_rtp_in_place(index, out, header_len, len).ok()
    }
}

impl Stream {
    fn new(ssrc: Ssrc) -> Self {
        Stream {
            ssrc,
            tenant: None,
            offset: 0,
            index: SeqUnwrapper::new(),
            last: Seq(0),
            sealed: ReplayWindow::default(),
            packets: Box::new([0; WINDOW]),
        }
    }

    /// The number and index of a packet, unless that index was sealed with other bytes.
    fn number(&mut self, tenant: Tenant, seq: Seq, packet: u64) -> Option<(Seq, u64)> {
        match self.tenant {
            Some(have) if have == tenant => {}
            Some(_) => return None,
            None => {
                let begun = self.sealed.highest().is_some();
                self.offset = if begun { self.last.next().0.wrapping_sub(seq.0) } else { 0 };
                self.tenant = Some(tenant);
            }
        }
        let seq = Seq(seq.0.wrapping_add(self.offset));
        let index = self.index.unwrap(seq).0.checked_sub(1 << 16)?;
        let slot = self.packets.get_mut((index % REPLAY_WINDOW) as usize)?;
        if self.sealed.check(index).is_ok() {
            self.sealed.accept(index);
            *slot = packet;
            if self.sealed.highest() == Some(index) {
                self.last = seq;
            }
            return Some((seq, index));
        }
        let recent = self.sealed.highest().is_some_and(|top| index + REPLAY_WINDOW > top);
        (recent && *slot == packet).then_some((seq, index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bifrons_core::srtp::SrtpProfile;

    fn master(byte: u8) -> MasterKey {
        MasterKey::new(SrtpProfile::Aes128CmSha1_80, &[byte; 16], &[byte; 14]).expect("fits")
    }

    fn tenant(source: u32) -> Tenant {
        let source = SourceKey { index: source, generation: 1 };
        Tenant { source, payload_type: None, layer: 0, forwarder: 0 }
    }

    /// Seals `seq`; the number it left with.
    fn seal(seals: &mut Seals, key: u32, who: Tenant, seq: u16, packet: u64) -> Option<u16> {
        let mut out = [0; 64];
        out[0] = 0x80;
        out[2..4].copy_from_slice(&seq.to_be_bytes());
        out[12..20].copy_from_slice(&packet.to_be_bytes());
        seals.seal(key, who, packet, &mut out, (12, 20))?;
        Some(u16::from_be_bytes([out[2], out[3]]))
    }

    #[test]
    fn a_number_is_sealed_once_or_with_the_same_packet() {
        let mut seals = Seals::default();
        let key = seals.enter(&master(1)).expect("room");
        assert_eq!(seal(&mut seals, key, tenant(1), 10, 0), Some(10));
        assert_eq!(seal(&mut seals, key, tenant(1), 10, 0), Some(10), "for another address");
        assert_eq!(seal(&mut seals, key, tenant(1), 10, 1), None, "other bytes");
        assert_eq!(seal(&mut seals, key, tenant(1), 400, 2), Some(400));
        assert_eq!(seal(&mut seals, key, tenant(1), 10, 0), None, "out of sight");
    }

    #[test]
    fn the_next_tenant_goes_on_behind_the_former() {
        let mut seals = Seals::default();
        let key = seals.enter(&master(1)).expect("room");
        assert_eq!(seal(&mut seals, key, tenant(1), 65_535, 0), Some(65_535));
        assert_eq!(seal(&mut seals, key, tenant(2), 7, 0), None, "one at a time");
        seals.vacate(key, |ssrc, who| ssrc == Ssrc(0) && *who == tenant(1));
        seals.leave(key);
        let again = seals.enter(&master(1)).expect("remembered");
        assert_eq!(again, key);
        assert_eq!(seal(&mut seals, again, tenant(2), 7, 5), Some(0));
        assert_eq!(seal(&mut seals, again, tenant(2), 8, 6), Some(1));
        assert_eq!(seal(&mut seals, again, tenant(2), 6, 9), None, "the former's last");
    }

    #[test]
    fn the_key_longest_unused_is_forgotten_first() {
        let mut seals = Seals::default();
        let keys: Vec<MasterKey> = (0..MAX_KEYS as u32)
            .map(|n| {
                let (mut key, salt) = ([0; 16], [0; 14]);
                key[..4].copy_from_slice(&n.to_be_bytes());
                MasterKey::new(SrtpProfile::Aes128CmSha1_32, &key, &salt).expect("fits")
            })
            .collect();
        for key in &keys {
            assert!(seals.enter(key).is_some());
        }
        assert_eq!(seals.enter(&master(9)), None, "all in use");
        seals.leave(5);
        seals.leave(3);
        assert_eq!(seals.enter(&master(9)), Some(5));
        assert_eq!(seals.enter(&keys[3]), Some(3), "still known");
    }
}
