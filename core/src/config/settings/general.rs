//! Sections `general` and `certificates` of `janus.jcfg` (reference: transports-auth §13).

use super::super::section::{Section, Word};

/// The signal that makes the server open its log file anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotateSignal {
    /// No signal.
    None,
    /// `SIGUSR1`.
    Usr1,
    /// `SIGHUP`.
    Hup,
}

impl Word for RotateSignal {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("SIGUSR1", Self::Usr1), ("SIGHUP", Self::Hup)];
}

/// Folders, logging, sessions, authentication.
#[derive(Debug, Clone, PartialEq)]
pub struct General {
    /// Where the other configuration files are.
    pub configs_folder: String,
    /// Accepted for Janus's sake: plugins are linked in.
    pub plugins_folder: Option<String>,
    /// Accepted for Janus's sake: transports are linked in.
    pub transports_folder: Option<String>,
    /// Accepted for Janus's sake: event handlers are linked in.
    pub events_folder: Option<String>,
    /// Accepted for Janus's sake: loggers are linked in.
    pub loggers_folder: Option<String>,
    /// Log to standard output.
    pub log_to_stdout: bool,
    /// Log file, appended to.
    pub log_to_file: Option<String>,
    /// Signal that reopens the log file.
    pub log_rotate_sig: RotateSignal,
    /// Text before each log line.
    pub log_prefix: Option<String>,
    /// 0 (nothing) to 7 (everything).
    pub debug_level: u8,
    /// Time stamps on log lines.
    pub debug_timestamps: bool,
    /// Colours on a terminal.
    pub debug_colors: bool,
    /// Accepted for Janus's sake: there are no locks to log.
    pub debug_locks: bool,
    /// Run in the background.
    pub daemonize: bool,
    /// Working folder of the daemon; command line only (`-H`).
    pub daemon_folder: String,
    /// File with the process id, locked while the server runs.
    pub pid_file: Option<String>,
    /// Least soft limit of open files the server starts with.
    pub check_openfiles_limit: Option<u64>,
    /// Address or interface advertised in SDP and as `local-ip`; none: found at start.
    pub interface: Option<String>,
    /// Name in `info` and in events.
    pub server_name: String,
    /// Seconds of silence that end a session; 0: never.
    pub session_timeout_s: u32,
    /// Seconds that remote candidates are kept waiting for their offer or answer.
    pub candidates_timeout_s: u32,
    /// Seconds a session survives its transport; 0: not at all.
    pub reclaim_session_timeout_s: u32,
    /// Secret of the Janus API.
    pub api_secret: Option<String>,
    /// Ask for tokens.
    pub token_auth: bool,
    /// Secret of signed tokens; with it, no tokens are stored.
    pub token_auth_secret: Option<String>,
    /// Secret of the Admin API.
    pub admin_secret: Option<String>,
    /// Suffix of a recording while it is written.
    pub recordings_tmp_ext: Option<String>,
    /// Janus's count of event loops. Shards are set by `datapath.shards`; a value above 0 sets
    /// them too when that key is absent (see [`super::Settings::shards`]).
    pub event_loops: u16,
    /// Honour `loop_index` of an `attach` request, as the index of a shard.
    pub allow_loop_indication: bool,
    /// Accepted for Janus's sake: requests are not handled by a pool.
    pub task_pool_size: u32,
    /// Add `opaque_id` to messages of a handle.
    pub opaqueid_in_api: bool,
    /// Leave `dependencies` out of `info`.
    pub hide_dependencies: bool,
    /// End the start when a module cannot be started.
    pub exit_on_dl_error: bool,
    /// Send and take plain RTP. For debugging only.
    pub no_webrtc_encryption: bool,
    /// Folders below which nothing is recorded or captured.
    pub protected_folders: Vec<String>,
}

impl Default for General {
    fn default() -> Self {
        Self {
            configs_folder: "/etc/janus".to_owned(),
            plugins_folder: None,
            transports_folder: None,
            events_folder: None,
            loggers_folder: None,
            log_to_stdout: true,
            log_to_file: None,
            log_rotate_sig: RotateSignal::None,
            log_prefix: None,
            debug_level: 4,
            debug_timestamps: false,
            debug_colors: true,
            debug_locks: false,
            daemonize: false,
            daemon_folder: "/".to_owned(),
            pid_file: None,
            check_openfiles_limit: None,
            interface: None,
            server_name: "MyJanusInstance".to_owned(),
            session_timeout_s: 60,
            candidates_timeout_s: 45,
            reclaim_session_timeout_s: 0,
            api_secret: None,
            token_auth: false,
            token_auth_secret: None,
            admin_secret: None,
            recordings_tmp_ext: None,
            event_loops: 0,
            allow_loop_indication: false,
            task_pool_size: 0,
            opaqueid_in_api: false,
            hide_dependencies: false,
            exit_on_dl_error: false,
            no_webrtc_encryption: false,
            protected_folders: Vec::new(),
        }
    }
}

impl General {
    pub(super) fn read(&mut self, section: &mut Section<'_>) {
        self.read_process(section);
        self.read_sessions(section);
        section.text_option("recordings_tmp_ext", &mut self.recordings_tmp_ext);
        section.number("event_loops", &mut self.event_loops, 0..=256, "");
        section.flag("allow_loop_indication", &mut self.allow_loop_indication);
        section.number("task_pool_size", &mut self.task_pool_size, 0..=u32::MAX, "");
        section.flag("opaqueid_in_api", &mut self.opaqueid_in_api);
        section.flag("hide_dependencies", &mut self.hide_dependencies);
        section.flag("exit_on_dl_error", &mut self.exit_on_dl_error);
        section.flag("no_webrtc_encryption", &mut self.no_webrtc_encryption);
        section.words("protected_folders", &mut self.protected_folders);
    }

    fn read_process(&mut self, section: &mut Section<'_>) {
        section.text("configs_folder", &mut self.configs_folder);
        section.text_option("plugins_folder", &mut self.plugins_folder);
        section.text_option("transports_folder", &mut self.transports_folder);
        section.text_option("events_folder", &mut self.events_folder);
        section.text_option("loggers_folder", &mut self.loggers_folder);
        section.flag("log_to_stdout", &mut self.log_to_stdout);
        section.text_option("log_to_file", &mut self.log_to_file);
        section.word("log_rotate_sig", &mut self.log_rotate_sig);
        section.text_option("log_prefix", &mut self.log_prefix);
        section.number("debug_level", &mut self.debug_level, 0..=7, "");
        section.flag("debug_timestamps", &mut self.debug_timestamps);
        section.flag("debug_colors", &mut self.debug_colors);
        section.flag("debug_locks", &mut self.debug_locks);
        section.flag("daemonize", &mut self.daemonize);
        section.text_option("pid_file", &mut self.pid_file);
        let limit = &mut self.check_openfiles_limit;
        section.number_option("check_openfiles_limit", limit, 0..=u64::MAX, "open files");
    }

    fn read_sessions(&mut self, section: &mut Section<'_>) {
        section.text_option("interface", &mut self.interface);
        section.text("server_name", &mut self.server_name);
        let timeout = &mut self.session_timeout_s;
        section.number("session_timeout", timeout, 0..=u32::MAX, "seconds");
        let timeout = &mut self.candidates_timeout_s;
        section.number("candidates_timeout", timeout, 1..=u32::MAX, "seconds");
        let timeout = &mut self.reclaim_session_timeout_s;
        section.number("reclaim_session_timeout", timeout, 0..=u32::MAX, "seconds");
        section.text_option("api_secret", &mut self.api_secret);
        section.flag("token_auth", &mut self.token_auth);
        section.text_option("token_auth_secret", &mut self.token_auth_secret);
        section.text_option("admin_secret", &mut self.admin_secret);
    }
}

/// The certificate of DTLS.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificates {
    /// Certificate file (PEM); none: one is made at start, self-signed.
    pub cert_pem: Option<String>,
    /// Key file (PEM).
    pub cert_key: Option<String>,
    /// Passphrase of the key.
    pub cert_pwd: Option<String>,
    /// Accept self-signed certificates of peers, as every browser has.
    pub dtls_accept_selfsigned: bool,
    /// Cipher list in the library's notation; none: the built-in one.
    pub dtls_ciphers: Option<String>,
    /// Make an RSA-2048 key for the certificate instead of ECDSA P-256.
    pub rsa_private_key: bool,
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            cert_pem: None,
            cert_key: None,
            cert_pwd: None,
            dtls_accept_selfsigned: true,
            dtls_ciphers: None,
            rsa_private_key: false,
        }
    }
}

impl Certificates {
    pub(super) fn read(&mut self, section: &mut Section<'_>) {
        section.text_option("cert_pem", &mut self.cert_pem);
        section.text_option("cert_key", &mut self.cert_key);
        section.text_option("cert_pwd", &mut self.cert_pwd);
        section.flag("dtls_accept_selfsigned", &mut self.dtls_accept_selfsigned);
        section.text_option("dtls_ciphers", &mut self.dtls_ciphers);
        section.flag("rsa_private_key", &mut self.rsa_private_key);
        if self.cert_pem.is_some() != self.cert_key.is_some() {
            section.warn("cert_pem", "`cert_pem` is of no use without `cert_key`");
            section.warn("cert_key", "`cert_key` is of no use without `cert_pem`");
        }
    }
}
