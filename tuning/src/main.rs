//! `bifrons-tune`: says what of this host should be set otherwise, sets it, and restores it.

use bifrons_tune::{Ask, CpuSet, Host, Outcome, Part, Plan, STATE, apply, report, revert};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// Tunes a media host for Bifrons: shows every change before it makes one, and takes them back.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Work on the host below this folder instead of the running one (see docs/tuning.md)
    #[arg(long, default_value = "/", global = true)]
    root: PathBuf,
    /// Where previous values are recorded
    #[arg(long, default_value = STATE, global = true)]
    state: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show every change that would be made, why, and how; change nothing
    Plan(What),
    /// Make the changes; previous values are recorded first
    Apply(What),
    /// Restore what was recorded
    Revert {
        /// Also what somebody else has changed since
        #[arg(long)]
        force: bool,
    },
    /// Show every setting; the exit code is 1 if one of them is off
    Check(What),
}

#[derive(Args)]
struct What {
    /// Interfaces, by comma. Default: the one with the default route
    #[arg(long, short, value_delimiter = ',')]
    interface: Vec<String>,
    /// The server's configuration, which says how many shards, on which cores and ports.
    /// Default: /etc/janus/janus.jcfg
    #[arg(long)]
    config: Option<String>,
    /// UDP port of shard 0, instead of the configuration's
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    base: Option<u16>,
    /// Number of shards, instead of the configuration's
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
    /// Cores that the server may use, such as 0-3,8; the first is control's. Default: all
    #[arg(long, value_parser = cores)]
    cores: Option<CpuSet>,
    /// Let reads and polls of sockets look at the card for so long, in microseconds
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    busy_poll: Option<u32>,
    /// Look only at these parts of the host
    #[arg(long, value_delimiter = ',')]
    only: Vec<Only>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Only {
    /// Cards
    Nic,
    /// Sysctls of the network
    Net,
    /// Governors and limits
    Host,
}

fn main() -> ExitCode {
    let Arguments { root, state, command } = Arguments::parse();
    let host = Host::at(root);
    let done = match command {
        Command::Plan(what) => {
            let plan = Plan::of(&host, &what.ask());
            print!("{}", report::plan(&host, &plan));
            return ExitCode::SUCCESS;
        }
        Command::Check(what) => {
            let plan = Plan::of(&host, &what.ask());
            print!("{}", report::check(&plan));
            return ExitCode::from(u8::from(plan.changes().next().is_some()));
        }
        Command::Apply(what) => apply(&host, &Plan::of(&host, &what.ask()), &state),
        Command::Revert { force } => revert(&host, &state, force),
    };
    match done {
        Ok(outcome) => say(&outcome),
        Err(error) => {
            eprintln!("bifrons-tune: {error}");
            ExitCode::from(2)
        }
    }
}

/// Prints what was done; the exit code is 1 if something failed.
fn say(outcome: &Outcome) -> ExitCode {
    outcome.done.iter().for_each(|line| println!("done  {line}"));
    outcome.remarks.iter().for_each(|line| println!("note  {line}"));
    outcome.failures.iter().for_each(|line| eprintln!("FAIL  {line}"));
    if outcome.done.is_empty() && outcome.remarks.is_empty() && outcome.failures.is_empty() {
        println!("Nothing to do.");
    }
    ExitCode::from(u8::from(!outcome.failures.is_empty()))
}

impl What {
    fn ask(self) -> Ask {
        let part = |only: &Only| match only {
            Only::Nic => Part::Nic,
            Only::Net => Part::Net,
            Only::Host => Part::Host,
        };
        Ask {
            interfaces: self.interface,
            config: self.config,
            base: self.base,
            shards: self.shards,
            cores: self.cores,
            busy_poll_us: self.busy_poll,
            only: self.only.iter().map(part).collect(),
        }
    }
}

fn cores(text: &str) -> Result<CpuSet, String> {
    let set = CpuSet::from_list(text).filter(|set| !set.is_empty());
    set.ok_or_else(|| "a list of cores such as 0-3,8".to_owned())
}
