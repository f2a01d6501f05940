//! The command line: every option of Janus under its own names (reference: transports-auth §14).
//!
//! What is given here beats the file, what is in the file beats the default. There is no option for
//! the admin secret, as there is none in Janus.

use std::ffi::OsString;
use std::net::IpAddr;
use std::str::FromStr;

use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};

use super::section::Word;
use super::settings::{PortRange, RotateSignal, Settings};

/// What was given on the command line; `None` and `false` mean "not given".
#[derive(Debug, Clone, Default, PartialEq, Parser)]
#[command(
    name = "bifrons",
    version,
    about = "WebRTC SFU appliance that speaks the Janus API",
    args_override_self = true
)]
pub struct CommandLine {
    /// Run in the background
    #[arg(short = 'b', long = "daemon")]
    pub daemon: bool,
    /// File to write the process id to, locked while the server runs
    #[arg(short = 'p', long, value_name = "PATH")]
    pub pid_file: Option<String>,
    /// Do not log to standard output
    #[arg(short = 'N', long)]
    pub disable_stdout: bool,
    /// Log to standard output even in the background
    #[arg(long)]
    pub log_stdout: bool,
    /// File to log to, appended to
    #[arg(short = 'L', long, value_name = "PATH")]
    pub log_file: Option<String>,
    /// Signal that reopens the log file: SIGUSR1 or SIGHUP
    #[arg(short = 'R', long, value_name = "NAME", value_parser = rotate_signal)]
    pub log_rotate_sig: Option<RotateSignal>,
    /// Refuse to start with a lower limit of open files than this
    #[arg(short = 'l', long = "check-openfiles-limits", value_name = "N")]
    pub check_openfiles_limit: Option<u64>,
    /// Working folder in the background (default /)
    #[arg(short = 'H', long, value_name = "PATH")]
    pub cwd_path: Option<String>,
    /// Address or interface to advertise in SDP
    #[arg(short = 'i', long, value_name = "IP")]
    pub interface: Option<String>,
    /// Accepted for compatibility: plugins are built in
    #[arg(short = 'P', long, value_name = "PATH")]
    pub plugins_folder: Option<String>,
    /// Configuration file to read instead of janus.jcfg of the folder
    #[arg(short = 'C', long, value_name = "FILE")]
    pub config: Option<String>,
    /// Folder of the configuration files
    #[arg(short = 'F', long, value_name = "PATH")]
    pub configs_folder: Option<String>,
    /// Certificate for DTLS (PEM)
    #[arg(short = 'c', long, value_name = "FILE")]
    pub cert_pem: Option<String>,
    /// Key of the certificate (PEM)
    #[arg(short = 'k', long, value_name = "FILE")]
    pub cert_key: Option<String>,
    /// Passphrase of the key
    #[arg(short = 'K', long, value_name = "TEXT")]
    pub cert_pwd: Option<String>,
    /// STUN server; without a port, 3478
    #[arg(short = 'S', long, value_name = "HOST[:PORT]")]
    pub stun_server: Option<HostPort>,
    /// Public addresses that stand in for ours in candidates
    #[arg(short = '1', long = "nat-1-1", value_name = "IPS", value_delimiter = ',')]
    pub nat_1_1: Vec<IpAddr>,
    /// Offer our own addresses besides the mapped ones
    #[arg(short = '2', long)]
    pub keep_private_host: bool,
    /// Interfaces or address prefixes to gather from, separated by commas
    #[arg(short = 'E', long, value_name = "LIST", value_delimiter = ',')]
    pub ice_enforce_list: Vec<String>,
    /// Interfaces or address prefixes not to gather from, separated by commas
    #[arg(short = 'X', long, value_name = "LIST", value_delimiter = ',')]
    pub ice_ignore_list: Vec<String>,
    /// Gather IPv6 candidates
    #[arg(short = '6', long)]
    pub ipv6_candidates: bool,
    /// Gather IPv6 link-local candidates
    #[arg(short = 'O', long)]
    pub ipv6_link_local: bool,
    /// Trickle our candidates instead of writing them into the SDP
    #[arg(short = 'f', long)]
    pub full_trickle: bool,
    /// ICE lite
    #[arg(short = 'I', long)]
    pub ice_lite: bool,
    /// Gather TCP candidates
    #[arg(short = 'T', long)]
    pub ice_tcp: bool,
    /// Least time that sent packets are kept for retransmission, in milliseconds
    #[arg(short = 'Q', long, value_name = "MS")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=60_000))]
    pub min_nack_queue: Option<u32>,
    /// Seconds without media before an event says so, 0 for never
    #[arg(short = 't', long, value_name = "S")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=86_400))]
    pub no_media_timer: Option<u32>,
    /// Lost packets a second that cause a slowlink event, 0 for none
    #[arg(short = 'W', long, value_name = "N")]
    pub slowlink_threshold: Option<u32>,
    /// UDP ports of PeerConnections; shard n takes the n-th
    #[arg(short = 'r', long, value_name = "MIN-MAX")]
    pub rtp_port_range: Option<PortRange>,
    /// Time between transport-wide feedback messages, in milliseconds
    #[arg(short = 'B', long, value_name = "MS")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub twcc_period: Option<u32>,
    /// Name of this server in info and events
    #[arg(short = 'n', long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Seconds of silence that end a session, 0 for never
    #[arg(short = 's', long, value_name = "S")]
    pub session_timeout: Option<u32>,
    /// Seconds a session survives its transport, 0 for none
    #[arg(short = 'm', long, value_name = "S")]
    pub reclaim_session_timeout: Option<u32>,
    /// 0 (nothing) to 7 (everything)
    #[arg(short = 'd', long, value_name = "LEVEL")]
    #[arg(value_parser = clap::value_parser!(u8).range(..=7))]
    pub debug_level: Option<u8>,
    /// Put time stamps on log lines
    #[arg(short = 'D', long)]
    pub debug_timestamps: bool,
    /// No colours in the log
    #[arg(short = 'o', long)]
    pub disable_colors: bool,
    /// Accepted for compatibility: there are no locks to log
    #[arg(short = 'M', long)]
    pub debug_locks: bool,
    /// Secret that Janus API requests need
    #[arg(short = 'a', long, value_name = "TEXT")]
    pub apisecret: Option<String>,
    /// Ask for tokens
    #[arg(short = 'A', long)]
    pub token_auth: bool,
    /// Secret of signed tokens
    #[arg(long, value_name = "TEXT")]
    pub token_auth_secret: Option<String>,
    /// Turn event handlers on
    #[arg(short = 'e', long)]
    pub event_handlers: bool,
    /// Send and take plain RTP: for debugging only
    #[arg(short = 'w', long, action = ArgAction::SetTrue)]
    pub no_webrtc_encryption: bool,
}

/// Why no command line came out of the arguments: the text to print and the code to exit with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Usage, version, or what was wrong with the arguments.
    pub text: String,
    /// 0 for `-h` and `-V`, 1 for a mistake.
    pub code: u8,
}

impl CommandLine {
    /// Reads the arguments, the first of which is the program's name.
    ///
    /// # Errors
    /// [`Exit`] with code 0 for `-h` and `-V`, with code 1 and the usage for unknown options and
    /// bad values.
    pub fn from_arguments<I, T>(arguments: I) -> Result<Self, Exit>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let read = Self::command().try_get_matches_from(arguments);
        read.and_then(|matches| Self::from_arg_matches(&matches)).map_err(|error| Exit {
            text: match error.use_stderr() {
                true => format!("{error}\n{}", Self::command().render_help()),
                false => error.to_string(),
            },
            code: u8::from(error.use_stderr()),
        })
    }

    /// Puts what was given over what the file says.
    pub fn apply(&self, settings: &mut Settings) {
        self.apply_process(settings);
        self.apply_sessions(settings);
        self.apply_media(settings);
        self.apply_nat(settings);
    }

    fn apply_process(&self, settings: &mut Settings) {
        let general = &mut settings.general;
        general.daemonize |= self.daemon;
        give(&self.cwd_path, &mut general.daemon_folder);
        give_some(&self.pid_file, &mut general.pid_file);
        general.log_to_stdout &= !self.disable_stdout;
        if general.daemonize && !self.log_stdout {
            general.log_to_stdout = false;
        }
        give_some(&self.log_file, &mut general.log_to_file);
        give(&self.log_rotate_sig, &mut general.log_rotate_sig);
        give_some(&self.check_openfiles_limit, &mut general.check_openfiles_limit);
        give_some(&self.plugins_folder, &mut general.plugins_folder);
        give(&self.configs_folder, &mut general.configs_folder);
        give(&self.debug_level, &mut general.debug_level);
        general.debug_timestamps |= self.debug_timestamps;
        general.debug_colors &= !self.disable_colors;
        general.debug_locks |= self.debug_locks;
        let certificates = &mut settings.certificates;
        give_some(&self.cert_pem, &mut certificates.cert_pem);
        give_some(&self.cert_key, &mut certificates.cert_key);
        give_some(&self.cert_pwd, &mut certificates.cert_pwd);
    }

    fn apply_sessions(&self, settings: &mut Settings) {
        let general = &mut settings.general;
        give_some(&self.interface, &mut general.interface);
        give(&self.server_name, &mut general.server_name);
        give(&self.session_timeout, &mut general.session_timeout_s);
        give(&self.reclaim_session_timeout, &mut general.reclaim_session_timeout_s);
        give_some(&self.apisecret, &mut general.api_secret);
        general.token_auth |= self.token_auth;
        give_some(&self.token_auth_secret, &mut general.token_auth_secret);
        general.no_webrtc_encryption |= self.no_webrtc_encryption;
        settings.events.broadcast |= self.event_handlers;
    }

    fn apply_media(&self, settings: &mut Settings) {
        let media = &mut settings.media;
        media.ipv6 |= self.ipv6_candidates;
        media.ipv6_linklocal |= self.ipv6_link_local;
        give(&self.min_nack_queue, &mut media.min_nack_queue_ms);
        give(&self.no_media_timer, &mut media.no_media_timer_s);
        give(&self.slowlink_threshold, &mut media.slowlink_threshold);
        give_some(&self.rtp_port_range, &mut media.rtp_port_range);
        give(&self.twcc_period, &mut media.twcc_period_ms);
    }

    fn apply_nat(&self, settings: &mut Settings) {
        let nat = &mut settings.nat;
        if let Some(HostPort { host, port }) = &self.stun_server {
            nat.stun_server = Some(host.clone());
            nat.stun_port = port.unwrap_or(3478);
        }
        give_list(&self.nat_1_1, &mut nat.nat_1_1_mapping);
        nat.keep_private_host |= self.keep_private_host;
        give_list(&self.ice_enforce_list, &mut nat.ice_enforce_list);
        give_list(&self.ice_ignore_list, &mut nat.ice_ignore_list);
        nat.full_trickle |= self.full_trickle;
        nat.ice_lite |= self.ice_lite;
        nat.ice_tcp |= self.ice_tcp;
    }
}

fn give<T: Clone>(given: &Option<T>, into: &mut T) {
    if let Some(value) = given {
        value.clone_into(into);
    }
}

fn give_some<T: Clone>(given: &Option<T>, into: &mut Option<T>) {
    if given.is_some() {
        given.clone_into(into);
    }
}

fn give_list<T: Clone>(given: &[T], into: &mut Vec<T>) {
    if !given.is_empty() {
        *into = given.to_vec();
    }
}

fn rotate_signal(text: &str) -> Result<RotateSignal, &'static str> {
    RotateSignal::from_word(text).ok_or("expected SIGUSR1 or SIGHUP")
}

/// A host and perhaps a port: `stun.example.org`, `192.0.2.1:3478`, `[2001:db8::1]:3478`,
/// `2001:db8::1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address, without brackets.
    pub host: String,
    /// Port, if one was given.
    pub port: Option<u16>,
}

impl FromStr for HostPort {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':').filter(|port| !port.is_empty())),
            None => match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let port = port.map(str::parse).transpose().map_err(|_| "expected a port after the `:`")?;
        match host {
            "" => Err("expected a host, and perhaps `:` and a port"),
            host => Ok(Self { host: host.to_owned(), port }),
        }
    }
}
