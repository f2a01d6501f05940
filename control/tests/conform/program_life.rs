//! The program with a live call: control that stands still, and the orderly end. The peer is
//! another implementation's (str0m); the program is the real one, in a process of its own.

use crate::mute;
use crate::program::{Program, local_ip, session};
use crate::target::foreign;
use bifrons_loadtest::janus::{Handle, Jsep};
use bifrons_loadtest::peer::str0m::media::Direction;
use bifrons_loadtest::peer::{Line, Peer, PeerConfig, Shape, Stats};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

/// How long anything may take; the machine may be a busy one.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long control stands still.
const STALL: Duration = Duration::from_millis(1000);

/// A call with EchoTest.
struct Live {
    handle: Handle,
    peer: Peer,
    mids: Vec<String>,
}

impl Live {
    /// A call that is up and sends audio and video, both of which come back.
    async fn start(url: &str) -> Self {
        let session = session(url, PATIENCE).await;
        let mut handle = session.attach("janus.plugin.echotest").await.expect("attaches");
        let peer = Peer::bind(PeerConfig::new(local_ip())).await.expect("a peer");
        let lines = vec![Line::audio(Direction::SendRecv), Line::video(Direction::SendRecv)];
        let (mids, offer) = peer.offer(lines).await.expect("an offer");
        let body = json!({"audio": true, "video": true});
        let answer = handle.ask(body, Some(Jsep::offer(offer))).await.expect("an answer");
        peer.accept_answer(&answer.jsep.expect("an SDP").sdp).await.expect("it fits");
        peer.connected(PATIENCE).await.expect("connects");
        handle.event_of("webrtcup").await.expect("it is told");
        for (mid, shape) in mids.iter().zip([Shape::audio(), Shape::video(400_000)]) {
            peer.send(mid, None, shape).await.expect("sends");
        }
        let live = Live { handle, peer, mids };
        let mids = live.mids.clone();
        let flows = move |stats: &Stats| {
            mids.iter().all(|mid| stats.from_mid(mid).is_some_and(|came| came.packets > 20))
        };
        live.peer.until("media", PATIENCE, flows).await.expect("media come back");
        live
    }

    /// Packets that came back so far, audio and video.
    async fn packets(&self) -> [u64; 2] {
        let stats = self.peer.stats().await.expect("counts");
        [0, 1].map(|line| stats.from_mid(&self.mids[line]).map_or(0, |came| came.packets))
    }
}

/// Runs a test against the program, or against one that says nothing; passes over where the
/// server is somebody else's, whom we cannot send signals.
fn with_program(environment: &[(&str, &str)], test: impl AsyncFnOnce(Program, String)) {
    if foreign().is_some() {
        return eprintln!("passed over: needs a program of its own");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let limited = async {
        let program = Program::start("", environment);
        let url = match std::env::var_os("BIFRONS_CONFORM_MUTE") {
            Some(_) => format!("ws://127.0.0.1:{}", mute::start().await.0),
            None => program.url(),
        };
        tokio::time::timeout(Duration::from_secs(60), test(program, url)).await
    };
    LocalSet::new().block_on(&runtime.expect("a runtime"), limited).expect("in time");
}

#[test]
fn plugin_api_16_media_of_the_program_outlive_a_second_without_control() {
    let stall_ms = STALL.as_millis().to_string();
    with_program(&[("BIFRONS_STALL_MS", &stall_ms)], async |program, url| {
        let live = Live::start(&url).await;
        let begun = Instant::now();
        program.signal("USR2");
        let client = live.handle.request("keepalive", json!({}));
        let watch = async {
            // Past the signal's way into the process.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let before = live.packets().await;
            let watched = Instant::now();
            tokio::time::sleep(STALL - Duration::from_millis(200)).await;
            let after = live.packets().await;
            let watched_ms = watched.elapsed().as_millis() as u64;
            ([after[0] - before[0], after[1] - before[1]], watched_ms)
        };
        let (reply, (came, watched_ms)) = tokio::join!(client, watch);
        reply.expect("an answer, late");
        let silent = begun.elapsed();
        assert!(silent >= STALL - Duration::from_millis(50), "control answered after {silent:?}");
        // 50 audio packets a second and 25 frames of two packets: nearly all of them.
        assert!(came[0] * 1000 >= watched_ms * 40, "{came:?} in {watched_ms} ms");
        assert!(came[1] * 1000 >= watched_ms * 40, "{came:?} in {watched_ms} ms");
        let stats = live.peer.stats().await.expect("counts");
        assert_eq!(stats.lost(), 0);
        assert_eq!(stats.ice_connections, 1, "{stats:?}");
        assert!(!stats.closed);
    });
}

#[test]
fn a_program_that_is_told_to_end_says_goodbye_to_its_peers() {
    with_program(&[], async |mut program, url| {
        let live = Live::start(&url).await;
        program.signal("TERM");
        // The close alert of DTLS (RFC 5246 §7.2.1): no time-out of ICE is so quick.
        let begun = Instant::now();
        let closed = |stats: &Stats| stats.closed;
        live.peer.until("a close alert", Duration::from_secs(4), closed).await.expect("closed");
        assert!(begun.elapsed() < Duration::from_secs(3), "it took {:?}", begun.elapsed());
        let status = program.ended(Duration::from_secs(5)).await;
        assert_eq!(status.code(), Some(0), "{status}");
    });
}
