//! Bodies of statistics events (admin-events-recording §7.1).

use crate::negotiation::LineAbout;
use bifrons_core::media::{LayerStatistics, LineStatistics, MediaKind, PeerStatistics};
use bifrons_core::rtcp::Quality;
use serde_json::{Map, Value, json};

/// One body for each line, and one for each further simulcast layer that was seen.
pub fn bodies(lines: &[LineAbout], of: &PeerStatistics) -> Vec<Value> {
    let mut all = Vec::new();
    for about in lines {
        let none = LineStatistics::default();
        let line = of.lines.iter().find(|line| line.mindex == about.mindex).unwrap_or(&none);
        let none = LayerStatistics::default();
        let layers = line.received.len().clamp(1, 3);
        for (index, suffix) in ["", "-sim1", "-sim2"].into_iter().take(layers).enumerate() {
            let received = line.received.get(index).unwrap_or(&none);
            let media = format!("{}{suffix}", about.kind.name());
            let sent = if index == 0 { &line.sent } else { &none };
            all.push(match about.kind {
                MediaKind::Data => data(about, received, sent),
                MediaKind::Audio | MediaKind::Video => body(about, of, (media, received, sent)),
            });
        }
    }
    all
}

/// Packets and bytes are all there is.
fn data(about: &LineAbout, received: &LayerStatistics, sent: &LayerStatistics) -> Value {
    json!({
        "mid": about.mid,
        "mindex": about.mindex,
        "media": about.kind.name(),
        "packets-received": received.packets,
        "packets-sent": sent.packets,
        "bytes-received": received.bytes,
        "bytes-sent": sent.bytes,
    })
}

fn body(
    about: &LineAbout,
    of: &PeerStatistics,
    (media, received, sent): (String, &LayerStatistics, &LayerStatistics),
) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    let is_first = !media.contains('-');
    put("mid", about.mid.as_str().into());
    put("mindex", about.mindex.into());
    put("media", media.into());
    if let Some(codec) = about.codec.filter(|_| received.packets + sent.packets > 0) {
        put("codec", codec.into());
    }
    put("base", about.clock_hz.into());
    if is_first {
        put("rtt", of.rtt_ms.into());
        if let Some(from) = of.round_trip {
            put("rtt-values", json!({ "ntp": from.ntp, "lsr": from.lsr, "dlsr": from.dlsr }));
        }
    }
    put("lost", received.lost.into());
    put("lost-by-remote", sent.lost.into());
    put("jitter-local", received.jitter_ms.into());
    put("jitter-remote", sent.jitter_ms.into());
    put("in-link-quality", quality(received, received.link));
    put("in-media-link-quality", quality(received, received.media));
    put("out-link-quality", quality(sent, sent.link));
    put("out-media-link-quality", quality(sent, sent.media));
    put("packets-received", received.packets.into());
    put("packets-sent", sent.packets.into());
    put("bytes-received", received.bytes.into());
    put("bytes-sent", sent.bytes.into());
    put("bytes-received-lastsec", received.bytes_last_second.into());
    put("bytes-sent-lastsec", sent.bytes_last_second.into());
    // Received are those that the peer sent about our stream, sent are ours about its.
    put("nacks-received", sent.nacks.into());
    put("nacks-sent", received.nacks.into());
    put("retransmissions-received", received.retransmissions.into());
    if about.mindex == 0 && is_first && of.remb_bps > 0 {
        put("remb-bitrate", of.remb_bps.into());
    }
    Value::Object(fields)
}

/// A direction in which nothing goes has none.
fn quality(of: &LayerStatistics, quality: Quality) -> Value {
    if of.packets == 0 { 0.into() } else { quality.percent().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(mindex: u16, kind: MediaKind) -> LineAbout {
        let codec = (kind == MediaKind::Video).then_some("vp8");
        LineAbout { mindex, mid: mindex.to_string(), kind, codec, clock_hz: 90_000 }
    }

    #[test]
    fn each_layer_of_a_simulcast_has_a_body_and_data_only_totals() {
        let layer = |packets| LayerStatistics { packets, lost: 1, ..Default::default() };
        let video = LineStatistics {
            mindex: 1,
            received: vec![layer(5), layer(6), layer(7)],
            sent: LayerStatistics { nacks: 3, ..layer(9) },
            ..Default::default()
        };
        let of = PeerStatistics { remb_bps: 7, lines: vec![video], ..Default::default() };
        let lines = [about(0, MediaKind::Data), about(1, MediaKind::Video)];
        let bodies = bodies(&lines, &of);
        let media: Vec<_> = bodies.iter().filter_map(|body| body["media"].as_str()).collect();
        assert_eq!(media, ["data", "video", "video-sim1", "video-sim2"]);
        assert_eq!(bodies[0].as_object().map(Map::len), Some(7));
        assert_eq!(
            (&bodies[1]["packets-sent"], &bodies[1]["nacks-received"]),
            (&json!(9), &json!(3))
        );
        assert_eq!(
            (&bodies[3]["packets-received"], &bodies[3]["packets-sent"]),
            (&json!(7), &json!(0))
        );
        assert_eq!((bodies[1].get("rtt-values"), bodies[1].get("remb-bitrate")), (None, None));
        assert!(bodies[2].get("rtt").is_none() && bodies[1].get("rtt").is_some());
    }

    #[test]
    fn a_codec_is_named_once_packets_came() {
        let lines = [about(0, MediaKind::Video)];
        let bodies = bodies(&lines, &PeerStatistics::default());
        assert_eq!((bodies.len(), bodies[0].get("codec")), (1, None));
    }
}
