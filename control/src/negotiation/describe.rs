//! What an operator sees of a PeerConnection (`handle_info` of the Admin API).

use super::NegotiationSettings;
use super::connection::{Connection, Round};
use bifrons_core::dtls::Role;
use bifrons_core::media::{LayerStatistics, LineStatistics, PeerStatistics};
use bifrons_core::sdp::NegotiatedLine;
use serde_json::{Value, json};

/// The PeerConnection as an object, without passwords.
pub(super) fn connection(of: &Connection, settings: &NegotiationSettings) -> Value {
    let waiting_for = match of.round {
        Round::Idle => None,
        Round::RemoteOffer(_) => Some("our answer"),
        Round::LocalOffer(_) => Some("the client's answer"),
    };
    let role = of.role.map(|role| match role {
        Role::Client => "active",
        Role::Server => "passive",
    });
    json!({
        "shard": of.peer.shard,
        "slot": of.peer.slot,
        "generation": of.peer.generation,
        "webrtcup": of.is_up,
        "negotiations": of.rounds,
        "waiting-for": waiting_for,
        "ice-mode": if settings.ice_lite { "lite" } else { "full" },
        "ice-role": if settings.ice_lite { "controlled" } else { "controlling or controlled" },
        "trickle": !of.all_candidates,
        "remote-candidates": of.candidates,
        "dtls-role": role,
        "remote-fingerprint": of.fingerprint.map(|fingerprint| fingerprint.to_string()),
        "srtp-profile": of.profile.map(|profile| profile.name()),
        "e2ee": of.e2ee,
        "sdps": {
            "local": of.local_sdp.as_deref().map(without_passwords),
            "remote": of.remote_sdp.as_deref().map(without_passwords),
        },
        "lines": of.lines.iter().map(line).collect::<Vec<_>>(),
        "stats": of.statistics.as_ref().map(statistics),
    })
}

fn statistics(of: &PeerStatistics) -> Value {
    let layer = |of: &LayerStatistics| {
        json!({
            "ssrc": of.ssrc,
            "packets": of.packets,
            "bytes": of.bytes,
            "lost": of.lost,
            "jitter": of.jitter_ms,
            "nacks": of.nacks,
            "retransmissions": of.retransmissions,
            "keyframe-requests": of.keyframe_requests,
            "dropped": of.dropped,
        })
    };
    let line = |of: &LineStatistics| {
        json!({
            "mindex": of.mindex,
            "in": of.received.iter().map(layer).collect::<Vec<_>>(),
            "out": layer(&of.sent),
        })
    };
    json!({
        "rtt": of.rtt_ms,
        "unopened": of.unopened,
        "lines": of.lines.iter().map(line).collect::<Vec<_>>(),
    })
}

fn line(line: &NegotiatedLine) -> Value {
    json!({
        "mindex": line.mindex,
        "mid": line.mid,
        "accepted": line.accepted,
        "send": line.send,
        "receive": line.receive,
        "codecs": line.codecs.iter().map(|codec| codec.name.as_str()).collect::<Vec<_>>(),
        "rids": line.rids,
    })
}

/// A description without its `ice-pwd` values: whoever reads them can take the call over.
fn without_passwords(sdp: &str) -> String {
    let hide = |line: &str| match line.starts_with("a=ice-pwd:") {
        true => "a=ice-pwd:***\r\n".to_owned(),
        false => format!("{}\r\n", line.trim_end()),
    };
    sdp.lines().map(hide).collect()
}
