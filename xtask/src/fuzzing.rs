//! `cargo xtask fuzz`: each fuzz target for a minute, or one for as long as wanted.

use crate::Outcome;
use crate::command::Invocation;
use crate::tally::Tally;
use crate::tree::Tree;
use clap::Args;
use std::fs;
use std::process::ExitCode;

/// What `cargo xtask fuzz` can be told.
#[derive(Args)]
pub(crate) struct FuzzOptions {
    /// The target to fuzz; every one when left out
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Fuzzes, one target after the other, and counts the ones in which nothing was found.
pub(crate) fn run(tree: &Tree, options: &FuzzOptions) -> Outcome<ExitCode> {
    let targets = targets(tree)?;
    let chosen: Vec<_> = targets
        .iter()
        .filter(|name| options.target.as_ref().is_none_or(|wanted| *name == wanted))
        .collect();
    if chosen.is_empty() {
        return Err(format!("there is no such fuzz target; there are: {}", targets.join(", ")));
    }
    if !Invocation::cargo("fuzz --version").holds() {
        return Err("fuzzing needs cargo-fuzz; install it with\n\n    \
                    cargo install cargo-fuzz\n\n\
                    and try again (the seed corpora also run in `cargo xtask test unit`)"
            .to_owned());
    }
    let mut tally = Tally::new();
    for name in chosen {
        let arguments = format!("fuzz run {name} -- -max_total_time={}", options.seconds);
        // The sanitizers are an unstable option, which this lets a stable compiler take too.
        let fuzz = Invocation::cargo(&arguments).env("RUSTC_BOOTSTRAP", "1").within(&tree.root);
        tally.add_check(name, fuzz.run(&format!("fuzzing {name}"))?);
    }
    Ok(tally.report())
}

/// The names of the files in `fuzz/fuzz_targets`.
fn targets(tree: &Tree) -> Outcome<Vec<String>> {
    let folder = tree.root.join("fuzz").join("fuzz_targets");
    let entries = fs::read_dir(&folder)
        .map_err(|_| format!("there are no fuzz targets yet: {} is missing", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}
