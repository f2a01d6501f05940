//! The program started by a service manager: sockets that are open already, and what the manager is
//! told (sd_listen_fds(3), sd_notify(3)). The manager is systemd's own tool for trying that out.

use bifrons_loadtest::janus::Client;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TOOL: &str = "systemd-socket-activate";

/// The manager, and in its place the program once somebody has connected.
struct Managed {
    child: Child,
    folder: PathBuf,
}

impl Drop for Managed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("binds");
    socket.local_addr().expect("an address").port()
}

impl Managed {
    /// A folder with these files of the program's.
    fn folder(name: &str, files: &[(&str, String)]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("bifrons-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let udp = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.local_addr());
        let rtp = udp.expect("a port").port();
        let media = format!("media: {{ rtp_port_range = \"{rtp}-{}\" }}", rtp.saturating_add(8));
        let log = format!("general: {{ log_to_file = \"{}\" }}", folder.join("log").display());
        let core = [("janus", format!("{log} {media}"))];
        for (name, text) in core.iter().chain(files) {
            std::fs::write(folder.join(format!("{name}.jcfg")), text).expect("written");
        }
        folder
    }

    /// Has the tool listen as `how` says; the program comes with the first client.
    fn listen(folder: PathBuf, how: &[String], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(TOOL);
        command.args(how);
        for (name, value) in environment {
            command.arg(format!("--setenv={name}={value}"));
        }
        command.arg(env!("CARGO_BIN_EXE_bifrons")).arg("-F").arg(&folder);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Managed { child: child.expect("package systemd has the tool"), folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Asks it to stop, and waits until it has.
    fn stop(&mut self) {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill").success());
        for _ in 0..400 {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return assert_eq!(status.code(), Some(0));
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("it does not stop: {}", self.log());
    }
}

/// Tries until the tool listens.
fn until<R>(what: &str, mut attempt: impl FnMut() -> Option<R>) -> R {
    for _ in 0..400 {
        if let Some(done) = attempt() {
            return done;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("never: {what}");
}

fn ping_over_http(mut stream: impl Read + Write) -> Value {
    let request = "GET /janus/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    let body = &body[body.find('{').expect("JSON")..=body.rfind('}').expect("JSON")];
    serde_json::from_str(body).expect("JSON")
}

#[test]
fn streams_that_the_manager_opened_are_served_from_the_first_client_on() {
    let (http, ws, admin) = (free_port(), free_port(), free_port());
    let stray = free_port();
    let web = format!(
        "general: {{ http = true; port = {http} }} admin: {{ admin_http = true; \
         admin_port = {admin}; admin_ip = \"127.0.0.1\" }}"
    );
    let folder = Managed::folder(
        "activated",
        &[
            ("janus.transport.http", web),
            ("janus.transport.websockets", format!("general: {{ ws = true; ws_port = {ws} }}")),
        ],
    );
    let told = UnixDatagram::bind(folder.join("notify")).expect("binds");
    told.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    let how: Vec<String> = [http, ws, stray]
        .iter()
        .flat_map(|port| ["-l".to_owned(), format!("127.0.0.1:{port}")])
        .collect();
    let notify = folder.join("notify");
    let environment = [("NOTIFY_SOCKET", notify.to_str().expect("text"))];
    let mut managed = Managed::listen(folder, &how, &environment);
    // The very connection that starts the program is served by it.
    let first = until("a connection", || TcpStream::connect(("127.0.0.1", http)).ok());
    first.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    assert_eq!(ping_over_http(first)["janus"], "pong", "{}", managed.log());
    let hear = || {
        let mut bytes = [0; 256];
        let length = told.recv(&mut bytes).expect("news");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    assert!(hear().contains("READY=1"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let session = async {
        let client = Client::connect(&format!("ws://127.0.0.1:{ws}")).await.expect("connects");
        client.create().await.expect("a session");
    };
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), session);
    // Not passed: opened by the program itself.
    let admins = TcpStream::connect(("127.0.0.1", admin)).expect("connects");
    drop(admins);
    let log = managed.log();
    assert!(log.contains(&format!("127.0.0.1:{stray}")), "the one for nobody is named: {log}");
    let reload = Command::new("kill").args(["-s", "HUP", &managed.child.id().to_string()]).status();
    assert!(reload.expect("kill").success());
    let begun = hear();
    assert!(begun.contains("RELOADING=1") && begun.contains("MONOTONIC_USEC="), "{begun}");
    assert!(hear().contains("READY=1"));
    managed.stop();
    assert!(hear().contains("STOPPING=1"));
}

#[test]
fn unix_sockets_of_packets_are_the_janus_apis_and_then_the_admin_apis() {
    let off = "general: { http = false }".to_owned();
    let unix = "general: { enabled = true } admin: { admin_enabled = true }".to_owned();
    let folder = Managed::folder(
        "packets",
        &[
            ("janus.transport.http", off),
            ("janus.transport.websockets", "general: { ws = false }".to_owned()),
            ("janus.transport.pfunix", unix),
        ],
    );
    let paths = ["first", "second"].map(|name| folder.join(name));
    let how: Vec<String> = ["--seqpacket".to_owned()]
        .into_iter()
        .chain(paths.iter().flat_map(|path| ["-l".to_owned(), path.display().to_string()]))
        .collect();
    let mut managed = Managed::listen(folder, &how, &[]);
    let ask = |path: &Path, request: Value| {
        let client = until("a connection", || connect(path));
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
        client.send(request.to_string().as_bytes()).expect("sent");
        let mut answer = vec![0; 65_536];
        let length = client.recv(&mut answer).expect("an answer");
        serde_json::from_slice::<Value>(&answer[..length]).expect("JSON")
    };
    let create = json!({"janus": "create", "transaction": "c"});
    assert_eq!(ask(&paths[0], create)["janus"], "success", "{}", managed.log());
    let status = json!({"janus": "get_status", "transaction": "s"});
    assert!(ask(&paths[1], status.clone())["status"].is_object());
    assert_eq!(ask(&paths[0], status)["error"]["code"], 457, "no admin there");
    managed.stop();
    assert!(paths.iter().all(|path| path.exists()), "they are the manager's");
}

/// A client of packets. The standard library's datagram socket reads and writes them.
fn connect(path: &Path) -> Option<UnixDatagram> {
    use socket2::{Domain, SockAddr, Socket, Type};
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).ok()?;
    socket.connect(&SockAddr::unix(path).ok()?).ok()?;
    Some(OwnedFd::from(socket).into())
}
