//! Nanomsg, transports-auth §6, against nanomsg's own `nanocat`, and nng where a test needs to
//! listen at leisure.

use crate::client::{Client, SILENCE, Wire};
use crate::room::whole_life;
use crate::server::{Folder, run, start};
use bifrons_control::dispatch::CoreSettings;
use bifrons_control::transport::nanomsg::NanomsgPairs;
use bifrons_control::transport::{Front, MAX_REQUEST};
use bifrons_core::api::Style;
use bifrons_core::config::NanomsgSettings;
use bifrons_core::config::transport::nanomsg::NanomsgMode;
use nng::options::{Options, RecvTimeout};
use nng::{Protocol, Socket};
use serde_json::{Value, json};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

/// A peer of nng's.
pub(crate) struct Peer(Socket);

impl Peer {
    pub(crate) fn dial(address: &str) -> Self {
        Self::try_dial(address).unwrap_or_else(|| panic!("nobody listens at {address}"))
    }

    /// `None` if nobody listens there in time. A path is there a moment before somebody does.
    pub(crate) fn try_dial(address: &str) -> Option<Self> {
        let socket = Socket::new(Protocol::Pair0).expect("a socket");
        socket.set_opt::<RecvTimeout>(Some(Duration::from_millis(20))).expect("set");
        let dialled = (0..100).any(|_| {
            let dialled = socket.dial(address).is_ok();
            if !dialled {
                std::thread::sleep(Duration::from_millis(100));
            }
            dialled
        });
        dialled.then_some(Peer(socket))
    }

    fn listen(address: &str) -> Self {
        let socket = Socket::new(Protocol::Pair0).expect("a socket");
        socket.set_opt::<RecvTimeout>(Some(Duration::from_millis(20))).expect("set");
        socket.listen(address).expect("listens");
        Peer(socket)
    }
}

impl Wire for Peer {
    async fn send(&mut self, message: &[u8]) {
        self.0.send(message).expect("sent");
    }

    async fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.0.recv() {
                Ok(message) => return Some(message.to_vec()),
                // The server lives on this thread: let it.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
}

struct Stage {
    folder: Folder,
    front: Rc<Front>,
    transport: Rc<NanomsgPairs>,
}

impl Stage {
    fn start() -> Self {
        let folder = Folder::new();
        let front = start(CoreSettings::default());
        let address = |name| Some(format!("ipc://{}", folder.path(name).display()));
        let mut settings = NanomsgSettings::default();
        (settings.general.enabled, settings.admin.enabled) = (true, true);
        (settings.general.address, settings.admin.address) = (address("api"), address("admin"));
        let transport = NanomsgPairs::start(&front, &settings, Style::Compact).expect("opens");
        Stage { folder, front, transport }
    }

    fn address(&self, name: &str) -> String {
        format!("ipc://{}", self.folder.path(name).display())
    }

    fn peer(&self) -> Client<Peer> {
        Client::new(Peer::dial(&self.address("api")))
    }

    /// Has nanocat send one request; what it is answered, in order.
    async fn nanocat(&self, request: Value) -> Vec<Value> {
        let (address, request) = (self.address("api"), request.to_string());
        let asked = tokio::task::spawn_blocking(move || {
            Command::new("nanocat")
                .args(["--pair", "--connect", &address, "--raw"])
                .args(["--recv-timeout", "1", "--data", &request])
                .output()
        });
        let output = asked.await.expect("ran").expect("nanocat of nanomsg-utils is installed");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let answers = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        answers.map(|answer| answer.expect("JSON")).collect()
    }
}

#[test]
fn transports_auth_40_nanocat_creates_attaches_and_sends_a_message() {
    run(async {
        let stage = Stage::start();
        let created = stage.nanocat(json!({"janus": "create", "transaction": "1"})).await;
        let session = created[0]["data"]["id"].as_u64().expect("a session");
        let attach = json!({"janus": "attach", "transaction": "2", "session_id": session,
            "plugin": "janus.plugin.echotest"});
        let handle = stage.nanocat(attach).await[0]["data"]["id"].as_u64().expect("a handle");
        let message = json!({"janus": "message", "transaction": "3", "session_id": session,
            "handle_id": handle, "body": {"audio": true}});
        let answers = stage.nanocat(message).await;
        let kinds: Vec<_> = answers.iter().map(|answer| answer["janus"].clone()).collect();
        assert_eq!(kinds, ["ack", "event"], "{answers:?}");
        assert_eq!(answers[1]["plugindata"]["data"]["result"], "ok");
    });
}

#[test]
fn a_room_lives_over_nanomsg_listening_or_calling() {
    run(async {
        let stage = Stage::start();
        whole_life(&mut stage.peer()).await;
        let folder = Folder::new();
        let address = format!("ipc://{}", folder.path("far").display());
        let mut settings = NanomsgSettings::default();
        settings.general.enabled = true;
        settings.general.mode = NanomsgMode::Connect;
        settings.general.address = Some(address.clone());
        let front = start(CoreSettings::default());
        let _transport = NanomsgPairs::start(&front, &settings, Style::Compact).expect("opens");
        // The far end may come later.
        tokio::time::sleep(SILENCE).await;
        whole_life(&mut Client::new(Peer::listen(&address))).await;
    });
}

#[test]
fn transports_auth_69_8192_bytes_and_more_are_taken() {
    run(async {
        let stage = Stage::start();
        let mut peer = stage.peer();
        let frame = json!({"janus": "ping", "transaction": ""}).to_string().len();
        for length in [8192, 8193, 200_000] {
            let transaction = "x".repeat(length - frame);
            let pong = peer.ask(json!({"janus": "ping", "transaction": transaction})).await;
            assert_eq!(pong["janus"], "pong", "{length}");
        }
        let reply = peer.ask_raw(&vec![b' '; MAX_REQUEST + 1]).await;
        assert_eq!(reply["error"]["code"], 454);
        assert_eq!(stage.transport.counters().oversized, 1);
    });
}

#[test]
fn what_is_no_request_gets_454_and_the_apis_stay_apart() {
    run(async {
        let stage = Stage::start();
        let mut peer = stage.peer();
        for bad in [&b"{\"janus\":"[..], b"", b"\xff", br#"{"janus":"ping"}{"janus":"ping"}"#] {
            assert_eq!(peer.ask_raw(bad).await["error"]["code"], 454);
        }
        let mut admin = Client::new(Peer::dial(&stage.address("admin")));
        assert_eq!(admin.ask(json!({"janus": "create"})).await["janus"], "admin");
        assert!(stage.front.with(|core, _| core.sessions().is_empty()));
        peer.ping().await;
    });
}

#[test]
fn a_peer_that_goes_is_not_noticed_and_the_next_one_goes_on() {
    run(async {
        let stage = Stage::start();
        let mut first = stage.peer();
        let session = first.create().await;
        drop(first);
        tokio::time::sleep(SILENCE).await;
        let mut second = stage.peer();
        assert!(second.knows(session).await);
    });
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    run(async {
        let stage = Stage::start();
        let mut settings = NanomsgSettings::default();
        settings.general.enabled = true;
        settings.general.address = Some(stage.address("api"));
        let front = start(CoreSettings::default());
        let error = NanomsgPairs::start(&front, &settings, Style::Compact).err().expect("taken");
        assert!(error.contains("api"), "{error}");
        settings.general.address = None;
        let error = NanomsgPairs::start(&front, &settings, Style::Compact).err().expect("missing");
        assert!(error.contains("address"), "{error}");
    });
}
