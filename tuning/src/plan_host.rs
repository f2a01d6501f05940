//! The rules for what is not a card: sysctls of the network, the cores' governors, the service's
//! limits.

use crate::host::Host;
use crate::layout::Ask;
use crate::plan::{Plan, siblings};
use crate::setting::{DROP_IN, Setting};

/// Sysctls that shall be at least so much.
const SYSCTLS: [(&str, u64, &str); 5] = [
    // What a shard asks of each socket's buffers.
    ("net.core.rmem_max", 8 << 20, "a burst waits in a shard's receive buffer"),
    ("net.core.wmem_max", 8 << 20, "a keyframe's fan-out waits in a shard's send buffer"),
    (
        "net.core.netdev_max_backlog",
        16_384,
        "packets that another core's queue delivered wait here, also behind a busy shard",
    ),
    ("net.core.netdev_budget", 600, "one turn of the kernel empties a queue's burst"),
    ("net.core.netdev_budget_usecs", 4000, "one turn of the kernel empties a queue's burst"),
];

/// Descriptors: sockets of shards, one a client of a transport, and room for event handlers.
const OPEN_FILES: u64 = 65_536;
/// Locked memory: buffer rings of the shards, and the storage lane's pools.
const LOCKED_BYTES: u64 = 64 << 20;

/// Adds the sysctls.
pub(crate) fn network(host: &Host, ask: &Ask, plan: &mut Plan) {
    for (name, least, why) in SYSCTLS {
        let setting = Setting::Sysctl { name: name.to_owned() };
        if settable(host, name, plan) {
            plan.at_least(host, setting, least, why);
        }
    }
    for name in ["net.core.busy_read", "net.core.busy_poll"] {
        let Some(busy_us) = ask.busy_poll_us else { continue };
        if settable(host, name, plan) {
            let setting = Setting::Sysctl { name: name.to_owned() };
            plan.be(host, setting, &busy_us.to_string(), "asked for on the command line");
        }
    }
    reserve(host, plan);
}

/// Keeps the shards' ports from being handed out to other programs while the server is down.
fn reserve(host: &Host, plan: &mut Plan) {
    let name = "net.ipv4.ip_local_reserved_ports";
    let range = host.read(&Host::sysctl_path("net.ipv4.ip_local_port_range")).unwrap_or_default();
    let mut ends = range.split_whitespace().map(str::parse::<u16>);
    let (Some(Ok(low)), Some(Ok(high))) = (ends.next(), ends.next()) else { return };
    let ports: Vec<u16> = (0..plan.layout.shards)
        .filter_map(|shard| plan.layout.port(shard))
        .filter(|port| (low..=high).contains(port))
        .collect();
    let (Some(first), Some(last)) = (ports.first(), ports.last()) else { return };
    let setting = Setting::Sysctl { name: name.to_owned() };
    let present = setting.present(host).unwrap_or_default();
    if !settable(host, name, plan) {
        return;
    }
    let span = if first == last { first.to_string() } else { format!("{first}-{last}") };
    let why = "no other program is given a shard's port by chance";
    let covered = |port: &u16| present.split(',').any(|part| covers(part, *port));
    let goal = match present.as_str() {
        all if ports.iter().all(covered) => all.to_owned(),
        "" => span,
        // The kernel sorts and joins them; what it made of ours is read back when it is set.
        others => join(others, *first, *last),
    };
    plan.be(host, setting, &goal, why);
}

fn covers(part: &str, port: u16) -> bool {
    let (low, high) = part.split_once('-').unwrap_or((part, part));
    let end = |text: &str| text.trim().parse::<u16>().ok();
    end(low).zip(end(high)).is_some_and(|(low, high)| (low..=high).contains(&port))
}

/// Ports in the kernel's form: ranges ascending, neighbours joined.
fn join(others: &str, first: u16, last: u16) -> String {
    let end = |text: &str| text.trim().parse::<u16>().ok();
    let range = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        end(low).zip(end(high))
    };
    let mut ranges: Vec<(u16, u16)> = others.split(',').filter_map(range).collect();
    ranges.push((first, last));
    ranges.sort_unstable();
    let mut joined: Vec<(u16, u16)> = Vec::new();
    for (low, high) in ranges {
        match joined.last_mut() {
            Some(before) if low <= before.1.saturating_add(1) => before.1 = before.1.max(high),
            _ => joined.push((low, high)),
        }
    }
    let text = |(low, high): &(u16, u16)| match low == high {
        true => low.to_string(),
        false => format!("{low}-{high}"),
    };
    joined.iter().map(text).collect::<Vec<_>>().join(",")
}

/// Whether a sysctl is there and may be set; what is not is said, unless the kernel has no such
/// thing.
fn settable(host: &Host, name: &str, plan: &mut Plan) -> bool {
    let path = Host::sysctl_path(name);
    let there = host.read(&path).is_some();
    if there && !host.is_writable(&path) {
        plan.note(format!("{name} belongs to the host: it cannot be set from this container."));
        return false;
    }
    if !there {
        plan.note(format!("There is no {name} here."));
    }
    there
}

/// Adds what is the machine's.
pub(crate) fn machine(host: &Host, plan: &mut Plan) {
    let cores = plan.layout.cores();
    for cpu in cores.iter() {
        let folder = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq");
        let offers = host.read(&format!("{folder}/scaling_available_governors"));
        let offered = offers.is_none_or(|all| all.split_whitespace().any(|g| g == "performance"));
        let setting = Setting::Governor { cpu };
        if offered && setting.present(host).is_some() {
            plan.be(host, setting, "performance", "a core that clocks down wakes late");
        }
    }
    if !plan.rules.iter().any(|change| matches!(change.fact.setting, Setting::Governor { .. })) {
        plan.note("Cores have no governor here: their clock is not ours to set.".to_owned());
    }
    threads(host, plan);
    // Kernels before 6.6 have no such switch, and io_uring is on.
    let closed = host.read(&Host::sysctl_path("kernel.io_uring_disabled"));
    if closed.is_some_and(|value| value != "0") {
        plan.note(
            "io_uring is switched off (kernel.io_uring_disabled): shards fall back to epoll. \
             Somebody had a reason, so it stays."
                .to_owned(),
        );
    }
    limits(host, plan);
}

/// Says where two shards are threads of one core.
fn threads(host: &Host, plan: &mut Plan) {
    let cores = plan.layout.cores();
    let mut pairs: Vec<String> = Vec::new();
    for core in cores.iter() {
        let mut others = siblings(host, core);
        others = others.iter().filter(|other| cores.contains(*other)).collect();
        if others.len() > 1 && others.iter().next() == Some(core) {
            pairs.push(others.to_string());
        }
    }
    if !pairs.is_empty() {
        plan.note(format!(
            "These are threads of one core each, and halve each other's pace: {}. \
             datapath.affinity in janus.jcfg can name one of each.",
            pairs.join("; ")
        ));
    }
}

/// A drop-in, where the service's unit leaves its limits too low.
fn limits(host: &Host, plan: &mut Plan) {
    running(host, plan);
    let Some(unit) = unit(host) else {
        plan.note("There is no bifrons.service here: its limits are its starter's.".to_owned());
        return;
    };
    let value = |key: &str| {
        let lines = unit.lines().filter_map(|line| line.trim().strip_prefix(key));
        lines.filter_map(|rest| rest.trim_start().strip_prefix('=')).map(str::trim).next_back()
    };
    let enough = |value: &str, least: u64| {
        // A soft limit may stand before a colon.
        let soft = value.split(':').next().unwrap_or(value);
        soft == "infinity" || soft.parse().is_ok_and(|value: u64| value >= least)
    };
    let files = value("LimitNOFILE").is_some_and(|value| enough(value, OPEN_FILES));
    let memory = value("LimitMEMLOCK").is_some_and(|value| enough(value, LOCKED_BYTES));
    if files && memory {
        return;
    }
    let mut text =
        "# Made by bifrons-tune; `bifrons-tune revert` takes it away.\n[Service]\n".to_owned();
    if !files {
        text.push_str(&format!("LimitNOFILE={OPEN_FILES}\n"));
    }
    if !memory {
        text.push_str("LimitMEMLOCK=infinity\n");
    }
    let why = "each client is a descriptor, and rings are locked memory";
    plan.be(host, Setting::Limits, &text, why);
}

/// The service's unit and after it all drop-ins but ours, in the order in which they count.
fn unit(host: &Host) -> Option<String> {
    const FOLDERS: [&str; 3] =
        ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
    let read = |folder: &&str| host.read(&format!("{folder}/bifrons.service"));
    let unit = FOLDERS.iter().find_map(read)?;
    let mut others: Vec<(String, String)> = Vec::new();
    for folder in FOLDERS.iter().map(|folder| format!("{folder}/bifrons.service.d")) {
        for name in host.list(&folder) {
            let path = format!("{folder}/{name}");
            // One of the same name in an earlier folder hides this one.
            let hidden = others.iter().any(|(other, _)| *other == name);
            if name.ends_with(".conf") && path != DROP_IN && !hidden {
                others.push((name, host.read(&path).unwrap_or_default()));
            }
        }
    }
    others.sort();
    Some(others.into_iter().fold(unit, |all, (_, text)| all + "\n" + &text))
}

/// Says where a server that runs now was given less than it should have.
fn running(host: &Host, plan: &mut Plan) {
    for process in host.running("bifrons") {
        let text = host.read(&format!("/proc/{process}/limits")).unwrap_or_default();
        for (name, least) in [("Max open files", OPEN_FILES), ("Max locked memory", LOCKED_BYTES)] {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let soft = line.and_then(|line| line.split_whitespace().next()).unwrap_or_default();
            // "unlimited" is no number.
            if soft.parse().is_ok_and(|soft: u64| soft < least) {
                plan.note(format!(
                    "bifrons runs as process {process} with \"{name}\" {soft}, and wants {least}: \
                     start it anew when its limits are raised."
                ));
            }
        }
    }
}
