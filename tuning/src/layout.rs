//! Where the server's threads run and which ports they take, as the server itself decides it:
//! the configuration's `shards`, `affinity` and `rtp_port_range`, else one shard for each core
//! but the first, which is control's, and ports from 9000.

use crate::cpus::CpuSet;
use crate::host::Host;
use crate::jcfg;

/// Port of shard 0 when nothing says otherwise.
const DEFAULT_BASE: u16 = 9000;
/// Most shards that the server runs.
const MOST_SHARDS: u16 = 256;

/// What the operator asked for on the command line; everything may be left out.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Interfaces; none: the one with the default route.
    pub interfaces: Vec<String>,
    /// The server's configuration; none: `/etc/janus/janus.jcfg`.
    pub config: Option<String>,
    /// UDP port of shard 0.
    pub base: Option<u16>,
    /// Number of shards.
    pub shards: Option<u16>,
    /// Cores that the server may use, control's first; none: all that are online.
    pub cores: Option<CpuSet>,
    /// Microseconds that a read of a socket may poll the card; none: left as it is.
    pub busy_poll_us: Option<u32>,
    /// Parts to look at; none: all.
    pub only: Vec<Part>,
}

/// A part of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Cards.
    Nic,
    /// Sysctls below `net.`.
    Net,
    /// Cores' governors and the service's limits.
    Host,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// UDP port of shard 0; shard `n` takes the `n`-th after it.
    pub base: u16,
    last: u16,
    /// Number of shards, at least one.
    pub shards: u16,
    /// Control's core, if cores are known.
    pub control: Option<u16>,
    /// Whether the shards also serve IPv6.
    pub ipv6: bool,
    /// Cores that shards take in turn; those that are offline are there too.
    media: Vec<u16>,
    online: CpuSet,
}

impl Layout {
    /// Reads the configuration and the host's cores. What is odd is told in `notes`.
    pub fn of(host: &Host, ask: &Ask, notes: &mut Vec<String>) -> Layout {
        let path = ask.config.as_deref().unwrap_or("/etc/janus/janus.jcfg");
        let text = host.read(path);
        if text.is_none() {
            notes.push(format!("{path} cannot be read: the server's defaults are assumed."));
        }
        let keys = jcfg::read(&text.unwrap_or_default());
        let key = |name: &str| keys.get(name).map(String::as_str);
        let count = |name: &str| key(name)?.parse::<u16>().ok().filter(|count| *count > 0);

        let listed = host.read("/sys/devices/system/cpu/online");
        let online = listed.and_then(|list| CpuSet::from_list(&list)).unwrap_or_default();
        if online.is_empty() {
            notes.push("The host does not say which cores it has: nothing is pinned.".to_owned());
        }
        let allowed = ask.cores.clone().unwrap_or_else(|| online.clone());
        let control = allowed.iter().next();
        let affinity = key("datapath.affinity").and_then(CpuSet::from_list);
        let chosen = affinity.filter(|set| !set.is_empty() && ask.cores.is_none());
        let mut media: Vec<u16> = match &chosen {
            Some(_) => in_turn(key("datapath.affinity").unwrap_or_default()),
            None => allowed.iter().skip(1).collect(),
        };
        if media.is_empty() {
            media.extend(control);
        }
        let spare = u16::try_from(allowed.len().saturating_sub(1)).unwrap_or(MOST_SHARDS);
        let configured = count("datapath.shards").or_else(|| count("general.event_loops"));
        let shards = ask.shards.or(configured).unwrap_or(spare).clamp(1, MOST_SHARDS);
        let (low, last) = ports(key("media.rtp_port_range"));
        let (base, last) = ask.base.map_or((low, last), |base| (base, u16::MAX));
        let yes = |value: &str| ["true", "yes", "1"].contains(&value.to_lowercase().as_str());
        let ipv6 = key("media.ipv6").is_some_and(yes);
        let layout = Layout { base, last, shards, control, ipv6, media, online };
        layout.remark(notes);
        layout
    }

    /// The core of a shard, unless it is offline or unknown.
    pub fn core(&self, shard: u16) -> Option<u16> {
        let turn = usize::from(shard).checked_rem(self.media.len())?;
        self.media.get(turn).copied().filter(|core| self.online.contains(*core))
    }

    /// The port of a shard, unless the ports end before it.
    pub fn port(&self, shard: u16) -> Option<u16> {
        self.base.checked_add(shard).filter(|port| *port <= self.last)
    }

    /// The cores of the shards that share queue `queue` of `queues`.
    pub fn cores_of_queue(&self, queue: u16, queues: u16) -> CpuSet {
        let shards = (0..self.shards).filter(|shard| shard % queues.max(1) == queue);
        shards.filter_map(|shard| self.core(shard)).collect()
    }

    /// Cores in use, control's too.
    pub fn cores(&self) -> CpuSet {
        let shards = (0..self.shards).filter_map(|shard| self.core(shard));
        shards.chain(self.control.filter(|core| self.online.contains(*core))).collect()
    }

    fn remark(&self, notes: &mut Vec<String>) {
        for core in self.media.iter().filter(|core| !self.online.contains(**core)) {
            notes.push(format!("Core {core} is meant for a shard and is offline."));
        }
        if usize::from(self.shards) > self.media.len() && !self.media.is_empty() {
            let cores = self.media.len();
            notes.push(format!("{} shards share {cores} core(s).", self.shards));
        }
    }
}

/// Cores in the order in which they are written, since shards take them in turn.
fn in_turn(list: &str) -> Vec<u16> {
    let mut cores = Vec::new();
    for part in list.split(',') {
        cores.extend(CpuSet::from_list(part).iter().flat_map(CpuSet::iter));
    }
    cores
}

/// First and last port for a range `low-high`, in either order, as the server takes it.
fn ports(range: Option<&str>) -> (u16, u16) {
    let ends = range.and_then(|range| range.split_once('-'));
    let port = |text: &str| text.trim().parse::<u16>().ok();
    let (low, high) = match ends.and_then(|(low, high)| Some((port(low)?, port(high)?))) {
        None => (0, u16::MAX),
        Some((low, 0)) => (low, u16::MAX),
        Some((low, high)) => (low.min(high), low.max(high)),
    };
    match (low, high) {
        (0, high) if high < DEFAULT_BASE => (high.min(1024), high),
        (0, high) => (DEFAULT_BASE, high),
        ends => ends,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_port_is_the_servers() {
        for (range, expected) in [
            (None, (9000, 65_535)),
            (Some("20000-40000"), (20_000, 40_000)),
            (Some("40000-20000"), (20_000, 40_000)),
            (Some("20000-0"), (20_000, 65_535)),
            (Some("0-0"), (9000, 65_535)),
            (Some("0-5000"), (1024, 5000)),
            (Some("x"), (9000, 65_535)),
        ] {
            assert_eq!(ports(range), expected, "{range:?}");
        }
    }

    #[test]
    fn cores_are_taken_in_the_order_written() {
        assert_eq!(in_turn("6, 2-4,x,1"), [6, 2, 3, 4, 1]);
    }
}
