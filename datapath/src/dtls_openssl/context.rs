//! What all engines share: certificate, ciphers, SRTP profiles and the rules for peers.

use std::time::Duration;

use bifrons_core::dtls::{Fingerprint, HANDSHAKE_LIMIT, MAX_DATAGRAM, Role};
use bifrons_core::srtp::SrtpProfile;
use openssl::error::ErrorStack;
use openssl::ssl::{
    Ssl, SslContext, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion,
};

use super::certificate::Certificate;
use super::engine::OpenSslEngine;
use super::flight::{self, copies_within};

/// Cipher list used unless configured (`dtls_ciphers`; webrtc-behaviour clause 2).
pub const DEFAULT_CIPHERS: &str =
    "DEFAULT:!NULL:!aNULL:!SHA256:!SHA384:!aECDH:!AESGCM+AES256:!aPSK";

/// Smallest MTU OpenSSL makes flights for, and some air.
const MIN_MTU: u16 = 256;

/// `SSL_OP_NO_ENCRYPT_THEN_MAC` (<openssl/ssl.h>). With RFC 7366 OpenSSL 3.0 ends a connection over
/// one forged CBC record, where RFC 6347 clause 4.1.2.7 wants it dropped; without, it drops it.
const NO_ENCRYPT_THEN_MAC: u64 = 1 << 19;

/// The `certificates` and `media` keys that concern DTLS.
#[derive(Debug, Clone)]
pub struct DtlsSettings {
    /// OpenSSL cipher list.
    pub ciphers: String,
    /// SRTP profiles, most wanted first; honoured in both roles.
    pub profiles: Vec<SrtpProfile>,
    /// `dtls_accept_selfsigned`; when false a peer needs a chain to a system CA.
    pub accept_self_signed: bool,
    /// `dtls_mtu`, bytes of UDP payload; held within 256 and 1500.
    pub mtu: u16,
    /// `dtls_timeout`: wait before the first retransmission; doubles each time.
    pub retransmission: Duration,
    /// Overall limit of a handshake.
    pub limit: Duration,
}

impl Default for DtlsSettings {
    fn default() -> DtlsSettings {
        DtlsSettings {
            ciphers: DEFAULT_CIPHERS.into(),
            profiles: SrtpProfile::PREFERENCE.into(),
            accept_self_signed: true,
            mtu: 1200,
            retransmission: Duration::from_secs(1),
            limit: HANDSHAKE_LIMIT,
        }
    }
}

/// What each engine copies from the settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) mtu: u16,
    pub(super) retransmission: Duration,
    pub(super) limit: Duration,
    /// Retransmissions that fit the limit, made along with each flight.
    pub(super) copies: u8,
}

/// One a process; clones share the OpenSSL context and may go to other threads.
#[derive(Clone)]
pub struct DtlsContext {
    ssl: SslContext,
    limits: Limits,
    fingerprint: Fingerprint,
}

impl DtlsContext {
    /// Prepares OpenSSL. Fails on an unusable cipher list or an empty profile list.
    pub fn new(
        certificate: &Certificate,
        settings: &DtlsSettings,
    ) -> Result<DtlsContext, ErrorStack> {
        let mut ssl = SslContext::builder(SslMethod::dtls())?;
        ssl.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        ssl.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
        ssl.set_options(
            SslOptions::NO_TICKET
                | SslOptions::NO_COMPRESSION
                | SslOptions::NO_RENEGOTIATION
                | SslOptions::NO_QUERY_MTU
                | SslOptions::CIPHER_SERVER_PREFERENCE
                | SslOptions::from_bits_retain(NO_ENCRYPT_THEN_MAC),
        );
        ssl.set_mode(SslMode::RELEASE_BUFFERS);
        ssl.set_session_cache_mode(SslSessionCacheMode::OFF);
        // Without one, a peer that asks to resume is turned away instead of shaken hands with.
        ssl.set_session_id_context(b"bifrons")?;
        ssl.set_cipher_list(&settings.ciphers)?;
        ssl.set_groups_list("P-256")?;
        ssl.set_tlsext_use_srtp(&profile_list(&settings.profiles))?;

        ssl.set_certificate(&certificate.leaf)?;
        for link in &certificate.chain {
            ssl.add_extra_chain_cert(link.clone())?;
        }
        ssl.set_private_key(&certificate.key)?;
        ssl.check_private_key()?;

        let accept_self_signed = settings.accept_self_signed;
        if !accept_self_signed {
            ssl.set_default_verify_paths()?;
        }
        let mode = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        ssl.set_verify_callback(mode, move |trusted, store| {
            // The fingerprint says who the peer is; a chain only if it was asked for. Expiry
            // is refused in either case.
            trusted || (accept_self_signed && !expired(store.error().as_raw()))
        });

        let mtu = settings.mtu.clamp(MIN_MTU, MAX_DATAGRAM as u16);
        let retransmission = settings.retransmission.max(Duration::from_millis(20));
        let copies = copies_within(retransmission, settings.limit);
        let limits = Limits { mtu, retransmission, limit: settings.limit, copies };
        Ok(DtlsContext { ssl: ssl.build(), limits, fingerprint: certificate.fingerprint() })
    }

    /// SHA-256 fingerprint of our certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    #[cfg(test)]
    pub(super) fn leaf_for_tests(&self) -> &openssl::x509::X509Ref {
        self.ssl.certificate().expect("a context has its certificate")
    }

    /// An engine for one peer; `start` it when the first candidate pair is selected. Fails only
    /// when OpenSSL has no memory.
    pub fn engine(&self, role: Role) -> Result<OpenSslEngine, ErrorStack> {
        let mut ssl = Ssl::new(&self.ssl)?;
        ssl.set_mtu(u32::from(self.limits.mtu))?;
        match role {
            Role::Client => ssl.set_connect_state(),
            Role::Server => ssl.set_accept_state(),
        }
        flight::take_over_timer(&mut ssl);
        OpenSslEngine::new(ssl, role, self.limits)
    }
}

fn profile_list(profiles: &[SrtpProfile]) -> String {
    profiles.iter().map(|profile| profile.name()).collect::<Vec<_>>().join(":")
}

fn expired(verify_error: i32) -> bool {
    [
        openssl_sys::X509_V_ERR_CERT_HAS_EXPIRED,
        openssl_sys::X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD,
    ]
    .contains(&verify_error)
}
