//! Files.

use super::{AUDIO, Bench, ONE};
use bifrons_control::dispatch::ServiceOrder;
use bifrons_control::service::player::{self, PlayerThread};
use bifrons_core::codec::Codec;
use bifrons_core::plugin::{PlayerFormat, PlayerSetup, Service, ServiceCommand, ServiceEvent};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn start(path: &Path, format: PlayerFormat) -> (Bench, PlayerThread) {
    let (bench, injector, told) = Bench::new();
    let thread = player::start(injector, told).expect("a thread");
    let setup = PlayerSetup { path: path.to_owned(), format, ingest: AUDIO };
    assert!(thread.ask(ONE, ServiceOrder::Start(Service::Player(setup))));
    (bench, thread)
}

fn tell(thread: &PlayerThread, command: ServiceCommand) {
    assert!(thread.ask(ONE, ServiceOrder::Tell(command)));
}

/// A file of the test's own; removed by the next run at the latest.
fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("bifrons-sources-{name}"));
    std::fs::write(&path, content).expect("written");
    path
}

#[test]
fn raw_g711_plays_fifty_packets_a_second_and_begins_again_at_its_end() {
    let content: Vec<u8> = (0..1600u32).map(|at| (at % 251) as u8).collect();
    let path = file("round.alaw", &content);
    let (mut bench, thread) = start(&path, PlayerFormat::Alaw);
    let ServiceEvent::Described { media } = bench.event() else { panic!("it opens") };
    let [medium] = &media[..] else { panic!("{media:?}") };
    assert_eq!((medium.codec, medium.pt, medium.clock_hz), (Some(Codec::Pcma), 8, 8000));
    std::thread::sleep(Duration::from_millis(100));
    assert!(bench.packets().is_empty(), "it begins paused");
    let begun = Instant::now();
    tell(&thread, ServiceCommand::Resume);
    let mut played = Vec::new();
    let mut packets = Vec::new();
    while packets.len() < 60 {
        packets.extend(bench.packets_of(AUDIO, 1));
        played.extend(bench.payloads.concat());
    }
    let took = begun.elapsed();
    let fair = Duration::from_millis(1150)..Duration::from_millis(1600);
    assert!(fair.contains(&took), "60 packets last 1.2 s, not {took:?}");
    for pair in packets.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
        assert_eq!((pair[1].ssrc, pair[1].pt, pair[1].marker), (pair[0].ssrc, 8, false));
    }
    assert_eq!(played[..9600], content.repeat(6)[..9600]);
}

#[test]
fn ogg_opus_steps_by_960_and_a_paused_file_stands_still() {
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/ogg/plain");
    let (mut bench, thread) = start(&seed, PlayerFormat::OggOpus);
    let ServiceEvent::Described { media } = bench.event() else { panic!("it opens") };
    assert_eq!((media[0].codec, media[0].pt), (Some(Codec::Opus), 111));
    assert_eq!(media[0].rtpmap, "opus/48000/2");
    tell(&thread, ServiceCommand::Resume);
    let packets = bench.packets_of(AUDIO, 10);
    for pair in packets.windows(2) {
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(960));
    }
    tell(&thread, ServiceCommand::Pause);
    std::thread::sleep(Duration::from_millis(100));
    let last = bench.packets().last().copied().unwrap_or(packets[packets.len() - 1]);
    std::thread::sleep(Duration::from_millis(200));
    assert!(bench.packets().is_empty());
    tell(&thread, ServiceCommand::Resume);
    let next = bench.packets_of(AUDIO, 1)[0];
    assert_eq!(next.seq, last.seq.wrapping_add(1));
    assert_eq!(next.timestamp, last.timestamp.wrapping_add(960));
    assert!(next.marker, "a talk spurt begins");
    assert!(thread.ask(ONE, ServiceOrder::Stop));
    std::thread::sleep(Duration::from_millis(100));
    bench.packets();
    std::thread::sleep(Duration::from_millis(100));
    assert!(bench.packets().is_empty(), "stopped");
    bench.no_event();
}

#[test]
fn files_that_are_not_there_or_hold_something_else_fail_with_a_reason() {
    let not_ogg = file("text.opus", b"this is no music at all, it is a text of some length");
    let empty = file("empty.mulaw", b"");
    for (path, format, reason) in [
        (Path::new("/no/such/file.opus"), PlayerFormat::OggOpus, "No such file"),
        (&std::env::temp_dir(), PlayerFormat::Alaw, "not a file"),
        (&not_ogg, PlayerFormat::OggOpus, "no Ogg file"),
        (&empty, PlayerFormat::Mulaw, "nothing in it to play"),
    ] {
        let (mut bench, _thread) = start(path, format);
        let ServiceEvent::Failed { text } = bench.event() else { panic!("{path:?} is refused") };
        assert!(text.contains(reason) && text.contains(&*path.to_string_lossy()), "{text}");
    }
}
