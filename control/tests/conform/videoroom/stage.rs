//! A server with media, and those who publish to it and watch.

use crate::mute;
use crate::program::{Program, local_ip, session};
use bifrons_loadtest::janus::{Answer, Handle, Jsep, Session};
use bifrons_loadtest::peer::str0m::media::Direction;
use bifrons_loadtest::peer::{Line, Peer, PeerConfig, Received, Shape, Stats};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::LocalSet;

/// How long anything may take; the build under test may be a slow one on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on the real clock: sockets and another process do not wait for a paused one.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let limited = async { tokio::time::timeout(Duration::from_secs(90), test).await };
    LocalSet::new().block_on(&runtime.expect("a runtime"), limited).expect("in time");
}

/// A room on a server, and a handle to steer it with.
pub(super) struct Stage {
    _program: Option<Program>,
    session: Session,
    pub(super) keeper: Handle,
    pub(super) room: Value,
}

/// Somebody with a handle and a PeerConnection.
pub(super) struct Guest {
    pub(super) handle: Handle,
    pub(super) peer: Peer,
    /// Its id in the room, for a publisher.
    pub(super) id: Value,
    /// Mids of a publisher's lines.
    pub(super) mids: Vec<String>,
}

impl Stage {
    /// A server with a room of these settings.
    pub(super) async fn set(room: Value) -> Self {
        let (program, url) = server().await;
        Self::on(program, &url, room).await
    }

    /// The same with a server of ours, whichever is under test: its partner.
    pub(super) async fn ours(room: Value) -> Self {
        let program = Program::start("", &[]);
        let url = program.url();
        Self::on(Some(program), &url, room).await
    }

    async fn on(program: Option<Program>, url: &str, mut room: Value) -> Self {
        let session = session(url, PATIENCE).await;
        let mut keeper = session.attach("janus.plugin.videoroom").await.expect("attaches");
        room["request"] = json!("create");
        let made = keeper.ask(room, None).await.expect("a reply");
        assert_eq!(made.data["videoroom"], "created", "{}", made.data);
        Stage { _program: program, session, keeper, room: made.data["room"].clone() }
    }

    pub(super) async fn attach(&self) -> Handle {
        self.session.attach("janus.plugin.videoroom").await.expect("attaches")
    }

    /// A synchronous request about the room.
    pub(super) async fn manage(&mut self, mut body: Value) -> Value {
        body["room"] = self.room.clone();
        self.keeper.ask(body, None).await.expect("a reply").data
    }

    /// A participant that does not publish.
    pub(super) async fn lurk(&self) -> Handle {
        let mut handle = self.attach().await;
        let body = json!({"request": "join", "ptype": "publisher", "room": self.room});
        let joined = handle.ask(body, None).await.expect("an answer");
        assert_eq!(joined.data["videoroom"], "joined", "{}", joined.data);
        handle
    }

    /// A publisher of these lines, up, sending nothing yet.
    pub(super) async fn publish(&self, lines: Vec<Line>) -> Guest {
        let mut handle = self.attach().await;
        let body = json!({"request": "join", "ptype": "publisher", "room": self.room});
        let joined = handle.ask(body, None).await.expect("an answer").accepted().expect("joined");
        let mut config = PeerConfig::new(local_ip());
        config.keep_rtcp = 512;
        let peer = Peer::bind(config).await.expect("a peer");
        let (mids, offer) = peer.offer(lines).await.expect("an offer");
        let body = json!({"request": "publish"});
        let answer = handle.ask(body, Some(Jsep::offer(offer))).await.expect("an answer");
        peer.accept_answer(&jsep(&answer).sdp).await.expect("it fits");
        peer.connected(PATIENCE).await.expect("connects");
        handle.event_of("webrtcup").await.expect("it is told");
        Guest { handle, peer, id: joined.data["id"].clone(), mids }
    }

    /// A publisher of video, and of audio if wished, sending.
    pub(super) async fn sender(&self, audio: bool) -> Guest {
        let mut lines = vec![Line::video(Direction::SendOnly)];
        if audio {
            lines.push(Line::audio(Direction::SendOnly));
        }
        let guest = self.publish(lines).await;
        for (mid, shape) in guest.mids.iter().zip([Shape::video(200_000), Shape::audio()]) {
            guest.peer.send(mid, None, shape).await.expect("sends");
        }
        guest
    }

    /// A subscriber of these streams, answered; media may flow.
    pub(super) async fn watch(&self, streams: Value) -> Guest {
        let mut handle = self.attach().await;
        let body = json!({
            "request": "join", "ptype": "subscriber", "room": self.room, "streams": streams,
        });
        let attached = handle.ask(body, None).await.expect("an answer");
        let mut config = PeerConfig::new(local_ip());
        config.keep_headers = 4096;
        let peer = Peer::bind(config).await.expect("a peer");
        let mut guest = Guest { handle, peer, id: Value::Null, mids: Vec::new() };
        let started = guest.start(&jsep(&attached).sdp).await;
        assert_eq!(started["started"], "ok", "{started}");
        guest.peer.connected(PATIENCE).await.expect("connects");
        guest
    }
}

impl Guest {
    /// Answers an offer of the server.
    pub(super) async fn start(&mut self, offer: &str) -> Value {
        let answer = self.peer.accept_offer(offer).await.expect("an answer");
        let body = json!({"request": "start"});
        self.handle.ask(body, Some(Jsep::answer(answer))).await.expect("an answer").data
    }

    /// An asynchronous request.
    pub(super) async fn ask(&mut self, body: Value) -> Value {
        self.handle.ask(body, None).await.expect("an answer").data
    }

    /// The next event of the plugin whose data fit.
    pub(super) async fn hears(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        hears(&mut self.handle, what, fits).await
    }

    /// Waits until `mid` has got so many whole frames more than now.
    pub(super) async fn frames(&self, mid: &str, more: u64) -> Stats {
        let have = self.received(mid).await.frames;
        let mid = mid.to_owned();
        let wanted =
            move |stats: &Stats| stats.from_mid(&mid).is_some_and(|got| got.frames >= have + more);
        self.peer.until("frames", PATIENCE, wanted).await.expect("frames")
    }

    /// What came on `mid` so far.
    pub(super) async fn received(&self, mid: &str) -> Received {
        let stats = self.peer.stats().await.expect("counts");
        stats.from_mid(mid).cloned().unwrap_or_default()
    }

    /// Packets on `mid` within `span`, what was under way at its start not counted.
    pub(super) async fn packets_within(&self, mid: &str, span: Duration) -> u64 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before = self.received(mid).await.packets;
        tokio::time::sleep(span).await;
        self.received(mid).await.packets - before
    }
}

/// The next event of the plugin on `handle` whose data fit.
pub(super) async fn hears(handle: &mut Handle, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let wanted = |event: &Value| event["janus"] == "event" && fits(&event["plugindata"]["data"]);
    handle.event_where(what, wanted).await.expect(what)
}

/// The SDP of an answer that has to have one.
pub(super) fn jsep(answer: &Answer) -> Jsep {
    answer.jsep.clone().unwrap_or_else(|| panic!("no SDP: {}", answer.data))
}

async fn server() -> (Option<Program>, String) {
    if std::env::var_os("BIFRONS_CONFORM_MUTE").is_some() {
        let (ws, _) = mute::start().await;
        return (None, format!("ws://127.0.0.1:{ws}"));
    }
    match std::env::var("BIFRONS_CONFORM_WS") {
        Ok(address) if !address.is_empty() => (None, format!("ws://{address}")),
        _ => {
            let program = Program::start("", &[]);
            let url = program.url();
            (Some(program), url)
        }
    }
}
