//! A call of a PeerConnection of another implementation (str0m) with EchoTest.

use crate::client::{Ws, merged};
use crate::target::{Target, media_address};
use bifrons_loadtest::peer::str0m::format::Codec;
use bifrons_loadtest::peer::str0m::media::Direction;
use bifrons_loadtest::peer::{Line, Peer, PeerConfig, Shape, Stats};
use serde_json::{Value, json};
use std::time::Duration;

/// How long anything may take that has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A handle with its PeerConnection.
pub(crate) struct Call {
    pub(crate) ws: Ws,
    pub(crate) at: (u64, u64),
    pub(crate) peer: Peer,
    /// Of the lines offered, in order.
    pub(crate) mids: Vec<String>,
    /// The last answer.
    pub(crate) answer: String,
}

/// An audio and a video line, both ways.
pub(crate) fn both() -> Vec<Line> {
    vec![Line::audio(Direction::SendRecv), Line::video(Direction::SendRecv)]
}

/// A peer on loopback that keeps what the tests look at.
pub(crate) async fn peer(codecs: &[Codec]) -> Peer {
    let mut config = PeerConfig::new(media_address().into());
    config.codecs = codecs.to_vec();
    config.keep_headers = 16;
    config.keep_rtcp = 256;
    Peer::bind(config).await.expect("a peer")
}

/// An offer whose candidates are all in it.
pub(crate) fn jsep(sdp: &str) -> Value {
    json!({"type": "offer", "sdp": sdp, "trickle": false})
}

impl Call {
    /// A handle and a peer that have nothing to do with each other yet.
    pub(crate) async fn prepare(target: &Target, codecs: &[Codec]) -> Self {
        let mut ws = target.ws().await;
        let at = ws.attached().await;
        Self::between(ws, at, peer(codecs).await)
    }

    /// A handle and a peer of the test's own making.
    pub(crate) fn between(ws: Ws, at: (u64, u64), peer: Peer) -> Self {
        Call { ws, at, peer, mids: Vec::new(), answer: String::new() }
    }

    /// A call that is up.
    pub(crate) async fn start(target: &Target, body: Value, lines: Vec<Line>) -> Self {
        let mut call = Self::prepare(target, &[Codec::Opus, Codec::Vp8]).await;
        call.offer(body, lines).await;
        call.connected().await;
        call
    }

    /// Offers lines, and takes the answer.
    pub(crate) async fn offer(&mut self, body: Value, lines: Vec<Line>) {
        let (mids, sdp) = self.peer.offer(lines).await.expect("an offer");
        self.mids.extend(mids);
        self.negotiate(body, &sdp, json!({})).await;
    }

    /// Hands an offer over, with more fields in its jsep, and takes the answer.
    pub(crate) async fn negotiate(&mut self, body: Value, sdp: &str, extra: Value) -> Value {
        let request = json!({"janus": "message", "body": body, "jsep": merged(jsep(sdp), &extra)});
        let event = self.answered(request).await;
        assert_eq!(event["plugindata"]["data"]["result"], "ok", "{event}");
        assert_eq!(event["jsep"]["type"], "answer", "{event}");
        self.answer = event["jsep"]["sdp"].as_str().expect("an SDP").to_owned();
        self.peer.accept_answer(&self.answer).await.expect("a good answer");
        event
    }

    /// Waits for both ends to be up.
    pub(crate) async fn connected(&mut self) {
        self.peer.connected(PATIENCE).await.expect("up");
        self.event_where("webrtcup", |event| event["janus"] == "webrtcup").await;
    }

    /// A request that is answered by an event; the event.
    async fn answered(&mut self, request: Value) -> Value {
        let ack = self.ws.on(self.at, request).await;
        assert_eq!(ack["janus"], "ack", "{ack}");
        let transaction = ack["transaction"].clone();
        self.event_where("the answer", move |event| event["transaction"] == transaction).await
    }

    /// Asks the plugin something; the data it answers with.
    pub(crate) async fn ask(&mut self, body: Value) -> Value {
        let event = self.answered(json!({"janus": "message", "body": body})).await;
        event["plugindata"]["data"].clone()
    }

    /// Asks the plugin something that it agrees to.
    pub(crate) async fn change(&mut self, body: Value) {
        let data = self.ask(body).await;
        assert_eq!(data, json!({"echotest": "event", "result": "ok"}));
    }

    /// The next event that fits; those before it are let go.
    pub(crate) async fn event_where(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.ws.event_within(PATIENCE).await;
            let event = event.unwrap_or_else(|| panic!("no event in time: {what}"));
            if fits(&event) {
                return event;
            }
        }
    }

    /// Sends audio and video on the first two lines.
    pub(crate) async fn send_both(&self) {
        self.peer.send(&self.mids[0], None, Shape::audio()).await.expect("audio");
        self.peer.send(&self.mids[1], None, Shape::video(400_000)).await.expect("video");
    }

    /// Waits until the peer's counts are as wanted.
    pub(crate) async fn until(
        &self,
        what: &str,
        wanted: impl FnMut(&Stats) -> bool + Send + 'static,
    ) -> Stats {
        self.peer.until(what, PATIENCE, wanted).await.expect(what)
    }

    /// How many packets have come back on each of the first two lines.
    pub(crate) async fn packets(&self) -> [u64; 2] {
        let stats = self.peer.stats().await.expect("a peer");
        [0, 1].map(|line| stats.from_mid(&self.mids[line]).map_or(0, |came| came.packets))
    }

    /// Waits until `more` packets came back on a line.
    pub(crate) async fn more_on(&self, line: usize, more: u64) {
        let before = self.packets().await[line];
        let mid = self.mids[line].clone();
        let enough = move |stats: &Stats| {
            stats.from_mid(&mid).is_some_and(|came| came.packets >= before + more)
        };
        self.until("more packets", enough).await;
    }
}
