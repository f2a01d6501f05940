//! Debian's coturn, for one test.

use super::program::{certificate, folder, free_ports, local_ip};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;

/// Ends with the test. User `ada`, password `secret`, UDP and TCP on one port; TLS on another, for
/// 127.0.0.1.
pub(super) struct Coturn {
    child: Child,
    folder: PathBuf,
    pub(super) port: u16,
    pub(super) tls_port: u16,
}

impl Drop for Coturn {
    fn drop(&mut self) {
        // Gone already, or not: either way nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Coturn {
    pub(super) async fn start() -> Self {
        let (folder, ip, (port, _)) = (folder("coturn"), local_ip(), free_ports());
        let (tls_port, _) = free_ports();
        let child = Command::new("turnserver")
            .arg("-n")
            .args(["--listening-ip", &ip.to_string(), "--relay-ip", &ip.to_string()])
            .args(["--listening-port", &port.to_string()])
            .args(["--realm", "bifrons.test", "--lt-cred-mech", "--user", "ada:secret"])
            .args(["--listening-ip", "127.0.0.1", "--tls-listening-port", &tls_port.to_string()])
            .args(["--cert", &certificate("cert.pem"), "--pkey", &certificate("key.pem")])
            .args(["--no-cli", "--no-dtls", "--allow-loopback-peers"])
            .arg("--pidfile")
            .arg(folder.join("pid"))
            .arg("--userdb")
            .arg(folder.join("db"))
            .args(["--log-file", "stdout"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("turnserver starts (Debian package coturn)");
        let coturn = Coturn { child, folder, port, tls_port };
        for _ in 0..200 {
            if TcpStream::connect((ip, port)).await.is_ok() {
                return coturn;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("coturn does not come up");
    }
}
