//! Data of publishers to subscribers: routes between shards, which never touch control
//! (plugin-videoroom §8.1).
//!
//! A subscription has one data line at most, whatever the number of its data sources; who said
//! something is told by the label, which is the publisher's id.

use crate::room::Room;
use crate::subscription::Line;
use bifrons_core::media::{DataPlan, LineId, SinkId, SourceId};
use bifrons_core::plugin::{Host, Id};

/// Has a shard keep to itself what arrives from a source: it goes to subscribers, not to us.
pub(crate) fn keep_off(host: &mut dyn Host, source: SourceId) {
    if matches!(source, SourceId::Line(_)) {
        host.plan_data(DataPlan::Deliver { source, on: false });
    }
}

/// Tells the shards what changed in the data line of a subscription. `flows` is false while the
/// subscription is paused.
pub(crate) fn sync(
    host: &mut dyn Host,
    room: Option<&Room>,
    line: &mut Line,
    at: LineId,
    flows: bool,
) {
    // What subscribers say interests nobody.
    if line.ready && !std::mem::replace(&mut line.deaf, true) {
        keep_off(host, SourceId::Line(at));
    }
    let sink = SinkId::Line(at);
    let wanted = match flows && line.send && line.ready {
        true => sources(room, line),
        false => Vec::new(),
    };
    for &(source, _) in line.joined.iter().filter(|have| !wanted.contains(have)) {
        host.plan_data(DataPlan::Unroute { source, sink });
    }
    for (source, publisher) in wanted.iter().filter(|want| !line.joined.contains(want)) {
        let label = Some(publisher.to_string().into_boxed_str());
        host.plan_data(DataPlan::Route { source: *source, sink, label });
    }
    line.joined = wanted;
}

/// The sources of a line that are there, each with its publisher.
fn sources(room: Option<&Room>, line: &Line) -> Vec<(SourceId, Id)> {
    let source = |feed: &crate::subscription::Feed| {
        let publisher = room?.participants.get(&feed.id)?;
        let stream = publisher.streams.iter().find(|stream| stream.mindex == feed.mindex)?;
        let source = publisher.source_of(stream).filter(|_| !stream.disabled)?;
        Some((source, publisher.id.clone()))
    };
    line.sources.iter().filter_map(source).collect()
}
