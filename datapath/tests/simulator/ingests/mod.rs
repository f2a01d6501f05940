//! Ingests as a mountpoint wants them: what senders do, what viewers see, what goes back
//! (plugin-streaming §6). Names that begin with `streaming_` are lines of its checklist.

mod senders;
mod viewers;

use super::spec::{Spec, VIDEO, line, our_ssrc};
use super::wire::master;
use super::world::World;
use bifrons_core::codec::{Codec, ParameterSets};
use bifrons_core::media::{
    Carries, Delay, Fact, IngestId, IngestSetup, KeyframeBuffer, LayerKind, LayerTarget, MediaKind,
    PeerUpdate, Plan, PortId, Route, Selection, ShardCommand, SinkId, SourceId,
};
use bifrons_core::rtcp::{Compound, CompoundWriter, NtpTime, ReportBlock, Rtcp, SenderInfo};
use bifrons_core::rtp::{Extension, ExtensionIds, Packet, PlayoutDelay, Ssrc, parse_extensions};
use bifrons_core::srtp::SealKey;
use std::net::SocketAddr;
use std::time::Duration;

const RTP: PortId = PortId { shard: 0, number: 5 };
const RTCP: PortId = PortId { shard: 0, number: 6 };
const INGEST: IngestId = IngestId { shard: 0, number: 1 };
const SOURCE: SourceId = SourceId::Ingest(INGEST);
/// Packets of a frame, and its length.
const PARTS: u16 = 3;
const FRAME: Duration = Duration::from_micros(33_333);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn vp8() -> IngestSetup {
    IngestSetup::new(MediaKind::Video, Some(Codec::Vp8), 90_000)
}

/// One packet a viewer saw.
#[derive(Clone, Debug)]
struct Seen {
    at_us: u64,
    ssrc: u32,
    seq: u16,
    timestamp: u32,
    pt: u8,
    payload: Vec<u8>,
    bytes: Vec<u8>,
}

/// A mountpoint of one stream, and its sender.
struct Stage {
    world: World,
    to: SocketAddr,
    back: SocketAddr,
    sender: usize,
    exported: bool,
    /// Of the next frame.
    seq: u16,
    timestamp: u32,
    ssrc: u32,
}

impl Stage {
    fn new(seed: u64, shards: usize, setup: IngestSetup) -> Self {
        let mut world = World::new(seed, shards);
        let (to, back) = (world.open_port(RTP, None), world.open_port(RTCP, None));
        world.ingest(INGEST, setup);
        for (port, carries) in [(RTP, Carries::Layer(0)), (RTCP, Carries::Rtcp)] {
            let feed = Plan::Feed { port, ingest: INGEST, carries };
            world.command(0, ShardCommand::Plan(feed));
        }
        let sender = world.wire(None);
        let mut stage = Stage {
            world,
            to,
            back,
            sender,
            exported: false,
            seq: 65_000,
            timestamp: 9_000,
            ssrc: 1,
        };
        stage.run(ms(10));
        stage
    }

    fn run(&mut self, time: Duration) {
        self.world.run_for(time);
    }

    /// The setup, changed.
    fn set(&mut self, setup: IngestSetup) {
        self.world.ingest(INGEST, setup);
        self.run(ms(1));
    }

    fn route(&mut self, viewer: usize, route: Route) {
        let sink = SinkId::Line(self.world.line(viewer, 0));
        let plan = Plan::Route { source: SOURCE, sink, route };
        self.world.command(sink.shard().into(), ShardCommand::Plan(plan));
    }

    /// A viewer that is not up yet.
    fn invite(&mut self, shard: usize) -> usize {
        let viewer = self.world.join_raw(shard, &[VIDEO.receives()]);
        if shard != 0 && !std::mem::replace(&mut self.exported, true) {
            let export = ShardCommand::Export { source: SOURCE, shard: shard as u8, on: true };
            self.world.command(0, export);
        }
        self.route(viewer, Route::default());
        viewer
    }

    /// A viewer, up.
    fn viewer(&mut self, shard: usize) -> usize {
        let viewer = self.invite(shard);
        self.world.connect_only(&[viewer]);
        self.run(ms(20));
        viewer
    }

    fn send(&mut self, ssrc: u32, seq: u16, timestamp: u32, payload: &[u8]) {
        let mut bytes = vec![0x80, 96];
        bytes.extend(seq.to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend(ssrc.to_be_bytes());
        bytes.extend(payload);
        self.world.send_from(self.sender, self.to, &bytes);
    }

    /// Sends one VP8 frame, and lets its time pass.
    fn frame(&mut self, keyframe: bool) {
        for part in 0..PARTS {
            let start = if part == 0 { 0x10 } else { 0 };
            let mut payload = vec![start, u8::from(!keyframe)];
            payload.extend([0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01]);
            payload.extend([7; 500]);
            self.send(self.ssrc, self.seq, self.timestamp, &payload);
            self.seq = self.seq.wrapping_add(1);
        }
        self.timestamp = self.timestamp.wrapping_add(3000);
        self.run(FRAME);
    }

    fn frames(&mut self, count: usize) {
        (0..count).for_each(|_| self.frame(false));
    }

    /// RTCP of the sender, or anything else that shows where it is.
    fn say(&mut self, bytes: &[u8]) {
        self.world.send_from(self.sender, self.back, bytes);
        self.run(ms(1));
    }

    fn seen(&mut self, viewer: usize) -> Vec<Seen> {
        let raw = self.world.raw(viewer);
        let read = |(at_us, bytes, _): &(u64, Vec<u8>, Vec<u8>)| {
            let packet = Packet::parse(bytes).expect("RTP");
            Seen {
                at_us: *at_us,
                ssrc: packet.ssrc().0,
                seq: packet.seq().0,
                timestamp: packet.timestamp(),
                pt: packet.payload_type().get(),
                payload: packet.payload().to_vec(),
                bytes: bytes.clone(),
            }
        };
        raw.rtp.iter().map(read).collect()
    }

    /// What came back to the sender: keyframe requests, and REMB with their rates.
    fn asked(&self) -> (Vec<u64>, Vec<(u64, u64)>) {
        let (mut plis, mut rembs) = (Vec::new(), Vec::new());
        for (at_us, _, bytes) in &self.world.wires[self.sender].got {
            for part in Compound::parse(bytes).expect("RTCP").parts() {
                match part {
                    Rtcp::Pli(pli) => {
                        assert_eq!(pli.media.0, self.ssrc);
                        plis.push(*at_us);
                    }
                    Rtcp::Remb(remb) => rembs.push((*at_us, remb.bitrate_bps)),
                    _ => {}
                }
            }
        }
        (plis, rembs)
    }

    /// A viewer's bandwidth estimate.
    fn remb(&mut self, viewer: usize, bps: u64) {
        let ours = Ssrc(our_ssrc(viewer, 0));
        self.world.raw(viewer).send_rtcp(|writer| {
            writer.receiver_report(Ssrc(5), &[]).expect("room");
            writer.remb(Ssrc(5), bps, &[ours]).expect("room");
        });
    }
}

/// Steps between the sequence numbers of what came, less one: how many are missing where.
fn gaps(seen: &[Seen]) -> Vec<u16> {
    let steps = seen.windows(2).map(|pair| pair[1].seq.wrapping_sub(pair[0].seq));
    steps.map(|step| step.wrapping_sub(1)).filter(|missing| *missing != 0).collect()
}

/// Times at least so far apart, in microseconds.
fn assert_apart(times: &[u64], least_us: u64) {
    assert!(times.windows(2).all(|pair| pair[1] >= pair[0] + least_us), "{times:?}");
}
