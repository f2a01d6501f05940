//! Each of the four cards, from a plan to its last byte restored.

use crate::common::{CARDS, Tree, difference};
use bifrons_tune::{Ask, Outcome, Plan, STATE, Setting, apply, report, revert};
use std::fs;
use std::path::Path;

/// Compares with `golden/NAME`; `BLESS=1` writes it anew instead.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, text).expect("golden file");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "differs from {name}; BLESS=1 writes it anew");
}

fn applied(tree: &Tree) -> Outcome {
    let plan = Plan::of(&tree.host(), &Ask::default());
    apply(&tree.host(), &plan, STATE).expect("applied")
}

fn reverted(tree: &Tree) -> Outcome {
    revert(&tree.host(), STATE, false).expect("reverted")
}

#[test]
fn the_plan_shows_every_change_and_makes_none() {
    for card in CARDS {
        let tree = Tree::of(card, "plan");
        let before = tree.snapshot();
        let plan = Plan::of(&tree.host(), &Ask::default());
        golden(&format!("{card}.plan.txt"), &report::plan(&tree.host(), &plan));
        assert_eq!(difference(&before, &tree.snapshot()), [""; 0], "{card}");
    }
}

#[test]
fn after_apply_the_host_is_in_tune_and_a_second_apply_has_nothing_to_do() {
    for card in CARDS {
        let tree = Tree::of(card, "apply");
        let outcome = applied(&tree);
        assert_eq!((&outcome.failures, &outcome.remarks), (&vec![], &vec![]), "{card}");
        assert!(outcome.done.len() > 5, "{card}: {:?}", outcome.done);
        let plan = Plan::of(&tree.host(), &Ask::default());
        golden(&format!("{card}.check.txt"), &report::check(&plan));
        assert_eq!(plan.changes().count(), 0, "{card}");

        let once = tree.snapshot();
        assert_eq!(applied(&tree), Outcome::default(), "{card}");
        assert_eq!(difference(&once, &tree.snapshot()), [""; 0], "{card}");
    }
}

#[test]
fn revert_restores_every_byte() {
    for card in CARDS {
        let tree = Tree::of(card, "revert");
        let before = tree.snapshot();
        applied(&tree);
        assert!(difference(&before, &tree.snapshot()).len() > 5, "{card}");
        let outcome = reverted(&tree);
        assert_eq!((&outcome.failures, &outcome.remarks), (&vec![], &vec![]), "{card}");
        assert_eq!(difference(&before, &tree.snapshot()), [""; 0], "{card}");
        let again = reverted(&tree);
        assert_eq!(again.done, [""; 0], "{card}");
    }
}

#[test]
fn a_failure_at_any_step_stops_there_and_can_be_restored_to_the_byte() {
    for card in CARDS {
        let whole = applied(&Tree::of(card, "whole")).done;
        for step in (0..60).step_by(3) {
            let tree = Tree::of(card, "failure");
            let before = tree.snapshot();
            let host = tree.host().failing_after(step);
            let plan = Plan::of(&host, &Ask::default());
            let outcome = apply(&host, &plan, STATE).expect("recorded");
            assert!(whole.starts_with(&outcome.done), "{card} {step}");
            if outcome.failures.is_empty() {
                assert_eq!(outcome.done, whole, "{card} {step}");
                assert!(step > 5, "{card} {step}");
                break;
            }
            assert_eq!(outcome.failures.len(), 1, "{card} {step}");
            let back = reverted(&tree);
            assert_eq!((&back.failures, &back.remarks), (&vec![], &vec![]), "{card} {step}");
            assert_eq!(difference(&before, &tree.snapshot()), [""; 0], "{card} {step}");
        }
    }
}

#[test]
fn a_revert_that_stopped_can_be_taken_up_again() {
    for card in CARDS {
        for step in [0, 1, 5, 9, 14] {
            let tree = Tree::of(card, "halfway");
            let before = tree.snapshot();
            applied(&tree);
            let host = tree.host().failing_after(step);
            let stopped = revert(&host, STATE, false).expect("recorded");
            assert_eq!(
                stopped.failures.is_empty(),
                difference(&before, &tree.snapshot()).is_empty()
            );
            assert!(step > 5 || !stopped.failures.is_empty(), "{card} {step}: {stopped:?}");
            let outcome = reverted(&tree);
            assert_eq!(outcome.failures, [""; 0], "{card} {step}");
            assert_eq!(difference(&before, &tree.snapshot()), [""; 0], "{card} {step}");
        }
    }
}

#[test]
fn an_apply_that_stopped_can_be_taken_up_again() {
    for card in CARDS {
        let tree = Tree::of(card, "resume");
        let before = tree.snapshot();
        let host = tree.host().failing_after(4);
        let plan = Plan::of(&host, &Ask::default());
        assert_eq!(apply(&host, &plan, STATE).expect("recorded").failures.len(), 1, "{card}");
        assert_eq!(applied(&tree).failures, [""; 0], "{card}");
        assert_eq!(Plan::of(&tree.host(), &Ask::default()).changes().count(), 0, "{card}");
        reverted(&tree);
        assert_eq!(difference(&before, &tree.snapshot()), [""; 0], "{card}");
    }
}

#[test]
fn what_somebody_else_changed_since_is_left_unless_forced() {
    let tree = Tree::of("ice", "foreign");
    let before = tree.snapshot();
    applied(&tree);
    tree.put("proc/sys/net/core/rmem_max", "33554432");
    let outcome = reverted(&tree);
    assert_eq!(outcome.failures, [""; 0]);
    let [remark] = outcome.remarks.as_slice() else { panic!("{:?}", outcome.remarks) };
    assert!(remark.starts_with("net.core.rmem_max: somebody made it 33554432"), "{remark}");
    assert_eq!(tree.read("proc/sys/net/core/rmem_max"), "33554432\n");
    assert_eq!(tree.read("proc/sys/net/core/wmem_max"), "212992\n");

    let forced = revert(&tree.host(), STATE, true).expect("reverted");
    assert_eq!((forced.done.len(), forced.remarks.len()), (1, 0), "{forced:?}");
    assert_eq!(difference(&before, &tree.snapshot()), [""; 0]);
}

#[test]
fn a_rule_of_somebody_else_stays_where_it_is() {
    let tree = Tree::of("ice", "rules");
    applied(&tree);
    let rules = tree.read("commands/ethtool/enp49s0f0/n");
    assert!(rules.contains("Total 7 rules"), "{rules}");
    assert!(rules.contains("Rule Type: TCP over IPv4"), "{rules}");
    // Theirs for the port of a shard keeps its place and gets the shard's queue.
    let ours = rules.split("Filter: ").find(|rule| rule.contains("Dest port: 9001")).expect("rule");
    assert!(ours.starts_with("1022\n") && ours.contains("Direct to queue 1\n"), "{ours}");
}

#[test]
fn queues_that_somebody_else_needs_are_not_taken_away() {
    let tree = Tree::of("ice", "needed");
    let rules = tree.read("commands/ethtool/enp49s0f0/n");
    tree.put("commands/ethtool/enp49s0f0/n", &rules.replace("to queue 0", "to queue 6"));
    let before = tree.snapshot();
    let outcome = applied(&tree);
    assert_eq!(outcome.failures, [""; 0]);
    assert!(outcome.done.contains(&"enp49s0f0: queues (combined): 8 -> 7".to_owned()));
    let plan = Plan::of(&tree.host(), &Ask::default());
    assert!(plan.notes.iter().any(|note| note.contains("names queue 6")), "{:?}", plan.notes);
    reverted(&tree);
    assert_eq!(difference(&before, &tree.snapshot()), [""; 0]);
}

#[test]
fn a_weighted_hash_table_is_given_up_before_its_queues_and_comes_back() {
    let tree = Tree::of("ena", "weights");
    let file = "commands/ethtool/ens5/x";
    let (head, rest) = (tree.read(file), tree.read(file));
    let rows: String = (0..16)
        .map(|row| {
            let queue = (row / 4).max(1);
            format!("{:5}: {}\n", row * 8, format!(" {queue:5}").repeat(8))
        })
        .collect();
    let head = head.lines().next().expect("head");
    let rest = rest.split_once("RSS hash key").expect("key").1;
    tree.put(file, &format!("{head}\n{rows}RSS hash key{rest}"));
    let before = tree.snapshot();
    let plan = report::plan(&tree.host(), &Plan::of(&tree.host(), &Ask::default()));
    assert!(plan.contains("(RSS): weight 0 64 32 32 -> equal 3"), "{plan}");
    assert_eq!(applied(&tree).failures, [""; 0]);
    let back = reverted(&tree);
    assert_eq!((&back.failures, &back.remarks), (&vec![], &vec![]));
    assert_eq!(difference(&before, &tree.snapshot()), [""; 0]);
}

#[test]
fn another_number_of_shards_wants_a_revert_first() {
    let tree = Tree::of("ice", "shards");
    applied(&tree);
    let before = tree.snapshot();
    let ask = Ask { shards: Some(3), ..Ask::default() };
    let error = apply(&tree.host(), &Plan::of(&tree.host(), &ask), STATE).expect_err("refused");
    assert!(error.contains("queue 3") && error.contains("revert first"), "{error}");
    assert_eq!(difference(&before, &tree.snapshot()), [""; 0]);
    reverted(&tree);
    let outcome = apply(&tree.host(), &Plan::of(&tree.host(), &ask), STATE).expect("applied");
    assert_eq!(outcome.failures, [""; 0]);
}

#[test]
fn after_a_restart_of_the_host_only_what_is_on_disk_is_restored() {
    let tree = Tree::of("ice", "restart");
    let before = tree.snapshot();
    applied(&tree);
    // The kernel starts anew; the drop-in and the record stay.
    let drop_in = tree.read("etc/systemd/system/bifrons.service.d/50-bifrons-tune.conf");
    assert!(drop_in.contains("LimitNOFILE=65536\n"), "{drop_in}");
    for (path, content) in &before {
        if let Some(content) = content.as_ref().filter(|_| !path.starts_with("etc")) {
            tree.put(path, content);
        }
    }
    for queue in [6, 7] {
        assert!(tree.0.join(format!("sys/class/net/enp49s0f0/queues/rx-{queue}")).exists());
    }
    tree.put("proc/sys/kernel/random/boot_id", "another");
    tree.put("proc/sys/net/core/rmem_max", "400000");
    let outcome = reverted(&tree);
    assert_eq!(outcome.done.len(), 1, "{outcome:?}");
    assert!(outcome.done[0].starts_with("limits of bifrons.service"), "{outcome:?}");
    assert_eq!(tree.read("proc/sys/net/core/rmem_max"), "400000\n");
    assert!(!tree.0.join("etc/systemd/system/bifrons.service.d").exists());
}

#[test]
fn one_queue_for_many_shards_is_spread_by_the_kernel() {
    let tree = Tree::of("virtio_net", "single");
    let path = "commands/ethtool/eth0/l";
    tree.put(path, &tree.read(path).replace("Combined:\t4", "Combined:\t1"));
    tree.put("sys/class/net/eth0/queues/rx-0/rps_cpus", "0");
    let before = tree.snapshot();
    let plan = Plan::of(&tree.host(), &Ask::default());
    let text = report::plan(&tree.host(), &plan);
    for line in [
        "echo e > /sys/class/net/eth0/queues/rx-0/rps_cpus",
        "has 1 receive queue(s) for 3 shards",
        "there is nothing to steer",
        "has one transmit queue: no XPS",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(applied(&tree).failures, [""; 0]);
    assert_eq!(tree.read("sys/class/net/eth0/queues/rx-0/rps_cpus"), "e\n");
    reverted(&tree);
    assert_eq!(difference(&before, &tree.snapshot()), [""; 0]);
}

#[test]
fn busy_polling_and_ports_are_as_asked() {
    let tree = Tree::of("virtio_net", "asked");
    let ask = Ask { busy_poll_us: Some(50), base: Some(40_000), ..Ask::default() };
    let plan = Plan::of(&tree.host(), &ask);
    let goal = |name: &str| {
        let is = |setting: &Setting| matches!(setting, Setting::Sysctl { name: n } if n == name);
        let change = plan.changes().find(|change| is(&change.fact.setting));
        change.map(|change| change.goal.value()).unwrap_or_default()
    };
    assert_eq!(goal("net.core.busy_read"), "50");
    assert_eq!(goal("net.ipv4.ip_local_reserved_ports"), "40000-40002");
}

#[test]
fn only_named_interfaces_are_touched() {
    let tree = Tree::of("mlx5_core", "named");
    let ask = Ask { interfaces: vec!["eno1".to_owned()], ..Ask::default() };
    let plan = Plan::of(&tree.host(), &ask);
    let devs = plan.rules.iter().filter_map(|rule| rule.fact.setting.dev());
    assert!(devs.into_iter().all(|dev| dev == "eno1"));
    let ask = Ask { interfaces: vec!["../../etc".to_owned(), "-K".to_owned()], ..Ask::default() };
    let plan = Plan::of(&tree.host(), &ask);
    assert!(plan.rules.iter().all(|rule| rule.fact.setting.dev().is_none()));
    assert!(plan.notes.iter().any(|note| note == "There is no interface ../../etc."));
}

#[test]
fn what_cannot_be_read_for_now_stays_recorded() {
    let tree = Tree::of("ice", "unreadable");
    let before = tree.snapshot();
    applied(&tree);
    let (commands, away) = (tree.0.join("commands"), tree.0.join("away"));
    fs::rename(&commands, &away).expect("renamed");
    let outcome = reverted(&tree);
    assert!(outcome.failures.iter().any(|line| line.contains("cannot be read now")), "{outcome:?}");
    fs::rename(&away, &commands).expect("renamed");
    assert_eq!(reverted(&tree).failures, [""; 0]);
    assert_eq!(difference(&before, &tree.snapshot()), [""; 0]);
}

#[test]
fn limits_that_a_drop_in_raises_already_are_left() {
    let tree = Tree::of("ice", "drop-in");
    let folder = "etc/systemd/system/bifrons.service.d";
    tree.put(&format!("{folder}/10-ours.conf"), "[Service]\nLimitNOFILE=1048576\n");
    let plan = Plan::of(&tree.host(), &Ask::default());
    let limits = plan.changes().find(|change| change.fact.setting == Setting::Limits);
    let text = limits.expect("memory is still too little").goal.value();
    assert!(text.contains("LimitMEMLOCK") && !text.contains("LimitNOFILE"), "{text}");
    tree.put(
        &format!("{folder}/20-ours.conf"),
        "[Service]\nLimitMEMLOCK=1G:2G\nLimitMEMLOCK=infinity\n",
    );
    let plan = Plan::of(&tree.host(), &Ask::default());
    assert!(plan.rules.iter().all(|change| change.fact.setting != Setting::Limits));
}

#[test]
fn a_server_that_runs_with_too_little_is_named() {
    let tree = Tree::of("virtio_net", "running");
    tree.put("proc/4711/comm", "bifrons");
    tree.put(
        "proc/4711/limits",
        "Limit                     Soft Limit           Hard Limit           Units\n\
         Max open files            1024                 1048576              files\n\
         Max locked memory         unlimited            unlimited            bytes",
    );
    let notes = Plan::of(&tree.host(), &Ask::default()).notes;
    let about: Vec<&String> = notes.iter().filter(|note| note.contains("4711")).collect();
    assert!(about.len() == 1 && about[0].contains("\"Max open files\" 1024"), "{about:?}");
}

#[test]
fn the_program_says_by_its_exit_code_how_it_went() {
    let tree = Tree::of("ena", "program");
    let run = |arguments: &[&str]| {
        let program = env!("CARGO_BIN_EXE_bifrons-tune");
        let output = std::process::Command::new(program)
            .args(["--root", &tree.0.to_string_lossy()])
            .args(arguments)
            .output()
            .expect("run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().expect("an exit code"), text)
    };
    let before = tree.snapshot();
    assert_eq!(run(&["check"]).0, 1);
    assert_eq!(run(&["plan"]).0, 0);
    assert_eq!(difference(&before, &tree.snapshot()), [""; 0]);
    let (code, text) = run(&["apply"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("done  ens5: queues (combined): 4 -> 3\n"), "{text}");
    assert_eq!(run(&["check"]).0, 0);
    assert_eq!(run(&["apply"]), (0, "Nothing to do.\n".to_owned()));
    assert_eq!(run(&["revert"]).0, 0);
    assert_eq!(difference(&before, &tree.snapshot()), [""; 0]);
    // A card that lists more than it takes.
    tree.put("sys/class/net/ens5/queues/tx-0/xps_cpus", "zzz");
    fs::remove_file(tree.0.join("proc/irq/27/smp_affinity_list")).expect("removed");
    assert_eq!(run(&["apply"]).0, 1);
    assert_eq!(run(&["--state", "/proc/nowhere/x", "revert"]).0, 0);
    tree.put(&STATE[1..], "torn");
    assert_eq!(run(&["revert"]).0, 2);
}
