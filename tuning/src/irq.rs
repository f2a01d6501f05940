//! Interrupts of a card: which number is which queue's.
//!
//! The card's interrupts are those below its PCI device (`msi_irqs`); the queue is told by the
//! action's name in `/proc/interrupts`, whose form differs by driver: `virtio2-input.3`,
//! `mlx5_comp3@pci:0000:3b:00.0`, `ice-eth0-TxRx-3`, `eth0-Tx-Rx-3`.

use crate::ethtool;
use crate::host::Host;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an interrupt tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Packets have come.
    Rx,
    /// Packets have gone.
    Tx,
    /// Either.
    Both,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Rx => "rx",
            Role::Tx => "tx",
            Role::Both => "rx/tx",
        })
    }
}

/// One queue's interrupt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Irq {
    pub(crate) number: u32,
    pub(crate) queue: u16,
    pub(crate) role: Role,
}

/// The interrupts of a card's queues, in the order of `/proc/interrupts`; none for a device that
/// is no card, or whose driver names them in a way we do not know.
pub(crate) fn of(host: &Host, dev: &str) -> Vec<Irq> {
    let bus = ethtool::driver(&host.ethtool('i', dev)).bus;
    if bus.is_empty() || bus.contains('/') || bus.contains("..") {
        return Vec::new();
    }
    let ours = host.list(&format!("/sys/bus/pci/devices/{bus}/msi_irqs"));
    let text = host.read("/proc/interrupts").unwrap_or_default();
    let irq = |line: &str| {
        let (number, rest) = line.split_once(':')?;
        let number = number.trim();
        let (queue, role) = queue(rest.split_whitespace().next_back()?)?;
        let ours = ours.iter().any(|one| one == number);
        Some(Irq { number: number.parse().ok()?, queue, role }).filter(|_| ours)
    };
    text.lines().filter_map(irq).collect()
}

fn queue(action: &str) -> Option<(u16, Role)> {
    let name = action.split('@').next()?;
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let queue = name.strip_prefix(stem)?.parse().ok()?;
    let stem = stem.trim_end_matches(['-', '.', '_']).to_ascii_lowercase();
    let role = if ["txrx", "tx-rx", "_comp", "-fp"].iter().any(|end| stem.ends_with(end)) {
        Role::Both
    } else if ["input", "-rx"].iter().any(|end| stem.ends_with(end)) {
        Role::Rx
    } else if ["output", "-tx"].iter().any(|end| stem.ends_with(end)) {
        Role::Tx
    } else {
        return None;
    };
    Some((queue, role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_told_by_the_names_that_drivers_use() {
        for (action, expected) in [
            ("virtio2-input.3", Some((3, Role::Rx))),
            ("virtio2-output.0", Some((0, Role::Tx))),
            ("mlx5_comp11@pci:0000:3b:00.0", Some((11, Role::Both))),
            ("ice-ens1f0-TxRx-7", Some((7, Role::Both))),
            ("eth0-Tx-Rx-2", Some((2, Role::Both))),
            ("eth0-rx-1", Some((1, Role::Rx))),
            ("virtio2-config", None),
            ("mlx5_async0@pci:0000:3b:00.0", None),
            ("ena-mgmnt@pci:0000:00:05.0", None),
            ("ice-0000:31:00.0:misc", None),
            ("eth0-TxRx-70000", None),
            ("", None),
        ] {
            assert_eq!(queue(action), expected, "{action}");
        }
    }
}
