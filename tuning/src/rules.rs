//! The rules: one function each, from a host to a finding.

use crate::host::Host;

/// How a setting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Not as it should be.
    Off,
    /// This host does not say, or has no such thing.
    Unknown,
}

/// One rule's verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, e.g. a sysctl's name.
    pub what: String,
    /// How it stands.
    pub state: State,
    /// What is.
    pub is: String,
    /// What should be.
    pub should: String,
    /// Why.
    pub why: &'static str,
    /// The command that would make it so, where one can.
    pub command: Option<String>,
}

/// Bytes a shard asks of each socket buffer.
const SOCKET_BUFFER: u64 = 8 << 20;
/// Datagrams the kernel may queue for a core between two polls.
const BACKLOG: u64 = 16_384;
/// Descriptors: sockets of shards, one a client of a transport, and room for event handlers.
const OPEN_FILES: u64 = 65_536;
/// Locked memory: buffer rings of a shard, and the storage lane's pools.
const LOCKED_BYTES: u64 = 64 << 20;

/// Every rule's verdict, in a fixed order.
pub fn findings(host: &Host) -> Vec<Finding> {
    let mut all = vec![
        at_least(host, "net.core.rmem_max", SOCKET_BUFFER, "a burst waits in the receive buffer"),
        at_least(
            host,
            "net.core.wmem_max",
            SOCKET_BUFFER,
            "a keyframe's fan-out waits in the send buffer",
        ),
        at_least(
            host,
            "net.core.netdev_max_backlog",
            BACKLOG,
            "a core that is busy must not lose what its card delivered",
        ),
        io_uring(host),
        limit(
            host,
            "Max open files",
            OPEN_FILES,
            "LimitNOFILE=65536",
            "each client of a transport is a descriptor",
        ),
        limit(
            host,
            "Max locked memory",
            LOCKED_BYTES,
            "LimitMEMLOCK=infinity",
            "io_uring buffers are locked memory",
        ),
    ];
    all.extend(governors(host));
    all
}

fn at_least(host: &Host, name: &str, least: u64, why: &'static str) -> Finding {
    let is = host.sysctl(name);
    let state = match is.as_ref().and_then(|text| text.parse::<u64>().ok()) {
        Some(value) if value >= least => State::Good,
        Some(_) => State::Off,
        None => State::Unknown,
    };
    Finding {
        what: name.to_owned(),
        state,
        is: is.unwrap_or_else(|| "not there".to_owned()),
        should: format!("at least {least}"),
        why,
        command: (state == State::Off).then(|| format!("sysctl -w {name}={least}")),
    }
}

fn io_uring(host: &Host) -> Finding {
    let name = "kernel.io_uring_disabled";
    let is = host.sysctl(name);
    // Kernels before 6.6 have no such switch, and io_uring is on.
    let state = match is.as_deref() {
        Some("0") | None => State::Good,
        Some(_) => State::Off,
    };
    Finding {
        what: name.to_owned(),
        state,
        is: is.unwrap_or_else(|| "not there (on)".to_owned()),
        should: "0".to_owned(),
        why: "without io_uring the shards fall back to epoll",
        command: (state == State::Off).then(|| format!("sysctl -w {name}=0")),
    }
}

fn limit(host: &Host, name: &str, least: u64, unit: &str, why: &'static str) -> Finding {
    let is = host.limit(name);
    let state = match is {
        Some(value) if value >= least => State::Good,
        Some(_) => State::Off,
        None => State::Unknown,
    };
    Finding {
        what: name.to_owned(),
        state,
        is: match is {
            Some(u64::MAX) => "unlimited".to_owned(),
            Some(value) => value.to_string(),
            None => "not there".to_owned(),
        },
        should: format!("at least {least}"),
        why,
        command: (state == State::Off).then(|| format!("in the service's unit: {unit}")),
    }
}

/// One finding for each core that has a frequency governor.
fn governors(host: &Host) -> Vec<Finding> {
    const CPUS: &str = "/sys/devices/system/cpu";
    let numbered = |name: &String| {
        name.strip_prefix("cpu")
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let cores = host.list(CPUS).into_iter().filter(numbered);
    cores
        .filter_map(|core| {
            let path = format!("{CPUS}/{core}/cpufreq/scaling_governor");
            let is = host.read(&path)?;
            let state = if is == "performance" { State::Good } else { State::Off };
            let command = format!("echo performance > {path}");
            Some(Finding {
                what: format!("{core} frequency governor"),
                state,
                is,
                should: "performance".to_owned(),
                why: "a core that sleeps deep wakes late",
                command: (state == State::Off).then_some(command),
            })
        })
        .collect()
}
