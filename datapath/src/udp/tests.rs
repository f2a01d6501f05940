use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use proptest::prelude::*;

use super::wire::{Companions, ControlOut, Name, address, companions};
use super::{SocketOptions, UdpCapabilities, granted_buffers, open, open_shard};

const LO4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LO6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

#[test]
fn a_shard_has_one_socket_per_address_on_one_port() {
    let options = SocketOptions::default();
    let first = open(LO4, 0, &options).unwrap();
    let port = first.local_addr().unwrap().port();
    let error = open(LO4, port, &options).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    drop(first);
    let sockets = open_shard(&[LO4, LO6], port, &options).unwrap();
    let bound: Vec<_> = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
    assert_eq!(bound, [SocketAddr::new(LO4, port), SocketAddr::new(LO6, port)]);
}

#[test]
fn sockets_do_not_block_and_have_large_buffers() {
    let socket = open(LO6, 0, &SocketOptions::default()).unwrap();
    let error = socket.recv_from(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    let (receive, send) = granted_buffers(&socket).unwrap();
    let (plain, _) = granted_buffers(&UdpSocket::bind("[::1]:0").unwrap()).unwrap();
    assert!(receive > plain, "{receive} granted, {plain} without asking");
    assert!(send > plain);
}

#[test]
fn the_code_point_is_the_upper_six_bits() {
    let options = SocketOptions { dscp: Some(46), ..SocketOptions::default() };
    let v4 = open(LO4, 0, &options).unwrap();
    assert_eq!(socket2::SockRef::from(&v4).tos_v4().unwrap(), 46 << 2);
    let v6 = open(LO6, 0, &options).unwrap();
    assert_eq!(socket2::SockRef::from(&v6).tclass_v6().unwrap(), 46 << 2);
}

#[test]
fn the_probe_gives_one_answer() {
    assert_eq!(UdpCapabilities::probe(), UdpCapabilities::probe());
}

#[test]
fn names_are_those_the_library_writes() {
    for text in ["203.0.113.7:9000", "[2001:db8::7]:65535"] {
        let at: SocketAddr = text.parse().unwrap();
        let mut name = Name([0xff; 28]);
        let len = name.set(at) as usize;
        let theirs = socket2::SockAddr::from(at);
        // SAFETY: `theirs` owns storage of at least its own length.
        let bytes = unsafe {
            std::slice::from_raw_parts(theirs.as_ptr().cast::<u8>(), theirs.len() as usize)
        };
        assert_eq!(&name.0[..len], bytes, "{at}");
        assert_eq!(address(bytes), Some(at));
    }
}

#[test]
fn a_link_local_address_keeps_its_scope() {
    let at = SocketAddr::V6(std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 9, 0, 3));
    let mut name = Name::EMPTY;
    name.set(at);
    assert_eq!(address(&name.0), Some(at));
}

#[test]
fn foreign_families_and_short_names_are_no_address() {
    assert_eq!(address(&[]), None);
    assert_eq!(address(&[2, 0, 0x23]), None);
    assert_eq!(address(&[1; 28]), None);
}

fn control(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + data.len()).to_ne_bytes().to_vec();
    bytes.extend(level.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

#[test]
fn control_messages_are_found_among_others() {
    let mut bytes = control(libc::SOL_SOCKET, libc::SCM_TIMESTAMP, &[1; 16]);
    bytes.extend(control(libc::SOL_UDP, libc::UDP_GRO, &1200u32.to_ne_bytes()));
    bytes.extend(control(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &9u32.to_ne_bytes()));
    assert_eq!(companions(&bytes), Companions { segment: 1200, overflow: Some(9) });
    assert_eq!(companions(&bytes[..40]), Companions::default());
    assert_eq!(companions(&[]), Companions::default());
}

#[test]
fn a_control_message_of_length_zero_ends_the_reading() {
    assert_eq!(companions(&[0; 64]), Companions::default());
}

#[test]
fn a_train_says_its_segment_length() {
    let mut out = ControlOut::new();
    out.set(1172);
    assert_eq!(
        out.0[..18],
        control(libc::SOL_UDP, libc::UDP_SEGMENT, &1172u16.to_ne_bytes())[..18]
    );
}

proptest! {
    #[test]
    fn no_kernel_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..96)) {
        companions(&bytes);
        address(&bytes);
    }
}
