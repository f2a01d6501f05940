//! Receivers of events: a web server, and the list of what came.

use crate::client::HttpResponse;
use bifrons_control::event::Hub;
use bifrons_control::event::http::HttpEvents;
use bifrons_core::config::event::{EventSettings, SampleEventSettings};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How long an event may take that has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a web server was sent.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    /// Of the request; `status` and `body` are those of [`HttpResponse`], the former unused.
    pub(crate) head: HttpResponse,
    pub(crate) at: Instant,
}

impl Post {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.head.body).expect("one JSON value")
    }
}

/// A web server that takes what is posted.
pub(crate) struct WebServer {
    pub(crate) port: u16,
    pub(crate) posts: RefCell<VecDeque<Post>>,
    /// What it answers.
    pub(crate) status: Cell<u16>,
    /// Connections that are dropped unheard, and when they came.
    pub(crate) deaf: Cell<usize>,
    pub(crate) dropped: RefCell<Vec<Instant>>,
    came: Notify,
    events: RefCell<Vec<Value>>,
}

impl WebServer {
    pub(crate) async fn start() -> Rc<Self> {
        Self::listen(None).await
    }

    /// The same behind TLS, for `localhost`.
    pub(crate) async fn start_secure() -> Rc<Self> {
        Self::listen(Some(acceptor())).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Rc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let server = Rc::new(WebServer {
            port: listener.local_addr().expect("an address").port(),
            posts: RefCell::default(),
            status: Cell::new(200),
            deaf: Cell::new(0),
            dropped: RefCell::default(),
            came: Notify::new(),
            events: RefCell::default(),
        });
        let listening = server.clone();
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("accepts");
                if listening.deaf.get() > 0 {
                    listening.deaf.set(listening.deaf.get() - 1);
                    listening.dropped.borrow_mut().push(Instant::now());
                    listening.came.notify_waiters();
                    continue;
                }
                let (listening, tls) = (listening.clone(), tls.clone());
                tokio::task::spawn_local(async move {
                    match tls {
                        None => listening.serve(stream).await,
                        Some(tls) => {
                            let greeted = tls.accept(stream).await.expect("it trusts us");
                            listening.serve(greeted).await;
                        }
                    }
                });
            }
        });
        server
    }

    async fn serve(self: Rc<Self>, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut received = Vec::new();
        while let Some(post) = read_post(&mut stream, &mut received).await {
            self.posts.borrow_mut().push_back(post);
            self.came.notify_waiters();
            let head = format!("HTTP/1.1 {} x\r\nContent-Length: 0\r\n\r\n", self.status.get());
            if stream.write_all(head.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events?x=1", self.port)
    }

    /// The settings of a handler that posts here.
    pub(crate) fn settings(&self, events: &str) -> SampleEventSettings {
        SampleEventSettings {
            common: EventSettings {
                enabled: true,
                events: Some(events.to_owned()),
                ..EventSettings::default()
            },
            backend: Some(self.url()),
            ..SampleEventSettings::default()
        }
    }

    /// A hub with a handler that posts here.
    pub(crate) fn hub(&self, events: &str) -> Rc<Hub> {
        let hub = Hub::new("tester");
        HttpEvents::start(&hub, &self.settings(events)).expect("starts");
        hub
    }

    /// Waits for something to be so.
    pub(crate) async fn until(&self, what: &str, mut so: impl FnMut(&Self) -> bool) {
        let waiting = async {
            loop {
                let came = self.came.notified();
                if so(self) {
                    return;
                }
                came.await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(in_time.is_ok(), "not in time: {what}; {:?}", self.events());
    }

    /// The next post.
    pub(crate) async fn post(&self) -> Post {
        self.until("a post", |server| !server.posts.borrow().is_empty()).await;
        self.posts.borrow_mut().pop_front().expect("a post")
    }

    /// Every event so far, in order.
    pub(crate) fn events(&self) -> Vec<Value> {
        let mut events = self.events.borrow_mut();
        for post in self.posts.borrow_mut().drain(..) {
            match post.json() {
                Value::Array(all) => events.extend(all),
                one => events.push(one),
            }
        }
        events.clone()
    }

    /// Every event up to the first that fits.
    pub(crate) async fn event(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.until(what, |server| server.events().iter().any(&fits)).await;
        self.events().into_iter().find(|event| fits(event)).expect("found")
    }

    /// Those of one type and subtype.
    pub(crate) fn of(&self, kind: u64, subtype: u64) -> Vec<Value> {
        let events = self.events().into_iter();
        events.filter(|event| is(event, kind, subtype)).collect()
    }
}

/// Whether an event is of this type and subtype (0 = none).
pub(crate) fn is(event: &Value, kind: u64, subtype: u64) -> bool {
    event["type"] == kind && event["subtype"].as_u64().unwrap_or(0) == subtype
}

/// Greets clients with the certificate of the tests.
pub(crate) fn acceptor() -> TlsAcceptor {
    let file =
        |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conform/tls").join(name);
    let chain = CertificateDer::from_pem_file(file("cert.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key);
    TlsAcceptor::from(Arc::new(config.expect("they go together")))
}

async fn read_post(stream: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> Option<Post> {
    let end = loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(received).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(received[..end].to_vec()).expect("a head of text");
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    let mut headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    headers.push(("first".to_owned(), first));
    let mut head = HttpResponse { status: 0, headers, body: Vec::new() };
    let length: usize = head.header("content-length")?.parse().ok()?;
    while received.len() < end + 4 + length {
        if stream.read_buf(received).await.ok()? == 0 {
            return None;
        }
    }
    let rest = received.split_off(end + 4 + length);
    head.body = received.split_off(end + 4);
    *received = rest;
    Some(Post { head, at: Instant::now() })
}
