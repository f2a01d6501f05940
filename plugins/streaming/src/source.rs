//! Mountpoints that pull: a file, or an RTSP server (plugin-streaming §4).

use crate::api::{Body, FLAG, Field, TEXT, UINT, may, must};
use crate::error::{Refusal, cannot};
use crate::media::{self, StreamSpec};
use crate::mountpoint::Stream;
use bifrons_core::codec::Codec;
use bifrons_core::media::{IngestId, MediaKind};
use bifrons_core::plugin::{PlayerFormat, PlayerSetup, RtspSetup, Service};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// The mid of a file's only line.
pub(crate) const FILE_MID: &str = "0";

/// Fields of `live` and `ondemand`.
const FILE: [Field; 7] = [
    must("filename", TEXT),
    may("audio", FLAG),
    may("video", FLAG),
    may("audiocodec", TEXT),
    may("audiortpmap", TEXT),
    may("audiofmtp", TEXT),
    may("audiopt", UINT),
];

/// Fields of `rtsp`.
const RTSP: [Field; 22] = [
    may("url", TEXT),
    may("rtsp_user", TEXT),
    may("rtsp_pwd", TEXT),
    may("rtsp_quirk", FLAG),
    may("rtsp_failcheck", FLAG),
    may("rtsp_check", FLAG),
    may("rtspiface", TEXT),
    may("rtsp_reconnect_delay", UINT),
    may("rtsp_session_timeout", UINT),
    may("rtsp_timeout", UINT),
    may("rtsp_conn_timeout", UINT),
    may("rtsp_notify_changes", FLAG),
    may("audio", FLAG),
    may("audiocodec", TEXT),
    may("audiortpmap", TEXT),
    may("audiofmtp", TEXT),
    may("audiopt", UINT),
    may("video", FLAG),
    may("videocodec", TEXT),
    may("videortpmap", TEXT),
    may("videofmtp", TEXT),
    may("videopt", UINT),
];

/// A file and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileSpec {
    /// As the client named it.
    pub(crate) name: String,
    pub(crate) format: PlayerFormat,
    pub(crate) codec: Codec,
    pub(crate) pt: u8,
    pub(crate) fmtp: Option<String>,
}

impl FileSpec {
    /// Reads the keys of a file mountpoint; 456 for a file that cannot be one.
    pub(crate) fn read(body: &Body<'_>) -> Result<Self, Refusal> {
        body.check(&FILE)?;
        let name = body.filled("filename").unwrap_or_default();
        if !body.flag("audio").unwrap_or(false) || body.flag("video").unwrap_or(false) {
            return Err(cannot("Only audio can be streamed from a file"));
        }
        if name.split('/').any(|part| part == "..") {
            return Err(cannot("Can't use a file outside of its folder (filename)"));
        }
        let format = PlayerFormat::of_name(&name).ok_or_else(|| {
            cannot("Unsupported file (filename): .opus, .alaw and .mulaw are played")
        })?;
        let mut spec = StreamSpec::new(MediaKind::Audio, FILE_MID, "audio");
        let (codec, pt) = match format {
            PlayerFormat::OggOpus => {
                media::format(
                    &mut spec,
                    body,
                    ["audiopt", "audiocodec", "audiortpmap", "audiofmtp"],
                )?;
                if spec.codec != Some(Codec::Opus) {
                    return Err(cannot("An .opus file needs audiocodec opus"));
                }
                (Codec::Opus, spec.pt)
            }
            PlayerFormat::Alaw => (Codec::Pcma, 8),
            PlayerFormat::Mulaw => (Codec::Pcmu, 0),
        };
        Ok(FileSpec { name, format, codec, pt, fmtp: spec.fmtp })
    }

    /// Its only stream.
    pub(crate) fn stream(&self) -> StreamSpec {
        let mut spec = StreamSpec::new(MediaKind::Audio, FILE_MID, "audio");
        spec.codec = Some(self.codec);
        spec.pt = self.pt;
        spec.fmtp.clone_from(&self.fmtp);
        spec
    }

    /// What plays it.
    pub(crate) fn player(&self, ingest: IngestId) -> Service {
        let path = PathBuf::from(&self.name);
        Service::Player(PlayerSetup { path, format: self.format, ingest })
    }

    /// Its item in `info`'s media.
    pub(crate) fn described(&self) -> Value {
        let mut shown = json!({
            "type": "audio",
            "pt": self.pt,
            "codec": self.codec.janus_name(),
            "rtpmap": self.codec.rtpmap(),
        });
        if let Some(fmtp) = &self.fmtp {
            shown["fmtp"] = json!(fmtp);
        }
        shown
    }
}

/// What is set for one medium of an RTSP server, whatever the server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Override {
    pub(crate) codec: Option<Codec>,
    pub(crate) pt: Option<u8>,
    pub(crate) fmtp: Option<String>,
}

/// An RTSP server and how to pull from it. Times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RtspSpec {
    pub(crate) url: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) quirk: bool,
    pub(crate) failcheck: bool,
    pub(crate) reconnect_delay_s: u32,
    pub(crate) session_timeout_s: u32,
    pub(crate) timeout_s: u32,
    pub(crate) connect_timeout_s: u32,
    pub(crate) notifies: bool,
    pub(crate) audio: Option<Override>,
    pub(crate) video: Option<Override>,
}

impl RtspSpec {
    /// Reads the keys of an RTSP mountpoint.
    pub(crate) fn read(body: &Body<'_>) -> Result<Self, Refusal> {
        body.check(&RTSP)?;
        let url = body.filled("url").ok_or_else(|| cannot("Missing url of a source"))?;
        if !url.starts_with("rtsp://") {
            return Err(cannot("Not an rtsp:// address (url)"));
        }
        if body.filled("rtspiface").is_some() {
            // Media come where the connection goes out: the routes of the host choose it.
            tracing::warn!("rtspiface has no effect: the host's routes choose the interface");
        }
        let (audio, video) = (wanted(body, MediaKind::Audio)?, wanted(body, MediaKind::Video)?);
        if audio.is_none() && video.is_none() {
            return Err(cannot("Can't add an RTSP mountpoint without audio or video"));
        }
        let check = body.flag("rtsp_failcheck").or(body.flag("rtsp_check"));
        let seconds = |name, otherwise| body.number(name).unwrap_or(otherwise);
        Ok(RtspSpec {
            url,
            user: body.filled("rtsp_user"),
            password: body.filled("rtsp_pwd"),
            quirk: body.flag("rtsp_quirk").unwrap_or(false),
            failcheck: check.unwrap_or(true),
            reconnect_delay_s: seconds("rtsp_reconnect_delay", 5).max(1),
            session_timeout_s: seconds("rtsp_session_timeout", 0),
            timeout_s: seconds("rtsp_timeout", 10).max(1),
            connect_timeout_s: seconds("rtsp_conn_timeout", 5).max(1),
            notifies: body.flag("rtsp_notify_changes").unwrap_or(false),
            audio,
            video,
        })
    }

    /// The streams that are known of before the server has said anything.
    pub(crate) fn streams(&self) -> Vec<StreamSpec> {
        let kinds = [
            (MediaKind::Audio, "a", "RTSP audio", &self.audio),
            (MediaKind::Video, "v", "RTSP video", &self.video),
        ];
        let one = |(kind, mid, label, set): (_, _, _, &Option<Override>)| {
            let set = set.as_ref()?;
            let mut spec = StreamSpec::new(kind, mid, label);
            spec.codec = set.codec;
            spec.pt = set.pt.unwrap_or(0);
            spec.fmtp.clone_from(&set.fmtp);
            Some(spec)
        };
        kinds.into_iter().filter_map(one).collect()
    }

    /// What pulls from it into the ingests of these streams.
    pub(crate) fn client(&self, streams: &[Stream]) -> Service {
        let of = |kind| streams.iter().find(|stream| stream.spec.kind == kind);
        let (audio, video) = (of(MediaKind::Audio), of(MediaKind::Video));
        let ingest = |stream: Option<&Stream>| stream.and_then(|stream| stream.ingest);
        let clock = |stream: Option<&Stream>| stream.and_then(|stream| stream.clock.clone());
        let seconds = |s: u32| Duration::from_secs(s.into());
        let credentials = (self.user.clone(), self.password.clone());
        Service::Rtsp(Box::new(RtspSetup {
            credentials: match credentials {
                (Some(user), password) => Some((user, password.unwrap_or_default())),
                (None, _) => None,
            },
            path_only: self.quirk,
            must_connect: self.failcheck,
            reconnect_delay: seconds(self.reconnect_delay_s),
            session_timeout: seconds(self.session_timeout_s),
            timeout: seconds(self.timeout_s),
            connect_timeout: seconds(self.connect_timeout_s),
            clocks: [clock(audio), clock(video)],
            ..RtspSetup::new(self.url.clone(), ingest(audio), ingest(video))
        }))
    }

    /// What `info` shows to those who know the secret.
    pub(crate) fn describe(&self, shown: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("url", json!(self.url));
        if let Some(user) = &self.user {
            put("rtsp_user", json!(user));
        }
        if let Some(password) = &self.password {
            put("rtsp_pwd", json!(password));
        }
        if self.quirk {
            put("rtsp_quirk", json!(true));
        }
    }
}

/// What is set for one medium, if it is wanted at all.
fn wanted(body: &Body<'_>, kind: MediaKind) -> Result<Option<Override>, Refusal> {
    let (name, keys) = match kind {
        MediaKind::Audio => ("audio", ["audiopt", "audiocodec", "audiortpmap", "audiofmtp"]),
        _ => ("video", ["videopt", "videocodec", "videortpmap", "videofmtp"]),
    };
    if !body.flag(name).unwrap_or(false) {
        return Ok(None);
    }
    let [pt, codec, rtpmap, fmtp] = keys;
    let mut set = Override::default();
    if body.has(pt) || body.filled(codec).is_some() || body.filled(rtpmap).is_some() {
        let mut spec = StreamSpec::new(kind, "", "");
        media::format(&mut spec, body, keys)?;
        set.codec = spec.codec;
        set.pt = body.has(pt).then_some(spec.pt);
    }
    set.fmtp = body.filled(fmtp).map(|text| media::on_one_line(&text, fmtp)).transpose()?;
    Ok(Some(set))
}
