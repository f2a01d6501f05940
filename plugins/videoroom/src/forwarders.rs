//! Forwarders of a publisher: what `rtp_forward` and `publish_remotely` made, and how it ends with
//! the streams.

use crate::participant::{Participant, Stream};
use bifrons_core::media::{
    DataPlan, ForwardSsrc, ForwarderId, ForwarderSetup, LayerTarget, MediaKind, Mindex, Plan,
    PortId, PortRequest, Route, Selection, SinkId, SourceId,
};
use bifrons_core::plugin::Host;
use bifrons_core::rtp::Ssrc;
use bifrons_core::srtp::MasterKey;
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};

/// Most forwarders and remotizations of one publisher, each.
pub(crate) const MAX_FORWARDERS: usize = 256;
/// The SSRC of the first stream of a remotization.
pub(crate) const REMOTE_SSRC: u32 = 1000;
/// From one of its streams to the next.
pub(crate) const REMOTE_STEP: u32 = 10;
/// Ports for what clients do not name a port for (plugin-videoroom §9.3).
pub(crate) const PORTS: (u16, u16) = (10_000, 60_000);

/// What `rtp_forward` made of one port of one stream.
#[derive(Clone, Debug)]
pub(crate) struct Forwarder {
    pub(crate) stream_id: u32,
    /// `None` where it sends nowhere (port 0).
    pub(crate) id: Option<ForwarderId>,
    pub(crate) kind: MediaKind,
    pub(crate) mindex: Mindex,
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    pub(crate) payload_type: Option<u8>,
    pub(crate) ssrc: Option<u32>,
    /// Our port for its feedback, by name and number, and the far side's.
    pub(crate) rtcp: Option<(PortId, u16, u16)>,
    pub(crate) substream: u8,
    /// The best substream, with numbers of its own.
    pub(crate) picks: bool,
    pub(crate) srtp: Option<MasterKey>,
    pub(crate) source: Option<SourceId>,
}

/// What `publish_remotely` made.
#[derive(Clone, Debug)]
pub(crate) struct Remotization {
    pub(crate) remote_id: String,
    pub(crate) to: SocketAddr,
    pub(crate) rtcp_port: Option<u16>,
    pub(crate) feedback: Option<PortId>,
    pub(crate) srtp: Option<MasterKey>,
    /// Which streams are sent.
    pub(crate) streams: Vec<(Mindex, ForwarderId)>,
}

impl Forwarder {
    /// The forwarder object (§9.1).
    pub(crate) fn describe(&self) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("stream_id", json!(self.stream_id));
        put("type", json!(self.kind.name()));
        put("host", json!(self.host.to_string()));
        put("port", json!(self.port));
        if let Some((_, local, remote)) = self.rtcp {
            put("local_rtcp_port", json!(local));
            put("remote_rtcp_port", json!(remote));
        }
        if let Some(pt) = self.payload_type {
            put("pt", json!(pt));
        }
        if let Some(ssrc) = self.ssrc {
            put("ssrc", json!(ssrc));
        }
        if self.substream > 0 {
            put("substream", json!(self.substream));
        }
        if self.srtp.is_some() {
            put("srtp", json!(true));
        }
        Value::Object(shown)
    }

    /// The SSRC it sends with, where that is not the publisher's.
    pub(crate) fn own_ssrc(&self) -> Option<u32> {
        self.ssrc.or(self.picks.then_some(self.stream_id))
    }

    /// Has it begin, on the shard of its source; one with SRTP on the shard of its key.
    pub(crate) fn start(&mut self, host: &mut dyn Host) {
        let Some(source) = self.source.filter(|_| self.port > 0) else { return };
        let id = host.new_forwarder(forwarding_shard(host, source, self.srtp.as_ref()));
        let setup = ForwarderSetup {
            kind: self.kind,
            to: SocketAddr::new(self.host, self.port),
            from: None,
            ssrc: match self.own_ssrc() {
                Some(ssrc) => ForwardSsrc::Fixed(Ssrc(ssrc)),
                None => ForwardSsrc::Source,
            },
            layer: (self.kind == MediaKind::Video && !self.picks).then_some(self.substream),
            continuous: self.picks,
            key: self.srtp,
            rtcp: self.rtcp.map(|(port, ..)| port),
        };
        let selection = if self.picks { Selection::Simulcast } else { Selection::Whole };
        let layers = LayerTarget { selection, ..LayerTarget::default() };
        begin(host, id, setup, source, self.payload_type, layers);
        if let Some((port, _, remote)) = self.rtcp {
            host.plan(Plan::Greet { port, to: SocketAddr::new(self.host, remote) });
        }
        self.id = Some(id);
    }

    /// Ends it.
    pub(crate) fn stop(&self, host: &mut dyn Host) {
        if let Some(forwarder) = self.id {
            host.plan(Plan::EndForwarder { forwarder });
        }
        if let Some((port, ..)) = self.rtcp {
            host.close_port(port);
        }
    }
}

/// The shard that a forwarder lives on. All forwarders of one SRTP key share a shard, which sees to
/// it that no number is sealed twice.
pub(crate) fn forwarding_shard(host: &dyn Host, source: SourceId, key: Option<&MasterKey>) -> u8 {
    let Some(key) = key else { return source.shard() };
    let sum = key.key().iter().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
    sum % host.shards().max(1)
}

fn begin(
    host: &mut dyn Host,
    forwarder: ForwarderId,
    setup: ForwarderSetup,
    source: SourceId,
    payload_type: Option<u8>,
    layers: LayerTarget,
) {
    host.plan(Plan::Forwarder { forwarder, setup });
    let sink = SinkId::Forwarder(forwarder);
    if setup.kind == MediaKind::Data {
        host.plan_data(DataPlan::Route { source, sink, label: None });
        return;
    }
    let route = Route { payload_type, layers, ..Route::default() };
    host.plan(Plan::Route { source, sink, route });
}

/// Where a stream comes from, from its negotiation on: what is forwarded begins with the media.
pub(crate) fn source_of(host: &dyn Host, who: &Participant, stream: &Stream) -> Option<SourceId> {
    who.source_of(stream).or_else(|| {
        let peer = who.handle().and_then(|handle| host.peer(handle))?;
        Some(SourceId::Line(peer.line(stream.mindex)))
    })
}

/// A port of that shard for RTCP, in the range or where the kernel likes.
pub(crate) fn feedback_port(host: &mut dyn Host, shard: u8) -> Option<(PortId, u16)> {
    let (first, last) = PORTS;
    let port = host.open_port(PortRequest::new(shard, first, last)).ok()?;
    Some((port.id, port.address.port()))
}

/// Sends the streams that a remotization does not send yet, and ends those that are gone.
pub(crate) fn sync_remotizations(host: &mut dyn Host, who: &mut Participant) {
    let live: Vec<(Mindex, MediaKind, SourceId)> = who
        .streams
        .iter()
        .filter(|stream| !stream.disabled)
        .filter_map(|stream| Some((stream.mindex, stream.kind, source_of(host, who, stream)?)))
        .collect();
    for remote in &mut who.remotizations {
        if let Some((_, _, source)) = live.first() {
            open_feedback(host, remote, *source);
        }
        remote.streams.retain(|&(mindex, forwarder)| {
            let stays = live.iter().any(|(have, ..)| *have == mindex);
            if !stays {
                host.plan(Plan::EndForwarder { forwarder });
            }
            stays
        });
        for &(mindex, kind, source) in &live {
            if remote.streams.iter().any(|(have, _)| *have == mindex) {
                continue;
            }
            // Messages are neither sealed nor reported about.
            let media = kind != MediaKind::Data;
            let key = remote.srtp.filter(|_| media);
            let id = host.new_forwarder(forwarding_shard(host, source, key.as_ref()));
            let ssrc = Ssrc(REMOTE_SSRC + u32::from(mindex) * REMOTE_STEP);
            let setup = ForwarderSetup {
                kind,
                to: remote.to,
                from: None,
                ssrc: ForwardSsrc::Layered(ssrc),
                layer: None,
                continuous: false,
                key,
                rtcp: remote.feedback.filter(|_| media),
            };
            begin(host, id, setup, source, None, LayerTarget::default());
            remote.streams.push((mindex, id));
        }
    }
}

/// Opens the port for a remotization's feedback on the shard of its forwarders, and says hello from
/// there.
fn open_feedback(host: &mut dyn Host, remote: &mut Remotization, source: SourceId) {
    let Some(rtcp_port) = remote.rtcp_port.filter(|_| remote.feedback.is_none()) else { return };
    let shard = forwarding_shard(host, source, remote.srtp.as_ref());
    let Some((port, _)) = feedback_port(host, shard) else {
        tracing::warn!(remote_id = remote.remote_id, "no port for RTCP can be opened");
        return;
    };
    host.plan(Plan::Greet { port, to: SocketAddr::new(remote.to.ip(), rtcp_port) });
    remote.feedback = Some(port);
}

/// Ends a remotization.
pub(crate) fn stop_remotization(host: &mut dyn Host, remote: &Remotization) {
    for &(_, forwarder) in &remote.streams {
        host.plan(Plan::EndForwarder { forwarder });
    }
    if let Some(port) = remote.feedback {
        host.close_port(port);
    }
}

/// Ends all that a publisher's streams are forwarded to: they are over.
pub(crate) fn stop_all(host: &mut dyn Host, who: &mut Participant) {
    for forwarder in who.forwarders.drain(..) {
        forwarder.stop(host);
    }
    for remote in who.remotizations.drain(..) {
        stop_remotization(host, &remote);
    }
}

/// Whether two forwarders may not share an SRTP key: they would send different packets under one
/// SSRC.
pub(crate) fn clash(have: &Forwarder, new: &Forwarder) -> bool {
    let same = |forwarder: &Forwarder| {
        (forwarder.source, forwarder.payload_type, forwarder.substream, forwarder.picks)
    };
    have.srtp.is_some()
        && have.srtp == new.srtp
        && have.own_ssrc().is_some()
        && have.own_ssrc() == new.own_ssrc()
        && (same(have) != same(new) || new.picks)
}

/// The first stream of a kind that is there.
pub(crate) fn first_of(who: &Participant, kind: MediaKind) -> Option<&Stream> {
    who.streams.iter().find(|stream| stream.kind == kind && !stream.disabled)
}
