//! One peer in the EchoTest: the shortest proof that a server is alive.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::ScenarioError;
use crate::janus::{Client, Jsep};
use crate::peer::str0m::media::Direction;
use crate::peer::{Line, Peer, PeerConfig, Shape, Stats};

/// How long setting up may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Silence before counting, and before reading the counts, for what is under way.
const DRAIN: Duration = Duration::from_millis(400);

/// One peer that sends audio and video to `janus.plugin.echotest` and counts what comes back.
#[derive(Clone, Debug)]
pub struct Echo {
    /// `ws://…` or `http://…` of the Janus API.
    pub url: String,
    /// Local address for media.
    pub local_ip: IpAddr,
    /// Video bits per second.
    pub rate_bps: u64,
    /// How long media flows.
    pub span: Duration,
    /// Send the candidate by `trickle` after the offer instead of inside it.
    pub trickle: bool,
}

impl Echo {
    /// Runs it; returns the peer's counts of `span`, which begins when both media have come back:
    /// what a server drops while it sets up is not counted.
    ///
    /// # Errors
    /// What went wrong in signalling or the peer.
    pub async fn run(&self) -> Result<Stats, ScenarioError> {
        let client = Client::connect(&self.url).await?;
        let session = client.create().await?;
        let mut handle = session.attach("janus.plugin.echotest").await?;
        let config = PeerConfig { trickle: self.trickle, ..PeerConfig::new(self.local_ip) };
        let peer = Peer::bind(config).await?;
        let lines = vec![Line::audio(Direction::SendRecv), Line::video(Direction::SendRecv)];
        let (mids, offer) = peer.offer(lines).await?;
        let body = json!({"audio": true, "video": true});
        let offer = Jsep::offer(offer);
        let offer = if self.trickle { offer.trickling() } else { offer };
        let answer = handle.ask(body, Some(offer)).await?.accepted()?;
        let jsep = answer.jsep.ok_or(ScenarioError::NoSdp("the answer"))?;
        peer.accept_answer(&jsep.sdp).await?;
        if self.trickle {
            for candidate in peer.candidates().await? {
                handle.trickle(Some(&candidate)).await?;
            }
            handle.trickle(None).await?;
        }
        peer.connected(PATIENCE).await?;
        handle.event_of("webrtcup").await?;
        for (mid, shape) in mids.iter().zip([Shape::audio(), Shape::video(self.rate_bps)]) {
            peer.send(mid, None, shape).await?;
        }
        let both = |stats: &Stats| stats.received.values().filter(|r| r.frames > 0).count() == 2;
        peer.until("both media", PATIENCE, both).await?;
        peer.hold(true).await?;
        sleep(DRAIN).await;
        peer.reset_counts().await?;
        peer.hold(false).await?;
        sleep(self.span).await;
        peer.hold(true).await?;
        sleep(DRAIN).await;
        let stats = peer.stats().await?;
        session.destroy().await?;
        Ok(stats)
    }
}
