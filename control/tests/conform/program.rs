//! The program itself, with a configuration and ports of its own; ends with the test.

use bifrons_loadtest::janus::{Client, Session};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// See the module.
pub(crate) struct Program {
    child: Child,
    folder: PathBuf,
    ws: u16,
}

impl Drop for Program {
    fn drop(&mut self) {
        // Gone already, or not: either way nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The address media go over: the one that leads out. Loopback is no candidate.
pub(crate) fn local_ip() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("binds");
    let way = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    way.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

/// Ports that were free a moment ago.
fn free_ports() -> (u16, u16) {
    let tcp = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let udp = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.local_addr());
    (tcp.expect("a port").port(), udp.expect("a port").port())
}

fn spawn(folder: &Path, environment: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_bifrons"))
        .arg("-F")
        .arg(folder)
        .envs(environment.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

impl Program {
    /// Starts it with WebSockets only, and with more sections in its `janus.jcfg`.
    pub(crate) fn start(more: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_with(more, environment, &[])
    }

    /// As [`Program::start`], with more files in its folder, by their packages.
    pub(crate) fn start_with(
        more: &str,
        environment: &[(&str, &str)],
        files: &[(&str, String)],
    ) -> Self {
        Self::launch(more, "general: { http = false }", environment, files)
    }

    /// As [`Program::start`], with HTTPS of this certificate.
    #[allow(dead_code, reason = "of the two test programs one has no use for it")]
    pub(crate) fn start_secured(more: &str, certificates: &str) -> Self {
        let port = free_ports().0;
        let http = format!("general: {{ http = false https = true secure_port = {port} }}");
        Self::launch(more, &format!("{http} {certificates}"), &[], &[])
    }

    fn launch(
        more: &str,
        http: &str,
        environment: &[(&str, &str)],
        files: &[(&str, String)],
    ) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bifrons-conform-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let (ws, rtp) = free_ports();
        let file = |name: &str, text: String| {
            std::fs::write(folder.join(format!("{name}.jcfg")), text).expect("written");
        };
        let (ip, last) = (local_ip(), rtp.saturating_add(8));
        let media = format!("media: {{ rtp_port_range = \"{rtp}-{last}\" }}");
        file("janus", format!("{media} nat: {{ ice_enforce_list = \"{ip}\" }} {more}"));
        let off = "admin: { }";
        file(
            "janus.transport.websockets",
            format!("general: {{ ws = true; ws_port = {ws} }} {off}"),
        );
        file("janus.transport.http", format!("{http} {off}"));
        for plugin in ["videoroom", "textroom", "streaming"] {
            file(&format!("janus.plugin.{plugin}"), "general: { }".to_owned());
        }
        files.iter().for_each(|(name, text)| file(name, text.clone()));
        let child = spawn(&folder, environment);
        Program { child, folder, ws }
    }

    /// Kills it, and starts it with what it has left on disk.
    #[allow(dead_code, reason = "of two test programs one needs it")]
    pub(crate) fn start_again(&mut self) {
        self.kill();
        self.revive();
    }

    /// Kills it, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it ends");
    }

    /// Starts it with what it has left on disk.
    pub(crate) fn revive(&mut self) {
        self.child = spawn(&self.folder, &[]);
    }

    /// Its configuration.
    #[allow(dead_code, reason = "of two test programs one needs it")]
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it serves WebSockets.
    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.ws)
    }

    /// Its process.
    #[allow(dead_code, reason = "of two test programs one needs it")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, `TERM` say.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success(), "SIG{name} is not sent");
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self, patience: Duration) -> ExitStatus {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(patience, ended).await.expect("it ends in time")
    }
}

/// A session, once the server is there.
pub(crate) async fn session(url: &str, patience: Duration) -> Session {
    for _ in 0..200 {
        if let Ok(client) = Client::connect(url).await {
            return client.with_patience(patience).create().await.expect("a session");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server does not come up");
}
