//! The plugin's configuration: what goes for all of it, and the mountpoints it begins with
//! (plugin-streaming §7).
//!
//! A group becomes a `create` request and is served as one, so that both are read alike.

use bifrons_core::config::{Group, Tree, Value as Setting};
use bifrons_core::plugin::Ledger;
use serde_json::{Map, Value, json};

/// Ports that are given out where a request says 0 (§7).
const PORTS: (u16, u16) = (10_000, 60_000);

/// The group that is no mountpoint.
pub(crate) const GENERAL: &str = "general";

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
