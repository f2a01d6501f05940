//! A client without a media stack: it connects like any other, and then sends and keeps whatever
//! RTP and RTCP a test wants, genuine on the outside whatever is inside.

use super::net::Datagram;
use bifrons_core::dtls::{DtlsEngine, DtlsEvent, Fingerprint, Role};
use bifrons_core::ice::{
    CREDENTIAL_RANDOM, Candidate, Credentials, FullAgent, FullConfig, IceAgent, IceEvent,
    Transport, stun,
};
use bifrons_core::media::PeerId;
use bifrons_core::rtcp::CompoundWriter;
use bifrons_datapath::dtls_openssl::{DtlsContext, OpenSslEngine};
use bifrons_datapath::peer::Keys;
use std::net::SocketAddr;
use std::time::Instant;

/// See the module.
pub(crate) struct Raw {
    pub(crate) address: SocketAddr,
    pub(crate) peer: PeerId,
    pub(crate) credentials: Credentials,
    agent: FullAgent,
    dtls: OpenSslEngine,
    started: bool,
    keys: Option<Keys>,
    server: Option<SocketAddr>,
    /// Decrypted RTP, with the time it came and its ciphertext.
    pub(crate) rtp: Vec<(u64, Vec<u8>, Vec<u8>)>,
    /// Decrypted RTCP.
    pub(crate) rtcp: Vec<(u64, Vec<u8>)>,
    pub(crate) closed_us: Option<u64>,
    out: Vec<Datagram>,
}

impl Raw {
    pub(crate) fn new(index: usize, now: Instant, context: &DtlsContext, random: u64) -> Self {
        let address = SocketAddr::from(([10, 2, 0, index as u8], 50_000));
        let name = PeerId { shard: 99, slot: index as u32, generation: 7 };
        let bytes: [u8; CREDENTIAL_RANDOM] =
            std::array::from_fn(|at| (random >> (at % 8 * 8)) as u8 ^ at as u8);
        let credentials = Credentials::generate(name, &bytes);
        let config = FullConfig {
            local: &credentials,
            addresses: &[address],
            controlling: true,
            tie_breaker: random,
        };
        Raw {
            address,
            peer: name,
            agent: FullAgent::new(now, &config),
            credentials,
            dtls: context.engine(Role::Client).expect("an engine"),
            started: false,
            keys: None,
            server: None,
            rtp: Vec::new(),
            rtcp: Vec::new(),
            closed_us: None,
            out: Vec::new(),
        }
    }

    pub(crate) fn candidate(&self) -> Candidate {
        Candidate::host(self.address, Transport::Udp, 0)
    }

    pub(crate) fn answer(
        &mut self,
        now: Instant,
        server: SocketAddr,
        ours: &Credentials,
        print: Fingerprint,
    ) {
        self.server = Some(server);
        self.agent.set_remote_credentials(now, ours);
        let candidate = Candidate::host(server, Transport::Udp, 0);
        self.agent.add_remote_candidate(&candidate).expect("a usable candidate");
        self.dtls.set_remote_fingerprint(now, print);
    }

    pub(crate) fn connected(&self) -> bool {
        self.keys.is_some()
    }

    pub(crate) fn receive(&mut self, now: Instant, now_us: u64, datagram: &Datagram) {
        let mut bytes = datagram.bytes.clone();
        match bytes.first() {
            Some(0..=3) => {
                let (to, from) = (datagram.to, datagram.from);
                self.agent.handle_packet(now, to, from, &bytes);
            }
            Some(20..=63) => self.dtls.handle_packet(now, &bytes),
            Some(128..=191) => {
                let Some(keys) = &mut self.keys else { return };
                if matches!(bytes[1], 192..=223) {
                    let len = keys.open_rtcp(&mut bytes).expect("genuine SRTCP");
                    self.rtcp.push((now_us, bytes[..len].to_vec()));
                } else if let Ok(len) = keys.open_rtp(&mut bytes) {
                    self.rtp.push((now_us, bytes[..len].to_vec(), datagram.bytes.clone()));
                } else {
                    // A repetition byte for byte, which our own replay window stops.
                    self.rtp.push((now_us, Vec::new(), datagram.bytes.clone()));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn due(&mut self) -> Option<Instant> {
        [self.agent.poll_timeout(), self.dtls.poll_timeout()].into_iter().flatten().min()
    }

    /// Lets time pass; returns what it sends.
    pub(crate) fn poll(&mut self, now: Instant, now_us: u64) -> Vec<Datagram> {
        self.agent.handle_timeout(now);
        if self.dtls.poll_timeout().is_some_and(|at| at <= now) {
            self.dtls.handle_timeout(now);
        }
        let mut room = [0; stun::MAX_MESSAGE];
        while let Some(sent) = self.agent.poll_transmit(&mut room) {
            self.push(sent.pair.remote, &room[..sent.len]);
        }
        while let Some(event) = self.agent.poll_event() {
            if matches!(event, IceEvent::SelectedPair(_)) && !self.started {
                self.started = true;
                self.dtls.start(now);
            }
        }
        self.poll_dtls(now_us);
        std::mem::take(&mut self.out)
    }

    fn poll_dtls(&mut self, now_us: u64) {
        let mut room = [0; 2048];
        while let Some(len) = self.dtls.poll_output(&mut room) {
            if let Some(server) = self.server {
                self.push(server, &room[..len]);
            }
        }
        while let Some(event) = self.dtls.poll_event() {
            match event {
                DtlsEvent::Connected(connected) => {
                    let material = connected.srtp.expect("SRTP was agreed on");
                    self.keys = Keys::new(&material, self.dtls.role()).ok();
                }
                DtlsEvent::Closed => self.closed_us = Some(now_us),
                DtlsEvent::Failed(failure) => panic!("handshake failed: {failure}"),
            }
        }
    }

    /// Sends a close alert and is gone.
    pub(crate) fn hang_up(&mut self, now: Instant, now_us: u64) {
        self.dtls.close(now);
        self.poll_dtls(now_us);
    }

    fn push(&mut self, to: SocketAddr, bytes: &[u8]) {
        self.out.push(Datagram { from: self.address, to, bytes: bytes.to_vec() });
    }

    /// Sends a packet under this index (its low 16 bits are the sequence number).
    pub(crate) fn send_rtp(&mut self, index: u64, header: &[u8], payload: &[u8]) {
        let mut room = vec![0; header.len() + payload.len() + 32];
        room[..header.len()].copy_from_slice(header);
        room[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        let keys = self.keys.as_ref().expect("connected");
        let len = keys.seal_rtp(&mut room, header.len(), payload, index).expect("it fits");
        room.truncate(len);
        self.push_media(&room);
    }

    /// Sends what `write` puts into a compound.
    pub(crate) fn send_rtcp(&mut self, write: impl FnOnce(&mut CompoundWriter<'_>)) {
        let mut room = [0; 1400];
        let mut writer = CompoundWriter::new(&mut room[..1200]);
        write(&mut writer);
        let len = writer.len();
        self.send_rtcp_bytes(&room[..len]);
    }

    /// Sends these bytes as RTCP; they need eight.
    pub(crate) fn send_rtcp_bytes(&mut self, plain: &[u8]) {
        let mut room = vec![0; plain.len() + 64];
        room[..plain.len()].copy_from_slice(plain);
        let keys = self.keys.as_mut().expect("connected");
        let len = keys.seal_rtcp(&mut room, plain.len()).expect("it fits");
        room.truncate(len);
        self.push_media(&room);
    }

    /// Sends a datagram as it is, from its own address.
    pub(crate) fn push_media(&mut self, bytes: &[u8]) {
        let server = self.server.expect("answered");
        self.push(server, bytes);
    }

    /// Whether it has something to send before time passes.
    pub(crate) fn waits(&self) -> bool {
        !self.out.is_empty()
    }
}
