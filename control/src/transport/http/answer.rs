//! From an HTTP request to its response (transports-auth §2.2).

use super::head::{self, After, Mirror};
use super::target::Place;
use super::{Door, Http};
use crate::auth::equal;
use crate::demo::{self, DemoAnswer};
use crate::dispatch::Origin;
use crate::metrics;
use crate::transport::{MAX_REQUEST, Transport};
use bifrons_core::api::{ApiError, ErrorCode, json, reply};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a body may take, and how long a reply.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Closes the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped")]
pub(super) struct Dropped;

type Answer = Result<Response<Full<Bytes>>, Dropped>;

/// One request as the transport knows it.
#[derive(Clone, Copy)]
struct Asked {
    /// Tells it from all others.
    number: u64,
    admin: bool,
}

/// Gives up a request's place among those waiting, whatever ended the wait.
struct Waiting<'a> {
    http: &'a Http,
    request: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.http.waiting.borrow_mut().remove(&self.request);
    }
}

impl Http {
    /// Serves one request.
    pub(super) async fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: Option<SocketAddr>,
        door: Rc<Door>,
    ) -> Answer {
        self.counters.count(|counters| counters.requests += 1);
        if let Some(response) = self.demo(&request, &door) {
            return Ok(response);
        }
        let headers = request.headers();
        let forwarded = headers.get("x-forwarded-for").map(HeaderValue::as_bytes);
        if !door.gate.admits_forwarded(forwarded) {
            return Err(Dropped);
        }
        if let Some(response) = self.metrics(&request, &door).await? {
            return Ok(response);
        }
        let mirror = Mirror::of(headers);
        let origin = headers.get(header::ORIGIN).or_else(|| headers.get(header::REFERER));
        let mut response = if self.settings.cors.admits(origin.map(HeaderValue::as_bytes)) {
            let asked = self.asked(peer, door.admin);
            self.route(request, &door, asked).await?
        } else {
            head::empty(StatusCode::FORBIDDEN, After::Close)
        };
        mirror.sign(&self.settings.cors, response.headers_mut());
        Ok(response)
    }

    /// What monitors read, beside the Admin API.
    async fn metrics(
        &self,
        request: &Request<Incoming>,
        door: &Door,
    ) -> Result<Option<Response<Full<Bytes>>>, Dropped> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let here = door.admin && reads && request.uri().path() == "/metrics";
        let Some(served) = self.settings.metrics.as_ref().filter(|_| here) else { return Ok(None) };
        let shown = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let shown = shown.and_then(|shown| shown.strip_prefix(b"Bearer "));
        let knows = |secret: &String| shown.is_some_and(|shown| equal(shown, secret.as_bytes()));
        if !served.secret.as_ref().is_none_or(knows) {
            let mut response = head::empty(StatusCode::UNAUTHORIZED, After::KeepAlive);
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            return Ok(Some(response));
        }
        let front = self.front.upgrade().ok_or(Dropped)?;
        let page = metrics::page(&front).await;
        Ok(Some(head::content(metrics::CONTENT_TYPE, page.into())))
    }

    /// A page of the demo, beside the Janus API: for everybody who may connect, wherever the page
    /// that links to it comes from.
    fn demo(&self, request: &Request<Incoming>, door: &Door) -> Option<Response<Full<Bytes>>> {
        let pages = self.settings.demo.as_ref().filter(|_| !door.admin)?;
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if !reads || door.base_path.starts_with(demo::PREFIX) {
            return None;
        }
        let mut response = match pages.answer(request.uri().path())? {
            DemoAnswer::File { content_type, body } => head::content(content_type, body),
            DemoAnswer::Moved(to) => head::redirect(to),
            DemoAnswer::Missing => head::empty(StatusCode::NOT_FOUND, After::KeepAlive),
        };
        for (name, value) in demo::HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        Some(response)
    }

    /// Gives a request its number, and tells event handlers of it (transports-auth §2.7).
    fn asked(&self, peer: Option<SocketAddr>, admin: bool) -> Asked {
        let number = self.next_request.get();
        self.next_request.set(number + 1);
        let asked = Asked { number, admin };
        if let Some(front) = self.front.upgrade().filter(|front| front.events_enabled()) {
            let mut data = json!({ "event": "request", "admin_api": admin });
            if let Some(peer) = peer {
                data["ip"] = peer.ip().to_string().into();
                data["port"] = peer.port().into();
            }
            let origin = Origin { owner: self.owner(), request: number };
            front.transport_event(self.about().package, &origin.name(), data);
        }
        asked
    }

    async fn route(&self, request: Request<Incoming>, door: &Door, asked: Asked) -> Answer {
        let place = Place::read(&door.base_path, request.uri().path());
        let method = request.method().clone();
        if method == Method::OPTIONS {
            let outside = place == Place::Outside;
            let status = if outside { StatusCode::NOT_FOUND } else { StatusCode::OK };
            return Ok(head::empty(status, After::Close));
        }
        if method != Method::GET && method != Method::POST {
            let text = format!("Unsupported method {method}");
            return Ok(self.error(ErrorCode::TransportSpecific, text));
        }
        if place == Place::Outside {
            return Ok(head::empty(StatusCode::NOT_FOUND, After::Close));
        }
        if method == Method::POST {
            self.post(request, place, door, asked).await
        } else if door.admin {
            self.get_admin(place, asked).await
        } else {
            self.get(place, request.uri().query().unwrap_or_default(), door, asked).await
        }
    }

    async fn get(&self, place: Place, query: &str, door: &Door, asked: Asked) -> Answer {
        match place {
            Place::Info => self.made_up("info", asked).await,
            Place::Ping => self.made_up("ping", asked).await,
            Place::Api { depth: 1, session_id, .. } if session_id != 0 => {
                Ok(self.poll(session_id, query).await)
            }
            Place::Api { depth: 2, session_id, .. } if session_id != 0 => {
                let base = door.base_path.trim_end_matches('/');
                Ok(head::redirect(&format!("{base}/{session_id}")))
            }
            _ => Ok(head::empty(StatusCode::NOT_FOUND, After::KeepAlive)),
        }
    }

    async fn get_admin(&self, place: Place, asked: Asked) -> Answer {
        match place {
            Place::Info => self.made_up("info", asked).await,
            Place::Ping => self.made_up("ping", asked).await,
            Place::TooDeep => Ok(head::empty(StatusCode::NOT_FOUND, After::KeepAlive)),
            _ => Ok(self.error(ErrorCode::InvalidJson, "Request payload missing")),
        }
    }

    /// A request that stands for a GET, with a transaction of 11 characters.
    async fn made_up(&self, verb: &str, asked: Asked) -> Answer {
        let front = self.front.upgrade().ok_or(Dropped)?;
        let mut word = front.with(|core, _| core.random());
        let mut transaction = String::with_capacity(11);
        for _ in 0..11 {
            transaction.extend(char::from_digit((word % 36) as u32, 36));
            word /= 36;
        }
        self.perform(json!({ "janus": verb, "transaction": transaction }), asked).await
    }

    async fn post(
        &self,
        request: Request<Incoming>,
        place: Place,
        door: &Door,
        asked: Asked,
    ) -> Answer {
        let body = Limited::new(request.into_body(), MAX_REQUEST).collect();
        let body = match tokio::time::timeout(TIMEOUT, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => {
                self.count_malformed();
                return Ok(head::empty(StatusCode::PAYLOAD_TOO_LARGE, After::Close));
            }
            Err(_) => {
                self.count_malformed();
                return Err(Dropped);
            }
        };
        let (session_id, handle_id) = match place {
            Place::Api { session_id, handle_id, .. } => (session_id, handle_id),
            Place::Info if door.admin => {
                let text = "Use GET for the info endpoint";
                return Ok(self.error(ErrorCode::TransportSpecific, text));
            }
            Place::Info | Place::Ping => {
                return Ok(head::empty(StatusCode::BAD_REQUEST, After::KeepAlive));
            }
            Place::TooDeep | Place::Outside => {
                return Ok(head::empty(StatusCode::NOT_FOUND, After::KeepAlive));
            }
        };
        if body.is_empty() {
            self.count_malformed();
            return Ok(self.error(ErrorCode::InvalidJson, "Request payload missing"));
        }
        let mut fields = match json::parse_one(&body) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => {
                self.count_malformed();
                return Ok(self.error(ErrorCode::InvalidJsonObject, "JSON error: not an object"));
            }
            Err(error) => {
                self.count_malformed();
                let text = format!("JSON error: on line {}: {}", error.line, error.text);
                return Ok(self.error(ErrorCode::InvalidJson, text));
            }
        };
        if !merge(&mut fields, "session_id", session_id) {
            let text = "Conflicting session ID (payload and path)";
            return Ok(self.error(ErrorCode::InvalidRequestPath, text));
        }
        if !merge(&mut fields, "handle_id", handle_id) {
            let text = "Conflicting handle ID (payload and path)";
            return Ok(self.error(ErrorCode::InvalidRequestPath, text));
        }
        self.perform(Value::Object(fields), asked).await
    }

    fn count_malformed(&self) {
        if let Some(front) = self.front.upgrade() {
            front.count_malformed();
        }
    }

    /// Has a request served and waits for its reply.
    async fn perform(&self, value: Value, asked: Asked) -> Answer {
        let front = self.front.upgrade().ok_or(Dropped)?;
        let request = asked.number;
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().insert(request, sender);
        let waiting = Waiting { http: self, request };
        let origin = Origin { owner: self.owner(), request };
        if asked.admin {
            front.admin_request(origin, value);
        } else {
            front.request(origin, value);
        }
        drop(front);
        let reply = tokio::time::timeout(TIMEOUT, receiver).await;
        drop(waiting);
        match reply {
            Ok(Ok(message)) => Ok(self.json(&message)),
            Ok(Err(_)) | Err(_) => {
                self.counters.count(|counters| counters.unanswered += 1);
                Err(Dropped)
            }
        }
    }

    /// A response with a message of the API: always 200.
    pub(super) fn json(&self, message: &Value) -> Response<Full<Bytes>> {
        head::json(json::write(message, self.style.get()))
    }

    /// An error of the transport's own, without session and transaction.
    fn error(&self, code: ErrorCode, text: impl Into<String>) -> Response<Full<Bytes>> {
        self.json(&reply::error(0, None, &ApiError::new(code, text.into())))
    }
}

/// Puts the path's id into the payload; false if the payload has another one.
fn merge(fields: &mut Map<String, Value>, name: &str, from_path: u64) -> bool {
    if from_path == 0 {
        return true;
    }
    let given = fields.get(name).and_then(Value::as_i64).unwrap_or(0) as u64;
    if given == 0 {
        // Ids travel as signed integers; a huge one in the path wraps as it does in a payload.
        fields.insert(name.to_owned(), Value::from(from_path as i64));
    }
    given == 0 || given == from_path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_auth_16_path_and_payload_have_to_agree() {
        let merged = |payload: Value, id: u64| {
            let mut fields = payload.as_object().cloned().unwrap_or_default();
            let agreed = merge(&mut fields, "session_id", id);
            (agreed, fields.get("session_id").cloned())
        };
        assert_eq!(merged(json!({}), 7), (true, Some(json!(7))));
        assert_eq!(merged(json!({"session_id": 0}), 7), (true, Some(json!(7))));
        assert_eq!(merged(json!({"session_id": "8"}), 7), (true, Some(json!(7))));
        assert!(merged(json!({"session_id": 7}), 7).0);
        assert!(!merged(json!({"session_id": 8}), 7).0);
        assert_eq!(merged(json!({"session_id": 8}), 0), (true, Some(json!(8))));
        assert_eq!(merged(json!({}), u64::MAX), (true, Some(json!(-1))));
    }
}
