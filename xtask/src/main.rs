//! The project's own commands, reached as `cargo xtask …`.
//!
//! `run` shows the appliance, `test` proves it, and the rest are single parts of `test` or longer
//! versions of them. Each command installs what it misses, says what it is doing, and ends with a
//! sentence a person can act on when it cannot go on. Nothing here is part of the product.

mod bars;
mod bench;
mod browser_tests;
mod checks;
mod clients;
mod command;
mod conformance;
mod debian;
mod fuzzing;
mod instructions;
mod measure;
mod serve;
mod tally;
mod tree;

use clap::{Parser, Subcommand, ValueEnum};
use conformance::Opponent;
use std::process::ExitCode;
use tally::Tally;
use tree::Tree;

/// The one line a failed command ends with.
pub(crate) type Outcome<T> = Result<T, String>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Run, test and measure Bifrons")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the appliance, start it with no configuration and print the demo's address
    Run(serve::RunOptions),
    /// Everything continuous integration runs; or one part of it
    Test {
        /// The part to run; all of them when left out
        part: Option<Part>,
        /// What to hand to the end-to-end runner, after `--`
        #[arg(last = true)]
        rest: Vec<String>,
    },
    /// Fuzz one target, or each for a minute
    Fuzz(fuzzing::FuzzOptions),
    /// Run the numbered checklists against a server of choice
    Conform(conformance::ConformOptions),
    /// Look for failing seeds in the simulator
    Simulate(measure::SimulateOptions),
    /// Kill and restart what the server leans on, many times
    Soak(measure::SoakOptions),
    /// Measure, side by side with another server; or count instructions
    Bench(bench::BenchOptions),
}

/// The parts of `cargo xtask test`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Format, clippy, documentation, licences
    Lint,
    /// Unit and behaviour tests of every crate
    Unit,
    /// Instructions a forwarded packet, against the baseline
    Instructions,
    /// Real browsers and clients against the built appliance
    E2e,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match Tree::find().and_then(|tree| obey(&tree, arguments.command)) {
        Ok(code) => code,
        Err(sentence) => {
            eprintln!("\nxtask: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn obey(tree: &Tree, command: Command) -> Outcome<ExitCode> {
    match command {
        Command::Run(options) => serve::run(tree, &options),
        Command::Test { part, rest } => test(tree, part, &rest),
        Command::Fuzz(options) => fuzzing::run(tree, &options),
        Command::Conform(options) => conformance::run(tree, &options),
        Command::Simulate(options) => measure::simulate(tree, &options),
        Command::Soak(options) => measure::soak(tree, &options),
        Command::Bench(options) => bench::run(tree, &options),
    }
}

/// The checklists over the wire, then browsers and clients. What is handed to the runner means
/// the browsers, so then they run alone.
fn end_to_end(tree: &Tree, rest: &[String], tally: &mut Tally) -> Outcome<()> {
    if rest.is_empty() {
        conformance::wire(tree, Opponent::Mute, &[], tally)?;
        conformance::wire(tree, Opponent::Bifrons, &[], tally)?;
    }
    browser_tests::run(tree, rest, tally)
}

/// Runs the chosen parts to their end, whatever fails on the way, and prints the sum last.
fn test(tree: &Tree, part: Option<Part>, rest: &[String]) -> Outcome<ExitCode> {
    let wanted = |candidate| part.is_none_or(|chosen| chosen == candidate);
    let mut tally = Tally::new();
    debian::ensure(debian::BUILD)?;
    debian::ensure(debian::CAPTURES)?;
    if wanted(Part::Lint) {
        checks::lint(tree, &mut tally);
    }
    if wanted(Part::Unit) {
        debian::ensure(debian::BROKERS)?;
        debian::ensure(debian::TURN)?;
        debian::ensure(debian::CAMERA)?;
        debian::ensure(debian::TUNING)?;
        debian::ensure(debian::SERVICES)?;
        checks::unit(tree, &mut tally);
    }
    if wanted(Part::Instructions) {
        instructions::check(tree, &mut tally);
    }
    if wanted(Part::E2e) {
        end_to_end(tree, rest, &mut tally)?;
    }
    Ok(tally.report())
}
