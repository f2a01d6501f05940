//! Many sessions and a steady stream of API requests: how long does the control thread take?
//!
//! The load is open: requests leave when they are due, whether or not earlier ones were answered,
//! so a server that stalls is measured by everything it kept waiting. The mix is what clients of
//! rooms send: keepalives, requests that a plugin answers at once, requests that it answers by an
//! event, and candidates.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::ScenarioError;
use crate::janus::{JanusError, WebSocket};
use crate::report::latency_histogram;
use crate::server::Account;

/// How long a reply may take while sessions are made, and after the last request.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one session sends in turn, in tenths.
const MIX: [Kind; 10] = [
    Kind::Keepalive,
    Kind::Exists,
    Kind::Echo,
    Kind::Keepalive,
    Kind::Exists,
    Kind::Keepalive,
    Kind::Echo,
    Kind::Exists,
    Kind::Trickle,
    Kind::Keepalive,
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Keepalive,
    /// Answered by VideoRoom in the reply.
    Exists,
    /// Acknowledged, then answered by EchoTest in an event.
    Echo,
    Trickle,
}

/// The scenario.
#[derive(Clone, Debug)]
pub struct Api {
    /// `ws://…` of the Janus API.
    pub url: String,
    /// Sessions, each with a handle of EchoTest and one of VideoRoom.
    pub sessions: u32,
    /// WebSockets they are spread over.
    pub connections: u32,
    /// Requests a second, all together.
    pub rate: u32,
    /// How long requests are sent.
    pub window: Duration,
    /// Process id of the server, to account its CPU time.
    pub server: Option<u32>,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct ApiReport {
    /// Sessions that were open.
    pub sessions: u32,
    /// Length of the window.
    pub elapsed: Duration,
    /// Requests sent.
    pub sent: u64,
    /// Replies that were no error.
    pub answered: u64,
    /// Replies that were one.
    pub errors: u64,
    /// Events of plugins.
    pub events: u64,
    /// From a request's write to its reply's read, microseconds.
    pub latency_us: Histogram<u64>,
    /// How late requests left, microseconds: the generator's own fault.
    pub lag_us: Histogram<u64>,
    /// CPU time of the server over the window, if its process is known.
    pub server_busy: Option<Duration>,
    /// CPU time of the generator over the window.
    pub generator_busy: Duration,
}

/// A session and its handles.
#[derive(Clone, Copy, Debug)]
struct Seat {
    session: u64,
    echo: u64,
    room: u64,
}

/// One connection with its share of sessions and requests.
struct Lane {
    socket: WebSocket,
    seats: Vec<Seat>,
    waiting: HashMap<u64, Instant>,
    next: u64,
    report: ApiReport,
}

impl Api {
    /// Runs it.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses a session or a connection breaks.
    pub async fn run(&self) -> Result<ApiReport, ScenarioError> {
        let lanes = self.connections.clamp(1, self.sessions.max(1));
        let local = tokio::task::LocalSet::new();
        let work = async {
            let mut opening = Vec::new();
            for lane in 0..lanes {
                let share = self.sessions / lanes + u32::from(lane < self.sessions % lanes);
                opening.push(tokio::task::spawn_local(Lane::open(self.url.clone(), share)));
            }
            let mut open = Vec::new();
            for lane in opening {
                open.push(lane.await.map_err(std::io::Error::other)??);
            }
            self.measure(open).await
        };
        local.run_until(work).await
    }

    async fn measure(&self, lanes: Vec<Lane>) -> Result<ApiReport, ScenarioError> {
        let account = |pid| Account::read(pid).map(|account| account.busy());
        let server = self.server.map(|pid| account(Some(pid))).transpose()?;
        let ours = account(None)?;
        let begin = Instant::now();
        let rate = f64::from(self.rate) / lanes.len() as f64;
        let mut running = Vec::new();
        for (index, lane) in lanes.into_iter().enumerate() {
            // Lanes take turns within the time between two requests of one of them.
            let offset = Duration::from_secs_f64(index as f64 / f64::from(self.rate));
            running.push(tokio::task::spawn_local(lane.run(begin + offset, rate, self.window)));
        }
        let mut sum = ApiReport::empty();
        for lane in running {
            sum.add(&lane.await.map_err(std::io::Error::other)??);
        }
        sum.elapsed = self.window;
        sum.generator_busy = account(None)?.saturating_sub(ours);
        let after = self.server.map(|pid| account(Some(pid))).transpose()?;
        sum.server_busy = after.zip(server).map(|(after, before)| after.saturating_sub(before));
        Ok(sum)
    }
}

impl Lane {
    async fn open(url: String, sessions: u32) -> Result<Self, JanusError> {
        let socket = WebSocket::connect(&url).await?;
        let (waiting, report) = (HashMap::new(), ApiReport::empty());
        let mut lane = Lane { socket, seats: Vec::new(), waiting, next: 0, report };
        for _ in 0..sessions {
            let session = lane.ask(json!({"janus": "create"})).await?;
            let attach = |plugin: &str| {
                let plugin = format!("janus.plugin.{plugin}");
                json!({"janus": "attach", "plugin": plugin, "session_id": session})
            };
            let echo = lane.ask(attach("echotest")).await?;
            let room = lane.ask(attach("videoroom")).await?;
            lane.seats.push(Seat { session, echo, room });
        }
        lane.report.sessions = sessions;
        Ok(lane)
    }

    /// Sends one request and waits for its reply, whose id is returned.
    async fn ask(&mut self, mut request: Value) -> Result<u64, JanusError> {
        self.next += 1;
        request["transaction"] = json!(self.next.to_string());
        self.socket.send(&request.to_string()).await?;
        let late = || JanusError::Late(format!("reply to {}", request["janus"]));
        loop {
            let reply = timeout(PATIENCE, self.socket.receive()).await.map_err(|_| late())??;
            let reply = reply.ok_or_else(|| JanusError::Connection("closed".to_owned()))?;
            let reply: Value = serde_json::from_str(&reply).unwrap_or_default();
            if reply["transaction"] == request["transaction"] {
                return reply["data"]["id"].as_u64().ok_or_else(|| JanusError::Refused {
                    code: reply["error"]["code"].as_i64().unwrap_or_default(),
                    reason: reply["error"]["reason"].as_str().unwrap_or_default().to_owned(),
                });
            }
        }
    }

    /// Sends its share, and waits for what is still owed.
    async fn run(
        mut self,
        begin: Instant,
        rate: f64,
        window: Duration,
    ) -> Result<ApiReport, JanusError> {
        let total = (window.as_secs_f64() * rate) as u64;
        let due = |count: u64| begin + Duration::from_secs_f64(count as f64 / rate);
        let mut sent = 0;
        while sent < total {
            tokio::select! {
                message = self.socket.receive() => self.take(message?)?,
                () = sleep_until(due(sent)) => {
                    let now = Instant::now();
                    while sent < total && due(sent) <= now {
                        let lag = now.saturating_duration_since(due(sent));
                        self.report.lag_us.saturating_record(micros(lag));
                        self.send(sent).await?;
                        sent += 1;
                    }
                }
            }
        }
        let end = Instant::now() + PATIENCE;
        while !self.waiting.is_empty() {
            tokio::select! {
                message = self.socket.receive() => self.take(message?)?,
                () = sleep_until(end) => break,
            }
        }
        Ok(self.report)
    }

    async fn send(&mut self, count: u64) -> Result<(), JanusError> {
        let seats = self.seats.len().max(1) as u64;
        let Some(seat) = self.seats.get((count % seats) as usize).copied() else { return Ok(()) };
        let kind = MIX[((count / seats + count) % MIX.len() as u64) as usize];
        self.next += 1;
        let text = request(kind, seat, self.next);
        self.waiting.insert(self.next, Instant::now());
        self.report.sent += 1;
        self.socket.send(&text).await
    }

    fn take(&mut self, message: Option<String>) -> Result<(), JanusError> {
        let text = message.ok_or_else(|| JanusError::Connection("closed".to_owned()))?;
        let word = value_of(&text, "janus").unwrap_or_default();
        if word == "event" {
            self.report.events += 1;
            return Ok(());
        }
        let transaction = value_of(&text, "transaction").and_then(|word| word.parse().ok());
        let Some(at) = transaction.and_then(|number: u64| self.waiting.remove(&number)) else {
            return Ok(());
        };
        self.report.latency_us.saturating_record(micros(at.elapsed()));
        if word == "error" {
            self.report.errors += 1;
        } else {
            self.report.answered += 1;
        }
        Ok(())
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1)
}

fn request(kind: Kind, seat: Seat, number: u64) -> String {
    let Seat { session, echo, room } = seat;
    let head = format!("\"session_id\":{session},\"transaction\":\"{number}\"");
    match kind {
        Kind::Keepalive => format!("{{\"janus\":\"keepalive\",{head}}}"),
        Kind::Exists => format!(
            "{{\"janus\":\"message\",{head},\"handle_id\":{room},\
             \"body\":{{\"request\":\"exists\",\"room\":1234}}}}"
        ),
        Kind::Echo => format!(
            "{{\"janus\":\"message\",{head},\"handle_id\":{echo},\"body\":{{\"audio\":true}}}}"
        ),
        Kind::Trickle => format!(
            "{{\"janus\":\"trickle\",{head},\"handle_id\":{echo},\
             \"candidate\":{{\"completed\":true}}}}"
        ),
    }
}

/// The text of a field near the top of a message, without parsing all of it: whatever the spaces,
/// the field's first appearance is the envelope's.
fn value_of<'a>(message: &'a str, field: &str) -> Option<&'a str> {
    let at = message.find(&format!("\"{field}\""))? + field.len() + 2;
    let (_, rest) = message.get(at..)?.split_once('"')?;
    rest.split('"').next()
}

impl ApiReport {
    fn empty() -> Self {
        ApiReport {
            sessions: 0,
            elapsed: Duration::ZERO,
            sent: 0,
            answered: 0,
            errors: 0,
            events: 0,
            latency_us: latency_histogram(),
            lag_us: latency_histogram(),
            server_busy: None,
            generator_busy: Duration::ZERO,
        }
    }

    fn add(&mut self, lane: &ApiReport) {
        self.sessions += lane.sessions;
        self.sent += lane.sent;
        self.answered += lane.answered;
        self.errors += lane.errors;
        self.events += lane.events;
        for (sum, part) in
            [(&mut self.latency_us, &lane.latency_us), (&mut self.lag_us, &lane.lag_us)]
        {
            // The bounds are the same.
            let _ = sum.add(part);
        }
    }

    /// A quantile of the time to the reply.
    #[must_use]
    pub fn latency(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.latency_us.value_at_quantile(quantile))
    }

    /// Requests without a reply.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.sent.saturating_sub(self.answered + self.errors)
    }

    /// CPU time of the server per request, microseconds.
    #[must_use]
    pub fn cpu_us(&self) -> Option<f64> {
        let busy = self.server_busy?.as_secs_f64();
        (self.sent > 0).then(|| busy * 1e6 / self.sent as f64)
    }

    /// The figures as one object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let us = |quantile| self.latency_us.value_at_quantile(quantile);
        json!({
            "sessions": self.sessions,
            "seconds": self.elapsed.as_secs_f64(),
            "requests": self.sent,
            "answered": self.answered,
            "errors": self.errors,
            "unanswered": self.unanswered(),
            "events": self.events,
            "latency_p50_us": us(0.5),
            "latency_p99_us": us(0.99),
            "latency_p999_us": us(0.999),
            "latency_max_us": self.latency_us.max(),
            "generator_lag_p99_us": self.lag_us.value_at_quantile(0.99),
            "generator_busy_s": self.generator_busy.as_secs_f64(),
            "server_busy_s": self.server_busy.map(|busy| busy.as_secs_f64()),
            "server_cpu_us_per_request": self.cpu_us(),
        })
    }
}

impl fmt::Display for ApiReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| us as f64 / 1e3;
        let at = |quantile| ms(self.latency_us.value_at_quantile(quantile));
        writeln!(
            f,
            "{} sessions, {:.0} requests a second for {:.0} s",
            self.sessions,
            self.sent as f64 / self.elapsed.as_secs_f64().max(1e-3),
            self.elapsed.as_secs_f64()
        )?;
        writeln!(
            f,
            "  answered {} with {} events, {} errors, {} unanswered",
            self.answered,
            self.events,
            self.errors,
            self.unanswered()
        )?;
        writeln!(
            f,
            "  reply after p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, at most {:.2} ms",
            at(0.5),
            at(0.99),
            at(0.999),
            ms(self.latency_us.max())
        )?;
        write!(
            f,
            "  generator busy {:.2} s, late by p99 {:.2} ms",
            self.generator_busy.as_secs_f64(),
            ms(self.lag_us.value_at_quantile(0.99))
        )?;
        if let (Some(busy), Some(each)) = (self.server_busy, self.cpu_us()) {
            write!(f, "\n  server CPU {:.2} s, {each:.1} us a request", busy.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_the_spaces() {
        for message in [
            r#"{"janus":"ack","session_id":5,"transaction":"17"}"#,
            "{\n   \"janus\": \"ack\",\n   \"session_id\": 5,\n   \"transaction\": \"17\"\n}",
        ] {
            assert_eq!(value_of(message, "janus"), Some("ack"));
            assert_eq!(value_of(message, "transaction"), Some("17"));
            assert_eq!(value_of(message, "sender"), None);
        }
    }

    #[test]
    fn requests_are_sound() {
        let seat = Seat { session: 1, echo: 2, room: 3 };
        for kind in MIX {
            let request: Value = serde_json::from_str(&request(kind, seat, 9)).expect("JSON");
            assert_eq!((&request["session_id"], &request["transaction"]), (&json!(1), &json!("9")));
        }
    }
}
