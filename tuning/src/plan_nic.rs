//! The rules for one card, in the order in which they have to be made: what a later one builds
//! on comes first (features before rules that need them, the number of queues before anything
//! that is about a queue).

use crate::ethtool::Rule;
use crate::host::Host;
use crate::irq::Role;
use crate::nic::Nic;
use crate::plan::{Fact, Plan};
use crate::setting::Setting;
use std::collections::BTreeSet;

/// Descriptors a ring shall have, if the card lets it.
const RING: u32 = 2048;
/// Microseconds that an interrupt may wait for more packets.
const MODERATION_US: &str = "50";

/// Adds the rules for `nic`.
pub(crate) fn card(host: &Host, nic: &Nic, plan: &mut Plan) {
    if !nic.below.is_empty() {
        let below = nic.below.join(" and ");
        plan.note(format!(
            "{} stands on {below}: name those, where there are cards below.",
            nic.dev
        ));
    }
    if nic.rx_queues.is_empty() {
        plan.note(format!("{} shows no receive queues: it is left alone.", nic.name()));
        return;
    }
    if nic.driver.name.is_empty() {
        plan.note(format!(
            "ethtool tells nothing of {} (is it installed?): the card is left alone.",
            nic.dev
        ));
        return;
    }
    features(host, nic, plan);
    let queues = wanted(nic, plan);
    // A driver keeps queues that a table or a rule still names: those let go of them first.
    let early = nic.table.as_ref().is_some_and(|table| !table.is_drivers_own());
    if early {
        table(host, nic, queues.rx, plan);
    }
    let leaves = |rule: Option<u32>| rule.is_some_and(|queue| queue >= u32::from(queues.rx));
    steering(host, nic, queues.rx, plan, leaves);
    channels(host, nic, queues, plan);
    rings(host, nic, plan);
    if !early {
        table(host, nic, queues.rx, plan);
    }
    steering(host, nic, queues.rx, plan, |rule| !leaves(rule));
    limits_of_steering(nic, queues.rx, plan);
    interrupts(host, nic, queues, plan);
    packet_steering(host, nic, queues, plan);
    moderation(host, nic, plan);
    nodes(host, nic, plan);
}

fn features(host: &Host, nic: &Nic, plan: &mut Plan) {
    let name = |name: &str| Setting::Feature { dev: nic.dev.clone(), name: name.to_owned() };
    for (feature, why, without) in [
        (
            "generic-receive-offload",
            "a burst of one sender comes up the stack as one packet",
            "cannot join the packets of a burst (no GRO): each is handled alone",
        ),
        (
            "generic-segmentation-offload",
            "a train goes down the stack as one packet",
            "takes no trains (no GSO): each packet goes down the stack alone",
        ),
        (
            "tx-udp-segmentation",
            "the card cuts a train into packets itself",
            "does not cut UDP trains itself (no USO): the kernel does, at the last moment",
        ),
        ("ntuple-filters", "rules steer each shard's port to its queue", ""),
    ] {
        if nic.can_switch(feature) {
            plan.be(host, name(feature), "on", why);
        } else if !nic.has(feature) && !without.is_empty() {
            plan.note(format!("{} {without}.", nic.name()));
        }
    }
}

/// Queues that the card will have, and the kinds that `ethtool -L` sets.
#[derive(Clone, Copy)]
struct Queues {
    rx: u16,
    tx: u16,
    kinds: &'static [&'static str],
}

/// One queue a shard, as far as the card has them and nobody else needs more.
fn wanted(nic: &Nic, plan: &mut Plan) -> Queues {
    let present = |set: &BTreeSet<u16>| u16::try_from(set.len()).unwrap_or(u16::MAX).max(1);
    let most = |kind: &str| {
        let most = nic.channels.most.get(kind).copied().filter(|most| *most > 0)?;
        nic.channels.now.contains_key(kind).then(|| u16::try_from(most).unwrap_or(u16::MAX))
    };
    let shards = plan.layout.shards;
    let (rx, tx) = (present(&nic.rx_queues), present(&nic.tx_queues));
    let mut queues = match most("combined") {
        Some(most) => Queues { rx: shards.min(most), tx: shards.min(most), kinds: &["combined"] },
        None => Queues {
            rx: most("rx").map_or(rx, |most| shards.min(most)),
            tx: most("tx").map_or(tx, |most| shards.min(most)),
            kinds: match (most("rx"), most("tx")) {
                (Some(_), Some(_)) => &["rx", "tx"],
                (Some(_), None) => &["rx"],
                (None, Some(_)) => &["tx"],
                (None, None) => &[],
            },
        },
    };
    if let Some(needed) = needed(nic, plan).filter(|needed| (queues.rx..rx).contains(needed)) {
        plan.note(format!(
            "A rule or hash table of {} that is not ours names queue {needed}: the queues up to \
             it stay.",
            nic.name()
        ));
        queues.rx = needed + 1;
        queues.tx = if most("combined").is_some() { queues.rx } else { queues.tx };
    }
    if queues.rx < shards {
        let few = queues.rx;
        plan.note(format!(
            "{} has {few} receive queue(s) for {shards} shards: cores share queues.",
            nic.name()
        ));
    }
    queues
}

/// The highest queue that is named by what we leave alone.
fn needed(nic: &Nic, plan: &Plan) -> Option<u16> {
    let ports: Vec<u16> =
        (0..plan.layout.shards).filter_map(|shard| plan.layout.port(shard)).collect();
    let ours = |rule: &&Rule| rule.plain && !rule.flow.is_empty() && ports.contains(&rule.port);
    let rules = nic.rules.iter().flatten().filter(|rule| !ours(rule)).map(|rule| rule.queue);
    let table = nic.table.iter().filter(|table| !table.can_be_set());
    let all = rules.chain(table.flat_map(|table| table.entries.iter().copied()));
    all.max().and_then(|queue| u16::try_from(queue).ok())
}

fn channels(host: &Host, nic: &Nic, queues: Queues, plan: &mut Plan) {
    let why = "one queue a shard, so that no two cores touch the same one";
    for kind in queues.kinds {
        let wanted = if *kind == "tx" { queues.tx } else { queues.rx };
        let setting = Setting::Channels { dev: nic.dev.clone(), kind: (*kind).to_owned() };
        plan.be(host, setting, &wanted.to_string(), why);
    }
    if plan.changes().any(|change| change.fact.setting.disturbs()) {
        keep(host, nic, plan);
    }
}

/// A driver that starts its queues anew forgets what was set for each: all of that is recorded.
fn keep(host: &Host, nic: &Nic, plan: &mut Plan) {
    let dev = || nic.dev.clone();
    let rx = nic.rx_queues.iter().flat_map(|queue| {
        let queue = *queue;
        [Setting::Rps { dev: dev(), queue }, Setting::RpsFlows { dev: dev(), queue }]
    });
    let tx = nic.tx_queues.iter().map(|queue| Setting::Xps { dev: dev(), queue: *queue });
    let irqs =
        nic.irqs.iter().map(|irq| Setting::Irq { dev: dev(), queue: irq.queue, role: irq.role });
    for setting in rx.chain(tx).chain(irqs) {
        plan.kept.push(Fact { value: setting.present(host), setting });
    }
}

fn rings(host: &Host, nic: &Nic, plan: &mut Plan) {
    let why = "a keyframe's burst waits in the ring instead of being lost";
    for side in ["rx", "tx"] {
        let Some(most) = nic.rings.most.get(side).copied().filter(|most| *most > 0) else {
            continue;
        };
        let setting = Setting::Ring { dev: nic.dev.clone(), side: side.to_owned() };
        plan.at_least(host, setting, RING.min(most).into(), why);
    }
}

fn table(host: &Host, nic: &Nic, queues: u16, plan: &mut Plan) {
    let Some(table) = &nic.table else {
        if queues > 1 {
            plan.note(format!("{} does not show its hash table (RSS).", nic.name()));
        }
        return;
    };
    if !table.can_be_set() {
        plan.note(format!(
            "The hash table of {} was made by hand and could not be restored: it is left alone.",
            nic.name()
        ));
        return;
    }
    let setting = Setting::Indirection { dev: nic.dev.clone() };
    let why = "what no rule steers is spread over all queues";
    plan.be(host, setting, &format!("equal {queues}"), why);
}

/// Rules for those ports whose present queue, if there is a rule, is one that `which` accepts.
fn steering(
    host: &Host,
    nic: &Nic,
    queues: u16,
    plan: &mut Plan,
    which: impl Fn(Option<u32>) -> bool,
) {
    if queues < 2 || !nic.can_steer() {
        return;
    }
    let flows: &[&str] = if plan.layout.ipv6 { &["udp4", "udp6"] } else { &["udp4"] };
    let ports: Vec<(u16, u16)> = (0..plan.layout.shards)
        .filter_map(|shard| Some((shard, plan.layout.port(shard)?)))
        .collect();
    for (shard, port) in ports {
        for flow in flows {
            let same = |rule: &&Rule| rule.plain && rule.flow == *flow && rule.port == port;
            let present = nic.rules.iter().flatten().find(same).map(|rule| rule.queue);
            if which(present) {
                let setting =
                    Setting::Steer { dev: nic.dev.clone(), flow: (*flow).to_owned(), port };
                let why = "packets arrive on the core that owns them";
                plan.be(host, setting, &(shard % queues).to_string(), why);
            }
        }
    }
}

fn limits_of_steering(nic: &Nic, queues: u16, plan: &mut Plan) {
    let name = nic.name();
    if queues < 2 {
        plan.note(format!("{name} has one queue: there is nothing to steer."));
    } else if !nic.can_steer() {
        plan.note(format!(
            "{name} cannot steer by UDP port (no ntuple filters): packets reach a core by the \
             hash of their addresses, and that core hands them to the shard's."
        ));
    }
    let shards = plan.layout.shards;
    let without = (0..shards).find(|shard| plan.layout.port(*shard).is_none());
    if let Some(shard) = without {
        plan.note(format!("The range of ports ends before shard {shard}."));
    }
}

fn interrupts(host: &Host, nic: &Nic, queues: Queues, plan: &mut Plan) {
    let roles: BTreeSet<Role> = nic.irqs.iter().map(|irq| irq.role).collect();
    if roles.is_empty() {
        plan.note(format!("{} has no interrupts of its own to pin.", nic.name()));
    }
    for role in roles {
        let count = if role == Role::Tx { queues.tx } else { queues.rx };
        for queue in 0..count {
            let Some(core) = plan.layout.cores_of_queue(queue, count).iter().next() else {
                continue;
            };
            let setting = Setting::Irq { dev: nic.dev.clone(), queue, role };
            let why = "the queue is worked on by the core of its shard";
            plan.be(host, setting, &core.to_string(), why);
        }
    }
    if !nic.irqs.is_empty() && !host.running("irqbalance").is_empty() {
        plan.note(
            "irqbalance runs and will move these interrupts again: stop it, or ban the card's."
                .to_owned(),
        );
    }
}

fn packet_steering(host: &Host, nic: &Nic, queues: Queues, plan: &mut Plan) {
    for queue in 0..queues.rx {
        let setting = Setting::Rps { dev: nic.dev.clone(), queue };
        let cores = plan.layout.cores_of_queue(queue, queues.rx);
        if cores.len() > 1 || (nic.is_virtual() && !cores.is_empty()) {
            let why = "nothing else brings this queue's packets to the cores of its shards";
            plan.be(host, setting, &cores.to_string(), why);
        } else if !nic.is_virtual() {
            // One core works on this queue: handing packets on would only cost.
            plan.be(host, setting, "", "the card spreads packets; a second time costs");
        }
    }
    if queues.tx < 2 {
        plan.note(format!("{} has one transmit queue: no XPS, cores share it.", nic.name()));
        return;
    }
    for queue in 0..queues.tx {
        let setting = Setting::Xps { dev: nic.dev.clone(), queue };
        let cores = plan.layout.cores_of_queue(queue, queues.tx).to_string();
        plan.be(host, setting, &cores, "a shard sends over a queue of its own");
    }
}

fn moderation(host: &Host, nic: &Nic, plan: &mut Plan) {
    if !nic.can_moderate() || nic.coalesce.is_empty() {
        plan.note(format!("{} does not let the rate of its interrupts be set.", nic.name()));
        return;
    }
    for (name, goal, why) in [
        ("adaptive-rx", "off", "moderation that adapts waits longest when packets are most"),
        (
            "rx-usecs",
            MODERATION_US,
            "one interrupt for many packets; a jitter buffer never sees it",
        ),
    ] {
        if nic.coalesce.contains_key(name) {
            let setting = Setting::Coalesce { dev: nic.dev.clone(), name: name.to_owned() };
            plan.be(host, setting, goal, why);
        }
    }
}

/// Says where a shard works far from the card's memory.
fn nodes(host: &Host, nic: &Nic, plan: &mut Plan) {
    let Some(node) = nic.node else { return };
    let path = format!("/sys/devices/system/node/node{node}/cpulist");
    let near = host.read(&path).and_then(|list| crate::cpus::CpuSet::from_list(&list));
    let Some(near) = near else { return };
    let far: crate::cpus::CpuSet =
        plan.layout.cores().iter().filter(|core| !near.contains(*core)).collect();
    if !far.is_empty() {
        let name = nic.name();
        plan.note(format!(
            "{name} is at NUMA node {node} (cores {near}), and cores {far} are not: \
             datapath.affinity in janus.jcfg can keep shards near the card."
        ));
    }
}
