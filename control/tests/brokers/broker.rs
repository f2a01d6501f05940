//! Brokers of Debian's, started for a test.

use crate::server::Folder;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Programs that end with us: a shell starts them in a process group of their own and ends the
/// group when its standard input does, which it does with this process, however that ends. A folder
/// that nobody else removes goes then too.
pub(crate) struct Guarded {
    shell: Child,
    input: Option<ChildStdin>,
}

impl Guarded {
    /// Starts the programs of a shell script, each with `&` at its end.
    pub(crate) fn start(
        script: &str,
        environment: &[(&str, String)],
        log: &Path,
        folder: Option<&Path>,
    ) -> Self {
        let tidy = folder.map_or(String::new(), |folder| {
            format!("trap '' TERM; kill -TERM 0; sleep 1; rm -rf {};", folder.display())
        });
        let log = std::fs::File::create(log).expect("a log");
        let mut shell = Command::new("sh")
            .args(["-c", &format!("{script}\ncat > /dev/null; {tidy} kill -KILL 0")])
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("the log twice"))
            .stderr(log)
            .spawn()
            .expect("a shell");
        let input = shell.stdin.take();
        Guarded { shell, input }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.shell.wait();
    }
}

/// A file of the brokers' own certificate: it is for localhost and 127.0.0.1.
pub(crate) fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conform/tls").join(name)
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn await_port(port: u16, limit: Duration, log: &Path) {
    let deadline = Instant::now() + limit;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            panic!("nothing listens on port {port}; is the broker installed? {log}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A Mosquitto on a port of its own. What it keeps is lost when it is killed.
pub(crate) struct Mosquitto {
    folder: Folder,
    pub(crate) port: u16,
    /// With TLS, on all addresses.
    pub(crate) secure_port: u16,
    running: Option<Guarded>,
}

impl Mosquitto {
    pub(crate) fn start() -> Self {
        let mut mosquitto = Mosquitto::absent();
        mosquitto.revive();
        mosquitto
    }

    /// One that does not run yet.
    pub(crate) fn absent() -> Self {
        let (folder, port, secure_port) = (Folder::new(), free_port(), free_port());
        Mosquitto { folder, port, secure_port, running: None }
    }

    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    pub(crate) fn revive(&mut self) {
        let conf = self.folder.path("mosquitto.conf");
        let (certificate, key) = (certificate("cert.pem"), certificate("key.pem"));
        let text = format!(
            "user root\nallow_anonymous true\nmax_queued_messages 0\n\
             listener {} 127.0.0.1\nlistener {}\ncertfile {}\nkeyfile {}\n",
            self.port,
            self.secure_port,
            certificate.display(),
            key.display(),
        );
        std::fs::write(&conf, text).expect("written");
        let log = self.folder.path("mosquitto.log");
        let path = "PATH=$PATH:/usr/sbin";
        let script = format!("{path}; mosquitto -c {} &", conf.display());
        self.running = Some(Guarded::start(&script, &[], &log, None));
        await_port(self.port, Duration::from_secs(20), &log);
    }
}

/// A RabbitMQ with a node name, ports, folders and name service of its own.
pub(crate) struct Rabbit {
    folder: Folder,
    pub(crate) port: u16,
    secure_port: u16,
    names: u16,
    distribution: u16,
    /// Nobody drops what is static: then its folder goes with its processes.
    ends_with_us: bool,
    running: Option<Guarded>,
}

impl Rabbit {
    /// The one that tests share: it takes some seconds to start. It ends with the process.
    pub(crate) fn shared() -> u16 {
        Self::shared_ports().0
    }

    /// Its ports, without TLS and with.
    pub(crate) fn shared_ports() -> (u16, u16) {
        static SHARED: OnceLock<Mutex<Rabbit>> = OnceLock::new();
        let shared: MutexGuard<'_, Rabbit> = SHARED
            .get_or_init(|| Mutex::new(Rabbit::start(true)))
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (shared.port, shared.secure_port)
    }

    /// One of its own for a test that kills it, or the one that ends with the process.
    pub(crate) fn start(ends_with_us: bool) -> Self {
        let mut rabbit = Rabbit {
            folder: Folder::new(),
            port: free_port(),
            secure_port: free_port(),
            names: free_port(),
            distribution: free_port(),
            ends_with_us,
            running: None,
        };
        std::fs::write(rabbit.folder.path("plugins"), "[].").expect("written");
        let (certificate, key) = (certificate("cert.pem"), certificate("key.pem"));
        let conf = format!(
            "listeners.ssl.default = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             ssl_options.verify = verify_none\nloopback_users = none\n",
            rabbit.secure_port,
            certificate.display(),
            key.display(),
        );
        std::fs::write(rabbit.folder.path("rabbitmq.conf"), conf).expect("written");
        rabbit.revive();
        rabbit
    }

    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    pub(crate) fn revive(&mut self) {
        let at = |name: &str| self.folder.path(name).display().to_string();
        let environment = [
            ("HOME", at("")),
            ("ERL_EPMD_PORT", self.names.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODENAME", format!("bifrons{}@localhost", self.port)),
            ("RABBITMQ_NODE_PORT", self.port.to_string()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_DIST_PORT", self.distribution.to_string()),
            ("RABBITMQ_MNESIA_BASE", at("mnesia")),
            ("RABBITMQ_LOG_BASE", at("log")),
            ("RABBITMQ_LOGS", "-".to_owned()),
            ("RABBITMQ_PID_FILE", at("pid")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins")),
            ("RABBITMQ_CONF_ENV_FILE", at("no-env.conf")),
            ("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf")),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none".to_owned()),
        ];
        let script = "PATH=$PATH:/usr/sbin; epmd & /usr/lib/rabbitmq/bin/rabbitmq-server &";
        let log = self.folder.path("rabbitmq.log");
        let folder = self.ends_with_us.then_some(self.folder.0.as_path());
        self.running = Some(Guarded::start(script, &environment, &log, folder));
        await_port(self.port, Duration::from_secs(120), &log);
    }
}
