//! Plain HTTP/1.1 by hand.

use crate::client::merged;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where an HTTP API is.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) address: String,
    pub(crate) base: String,
}

/// An HTTP response.
#[derive(Debug, Clone, Default)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl HttpResponse {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).expect("one JSON value")
    }
}

impl Http {
    /// One request on a connection of its own; `None` if it was closed without an answer.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<HttpResponse> {
        let mut stream = TcpStream::connect(&self.address).await.expect("connects");
        send_request(&mut stream, method, path, headers, body).await;
        read_response(&mut stream, method == "HEAD").await
    }

    pub(crate) async fn get(&self, below: &str) -> HttpResponse {
        let path = format!("{}{below}", self.base);
        self.call("GET", &path, &[], "").await.expect("an answer")
    }

    /// A request of the API; a missing transaction is put in.
    pub(crate) async fn post(&self, below: &str, request: Value) -> Value {
        let request = match request.get("transaction") {
            None => merged(request, &json!({"transaction": "h"})),
            Some(_) => request,
        };
        self.post_text(below, &request.to_string()).await.json()
    }

    pub(crate) async fn post_text(&self, below: &str, body: &str) -> HttpResponse {
        let path = format!("{}{below}", self.base);
        self.call("POST", &path, &[], body).await.expect("an answer")
    }

    pub(crate) async fn create(&self) -> u64 {
        let reply = self.post("", json!({"janus": "create"})).await;
        reply["data"]["id"].as_u64().unwrap_or_else(|| panic!("no session: {reply}"))
    }

    /// A session and a handle of EchoTest; its path.
    pub(crate) async fn attached(&self) -> (u64, u64, String) {
        let session = self.create().await;
        let attach = json!({"janus": "attach", "plugin": "janus.plugin.echotest"});
        let reply = self.post(&format!("/{session}"), attach).await;
        let handle = reply["data"]["id"].as_u64().unwrap_or_else(|| panic!("{reply}"));
        (session, handle, format!("/{session}/{handle}"))
    }

    /// Has EchoTest queue one event.
    pub(crate) async fn provoke(&self, handle_path: &str, transaction: &str) {
        let message = json!({"janus": "message", "transaction": transaction,
            "body": {"audio": true}});
        assert_eq!(self.post(handle_path, message).await["janus"], "ack");
    }
}

pub(crate) async fn send_request(
    stream: &mut TcpStream,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    // A connection that was refused may be gone already: that shows in the answer.
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes()).await;
}

/// Reads one response; `None` if there is none.
pub(crate) async fn read_response(stream: &mut TcpStream, no_body: bool) -> Option<HttpResponse> {
    let mut received = Vec::new();
    let end = loop {
        if let Some(end) = find(&received, b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return None;
        }
    };
    let mut body = received.split_off(end + 4);
    let head = String::from_utf8(received).expect("a head of text");
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let mut response = HttpResponse { status, headers, body: Vec::new() };
    let length = response.header("content-length").and_then(|length| length.parse().ok());
    let length = if no_body { Some(0) } else { length };
    let chunked = response.header("transfer-encoding") == Some("chunked");
    loop {
        let done = match length {
            Some(length) => body.len() >= length,
            None => chunked && body.ends_with(b"0\r\n\r\n"),
        };
        if done || stream.read_buf(&mut body).await.unwrap_or(0) == 0 {
            break;
        }
    }
    response.body = if chunked { unchunk(&body) } else { body };
    Some(response)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = find(bytes, b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).expect("a chunk size");
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
    body
}
