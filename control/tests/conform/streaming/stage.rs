//! A server with the Streaming plugin, who manages mountpoints, and who watches.

use crate::mute;
use crate::program::{Program, local_ip, session};
use bifrons_loadtest::janus::{Answer, Handle, Jsep, Session};
use bifrons_loadtest::peer::str0m::format::Codec;
use bifrons_loadtest::peer::{Peer, PeerConfig, Received, Stats};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::LocalSet;

/// How long anything may take; the build under test may be a slow one on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// A while in which much would come if anything did.
pub(super) const SECOND: Duration = Duration::from_secs(1);

const PLUGIN: &str = "janus.plugin.streaming";

/// Runs a test on the real clock: sockets and another process do not wait for a paused one.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let limited = async { tokio::time::timeout(Duration::from_secs(90), test).await };
    LocalSet::new().block_on(&runtime.expect("a runtime"), limited).expect("in time");
}

/// See the module.
pub(super) struct Stage {
    program: Option<Program>,
    url: String,
    session: Session,
    keeper: Handle,
}

impl Stage {
    pub(super) async fn set() -> Self {
        let mute = std::env::var_os("BIFRONS_CONFORM_MUTE").is_some();
        let foreign = std::env::var("BIFRONS_CONFORM_WS").ok().filter(|ws| !ws.is_empty());
        let (program, url) = match (mute, foreign) {
            (true, _) => (None, format!("ws://127.0.0.1:{}", mute::start().await.0)),
            (false, Some(address)) => (None, format!("ws://{address}")),
            (false, None) => {
                let program = Program::start("", &[]);
                let url = program.url();
                (Some(program), url)
            }
        };
        Self::on(program, url).await
    }

    /// With a configuration of its own; `None` if the server is somebody else's.
    pub(super) async fn with(config: &str) -> Option<Self> {
        if std::env::var_os("BIFRONS_CONFORM_MUTE").is_some() {
            return Some(Self::set().await);
        }
        if std::env::var("BIFRONS_CONFORM_WS").is_ok_and(|ws| !ws.is_empty()) {
            eprintln!("passed over: needs a configuration of its own");
            return None;
        }
        let program = Program::start_with("", &[], &[(PLUGIN, config.to_owned())]);
        let url = program.url();
        Some(Self::on(Some(program), url).await)
    }

    async fn on(program: Option<Program>, url: String) -> Self {
        let session = session(&url, PATIENCE).await;
        let keeper = session.attach(PLUGIN).await.expect("attaches");
        Stage { program, url, session, keeper }
    }

    /// Whether the server is somebody else's.
    pub(super) fn is_foreign(&self) -> bool {
        self.program.is_none()
    }

    /// Ends the program without a warning, and starts it again with what it has on disk.
    pub(super) async fn start_again(&mut self) {
        let Some(program) = &mut self.program else { return };
        program.start_again();
        self.session = session(&self.url, PATIENCE).await;
        self.keeper = self.session.attach(PLUGIN).await.expect("attaches");
    }

    pub(super) async fn attach(&self) -> Handle {
        self.session.attach(PLUGIN).await.expect("attaches")
    }

    /// A synchronous request; its data.
    pub(super) async fn manage(&mut self, body: Value) -> Value {
        self.keeper.ask(body, None).await.expect("a reply").data
    }

    /// The same, as it came, in its envelope.
    pub(super) async fn envelope(&self, body: Value) -> Value {
        self.keeper.request("message", json!({ "body": body })).await.expect("a reply")
    }

    /// The error code of a synchronous request.
    pub(super) async fn refused(&mut self, body: Value) -> Value {
        let data = self.manage(body).await;
        assert_eq!(data["streaming"], "event", "{data}");
        data["error_code"].clone()
    }

    /// A mountpoint of type `rtp`; its id and the reply.
    pub(super) async fn create(&mut self, fields: Value) -> (Value, Value) {
        let mut body = json!({ "request": "create", "type": "rtp", "id": fresh() });
        body.as_object_mut().expect("one").extend(fields.as_object().expect("one").clone());
        let made = self.manage(body).await;
        assert_eq!(made["streaming"], "created", "{made}");
        (made["stream"]["id"].clone(), made)
    }

    /// A mountpoint of these streams; its id, and their ports.
    pub(super) async fn streams(&mut self, media: Value) -> (Value, Vec<u16>) {
        let (id, made) = self.create(json!({ "media": media })).await;
        (id, ports(&made))
    }

    /// What `info` shows.
    pub(super) async fn info(&mut self, id: &Value) -> Value {
        self.manage(json!({ "request": "info", "id": id })).await["info"].clone()
    }

    /// Somebody who watches, up.
    pub(super) async fn watch(&self, id: &Value) -> Viewer {
        self.watch_with(json!({ "id": id })).await
    }

    /// The same with more in the request.
    pub(super) async fn watch_with(&self, body: Value) -> Viewer {
        let mut viewer = Viewer::new(self.attach().await).await;
        viewer.watch(body).await;
        viewer
    }
}

/// An id that no other mountpoint has: tests share a foreign server.
pub(super) fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let process = u64::from(std::process::id());
    1_000_000 + process * 1000 + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// `port` of each stream in the reply to `create`.
pub(super) fn ports(made: &Value) -> Vec<u16> {
    let ports = made["stream"]["ports"].as_array().expect("ports");
    ports.iter().map(|port| port["port"].as_u64().expect("a port") as u16).collect()
}

/// Opus.
pub(super) fn audio(mid: &str) -> Value {
    json!({ "type": "audio", "mid": mid, "port": 0, "pt": 111, "codec": "opus" })
}

/// VP8.
pub(super) fn video(mid: &str) -> Value {
    json!({ "type": "video", "mid": mid, "port": 0, "pt": 96, "codec": "vp8" })
}

/// VP8 with a port for RTCP.
pub(super) fn steered(mid: &str) -> Value {
    let mut stream = video(mid);
    stream["rtcpport"] = json!(0);
    stream
}

/// Somebody with a handle and, once offered, a PeerConnection.
pub(super) struct Viewer {
    pub(super) handle: Handle,
    pub(super) peer: Peer,
}

impl Viewer {
    pub(super) async fn new(handle: Handle) -> Self {
        let mut config = PeerConfig::new(local_ip());
        config.codecs = vec![Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::PCMU];
        config.keep_headers = 4096;
        let peer = Peer::bind(config).await.expect("a peer");
        Viewer { handle, peer }
    }

    /// Watches, answers and comes up.
    pub(super) async fn watch(&mut self, mut body: Value) {
        body["request"] = json!("watch");
        let offered = self.handle.ask(body, None).await.expect("an answer");
        assert_eq!(offered.data["result"]["status"], "preparing", "{}", offered.data);
        let started = self.start(&jsep(&offered).sdp).await;
        assert_eq!(started["status"], "starting", "{started}");
        self.peer.connected(PATIENCE).await.expect("connects");
        self.hears("started", |result| result["status"] == "started").await;
    }

    /// Answers an offer of the server.
    pub(super) async fn start(&mut self, offer: &str) -> Value {
        let answer = self.peer.accept_offer(offer).await.expect("an answer");
        let body = json!({ "request": "start" });
        let said = self.handle.ask(body, Some(Jsep::answer(answer))).await;
        said.expect("an answer").data["result"].clone()
    }

    /// An asynchronous request: its `result`, or the error as it is.
    pub(super) async fn ask(&mut self, body: Value) -> Value {
        ask(&mut self.handle, body).await
    }

    /// The `result` of the next event that answers nothing and fits.
    pub(super) async fn hears(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let data = hears(&mut self.handle, what, |data| fits(&data["result"])).await;
        data["result"].clone()
    }

    /// Waits until `mid` has got so many whole frames more than now.
    pub(super) async fn frames(&self, mid: &str, more: u64) -> Stats {
        let have = self.received(mid).await.frames;
        self.until(mid, move |got| got.frames >= have + more).await
    }

    /// Waits until `mid` has got so many packets more than now.
    pub(super) async fn packets(&self, mid: &str, more: u64) -> Stats {
        let have = self.received(mid).await.packets;
        self.until(mid, move |got| got.packets >= have + more).await
    }

    async fn until(&self, mid: &str, fits: impl Fn(&Received) -> bool + Send + 'static) -> Stats {
        let mid = mid.to_owned();
        let wanted = move |stats: &Stats| stats.from_mid(&mid).is_some_and(&fits);
        self.peer.until("packets", PATIENCE, wanted).await.expect("packets")
    }

    /// What came on `mid` so far.
    pub(super) async fn received(&self, mid: &str) -> Received {
        let stats = self.peer.stats().await.expect("counts");
        stats.from_mid(mid).cloned().unwrap_or_default()
    }

    /// Packets on `mid` within a second, what was under way at its start not counted.
    pub(super) async fn a_second_of(&self, mid: &str) -> u64 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before = self.received(mid).await.packets;
        tokio::time::sleep(SECOND).await;
        self.received(mid).await.packets - before
    }

    /// Asserts one SSRC, and sequence numbers without a gap.
    pub(super) async fn is_continuous(&self, mid: &str) {
        let got = self.received(mid).await;
        assert_eq!((got.ssrcs.len(), got.lost(), got.timestamp_steps_back), (1, 0, 0), "{mid}");
    }
}

/// An asynchronous request: its `result`, or the error as it is.
pub(super) async fn ask(handle: &mut Handle, body: Value) -> Value {
    let data = handle.ask(body, None).await.expect("an answer").data;
    data.get("result").cloned().unwrap_or(data)
}

/// The data of the next event of the plugin that fit.
pub(super) async fn hears(handle: &mut Handle, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let wanted = |event: &Value| event["janus"] == "event" && fits(&event["plugindata"]["data"]);
    handle.event_where(what, wanted).await.expect(what)["plugindata"]["data"].clone()
}

/// The SDP of an answer that has to have one.
pub(super) fn jsep(answer: &Answer) -> Jsep {
    answer.jsep.clone().unwrap_or_else(|| panic!("no SDP: {}", answer.data))
}

/// The m-lines of a description: what comes before the first one is left out.
pub(super) fn lines(sdp: &str) -> Vec<&str> {
    let starts: Vec<usize> = sdp.match_indices("m=").map(|(at, _)| at).collect();
    let starts: Vec<usize> = starts
        .into_iter()
        .filter(|at| *at == 0 || sdp.as_bytes().get(at - 1) == Some(&b'\n'))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([sdp.len()]);
    starts.iter().zip(ends).map(|(start, end)| &sdp[*start..end]).collect()
}
