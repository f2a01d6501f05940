//! TLS towards a broker (RFC 8446): whom we trust, and who we are.
//!
//! Janus checks neither certificate nor name unless it is told to, and so do we: brokers of
//! deployments that exist would be refused otherwise. The signatures of the handshake are checked
//! in any case.

use bifrons_core::config::transport::BrokerTls;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// The certificates this system trusts.
const SYSTEM_STORE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The client side of TLS as the settings say; an error is a sentence for the operator.
pub fn client(settings: &BrokerTls) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(default_provider());
    let verifier = Arc::new(Checks {
        trusted: if settings.verify_peer { Some(trusted(settings, &provider)?) } else { None },
        name: settings.verify_hostname,
        provider: provider.clone(),
    });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match (&settings.cert, &settings.key) {
        (Some(cert), Some(key)) => {
            let key =
                PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{key}: {error}"))?;
            builder.with_client_auth_cert(certificates(cert.as_ref())?, key)
        }
        _ => Ok(builder.with_no_client_auth()),
    };
    config.map(Arc::new).map_err(|error| error.to_string())
}

fn trusted(
    settings: &BrokerTls,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, String> {
    let store = settings.cacert.as_deref().unwrap_or(SYSTEM_STORE);
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(store.as_ref())?);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| format!("{store}: {error}"))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = read.map_err(|error| format!("{}: {error}", path.display()))?;
    if found.is_empty() { Err(format!("{}: no certificate", path.display())) } else { Ok(found) }
}

/// What is checked of the broker's certificate.
#[derive(Debug)]
struct Checks {
    /// Who has to have signed it.
    trusted: Option<Arc<WebPkiServerVerifier>>,
    /// Whether it has to be for the name we call.
    name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Checks {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        match trusted.verify_server_cert(certificate, chain, name, stapled, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conform/tls");
        let file = |name: &str| Some(folder.join(name).display().to_string());
        let own = BrokerTls {
            enabled: true,
            verify_peer: true,
            cacert: file("cert.pem"),
            cert: file("cert.pem"),
            key: file("key.pem"),
            ..BrokerTls::default()
        };
        assert!(client(&own).is_ok());
        for (bad, name) in [
            (BrokerTls { cacert: file("none.pem"), ..own.clone() }, "none.pem"),
            (BrokerTls { key: file("cert.pem"), ..own.clone() }, "cert.pem"),
            (BrokerTls { cert: file("key.pem"), ..own }, "key.pem"),
        ] {
            let error = client(&bad).expect_err("refused");
            assert!(error.contains(name), "{error}");
        }
    }
}
