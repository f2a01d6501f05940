//! From mountpoints and viewers to plans: what flows where, told to the shards as differences.

use crate::mountpoint::Mountpoint;
use crate::viewer::{Line, Viewer};
use bifrons_core::media::{
    DEFAULT_LABEL, DataPlan, MediaKind, Plan, Route, SinkId, SourceId, SwitchRule,
};
use bifrons_core::plugin::Host;

/// Tells the shards what changed in all lines of a viewer.
pub(crate) fn sync(host: &mut dyn Host, mountpoint: Option<&Mountpoint>, viewer: &mut Viewer) {
    let Some(peer) = viewer.peer else { return };
    let (own, paused) = (viewer.own.map(|own| SourceId::Ingest(own.ingest)), viewer.paused);
    for line in &mut viewer.lines {
        let sink = SinkId::Line(peer.line(line.mindex));
        let wanted = mountpoint.and_then(|mountpoint| route(mountpoint, line, own, paused));
        if wanted == line.routed {
            continue;
        }
        match line.kind {
            MediaKind::Data => sync_data(host, sink, line.routed, wanted),
            _ => match wanted {
                Some((source, route)) => host.plan(Plan::Route { source, sink, route }),
                None => host.plan(Plan::Unroute { sink }),
            },
        }
        line.routed = wanted;
    }
}

/// Messages have no switch: what is paused is not routed at all.
fn sync_data(
    host: &mut dyn Host,
    sink: SinkId,
    former: Option<(SourceId, Route)>,
    wanted: Option<(SourceId, Route)>,
) {
    let source = |routed: Option<(SourceId, Route)>| {
        routed.filter(|(_, route)| route.enabled).map(|(source, _)| source)
    };
    let (former, wanted) = (source(former), source(wanted));
    if former == wanted {
        return;
    }
    if let Some(source) = former {
        host.plan_data(DataPlan::Unroute { source, sink });
    }
    if let Some(source) = wanted {
        let label = Some(DEFAULT_LABEL.into());
        host.plan_data(DataPlan::Route { source, sink, label });
    }
}

/// What a line is to carry.
fn route(
    mountpoint: &Mountpoint,
    line: &Line,
    own: Option<SourceId>,
    paused: bool,
) -> Option<(SourceId, Route)> {
    let stream = mountpoint.streams.get(line.stream)?;
    if (stream.spec.kind, stream.spec.codec) != (line.kind, line.codec) {
        return None;
    }
    let source = own.or(stream.ingest.map(SourceId::Ingest))?;
    let video = line.kind == MediaKind::Video;
    let route = Route {
        enabled: line.send && !paused,
        payload_type: Some(line.pt),
        layers: line.target,
        switch: if video { SwitchRule::AtKeyframe } else { SwitchRule::Now },
        delay: line.delay.delay().filter(|_| video && mountpoint.rules.playoutdelay_ext),
        ..Route::default()
    };
    Some((source, route))
}

/// Asks for keyframes of all video that a viewer gets.
pub(crate) fn ask_keyframes(host: &mut dyn Host, viewer: &Viewer) {
    viewer.lines.iter().for_each(|line| ask_keyframe(host, line));
}

/// Asks for a keyframe of what a line gets, if that is video.
pub(crate) fn ask_keyframe(host: &mut dyn Host, line: &Line) {
    if let Some((source, _)) = line.routed.filter(|_| line.kind == MediaKind::Video) {
        host.plan(Plan::Keyframe { source });
    }
}
