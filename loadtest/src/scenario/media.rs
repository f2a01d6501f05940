//! What every scenario of media is told: whom to load, and with what.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use str0m::media::MediaKind;

use super::ScenarioError;
use crate::peer::{Clip, PeerConfig, Shape, Srtp};

/// The server, and how long it is measured.
#[derive(Clone, Debug)]
pub struct Target {
    /// `ws://…` or `http://…` of the Janus API.
    pub url: String,
    /// Local address for media.
    pub local_ip: IpAddr,
    /// Length of the measured window.
    pub window: Duration,
    /// The server's process, for CPU time and memory.
    pub server: Option<u32>,
    /// Tell on the standard error, once a second, how it goes.
    pub progress: bool,
}

impl Target {
    /// The address of the API, for media that are sent to ports of the same host.
    pub(super) async fn host(&self) -> Result<IpAddr, ScenarioError> {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let mut found = tokio::net::lookup_host(authority).await?;
        let unknown = || std::io::Error::other(format!("{authority} has no address"));
        Ok(found.next().as_ref().map(SocketAddr::ip).ok_or_else(unknown)?)
    }
}

/// Of so many receivers one is a whole WebRTC stack of another make, so that a mistake both of our
/// sides share shows.
pub const FULL: u32 = 50;

/// What sources send, and how peers protect it.
#[derive(Clone, Debug)]
pub struct Media {
    /// Each source sends Opus.
    pub audio: bool,
    /// Each source sends VP8.
    pub video: bool,
    /// Video payload bits per second of each source.
    pub rate_bps: u64,
    /// Time between video frames.
    pub frame_interval: Duration,
    /// Share of the frame interval over which a frame's packets leave, 0..=1; 0 sends them at once.
    pub paced: f64,
    /// The SRTP profiles of all peers.
    pub srtp: Srtp,
    /// Receivers are light, all but one in [`FULL`]; needs one profile, and takes AES-GCM where
    /// none is given.
    pub light: bool,
    /// Video from a file, instead of synthetic frames of the stated rate.
    pub video_clip: Option<Arc<Clip>>,
    /// Audio from a file.
    pub audio_clip: Option<Arc<Clip>>,
    /// Peers are connected, and nothing is sent.
    pub silent: bool,
}

impl Media {
    /// Video and audio, frames in bursts, profiles as the server likes.
    #[must_use]
    pub fn new(rate_bps: u64) -> Self {
        let frame_interval = Shape::video(rate_bps).frame_interval;
        let (audio, video, paced, srtp) = (true, true, 0.0, Srtp::Any);
        let (light, silent) = (false, false);
        let (video_clip, audio_clip) = (None, None);
        Self {
            audio,
            video,
            rate_bps,
            frame_interval,
            paced,
            srtp,
            light,
            video_clip,
            audio_clip,
            silent,
        }
    }

    /// One stream of each kind, video first.
    pub(super) fn streams(&self) -> Vec<(MediaKind, Shape)> {
        let mut video = Shape::video(self.rate_bps);
        video.frame_interval = self.frame_interval;
        video.spread = video.frame_interval.mul_f64(self.paced.clamp(0.0, 1.0));
        let streams = [(MediaKind::Video, video), (MediaKind::Audio, Shape::audio())];
        let wanted = |kind: MediaKind| if kind.is_audio() { self.audio } else { self.video };
        streams.into_iter().filter(|(kind, _)| wanted(*kind)).collect()
    }

    /// What is played from files.
    pub(super) fn clips(&self) -> impl Iterator<Item = (MediaKind, &Arc<Clip>)> {
        let video = self.video_clip.iter().map(|clip| (MediaKind::Video, clip));
        video.chain(self.audio_clip.iter().map(|clip| (MediaKind::Audio, clip)))
    }

    /// A peer that sends.
    pub(super) fn peer(&self, local_ip: IpAddr) -> PeerConfig {
        let srtp = if self.light && self.srtp == Srtp::Any { Srtp::Gcm } else { self.srtp };
        PeerConfig { srtp, ..PeerConfig::new(local_ip) }
    }

    /// The peer of the receiver with that number.
    pub(super) fn receiver(&self, local_ip: IpAddr, number: u32) -> PeerConfig {
        let light = self.light && !number.is_multiple_of(FULL);
        PeerConfig { light, ..self.peer(local_ip) }
    }
}

impl std::fmt::Display for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pace = match self.paced {
            share if share > 0.0 => format!("paced over {share} of a frame"),
            _ => "in bursts".to_owned(),
        };
        let parts = [
            self.video.then(|| match &self.video_clip {
                Some(_) => format!("recorded VP8 {pace}"),
                None => format!("{} kbit/s VP8 {pace}", self.rate_bps / 1000),
            }),
            self.audio.then(|| "Opus".to_owned()),
        ];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join(" and ");
        let silent = if self.silent { ", held" } else { "" };
        let srtp = match self.srtp {
            Srtp::Any => "",
            Srtp::Gcm => ", AES-GCM",
            Srtp::Cm => ", AES-CM",
        };
        let light = if self.light { ", light receivers" } else { "" };
        write!(f, "{text}{silent}{srtp}{light}")
    }
}
