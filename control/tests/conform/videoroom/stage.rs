//! A server with media, and those who publish to it and watch.

use crate::mute;
use bifrons_loadtest::janus::{Answer, Client, Handle, Jsep, Session};
use bifrons_loadtest::peer::str0m::media::Direction;
use bifrons_loadtest::peer::{Line, Peer, PeerConfig, Received, Shape, Stats};
use serde_json::{Value, json};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
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

/// The program, with a configuration and ports of its own; ends with the test.
struct Program {
    child: Child,
    folder: PathBuf,
}

impl Drop for Program {
    fn drop(&mut self) {
        // Gone already, or not: either way nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The address media go over: the one that leads out. Loopback is no candidate.
fn local_ip() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("binds");
    let way = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    way.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

/// Ports that were free a moment ago.
fn free_ports() -> (u16, u16) {
    let tcp = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let udp = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.local_addr());
    (tcp.expect("a port").port(), udp.expect("a port").port())
}

impl Program {
    async fn start() -> (Self, String) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bifrons-conform-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let (ws, rtp) = free_ports();
        let file = |name: &str, text: String| {
            std::fs::write(folder.join(format!("{name}.jcfg")), text).expect("written");
        };
        let ip = local_ip();
        let range = format!("{rtp}-{}", rtp.saturating_add(8));
        file(
            "janus",
            format!(
                "media: {{ rtp_port_range = \"{range}\" }} nat: {{ ice_enforce_list = \"{ip}\" }}"
            ),
        );
        let off = "admin: { }";
        file(
            "janus.transport.websockets",
            format!("general: {{ ws = true; ws_port = {ws} }} {off}"),
        );
        file("janus.transport.http", format!("general: {{ http = false }} {off}"));
        file("janus.plugin.videoroom", "general: { }".to_owned());
        let child = Command::new(env!("CARGO_BIN_EXE_bifrons"))
            .arg("-F")
            .arg(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        (Program { child, folder }, format!("ws://127.0.0.1:{ws}"))
    }
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
    pub(super) async fn set(mut room: Value) -> Self {
        let (program, url) = server().await;
        let session = session(&url).await;
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
            let (program, url) = Program::start().await;
            (Some(program), url)
        }
    }
}

/// A session, once the server is there.
async fn session(url: &str) -> Session {
    for _ in 0..200 {
        if let Ok(client) = Client::connect(url).await {
            return client.with_patience(PATIENCE).create().await.expect("a session");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server does not come up");
}
