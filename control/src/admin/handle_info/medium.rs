//! One medium of the `webrtc` object (admin-events-recording §5.3).

use super::Object;
use crate::negotiation::ConnectionView;
use bifrons_core::api::RidOrder;
use bifrons_core::media::{LayerStatistics, LineStatistics, PeerStatistics};
use bifrons_core::rtp::Extension;
use bifrons_core::sdp::{Kind, NegotiatedLine};

pub(super) fn medium(
    view: &ConnectionView<'_>,
    line: &NegotiatedLine,
    statistics: Option<&PeerStatistics>,
) -> Object {
    let rtp = line.kind != Kind::Application;
    let figures = statistics.and_then(|statistics| {
        statistics.lines.iter().find(|figures| figures.mindex == line.mindex)
    });
    let mut medium = Object::default();
    let kind = match line.kind {
        Kind::Audio => "audio",
        Kind::Video => "video",
        Kind::Application | Kind::Other => "data",
    };
    medium.put("type", kind);
    medium.put("mindex", line.mindex);
    medium.put("mid", line.mid.as_str());
    medium.put_some("msid", msid(view, line));
    if rtp {
        medium.put("do_nacks", line.nack);
        // Janus's own queue follows the round trip: nothing is known before one.
        let known = statistics.filter(|statistics| statistics.rtt_ms > 0);
        medium.put("nack-queue-ms", known.map_or(0, |statistics| statistics.nack_queue_ms));
        medium.put("ssrc", ssrcs(view, line, figures));
        medium.put_some("rid-simulcast", simulcast(view, line));
        let mut direction = Object::default();
        direction.put("send", line.send);
        direction.put("recv", line.receive);
        medium.put("direction", direction);
        medium.put("codecs", codecs(line));
        medium.put_some(
            "rtcp",
            statistics.zip(figures).map(|(all, figures)| rtcp(line, all, figures)),
        );
    }
    if let Some(figures) = figures {
        medium.put("stats", stats(line, figures));
    }
    medium
}

fn msid(view: &ConnectionView<'_>, line: &NegotiatedLine) -> Option<Object> {
    let ours = view.msids.get(usize::from(line.mindex)).and_then(Option::as_ref);
    if ours.is_none() && line.msid.is_none() {
        return None;
    }
    let mut msid = Object::default();
    msid.put_some("local-stream", ours.map(|(stream, _)| stream.as_str()));
    msid.put_some("local-track", ours.map(|(_, track)| track.as_str()));
    msid.put_some("remote-stream", line.msid.as_ref().map(|msid| msid.stream.as_str()));
    msid.put_some("remote-track", line.msid.as_ref().map(|msid| msid.track.as_str()));
    Some(msid)
}

/// Only those that are known: announced, or learned from what came.
fn ssrcs(
    view: &ConnectionView<'_>,
    line: &NegotiatedLine,
    figures: Option<&LineStatistics>,
) -> Object {
    let mut ssrcs = Object::default();
    if let Some((ssrc, rtx)) = view.streams.get(usize::from(line.mindex)) {
        ssrcs.put("ssrc", ssrc.0);
        ssrcs.put_some("ssrc-rtx", (!line.rtx.is_empty()).then_some(rtx.0));
    }
    let names = ["ssrc-peer", "ssrc-peer-sim-1", "ssrc-peer-sim-2"];
    for (layer, name) in names.into_iter().enumerate() {
        let announced = line.streams.get(layer);
        let came = figures.and_then(|figures| figures.received.get(layer)).map(|came| came.ssrc);
        let ssrc = came.filter(|ssrc| *ssrc != 0).or(announced.map(|announced| announced.ssrc.0));
        ssrcs.put_some(name, ssrc);
    }
    for (layer, name) in names.into_iter().enumerate() {
        let rtx = line.streams.get(layer).and_then(|announced| announced.rtx);
        ssrcs.put_some(&format!("{name}-rtx"), rtx.map(|rtx| rtx.0));
    }
    ssrcs
}

fn simulcast(view: &ConnectionView<'_>, line: &NegotiatedLine) -> Option<Object> {
    if line.rids.is_empty() {
        return None;
    }
    let mut simulcast = Object::default();
    // The highest substream first.
    simulcast.put("rid", line.rids.iter().rev().map(String::as_str).collect::<Vec<_>>());
    simulcast.put_some("rid-ext-id", line.extensions.get(Extension::Rid));
    simulcast.put_some("ridrtx-ext-id", line.extensions.get(Extension::RepairedRid));
    let order = match view.rid_order {
        RidOrder::HighToLow => "hml",
        RidOrder::LowToHigh => "lmh",
    };
    simulcast.put("rid-order", order);
    Some(simulcast)
}

fn codecs(line: &NegotiatedLine) -> Object {
    let mut codecs = Object::default();
    let Some(main) = line.main_codec() else { return codecs };
    codecs.put("pt", main.pt.get());
    let rtx = line.rtx.iter().find(|rtx| rtx.apt == main.pt);
    codecs.put_some("rtx-pt", rtx.map(|rtx| rtx.pt.get()));
    codecs.put("codec", main.name.to_ascii_lowercase());
    codecs
}

fn rtcp(line: &NegotiatedLine, all: &PeerStatistics, figures: &LineStatistics) -> Object {
    let base = line.main_codec().map_or(0, |codec| codec.clock_hz);
    let mut rtcp = Object::default();
    for (layer, name) in ["main", "sim1", "sim2"].into_iter().enumerate() {
        let received = figures.received.get(layer);
        if layer > 0 && received.is_none() {
            break;
        }
        let received = received.copied().unwrap_or_default();
        // What the peer reports is about the one stream that we send.
        let sent = if layer == 0 { figures.sent } else { LayerStatistics::default() };
        let mut one = Object::default();
        one.put("base", base);
        one.put_some("rtt", (layer == 0).then_some(all.rtt_ms));
        one.put("lost", received.lost.max(0));
        one.put("lost-by-remote", sent.lost.max(0));
        one.put("jitter-local", received.jitter_ms);
        one.put("jitter-remote", sent.jitter_ms);
        one.put("in-link-quality", received.link.percent());
        one.put("in-media-link-quality", received.media.percent());
        one.put("out-link-quality", sent.link.percent());
        one.put("out-media-link-quality", sent.media.percent());
        rtcp.put(name, one);
    }
    rtcp
}

fn stats(line: &NegotiatedLine, figures: &LineStatistics) -> Object {
    let rtp = line.kind != Kind::Application;
    let main = figures.received.first().copied().unwrap_or_default();
    let mut came = Object::default();
    came.put("packets", main.packets);
    came.put("bytes", main.bytes);
    if rtp {
        came.put("bytes_lastsec", main.bytes_last_second);
        came.put_some("nacks", line.nack.then_some(main.nacks));
        came.put_some("retransmissions", line.nack.then_some(main.retransmissions));
        for (layer, name) in [(1, "video-simulcast-1"), (2, "video-simulcast-2")] {
            let Some(layer) = figures.received.get(layer) else { break };
            let mut one = Object::default();
            one.put("packets", layer.packets);
            one.put("bytes", layer.bytes);
            one.put("bytes_lastsec", layer.bytes_last_second);
            one.put_some("nacks", line.nack.then_some(layer.nacks));
            came.put(name, one);
        }
    }
    let mut left = Object::default();
    left.put("packets", figures.sent.packets);
    left.put("bytes", figures.sent.bytes);
    if rtp {
        left.put("bytes_lastsec", figures.sent.bytes_last_second);
        left.put("nacks", figures.sent.nacks);
    }
    let mut stats = Object::default();
    stats.put("in", came);
    stats.put("out", left);
    stats
}
