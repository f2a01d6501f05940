//! Two lanes, each for one end of some peers, on virtual time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bifrons_core::dtls::{Connected, Failure, Fingerprint, Role};
use bifrons_core::media::{DownReason, PeerId};

use super::*;
use crate::dtls_openssl::tests::context;
use crate::dtls_openssl::{DtlsContext, DtlsSettings, KeyKind, RecordLayer};

fn peer(slot: u32) -> PeerId {
    PeerId { shard: 0, slot, generation: 1 }
}

/// What one lane said about one peer.
#[derive(Default, Debug)]
struct Said {
    connected: Option<Connected>,
    down: Option<DownCause>,
    closed: bool,
    data: Vec<Vec<u8>>,
    layer: Option<Box<RecordLayer>>,
    repeats: Vec<u32>,
}

struct Ends {
    now: Instant,
    contexts: [DtlsContext; 2],
    lanes: [Lane; 2],
    outs: [Outbox; 2],
    said: [HashMap<PeerId, Said>; 2],
}

impl Ends {
    fn new(limits: LaneLimits) -> Ends {
        let contexts = [(); 2].map(|()| context(KeyKind::EcP256, &DtlsSettings::default()));
        let lanes = contexts.clone().map(|context| Lane::new(context, limits));
        let outs = [lanes[0].outbox(), lanes[1].outbox()];
        Ends { now: Instant::now(), contexts, lanes, outs, said: Default::default() }
    }

    fn tell(&mut self, end: usize, message: ToLane) {
        self.lanes[end].handle(self.now, message, &mut self.outs[end]);
    }

    fn start(&mut self, end: usize, peer: PeerId, fingerprint: Option<Fingerprint>) {
        let role = [Role::Client, Role::Server][end];
        self.tell(end, ToLane::Start { peer, role, fingerprint });
    }

    fn start_both(&mut self, peer: PeerId) {
        for end in [1, 0] {
            let theirs = self.contexts[1 - end].fingerprint();
            self.start(end, peer, Some(theirs));
        }
    }

    /// Carries records between the lanes until both are silent.
    fn exchange(&mut self) {
        while !self.outs.iter().all(Outbox::is_empty) {
            for end in 0..2 {
                while let Some(message) = self.outs[end].pop() {
                    self.hear(end, message);
                }
            }
        }
    }

    fn hear(&mut self, end: usize, message: FromLane) {
        match message {
            FromLane::Record { peer, datagram } => {
                self.tell(1 - end, ToLane::Record { peer, datagram });
            }
            FromLane::Repeated { peer, flights } => {
                self.said[end].entry(peer).or_default().repeats.push(flights);
            }
            FromLane::Connected { peer, role, connected } => {
                assert_eq!(role, [Role::Client, Role::Server][end]);
                let said = self.said[end].entry(peer).or_default();
                assert!(said.connected.replace(connected).is_none(), "keys come once");
            }
            FromLane::Data { peer, data } => {
                self.said[end].entry(peer).or_default().data.push(data.bytes().to_vec());
            }
            FromLane::Down { peer, cause } => {
                let said = self.said[end].entry(peer).or_default();
                assert!(said.down.replace(cause).is_none(), "down comes once");
            }
            FromLane::Closed { peer } => {
                self.said[end].entry(peer).or_default().closed = true;
            }
            FromLane::Records { peer, layer } => {
                self.said[end].entry(peer).or_default().layer = layer;
            }
            FromLane::Restarted { .. } => panic!("nobody died"),
        }
    }

    fn connected(&self, end: usize, peer: PeerId) -> Option<Connected> {
        self.said[end].get(&peer)?.connected
    }

    fn down(&self, end: usize, peer: PeerId) -> Option<DownCause> {
        self.said[end].get(&peer)?.down
    }
}

#[test]
fn many_peers_shake_hands_side_by_side() {
    let mut ends = Ends::new(LaneLimits::default());
    (0..20).for_each(|slot| ends.start_both(peer(slot)));
    ends.exchange();
    let mut keys = Vec::new();
    for slot in 0..20 {
        let client = ends.connected(0, peer(slot)).unwrap().srtp.unwrap();
        assert_eq!(ends.connected(1, peer(slot)).unwrap().srtp, Some(client));
        assert!(!keys.contains(&client), "keys are a peer's own");
        keys.push(client);
    }
    assert_eq!(ends.lanes[0].counters().connected, 20);
    assert_eq!(ends.lanes[0].next_deadline(), None);
}

#[test]
fn records_move_out_of_the_lane_and_go_on_where_they_were() {
    let mut ends = Ends::new(LaneLimits::default());
    ends.start_both(peer(3));
    ends.exchange();
    let data = Datagram::copied(b"by the lane").unwrap();
    ends.tell(0, ToLane::Send { peer: peer(3), data });
    ends.tell(0, ToLane::Yield { peer: peer(3) });
    ends.exchange();
    let mut layer = ends.said[0].get_mut(&peer(3)).unwrap().layer.take().unwrap();
    assert_eq!(ends.lanes[0].counters().peers, 0);
    let mut record = [0; 200];
    let len = layer.seal(b"by ourselves", &mut record).unwrap();
    let datagram = Datagram::copied(&record[..len]).unwrap();
    ends.tell(1, ToLane::Record { peer: peer(3), datagram });
    ends.exchange();
    let heard = &ends.said[1][&peer(3)].data;
    assert_eq!(*heard, [b"by the lane".to_vec(), b"by ourselves".to_vec()]);
    let len = layer.farewell(&mut record).unwrap();
    let datagram = Datagram::copied(&record[..len]).unwrap();
    ends.tell(1, ToLane::Record { peer: peer(3), datagram });
    ends.exchange();
    assert_eq!(ends.down(1, peer(3)), Some(DownCause::Closed));
}

#[test]
fn data_and_close_reach_the_other_side() {
    let mut ends = Ends::new(LaneLimits::default());
    ends.start_both(peer(1));
    ends.exchange();
    ends.tell(0, ToLane::Send { peer: peer(1), data: Datagram::copied(b"sctp").unwrap() });
    ends.exchange();
    assert_eq!(ends.said[1][&peer(1)].data, [b"sctp"]);
    ends.tell(1, ToLane::Close { peer: peer(1) });
    ends.exchange();
    assert_eq!(ends.down(0, peer(1)), Some(DownCause::Closed));
    assert_eq!(DownCause::Closed.reason(), DownReason::DtlsAlert);
    assert_eq!(ends.down(1, peer(1)), None, "who closes needs no news");
    assert!(ends.said[1][&peer(1)].closed && !ends.said[0][&peer(1)].closed);
    // The one that is down already is closed as well, and answered so.
    ends.tell(0, ToLane::Close { peer: peer(1) });
    ends.exchange();
    assert!(ends.said[0][&peer(1)].closed);
    assert_eq!(ends.lanes[0].counters().peers + ends.lanes[1].counters().peers, 0);
}

#[test]
fn closed_comes_behind_the_last_record() {
    let mut ends = Ends::new(LaneLimits::default());
    ends.start_both(peer(1));
    ends.exchange();
    ends.tell(0, ToLane::Close { peer: peer(1) });
    let order: Vec<_> = std::iter::from_fn(|| ends.outs[0].pop()).collect();
    assert!(
        matches!(order.as_slice(), [FromLane::Record { .. }, FromLane::Closed { .. }]),
        "{order:?}"
    );
}

#[test]
fn webrtc_09_a_silent_peer_is_down_after_20_s_of_virtual_time() {
    let mut ends = Ends::new(LaneLimits::default());
    ends.start(0, peer(1), None);
    let began = ends.now;
    while let Some(at) = ends.lanes[0].next_deadline() {
        assert_eq!(ends.down(0, peer(1)), None);
        ends.now = at;
        ends.lanes[0].tick(at, &mut ends.outs[0]);
        while let Some(message) = ends.outs[0].pop() {
            if matches!(message, FromLane::Down { .. }) {
                ends.hear(0, message);
            }
        }
    }
    assert_eq!(ends.now - began, Duration::from_secs(20));
    let cause = ends.down(0, peer(1)).unwrap();
    assert_eq!(cause, DownCause::Failed(Failure::Timeout));
    assert_eq!(cause.reason(), DownReason::DtlsTimeout);
    assert_eq!(ends.lanes[0].counters().peers, 0);
}

#[test]
fn webrtc_08_wrong_fingerprint_is_a_dtls_alert() {
    let mut ends = Ends::new(LaneLimits::default());
    let ours = ends.contexts[1].fingerprint();
    ends.start(1, peer(1), Some(ours));
    ends.start(0, peer(1), Some(ours));
    ends.exchange();
    let cause = ends.down(1, peer(1)).unwrap();
    assert_eq!(cause, DownCause::Failed(Failure::FingerprintMismatch));
    assert_eq!(cause.reason(), DownReason::DtlsAlert);
    assert_eq!(ends.connected(1, peer(1)), None);
}

#[test]
fn a_fingerprint_may_come_after_the_handshake() {
    let mut ends = Ends::new(LaneLimits::default());
    let theirs = ends.contexts[0].fingerprint();
    ends.start(1, peer(1), None);
    ends.start(0, peer(1), Some(ends.contexts[1].fingerprint()));
    ends.exchange();
    assert_eq!(ends.connected(1, peer(1)), None);
    ends.tell(1, ToLane::Fingerprint { peer: peer(1), fingerprint: theirs });
    ends.exchange();
    assert!(ends.connected(1, peer(1)).is_some());
}

#[test]
fn unknown_peers_are_ignored_and_counted() {
    let mut ends = Ends::new(LaneLimits::default());
    ends.start_both(peer(1));
    ends.exchange();
    let late = PeerId { generation: 2, ..peer(1) };
    let datagram = Datagram::copied(&[22; 40]).unwrap();
    ends.tell(0, ToLane::Record { peer: late, datagram });
    ends.tell(0, ToLane::Send { peer: late, data: Datagram::boxed() });
    ends.tell(0, ToLane::Fingerprint { peer: late, fingerprint: ends.contexts[1].fingerprint() });
    assert_eq!(ends.lanes[0].counters().unknown_peer, 3);
    assert!(ends.outs[0].is_empty());
    assert_eq!(ends.lanes[0].counters().peers, 1);
}

#[test]
fn a_panic_over_one_peer_ends_that_peer_alone() {
    let mut ends = Ends::new(LaneLimits::default());
    (0..3).for_each(|slot| ends.start_both(peer(slot)));
    ends.tell(0, ToLane::Fault(Fault::Peer(peer(1))));
    ends.exchange();
    assert_eq!(ends.down(0, peer(1)), Some(DownCause::Fault));
    for slot in [0, 2] {
        assert!(ends.connected(0, peer(slot)).is_some());
        assert_eq!(ends.down(0, peer(slot)), None);
    }
    assert_eq!(ends.lanes[0].counters().faults, 1);
}

#[test]
fn repeated_flights_are_told_as_they_go_out() {
    let mut ends = Ends::new(LaneLimits::default());
    let theirs = ends.contexts[1].fingerprint();
    ends.start(0, peer(1), Some(theirs));
    // The first hello is lost, and so are those after one and three seconds.
    for wait in [1, 2, 4] {
        while let Some(message) = ends.outs[0].pop() {
            if !matches!(message, FromLane::Record { .. }) {
                ends.hear(0, message);
            }
        }
        ends.now += Duration::from_secs(wait);
        let now = ends.now;
        ends.lanes[0].tick(now, &mut ends.outs[0]);
    }
    let ours = ends.contexts[0].fingerprint();
    ends.start(1, peer(1), Some(ours));
    ends.exchange();
    assert!(ends.connected(0, peer(1)).is_some());
    assert_eq!(ends.said[0][&peer(1)].repeats, [1, 2, 3]);
    assert!(ends.said[1][&peer(1)].repeats.is_empty());
}

#[test]
fn a_flood_is_cut_off_and_the_peers_beside_it_go_on() {
    let mut ends = Ends::new(LaneLimits::default());
    ends.start(1, peer(1), None);
    for _ in 0..1000 {
        let datagram = Datagram::copied(&[22, 0xfe, 0xfd, 1, 2, 3]).unwrap();
        ends.tell(1, ToLane::Record { peer: peer(1), datagram });
    }
    assert_eq!(ends.lanes[1].counters().over_budget, 1000 - 64);
    ends.start_both(peer(2));
    ends.exchange();
    assert!(ends.connected(1, peer(2)).is_some());
}

#[test]
fn peers_and_datagrams_are_bounded() {
    let mut ends = Ends::new(LaneLimits { peers: 2, datagrams: 3 });
    (0..2).for_each(|slot| ends.start(0, peer(slot), None));
    ends.start(0, peer(2), None);
    assert_eq!(ends.lanes[0].counters().refused_peers, 1);
    // Two hellos wait for the ring; each second's retransmissions find room for one more only.
    ends.now += Duration::from_secs(1);
    let now = ends.now;
    ends.lanes[0].tick(now, &mut ends.outs[0]);
    assert_eq!(ends.outs[0].refused(), 1);
    let repeat = |message: &FromLane| matches!(message, FromLane::Repeated { .. });
    let (repeats, waiting): (Vec<_>, Vec<_>) =
        std::iter::from_fn(|| ends.outs[0].pop()).partition(repeat);
    assert_eq!(repeats.len(), 2, "whether or not there was room");
    assert_eq!(waiting.len(), 4, "three datagrams and, never refused, a Down: {waiting:?}");
    assert!(waiting.iter().any(|m| matches!(m, FromLane::Down { cause: DownCause::Refused, .. })));
}

#[test]
fn a_second_start_changes_nothing() {
    let mut ends = Ends::new(LaneLimits::default());
    ends.start_both(peer(1));
    ends.exchange();
    let keys = ends.connected(0, peer(1));
    ends.start_both(peer(1));
    ends.exchange();
    assert_eq!(ends.connected(0, peer(1)), keys);
    assert_eq!(ends.lanes[0].counters().started, 1);
}
