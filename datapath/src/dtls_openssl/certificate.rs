//! The certificate we show: one a process, generated at start or read from PEM.

use bifrons_core::dtls::{Fingerprint, FingerprintHash};
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{Asn1Flag, EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509Builder, X509NameBuilder, X509Ref};

/// Validity on either side of now, in seconds (webrtc-behaviour clause 2).
const YEAR_S: i64 = 365 * 24 * 3600;

/// Kind of key to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// ECDSA on P-256: the default, and the only kind aiortc accepts.
    #[default]
    EcP256,
    /// RSA, 2048 bits (`rsa_private_key=true`).
    Rsa2048,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// OpenSSL refused: unreadable PEM, wrong password, unsupported key.
    #[error("certificate or key is not usable: {0}")]
    OpenSsl(#[from] ErrorStack),
    /// `cert_pem` holds no certificate.
    #[error("no certificate in the PEM text")]
    Empty,
    /// `cert_key` is not the key of the first certificate of `cert_pem`.
    #[error("private key does not belong to the certificate")]
    KeyMismatch,
}

/// Certificate chain, private key and the fingerprint SDP announces. Clones share the OpenSSL
/// objects.
#[derive(Clone)]
pub struct Certificate {
    pub(super) leaf: X509,
    pub(super) chain: Vec<X509>,
    pub(super) key: PKey<Private>,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// A self-signed one, valid a year before and after `now_s` (seconds since 1970).
    pub fn self_signed(kind: KeyKind, now_s: i64) -> Result<Certificate, CertificateError> {
        Certificate::self_signed_between(kind, now_s - YEAR_S, now_s + YEAR_S)
    }

    /// A self-signed one, valid from `not_before_s` to `not_after_s` (seconds since 1970).
    pub fn self_signed_between(
        kind: KeyKind,
        not_before_s: i64,
        not_after_s: i64,
    ) -> Result<Certificate, CertificateError> {
        let key = generate_key(kind)?;
        let mut name = X509NameBuilder::new()?;
        name.append_entry_by_nid(Nid::COMMONNAME, "bifrons")?;
        name.append_entry_by_nid(Nid::ORGANIZATIONNAME, "Bifrons")?;
        let name = name.build();
        let mut serial = BigNum::new()?;
        serial.rand(64, MsbOption::MAYBE_ZERO, false)?;
        let serial = Asn1Integer::from_bn(&serial)?;
        let not_before = Asn1Time::from_unix(not_before_s)?;
        let not_after = Asn1Time::from_unix(not_after_s)?;

        let mut x509 = X509Builder::new()?;
        x509.set_version(2)?;
        x509.set_serial_number(&serial)?;
        x509.set_subject_name(&name)?;
        x509.set_issuer_name(&name)?;
        x509.set_not_before(&not_before)?;
        x509.set_not_after(&not_after)?;
        x509.set_pubkey(&key)?;
        x509.sign(&key, MessageDigest::sha256())?;
        Certificate::new(x509.build(), Vec::new(), key)
    }

    /// One from PEM: `certificates` with the leaf first, `key` perhaps under `password`
    /// (`cert_pem`, `cert_key`, `cert_pwd`).
    pub fn from_pem(
        certificates: &[u8],
        key: &[u8],
        password: Option<&str>,
    ) -> Result<Certificate, CertificateError> {
        let mut chain = X509::stack_from_pem(certificates)?;
        if chain.is_empty() {
            return Err(CertificateError::Empty);
        }
        let leaf = chain.remove(0);
        // Always with a passphrase: without one OpenSSL would ask the terminal.
        let key = PKey::private_key_from_pem_passphrase(key, password.unwrap_or("").as_bytes())?;
        Certificate::new(leaf, chain, key)
    }

    fn new(
        leaf: X509,
        chain: Vec<X509>,
        key: PKey<Private>,
    ) -> Result<Certificate, CertificateError> {
        if !leaf.public_key()?.public_eq(&key) {
            return Err(CertificateError::KeyMismatch);
        }
        let fingerprint =
            digest_of(&leaf, FingerprintHash::Sha256).ok_or(CertificateError::Empty)?;
        Ok(Certificate { leaf, chain, key, fingerprint })
    }

    /// SHA-256 fingerprint of the leaf, for `a=fingerprint:`.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

fn generate_key(kind: KeyKind) -> Result<PKey<Private>, ErrorStack> {
    match kind {
        KeyKind::EcP256 => {
            let mut group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
            // Peers know curves by name only.
            group.set_asn1_flag(Asn1Flag::NAMED_CURVE);
            PKey::from_ec_key(EcKey::generate(&group)?)
        }
        KeyKind::Rsa2048 => PKey::from_rsa(Rsa::generate(2048)?),
    }
}

/// The fingerprint of any certificate; `None` only if OpenSSL cannot hash it.
pub(super) fn digest_of(x509: &X509Ref, hash: FingerprintHash) -> Option<Fingerprint> {
    let digest = match hash {
        FingerprintHash::Sha256 => MessageDigest::sha256(),
        FingerprintHash::Sha1 => MessageDigest::sha1(),
    };
    Fingerprint::new(hash, &x509.digest(digest).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::symm::Cipher;

    fn pem(certificate: &Certificate, password: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
        let key = match password {
            Some(word) => certificate
                .key
                .private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), word)
                .unwrap(),
            None => certificate.key.private_key_to_pem_pkcs8().unwrap(),
        };
        (certificate.leaf.to_pem().unwrap(), key)
    }

    #[test]
    fn pem_round_trip_keeps_the_fingerprint() {
        for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
            let made = Certificate::self_signed(kind, 1_700_000_000).unwrap();
            let (cert, key) = pem(&made, None);
            let read = Certificate::from_pem(&cert, &key, None).unwrap();
            assert_eq!(read.fingerprint(), made.fingerprint());
            assert_eq!(read.fingerprint().digest().len(), 32);
        }
    }

    #[test]
    fn locked_key_opens_with_its_password_only() {
        let made = Certificate::self_signed(KeyKind::EcP256, 1_700_000_000).unwrap();
        let (cert, key) = pem(&made, Some(b"sesame"));
        assert!(Certificate::from_pem(&cert, &key, Some("sesame")).is_ok());
        assert!(Certificate::from_pem(&cert, &key, Some("wrong")).is_err());
        assert!(Certificate::from_pem(&cert, &key, None).is_err());
    }

    #[test]
    fn a_strange_key_and_an_empty_file_are_refused() {
        let (cert, _) = pem(&Certificate::self_signed(KeyKind::EcP256, 0).unwrap(), None);
        let (_, key) = pem(&Certificate::self_signed(KeyKind::EcP256, 0).unwrap(), None);
        let refused = Certificate::from_pem(&cert, &key, None);
        assert!(matches!(refused, Err(CertificateError::KeyMismatch)));
        assert!(Certificate::from_pem(b"", &key, None).is_err());
    }

    #[test]
    fn validity_is_a_year_each_way_and_the_name_is_set() {
        let now = 1_700_000_000;
        let made = Certificate::self_signed(KeyKind::EcP256, now).unwrap();
        assert!(*made.leaf.not_before() == *Asn1Time::from_unix(now - YEAR_S).unwrap());
        assert!(*made.leaf.not_after() == *Asn1Time::from_unix(now + YEAR_S).unwrap());
        let mut names = made.leaf.subject_name().entries_by_nid(Nid::COMMONNAME);
        assert_eq!(names.next().unwrap().data().as_slice(), b"bifrons");
    }
}
