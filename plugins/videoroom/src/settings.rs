//! What a room is set to, whether by `create`, by `edit` or by the configuration
//! (plugin-videoroom §3).

use crate::api::{ARRAY, Body, FLAG, Field, TEXT, UINT, may};
use crate::error::Refusal;
use bifrons_core::codec::Codec;
use bifrons_core::config::Group;
use serde_json::{Map, Value, json};

/// Most codecs of one kind; further ones are not looked at.
const MAX_CODECS: usize = 5;

/// Lowest bitrate cap that is not "none", in bit/s.
const MIN_BITRATE_BPS: u32 = 64_000;

/// A stream of the dummy publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DummyStream {
    /// Its codec.
    pub(crate) codec: Codec,
    /// Format parameters for the offers.
    pub(crate) fmtp: Option<String>,
}

/// Settings of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) description: String,
    pub(crate) is_private: bool,
    pub(crate) secret: Option<String>,
    pub(crate) pin: Option<String>,
    pub(crate) require_pvtid: bool,
    pub(crate) signed_tokens: bool,
    pub(crate) publishers: u32,
    pub(crate) bitrate_bps: u32,
    pub(crate) bitrate_cap: bool,
    pub(crate) fir_freq_s: u16,
    pub(crate) audio_codecs: Vec<Codec>,
    pub(crate) video_codecs: Vec<Codec>,
    pub(crate) vp9_profile: Option<String>,
    pub(crate) h264_profile: Option<String>,
    pub(crate) opus_fec: bool,
    pub(crate) opus_dtx: bool,
    pub(crate) audiolevel_ext: bool,
    pub(crate) audiolevel_event: bool,
    pub(crate) audio_active_packets: u16,
    pub(crate) audio_level_average: u8,
    pub(crate) videoorient_ext: bool,
    pub(crate) playoutdelay_ext: bool,
    pub(crate) transport_wide_cc_ext: bool,
    pub(crate) record: bool,
    pub(crate) rec_dir: Option<String>,
    pub(crate) lock_record: bool,
    pub(crate) notify_joining: bool,
    pub(crate) require_e2ee: bool,
    pub(crate) dummy_publisher: bool,
    pub(crate) dummy_streams: Vec<DummyStream>,
    pub(crate) dummy_e2ee: bool,
    pub(crate) threads: u32,
}

/// Fields of `create` that are settings.
pub(crate) const SETTINGS: [Field; 32] = [
    may("description", TEXT),
    may("is_private", FLAG),
    may("allowed", ARRAY),
    may("secret", TEXT),
    may("pin", TEXT),
    may("require_pvtid", FLAG),
    may("signed_tokens", FLAG),
    may("bitrate", UINT),
    may("bitrate_cap", FLAG),
    may("fir_freq", UINT),
    may("publishers", UINT),
    may("audiocodec", TEXT),
    may("videocodec", TEXT),
    may("vp9_profile", TEXT),
    may("h264_profile", TEXT),
    may("opus_fec", FLAG),
    may("opus_dtx", FLAG),
    may("audiolevel_ext", FLAG),
    may("audiolevel_event", FLAG),
    may("audio_active_packets", UINT),
    may("audio_level_average", UINT),
    may("videoorient_ext", FLAG),
    may("playoutdelay_ext", FLAG),
    may("transport_wide_cc_ext", FLAG),
    may("record", FLAG),
    may("rec_dir", TEXT),
    may("lock_record", FLAG),
    may("notify_joining", FLAG),
    may("require_e2ee", FLAG),
    may("dummy_publisher", FLAG),
    may("dummy_e2ee", FLAG),
    may("threads", UINT),
];

/// Where settings come from: a checked request or a configuration group.
pub(crate) enum Given<'a> {
    /// A `create`.
    Request(Body<'a>),
    /// A `room-…` group.
    File(&'a Group),
}

impl Given<'_> {
    fn flag(&self, name: &str) -> Option<bool> {
        match self {
            Given::Request(body) => body.flag(name),
            Given::File(group) => group.get_bool(name),
        }
    }

    fn number(&self, name: &str) -> Option<u32> {
        match self {
            Given::Request(body) => body.number(name),
            Given::File(group) => {
                group.get_u64(name).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
            }
        }
    }

    /// A text; an empty one counts as absent.
    fn text(&self, name: &str) -> Option<String> {
        match self {
            Given::Request(body) => body.filled(name),
            Given::File(group) => {
                group.get_str(name).map(|text| text.into_owned()).filter(|text| !text.is_empty())
            }
        }
    }

    fn dummy_streams(&self) -> Vec<DummyStream> {
        let stream = |codec: Option<&str>, fmtp: Option<String>| {
            Some(DummyStream { codec: Codec::from_janus_name(codec?)?, fmtp })
        };
        match self {
            Given::Request(body) => {
                let items = body.array("dummy_streams").map_or(&[][..], Vec::as_slice);
                let one = |item: &Value| {
                    let fmtp = item.get("fmtp").and_then(Value::as_str).map(str::to_owned);
                    stream(item.get("codec").and_then(Value::as_str), fmtp)
                };
                items.iter().filter_map(one).collect()
            }
            Given::File(group) => {
                let items = group.get_elements("dummy_streams").iter();
                let one = |group: &Group| {
                    let fmtp = group.get_str("fmtp").map(|text| text.into_owned());
                    stream(group.get_str("codec").as_deref(), fmtp)
                };
                items.filter_map(|item| item.value.group()).filter_map(one).collect()
            }
        }
    }
}

impl Settings {
    /// Reads settings; `name` is the description where none is given. 430 for codec lists with
    /// something unknown in them.
    pub(crate) fn read(given: &Given<'_>, name: &str) -> Result<Self, Refusal> {
        let flag = |name, default| given.flag(name).unwrap_or(default);
        let number = |name, default| given.number(name).unwrap_or(default);
        let audio = codecs(given.text("audiocodec"), Codec::Opus, "audiocodec")?;
        let video = codecs(given.text("videocodec"), Codec::Vp8, "videocodec")?;
        let profile = |name, codec| given.text(name).filter(|_| video.contains(&codec));
        let require_e2ee = flag("require_e2ee", false);
        let fec_possible = given.flag("opus_fec").is_none() || audio.contains(&Codec::Opus);
        Ok(Settings {
            description: given.text("description").unwrap_or_else(|| name.to_owned()),
            is_private: flag("is_private", false),
            secret: given.text("secret"),
            pin: given.text("pin"),
            require_pvtid: flag("require_pvtid", false),
            signed_tokens: flag("signed_tokens", false),
            publishers: number("publishers", 3),
            bitrate_bps: floored(number("bitrate", 0)),
            bitrate_cap: flag("bitrate_cap", false),
            fir_freq_s: u16::try_from(number("fir_freq", 0)).unwrap_or(u16::MAX),
            vp9_profile: profile("vp9_profile", Codec::Vp9),
            h264_profile: profile("h264_profile", Codec::H264),
            opus_fec: flag("opus_fec", true) && fec_possible,
            opus_dtx: flag("opus_dtx", false),
            audiolevel_ext: flag("audiolevel_ext", true),
            audiolevel_event: flag("audiolevel_event", false),
            audio_active_packets: active_packets(given.number("audio_active_packets")),
            audio_level_average: level_average(given.number("audio_level_average")),
            videoorient_ext: flag("videoorient_ext", true),
            playoutdelay_ext: flag("playoutdelay_ext", true),
            transport_wide_cc_ext: flag("transport_wide_cc_ext", true),
            record: flag("record", false),
            rec_dir: given.text("rec_dir"),
            lock_record: flag("lock_record", false),
            notify_joining: flag("notify_joining", false),
            require_e2ee,
            dummy_publisher: flag("dummy_publisher", false),
            dummy_streams: given.dummy_streams(),
            dummy_e2ee: flag("dummy_e2ee", false) || require_e2ee,
            threads: number("threads", 0),
            audio_codecs: audio,
            video_codecs: video,
        })
    }

    /// What `list` shows, after the id and before the number of participants.
    pub(crate) fn describe(&self, shown: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("description", json!(self.description));
        put("pin_required", json!(self.pin.is_some()));
        put("is_private", json!(self.is_private));
        put("max_publishers", json!(self.publishers));
        put("bitrate", json!(self.bitrate_bps));
        if self.bitrate_cap {
            put("bitrate_cap", json!(true));
        }
        put("fir_freq", json!(self.fir_freq_s));
        put("require_pvtid", json!(self.require_pvtid));
        put("require_e2ee", json!(self.require_e2ee));
        put("dummy_publisher", json!(self.dummy_publisher));
        put("notify_joining", json!(self.notify_joining));
        put("audiocodec", json!(names(&self.audio_codecs)));
        put("videocodec", json!(names(&self.video_codecs)));
        if self.opus_fec {
            put("opus_fec", json!(true));
        }
        if self.opus_dtx {
            put("opus_dtx", json!(true));
        }
        put("record", json!(self.record));
        if let Some(folder) = &self.rec_dir {
            put("rec_dir", json!(folder));
        }
        put("lock_record", json!(self.lock_record));
    }

    /// What `list` shows after the number of participants.
    pub(crate) fn describe_extensions(&self, shown: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("audiolevel_ext", json!(self.audiolevel_ext));
        put("audiolevel_event", json!(self.audiolevel_event));
        if self.audiolevel_event {
            put("audio_active_packets", json!(self.audio_active_packets));
            put("audio_level_average", json!(self.audio_level_average));
        }
        put("videoorient_ext", json!(self.videoorient_ext));
        put("playoutdelay_ext", json!(self.playoutdelay_ext));
        put("transport_wide_cc_ext", json!(self.transport_wide_cc_ext));
    }
}

/// The names of codecs, separated by commas.
pub(crate) fn names(codecs: &[Codec]) -> String {
    codecs.iter().map(|codec| codec.janus_name()).collect::<Vec<_>>().join(",")
}

/// A bitrate cap: 0 for none, else at least 64000.
pub(crate) fn floored(bps: u32) -> u32 {
    if bps == 0 { 0 } else { bps.max(MIN_BITRATE_BPS) }
}

/// Packets that loudness is averaged over; 100 where nothing sensible is given.
pub(crate) fn active_packets(given: Option<u32>) -> u16 {
    given.filter(|n| *n > 0).map_or(100, |n| u16::try_from(n).unwrap_or(u16::MAX))
}

/// Mean level below which somebody talks, in -dBov; 25 where nothing sensible is given.
pub(crate) fn level_average(given: Option<u32>) -> u8 {
    given.filter(|n| *n > 0).map_or(25, |n| n.min(127) as u8)
}

fn codecs(list: Option<String>, default: Codec, name: &str) -> Result<Vec<Codec>, Refusal> {
    let Some(list) = list else { return Ok(vec![default]) };
    let mut found = Vec::new();
    for word in list.split(',').take(MAX_CODECS) {
        let codec = Codec::from_janus_name(word.trim());
        match codec.filter(|codec| codec.is_video() == default.is_video()) {
            Some(codec) if found.contains(&codec) => {}
            Some(codec) => found.push(codec),
            None => {
                let text = format!("Invalid element ({name} can only be a list of known codecs)");
                return Err(Refusal::invalid(text));
            }
        }
    }
    Ok(found)
}
