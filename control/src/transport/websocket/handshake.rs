//! The opening handshake (RFC 6455 §4.2, transports-auth §3.2).
//!
//! hyper reads the request, within bounds of bytes and time; its connection is then taken apart
//! and the socket goes on as a WebSocket.

use super::super::{Cors, Gate, Stream};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// Longest time from accept to the end of the request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// Refuses a handshake by closing the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("handshake refused")]
struct Refused;

/// What a handshake is checked against.
pub(super) struct Rules<'a> {
    pub(super) cors: &'a Cors,
    pub(super) gate: &'a Gate,
    pub(super) admin: bool,
}

impl Rules<'_> {
    fn subprotocol(&self) -> &'static str {
        if self.admin { "janus-admin-protocol" } else { "janus-protocol" }
    }

    /// Answers the request; `Ok(101)` is the one good outcome.
    fn answer(&self, headers: &HeaderMap) -> Result<Response<Empty<Bytes>>, Refused> {
        let mut response = Response::new(Empty::new());
        let Some(key) = websocket_key(headers) else {
            *response.status_mut() = StatusCode::FORBIDDEN;
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            return Ok(response);
        };
        let known = tokens(headers, header::SEC_WEBSOCKET_PROTOCOL)
            .any(|token| token == self.subprotocol());
        let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
        let forwarded = headers.get("x-forwarded-for").map(HeaderValue::as_bytes);
        if !known || !self.cors.admits(origin) || !self.gate.admits_forwarded(forwarded) {
            return Err(Refused);
        }
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let accept = derive_accept_key(key.as_bytes());
        let mut put = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        };
        put(header::UPGRADE, "websocket");
        put(header::CONNECTION, "Upgrade");
        put(header::SEC_WEBSOCKET_ACCEPT, &accept);
        put(header::SEC_WEBSOCKET_PROTOCOL, self.subprotocol());
        put(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.cors.allowed());
        Ok(response)
    }
}

/// All comma-separated tokens of a header that may be repeated.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// The client's key, if this is a WebSocket handshake at all.
fn websocket_key(headers: &HeaderMap) -> Option<&str> {
    let has = |name, word| tokens(headers, name).any(|token| token.eq_ignore_ascii_case(word));
    let upgrade = has(header::UPGRADE, "websocket") && has(header::CONNECTION, "upgrade");
    let version = has(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.to_str().ok()?;
    (upgrade && version).then_some(key)
}

/// Performs the handshake. `None`: refused, answered if there was something to answer.
pub(super) async fn accept(
    stream: Stream,
    rules: Rules<'_>,
    config: WebSocketConfig,
) -> Option<WebSocketStream<Stream>> {
    let upgraded = Rc::new(Cell::new(None));
    let service = service_fn(|mut request: Request<Incoming>| {
        let answer = rules.answer(request.headers());
        if matches!(&answer, Ok(r) if r.status() == StatusCode::SWITCHING_PROTOCOLS) {
            upgraded.set(Some(hyper::upgrade::on(&mut request)));
        }
        async move { answer }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::time::timeout(TIMEOUT, connection).await.ok()?.ok()?;
    let parts = upgraded.take()?.await.ok()?.downcast::<TokioIo<Stream>>().ok()?;
    let (io, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
    Some(WebSocketStream::from_partially_read(io, read, Role::Server, Some(config)).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(n, v): &(&'static str, &'static str)| {
            (HeaderName::from_static(n), HeaderValue::from_static(v))
        };
        list.iter().map(pair).collect()
    }

    const PLAIN: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn status(extra: &[(&'static str, &'static str)], admin: bool) -> Option<u16> {
        let (cors, gate) = (Cors::default(), Gate::default());
        let rules = Rules { cors: &cors, gate: &gate, admin };
        let all: Vec<_> = PLAIN.iter().chain(extra).copied().collect();
        rules.answer(&headers(&all)).ok().map(|response| response.status().as_u16())
    }

    #[test]
    fn transports_auth_24_subprotocols() {
        assert_eq!(status(&[("sec-websocket-protocol", "janus-protocol")], false), Some(101));
        assert_eq!(status(&[("sec-websocket-protocol", "chat, janus-protocol")], false), Some(101));
        assert_eq!(status(&[("sec-websocket-protocol", "janus-protocol")], true), None);
        assert_eq!(status(&[("sec-websocket-protocol", "janus-admin-protocol")], true), Some(101));
        assert_eq!(status(&[("sec-websocket-protocol", "chat")], false), None);
        assert_eq!(status(&[], false), None);
    }

    #[test]
    fn a_plain_request_is_forbidden() {
        let (cors, gate) = (Cors::default(), Gate::default());
        let rules = Rules { cors: &cors, gate: &gate, admin: false };
        let answer = rules.answer(&headers(&[("host", "x")]));
        assert_eq!(answer.map(|r| r.status().as_u16()).ok(), Some(403));
    }
}
