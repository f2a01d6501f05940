//! What the kernel can do with trains, found out by doing it.
//!
//! Old kernels ignore a control message they do not know and send the whole train as one
//! datagram, so the answer of `sendmsg` alone proves nothing: the probe looks at what arrives.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::wire::{ControlOut, Name};

/// What the kernel does for a datagram socket. The engines behave alike without; each packet
/// then costs a send or a receive of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UdpCapabilities {
    /// A train of equal datagrams leaves in one `sendmsg` (`UDP_SEGMENT`, Linux 4.18).
    pub gso: bool,
    /// Equal datagrams of one sender arrive as one message (`UDP_GRO`, Linux 5.0).
    pub gro: bool,
}

impl UdpCapabilities {
    /// Tries both over loopback; what cannot be tried counts as absent. Once a process: it
    /// opens two sockets and waits up to 200 ms where trains do not work.
    pub fn probe() -> Self {
        Self { gso: try_gso().unwrap_or(false), gro: try_gro().unwrap_or(false) }
    }
}

fn loopback() -> io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
}

/// Sends 5 bytes as segments of 2 and wants a first datagram of 2.
fn try_gso() -> io::Result<bool> {
    let (sender, receiver) = (loopback()?, loopback()?);
    receiver.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut name = Name::EMPTY;
    let name_len = name.set(receiver.local_addr()?);
    let mut control = ControlOut::new();
    control.set(2);
    let mut bytes = *b"train";
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all-zero is a valid msghdr (null pointers with zero lengths).
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_name = name.0.as_mut_ptr().cast();
    message.msg_namelen = name_len;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: every pointer in the message points at a local that outlives the call.
    let sent = unsafe { libc::sendmsg(sender.as_raw_fd(), &raw const message, 0) };
    if sent != bytes.len() as isize {
        return Ok(false);
    }
    Ok(receiver.recv(&mut [0; 16])? == 2)
}

fn try_gro() -> io::Result<bool> {
    super::set_gro(&loopback()?, true).map(|()| true)
}
