//! Events posted over HTTP (admin-events-recording §8.1; `janus.eventhandler.sampleevh`).
//!
//! One post at a time, so that order holds; what comes meanwhile waits in the feed. A post that
//! finds nobody is tried again with doubling delays and then given up; any answer of the receiver
//! counts as delivered, whatever its status. The connection is kept for the next post.

use super::gzip::gzip;
use super::{BackOff, Batch, EventHandler, Feed, Hub, QueryError, feed_settings, fields};
use crate::service::outward::Backend;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bifrons_core::config::event::SampleEventSettings;
use bifrons_core::plugin::About;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How long a receiver may take for its answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest delay between two tries.
const LONGEST_DELAY: Duration = Duration::from_secs(600);

/// Most bytes of an answer that are read to keep the connection.
const MAX_ANSWER: usize = 64 * 1024;

/// What can be tweaked.
#[derive(Clone)]
struct Ways {
    backend: Backend,
    user: Option<String>,
    password: Option<String>,
    retries: u32,
    first_delay: Duration,
    compress: bool,
    level: u32,
}

/// The handler.
pub struct HttpEvents {
    feed: Rc<Feed>,
    ways: RefCell<Ways>,
}

type Connection = SendRequest<Full<Bytes>>;
type Failure = Box<dyn std::error::Error>;

impl HttpEvents {
    /// Adds the handler to the hub and starts it; an error says what its file lacks.
    pub fn start(hub: &Hub, from: &SampleEventSettings) -> Result<Rc<Self>, String> {
        let backend = from.backend.as_deref().ok_or("`backend` is missing")?;
        let ways = Ways {
            backend: Backend::read(backend, ["http", "https"])?,
            user: from.backend_user.clone(),
            password: from.backend_pwd.clone(),
            retries: from.max_retransmissions,
            first_delay: Duration::from_millis(from.retransmissions_backoff_ms.into()),
            compress: from.compress,
            level: from.compression,
        };
        let handler = hub.add(feed_settings(&from.common), |feed| {
            Rc::new(HttpEvents { feed, ways: RefCell::new(ways) })
        });
        tokio::task::spawn_local(handler.clone().run());
        Ok(handler)
    }

    async fn run(self: Rc<Self>) {
        let mut connection = None;
        while let Some(batch) = self.feed.batch().await {
            let mut delays = self.delays();
            let mut tries = 0;
            loop {
                match self.post(&mut connection, &batch).await {
                    Ok(()) => break self.feed.delivered(&batch),
                    Err(error) if tries >= self.ways.borrow().retries => {
                        tracing::warn!(error, events = batch.notices.len(), "events given up");
                        break self.feed.lost(&batch);
                    }
                    Err(error) => {
                        tracing::debug!(error, tries, "events not delivered; trying again");
                        tokio::time::sleep(delays.next_delay()).await;
                        tries += 1;
                    }
                }
            }
        }
    }

    fn delays(&self) -> BackOff {
        BackOff::new(self.ways.borrow().first_delay, LONGEST_DELAY)
    }

    /// One try. A kept connection that the receiver has closed meanwhile is no failed try.
    async fn post(
        &self,
        connection: &mut Option<Connection>,
        batch: &Batch,
    ) -> Result<(), Failure> {
        let ways = self.ways.borrow().clone();
        let request = ways.request(batch.text(self.feed.style())).await?;
        if let Some(mut kept) = connection.take()
            && send(&mut kept, request.clone()).await.is_ok()
        {
            *connection = Some(kept);
            return Ok(());
        }
        let stream = ways.backend.connect().await?;
        let (mut fresh, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the connection.
        tokio::task::spawn_local(async move { driver.await.ok() });
        send(&mut fresh, request).await?;
        *connection = Some(fresh);
        Ok(())
    }
}

async fn send(connection: &mut Connection, request: Request<Full<Bytes>>) -> Result<(), Failure> {
    let exchange = async {
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        if !response.status().is_success() {
            tracing::warn!(status = %response.status(), "the receiver of events complains");
        }
        // The answer says nothing to us, but the connection is free only behind it.
        let _ = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        Ok(())
    };
    tokio::time::timeout(TIMEOUT, exchange).await?
}

impl Ways {
    async fn request(&self, text: String) -> Result<Request<Full<Bytes>>, Failure> {
        let uri = &self.backend.uri;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        // A user in the URL is not the host.
        let host = authority.rsplit('@').next().unwrap_or_default();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json");
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            let word = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            request = request.header(AUTHORIZATION, word);
        }
        let body = if self.compress {
            request = request.header(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            gzip(text, self.level).await?
        } else {
            text.into_bytes()
        };
        Ok(request.body(Full::new(Bytes::from(body)))?)
    }

    /// The same with what an operator wants changed.
    fn tweaked(mut self, from: &Map<String, Value>) -> Result<Self, QueryError> {
        if let Some(url) = fields::text(from, "backend")? {
            self.backend = Backend::read(url, ["http", "https"])
                .map_err(|text| QueryError { code: 413, text })?;
        }
        if let Some(user) = fields::text(from, "backend_user")? {
            self.user = Some(user.to_owned());
        }
        if let Some(password) = fields::text(from, "backend_pwd")? {
            self.password = Some(password.to_owned());
        }
        if let Some(retries) = fields::number(from, "max_retransmissions", 100)? {
            self.retries = retries;
        }
        if let Some(ms) = fields::number(from, "retransmissions_backoff", 600_000)? {
            self.first_delay = Duration::from_millis(ms.max(1).into());
        }
        self.compress = fields::flag(from, "compress")?.unwrap_or(self.compress);
        self.level = fields::number(from, "compression", 9)?.unwrap_or(self.level);
        Ok(self)
    }
}

impl EventHandler for HttpEvents {
    fn about(&self) -> About {
        About::ours(
            "janus.eventhandler.sampleevh",
            "Bifrons HTTP event handler",
            "Posts events to a web server",
        )
    }

    fn tweak(&self, fields: &Map<String, Value>) -> Result<(), QueryError> {
        let tweaked = self.ways.borrow().clone().tweaked(fields)?;
        *self.ways.borrow_mut() = tweaked;
        Ok(())
    }
}
