//! A server, and users who call each other through it.

use crate::mute;
use crate::program::{Program, local_ip, session};
use bifrons_loadtest::janus::{Answer, Handle, Jsep, Session};
use bifrons_loadtest::peer::str0m::media::Direction;
use bifrons_loadtest::peer::{Line, Peer, PeerConfig, Received, Shape, Stats};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::LocalSet;

/// How long anything may take; the build under test may be a slow one on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

const PLUGIN: &str = "janus.plugin.videocall";

/// Runs a test on the real clock: sockets and another process do not wait for a paused one.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let limited = async { tokio::time::timeout(Duration::from_secs(90), test).await };
    LocalSet::new().block_on(&runtime.expect("a runtime"), limited).expect("in time");
}

/// A server.
pub(super) struct Stage {
    _program: Option<Program>,
    url: String,
}

/// Somebody with a handle and a peer.
pub(super) struct User {
    pub(super) name: String,
    session: Session,
    pub(super) handle: Handle,
    pub(super) peer: Peer,
    /// Of the lines offered, in order.
    pub(super) mids: Vec<String>,
}

/// An audio and a video line, both ways.
pub(super) fn both() -> Vec<Line> {
    vec![Line::audio(Direction::SendRecv), Line::video(Direction::SendRecv)]
}

async fn new_peer() -> Peer {
    let mut config = PeerConfig::new(local_ip());
    config.keep_rtcp = 512;
    Peer::bind(config).await.expect("a peer")
}

impl Stage {
    pub(super) async fn set() -> Self {
        let (program, url) = server().await;
        Stage { _program: program, url }
    }

    /// Somebody without a name yet. Each has a session of its own, as in life.
    pub(super) async fn stranger(&self) -> User {
        let session = session(&self.url, PATIENCE).await;
        let handle = session.attach(PLUGIN).await.expect("attaches");
        User { name: String::new(), session, handle, peer: new_peer().await, mids: Vec::new() }
    }

    /// Somebody with a name nobody else has.
    pub(super) async fn user(&self, name: &str) -> User {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut user = self.stranger().await;
        user.name = format!("{name}-{}-{number}", std::process::id());
        let told = user.ask(json!({"request": "register", "username": user.name})).await;
        assert_eq!(told, event(json!({"event": "registered", "username": user.name})));
        user
    }

    pub(super) async fn pair(&self) -> (User, User) {
        (self.user("alice").await, self.user("bob").await)
    }

    /// Two in a call that is up on both sides, sending nothing yet.
    pub(super) async fn call(&self, lines: Vec<Line>) -> (User, User) {
        let (mut alice, mut bob) = self.pair().await;
        alice.ring(&bob, lines).await;
        bob.pick_up(&mut alice).await;
        for user in [&mut alice, &mut bob] {
            user.peer.connected(PATIENCE).await.expect("connects");
            user.handle.event_of("webrtcup").await.expect("it is told");
        }
        (alice, bob)
    }
}

/// The description with one `a=mid` in each section: Janus 1.1.2 writes the other side's and its own.
pub(super) fn one_mid(sdp: &str) -> String {
    let mut has_one = false;
    let keep = |line: &&str| match line.split([':', '=']).take(2).collect::<Vec<_>>()[..] {
        ["m", _] => {
            has_one = false;
            true
        }
        ["a", "mid"] => !std::mem::replace(&mut has_one, true),
        _ => true,
    };
    sdp.split_inclusive('\n').filter(keep).collect()
}

/// What carries this result.
pub(super) fn event(result: Value) -> Value {
    json!({"videocall": "event", "result": result})
}

impl User {
    /// A request without a description; the data of its answer, which is an event.
    pub(super) async fn ask(&mut self, body: Value) -> Value {
        self.ask_with(body, None).await.data
    }

    pub(super) async fn ask_with(&mut self, body: Value, jsep: Option<Jsep>) -> Answer {
        let answer = self.handle.ask(body, jsep).await.expect("an answer");
        assert_eq!(answer.message["janus"], "event", "{}", answer.message);
        answer
    }

    /// A request that is refused; the code.
    pub(super) async fn refused(&mut self, body: Value, jsep: Option<Jsep>) -> i64 {
        let data = self.ask_with(body, jsep).await.data;
        assert_eq!(data["videocall"], "event", "{data}");
        assert!(data["error"].is_string(), "{data}");
        data["error_code"].as_i64().expect("a code")
    }

    /// An offer of these lines.
    pub(super) async fn offer(&mut self, lines: Vec<Line>) -> Option<Jsep> {
        let (mids, offer) = self.peer.offer(lines).await.expect("an offer");
        self.mids.extend(mids);
        Some(Jsep::offer(offer))
    }

    /// A `call` of somebody by name, with a fresh offer.
    pub(super) async fn dial(&mut self, name: &str) -> Value {
        self.peer = new_peer().await;
        self.mids.clear();
        let offer = self.offer(both()).await;
        self.ask_with(json!({"request": "call", "username": name}), offer).await.data
    }

    /// Calls somebody, and is told that it rings.
    pub(super) async fn ring(&mut self, other: &User, lines: Vec<Line>) {
        let offer = self.offer(lines).await;
        let body = json!({"request": "call", "username": other.name});
        let told = self.ask_with(body, offer).await.data;
        assert_eq!(told, event(json!({"event": "calling"})));
    }

    /// The call that rings; its offer.
    pub(super) async fn rung(&mut self, by: &User) -> Jsep {
        let told = self.hears("incomingcall").await;
        assert_eq!(told["plugindata"]["data"]["result"]["username"], by.name.as_str(), "{told}");
        assert!(told.get("transaction").is_none(), "{told}");
        let jsep = Jsep::read(&told["jsep"]).expect("an offer");
        assert_eq!(jsep.kind, "offer");
        jsep
    }

    /// Accepts the call of `caller`, who takes the answer.
    pub(super) async fn pick_up(&mut self, caller: &mut User) {
        let offer = self.rung(caller).await;
        let answer = self.peer.accept_offer(&one_mid(&offer.sdp)).await.expect("an answer");
        self.mids.clone_from(&caller.mids);
        let told = self.ask_with(json!({"request": "accept"}), Some(Jsep::answer(answer))).await;
        assert_eq!(told.data, event(json!({"event": "accepted"})));
        let accepted = caller.hears("accepted").await;
        let data = &accepted["plugindata"]["data"];
        assert_eq!(*data, event(json!({"event": "accepted", "username": self.name})));
        let answer = Jsep::read(&accepted["jsep"]).expect("an answer");
        assert_eq!(answer.kind, "answer");
        caller.peer.accept_answer(&one_mid(&answer.sdp)).await.expect("it fits");
    }

    /// The next event of the plugin with this `event` in its result.
    pub(super) async fn hears(&mut self, kind: &str) -> Value {
        let fits = |message: &Value| message["plugindata"]["data"]["result"]["event"] == kind;
        self.handle.event_where(kind, fits).await.expect(kind)
    }

    /// Hears that the call is over: who ended it, and why.
    pub(super) async fn hears_hangup(&mut self, by: &str, reason: &str) {
        let fits = |message: &Value| {
            let result = &message["plugindata"]["data"]["result"];
            result["event"] == "hangup" && result["username"] == by && result["reason"] == reason
        };
        self.handle.event_where(reason, fits).await.expect(reason);
    }

    /// Nothing more of the plugin has come by the time that it answers.
    pub(super) async fn has_heard_all(&mut self) {
        self.ask(json!({"request": "list"})).await;
        let more = self.handle.take_events();
        assert_eq!(more.iter().find(|event| event["janus"] == "event"), None);
    }

    /// Its PeerConnection is closed by the server.
    pub(super) async fn loses_its_connection(&mut self) {
        self.handle.event_of("hangup").await.expect("a hangup of the core");
    }

    /// Ends its handle.
    pub(super) async fn leaves(&mut self) {
        self.handle.detach().await.expect("detached");
    }

    /// A new handle in the same session.
    pub(super) async fn comes_back(&mut self) {
        self.handle = self.session.attach(PLUGIN).await.expect("attaches");
    }

    /// Sends audio and video on its two lines.
    pub(super) async fn talks(&self) {
        for (mid, shape) in self.mids.iter().zip([Shape::audio(), Shape::video(200_000)]) {
            self.peer.send(mid, None, shape).await.expect("sends");
        }
    }

    /// Waits until its line `index` got so many packets more than now.
    pub(super) async fn gets(&self, index: usize, more: u64) -> Stats {
        let have = self.received(index).await.packets;
        let mid = self.mids[index].clone();
        let wanted =
            move |stats: &Stats| stats.from_mid(&mid).is_some_and(|got| got.packets >= have + more);
        self.peer.until("packets", PATIENCE, wanted).await.expect("packets")
    }

    /// What came on its line `index` so far.
    pub(super) async fn received(&self, index: usize) -> Received {
        let stats = self.peer.stats().await.expect("counts");
        stats.from_mid(&self.mids[index]).cloned().unwrap_or_default()
    }

    /// Packets on its line `index` within a second, what was under way at its start not counted.
    pub(super) async fn packets_within_a_second(&self, index: usize) -> u64 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before = self.received(index).await.packets;
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.received(index).await.packets - before
    }
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
