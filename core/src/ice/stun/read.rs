//! Reading STUN Binding messages from hostile bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::Mac;
use thiserror::Error;

use super::{
    HEADER_LEN, INTEGRITY_LEN, IntegrityKey, MAGIC_COOKIE, TransactionId, attribute, fingerprint,
};

/// Class of a Binding message (RFC 8489 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A connectivity check.
    Request,
    /// A keepalive that is not answered.
    Indication,
    /// The check reached its end.
    Success,
    /// The check was refused.
    Error,
}

/// The role a check's sender claims, with its tie-breaker (RFC 8445 §7.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It nominates.
    Controlling(u64),
    /// It waits for a nomination.
    Controlled(u64),
}

/// Why a datagram is no Binding message of ICE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StunError {
    /// Not STUN: too short, top bits set, no cookie.
    #[error("not STUN")]
    NotStun,
    /// The length field disagrees with the datagram or is no multiple of four.
    #[error("STUN length field wrong")]
    Length,
    /// Another method than Binding.
    #[error("not a STUN Binding message")]
    Method,
    /// An attribute ends behind the message or has the wrong size.
    #[error("malformed STUN attribute {0:#06x}")]
    Attribute(u16),
    /// FINGERPRINT present and wrong.
    #[error("STUN fingerprint wrong")]
    Fingerprint,
}

/// A Binding message, borrowed from its datagram. Only FINGERPRINT has been checked; the rest is
/// a claim until [`Message::verify`] says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// Request, indication, success or error.
    pub class: Class,
    /// What pairs request and response.
    pub transaction: TransactionId,
    /// USERNAME, at most 512 bytes (RFC 8489 §14.3).
    pub username: Option<&'a [u8]>,
    /// PRIORITY (RFC 8445 §7.1.1).
    pub priority: Option<u32>,
    /// USE-CANDIDATE present: the pair is nominated (RFC 8445 §7.1.2).
    pub use_candidate: bool,
    /// ICE-CONTROLLING or ICE-CONTROLLED; the last one, should there be two.
    pub role: Option<Role>,
    /// XOR-MAPPED-ADDRESS, decoded.
    pub mapped: Option<SocketAddr>,
    /// ERROR-CODE, 300 to 699.
    pub error: Option<u16>,
    integrity_at: Option<usize>,
}

impl<'a> Message<'a> {
    /// Reads a datagram. Attributes we do not know are skipped, whatever their range: answering
    /// 420 would cut off peers that experiment, and RFC 8445 defines nothing that needs it.
    ///
    /// # Errors
    /// Says what is malformed; such datagrams are dropped without an answer.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or(StunError::NotStun)?;
        let [t1, t0, l1, l0, c0, c1, c2, c3, transaction @ ..] = *header;
        if t1 > 3 || [c0, c1, c2, c3] != MAGIC_COOKIE {
            return Err(StunError::NotStun);
        }
        let len = usize::from(u16::from_be_bytes([l1, l0]));
        if len % 4 != 0 || len != bytes.len() - HEADER_LEN {
            return Err(StunError::Length);
        }
        let class = match u16::from_be_bytes([t1, t0]) {
            0x0001 => Class::Request,
            0x0011 => Class::Indication,
            0x0101 => Class::Success,
            0x0111 => Class::Error,
            _ => return Err(StunError::Method),
        };
        let mut message = Self {
            bytes,
            class,
            transaction: TransactionId(transaction),
            username: None,
            priority: None,
            use_candidate: false,
            role: None,
            mapped: None,
            error: None,
            integrity_at: None,
        };
        message.read_attributes()?;
        Ok(message)
    }

    fn read_attributes(&mut self) -> Result<(), StunError> {
        let mut at = HEADER_LEN;
        while let Some([k1, k0, l1, l0]) = self.bytes.get(at..).and_then(<[u8]>::first_chunk) {
            let kind = u16::from_be_bytes([*k1, *k0]);
            let len = usize::from(u16::from_be_bytes([*l1, *l0]));
            let malformed = StunError::Attribute(kind);
            let value = self.bytes.get(at + 4..at + 4 + len).ok_or(malformed)?;
            if kind == attribute::FINGERPRINT {
                // The last attribute by definition; what follows is not looked at.
                return self.check_fingerprint(at, value);
            }
            // RFC 8489 §14.5: behind MESSAGE-INTEGRITY only FINGERPRINT counts.
            if self.integrity_at.is_none() {
                self.read_attribute(kind, value, at).ok_or(malformed)?;
            }
            at += 4 + len.next_multiple_of(4);
        }
        Ok(())
    }

    /// `None` when the value does not fit the type.
    fn read_attribute(&mut self, kind: u16, value: &'a [u8], at: usize) -> Option<()> {
        match kind {
            attribute::USERNAME if value.len() > 512 => return None,
            attribute::USERNAME => self.username = Some(value),
            attribute::PRIORITY => self.priority = Some(u32::from_be_bytes(exact(value)?)),
            attribute::USE_CANDIDATE => self.use_candidate = true,
            attribute::ICE_CONTROLLING => {
                self.role = Some(Role::Controlling(u64::from_be_bytes(exact(value)?)));
            }
            attribute::ICE_CONTROLLED => {
                self.role = Some(Role::Controlled(u64::from_be_bytes(exact(value)?)));
            }
            attribute::XOR_MAPPED_ADDRESS => {
                self.mapped = Some(read_xor_address(value, self.transaction)?);
            }
            attribute::ERROR_CODE => {
                let [_, _, class, number] = *value.first_chunk()?;
                self.error = Some(u16::from(class & 7) * 100 + u16::from(number.min(99)));
            }
            attribute::MESSAGE_INTEGRITY => {
                exact::<INTEGRITY_LEN>(value)?;
                self.integrity_at = Some(at);
            }
            _ => {}
        }
        Some(())
    }

    fn check_fingerprint(&self, at: usize, value: &[u8]) -> Result<(), StunError> {
        let malformed = StunError::Attribute(attribute::FINGERPRINT);
        let theirs = u32::from_be_bytes(exact(value).ok_or(malformed)?);
        let covered = self.bytes.get(..at).ok_or(malformed)?;
        if fingerprint(covered) != theirs {
            return Err(StunError::Fingerprint);
        }
        Ok(())
    }

    /// Where MESSAGE-INTEGRITY begins, in bytes from the header; `None` without one.
    #[must_use]
    pub fn integrity_offset(&self) -> Option<usize> {
        self.integrity_at
    }

    /// Whether MESSAGE-INTEGRITY is there and made with `key` (RFC 8489 §9.1.3), compared in
    /// constant time. Cost: SHA-1 over the message.
    #[must_use]
    pub fn verify(&self, key: &IntegrityKey) -> bool {
        let Some(at) = self.integrity_at else { return false };
        let (Some([t1, t0, ..]), Some(rest)) =
            (self.bytes.first_chunk::<4>(), self.bytes.get(4..at))
        else {
            return false;
        };
        let tag = self.bytes.get(at + 4..at + 4 + INTEGRITY_LEN).unwrap_or_default();
        // The length field counts up to the integrity attribute, itself included.
        let [l1, l0] = ((at + 4 + INTEGRITY_LEN - HEADER_LEN) as u16).to_be_bytes();
        key.over([*t1, *t0, l1, l0], rest).verify_slice(tag).is_ok()
    }
}

fn exact<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    value.try_into().ok()
}

/// XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
fn read_xor_address(value: &[u8], transaction: TransactionId) -> Option<SocketAddr> {
    let [_, family, p1, p0] = *value.first_chunk()?;
    let port = u16::from_be_bytes([p1 ^ MAGIC_COOKIE[0], p0 ^ MAGIC_COOKIE[1]]);
    let address = value.get(4..)?;
    let ip: IpAddr = match family {
        1 => Ipv4Addr::from_bits(
            u32::from_be_bytes(exact(address)?) ^ u32::from_be_bytes(MAGIC_COOKIE),
        )
        .into(),
        2 => {
            Ipv6Addr::from_bits(u128::from_be_bytes(exact(address)?) ^ v6_mask(transaction)).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// What an IPv6 address is xored with: cookie, then transaction id.
pub(super) fn v6_mask(transaction: TransactionId) -> u128 {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE);
    mask[4..].copy_from_slice(&transaction.0);
    u128::from_be_bytes(mask)
}
