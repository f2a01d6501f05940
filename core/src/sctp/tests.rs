use super::*;
use crate::dtls::Role;
use crate::media::{DataEnd, DataKind, DataLine, DataMessage};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LINE: DataLine = DataLine { remote_port: 5000, max_send: 1 << 20, max_receive: 1 << 20 };

/// A seeded source of chance.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, of: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % of
    }
}

/// Two transports and the network between them.
struct Pair {
    now: Instant,
    ends: [DataTransport; 2],
    events: [Vec<Event>; 2],
    reading: [bool; 2],
    /// By time of arrival: to whom, and what.
    flying: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    sent: u64,
    dice: Dice,
    loss_percent: u64,
    jitter_ms: u64,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let end = |role| DataTransport::new(now, Config { role, line: LINE });
        Pair {
            now,
            ends: [end(Role::Client), end(Role::Server)],
            events: [Vec::new(), Vec::new()],
            reading: [true, true],
            flying: BTreeMap::new(),
            sent: 0,
            dice: Dice(seed | 1),
            loss_percent: 0,
            jitter_ms: 0,
        }
    }

    fn up(seed: u64) -> Self {
        let mut pair = Pair::new(seed);
        pair.run(200);
        for end in 0..2 {
            assert_eq!(pair.take(end), [Event::Ready]);
        }
        pair
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += Duration::from_millis(1);
            for end in 0..2 {
                self.turn(end);
            }
        }
    }

    fn turn(&mut self, end: usize) {
        while let Some(entry) = self.flying.first_entry().filter(|e| e.key().0 <= self.now) {
            let (to, packet) = entry.remove();
            self.ends[to].handle_packet(self.now, &packet);
        }
        if self.ends[end].poll_timeout().is_some_and(|at| at <= self.now) {
            self.ends[end].handle_timeout(self.now);
        }
        while let Some(event) = self.ends[end].poll_event(self.reading[end]) {
            self.events[end].push(event);
        }
        while let Some(packet) = self.ends[end].poll_packet(self.now) {
            assert!(packet.len() <= MAX_PACKET);
            self.sent += 1;
            let lost = self.dice.roll(100) < self.loss_percent;
            if !lost {
                let late = 10 + self.dice.roll(self.jitter_ms + 1);
                let at = self.now + Duration::from_millis(late);
                self.flying.insert((at, self.sent), (1 - end, packet.to_vec()));
            }
        }
    }

    fn take(&mut self, end: usize) -> Vec<Event> {
        std::mem::take(&mut self.events[end])
    }

    fn messages(&mut self, end: usize) -> Vec<DataMessage> {
        let of = |event| match event {
            Event::Message(message) => Some(message),
            _ => None,
        };
        self.take(end).into_iter().filter_map(of).collect()
    }

    fn send(&mut self, end: usize, label: &str, bytes: &[u8]) -> Result<(), SendError> {
        self.ends[end].send(label, "", DataKind::Binary, bytes)
    }

    /// Opens a channel with these properties, as a browser does, and says something on it.
    fn open(&mut self, end: usize, label: &str, unordered: bool, reliability: Reliability) {
        self.send(end, label, b"first").unwrap();
        self.ends[end].bend(label, unordered, reliability);
        self.run(100);
    }
}

#[test]
fn kinds_and_empties_come_back_as_they_went_out() {
    let mut pair = Pair::up(1);
    let sent = [
        (DataKind::Text, &b"hello"[..]),
        (DataKind::Binary, &b"\x00\xff"[..]),
        (DataKind::Text, b""),
        (DataKind::Binary, b""),
    ];
    for (kind, bytes) in sent {
        pair.ends[0].send("chat", "v1", kind, bytes).unwrap();
    }
    pair.run(100);
    let got = pair.messages(1);
    let seen: Vec<_> = got.iter().map(|message| (message.kind, &*message.bytes)).collect();
    assert_eq!(seen, sent);
    assert!(got.iter().all(|message| (&*message.label, &*message.protocol) == ("chat", "v1")));
    // The answer goes by the channel that is there, opened by the other side.
    pair.ends[1].send("chat", "", DataKind::Text, b"hi").unwrap();
    pair.run(100);
    assert_eq!(pair.messages(0).len(), 1);
    for end in 0..2 {
        assert_eq!(pair.ends[end].channels().count(), 1);
        assert!(pair.ends[end].channels().all(|channel| channel.acknowledged && channel.id == 2));
    }
}

#[test]
fn either_side_opens_channels_of_its_own_parity() {
    let mut pair = Pair::up(2);
    pair.send(0, "a", b"1").unwrap();
    pair.send(1, "b", b"2").unwrap();
    pair.send(1, "c", b"3").unwrap();
    pair.run(100);
    let mut ids: Vec<_> = pair.ends[0].channels().map(|c| (c.label.to_string(), c.id)).collect();
    ids.sort();
    assert_eq!(ids, [("a".into(), 2), ("b".into(), 1), ("c".into(), 3)]);
}

#[test]
fn a_server_that_is_not_asked_begins_itself_after_a_second() {
    let mut pair = Pair::new(3);
    let later = pair.now + Duration::from_millis(600);
    pair.ends[0] = DataTransport::new(later, Config { role: Role::Server, line: LINE });
    pair.run(900);
    assert!(!pair.ends[0].is_up() && !pair.ends[1].is_up());
    pair.run(300);
    assert!(pair.ends[0].is_up() && pair.ends[1].is_up());
}

#[test]
fn the_longest_message_arrives_whole_and_a_longer_one_is_refused() {
    let mut pair = Pair::up(4);
    let whole: Vec<u8> = (0..1 << 20).map(|n: u32| (n * 7) as u8).collect();
    pair.send(0, "x", &whole).unwrap();
    pair.run(4000);
    let got = pair.messages(1);
    assert_eq!(got.len(), 1);
    assert!(*got[0].bytes == whole[..]);
    let longer = vec![0; (1 << 20) + 1];
    assert_eq!(pair.send(0, "x", &longer), Err(SendError::TooLong));
}

#[test]
fn a_full_buffer_refuses_then_tells_when_it_has_drained() {
    let mut pair = Pair::up(5);
    let block = vec![1; 100_000];
    let taken = (0..50).take_while(|_| pair.send(0, "x", &block).is_ok()).count();
    assert_eq!(taken, SEND_BUFFER.div_ceil(100_000));
    assert_eq!(pair.send(0, "x", b"one more"), Err(SendError::Full));
    pair.run(5000);
    assert!(pair.take(0).contains(&Event::Drained));
    assert_eq!(pair.messages(1).len(), taken);
    pair.send(0, "x", b"again").unwrap();
}

#[test]
fn who_does_not_read_closes_the_senders_window() {
    let mut pair = Pair::up(6);
    pair.reading[1] = false;
    let block = vec![2; 100_000];
    let mut taken = 0;
    for _ in 0..20 {
        while pair.send(0, "x", &block).is_ok() {
            taken += 1;
        }
        pair.run(1000);
    }
    assert!(taken < 40, "two windows and a buffer at most, not {taken}");
    pair.reading[1] = true;
    pair.run(30_000);
    assert_eq!(pair.messages(1).len(), taken, "nothing was lost");
}

#[test]
fn a_reset_by_the_peer_closes_the_channel_on_both_sides() {
    let mut pair = Pair::up(7);
    pair.send(0, "x", b"1").unwrap();
    pair.run(100);
    pair.ends[0].close("x");
    pair.run(500);
    assert_eq!(pair.ends[0].channels().count(), 0);
    assert_eq!(pair.ends[1].channels().count(), 0);
    // The label is free again, and so in time is the stream.
    pair.send(1, "x", b"2").unwrap();
    pair.run(500);
    let labels: Vec<_> = pair.messages(0).into_iter().map(|m| m.label).collect();
    assert_eq!(labels, ["x".into()]);
}

#[test]
fn channels_and_names_are_bounded() {
    let mut pair = Pair::up(8);
    for n in 0..MAX_CHANNELS {
        pair.send(0, &format!("channel {n}"), b"x").unwrap();
        pair.run(2);
    }
    assert_eq!(pair.send(0, "one more", b"x"), Err(SendError::NoChannel));
    pair.run(500);
    assert_eq!(pair.messages(1).len(), MAX_CHANNELS);

    let mut pair = Pair::up(9);
    let long = "l".repeat(60_000);
    for n in 0..4 {
        pair.send(0, &format!("{n}{long}"), b"x").unwrap();
    }
    assert_eq!(pair.send(0, &format!("4{long}"), b"x"), Err(SendError::NoChannel));
    pair.run(1000);
    assert_eq!(pair.messages(1).len(), 4);
}

#[test]
fn a_message_longer_than_stated_ends_the_association_and_nothing_else() {
    let mut pair = Pair::up(10);
    let small = DataLine { max_receive: 150_000, ..LINE };
    pair.ends[1] = DataTransport::new(pair.now, Config { role: Role::Server, line: small });
    pair.ends[0] = DataTransport::new(pair.now, Config { role: Role::Client, line: LINE });
    pair.run(200);
    pair.take(1);
    pair.send(0, "x", &vec![0; 150_001]).unwrap();
    pair.run(3000);
    assert_eq!(pair.take(1), [Event::Opened, Event::Lost(DataEnd::Refused)]);
    let told = pair.take(0);
    assert_eq!(told.last(), Some(&Event::Lost(DataEnd::ByPeer)), "an ABORT came: {told:?}");
    assert_eq!(pair.ends[1].send("x", "", DataKind::Text, b"x"), Err(SendError::NotReady));
}

#[test]
fn hostile_scripts_are_survived() {
    for seed in 1..60 {
        let mut dice = Dice(seed * 7919);
        let script: Vec<u8> = (0..600).map(|_| dice.roll(256) as u8).collect();
        fuzz_sctp(&script);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn reliable_messages_arrive_once_and_in_order_through_loss(seed: u64) {
        let mut pair = Pair::new(seed);
        (pair.loss_percent, pair.jitter_ms) = (15, 30);
        pair.run(40_000);
        prop_assert!(pair.ends[0].is_up() && pair.ends[1].is_up());
        for n in 0..60u16 {
            pair.send(0, "x", &n.to_be_bytes()).unwrap();
            pair.send(1, "y", &vec![n as u8; 3000]).unwrap();
            pair.run(5);
        }
        pair.run(60_000);
        let got: Vec<_> = pair.messages(1).iter().map(|m| m.bytes.to_vec()).collect();
        let sent: Vec<_> = (0..60u16).map(|n| n.to_be_bytes().to_vec()).collect();
        prop_assert_eq!(got, sent);
        let back = pair.messages(0);
        prop_assert_eq!(back.len(), 60);
        prop_assert!(back.iter().enumerate().all(|(n, m)| *m.bytes == vec![n as u8; 3000][..]));
    }

    #[test]
    fn given_up_messages_are_missing_and_the_rest_arrives(seed: u64, timed: bool, loose: bool) {
        let mut pair = Pair::up(seed);
        let reliability =
            if timed { Reliability::LifetimeMs(20) } else { Reliability::Retransmits(0) };
        pair.open(0, "lossy", loose, reliability);
        pair.messages(1);
        pair.loss_percent = 20;
        for n in 0..200u16 {
            pair.send(0, "lossy", &n.to_be_bytes()).unwrap();
            pair.run(5);
        }
        pair.loss_percent = 0;
        pair.run(20_000);
        let got: Vec<_> = pair
            .messages(1)
            .iter()
            .map(|m| u16::from_be_bytes([m.bytes[0], m.bytes[1]]))
            .collect();
        prop_assert!((80..200).contains(&got.len()), "{} of 200 arrived", got.len());
        let mut sorted = got.clone();
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!(sorted.len(), got.len(), "none twice");
        prop_assert!(loose || sorted == got, "ordered channels stay in order");
        // Nothing of it is stuck.
        prop_assert_eq!(pair.ends[0].buffered(), 0);
    }
}
