//! Responses and their headers (transports-auth §2.2, §2.3).

use super::super::Cors;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// Whether the connection may serve another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    KeepAlive,
    Close,
}

/// The request headers that a response mirrors.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirror {
    method: Option<HeaderValue>,
    headers: Option<HeaderValue>,
}

impl Mirror {
    pub(super) fn of(request: &HeaderMap) -> Self {
        Mirror {
            method: request.get(header::ACCESS_CONTROL_REQUEST_METHOD).cloned(),
            headers: request.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
        }
    }

    /// Puts the cross-origin headers on a response.
    pub(super) fn sign(self, cors: &Cors, response: &mut HeaderMap) {
        if let Ok(allowed) = HeaderValue::from_str(cors.allowed()) {
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
        let mut put = |name: HeaderName, value: &'static str| {
            response.insert(name, HeaderValue::from_static(value));
        };
        if cors.allow_origin.is_some() {
            put(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
            put(header::VARY, "Origin");
        }
        put(header::ACCESS_CONTROL_MAX_AGE, "86400");
        if let Some(method) = self.method {
            response.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method);
        }
        if let Some(headers) = self.headers {
            response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers);
        }
    }
}

/// A response with nothing in it.
pub(super) fn empty(status: StatusCode, after: After) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    if after == After::Close {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A response with a JSON text.
pub(super) fn json(text: String) -> Response<Full<Bytes>> {
    content("application/json", Bytes::from(text))
}

/// A response with some content.
pub(super) fn content(kind: &str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    if let Ok(kind) = HeaderValue::from_str(kind) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// A response that sends the client elsewhere.
pub(super) fn redirect(to: &str) -> Response<Full<Bytes>> {
    let mut response = empty(StatusCode::FOUND, After::KeepAlive);
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}
