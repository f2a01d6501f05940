//! What an engine does on an unfriendly host: io_uring filtered away, a device that takes
//! nothing, a path too narrow for its trains. Each test changes its own thread only (a seccomp
//! filter, a network namespace). Where the host does not allow that, the test says so and ends.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use super::tests::{TRAINS, has_io_uring, options};
use super::*;
use crate::udp::{SocketOptions, open};

/// Runs `body` on a thread of its own, to be thrown away with what it did to itself.
fn apart(body: fn()) {
    if let Err(panic) = std::thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

/// Makes `io_uring_setup` and `epoll_pwait2` fail with EPERM for this thread, as container
/// profiles do.
fn filter_new_calls() {
    const fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }
    let (setup, pwait2) = (libc::SYS_io_uring_setup as u32, libc::SYS_epoll_pwait2 as u32);
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, setup),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, pwait2),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, refuse),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the first call takes integers only; the second reads a program of five steps that
    // outlives it and applies it to this thread.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
}

#[test]
fn the_twin_takes_over_where_io_uring_is_filtered() {
    apart(|| {
        filter_new_calls();
        let bell = Doorbell::new().unwrap();
        let socket = || open("127.0.0.1".parse().unwrap(), 0, &SocketOptions::default()).unwrap();
        let refused =
            open_engine(EngineChoice::IoUring, vec![socket()], &bell, &options(TRAINS)).err();
        assert_eq!(refused.map(|error| error.kind()), Some(io::ErrorKind::PermissionDenied));

        let ours = socket();
        let at = ours.local_addr().unwrap();
        let (mut engine, kind, why) =
            open_engine(EngineChoice::Auto, vec![ours], &bell, &options(TRAINS)).unwrap();
        assert_eq!(kind, EngineKind::Epoll);
        assert!(why.unwrap().starts_with("io_uring_setup: "));
        // The deadline, too, is kept the old way.
        let idle = engine.turn(Some(Duration::from_micros(10)), 10, &mut |_| {}).unwrap();
        assert_eq!(idle, Turn::default());
        socket().send_to(b"hello", at).unwrap();
        let turn = engine.turn(Some(Duration::from_secs(20)), 10, &mut |_| {}).unwrap();
        assert_eq!(turn.received, 1);
    });
}

/// A network namespace for this thread with one device, 10.9.0.1/24, behind which nobody
/// answers; false where that is not allowed.
fn lonely_network() -> bool {
    // SAFETY: takes an integer and concerns this thread alone.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        eprintln!("not tried, no namespaces here: {}", io::Error::last_os_error());
        return false;
    }
    [
        "link add va type veth peer name vb",
        "addr add 10.9.0.1/24 dev va",
        "link set vb up",
        "link set va up",
    ]
    .into_iter()
    .all(ip)
}

fn ip(arguments: &str) -> bool {
    let done = Command::new("ip").args(arguments.split(' ')).status();
    let done = done.is_ok_and(|status| status.success());
    if !done {
        eprintln!("not tried: ip {arguments}");
    }
    done
}

fn lonely_engine(choice: EngineChoice, send_buffer: usize) -> Box<dyn Engine> {
    let socket = SocketOptions { send_buffer, ..SocketOptions::default() };
    let socket = open("10.9.0.1".parse().unwrap(), 0, &socket).unwrap();
    let bell = Doorbell::new().unwrap();
    open_engine(choice, vec![socket], &bell, &options(TRAINS)).unwrap().0
}

fn send(engine: &mut dyn Engine, len: usize, segment: u16) {
    let to: SocketAddr = "10.9.0.2:9000".parse().unwrap();
    engine.room(len).unwrap()[..len].fill(7);
    engine.send(0, to, len, segment);
}

/// Packets wait for a neighbour that never answers, and are charged to the socket meanwhile.
fn sheds_at_a_full_socket(choice: EngineChoice) {
    if !lonely_network() {
        return;
    }
    let mut engine = lonely_engine(choice, 16 << 10);
    for _ in 0..50 {
        send(&mut *engine, 1000, 0);
    }
    for _ in 0..10 {
        send(&mut *engine, 2500, 500);
    }
    // Were a send to wait for room in the socket, this would not come back for seconds.
    engine.flush().unwrap();
    let counters = engine.counters();
    assert!(counters.datagrams_out > 0, "{counters:?}");
    assert!(counters.shed > 30, "{counters:?}");
    assert_eq!(counters.datagrams_out + counters.shed, 100);
    assert_eq!((counters.refused, counters.unhitched), (0, 0));
    assert_eq!(engine.turn(Some(Duration::ZERO), 1, &mut |_| {}).unwrap(), Turn::default());
}

/// Segments longer than the path's MTU cannot leave as a train; they leave, fragmented.
fn unhitches_trains_too_wide_for_the_path(choice: EngineChoice) {
    let narrow = ["link set va mtu 1000", "neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev va"];
    if !lonely_network() || !narrow.into_iter().all(ip) {
        return;
    }
    let mut engine = lonely_engine(choice, 8 << 20);
    for _ in 0..3 {
        send(&mut *engine, 4900, 1200);
        send(&mut *engine, 1800, 900);
    }
    engine.flush().unwrap();
    let counters = engine.counters();
    assert_eq!((counters.unhitched, counters.trains_out), (3, 3));
    assert_eq!((counters.datagrams_out, counters.bytes_out), (3 * 7, 3 * 6700));
    assert_eq!((counters.shed, counters.refused), (0, 0));
}

#[test]
fn epoll_sheds_at_a_full_socket() {
    apart(|| sheds_at_a_full_socket(EngineChoice::Epoll));
}

#[test]
fn io_uring_sheds_at_a_full_socket() {
    apart(|| {
        if has_io_uring() {
            sheds_at_a_full_socket(EngineChoice::IoUring);
        }
    });
}

#[test]
fn epoll_unhitches_trains_too_wide_for_the_path() {
    apart(|| unhitches_trains_too_wide_for_the_path(EngineChoice::Epoll));
}

#[test]
fn io_uring_unhitches_trains_too_wide_for_the_path() {
    apart(|| {
        if has_io_uring() {
            unhitches_trains_too_wide_for_the_path(EngineChoice::IoUring);
        }
    });
}
