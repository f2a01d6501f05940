//! Our engine against another implementation of DTLS 1.2, the one inside str0m.

use std::time::Instant;

use bifrons_core::dtls::{
    Connected, DtlsEngine, DtlsEvent, Fingerprint, FingerprintHash, KeyingMaterial, MAX_DATAGRAM,
    Role,
};
use bifrons_core::srtp::SrtpProfile;
use dimpl::{Dtls, Output};

use super::tests::context;
use super::*;

/// What the foreign end reported.
#[derive(Default)]
struct Foreign {
    keys: Option<(Vec<u8>, dimpl::SrtpProfile)>,
    peer_certificate: Vec<u8>,
    connected: bool,
    data: Vec<u8>,
    closed: bool,
    packets: Vec<Vec<u8>>,
}

fn drain(peer: &mut Dtls, seen: &mut Foreign) {
    let mut buf = vec![0; 4096];
    loop {
        match peer.poll_output(&mut buf) {
            Output::Packet(bytes) => seen.packets.push(bytes.to_vec()),
            Output::Connected => seen.connected = true,
            Output::PeerCert(der) => seen.peer_certificate = dimpl_digest(der),
            Output::KeyingMaterial(keys, profile) => seen.keys = Some((keys.to_vec(), profile)),
            Output::ApplicationData(data) => seen.data.extend_from_slice(data),
            Output::CloseNotify => seen.closed = true,
            Output::Timeout(_) => return,
            other => panic!("unexpected {other:?}"),
        }
    }
}

fn dimpl_digest(der: &[u8]) -> Vec<u8> {
    dimpl::certificate::calculate_fingerprint(der)
}

fn exchange(ours: &mut OpenSslEngine, peer: &mut Dtls, seen: &mut Foreign, now: Instant) {
    let mut buf = [0; MAX_DATAGRAM];
    peer.handle_timeout(now).unwrap();
    loop {
        drain(peer, seen);
        let packets = std::mem::take(&mut seen.packets);
        let mut silent = packets.is_empty();
        packets.iter().for_each(|bytes| ours.handle_packet(now, bytes));
        while let Some(len) = ours.poll_output(&mut buf) {
            silent = false;
            peer.handle_packet(&buf[..len]).unwrap();
        }
        if silent {
            return;
        }
    }
}

fn same_profile(ours: SrtpProfile, theirs: dimpl::SrtpProfile) -> bool {
    matches!(
        (ours, theirs),
        (SrtpProfile::AeadAes128Gcm, dimpl::SrtpProfile::AEAD_AES_128_GCM)
            | (SrtpProfile::AeadAes256Gcm, dimpl::SrtpProfile::AEAD_AES_256_GCM)
            | (SrtpProfile::Aes128CmSha1_80, dimpl::SrtpProfile::AES128_CM_SHA1_80)
    )
}

/// How the foreign end takes its configuration; nothing of ours is shared so.
#[allow(clippy::disallowed_types, reason = "the foreign interface asks for it")]
type SharedConfig = std::sync::Arc<dimpl::Config>;

/// A constructor of the foreign end.
type Make = fn(SharedConfig, dimpl::DtlsCertificate, Instant) -> Dtls;

fn meet(role: Role, ciphers: &str, make: Make) -> KeyingMaterial {
    let now = Instant::now();
    let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
    let expected = Fingerprint::new(FingerprintHash::Sha256, &certificate.fingerprint()).unwrap();
    let mut peer = make(Default::default(), certificate, now);
    peer.set_active(role == Role::Server);
    let settings = DtlsSettings { ciphers: ciphers.into(), ..DtlsSettings::default() };
    let context = context(KeyKind::EcP256, &settings);
    let mut ours = context.engine(role).unwrap();
    ours.set_remote_fingerprint(now, expected);
    ours.start(now);

    let mut seen = Foreign::default();
    exchange(&mut ours, &mut peer, &mut seen, now);
    let Some(DtlsEvent::Connected(Connected { srtp: Some(keys), .. })) = ours.poll_event() else {
        panic!("no keys as {role:?}")
    };
    assert!(seen.connected);
    assert_eq!(seen.peer_certificate, context.fingerprint().digest());
    let (bytes, profile) = seen.keys.take().unwrap();
    assert!(same_profile(keys.profile(), profile), "{keys:?} {profile:?}");
    assert_eq!(KeyingMaterial::new(keys.profile(), &bytes), Some(keys));

    let mut buf = [0; MAX_DATAGRAM];
    ours.send(now, b"to you").unwrap();
    peer.send_application_data(b"to us").unwrap();
    exchange(&mut ours, &mut peer, &mut seen, now);
    assert_eq!(seen.data, b"to you");
    assert_eq!(ours.recv(&mut buf), Some(5));
    assert_eq!(&buf[..5], b"to us");
    ours.close(now);
    exchange(&mut ours, &mut peer, &mut seen, now);
    assert!(seen.closed);
    keys
}

#[test]
fn dimpl_client_gets_our_first_profile() {
    let keys = meet(Role::Server, DEFAULT_CIPHERS, Dtls::new_12);
    assert_eq!(keys.profile(), SrtpProfile::AeadAes128Gcm);
}

#[test]
fn dimpl_server_agrees_on_its_own_first_profile() {
    // It prefers 256 over 128 and asks nobody.
    let keys = meet(Role::Client, DEFAULT_CIPHERS, Dtls::new_12);
    assert_eq!(keys.profile(), SrtpProfile::AeadAes256Gcm);
}

#[test]
fn each_aead_suite_carries_data_after_openssl_is_gone() {
    for suite in ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"] {
        for role in [Role::Client, Role::Server] {
            meet(role, &format!("ECDHE-ECDSA-{suite}"), Dtls::new_12);
        }
    }
}

#[test]
fn a_client_that_would_rather_speak_1_3_comes_down_to_1_2() {
    meet(Role::Server, DEFAULT_CIPHERS, Dtls::new_auto);
}
