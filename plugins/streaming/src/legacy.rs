//! The older keys of type `rtp`: one stream of each kind, `audioport` and so on (plugin-streaming
//! §4).

use crate::api::{ARRAY, Body, FLAG, Field, TEXT, UINT, Want, may, must};
use crate::error::Refusal;
use crate::media::{StreamSpec, datatype, format, layers, place};
use bifrons_core::media::MediaKind;

/// The older keys, and what goes for all items.
pub(crate) const KEYS: [Field; 35] = [
    may("media", ARRAY),
    may("audio", FLAG),
    may("video", FLAG),
    may("data", FLAG),
    may("audioport", Want::Port),
    may("audiortcpport", Want::Port),
    may("audiopt", UINT),
    may("audiomcast", TEXT),
    may("audioiface", TEXT),
    may("audiocodec", TEXT),
    may("audiortpmap", TEXT),
    may("audiofmtp", TEXT),
    may("audioskew", FLAG),
    may("videoport", Want::Port),
    may("videortcpport", Want::Port),
    may("videopt", UINT),
    may("videomcast", TEXT),
    may("videoiface", TEXT),
    may("videocodec", TEXT),
    may("videortpmap", TEXT),
    may("videofmtp", TEXT),
    may("videosimulcast", FLAG),
    may("videoport2", Want::Port),
    may("videoport3", Want::Port),
    may("videoskew", FLAG),
    may("videosvc", FLAG),
    may("h264sps", TEXT),
    may("dataport", Want::Port),
    may("datamcast", TEXT),
    may("dataiface", TEXT),
    may("datatype", TEXT),
    may("databuffermsg", FLAG),
    may("buffermsg", FLAG),
    may("videobufferkf", FLAG),
    may("bufferkf", FLAG),
];

/// The streams they ask for, with the mids "a", "v" and "d".
pub(crate) fn streams(body: &Body<'_>) -> Result<Vec<StreamSpec>, Refusal> {
    let mut streams = Vec::new();
    if body.flag("audio").unwrap_or(false) {
        body.check(&[must("audioport", Want::Port), must("audiopt", UINT)])?;
        let mut spec = StreamSpec::new(MediaKind::Audio, "a", "audio");
        spec.port = body.port("audioport").unwrap_or(0);
        spec.rtcp_port = body.port("audiortcpport");
        place(&mut spec, body, "audiomcast", "audioiface")?;
        format(&mut spec, body, ["audiopt", "audiocodec", "audiortpmap", "audiofmtp"])?;
        spec.skew = body.flag("audioskew").unwrap_or(false);
        streams.push(spec);
    }
    if body.flag("video").unwrap_or(false) {
        body.check(&[must("videoport", Want::Port), must("videopt", UINT)])?;
        let mut spec = StreamSpec::new(MediaKind::Video, "v", "video");
        spec.port = body.port("videoport").unwrap_or(0);
        spec.rtcp_port = body.port("videortcpport");
        place(&mut spec, body, "videomcast", "videoiface")?;
        format(&mut spec, body, ["videopt", "videocodec", "videortpmap", "videofmtp"])?;
        spec.skew = body.flag("videoskew").unwrap_or(false);
        spec.simulcast = body.flag("videosimulcast").unwrap_or(false);
        spec.svc = body.flag("videosvc").unwrap_or(false);
        layers(&mut spec, [body.port("videoport2"), body.port("videoport3")]);
        spec.h264sps = body.filled("h264sps");
        streams.push(spec);
    }
    if body.flag("data").unwrap_or(false) {
        body.check(&[must("dataport", Want::Port)])?;
        let mut spec = StreamSpec::new(MediaKind::Data, "d", "data");
        spec.port = body.port("dataport").unwrap_or(0);
        place(&mut spec, body, "datamcast", "dataiface")?;
        spec.datatype = datatype(body.text("datatype"))?;
        spec.buffermsg =
            body.flag("databuffermsg").unwrap_or(body.flag("buffermsg").unwrap_or(false));
        streams.push(spec);
    }
    Ok(streams)
}
