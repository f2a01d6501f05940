//! The way to a server that we ask or tell something: TCP, behind TLS where the URL says so.
//!
//! Certificates are checked against the system's own, read once, when first needed.

use hyper::Uri;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long a connection may take, TLS included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What HTTP and WebSockets need of a connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// A server, from its URL.
#[derive(Clone)]
pub(crate) struct Backend {
    /// The URL as given.
    pub(crate) uri: Uri,
    /// Without brackets.
    pub(crate) host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

impl Backend {
    /// Reads a URL of either scheme, the second of which means TLS.
    pub(crate) fn read(url: &str, schemes: [&str; 2]) -> Result<Self, String> {
        let wrong = || format!("`{url}` is no {}:// or {}:// URL", schemes[0], schemes[1]);
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let secure = match schemes.iter().position(|name| scheme.eq_ignore_ascii_case(name)) {
            Some(index) => index == 1,
            None => return Err(wrong()),
        };
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = secure.then(connector).transpose()?;
        Ok(Backend { uri, host, port, tls })
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects; fails after 10 s.
    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Duplex>> {
        let connect = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            match &self.tls {
                None => Ok(Box::new(stream) as Box<dyn Duplex>),
                Some(tls) => greet(tls, &self.host, stream).await,
            }
        };
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        tokio::time::timeout(TIMEOUT, connect).await.unwrap_or_else(|_| Err(late()))
    }
}

/// Greets the server behind a stream by TLS: `host` has to be in its certificate.
pub(crate) async fn secured(host: &str, stream: TcpStream) -> io::Result<Box<dyn Duplex>> {
    // Certificates are files: read where nobody waits.
    let tls = tokio::task::spawn_blocking(connector).await?.map_err(io::Error::other)?;
    greet(&tls, host, stream).await
}

async fn greet(tls: &TlsConnector, host: &str, stream: TcpStream) -> io::Result<Box<dyn Duplex>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(Box::new(tls.connect(name, stream).await?))
}

static CONNECTOR: OnceLock<TlsConnector> = OnceLock::new();

/// Trusts whom the system trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
fn connector() -> Result<TlsConnector, String> {
    if let Some(known) = CONNECTOR.get() {
        return Ok(known.clone());
    }
    let mut roots = RootCertStore::empty();
    let (added, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err("the system has no certificate authorities; set SSL_CERT_FILE".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONNECTOR.get_or_init(|| TlsConnector::from(Arc::new(config))).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_or_refused() {
        let read = |url| Backend::read(url, ["http", "https"]).map(|it| (it.host, it.port));
        assert_eq!(read("http://events.example/x?y=1"), Ok(("events.example".to_owned(), 80)));
        assert_eq!(read("HTTP://[::1]:8080"), Ok(("::1".to_owned(), 8080)));
        for url in ["ws://a", "events.example", "", "http://", "/path"] {
            assert!(read(url).is_err(), "{url}");
        }
    }
}
