//! A server that accepts everything and answers `success` to whatever it is asked.

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

fn answer(text: &str) -> String {
    let request: Value = serde_json::from_str(text).unwrap_or_default();
    let mut answer = json!({"janus": "success"});
    if let Some(transaction) = request.get("transaction") {
        answer["transaction"] = transaction.clone();
    }
    answer.to_string()
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
        if socket.send(Message::text(answer(text))).await.is_err() {
            return;
        }
    }
}

async fn serve_http(mut stream: TcpStream) {
    let mut received = Vec::new();
    let mut chunk = [0u8; 4096];
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        received.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&received).into_owned();
        let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
        let body = answer(body);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        received.clear();
    }
}
