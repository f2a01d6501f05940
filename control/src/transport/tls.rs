//! TLS before HTTP and WebSockets (RFC 8446, RFC 5246; transports-auth §2.1, §3.1).
//!
//! One [`Tls`] a listener: its certificate, its key, the suites of its `ciphers`. The files are read
//! at start and again when an operator asks for it ([`Tls::reload`]): connections that are there
//! keep what they were greeted with.

use super::Stream;
use super::ciphers;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

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
    /// `ciphers` leaves nothing.
    #[error("{0}")]
    Ciphers(String),
}

/// Where a listener's certificate is, and how it is used (the keys of section `certificates`).
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain in PEM, our own certificate first.
    pub chain: PathBuf,
    /// Its key in PEM; may be the same file.
    pub key: PathBuf,
    /// What the key is encrypted with, if it is.
    pub passphrase: Option<String>,
    /// The list that narrows cipher suites and versions; none: all there are.
    pub ciphers: Option<String>,
}

impl TlsFiles {
    /// A key without passphrase, and every suite there is.
    pub fn new(chain: &Path, key: &Path) -> Self {
        TlsFiles { chain: chain.into(), key: key.into(), passphrase: None, ciphers: None }
    }

    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let failed = |path: &Path, error: &dyn fmt::Display| {
            TlsError::File(path.display().to_string(), error.to_string())
        };
        let certificates = CertificateDer::pem_file_iter(&self.chain)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| failed(&self.chain, &error))?;
        if certificates.is_empty() {
            return Err(failed(&self.chain, &"no certificate in it"));
        }
        let key = match &self.passphrase {
            None => PrivateKeyDer::from_pem_file(&self.key)
                .map_err(|error| failed(&self.key, &error))?,
            Some(passphrase) => {
                let pem = std::fs::read(&self.key).map_err(|error| failed(&self.key, &error))?;
                decrypted(&pem, passphrase).map_err(|error| failed(&self.key, &error))?
            }
        };
        CertifiedKey::from_der(certificates, key, provider)
            .map_err(|error| TlsError::Certificate(error.to_string()))
    }
}

/// The key behind a passphrase. OpenSSL reads it: rustls knows plain keys only.
fn decrypted(pem: &[u8], passphrase: &str) -> Result<PrivateKeyDer<'static>, String> {
    let key = openssl::pkey::PKey::private_key_from_pem_passphrase(pem, passphrase.as_bytes());
    // OpenSSL's own words are a stack of codes.
    let key = key.map_err(|_| "no key in it, or cert_pwd is not its passphrase".to_owned())?;
    let plain = key.private_key_to_pkcs8().map_err(|error| error.to_string())?;
    Ok(PrivatePkcs8KeyDer::from(plain).into())
}

/// The certificate that new clients see.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Whoever panicked while writing had nothing half done: one pointer is replaced.
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// A certificate chain and its key, ready to greet clients. Cheap to clone; clones share the
/// certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    provider: Arc<CryptoProvider>,
    shown: Arc<Shown>,
    files: Arc<TlsFiles>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// From files. TLS 1.2 and 1.3 are spoken, unless the list of ciphers says otherwise; words of
    /// that list that ask for what rustls does not have are logged.
    ///
    /// # Errors
    /// Files that cannot be used, and a list that leaves nothing.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let choice = ciphers::choose(files.ciphers.as_deref()).map_err(TlsError::Ciphers)?;
        if !choice.unknown.is_empty() {
            let words = choice.unknown.join(" ");
            tracing::warn!(
                "ciphers: there is nothing here for {words}; the rest of the list holds"
            );
        }
        let provider =
            Arc::new(CryptoProvider { cipher_suites: choice.suites, ..default_provider() });
        let shown = Arc::new(Shown(RwLock::new(Arc::new(files.read(&provider)?))));
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&choice.versions)
            .map_err(|error| TlsError::Ciphers(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Tls { acceptor, provider, shown, files: Arc::new(files) })
    }

    /// Reads the files anew: clients that come from now on see what is in them. Reads from disk.
    ///
    /// # Errors
    /// As [`Tls::load`]; what was shown before is shown on.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(self.files.read(&self.provider)?);
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The certificate file it was read from.
    pub fn chain_file(&self) -> &Path {
        &self.files.chain
    }

    /// Greets a client; `None` if it is not heard of in time, or does not speak TLS.
    async fn greet(&self, stream: Stream) -> Option<Stream> {
        let greeted = tokio::time::timeout(TIMEOUT, self.acceptor.accept(stream)).await;
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
        let load = |chain: &Path, key: &Path| Tls::load(TlsFiles::new(chain, key));
        assert!(load(&certificate, &key).is_ok());
        for (chain, key, named) in [
            (&key, &key, "key.pem"),
            (&folder.join("none.pem"), &key, "none.pem"),
            (&certificate, &certificate, "cert.pem"),
        ] {
            let error = load(chain, key).expect_err("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_key_opens_with_its_passphrase_only() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conform/tls");
        let plain = std::fs::read(folder.join("key.pem")).expect("a key");
        let key = openssl::pkey::PKey::private_key_from_pem(&plain).expect("a key");
        let cipher = openssl::symm::Cipher::aes_256_cbc();
        let locked = key.private_key_to_pem_pkcs8_passphrase(cipher, b"sesame").expect("PEM");
        assert!(decrypted(&locked, "sesame").is_ok());
        let refusal = decrypted(&locked, "simsim").expect_err("the wrong one");
        assert!(refusal.contains("cert_pwd"), "{refusal}");
        // A passphrase for a key that has none is no harm.
        assert!(decrypted(&plain, "sesame").is_ok());
    }
}
