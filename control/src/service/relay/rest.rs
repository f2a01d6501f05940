//! The web service that hands out TURN servers (webrtc-behaviour §1.3, "TURN REST"; the form is
//! that of draft-uberti-behave-turn-rest).
//!
//! Bounds: [`MAX_URIS`] servers of one answer are looked at; a URI or name that is no good is passed
//! over and named in the log.

use bifrons_core::config::settings::{Nat, RestMethod, TurnType};
use bifrons_core::plugin::HttpRequest;
use serde::Deserialize;
use std::fmt::Write;
use std::time::Duration;

/// Most servers of one answer that are tried.
pub const MAX_URIS: usize = 8;

/// How the service is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestApi {
    url: String,
    key: Option<String>,
    method: RestMethod,
    timeout: Duration,
}

/// A TURN server by name, as a URI says it (RFC 7065).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnUri {
    /// Name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub transport: TurnType,
}

/// What the service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// User name for all of them.
    pub username: String,
    /// Password for all of them.
    pub password: String,
    /// The servers, in the service's order.
    pub uris: Vec<TurnUri>,
}

#[derive(Deserialize)]
struct Body {
    username: String,
    password: String,
    #[serde(rename = "ttl")]
    _ttl: Option<u64>,
    uris: Vec<String>,
}

impl RestApi {
    /// From the configuration, if it names a service.
    pub fn new(nat: &Nat) -> Option<Self> {
        Some(RestApi {
            url: nat.turn_rest_api.clone()?,
            key: nat.turn_rest_api_key.clone(),
            method: nat.turn_rest_api_method,
            timeout: Duration::from_secs(nat.turn_rest_api_timeout_s.into()),
        })
    }

    /// The request for one PeerConnection. The key goes under both of the names that services look
    /// for; a POST repeats the query as a form.
    pub fn request(&self, username: &str) -> HttpRequest {
        let mut query = "service=turn".to_owned();
        let mut put = |name: &str, value: &str| {
            query.push('&');
            query.push_str(name);
            query.push('=');
            percent_encode(&mut query, value);
        };
        if let Some(key) = &self.key {
            put("api", key);
            put("key", key);
        }
        put("username", username);
        let separator = if self.url.contains('?') { '&' } else { '?' };
        let url = format!("{}{separator}{query}", self.url);
        let request = match self.method {
            RestMethod::Get => HttpRequest::get(url),
            RestMethod::Post => {
                HttpRequest::post(url, "application/x-www-form-urlencoded", query.into_bytes())
            }
        };
        HttpRequest { timeout: self.timeout, ..request }
    }
}

/// RFC 3986 §2.1: everything but unreserved characters.
fn percent_encode(to: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                to.push(char::from(byte));
            }
            // A String takes everything.
            _ => drop(write!(to, "%{byte:02X}")),
        }
    }
}

impl Granted {
    /// Reads an answer's body. URIs that are none are passed over.
    ///
    /// # Errors
    /// When it is not the JSON object that was agreed on.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let body: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let readable = |uri: &String| {
            let read = TurnUri::parse(uri);
            if read.is_none() {
                tracing::warn!(uri, "not a TURN URI; passed over");
            }
            read
        };
        let uris = body.uris.iter().take(MAX_URIS).filter_map(readable).collect();
        Ok(Granted { username: body.username, password: body.password, uris })
    }
}

impl TurnUri {
    /// `turn:host[:port][?transport=udp|tcp|tls]` or `turns:…`, which is TLS over TCP.
    pub fn parse(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once(':')?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let named = query.split('&').find_map(|part| part.strip_prefix("transport="));
        let transport = match (scheme, named) {
            ("turns", Some("tcp" | "tls") | None) | ("turn", Some("tls")) => TurnType::Tls,
            ("turn", Some("tcp")) => TurnType::Tcp,
            ("turn", Some("udp") | None) => TurnType::Udp,
            _ => return None,
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(v6) => {
                let (host, after) = v6.split_once(']')?;
                (host, after.strip_prefix(':'))
            }
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Some(3478), |port| port.parse().ok().filter(|port| *port != 0))?;
        (!host.is_empty()).then(|| TurnUri { host: host.to_owned(), port, transport })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bifrons_core::plugin::HttpMethod;

    fn api(method: RestMethod, key: Option<&str>) -> RestApi {
        let nat = Nat {
            turn_rest_api: Some("http://turn.example.org/get".to_owned()),
            turn_rest_api_key: key.map(str::to_owned),
            turn_rest_api_method: method,
            turn_rest_api_timeout_s: 3,
            ..Nat::default()
        };
        RestApi::new(&nat).expect("a service")
    }

    #[test]
    fn webrtc_37_the_request_names_service_user_and_key() {
        let request = api(RestMethod::Get, Some("a&b c")).request("ada@ü");
        assert_eq!(request.method, HttpMethod::Get);
        let url = "http://turn.example.org/get?service=turn&api=a%26b%20c&key=a%26b%20c\
                   &username=ada%40%C3%BC";
        assert_eq!(request.url, url);
        assert_eq!(request.timeout, Duration::from_secs(3));
        let request = api(RestMethod::Post, None).request("7");
        assert_eq!(request.url, "http://turn.example.org/get?service=turn&username=7");
        assert_eq!(request.body, b"service=turn&username=7");
        let form = "application/x-www-form-urlencoded".to_owned();
        assert_eq!(request.headers, [("Content-Type".to_owned(), form)]);
    }

    #[test]
    fn uris_say_host_port_and_transport() {
        let is = |uri: &str, host: &str, port: u16, transport: TurnType| {
            assert_eq!(TurnUri::parse(uri), Some(TurnUri { host: host.into(), port, transport }));
        };
        is("turn:turn.example.org", "turn.example.org", 3478, TurnType::Udp);
        is("turn:192.0.2.1:80?transport=udp", "192.0.2.1", 80, TurnType::Udp);
        is("turn:[2001:db8::1]:80?transport=tcp", "2001:db8::1", 80, TurnType::Tcp);
        is("turns:turn.example.org:443?transport=tcp", "turn.example.org", 443, TurnType::Tls);
        is("turn:turn.example.org?transport=tls", "turn.example.org", 3478, TurnType::Tls);
        for bad in
            ["stun:x", "turn:", "turn::80", "turn:x:0", "turn:x:99999", "turns:x?transport=udp"]
        {
            assert_eq!(TurnUri::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_answer_without_what_was_agreed_is_none() {
        let good = br#"{"username":"u","password":"p","ttl":60,"uris":["x","turn:h"]}"#;
        let granted = Granted::read(good).expect("an answer");
        assert_eq!((granted.username.as_str(), granted.uris.len()), ("u", 1));
        for bad in [
            &b"[]"[..],
            b"not JSON",
            br#"{"username":"u","uris":[]}"#,
            br#"{"username":"u","password":"p","ttl":-1,"uris":[]}"#,
            br#"{"username":"u","password":"p","uris":"turn:h"}"#,
        ] {
            assert!(Granted::read(bad).is_err());
        }
    }
}
