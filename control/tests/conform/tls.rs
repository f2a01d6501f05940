//! The same doors behind TLS. The certificate in `tls/` is for these tests only.

use crate::target::{Setup, Target, run};
use bifrons_control::transport::Tls;
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
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conform/tls").join(name)
}

fn setup() -> Setup {
    let tls = Tls::load(&file("cert.pem"), &file("key.pem")).expect("a certificate");
    Setup { tls: Some(tls), ..Setup::default() }
}

async fn connect(address: &str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(file("cert.pem")).expect("a certificate");
    roots.add(certificate).expect("taken");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.expect("connects");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("greeted")
}

#[test]
fn https_serves_the_api() {
    run(async {
        let Some(target) = Target::with(setup()).await else { return };
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
        let Some(target) = Target::with(setup()).await else { return };
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
