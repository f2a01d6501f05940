//! The load generator's scenarios against the program, small: that they come to their end, and that
//! what they count is right.

use super::program::{Program, local_ip};
use bifrons_loadtest::peer::{Clip, Impaired, Impairment, Srtp};
use bifrons_loadtest::report::Report;
use bifrons_loadtest::scenario::{
    Churn, Impair, Ladder, Media, ScenarioError, Streaming, Target, VideoRoom,
};
use std::time::Duration;

fn target(program: &Program) -> Target {
    Target {
        url: program.url(),
        local_ip: local_ip(),
        window: Duration::from_secs(2),
        server: Some(program.id()),
        progress: false,
    }
}

/// Runs one to its end; everything has to arrive.
fn load(run: impl AsyncFnOnce(&Program) -> Result<Report, ScenarioError>) -> Report {
    let report = load_with_loss(run);
    assert_eq!(report.loss(), 0.0, "{report}");
    report
}

fn load_with_loss(run: impl AsyncFnOnce(&Program) -> Result<Report, ScenarioError>) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let program = Program::start("", &[]);
    let limited = async {
        super::session(&program.url(), Duration::from_secs(20)).await;
        tokio::time::timeout(Duration::from_secs(90), run(&program)).await
    };
    runtime.expect("a runtime").block_on(limited).expect("in time").expect("a report")
}

#[test]
fn a_mountpoint_reaches_all_of_its_viewers() {
    let report = load(async |program| {
        let media = Media { srtp: Srtp::Gcm, light: true, ..Media::new(300_000) };
        Streaming { target: target(program), media, viewers: 3 }.run().await
    });
    // Fifty frames of two packets and a hundred packets of audio, three times over; the generator
    // may have been late.
    assert!((450..=630).contains(&report.expected), "{report}");
    assert!(report.frame_us.len() >= 40 && report.setup_us.len() == 3, "{report}");
    // Ticks of 10 ms: three peers may take none.
    assert!(report.setup_cpu_ms().is_some(), "{report}");
    // The first viewer is a whole stack, the others open one packet in 64.
    assert!(report.sampled >= 8 && report.forged == 0, "{report}");
}

#[test]
fn a_paced_mountpoint_keeps_its_frames_whole_with_the_older_cipher() {
    let report = load(async |program| {
        let media = Media::new(1_000_000);
        let media = Media { audio: false, paced: 0.4, srtp: Srtp::Cm, ..media };
        Streaming { target: target(program), media, viewers: 2 }.run().await
    });
    assert!(report.frames >= 80, "{report}");
    assert_eq!(report.delivered, report.frames * 5, "{report}");
}

#[test]
fn a_recording_is_played_to_viewers() {
    // Two frames of VP8 at 50 a second, the first a keyframe of two packets.
    let mut file = b"DKIF\0\0\x20\0VP80\x40\x01\xB4\0".to_vec();
    file.extend([50u32, 1, 2, 0].into_iter().flat_map(u32::to_le_bytes));
    for (time, (first, len)) in [(0x10u8, 1500u32), (0x11, 300)].into_iter().enumerate() {
        file.extend(len.to_le_bytes());
        file.extend((time as u64).to_le_bytes());
        file.push(first);
        file.extend(vec![0x9D; len as usize - 1]);
    }
    let clip = Clip::ivf(&file).expect("a clip");
    let report = load(async |program| {
        let media = Media { audio: false, srtp: Srtp::Gcm, ..Media::new(0) };
        let media = Media { video_clip: Some(clip.into()), ..media };
        Streaming { target: target(program), media, viewers: 2 }.run().await
    });
    // Three packets for two frames.
    assert!(report.frames >= 160, "{report}");
    assert!((report.delivered * 2).abs_diff(report.frames * 3) <= 4, "{report}");
    assert_eq!(report.latency_us.len(), 0, "what an encoder made carries no time");
}

#[test]
fn speakers_reach_all_listeners_of_a_room() {
    let report = load(async |program| {
        let media = Media { video: false, srtp: Srtp::Gcm, ..Media::new(0) };
        VideoRoom { target: target(program), media, publishers: 2, subscribers: 3 }.run().await
    });
    assert_eq!((report.frames, report.publishers), (0, 2), "{report}");
    assert!((450..=630).contains(&report.delivered), "{report}");
}

#[test]
fn silent_peers_get_nothing_and_are_charged_for() {
    let report = load(async |program| {
        let media = Media { silent: true, ..Media::new(300_000) };
        VideoRoom { target: target(program), media, publishers: 1, subscribers: 2 }.run().await
    });
    assert_eq!((report.expected, report.delivered), (0, 0), "{report}");
    assert!(report.bytes_per_idle_peer().is_some(), "{report}");
}

#[test]
fn a_ladder_ends_at_a_rate_that_was_carried() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let program = Program::start("", &[]);
    let climb = async {
        super::session(&program.url(), Duration::from_secs(20)).await;
        let media = Media { audio: false, srtp: Srtp::Gcm, ..Media::new(400_000) };
        let target = Target { window: Duration::from_millis(500), ..target(&program) };
        let streaming = Streaming { target, media, viewers: 2 };
        // Half of the packets may be lost: what is looked at is the climb, not this machine.
        let ladder = Ladder { streaming, loss: 0.5, most_rungs: 3 };
        tokio::time::timeout(Duration::from_secs(90), ladder.run()).await
    };
    let report = runtime.expect("a runtime").block_on(climb).expect("in time").expect("a climb");
    let rates: Vec<_> = report.rungs.iter().map(|rung| rung.rate_bps).collect();
    assert!(rates.starts_with(&[400_000]) && rates.len() <= 3, "{report}");
    let best = report.best().expect("one that was carried");
    assert!(best.report.delivered > 0 && best.held, "{report}");
}

#[test]
fn gaps_of_a_bad_network_are_filled() {
    let way = |seed| {
        Some(Impairment {
            loss: 0.05,
            duplicate: 0.02,
            reorder: 0.05,
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(15),
            seed,
        })
    };
    let mut ways = (Impaired::default(), Impaired::default());
    let report = load_with_loss(async |program| {
        let media = Media { audio: false, ..Media::new(800_000) };
        let target = Target { window: Duration::from_secs(3), ..target(program) };
        let room = VideoRoom { target, media, publishers: 1, subscribers: 2 };
        let done = Impair { room, up: way(1), down: way(2) }.run().await?;
        ways = (done.up, done.down);
        Ok(done.report)
    });
    let (up, down) = ways;
    assert!(up.lost > 0 && down.lost > 5 && down.reordered > 5 && down.duplicated > 0, "{ways:?}");
    // What was lost came again, behind others, and what came twice counts once. Of some 30 that were
    // lost, one may be lost again each time.
    assert!(report.late > 0 && report.delivered <= report.expected, "{report}");
    assert!(report.expected - report.delivered <= 4, "{report}");
}

#[test]
fn visitors_come_and_go_and_leave_nothing_open() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let program = Program::start("", &[]);
    let visits = async {
        super::session(&program.url(), Duration::from_secs(20)).await;
        let media = Media { audio: false, srtp: Srtp::Gcm, ..Media::new(200_000) };
        let streaming = Streaming { target: target(&program), media, viewers: 3 };
        tokio::time::timeout(Duration::from_secs(90), Churn { streaming, per_s: 3.0 }.run()).await
    };
    let report = runtime.expect("a runtime").block_on(visits).expect("in time").expect("visits");
    assert_eq!((report.visits, report.failed), (6, 0), "{report}");
    assert_eq!(report.descriptors_left(), Some(0), "{report}");
    assert!(report.first_us.min() >= report.setup_us.min(), "{report}");
}
