//! What a mountpoint of type `rtp` is to carry: the items of `media`, or the older keys for one
//! stream of each kind (plugin-streaming §4).

use crate::api::{Body, FLAG, Field, TEXT, UINT, Want, may, must};
use crate::error::{Refusal, cannot};
use crate::legacy;
use bifrons_core::codec::Codec;
use bifrons_core::media::{DataKind, MediaKind};
use bifrons_core::rtp::PayloadType;
use bifrons_core::sdp::{MAX_MEDIA, Msid, offered_payload_type};
use std::net::IpAddr;

/// Longest mid, in bytes: what the header extension of the same name holds.
const MAX_MID: usize = 16;

/// Fields of an item of `media`.
const ITEM: [Field; 22] = [
    must("type", TEXT),
    must("mid", TEXT),
    must("port", Want::Port),
    may("label", TEXT),
    may("msid", TEXT),
    may("pt", UINT),
    may("codec", TEXT),
    may("rtpmap", TEXT),
    may("fmtp", TEXT),
    may("mcast", TEXT),
    may("iface", TEXT),
    may("rtcpport", Want::Port),
    may("skew", FLAG),
    may("simulcast", FLAG),
    may("port2", Want::Port),
    may("port3", Want::Port),
    may("svc", FLAG),
    may("h264sps", TEXT),
    may("datatype", TEXT),
    may("buffermsg", FLAG),
    may("videosimulcast", FLAG),
    may("videosvc", FLAG),
];

/// A stream as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamSpec {
    pub(crate) kind: MediaKind,
    pub(crate) mid: String,
    pub(crate) label: String,
    pub(crate) msid: Option<Msid>,
    pub(crate) pt: u8,
    /// `None` for data, and for audio or video that nobody can be offered.
    pub(crate) codec: Option<Codec>,
    pub(crate) fmtp: Option<String>,
    pub(crate) group: Option<IpAddr>,
    pub(crate) interface: Option<IpAddr>,
    /// The name that it was given by; its address is looked up when the ports are opened.
    pub(crate) interface_name: Option<String>,
    /// Its port; 0 = any. The real one once it is open.
    pub(crate) port: u16,
    pub(crate) rtcp_port: Option<u16>,
    /// Ports of the substreams 1 and 2; with simulcast.
    pub(crate) more_ports: [Option<u16>; 2],
    pub(crate) simulcast: bool,
    pub(crate) svc: bool,
    pub(crate) skew: bool,
    /// SPS and PPS in base64, joined by a comma.
    pub(crate) h264sps: Option<String>,
    pub(crate) datatype: DataKind,
    pub(crate) buffermsg: bool,
}

impl StreamSpec {
    /// A stream with nothing but its kind and its names.
    pub(crate) fn new(kind: MediaKind, mid: &str, label: &str) -> Self {
        StreamSpec {
            kind,
            mid: mid.to_owned(),
            label: label.to_owned(),
            msid: None,
            pt: 0,
            codec: None,
            fmtp: None,
            group: None,
            interface: None,
            interface_name: None,
            port: 0,
            rtcp_port: None,
            more_ports: [None; 2],
            simulcast: false,
            svc: false,
            skew: false,
            h264sps: None,
            datatype: DataKind::Text,
            buffermsg: false,
        }
    }

    /// Whether a viewer can be offered it.
    pub(crate) fn is_offered(&self) -> bool {
        self.kind == MediaKind::Data || self.codec.is_some()
    }
}

/// The streams that a `create` of type `rtp` asks for, and whether it uses the older keys.
pub(crate) fn streams(body: &Body<'_>) -> Result<(Vec<StreamSpec>, bool), Refusal> {
    body.check(&legacy::KEYS)?;
    if body.has("bufferkf") || body.has("videobufferkf") {
        tracing::warn!("bufferkf is obsolete: bufferkf_ms and bufferkf_bytes say how much is kept");
    }
    let older = !body.has("media");
    let streams = match older {
        true => legacy::streams(body)?,
        false => {
            let items = body.items("media", &ITEM)?;
            items.iter().map(|item| stream(item, body)).collect::<Result<Vec<_>, _>>()?
        }
    };
    if streams.is_empty() {
        return Err(cannot("Can't add a mountpoint without any stream"));
    }
    if streams.len() > MAX_MEDIA {
        return Err(cannot("Too many streams in one mountpoint"));
    }
    for (at, stream) in streams.iter().enumerate() {
        if streams.iter().skip(at + 1).any(|other| other.mid == stream.mid) {
            return Err(cannot(format!("Two streams with the mid '{}'", stream.mid)));
        }
    }
    if streams.iter().filter(|stream| stream.kind == MediaKind::Data).count() > 1 {
        return Err(cannot("Only one data stream in a mountpoint"));
    }
    Ok((streams, older))
}

/// One item of `media`; of data it may leave its rules to the request as a whole.
fn stream(item: &Body<'_>, body: &Body<'_>) -> Result<StreamSpec, Refusal> {
    let kind = match item.text("type") {
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        Some("data") => MediaKind::Data,
        _ => return Err(cannot("Unsupported media type")),
    };
    let mid = item.text("mid").unwrap_or_default();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte);
    if mid.is_empty() || mid.len() > MAX_MID || !mid.bytes().all(is_token) {
        return Err(cannot(format!("Not a mid of 1 to {MAX_MID} bytes (mid)")));
    }
    let label = item.filled("label").unwrap_or_else(|| kind.name().to_owned());
    let mut spec = StreamSpec::new(kind, mid, &label);
    spec.msid = item.text("msid").and_then(msid);
    spec.port = item.port("port").unwrap_or(0);
    place(&mut spec, item, "mcast", "iface")?;
    if kind == MediaKind::Data {
        spec.datatype = datatype(item.text("datatype").or(body.text("datatype")))?;
        spec.buffermsg = item.flag("buffermsg").unwrap_or(body.flag("buffermsg").unwrap_or(false));
        return Ok(spec);
    }
    format(&mut spec, item, ["pt", "codec", "rtpmap", "fmtp"])?;
    spec.rtcp_port = item.port("rtcpport");
    spec.skew = item.flag("skew").unwrap_or(false);
    if kind == MediaKind::Video {
        spec.simulcast =
            item.flag("simulcast").unwrap_or(false) || item.flag("videosimulcast").unwrap_or(false);
        spec.svc = item.flag("svc").unwrap_or(false) || item.flag("videosvc").unwrap_or(false);
        layers(&mut spec, [item.port("port2"), item.port("port3")]);
        spec.h264sps = item.filled("h264sps");
    }
    Ok(spec)
}

/// Simulcast takes further ports, SVC is known for VP9 only, and there is one of the two.
pub(crate) fn layers(spec: &mut StreamSpec, more_ports: [Option<u16>; 2]) {
    spec.svc &= spec.codec == Some(Codec::Vp9) && !spec.simulcast;
    if spec.simulcast {
        spec.more_ports = more_ports;
    }
}

/// Payload type, codec and parameters, from keys of these names.
pub(crate) fn format(
    spec: &mut StreamSpec,
    body: &Body<'_>,
    [pt, codec, rtpmap, fmtp]: [&str; 4],
) -> Result<(), Refusal> {
    let number = body.number(pt);
    let video = spec.kind == MediaKind::Video;
    let named = match (body.filled(codec), body.filled(rtpmap)) {
        (Some(name), _) => Some((Codec::from_janus_name(&name), name)),
        (None, Some(map)) => Some((Codec::from_rtpmap(&map), map)),
        (None, None) => None,
    };
    let fixed = |codec: &Codec| codec.static_payload_type().map(|pt| u32::from(pt.get()));
    spec.codec = match named {
        Some((Some(codec), _)) => Some(codec),
        Some((None, name)) => return Err(cannot(format!("Unknown codec '{name}'"))),
        None if number.is_none() => {
            return Err(cannot(format!("Missing {codec} or {pt} of a stream")));
        }
        None => Codec::ALL.into_iter().find(|c| fixed(c) == number && c.is_video() == video),
    };
    if spec.codec.is_some_and(|codec| codec.is_video() != video) {
        let text = format!("Not a codec for {} ({codec})", spec.kind.name());
        return Err(cannot(text));
    }
    // 0 stands for "not given" wherever it cannot be meant.
    let usual = spec.codec.map_or(0, |codec| offered_payload_type(codec).get());
    let number = number.filter(|number| *number > 0).unwrap_or(usual.into());
    let number = u8::try_from(number).ok().and_then(PayloadType::new);
    let number = number.ok_or_else(|| cannot(format!("Not a payload type ({pt})")))?;
    spec.pt = number.get();
    spec.fmtp = body.filled(fmtp).map(|text| on_one_line(&text, fmtp)).transpose()?;
    Ok(())
}

/// Text that goes into a session description.
pub(crate) fn on_one_line(text: &str, name: &str) -> Result<String, Refusal> {
    match text.chars().any(char::is_control) {
        true => Err(cannot(format!("More than one line ({name})"))),
        false => Ok(text.to_owned()),
    }
}

/// Two words; anything else counts as none.
fn msid(text: &str) -> Option<Msid> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    match words[..] {
        [stream, track] if !text.chars().any(char::is_control) => Some(Msid::new(stream, track)),
        _ => None,
    }
}

pub(crate) fn datatype(text: Option<&str>) -> Result<DataKind, Refusal> {
    match text {
        None | Some("text") => Ok(DataKind::Text),
        Some("binary") => Ok(DataKind::Binary),
        Some(_) => Err(cannot("Invalid element (datatype can only be text or binary)")),
    }
}

/// Longest name of an interface (`IFNAMSIZ`, less its end).
const MAX_INTERFACE: usize = 15;

/// Multicast group and interface, from keys of these names. An interface is an address of ours or
/// the name of one.
pub(crate) fn place(
    spec: &mut StreamSpec,
    body: &Body<'_>,
    group: &str,
    interface: &str,
) -> Result<(), Refusal> {
    spec.group = address(body, group)?;
    if spec.group.is_some_and(|group| !group.is_multicast()) {
        return Err(cannot(format!("Not a multicast group ({group})")));
    }
    let Some(text) = body.filled(interface) else { return Ok(()) };
    spec.interface = text.parse().ok();
    if spec.interface.is_none() {
        let is_name = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        if text.len() > MAX_INTERFACE || !text.bytes().all(is_name) {
            return Err(cannot(format!("Not an address or name of an interface ({interface})")));
        }
        spec.interface_name = Some(text);
    }
    Ok(())
}

/// An address; 456 for what is none.
fn address(body: &Body<'_>, name: &str) -> Result<Option<IpAddr>, Refusal> {
    let Some(text) = body.filled(name) else { return Ok(None) };
    let refused = |_| cannot(format!("Not an address of ours ({name})"));
    text.parse().map(Some).map_err(refused)
}
