//! Writing STUN Binding messages into the caller's buffer.

use std::net::{IpAddr, SocketAddr};

use hmac::Mac;

use super::read::v6_mask;
use super::{
    HEADER_LEN, INTEGRITY_LEN, IntegrityKey, MAGIC_COOKIE, Role, TransactionId, attribute,
    fingerprint,
};

/// Errors a check is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// 400: an attribute that ICE requires is missing.
    BadRequest,
    /// 401: integrity does not match our password.
    Unauthorized,
    /// 487: both sides claim the same role and the sender has to change (RFC 8445 §7.3.1.1).
    RoleConflict,
}

impl ErrorCode {
    /// The number.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::RoleConflict => 487,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad Request",
            Self::Unauthorized => "Unauthorized",
            Self::RoleConflict => "Role Conflict",
        }
    }
}

/// What a connectivity check says.
#[derive(Debug, Clone, Copy)]
pub struct BindingRequest<'a> {
    /// Id of this transmission.
    pub transaction: TransactionId,
    /// Ufrag of the agent asked; at most 256 bytes.
    pub to_ufrag: &'a str,
    /// Ufrag of the sender; together with the other at most 256 bytes.
    pub from_ufrag: &'a str,
    /// Priority a peer-reflexive candidate learned from it would have.
    pub priority: u32,
    /// The sender's role and tie-breaker.
    pub role: Role,
    /// Nominates the pair.
    pub use_candidate: bool,
}

/// Writes a success response that reports `mapped`, signed and fingerprinted (RFC 8489 §7.3.1.1).
/// Returns its length: 64 bytes with IPv4, 76 with IPv6; `None` if `out` is shorter.
#[must_use]
pub fn write_success(
    out: &mut [u8],
    transaction: TransactionId,
    mapped: SocketAddr,
    key: &IntegrityKey,
) -> Option<usize> {
    let mut w = Writer::start(out, 0x0101, transaction)?;
    w.xor_address(mapped, transaction)?;
    w.finish(Some(key))
}

/// Writes an error response (RFC 8489 §9.1.3: 400 and 401 go without integrity, 487 with).
/// Returns its length; `None` if `out` is too short (76 bytes always do).
#[must_use]
pub fn write_error(
    out: &mut [u8],
    transaction: TransactionId,
    error: ErrorCode,
    key: Option<&IntegrityKey>,
) -> Option<usize> {
    let mut w = Writer::start(out, 0x0111, transaction)?;
    let reason = error.reason().as_bytes();
    w.attribute_header(attribute::ERROR_CODE, 4 + reason.len())?;
    w.put(&[0, 0, (error.code() / 100) as u8, (error.code() % 100) as u8])?;
    w.put(reason)?;
    w.pad()?;
    w.finish(key)
}

/// Writes a connectivity check signed with the password of the agent asked.
/// Returns its length; `None` if `out` is too short ([`super::MAX_MESSAGE`] always does).
#[must_use]
pub fn write_request(
    out: &mut [u8],
    request: &BindingRequest<'_>,
    key: &IntegrityKey,
) -> Option<usize> {
    let mut w = Writer::start(out, 0x0001, request.transaction)?;
    let (to, from) = (request.to_ufrag.as_bytes(), request.from_ufrag.as_bytes());
    w.attribute_header(attribute::USERNAME, to.len() + 1 + from.len())?;
    w.put(to)?;
    w.put(b":")?;
    w.put(from)?;
    w.pad()?;
    w.attribute(attribute::PRIORITY, &request.priority.to_be_bytes())?;
    if request.use_candidate {
        w.attribute(attribute::USE_CANDIDATE, &[])?;
    }
    match request.role {
        Role::Controlling(tie) => w.attribute(attribute::ICE_CONTROLLING, &tie.to_be_bytes())?,
        Role::Controlled(tie) => w.attribute(attribute::ICE_CONTROLLED, &tie.to_be_bytes())?,
    }
    w.finish(Some(key))
}

/// Appends attributes; every step is `None` when the buffer ends.
struct Writer<'b> {
    out: &'b mut [u8],
    len: usize,
}

impl<'b> Writer<'b> {
    fn start(out: &'b mut [u8], kind: u16, transaction: TransactionId) -> Option<Self> {
        let mut w = Self { out, len: 0 };
        w.put(&kind.to_be_bytes())?;
        w.put(&[0, 0])?;
        w.put(&MAGIC_COOKIE)?;
        w.put(&transaction.0)?;
        Some(w)
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.out.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn pad(&mut self) -> Option<()> {
        let missing = self.len.next_multiple_of(4) - self.len;
        self.put([0; 3].get(..missing)?)
    }

    fn attribute_header(&mut self, kind: u16, len: usize) -> Option<()> {
        self.put(&kind.to_be_bytes())?;
        self.put(&u16::try_from(len).ok()?.to_be_bytes())
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) -> Option<()> {
        self.attribute_header(kind, value.len())?;
        self.put(value)?;
        self.pad()
    }

    fn xor_address(&mut self, addr: SocketAddr, transaction: TransactionId) -> Option<()> {
        let [p1, p0] = addr.port().to_be_bytes();
        let port = [p1 ^ MAGIC_COOKIE[0], p0 ^ MAGIC_COOKIE[1]];
        match addr.ip() {
            IpAddr::V4(ip) => {
                self.attribute_header(attribute::XOR_MAPPED_ADDRESS, 8)?;
                self.put(&[0, 1, port[0], port[1]])?;
                self.put(&(ip.to_bits() ^ u32::from_be_bytes(MAGIC_COOKIE)).to_be_bytes())
            }
            IpAddr::V6(ip) => {
                self.attribute_header(attribute::XOR_MAPPED_ADDRESS, 20)?;
                self.put(&[0, 2, port[0], port[1]])?;
                self.put(&(ip.to_bits() ^ v6_mask(transaction)).to_be_bytes())
            }
        }
    }

    /// Signs, fingerprints and fills in the length field.
    fn finish(mut self, key: Option<&IntegrityKey>) -> Option<usize> {
        if let Some(key) = key {
            let [l1, l0] = self.length_with(4 + INTEGRITY_LEN)?;
            let [t1, t0, ..] = *self.out.first_chunk::<4>()?;
            let mac = key.over([t1, t0, l1, l0], self.out.get(4..self.len)?).finalize();
            self.attribute(attribute::MESSAGE_INTEGRITY, &mac.into_bytes())?;
        }
        let length = self.length_with(8)?;
        self.out.get_mut(2..4)?.copy_from_slice(&length);
        let crc = fingerprint(self.out.get(..self.len)?);
        self.attribute(attribute::FINGERPRINT, &crc.to_be_bytes())?;
        Some(self.len)
    }

    /// The length field for a message that has `more` bytes to come.
    fn length_with(&self, more: usize) -> Option<[u8; 2]> {
        u16::try_from(self.len - HEADER_LEN + more).ok().map(u16::to_be_bytes)
    }
}
