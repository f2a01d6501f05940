//! WebSockets, transports-auth §3.

use crate::client::{Ws, code_of, error_of};
use crate::target::{Setup, Target, run, run_paused};
use bifrons_control::dispatch::CoreSettings;
use bifrons_control::transport::{Bind, Cors, Gate, websocket};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

const PROTOCOL: (&str, &str) = ("Sec-WebSocket-Protocol", "janus-protocol");

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn transports_auth_22_a_foreign_origin_is_refused() {
    run(async {
        let cors = Cors { allow_origin: Some("http://good.example".to_owned()), enforce: true };
        let websocket = websocket::Settings { cors, ..websocket::Settings::default() };
        let Some(target) = Target::with(Setup { websocket, ..Setup::default() }).await else {
            return;
        };
        let connect = |origin: &'static str| {
            let address = target.ws_address().to_owned();
            async move { Ws::connect(&address, "/", &[PROTOCOL, ("Origin", origin)]).await }
        };
        assert!(connect("http://bad.example").await.is_err());
        let good = connect("http://good.example").await.expect("accepted");
        let allowed = good.response.headers().get("access-control-allow-origin");
        assert_eq!(allowed.and_then(|value| value.to_str().ok()), Some("http://good.example"));
    });
}

#[test]
fn transports_auth_24_the_subprotocol_decides() {
    run(async {
        let Some(target) = Target::with(Setup { admin: true, ..Setup::default() }).await else {
            return;
        };
        assert!(Ws::connect(target.ws_address(), "/", &[]).await.is_err());
        let other = ("Sec-WebSocket-Protocol", "chat");
        assert!(Ws::connect(target.ws_address(), "/", &[other]).await.is_err());
        assert!(Ws::connect(&target.admin_ws, "/", &[PROTOCOL]).await.is_err());
        let admin = ("Sec-WebSocket-Protocol", "janus-admin-protocol");
        let mut admin = Ws::connect(&target.admin_ws, "/", &[admin]).await.expect("accepted");
        assert_eq!(code_of(&admin.ask(json!({"janus": "keepalive"})).await), 457);
        let ws = target.ws().await;
        let echoed = ws.response.headers().get("sec-websocket-protocol");
        assert_eq!(echoed.and_then(|value| value.to_str().ok()), Some("janus-protocol"));
        let mut plain = TcpStream::connect(target.ws_address()).await.expect("connects");
        crate::client::send_request(&mut plain, "GET", "/", &[], "").await;
        let answer = crate::client::read_response(&mut plain, false).await;
        assert_eq!(answer.map(|answer| answer.status), Some(403));
    });
}

#[test]
fn transports_auth_25_any_path_works() {
    run(async {
        let target = Target::start().await;
        let ws = Ws::connect(target.ws_address(), "/any/path?x=1", &[PROTOCOL]).await;
        let pong = ws.expect("accepted").ask(json!({"janus": "ping"})).await;
        assert_eq!(pong["janus"], "pong");
    });
}

#[test]
fn transports_auth_26_two_objects_get_two_answers() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let two = "{\"janus\":\"ping\",\"transaction\":\"1\"} \n{\"janus\":\"ping\",\"transaction\":\"2\"}";
        ws.send_text(two).await;
        for transaction in ["1", "2"] {
            let want = json!({"janus": "pong", "transaction": transaction});
            assert_eq!(ws.next().await, want);
        }
    });
}

#[test]
fn transports_auth_27_a_broken_part_spoils_the_message() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let reply = ws
            .ask_raw("{\"janus\":\"create\",\"transaction\":\"c\",\"id\":31415}{\"janus\":")
            .await;
        assert_eq!(code_of(&reply), 454);
        assert!(error_of(&reply).starts_with("454 Invalid Janus API request - <"), "{reply}");
        assert_eq!(code_of(&ws.ask(json!({"janus": "keepalive", "session_id": 31415})).await), 458);
        ws.no_event().await;
    });
}

#[test]
fn transports_auth_28_fragments_are_joined() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let parts = ["{\"janus\":\"pi", "ng\",\"transac", "tion\":\"f\"}"];
        for (index, part) in parts.iter().enumerate() {
            let code = if index == 0 { Data::Text } else { Data::Continue };
            let frame = Frame::message(*part, OpCode::Data(code), index == parts.len() - 1);
            ws.socket.send(Message::Frame(frame)).await.expect("sent");
        }
        assert_eq!(ws.next().await, json!({"janus": "pong", "transaction": "f"}));
        let long = "x".repeat(100_000);
        let pong = ws.ask(json!({"janus": "ping", "transaction": long})).await;
        assert_eq!(pong, json!({"janus": "pong", "transaction": long}), "100 KB arrive whole");
    });
}

#[test]
fn transports_auth_29_a_socket_carries_many_sessions_and_ends_them() {
    run(async {
        let target = Target::start().await;
        let (mut a, mut b) = (target.ws().await, target.ws().await);
        let (one, two) = (a.attached().await, a.attached().await);
        for at in [one, two] {
            let reply = a.on(at, json!({"janus": "message", "body": {"audio": true}})).await;
            assert_eq!(reply["janus"], "ack");
            assert_eq!(a.event().await["sender"], at.1);
        }
        a.socket.close(None).await.expect("closes");
        assert!(a.closes_within(seconds(2)).await);
        drop(a);
        for (session, _) in [one, two] {
            let ask = json!({"janus": "keepalive", "session_id": session});
            let mut reply = b.ask(ask.clone()).await;
            for _ in 0..50 {
                if reply["janus"] == "error" {
                    break;
                }
                reply = b.ask(ask.clone()).await;
            }
            assert_eq!(code_of(&reply), 458);
        }
    });
}

#[test]
fn transports_auth_30_a_closed_socket_leaves_its_sessions_to_be_claimed() {
    run_paused(async {
        let core = CoreSettings { reclaim_timeout: seconds(10), ..CoreSettings::default() };
        let Some(target) = Target::with(Setup { core, ..Setup::default() }).await else { return };
        let mut a = target.ws().await;
        let at = a.attached().await;
        a.socket.close(None).await.expect("closes");
        drop(a);
        tokio::time::sleep(seconds(5)).await;
        let mut b = target.ws().await;
        assert_eq!(b.ask(json!({"janus": "claim", "session_id": at.0})).await["janus"], "success");
        b.on(at, json!({"janus": "message", "body": {"audio": true}})).await;
        assert_eq!(b.event().await["janus"], "event");
    });
}

#[test]
fn transports_auth_31_after_a_claim_events_go_to_the_claimer() {
    run(async {
        let target = Target::start().await;
        let (mut a, mut b) = (target.ws().await, target.ws().await);
        let at = a.attached().await;
        assert_eq!(b.ask(json!({"janus": "claim", "session_id": at.0})).await["janus"], "success");
        b.on(at, json!({"janus": "detach"})).await;
        let mut event = b.event().await;
        while event["janus"] == "event" {
            // EchoTest 1.1.2 has a last word of its own.
            event = b.event().await;
        }
        assert_eq!(event["janus"], "detached");
        a.no_event().await;
    });
}

#[test]
fn transports_auth_32_replies_go_to_who_asked() {
    run(async {
        let target = Target::start().await;
        let (mut a, mut b) = (target.ws().await, target.ws().await);
        let at = a.attached().await;
        let reply = b.on(at, json!({"janus": "message", "body": {"audio": true}})).await;
        assert_eq!((&reply["janus"], &reply["session_id"]), (&json!("ack"), &json!(at.0)));
        assert_eq!(a.event().await["janus"], "event");
        b.no_event().await;
    });
}

#[test]
fn transports_auth_33_silence_brings_a_ping_and_then_the_end() {
    run_paused(async {
        let ping = Some((seconds(3), seconds(3)));
        let websocket = websocket::Settings { ping, ..websocket::Settings::default() };
        let Some(target) = Target::with(Setup { websocket, ..Setup::default() }).await else {
            return;
        };
        // A client that reads ends up answering pings: that keeps it alive.
        let mut alive = target.ws().await;
        assert_eq!(alive.next_within(seconds(20)).await, None);
        assert_eq!(alive.ask(json!({"janus": "ping"})).await["janus"], "pong");
        // One that does not is given up, without a close frame.
        let start = tokio::time::Instant::now();
        let ws = target.ws().await;
        let mut raw = ws.socket.into_inner();
        let mut bytes = Vec::new();
        raw.read_to_end(&mut bytes).await.expect("closed");
        assert_eq!(bytes, [0x89, 0], "one ping and nothing more");
        assert_eq!(start.elapsed().as_secs(), 6);
    });
}

#[test]
fn transports_auth_34_a_timeout_leaves_the_socket_open() {
    run_paused(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut ws = target.ws().await;
        ws.create().await;
        assert_eq!(ws.event_within(seconds(70)).await.expect("an event")["janus"], "timeout");
        assert_eq!(ws.ask(json!({"janus": "ping"})).await["janus"], "pong");
    });
}

#[test]
fn transports_auth_60_odd_messages() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        let ping = r#"{"janus":"ping","transaction":"b"}"#;
        ws.socket.send(Message::binary(ping.as_bytes())).await.expect("sent");
        assert_eq!(ws.next().await, json!({"janus": "pong", "transaction": "b"}));
        assert_eq!(code_of(&ws.ask_raw("[]").await), 456);
        for odd in ["\"text\"", "5", "null", ""] {
            assert_eq!(code_of(&ws.ask_raw(odd).await), 454, "{odd}");
        }
    });
}

#[test]
fn transports_auth_61_two_values_are_fine_here_only() {
    run(async {
        let target = Target::start().await;
        let two = r#"{"janus":"ping","transaction":"1"}{"janus":"ping","transaction":"2"}"#;
        let mut ws = target.ws().await;
        assert_eq!(ws.ask_raw(two).await["janus"], "pong");
        assert_eq!(ws.next().await["janus"], "pong");
        assert_eq!(code_of(&target.http().post_text("", two).await.json()), 454);
    });
}

#[test]
fn transports_auth_63_the_forwarded_address_counts_too() {
    run(async {
        let gate =
            Gate { prefixes: vec!["127.".to_owned(), "192.168.".to_owned()], forwarded: true };
        let Some(target) = Target::with(Setup { gate, ..Setup::default() }).await else { return };
        let connect = |forwarded: &'static str| {
            let address = target.ws_address().to_owned();
            async move { Ws::connect(&address, "/", &[PROTOCOL, ("X-Forwarded-For", forwarded)]).await }
        };
        assert!(connect("203.0.113.5, 192.168.1.1").await.is_err());
        assert!(connect("192.168.1.1, 203.0.113.5").await.is_ok());
        target.ws().await;
        let post = |forwarded: &'static str| {
            let (http, body) = (target.http(), r#"{"janus":"ping","transaction":"x"}"#);
            async move { http.call("POST", "/janus", &[("X-Forwarded-For", forwarded)], body).await }
        };
        assert!(post("203.0.113.5, 192.168.1.1").await.is_none(), "dropped without a response");
        assert_eq!(post("192.168.1.1").await.expect("an answer").json()["janus"], "pong");
    });
}

#[test]
fn a_client_that_does_not_read_is_closed_and_counted() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let (mut slow, mut other) = (target.ws().await, target.ws().await);
        let at = slow.attached().await;
        // Events for the slow one, caused by the other: in time they exceed what may wait.
        let long = "x".repeat(1 << 19);
        let ask = json!({"janus": "message", "transaction": long, "session_id": at.0,
            "handle_id": at.1, "body": {"audio": true}});
        for _ in 0..60 {
            other.send_text(&ask.to_string()).await;
            assert!(matches!(other.next().await["janus"].as_str(), Some("ack" | "error")));
        }
        let gone = json!({"janus": "keepalive", "session_id": at.0});
        assert_eq!(code_of(&other.ask(gone).await), 458, "its sessions went with it");
        while let Some(Ok(_)) = slow.socket.next().await {}
    });
}

#[test]
fn pings_are_answered() {
    run(async {
        let target = Target::start().await;
        let mut ws = target.ws().await;
        assert_eq!(ws.ask(json!({"janus": "ping"})).await["janus"], "pong");
        ws.socket.send(Message::Ping("beat".into())).await.expect("sent");
        let pong = tokio::time::timeout(seconds(2), ws.socket.next()).await.expect("in time");
        assert_eq!(pong.expect("open").expect("sound"), Message::Pong("beat".into()));
    });
}

#[test]
fn a_path_can_be_listened_at() {
    run(async {
        let path = std::env::temp_dir().join(format!("bifrons-ws-{}", std::process::id()));
        let door = websocket::Door {
            bind: Bind::Unix(path.clone()),
            gate: Gate::default(),
            admin: false,
            tls: None,
        };
        let websocket = websocket::Settings { doors: vec![door], ..websocket::Settings::default() };
        let Some(_target) = Target::with(Setup { websocket, ..Setup::default() }).await else {
            return;
        };
        let stream = tokio::net::UnixStream::connect(&path).await.expect("connects");
        std::fs::remove_file(&path).expect("is there");
        let mut request = "ws://localhost/".into_client_request().expect("a request");
        request.headers_mut().insert(PROTOCOL.0, PROTOCOL.1.parse().expect("a value"));
        let (mut socket, _) =
            tokio_tungstenite::client_async(request, stream).await.expect("accepted");
        let ping = r#"{"janus":"ping","transaction":"u"}"#;
        socket.send(Message::text(ping)).await.expect("sent");
        let pong = socket.next().await.expect("open").expect("sound");
        assert_eq!(pong, Message::text(r#"{"janus":"pong","transaction":"u"}"#));
    });
}
