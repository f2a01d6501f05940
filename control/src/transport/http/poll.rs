//! Long polls (transports-auth §2.5).

use super::Http;
use super::head::{self, After};
use super::target::PollQuery;
use bifrons_core::api::{event, json};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use std::time::Duration;

/// How long a poll waits for an event.
const PATIENCE: Duration = Duration::from_secs(30);

impl Http {
    /// Answers with the events that wait, or with the next one to come.
    pub(super) async fn poll(&self, session_id: u64, query: &str) -> Response<Full<Bytes>> {
        let query = PollQuery::read(query);
        let Some(front) = self.front.upgrade() else {
            return head::empty(StatusCode::SERVICE_UNAVAILABLE, After::Close);
        };
        let (secret, token) = (query.api_secret.as_deref(), query.token.as_deref());
        if !front.with(|core, now| core.admits(now, secret, token)) {
            return head::empty(StatusCode::FORBIDDEN, After::Close);
        }
        let queue = self.queues.borrow().get(&session_id).cloned();
        let known = front.with(|core, now| core.touch(now, session_id));
        drop(front);
        let Some(queue) = queue.filter(|_| known) else {
            return head::empty(StatusCode::NOT_FOUND, After::KeepAlive);
        };
        let mut events = queue.take(query.max_events);
        if events.is_empty() {
            let arrival = tokio::time::timeout(PATIENCE, queue.arrival()).await;
            if arrival.is_ok() {
                // Another poll may have been quicker: this one ends all the same.
                events = queue.take(query.max_events);
            }
        }
        if events.is_empty() {
            events.push(json::write(&event::keepalive(), self.style.get()));
        }
        head::json(if query.max_events > 1 {
            format!("[{}]", events.join(","))
        } else {
            events.swap_remove(0)
        })
    }
}
