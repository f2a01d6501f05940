//! A mountpoint: what it is, where its media come from, who watches, and how `list` and `info`
//! show it (plugin-streaming §1, §3).

use crate::api::{Body, is_same};
use crate::media::StreamSpec;
use crate::source::{FileSpec, RtspSpec};
use bifrons_core::media::{DataKind, IngestId, MediaKind, Port, PortId};
use bifrons_core::plugin::{HandleKey, Host, Id, ServiceId};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Where media come from.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// RTP to ports of ours.
    Rtp,
    /// An RTSP server.
    Rtsp(RtspSpec),
    /// A file that is played for all.
    Live(FileSpec),
    /// A file that is played for each viewer.
    OnDemand(FileSpec),
}

impl Kind {
    /// Whether it can be switched from and to.
    pub(crate) fn is_switched(&self) -> bool {
        matches!(self, Kind::Rtp | Kind::Rtsp(_))
    }

    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&FileSpec> {
        match self {
            Kind::Live(file) | Kind::OnDemand(file) => Some(file),
            Kind::Rtp | Kind::Rtsp(_) => None,
        }
    }

    /// How replies call it.
    pub(crate) fn shown(&self) -> &'static str {
        match self {
            Kind::OnDemand(_) => "on demand",
            Kind::Rtp | Kind::Rtsp(_) | Kind::Live(_) => "live",
        }
    }

    /// How requests call it.
    pub(crate) fn asked(&self) -> &'static str {
        match self {
            Kind::Rtp => "rtp",
            Kind::Rtsp(_) => "rtsp",
            Kind::Live(_) => "live",
            Kind::OnDemand(_) => "ondemand",
        }
    }
}

/// The names of a mountpoint, and who may do what with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) metadata: Option<String>,
    pub(crate) is_private: bool,
    pub(crate) secret: Option<String>,
    pub(crate) pin: Option<String>,
}

/// What goes for all streams of a mountpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How long the former source has to be silent before another one is heard; 0 = at once.
    pub(crate) collision_ms: u32,
    pub(crate) bufferkf_ms: u16,
    pub(crate) bufferkf_bytes: u32,
    /// Shown, and of no effect: shards are what Janus has threads for.
    pub(crate) threads: u32,
    /// Suite (32 or 80) and base64 of key and salt.
    pub(crate) srtp: Option<(u8, String)>,
    pub(crate) e2ee: bool,
    pub(crate) playoutdelay_ext: bool,
    /// Id under which the source sends abs-capture-time.
    pub(crate) abscapturetime_id: Option<u8>,
}

/// A stream, with what feeds it.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) spec: StreamSpec,
    /// What viewers get; `None` on demand, and of a stream that nothing carries.
    pub(crate) ingest: Option<IngestId>,
    /// Where its packets arrive; with simulcast those of substream 0.
    pub(crate) port: Option<PortId>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Mountpoint {
    pub(crate) id: Id,
    pub(crate) profile: Profile,
    pub(crate) rules: Rules,
    pub(crate) kind: Kind,
    pub(crate) streams: Vec<Stream>,
    /// The shard of its ports and ingests.
    pub(crate) shard: u8,
    /// All its ports.
    pub(crate) ports: Vec<Port>,
    /// What feeds it, if not ports.
    pub(crate) service: Option<ServiceId>,
    pub(crate) enabled: bool,
    pub(crate) viewers: BTreeSet<HandleKey>,
}

impl Mountpoint {
    /// Whether a body that gave this secret may see everything.
    pub(crate) fn is_open_to(&self, body: &Body<'_>) -> bool {
        let given = body.text("secret");
        let knows = |secret: &str| given.is_some_and(|given| is_same(given, secret));
        self.profile.secret.as_deref().is_none_or(knows)
    }

    /// An item of `list`.
    pub(crate) fn listed(&self, host: &dyn Host) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("id", json!(self.id));
        put("type", json!(self.kind.shown()));
        put("description", json!(self.profile.description));
        if let Some(metadata) = &self.profile.metadata {
            put("metadata", json!(metadata));
        }
        put("enabled", json!(self.enabled));
        if self.kind.is_switched() {
            let media = self.streams.iter().map(|stream| {
                let mut item = stream.names();
                if let Some(age) = stream.age_ms(host) {
                    item.insert("age_ms".to_owned(), json!(age));
                }
                Value::Object(item)
            });
            put("media", Value::Array(media.collect()));
        }
        Value::Object(shown)
    }

    /// The `info` of `info`, whole or as anybody may see it.
    pub(crate) fn described(&self, whole: bool, host: &dyn Host) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("id", json!(self.id));
        if whole {
            put("name", json!(self.profile.name));
        }
        put("description", json!(self.profile.description));
        if let Some(metadata) = &self.profile.metadata {
            put("metadata", json!(metadata));
        }
        put("type", json!(self.kind.shown()));
        put("enabled", json!(self.enabled));
        if whole {
            self.describe_for_keeper(&mut shown);
        }
        self.describe_rules(&mut shown);
        let media = match self.kind.file() {
            Some(file) => vec![file.described()],
            None => {
                let streams = self.streams.iter().enumerate();
                streams.map(|(at, stream)| self.stream_described(at, stream, whole, host)).collect()
            }
        };
        shown.insert("media".to_owned(), Value::Array(media));
        Value::Object(shown)
    }

    /// What only those see who know the secret.
    fn describe_for_keeper(&self, shown: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        for (name, text) in [("secret", &self.profile.secret), ("pin", &self.profile.pin)] {
            if let Some(text) = text {
                put(name, json!(text));
            }
        }
        if self.profile.is_private {
            put("is_private", json!(true));
        }
        put("viewers", json!(self.viewers.len()));
        match &self.kind {
            Kind::Live(file) | Kind::OnDemand(file) => drop(put("filename", json!(file.name))),
            Kind::Rtsp(rtsp) => rtsp.describe(shown),
            Kind::Rtp => {
                let bound = self.streams.iter().find_map(|s| s.spec.group.or(s.spec.interface));
                if let Some(bound) = bound {
                    put("host", json!(bound.to_string()));
                }
            }
        }
    }

    fn describe_rules(&self, shown: &mut Map<String, Value>) {
        let rules = &self.rules;
        let flags = [("rtsp", matches!(self.kind, Kind::Rtsp(_))), ("srtp", rules.srtp.is_some())];
        for (name, _) in flags.iter().filter(|(_, on)| *on) {
            shown.insert((*name).to_owned(), json!(true));
        }
        let numbers = [
            ("collision", rules.collision_ms),
            ("bufferkf_ms", rules.bufferkf_ms.into()),
            ("bufferkf_bytes", rules.bufferkf_bytes),
            ("threads", rules.threads),
        ];
        for (name, number) in numbers.iter().filter(|(_, number)| *number > 0) {
            shown.insert((*name).to_owned(), json!(number));
        }
    }

    /// An item of `info`'s media.
    fn stream_described(&self, at: usize, stream: &Stream, whole: bool, host: &dyn Host) -> Value {
        let spec = &stream.spec;
        let mut shown = stream.names();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("mindex", json!(at));
        if spec.kind == MediaKind::Data {
            put("datatype", json!(datatype(spec.datatype)));
        } else {
            put("pt", json!(spec.pt));
            if let Some(codec) = spec.codec {
                put("codec", json!(codec.janus_name()));
                put("rtpmap", json!(codec.rtpmap()));
            }
            match &spec.fmtp {
                Some(fmtp) => drop(put("fmtp", json!(fmtp))),
                None if matches!(self.kind, Kind::Rtsp(_)) => drop(put("fmtp", json!(""))),
                None => {}
            }
        }
        let flags = [
            ("videosimulcast", spec.simulcast),
            ("videosvc", spec.svc),
            ("skew_compensation", spec.skew),
        ];
        for (name, _) in flags.iter().filter(|(_, on)| *on) {
            put(name, json!(true));
        }
        if let Some(age) = stream.age_ms(host) {
            put("age_ms", json!(age));
        }
        if whole {
            let numbered = matches!(self.kind, Kind::Rtsp(_)).then_some(0);
            put("port", json!(spec.port));
            let ports = [
                ("rtcpport", spec.rtcp_port),
                ("port2", spec.more_ports[0]),
                ("port3", spec.more_ports[1]),
            ];
            for (name, port) in ports {
                if let Some(port) = port.or(numbered) {
                    put(name, json!(port));
                }
            }
        }
        Value::Object(shown)
    }

    /// The `stream` of the reply to `create`.
    pub(crate) fn created(&self, legacy: bool) -> Map<String, Value> {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("id", json!(self.id));
        put("type", json!(self.kind.shown()));
        put("description", json!(self.profile.description));
        put("is_private", json!(self.profile.is_private));
        if !matches!(self.kind, Kind::Rtp) {
            return shown;
        }
        if legacy {
            for stream in &self.streams {
                let kind = stream.spec.kind.name();
                for (name, value) in stream.spec.places() {
                    put(&format!("{kind}_{name}"), value);
                }
            }
            return shown;
        }
        let ports = self.streams.iter().map(|stream| {
            let mut item = stream.names();
            item.remove("label");
            item.extend(stream.spec.places().map(|(name, value)| (name.to_owned(), value)));
            Value::Object(item)
        });
        put("ports", Value::Array(ports.collect()));
        shown
    }
}

impl Stream {
    /// Milliseconds since the last packet, or since the port was opened; `None` without one.
    fn age_ms(&self, host: &dyn Host) -> Option<u64> {
        let age = host.port_age(self.port?)?;
        Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }

    /// `mid`, `type`, `label` and `msid`.
    fn names(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        shown.insert("mid".to_owned(), json!(self.spec.mid));
        shown.insert("type".to_owned(), json!(self.spec.kind.name()));
        shown.insert("label".to_owned(), json!(self.spec.label));
        if let Some(msid) = &self.spec.msid {
            shown.insert("msid".to_owned(), json!(msid.to_string()));
        }
        shown
    }
}

impl StreamSpec {
    /// Where it is to be sent: `port` and so on, as the reply to `create` names them.
    fn places(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let host = self.group.or(self.interface).map(|host| json!(host.to_string()));
        let port = |port: Option<u16>| port.map(|port| json!(port));
        [
            ("host", host),
            ("port", port(Some(self.port))),
            ("rtcp_port", port(self.rtcp_port)),
            ("port_2", port(self.more_ports[0])),
            ("port_3", port(self.more_ports[1])),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Janus's word for what a data stream carries.
pub(crate) fn datatype(kind: DataKind) -> &'static str {
    match kind {
        DataKind::Text => "text",
        DataKind::Binary => "binary",
    }
}
