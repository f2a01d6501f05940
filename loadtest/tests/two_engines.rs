//! Two sans-IO peers on virtual time, datagrams handed over in memory.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bifrons_loadtest::peer::str0m::media::Direction;
use bifrons_loadtest::peer::{Engine, Line, Output, PeerConfig, Shape};

struct Pair {
    now: Instant,
    engines: [Engine; 2],
    addresses: [SocketAddr; 2],
    /// Datagram number, and which of those from the first engine are lost.
    count: u64,
    lose_every: u64,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let addresses = [SocketAddr::from(([10, 0, 0, 1], 1000)), ([10, 0, 0, 2], 2000).into()];
        let engines = addresses.map(|address| {
            let mut config = PeerConfig::new(address.ip());
            config.keep_headers = 4;
            config.keep_rtcp = 64;
            Engine::new(config, address, now, now)
        });
        Self { now, engines, addresses, count: 0, lose_every: u64::MAX }
    }

    fn negotiate(&mut self, lines: &[Line]) -> Vec<String> {
        let [left, right] = &mut self.engines;
        let (mids, offer) = left.offer(lines).expect("offer");
        let answer = right.accept_offer(&offer).expect("answer");
        left.accept_answer(&answer).expect("accepted");
        mids
    }

    /// Runs until both are connected. A first DTLS flight that came too early is repeated after a
    /// second.
    fn connect(&mut self) {
        let latest = self.now + Duration::from_secs(5);
        while !self.engines.iter().all(|engine| engine.stats().connected) {
            assert!(self.now < latest, "not connected in time");
            self.run(Duration::from_millis(100));
        }
    }

    /// Runs for `span` in steps of one millisecond.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now += Duration::from_millis(1);
            for from in 0..2 {
                while let Output::Transmit(packet) =
                    self.engines[from].poll(self.now).expect("poll")
                {
                    self.count += u64::from(from == 0);
                    if from == 0 && self.count.is_multiple_of(self.lose_every) {
                        continue;
                    }
                    let source = self.addresses[from];
                    let to = &mut self.engines[1 - from];
                    to.receive(self.now, source, &packet.contents).expect("receive");
                }
            }
        }
    }
}

#[test]
fn media_flows_whole_and_in_order() {
    let mut pair = Pair::new();
    let lines = [Line::audio(Direction::SendOnly), Line::video(Direction::SendOnly)];
    let mids = pair.negotiate(&lines);
    pair.connect();
    let now = pair.now;
    let left = &mut pair.engines[0];
    left.send(&mids[0], None, Shape::audio(), now).expect("audio");
    left.send(&mids[1], None, Shape::video(1_000_000), now).expect("video");
    pair.run(Duration::from_secs(2));
    let stats = pair.engines[1].stats();
    let (audio, video) = (stats.from_mid(&mids[0]), stats.from_mid(&mids[1]));
    let (audio, video) = (audio.expect("audio"), video.expect("video"));
    assert!(audio.packets >= 95, "{audio:?}");
    assert!((48..=51).contains(&video.frames), "{video:?}");
    assert_eq!((video.keyframes, video.lost(), video.reordered), (1, 0, 0));
    assert_eq!((video.picture_id_jumps, video.timestamp_steps_back), (0, 0));
    assert_eq!(video.headers.len(), 4);
    assert!(stats.latency_us.len() >= video.packets);
}

#[test]
fn a_picture_loss_indication_brings_a_keyframe() {
    let mut pair = Pair::new();
    let mids = pair.negotiate(&[Line::video(Direction::SendOnly)]);
    let now = pair.now;
    pair.engines[0].send(&mids[0], None, Shape::video(300_000), now).expect("video");
    pair.run(Duration::from_secs(2));
    pair.engines[1].request_keyframe(&mids[0]).expect("a stream");
    pair.run(Duration::from_secs(1));
    let sent = &pair.engines[0].stats().sent[&(mids[0].clone(), String::new())];
    assert_eq!((sent.plis, sent.keyframes), (1, 2));
}

#[test]
fn lost_packets_come_again_and_are_counted_once() {
    let mut pair = Pair::new();
    let mids = pair.negotiate(&[Line::video(Direction::SendOnly)]);
    pair.run(Duration::from_secs(1));
    pair.lose_every = 20;
    let now = pair.now;
    pair.engines[0].send(&mids[0], None, Shape::video(1_000_000), now).expect("video");
    pair.run(Duration::from_secs(3));
    pair.lose_every = u64::MAX;
    pair.engines[0].stop(&mids[0]);
    pair.run(Duration::from_secs(1));
    let sent = pair.engines[0].stats().sent[&(mids[0].clone(), String::new())].packets;
    let received = pair.engines[1].stats().from_mid(&mids[0]).expect("video");
    assert!(received.reordered > 0, "nothing was retransmitted: {received:?}");
    assert_eq!((received.packets, received.lost()), (sent, 0));
}

#[test]
fn an_ice_restart_keeps_media_going() {
    let mut pair = Pair::new();
    let mids = pair.negotiate(&[Line::video(Direction::SendOnly)]);
    let now = pair.now;
    pair.engines[0].send(&mids[0], None, Shape::video(300_000), now).expect("video");
    pair.run(Duration::from_secs(2));
    let offer = pair.engines[0].offer_restart().expect("offer");
    let answer = pair.engines[1].accept_offer(&offer).expect("answer");
    pair.engines[0].accept_answer(&answer).expect("accepted");
    pair.run(Duration::from_secs(2));
    let received = pair.engines[1].stats().from_mid(&mids[0]).expect("video");
    assert!(received.frames >= 90, "{received:?}");
}

#[test]
fn simulcast_layers_arrive_apart() {
    let mut pair = Pair::new();
    let mids = pair.negotiate(&[Line::simulcast(&["h", "l"])]);
    let now = pair.now;
    for (rid, rate) in [("h", 800_000), ("l", 100_000)] {
        pair.engines[0].send(&mids[0], Some(rid), Shape::video(rate), now).expect("layer");
    }
    pair.run(Duration::from_secs(3));
    let received = &pair.engines[1].stats().received;
    let frames = |rid: &str| received.get(&(mids[0].clone(), rid.to_owned())).map(|r| r.frames);
    assert!(frames("h") > Some(40) && frames("l") > Some(40), "{received:?}");
}
