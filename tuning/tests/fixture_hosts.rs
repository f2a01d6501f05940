//! Verdicts over fixture trees, each made for its test.

use bifrons_tune::{Finding, Host, State, findings};
use std::fs;
use std::path::PathBuf;

struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&root);
        for (path, content) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("folder")).expect("folder");
            fs::write(path, content).expect("file");
        }
        Tree(root)
    }

    fn finding(&self, what: &str) -> Finding {
        let all = findings(&Host::at(&self.0));
        all.into_iter().find(|finding| finding.what == what).expect("a rule about it")
    }
}

#[test]
fn a_small_socket_buffer_is_off_and_comes_with_its_command() {
    let tree = Tree::new("small", &[("proc/sys/net/core/rmem_max", "212992\n")]);
    let finding = tree.finding("net.core.rmem_max");
    assert_eq!((finding.state, finding.is.as_str()), (State::Off, "212992"));
    assert_eq!(finding.command.as_deref(), Some("sysctl -w net.core.rmem_max=8388608"));
    assert_eq!(tree.finding("net.core.wmem_max").state, State::Unknown);
}

#[test]
fn a_large_socket_buffer_needs_nothing() {
    let tree = Tree::new("large", &[("proc/sys/net/core/rmem_max", "33554432\n")]);
    let finding = tree.finding("net.core.rmem_max");
    assert_eq!((finding.state, finding.command), (State::Good, None));
}

#[test]
fn io_uring_is_on_where_the_kernel_has_no_switch() {
    assert_eq!(Tree::new("old", &[]).finding("kernel.io_uring_disabled").state, State::Good);
    let tree = Tree::new("off", &[("proc/sys/kernel/io_uring_disabled", "2\n")]);
    assert_eq!(tree.finding("kernel.io_uring_disabled").state, State::Off);
}

#[test]
fn limits_are_read_from_the_soft_column() {
    let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                  Max open files            1024                 1048576              files\n\
                  Max locked memory         unlimited            unlimited            bytes\n";
    let tree = Tree::new("limits", &[("proc/self/limits", limits)]);
    let files = tree.finding("Max open files");
    assert_eq!((files.state, files.is.as_str()), (State::Off, "1024"));
    let memory = tree.finding("Max locked memory");
    assert_eq!((memory.state, memory.is.as_str()), (State::Good, "unlimited"));
}

#[test]
fn each_core_with_a_governor_is_judged() {
    let governor = |n: u8| format!("sys/devices/system/cpu/cpu{n}/cpufreq/scaling_governor");
    let tree = Tree::new(
        "governors",
        &[
            (&governor(0), "performance\n"),
            (&governor(1), "powersave\n"),
            ("sys/devices/system/cpu/cpufreq/x", ""),
        ],
    );
    assert_eq!(tree.finding("cpu0 frequency governor").state, State::Good);
    let slow = tree.finding("cpu1 frequency governor");
    assert_eq!(slow.state, State::Off);
    assert!(slow.command.expect("command").contains("cpu1/cpufreq"));
    let count = findings(&Host::at(&tree.0)).iter().filter(|f| f.what.contains("governor")).count();
    assert_eq!(count, 2);
}
