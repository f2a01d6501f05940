//! `simulate` and `soak`: the longer runs that search and wear down.

use crate::Outcome;
use crate::command::Invocation;
use crate::debian;
use crate::tally::{Tally, harness_result};
use crate::tree::Tree;
use clap::{Args, ValueEnum};
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

/// What `cargo xtask soak` can be told.
#[derive(Args)]
pub(crate) struct SoakOptions {
    /// What to kill
    #[arg(value_enum)]
    what: Soaked,
    /// How often; 10 times if left out, the server 1000 times
    #[arg(long)]
    rounds: Option<u64>,
}

/// What can be killed and restarted.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Soaked {
    /// RabbitMQ and Mosquitto, while requests and events go through them
    Brokers,
    /// The server itself, while rooms are created, changed and destroyed for good
    Kills,
}

impl Soaked {
    /// The tests, the variable that says how often, and how often that is as a rule.
    fn plan(self) -> (&'static str, &'static str, &'static str, u64) {
        match self {
            Soaked::Brokers => ("brokers", "--test brokers -- soak", "BIFRONS_SOAK_ROUNDS", 10),
            Soaked::Kills => ("kills", "--test process -- kills", "BIFRONS_SOAK_KILLS", 1000),
        }
    }
}

/// Kills and restarts under load; the same tests as in `test`, with more rounds.
pub(crate) fn soak(tree: &Tree, options: &SoakOptions) -> Outcome<ExitCode> {
    debian::ensure(debian::BUILD)?;
    if options.what == Soaked::Brokers {
        debian::ensure(debian::BROKERS)?;
    }
    let (name, tests, variable, usual) = options.what.plan();
    let rounds = options.rounds.unwrap_or(usual);
    let test = format!("test --package bifrons-control --profile ci {tests} --nocapture");
    let mut count = None;
    let held = Invocation::cargo(&test)
        .within(&tree.root)
        .env(variable, &rounds.to_string())
        .run_lines(&format!("{name}: {rounds} rounds"), |line| {
            count = harness_result(line).or(count);
        })?;
    let (passed, failed) = count.unwrap_or((0, 1));
    let mut tally = Tally::new();
    tally.add(name, passed, if held { failed } else { failed.max(1) });
    Ok(tally.report())
}
