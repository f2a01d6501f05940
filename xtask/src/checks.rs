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

/// Every crate's unit, behaviour and documentation tests.
///
/// A crate that does not compile, or a test program that dies, counts as one failure on top of
/// the tests that reported one.
pub(crate) fn unit(tree: &Tree, tally: &mut Tally) {
    let (mut passed, mut failed) = (0, 0);
    let tests = Invocation::cargo("test --workspace --profile ci --no-fail-fast");
    let ended = tests.within(&tree.root).run_lines("unit and behaviour tests", |line| {
        if let Some((good, bad)) = harness_result(line) {
            passed += good;
            failed += bad;
        }
    });
    match ended {
        Ok(true) => {}
        Ok(false) => failed = failed.max(1),
        Err(sentence) => {
            println!("{sentence}");
            failed += 1;
        }
    }
    tally.add("unit", passed, failed);
}
