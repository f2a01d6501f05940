//! `cargo xtask bench bars`: the figures the datapath is held to, each beside Debian's janus, tuned
//! (`event_loops = 1`, its best on one core) or as installed.
//!
//! A figure belongs to a path. L is loopback: server and generator in one network namespace, and
//! the sender pays the receiver's half of the kernel. V is a veth pair between two namespaces whose
//! far end is handled on the generator's core. N is a null device, on which the shard runs beside a
//! bare loop, without signalling or handshakes. One run may serve several bars.

use crate::Outcome;
use crate::bench::{ADDRESS, Network, Server, Setup, build, host, isolated};
use crate::command::Invocation;
use crate::debian;
use crate::tree::Tree;
use clap::Args;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path as File, PathBuf};
use std::process::ExitCode;

/// What `cargo xtask bench bars` can be told.
#[derive(Args)]
pub(crate) struct BarsOptions {
    /// Only the bars whose name holds this
    #[arg(long)]
    only: Option<String>,
    /// Length of each measured window
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Viewers where a bar says 200; fewer only to see that it works
    #[arg(long, default_value_t = 200)]
    viewers: u32,
    /// The core the server is pinned to
    #[arg(long, default_value_t = 0)]
    server_core: u32,
    /// The core the generator is pinned to
    #[arg(long, default_value_t = 1)]
    generator_core: u32,
    /// The build that is measured, `release` or `debug`; the latter only to see that it works
    #[arg(long, default_value = "release")]
    build: String,
}

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Ours,
    /// Nothing waits for more of its frame.
    OursUnheld,
    /// Video waits for the end of its frame, however idle the shard is.
    OursHeld,
    /// Frames leave by an AF_PACKET ring.
    OursRing,
    OursTwoShards,
    Tuned,
    Installed,
}

impl Who {
    fn setup(self, tree: &Tree, build: &str) -> Setup {
        let ours = Setup::ours(tree, build);
        let sections = |name, sections| Setup { name, sections, ..ours.clone() };
        match self {
            Who::Ours => ours,
            Who::OursUnheld => sections("bifrons-unheld", "datapath: { coalesce_us = 0 }"),
            Who::OursHeld => {
                sections("bifrons-held", "datapath: { coalesce_us = 20000 coalesce_load = 0 }")
            }
            Who::OursRing => {
                sections("bifrons-ring", "datapath: { tx = \"packet-ring\" coalesce_us = 0 }")
            }
            Who::OursTwoShards => sections("bifrons-two-shards", "datapath: { shards = 2 }"),
            Who::Tuned => Setup { name: "janus-tuned", general: "event_loops = 1", ..Setup::JANUS },
            Who::Installed => Setup::JANUS,
        }
    }
}

/// Where packets go; see the module.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    L,
    V,
    N,
}

impl Path {
    const fn name(self) -> &'static str {
        match self {
            Path::L => "L",
            Path::V => "V",
            Path::N => "N",
        }
    }
}

/// What a figure has to be.
#[derive(Clone, Copy)]
enum Wanted {
    /// At most the other's, divided by this.
    Fraction(f64),
    /// At least the other's, this many times.
    Times(f64),
    /// At most the other's, times this.
    Within(f64),
    /// At most this, whatever the other has.
    Most(f64),
}

impl Wanted {
    fn held(self, ours: f64, theirs: Option<f64>) -> Option<bool> {
        Some(match self {
            Wanted::Fraction(by) => ours * by <= theirs?,
            Wanted::Times(by) => ours >= theirs? * by,
            Wanted::Within(by) => ours <= theirs? * by,
            Wanted::Most(bound) => ours <= bound,
        })
    }

    fn text(self) -> String {
        match self {
            Wanted::Fraction(by) => format!("≤ 1/{by}"),
            Wanted::Times(by) => format!("≥ {by} ×"),
            Wanted::Within(by) => format!("≤ {by} ×"),
            Wanted::Most(bound) => format!("≤ {bound}"),
        }
    }
}

/// A figure of a run: its key in the generator's JSON, and what to divide it by.
type Figure = (&'static str, f64);

const CPU: Figure = ("server_cpu_us_per_packet", 1.0);
const IDLE: Figure = ("server_bytes_per_idle_peer", 1024.0);
const VIEWER: Figure = ("server_bytes_per_subscriber", 1024.0);
const SETUP: Figure = ("server_setup_cpu_ms_per_peer", 1.0);
const SHARE: Figure = ("server_share", 0.01);
const RATE: Figure = ("ladder_packets_per_s", 1.0);
const FRAME: Figure = ("frame_p99_us", 1000.0);

const BURSTS: &str = "streaming --profile gcm";
const VIDEO: &str = "streaming --profile gcm --no-audio";
const PACED: &str = "streaming --profile gcm --paced 0.4";
const CM: &str = "streaming --profile cm";
const SILENT: &str = "streaming --profile gcm --silent";
/// Here and for the delay receivers are light: whole stacks on one core would be the limit.
const LADDER: &str = "ladder --profile gcm --light";
/// The load that a janus as installed carries.
const LIGHT: &str = "streaming --profile gcm --viewers 50";
const AUDIO: &str = "videoroom --profile gcm --audio-only --speakers 10 --listeners 100";
/// At four fifths of what the tuned janus carried on the ladder.
const DELAY: &str = "delay";
/// The shard and the bare loop.
const NULL: &str = "shard_rate";

/// One line of the table.
struct Bar {
    name: &'static str,
    title: &'static str,
    path: Path,
    load: &'static str,
    ours: Who,
    theirs: Who,
    figure: Figure,
    wanted: Wanted,
}

#[rustfmt::skip]
const BARS: &[Bar] = &[
    bar("bursts-gcm-l", "video + audio, AES-GCM, bursts, us CPU a packet", Path::L, BURSTS, CPU, Wanted::Fraction(5.0)),
    bar("viewer-memory", "memory of a viewer, KiB", Path::L, BURSTS, VIEWER, Wanted::Most(128.0)),
    bar("setup", "CPU to set a peer up, ms", Path::L, BURSTS, SETUP, Wanted::Fraction(4.0)),
    Bar { ours: Who::OursTwoShards, theirs: Who::Ours, ..bar("two-shards", "the audience over two shards, against one, us CPU a packet", Path::L, BURSTS, CPU, Wanted::Within(1.15)) },
    Bar { ours: Who::OursUnheld, ..bar("paced-l", "paced, nothing held, us CPU a packet", Path::L, PACED, CPU, Wanted::Fraction(2.5)) },
    Bar { ours: Who::OursHeld, ..bar("paced-held", "paced, held to the marker, us CPU a packet", Path::L, PACED, CPU, Wanted::Fraction(5.0)) },
    bar("bursts-cm", "bursts, AES-CM + SHA1, us CPU a packet", Path::L, CM, CPU, Wanted::Fraction(6.0)),
    Bar { theirs: Who::Installed, ..bar("installed", "50 viewers, against janus as installed, us CPU a packet", Path::L, LIGHT, CPU, Wanted::Fraction(10.0)) },
    bar("audio", "audio only, 10 speakers, 100 listeners, us CPU a packet", Path::L, AUDIO, CPU, Wanted::Fraction(2.5)),
    bar("silent", "200 silent peers, % of a core", Path::L, SILENT, SHARE, Wanted::Most(1.0)),
    bar("idle-memory", "memory of an idle peer, KiB", Path::L, SILENT, IDLE, Wanted::Most(64.0)),
    bar("ladder", "highest rate before 0.5 % loss, packets/s", Path::L, LADDER, RATE, Wanted::Times(5.0)),
    bar("delay", "a frame's last packet at 80 % of janus's rate, p99 ms", Path::L, DELAY, FRAME, Wanted::Fraction(5.0)),
    bar("bursts-gcm-v", "video + audio, AES-GCM, bursts, us CPU a packet", Path::V, BURSTS, CPU, Wanted::Fraction(7.0)),
    bar("video-v", "video only, bursts, us CPU a packet", Path::V, VIDEO, CPU, Wanted::Fraction(10.0)),
    Bar { ours: Who::OursRing, ..bar("paced-v", "paced, nothing held, packet ring, us CPU a packet", Path::V, PACED, CPU, Wanted::Fraction(4.0)) },
    bar("null", "the shard against the bare loop, 8 together, ns CPU a packet", Path::N, NULL, ("ns", 1.0), Wanted::Within(1.5)),
];

const fn bar(
    name: &'static str,
    title: &'static str,
    path: Path,
    load: &'static str,
    figure: Figure,
    wanted: Wanted,
) -> Bar {
    Bar { name, title, path, load, ours: Who::Ours, theirs: Who::Tuned, figure, wanted }
}

/// Builds, measures what the chosen bars need, prints the table and writes `bars.json`.
pub(crate) fn run(tree: &Tree, options: &BarsOptions) -> Outcome<ExitCode> {
    if !debian::is_root() {
        return Err("network namespaces and pinning need root; start this with sudo".to_owned());
    }
    for packages in [debian::BUILD, debian::NETWORK, debian::STOCK_JANUS] {
        debian::ensure(packages)?;
    }
    let only = options.only.as_deref().unwrap_or_default();
    let chosen: Vec<&Bar> = BARS.iter().filter(|bar| bar.name.contains(only)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = BARS.iter().map(|bar| bar.name).collect();
        return Err(format!("no bar is called so; there are {}", names.join(", ")));
    }
    let generator = build(tree, &options.build, "")?;
    let folder = tree.target.join("bench");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let network = Network::build([options.server_core, options.generator_core])?;
    let mut bench = Bench { tree, options, generator, folder, network, runs: Map::new() };
    let lines: Vec<Line> = chosen.into_iter().map(|bar| bench.line(bar)).collect();
    println!("\n{}\n", host());
    println!("| bar | path | ours | janus | ratio | wanted | held |");
    println!("|---|---|---:|---:|---:|---:|---|");
    lines.iter().for_each(|line| println!("{}", line.text()));
    let bars: Vec<_> = lines.iter().map(Line::to_json).collect();
    let all = json!({ "host": host(), "bars": bars, "runs": bench.runs });
    let file = bench.folder.join("bars.json");
    fs::write(&file, format!("{all:#}\n")).map_err(|e| format!("{}: {e}", file.display()))?;
    println!("\nThe figures of every run are in {}.", file.display());
    let missed = lines.iter().any(|line| line.held() != Some(true));
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A bar with what was measured.
struct Line<'a> {
    bar: &'a Bar,
    ours: Option<f64>,
    theirs: Option<f64>,
    /// Smallest idle share of the generator in the two runs.
    idle: Option<f64>,
    /// Largest share of packets lost in the two runs.
    lost: Option<f64>,
}

/// Below this idle share the generator measures itself.
const LEAST_IDLE: f64 = 0.05;

impl Line<'_> {
    fn held(&self) -> Option<bool> {
        self.bar.wanted.held(self.ours?, self.theirs)
    }

    fn text(&self) -> String {
        let Bar { title, path, wanted, .. } = self.bar;
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.2}"));
        let ratio = self.ours.zip(self.theirs).filter(|(ours, _)| *ours > 0.0);
        let ratio = ratio.map(|(ours, theirs)| match wanted {
            Wanted::Times(_) | Wanted::Within(_) => ours / theirs,
            Wanted::Fraction(_) | Wanted::Most(_) => theirs / ours,
        });
        let held = match self.held() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        let mut remarks = String::new();
        if self.idle.is_some_and(|idle| idle < LEAST_IDLE) {
            remarks += ", generator busy";
        }
        if self.bar.load != LADDER && self.lost.is_some_and(|lost| lost > 0.005) {
            remarks += &format!(", up to {:.1} % lost", self.lost.unwrap_or_default() * 100.0);
        }
        let (ours, theirs) = (number(self.ours), number(self.theirs));
        let (ratio, wanted, path) = (number(ratio), wanted.text(), path.name());
        format!("| {title} | {path} | {ours} | {theirs} | {ratio} | {wanted} | {held}{remarks} |")
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.bar.name,
            "title": self.bar.title,
            "path": self.bar.path.name(),
            "ours": self.ours,
            "theirs": self.theirs,
            "wanted": self.bar.wanted.text(),
            "held": self.held(),
            "generator_idle": self.idle,
            "loss": self.lost,
        })
    }
}

/// The machinery, and what was measured so far by run.
struct Bench<'a> {
    tree: &'a Tree,
    options: &'a BarsOptions,
    generator: PathBuf,
    folder: PathBuf,
    network: Network,
    runs: Map<String, Value>,
}

impl Bench<'_> {
    fn line<'b>(&mut self, bar: &'b Bar) -> Line<'b> {
        let runs = match bar.path {
            Path::N => self.null().map(|(ours, theirs)| [json!(ours), json!(theirs)]),
            _ => Ok([
                self.figures(bar.ours, bar.path, bar.load),
                self.figures(bar.theirs, bar.path, bar.load),
            ]),
        };
        let runs = runs.unwrap_or_else(|sentence| {
            println!("{}: {sentence}", bar.name);
            [Value::Null, Value::Null]
        });
        let (key, divisor) = bar.figure;
        let [ours, theirs] = runs.each_ref().map(|run| run[key].as_f64().map(|v| v / divisor));
        let both = |key: &str| runs.each_ref().map(|run| run[key].as_f64());
        let idle = both("generator_idle").into_iter().flatten().min_by(f64::total_cmp);
        let lost = both("loss").into_iter().flatten().max_by(f64::total_cmp);
        Line { bar, ours, theirs, idle, lost }
    }

    /// The figures of a run, which is done now unless it has been; null if it came to nothing.
    fn figures(&mut self, who: Who, path: Path, load: &str) -> Value {
        let setup = who.setup(self.tree, &self.options.build);
        let key = format!("{} {} {load}", path.name(), setup.name);
        if let Some(known) = self.runs.get(&key) {
            return known.clone();
        }
        let words = match load {
            DELAY => self.four_fifths(),
            _ => Ok(load.to_owned()),
        };
        let done = words.and_then(|words| self.measure(&setup, path, &words));
        let figures = done.unwrap_or_else(|sentence| {
            println!("{key}: {sentence}");
            Value::Null
        });
        self.runs.insert(key, figures.clone());
        figures
    }

    /// The load that is four fifths of what the tuned janus carries.
    fn four_fifths(&mut self) -> Outcome<String> {
        let carried = self.figures(Who::Tuned, Path::L, LADDER)["ladder_times"].as_f64();
        let times = carried.ok_or("nobody knows what janus carries")? * 0.8;
        // The ladder's first rung: 2 Mbit/s, 25 frames a second.
        let (bitrate, fps) = (2e6 * times, 25.0 * times);
        Ok(format!("streaming --profile gcm --light --bitrate {bitrate:.0} --fps {fps:.2}"))
    }

    fn measure(&self, setup: &Setup, path: Path, words: &str) -> Outcome<Value> {
        let options = self.options;
        let mut server = Server::start(&self.network, setup, &self.folder, options.server_core)?;
        let [here, there] = &self.network.spaces;
        let (space, ip) = match path {
            Path::V => (there, ADDRESS[1]),
            Path::L | Path::N => (here, ADDRESS[0]),
        };
        let generator = |arguments: &str| {
            let target = format!("--url ws://{}:8188 --local-ip {ip}", ADDRESS[0]);
            let program = format!("{} {arguments} {target}", self.generator.display());
            isolated(space, options.generator_core, &program)
        };
        server.echoes(|| generator("echotest --seconds 1"))?;
        let file = self.folder.join("bar.json");
        let viewers = match words.contains("--viewers") || words.starts_with("videoroom") {
            true => String::new(),
            false => format!("--viewers {}", options.viewers),
        };
        let seconds = match words.starts_with("ladder") {
            true => options.seconds.div_ceil(3),
            false => options.seconds,
        };
        let pid = server.child.id();
        let load = format!("{words} {viewers} --seconds {seconds} --server-pid {pid}");
        let title = format!("{}, path {}: {words}", setup.name, path.name());
        let held = generator(&load).arg("--json").arg(&file).run(&title)?;
        server.alive()?;
        if held { read(&file) } else { Err("the run failed".to_owned()) }
    }

    /// The shard's and the bare loop's cost of a packet on a null device.
    fn null(&self) -> Outcome<(Value, Value)> {
        let example = "--package bifrons-benches --example shard_rate";
        build(self.tree, &self.options.build, example)?;
        let folder = self.tree.target.join(&self.options.build).join("examples");
        let program = folder.join("shard_rate");
        let core = self.options.server_core;
        let words = format!("-n taskset -c {core} {} 200 5", program.display());
        let mut best: Option<[f64; 2]> = None;
        Invocation::new("unshare", &words).run_lines("the shard on a null device", |line| {
            let found = shard_rate(line);
            if found.is_some_and(|found| best.is_none_or(|best| found[0] < best[0])) {
                best = found;
            }
        })?;
        let [ours, bare] = best.ok_or("it printed no figure for the null device")?;
        Ok((json!({ "ns": ours }), json!({ "ns": bare })))
    }
}

/// The two figures of a line of `shard_rate`: null device, AES-128-GCM, eight together, sealed.
fn shard_rate(line: &str) -> Option<[f64; 2]> {
    let wanted = line.starts_with("null device") && line.contains("AeadAes128Gcm");
    if !wanted || !line.contains(" 8 together ") {
        return None;
    }
    if line.contains("unequal") || line.contains("identity") {
        return None;
    }
    let after = |word: &str| line.split_once(word)?.1.trim_start().split(' ').next()?.parse().ok();
    Some([after(": shard")?, after("bare")?])
}

fn read(file: &File) -> Outcome<Value> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_held_by_what_it_says() {
        assert_eq!(Wanted::Fraction(5.0).held(2.0, Some(10.0)), Some(true));
        assert_eq!(Wanted::Fraction(5.0).held(2.1, Some(10.0)), Some(false));
        assert_eq!(Wanted::Times(5.0).held(400.0, Some(77.0)), Some(true));
        assert_eq!(Wanted::Within(1.15).held(1.2, Some(1.0)), Some(false));
        assert_eq!(Wanted::Most(64.0).held(50.0, None), Some(true));
        assert_eq!(Wanted::Times(5.0).held(400.0, None), None);
    }

    #[test]
    fn shard_rate_is_read_where_it_is_meant() {
        let line = "null device AeadAes128Gcm   8 together         vaes-256: shard   736 ns, \
                    bare   599 ns, x1.23";
        assert_eq!(shard_rate(line), Some([736.0, 599.0]));
        assert_eq!(shard_rate(&line.replace("null device", "nowhere    ")), None);
        assert_eq!(shard_rate(&line.replace("vaes-256", "identity")), None);
        assert_eq!(shard_rate(&line.replace("8 together", "4 together")), None);
    }

    #[test]
    fn names_are_unique_and_the_delay_knows_its_ladder() {
        let mut names: Vec<_> = BARS.iter().map(|bar| bar.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), BARS.len());
        assert!(BARS.iter().any(|bar| bar.load == LADDER && bar.path == Path::L));
    }
}
