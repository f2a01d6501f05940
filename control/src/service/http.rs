//! Asking web servers: one connection a request, HTTP/1.1, TLS 1.2 or 1.3 for `https://`.
//!
//! For plugins ([`bifrons_core::plugin::Host::http`]) and TURN credentials. `outward` makes the
//! connection. Nothing is followed and nothing is tried again. Bounds:
//! [`MAX_RUNNING`] requests at a time, [`MAX_BODY_BYTES`] an answer, and the request's own timeout.

use super::outward::Backend;
use bifrons_core::plugin::{HttpMethod, HttpRequest, HttpResponse};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::fmt::Display;
use std::sync::LazyLock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

/// Requests under way at a time; another is refused at once.
pub const MAX_RUNNING: usize = 256;

/// Longest body of an answer.
pub const MAX_BODY_BYTES: usize = 1 << 20;

static RUNNING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(MAX_RUNNING));

/// Sends the request and waits for the whole answer, of any status.
///
/// # Errors
/// A sentence for the log: no such name, nobody there, an answer that is not HTTP, too long or too
/// late, a certificate that is not trusted, or too many requests under way.
pub async fn send(request: HttpRequest) -> Result<HttpResponse, String> {
    let Ok(_running) = RUNNING.try_acquire() else {
        return Err(format!("{MAX_RUNNING} requests to web servers are under way already"));
    };
    let timeout = request.timeout;
    let answered = tokio::time::timeout(timeout, exchange(request)).await;
    answered.unwrap_or_else(|_| Err(format!("no answer within {} s", timeout.as_secs_f32())))
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// The request in the form that goes to a server rather than a proxy (RFC 9112 §3.2.1).
fn request_to(backend: &Backend, request: HttpRequest) -> Result<Request<Full<Bytes>>, String> {
    let (method, body) = match request.method {
        HttpMethod::Get => (Method::GET, Vec::new()),
        HttpMethod::Post => (Method::POST, request.body),
    };
    let path = backend.uri.path_and_query().map_or("/", |path| path.as_str());
    // A query may follow the host at once; a request line wants a path (RFC 9112 §3.2.1).
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let authority = backend.uri.authority().map_or("", |authority| authority.as_str());
    // RFC 9110 §4.2.4: user and password are not part of what a server is called.
    let host = authority.rsplit('@').next().unwrap_or_default();
    let mut made = Request::builder().method(method).uri(path).header(HOST, host);
    for (name, value) in &request.headers {
        made = made.header(name, value);
    }
    made.body(Full::new(body.into())).map_err(text)
}

async fn exchange(request: HttpRequest) -> Result<HttpResponse, String> {
    let url = request.url.clone();
    // Certificates are files: read where nobody waits.
    let read = move || Backend::read(&url, ["http", "https"]);
    let backend = tokio::task::spawn_blocking(read).await.map_err(text)??;
    let request = request_to(&backend, request)?;
    let stream = backend.connect().await.map_err(text)?;
    converse(stream, request).await
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<HttpResponse, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(text)?;
        let status = answer.status().as_u16();
        let body =
            Limited::new(answer.into_body(), MAX_BODY_BYTES).collect().await.map_err(text)?;
        Ok(HttpResponse { status, body: body.to_bytes().into() })
    };
    // The connection has to be looked after meanwhile; what ends it shows in the answer.
    let attend = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = answer => answer,
        () = attend => Err("the connection ended".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers one connection with `answer`, and tells what was asked up to `marker`.
    async fn server(
        answer: &'static [u8],
        marker: &'static str,
    ) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !String::from_utf8_lossy(&heard).contains(marker) {
                let mut buffer = [0; 1024];
                match stream.read(&mut buffer).await.unwrap() {
                    0 => break,
                    got => heard.extend_from_slice(&buffer[..got]),
                }
            }
            // A client that has heard enough hangs up.
            let _ = stream.write_all(answer).await;
            String::from_utf8(heard).unwrap()
        });
        (port, task)
    }

    #[tokio::test]
    async fn a_post_says_what_it_brings_and_hears_the_answer() {
        let (port, heard) =
            server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", "a=1").await;
        let url = format!("http://user@127.0.0.1:{port}/path?x=y");
        let answer = send(HttpRequest::post(url, "text/plain", "a=1")).await;
        assert_eq!(answer, Ok(HttpResponse { status: 404, body: b"gone".to_vec() }));
        let heard = heard.await.unwrap();
        assert!(heard.starts_with("POST /path?x=y HTTP/1.1\r\n"), "{heard}");
        assert!(heard.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{heard}");
        assert!(heard.contains("content-type: text/plain\r\n"), "{heard}");
        assert!(heard.contains("content-length: 3\r\n"), "{heard}");
    }

    #[tokio::test]
    async fn a_get_without_length_ends_with_its_connection() {
        let (port, heard) = server(b"HTTP/1.1 200 OK\r\n\r\nall of it", "\r\n\r\n").await;
        let answer = send(HttpRequest::get(format!("http://127.0.0.1:{port}?x=y"))).await.unwrap();
        assert!(heard.await.unwrap().starts_with("GET /?x=y HTTP/1.1\r\n"));
        assert!(answer.is_success());
        assert_eq!(answer.body, b"all of it");
    }

    #[tokio::test]
    async fn too_long_an_answer_is_refused() {
        const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
        let whole: &'static [u8] =
            Vec::leak([HEAD, vec![b'x'; MAX_BODY_BYTES + 1].as_slice()].concat());
        let (port, _) = server(whole, "\r\n\r\n").await;
        let error = send(HttpRequest::get(format!("http://127.0.0.1:{port}"))).await.unwrap_err();
        assert!(error.contains("limit"), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_said_in_words() {
        for (url, word) in [
            ("ftp://127.0.0.1/", "no http://"),
            ("/only/a/path", "no http://"),
            ("http://no such host/", "no such host"),
            ("http://127.0.0.1:1/", "refused"),
        ] {
            let error = send(HttpRequest::get(url)).await.unwrap_err();
            assert!(error.to_lowercase().contains(word), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn who_is_silent_is_given_up() {
        let (port, _) = server(b"", "never sent").await;
        let mut request = HttpRequest::get(format!("http://127.0.0.1:{port}"));
        request.timeout = Duration::from_millis(20);
        let error = send(request).await.unwrap_err();
        assert!(error.contains("no answer within"), "{error}");
    }
}
