//! RTCP: what shards report, ask and answer, and when.

use super::client::Client;
use super::raw::Raw;
use super::spec::{AUDIO, VIDEO, our_ssrc, rtx_of, their_ssrc};
use super::world::World;
use bifrons_core::media::{Fact, Plan, ShardCommand, SourcePolicy};
use bifrons_core::rtcp::{Compound, Rtcp};
use bifrons_core::rtp::{Packet, Seq, Ssrc};
use std::time::Duration;
use str0m::rtp::rtcp::{Rtcp as TheirRtcp, SdesType};

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Gaps between events, in ms, rounded.
fn gaps_ms(times_us: &[u64]) -> Vec<u64> {
    times_us.windows(2).map(|pair| (pair[1] - pair[0] + 500) / 1000).collect()
}

#[test]
fn webrtc_26_reports_come_each_second_and_name_janus() {
    let mut world = World::new(26, 1);
    let me = world.join(0, &[AUDIO, VIDEO]);
    world.route((me, 0), (me, 0));
    world.route((me, 1), (me, 1));
    world.connect();
    world.run_for(second(6));
    let me = &world.clients[me];
    for mindex in [0, 1] {
        let (ours, theirs) = (our_ssrc(0, mindex), their_ssrc(0, mindex));
        let sent = times(me, |rtcp| match rtcp {
            TheirRtcp::SenderReport(report) => *report.sender_info.ssrc == ours,
            _ => false,
        });
        assert!(sent.len() >= 5, "{sent:?}");
        assert!(gaps_ms(&sent).iter().all(|&gap| gap == 1000), "{sent:?}");
        let received = times(me, |rtcp| match rtcp {
            TheirRtcp::ReceiverReport(report) => {
                *report.sender_ssrc == ours && report.reports.iter().any(|b| *b.ssrc == theirs)
            }
            _ => false,
        });
        assert!(received.len() >= 5);
        assert!(gaps_ms(&received).iter().all(|&gap| gap == 1000), "{received:?}");
        let named = times(me, |rtcp| match rtcp {
            TheirRtcp::SourceDescription(all) => all.reports.iter().any(|chunk| {
                let cname = (SdesType::CNAME, "janus".to_owned());
                *chunk.ssrc == ours && chunk.values.iter().any(|value| *value == cname)
            }),
            _ => false,
        });
        assert_eq!(named.len(), sent.len(), "each sender report has its name");
    }
}

fn times(client: &Client, which: impl Fn(&TheirRtcp) -> bool) -> Vec<u64> {
    client.rtcp.iter().filter(|(_, rtcp)| which(rtcp)).map(|(at_us, _)| *at_us).collect()
}

#[test]
fn webrtc_27_transport_feedback_keeps_its_period() {
    let mut world = World::new(27, 1);
    let me = world.join(0, &[AUDIO.sends(), VIDEO.sends()]);
    world.connect();
    world.run_for(second(4));
    let at = times(&world.clients[me], |rtcp| matches!(rtcp, TheirRtcp::Twcc(_)));
    assert!(at.len() >= 15, "{at:?}");
    // It begins with the first packet after the last feedback: up to one packet's gap later.
    assert!(gaps_ms(&at).iter().all(|gap| (200..=235).contains(gap)), "{:?}", gaps_ms(&at));
}

#[test]
fn a_viewer_that_comes_up_gets_a_keyframe_and_requests_are_merged_to_one_a_second() {
    let mut world = World::new(7, 2);
    let publisher = world.join(0, &[VIDEO.sends()]);
    world.connect();
    world.run_for(second(2));
    world.clients[publisher].keyframe_requests.clear();
    let begin_us = world.now_us;
    let viewers: Vec<_> = (0..6).map(|n| world.join(n % 2, &[VIDEO.receives()])).collect();
    for &viewer in &viewers {
        world.route((publisher, 0), (viewer, 0));
    }
    world.run_for(second(3));
    let at: Vec<_> =
        world.clients[publisher].keyframe_requests.iter().map(|(at_us, _)| *at_us).collect();
    assert!(!at.is_empty() && at[0] < begin_us + 100_000, "asked for at once: {at:?}");
    assert!(gaps_ms(&at).iter().all(|&gap| gap >= 1000), "{at:?}");
    for &viewer in &viewers {
        let got = world.clients[viewer].got_on(0);
        let first = got.iter().find(|got| got.keyframe).expect("a keyframe came");
        let up_us = world.up_us(viewer).expect("up");
        assert!(first.at_us < up_us + 1_150_000, "viewer {viewer}");
    }
}

#[test]
fn keyframes_asked_for_by_a_viewer_are_passed_on_across_shards() {
    let mut world = World::new(71, 2);
    let publisher = world.join_raw(0, &[VIDEO.sends()]);
    let viewer = world.join_raw(1, &[VIDEO.receives()]);
    world.route((publisher, 0), (viewer, 0));
    world.connect();
    send_video(&mut world, publisher, 1..40);
    world.run_for(second(3));
    let before = plis(world.raw(publisher)).len();
    let ours = Ssrc(our_ssrc(viewer, 0));
    world.raw(viewer).send_rtcp(|writer| writer.pli(Ssrc(1), ours).expect("room"));
    world.run_for(ms(50));
    world.raw(viewer).send_rtcp(|writer| writer.fir(Ssrc(1), ours, 1).expect("room"));
    world.run_for(second(3));
    let at = plis(world.raw(publisher));
    assert_eq!(at.len(), before + 2, "one at once, the other when its second is over");
    assert!(gaps_ms(&at).iter().all(|&gap| gap >= 1000));
    let asked = world.statistics(viewer).lines[0].sent.keyframe_requests;
    assert_eq!(asked, 2);
}

/// When keyframe requests came.
fn plis(raw: &Raw) -> Vec<u64> {
    let all = raw.rtcp.iter().flat_map(|(at_us, bytes)| {
        let compound = Compound::parse(bytes).expect("a compound");
        let count = compound.parts().filter(|part| matches!(part, Rtcp::Pli(_))).count();
        std::iter::repeat_n(*at_us, count)
    });
    all.collect()
}

/// Sends numbered video packets, 10 ms apart, the first of which begins a keyframe.
pub(crate) fn send_video(world: &mut World, client: usize, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let header = header(96, 3000 * number as u32, their_ssrc(client, 0));
        let descriptor = [0x10, u8::from(number != 1), 0, 0, 0x9d, 1, 0x2a, 1, 1, 1, 1];
        let mut payload = descriptor.to_vec();
        payload.extend(number.to_be_bytes());
        world.raw(client).send_rtp(number, &header, &payload);
        world.run_for(ms(10));
    }
}

/// A plain header; the sequence number is filled in where it is sealed.
pub(crate) fn header(pt: u8, timestamp: u32, ssrc: u32) -> Vec<u8> {
    let mut header = vec![0x80, pt, 0, 0];
    header.extend(timestamp.to_be_bytes());
    header.extend(ssrc.to_be_bytes());
    header
}

/// Video from one raw client to another, and the second's NACK for packet 20 of 30.
fn asked_again(rtx: bool) -> (World, usize) {
    let spec = if rtx { VIDEO } else { VIDEO.without_rtx() };
    let mut world = World::new(23, 1);
    let publisher = world.join_raw(0, &[spec.sends()]);
    let viewer = world.join_raw(0, &[spec.receives()]);
    world.route((publisher, 0), (viewer, 0));
    world.connect();
    send_video(&mut world, publisher, 1..31);
    world.run_for(ms(20));
    (world, viewer)
}

fn nack(world: &mut World, viewer: usize, seq: u16) {
    let ours = Ssrc(our_ssrc(viewer, 0));
    world.raw(viewer).send_rtcp(|writer| writer.nack(Ssrc(1), ours, [Seq(seq)]).expect("room"));
}

#[test]
fn webrtc_23_a_nack_is_answered_once_within_its_backoff() {
    for rtx in [true, false] {
        let (mut world, viewer) = asked_again(rtx);
        let before = world.raw(viewer).rtp.len();
        assert_eq!(before, 30);
        nack(&mut world, viewer, 28);
        world.run_for(ms(20));
        assert_eq!(world.raw(viewer).rtp.len(), before + 1, "answered, rtx {rtx}");
        nack(&mut world, viewer, 28);
        world.run_for(ms(20));
        assert_eq!(world.raw(viewer).rtp.len(), before + 1, "20 ms later it is not");
        world.run_for(ms(40));
        nack(&mut world, viewer, 28);
        world.run_for(ms(20));
        assert_eq!(world.raw(viewer).rtp.len(), before + 2, "80 ms later it is");
        world.run_for(second(3));
        nack(&mut world, viewer, 28);
        world.run_for(ms(20));
        assert_eq!(world.raw(viewer).rtp.len(), before + 2, "after 3 s it is too old");
        assert_eq!(world.statistics(viewer).lines[0].sent.retransmissions, 2);
    }
}

#[test]
fn webrtc_24_a_retransmission_uses_the_rtx_stream() {
    let (mut world, viewer) = asked_again(true);
    nack(&mut world, viewer, 20);
    nack(&mut world, viewer, 21);
    world.run_for(ms(20));
    let ours = our_ssrc(viewer, 0);
    let raw = world.raw(viewer);
    let original = Packet::parse(&raw.rtp[19].1).expect("the original").payload().to_vec();
    for (which, (_, plain, _)) in raw.rtp[30..].iter().enumerate() {
        let packet = Packet::parse(plain).expect("RTP");
        assert_eq!(packet.ssrc(), Ssrc(rtx_of(ours)));
        assert_eq!(packet.payload_type().get(), 97);
        assert_eq!(packet.seq(), Seq(1 + which as u16), "a space of its own, from 1");
        assert_eq!(packet.payload()[..2], (20 + which as u16).to_be_bytes(), "the OSN");
        if which == 0 {
            assert_eq!(packet.payload()[2..], original);
        }
    }
    assert_eq!(raw.rtp.len(), 32);
}

#[test]
fn a_retransmission_without_rtx_repeats_the_packet_byte_for_byte() {
    let (mut world, viewer) = asked_again(false);
    nack(&mut world, viewer, 20);
    world.run_for(ms(20));
    let raw = world.raw(viewer);
    assert_eq!(raw.rtp[30].2, raw.rtp[19].2);
    assert_eq!(world.seals.repeated, 1);
}

#[test]
fn what_left_before_a_renegotiation_is_not_repeated_with_other_bytes() {
    let (mut world, viewer) = asked_again(false);
    let plain = super::spec::Spec { twcc: false, ..VIDEO.without_rtx().receives() };
    world.renegotiate(viewer, &[(0, plain)]);
    world.run_for(ms(20));
    nack(&mut world, viewer, 20);
    world.run_for(ms(20));
    assert_eq!(world.raw(viewer).rtp.len(), 30, "refused");
}

#[test]
fn webrtc_46_a_nack_is_answered_at_a_round_trip_of_nothing() {
    let mut world = World::new(46, 1);
    (world.net.up.delay_us, world.net.down.delay_us) = (0, 0);
    let publisher = world.join_raw(0, &[VIDEO.sends()]);
    let viewer = world.join_raw(0, &[VIDEO.receives()]);
    world.route((publisher, 0), (viewer, 0));
    world.connect();
    send_video(&mut world, publisher, 1..31);
    nack(&mut world, viewer, 25);
    world.run_for(ms(1));
    assert_eq!(world.raw(viewer).rtp.len(), 31);
}

#[test]
fn webrtc_25_missing_packets_are_asked_for_twice() {
    let mut world = World::new(25, 1);
    let publisher = world.join_raw(0, &[VIDEO.sends()]);
    world.connect();
    send_video(&mut world, publisher, 1..10);
    let lost_us = world.now_us;
    send_video(&mut world, publisher, 11..60);
    let theirs = Ssrc(their_ssrc(publisher, 0));
    let asked: Vec<_> = nacks(world.raw(publisher), theirs);
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|(_, seqs)| *seqs == [Seq(10)]));
    // The gap is noticed when packet 11 arrives, 5 ms after it left; the question takes 5 ms.
    let after = |at: usize| (asked[at].0 - lost_us) / 1000;
    assert!((20..=26).contains(&after(0)), "{}", after(0));
    assert!((160..=180).contains(&after(1)), "{}", after(1));
}

fn nacks(raw: &Raw, media: Ssrc) -> Vec<(u64, Vec<Seq>)> {
    let mut all = Vec::new();
    for (at_us, bytes) in &raw.rtcp {
        for part in Compound::parse(bytes).expect("a compound").parts() {
            if let Rtcp::Nack(nack) = part {
                assert_eq!(nack.media, media);
                all.push((*at_us, nack.seqs().collect()));
            }
        }
    }
    all
}

#[test]
fn webrtc_29_a_bye_closes_nothing() {
    let mut world = World::new(29, 1);
    let publisher = world.join_raw(0, &[VIDEO.sends()]);
    let viewer = world.join_raw(0, &[VIDEO.receives()]);
    world.route((publisher, 0), (viewer, 0));
    world.connect();
    send_video(&mut world, publisher, 1..20);
    for (client, ssrc) in [(publisher, their_ssrc(publisher, 0)), (viewer, 77)] {
        world.raw(client).send_rtcp(|writer| {
            writer.receiver_report(Ssrc(ssrc), &[]).expect("room");
            writer.bye(Ssrc(ssrc)).expect("room");
        });
    }
    world.run_for(second(2));
    send_video(&mut world, publisher, 20..31);
    world.run_for(ms(20));
    assert_eq!(world.raw(viewer).rtp.len(), 30, "media goes on");
    assert_eq!((world.down(publisher), world.down(viewer)), (None, None));
}

#[test]
fn webrtc_30_silence_and_its_end_are_told() {
    let mut world = World::new(30, 1);
    let me = world.join(0, &[VIDEO.sends()]);
    world.connect();
    world.run_for(second(2));
    world.clients[me].cameras[0].on = false;
    let stopped_us = world.now_us;
    world.run_for(second(4));
    world.clients[me].cameras[0].next_us = world.now_us;
    world.clients[me].cameras[0].on = true;
    let resumed_us = world.now_us;
    world.run_for(second(1));
    let told: Vec<_> = world
        .facts(me)
        .into_iter()
        .filter_map(|(at_us, fact)| match fact {
            Fact::Receiving { mindex: 0, substream: None, receiving } => Some((at_us, receiving)),
            _ => None,
        })
        .collect();
    assert_eq!(told.iter().map(|t| t.1).collect::<Vec<_>>(), [true, false, true], "{told:?}");
    assert!((1_000_000..=2_100_000).contains(&(told[1].0 - stopped_us)), "{told:?}");
    assert!(told[2].0 - resumed_us < 50_000, "{told:?}");
}

#[test]
fn a_room_holds_a_publisher_to_its_bitrate() {
    let mut world = World::new(8, 1);
    let publisher = world.join_raw(0, &[VIDEO.sends()]);
    world.connect();
    let policy = SourcePolicy { remb_bps: 512_000, ..SourcePolicy::default() };
    let source = world.source(publisher, 0);
    world.command(0, ShardCommand::Plan(Plan::Policy { source, policy }));
    send_video(&mut world, publisher, 1..600);
    let mut rembs = Vec::new();
    for (at_us, bytes) in &world.raw(publisher).rtcp {
        for part in Compound::parse(bytes).expect("a compound").parts() {
            if let Rtcp::Remb(remb) = part {
                rembs.push((*at_us, remb.bitrate_bps));
            }
        }
    }
    let values: Vec<_> = rembs.iter().map(|remb| remb.1 / 1000).collect();
    assert_eq!(values, [128, 170, 256, 512, 512], "ramped, then each 5 s");
}
