//! RTCP on the wire (webrtc-behaviour checklist, and plugin-echotest §5).

use crate::media::Media;
use crate::session::{Session, audio, frame, rtp, video};
use crate::target::{Setup, Target, run};
use crate::wire::Came;
use bifrons_core::rtcp::{Compound, ReportBlock, Rtcp, packet_type};
use bifrons_core::rtp::{Packet, Seq, Ssrc};
use serde_json::json;
use std::time::{Duration, Instant};

/// The SSRCs that their lines announce.
const SOUND: u32 = 1;
const PICTURE: u32 = 2;

pub(crate) fn lines() -> [crate::session::Offered; 2] {
    [audio("a=ssrc:1 cname:x\r\n"), video("a=ssrc:2 cname:x\r\n")]
}

/// Sends a packet of each line and waits for their echoes; our sequence number and SSRC of each.
async fn begin(session: &Session) -> [(Seq, Ssrc); 2] {
    session.wire.send_rtp(&rtp(111, 1, SOUND, None, b"sound"), 1);
    session.wire.send_rtp(&rtp(96, 1, PICTURE, None, &frame(true, 1)), 1);
    let both = |came: &Came| {
        let find = |pt: u8| {
            came.rtp.iter().find_map(|(_, bytes)| {
                let packet = Packet::parse(bytes).expect("RTP");
                (packet.payload_type().get() == pt).then(|| (packet.seq(), packet.ssrc()))
            })
        };
        Some([find(111)?, find(96)?])
    };
    session.wire.until_came("echoes", both).await
}

/// How many packets came so far under this number.
fn copies(session: &Session, (seq, ssrc): (Seq, Ssrc)) -> usize {
    let same = |bytes: &[u8]| {
        let packet = Packet::parse(bytes).expect("RTP");
        (packet.seq(), packet.ssrc()) == (seq, ssrc)
    };
    session.wire.came().rtp.iter().filter(|(_, bytes)| same(bytes)).count()
}

/// Waits until the shard has certainly dealt with what it was sent: an audio packet came back.
async fn flushed(session: &Session, number: u16) {
    let before = session.wire.came().rtp.len();
    session.wire.send_rtp(&rtp(111, number, SOUND, None, b"more"), number.into());
    let more = |came: &Came| (came.rtp.len() > before).then_some(());
    session.wire.until_came("an echo", more).await;
}

#[test]
fn webrtc_47_a_packet_is_repeated_once_in_40_ms_and_not_for_ever() {
    run(async {
        let target = Target::with_media().await;
        let session = Session::start(&target, &lines()).await;
        let [_, picture] = begin(&session).await;
        let ask = |session: &Session| {
            session.wire.send_rtcp(|out| {
                out.nack(Ssrc(PICTURE), picture.1, [picture.0]).expect("room");
            });
        };
        // Without RTX the same packet comes again: opened as a replay, hence counted raw.
        let begun = Instant::now();
        ask(&session);
        session.wire.until_came("a copy", |came| (came.repeats == 1).then_some(())).await;
        ask(&session);
        flushed(&session, 2).await;
        if begun.elapsed() < Duration::from_millis(40) {
            assert_eq!(session.wire.came().repeats, 1, "twice within 40 ms");
        }
        tokio::time::sleep_until((begun + Duration::from_millis(120)).into()).await;
        ask(&session);
        session.wire.until_came("another copy", |came| (came.repeats >= 2).then_some(())).await;
        let repeats = session.wire.came().repeats;
        tokio::time::sleep_until((begun + Duration::from_secs(3)).into()).await;
        ask(&session);
        flushed(&session, 3).await;
        assert_eq!(session.wire.came().repeats, repeats, "3 s old");
        assert_eq!(copies(&session, picture), 1);
    });
}

#[test]
fn webrtc_51_reports_each_second_and_the_rest_at_once() {
    run(async {
        let target = Target::with_media().await;
        let mut session = Session::start(&target, &lines()).await;
        let [sound, picture] = begin(&session).await;
        let report = |came: &Came| {
            let reports = came.rtcp.iter().filter(|(_, bytes)| bytes[1] == packet_type::SR);
            reports.map(|(_, bytes)| bytes.clone()).next()
        };
        let report = session.wire.until_came("a report", report).await;
        let compound = Compound::parse(&report).expect("a compound");
        let mut order = Vec::new();
        for part in compound.parts() {
            match part {
                Rtcp::SenderReport(report) => {
                    let blocks: Vec<_> = report.blocks().map(|block| block.ssrc.0).collect();
                    order.push(("SR", report.sender, blocks));
                }
                Rtcp::ReceiverReport(report) => {
                    let blocks: Vec<_> = report.blocks().map(|block| block.ssrc.0).collect();
                    order.push(("RR", report.sender, blocks));
                }
                Rtcp::Sdes(sdes) => {
                    for chunk in sdes.chunks() {
                        assert_eq!(chunk.cname, Some(&b"janus"[..]));
                        order.push(("SDES", chunk.ssrc, Vec::new()));
                    }
                }
                _ => panic!("{part:?}"),
            }
        }
        let of = |line: (Seq, Ssrc), theirs: u32| {
            [("SR", line.1, vec![]), ("SDES", line.1, vec![]), ("RR", line.1, vec![theirs])]
        };
        assert_eq!(order, [of(sound, SOUND), of(picture, PICTURE)].concat());
        session.wire.forget();
        let asked = Instant::now();
        session.change(json!({"bitrate": 64_000})).await;
        let remb = |came: &Came| {
            let rembs = came.rtcp.iter().filter(|(_, bytes)| {
                Compound::parse(bytes)
                    .expect("a compound")
                    .parts()
                    .any(|part| matches!(part, Rtcp::Remb(remb) if remb.bitrate_bps == 64_000))
            });
            rembs.map(|(at, bytes)| (*at, bytes[1])).next()
        };
        let (at, first) = session.wire.until_came("a REMB", remb).await;
        assert_eq!(first, packet_type::RR, "behind an empty report");
        assert!(at - asked < Duration::from_millis(900), "waited for the report");
    });
}

/// Makes ten losses, and lets two reports go by.
pub(crate) async fn lose_ten(session: &Session) {
    begin(session).await;
    session.wire.send_rtp(&rtp(96, 12, PICTURE, None, &frame(true, 2)), 12);
    let reports = |came: &Came| {
        let reports = came.rtcp.iter().filter(|(_, bytes)| bytes[1] == packet_type::SR).count();
        (reports >= 3).then_some(())
    };
    session.wire.until_came("reports", reports).await;
}

#[test]
fn webrtc_31_without_a_threshold_no_link_is_slow() {
    run(async {
        let target = Target::with_media().await;
        let mut session = Session::start(&target, &lines()).await;
        lose_ten(&session).await;
        while let Some(event) = session.ws.event_within(Duration::ZERO).await {
            assert_ne!(event["janus"], "slowlink", "{event}");
        }
    });
}

#[test]
fn plugin_api_13_a_slow_link_is_told_once_a_second() {
    run(async {
        let media = Media { slow_link_losses: 4, ..Media::default() };
        let setup = Setup { media: Some(media), ..Setup::default() };
        let Some(target) = Target::with(setup).await else { return };
        let mut session = Session::start(&target, &lines()).await;
        lose_ten(&session).await;
        let told = session.event_where("slowlink", |event| event["janus"] == "slowlink").await;
        let want = json!({"janus": "slowlink", "session_id": session.at.0,
            "sender": session.at.1, "mid": "1", "media": "video", "uplink": false, "lost": 10});
        assert_eq!(told, want);
        let event = session
            .event_where("slow_link", |event| event["plugindata"]["data"]["event"] == "slow_link")
            .await;
        assert_eq!(event["plugindata"]["data"]["media"], "video");
        while let Some(event) = session.ws.event_within(Duration::ZERO).await {
            assert_ne!(event["janus"], "slowlink", "{event}");
        }
    });
}

#[test]
fn core_api_40_what_the_peer_lost_is_an_uplink_slowlink() {
    run(async {
        let media = Media { slow_link_losses: 4, ..Media::default() };
        let setup = Setup { media: Some(media), ..Setup::default() };
        let Some(target) = Target::with(setup).await else { return };
        let mut session = Session::start(&target, &lines()).await;
        let [_, (seq, ssrc)] = begin(&session).await;
        // Three in the first report are below the threshold, twelve more are not.
        for lost in [3, 15] {
            let block =
                ReportBlock { ssrc, lost, highest_seq: seq.0.into(), ..ReportBlock::default() };
            session.wire.send_rtcp(|out| {
                out.receiver_report(Ssrc(PICTURE), &[block]).expect("room");
            });
        }
        let told = session.event_where("slowlink", |event| event["janus"] == "slowlink").await;
        let want = json!({"janus": "slowlink", "session_id": session.at.0,
            "sender": session.at.1, "mid": "1", "media": "video", "uplink": true, "lost": 12});
        assert_eq!(told, want);
    });
}

/// Parts of what came that only a relay can have sent: type, count, body.
fn relayed(came: &Came) -> Vec<(u8, u8, Vec<u8>)> {
    let mut parts = Vec::new();
    for (_, bytes) in &came.rtcp {
        for part in Compound::parse(bytes).expect("a compound").raw() {
            let own = matches!(part.packet_type, packet_type::SR | packet_type::RR)
                || part.packet_type == packet_type::SDES
                || matches!(Rtcp::read(part), Ok(Rtcp::Pli(_) | Rtcp::Nack(_)));
            if !own {
                parts.push((part.packet_type, part.count, part.body().to_vec()));
            }
        }
    }
    parts
}

/// A body of two SSRCs and four bytes.
fn body(first: u32, second: u32) -> Vec<u8> {
    [first.to_be_bytes(), second.to_be_bytes(), *b"word"].concat()
}

#[test]
fn plugin_api_11_only_feedback_that_is_not_ours_is_relayed() {
    run(async {
        let target = Target::with_media().await;
        let session = Session::start(&target, &lines()).await;
        let [sound, picture] = begin(&session).await;
        session.wire.send_rtcp(|out| {
            out.receiver_report(Ssrc(PICTURE), &[]).expect("room");
            out.nack(Ssrc(PICTURE), picture.1, [Seq(picture.0.0.wrapping_sub(1))]).expect("room");
            // Loss and extended reports of a transport-wide kind, then what is nobody's.
            out.raw(packet_type::XR, 0, &body(PICTURE, 0)).expect("room");
            out.raw(packet_type::RTPFB, 9, &body(PICTURE, picture.1.0)).expect("room");
            out.bye(Ssrc(99)).expect("room");
            out.raw(packet_type::PSFB, 2, &body(PICTURE, picture.1.0)).expect("room");
            out.raw(packet_type::PSFB, 2, &body(PICTURE, 0xdead)).expect("room");
            out.raw(packet_type::APP, 5, &body(PICTURE, u32::from_be_bytes(*b"name")))
                .expect("room");
        });
        let both = |came: &Came| {
            let parts = relayed(came);
            (parts.len() >= 2).then_some(parts)
        };
        let parts = session.wire.until_came("feedback", both).await;
        let app = (packet_type::APP, 5, body(sound.1.0, u32::from_be_bytes(*b"name")));
        let psfb = (packet_type::PSFB, 2, body(picture.1.0, PICTURE));
        assert_eq!(parts, [psfb, app]);
    });
}
