//! A setting: something of the host that has a value, can be read, and can be given another.
//!
//! Values are text in one form each, so that what is read compares with what was planned: CPU
//! sets as lists, features as `on` and `off`, a hash table as the words that would set it. `None`
//! is a setting that is not there (yet): a queue that does not exist, a rule nobody made.

use crate::cpus::CpuSet;
use crate::ethtool;
use crate::host::Host;
use crate::irq::{self, Role};
use crate::step::Step;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The drop-in that gives the service its limits.
pub(crate) const DROP_IN: &str = "/etc/systemd/system/bifrons.service.d/50-bifrons-tune.conf";

/// See the module. Fields: `dev` is an interface, `queue` a queue's number from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "setting", rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields are told of above and in each variant's line")]
pub enum Setting {
    /// `on` or `off`, by the name that `ethtool -k` prints.
    Feature { dev: String, name: String },
    /// Number of queues; `kind` is `combined`, `rx` or `tx`.
    Channels { dev: String, kind: String },
    /// Descriptors in a ring; `side` is `rx` or `tx`.
    Ring { dev: String, side: String },
    /// Which queues the card's hash chooses from: `equal N`, `weight A B …`.
    Indirection { dev: String },
    /// The queue for a UDP destination port; `flow` is `udp4` or `udp6`.
    Steer { dev: String, flow: String, port: u16 },
    /// CPUs that take a queue's interrupt.
    Irq { dev: String, queue: u16, role: Role },
    /// CPUs that share a receive queue's work.
    Rps { dev: String, queue: u16 },
    /// Flows of a receive queue whose reader's CPU is remembered.
    RpsFlows { dev: String, queue: u16 },
    /// CPUs that send over a transmit queue.
    Xps { dev: String, queue: u16 },
    /// Interrupt moderation, by the `name` that `ethtool -C` takes.
    Coalesce { dev: String, name: String },
    /// A sysctl below `net.`, by its dotted `name`.
    Sysctl { name: String },
    /// The frequency governor of core `cpu`.
    Governor { cpu: u16 },
    /// The content of the service's drop-in with its limits.
    Limits,
}

use Setting::{
    Channels, Coalesce, Feature, Governor, Indirection, Irq, Limits, Ring, Rps, RpsFlows, Steer,
    Sysctl, Xps,
};

impl Setting {
    /// Its value now; `None` where it is not there.
    pub fn present(&self, host: &Host) -> Option<String> {
        let list = |set: Option<CpuSet>| Some(set?.to_string());
        match self {
            Feature { dev, name } => {
                let feature = *ethtool::features(&host.ethtool('k', dev)).get(name)?;
                Some(if feature.on { "on" } else { "off" }.to_owned())
            }
            Channels { dev, kind } => number(&host.ethtool('l', dev), kind),
            Ring { dev, side } => number(&host.ethtool('g', dev), side),
            Indirection { dev } => Some(ethtool::table(&host.ethtool('x', dev))?.words()),
            Steer { .. } => Some(self.rule(host)?.queue.to_string()),
            Irq { dev, .. } => {
                list(CpuSet::from_list(&host.read(&self.file(host)?).filter(|_| is_name(dev))?))
            }
            Rps { .. } | Xps { .. } => list(CpuSet::from_mask(&host.read(&self.file(host)?)?)),
            RpsFlows { .. } | Governor { .. } => host.read(&self.file(host)?),
            Coalesce { dev, name } => ethtool::coalesce(&host.ethtool('c', dev)).remove(name),
            Sysctl { .. } => {
                let text = host.read(&self.file(host)?)?;
                Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
            }
            Limits => host.read_whole(DROP_IN),
        }
    }

    /// The steps that give it `value`, `None` to take it away.
    ///
    /// # Errors
    /// A sentence where there is no way: the queue does not exist, the value is none that a
    /// command could set.
    pub fn steps(&self, host: &Host, value: Option<&str>) -> Result<Vec<Step>, String> {
        let Some(value) = value else { return self.absent(host) };
        let one = |words: String| Ok(vec![Step::run(&words)]);
        match self {
            Feature { dev, name } => {
                one(format!("ethtool -K {dev} {} {value}", ethtool::feature_word(name)))
            }
            Channels { dev, kind } => one(format!("ethtool -L {dev} {kind} {value}")),
            Ring { dev, side } => one(format!("ethtool -G {dev} {side} {value}")),
            Indirection { .. } if value.starts_with("entries") => {
                Err("no command can set such a table".to_owned())
            }
            Indirection { dev } => one(format!("ethtool -X {dev} {value}")),
            Steer { dev, flow, port } => {
                let mut steps = self.absent(host)?;
                let rule = format!("flow-type {flow} dst-port {port} action {value}");
                let place = self.rule(host).map(|rule| format!(" loc {}", rule.id));
                let place = place.unwrap_or_default();
                steps.push(Step::run(&format!("ethtool -N {dev} {rule}{place}")));
                Ok(steps)
            }
            Coalesce { dev, name } => one(format!("ethtool -C {dev} {name} {value}")),
            Rps { .. } | Xps { .. } => {
                let set = CpuSet::from_list(value).ok_or("not a list of CPUs")?;
                self.write(host, &set.to_mask())
            }
            Irq { .. } | RpsFlows { .. } | Sysctl { .. } | Governor { .. } => {
                self.write(host, value)
            }
            Limits => {
                let put = Step::Put { path: DROP_IN.to_owned(), text: value.to_owned() };
                Ok(vec![put, Step::run("systemctl daemon-reload")])
            }
        }
    }

    /// Whether changing it makes the driver start its queues anew, which sets other settings of
    /// the same card back.
    pub fn disturbs(&self) -> bool {
        matches!(self, Channels { .. })
    }

    /// Whether it outlives a restart of the host.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Limits)
    }

    /// The interface it belongs to, if it is one's.
    pub fn dev(&self) -> Option<&str> {
        match self {
            Feature { dev, .. }
            | Channels { dev, .. }
            | Ring { dev, .. }
            | Indirection { dev }
            | Steer { dev, .. }
            | Irq { dev, .. }
            | Rps { dev, .. }
            | RpsFlows { dev, .. }
            | Xps { dev, .. }
            | Coalesce { dev, .. } => Some(dev),
            Sysctl { .. } | Governor { .. } | Limits => None,
        }
    }

    /// Whether it may be there and nobody can tell: rules of a card that cannot be listed.
    pub(crate) fn is_hidden(&self, host: &Host) -> bool {
        let listed = |dev: &str| ethtool::rules(&host.ethtool('n', dev)).is_some();
        matches!(self, Steer { dev, .. } if !listed(dev)) && !self.is_gone(host)
    }

    /// Whether it is not there because what it belonged to is not: a queue, an interface. What
    /// merely cannot be read (no `ethtool`, a core that is offline) is not gone.
    pub(crate) fn is_gone(&self, host: &Host) -> bool {
        let Some(dev) = self.dev() else { return false };
        let queue = |side: &str, queue: &u16| {
            let queues = host.list(&format!("/sys/class/net/{dev}/queues"));
            !queues.is_empty() && !queues.contains(&format!("{side}-{queue}"))
        };
        let there = host.list("/sys/class/net").iter().any(|name| name == dev);
        !there
            || match self {
                Rps { queue: number, .. } | RpsFlows { queue: number, .. } => queue("rx", number),
                Xps { queue: number, .. } => queue("tx", number),
                // Others of the card are there, and this one is not.
                Irq { .. } => !irq::of(host, dev).is_empty(),
                _ => false,
            }
    }

    /// Whether it is one that this program would ever touch: a state file is not ours alone.
    pub fn is_sound(&self) -> bool {
        let words = match self {
            Sysctl { name } => return name.starts_with("net.") && is_name(name),
            Feature { name, .. } | Coalesce { name, .. } => is_name(name),
            Channels { kind, .. } => ["combined", "rx", "tx"].contains(&kind.as_str()),
            Ring { side, .. } => ["rx", "tx"].contains(&side.as_str()),
            Steer { flow, .. } => ["udp4", "udp6"].contains(&flow.as_str()),
            _ => true,
        };
        words && self.dev().is_none_or(is_name)
    }

    fn absent(&self, host: &Host) -> Result<Vec<Step>, String> {
        match self {
            Steer { dev, .. } => {
                let delete = |rule: ethtool::Rule| format!("ethtool -N {dev} delete {}", rule.id);
                Ok(self.rule(host).map(delete).map(|words| Step::run(&words)).into_iter().collect())
            }
            Limits => {
                let remove = Step::Remove { path: DROP_IN.to_owned() };
                Ok(vec![remove, Step::run("systemctl daemon-reload")])
            }
            _ => Err("it was not there, and goes only with its queue".to_owned()),
        }
    }

    fn write(&self, host: &Host, text: &str) -> Result<Vec<Step>, String> {
        let path = self.file(host).ok_or("there is no such interrupt")?;
        Ok(vec![Step::Write { path, text: text.to_owned() }])
    }

    fn rule(&self, host: &Host) -> Option<ethtool::Rule> {
        let Steer { dev, flow, port } = self else { return None };
        let rules = ethtool::rules(&host.ethtool('n', dev))?;
        rules.into_iter().find(|rule| rule.plain && rule.flow == flow && rule.port == *port)
    }

    /// The kernel's file that holds it, where it is one.
    fn file(&self, host: &Host) -> Option<String> {
        match self {
            Irq { dev, queue, role } => {
                let all = irq::of(host, dev);
                let irq = all.iter().find(|irq| irq.queue == *queue && irq.role == *role)?;
                Some(format!("/proc/irq/{}/smp_affinity_list", irq.number))
            }
            Rps { dev, queue } => Some(format!("/sys/class/net/{dev}/queues/rx-{queue}/rps_cpus")),
            RpsFlows { dev, queue } => {
                Some(format!("/sys/class/net/{dev}/queues/rx-{queue}/rps_flow_cnt"))
            }
            Xps { dev, queue } => Some(format!("/sys/class/net/{dev}/queues/tx-{queue}/xps_cpus")),
            Sysctl { name } => Some(Host::sysctl_path(name)),
            Governor { cpu } => {
                Some(format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"))
            }
            _ => None,
        }
    }
}

/// For people, e.g. `eth0: queues (combined)`.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Feature { dev, name } => write!(f, "{dev}: {name}"),
            Channels { dev, kind } => write!(f, "{dev}: queues ({kind})"),
            Ring { dev, side } => write!(f, "{dev}: ring ({side})"),
            Indirection { dev } => write!(f, "{dev}: hash table (RSS)"),
            Steer { dev, flow, port } => write!(f, "{dev}: queue of {flow} port {port}"),
            Irq { dev, queue, role } => write!(f, "{dev}: interrupt of {role} queue {queue}"),
            Rps { dev, queue } => write!(f, "{dev}: RPS of rx queue {queue}"),
            RpsFlows { dev, queue } => write!(f, "{dev}: RFS of rx queue {queue}"),
            Xps { dev, queue } => write!(f, "{dev}: XPS of tx queue {queue}"),
            Coalesce { dev, name } => write!(f, "{dev}: interrupts ({name})"),
            Sysctl { name } => f.write_str(name),
            Governor { cpu } => write!(f, "governor of core {cpu}"),
            Limits => f.write_str("limits of bifrons.service"),
        }
    }
}

/// A name of an interface, a sysctl or a feature: nothing that leads elsewhere in a path, and no
/// option of a command.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:@".contains(c);
    !name.is_empty()
        && !name.starts_with(['.', '-'])
        && !name.contains("..")
        && name.chars().all(plain)
}

fn number(text: &str, name: &str) -> Option<String> {
    ethtool::limits(text).now.get(name).map(u32::to_string)
}
