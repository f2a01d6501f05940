//! A card as it is: what `ethtool` and `/sys/class/net` say of one interface.

use crate::ethtool::{self, Driver, Feature, Limits, Rule, Table};
use crate::host::Host;
use crate::irq::{self, Irq};
use crate::setting::is_name;
use std::collections::{BTreeMap, BTreeSet};

/// See the module. Whatever the driver does not say is empty or `None`.
#[derive(Clone, Debug)]
pub(crate) struct Nic {
    pub(crate) dev: String,
    pub(crate) driver: Driver,
    pub(crate) channels: Limits,
    pub(crate) rings: Limits,
    pub(crate) features: BTreeMap<String, Feature>,
    pub(crate) table: Option<Table>,
    pub(crate) rules: Option<Vec<Rule>>,
    pub(crate) coalesce: BTreeMap<String, String>,
    pub(crate) irqs: Vec<Irq>,
    /// Numbers of the receive and transmit queues there are.
    pub(crate) rx_queues: BTreeSet<u16>,
    pub(crate) tx_queues: BTreeSet<u16>,
    /// virtio: what device and driver agreed on, a `0` or `1` for each bit.
    agreed: String,
    /// NUMA node of the card, where the host has several.
    pub(crate) node: Option<u16>,
    /// Interfaces this one is made of (a bond's members, a VLAN's parent).
    pub(crate) below: Vec<String>,
}

/// Bits of virtio's feature words: moderation of interrupts, for each queue and for all.
const VIRTIO_MODERATION: [usize; 2] = [52, 53];

impl Nic {
    /// `None` where there is no such interface.
    pub(crate) fn probe(host: &Host, dev: &str) -> Option<Nic> {
        if !is_name(dev) || !host.list("/sys/class/net").iter().any(|name| name == dev) {
            return None;
        }
        let folder = format!("/sys/class/net/{dev}");
        let entries = host.list(&format!("{folder}/queues"));
        let queues = |side: &str| {
            let number = |name: &String| name.strip_prefix(side)?.parse().ok();
            entries.iter().filter_map(number).collect()
        };
        let node = host.read(&format!("{folder}/device/numa_node"));
        let lower = |name: String| name.strip_prefix("lower_").map(str::to_owned);
        Some(Nic {
            dev: dev.to_owned(),
            driver: ethtool::driver(&host.ethtool('i', dev)),
            channels: ethtool::limits(&host.ethtool('l', dev)),
            rings: ethtool::limits(&host.ethtool('g', dev)),
            features: ethtool::features(&host.ethtool('k', dev)),
            table: ethtool::table(&host.ethtool('x', dev)),
            rules: ethtool::rules(&host.ethtool('n', dev)),
            coalesce: ethtool::coalesce(&host.ethtool('c', dev)),
            irqs: irq::of(host, dev),
            rx_queues: queues("rx-"),
            tx_queues: queues("tx-"),
            agreed: host.read(&format!("{folder}/device/features")).unwrap_or_default(),
            node: node.and_then(|node| node.parse().ok()),
            below: host.list(&folder).into_iter().filter_map(lower).collect(),
        })
    }

    /// How it is called in a sentence.
    pub(crate) fn name(&self) -> String {
        match self.driver.name.as_str() {
            "" => self.dev.clone(),
            driver => format!("{} ({driver})", self.dev),
        }
    }

    /// Whether there is no card behind it: no bus, no interrupts, and whoever sends works on its
    /// queues.
    pub(crate) fn is_virtual(&self) -> bool {
        self.driver.bus.is_empty() && self.irqs.is_empty()
    }

    /// Whether a feature is there and can be switched.
    pub(crate) fn can_switch(&self, name: &str) -> bool {
        self.features.get(name).is_some_and(|feature| !feature.fixed)
    }

    /// Whether a feature is on, now.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.features.get(name).is_some_and(|feature| feature.on)
    }

    /// Whether the card steers by rules and lists them, so that ours can be taken away again.
    pub(crate) fn can_steer(&self) -> bool {
        let on = self.has("ntuple-filters") || self.can_switch("ntuple-filters");
        on && self.rules.is_some()
    }

    /// Whether the rate of its interrupts can be set. virtio prints numbers even where it cannot.
    pub(crate) fn can_moderate(&self) -> bool {
        let agreed = |bit: &usize| self.agreed.as_bytes().get(*bit) == Some(&b'1');
        self.driver.name != "virtio_net" || VIRTIO_MODERATION.iter().any(agreed)
    }
}

/// The interface that the default route leaves by: the one with the lowest metric, of IPv4 first.
pub(crate) fn default_interface(host: &Host) -> Option<String> {
    [4, 6].into_iter().find_map(|family| {
        let routes: serde_json::Value = serde_json::from_str(&host.default_routes(family)).ok()?;
        let metric = |route: &&serde_json::Value| route["metric"].as_u64().unwrap_or(0);
        let best = routes.as_array()?.iter().min_by_key(metric)?;
        Some(best["dev"].as_str()?.to_owned()).filter(|dev| is_name(dev))
    })
}
