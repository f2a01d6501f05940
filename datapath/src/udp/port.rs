//! Sockets of ports: any address, a range of numbers, multicast groups.

use bifrons_core::media::{Family, PortRequest};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Wanted buffers in bytes: a second of a fast stream.
const BUFFER: usize = 2 << 20;
/// Ports of a range that are tried before it counts as taken.
const TRIES: u32 = 512;

/// Opens the socket of a port, non-blocking. Of a range the port `pick` (taken modulo its size)
/// and those after it are tried.
///
/// # Errors
/// What the system says of the last try, with the address in the text.
pub fn open_port(request: &PortRequest, pick: u16) -> io::Result<UdpSocket> {
    let size = u32::from(request.last.saturating_sub(request.first)) + 1;
    if let Some(group) = request.group {
        // Groups are shared: no port of theirs is ever taken.
        let port = request.first.saturating_add((u32::from(pick) % size) as u16);
        return open_group(group, port, request.interface)
            .map_err(|error| named(error, group, port));
    }
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for step in 0..size.min(TRIES) {
        let offset = (u32::from(pick) + step) % size;
        let port = request.first.saturating_add(offset as u16);
        let address = address(request);
        match open_any(address, request.family, port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                last = named(error, address, port);
            }
            other => return other.map_err(|error| named(error, address, port)),
        }
    }
    Err(last)
}

fn named(error: io::Error, ip: IpAddr, port: u16) -> io::Error {
    io::Error::new(error.kind(), format!("udp {}: {error}", SocketAddr::new(ip, port)))
}

fn address(request: &PortRequest) -> IpAddr {
    request.interface.unwrap_or(match request.family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::Any | Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    })
}

/// Both families through one IPv6 socket, where the host has them; else IPv4.
fn open_any(ip: IpAddr, family: Family, port: u16) -> io::Result<UdpSocket> {
    let both = family == Family::Any && ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let opened = bind(SocketAddr::new(ip, port), !both);
    match &opened {
        Err(error) if both && error.kind() != io::ErrorKind::AddrInUse => {
            bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port), true)
        }
        _ => opened,
    }
    .map(UdpSocket::from)
}

fn bind(at: SocketAddr, only_v6: bool) -> io::Result<Socket> {
    let socket = make(at)?;
    if at.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&at.into())?;
    Ok(socket)
}

fn make(at: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // Wishes: a smaller buffer is no error.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    Ok(socket)
}

/// Bound to the group, so that nothing else arrives; several sockets may listen to one group.
fn open_group(group: IpAddr, port: u16, interface: Option<IpAddr>) -> io::Result<UdpSocket> {
    let at = SocketAddr::new(group, port);
    let socket = make(at)?;
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    match (group, interface) {
        (IpAddr::V4(group), Some(IpAddr::V4(interface))) => {
            socket.join_multicast_v4(&group, &interface)?;
        }
        (IpAddr::V4(group), None) => {
            socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(0))?;
        }
        (IpAddr::V6(group), None) => socket.join_multicast_v6(&group, 0)?,
        (IpAddr::V6(_), Some(_)) | (IpAddr::V4(_), Some(IpAddr::V6(_))) => {
            let text = "an interface can be named by IPv4 address, for an IPv4 group, only";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
    }
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_searched_for_a_free_port() {
        let loopback = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let any = PortRequest { interface: loopback, ..PortRequest::new(0, 0, 0) };
        let first = open_port(&any, 0).expect("a port").local_addr().expect("its address");
        let range = PortRequest::new(0, first.port(), first.port().saturating_add(20));
        let range = PortRequest { interface: loopback, ..range };
        let _taken = open_port(&range, 0).expect("a free one");
        let second = open_port(&range, 0).expect("another").local_addr().expect("its address");
        assert!((first.port()..=first.port() + 20).contains(&second.port()));
        let one = PortRequest { first: second.port(), last: second.port(), ..range };
        let taken = UdpSocket::bind(second).map(drop);
        assert_eq!(taken.is_ok(), open_port(&one, 9).is_ok(), "that one or none");
    }

    #[test]
    fn what_is_sent_to_a_group_arrives_at_all_who_joined() {
        let group = Ipv4Addr::new(239, 255, 7, 9);
        let joined = PortRequest {
            interface: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            group: Some(IpAddr::V4(group)),
            ..PortRequest::new(0, 20_000, 60_000)
        };
        let first = open_port(&joined, 4711).expect("a port");
        let port = first.local_addr().expect("its address").port();
        assert_eq!(port, 24_711);
        let one = PortRequest { first: port, last: port, ..joined };
        let second = open_port(&one, 0).expect("the same again");
        let sender = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        sender.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).expect("sends there");
        sender.send_to(b"x", &SocketAddr::from((group, port)).into()).expect("sends");
        for port in [first, second] {
            port.set_nonblocking(false).expect("blocks");
            port.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("a limit");
            assert_eq!(port.recv(&mut [0; 4]).expect("it arrives"), 1);
        }
        let odd = PortRequest { interface: Some(IpAddr::V6(Ipv6Addr::LOCALHOST)), ..joined };
        assert!(open_port(&odd, 0).is_err(), "an IPv4 group on an IPv6 interface");
    }

    #[test]
    fn streaming_52_two_groups_on_one_port_do_not_mix() {
        let groups = [Ipv4Addr::new(239, 255, 7, 21), Ipv4Addr::new(239, 255, 7, 22)];
        let open = |group, port| {
            let joined = PortRequest {
                interface: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                group: Some(IpAddr::V4(group)),
                ..PortRequest::new(0, port, port)
            };
            open_port(&joined, 0).expect("a port")
        };
        let ports = groups.map(|group| open(group, 24_777));
        let sender = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        sender.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).expect("sends there");
        for (group, text) in groups.iter().zip([b"one", b"two"]) {
            sender.send_to(text, &SocketAddr::from((*group, 24_777)).into()).expect("sends");
        }
        for (port, text) in ports.iter().zip([b"one", b"two"]) {
            port.set_nonblocking(false).expect("blocks");
            port.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("a limit");
            let mut got = [0; 8];
            assert_eq!(port.recv(&mut got).expect("it arrives"), 3);
            assert_eq!(&got[..3], text);
            port.set_nonblocking(true).expect("does not block");
            assert!(port.recv(&mut got).is_err(), "and nothing else");
        }
    }

    #[test]
    fn a_port_takes_both_families_where_there_are_both() {
        let port = open_port(&PortRequest::new(0, 0, 0), 0).expect("a port");
        let number = port.local_addr().expect("its address").port();
        let sender = UdpSocket::bind("127.0.0.1:0").expect("binds");
        sender.send_to(b"x", ("127.0.0.1", number)).expect("sends");
        port.set_nonblocking(false).expect("blocks");
        port.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("a limit");
        assert_eq!(port.recv(&mut [0; 4]).expect("it arrives"), 1);
    }
}
