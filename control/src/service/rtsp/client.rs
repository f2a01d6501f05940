//! One client: connects, plays, and begins again when the server is lost.

use super::session::{self, Live, Ready, sentence};
use bifrons_core::media::{IngestId, PortClock};
use bifrons_core::plugin::{RtspSetup, ServiceEvent, ServiceMedium};
use futures_util::StreamExt;
use retina::client::{PacketItem, SessionGroup};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The least of every delay: a server that refuses at once is not asked in a tight loop.
const LEAST: Duration = Duration::from_millis(100);

/// What a client reaches of the world.
pub(super) trait Surroundings {
    /// Tells the plugin.
    async fn tell(&self, event: ServiceEvent);
    /// Puts a packet on its way; [`Surroundings::ring`] follows the last of a batch.
    fn inject(&self, ingest: IngestId, packet: &[u8]);
    /// Wakes the shards.
    fn ring(&self);
    /// Knows of every session.
    fn sessions(&self) -> Arc<SessionGroup>;
}

/// How media ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Nothing came for the delay.
    Silent,
    /// The connection is gone.
    Lost,
}

/// See the module.
pub(super) struct Client<S> {
    pub(super) setup: RtspSetup,
    pub(super) around: S,
    /// Whether media flow, or are dropped.
    pub(super) plays: watch::Receiver<bool>,
    /// What the plugin was told that comes.
    pub(super) media: Option<Vec<ServiceMedium>>,
}

impl<S: Surroundings> Client<S> {
    /// Runs until the first try fails, where that is the end, or for ever.
    pub(super) async fn run(mut self) {
        let delay = self.setup.reconnect_delay.max(LEAST);
        let mut was_lost = false;
        let mut tried = false;
        loop {
            let ended = match self.begin(was_lost).await {
                Ok(live) => self.flow(live).await,
                Err(text) => {
                    tracing::info!(url = self.label(), "RTSP: {text}");
                    if self.setup.must_connect && !tried {
                        return self.fail(text).await;
                    }
                    tokio::time::sleep(delay).await;
                    continue;
                }
            };
            tried = true;
            was_lost = true;
            self.around.tell(ServiceEvent::Disconnected).await;
            if ended == End::Lost {
                tokio::time::sleep(delay).await;
            }
        }
    }

    /// Connects and plays; tells what is there, and that it is there again.
    async fn begin(&mut self, was_lost: bool) -> Result<Live, String> {
        let ready: Ready = session::open(&self.setup, self.around.sessions()).await?;
        if self.media.as_ref() != Some(&ready.media) {
            self.media = Some(ready.media.clone());
            self.around.tell(ServiceEvent::Described { media: ready.media.clone() }).await;
        }
        if !was_lost && self.plays.wait_for(|plays| *plays).await.is_err() {
            // Stopped: whoever runs this is about to be dropped.
            std::future::pending::<()>().await;
        }
        let live = ready.play(self.setup.timeout).await?;
        if was_lost {
            self.around.tell(ServiceEvent::Reconnected).await;
        }
        Ok(live)
    }

    /// Hands packets on until none come.
    async fn flow(&mut self, mut live: Live) -> End {
        let delay = self.setup.reconnect_delay.max(LEAST);
        let mut silent_at = tokio::time::Instant::now() + delay;
        loop {
            let item = tokio::time::timeout_at(silent_at, live.session.next()).await;
            let item = match item {
                Err(_) => return End::Silent,
                Ok(None) => return End::Lost,
                Ok(Some(Err(error))) => {
                    tracing::info!(url = self.label(), "RTSP: {}", sentence(&error));
                    return End::Lost;
                }
                Ok(Some(Ok(item))) => item,
            };
            let PacketItem::Rtp(packet) = item else { continue };
            let now = tokio::time::Instant::now();
            silent_at = now + delay;
            let ingest = live.ingests.get(packet.stream_id()).copied().flatten();
            if let Some(clock) = ingest.and_then(|ingest| self.clock(ingest)) {
                clock.note(now.into_std());
            }
            if let Some(ingest) = ingest.filter(|_| *self.plays.borrow()) {
                self.around.inject(ingest, packet.raw());
                self.around.ring();
            }
        }
    }

    /// Where it is noted that something came for an ingest.
    fn clock(&self, ingest: IngestId) -> Option<&PortClock> {
        let RtspSetup { audio, video, clocks: [for_audio, for_video], .. } = &self.setup;
        let pairs = [(audio, for_audio), (video, for_video)];
        pairs.into_iter().find(|(have, _)| **have == Some(ingest))?.1.as_ref()
    }

    async fn fail(&self, mut text: String) {
        crate::service::player::shorten(&mut text);
        self.around.tell(ServiceEvent::Failed { text }).await;
    }

    /// The URL for the log: without user and password, if there are any in it.
    fn label(&self) -> &str {
        let url = self.setup.url.as_str();
        url.rsplit_once('@').map_or(url, |(_, rest)| rest)
    }
}
