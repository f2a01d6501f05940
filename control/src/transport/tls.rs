//! TLS before HTTP and WebSockets (RFC 8446, RFC 5246; transports-auth §2.1, §3.1).

use super::Stream;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Longest time a client may take for its handshake.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of the kind.
    #[error("{0}: {1}")]
    File(String, String),
    /// Certificate and key do not go together, or are of an unknown kind.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
}

/// A certificate chain and its key, ready to greet clients. Cheap to clone.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// From PEM files: the chain, our own certificate first, and its key, unencrypted. Both may be
    /// one file. TLS 1.2 and 1.3 are spoken.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, TlsError> {
        let failed = |path: &Path, error: &dyn fmt::Display| {
            TlsError::File(path.display().to_string(), error.to_string())
        };
        let certificates = CertificateDer::pem_file_iter(chain)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| failed(chain, &error))?;
        if certificates.is_empty() {
            return Err(failed(chain, &"no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, &error))?;
        let unusable =
            |error: tokio_rustls::rustls::Error| TlsError::Certificate(error.to_string());
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls(TlsAcceptor::from(Arc::new(config))))
    }

    /// Greets a client; `None` if it is not heard of in time, or does not speak TLS.
    async fn greet(&self, stream: Stream) -> Option<Stream> {
        let greeted = tokio::time::timeout(TIMEOUT, self.0.accept(stream)).await;
        Some(Stream::Tls(Box::new(greeted.ok()?.ok()?)))
    }
}

/// The stream as it is, or behind TLS.
pub(super) async fn secured(stream: Stream, tls: Option<&Tls>) -> Option<Stream> {
    match tls {
        Some(tls) => tls.greet(stream).await,
        None => Some(stream),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conform/tls");
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        assert!(Tls::load(&certificate, &key).is_ok());
        for (chain, key, named) in [
            (&key, &key, "key.pem"),
            (&folder.join("none.pem"), &key, "none.pem"),
            (&certificate, &certificate, "cert.pem"),
        ] {
            let error = Tls::load(chain, key).expect_err("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
