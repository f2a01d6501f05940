//! The `webrtc` object (admin-events-recording §5.2).

use super::{Clock, Object, medium};
use crate::negotiation::ConnectionView;
use bifrons_core::dtls::Role;
use bifrons_core::ice::{IceState, SelectedPair};
use bifrons_core::media::{Flow, PeerStatistics, WayStatistics};
use bifrons_core::rtp::Extension;
use bifrons_core::sdp::Kind;

/// There is one stream and one component: everything is bundled.
const ONLY: u8 = 1;

/// One PeerConnection. Without statistics, `missing` says why the live part is not there.
pub(super) fn connection(
    view: &ConnectionView<'_>,
    statistics: Option<&PeerStatistics>,
    clock: Clock,
) -> Object {
    let way = statistics.map(|statistics| &statistics.way);
    let mut webrtc = Object::default();
    webrtc.put("ice", ice(view, way, clock));
    webrtc.put("dtls", dtls(view, way, clock));
    webrtc.put("extensions", extensions(view));
    webrtc.put("bwe", bwe(view));
    let too_large = statistics.map(|statistics| statistics.unopened).filter(|count| *count > 0);
    webrtc.put_some("too-large", too_large);
    let mut media = Object::default();
    for line in view.lines.iter().filter(|line| line.accepted) {
        media.put(&line.mid, medium::medium(view, line, statistics));
    }
    webrtc.put("media", media);
    if statistics.is_none() {
        let shard = view.peer.shard;
        webrtc.put(
            "missing",
            format!("shard {shard} did not tell ICE, DTLS and RTP figures in time"),
        );
    }
    webrtc
}

fn state(way: &WayStatistics) -> &'static str {
    match way.ice {
        IceState::New => "gathering",
        IceState::Checking => "connecting",
        IceState::Connected if way.selected.is_some() => "ready",
        IceState::Connected => "connected",
        IceState::Disconnected => "disconnected",
        IceState::Failed => "failed",
    }
}

/// `ip:port [type,proto] <-> ip:port [type,proto]`.
fn pair(selected: &SelectedPair) -> String {
    format!(
        "{} [{},udp] <-> {} [{},udp]",
        selected.pair.local,
        selected.local_kind.as_str(),
        selected.pair.remote,
        selected.remote_kind.as_str()
    )
}

fn ice(view: &ConnectionView<'_>, way: Option<&WayStatistics>, clock: Clock) -> Object {
    let mut ice = Object::default();
    ice.put("stream_id", ONLY);
    ice.put("component_id", ONLY);
    ice.put_some("state", way.map(state));
    let failed = way.and_then(|way| way.failed);
    ice.put_some("failed-detected", failed.map(|at| clock.us(at)));
    ice.put_some("icetimer-started", failed.map(|_| true));
    // Our candidates are known from the start, but for a relay's.
    ice.put_some("gathered", view.opened.map(|at| clock.us(at)));
    ice.put_some("connected", way.and_then(|way| way.connected).map(|at| clock.us(at)));
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let plain = |line: &String| line.strip_prefix("candidate:").unwrap_or(line).to_owned();
    let ours: Vec<String> = view.local_candidates.iter().map(plain).collect();
    ice.put_some("local-candidates", some(&ours));
    ice.put_some("remote-candidates", some(view.remote_candidates));
    ice.put_some("selected-pair", way.and_then(|way| way.selected.as_ref()).map(pair));
    ice.put("ready", u8::from(view.is_up));
    ice
}

fn flow(of: &Flow) -> Object {
    let mut flow = Object::default();
    flow.put("packets", of.packets);
    flow.put("bytes", of.bytes);
    flow
}

fn dtls(view: &ConnectionView<'_>, way: Option<&WayStatistics>, clock: Clock) -> Object {
    let mut dtls = Object::default();
    dtls.put("fingerprint", view.fingerprint);
    dtls.put_some("remote-fingerprint", view.remote_fingerprint.map(|print| print.hex()));
    let hash = view.remote_fingerprint.map(|print| print.hash().name());
    dtls.put_some("remote-fingerprint-hash", hash);
    let role = match view.role {
        None => "actpass",
        Some(Role::Server) => "passive",
        Some(Role::Client) => "active",
    };
    dtls.put("dtls-role", role);
    let began = way.is_some_and(|way| way.handshake_began.is_some());
    let state = match (view.is_up, began) {
        (true, _) => "connected",
        (false, true) => "trying",
        (false, false) => "created",
    };
    dtls.put("dtls-state", state);
    dtls.put("retransmissions", way.map_or(0, |way| way.handshake_repeats));
    dtls.put("valid", view.is_up);
    dtls.put("srtp-profile", view.profile.map_or("none", |profile| profile.name()));
    dtls.put("ready", view.is_up);
    let at = |of: fn(&WayStatistics) -> Option<std::time::Instant>| {
        way.and_then(of).map(|at| clock.us(at))
    };
    dtls.put_some("handshake-started", at(|way| way.handshake_began));
    dtls.put_some("connected", at(|way| way.handshake_done));
    let data = view.lines.iter().any(|line| line.accepted && line.kind == Kind::Application);
    dtls.put("sctp-association", data && view.is_up);
    if let Some(way) = way {
        let mut stats = Object::default();
        stats.put("in", flow(&way.dtls_received));
        stats.put("out", flow(&way.dtls_sent));
        dtls.put("stats", stats);
    }
    dtls
}

fn extensions(view: &ConnectionView<'_>) -> Object {
    let mut extensions = Object::default();
    for line in view.lines.iter().filter(|line| line.accepted) {
        for (extension, id) in line.extensions.iter() {
            extensions.put(extension.uri(), id);
        }
    }
    extensions
}

fn bwe(view: &ConnectionView<'_>) -> Object {
    let numbered = view.lines.iter().find(|line| line.accepted && line.transport_cc);
    let id = numbered.and_then(|line| line.extensions.get(Extension::TransportCc));
    let mut bwe = Object::default();
    bwe.put("twcc", id.is_some());
    bwe.put("twcc-ext-id", id.unwrap_or(0));
    bwe
}
