//! What a configuration means to the program that reads it, seen in its `info`
//! (transports-auth §14).

use super::{bifrons, folder};
use crate::program::local_ip;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take from its start to its first answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program with files of its own, serving HTTP; ends with the test.
struct Served {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Drop for Served {
    fn drop(&mut self) {
        // Gone already, or not: either way nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    socket.expect("a port").port()
}

/// Every way of writing down what a server needs to be heard by HTTP, but for its core.
fn write_transports(folder: &Path, http: &str) {
    let websockets = "general: { ws = false } admin: { }";
    let files =
        [("janus.transport.http.jcfg", http), ("janus.transport.websockets.jcfg", websockets)];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("written");
    }
}

impl Served {
    /// `http` is what stands in `general` of the HTTP transport, with PORT for the port.
    fn start(name: &str, http: &str, core: &[(&str, &str)], arguments: &[&str]) -> Self {
        let (folder, port, ip) = (folder(name), free_port(), local_ip().to_string());
        let http = http.replace("PORT", &port.to_string());
        write_transports(&folder, &format!("general: {{ {http} }} admin: {{ }}"));
        for (file, text) in core {
            std::fs::write(folder.join(file), text).expect("written");
        }
        let media = free_port().clamp(20_000, 60_000);
        let child = Command::new(env!("CARGO_BIN_EXE_bifrons"))
            .args(["-d", "0", "-E", &ip, "-r", &format!("{media}-{}", media + 8), "-F"])
            .arg(&folder)
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        Served { child, folder, port }
    }

    /// What the server says of itself, once it does.
    fn info(&self) -> Value {
        let started = Instant::now();
        loop {
            match self.ask() {
                Some(info) => return info,
                None => assert!(started.elapsed() < PATIENCE, "nobody answers"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn ask(&self) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let request = "GET /janus/info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let body = answer.split_once("\r\n\r\n")?.1;
        serde_json::from_str(body).ok()
    }
}

#[test]
fn transports_auth_49_numbers_may_be_texts_and_truth_has_many_names() {
    let ways = ["http = true port = PORT", "http = \"yes\" port = \"PORT\""];
    let others = ["http = \"TRUE\" port = PORT", "http = \"1\" port = \"PORT\""];
    for (index, http) in ways.into_iter().chain(others).enumerate() {
        let served = Served::start(&format!("truth-{index}"), http, &[], &[]);
        assert_eq!(served.info()["janus"], "server_info", "{http}");
    }
    let folder = folder("untruth");
    for http in ["http = \"no\"", "http = \"2\"", "http = \"on\""] {
        write_transports(&folder, &format!("general: {{ {http} }} admin: {{ }}"));
        let output = bifrons(&["-d", "0", "-F", folder.to_str().expect("text")]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{http}: {said}");
        assert!(said.contains("no transport serves the Janus API"), "{http}: {said}");
    }
    let _ = std::fs::remove_dir_all(&folder);
}

const INI: (&str, &str) = ("janus.cfg", "[general]\nserver_name = by-ini\nsession_timeout = 77\n");

const JCFG: (&str, &str) =
    ("janus.jcfg", "general: { server_name = \"by-jcfg\" session_timeout = 66 }");

/// The name and the session timeout that a server started so has.
fn named(name: &str, core: &[(&str, &str)], arguments: &[&str]) -> (String, u64) {
    let served = Served::start(name, "http = true port = PORT", core, arguments);
    let info = served.info();
    let text = info["server-name"].as_str().unwrap_or_default().to_owned();
    (text, info["session-timeout"].as_u64().unwrap_or_default())
}

#[test]
fn transports_auth_50_an_ini_file_is_read_where_there_is_no_jcfg() {
    assert_eq!(named("ini-alone", &[INI], &[]), ("by-ini".to_owned(), 77));
    assert_eq!(named("ini-beside", &[INI, JCFG], &[]), ("by-jcfg".to_owned(), 66));
}

#[test]
fn transports_auth_51_the_command_line_beats_the_file() {
    let said = named("line", &[JCFG], &["--server-name", "by-line"]);
    assert_eq!(said, ("by-line".to_owned(), 66));
}
