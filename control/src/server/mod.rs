//! The process: from the command line to the last close alert.
//!
//! Start: command line and files, log, process matters (`process`), local addresses
//! (`network`), datapath, negotiation, plugins, transports (`doors`). Anything that cannot be
//! had ends the start with one sentence and exit code 1 (transports-auth §14). Then one loop on the
//! control thread; everything that may wait runs elsewhere and comes back as a message.

mod doors;
mod errands;
mod message_doors;
mod network;
mod process;
mod relays;
mod run;
mod services;

use crate::admin::{Admin, AdminSettings};
use crate::auth::Authority;
use crate::capture::Captures;
use crate::dispatch::{Core, CoreSettings, ModuleKind, Parts, ServerFacts};
use crate::log;
use crate::negotiation::{Negotiation, Random, RingShards};
use crate::service::relay::RelayThread;
use crate::transport::{Front, PassedSockets, moment};
use bifrons_core::config::settings::RotateSignal;
use bifrons_core::config::{CommandLine, Configuration, JsonLogSettings, Settings};
use bifrons_core::plugin::Plugin;
use bifrons_datapath::inherited;
use bifrons_datapath::start::Datapath;
use network::Network;
use ring::rand::{SecureRandom, SystemRandom};
use run::Upkeep;
use sd_notify::NotifyState;
use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::SignalKind;

/// Why a start ended: a sentence for the operator.
type Refusal = String;

/// Runs the server as the command line says, until it is told to stop.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Before anything else is opened.
    let passed = inherited::sockets();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let line = match CommandLine::from_arguments(arguments.iter()) {
        Ok(line) => line,
        Err(exit) => {
            if exit.code == 0 {
                print!("{}", exit.text);
            } else {
                eprint!("{}", exit.text);
            }
            return ExitCode::from(exit.code);
        }
    };
    let mut configuration = match Configuration::load(&line, &mut |path: &Path| std::fs::read(path))
    {
        Ok(configuration) => configuration,
        Err(diagnostics) => {
            diagnostics.iter().for_each(|found| eprintln!("bifrons: {found}"));
            return ExitCode::FAILURE;
        }
    };
    match start(&mut configuration, &arguments, passed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bifrons: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn start(
    configuration: &mut Configuration,
    arguments: &[OsString],
    passed: io::Result<Vec<OwnedFd>>,
) -> Result<(), Refusal> {
    let general = &configuration.settings.general;
    if process::goes_to_background(general, arguments)? {
        return Ok(());
    }
    log::start(general)?;
    open_json_log(configuration);
    let general = &configuration.settings.general;
    process::check_limits(general)?;
    let _locked = process::write_pid_file(general)?;
    for found in &configuration.diagnostics {
        tracing::warn!("{found}");
    }
    if configuration.is_embedded {
        tracing::warn!("no configuration found: running as the samples say");
    }
    name_what_is_missing(&configuration.settings);
    let passed = passed.map_err(|error| format!("the sockets of LISTEN_FDS: {error}"))?;
    let passed = PassedSockets::new(passed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the control thread's runtime cannot be made: {error}"))?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, assemble_and_run(configuration, passed))
}

/// The log as JSON, if that is switched on. Without its file the server runs all the same.
fn open_json_log(configuration: &mut Configuration) {
    if configuration.settings.loggers.is_disabled("jsonlog") {
        return;
    }
    let read = &mut |path: &Path| std::fs::read(path);
    let from: JsonLogSettings = configuration.of_package(log::JSON_PACKAGE, read);
    if !from.enabled {
        return;
    }
    if let Err(reason) = log::start_json(&from) {
        tracing::error!("JSON log left out: {reason}");
    }
}

/// Settings that an operator has to hear of.
fn name_what_is_missing(settings: &Settings) {
    if settings.general.no_webrtc_encryption {
        tracing::warn!(
            "no_webrtc_encryption: media are sent in the clear, and no browser takes part"
        );
    }
    if settings.nat.ice_tcp {
        tracing::warn!("ice_tcp: candidates over TCP are not built yet; only UDP is offered");
    }
}

async fn assemble_and_run(
    configuration: &mut Configuration,
    passed: PassedSockets,
) -> Result<(), Refusal> {
    let network = Network::discover(&configuration.settings)?;
    let turn_server = relays::turn_server(&configuration.settings.nat)?;
    let datapath = network.start_datapath(&configuration.settings)?;
    let datapath = Rc::new(RefCell::new(datapath));
    let relays = relays::start(&configuration.settings.nat, &datapath)?;
    let (relays, told) = relays.unzip();
    let server = Server { network: &network, datapath: &datapath, turn_server };
    let mut core = dispatcher(configuration, server, relays)?;
    if log::has_json() {
        core.list_module(ModuleKind::Loggers, &log::JSON_ABOUT);
    }
    let front = Front::new(core);
    if let Some(told) = told {
        relays::listen(&front, told);
    }
    front.set_hub(crate::event::open(configuration));
    let (services, told) = services::start(&datapath)?;
    services::listen(&front, told);
    front.set_errand_runner(Rc::new(errands::Errands::new(configuration, services).runner()));
    let captures = Captures::new(std::mem::take(&mut datapath.borrow_mut().taps));
    Admin::new(admin_settings(&configuration.settings), captures).attend(&front);
    let certificates = doors::open(&front, configuration, passed)?;
    refuse_tokens_without_admin(&front, &configuration.settings)?;
    let rotate = configuration.settings.general.log_rotate_sig;
    tracing::info!("up and running");
    process::tell_manager(&[NotifyState::Ready]);
    run::until_told_to_stop(&front, &datapath, &Upkeep { certificates, rotate }).await
}

/// Tokens that nobody could ever add let nobody in (transports-auth §9).
fn refuse_tokens_without_admin(front: &Front, settings: &Settings) -> Result<(), Refusal> {
    let general = &settings.general;
    let stored = general.token_auth && general.token_auth_secret.is_none();
    let admin = front.transports().iter().any(|transport| transport.serves_admin());
    if stored && !admin {
        return Err("token_auth without token_auth_secret needs tokens that are added over the \
                    Admin API, and no transport serves it: set admin_http, admin_ws or admin_enabled"
            .to_owned());
    }
    Ok(())
}

/// What stands before the dispatcher is made.
struct Server<'a> {
    network: &'a Network,
    datapath: &'a Rc<RefCell<Datapath>>,
    /// As `info` names it.
    turn_server: Option<String>,
}

/// The dispatcher with its negotiation and plugins.
fn dispatcher(
    configuration: &mut Configuration,
    server: Server<'_>,
    relays: Option<RelayThread>,
) -> Result<Core, Refusal> {
    let settings = &configuration.settings;
    let shards = RingShards::new(server.datapath.clone());
    let settled = server.network.negotiation(settings);
    let mut negotiation = Negotiation::new(settled, Box::new(shards), unpredictable()?);
    if let Some(relays) = relays {
        negotiation.set_relays(Box::new(relays));
    }
    let mut random = unpredictable()?;
    let general = &settings.general;
    let parts = Parts {
        settings: core_settings(settings),
        authority: Authority::new(
            general.api_secret.clone(),
            general.token_auth,
            general.token_auth_secret.clone(),
        ),
        facts: facts(configuration, &server),
        negotiator: Box::new(negotiation),
        random: Box::new(move || {
            let mut word = [0; 8];
            random(&mut word);
            u64::from_be_bytes(word)
        }),
        now: moment(),
    };
    let mut core = Core::new(parts);
    for (name, plugin) in plugins() {
        load_plugin(&mut core, configuration, name, plugin);
    }
    Ok(core)
}

/// Every plugin of the program, with the name that the `disable` list knows it by.
fn plugins() -> Vec<(&'static str, Box<dyn Plugin>)> {
    vec![
        ("echotest", Box::new(bifrons_echotest::EchoTest::default())),
        ("streaming", Box::new(bifrons_streaming::Streaming::default())),
        ("textroom", Box::new(bifrons_textroom::TextRoom::default())),
        ("videocall", Box::new(bifrons_videocall::VideoCall::default())),
        ("videoroom", Box::new(bifrons_videoroom::VideoRoom::default())),
    ]
}

/// A plugin that does not start is left out, and the log says so (plugin-api Part A).
fn load_plugin(
    core: &mut Core,
    configuration: &mut Configuration,
    name: &str,
    plugin: Box<dyn Plugin>,
) {
    let package = plugin.about().package;
    if configuration.settings.plugins.is_disabled(name) {
        return tracing::info!(package, "plugin is switched off");
    }
    let known = configuration.diagnostics.len();
    let tree = configuration.package(package, &mut |path: &Path| std::fs::read(path));
    for found in configuration.diagnostics.iter().skip(known) {
        tracing::warn!("{found}");
    }
    match core.add_plugin(moment(), plugin, Some(&tree)) {
        Ok(()) => tracing::info!(package, "plugin loaded"),
        Err(reason) => tracing::error!("plugin left out: {reason}"),
    }
}

/// The kernel's random numbers.
fn unpredictable() -> Result<Box<Random>, Refusal> {
    let source = SystemRandom::new();
    source.fill(&mut [0; 8]).map_err(|_| "the system gives no random numbers".to_owned())?;
    // It answered once; it does not stop answering while the system runs.
    Ok(Box::new(move |bytes| source.fill(bytes).expect("the system's random numbers")))
}

fn core_settings(settings: &Settings) -> CoreSettings {
    let seconds = |s: u32| Duration::from_secs(s.into());
    let general = &settings.general;
    CoreSettings {
        session_timeout: seconds(general.session_timeout_s),
        reclaim_timeout: seconds(general.reclaim_session_timeout_s),
        candidates_timeout: seconds(general.candidates_timeout_s),
        no_media_timer_s: settings.media.no_media_timer_s,
        slow_link_losses: settings.media.slowlink_threshold,
        opaque_id_in_api: general.opaqueid_in_api,
        events_enabled: settings.events.broadcast,
        stats_period: seconds(settings.events.stats_period_s),
        combine_media_stats: settings.events.combine_media_stats,
    }
}

fn admin_settings(settings: &Settings) -> AdminSettings {
    let general = &settings.general;
    AdminSettings {
        secret: general.admin_secret.clone(),
        log_rotate_signal: match general.log_rotate_sig {
            RotateSignal::None => 0,
            RotateSignal::Usr1 => SignalKind::user_defined1().as_raw_value(),
            RotateSignal::Hup => SignalKind::hangup().as_raw_value(),
        },
        locking_debug: general.debug_locks,
        protected_folders: general.protected_folders.clone(),
    }
}

fn facts(configuration: &Configuration, server: &Server<'_>) -> ServerFacts {
    let network = server.network;
    let shards = server.datapath.borrow().shards.len();
    let settings = &configuration.settings;
    let (general, media, nat) = (&settings.general, &settings.media, &settings.nat);
    ServerFacts {
        version_string: "1.4.2".to_owned(),
        log_to_stdout: general.log_to_stdout,
        log_path: general.log_to_file.clone(),
        server_name: general.server_name.clone(),
        local_ip: network.local_ip().to_string(),
        public_ips: network.public_ips().iter().map(ToString::to_string).collect(),
        stun_server: nat.stun_server.as_ref().map(|host| format!("{host}:{}", nat.stun_port)),
        turn_server: server.turn_server.clone(),
        allow_force_relay: nat.allow_force_relay,
        ipv6: media.ipv6,
        ipv6_link_local: media.ipv6_linklocal,
        ice_lite: nat.ice_lite,
        ice_consent_freshness: nat.ice_consent_freshness,
        ice_keepalive_conncheck: nat.ice_keepalive_conncheck,
        hangup_on_failed: nat.hangup_on_failed,
        full_trickle: nat.full_trickle,
        mdns_enabled: false,
        min_nack_queue_ms: media.min_nack_queue_ms,
        nack_optimizations: media.nack_optimizations,
        twcc_period_ms: media.twcc_period_ms,
        dscp: media.dscp,
        dtls_mtu: media.dtls_mtu_bytes.into(),
        static_event_loops: u32::try_from(shards).unwrap_or(0),
        srtp_kernel: bifrons_datapath::seal::Kernel::detect().name(),
        dependencies: (!general.hide_dependencies).then(serde_json::Map::new),
        webrtc_encryption: !general.no_webrtc_encryption,
        has_configs_folder: !configuration.is_embedded,
        ..ServerFacts::default()
    }
}
