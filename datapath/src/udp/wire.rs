//! The two forms a datagram's companions take at the system call: socket addresses and control
//! messages, read and written as bytes.
//!
//! Both are plain data of fixed size here, so the engines keep them in preallocated tables and
//! nothing is allocated per packet. Layouts: `ip(7)`, `ipv6(7)`, `udp(7)`, `cmsg(3)`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// `sockaddr_in6`, the longest name an internet socket has.
pub(crate) const NAME_LEN: usize = size_of::<libc::sockaddr_in6>();
const NAME_V4_LEN: usize = size_of::<libc::sockaddr_in>();

/// Received control data: room for the GRO segment size and the overflow count, 4 bytes each.
pub(crate) const CONTROL_IN_LEN: usize = 2 * CONTROL_SPACE;
/// Sent control data: the GSO segment size, 2 bytes.
pub(crate) const CONTROL_OUT_LEN: usize = CONTROL_SPACE;

/// `CMSG_SPACE` of anything up to 8 bytes.
const CONTROL_SPACE: usize = size_of::<libc::cmsghdr>() + 8;
const CONTROL_HEAD: usize = size_of::<libc::cmsghdr>();
const WORD: usize = size_of::<usize>();

/// A socket address as the kernel reads and writes it.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name(pub(crate) [u8; NAME_LEN]);

impl Name {
    pub(crate) const EMPTY: Self = Self([0; NAME_LEN]);

    /// Writes `to` and returns how many bytes of the name are used.
    pub(crate) fn set(&mut self, to: SocketAddr) -> libc::socklen_t {
        let bytes = &mut self.0;
        bytes[2..4].copy_from_slice(&to.port().to_be_bytes());
        match to {
            SocketAddr::V4(to) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                bytes[4..8].copy_from_slice(&to.ip().octets());
                bytes[8..NAME_V4_LEN].fill(0);
                NAME_V4_LEN as libc::socklen_t
            }
            SocketAddr::V6(to) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                bytes[4..8].copy_from_slice(&to.flowinfo().to_be_bytes());
                bytes[8..24].copy_from_slice(&to.ip().octets());
                bytes[24..28].copy_from_slice(&to.scope_id().to_ne_bytes());
                NAME_LEN as libc::socklen_t
            }
        }
    }
}

/// Reads a name the kernel wrote; `None` for a family that is not the internet's.
pub(crate) fn address(name: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(array(name, 0)?));
    let port = u16::from_be_bytes(array(name, 2)?);
    match family {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(array::<4>(name, 4)?);
            Some(SocketAddr::V4(SocketAddrV4::new(ip, port)))
        }
        libc::AF_INET6 => {
            let flow = u32::from_be_bytes(array(name, 4)?);
            let ip = Ipv6Addr::from(array::<16>(name, 8)?);
            let scope = u32::from_ne_bytes(array(name, 24)?);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, flow, scope)))
        }
        _ => None,
    }
}

/// What the kernel said beside a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Companions {
    /// Length of each datagram of a coalesced train; 0: the bytes are one datagram.
    pub(crate) segment: u16,
    /// Datagrams this socket has lost at a full buffer since it was opened, modulo 2^32.
    pub(crate) overflow: Option<u32>,
}

/// Reads the control messages of one received message; unknown ones are skipped, a malformed
/// one ends the reading.
pub(crate) fn companions(mut control: &[u8]) -> Companions {
    let mut found = Companions::default();
    while let Some((level, kind, data, next)) = control_message(control) {
        let value = array(data, 0).map(u32::from_ne_bytes);
        match (level, kind) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                found.segment = value.and_then(|v| u16::try_from(v).ok()).unwrap_or(0);
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => found.overflow = value,
            _ => {}
        }
        control = next;
    }
    found
}

/// Level, type, data and what follows of the first control message.
fn control_message(control: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let len = usize::from_ne_bytes(array(control, 0)?);
    let level = i32::from_ne_bytes(array(control, WORD)?);
    let kind = i32::from_ne_bytes(array(control, WORD + 4)?);
    let data = control.get(CONTROL_HEAD..len)?;
    let next = control.get(len.next_multiple_of(WORD)..).unwrap_or_default();
    Some((level, kind, data, next))
}

/// Control data of an outgoing train.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ControlOut(pub(crate) [u8; CONTROL_OUT_LEN]);

impl ControlOut {
    /// A `UDP_SEGMENT` message whose segment size [`ControlOut::set`] fills in.
    pub(crate) fn new() -> Self {
        let mut bytes = [0; CONTROL_OUT_LEN];
        let len = CONTROL_HEAD + size_of::<u16>();
        bytes[..WORD].copy_from_slice(&len.to_ne_bytes());
        bytes[WORD..WORD + 4].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
        bytes[WORD + 4..CONTROL_HEAD].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
        Self(bytes)
    }

    pub(crate) fn set(&mut self, segment: u16) {
        self.0[CONTROL_HEAD..CONTROL_HEAD + 2].copy_from_slice(&segment.to_ne_bytes());
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
