//! How `list`, `info` and the reply to `create` show a mountpoint (plugin-streaming §3).

use crate::media::StreamSpec;
use crate::mountpoint::{Kind, Mountpoint, Stream};
use bifrons_core::media::{DataKind, MediaKind};
use bifrons_core::plugin::Host;
use serde_json::{Map, Value, json};

impl Mountpoint {
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
                if let Some(age) = self.age_ms(stream, host) {
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

    /// Milliseconds since the last packet, or since the port was opened; `None` without one, or while
    /// a server is lost.
    fn age_ms(&self, stream: &Stream, host: &dyn Host) -> Option<u64> {
        let age = match &stream.clock {
            Some(_) if self.is_lost => return None,
            Some(clock) => clock.age(host.now()),
            None => host.port_age(stream.port?)?,
        };
        Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
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
        if let Some(age) = self.age_ms(stream, host) {
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
