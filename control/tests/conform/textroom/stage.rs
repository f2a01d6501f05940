//! A server with chat rooms, and those who chat.

use crate::mute;
use crate::program::{Program, local_ip, session};
use bifrons_loadtest::janus::{Answer, Handle, Jsep, Session};
use bifrons_loadtest::peer::{Message, Peer, PeerConfig};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::task::LocalSet;

/// How long anything may take; the build under test may be a slow one on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How long to listen for what must not come.
const SILENCE: Duration = Duration::from_millis(500);

const PLUGIN: &str = "janus.plugin.textroom";

/// The label that browsers' library and server agree on.
pub(super) const LABEL: &str = "JanusDataChannel";

/// Runs a test on the real clock: sockets and another process do not wait for a paused one.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let limited = async { tokio::time::timeout(Duration::from_secs(90), test).await };
    LocalSet::new().block_on(&runtime.expect("a runtime"), limited).expect("in time");
}

/// A server, and a handle to manage rooms with.
pub(super) struct Stage {
    pub(super) program: Option<Program>,
    url: String,
    session: Session,
    keeper: Handle,
}

impl Stage {
    pub(super) async fn set() -> Self {
        let (program, url) = server().await;
        let session = session(&url, PATIENCE).await;
        let keeper = session.attach(PLUGIN).await.expect("attaches");
        Stage { program, url, session, keeper }
    }

    /// A server with a room of these settings; its id.
    pub(super) async fn with_room(settings: Value) -> (Self, Value) {
        let mut stage = Self::set().await;
        let room = stage.create(settings).await;
        (stage, room)
    }

    /// A new room's id.
    pub(super) async fn create(&mut self, mut settings: Value) -> Value {
        settings["request"] = json!("create");
        let made = self.manage(settings).await;
        assert_eq!(made["textroom"], "created", "{made}");
        made["room"].clone()
    }

    /// A synchronous request over the Janus API.
    pub(super) async fn manage(&mut self, body: Value) -> Value {
        self.keeper.ask(body, None).await.expect("a reply").data
    }

    pub(super) async fn attach(&self) -> Handle {
        self.session.attach(PLUGIN).await.expect("attaches")
    }

    /// Somebody with an open channel.
    pub(super) async fn guest(&self) -> Guest {
        Guest::connect(self.attach().await).await
    }

    /// Somebody in a room.
    pub(super) async fn member(&self, room: &Value, name: &str) -> Guest {
        let mut guest = self.guest().await;
        let (_, reply) =
            guest.ask(json!({"textroom": "join", "room": room, "username": name})).await;
        assert_eq!(reply["textroom"], "success", "{reply}");
        guest
    }

    /// Ends the program without a warning, and starts it again with what it has on disk. False if
    /// it is somebody else's.
    pub(super) async fn start_again(&mut self) -> bool {
        let Some(program) = &mut self.program else { return false };
        program.start_again();
        self.session = session(&self.url, PATIENCE).await;
        self.keeper = self.session.attach(PLUGIN).await.expect("attaches");
        true
    }
}

/// Somebody with a PeerConnection.
pub(super) struct Guest {
    pub(super) handle: Handle,
    peer: Peer,
    came: VecDeque<Message>,
    asked: u32,
}

/// The answer to a request that ends well.
pub(super) fn ok(answer: &Answer) {
    assert_eq!(answer.data, json!({"textroom": "event", "result": "ok"}));
}

/// The offer that `setup` is answered with.
pub(super) async fn set_up(handle: &mut Handle) -> String {
    let answer = handle.ask(json!({"request": "setup"}), None).await.expect("an answer");
    ok(&answer);
    answer.jsep.expect("an offer").sdp
}

impl Guest {
    pub(super) async fn connect(mut handle: Handle) -> Self {
        let offer = set_up(&mut handle).await;
        let peer = Peer::bind(PeerConfig::new(local_ip())).await.expect("a peer");
        let answer = peer.accept_offer(&offer).await.expect("an answer");
        peer.with(|engine| engine.open_channel(LABEL)).await.expect("a peer");
        let acked = handle.ask(json!({"request": "ack"}), Some(Jsep::answer(answer))).await;
        ok(&acked.expect("an answer"));
        peer.connected(PATIENCE).await.expect("connects");
        handle.event_of("webrtcup").await.expect("it is told");
        let open = |stats: &bifrons_loadtest::peer::Stats| !stats.channels.is_empty();
        peer.until("an open channel", PATIENCE, open).await.expect("open");
        Guest { handle, peer, came: VecDeque::new(), asked: 0 }
    }

    /// Sends a text as it is.
    pub(super) async fn say_raw(&self, text: &str) {
        self.peer.say(LABEL, false, text.as_bytes()).await.expect("said");
    }

    /// The next object that comes.
    pub(super) async fn hear(&mut self) -> Value {
        if self.came.is_empty() {
            let some = |stats: &bifrons_loadtest::peer::Stats| !stats.messages.is_empty();
            self.peer.until("a message", PATIENCE, some).await.expect("a message");
            self.came.extend(self.peer.take_messages().await.expect("a peer"));
        }
        let message = self.came.pop_front().expect("a message");
        assert_eq!((message.label.as_str(), message.binary), (LABEL, false));
        serde_json::from_slice(&message.bytes).expect("one JSON value")
    }

    /// The next object of this kind; those before it are let go.
    pub(super) async fn hear_of(&mut self, kind: &str) -> Value {
        loop {
            let heard = self.hear().await;
            if heard["textroom"] == kind {
                return heard;
            }
        }
    }

    /// Nothing comes for a while.
    pub(super) async fn hears_nothing(&mut self) {
        tokio::time::sleep(SILENCE).await;
        self.came.extend(self.peer.take_messages().await.expect("a peer"));
        assert_eq!(self.came, [] as [Message; 0]);
    }

    /// Sends a request; what comes before its reply, and the reply.
    pub(super) async fn ask(&mut self, mut body: Value) -> (Vec<Value>, Value) {
        self.asked += 1;
        let transaction = format!("t{}", self.asked);
        body["transaction"] = json!(transaction);
        self.say_raw(&body.to_string()).await;
        let mut before = Vec::new();
        loop {
            let heard = self.hear().await;
            if heard["transaction"] == transaction.as_str() {
                return (before, heard);
            }
            before.push(heard);
        }
    }

    /// Sends a request that is refused; the code.
    pub(super) async fn refused(&mut self, body: Value) -> i64 {
        let (_, reply) = self.ask(body).await;
        assert_eq!(reply["textroom"], "error", "{reply}");
        assert!(reply["error"].is_string(), "{reply}");
        reply["error_code"].as_i64().expect("a code")
    }

    /// Sends a request that is agreed to; what comes before the reply.
    pub(super) async fn does(&mut self, body: Value) -> Vec<Value> {
        let (before, reply) = self.ask(body).await;
        assert_eq!(reply["textroom"], "success", "{reply}");
        before
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
