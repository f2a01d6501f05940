//! Asking a STUN server under which address the world sees this host: once at start, and when an
//! operator wants to know
//! (webrtc-behaviour §1.3).
//!
//! The answer stands for our sockets as `nat_1_1_mapping` would: right for a one-to-one NAT, which
//! keeps ports, and harmless behind any other, where full ICE still reaches clients from our side.

use bifrons_core::config::settings::Nat;
use bifrons_core::ice::stun::{Class, Message, TransactionId};
use ring::rand::{SecureRandom, SystemRandom};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

/// How long the server may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Between two requests, first RFC 8489 §6.2.1's 500 ms.
const AGAIN: Duration = Duration::from_millis(500);

/// The host's public address, if a STUN server is configured and sees another one than `local`.
pub(crate) fn public_address(nat: &Nat, local: IpAddr) -> Result<Option<IpAddr>, String> {
    let Some(host) = &nat.stun_server else { return Ok(None) };
    let asked = resolve(host, nat.stun_port, local)
        .and_then(|server| ask(server, (local, 0).into(), LIMIT).map(|mapped| mapped.ip()));
    match asked {
        Ok(mapped) if mapped == local => Ok(None),
        Ok(mapped) => {
            tracing::info!("{host} sees us as {mapped}");
            Ok(Some(mapped))
        }
        Err(error) if nat.ignore_unreachable_ice_server => {
            tracing::warn!("stun_server {host}: {error}; going on without");
            Ok(None)
        }
        Err(error) => Err(format!(
            "stun_server {host}:{}: {error} (ignore_unreachable_ice_server starts all the same)",
            nat.stun_port
        )),
    }
}

fn resolve(host: &str, port: u16, local: IpAddr) -> io::Result<SocketAddr> {
    let mut found = (host, port).to_socket_addrs()?;
    let same_family = found.find(|address| address.is_ipv4() == local.is_ipv4());
    same_family.ok_or_else(|| io::Error::other("no address of our family"))
}

/// Foreign datagrams passed over in one round of waiting.
const STRAYS: usize = 16;

/// Sends Binding requests from `local` (port 0 = any) until one is answered; the address under which
/// the server sees the socket.
pub(crate) fn ask(
    server: SocketAddr,
    local: SocketAddr,
    limit: Duration,
) -> io::Result<SocketAddr> {
    let socket = UdpSocket::bind(local)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(AGAIN.min(limit)))?;
    let mut id = [0; 12];
    SystemRandom::new().fill(&mut id).map_err(|_| io::Error::other("no random numbers"))?;
    let request = binding_request(id);
    let (begin, mut buffer) = (Instant::now(), [0; 1500]);
    while begin.elapsed() < limit {
        socket.send(&request)?;
        if let Some(mapped) = listen(&socket, id, &mut buffer)? {
            return Ok(SocketAddr::new(mapped.ip().to_canonical(), mapped.port()));
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s"))
}

/// Waits one round for the answer; what else arrives is passed over, at most [`STRAYS`] of it.
fn listen(socket: &UdpSocket, id: [u8; 12], buffer: &mut [u8]) -> io::Result<Option<SocketAddr>> {
    for _ in 0..STRAYS {
        let got = match socket.recv(buffer) {
            Ok(got) => got,
            Err(error) if is_timeout(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mapped = buffer.get(..got).and_then(|datagram| mapped_address(datagram, id));
        if mapped.is_some() {
            return Ok(mapped);
        }
    }
    Ok(None)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A Binding request without attributes (RFC 8489 §5).
fn binding_request(id: [u8; 12]) -> [u8; 20] {
    let mut request = [0; 20];
    request[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    request[8..].copy_from_slice(&id);
    request
}

fn mapped_address(datagram: &[u8], id: [u8; 12]) -> Option<SocketAddr> {
    let message = Message::parse(datagram).ok()?;
    let ours = message.class == Class::Success && message.transaction == TransactionId(id);
    message.mapped.filter(|_| ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bifrons_core::ice::stun::{IntegrityKey, write_success};
    use std::net::Ipv4Addr;

    const PUBLIC: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)), 4242);

    fn answer(request: &[u8]) -> Vec<u8> {
        let request = Message::parse(request).expect("a Binding request");
        let mut out = [0; 384];
        let key = IntegrityKey::new("unused");
        let len = write_success(&mut out, request.transaction, PUBLIC, &key).expect("it fits");
        out[..len].to_vec()
    }

    #[test]
    fn only_the_answer_to_our_own_request_counts() {
        let reply = answer(&binding_request([7; 12]));
        assert_eq!(mapped_address(&reply, [7; 12]), Some(PUBLIC));
        assert_eq!(mapped_address(&reply, [8; 12]), None);
        assert_eq!(mapped_address(&binding_request([7; 12]), [7; 12]), None);
    }

    #[test]
    fn a_server_tells_the_public_address() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = server.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 100];
            let (got, from) = server.recv_from(&mut buffer).unwrap();
            server.send_to(b"not STUN", from).unwrap();
            server.send_to(&answer(&buffer[..got]), from).unwrap();
        });
        assert_eq!(ask(at, (Ipv4Addr::LOCALHOST, 0).into(), LIMIT).unwrap(), PUBLIC);
        thread.join().unwrap();
    }

    #[test]
    fn a_silent_server_ends_the_start_unless_it_may_be_ignored() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let local = Ipv4Addr::LOCALHOST.into();
        let limit = Duration::from_millis(30);
        let silent = ask(server.local_addr().unwrap(), (local, 0).into(), limit).unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        let nat = Nat { stun_server: Some("no such name".into()), ..Nat::default() };
        assert!(public_address(&nat, local).unwrap_err().contains("stun_server no such name"));
        let nat = Nat { ignore_unreachable_ice_server: true, ..nat };
        assert_eq!(public_address(&nat, local), Ok(None));
        assert_eq!(public_address(&Nat::default(), local), Ok(None));
    }
}
