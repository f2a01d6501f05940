//! Bad input over real sockets: each is refused clearly and counted, and nobody else notices.

use crate::client::{Ws, code_of, error_of, read_response};
use crate::target::{Setup, Target, run};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

/// A client that was there before, and is served as ever.
struct Bystander {
    ws: Ws,
    session: u64,
}

impl Bystander {
    async fn arrive(target: &Target) -> Self {
        let mut ws = target.ws().await;
        let session = ws.create().await;
        Bystander { ws, session }
    }

    /// Asks for something, and has it in no time.
    async fn is_served(&mut self) {
        let begin = Instant::now();
        let reply = self.ws.ask(json!({"janus": "keepalive", "session_id": self.session})).await;
        assert_eq!(reply["janus"], "ack");
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    run(async {
        let target = Target::start().await;
        let http = target.http();
        let mut stream = TcpStream::connect(&http.address).await.expect("connects");
        let mut all = String::new();
        for n in 0..20 {
            let body = json!({"janus": "ping", "transaction": n.to_string()}).to_string();
            let (base, length) = (&http.base, body.len());
            all += &format!("POST {base} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
            all += &body;
        }
        stream.write_all(all.as_bytes()).await.expect("sent");
        let mut received = String::new();
        while received.matches('}').count() < 20 {
            let mut bytes = [0; 4096];
            let length = stream.read(&mut bytes).await.expect("reads");
            assert!(length > 0, "closed after {received}");
            received += &String::from_utf8_lossy(&bytes[..length]);
        }
        let order: Vec<usize> = (0..20)
            .map(|n| {
                let spaced = format!("\"transaction\": \"{n}\"");
                let found = received.find(&format!("\"transaction\":\"{n}\""));
                found.or_else(|| received.find(&spaced)).expect("answered")
            })
            .collect();
        assert!(order.is_sorted(), "{order:?}");
    });
}

#[test]
fn nesting_without_end_is_refused_and_some_nesting_is_not() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut bystander = Bystander::arrive(&target).await;
        let nested = |depth: usize| {
            let value = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
            format!("{{\"janus\":\"ping\",\"transaction\":\"d\",\"more\":{value}}}")
        };
        let mut ws = target.ws().await;
        assert_eq!(ws.ask_raw(&nested(50)).await["janus"], "pong");
        assert_eq!(target.http().post_text("", &nested(50)).await.json()["janus"], "pong");
        let before = target.front().malformed();
        for depth in [100, 10_000, 400_000] {
            assert_eq!(code_of(&ws.ask_raw(&nested(depth)).await), 454, "{depth}");
            assert_eq!(code_of(&target.http().post_text("", &nested(depth)).await.json()), 454);
        }
        assert_eq!(target.front().malformed(), before + 6);
        bystander.is_served().await;
    });
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut bystander = Bystander::arrive(&target).await;
        let mut bad = br#"{"janus":"ping","transaction":"x"}"#.to_vec();
        let at = bad.len() - 3;
        bad[at] = 0xff;
        let before = target.front().malformed();
        // In a binary frame it is a request that does not parse.
        let mut ws = target.ws().await;
        ws.socket.send(Message::binary(bad.clone())).await.expect("sent");
        assert_eq!(code_of(&ws.next().await), 454);
        // In a frame of text it breaks WebSocket's own rule (RFC 6455 §8.1).
        let frame = Frame::message(bad.clone(), OpCode::Data(Data::Text), true);
        ws.socket.send(Message::Frame(frame)).await.expect("sent");
        assert_eq!(closed_with(&mut ws).await, Some(CloseCode::Invalid));
        let mut stream = TcpStream::connect(&target.http().address).await.expect("connects");
        let head =
            format!("POST /janus HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", bad.len());
        stream.write_all(&[head.as_bytes(), &bad].concat()).await.expect("sent");
        let answer = read_response(&mut stream, false).await.expect("an answer").json();
        assert_eq!(code_of(&answer), 454);
        assert_eq!(target.front().malformed(), before + 3);
        bystander.is_served().await;
    });
}

/// The code of the close frame the server sends, if it sends one.
async fn closed_with(ws: &mut Ws) -> Option<CloseCode> {
    let close = async {
        loop {
            match ws.socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), close).await.expect("it ends")
}

#[test]
fn too_long_a_message_ends_its_websocket_and_says_why() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut bystander = Bystander::arrive(&target).await;
        let mut ws = target.ws().await;
        let before = target.front().malformed();
        let long = "x".repeat((1 << 20) + 1);
        // The server closes while we still send.
        let _ = ws.socket.send(Message::text(long)).await;
        assert_eq!(closed_with(&mut ws).await, Some(CloseCode::Size));
        assert_eq!(target.front().malformed(), before + 1);
        bystander.is_served().await;
    });
}

#[test]
fn what_is_no_protocol_at_all_is_cut_off() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut bystander = Bystander::arrive(&target).await;
        let noise: Vec<u8> = (0..4096_u32).map(|n| (n * 167 + (n >> 3)) as u8).collect();
        for address in [target.http().address.as_str(), target.ws_address()] {
            for length in [1, 100, 4096] {
                let mut stream = TcpStream::connect(address).await.expect("connects");
                let _ = stream.write_all(&noise[..length]).await;
                let _ = stream.shutdown().await;
                let mut answer = Vec::new();
                let ended = stream.read_to_end(&mut answer);
                let ended = tokio::time::timeout(Duration::from_secs(5), ended).await;
                assert!(ended.is_ok(), "{address} keeps {length} bytes of noise");
                assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
            }
        }
        bystander.is_served().await;
    });
}

#[test]
fn a_request_that_breaks_off_changes_nothing() {
    run(async {
        let Some(target) = Target::with(Setup::default()).await else { return };
        let mut bystander = Bystander::arrive(&target).await;
        let sessions = || target.front().with(|core, _| core.sessions().iter().count());
        let begun =
            "POST /janus HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{\"janus\":\"create\"";
        for cut in [10, 40, begun.len()] {
            let mut stream = TcpStream::connect(&target.http().address).await.expect("connects");
            stream.write_all(&begun.as_bytes()[..cut]).await.expect("sent");
        }
        let mut ws = target.ws().await;
        // The first half of a message, and then nobody.
        let half = Frame::message(b"{\"janus\":".to_vec(), OpCode::Data(Data::Text), false);
        ws.socket.send(Message::Frame(half)).await.expect("sent");
        drop(ws);
        bystander.is_served().await;
        assert_eq!(sessions(), 1, "the bystander's");
    });
}

#[test]
fn wrong_tokens_at_speed_are_refused_and_nobody_else_notices() {
    const MANY: usize = 3000;
    run(async {
        let setup = Setup { secret: Some("s3cret"), token_auth: true, ..Setup::default() };
        let Some(target) = Target::with(setup).await else { return };
        let mut friend = target.ws().await;
        let session = friend.create_with(json!({"apisecret": "s3cret"})).await;
        let before = target.front().with(|core, _| core.counters());
        let mut ws = target.ws().await;
        for n in 0..MANY {
            let token = format!("{n:x}");
            let guess = match n % 3 {
                0 => json!({"janus": "create", "transaction": "g", "token": token}),
                1 => json!({"janus": "create", "transaction": "g", "apisecret": token}),
                _ => json!({"janus": "attach", "transaction": "g", "session_id": session,
                    "plugin": "janus.plugin.echotest", "token": token}),
            };
            ws.send_text(&guess.to_string()).await;
            if n % 100 == 0 {
                let begin = Instant::now();
                let alive = json!({"janus": "keepalive", "session_id": session,
                    "apisecret": "s3cret"});
                assert_eq!(friend.ask(alive).await["janus"], "ack");
                assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
                // What was asked so far is answered, so that no queue but the server's counts.
                for _ in 0..if n == 0 { 1 } else { 100 } {
                    assert!(error_of(&ws.next().await).starts_with("403 "));
                }
            }
        }
        for _ in 0..(MANY - 1) % 100 {
            assert!(error_of(&ws.next().await).starts_with("403 "));
        }
        let after = target.front().with(|core, _| core.counters());
        assert_eq!(after.errors - before.errors, MANY as u64);
        assert_eq!(target.front().with(|core, _| core.sessions().iter().count()), 1);
    });
}
