//! A shard's UDP sockets: opening them, and learning once what the kernel can do with trains.
//!
//! One socket per advertised local address, bound to that address and never connected: a kernel
//! 6.1 scans the connected sockets of a port for every packet of a stranger
//! (reference/datapath-limits.md section 3). The port says which shard it is, so sockets are
//! never shared between shards. Start-up only; `wire` has the forms used per packet.

mod port;
mod probe;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

pub use port::open_port;
pub use probe::UdpCapabilities;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// How a shard's sockets are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketOptions {
    /// Wanted receive buffer in bytes; the kernel may give less (`net.core.rmem_max`) to a
    /// process without `CAP_NET_ADMIN`.
    pub receive_buffer: usize,
    /// Wanted send buffer in bytes, same limits (`net.core.wmem_max`). Megabytes, or a burst of
    /// trains is shed that the device would have taken.
    pub send_buffer: usize,
    /// Differentiated services code point (RFC 2474, 0-63) of everything sent, or the
    /// kernel's default.
    pub dscp: Option<u8>,
}

impl Default for SocketOptions {
    /// 8 MiB each way, no code point.
    fn default() -> Self {
        Self { receive_buffer: 8 << 20, send_buffer: 8 << 20, dscp: None }
    }
}

/// How often a taken port is tried again at start, and after how long each time: one second.
const LINGER: (u32, Duration) = (20, Duration::from_millis(50));

/// Opens one socket bound to `ip` and `port` (0: the kernel chooses), non-blocking, unconnected,
/// IPv6 without mapped IPv4. Buffers and code point are wishes; not getting them is no error.
///
/// # Errors
/// Socket creation and bind failures, with the address in the text.
pub fn open(ip: IpAddr, port: u16, options: &SocketOptions) -> io::Result<UdpSocket> {
    let at = SocketAddr::new(ip, port);
    let mut bound = bind(at, options);
    // The kernel lets go of an io_uring's sockets a moment after their process has ended: a
    // server that is started again at once would find its own ports taken.
    for _ in 0..LINGER.0 {
        match &bound {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                std::thread::sleep(LINGER.1);
                bound = bind(at, options);
            }
            _ => break,
        }
    }
    bound.map_err(|error| io::Error::new(error.kind(), format!("udp {at}: {error}")))
}

/// Opens one socket for each of `ips`, all on `port`, in that order: the index in the result is
/// the socket number of the engine they are given to.
///
/// # Errors
/// The first that fails; those opened before it are closed again.
pub fn open_shard(
    ips: &[IpAddr],
    port: u16,
    options: &SocketOptions,
) -> io::Result<Vec<UdpSocket>> {
    ips.iter().map(|&ip| open(ip, port, options)).collect()
}

/// The receive and send buffer the kernel granted to `socket`, in bytes (its own bookkeeping
/// included, so twice what was asked for where the ask was met).
///
/// # Errors
/// What `getsockopt(2)` says.
pub fn granted_buffers(socket: &UdpSocket) -> io::Result<(usize, usize)> {
    let socket = SockRef::from(socket);
    Ok((socket.recv_buffer_size()?, socket.send_buffer_size()?))
}

fn bind(at: SocketAddr, options: &SocketOptions) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&at.into())?;
    set_buffers(&socket, options);
    if let Some(dscp) = options.dscp {
        set_dscp(&socket, at.is_ipv6(), dscp);
    }
    Ok(socket.into())
}

/// The FORCE variants pass the system's limits with `CAP_NET_ADMIN`; without it the plain ones
/// give what the limits allow.
fn set_buffers(socket: &Socket, options: &SocketOptions) {
    let clamp = |bytes: usize| i32::try_from(bytes).unwrap_or(i32::MAX);
    if set_option(socket, libc::SO_RCVBUFFORCE, clamp(options.receive_buffer)).is_err() {
        let _ = socket.set_recv_buffer_size(options.receive_buffer);
    }
    if set_option(socket, libc::SO_SNDBUFFORCE, clamp(options.send_buffer)).is_err() {
        let _ = socket.set_send_buffer_size(options.send_buffer);
    }
}

/// RFC 2474 section 3: the code point is the upper six bits of the traffic class byte.
fn set_dscp(socket: &Socket, v6: bool, dscp: u8) {
    let class = u32::from(dscp & 0x3f) << 2;
    let set = if v6 { socket.set_tclass_v6(class) } else { socket.set_tos_v4(class) };
    if let Err(error) = set {
        tracing::warn!(%error, dscp, "packets leave without the wanted code point");
    }
}

fn set_option(socket: &impl AsRawFd, option: i32, value: i32) -> io::Result<()> {
    set_option_at(socket, libc::SOL_SOCKET, option, value)
}

/// Sets an integer socket option that socket2 has no name for.
pub(crate) fn set_option_at(
    socket: &impl AsRawFd,
    level: i32,
    option: i32,
    value: i32,
) -> io::Result<()> {
    // SAFETY: the option value is one readable int whose size is given; the descriptor is alive
    // for the length of the borrow.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Turns coalescing of equal datagrams on or off for `socket`.
pub(crate) fn set_gro(socket: &UdpSocket, on: bool) -> io::Result<()> {
    set_option_at(socket, libc::SOL_UDP, libc::UDP_GRO, i32::from(on))
}

/// Asks for the count of datagrams lost at a full receive buffer with each datagram (it costs
/// nothing while there are none).
pub(crate) fn report_overflow(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::SO_RXQ_OVFL, 1)
}
