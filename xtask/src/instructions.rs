//! `cargo xtask bench instructions`: how many instructions a forwarded packet takes, counted by
//! callgrind, beside the baseline in `benches/instructions.txt`.
//!
//! Counting does not mind a busy machine: two runs of one build differ by less than one in a thousand.
//! What differs is the compiler, so each build profile has its own figures: `release` is what is
//! written about, `ci` what `cargo xtask test` has built anyway and holds.

use crate::Outcome;
use crate::command::Invocation;
use crate::debian;
use crate::tally::Tally;
use crate::tree::Tree;
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a case may take more than its baseline.
const TOLERANCE: f64 = 0.03;
/// The cases, as `shard_instructions` knows them, and how many packets each forwards a turn.
const CASES: [(&str, f64); 3] = [("audio", 50.0), ("video", 50.0), ("burst", 400.0)];
/// Two runs of so many turns; what lies between them is counted.
const TURNS: [f64; 2] = [20.0, 100.0];

/// What `cargo xtask bench instructions` can be told.
#[derive(Args)]
pub(crate) struct InstructionOptions {
    /// Write the figures down as the baseline
    #[arg(long)]
    update: bool,
    /// Count the test profile's build in place of the release build
    #[arg(long)]
    quick: bool,
}

/// Counts, prints, and compares or writes down.
pub(crate) fn run(tree: &Tree, options: &InstructionOptions) -> Outcome<ExitCode> {
    let profile = if options.quick { "ci" } else { "release" };
    let counted = count(tree, profile)?;
    if options.update {
        write_down(&baseline_file(tree), profile, &counted)?;
        println!("written to benches/instructions.txt");
        return Ok(ExitCode::SUCCESS);
    }
    let held = compare(tree, profile, &counted)?;
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The part of `cargo xtask test`.
pub(crate) fn check(tree: &Tree, tally: &mut Tally) {
    let baseline = fs::read_to_string(baseline_file(tree)).unwrap_or_default();
    if !figures(&baseline).iter().any(|line| line.0 == "ci") {
        println!(
            "── instructions: skipped, benches/instructions.txt has no figures of this profile"
        );
        return;
    }
    let held = count(tree, "ci").and_then(|counted| compare(tree, "ci", &counted));
    if let Err(sentence) = &held {
        println!("{sentence}");
    }
    tally.add_check("instructions", held.unwrap_or(false));
}

fn baseline_file(tree: &Tree) -> PathBuf {
    tree.root.join("benches").join("instructions.txt")
}

/// Instructions a forwarded packet, case by case.
fn count(tree: &Tree, profile: &str) -> Outcome<Vec<(&'static str, f64)>> {
    debian::ensure(debian::VALGRIND)?;
    let build = "build --package bifrons-benches --example shard_instructions --profile";
    let title = format!("building what is counted ({profile})");
    // Incremental builds cut crates into other units, and count otherwise.
    let cargo = Invocation::cargo(build).arg(profile).env("CARGO_INCREMENTAL", "0");
    if !cargo.within(&tree.root).run(&title)? {
        return Err("that did not compile; the compiler's message is above".to_owned());
    }
    let program = tree.target.join(profile).join("examples").join("shard_instructions");
    let case = |(name, packets): (&'static str, f64)| -> Outcome<(&'static str, f64)> {
        let [few, many] = TURNS.map(|turns| instructions(&program, name, turns));
        Ok((name, (many? - few?) / ((TURNS[1] - TURNS[0]) * packets)))
    };
    CASES.into_iter().map(case).collect()
}

/// All instructions of one run.
fn instructions(program: &Path, case: &str, turns: f64) -> Outcome<f64> {
    let mut valgrind =
        Invocation::new("valgrind", "--tool=callgrind --callgrind-out-file=/dev/null")
            .arg(program)
            .arg(case)
            .arg(turns.to_string())
            .into_inner();
    let output = valgrind.output().map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("shard_instructions {case} failed under valgrind:\n{said}"));
    }
    collected(&said).ok_or_else(|| format!("valgrind counted nothing:\n{said}"))
}

/// Reads the line `==123== Collected : 4567`.
fn collected(said: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

/// Prints the figures beside the baseline's; true if none is worse by more than the tolerance.
fn compare(tree: &Tree, profile: &str, counted: &[(&str, f64)]) -> Outcome<bool> {
    let file = baseline_file(tree);
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let baseline = figures(&text);
    let mut held = true;
    for (case, now) in counted {
        let before = baseline.iter().find(|line| line.0 == profile && line.1 == *case);
        let Some((.., before)) = before else {
            println!("{profile} {case}: {now:.0} instructions a packet, and no baseline");
            held = false;
            continue;
        };
        let change = now / before - 1.0;
        let verdict = match change {
            _ if change > TOLERANCE => "MORE than the baseline allows",
            _ if change < -TOLERANCE => "less: write it down with `bench instructions --update`",
            _ => "as before",
        };
        held &= change <= TOLERANCE;
        let percent = change * 100.0;
        println!("{profile} {case}: {now:.0} instructions a packet, {percent:+.1} %: {verdict}");
    }
    Ok(held)
}

/// Profile, case and figure of each line of a baseline.
fn figures(text: &str) -> Vec<(&str, &str, f64)> {
    text.lines().filter_map(figure).collect()
}

fn figure(line: &str) -> Option<(&str, &str, f64)> {
    let mut words = line.split_whitespace();
    let (profile, case) = (words.next()?, words.next()?);
    Some((profile, case, words.next()?.parse().ok()?))
}

/// Puts the figures of a profile in place of its former ones.
fn write_down(file: &Path, profile: &str, counted: &[(&str, f64)]) -> Outcome<()> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let others = text.lines().filter(|line| !line.starts_with(&format!("{profile} ")));
    let mut lines: Vec<String> = others.map(str::to_owned).collect();
    lines.extend(counted.iter().map(|(case, now)| format!("{profile} {case} {now:.0}")));
    fs::write(file, lines.join("\n") + "\n").map_err(|e| format!("{}: {e}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_callgrind_counted() {
        let said = "==7== Events    : Ir\n==7== Collected : 887988758\n==7== \n";
        assert_eq!(collected(said), Some(887_988_758.0));
        assert_eq!(collected("==7== nothing"), None);
    }

    #[test]
    fn reads_a_baseline_and_passes_over_its_comments() {
        let text = "# Instructions a packet.\n\nrelease video 700\nci burst 912\n";
        assert_eq!(figures(text), [("release", "video", 700.0), ("ci", "burst", 912.0)]);
    }
}
