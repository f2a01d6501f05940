//! What a plugin may ask of a web server, and what comes back.

use std::time::Duration;

/// A request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    /// Without a body.
    Get,
    /// With one.
    Post,
}

/// A request to a web server. Sent once: no redirect is followed and nothing is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: HttpMethod,
    /// `http://` or `https://`, absolute. A fragment is not sent.
    pub url: String,
    /// Names and values beside `Host` and `Content-Length`, which are made.
    pub headers: Vec<(String, String)>,
    /// Left out of a GET.
    pub body: Vec<u8>,
    /// From the look-up of the name to the last byte of the answer.
    pub timeout: Duration,
}

impl HttpRequest {
    /// The time a request may take if nothing else is said.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        HttpRequest {
            method: HttpMethod::Get,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Self::TIMEOUT,
        }
    }

    /// A POST of `body`.
    pub fn post(url: impl Into<String>, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        HttpRequest {
            method: HttpMethod::Post,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.into(),
            ..Self::get(url)
        }
    }
}

/// What a web server answered, of any status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// 100..=999; 200..=299 is success.
    pub status: u16,
    /// The whole body; at most 1 MiB, a longer one is an error.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// Whether the server did what it was asked (RFC 9110 §15.3).
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
