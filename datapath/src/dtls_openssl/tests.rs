//! Two engines of ours against each other, on virtual time, over a wire that may lose datagrams.

use std::time::{Duration, Instant};

use bifrons_core::dtls::{
    Connected, DtlsEngine, DtlsEvent, Failure, Fingerprint, MAX_DATAGRAM, Role, SendError, State,
};
use bifrons_core::srtp::SrtpProfile;
use proptest::prelude::*;

use super::*;

/// Seconds since 1970 when the tests run; certificates are judged by OpenSSL's own clock.
pub(crate) fn now_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs() as i64)
}

pub(crate) fn context(kind: KeyKind, settings: &DtlsSettings) -> DtlsContext {
    DtlsContext::new(&Certificate::self_signed(kind, now_s()).unwrap(), settings).unwrap()
}

/// A client and a server, a clock, and what each reported.
struct Pair {
    now: Instant,
    ends: [OpenSslEngine; 2],
    events: [Vec<DtlsEvent>; 2],
    sent: usize,
}

impl Pair {
    fn new(client: &DtlsContext, server: &DtlsContext) -> Pair {
        let mut pair = Pair {
            now: Instant::now(),
            ends: [client.engine(Role::Client).unwrap(), server.engine(Role::Server).unwrap()],
            events: [Vec::new(), Vec::new()],
            sent: 0,
        };
        pair.ends[0].set_remote_fingerprint(pair.now, server.fingerprint());
        pair.ends[1].set_remote_fingerprint(pair.now, client.fingerprint());
        pair
    }

    fn start(&mut self) {
        let now = self.now;
        self.ends.iter_mut().for_each(|end| end.start(now));
    }

    /// Carries datagrams to and fro until both are silent; `lost(n)` swallows the n-th.
    fn exchange(&mut self, lost: &mut dyn FnMut(usize) -> bool) {
        let mut buf = [0; MAX_DATAGRAM];
        loop {
            let mut silent = true;
            for from in 0..2 {
                while let Some(len) = self.ends[from].poll_output(&mut buf) {
                    silent = false;
                    self.sent += 1;
                    if !lost(self.sent - 1) {
                        self.ends[1 - from].handle_packet(self.now, &buf[..len]);
                    }
                }
                while let Some(event) = self.ends[from].poll_event() {
                    self.events[from].push(event);
                }
            }
            if silent {
                return;
            }
        }
    }

    /// Moves the clock from deadline to deadline until nothing is pending.
    fn run(&mut self, lost: &mut dyn FnMut(usize) -> bool) {
        self.exchange(lost);
        while let Some(at) = self.ends.iter().filter_map(|end| end.poll_timeout()).min() {
            self.now = at.max(self.now);
            let now = self.now;
            self.ends.iter_mut().for_each(|end| end.handle_timeout(now));
            self.exchange(lost);
        }
    }

    fn connected(&self, end: usize) -> Option<Connected> {
        match self.events[end].first() {
            Some(DtlsEvent::Connected(connected)) => Some(*connected),
            _ => None,
        }
    }

    fn failure(&self, end: usize) -> Option<Failure> {
        match self.events[end].as_slice() {
            [DtlsEvent::Failed(failure)] => Some(*failure),
            _ => None,
        }
    }
}

fn defaults() -> DtlsContext {
    context(KeyKind::EcP256, &DtlsSettings::default())
}

fn with_profiles(profiles: &[SrtpProfile]) -> DtlsContext {
    let settings = DtlsSettings { profiles: profiles.to_vec(), ..DtlsSettings::default() };
    context(KeyKind::EcP256, &settings)
}

fn never(_: usize) -> bool {
    false
}

#[test]
fn both_ends_get_the_same_keys_for_each_profile_and_role() {
    let ours = defaults();
    for profile in SrtpProfile::PREFERENCE {
        let peer = with_profiles(&[profile]);
        for (client, server) in [(&ours, &peer), (&peer, &ours)] {
            let mut pair = Pair::new(client, server);
            pair.start();
            pair.exchange(&mut never);
            let (a, b) = (pair.connected(0).unwrap(), pair.connected(1).unwrap());
            let keys = a.srtp.unwrap();
            assert_eq!(keys.profile(), profile);
            assert_eq!(Some(keys), b.srtp);
            assert_ne!(keys.key(Role::Client), keys.key(Role::Server));
            assert_eq!(a.peer_certificate, server.fingerprint());
            assert_eq!(b.peer_certificate, client.fingerprint());
            assert_eq!(pair.ends[0].poll_timeout(), None);
        }
    }
}

#[test]
fn our_order_of_profiles_wins_as_server_whatever_the_client_prefers() {
    let mut reversed = SrtpProfile::PREFERENCE;
    reversed.reverse();
    let mut pair = Pair::new(&with_profiles(&reversed), &defaults());
    pair.start();
    pair.exchange(&mut never);
    let keys = pair.connected(0).unwrap().srtp.unwrap();
    assert_eq!(keys.profile(), SrtpProfile::AeadAes128Gcm);
}

#[test]
fn rsa_and_ecdsa_peers_meet_in_every_combination() {
    let rsa = context(KeyKind::Rsa2048, &DtlsSettings::default());
    let ec = defaults();
    for (client, server) in [(&rsa, &ec), (&ec, &rsa), (&rsa, &rsa)] {
        let mut pair = Pair::new(client, server);
        pair.start();
        pair.exchange(&mut never);
        assert!(pair.connected(0).is_some() && pair.connected(1).is_some());
        let cipher = pair.ends[0].cipher().unwrap();
        let rsa_server = server.fingerprint() == rsa.fingerprint();
        assert!(cipher.starts_with(if rsa_server { "ECDHE-RSA-" } else { "ECDHE-ECDSA-" }));
    }
}

#[test]
fn webrtc_08_wrong_fingerprint_fails_and_the_peer_is_told() {
    let (client, server) = (defaults(), defaults());
    for wrong in 0..2 {
        let mut pair = Pair::new(&client, &server);
        let stranger = defaults().fingerprint();
        pair.ends[wrong].set_remote_fingerprint(pair.now, stranger);
        pair.start();
        pair.exchange(&mut never);
        assert_eq!(pair.failure(wrong), Some(Failure::FingerprintMismatch));
        assert_eq!(pair.failure(wrong).unwrap().hangup_reason(), "DTLS alert");
        let other = &pair.events[1 - wrong];
        assert!(
            matches!(other.last(), Some(DtlsEvent::Closed | DtlsEvent::Failed(Failure::Alert(_)))),
            "{other:?}"
        );
    }
}

#[test]
fn a_late_fingerprint_holds_back_the_keys_until_it_comes() {
    let (client, server) = (defaults(), defaults());
    let mut ends = Pair::new(&client, &server);
    ends.ends[1] = server.engine(Role::Server).unwrap();
    ends.start();
    ends.exchange(&mut never);
    assert!(ends.connected(0).is_some());
    assert!(ends.events[1].is_empty());
    assert_eq!(ends.ends[1].state(), State::Unverified);
    assert_eq!(ends.ends[1].send(ends.now, b"early"), Err(SendError::NotConnected));
    let sha1 =
        Fingerprint::parse_hex(bifrons_core::dtls::FingerprintHash::Sha1, &sha1_hex(&client));
    ends.ends[1].set_remote_fingerprint(ends.now, sha1.unwrap());
    ends.exchange(&mut never);
    assert_eq!(ends.connected(1).unwrap().srtp, ends.connected(0).unwrap().srtp);
}

/// What a peer with this context would signal as `a=fingerprint:sha-1`, lower case.
fn sha1_hex(context: &DtlsContext) -> String {
    let digest = context.leaf_for_tests().digest(openssl::hash::MessageDigest::sha1()).unwrap();
    digest.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

#[test]
fn expired_certificates_are_refused_from_either_side() {
    let day = 24 * 3600;
    let old = Certificate::self_signed_between(KeyKind::EcP256, now_s() - 9 * day, now_s() - day);
    let old = DtlsContext::new(&old.unwrap(), &DtlsSettings::default()).unwrap();
    let good = defaults();
    for (client, server, judge) in [(&old, &good, 1), (&good, &old, 0)] {
        let mut pair = Pair::new(client, server);
        pair.start();
        pair.exchange(&mut never);
        assert_eq!(pair.failure(judge), Some(Failure::Certificate));
        // certificate_expired
        assert_eq!(pair.failure(1 - judge), Some(Failure::Alert(45)));
    }
}

#[test]
fn self_signed_peers_are_refused_when_told_so() {
    let strict = DtlsSettings { accept_self_signed: false, ..DtlsSettings::default() };
    let mut pair = Pair::new(&defaults(), &context(KeyKind::EcP256, &strict));
    pair.start();
    pair.exchange(&mut never);
    assert_eq!(pair.failure(1), Some(Failure::Certificate));
}

#[test]
fn webrtc_09_silence_ends_in_a_timeout_after_20_s() {
    for end in 0..2 {
        let mut pair = Pair::new(&defaults(), &defaults());
        let began = pair.now;
        pair.ends[end].start(began);
        pair.run(&mut |_| true);
        assert_eq!(pair.failure(end), Some(Failure::Timeout));
        assert_eq!(pair.now - began, Duration::from_secs(20));
        assert_eq!(Failure::Timeout.hangup_reason(), "DTLS timeout");
    }
}

#[test]
fn a_client_repeats_its_hello_at_1_3_7_and_15_s() {
    let mut pair = Pair::new(&defaults(), &defaults());
    let began = pair.now;
    pair.ends[0].start(began);
    let mut at = Vec::new();
    let mut buf = [0; MAX_DATAGRAM];
    let mut seen = std::collections::HashSet::new();
    while let Some(deadline) = pair.ends[0].poll_timeout() {
        while let Some(len) = pair.ends[0].poll_output(&mut buf) {
            // A fresh record number each time, or a replay window would swallow it.
            assert!(seen.insert(buf[..len].to_vec()));
            at.push((pair.now - began).as_secs());
        }
        pair.now = deadline;
        pair.ends[0].handle_timeout(deadline);
    }
    assert_eq!(at, [0, 1, 3, 7, 15]);
    assert_eq!(pair.ends[0].retransmissions(), 4);
}

/// Loses each datagram of a handshake in turn.
fn lose_one_each(client: &DtlsContext, server: &DtlsContext) -> usize {
    let mut pair = Pair::new(client, server);
    pair.start();
    pair.exchange(&mut never);
    let sent = pair.sent;
    for victim in 0..sent {
        let mut pair = Pair::new(client, server);
        pair.start();
        let began = pair.now;
        pair.run(&mut |n| n == victim);
        let keys = pair.connected(0).and_then(|c| c.srtp);
        assert!(keys.is_some(), "datagram {victim} lost: {:?}", pair.events);
        assert_eq!(pair.connected(1).and_then(|c| c.srtp), keys);
        assert!(pair.now - began <= Duration::from_secs(3), "datagram {victim}");
    }
    sent
}

#[test]
fn losing_any_one_datagram_is_made_good() {
    assert_eq!(lose_one_each(&defaults(), &defaults()), 4);
}

#[test]
fn a_small_mtu_splits_messages_and_each_part_may_get_lost() {
    let small = DtlsSettings { mtu: 300, ..DtlsSettings::default() };
    let ends = [(); 2].map(|()| context(KeyKind::Rsa2048, &small));
    assert!(lose_one_each(&ends[0], &ends[1]) > 10);
}

#[test]
fn a_cbc_suite_stays_with_openssl_and_works_the_same() {
    let cbc = DtlsSettings { ciphers: "ECDHE-ECDSA-AES128-SHA".into(), ..DtlsSettings::default() };
    let ends = [(); 2].map(|()| context(KeyKind::EcP256, &cbc));
    lose_one_each(&ends[0], &ends[1]);
    let mut pair = Pair::new(&ends[0], &ends[1]);
    pair.start();
    pair.exchange(&mut never);
    assert_eq!(pair.ends[0].cipher(), Some("ECDHE-ECDSA-AES128-SHA"));
    talk_and_part(&mut pair);
}

#[test]
fn data_flows_both_ways_within_its_limits_and_ends_with_close() {
    let mut pair = Pair::new(&defaults(), &defaults());
    assert_eq!(pair.ends[0].send(pair.now, b"early"), Err(SendError::NotConnected));
    pair.start();
    pair.exchange(&mut never);
    talk_and_part(&mut pair);
}

fn talk_and_part(pair: &mut Pair) {
    let mut buf = [0; MAX_DATAGRAM];
    for end in 0..2 {
        for len in [1, 700, 1435] {
            pair.ends[end].send(pair.now, &vec![len as u8; len]).unwrap();
            pair.exchange(&mut never);
            assert_eq!(pair.ends[1 - end].recv(&mut buf), Some(len));
            assert!(buf[..len].iter().all(|b| *b == len as u8));
        }
        assert_eq!(pair.ends[end].send(pair.now, &[0; 1436]), Err(SendError::Length));
        assert_eq!(pair.ends[end].send(pair.now, &[]), Err(SendError::Length));
    }
    pair.ends[0].close(pair.now);
    pair.exchange(&mut never);
    assert_eq!(pair.events[0].len(), 1);
    assert_eq!(pair.events[1].last(), Some(&DtlsEvent::Closed));
    assert_eq!(pair.ends[1].send(pair.now, b"late"), Err(SendError::NotConnected));
}

#[test]
fn a_full_output_queue_refuses_data_instead_of_growing() {
    let mut pair = Pair::new(&defaults(), &defaults());
    pair.start();
    pair.exchange(&mut never);
    let taken = (0..1000).take_while(|_| pair.ends[0].send(pair.now, b"x").is_ok()).count();
    assert_eq!(taken, 64);
    assert_eq!(pair.ends[0].send(pair.now, b"x"), Err(SendError::Full));
}

#[test]
fn plaintext_after_the_handshake_changes_nothing() {
    let (client, server) = (defaults(), defaults());
    let mut pair = Pair::new(&client, &server);
    pair.start();
    pair.exchange(&mut never);
    let fatal = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40];
    pair.ends[1].handle_packet(pair.now, &fatal);
    let mut stranger = client.engine(Role::Client).unwrap();
    stranger.start(pair.now);
    let mut buf = [0; MAX_DATAGRAM];
    while let Some(len) = stranger.poll_output(&mut buf) {
        pair.ends[1].handle_packet(pair.now, &buf[..len]);
    }
    pair.exchange(&mut never);
    assert_eq!(pair.ends[1].state(), State::Connected);
    assert_eq!(pair.ends[1].refused(), 2);
}

#[test]
fn forged_and_replayed_records_change_nothing() {
    for ciphers in [DEFAULT_CIPHERS, "ECDHE-ECDSA-AES128-SHA"] {
        let settings = DtlsSettings { ciphers: ciphers.into(), ..DtlsSettings::default() };
        let ends = [(); 2].map(|()| context(KeyKind::EcP256, &settings));
        let mut pair = Pair::new(&ends[0], &ends[1]);
        pair.start();
        pair.exchange(&mut never);
        pair.ends[0].send(pair.now, b"genuine").unwrap();
        let mut buf = [0; MAX_DATAGRAM];
        let len = pair.ends[0].poll_output(&mut buf).unwrap();
        for at in 13..len {
            let mut forged = buf[..len].to_vec();
            forged[at] ^= 0x55;
            pair.ends[1].handle_packet(pair.now, &forged);
        }
        (0..3).for_each(|_| pair.ends[1].handle_packet(pair.now, &buf[..len]));
        let mut seen = [0; MAX_DATAGRAM];
        assert_eq!(
            pair.ends[1].recv(&mut seen),
            Some(7),
            "{ciphers} {:?} {:?}",
            pair.ends[1].state(),
            pair.ends[1].poll_event()
        );
        assert_eq!(pair.ends[1].recv(&mut seen), None, "{ciphers}");
        assert_eq!(pair.ends[1].state(), State::Connected);
        talk_and_part(&mut pair);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_third_of_all_datagrams_lost_is_survived(seed: u64) {
        let (client, server) = shared();
        let mut pair = Pair::new(client, server);
        pair.start();
        let mut state = seed | 1;
        pair.run(&mut |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % 10 < 3
        });
        // A flight has five tries in 20 s; both up, or an honest timeout, never anything else.
        for end in 0..2 {
            let timed_out = pair.failure(end) == Some(Failure::Timeout);
            prop_assert!(pair.connected(end).is_some() || timed_out, "{:?}", pair.events);
        }
    }

    #[test]
    fn garbage_never_kills_a_handshake(
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..20),
        disguise in any::<bool>(),
    ) {
        let (client, server) = shared();
        let mut pair = Pair::new(client, server);
        pair.start();
        let dress = |mut bytes: Vec<u8>| {
            if disguise && bytes.len() > 13 {
                let len = (bytes.len() - 13) as u16;
                bytes[0] = 20 + bytes[0] % 4;
                bytes[1..3].copy_from_slice(&[0xfe, 0xfd]);
                let epoch = bytes[4] % 2;
                bytes[3..5].copy_from_slice(&[0, epoch]);
                bytes[11..13].copy_from_slice(&len.to_be_bytes());
                // Fatal alerts in plaintext are the one thing that may end it.
                if bytes[0] == 21 { bytes[3..5].copy_from_slice(&[0, 1]); }
            }
            bytes
        };
        for bytes in noise {
            let bytes = dress(bytes);
            let now = pair.now;
            pair.ends.iter_mut().for_each(|end| end.handle_packet(now, &bytes));
        }
        pair.run(&mut never);
        prop_assert!(pair.connected(0).is_some() && pair.connected(1).is_some());
    }
}

/// Key generation is most of a case's time; these share theirs.
fn shared() -> &'static (DtlsContext, DtlsContext) {
    // The lint keeps shared state off shards; this is test scaffolding.
    #[allow(clippy::disallowed_types)]
    static PAIR: std::sync::OnceLock<(DtlsContext, DtlsContext)> = std::sync::OnceLock::new();
    PAIR.get_or_init(|| (defaults(), defaults()))
}

/// Resident memory of this process in KiB, by the kernel's count.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// CPU time of this thread in microseconds.
fn cpu_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: one timespec, valid for the call to write to.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(done, 0);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
}

/// Prints what the module head speaks of; run it alone, with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn memory_and_cpu_of_a_finished_peer() {
    const PEERS: usize = 1000;
    let (client, server) = shared();
    let mut all = Vec::with_capacity(2 * PEERS);
    for what in ["connected", "waiting"] {
        let (before, began) = (resident_kib(), cpu_us());
        for _ in 0..PEERS {
            let mut pair = Pair::new(client, server);
            if what == "connected" {
                pair.start();
                pair.exchange(&mut never);
                assert!(pair.connected(1).is_some());
            }
            all.push(pair);
        }
        let kib = (resident_kib() - before) as f64 / (2 * PEERS) as f64;
        let us = (cpu_us() - began) / (2 * PEERS) as u64;
        println!("{what}: {kib:.1} KiB and {us} us an engine");
    }
}
