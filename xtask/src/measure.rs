//! `simulate` and `bench`: the longer runs that search or compare.

use crate::Outcome;
use crate::command::Invocation;
use crate::conformance::Opponent;
use crate::tally::{Tally, harness_result};
use crate::tree::Tree;
use crate::{clients, debian, serve};
use clap::Args;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// What `cargo xtask simulate` can be told.
#[derive(Args)]
pub(crate) struct SimulateOptions {
    /// How many seeds each scenario tries
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them; from the clock when left out
    #[arg(long)]
    from: Option<u64>,
}

/// What `cargo xtask bench` can be told.
#[derive(Args)]
pub(crate) struct BenchOptions {
    /// The server to measure beside ours in the same run
    #[arg(long, value_enum)]
    against: Option<Opponent>,
    /// What to hand to the runner, after `--`: `--subscribers 100 --seconds 20`, …
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs the simulator's scenarios on seeds nobody has chosen.
pub(crate) fn simulate(tree: &Tree, options: &SimulateOptions) -> Outcome<ExitCode> {
    debian::ensure(debian::BUILD)?;
    let from = options.from.unwrap_or_else(seed_from_clock);
    let test = "test --package bifrons-datapath --test simulator --profile ci --no-fail-fast";
    let mut count = None;
    let held = Invocation::cargo(test)
        .within(&tree.root)
        .env("BIFRONS_SIM_SEED", &from.to_string())
        .env("BIFRONS_SIM_COUNT", &options.seeds.to_string())
        .run_lines(&format!("seeds {from} and the {} after it", options.seeds), |line| {
            count = harness_result(line).or(count);
        })?;
    let (passed, failed) = count.unwrap_or((0, 1));
    let mut tally = Tally::new();
    tally.add("simulator", passed, if held { failed } else { failed.max(1) });
    Ok(tally.report())
}

/// A start for the search that differs from run to run; it is printed, so any run can be repeated.
fn seed_from_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs())
}

/// Measures CPU time per forwarded packet and memory per peer with the load generator.
pub(crate) fn bench(tree: &Tree, options: &BenchOptions) -> Outcome<ExitCode> {
    debian::ensure(debian::BUILD)?;
    debian::ensure(debian::NETWORK)?;
    clients::install(tree)?;
    serve::build(tree, "release")?;
    let generator = "build --package bifrons-loadtest --profile release";
    if !Invocation::cargo(generator).within(&tree.root).run("building the load generator")? {
        return Err("the load generator did not compile; the message is above".to_owned());
    }
    let mut runner = Invocation::new("node", "bench.mjs")
        .arg("--binary")
        .arg(tree.appliance("release"))
        .arg("--loadtest")
        .arg(tree.target.join("release").join("bifrons-loadtest"))
        .arg("--artifacts")
        .arg(tree.target.join("bench"));
    match options.against {
        None | Some(Opponent::Bifrons) => {}
        Some(Opponent::Janus) => {
            debian::ensure(debian::STOCK_JANUS)?;
            runner = runner.arg("--against").arg("janus");
        }
        Some(Opponent::Mute) => return Err("a mute server forwards nothing to measure".to_owned()),
    }
    for word in &options.rest {
        runner = runner.arg(word);
    }
    if runner.within(&tree.e2e()).run("measuring")? {
        return Ok(ExitCode::SUCCESS);
    }
    Err("the measurement did not end well; its own words are above".to_owned())
}
