//! The bypass over a veth pair: near end and far end in network namespaces of their own, made by
//! each test for its own thread. Where the host does not allow that, the test says so and ends.

use super::*;
use crate::engine::{Engine, EngineChoice, EngineOptions, open_engine};
use crate::queue::Doorbell;
use crate::udp::{SocketOptions, UdpCapabilities, open};
use bifrons_core::media::{BypassCounters, PortRequest};
use std::fs::File;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};

const NEAR: &str = "10.8.0.1";
const NEAR6: &str = "fd08::1";
const LIMIT: Duration = Duration::from_secs(10);

/// Runs `body` on a thread of its own, to be thrown away with its namespaces.
fn apart(body: fn(Wire)) {
    let run = move || {
        if let Some(wire) = Wire::lay() {
            body(wire);
        }
    };
    if let Err(panic) = std::thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(words: &str) -> bool {
    run("ip", words)
}

fn run(program: &str, words: &str) -> bool {
    let done = Command::new(program).args(words.split(' ')).output();
    let done = done.is_ok_and(|output| output.status.success());
    if !done {
        eprintln!("{program} {words}: failed");
    }
    done
}

/// Two ends of a wire; the thread is at the near one, except within [`Wire::far`].
struct Wire {
    near: File,
    far: File,
}

impl Wire {
    fn lay() -> Option<Wire> {
        let near = fresh()?;
        let far = fresh()?;
        enter(&near);
        let hand_over =
            format!("link set vb netns /proc/{}/fd/{}", std::process::id(), far.as_raw_fd());
        let wire = Wire { near, far };
        let near = [
            "link add va type veth peer name vb",
            &hand_over,
            "addr add 10.8.0.1/24 dev va",
            "addr add fd08::1/64 dev va nodad",
            "link set va up",
        ];
        let far = [
            "addr add 10.8.0.2/24 dev vb",
            "addr add fd08::2/64 dev vb nodad",
            "addr add 10.50.0.1/32 dev lo",
            "link set vb up",
        ];
        let laid = near.into_iter().all(ip) && wire.far(|| far.into_iter().all(ip));
        laid.then_some(wire)
    }

    fn far<T>(&self, body: impl FnOnce() -> T) -> T {
        enter(&self.far);
        let result = body();
        enter(&self.near);
        result
    }

    /// A socket at the far end.
    fn listen(&self, ip: &str) -> (UdpSocket, SocketAddr) {
        self.far(|| {
            let socket = open(ip.parse().unwrap(), 0, &SocketOptions::default()).unwrap();
            socket.set_nonblocking(false).unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            let at = socket.local_addr().unwrap();
            (socket, at)
        })
    }
}

/// A network namespace for this thread, with its loopback up.
fn fresh() -> Option<File> {
    // SAFETY: takes an integer and concerns this thread alone.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        eprintln!("not tried, no namespaces here: {}", std::io::Error::last_os_error());
        return None;
    }
    ip("link set lo up").then(|| File::open("/proc/thread-self/ns/net").unwrap())
}

fn enter(space: &File) {
    // SAFETY: takes two integers and concerns this thread alone.
    let done = unsafe { libc::setns(space.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// An engine with sockets at the near end, and a bypass.
struct Rig {
    engine: Box<dyn Engine>,
    devices: Vec<String>,
}

impl Rig {
    fn new(choice: EngineChoice) -> Rig {
        let addresses: Vec<IpAddr> = vec![NEAR.parse().unwrap(), NEAR6.parse().unwrap()];
        Self::over(choice, &addresses)
    }

    fn over(choice: EngineChoice, addresses: &[IpAddr]) -> Rig {
        let socket = |ip: &IpAddr| open(*ip, 0, &SocketOptions::default()).unwrap();
        let bell = Doorbell::new().unwrap();
        let options = EngineOptions::new(UdpCapabilities::probe());
        let sockets = addresses.iter().map(socket).collect();
        let (mut engine, _, _) = open_engine(choice, sockets, &bell, &options).unwrap();
        let mut prepared = prepare(addresses, Some(46), &[bell], 7).unwrap();
        engine.attach_bypass(prepared.shards.pop().unwrap());
        Rig { engine, devices: prepared.devices }
    }

    fn send(&mut self, socket: u16, to: SocketAddr, bytes: &[u8], segment: u16) {
        self.engine.room(bytes.len()).unwrap()[..bytes.len()].copy_from_slice(bytes);
        self.engine.send(socket, to, bytes.len(), segment);
    }

    fn turn(&mut self) {
        self.engine.turn(Some(Duration::from_millis(1)), 10, &mut |_| {}).unwrap();
    }

    fn counted(&self) -> BypassCounters {
        self.engine.counters().bypass
    }

    /// Sends one datagram after the other until `enough` of what was counted meanwhile.
    fn until(
        &mut self,
        (socket, to): (u16, SocketAddr),
        bytes: &[u8],
        enough: fn(BypassCounters) -> u64,
    ) {
        let (before, start) = (enough(self.counted()), Instant::now());
        while enough(self.counted()) == before {
            assert!(start.elapsed() < LIMIT, "{:?}", self.counted());
            self.send(socket, to, bytes, 0);
            self.turn();
        }
    }

    /// Sends until the ring is in use, and takes away what arrived.
    fn warm_up(&mut self, way: (u16, SocketAddr), far: &UdpSocket) {
        self.until(way, b"warm", |counted| counted.datagrams);
        self.send(way.0, way.1, b"end", 0);
        self.turn();
        let mut buffer = [0; 100];
        while far.recv(&mut buffer).unwrap() != 3 {}
    }
}

fn text(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256 + seed * 31) as u8).collect()
}

/// Sends trains and single packets of many sizes, and looks at each datagram at the far end.
fn exchange(rig: &mut Rig, way: (u16, SocketAddr), far: &UdpSocket) {
    let mut buffer = [0; 4000];
    for round in 0..40 {
        let trains = [(16 * 1200, 1200), (7 * 1171 + 33, 1171), (160, 0), (1200, 1200), (1, 0)];
        for (len, segment) in trains {
            rig.send(way.0, way.1, &text(len, round), segment);
        }
        rig.turn();
        for (len, segment) in trains {
            let segment = if segment == 0 { len } else { usize::from(segment) };
            for piece in text(len, round).chunks(segment) {
                let got = far.recv(&mut buffer).unwrap();
                assert!(buffer[..got] == *piece, "round {round}: {got} of {}", piece.len());
            }
        }
    }
}

const EXCHANGED: u64 = 40 * (16 + 8 + 1 + 1 + 1);

fn everything_arrives(choice: EngineChoice, wire: &Wire) {
    let mut rig = Rig::new(choice);
    assert_eq!(rig.devices, ["va, which cuts trains itself"]);
    for (socket, ip) in [(0, "10.8.0.2"), (1, "fd08::2")] {
        let (far, at) = wire.listen(ip);
        rig.warm_up((socket, at), &far);
        let before = rig.engine.counters();
        exchange(&mut rig, (socket, at), &far);
        let after = rig.engine.counters();
        assert_eq!(after.bypass.datagrams - before.bypass.datagrams, EXCHANGED);
        assert_eq!(after.datagrams_out - before.datagrams_out, EXCHANGED);
        assert_eq!(after.trains_out - before.trains_out, 40 * 2, "whole");
        assert_eq!(after.bypass.frames - before.bypass.frames, 40 * 5);
        assert_eq!((after.shed, after.refused, after.bypass.full), (0, 0, 0));
    }
}

#[test]
fn every_datagram_arrives_whole_over_io_uring() {
    apart(|wire| everything_arrives(EngineChoice::Auto, &wire));
}

#[test]
fn every_datagram_arrives_whole_over_epoll() {
    apart(|wire| everything_arrives(EngineChoice::Epoll, &wire));
}

/// Without checksum offload the kernel completes our sums, and the far end checks them.
#[test]
fn a_device_that_does_nothing_by_itself_gets_single_packets() {
    apart(|wire| {
        if !run("ethtool", "-K va tx-checksumming off") {
            return;
        }
        let mut rig = Rig::new(EngineChoice::Auto);
        assert_eq!(rig.devices, ["va, one packet a frame"]);
        for (socket, ip) in [(0, "10.8.0.2"), (1, "fd08::2")] {
            let (far, at) = wire.listen(ip);
            rig.warm_up((socket, at), &far);
            let before = rig.counted();
            exchange(&mut rig, (socket, at), &far);
            let frames = rig.counted().frames - before.frames;
            assert_eq!(
                (frames, rig.counted().datagrams - before.datagrams),
                (EXCHANGED, EXCHANGED)
            );
        }
    });
}

#[test]
fn a_feature_switched_off_meanwhile_is_noticed() {
    apart(|wire| {
        let mut rig = Rig::new(EngineChoice::Auto);
        let (far, at) = wire.listen("10.8.0.2");
        rig.warm_up((0, at), &far);
        if !run("ethtool", "-K va tx-udp-segmentation off") {
            return;
        }
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < LIMIT, "{:?}", rig.engine.counters());
            let before = rig.counted();
            rig.send(0, at, &text(400, 1), 100);
            rig.turn();
            if rig.counted().frames - before.frames == 4 {
                break;
            }
        }
        rig.send(0, at, b"end", 0);
        rig.turn();
        let mut buffer = [0; 1000];
        while far.recv(&mut buffer).unwrap() != 3 {}
        exchange(&mut rig, (0, at), &far);
    });
}

#[test]
fn what_has_no_way_around_leaves_by_the_socket() {
    apart(|wire| {
        let mut rig = Rig::new(EngineChoice::Auto);
        // To ourselves.
        let own = open(NEAR.parse().unwrap(), 0, &SocketOptions::default()).unwrap();
        let to = own.local_addr().unwrap();
        rig.until((0, to), b"to ourselves", |counted| counted.unfit);
        own.set_nonblocking(false).unwrap();
        assert_eq!(own.recv(&mut [0; 100]).unwrap(), 12);
        // To nobody: the neighbour never answers.
        let nobody = "10.8.0.77:9000".parse().unwrap();
        for _ in 0..50 {
            rig.send(0, nobody, b"hello?", 0);
            rig.turn();
        }
        assert_eq!((rig.counted().datagrams, rig.counted().frames), (0, 0));
        assert!(rig.counted().unresolved >= 50, "{:?}", rig.counted());
        // To somebody who moves: an entry that goes takes the way with it, and one that comes back
        // with another address is used.
        let (far, at) = wire.listen("10.8.0.2");
        rig.warm_up((0, at), &far);
        assert!(ip("neigh flush dev va"));
        rig.until((0, at), b"gone", |counted| counted.unresolved);
        wire.far(|| assert!(ip("link set vb address 02:00:00:00:77:01")));
        assert!(ip("neigh flush dev va"));
        rig.warm_up((0, at), &far);
        exchange(&mut rig, (0, at), &far);
    });
}

#[test]
fn routers_and_narrow_paths_are_respected() {
    apart(|wire| {
        let routes =
            ["route add 10.50.0.0/24 via 10.8.0.2", "route add 10.50.0.2/32 via 10.8.0.2 mtu 1000"];
        assert!(routes.into_iter().all(ip));
        wire.far(|| assert!(ip("addr add 10.50.0.2/32 dev lo")));
        let mut rig = Rig::new(EngineChoice::Auto);
        let (far, at) = wire.listen("10.50.0.1");
        rig.warm_up((0, at), &far);
        exchange(&mut rig, (0, at), &far);
        let (far, at) = wire.listen("10.50.0.2");
        rig.warm_up((0, at), &far);
        let before = rig.engine.counters();
        rig.send(0, at, &text(1200, 3), 0);
        rig.send(0, at, &text(4 * 1100, 3), 1100);
        rig.send(0, at, &text(972, 3), 0);
        rig.turn();
        let counted = rig.counted();
        assert_eq!(counted.too_long - before.bypass.too_long, 2);
        assert_eq!(counted.datagrams - before.bypass.datagrams, 1);
        let mut buffer = [0; 2000];
        let mut lengths: Vec<_> = (0..6).map(|_| far.recv(&mut buffer).unwrap()).collect();
        lengths.sort_unstable();
        assert_eq!(lengths, [972, 1100, 1100, 1100, 1100, 1200]);
    });
}

/// Ports of forwarders are bound to no address, and speak both families.
#[test]
fn a_socket_of_any_address_sends_from_the_one_the_kernel_would_choose() {
    apart(|wire| {
        let mut rig = Rig::new(EngineChoice::Auto);
        let port = crate::udp::open_port(&PortRequest::new(0, 0, 0), 0).unwrap();
        let number = port.local_addr().unwrap().port();
        let socket = rig.engine.attach(port).unwrap();
        for (far, near) in [("10.8.0.2", NEAR), ("fd08::2", NEAR6)] {
            let (far, at) = wire.listen(far);
            let mapped = match at.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            let to = SocketAddr::new(mapped.into(), at.port());
            rig.warm_up((socket, to), &far);
            exchange(&mut rig, (socket, to), &far);
            rig.send(socket, to, b"from where?", 0);
            rig.turn();
            let (_, from) = far.recv_from(&mut [0; 100]).unwrap();
            assert_eq!(from, SocketAddr::new(near.parse().unwrap(), number));
        }
    });
}

#[test]
fn frames_are_tagged_for_the_device_below_a_vlan() {
    apart(|wire| {
        let near =
            ["link add link va name va.100 type vlan id 100", "addr add 10.9.0.1/24 dev va.100"];
        let far =
            ["link add link vb name vb.100 type vlan id 100", "addr add 10.9.0.2/24 dev vb.100"];
        if !near.into_iter().all(ip) || !wire.far(|| far.into_iter().all(ip)) {
            eprintln!("not tried, no VLANs here");
            return;
        }
        assert!(ip("link set va.100 up") && wire.far(|| ip("link set vb.100 up")));
        let mut rig = Rig::over(EngineChoice::Auto, &["10.9.0.1".parse().unwrap()]);
        let (far, at) = wire.listen("10.9.0.2");
        rig.warm_up((0, at), &far);
        exchange(&mut rig, (0, at), &far);
    });
}

/// As above where the host has no VLAN devices: the kernel takes a tag off whatever listens.
#[test]
fn a_tagged_frame_is_completed_and_understood() {
    use super::frame::{Hop, Marking};
    use super::message::{Question, Told};
    apart(|wire| {
        assert!(run("ethtool", "-K va tx-checksumming off"));
        let links = super::netlink::Asker::open().unwrap().ask(Question::Links).unwrap();
        let device = links.into_iter().find_map(|told| match told {
            Told::Link(link) if link.name == "va" => Some(link.index),
            _ => None,
        });
        let listener = wire.far(|| {
            let all = (libc::ETH_P_ALL as u16).to_be();
            let kind = socket2::Type::from(libc::SOCK_RAW);
            let all = socket2::Protocol::from(i32::from(all));
            socket2::Socket::new(socket2::Domain::PACKET, kind, Some(all)).unwrap()
        });
        listener.set_read_timeout(Some(LIMIT)).unwrap();
        let to = [2, 0, 0, 0, 0x77, 3];
        let hop = Hop { from: [2, 0, 0, 0, 0x77, 4], to, vlan: Some(100), mtu: 1500 };
        let (near, far) = (([10, 9, 0, 1], 9).into(), ([10, 9, 0, 2], 9).into());
        let frame = Frame::new(&hop, near, far, Marking { dscp: 0, hops: 64 }).unwrap();
        let mut ring = TxRing::open(device.unwrap(), ring::Shape::singles(1500)).unwrap();
        assert!(ring.put(&frame, &text(1199, 1), 0));
        let mut counters = EngineCounters::default();
        ring.kick(&mut counters);
        assert_eq!(counters.bypass.frames, 1);
        let mut got = [0; 4000];
        loop {
            let len = std::io::Read::read(&mut &listener, &mut got).unwrap();
            if got[..6] != to {
                continue;
            }
            assert_eq!((len, &got[12..14]), (14 + 20 + 8 + 1199, &[8, 0][..]), "no tag is left");
            assert_eq!(got[42..len], text(1199, 1));
            let words = |bytes: &[u8]| -> u32 {
                bytes
                    .chunks(2)
                    .map(|w| u32::from(w[0]) << 8 | w.get(1).map_or(0, |b| u32::from(*b)))
                    .sum()
            };
            let sum = words(&got[26..len]) + 17 + 8 + 1199;
            assert_eq!(sum % 0xffff, 0, "the UDP checksum holds");
            return;
        }
    });
}

/// A wire without a far end, whose neighbour's entry stays all the same.
#[test]
fn a_device_that_takes_nothing_is_given_up_for_a_while() {
    apart(|wire| {
        let (_far, at) = wire.listen("10.8.0.2");
        assert!(ip("neigh replace 10.8.0.2 lladdr 02:00:00:00:77:02 dev va nud permanent"));
        let mut rig = Rig::new(EngineChoice::Auto);
        rig.until((0, at), b"hello", |counted| counted.datagrams);
        wire.far(|| assert!(ip("link set vb down")));
        rig.until((0, at), b"lost", |counted| counted.full);
        let counters = rig.engine.counters();
        assert!((1..=255).contains(&counters.shed), "{counters:?}");
        let before = counters.bypass;
        rig.send(0, at, b"by the socket", 0);
        rig.turn();
        assert_eq!(rig.counted().full - before.full, 1);
        assert_eq!(rig.counted().datagrams, before.datagrams);
    });
}

/// A bypass without rings, and the resolver's ends.
fn alone() -> (Bypass, Rx<Ask>, Tx<Answer>) {
    let bell = Doorbell::new().unwrap();
    let (asks, asked) = crate::queue::link(MESSAGES, &bell);
    let (answer, answers) = crate::queue::link(MESSAGES, &bell);
    (Bypass::new(Vec::new(), 7, asks, answers), asked, answer)
}

fn go(bypass: &mut Bypass, socket: u16, port: u16) -> BypassCounters {
    let mut counters = EngineCounters::default();
    let (local, to) = (([10, 0, 0, 1], 9000).into(), ([10, 0, 0, 2], port).into());
    assert_eq!(bypass.send((socket, local), to, b"x", 0, &mut counters), 0);
    counters.bypass
}

#[test]
fn a_destination_is_asked_for_once_and_forgotten_when_it_is_not_used() {
    let (mut bypass, mut asked, mut answer) = alone();
    for _ in 0..3 {
        assert_eq!(go(&mut bypass, 0, 1).unresolved, 1);
        go(&mut bypass, 0, 2);
        go(&mut bypass, 1, 1);
    }
    let asks: Vec<_> = std::iter::from_fn(|| asked.pop()).collect();
    let [Ask::Way { place, generation, .. }, Ask::Way { .. }, Ask::Way { .. }] = asks[..] else {
        panic!("{asks:?}");
    };
    // An answer to an earlier question about that place is not for this one.
    let (verdict, refresh) = (Verdict::Unfit, false);
    let told = |generation| Answer::Way { place, generation, verdict, refresh };
    answer.push(told(generation.wrapping_add(1))).unwrap();
    bypass.listen();
    assert_eq!(go(&mut bypass, 0, 1).unresolved, 1);
    answer.push(told(generation)).unwrap();
    bypass.listen();
    assert_eq!(go(&mut bypass, 0, 1).unfit, 1);
    // All were used since the last sweep; of the next only the first was.
    answer.push(Answer::Sweep).unwrap();
    bypass.listen();
    assert!(asked.is_empty());
    go(&mut bypass, 0, 1);
    answer.push(Answer::Sweep).unwrap();
    bypass.listen();
    assert_eq!((bypass.ways.len(), asked.len()), (1, 2));
    // A socket's number is given to another.
    bypass.forget(0);
    assert_eq!((bypass.ways.len(), asked.len()), (0, 3));
    assert_eq!(go(&mut bypass, 0, 1).unresolved, 1);
    assert!(matches!(std::iter::from_fn(|| asked.pop()).last(), Some(Ask::Way { .. })));
}

#[test]
fn more_destinations_than_are_kept_and_a_resolver_that_is_gone_leave_sockets() {
    let (mut bypass, mut asked, answer) = alone();
    for port in 0..=WAYS as u16 {
        assert_eq!(go(&mut bypass, 0, port).unresolved, 1);
        asked.pop();
    }
    assert_eq!(bypass.ways.len(), WAYS);
    for way in &mut bypass.ways {
        way.1.verdict = Verdict::Unfit;
    }
    bypass.listen();
    assert_eq!(go(&mut bypass, 0, 1).unfit, 1);
    drop(answer);
    bypass.listen();
    assert_eq!(go(&mut bypass, 0, 1).unresolved, 1);
}

/// A stale entry is used, but one train goes by the socket so that the kernel asks.
#[test]
fn a_stale_neighbour_is_confirmed_by_an_ordinary_send() {
    apart(|wire| {
        let mut rig = Rig::new(EngineChoice::Auto);
        let (far, at) = wire.listen("10.8.0.2");
        rig.warm_up((0, at), &far);
        let address = std::fs::read_to_string("/proc/thread-self/net/arp").unwrap();
        let address = address.lines().find(|line| line.starts_with("10.8.0.2 ")).unwrap();
        let address = address.split_whitespace().nth(3).unwrap().to_owned();
        let stale = format!("neigh replace 10.8.0.2 lladdr {address} dev va nud stale");
        assert!(ip(&stale));
        rig.until((0, at), b"who?", |counted| counted.refreshed);
        let before = rig.counted();
        rig.send(0, at, b"there", 0);
        rig.turn();
        assert_eq!(rig.counted().datagrams - before.datagrams, 1, "and the next by the ring");
    });
}

#[test]
fn without_a_device_or_the_capability_the_reason_is_told() {
    apart(|_wire| {
        let bell = Doorbell::new().unwrap();
        let refused = |ip: &str| {
            prepare(&[ip.parse().unwrap()], None, std::slice::from_ref(&bell), 7)
                .unwrap_err()
                .to_string()
        };
        assert!(refused("127.0.0.1").contains("on a device with an Ethernet address"));
        // SAFETY: takes integers and concerns this thread alone: capability 13 is CAP_NET_RAW, and
        // dropping it from the effective set is what capset(2) does with it left out.
        let done = unsafe {
            let mut head = [0x2008_0522_u32, 0];
            let mut sets = [0u32; 6];
            assert_eq!(libc::syscall(libc::SYS_capget, head.as_mut_ptr(), sets.as_mut_ptr()), 0);
            sets[0] &= !(1 << 13);
            libc::syscall(libc::SYS_capset, head.as_mut_ptr(), sets.as_ptr())
        };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        assert!(refused(NEAR).contains("CAP_NET_RAW"), "{}", refused(NEAR));
    });
}
