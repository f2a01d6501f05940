//! The Janus API over HTTP: one connection a request, a long poll a session.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::JanusError;

/// Where an HTTP API lives, e.g. `http://127.0.0.1:8088/janus`.
#[derive(Clone, Debug)]
pub struct HttpBase {
    authority: String,
    path: String,
}

fn broken(error: impl std::fmt::Display) -> JanusError {
    JanusError::Connection(error.to_string())
}

impl HttpBase {
    /// Reads an address `http://host:port/path`.
    ///
    /// # Errors
    /// [`JanusError::Address`] when it is not one.
    pub fn parse(url: &str) -> Result<Self, JanusError> {
        let rest =
            url.strip_prefix("http://").ok_or_else(|| JanusError::Address(url.to_owned()))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        Ok(Self { authority: authority.to_owned(), path: format!("/{path}") })
    }

    /// One request; `tail` is appended to the base path (`""`, `/<session>`,
    /// `/<session>/<handle>`, with a query if wanted). Returns the status and the whole body.
    ///
    /// # Errors
    /// [`JanusError::Connection`] when the server cannot be reached or breaks off.
    pub async fn request(
        &self,
        method: Method,
        tail: &str,
        body: String,
    ) -> Result<(StatusCode, Bytes), JanusError> {
        let socket = TcpStream::connect(&self.authority).await.map_err(broken)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(broken)?;
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{tail}", self.path))
            .header("Host", &self.authority)
            .header("Content-Type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(broken)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let whole = response.into_body().collect().await.map_err(broken)?.to_bytes();
        driver.abort();
        Ok((status, whole))
    }

    /// POSTs one API message and reads the JSON reply.
    ///
    /// # Errors
    /// [`JanusError::Connection`], also when the body is not JSON.
    pub async fn post(&self, tail: &str, message: &Value) -> Result<Value, JanusError> {
        let (_, body) = self.request(Method::POST, tail, message.to_string()).await?;
        serde_json::from_slice(&body).map_err(broken)
    }

    /// One long poll of a session with at most `max_events` events; a single event comes as a
    /// list of one. `Ok(None)` when the session is gone.
    ///
    /// # Errors
    /// [`JanusError::Connection`], also when the body is not JSON.
    pub async fn poll(
        &self,
        session: u64,
        max_events: u32,
    ) -> Result<Option<Vec<Value>>, JanusError> {
        let tail = format!("/{session}?maxev={max_events}");
        let (status, body) = self.request(Method::GET, &tail, String::new()).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(match serde_json::from_slice(&body).map_err(broken)? {
            Value::Array(events) => Some(events),
            one if one["janus"] == "error" => None,
            one => Some(vec![one]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_splits_into_authority_and_path() {
        let base = HttpBase::parse("http://10.0.0.1:8088/janus/").expect("address");
        assert_eq!((base.authority.as_str(), base.path.as_str()), ("10.0.0.1:8088", "/janus"));
        assert!(HttpBase::parse("https://10.0.0.1/janus").is_err());
    }
}
