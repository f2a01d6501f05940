//! The same doors behind TLS. The certificate in `tls/` is for these tests only.

use crate::target::{Setup, Target, run};
use bifrons_control::transport::{Tls, TlsFiles};
use futures_util::{SinkExt, StreamExt};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CipherSuite, ClientConfig, ProtocolVersion, RootCertStore};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conform/tls").join(name)
}

fn plain() -> TlsFiles {
    TlsFiles::new(&file("cert.pem"), &file("key.pem"))
}

fn behind(files: TlsFiles) -> (Tls, Setup) {
    let tls = Tls::load(files).expect("a certificate");
    (tls.clone(), Setup { tls: Some(tls), ..Setup::default() })
}

/// Connects as a client that trusts one certificate; says why it was not greeted.
async fn greeted(address: &str, trusted: &str) -> Result<TlsStream<TcpStream>, std::io::Error> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(file(trusted)).expect("a certificate");
    roots.add(certificate).expect("taken");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.expect("connects");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

async fn connect(address: &str) -> TlsStream<TcpStream> {
    greeted(address, "cert.pem").await.expect("greeted")
}

#[test]
fn https_serves_the_api() {
    run(async {
        let Some(target) = Target::with(behind(plain()).1).await else { return };
        let mut stream = connect(&target.http().address).await;
        let request = "GET /janus/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("text");
        assert!(
            text.starts_with("HTTP/1.1 200 OK") && text.contains(r#""janus":"pong""#),
            "{text}"
        );
    });
}

#[test]
fn wss_serves_the_api() {
    run(async {
        let Some(target) = Target::with(behind(plain()).1).await else { return };
        let stream = connect(target.ws_address()).await;
        let mut request = "ws://localhost/".into_client_request().expect("a request");
        let protocol = "janus-protocol".parse().expect("a value");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let (mut socket, _) =
            tokio_tungstenite::client_async(request, stream).await.expect("accepted");
        let ping = r#"{"janus":"ping","transaction":"s"}"#;
        socket.send(Message::text(ping)).await.expect("sent");
        let pong = socket.next().await.expect("open").expect("sound");
        assert_eq!(pong, Message::text(r#"{"janus":"pong","transaction":"s"}"#));
    });
}

/// The certificate whose key has a passphrase.
fn locked(passphrase: &str) -> TlsFiles {
    let passphrase = Some(passphrase.to_owned());
    TlsFiles { passphrase, ..TlsFiles::new(&file("locked.pem"), &file("locked-key.pem")) }
}

#[test]
fn a_key_with_a_passphrase_serves_as_any_other() {
    assert!(Tls::load(locked("simsim")).is_err());
    run(async {
        let Some(target) = Target::with(behind(locked("sesame")).1).await else { return };
        greeted(&target.http().address, "locked.pem").await.expect("greeted");
    });
}

#[test]
fn a_list_of_ciphers_is_what_is_spoken() {
    run(async {
        let ciphers = Some("ECDHE-ECDSA-AES128-GCM-SHA256:-VERS-TLS1.3".to_owned());
        let (_, setup) = behind(TlsFiles { ciphers, ..plain() });
        let Some(target) = Target::with(setup).await else { return };
        let stream = connect(target.ws_address()).await;
        let (_, session) = stream.get_ref();
        let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
        assert_eq!(suite, Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256));
        assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    });
}

#[test]
fn a_certificate_read_anew_is_what_new_clients_see() {
    run(async {
        let folder = std::env::temp_dir().join(format!("bifrons-tls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let files = TlsFiles::new(&folder.join("cert.pem"), &folder.join("key.pem"));
        let put = |from: &Path, to: &Path| std::fs::copy(from, to).expect("copied");
        put(&file("cert.pem"), &files.chain);
        put(&file("key.pem"), &files.key);
        let passphrase = Some("sesame".to_owned());
        let (tls, setup) = behind(TlsFiles { passphrase, ..files.clone() });
        let Some(target) = Target::with(setup).await else { return };
        let mut before = connect(&target.http().address).await;
        put(&file("locked.pem"), &files.chain);
        // The chain of one and the key of the other: what was shown is shown on.
        assert!(tls.reload().is_err());
        connect(&target.http().address).await;
        put(&file("locked-key.pem"), &files.key);
        tls.reload().expect("read");
        greeted(&target.http().address, "locked.pem").await.expect("the new one is shown");
        assert!(greeted(&target.http().address, "cert.pem").await.is_err(), "the old one is not");
        // Who was there before goes on.
        before.write_all(b"GET /janus/ping HTTP/1.0\r\n\r\n").await.expect("sent");
        let mut text = String::new();
        before.read_to_string(&mut text).await.expect("text");
        assert!(text.contains("pong"), "{text}");
        let _ = std::fs::remove_dir_all(&folder);
    });
}
