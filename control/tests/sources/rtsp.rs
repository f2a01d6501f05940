//! RTSP servers.

use super::camera::Camera;
use super::{AUDIO, Bench, ONE, PATIENCE, VIDEO};
use bifrons_control::dispatch::ServiceOrder;
use bifrons_control::service::rtsp::{self, RtspThread};
use bifrons_core::codec::Codec;
use bifrons_core::media::{MediaKind, PortClock};
use bifrons_core::plugin::{
    RtspSetup, RtspTransport, Service, ServiceCommand, ServiceEvent, ServiceMedium,
};
use std::time::{Duration, Instant};

const DELAY: Duration = Duration::from_secs(1);

/// Audio and video of that camera, tried again each second.
fn setup(camera: &Camera) -> RtspSetup {
    let setup = RtspSetup::new(camera.url(), Some(AUDIO), Some(VIDEO));
    RtspSetup { reconnect_delay: DELAY, ..setup }
}

/// Starts a client, not paused.
fn start(setup: RtspSetup) -> (Bench, RtspThread) {
    let (bench, injector, told) = Bench::new();
    let thread = rtsp::start(injector, told).expect("a thread");
    assert!(thread.ask(ONE, ServiceOrder::Start(Service::Rtsp(Box::new(setup)))));
    assert!(thread.ask(ONE, ServiceOrder::Tell(ServiceCommand::Resume)));
    (bench, thread)
}

fn described(bench: &mut Bench) -> Vec<ServiceMedium> {
    match bench.event() {
        ServiceEvent::Described { media } => media,
        other => panic!("{other:?}"),
    }
}

/// The requests that begin with the word, once there are some.
fn requests(camera: &Camera, word: &str) -> Vec<String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut found = camera.requests();
        found.retain(|line| line.starts_with(word));
        if !found.is_empty() {
            return found;
        }
        assert!(Instant::now() < until, "no {word}: {:?}", camera.requests());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn audio_and_video_come_over_pairs_of_udp_ports_with_digest_and_end_with_teardown() {
    let camera =
        Camera::start(&["--video", "vp8", "--audio", "alaw", "--auth", "digest:ada:secret"]);
    let credentials = Some(("ada".to_owned(), "secret".to_owned()));
    let (mut bench, thread) = start(RtspSetup { credentials, ..setup(&camera) });
    let media = described(&mut bench);
    let of = |kind| media.iter().find(|medium| medium.kind == kind).expect("both kinds");
    let (audio, video) = (of(MediaKind::Audio), of(MediaKind::Video));
    assert_eq!((audio.codec, audio.pt, audio.clock_hz), (Some(Codec::Pcma), 8, 8000));
    assert_eq!((video.codec, video.pt, video.clock_hz), (Some(Codec::Vp8), 96, 90_000));
    assert_eq!((audio.ingest, video.ingest), (AUDIO, VIDEO));
    let packets = bench.packets_of(VIDEO, 30);
    assert!(packets.iter().all(|packet| packet.pt == 96 && packet.ssrc == packets[0].ssrc));
    let packets = bench.packets_of(AUDIO, 30);
    assert!(packets.windows(2).all(|pair| pair[1].seq == pair[0].seq.wrapping_add(1)));
    for line in requests(&camera, "SETUP") {
        let ports = line.split_once("client_port=").expect("over UDP").1;
        let (rtp, rtcp) = ports.split_once('-').expect("a pair");
        let (rtp, rtcp) = (rtp.parse::<u16>().unwrap(), rtcp.parse::<u16>().unwrap());
        assert!(rtp % 2 == 0 && rtcp == rtp + 1, "{line}");
    }
    assert!(thread.ask(ONE, ServiceOrder::Stop));
    requests(&camera, "TEARDOWN");
    bench.no_event();
}

#[test]
fn a_server_without_udp_sends_inside_the_connection_with_basic_in_the_url() {
    let camera = Camera::start(&[
        "--video",
        "vp8",
        "--audio",
        "opus",
        "--transport",
        "tcp",
        "--auth",
        "basic:ada:secret",
    ]);
    let url = camera.url().replace("rtsp://", "rtsp://ada:secret@");
    let (mut bench, _thread) = start(RtspSetup { url, ..setup(&camera) });
    let media = described(&mut bench);
    let audio = media.iter().find(|medium| medium.kind == MediaKind::Audio).expect("audio");
    assert_eq!((audio.codec, audio.pt), (Some(Codec::Opus), 97));
    bench.packets_of(VIDEO, 30);
    bench.packets_of(AUDIO, 30);
    // Those that it refuses with 461 the server does not tell of.
    let setups = requests(&camera, "SETUP");
    assert_eq!(setups.len(), 2, "{setups:?}");
    assert!(setups.iter().all(|line| line.contains("interleaved=")), "{setups:?}");
}

#[test]
fn h264_hands_its_parameter_sets_over_and_a_medium_that_is_not_wanted_is_not_asked_for() {
    let camera = Camera::start(&["--video", "h264", "--audio", "alaw"]);
    let wanted = RtspSetup { audio: None, transport: RtspTransport::Tcp, ..setup(&camera) };
    let (mut bench, _thread) = start(wanted);
    let media = described(&mut bench);
    let [video] = &media[..] else { panic!("{media:?}") };
    assert_eq!(video.codec, Some(Codec::H264));
    let fmtp = video.fmtp.as_deref().expect("parameters");
    assert!(fmtp.contains("sprop-parameter-sets="), "{fmtp}");
    bench.packets_of(VIDEO, 10);
    assert_eq!(requests(&camera, "SETUP").len(), 1);
}

#[test]
fn a_first_try_that_is_refused_fails_with_a_reason_and_without_the_password() {
    let camera = Camera::start(&["--video", "vp8", "--auth", "digest:ada:secret"]);
    let credentials = Some(("ada".to_owned(), "wrong word".to_owned()));
    let refused = RtspSetup { credentials, ..setup(&camera) };
    let nobody = RtspSetup::new("rtsp://127.0.0.1:9/cam", Some(AUDIO), None);
    let no_audio = Camera::start(&["--video", "vp8"]);
    let none = RtspSetup { video: None, ..setup(&no_audio) };
    let missing = RtspSetup { url: format!("{}/no", no_audio.url()), ..setup(&no_audio) };
    for (setup, reason) in [
        (refused, "401"),
        (nobody, "connect"),
        (none, "none of the media"),
        (missing, "404"),
        (RtspSetup::new("http://cam/", Some(AUDIO), None), "scheme"),
        (RtspSetup::new("no url", Some(AUDIO), None), "URL"),
    ] {
        let (mut bench, _thread) = start(setup);
        let ServiceEvent::Failed { text } = bench.event() else { panic!("{reason}: it fails") };
        assert!(text.contains(reason), "{text}");
        assert!(!text.contains("wrong word") && text.len() <= 512, "{text}");
    }
}

#[test]
fn a_camera_that_goes_and_comes_back_is_found_again() {
    let mut camera = Camera::start(&["--video", "vp8"]);
    let (mut bench, _thread) = start(setup(&camera));
    described(&mut bench);
    let before = bench.packets_of(VIDEO, 20);
    camera.kill();
    assert_eq!(bench.event(), ServiceEvent::Disconnected);
    std::thread::sleep(2 * DELAY);
    bench.no_event();
    bench.packets();
    camera.restart();
    assert_eq!(bench.event(), ServiceEvent::Reconnected);
    let after = bench.packets_of(VIDEO, 20);
    assert_ne!(before[0].ssrc, after[0].ssrc, "another stream");
    bench.no_event();
}

#[test]
fn what_comes_is_noted_by_the_clock_of_its_medium() {
    let camera = Camera::start(&["--video", "vp8"]);
    let began = Instant::now();
    let clocks = [PortClock::new(began), PortClock::new(began)];
    let (mut bench, _thread) =
        start(RtspSetup { clocks: clocks.clone().map(Some), ..setup(&camera) });
    described(&mut bench);
    bench.packets_of(VIDEO, 5);
    assert_eq!(clocks.map(|clock| clock.has_heard()), [false, true], "there is no audio");
}

#[test]
fn a_silent_camera_is_joined_anew_each_delay_until_it_speaks() {
    let camera = Camera::start(&["--video", "vp8"]);
    let (mut bench, _thread) = start(setup(&camera));
    described(&mut bench);
    bench.packets_of(VIDEO, 20);
    camera.be_silent(true);
    for _ in 0..2 {
        assert_eq!(bench.event(), ServiceEvent::Disconnected);
        camera.be_silent(false);
        assert_eq!(bench.event(), ServiceEvent::Reconnected);
        camera.be_silent(true);
    }
    camera.be_silent(false);
    bench.packets_of(VIDEO, 20);
}

#[test]
fn a_camera_that_is_not_there_yet_is_waited_for_where_that_is_wanted() {
    let mut camera = Camera::start(&["--video", "vp8"]);
    camera.kill();
    let (mut bench, _thread) = start(RtspSetup { must_connect: false, ..setup(&camera) });
    std::thread::sleep(DELAY);
    bench.no_event();
    camera.restart();
    described(&mut bench);
    bench.packets_of(VIDEO, 10);
}
