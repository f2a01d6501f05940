//! `cargo xtask bench`: one scenario of the load generator against our appliance and another
//! server, in the same run, and the ratio of what they cost.
//!
//! Server and generator live in two network namespaces joined by a veth pair, each pinned to one
//! core, and each core handles what its own end receives (`rps_cpus`), as a network card with a
//! queue per core would have it: so neither pays for the other's half of the kernel. Servers take
//! turns, each round with a fresh process; the table shows medians.

use crate::Outcome;
use crate::bars::{self, BarsOptions};
use crate::command::Invocation;
use crate::conformance::Opponent;
use crate::debian;
use crate::instructions::{self, InstructionOptions};
use crate::serve;
use crate::tree::Tree;
use clap::{Args, Subcommand};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The server's and the generator's address on the veth pair.
pub(crate) const ADDRESS: [&str; 2] = ["10.78.0.1", "10.78.0.2"];

/// Each end gets a session of its own and goes before what else the machine does. Without a session
/// apart, the kernel's automatic groups weigh the two as one, and a server of many threads starves
/// the generator on its idle core.
const APART: &str = "echo -15 > /proc/self/autogroup; exec \"$@\"";

/// How long a server may take from start to its first echoed packet.
const START_LIMIT: Duration = Duration::from_secs(20);

/// What `cargo xtask bench` can be told.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchOptions {
    #[command(subcommand)]
    part: Option<BenchPart>,
    /// The server to measure beside ours in the same run
    #[arg(long, value_enum)]
    against: Option<Opponent>,
    /// Publishers in the room
    #[arg(long, default_value_t = 1)]
    publishers: u32,
    /// Subscribers, each of all publishers
    #[arg(long, default_value_t = 100)]
    subscribers: u32,
    /// Video bits per second of each publisher
    #[arg(long, default_value_t = 2_000_000)]
    bitrate: u64,
    /// Length of each measured window
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// How often each server is measured
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// The core the server is pinned to
    #[arg(long, default_value_t = 0)]
    server_core: u32,
    /// The core the generator is pinned to
    #[arg(long, default_value_t = 1)]
    generator_core: u32,
}

/// Measurements of another kind.
#[derive(Subcommand)]
enum BenchPart {
    /// The bars that the datapath is held to, beside Debian's janus, tuned and as installed
    Bars(BarsOptions),
    /// Instructions a forwarded packet, beside the baseline
    Instructions(InstructionOptions),
}

/// Builds, measures in turns, prints the table.
pub(crate) fn run(tree: &Tree, options: &BenchOptions) -> Outcome<ExitCode> {
    match &options.part {
        Some(BenchPart::Bars(options)) => return bars::run(tree, options),
        Some(BenchPart::Instructions(options)) => return instructions::run(tree, options),
        None => {}
    }
    if !debian::is_root() {
        return Err("network namespaces and pinning need root; start this with sudo".to_owned());
    }
    debian::ensure(debian::BUILD)?;
    debian::ensure(debian::NETWORK)?;
    let mut sides = vec![Side::new(Setup::ours(tree, "release"))];
    match options.against {
        Some(Opponent::Mute) => return Err("a mute server forwards nothing to measure".to_owned()),
        Some(Opponent::Janus) => {
            debian::ensure(debian::STOCK_JANUS)?;
            sides.push(Side::new(Setup::JANUS));
        }
        Some(Opponent::Bifrons) | None => {}
    }
    let generator = build(tree, "release", "")?;
    let folder = tree.target.join("bench");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let network = Network::build([options.server_core, options.generator_core])?;
    for round in 1..=options.rounds {
        for side in &mut sides {
            let report = folder.join(format!("{}-{round}.json", side.setup.name));
            println!("── round {round} of {}: {}", options.rounds, side.setup.name);
            measure(&network, side, &generator, &folder, &report, options)?;
            side.reports.push(report);
        }
    }
    let mut table = Invocation::new(&generator.to_string_lossy(), "compare");
    for side in &sides {
        let files: Vec<_> = side.reports.iter().map(|file| file.display().to_string()).collect();
        table = table.arg(format!("{}={}", side.setup.name, files.join(",")));
    }
    println!();
    println!("{}", host());
    let done = table.run("the figures")?;
    Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A server that is measured.
struct Side {
    setup: Setup,
    reports: Vec<PathBuf>,
}

impl Side {
    fn new(setup: Setup) -> Self {
        Self { setup, reports: Vec::new() }
    }
}

/// A program and how it is configured.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) program: Option<PathBuf>,
    /// More lines of `general`.
    pub(crate) general: &'static str,
    /// More sections.
    pub(crate) sections: &'static str,
}

impl Setup {
    /// Debian's janus as installed.
    pub(crate) const JANUS: Setup =
        Setup { name: "janus", program: None, general: "", sections: "" };

    /// Ours as configured by default.
    pub(crate) fn ours(tree: &Tree, profile: &str) -> Self {
        let program = Some(tree.appliance(profile));
        Self { name: "bifrons", program, general: "", sections: "" }
    }
}

/// Builds both programs in one go, so that what they share is compiled once; returns the
/// generator's path. `more` goes to cargo too.
pub(crate) fn build(tree: &Tree, profile: &str, more: &str) -> Outcome<PathBuf> {
    let release = if profile == "release" { "--release" } else { "" };
    let packages =
        format!("build {release} --package bifrons-control --package bifrons-loadtest {more}");
    let title = "building bifrons and the load generator (the first time takes some minutes)";
    let build = serve::stamp(tree)
        .iter()
        .fold(Invocation::cargo(&packages), |build, (key, value)| build.env(key, value));
    if build.within(&tree.root).run(title)? {
        return Ok(tree.target.join(profile).join("bifrons-loadtest"));
    }
    Err("that did not compile; the compiler's message is above".to_owned())
}

/// One round of one server, from its start to its end.
fn measure(
    network: &Network,
    side: &Side,
    generator: &Path,
    folder: &Path,
    report: &Path,
    options: &BenchOptions,
) -> Outcome<()> {
    let mut server = Server::start(network, &side.setup, folder, options.server_core)?;
    let generator = |arguments: &str| {
        let target = format!("--url ws://{}:8188 --local-ip {}", ADDRESS[0], ADDRESS[1]);
        let core = options.generator_core;
        let program = format!("{} {arguments} {target}", generator.display());
        let [_, space] = &network.spaces;
        isolated(space, core, &program)
    };
    server.echoes(|| generator("echotest --seconds 1"))?;
    let load = format!(
        "videoroom --publishers {} --subscribers {} --bitrate {} --seconds {} --server-pid {}",
        options.publishers,
        options.subscribers,
        options.bitrate,
        options.seconds,
        server.child.id()
    );
    let invocation = generator(&load).arg("--json").arg(report);
    if invocation.run(&format!("load on {}", side.setup.name))? {
        return server.alive();
    }
    Err(format!("the run against {} failed; its log is {}", side.setup.name, server.log.display()))
}

/// A program with its arguments inside `space`, on `core`, in a session of its own. Each step
/// replaces itself by the next, so the child is the program.
pub(crate) fn isolated(space: &str, core: u32, program: &str) -> Invocation {
    let mut invocation = Invocation::new("ip", &format!("netns exec {space} setsid sh -c"));
    invocation = invocation.arg(APART).arg("sh");
    let words = format!("taskset -c {core} nice -n -15 {program}");
    words.split_whitespace().fold(invocation, |invocation, word| invocation.arg(word))
}

/// A server under measurement; ended when dropped.
pub(crate) struct Server {
    name: &'static str,
    pub(crate) child: Child,
    log: PathBuf,
}

impl Server {
    pub(crate) fn start(
        network: &Network,
        setup: &Setup,
        folder: &Path,
        core: u32,
    ) -> Outcome<Self> {
        let config = folder.join(format!("{}-config", setup.name));
        write_config(&config, setup)?;
        let log = folder.join(format!("{}.log", setup.name));
        let output = fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = output.try_clone().map_err(|e| format!("{}: {e}", log.display()))?;
        let [space, _] = &network.spaces;
        let program = setup.program.clone().unwrap_or_else(|| PathBuf::from("janus"));
        let mut command =
            isolated(space, core, "").arg(&program).arg("-F").arg(&config).into_inner();
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().map_err(|e| format!("{}: {e}", program.display()))?;
        Ok(Self { name: setup.name, child, log })
    }

    /// Waits until the generator, made by `echo`, hears itself.
    pub(crate) fn echoes(&mut self, echo: impl Fn() -> Invocation) -> Outcome<()> {
        let started = Instant::now();
        while !echo().holds() {
            self.alive()?;
            if started.elapsed() > START_LIMIT {
                return Err(format!("{} echoed nothing; see {}", self.name, self.log.display()));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    pub(crate) fn alive(&mut self) -> Outcome<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                Err(format!("{} ended with {status}; its log is {}", self.name, self.log.display()))
            }
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error here means that it is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same configuration for all: WebSockets, the plugins of the scenarios, no STUN.
fn write_config(folder: &Path, setup: &Setup) -> Outcome<()> {
    let library = "/usr/lib/x86_64-linux-gnu/janus";
    let unwanted = [
        "audiobridge",
        "duktape",
        "lua",
        "nosip",
        "recordplay",
        "sip",
        "textroom",
        "videocall",
        "voicemail",
    ];
    let unwanted: Vec<_> = unwanted.iter().map(|name| format!("libjanus_{name}.so")).collect();
    let main = format!(
        "general: {{\n  configs_folder = \"{folder}\"\n  plugins_folder = \"{library}/plugins\"\n  \
         transports_folder = \"{library}/transports\"\n  events_folder = \"{library}/events\"\n  \
         loggers_folder = \"{library}/loggers\"\n  debug_level = 3\n  {}\n}}\n{}\n\
         media: {{\n  rtp_port_range = \"20000-40000\"\n}}\n\
         plugins: {{\n  disable = \"{}\"\n}}\n\
         transports: {{\n  disable = \"libjanus_http.so,libjanus_mqtt.so,libjanus_nanomsg.so,\
         libjanus_pfunix.so,libjanus_rabbitmq.so\"\n}}\n",
        setup.general,
        setup.sections,
        unwanted.join(","),
        folder = folder.display(),
    );
    let files = [
        ("janus.jcfg", main.as_str()),
        ("janus.transport.websockets.jcfg", "general: {\n  ws = true\n  ws_port = 8188\n}\n"),
        ("janus.plugin.echotest.jcfg", ""),
        ("janus.plugin.streaming.jcfg", ""),
        ("janus.plugin.videoroom.jcfg", ""),
    ];
    let failed = |error| format!("the configuration of {}: {error}", setup.name);
    fs::create_dir_all(folder).map_err(failed)?;
    files.iter().try_for_each(|(file, text)| fs::write(folder.join(file), text).map_err(failed))
}

/// Two network namespaces and the veth pair between them; removed when dropped.
pub(crate) struct Network {
    /// The server's and the generator's.
    pub(crate) spaces: [String; 2],
}

impl Network {
    /// `cores` handle what the server's and the generator's end receive.
    pub(crate) fn build(cores: [u32; 2]) -> Outcome<Self> {
        let process = std::process::id();
        let network = Self { spaces: ["s", "g"].map(|end| format!("bifrons-{end}-{process}")) };
        let [server, generator] = &network.spaces;
        for space in &network.spaces {
            ip(&format!("netns add {space}"))?;
            ip(&format!("-n {space} link set lo up"))?;
        }
        ip(&format!("-n {server} link add va type veth peer name vb netns {generator}"))?;
        let ends = [(server, "va", ADDRESS[0], cores[0]), (generator, "vb", ADDRESS[1], cores[1])];
        for (space, device, address, core) in ends {
            ip(&format!("-n {space} addr add {address}/24 dev {device}"))?;
            ip(&format!("-n {space} link set {device} up"))?;
            steer(space, device, core)?;
        }
        Ok(network)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for space in &self.spaces {
            // Nothing is left to do about one that will not go.
            Invocation::new("ip", &format!("netns del {space}")).holds();
        }
    }
}

fn ip(arguments: &str) -> Outcome<()> {
    if Invocation::new("ip", arguments).holds() {
        return Ok(());
    }
    Err(format!("`ip {arguments}` failed; in a container add --cap-add SYS_ADMIN and NET_ADMIN"))
}

/// Lets `core` handle what `device` receives.
fn steer(space: &str, device: &str, core: u32) -> Outcome<()> {
    let file = format!("/sys/class/net/{device}/queues/rx-0/rps_cpus");
    let script = format!("printf %x {} > {file}", 1u64 << core.min(63));
    if Invocation::new("ip", &format!("netns exec {space} sh -c")).arg(&script).holds() {
        return Ok(());
    }
    Err(format!("{file} cannot be written, so the two ends would share a core's time"))
}

/// The machine the figures belong to: without it they mean nothing.
pub(crate) fn host() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores, Linux {}", model.unwrap_or("unknown CPU"), kernel.trim())
}
