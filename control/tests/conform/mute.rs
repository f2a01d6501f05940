//! A server that accepts everything and answers `success` to whatever it is asked.
//!
//! So that a test gets as far as what it is about, sessions and handles are handed out (always the
//! same ones), a room may be made and joined, and whatever else is said to a plugin comes back as an
//! empty answer, in an event where a plugin would take its time. Nothing else is ever said, refused,
//! remembered or closed.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// Starts it; the ports of WebSockets and HTTP.
pub(crate) async fn start() -> (u16, u16) {
    let ws = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let http = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    let ports = (port(&ws), port(&http));
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = ws.accept().await {
            tokio::task::spawn_local(serve_ws(stream));
        }
    });
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = http.accept().await {
            tokio::task::spawn_local(serve_http(stream));
        }
    });
    ports
}

/// The one session, the handles of EchoTest and of all others, and the one member of a room.
const SESSION: u64 = 77;
const ECHOTEST: u64 = 78;
const OTHERS: u64 = 79;
const MEMBER: u64 = 80;

/// Requests of VideoRoom and Streaming that are answered by an event.
const LATER: [&str; 13] = [
    "watch",
    "join",
    "joinandconfigure",
    "configure",
    "publish",
    "unpublish",
    "start",
    "pause",
    "switch",
    "leave",
    "subscribe",
    "unsubscribe",
    "update",
];

/// The id that a request is given, if it asks for one.
fn given(request: &Value) -> Option<u64> {
    let wanted = request["id"].as_u64().filter(|id| *id > 0);
    match (request["janus"].as_str()?, request["plugin"].as_str()) {
        ("create", _) => Some(wanted.unwrap_or(SESSION)),
        ("attach", Some("janus.plugin.echotest")) => Some(ECHOTEST),
        ("attach", _) => Some(OTHERS),
        _ => None,
    }
}

/// What a plugin would say: that the wanted room is made or joined, and nothing otherwise.
fn data(body: &Value) -> Value {
    match (body["request"].as_str(), body["ptype"].as_str()) {
        (Some("create"), _) if body["type"].is_string() => {
            let media = body["media"].as_array().map_or(0, Vec::len);
            let ports = vec![json!({"port": 9, "rtcp_port": 9}); media];
            json!({"streaming": "created", "stream": {"id": body["id"], "ports": ports}})
        }
        (Some("create"), _) => json!({"videoroom": "created", "room": body["room"]}),
        (Some("join"), Some("publisher")) => {
            json!({"videoroom": "joined", "room": body["room"], "id": MEMBER})
        }
        _ => json!({}),
    }
}

/// What is said to a text, one after the other; `path` names a handle over HTTP.
fn answers(text: &str, path: Option<&str>) -> Vec<Value> {
    let request: Value = serde_json::from_str(text).unwrap_or_default();
    let said = |janus: &str| {
        let mut answer = json!({"janus": janus});
        if let Some(transaction) = request.get("transaction") {
            answer["transaction"] = transaction.clone();
        }
        answer
    };
    let mut answer = said("success");
    if let Some(id) = given(&request) {
        answer["data"] = json!({"id": id});
        return vec![answer];
    }
    if request["janus"] != "message" {
        return vec![answer];
    }
    let in_path = path.and_then(|path| path.split('/').nth(3)?.parse().ok());
    let handle = in_path.or(request["handle_id"].as_u64());
    let later = handle == Some(ECHOTEST)
        || request["body"]["request"].as_str().is_some_and(|word| LATER.contains(&word));
    let later = later && path.is_none();
    if later {
        answer = said("event");
    }
    answer["sender"] = json!(handle);
    answer["plugindata"] = json!({"data": data(&request["body"])});
    if later { vec![said("ack"), answer] } else { vec![answer] }
}

#[allow(clippy::result_large_err)]
async fn serve_ws(stream: TcpStream) {
    let echo = |request: &Request, mut response: Response| {
        if let Some(wanted) = request.headers().get("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", wanted.clone());
        }
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, echo).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let text = match &message {
            Message::Text(text) => text.as_str(),
            Message::Binary(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
            _ => continue,
        };
        for answer in answers(text, None) {
            if socket.send(Message::text(answer.to_string())).await.is_err() {
                return;
            }
        }
    }
}

async fn serve_http(mut stream: TcpStream) {
    let mut received = Vec::new();
    let mut chunk = [0u8; 4096];
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        received.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&received).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let path = head.split(' ').nth(1).unwrap_or_default();
        let body: String = answers(body, Some(path)).iter().map(Value::to_string).collect();
        let kind = "Content-Type: application/json";
        let len = body.len();
        let head = format!("HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {len}\r\n\r\n{body}");
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        received.clear();
    }
}
