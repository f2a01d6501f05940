//! Hosts that are odd, torn or hostile: whatever they show, nothing panics, nothing outside the
//! tree is touched, and what is planned can be taken back.

use crate::common::{Tree, difference};
use bifrons_tune::{Ask, Plan, STATE, apply, report, revert};

/// Plan, report, apply, check, revert; afterwards the tree is as it was.
fn there_and_back(tree: &Tree, what: &str) {
    let before = tree.snapshot();
    let host = tree.host();
    let plan = Plan::of(&host, &Ask::default());
    report::plan(&host, &plan);
    report::check(&plan);
    apply(&host, &plan, STATE).expect("recorded");
    report::check(&Plan::of(&host, &Ask::default()));
    let outcome = revert(&host, STATE, false).expect("reverted");
    assert_eq!(
        (&outcome.failures, &outcome.remarks.len()),
        (&vec![], &usize::from(outcome.done.is_empty() && outcome.remarks.len() == 1)),
        "{what}"
    );
    assert_eq!(difference(&before, &tree.snapshot()), [""; 0], "{what}");
}

#[test]
fn a_host_that_shows_nothing_is_in_tune_and_says_what_it_lacks() {
    let tree = Tree::empty("nothing");
    let plan = Plan::of(&tree.host(), &Ask::default());
    assert_eq!(plan.rules.len(), 0);
    let text = report::check(&plan);
    for sentence in
        ["no default route", "does not say which cores", "There is no net.core.rmem_max"]
    {
        assert!(text.contains(sentence), "{sentence}: {text}");
    }
    assert!(text.ends_with("In tune.\n"), "{text}");
    there_and_back(&tree, "nothing");
}

#[test]
fn any_file_may_be_missing() {
    for card in ["virtio_net", "ice"] {
        let files = Tree::of(card, "missing").snapshot();
        // One of each kind: what differs by number only is alike.
        let mut kinds = std::collections::BTreeSet::new();
        let kind = |name: &str| name.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        let contents = files.iter().filter(|(_, content)| content.is_some());
        for name in contents.map(|(name, _)| name).filter(|name| kinds.insert(kind(name))) {
            let tree = Tree::of(card, "missing");
            std::fs::remove_file(tree.0.join(name)).expect("removed");
            there_and_back(&tree, &format!("{card} without {name}"));
        }
    }
}

#[test]
fn what_ethtool_prints_may_end_anywhere() {
    for card in ["ena", "ice"] {
        let whole = Tree::of(card, "torn");
        let files = whole.snapshot();
        for (name, content) in files.iter().filter(|(name, _)| name.starts_with("commands")) {
            let Some(content) = content else { continue };
            for part in [1, 3, 5, 7] {
                let end = content.len() * part / 8;
                let tree = Tree::of(card, "torn");
                std::fs::write(tree.0.join(name), &content[..end]).expect("torn");
                let host = tree.host();
                let plan = Plan::of(&host, &Ask::default());
                report::plan(&host, &plan);
                let _ = apply(&host, &plan, STATE).expect("recorded");
                revert(&host, STATE, true).expect("reverted");
            }
        }
    }
}

#[test]
fn numbers_may_be_nonsense() {
    for (file, from, to) in [
        ("l", "Combined:\t8", "Combined:\t0"),
        ("l", "Combined:\t8", "Combined:\t99999999999999999999"),
        ("l", "Combined:\t8", "Combined:\t-1"),
        ("l", "Combined:\t8", "Combined:\t65536"),
        ("g", "8160", "0"),
        ("g", "2048", "n/a"),
        ("x", "with 8 RX", "with 0 RX"),
        ("x", "     7", "4294967295"),
        ("n", "queue 5", "queue 18446744073709551615"),
        ("n", "9001", "70000"),
        ("n", "Total 2 rules", "Total -1 rules"),
        ("c", "rx-usecs:\t50", "rx-usecs:\t"),
        ("i", "0000:31:00.0", "../../../.."),
    ] {
        let tree = Tree::of("ice", "nonsense");
        let path = format!("commands/ethtool/enp49s0f0/{file}");
        let text = tree.read(&path);
        assert!(text.contains(from), "{file} has no {from}");
        tree.put(&path, &text.replace(from, to));
        let host = tree.host();
        let plan = Plan::of(&host, &Ask::default());
        report::plan(&host, &plan);
        report::check(&plan);
        apply(&host, &plan, STATE).expect("recorded");
        revert(&host, STATE, true).expect("reverted");
    }
}

#[test]
fn cores_may_be_offline_or_nonsense() {
    let tree = Tree::of("mlx5_core", "offline");
    tree.put("sys/devices/system/cpu/online", "0-2,4-15");
    let plan = Plan::of(&tree.host(), &Ask::default());
    assert!(plan.notes.iter().any(|note| note == "Core 3 is meant for a shard and is offline."));
    let text = report::plan(&tree.host(), &plan);
    assert!(!text.contains("echo 3 >"), "{text}");
    there_and_back(&tree, "offline");
    for online in ["", "x", "0-99999", "5-1", ",,,"] {
        let tree = Tree::of("mlx5_core", "cores");
        tree.put("sys/devices/system/cpu/online", online);
        there_and_back(&tree, online);
    }
}

#[test]
fn an_interface_without_queues_is_left_alone() {
    let tree = Tree::of("ice", "queues");
    std::fs::remove_dir_all(tree.0.join("sys/class/net/enp49s0f0/queues")).expect("removed");
    let plan = Plan::of(&tree.host(), &Ask::default());
    assert!(plan.rules.iter().all(|rule| rule.fact.setting.dev().is_none()));
    assert!(plan.notes.iter().any(|note| note.contains("shows no receive queues")));
}

#[test]
fn a_bond_names_what_it_stands_on() {
    let tree = Tree::empty("bond");
    tree.put("sys/class/net/bond0/queues/rx-0/rps_cpus", "0");
    tree.put("sys/class/net/bond0/lower_eth0/address", "x");
    tree.put("commands/ip/route4", "[{\"dst\":\"default\",\"dev\":\"bond0\"}]");
    let plan = Plan::of(&tree.host(), &Ask::default());
    assert!(plan.notes.iter().any(|note| note.starts_with("bond0 stands on eth0")));
}

#[test]
fn routes_may_be_anything() {
    for routes in ["", "{}", "[]", "[{}]", "[{\"dev\":7}]", "[{\"dev\":\"../x\"}]", "[[[[", "null"]
    {
        let tree = Tree::of("ena", "routes");
        tree.put("commands/ip/route4", routes);
        let plan = Plan::of(&tree.host(), &Ask::default());
        assert!(plan.notes.iter().any(|note| note.contains("no default route")), "{routes}");
    }
}

#[test]
fn a_record_that_is_not_ours_is_refused() {
    let sysctl = |name: &str| {
        format!(
            "{{\"boot\":\"\",\"folder_was_there\":true,\"entries\":[{{\"setting\":\"sysctl\",\
             \"name\":\"{name}\",\"was\":\"|/tmp/x\",\"goal\":null,\"left\":null}}]}}"
        )
    };
    for text in [
        sysctl("kernel.core_pattern"),
        sysctl("net.../../kernel/core_pattern"),
        sysctl("net.core/../../kernel/core_pattern"),
        "{".to_owned(),
        "[]".to_owned(),
        String::new(),
    ] {
        let tree = Tree::of("ena", "record");
        tree.put(&STATE[1..], &text);
        let before = tree.snapshot();
        revert(&tree.host(), STATE, true).expect_err("refused");
        let plan = Plan::of(&tree.host(), &Ask::default());
        apply(&tree.host(), &plan, STATE).expect_err("refused");
        assert_eq!(difference(&before, &tree.snapshot()), [""; 0], "{text}");
    }
}
