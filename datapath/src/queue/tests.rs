use std::os::fd::AsRawFd;

use super::{Doorbell, link};

/// Blocks until the bell's eventfd is readable; false after ten seconds.
fn wait(bell: &Doorbell) -> bool {
    let mut poll = libc::pollfd { fd: bell.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd on the stack, its count given.
    unsafe { libc::poll(&mut poll, 1, 10_000) == 1 }
}

#[test]
fn a_full_ring_hands_the_value_back_and_counts_it() {
    let bell = Doorbell::new().unwrap();
    let (mut tx, mut rx) = link(2, &bell);
    assert_eq!(tx.push("a"), Ok(()));
    assert_eq!(tx.push("b"), Ok(()));
    assert_eq!(tx.push("c"), Err("c"));
    assert_eq!(tx.put("d"), Err("d"));
    assert_eq!((tx.refused(), tx.room(), rx.len()), (2, 0, 2));
    assert_eq!(rx.pop(), Some("a"));
    assert_eq!(tx.push("e"), Ok(()));
    assert_eq!((rx.pop(), rx.pop(), rx.pop()), (Some("b"), Some("e"), None));
    assert!(rx.is_empty());
}

#[test]
fn capacity_zero_still_carries_one_value() {
    let bell = Doorbell::new().unwrap();
    let (mut tx, mut rx) = link(0, &bell);
    assert_eq!((tx.capacity(), tx.push(7)), (1, Ok(())));
    assert_eq!(rx.pop(), Some(7));
}

#[test]
fn a_running_reader_is_not_rung() {
    let bell = Doorbell::new().unwrap();
    let (mut tx, _rx) = link(8, &bell);
    tx.push(1).unwrap();
    assert!(!bell.silence());
}

#[test]
fn a_sleeping_reader_is_rung_once() {
    let bell = Doorbell::new().unwrap();
    let (mut tx, rx) = link(8, &bell);
    assert!(bell.may_sleep(|| rx.is_empty()));
    tx.push(1).unwrap();
    assert!(bell.silence(), "the first push wakes");
    tx.push(2).unwrap();
    assert!(!bell.silence(), "the second finds the reader already called");
}

#[test]
fn a_value_that_came_before_the_announcement_forbids_sleep() {
    let bell = Doorbell::new().unwrap();
    let (mut tx, rx) = link(8, &bell);
    tx.push(1).unwrap();
    assert!(!bell.may_sleep(|| rx.is_empty()));
    tx.push(2).unwrap();
    assert!(!bell.silence(), "the announcement was withdrawn");
}

#[test]
fn each_end_learns_that_the_other_is_gone() {
    let bell = Doorbell::new().unwrap();
    let (mut tx, mut rx) = link(8, &bell);
    tx.push(5).unwrap();
    assert!(!rx.is_abandoned());
    drop(tx);
    assert!(rx.is_abandoned());
    assert_eq!(rx.pop(), Some(5));
    let (tx, rx) = link::<u8>(8, &bell);
    drop(rx);
    assert!(tx.is_abandoned());
}

/// Two producers, one reader that sleeps whenever its rings are empty: every value arrives, in
/// order, or the reader's ten-second sleep fails the test.
#[test]
fn no_wake_is_lost_between_threads() {
    const EACH: u64 = 50_000;
    let bell = Doorbell::new().unwrap();
    let (mut tx_a, mut rx_a) = link(16, &bell);
    let (mut tx_b, mut rx_b) = link(16, &bell);
    std::thread::scope(|scope| {
        for tx in [&mut tx_a, &mut tx_b] {
            scope.spawn(move || {
                for value in 0..EACH {
                    while tx.push(value).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let (mut next_a, mut next_b) = (0, 0);
        while next_a < EACH || next_b < EACH {
            while let Some(value) = rx_a.pop() {
                assert_eq!(value, next_a);
                next_a += 1;
            }
            while let Some(value) = rx_b.pop() {
                assert_eq!(value, next_b);
                next_b += 1;
            }
            let done = next_a == EACH && next_b == EACH;
            if !done && bell.may_sleep(|| rx_a.is_empty() && rx_b.is_empty()) {
                assert!(wait(&bell), "a wake was lost at {next_a}, {next_b}");
                bell.awake();
                bell.silence();
            }
        }
    });
    // A full ring is not a loss: the pusher kept the value and tried again.
    assert_eq!((rx_a.len(), rx_b.len()), (0, 0));
}

#[test]
fn the_bell_is_level_readable_until_silenced() {
    let bell = Doorbell::new().unwrap();
    bell.strike();
    assert!(wait(&bell) && wait(&bell));
    assert!(bell.silence() && !bell.silence());
}
