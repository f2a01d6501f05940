//! A camera: GStreamer's RTSP server, for one test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Ends with the test.
pub(super) struct Camera {
    child: Child,
    arguments: Vec<String>,
    log: PathBuf,
    pub(super) port: u16,
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(&self.log);
    }
}

impl Camera {
    /// A camera on any port; `arguments` as `xtask/e2e/clients/camera.py` has them.
    pub(super) fn start(arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = format!("bifrons-camera-{}-{number}.log", std::process::id());
        let log = std::env::temp_dir().join(log);
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let (child, port) = run(&arguments, &log, 0);
        Camera { child, arguments, log, port }
    }

    pub(super) fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/cam", self.port)
    }

    /// Takes it away at once, as a power cut would.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Brings it back, on the same port.
    pub(super) fn restart(&mut self) {
        (self.child, self.port) = run(&self.arguments, &self.log, self.port);
    }

    /// Has it fall silent, or speak again.
    pub(super) fn be_silent(&self, silent: bool) {
        let signal = if silent { "-USR1" } else { "-USR2" };
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
    }

    /// The requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

fn run(arguments: &[String], log: &Path, port: u16) -> (Child, u16) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/e2e/clients/camera.py");
    // Debian's Python: another one does not know GStreamer.
    let mut child = Command::new("/usr/bin/python3")
        .arg(script)
        .args(arguments)
        .args(["--port", &port.to_string(), "--log"])
        .arg(log)
        .stdout(Stdio::piped())
        .spawn()
        .expect("Debian's python3");
    let mut line = String::new();
    let said = child.stdout.take().expect("a pipe");
    BufReader::new(said).read_line(&mut line).expect("a line");
    let port = line.strip_prefix("port ").and_then(|port| port.trim().parse().ok());
    let port = port.expect("the camera listens (Debian package gir1.2-gst-rtsp-server-1.0)");
    (child, port)
}
