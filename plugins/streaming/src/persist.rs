//! Mountpoints on disk: groups of the plugin's own configuration file (plugin-streaming §4
//! `permanent`, §7).
//!
//! A group becomes a `create` request and is served as one, so that both are read alike. What is
//! written back is every key that such a request has, with the ports that were really opened.

use crate::mountpoint::{Kind, Mountpoint, Rules, Stream, datatype};
use crate::source::{FileSpec, Override, RtspSpec};
use bifrons_core::config::{Element, Group, Tree, Value as Setting};
use bifrons_core::media::{DataKind, MediaKind};
use bifrons_core::plugin::{Id, Ledger};
use serde_json::{Map, Value, json};

/// Ports that are given out where a request says 0 (§7).
const PORTS: (u16, u16) = (10_000, 60_000);

/// The group that is no mountpoint.
const GENERAL: &str = "general";

/// Keys that are true or false.
const FLAGS: [&str; 21] = [
    "is_private",
    "audio",
    "video",
    "data",
    "audioskew",
    "videoskew",
    "videosimulcast",
    "videosvc",
    "videobufferkf",
    "bufferkf",
    "databuffermsg",
    "buffermsg",
    "e2ee",
    "playoutdelay_ext",
    "skew",
    "simulcast",
    "svc",
    "rtsp_quirk",
    "rtsp_failcheck",
    "rtsp_check",
    "rtsp_notify_changes",
];

/// Keys that are numbers.
const NUMBERS: [&str; 24] = [
    "collision",
    "bufferkf_ms",
    "bufferkf_bytes",
    "threads",
    "srtpsuite",
    "abscapturetime_src_ext_id",
    "audioport",
    "audiortcpport",
    "audiopt",
    "videoport",
    "videortcpport",
    "videopt",
    "videoport2",
    "videoport3",
    "dataport",
    "port",
    "rtcpport",
    "port2",
    "port3",
    "pt",
    "rtsp_reconnect_delay",
    "rtsp_session_timeout",
    "rtsp_timeout",
    "rtsp_conn_timeout",
];

/// The `general` group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct General {
    /// Needed to create mountpoints and to list private ones.
    pub(crate) admin_key: Option<String>,
    /// The lowest and the highest port that is given out.
    pub(crate) ports: (u16, u16),
    /// Whether event handlers are told.
    pub(crate) events: bool,
    /// Whether ids are texts.
    pub(crate) string_ids: bool,
}

impl Default for General {
    fn default() -> Self {
        General { admin_key: None, ports: PORTS, events: true, string_ids: false }
    }
}

impl General {
    /// Reads the group where there is one.
    pub(crate) fn read(tree: &Tree) -> Self {
        let Some(group) = tree.group(GENERAL) else { return Self::default() };
        let key = group.get_str("admin_key").map(|text| text.into_owned());
        let range = group.get_str("rtp_port_range");
        let ports = range.and_then(|text| {
            let ports = ports(&text);
            if ports.is_none() {
                tracing::warn!("rtp_port_range expects \"min-max\", found {text}; default stays");
            }
            ports
        });
        General {
            admin_key: key.filter(|key| !key.is_empty()),
            ports: ports.unwrap_or(PORTS),
            events: group.get_bool("events").unwrap_or(true),
            string_ids: group.get_bool("string_ids").unwrap_or(false),
        }
    }
}

/// Reads `min-max`: swapped if reversed, the lower one made even, a highest of 0 means 65535.
fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let last = if last == 0 { u16::MAX } else { last };
    let (first, last) = (first.min(last), first.max(last));
    let even = first.saturating_add(first % 2).max(2);
    Some((even, last.max(even)))
}

/// The mountpoints of a configuration, each as the request that makes it; its name is the group's.
pub(crate) fn requests<A>(ledger: &Ledger<A>, string_ids: bool) -> Vec<Map<String, Value>> {
    let named = ledger.groups().map(|(name, group)| {
        let mut request = request(group, string_ids);
        request.entry("name").or_insert_with(|| json!(name));
        request
    });
    named.collect()
}

/// A group as the request it stands for. What is not of the kind that its key has stays a text,
/// which the check of the request then refuses.
fn request(group: &Group, string_ids: bool) -> Map<String, Value> {
    let mut request = Map::new();
    for entry in group.entries() {
        let name = entry.name.to_ascii_lowercase();
        let elements = entry.value.elements();
        let value = match &entry.value {
            Setting::Group(_) => continue,
            Setting::Array(_) | Setting::List(_) => {
                let items = elements.iter().filter_map(|element| element.value.group());
                Value::Array(
                    items.map(|item| Value::Object(self::request(item, string_ids))).collect(),
                )
            }
            scalar => {
                let text = scalar.text().unwrap_or_default();
                let number = NUMBERS.contains(&name.as_str()) || (name == "id" && !string_ids);
                match (FLAGS.contains(&name.as_str()), number, scalar.u64()) {
                    (true, _, _) => json!(scalar.bool().unwrap_or(false)),
                    (false, true, Some(number)) => json!(number),
                    _ => json!(text),
                }
            }
        };
        // Of keys that differ only in case the first counts.
        request.entry(name).or_insert(value);
    }
    request
}

/// The group that has this id.
pub(crate) fn group_of<A>(ledger: &Ledger<A>, id: &Id) -> Option<String> {
    let has = |group: &Group| {
        let found = group.get("id")?;
        let found = match id {
            Id::Text(_) => Id::Text(found.text()?.into_owned()),
            Id::Number(_) => Id::Number(found.u64()?),
        };
        (found == *id).then_some(())
    };
    let mut groups = ledger.groups();
    groups.find(|(_, group)| has(group).is_some()).map(|(name, _)| name.to_owned())
}

/// The name of a mountpoint's group: the one it has, its own, or that with its id behind it where
/// something else is called so.
pub(crate) fn group_for<A>(ledger: &Ledger<A>, mountpoint: &Mountpoint) -> String {
    let name = &mountpoint.profile.name;
    let taken = name.eq_ignore_ascii_case(GENERAL)
        || ledger.tree().is_some_and(|tree| tree.entry(name).is_some());
    group_of(ledger, &mountpoint.id).unwrap_or_else(|| match taken {
        true => format!("{name}-{}", mountpoint.id),
        false => name.clone(),
    })
}

/// A mountpoint as the group of this name.
pub(crate) fn group(mountpoint: &Mountpoint, name: &str) -> Group {
    let mut group = Group::new();
    group.set("type", mountpoint.kind.asked());
    match &mountpoint.id {
        Id::Number(id) => group.set("id", *id),
        Id::Text(id) => group.set("id", id.as_str()),
    }
    let profile = &mountpoint.profile;
    if profile.name != name {
        group.set("name", profile.name.as_str());
    }
    group.set("description", profile.description.as_str());
    set_texts(&mut group, &[("metadata", &profile.metadata)]);
    set_flags(&mut group, &[("is_private", profile.is_private)]);
    set_texts(&mut group, &[("secret", &profile.secret), ("pin", &profile.pin)]);
    set_rules(&mut group, &mountpoint.rules);
    match &mountpoint.kind {
        Kind::Rtp => {
            let media = mountpoint.streams.iter().map(|stream| Element::from(item(stream)));
            group.set("media", Setting::List(media.collect()));
        }
        Kind::Rtsp(rtsp) => set_rtsp(&mut group, rtsp),
        Kind::Live(file) | Kind::OnDemand(file) => set_file(&mut group, file),
    }
    group
}

fn set_rules(group: &mut Group, rules: &Rules) {
    set_numbers(
        group,
        &[
            ("collision", rules.collision_ms),
            ("bufferkf_ms", rules.bufferkf_ms.into()),
            ("bufferkf_bytes", rules.bufferkf_bytes),
            ("threads", rules.threads),
        ],
    );
    if let Some((suite, crypto)) = &rules.srtp {
        group.set("srtpsuite", u32::from(*suite));
        group.set("srtpcrypto", crypto.as_str());
    }
    set_flags(group, &[("e2ee", rules.e2ee), ("playoutdelay_ext", rules.playoutdelay_ext)]);
    if let Some(id) = rules.abscapturetime_id {
        group.set("abscapturetime_src_ext_id", u32::from(id));
    }
}

/// An item of `media`.
fn item(stream: &Stream) -> Group {
    let spec = &stream.spec;
    let mut item = Group::new();
    item.set("type", spec.kind.name());
    item.set("mid", spec.mid.as_str());
    item.set("label", spec.label.as_str());
    let msid = spec.msid.as_ref().map(ToString::to_string);
    let host = |ip: &Option<std::net::IpAddr>| ip.map(|ip| ip.to_string());
    set_texts(
        &mut item,
        &[("msid", &msid), ("mcast", &host(&spec.group)), ("iface", &host(&spec.interface))],
    );
    item.set("port", u32::from(spec.port));
    let ports = [
        ("rtcpport", spec.rtcp_port),
        ("port2", spec.more_ports[0]),
        ("port3", spec.more_ports[1]),
    ];
    for (name, port) in ports {
        if let Some(port) = port {
            item.set(name, u32::from(port));
        }
    }
    if spec.kind == MediaKind::Data {
        if spec.datatype == DataKind::Binary {
            item.set("datatype", datatype(spec.datatype));
        }
        set_flags(&mut item, &[("buffermsg", spec.buffermsg)]);
        return item;
    }
    item.set("pt", u32::from(spec.pt));
    let codec = spec.codec.map(|codec| codec.janus_name().to_owned());
    set_texts(&mut item, &[("codec", &codec), ("fmtp", &spec.fmtp), ("h264sps", &spec.h264sps)]);
    set_flags(&mut item, &[("simulcast", spec.simulcast), ("svc", spec.svc), ("skew", spec.skew)]);
    item
}

fn set_file(group: &mut Group, file: &FileSpec) {
    group.set("filename", file.name.as_str());
    group.set("audio", true);
    group.set("video", false);
    group.set("audiocodec", file.codec.janus_name());
    group.set("audiopt", u32::from(file.pt));
    set_texts(group, &[("audiofmtp", &file.fmtp)]);
}

fn set_rtsp(group: &mut Group, rtsp: &RtspSpec) {
    group.set("url", rtsp.url.as_str());
    set_texts(group, &[("rtsp_user", &rtsp.user), ("rtsp_pwd", &rtsp.password)]);
    set_flags(group, &[("rtsp_quirk", rtsp.quirk), ("rtsp_notify_changes", rtsp.notifies)]);
    group.set("rtsp_failcheck", rtsp.failcheck);
    group.set("rtsp_reconnect_delay", rtsp.reconnect_delay_s);
    group.set("rtsp_session_timeout", rtsp.session_timeout_s);
    group.set("rtsp_timeout", rtsp.timeout_s);
    group.set("rtsp_conn_timeout", rtsp.connect_timeout_s);
    for (name, set) in [("audio", &rtsp.audio), ("video", &rtsp.video)] {
        group.set(name, set.is_some());
        let Some(Override { codec, pt, fmtp }) = set else { continue };
        if let Some(codec) = codec {
            group.set(&format!("{name}codec"), codec.janus_name());
        }
        if let Some(pt) = pt {
            group.set(&format!("{name}pt"), u32::from(*pt));
        }
        if let Some(fmtp) = fmtp {
            group.set(&format!("{name}fmtp"), fmtp.as_str());
        }
    }
}

fn set_texts(group: &mut Group, texts: &[(&str, &Option<String>)]) {
    for (name, text) in texts {
        if let Some(text) = text {
            group.set(name, text.as_str());
        }
    }
}

/// Numbers whose default is 0.
fn set_numbers(group: &mut Group, numbers: &[(&str, u32)]) {
    for (name, number) in numbers.iter().filter(|(_, number)| *number > 0) {
        group.set(name, *number);
    }
}

/// Flags whose default is false.
fn set_flags(group: &mut Group, flags: &[(&str, bool)]) {
    for (name, _) in flags.iter().filter(|(_, on)| *on) {
        group.set(name, true);
    }
}

#[cfg(test)]
mod tests {
    use super::ports;

    #[test]
    fn a_range_is_set_right() {
        assert_eq!(ports("20000-40000"), Some((20_000, 40_000)));
        assert_eq!(ports("40000 - 20001"), Some((20_002, 40_000)));
        assert_eq!(ports("10001-0"), Some((10_002, 65_535)));
        assert_eq!(ports("10000"), None);
        assert_eq!(ports("a-b"), None);
    }
}
