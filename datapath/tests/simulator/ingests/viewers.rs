//! What viewers see: keyframe buffers, gaps, parameter sets, wall clocks, capture times.

use super::*;

#[test]
fn streaming_47_a_new_viewer_sees_what_was_kept_since_the_last_keyframe() {
    let keyframe_buffer = KeyframeBuffer { ms: 20_000, bytes: 0 };
    let mut stage = Stage::new(65, 2, IngestSetup { keyframe_buffer, ..vp8() });
    stage.frames(3);
    stage.frame(true);
    stage.frames(60);
    for shard in [0, 1, 1] {
        let viewer = stage.invite(shard);
        while stage.world.up_us(viewer).is_none() {
            stage.frame(false);
        }
        stage.frames(30);
        let seen = stage.seen(viewer);
        assert!(gaps(&seen).is_empty(), "burst and live are one stream: {:?}", gaps(&seen));
        assert!(seen[0].payload[..2] == [0x10, 0], "it begins with the keyframe");
        assert!(seen.len() >= 91 * usize::from(PARTS), "all since then: {}", seen.len());
        let first_us = seen[0].at_us;
        let at_once = seen.iter().filter(|seen| seen.at_us < first_us + 4_000).count();
        assert!(at_once <= 40, "{at_once} at once");
        let within = seen.iter().filter(|seen| seen.at_us < first_us + 100_000).count();
        assert!(within >= 61 * usize::from(PARTS), "{within} in the first 100 ms");
    }
    // A viewer that is up already is given nothing of the past when it comes back.
    let old = stage.viewer(0);
    stage.frames(20);
    let before = stage.seen(old).len();
    stage.route(old, Route { enabled: false, ..Route::default() });
    stage.frames(3);
    stage.route(old, Route::default());
    stage.frames(3);
    let seen = stage.seen(old);
    assert_eq!((seen.len(), gaps(&seen)), (before + 3 * usize::from(PARTS), vec![]));
}

#[test]
fn a_keyframe_buffer_ends_at_its_limits_and_with_its_mountpoint() {
    let keyframe_buffer = KeyframeBuffer { ms: 100, bytes: 0 };
    let setup = IngestSetup { keyframe_buffer, ..vp8() };
    let mut stage = Stage::new(66, 2, setup);
    stage.frame(true);
    stage.frames(30);
    let first = stage.viewer(0);
    let kept = stage.seen(first);
    assert_eq!(kept.len(), 4 * usize::from(PARTS), "100 ms");
    stage.frames(2);
    let seen = stage.seen(first);
    let missing = 27 * PARTS;
    assert_eq!(gaps(&seen), [missing], "what was not kept is missing, and can be seen to be");
    let far = stage.viewer(1);
    stage.frames(2);
    stage.set(IngestSetup { enabled: false, ..setup });
    stage.run(ms(50));
    for shard in [0, 1] {
        let viewer = stage.viewer(shard);
        stage.frames(3);
        assert_eq!(stage.seen(viewer).len(), 0, "nothing of a past that is over, shard {shard}");
    }
    assert!(!stage.seen(far).is_empty());
}

#[test]
fn streaming_62_disabling_leaves_a_gap_and_pausing_none() {
    let mut stage = Stage::new(67, 2, vp8());
    let viewers = [stage.viewer(0), stage.viewer(1)];
    stage.frame(true);
    stage.frames(5);
    stage.set(IngestSetup { enabled: false, ..vp8() });
    stage.run(ms(50));
    let before: Vec<_> = viewers.iter().map(|viewer| stage.seen(*viewer).len()).collect();
    stage.frames(20);
    let during: Vec<_> = viewers.iter().map(|viewer| stage.seen(*viewer).len()).collect();
    assert_eq!(before, during, "received, not relayed");
    stage.set(vp8());
    stage.frames(5);
    for viewer in viewers {
        assert_eq!(gaps(&stage.seen(viewer)), [20 * PARTS]);
        stage.route(viewer, Route { enabled: false, ..Route::default() });
    }
    stage.run(ms(10));
    stage.frames(20);
    let paused: Vec<_> = viewers.iter().map(|viewer| stage.seen(*viewer).len()).collect();
    viewers.iter().for_each(|viewer| stage.route(*viewer, Route::default()));
    stage.run(ms(10));
    stage.frames(5);
    for (viewer, paused) in viewers.into_iter().zip(paused) {
        let seen = stage.seen(viewer);
        assert_eq!(seen.len(), paused + 5 * usize::from(PARTS));
        assert_eq!(gaps(&seen), [20 * PARTS], "no other gap");
    }
}

#[test]
fn streaming_53_parameter_sets_take_a_number_and_leave_no_gap() {
    let sets = ParameterSets::new(&[0x67, 0x42, 1, 2], &[0x68, 0xCE, 3]).expect("a pair");
    let h264 = IngestSetup::new(MediaKind::Video, Some(Codec::H264), 90_000);
    let setup = IngestSetup { parameter_sets: Some(sets), ..h264 };
    let mut stage = Stage::new(68, 2, setup);
    let viewers = [stage.viewer(0), stage.viewer(1)];
    for n in 0..40u16 {
        let head: &[u8] = if n % 10 == 0 { &[0x7C, 0x85] } else { &[0x7C, 0x81] };
        for (part, head) in [head, &[0x7C, 0x05], &[0x7C, 0x45]].into_iter().enumerate() {
            let mut payload = head.to_vec();
            payload.extend([9; 300]);
            let seq = 65_500u16.wrapping_add(n * PARTS + part as u16);
            stage.send(4, seq, u32::from(n) * 3000, &payload);
        }
        stage.run(FRAME);
    }
    for viewer in viewers {
        let seen = stage.seen(viewer);
        assert_eq!((seen.len(), gaps(&seen)), (124, vec![]));
        for picture in 0..4 {
            let (put, next) = (&seen[picture * 31], &seen[picture * 31 + 1]);
            assert_eq!(put.payload, sets.payload());
            assert_eq!((put.timestamp, put.bytes[1] & 0x80), (next.timestamp, 0));
            assert_eq!(next.payload[..2], [0x7C, 0x85]);
        }
    }
}

#[test]
fn viewers_are_told_the_wall_clock_of_the_sender() {
    let mut stage = Stage::new(69, 2, vp8());
    let viewers = [stage.viewer(0), stage.viewer(1)];
    // Its clock shows 1970, and its timestamps are of when it filmed: 400 ms before it sends.
    let theirs = |stage: &Stage| NtpTime::from_unix_us(stage.world.now_us + 5_000_000);
    let mut sent = None;
    for n in 0..90 {
        stage.frame(n == 0);
        if n % 30 == 10 {
            let info = SenderInfo {
                ntp: theirs(&stage),
                rtp_timestamp: stage.timestamp + 36_000,
                packets: 1,
                octets: 1,
            };
            sent = Some((info.ntp, info.rtp_timestamp));
            let mut bytes = vec![0; 64];
            let mut writer = CompoundWriter::new(&mut bytes);
            writer.sender_report(Ssrc(1), &info, &[]).expect("room");
            let len = writer.len();
            stage.say(&bytes[..len]);
        }
    }
    let (ntp, timestamp) = sent.expect("reports");
    for viewer in viewers {
        let offset = stage.seen(viewer)[0].timestamp.wrapping_sub(9_000);
        let reports = stage.world.raw(viewer).rtcp.clone();
        let last = reports.iter().rev().find_map(|(_, bytes)| {
            let compound = Compound::parse(bytes).expect("RTCP");
            compound.parts().find_map(|part| match part {
                Rtcp::SenderReport(report) => Some(report.info),
                _ => None,
            })
        });
        let last = last.expect("a report");
        let since_us = last.ntp.to_unix_us().wrapping_sub(ntp.to_unix_us()) as i64;
        assert!(since_us.abs() < 2_000_000, "its wall clock: {since_us}");
        let want = timestamp.wrapping_add((since_us * 9 / 100) as u32).wrapping_add(offset);
        let off = last.rtp_timestamp.wrapping_sub(want).cast_signed();
        assert!(off.abs() <= 200, "its time: {off} ticks off");
        // A round trip counted against such a report is one all the same.
        let block = ReportBlock {
            ssrc: Ssrc(our_ssrc(viewer, 0)),
            last_sr: last.ntp.compact(),
            ..ReportBlock::default()
        };
        stage.world.raw(viewer).send_rtcp(|writer| {
            writer.receiver_report(Ssrc(5), &[block]).expect("room");
        });
        stage.run(ms(50));
        let rtt_ms = stage.world.statistics(viewer).rtt_ms;
        assert!((1..2000).contains(&rtt_ms), "{rtt_ms}");
    }
}

#[test]
fn capture_times_are_copied_and_delays_are_the_viewers() {
    let mut extensions = ExtensionIds::new();
    extensions.set(Extension::AbsCaptureTime, 3);
    let mut stage = Stage::new(70, 1, IngestSetup { extensions, ..vp8() });
    let viewer = stage.viewer(0);
    let spec: Spec = VIDEO.receives();
    let mut changed = line(viewer, 0, spec);
    let mut ids = ExtensionIds::new();
    let send = changed.send.as_mut().expect("we send");
    for (extension, id) in [(Extension::AbsCaptureTime, 7), (Extension::PlayoutDelay, 12)] {
        send.extensions.set(extension, id);
        ids.set(extension, id);
    }
    stage.world.update(viewer, PeerUpdate { lines: Some(vec![changed]), ..PeerUpdate::default() });
    let delay = Some(Delay { min: 5, max: 40 });
    stage.route(viewer, Route { delay, payload_type: Some(101), ..Route::default() });
    stage.run(ms(10));
    // Ids 3 (capture time) and 1 (something else), RFC 8285 §4.2.
    let mut bytes = vec![0x90, 96, 0, 9, 0, 0, 0, 9, 0, 0, 0, 1, 0xBE, 0xDE, 0, 3, 0x37];
    bytes.extend(0x0102_0304_0506_0708_u64.to_be_bytes());
    bytes.extend([0x10, 0xFF, 0]);
    bytes.extend([0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01]);
    stage.world.send_from(stage.sender, stage.to, &bytes);
    stage.run(ms(50));
    let seen = stage.seen(viewer);
    let [seen] = seen.as_slice() else { panic!("one packet: {seen:?}") };
    assert_eq!(seen.pt, 101);
    let packet = Packet::parse(&seen.bytes).expect("RTP");
    let values = parse_extensions(&packet, &ids);
    assert_eq!(values.abs_capture_time, Some(0x0102_0304_0506_0708));
    assert_eq!(values.playout_delay, Some(PlayoutDelay { min: 5, max: 40 }));
    assert_eq!(values.audio_level, None);
}
