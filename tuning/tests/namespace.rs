//! The program itself on a real interface: a veth in a network namespace that the test makes.
//!
//! Needs root and ethtool; without, it says so and passes. Only `--only nic,net` is
//! run, so that nothing outside the namespace can be reached: the other part is the machine's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines that start with `== ` begin a part of the output.
const SCRIPT: &str = r#"
set -e
mount -t sysfs sysfs /sys
ip link add va numtxqueues 4 numrxqueues 4 type veth peer name vb numtxqueues 4 numrxqueues 4
ip address add 192.0.2.1/24 dev va
ip link set va up
ip link set vb up
ip route add default via 192.0.2.2
queues=/sys/class/net/va/queues
ethtool -K va gro off tx-udp-segmentation off
echo 1 > $queues/rx-0/rps_cpus
echo 1 > $queues/rx-3/rps_cpus
echo 256 > $queues/rx-3/rps_flow_cnt
echo 1 > $queues/tx-0/xps_cpus
echo 1 > $queues/tx-3/xps_cpus
echo "30000 50000" > /proc/sys/net/ipv4/ip_local_port_range
echo 40010-40011 > /proc/sys/net/ipv4/ip_local_reserved_ports

snapshot() {
    ethtool -k va
    ethtool -l va
    grep -H . $queues/*/rps_cpus $queues/*/rps_flow_cnt $queues/*/xps_cpus
    (cd /proc/sys/net && grep -rs . core ipv4 ipv6 | grep -v -e /stat -e secret -e /cookie | sort)
}
tune() { "$TUNE" "$@" 2>&1 && echo "exit 0" || echo "exit $?"; }
what="--only nic,net --base 40000 --shards 2"
echo "== before"; snapshot
echo "== plan"; tune plan $what
echo "== planned"; snapshot
echo "== apply"; tune apply $what --state "$STATE"
echo "== applied"; snapshot
echo "== check"; tune check $what
echo "== again"; tune apply $what --state "$STATE"
echo "== revert"; tune revert --state "$STATE"
echo "== after"; snapshot
echo "== off"; tune check $what
"#;

/// The parts of the script's output; `None` where there can be no namespace.
fn run(state: &Path) -> Option<BTreeMap<String, String>> {
    // A user namespace would not do: the kernel takes RPS and XPS only from the host's root.
    const FLAGS: [&str; 2] = ["--net", "--mount"];
    let made = Command::new("unshare").args(FLAGS).args(["ethtool", "--version"]).output();
    if !made.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let output = Command::new("unshare")
        .args(FLAGS)
        .args(["sh", "-c", SCRIPT])
        .env("TUNE", env!("CARGO_BIN_EXE_bifrons-tune"))
        .env("STATE", state)
        .output()
        .expect("unshare");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let parts = text.split("== ").skip(1).filter_map(|part| part.split_once('\n'));
    Some(parts.map(|(name, text)| (name.to_owned(), text.to_owned())).collect())
}

fn lines<'a>(of: &'a str, not_in: &str) -> Vec<&'a str> {
    of.lines().filter(|line| !not_in.lines().any(|other| other == *line)).collect()
}

#[test]
fn a_veth_is_tuned_and_given_back_as_it_was() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("namespace");
    let _ = std::fs::remove_dir_all(&folder);
    let state = folder.join("tuning.json");
    let Some(parts) = run(&state) else {
        eprintln!("no namespace can be made here, or there is no ethtool: nothing was tested");
        return;
    };
    let part = |name: &str| parts.get(name).map(String::as_str).unwrap_or_default();
    assert_eq!(lines(part("planned"), part("before")), [""; 0], "a plan changed something");

    let plan = part("plan");
    for line in [
        "ethtool -K va gro on",
        "ethtool -K va tx-udp-segmentation on",
        "ethtool -L va rx 2",
        "ethtool -L va tx 2",
        "> /sys/class/net/va/queues/rx-1/rps_cpus",
        "> /sys/class/net/va/queues/tx-1/xps_cpus",
        "sysctl -w net.ipv4.ip_local_reserved_ports=40000-40001,40010-40011",
        "va (veth) cannot steer by UDP port",
        "va (veth) has no interrupts of its own",
    ] {
        assert!(plan.contains(line), "{line}: {plan}");
    }
    assert!(part("apply").ends_with("exit 0\n"), "{}", part("apply"));
    let applied = part("applied");
    for line in ["generic-receive-offload: on", "tx-udp-segmentation: on"] {
        assert!(applied.contains(line), "{line}");
        assert!(!part("before").contains(line), "{line}");
    }
    assert!(applied.contains("ip_local_reserved_ports:40000-40001,40010-40011"));
    assert!(!applied.contains("rx-2/rps_cpus"), "queues are left over");
    let check = part("check");
    assert!(check.contains("In tune.\n") && check.ends_with("exit 0\n"), "{check}");
    assert_eq!(part("again"), "Nothing to do.\nexit 0\n");

    assert!(part("revert").ends_with("exit 0\n"), "{}", part("revert"));
    assert_eq!(lines(part("after"), part("before")), [""; 0], "{}", part("revert"));
    assert_eq!(lines(part("before"), part("after")), [""; 0], "{}", part("revert"));
    assert!(part("off").ends_with("exit 1\n"), "{}", part("off"));
    assert!(!folder.exists(), "the record is still there");
}
