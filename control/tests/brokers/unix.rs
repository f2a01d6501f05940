//! Unix sockets, transports-auth §7, through sockets of the test's own.

use crate::client::{Client, SILENCE, Wire};
use crate::room::whole_life;
use crate::server::{Folder, run, run_paused, start};
use bifrons_control::dispatch::CoreSettings;
use bifrons_control::transport::Front;
use bifrons_control::transport::unix::{Door, Kind, MAX_PACKET, Place, UnixSockets};
use bifrons_core::api::Style;
use serde_json::json;
use socket2::{Domain, SockAddr, Socket, Type};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::UnixDatagram;

/// One end of a Unix socket.
pub(crate) struct Packets(UnixDatagram);

impl Packets {
    /// Connects to a socket of packets.
    pub(crate) fn connect(path: &Path) -> Self {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).expect("a socket");
        socket.connect(&SockAddr::unix(path).expect("a path")).expect("connects");
        socket.set_nonblocking(true).expect("set");
        Packets(UnixDatagram::from_std(OwnedFd::from(socket).into()).expect("tokio takes it"))
    }

    /// Binds a path and sends to another one.
    fn bind(own: &Path, server: &Path) -> Self {
        let socket = UnixDatagram::bind(own).expect("binds");
        socket.connect(server).expect("connects");
        Packets(socket)
    }
}

impl Wire for Packets {
    async fn send(&mut self, message: &[u8]) {
        self.0.send(message).await.expect("sent");
    }

    async fn receive(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 256 << 10];
        let length = self.0.recv(&mut buffer).await.ok().filter(|length| *length > 0)?;
        buffer.truncate(length);
        Some(buffer)
    }
}

/// A server with one socket for each API.
struct Unix {
    folder: Folder,
    front: Rc<Front>,
    sockets: Rc<UnixSockets>,
}

impl Unix {
    fn start(kind: Kind, settings: CoreSettings) -> Self {
        let folder = Folder::new();
        let front = start(settings);
        let door = |name, admin| Door { at: Place::Path(folder.path(name)), kind, admin };
        let doors = vec![door("api", false), door("admin", true)];
        let sockets = UnixSockets::start(&front, doors, Style::Compact).expect("binds");
        Unix { folder, front, sockets }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    fn packets(&self) -> Client<Packets> {
        Client::new(Packets::connect(&self.at("api")))
    }

    fn datagrams(&self, own: &str) -> Client<Packets> {
        Client::new(Packets::bind(&self.at(own), &self.at("api")))
    }
}

fn reclaiming() -> CoreSettings {
    CoreSettings { reclaim_timeout: Duration::from_secs(10), ..CoreSettings::default() }
}

#[test]
fn transports_auth_39_a_closed_connection_ends_its_sessions() {
    run(async {
        let unix = Unix::start(Kind::SeqPacket, CoreSettings::default());
        let (mut first, mut second) = (unix.packets(), unix.packets());
        let (gone, kept) = (first.create().await, second.create().await);
        assert!(second.knows(gone).await, "any connection may drive it");
        drop(first);
        while second.knows(gone).await {
            tokio::task::yield_now().await;
        }
        assert!(second.knows(kept).await);
    });
}

#[test]
fn transports_auth_39_a_closed_connection_leaves_sessions_to_be_claimed() {
    run(async {
        let unix = Unix::start(Kind::SeqPacket, reclaiming());
        let (mut first, mut second) = (unix.packets(), unix.packets());
        let session = first.create().await;
        drop(first);
        let open =
            || unix.front.transports()[0].connections().expect("counted")["connections"] == 1;
        while !open() {
            tokio::task::yield_now().await;
        }
        let claim = second.ask(json!({"janus": "claim", "session_id": session})).await;
        assert_eq!(claim["janus"], "success", "{claim}");
    });
}

#[test]
fn transports_auth_39_a_datagram_client_that_goes_ends_nothing() {
    run(async {
        let unix = Unix::start(Kind::Datagram, CoreSettings::default());
        let mut first = unix.datagrams("first");
        let session = first.create().await;
        drop(first);
        std::fs::remove_file(unix.at("first")).expect("removed");
        let mut second = unix.datagrams("second");
        assert!(second.knows(session).await);
        // Whoever binds the path again is the same client.
        let mut again = unix.datagrams("first");
        let handle = again.attach(session, "janus.plugin.echotest").await;
        let body = json!({"audio": true});
        assert_eq!(second.message((session, handle), body).await["janus"], "ack");
        let event = again.until("the event", |message| message["janus"] == "event").await;
        assert_eq!(event["plugindata"]["data"]["result"], "ok");
    });
}

#[test]
fn a_room_lives_over_packets_and_over_datagrams() {
    run(async {
        let unix = Unix::start(Kind::SeqPacket, CoreSettings::default());
        whole_life(&mut unix.packets()).await;
        let unix = Unix::start(Kind::Datagram, CoreSettings::default());
        whole_life(&mut unix.datagrams("client")).await;
    });
}

#[test]
fn transports_auth_61_two_values_in_one_packet_give_454() {
    run(async {
        let unix = Unix::start(Kind::SeqPacket, CoreSettings::default());
        let mut client = unix.packets();
        let two = br#"{"janus":"create","transaction":"1"}{"janus":"create","transaction":"2"}"#;
        for bad in [&two[..], b"{\"janus\":", b"\"ping\"", b"{\"janus\":\"\xc3\x28\"}", b"\0\x01"] {
            let reply = client.ask_raw(bad).await;
            assert_eq!(reply["error"]["code"], 454, "{reply}");
            let text = reply["error"]["reason"].as_str().expect("a reason");
            assert!(text.starts_with("Invalid Janus API request - <buffer>"), "{text}");
        }
        assert_eq!(client.ask_raw(b"[]").await["error"]["code"], 456);
        assert_eq!(client.next_within(SILENCE).await, None, "one answer each, no session");
        client.ping().await;
    });
}

#[test]
fn transports_auth_69_8192_bytes_are_taken_and_what_is_too_long_is_dropped() {
    run(async {
        for kind in [Kind::SeqPacket, Kind::Datagram] {
            let unix = Unix::start(kind, CoreSettings::default());
            let mut client = match kind {
                Kind::SeqPacket => unix.packets(),
                Kind::Datagram => unix.datagrams("client"),
            };
            let ping = |length: usize| {
                let frame = json!({"janus": "ping", "transaction": ""}).to_string().len();
                json!({"janus": "ping", "transaction": "x".repeat(length - frame)}).to_string()
            };
            for length in [8192, MAX_PACKET] {
                let pong = client.ask_raw(ping(length).as_bytes()).await;
                assert_eq!(pong["janus"], "pong", "{kind:?} {length}");
            }
            client.wire.send(ping(MAX_PACKET + 1).as_bytes()).await;
            client.ping().await;
            assert_eq!(unix.sockets.counters().oversized, 1);
            assert_eq!(client.next_within(SILENCE).await, None, "no answer to it");
        }
    });
}

#[test]
fn unbound_datagrams_are_dropped_and_counted() {
    run(async {
        let unix = Unix::start(Kind::Datagram, CoreSettings::default());
        let nameless = UnixDatagram::unbound().expect("a socket");
        nameless
            .send_to(br#"{"janus":"create","transaction":"c"}"#, unix.at("api"))
            .await
            .expect("sent");
        unix.datagrams("client").ping().await;
        assert_eq!(unix.sockets.counters().nameless, 1);
        assert!(unix.front.with(|core, _| core.sessions().is_empty()));
    });
}

#[test]
fn a_session_timeout_closes_the_connection_after_its_event() {
    run_paused(async {
        let unix = Unix::start(Kind::SeqPacket, CoreSettings::default());
        let mut client = unix.packets();
        let session = client.create().await;
        let event = client.next_within(Duration::from_secs(70)).await.expect("timeout");
        assert_eq!(event, json!({"janus": "timeout", "session_id": session}));
        assert_eq!(client.wire.receive().await, None, "closed");
        let unix = Unix::start(Kind::Datagram, CoreSettings::default());
        let mut client = unix.datagrams("client");
        client.create().await;
        let open =
            || unix.front.transports()[0].connections().expect("counted")["connections"].clone();
        assert_eq!(open(), 1);
        let event = client.next_within(Duration::from_secs(70)).await.expect("timeout");
        assert_eq!(event["janus"], "timeout");
        while open() != 0 {
            tokio::task::yield_now().await;
        }
        client.ping().await;
    });
}

#[test]
fn the_two_apis_do_not_share_a_socket() {
    run(async {
        for kind in [Kind::SeqPacket, Kind::Datagram] {
            let unix = Unix::start(kind, CoreSettings::default());
            let mut admin = Client::new(match kind {
                Kind::SeqPacket => Packets::connect(&unix.at("admin")),
                Kind::Datagram => Packets::bind(&unix.at("operator"), &unix.at("admin")),
            });
            assert_eq!(admin.ask(json!({"janus": "create"})).await["janus"], "admin");
            assert!(unix.front.with(|core, _| core.sessions().is_empty()));
            assert_eq!(admin.ask_raw(b"{").await["error"]["code"], 454);
        }
    });
}

#[test]
fn a_client_that_does_not_read_hurts_nobody_else() {
    run(async {
        let unix = Unix::start(Kind::SeqPacket, CoreSettings::default());
        let deaf = unix.packets();
        let info = json!({"janus": "info", "transaction": "i"}).to_string();
        let asked = async {
            // Once it is closed, sending fails.
            while deaf.wire.0.send(info.as_bytes()).await.is_ok() {}
        };
        let mut other = unix.packets();
        let others = async {
            for _ in 0..100 {
                other.ping().await;
            }
        };
        // Nothing is read from one that takes nothing: its own queue fills, nobody else's.
        tokio::join!(tokio::time::timeout(Duration::from_secs(1), asked), others).1;
        other.ping().await;
    });
}

#[test]
fn a_socket_left_behind_is_replaced_and_a_file_is_not() {
    run(async {
        let folder = Folder::new();
        let path = folder.path("api");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("left behind"));
        let door = Door { at: Place::Path(path.clone()), kind: Kind::SeqPacket, admin: false };
        let front = start(CoreSettings::default());
        let sockets =
            UnixSockets::start(&front, vec![door.clone()], Style::Compact).expect("binds");
        Client::new(Packets::connect(&path)).ping().await;
        bifrons_control::transport::Transport::stop(&*sockets);
        assert!(!path.exists(), "removed at the end");
        std::fs::write(&path, "somebody's").expect("written");
        assert!(UnixSockets::start(&front, vec![door], Style::Compact).is_err());
        assert_eq!(std::fs::read(&path).expect("still there"), b"somebody's");
    });
}

/// A client over a socket that is put beside the transports a server has already.
pub(crate) fn beside(front: &Rc<Front>, folder: &Folder) -> Client<impl Wire + use<>> {
    let path = folder.path("beside");
    let door = Door { at: Place::Path(path.clone()), kind: Kind::SeqPacket, admin: false };
    UnixSockets::start(front, vec![door], Style::Compact).expect("binds");
    Client::new(Packets::connect(&path))
}
