//! The checks that need nothing but the tree: format, clippy, documentation, licences, tests.
//!
//! All of them build with the `ci` profile, so that one set of compiled crates serves them all.

use crate::command::Invocation;
use crate::tally::{Tally, harness_result};
use crate::tree::Tree;

/// Format, clippy, documentation; licences and advisories where `cargo-deny` is installed.
pub(crate) fn lint(tree: &Tree, tally: &mut Tally) {
    let format = Invocation::cargo("fmt --all -- --check");
    check(tree, tally, "format", format);
    let clippy = "clippy --workspace --all-targets --profile ci --quiet -- -D warnings";
    check(tree, tally, "clippy", Invocation::cargo(clippy));
    let doc = Invocation::cargo("doc --workspace --no-deps --profile ci --quiet");
    check(tree, tally, "documentation", doc.env("RUSTDOCFLAGS", "-D warnings"));
    if Invocation::cargo("deny --version").holds() {
        check(tree, tally, "licences", Invocation::cargo("deny --all-features check"));
    } else {
        println!("── licences: skipped, `cargo install cargo-deny` brings the tool");
    }
}

fn check(tree: &Tree, tally: &mut Tally, name: &str, invocation: Invocation) {
    match invocation.within(&tree.root).run(name) {
        Ok(held) => tally.add_check(name, held),
        Err(sentence) => {
            println!("{sentence}");
            tally.add_check(name, false);
        }
    }
}

/// As many failures as may be chance; more of them are not tried again.
const MOST_UNSTEADY: usize = 5;

/// Every crate's unit, behaviour and documentation tests.
///
/// Tests with real sockets, brokers and servers miss a deadline now and then on a busy machine, so
/// a few that fail are tried once more. What passed only then is named, as unsteady.
pub(crate) fn unit(tree: &Tree, tally: &mut Tally) {
    let first = Tests::run(tree, "unit and behaviour tests", &[]);
    let named = u64::try_from(first.names.len()).unwrap_or(u64::MAX);
    if first.failed == 0 || named != first.failed || first.names.len() > MOST_UNSTEADY {
        return tally.add("unit", first.passed, first.failed);
    }
    let again = Tests::run(tree, "what failed, once more", &first.names);
    for name in first.names.iter().filter(|name| !again.names.contains(name)) {
        println!("unsteady: {name} passed only when tried again");
    }
    let failed = again.failed.max(first.failed.saturating_sub(again.passed));
    tally.add("unit", first.passed + first.failed.saturating_sub(failed), failed);
}

/// What one call of `cargo test` came to.
#[derive(Default)]
struct Tests {
    passed: u64,
    /// A crate that does not compile, or a test program that dies, counts as one on top of the
    /// tests that reported one.
    failed: u64,
    /// The tests that failed.
    names: Vec<String>,
}

impl Tests {
    /// Runs the `chosen` tests, or all.
    fn run(tree: &Tree, title: &str, chosen: &[String]) -> Self {
        let mut tests = Self::default();
        let mut cargo = Invocation::cargo("test --workspace --profile ci --no-fail-fast");
        if !chosen.is_empty() {
            cargo = chosen.iter().fold(cargo.arg("--").arg("--exact"), Invocation::arg);
        }
        let ended = cargo.within(&tree.root).run_lines(title, |line| {
            if let Some((passed, failed)) = harness_result(line) {
                tests.passed += passed;
                tests.failed += failed;
            } else if let Some(name) = failed_test(line) {
                tests.names.push(name.to_owned());
            }
        });
        match ended {
            Ok(true) => {}
            Ok(false) => tests.failed = tests.failed.max(1),
            Err(sentence) => {
                println!("{sentence}");
                tests.failed += 1;
            }
        }
        tests
    }
}

/// The name in a line `test NAME ... FAILED` of the standard test harness.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.trim_end().strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_names_of_failed_tests() {
        assert_eq!(failed_test("test a::b_is_c ... FAILED"), Some("a::b_is_c"));
        assert_eq!(failed_test("test a::b_is_c ... ok"), None);
        assert_eq!(failed_test("test result: FAILED. 1 passed; 1 failed"), None);
    }
}
