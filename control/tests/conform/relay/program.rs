//! The program with a configuration of its own, and a web server for it to ask.

use crate::client::Ws;
use crate::mute;
use crate::target::variable;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// The address media go over: the one that leads out.
pub(super) fn local_ip() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("binds");
    let way = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    way.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

/// Ports that were free a moment ago, of TCP and of UDP.
pub(super) fn free_ports() -> (u16, u16) {
    let tcp = TcpListener::bind("0.0.0.0:0").and_then(|socket| socket.local_addr());
    let udp = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.local_addr());
    (tcp.expect("a port").port(), udp.expect("a port").port())
}

/// A file of the certificate for `localhost` and 127.0.0.1.
pub(super) fn certificate(name: &str) -> String {
    format!("{}/tests/conform/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A folder that nobody else uses.
pub(super) fn folder(what: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("bifrons-{what}-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Ends with the test.
pub(super) struct Program {
    child: Option<Child>,
    folder: PathBuf,
    ws: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Gone already, or not: either way nothing is left to do.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            eprintln!("the program said:\n{log}");
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Program {
    pub(super) async fn start(nat: &str) -> Self {
        let folder = folder("relay");
        if variable("BIFRONS_CONFORM_MUTE").is_some() {
            let (ws, _) = mute::start().await;
            return Program { child: None, folder, ws: format!("127.0.0.1:{ws}") };
        }
        let (ws, rtp) = free_ports();
        let file = |name: &str, text: String| {
            std::fs::write(folder.join(format!("{name}.jcfg")), text).expect("written");
        };
        let (ip, range) = (local_ip(), format!("{rtp}-{}", rtp.saturating_add(8)));
        let media = format!("media: {{ rtp_port_range = \"{range}\" }}");
        file("janus", format!("{media} nat: {{ ice_enforce_list = \"{ip}\" {nat} }}"));
        let off = "admin: { }";
        let websockets = format!("general: {{ ws = true; ws_port = {ws} }} {off}");
        file("janus.transport.websockets", websockets);
        file("janus.transport.http", format!("general: {{ http = false }} {off}"));
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_bifrons"))
            .arg("-F")
            .arg(&folder)
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .stdin(Stdio::null())
            .env("SSL_CERT_FILE", certificate("cert.pem"))
            .spawn()
            .expect("the program starts");
        Program { child: Some(child), folder, ws: format!("127.0.0.1:{ws}") }
    }

    /// A WebSocket, once the program is there.
    pub(super) async fn ws(&self) -> Ws {
        for _ in 0..400 {
            let protocol = [("Sec-WebSocket-Protocol", "janus-protocol")];
            if let Ok(ws) = Ws::connect(&self.ws, "/", &protocol).await {
                return ws;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("the server does not come up: {log}");
    }
}

/// A web server that answers everything alike and tells what it was asked.
pub(super) struct Backend {
    pub(super) url: String,
    heard: mpsc::UnboundedReceiver<String>,
}

impl Backend {
    pub(super) async fn start(status: u16, body: String) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (tell, heard) = mpsc::unbounded_channel();
        tokio::task::spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !is_whole(&request) {
                    let mut buffer = [0; 2048];
                    match stream.read(&mut buffer).await {
                        Ok(0) | Err(_) => break,
                        Ok(got) => request.extend_from_slice(&buffer[..got]),
                    }
                }
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                let _ = tell.send(String::from_utf8_lossy(&request).into_owned());
            }
        });
        Backend { url, heard }
    }

    /// The next request.
    pub(super) async fn heard(&mut self) -> String {
        self.heard.recv().await.expect("the server runs")
    }
}

/// Whether head and announced body are there.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    body.len() >= length
}
