//! Debian's coturn, for one test.

use super::program::{certificate, folder, free_ports, local_ip};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::{TcpStream, UdpSocket};

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

/// A port that nobody has, over TCP or UDP.
fn port_for_both() -> u16 {
    let free = |port: &u16| std::net::UdpSocket::bind(("0.0.0.0", *port)).is_ok();
    (0..50).map(|_| free_ports().0).find(free).expect("a port")
}

impl Coturn {
    pub(super) async fn start() -> Self {
        let (folder, ip, port) = (folder("coturn"), local_ip(), port_for_both());
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
            if coturn.is_up(ip).await {
                return coturn;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("coturn does not come up");
    }

    /// Whether every door is open; over UDP a STUN binding request has to be answered.
    async fn is_up(&self, ip: IpAddr) -> bool {
        /// RFC 8489 §5: binding request, no attributes, magic cookie, transaction.
        const BINDING: &[u8; 20] = b"\x00\x01\x00\x00\x21\x12\xA4\x42bifrons-test";
        let open = TcpStream::connect((ip, self.port)).await.is_ok()
            && TcpStream::connect(("127.0.0.1", self.tls_port)).await.is_ok();
        if !open {
            return false;
        }
        let socket = UdpSocket::bind((ip, 0)).await.expect("binds");
        socket.send_to(BINDING, (ip, self.port)).await.expect("sent");
        let mut answer = [0; 512];
        let answered = socket.recv_from(&mut answer);
        let answered = tokio::time::timeout(Duration::from_millis(200), answered).await;
        answered.is_ok_and(|got| got.is_ok()) && answer[..2] == [0x01, 0x01]
    }
}
