//! `bifrons-loadtest`: load scenarios against a Janus API, ours or a stock one.
//!
//! Exit status: 0 when the run kept every bound it was given, 1 when it did not, 2 when it could
//! not be run. One thread does everything, so that pinning it to one core is one `taskset`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bifrons_loadtest::comparison::{Comparison, Side};
use bifrons_loadtest::page::page;
use bifrons_loadtest::scenario::{
    Api, Churn, Data, Echo, Impair, Ladder, Media, ScenarioError, Streaming, VideoRoom,
};
use clap::{Args, Parser, Subcommand};
use options::{MediaOptions, NetworkOptions, ReportOptions, Server};

mod options;

#[derive(Parser)]
#[command(version, about = "WebRTC load generator that speaks the Janus API")]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Publishers and subscribers in one VideoRoom
    Videoroom(VideoRoomOptions),
    /// One source in a mountpoint and its viewers
    Streaming(StreamingOptions),
    /// The same, the load raised until packets are lost; windows of --seconds
    Ladder(LadderOptions),
    /// A VideoRoom publisher of data and subscribers that hear it
    Data(DataOptions),
    /// One peer in the EchoTest
    Echotest(EchoOptions),
    /// Many sessions and a steady stream of API requests, over WebSockets
    Api(ApiOptions),
    /// Viewers who come and go: how long joining takes, what stays behind
    Churn(ChurnOptions),
    /// A room over a bad network: retransmissions have to fill the gaps
    Impair(ImpairOptions),
    /// A table of two or more servers from the JSON of their runs
    Compare(CompareOptions),
}

#[derive(Args)]
struct Target {
    /// The Janus API, ws://host:port or http://host:port/janus
    #[arg(long, default_value = "ws://127.0.0.1:8188")]
    url: String,
    /// Local address for media, reachable from the server
    #[arg(long, default_value = "127.0.0.1")]
    local_ip: IpAddr,
    /// Video payload bits per second of each publisher
    #[arg(long, default_value_t = 2_000_000)]
    bitrate: u64,
    /// Length of the measured window
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

#[derive(Args)]
struct VideoRoomOptions {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    media: MediaOptions,
    #[command(flatten)]
    report: ReportOptions,
    /// Publishers
    #[arg(long, visible_alias = "speakers", default_value_t = 1)]
    publishers: u32,
    /// Subscribers, each receiving all publishers
    #[arg(long, visible_alias = "listeners", default_value_t = 100)]
    subscribers: u32,
}

#[derive(Args)]
struct StreamingOptions {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    media: MediaOptions,
    #[command(flatten)]
    report: ReportOptions,
    /// Viewers of the mountpoint
    #[arg(long, default_value_t = 200)]
    viewers: u32,
}

#[derive(Args)]
struct LadderOptions {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    media: MediaOptions,
    /// Viewers of the mountpoint
    #[arg(long, default_value_t = 200)]
    viewers: u32,
    /// Share of packets whose loss ends the climb, 0..1
    #[arg(long, default_value_t = 0.005)]
    loss: f64,
    /// Write the figures as one JSON object to this file as well; `-` prints them instead
    #[arg(long)]
    json: Option<PathBuf>,
    /// Windows at most
    #[arg(long, default_value_t = 16)]
    rungs: usize,
    /// Fewest packets a second that have to be carried
    #[arg(long)]
    min_rate: Option<f64>,
}

#[derive(Args)]
struct DataOptions {
    /// The Janus API, ws://host:port or http://host:port/janus
    #[arg(long, default_value = "ws://127.0.0.1:8188")]
    url: String,
    /// Local address for media, reachable from the server
    #[arg(long, default_value = "127.0.0.1")]
    local_ip: IpAddr,
    /// Subscribers, each with a data channel
    #[arg(long, default_value_t = 200)]
    subscribers: u32,
    /// Messages a second of the one publisher
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Bytes of a message, at least 16
    #[arg(long, default_value_t = 200)]
    size: usize,
    /// Length of the measured window
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Process id of the server, to account the CPU time of its threads
    #[arg(long)]
    server_pid: Option<u32>,
    /// Largest 99th percentile of delay in milliseconds
    #[arg(long)]
    max_p99_ms: Option<u64>,
    /// Largest share of a core that the server's control thread may take, 0..1
    #[arg(long)]
    max_control: Option<f64>,
}

#[derive(Args)]
struct EchoOptions {
    #[command(flatten)]
    target: Target,
    /// Send the candidate by `trickle` after the offer instead of inside it
    #[arg(long)]
    trickle: bool,
}

#[derive(Args)]
struct ApiOptions {
    /// The Janus API, ws://host:port
    #[arg(long, default_value = "ws://127.0.0.1:8188")]
    url: String,
    /// Sessions, each with two handles
    #[arg(long, default_value_t = 2000)]
    sessions: u32,
    /// WebSockets they are spread over
    #[arg(long, default_value_t = 16)]
    connections: u32,
    /// Requests a second, all together
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// How long requests are sent
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Process id of the server, to account its CPU time
    #[arg(long)]
    server_pid: Option<u32>,
    /// Write the figures as one JSON object to this file as well; `-` prints them instead
    #[arg(long)]
    json: Option<PathBuf>,
    /// Largest 99th percentile of the time to a reply, in milliseconds
    #[arg(long)]
    max_p99_ms: Option<u64>,
}

#[derive(Args)]
struct CompareOptions {
    /// A server and its runs as NAME=FILE[,FILE…]; the first is what the others are held against
    #[arg(required = true)]
    sides: Vec<String>,
    /// Write a page with plots to this file as well
    #[arg(long)]
    html: Option<PathBuf>,
}

#[derive(Args)]
struct ChurnOptions {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    media: MediaOptions,
    /// Viewers present at a time
    #[arg(long, default_value_t = 50)]
    viewers: u32,
    /// Arrivals a second
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Write the figures as one JSON object to this file as well; `-` prints them instead
    #[arg(long)]
    json: Option<PathBuf>,
    /// Largest 99th percentile of the time from attach to webrtcup, in milliseconds
    #[arg(long)]
    max_setup_ms: Option<u64>,
    /// Most file descriptors that may stay open
    #[arg(long, default_value_t = 4)]
    max_descriptors_left: i64,
    /// Most KiB of memory that may stay behind, a visit
    #[arg(long)]
    max_kib_left: Option<f64>,
}

#[derive(Args)]
struct ImpairOptions {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    media: MediaOptions,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    report: ReportOptions,
    /// Publishers
    #[arg(long, default_value_t = 1)]
    publishers: u32,
    /// Subscribers, each receiving all publishers
    #[arg(long, default_value_t = 10)]
    subscribers: u32,
}

/// Share of packets that may stay missing on a bad network, unless --max-loss says otherwise: those
/// that are lost again each time they are sent again.
const REPAIRED: f64 = 0.005;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(async {
            match arguments.scenario {
                Scenario::Videoroom(options) => videoroom(options).await,
                Scenario::Streaming(options) => streaming(options).await,
                Scenario::Ladder(options) => ladder(options).await,
                Scenario::Data(options) => data(options).await,
                Scenario::Echotest(options) => echotest(options).await,
                Scenario::Api(options) => api(options).await,
                Scenario::Churn(options) => churn(options).await,
                Scenario::Impair(options) => impair(options).await,
                Scenario::Compare(options) => compare(&options),
            }
        }),
        Err(error) => Err(error.into()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("bifrons-loadtest: {error}");
        ExitCode::from(2)
    })
}

async fn videoroom(options: VideoRoomOptions) -> Result<ExitCode, ScenarioError> {
    let scenario = VideoRoom {
        target: options.server.target(),
        media: options.media.media()?,
        publishers: options.publishers,
        subscribers: options.subscribers,
    };
    options.report.tell(&scenario.run().await?)
}

async fn streaming(options: StreamingOptions) -> Result<ExitCode, ScenarioError> {
    let scenario = Streaming {
        target: options.server.target(),
        media: options.media.media()?,
        viewers: options.viewers,
    };
    options.report.tell(&scenario.run().await?)
}

async fn ladder(options: LadderOptions) -> Result<ExitCode, ScenarioError> {
    let streaming = Streaming {
        target: options.server.target(),
        media: options.media.media()?,
        viewers: options.viewers,
    };
    let report = Ladder { streaming, loss: options.loss, most_rungs: options.rungs }.run().await?;
    options::tell(options.json.as_deref(), &report, report.to_json())?;
    let carried = report.best().map_or(0.0, |rung| rung.report.delivered_per_s());
    let enough = carried > 0.0 && options.min_rate.is_none_or(|least| carried >= least);
    Ok(if enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everybody has to get in, and nothing may stay open.
async fn churn(options: ChurnOptions) -> Result<ExitCode, ScenarioError> {
    let streaming = Streaming {
        target: options.server.target(),
        media: options.media.media()?,
        viewers: options.viewers,
    };
    let report = Churn { streaming, per_s: options.rate.max(0.1) }.run().await?;
    options::tell(options.json.as_deref(), &report, report.to_json())?;
    let setup = report.setup_us.value_at_quantile(0.99) / 1000;
    let in_time = options.max_setup_ms.is_none_or(|most| setup <= most);
    let closed = report.descriptors_left().is_none_or(|left| left <= options.max_descriptors_left);
    let kib = report.bytes_left().map(|left| left / 1024.0).zip(options.max_kib_left);
    let freed = kib.is_none_or(|(left, most)| left <= most);
    let whole = report.failed == 0 && report.visits > 0;
    Ok(if whole && in_time && closed && freed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn impair(options: ImpairOptions) -> Result<ExitCode, ScenarioError> {
    let room = VideoRoom {
        target: options.server.target(),
        media: Media { audio: false, light: false, ..options.media.media()? },
        publishers: options.publishers,
        subscribers: options.subscribers,
    };
    let [up, down] = options.network.ways();
    let done = Impair { room, up, down }.run().await?;
    options::tell(options.report.json.as_deref(), &done, done.to_json())?;
    options.report.with_loss(REPAIRED).check(&done.report)
}

/// Every message has to reach every subscriber.
async fn data(options: DataOptions) -> Result<ExitCode, ScenarioError> {
    let scenario = Data {
        url: options.url,
        local_ip: options.local_ip,
        subscribers: options.subscribers,
        rate: options.rate.max(1),
        size: options.size,
        window: Duration::from_secs(options.seconds),
        server: options.server_pid,
    };
    let report = scenario.run().await?;
    println!("{report}");
    let p99 = options.max_p99_ms.is_none_or(|ms| report.delay(0.99).as_millis() <= ms.into());
    let control =
        options.max_control.is_none_or(|most| report.control().is_none_or(|is| is <= most));
    let whole = report.delivered == report.expected;
    Ok(if p99 && control && whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn echotest(options: EchoOptions) -> Result<ExitCode, ScenarioError> {
    let target = options.target;
    let scenario = Echo {
        url: target.url,
        local_ip: target.local_ip,
        rate_bps: target.bitrate,
        span: Duration::from_secs(target.seconds),
        trickle: options.trickle,
    };
    let stats = scenario.run().await?;
    for ((mid, _), sent) in &stats.sent {
        let back = stats.from_mid(mid).cloned().unwrap_or_default();
        println!(
            "mid {mid}: {} packets sent, {} back, {} frames",
            sent.packets, back.packets, back.frames
        );
    }
    let whole = stats.sent.iter().all(|((mid, _), sent)| {
        stats.from_mid(mid).is_some_and(|back| back.packets == sent.packets)
    });
    Ok(if whole && !stats.sent.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every request has to be answered, and without an error.
async fn api(options: ApiOptions) -> Result<ExitCode, ScenarioError> {
    let scenario = Api {
        url: options.url,
        sessions: options.sessions,
        connections: options.connections,
        rate: options.rate,
        window: Duration::from_secs(options.seconds),
        server: options.server_pid,
    };
    let report = scenario.run().await?;
    options::tell(options.json.as_deref(), &report, report.to_json())?;
    let in_time = options.max_p99_ms.is_none_or(|ms| report.latency(0.99).as_millis() <= ms.into());
    let whole = report.errors == 0 && report.unanswered() == 0;
    Ok(if in_time && whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compare(options: &CompareOptions) -> Result<ExitCode, ScenarioError> {
    let sides: std::io::Result<Vec<Side>> = options.sides.iter().map(|text| side(text)).collect();
    let sides = sides?;
    if let Some(file) = &options.html {
        std::fs::write(file, page(&sides))?;
    }
    print!("{}", Comparison(sides));
    Ok(ExitCode::SUCCESS)
}

fn side(text: &str) -> std::io::Result<Side> {
    let bad = || std::io::Error::other(format!("`{text}` is not NAME=FILE[,FILE…]"));
    let (name, files) = text.split_once('=').ok_or_else(bad)?;
    let read = |file: &str| {
        let text = std::fs::read_to_string(file)?;
        serde_json::from_str(&text).map_err(std::io::Error::other)
    };
    let reports = files.split(',').map(read).collect::<std::io::Result<_>>()?;
    Ok(Side { name: name.to_owned(), reports })
}
