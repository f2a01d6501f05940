//! One encoder that feeds a mountpoint, and those who watch it.
//!
//! The encoder sends RTP without encryption to the ports that the server names, so what is measured
//! is the way out: everything that leaves is sealed, and nothing that comes in is opened.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::window::{Feed, Listener, PATIENCE, Stage, account};
use super::{Media, ScenarioError, Target};
use crate::janus::{Client, Handle, Jsep, Session};
use crate::peer::{Peer, Plain};
use crate::report::Report;

pub(super) const PLUGIN: &str = "janus.plugin.streaming";

/// One mountpoint and its viewers.
#[derive(Clone, Debug)]
pub struct Streaming {
    /// The server.
    pub target: Target,
    /// What the encoder sends.
    pub media: Media,
    /// Viewers.
    pub viewers: u32,
}

impl Streaming {
    /// Runs it to the end and destroys the mountpoint.
    ///
    /// # Errors
    /// What went wrong in signalling, a peer, or reading the server's accounts.
    pub async fn run(&self) -> Result<Report, ScenarioError> {
        self.on_stage(async |stage| stage.measure(self.title()).await).await
    }

    /// Sets everything up, lets media flow, does `work` and takes everything down.
    pub(super) async fn on_stage<R>(
        &self,
        work: impl AsyncFnOnce(&Stage<'_>) -> Result<R, ScenarioError>,
    ) -> Result<R, ScenarioError> {
        let client = Client::connect(&self.target.url).await?.with_patience(PATIENCE);
        let session = client.create().await?;
        let idle = account(&self.target)?;
        let mut keeper = session.attach(PLUGIN).await?;
        let (id, feed) = self.create(&mut keeper).await?;
        let join = |number| self.watch(&session, &id, number);
        let (target, media) = (&self.target, &self.media);
        let everybody = (self.viewers, join);
        let stage = Stage::set(target, media, &session, vec![feed], idle, everybody).await?;
        stage.warm_up().await?;
        let done = work(&stage).await?;
        keeper.ask(json!({"request": "destroy", "id": id}), None).await?.accepted()?;
        session.destroy().await?;
        Ok(done)
    }

    fn title(&self) -> String {
        let (media, viewers) = (&self.media, self.viewers);
        let seconds = self.target.window.as_secs_f64();
        format!("streaming: 1 mountpoint of {media}, {viewers} viewers, {seconds:.0} s")
    }

    /// The mountpoint's id, and its encoder, held.
    pub(super) async fn create(&self, keeper: &mut Handle) -> Result<(Value, Feed), ScenarioError> {
        let streams = self.media.streams();
        let lines: Vec<Value> = streams
            .iter()
            .map(|(kind, _)| match kind.is_audio() {
                true => {
                    json!({"type": "audio", "mid": "a", "port": 0, "pt": 111, "codec": "opus"})
                }
                false => json!({"type": "video", "mid": "v", "port": 0, "pt": 96, "codec": "vp8"}),
            })
            .collect();
        let body = json!({"request": "create", "type": "rtp", "media": lines});
        let made = keeper.ask(body, None).await?.accepted()?.data;
        let host = self.target.host().await?;
        let encoder = Plain::bind(self.target.local_ip).await?;
        for (kind, shape) in streams {
            let name = if kind.is_audio() { "audio" } else { "video" };
            let ports = made["stream"]["ports"].as_array();
            let port = ports.and_then(|ports| ports.iter().find(|port| port["type"] == name));
            let port = port.and_then(|port| port["port"].as_u64()).unwrap_or_default();
            let port = u16::try_from(port).ok().filter(|port| *port > 0);
            let port = port.ok_or(ScenarioError::NoPort(name))?;
            let payload_type = if kind.is_audio() { 111 } else { 96 };
            encoder.send(kind, SocketAddr::new(host, port), payload_type, shape).await?;
        }
        Ok((made["stream"]["id"].clone(), Feed::Plain(encoder)))
    }

    /// One viewer, connected.
    pub(super) async fn watch(
        &self,
        session: &Session,
        id: &Value,
        number: u32,
    ) -> Result<Listener, ScenarioError> {
        let mut handle = session.attach(PLUGIN).await?;
        let offered = handle.ask(json!({"request": "watch", "id": id}), None).await?.accepted()?;
        let offer = offered.jsep.ok_or(ScenarioError::NoSdp("the mountpoint's offer"))?;
        let peer = Peer::bind(self.media.receiver(self.target.local_ip, number)).await?;
        let answer = peer.accept_offer(&offer.sdp).await?;
        let start = json!({"request": "start"});
        handle.ask(start, Some(Jsep::answer(answer))).await?.accepted()?;
        peer.connected(PATIENCE).await?;
        handle.event_of("webrtcup").await?;
        Ok(Listener { peer, handle })
    }
}
