//! `cargo xtask conform`: the numbered checklists of the API, against a server of choice.
//!
//! There are two sets of checks. The Rust tests of `control/tests/conform` go through the core
//! API and the transports; `xtask/e2e/conform.mjs` adds the plugins and does the rest over the
//! wire. Against the mute server, which answers bare success to everything, a check that passes
//! is counted as failed: it would pass anywhere.

use crate::Outcome;
use crate::command::Invocation;
use crate::tally::{Tally, harness_result, named_result};
use crate::tree::Tree;
use crate::{clients, debian, serve};
use clap::{Args, ValueEnum};
use std::process::ExitCode;

/// Whom the checklists are run against.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Opponent {
    /// A server that accepts connections and answers bare success: every check must fail there
    Mute,
    /// The stock Janus of the Debian package
    Janus,
    /// Our own appliance
    Bifrons,
}

impl Opponent {
    /// The name the wire runner knows it by.
    fn word(self) -> &'static str {
        match self {
            Self::Mute => "mute",
            Self::Janus => "janus",
            Self::Bifrons => "bifrons",
        }
    }
}

/// What `cargo xtask conform` can be told.
#[derive(Args)]
pub(crate) struct ConformOptions {
    /// The server to run the checklists against
    #[arg(long, value_enum)]
    against: Opponent,
    /// What to hand to the wire runner, after `--`
    #[arg(last = true)]
    rest: Vec<String>,
}

/// The Rust tests, as cargo is asked for them.
const TESTS: &str = "test --package bifrons-control --test conform --profile ci --no-fail-fast";

/// Runs both sets of checks and prints the sum.
pub(crate) fn run(tree: &Tree, options: &ConformOptions) -> Outcome<ExitCode> {
    debian::ensure(debian::BUILD)?;
    debian::ensure(debian::CAPTURES)?;
    debian::ensure(debian::TURN)?;
    debian::ensure(debian::CAMERA)?;
    let mut tally = Tally::new();
    match options.against {
        Opponent::Mute => tests(tree, &mut tally, true)?,
        Opponent::Bifrons => tests(tree, &mut tally, false)?,
        Opponent::Janus => debian::ensure(debian::STOCK_JANUS)?,
    }
    wire(tree, options.against, &options.rest, &mut tally)?;
    Ok(tally.report())
}

/// The Rust tests with servers of their own, ours or mute ones.
fn tests(tree: &Tree, tally: &mut Tally, mute: bool) -> Outcome<()> {
    let mut count = None;
    let mut invocation = Invocation::cargo(TESTS).within(&tree.root);
    if mute {
        invocation = invocation.env("BIFRONS_CONFORM_MUTE", "1");
    }
    let mut worthless = Vec::new();
    invocation.run_lines("checklists in Rust", |line| {
        count = harness_result(line).or(count);
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... ok"))
        {
            worthless.push(name.to_owned());
        }
    })?;
    let (passed, failed) = count.unwrap_or((0, 1));
    for name in worthless.iter().filter(|_| mute) {
        println!("FAIL {name} passed against a server that says nothing");
    }
    let (held, broken) = if mute { (failed, passed) } else { (passed, failed) };
    tally.add("rust", held, broken);
    Ok(())
}

/// The checks over the wire. Against a stock Janus the Rust tests run beside them, inside the
/// same network, because that is where it listens.
pub(crate) fn wire(
    tree: &Tree,
    against: Opponent,
    rest: &[String],
    tally: &mut Tally,
) -> Outcome<()> {
    debian::ensure(debian::NETWORK)?;
    clients::install(tree)?;
    let mut runner = Invocation::new("node", "conform.mjs --against").arg(against.word());
    runner = runner.arg("--artifacts").arg(tree.target.join("conform"));
    match against {
        Opponent::Mute => {}
        Opponent::Bifrons => {
            serve::build_for_tests(tree)?;
            runner = runner.arg("--binary").arg(tree.appliance("ci"));
        }
        Opponent::Janus => {
            Invocation::cargo(TESTS).arg("--no-run").within(&tree.root).run("building")?;
            let manifest = tree.root.join("Cargo.toml");
            let command = format!("cargo {TESTS} --offline --manifest-path {}", manifest.display());
            runner = runner.arg("--then").arg(command);
        }
    }
    for word in rest {
        runner = runner.arg(word);
    }
    let mut rust = None;
    let mut count = None;
    let title = format!("checklists over the wire, against {}", against.word());
    let held = runner.within(&tree.e2e()).run_lines(&title, |line| {
        rust = harness_result(line).or(rust);
        count = named_result("conform", line).or(count);
    })?;
    if let Some((passed, failed)) = rust {
        tally.add("rust", passed, failed);
    }
    let (passed, failed) = count.unwrap_or((0, 1));
    tally.add(
        &format!("wire {}", against.word()),
        passed,
        if held { failed } else { failed.max(1) },
    );
    Ok(())
}
