//! What an engine does, over real loopback sockets; every body runs over both engines.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::*;
use crate::queue::link;
use crate::udp::{SocketOptions, open};

const LO4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LO6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// Longer than anything here takes; a test that waits it out fails.
const LONG: Option<Duration> = Some(Duration::from_secs(20));
const NOW: Option<Duration> = Some(Duration::ZERO);
pub(super) const TRAINS: UdpCapabilities = UdpCapabilities { gso: true, gro: true };
const SINGLES: UdpCapabilities = UdpCapabilities { gso: false, gro: false };

struct Rig {
    engine: Box<dyn Engine>,
    bell: Doorbell,
    at: Vec<SocketAddr>,
}

pub(super) fn options(capabilities: UdpCapabilities) -> EngineOptions {
    EngineOptions { receive_buffers: Some(64), ..EngineOptions::new(capabilities) }
}

fn rig_with(choice: EngineChoice, ips: &[IpAddr], options: &EngineOptions) -> Rig {
    let sockets = SocketOptions::default();
    let sockets: Vec<_> = ips.iter().map(|&ip| open(ip, 0, &sockets).unwrap()).collect();
    let at = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
    let bell = Doorbell::new().unwrap();
    let (engine, _, _) = open_engine(choice, sockets, &bell, options).unwrap();
    Rig { engine, bell, at }
}

fn rig(choice: EngineChoice) -> Rig {
    rig_with(choice, &[LO4], &options(TRAINS))
}

impl Rig {
    /// Turns until `count` datagrams came; they are returned.
    fn take(&mut self, count: usize) -> Vec<(u16, SocketAddr, Vec<u8>)> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let turn = self.engine.turn(LONG, 1000, &mut |datagram: Received<'_>| {
                taken.push((datagram.socket, datagram.from, datagram.bytes.to_vec()));
            });
            let turn = turn.unwrap();
            let moved = turn.received + turn.dropped > 0 || turn.woken;
            assert!(moved || !taken.is_empty(), "nothing came; {:?}", self.engine.counters());
            assert!(taken.len() <= count, "more came than was sent");
        }
        taken
    }

    /// Queues `bytes` as a train.
    fn send(&mut self, socket: u16, to: SocketAddr, bytes: &[u8], segment: u16) {
        self.engine.room(bytes.len()).unwrap()[..bytes.len()].copy_from_slice(bytes);
        self.engine.send(socket, to, bytes.len(), segment);
    }
}

fn peer(ip: IpAddr) -> (UdpSocket, SocketAddr) {
    let socket = open(ip, 0, &SocketOptions::default()).unwrap();
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(LONG).unwrap();
    let at = socket.local_addr().unwrap();
    (socket, at)
}

fn lengths(socket: &UdpSocket, count: usize) -> Vec<usize> {
    let mut buffer = [0; 2000];
    (0..count).map(|_| socket.recv(&mut buffer).unwrap()).collect()
}

/// `len` bytes none of which tells where it stands by its neighbour alone.
fn text(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn echo_between(choice: EngineChoice, ip: IpAddr) {
    let mut rig = rig_with(choice, &[ip], &options(TRAINS));
    let (peer, peer_at) = peer(ip);
    for round in 1..=40u8 {
        let bytes = text(usize::from(round) * 30);
        peer.send_to(&bytes, rig.at[0]).unwrap();
        assert_eq!(rig.take(1), [(0, peer_at, bytes.clone())]);
        rig.send(0, peer_at, &bytes, 0);
        rig.engine.flush().unwrap();
        let mut back = [0; 2000];
        let (len, from) = peer.recv_from(&mut back).unwrap();
        assert_eq!((from, &back[..len]), (rig.at[0], &bytes[..]));
    }
    let counters = rig.engine.counters();
    assert_eq!((counters.datagrams_in, counters.datagrams_out), (40, 40));
    assert_eq!((counters.bytes_in, counters.bytes_out), (24_600, 24_600));
    assert_eq!((counters.shed, counters.refused, counters.faults), (0, 0, 0));
}

fn echoes(choice: EngineChoice) {
    echo_between(choice, LO4);
}

fn echoes_over_ipv6(choice: EngineChoice) {
    echo_between(choice, LO6);
}

fn a_turn_sends_what_is_queued(choice: EngineChoice) {
    let mut rig = rig(choice);
    let (peer, peer_at) = peer(LO4);
    rig.send(0, peer_at, b"one", 0);
    rig.send(0, peer_at, b"three", 0);
    rig.engine.turn(NOW, 1, &mut |_| {}).unwrap();
    assert_eq!(lengths(&peer, 2), [3, 5]);
    rig.send(0, peer_at, b"sent before sleeping", 0);
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 100];
        let (len, from) = peer.recv_from(&mut buffer).unwrap();
        peer.send_to(&buffer[..len], from).unwrap();
    });
    assert_eq!(rig.take(1)[0].2, b"sent before sleeping");
    echo.join().unwrap();
}

fn trains_arrive_as_datagrams(choice: EngineChoice) {
    for capabilities in [TRAINS, SINGLES] {
        let mut rig = rig_with(choice, &[LO4], &options(capabilities));
        let (peer, peer_at) = peer(LO4);
        let bytes = text(1130);
        let mut got = Vec::new();
        rig.send(0, peer_at, &bytes, 220);
        rig.engine.flush().unwrap();
        let mut buffer = [0; 2000];
        for len in [220, 220, 220, 220, 220, 30] {
            assert_eq!(peer.recv(&mut buffer).unwrap(), len);
            got.extend_from_slice(&buffer[..len]);
        }
        assert_eq!(got, bytes);
        // Whole segments; a segment as long as the train; one longer than it.
        for segment in [565, 1130, 1131] {
            rig.send(0, peer_at, &bytes, segment);
        }
        rig.engine.flush().unwrap();
        assert_eq!(lengths(&peer, 4), [565, 565, 1130, 1130]);
        let counters = rig.engine.counters();
        assert_eq!(counters.datagrams_out, 10);
        assert_eq!(counters.trains_out, if capabilities.gso { 2 } else { 0 });
        assert_eq!((counters.shed, counters.refused, counters.unhitched), (0, 0, 0));
    }
}

/// 100 segments pass what one `UDP_SEGMENT` send may carry, 60 KiB of 1400 do not fit twice.
fn long_trains_leave_as_several(choice: EngineChoice) {
    let mut rig = rig(choice);
    let (peer, peer_at) = peer(LO4);
    rig.send(0, peer_at, &text(9_950), 100);
    rig.send(0, peer_at, &text(80_000), 1400);
    rig.engine.flush().unwrap();
    let mut expected = vec![100; 99];
    expected.push(50);
    expected.extend([1400; 57]);
    expected.push(200);
    assert_eq!(lengths(&peer, 158), expected);
    assert_eq!(rig.engine.counters().trains_out, 4);
}

fn trains_are_received_as_datagrams(choice: EngineChoice) {
    let mut sender = rig(choice);
    for capabilities in [TRAINS, SINGLES] {
        let mut rig = rig_with(choice, &[LO4], &options(capabilities));
        let bytes = text(8 * 1200 + 77);
        sender.send(0, rig.at[0], &bytes, 1200);
        sender.engine.flush().unwrap();
        let taken = rig.take(9);
        let lengths: Vec<_> = taken.iter().map(|(_, _, bytes)| bytes.len()).collect();
        assert_eq!(lengths, [1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 77]);
        let got: Vec<u8> = taken.into_iter().flat_map(|(_, _, bytes)| bytes).collect();
        assert_eq!(got, bytes);
        let counters = rig.engine.counters();
        assert_eq!((counters.datagrams_in, counters.bytes_in), (9, bytes.len() as u64));
        assert_eq!(counters.trains_in > 0, capabilities.gro);
    }
}

fn a_budget_is_kept_even_inside_a_train(choice: EngineChoice) {
    for capabilities in [TRAINS, SINGLES] {
        let mut rig = rig_with(choice, &[LO4], &options(capabilities));
        let mut sender = rig_with(choice, &[LO4], &options(TRAINS));
        sender.send(0, rig.at[0], &text(1000), 100);
        sender.send(0, rig.at[0], b"last", 0);
        sender.engine.flush().unwrap();
        let mut turns = Vec::new();
        while turns.iter().sum::<u32>() < 11 {
            let turn = rig.engine.turn(LONG, 4, &mut |_| {}).unwrap();
            turns.push(turn.received);
        }
        assert_eq!(turns, [4, 4, 3]);
        assert_eq!(rig.engine.turn(NOW, 4, &mut |_| {}).unwrap(), Turn::default());
    }
}

fn each_socket_has_its_number(choice: EngineChoice) {
    let mut rig = rig_with(choice, &[LO4, LO6, LO4], &options(TRAINS));
    let (v4, v4_at) = peer(LO4);
    let (v6, v6_at) = peer(LO6);
    for (socket, peer) in [(0, &v4), (1, &v6), (2, &v4)] {
        peer.send_to(b"in", rig.at[socket]).unwrap();
        let from = peer.local_addr().unwrap();
        assert_eq!(rig.take(1), [(socket as u16, from, b"in".to_vec())]);
    }
    for (socket, to) in [(0, v4_at), (1, v6_at), (2, v4_at), (1, v6_at)] {
        rig.send(socket, to, b"out", 0);
    }
    rig.engine.flush().unwrap();
    let mut buffer = [0; 10];
    let from: Vec<_> =
        [&v4, &v4, &v6, &v6].map(|peer| peer.recv_from(&mut buffer).unwrap().1).to_vec();
    assert_eq!(from, [rig.at[0], rig.at[2], rig.at[1], rig.at[1]]);
}

fn a_deadline_ends_the_sleep(choice: EngineChoice) {
    let mut rig = rig(choice);
    for wait in [Duration::ZERO, Duration::from_micros(50), Duration::from_millis(2)] {
        assert_eq!(rig.engine.turn(Some(wait), 10, &mut |_| {}).unwrap(), Turn::default());
    }
}

fn another_thread_wakes_the_sleeper(choice: EngineChoice) {
    let mut rig = rig(choice);
    for _ in 0..3 {
        let bell = rig.bell.clone();
        let ringer = std::thread::spawn(move || bell.strike());
        let turn = rig.engine.turn(None, 10, &mut |_| {}).unwrap();
        assert_eq!(turn, Turn { woken: true, ..Turn::default() });
        ringer.join().unwrap();
        assert!(!rig.engine.turn(NOW, 10, &mut |_| {}).unwrap().woken, "one stroke, one wake");
    }
}

fn no_value_waits_beside_a_sleeping_engine(choice: EngineChoice) {
    const COUNT: u32 = 5_000;
    let mut rig = rig(choice);
    let (mut tx, mut rx) = link(4, &rig.bell);
    let pusher = std::thread::spawn(move || {
        for value in 0..COUNT {
            while tx.push(value).is_err() {
                std::thread::yield_now();
            }
        }
    });
    let mut next = 0;
    while next < COUNT {
        let sleep = rig.bell.may_sleep(|| rx.is_empty());
        let turn = rig.engine.turn(if sleep { LONG } else { NOW }, 10, &mut |_| {}).unwrap();
        rig.bell.awake();
        assert!(!sleep || turn.woken, "slept beside a value at {next}");
        while let Some(value) = rx.pop() {
            assert_eq!(value, next);
            next += 1;
        }
    }
    pusher.join().unwrap();
}

fn a_flood_is_received_whole_with_few_buffers(choice: EngineChoice) {
    for capabilities in [TRAINS, SINGLES] {
        let options = EngineOptions { receive_buffers: Some(8), ..options(capabilities) };
        let mut rig = rig_with(choice, &[LO4], &options);
        let (peer, _) = peer(LO4);
        for round in 0..3u8 {
            for number in 0..300u16 {
                let [high, low] = number.to_be_bytes();
                peer.send_to(&[round, high, low], rig.at[0]).unwrap();
            }
            for (number, (_, _, bytes)) in (0u16..).zip(rig.take(300)) {
                let [high, low] = number.to_be_bytes();
                assert_eq!(bytes, [round, high, low]);
            }
        }
        let counters = rig.engine.counters();
        assert_eq!((counters.overflowed, counters.faults), (0, 0));
        assert_eq!(counters.enobufs > 0, choice == EngineChoice::IoUring);
    }
}

fn what_a_full_socket_lost_is_counted(choice: EngineChoice) {
    let socket = SocketOptions { receive_buffer: 32 << 10, ..SocketOptions::default() };
    let socket = open(LO4, 0, &socket).unwrap();
    let at = socket.local_addr().unwrap();
    let bell = Doorbell::new().unwrap();
    let (engine, _, _) = open_engine(choice, vec![socket], &bell, &options(SINGLES)).unwrap();
    let mut rig = Rig { engine, bell, at: vec![at] };
    let (peer, _) = peer(LO4);
    for _ in 0..500 {
        peer.send_to(&[0; 1000], at).unwrap();
    }
    let (mut received, mut dropped) = (0, 0);
    let mut turn = |rig: &mut Rig| {
        let turn = rig.engine.turn(NOW, 1000, &mut |_| {}).unwrap();
        (received, dropped) = (received + turn.received, dropped + turn.dropped);
        turn.received > 0
    };
    while turn(&mut rig) {}
    // The count comes with the next datagram that fits.
    peer.send_to(b"last", at).unwrap();
    assert!(turn(&mut rig));
    assert!(dropped > 100, "{dropped}");
    assert_eq!(received + dropped, 501);
    assert_eq!(rig.engine.counters().overflowed, u64::from(dropped));
}

fn a_datagram_longer_than_a_buffer_is_dropped(choice: EngineChoice) {
    let mut rig = rig_with(choice, &[LO4], &options(SINGLES));
    let (peer, peer_at) = peer(LO4);
    peer.send_to(&[1; 5000], rig.at[0]).unwrap();
    peer.send_to(&text(2048), rig.at[0]).unwrap();
    peer.send_to(b"", rig.at[0]).unwrap();
    assert_eq!(rig.take(2), [(0, peer_at, text(2048)), (0, peer_at, Vec::new())]);
    let counters = rig.engine.counters();
    assert_eq!((counters.truncated, counters.datagrams_in), (1, 2));
}

fn the_longest_datagram_fits_a_gro_buffer(choice: EngineChoice) {
    let mut rig = rig(choice);
    let (peer, peer_at) = peer(LO4);
    peer.send_to(&text(65_507), rig.at[0]).unwrap();
    assert_eq!(rig.take(1), [(0, peer_at, text(65_507))]);
}

fn a_full_arena_flushes_itself(choice: EngineChoice) {
    let options = EngineOptions { egress_bytes: 4096, ..options(TRAINS) };
    let mut rig = rig_with(choice, &[LO4], &options);
    let (peer, peer_at) = peer(LO4);
    for number in 0..50u8 {
        rig.send(0, peer_at, &[number; 1000], 0);
    }
    rig.engine.flush().unwrap();
    let mut buffer = [0; 2000];
    for number in 0..50u8 {
        assert_eq!(peer.recv(&mut buffer).unwrap(), 1000);
        assert_eq!(buffer[..1000], [number; 1000], "sent from bytes written later");
    }
    assert!(rig.engine.room(4096).is_ok());
    let error = rig.engine.room(4097).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

fn a_full_table_flushes_itself(choice: EngineChoice) {
    let options = EngineOptions { trains: 4, ..options(SINGLES) };
    let mut rig = rig_with(choice, &[LO4], &options);
    let (peer, peer_at) = peer(LO4);
    let bytes = text(41 * 50 + 20);
    rig.send(0, peer_at, &bytes, 50);
    rig.send(0, peer_at, b"next", 0);
    rig.engine.flush().unwrap();
    let mut got = Vec::new();
    let mut buffer = [0; 2000];
    for _ in 0..42 {
        let len = peer.recv(&mut buffer).unwrap();
        got.extend_from_slice(&buffer[..len]);
    }
    assert_eq!(got, bytes);
    assert_eq!(lengths(&peer, 1), [4]);
}

/// Thousands of trains through a small table; none may be lost or out of order.
fn a_huge_queue_leaves_in_order(choice: EngineChoice) {
    let options = EngineOptions { trains: 16, ..options(TRAINS) };
    let mut rig = rig_with(choice, &[LO4], &options);
    let (peer, peer_at) = peer(LO4);
    let mut buffer = [0; 2000];
    for batch in 0..30u32 {
        let numbers = batch * 400..(batch + 1) * 400;
        for train in numbers.clone().step_by(4) {
            let bytes: Vec<u8> = (train..train + 4).flat_map(u32::to_be_bytes).collect();
            rig.send(0, peer_at, &bytes, 4);
        }
        rig.engine.flush().unwrap();
        for number in numbers {
            let len = peer.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..len], number.to_be_bytes());
        }
    }
    let counters = rig.engine.counters();
    assert_eq!((counters.datagrams_out, counters.trains_out), (12_000, 3_000));
}

fn refused_sends_are_counted_and_wedge_nothing(choice: EngineChoice) {
    let mut rig = rig(choice);
    let (peer, peer_at) = peer(LO4);
    let nobody = "127.0.0.1:9".parse().unwrap();
    let elsewhere = "203.0.113.1:9000".parse().unwrap();
    let other_family = "[2001:db8::1]:9000".parse().unwrap();
    for _ in 0..20 {
        rig.send(0, nobody, b"no one listens", 0);
        rig.send(0, elsewhere, &text(100), 50);
        rig.send(0, other_family, b"not on this socket", 0);
        rig.send(7, peer_at, b"no such socket", 0);
        rig.send(0, peer_at, &text(70_000), 0);
        rig.send(0, peer_at, b"arrives", 0);
        rig.engine.flush().unwrap();
        assert_eq!(lengths(&peer, 1), [7]);
    }
    let counters = rig.engine.counters();
    assert_eq!(counters.refused + counters.datagrams_out, 20 * 7);
    assert!(counters.refused >= 20 * 3, "{counters:?}");
    peer.send_to(b"still here", rig.at[0]).unwrap();
    assert_eq!(rig.take(1)[0].2, b"still here");
}

fn sockets_come_and_go(choice: EngineChoice) {
    let mut rig = rig(choice);
    let (peer, peer_at) = peer(LO4);
    for _ in 0..4 {
        let ingest = open(LO4, 0, &SocketOptions::default()).unwrap();
        let at = ingest.local_addr().unwrap();
        let number = rig.engine.attach(ingest).unwrap();
        assert_eq!(number, 1, "the lowest free number");
        peer.send_to(b"in", at).unwrap();
        assert_eq!(rig.take(1), [(1, peer_at, b"in".to_vec())]);
        rig.send(1, peer_at, b"queued before it closed", 0);
        rig.engine.detach(1);
        assert_eq!(lengths(&peer, 1), [23]);
        rig.engine.turn(NOW, 10, &mut |_| {}).unwrap();
        assert!(UdpSocket::bind(at).is_ok(), "the port is free again");
    }
    peer.send_to(b"the first still works", rig.at[0]).unwrap();
    assert_eq!(rig.take(1)[0].0, 0);
}

/// Whether this host lets a process have a ring; the twin is tried everywhere.
pub(super) fn has_io_uring() -> bool {
    let bell = Doorbell::new().unwrap();
    let options = options(SINGLES);
    match open_engine(EngineChoice::IoUring, Vec::new(), &bell, &options) {
        Ok((_, kind, refused)) => {
            assert_eq!((kind, refused), (EngineKind::IoUring, None));
            true
        }
        Err(error) => {
            let refused = [io::ErrorKind::PermissionDenied, io::ErrorKind::Unsupported];
            assert!(refused.contains(&error.kind()), "{error}");
            eprintln!("not tried, this host refuses: {error}");
            false
        }
    }
}

macro_rules! over_both {
    ($($body:ident)*) => {
        mod epoll {
            $(#[test] fn $body() { super::$body(super::EngineChoice::Epoll); })*
        }

        mod io_uring {
            $(#[test] fn $body() {
                if super::has_io_uring() {
                    super::$body(super::EngineChoice::IoUring);
                }
            })*
        }
    };
}

over_both! {
    echoes
    echoes_over_ipv6
    a_turn_sends_what_is_queued
    trains_arrive_as_datagrams
    long_trains_leave_as_several
    trains_are_received_as_datagrams
    a_budget_is_kept_even_inside_a_train
    each_socket_has_its_number
    a_deadline_ends_the_sleep
    another_thread_wakes_the_sleeper
    no_value_waits_beside_a_sleeping_engine
    a_flood_is_received_whole_with_few_buffers
    what_a_full_socket_lost_is_counted
    a_datagram_longer_than_a_buffer_is_dropped
    the_longest_datagram_fits_a_gro_buffer
    a_full_arena_flushes_itself
    a_full_table_flushes_itself
    a_huge_queue_leaves_in_order
    refused_sends_are_counted_and_wedge_nothing
    sockets_come_and_go
}
