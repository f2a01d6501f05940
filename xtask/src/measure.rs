//! `simulate` and `bench`: the longer runs that search or compare.
//!
//! A command whose part of the product is not in the tree yet says so and fails.

use crate::Outcome;
use crate::conformance::Opponent;
use crate::tree::Tree;
use clap::Args;
use std::process::ExitCode;

/// What `cargo xtask simulate` can be told.
#[derive(Args)]
pub(crate) struct SimulateOptions {
    /// How many random seeds to try
    #[arg(long, default_value_t = 100)]
    seeds: u32,
}

/// What `cargo xtask bench` can be told.
#[derive(Args)]
pub(crate) struct BenchOptions {
    /// The server to measure beside ours in the same run
    #[arg(long, value_enum)]
    against: Option<Opponent>,
}

/// Tries random seeds in the simulator.
pub(crate) fn simulate(_tree: &Tree, options: &SimulateOptions) -> Outcome<ExitCode> {
    Err(format!("the simulator is not in the tree yet; none of the {} seeds ran", options.seeds))
}

/// Measures CPU time per forwarded packet.
pub(crate) fn bench(_tree: &Tree, options: &BenchOptions) -> Outcome<ExitCode> {
    let beside = options.against.map_or(String::new(), |other| format!(" beside {other:?}"));
    Err(format!("the load generator has no scenario yet, so nothing was measured{beside}"))
}
