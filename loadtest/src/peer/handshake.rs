//! DTLS by OpenSSL for a peer that must end up with one SRTP profile.
//!
//! The stack's own DTLS offers every profile and asks nobody which to take, so what a server is
//! measured with would be its own choice. Here one profile is offered and accepted, in both roles.
//! OpenSSL's timer runs on the wall clock; virtual time is for peers of [`Srtp::Any`]. One
//! certificate serves all peers of the process.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslMethod, SslMode, SslOptions, SslStream, SslVerifyMode,
    SslVersion,
};
use openssl::x509::{X509, X509NameBuilder};
use str0m::crypto::CryptoProvider;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, KeyingMaterial,
    ProtocolVersion, SrtpProfile,
};
use str0m_proto::crypto::CryptoError;

use super::light::{KeySlot, Keys};

/// Datagrams and events waiting on either side; what comes on top is dropped, as a network would.
const QUEUE: usize = 64;
/// How often a handshake under way looks at OpenSSL's timer.
const LOOK: Duration = Duration::from_millis(250);
/// How long an established connection may go unlooked at.
const REST: Duration = Duration::from_secs(3600);
/// UDP payload of a flight's datagrams.
const MTU: u32 = 1200;
/// Largest record read.
const RECORD: usize = 16_384;
/// RFC 5764 clause 4.2.
const EXPORTER: &str = "EXTRACTOR-dtls_srtp";

/// The SRTP profiles a peer offers and accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Srtp {
    /// All that the stack knows; the server's order decides.
    #[default]
    Any,
    /// AEAD_AES_128_GCM alone (RFC 7714).
    Gcm,
    /// AES_CM_128_HMAC_SHA1_80 alone (RFC 5764).
    Cm,
}

impl Srtp {
    /// The provider to hand to the stack; `None` leaves it its own.
    pub(super) fn provider(self) -> Option<Arc<CryptoProvider>> {
        let dtls: &'static dyn DtlsProvider = match self {
            Srtp::Any => return None,
            Srtp::Gcm => {
                static GCM: OneProfile = OneProfile::new(SrtpProfile::AEAD_AES_128_GCM);
                &GCM
            }
            Srtp::Cm => {
                static CM: OneProfile = OneProfile::new(SrtpProfile::AES128_CM_SHA1_80);
                &CM
            }
        };
        let stack = str0m::crypto::from_feature_flags();
        Some(Arc::new(CryptoProvider { dtls_provider: dtls, ..stack }))
    }
}

thread_local! {
    /// Where the handshake made last on this thread leaves its keys: the stack makes handshakes
    /// itself and hands nothing out.
    static LATEST: RefCell<Option<KeySlot>> = const { RefCell::new(None) };
}

/// Where the handshake that was made last on this thread leaves its keys.
pub(super) fn latest_keys() -> Option<KeySlot> {
    LATEST.take()
}

/// The process' certificate and its key.
fn identity() -> Result<&'static (X509, PKey<openssl::pkey::Private>), ErrorStack> {
    static IDENTITY: OnceLock<(X509, PKey<openssl::pkey::Private>)> = OnceLock::new();
    if let Some(identity) = IDENTITY.get() {
        return Ok(identity);
    }
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&curve)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "loadtest")?;
    let name = name.build();
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    let (yesterday, later) = (Asn1Time::from_unix(0)?, Asn1Time::days_from_now(365)?);
    certificate.set_not_before(&yesterday)?;
    certificate.set_not_after(&later)?;
    certificate.set_pubkey(&key)?;
    certificate.sign(&key, MessageDigest::sha256())?;
    Ok(IDENTITY.get_or_init(|| (certificate.build(), key)))
}

/// Makes handshakes that know one profile.
struct OneProfile {
    profile: SrtpProfile,
    context: OnceLock<SslContext>,
}

impl OneProfile {
    const fn new(profile: SrtpProfile) -> Self {
        Self { profile, context: OnceLock::new() }
    }

    fn context(&self) -> Result<&SslContext, ErrorStack> {
        if let Some(context) = self.context.get() {
            return Ok(context);
        }
        let (certificate, key) = identity()?;
        let mut ssl = SslContext::builder(SslMethod::dtls())?;
        ssl.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        ssl.set_options(SslOptions::NO_TICKET | SslOptions::NO_QUERY_MTU);
        ssl.set_mode(SslMode::RELEASE_BUFFERS);
        ssl.set_tlsext_use_srtp(match self.profile {
            SrtpProfile::AES128_CM_SHA1_80 => "SRTP_AES128_CM_SHA1_80",
            _ => "SRTP_AEAD_AES_128_GCM",
        })?;
        ssl.set_certificate(certificate)?;
        ssl.set_private_key(key)?;
        // The stack compares the certificate with the fingerprint of the SDP.
        ssl.set_verify_callback(
            SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
            |_, _| true,
        );
        Ok(self.context.get_or_init(|| ssl.build()))
    }

    fn begin(&self) -> Result<Handshake, ErrorStack> {
        let mut ssl = Ssl::new(self.context()?)?;
        ssl.set_mtu(MTU)?;
        let stream = SslStream::new(ssl, Wire::default())?;
        let next = Instant::now();
        let said = VecDeque::new();
        let (active, stage, slot) = (false, Stage::Created, KeySlot::default());
        LATEST.set(Some(slot.clone()));
        Ok(Handshake { profile: self.profile, stream, active, stage, said, next, slot })
    }
}

impl fmt::Debug for OneProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OneProfile({})", self.profile)
    }
}

impl DtlsProvider for OneProfile {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        let (certificate, key) = identity().ok()?;
        let (certificate, private_key) = (certificate.to_der().ok()?, key.private_key_to_pkcs8());
        Some(DtlsCert { certificate, private_key: private_key.ok()? })
    }

    fn new_dtls(
        &self,
        _: &DtlsCert,
        _: Instant,
        _: DtlsVersion,
        _: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let made = self.begin().map_err(|error| CryptoError::Other(error.to_string()))?;
        Ok(Box::new(made))
    }
}

/// Datagrams on their way to and from OpenSSL; one call moves one.
#[derive(Default)]
struct Wire {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        let len = datagram.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..len), datagram.get(..len)) {
            to.copy_from_slice(from);
        }
        Ok(len)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.outgoing.len() < QUEUE {
            self.outgoing.push_back(bytes.to_vec());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Created,
    Shaking,
    Up,
    Over,
}

enum Said {
    Certificate(Vec<u8>),
    Keys(Vec<u8>),
    Connected,
    Data(Vec<u8>),
    Closed,
}

/// One peer's DTLS.
struct Handshake {
    profile: SrtpProfile,
    stream: SslStream<Wire>,
    active: bool,
    stage: Stage,
    said: VecDeque<Said>,
    next: Instant,
    slot: KeySlot,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("active", &self.active).finish_non_exhaustive()
    }
}

impl Handshake {
    fn tell(&mut self, said: Said) {
        if self.said.len() < QUEUE {
            self.said.push_back(said);
        }
    }

    fn shake(&mut self) -> Result<(), DtlsImplError> {
        if self.stage != Stage::Shaking {
            return Ok(());
        }
        let done = if self.active { self.stream.connect() } else { self.stream.accept() };
        match done {
            Ok(()) => self.finish(),
            Err(error) if error.code() == ErrorCode::WANT_READ => Ok(()),
            Err(_) => {
                self.stage = Stage::Over;
                Err(DtlsImplError::ConnectionClosed)
            }
        }
    }

    fn finish(&mut self) -> Result<(), DtlsImplError> {
        let mut keys = vec![0; self.profile.keying_material_len()];
        let ssl = self.stream.ssl();
        let agreed = ssl.selected_srtp_profile().is_some()
            && ssl.export_keying_material(&mut keys, EXPORTER, None).is_ok();
        let certificate = ssl.peer_certificate().and_then(|leaf| leaf.to_der().ok());
        let Some(certificate) = certificate else {
            self.stage = Stage::Over;
            return Err(DtlsImplError::ConnectionClosed);
        };
        self.stage = Stage::Up;
        self.tell(Said::Certificate(certificate));
        if agreed {
            let (profile, active) = (self.profile, self.active);
            // Keys are exported once.
            let _ = self.slot.set(Keys { profile, exported: keys.clone(), active });
            self.tell(Said::Keys(keys));
        }
        self.tell(Said::Connected);
        Ok(())
    }

    /// Takes out what the far end sent.
    fn read(&mut self) {
        let mut record = [0; RECORD];
        while self.stage == Stage::Up {
            match self.stream.ssl_read(&mut record) {
                Ok(len) => self.tell(Said::Data(record.get(..len).unwrap_or_default().to_vec())),
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    self.stage = Stage::Over;
                    self.tell(Said::Closed);
                }
                Err(_) => return,
            }
        }
    }
}

/// `bytes` in front of `buffer`.
fn placed<'a>(buffer: &'a mut [u8], bytes: &[u8]) -> &'a [u8] {
    let len = bytes.len().min(buffer.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..len), bytes.get(..len)) {
        to.copy_from_slice(from);
    }
    buffer.get(..len).unwrap_or_default()
}

impl DtlsInstance for Handshake {
    fn set_active(&mut self, active: bool) {
        if self.stage == Stage::Created {
            (self.active, self.stage) = (active, Stage::Shaking);
            // Only the far end can make this fail, and it has said nothing yet.
            let _ = self.shake();
        }
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        let waiting = &mut self.stream.get_mut().incoming;
        // To OpenSSL nothing at all would be the end of the connection.
        if !packet.is_empty() && waiting.len() < QUEUE {
            waiting.push_back(packet.to_vec());
        }
        self.shake()?;
        self.read();
        Ok(())
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        if let Some(datagram) = self.stream.get_mut().outgoing.pop_front() {
            return DtlsOutput::Packet(placed(buffer, &datagram));
        }
        match self.said.pop_front() {
            Some(Said::Certificate(der)) => DtlsOutput::PeerCert(placed(buffer, &der)),
            Some(Said::Keys(keys)) => {
                DtlsOutput::KeyingMaterial(KeyingMaterial::new(&keys), self.profile)
            }
            Some(Said::Connected) => DtlsOutput::Connected,
            Some(Said::Data(data)) => DtlsOutput::ApplicationData(placed(buffer, &data)),
            Some(Said::Closed) => DtlsOutput::CloseNotify,
            None => DtlsOutput::Timeout(self.next),
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.next = now + if self.stage == Stage::Shaking { LOOK } else { REST };
        self.shake()
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        if self.stage != Stage::Up || data.is_empty() {
            return Ok(0);
        }
        self.stream.ssl_write(data).map_err(|_| DtlsImplError::ConnectionClosed)
    }

    fn is_active(&self) -> bool {
        self.active
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        (self.stage == Stage::Up).then_some(ProtocolVersion::DTLS1_2)
    }

    fn is_closed(&self) -> bool {
        self.stage == Stage::Over
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        if self.stage == Stage::Up {
            // What cannot be said goodbye to is gone already.
            let _ = self.stream.shutdown();
        }
        self.stage = Stage::Over;
        Ok(())
    }
}
