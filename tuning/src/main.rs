//! `bifrons-tune`: says what of this host should be set otherwise, and how.

use bifrons_tune::{Finding, Host, State, findings};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Reads a media host's settings and says which should be otherwise. Changes nothing.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Read the host below this folder instead of the running one
    #[arg(long, default_value = "/")]
    root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show every setting; the exit code is 1 if one of them is off
    Check,
    /// Show the commands that would put right what is off
    Plan,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let findings = findings(&Host::at(arguments.root));
    match arguments.command {
        Command::Check => check(&findings),
        Command::Plan => plan(&findings),
    }
}

fn check(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        let mark = match finding.state {
            State::Good => "good",
            State::Off => "OFF",
            State::Unknown => "?",
        };
        println!("{mark:4}  {}: {} (should be {})", finding.what, finding.is, finding.should);
        if finding.state == State::Off {
            println!("      because {}", finding.why);
        }
    }
    ExitCode::from(u8::from(findings.iter().any(|finding| finding.state == State::Off)))
}

fn plan(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        if let Some(command) = &finding.command {
            println!(
                "# {}: {} -> {}, because {}",
                finding.what, finding.is, finding.should, finding.why
            );
            println!("{command}");
        }
    }
    ExitCode::SUCCESS
}
