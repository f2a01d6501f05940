//! One peer in the EchoTest: the shortest proof that a server is alive.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use super::ScenarioError;
use crate::janus::{Client, Jsep};
use crate::peer::str0m::media::Direction;
use crate::peer::{Line, Peer, PeerConfig, Shape, Stats};

/// How long setting up may take.
const PATIENCE: Duration = Duration::from_secs(15);

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
}

impl Echo {
    /// Runs it; returns the peer's counts.
    ///
    /// # Errors
    /// What went wrong in signalling or the peer.
    pub async fn run(&self) -> Result<Stats, ScenarioError> {
        let client = Client::connect(&self.url).await?;
        let session = client.create().await?;
        let mut handle = session.attach("janus.plugin.echotest").await?;
        let peer = Peer::bind(PeerConfig::new(self.local_ip)).await?;
        let lines = vec![Line::audio(Direction::SendRecv), Line::video(Direction::SendRecv)];
        let (mids, offer) = peer.offer(lines).await?;
        let body = json!({"audio": true, "video": true});
        let answer = handle.ask(body, Some(Jsep::offer(offer))).await?.accepted()?;
        let jsep = answer.jsep.ok_or(ScenarioError::NoSdp("the answer"))?;
        peer.accept_answer(&jsep.sdp).await?;
        peer.connected(PATIENCE).await?;
        handle.event_of("webrtcup").await?;
        for (mid, shape) in mids.iter().zip([Shape::audio(), Shape::video(self.rate_bps)]) {
            peer.send(mid, None, shape).await?;
        }
        tokio::time::sleep(self.span).await;
        peer.hold(true).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let stats = peer.stats().await?;
        session.destroy().await?;
        Ok(stats)
    }
}
