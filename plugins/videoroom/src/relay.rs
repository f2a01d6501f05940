//! From rooms and subscriptions to plans: what flows where, told to the shards as differences.

use crate::data;
use crate::participant::{Participant, Stream};
use crate::room::Room;
use crate::settings::Settings;
use crate::subscription::{Line, Subscription};
use bifrons_core::codec::Codec;
use bifrons_core::media::{
    MediaKind, Mindex, Plan, Route, SinkId, SourceId, SourcePolicy, SwitchRule,
};
use bifrons_core::plugin::Host;

/// What "no limit" is in a REMB: one that was lower must be taken back (plugin-videoroom §5).
pub(crate) const UNLIMITED_BPS: u32 = 100_000_000;

/// The payload type a codec has in offers to subscribers (§6 "Offer contents").
pub(crate) fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Opus | Codec::MultiOpus => 111,
        Codec::Red => 120,
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Isac32 => 104,
        Codec::Isac16 => 103,
        Codec::L16At48 => 105,
        Codec::L16 => 106,
        Codec::Vp8 => 96,
        Codec::Vp9 => 101,
        Codec::H264 => 107,
        Codec::Av1 => 98,
        Codec::H265 => 100,
    }
}

/// Tells the shards what changed in a publisher's policies.
pub(crate) fn sync_policies(host: &mut dyn Host, settings: &Settings, publisher: &mut Participant) {
    if !publisher.sends() {
        return;
    }
    let live_video = |s: &&Stream| s.kind == MediaKind::Video && !s.disabled;
    // One REMB covers the PeerConnection, so one stream carries it.
    let remb_on = publisher.streams.iter().find(live_video).map(|stream| stream.mindex);
    let packets = publisher.active_packets.unwrap_or(settings.audio_active_packets);
    let average = publisher.level_average.unwrap_or(settings.audio_level_average);
    let bitrate_bps = publisher.bitrate_bps;
    let (peer, remote) = (publisher.peer, publisher.remote.is_some());
    for stream in publisher.streams.iter_mut().filter(|stream| !stream.disabled) {
        let line = peer.filter(|_| !remote).map(|peer| SourceId::Line(peer.line(stream.mindex)));
        let Some(source) = stream.ingest.map(SourceId::Ingest).or(line) else { continue };
        let video = stream.kind == MediaKind::Video;
        let levels = settings.audiolevel_event && stream.extensions.audio_level.is_some();
        let policy = SourcePolicy {
            muted: stream.is_muted(),
            remb_bps: if remb_on == Some(stream.mindex) { bitrate_bps } else { 0 },
            keyframe_interval_s: if video { settings.fir_freq_s } else { 0 },
            level_packets: if levels { packets } else { 0 },
            level_average: average,
            delay: stream.delay.delay().filter(|_| video),
        };
        if stream.kind == MediaKind::Data && stream.policy.is_none() {
            data::keep_off(host, source);
        }
        if stream.policy != Some(policy) {
            stream.policy = Some(policy);
            host.plan(Plan::Policy { source, policy });
        }
    }
}

/// Asks for keyframes of a publisher's video: of one line, or of all.
pub(crate) fn ask_keyframes(host: &mut dyn Host, publisher: &Participant, only: Option<Mindex>) {
    let video = |s: &&Stream| s.kind == MediaKind::Video && !s.disabled;
    for stream in publisher.streams.iter().filter(video) {
        if only.is_none_or(|mindex| mindex == stream.mindex)
            && let Some(source) = publisher.source_of(stream)
        {
            host.plan(Plan::Keyframe { source });
        }
    }
}

/// Tells the shards what changed in all lines of a subscription.
pub(crate) fn sync_routes(host: &mut dyn Host, room: Option<&Room>, sub: &mut Subscription) {
    for mindex in 0..sub.lines.len() {
        sync_route(host, room, sub, mindex);
    }
}

/// Tells the shards what changed in one line of a subscription.
pub(crate) fn sync_route(
    host: &mut dyn Host,
    room: Option<&Room>,
    sub: &mut Subscription,
    mindex: usize,
) {
    let flows = !sub.paused && !sub.kicked;
    let (Some(peer), Some(line)) = (sub.peer, sub.lines.get_mut(mindex)) else { return };
    let at = peer.line(Mindex::try_from(mindex).unwrap_or(Mindex::MAX));
    if line.kind == MediaKind::Data {
        data::sync(host, room, line, at, flows);
        return;
    }
    let sink = SinkId::Line(at);
    let wanted = route(room, line, flows);
    if wanted == line.routed {
        return;
    }
    match wanted {
        Some((source, route)) => host.plan(Plan::Route { source, sink, route }),
        None => host.plan(Plan::Unroute { sink }),
    }
    line.routed = wanted;
}

/// What a line is to carry: nothing until it is ready and its publisher up.
fn route(room: Option<&Room>, line: &Line, flows: bool) -> Option<(SourceId, Route)> {
    let (publisher, stream) = line.source(room).filter(|_| line.ready)?;
    let source = publisher.source_of(stream).filter(|_| !stream.disabled)?;
    let video = line.kind == MediaKind::Video;
    let route = Route {
        enabled: flows && line.send,
        payload_type: line.codec.map(payload_type),
        layers: line.target,
        switch: if video { SwitchRule::AtKeyframe } else { SwitchRule::Now },
        delay: line.delay.delay().filter(|_| video),
        ..Route::default()
    };
    Some((source, route))
}

/// Asks for a keyframe of the source of one line, if that is video.
pub(crate) fn ask_keyframe_of(host: &mut dyn Host, room: Option<&Room>, line: &Line) {
    if let Some((publisher, stream)) = line.source(room) {
        ask_keyframes(host, publisher, Some(stream.mindex));
    }
}
