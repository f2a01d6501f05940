//! `cargo xtask run`: from a fresh checkout to a demo page a person can open.

use crate::command::Invocation;
use crate::debian;
use crate::tree::Tree;
use crate::{Outcome, clients};
use clap::Args;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

/// The HTTP port of the embedded configuration, which also serves the demo page.
const HTTP_PORT: u16 = 8088;

/// How long the appliance may take from start to its first answer.
const START_LIMIT: Duration = Duration::from_secs(15);

/// What `cargo xtask run` can be told.
#[derive(Args)]
pub(crate) struct RunOptions {
    /// Build with the test profile: compiles faster, runs slower
    #[arg(long)]
    quick: bool,
    /// Options for the appliance itself, after `--`
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Builds, starts, waits for the first answer, prints the address, stays until it ends.
pub(crate) fn run(tree: &Tree, options: &RunOptions) -> Outcome<ExitCode> {
    debian::ensure(debian::BUILD)?;
    clients::place_scripts(tree)?;
    let profile = if options.quick { "ci" } else { "release" };
    build(tree, profile)?;
    let mut child = start(tree, profile, &options.rest)?;
    wait_for_answer(&mut child)?;
    print_address();
    let status = child.wait().map_err(|error| format!("bifrons: {error}"))?;
    if status.success() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(format!("bifrons ended with {status}; its own words are above"))
}

/// Builds the appliance with `profile`.
fn build(tree: &Tree, profile: &str) -> Outcome<()> {
    let what = format!("--package bifrons-control --bin bifrons --profile {profile}");
    let stamp = if profile == "release" { stamp(tree) } else { Vec::new() };
    compile(tree, &what, &stamp)
}

/// What `info` tells of a release build: its commit, and that commit's date, so that a build can be
/// repeated. Nothing outside a git checkout.
pub(crate) fn stamp(tree: &Tree) -> Vec<(&'static str, String)> {
    let of_head = |format: &str| {
        let arguments = format!("log -1 --date=iso-strict --format={format}");
        Invocation::new("git", &arguments).within(&tree.root).output()
    };
    [("BIFRONS_COMMIT", of_head("%H")), ("BIFRONS_BUILT", of_head("%cd"))]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

/// Builds the appliance that the end-to-end tests drive: with the features that the whole
/// workspace's tests were built with, so that after those nothing is left to compile.
pub(crate) fn build_for_tests(tree: &Tree) -> Outcome<()> {
    compile(tree, "--workspace --bins --tests --profile ci", &[])
}

fn compile(tree: &Tree, what: &str, environment: &[(&str, String)]) -> Outcome<()> {
    let title = "building bifrons (the first time takes some minutes)";
    let mut build = Invocation::cargo(&format!("build {what}")).within(&tree.root);
    for (key, value) in environment {
        build = build.env(key, value);
    }
    if build.run(title)? {
        return Ok(());
    }
    Err("bifrons did not compile; the compiler's message is above".to_owned())
}

fn start(tree: &Tree, profile: &str, rest: &[String]) -> Outcome<Child> {
    if TcpStream::connect((Ipv4Addr::LOCALHOST, HTTP_PORT)).is_ok() {
        return Err(format!(
            "something already listens on port {HTTP_PORT}; stop it (is a Janus running? \
             `systemctl stop janus`) and try again"
        ));
    }
    let program = tree.appliance(profile);
    let folder = own_folder(tree)?;
    let mut command = Invocation::new(&program.to_string_lossy(), "")
        .env("BIFRONS_DEMOS", &tree.demos().to_string_lossy())
        .into_inner();
    // Options of the user's come later and so win.
    command.arg(format!("--configs-folder={}", folder.display())).args(rest);
    command.spawn().map_err(|error| format!("{}: {error}", program.display()))
}

/// An empty folder for configuration: the appliance starts on its embedded defaults even where a
/// Janus is installed, and rooms made permanent meanwhile do not end in that one's files.
fn own_folder(tree: &Tree) -> Outcome<PathBuf> {
    let folder = tree.root.join("target").join("run");
    let clean = fs::remove_dir_all(&folder);
    if let Err(error) = clean
        && error.kind() != ErrorKind::NotFound
    {
        return Err(format!("{}: {error}", folder.display()));
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

/// Waits until the demo page is answered, or says why that will not happen.
fn wait_for_answer(child: &mut Child) -> Outcome<()> {
    let started = Instant::now();
    while started.elapsed() < START_LIMIT {
        if let Some(status) = child.try_wait().map_err(|error| format!("bifrons: {error}"))? {
            return Err(format!("bifrons ended at once with {status}; its own words are above"));
        }
        if answers() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let ended = child.kill().and_then(|()| child.wait());
    let after = START_LIMIT.as_secs();
    Err(match ended {
        Ok(_) => format!(
            "bifrons started but did not serve its demo page on port {HTTP_PORT} within {after} s; \
             it was stopped again"
        ),
        Err(error) => format!("bifrons neither answers nor ends ({error}); stop it by hand"),
    })
}

/// True when the demo page comes back with a success status.
fn answers() -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT));
    let limit = Duration::from_secs(1);
    let Ok(mut stream) = TcpStream::connect_timeout(&address, limit) else { return false };
    let request = "GET /demo/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut head = [0; 12];
    stream.set_read_timeout(Some(limit)).is_ok()
        && stream.write_all(request.as_bytes()).is_ok()
        && stream.read_exact(&mut head).is_ok()
        && head == *b"HTTP/1.1 200"
}

fn print_address() {
    println!(
        "\n  Bifrons is running. Open this page in two tabs; they meet in room 1234:\n\n      \
         http://localhost:{HTTP_PORT}/demo/\n      http://[::1]:{HTTP_PORT}/demo/   (over IPv6)\n\n  \
         Ctrl-C stops it.\n"
    );
}
