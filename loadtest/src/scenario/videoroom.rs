//! Publishers and subscribers in one VideoRoom.
//!
//! Every subscriber is one PeerConnection that receives every publisher. All peers are whole
//! WebRTC stacks, so the receivers decrypt, count and answer with reports as a browser would.

use std::time::Duration;

use serde_json::{Value, json};

use super::window::{Feed, Listener, PATIENCE, Stage, account, alive};
use super::{Media, ScenarioError, Target};
use crate::janus::{Client, Handle, Jsep, Session};
use crate::peer::str0m::media::Direction;
use crate::peer::{Line, Peer};
use crate::report::Report;

/// Media of the publishers before anybody subscribes.
const LEAD: Duration = Duration::from_secs(1);

/// Publishers and subscribers in one room.
#[derive(Clone, Debug)]
pub struct VideoRoom {
    /// The server.
    pub target: Target,
    /// What each publisher sends.
    pub media: Media,
    /// Publishers.
    pub publishers: u32,
    /// Subscribers; each receives all publishers.
    pub subscribers: u32,
}

impl VideoRoom {
    /// Runs it to the end and closes the room.
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
        let mut keeper = session.attach("janus.plugin.videoroom").await?;
        let room = self.create_room(&mut keeper).await?;
        let (mut feeds, mut streams, mut handles) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.publishers {
            let (feed, id, handle) = self.publish(&session, &room).await?;
            feeds.push(feed);
            streams.push(json!({"feed": id}));
            handles.push(handle);
        }
        alive(&session, LEAD).await?;
        let join = |number| self.subscribe(&session, &room, &streams, number);
        let (target, media) = (&self.target, &self.media);
        let everybody = (self.subscribers, join);
        let stage = Stage::set(target, media, &session, feeds, idle, everybody).await?;
        stage.warm_up().await?;
        let done = work(&stage).await?;
        keeper.ask(json!({"request": "destroy", "room": room}), None).await?;
        session.destroy().await?;
        Ok(done)
    }

    pub(super) fn title(&self) -> String {
        let seconds = self.target.window.as_secs_f64();
        let (publishers, subscribers) = (self.publishers, self.subscribers);
        let media = &self.media;
        format!(
            "videoroom: {publishers} publishers of {media}, {subscribers} subscribers, {seconds:.0} s"
        )
    }

    async fn create_room(&self, keeper: &mut Handle) -> Result<Value, ScenarioError> {
        let body = json!({
            "request": "create", "publishers": self.publishers.max(1), "bitrate": 0,
            "audiocodec": "opus", "videocodec": "vp8", "notify_joining": false,
        });
        Ok(keeper.ask(body, None).await?.accepted()?.data["room"].clone())
    }

    /// One publisher, sending; returns it with its feed id.
    async fn publish(
        &self,
        session: &Session,
        room: &Value,
    ) -> Result<(Feed, Value, Handle), ScenarioError> {
        let mut handle = session.attach("janus.plugin.videoroom").await?;
        let join = json!({"request": "join", "ptype": "publisher", "room": room});
        let joined = handle.ask(join, None).await?.accepted()?;
        let peer = Peer::bind(self.media.peer(self.target.local_ip)).await?;
        let streams = self.media.streams();
        let line = |audio| if audio { Line::audio } else { Line::video };
        let lines = streams.iter().map(|(kind, _)| line(kind.is_audio())(Direction::SendOnly));
        let (mids, offer) = peer.offer(lines.collect()).await?;
        let publish = json!({"request": "publish"});
        let answer = handle.ask(publish, Some(Jsep::offer(offer))).await?.accepted()?;
        let jsep = answer.jsep.ok_or(ScenarioError::NoSdp("the publisher's answer"))?;
        peer.accept_answer(&jsep.sdp).await?;
        peer.connected(PATIENCE).await?;
        handle.event_of("webrtcup").await?;
        for (mid, (_, shape)) in mids.iter().zip(streams) {
            peer.send(mid, None, shape).await?;
        }
        Ok((Feed::Peer(peer), joined.data["id"].clone(), handle))
    }

    /// One subscriber, connected.
    async fn subscribe(
        &self,
        session: &Session,
        room: &Value,
        feeds: &[Value],
        number: u32,
    ) -> Result<Listener, ScenarioError> {
        let mut handle = session.attach("janus.plugin.videoroom").await?;
        let join =
            json!({"request": "join", "ptype": "subscriber", "room": room, "streams": feeds});
        let attached = handle.ask(join, None).await?.accepted()?;
        let offer = attached.jsep.ok_or(ScenarioError::NoSdp("the subscriber's offer"))?;
        let peer = Peer::bind(self.media.receiver(self.target.local_ip, number)).await?;
        let answer = peer.accept_offer(&offer.sdp).await?;
        let start = json!({"request": "start", "room": room});
        handle.ask(start, Some(Jsep::answer(answer))).await?.accepted()?;
        peer.connected(PATIENCE).await?;
        handle.event_of("webrtcup").await?;
        Ok(Listener { peer, handle })
    }
}
