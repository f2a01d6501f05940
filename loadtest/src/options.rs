//! Options that the scenarios of media share.

use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bifrons_loadtest::comparison::Side;
use bifrons_loadtest::hlog;
use bifrons_loadtest::page::page;
use bifrons_loadtest::peer::{Clip, Impairment, Srtp};
use bifrons_loadtest::report::{Report, Thresholds};
use bifrons_loadtest::scenario::{Media, ScenarioError, Target};
use clap::{Args, ValueEnum};
use serde_json::Value;

/// The server, and how long it is measured.
#[derive(Args)]
pub(crate) struct Server {
    /// The Janus API, ws://host:port or http://host:port/janus
    #[arg(long, default_value = "ws://127.0.0.1:8188")]
    url: String,
    /// Local address for media, reachable from the server
    #[arg(long, default_value = "127.0.0.1")]
    local_ip: IpAddr,
    /// Length of the measured window
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Process id of the server, to account its CPU time and memory
    #[arg(long)]
    server_pid: Option<u32>,
    /// Tell once a second how it goes
    #[arg(long)]
    progress: bool,
}

impl Server {
    pub(crate) fn target(&self) -> Target {
        Target {
            url: self.url.clone(),
            local_ip: self.local_ip,
            window: Duration::from_secs(self.seconds.max(1)),
            server: self.server_pid,
            progress: self.progress,
        }
    }
}

/// What sources send.
#[derive(Args)]
pub(crate) struct MediaOptions {
    /// Video payload bits per second of each source
    #[arg(long, default_value_t = 2_000_000)]
    bitrate: u64,
    /// Video frames a second
    #[arg(long, default_value_t = 25.0)]
    fps: f64,
    /// The packets of a frame leave at once; this is how it is unless --paced
    #[arg(long, conflicts_with = "paced")]
    bursts: bool,
    /// Share of the time between frames over which the packets of a frame leave, 0..1
    #[arg(long, value_name = "SHARE")]
    paced: Option<f64>,
    /// Send video only
    #[arg(long, conflicts_with = "no_video")]
    no_audio: bool,
    /// Send audio only
    #[arg(long, visible_alias = "audio-only")]
    no_video: bool,
    /// The SRTP profile every peer offers; the server chooses if left out
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// Receivers only count, and open a sample, all but one in 50: many more fit a core
    #[arg(long)]
    light: bool,
    /// Play VP8 from this .ivf file instead of synthetic video; delays are not measured then
    #[arg(long, value_name = "FILE")]
    video_file: Option<PathBuf>,
    /// Play Opus from this .ogg file instead of synthetic audio
    #[arg(long, value_name = "FILE")]
    audio_file: Option<PathBuf>,
    /// Connect everybody and send nothing
    #[arg(long)]
    silent: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Profile {
    /// AEAD_AES_128_GCM
    Gcm,
    /// AES_CM_128_HMAC_SHA1_80
    Cm,
}

impl MediaOptions {
    /// # Errors
    /// When a file cannot be played.
    pub(crate) fn media(&self) -> Result<Media, ScenarioError> {
        let clip = |file: &Option<PathBuf>| {
            file.as_deref().map(Clip::read).transpose().map(|clip| clip.map(Arc::new))
        };
        Ok(Media {
            audio: !self.no_audio,
            video: !self.no_video,
            rate_bps: self.bitrate,
            frame_interval: Duration::from_secs_f64(1.0 / self.fps.clamp(1.0, 1000.0)),
            paced: self.paced.filter(|_| !self.bursts).unwrap_or_default(),
            srtp: match self.profile {
                None => Srtp::Any,
                Some(Profile::Gcm) => Srtp::Gcm,
                Some(Profile::Cm) => Srtp::Cm,
            },
            light: self.light,
            video_clip: clip(&self.video_file)?,
            audio_clip: clip(&self.audio_file)?,
            silent: self.silent,
        })
    }
}

/// Prints the report and writes its JSON to `file`, or prints that alone if it is `-`.
pub(crate) fn tell(file: Option<&Path>, report: &impl Display, json: Value) -> io::Result<()> {
    match file {
        Some(file) if file.as_os_str() == "-" => println!("{json:#}"),
        Some(file) => {
            std::fs::write(file, format!("{json:#}\n"))?;
            println!("{report}");
        }
        None => println!("{report}"),
    }
    Ok(())
}

/// What is done with the figures.
#[derive(Args)]
pub(crate) struct ReportOptions {
    /// Write the figures as one JSON object to this file as well; `-` prints them instead
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Write histograms of delays in the log format of HdrHistogram to this file
    #[arg(long)]
    hlog: Option<PathBuf>,
    /// Write a page with figures and plots to this file
    #[arg(long)]
    html: Option<PathBuf>,
    /// Largest share of packets that may be lost, 0..1
    #[arg(long)]
    max_loss: Option<f64>,
    /// Largest 99th percentile of latency in milliseconds
    #[arg(long)]
    max_p99_ms: Option<u64>,
    /// Largest CPU time of the server per delivered packet in microseconds
    #[arg(long)]
    max_cpu_us: Option<f64>,
    /// Smallest idle share of the generator, 0..1; a busy generator measures itself
    #[arg(long)]
    min_idle: Option<f64>,
}

impl ReportOptions {
    /// The same with this bound for loss, if there is none.
    pub(crate) fn with_loss(mut self, most: f64) -> Self {
        self.max_loss.get_or_insert(most);
        self
    }

    /// Writes and prints the report; the exit status says whether every bound was kept.
    pub(crate) fn tell(&self, report: &Report) -> Result<ExitCode, ScenarioError> {
        tell(self.json.as_deref(), report, report.to_json())?;
        self.check(report)
    }

    /// The same without the first of the two: logs, page and bounds.
    pub(crate) fn check(&self, report: &Report) -> Result<ExitCode, ScenarioError> {
        if let Some(file) = &self.hlog {
            let start = SystemTime::now() - report.elapsed;
            hlog::write(report, start, &mut std::fs::File::create(file)?)?;
        }
        if let Some(file) = &self.html {
            let side = Side { name: "server".to_owned(), reports: vec![report.to_json()] };
            std::fs::write(file, page(&[side]))?;
        }
        let failures = report.failures(&Thresholds {
            loss: self.max_loss,
            p99: self.max_p99_ms.map(Duration::from_millis),
            cpu_us: self.max_cpu_us,
            idle: self.min_idle,
        });
        failures.iter().for_each(|failure| eprintln!("bifrons-loadtest: {failure}"));
        Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A bad network.
#[derive(Args)]
pub(crate) struct NetworkOptions {
    /// Share of packets lost, 0..1
    #[arg(long, default_value_t = 0.05)]
    lose: f64,
    /// Share of packets that come twice, 0..1
    #[arg(long, default_value_t = 0.01)]
    duplicate: f64,
    /// Share of packets that later ones overtake, 0..1
    #[arg(long, default_value_t = 0.02)]
    reorder: f64,
    /// How late everything comes, in milliseconds
    #[arg(long, default_value_t = 20)]
    delay_ms: u64,
    /// How much later what is overtaken comes, in milliseconds
    #[arg(long, default_value_t = 15)]
    jitter_ms: u64,
    /// The start of its chances; a run with the same one is as unlucky
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The ways that are bad
    #[arg(long, value_enum, default_value = "both")]
    ways: Ways,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ways {
    /// From publishers to the server
    Up,
    /// From the server to subscribers
    Down,
    /// Both
    Both,
}

impl NetworkOptions {
    /// The ways up and down.
    pub(crate) fn ways(&self) -> [Option<Impairment>; 2] {
        let way = |seed| Impairment {
            loss: self.lose,
            duplicate: self.duplicate,
            reorder: self.reorder,
            delay: Duration::from_millis(self.delay_ms),
            jitter: Duration::from_millis(self.jitter_ms),
            seed,
        };
        let up = (self.ways != Ways::Down).then(|| way(self.seed));
        [up, (self.ways != Ways::Up).then(|| way(self.seed.wrapping_add(1 << 32)))]
    }
}
