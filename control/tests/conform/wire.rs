//! A PeerConnection whose every packet a test writes and reads itself: ICE, DTLS and SRTP are
//! done, what is in between is plain bytes.

use crate::call::PATIENCE;
use crate::target::{media_address, xorshift};
use bifrons_control::transport::moment;
use bifrons_core::dtls::{DtlsEngine, DtlsEvent, Fingerprint, MAX_DATAGRAM, Role};
use bifrons_core::ice::{
    CREDENTIAL_RANDOM, Candidate, Credentials, FullAgent, FullConfig, IceAgent, IceEvent, stun,
};
use bifrons_core::media::PeerId;
use bifrons_core::rtcp::CompoundWriter;
use bifrons_core::rtp::Packet;
use bifrons_core::srtp::{SrtpError, SrtpProfile};
use bifrons_datapath::dtls_openssl::{
    Certificate, DtlsContext, DtlsSettings, KeyKind, OpenSslEngine,
};
use bifrons_datapath::peer::Keys;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::Notify;

/// What came, opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Came {
    /// RTP packets, and when.
    pub(crate) rtp: Vec<(Instant, Vec<u8>)>,
    /// RTCP compounds, and when.
    pub(crate) rtcp: Vec<(Instant, Vec<u8>)>,
    /// RTP packets that had come before: the same bytes again.
    pub(crate) repeats: usize,
}

struct State {
    agent: FullAgent,
    context: DtlsContext,
    /// From the answer on.
    dtls: Option<OpenSslEngine>,
    keys: Option<Keys>,
    path: Option<SocketAddr>,
    out: Vec<(SocketAddr, Vec<u8>)>,
    came: Came,
    /// Datagrams of the handshake that the network is to lose yet.
    losing: u32,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Wire {
    state: Rc<RefCell<State>>,
    news: Rc<Notify>,
    work: Rc<Notify>,
    local: Credentials,
    fingerprint: Fingerprint,
    pub(crate) address: SocketAddr,
}

/// The first line that begins so, without its beginning.
pub(crate) fn value_of<'a>(sdp: &'a str, start: &str) -> &'a str {
    let found = sdp.lines().find_map(|line| line.strip_prefix(start));
    found.unwrap_or_else(|| panic!("{start}: {sdp}")).trim_end()
}

impl Wire {
    /// A peer that has not heard of anybody.
    pub(crate) async fn bind(profiles: &[SrtpProfile]) -> Self {
        let socket = UdpSocket::bind((media_address(), 0)).await.expect("binds");
        let address = socket.local_addr().expect("an address");
        let mut random = xorshift();
        let bytes: [u8; CREDENTIAL_RANDOM] = std::array::from_fn(|_| random() as u8);
        let peer = PeerId { shard: 9, slot: 9, generation: 9 };
        let local = Credentials::generate(peer, &bytes);
        let now_s = i64::try_from(moment().wall_us / 1_000_000).expect("a date");
        let certificate = Certificate::self_signed(KeyKind::EcP256, now_s).expect("a certificate");
        let settings = DtlsSettings { profiles: profiles.to_vec(), ..DtlsSettings::default() };
        let context = DtlsContext::new(&certificate, &settings).expect("OpenSSL");
        let config = FullConfig {
            local: &local,
            addresses: &[address],
            controlling: true,
            tie_breaker: random(),
        };
        let state = State {
            agent: FullAgent::new(Instant::now(), &config),
            context,
            dtls: None,
            keys: None,
            path: None,
            out: Vec::new(),
            came: Came::default(),
            losing: 0,
        };
        let wire = Wire {
            state: Rc::new(RefCell::new(state)),
            news: Rc::default(),
            work: Rc::default(),
            local,
            fingerprint: certificate.fingerprint(),
            address,
        };
        tokio::task::spawn_local(wire.clone().drive(socket));
        wire
    }

    /// The transport's part of an offer.
    pub(crate) fn transport_lines(&self) -> String {
        let candidate =
            format!("1 1 udp 2122260223 {} {} typ host", self.address.ip(), self.address.port());
        format!(
            "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{}\r\na=setup:actpass\r\n\
             a=candidate:{candidate}\r\n",
            self.local.ufrag, self.local.pwd, self.fingerprint
        )
    }

    /// Takes an answer: checks and the handshake begin.
    pub(crate) fn accept(&self, answer: &str) {
        let now = Instant::now();
        let ufrag = value_of(answer, "a=ice-ufrag:");
        let remote = Credentials::remote(ufrag, value_of(answer, "a=ice-pwd:"));
        let plain = !answer.contains("a=fingerprint:");
        let candidate = value_of(answer, "a=candidate:");
        let candidate: Candidate = format!("candidate:{candidate}").parse().expect("a candidate");
        let mut state = self.state.borrow_mut();
        state.agent.set_remote_credentials(now, &remote.expect("credentials"));
        state.agent.add_remote_candidate(&candidate).expect("of use");
        if plain {
            // Nothing to agree on: packets go as they are.
            state.keys = Some(Keys::plain().expect("no keys"));
        } else if state.dtls.is_none() {
            let print =
                Fingerprint::parse(value_of(answer, "a=fingerprint:")).expect("a fingerprint");
            let role = match value_of(answer, "a=setup:") {
                "passive" => Role::Client,
                _ => Role::Server,
            };
            let mut dtls = state.context.engine(role).expect("an engine");
            dtls.set_remote_fingerprint(now, print);
            state.dtls = Some(dtls);
        }
        drop(state);
        self.work.notify_one();
    }

    /// Loses the next `count` datagrams of the handshake that come.
    pub(crate) fn lose_handshake(&self, count: u32) {
        self.state.borrow_mut().losing = count;
    }

    /// Waits for keys.
    pub(crate) async fn up(&self) {
        let up = |state: &State| (state.keys.is_some() && state.path.is_some()).then_some(());
        self.until("keys", up).await;
    }

    /// The profile that was agreed on.
    pub(crate) fn profile(&self) -> SrtpProfile {
        self.state.borrow().keys.as_ref().expect("keys").profile()
    }

    /// Seals and sends an RTP packet; `index` extends its sequence number.
    pub(crate) fn send_rtp(&self, packet: &[u8], index: u64) {
        let mut state = self.state.borrow_mut();
        let header = Packet::parse(packet).expect("RTP").layout().payload().start;
        let mut out = packet[..header].to_vec();
        out.resize(packet.len() + 64, 0);
        let keys = state.keys.as_ref().expect("keys");
        let len = keys.seal_rtp(&mut out, header, &packet[header..], index).expect("sealed");
        out.truncate(len);
        let to = state.path.expect("a path");
        state.out.push((to, out));
        drop(state);
        self.work.notify_one();
    }

    /// Composes, seals and sends an RTCP compound.
    pub(crate) fn send_rtcp(&self, write: impl FnOnce(&mut CompoundWriter<'_>)) {
        let mut state = self.state.borrow_mut();
        let mut out = vec![0; 1400];
        let mut writer = CompoundWriter::new(&mut out[..1200]);
        write(&mut writer);
        let len = writer.len();
        let sealed = state.keys.as_mut().expect("keys").seal_rtcp(&mut out, len);
        out.truncate(sealed.expect("sealed"));
        let to = state.path.expect("a path");
        state.out.push((to, out));
        drop(state);
        self.work.notify_one();
    }

    /// What came so far.
    pub(crate) fn came(&self) -> Came {
        self.state.borrow().came.clone()
    }

    /// Forgets what came.
    pub(crate) fn forget(&self) {
        let mut state = self.state.borrow_mut();
        state.came.rtp.clear();
        state.came.rtcp.clear();
    }

    /// Waits until what came is as wanted.
    pub(crate) async fn until_came<R>(
        &self,
        what: &str,
        mut wanted: impl FnMut(&Came) -> Option<R>,
    ) -> R {
        self.until(what, |state| wanted(&state.came)).await
    }

    async fn until<R>(&self, what: &str, mut wanted: impl FnMut(&State) -> Option<R>) -> R {
        let reached = async {
            loop {
                let found = wanted(&self.state.borrow());
                match found {
                    Some(found) => return found,
                    None => self.news.notified().await,
                }
            }
        };
        match tokio::time::timeout(PATIENCE, reached).await {
            Ok(found) => found,
            Err(_) => panic!("not in time: {what}; RTP {}", self.state.borrow().came.rtp.len()),
        }
    }

    async fn drive(self, socket: UdpSocket) {
        let mut bytes = [0; 2048];
        loop {
            let due = self.state.borrow_mut().turn(Instant::now());
            self.news.notify_waiters();
            for (to, datagram) in std::mem::take(&mut self.state.borrow_mut().out) {
                // A full socket loses it, as a network may.
                let _ = socket.try_send_to(&datagram, to);
            }
            tokio::select! {
                () = self.work.notified() => {}
                () = tokio::time::sleep_until(due.into()) => {}
                _ = socket.readable() => {
                    while let Ok((len, from)) = socket.try_recv_from(&mut bytes) {
                        let mut state = self.state.borrow_mut();
                        state.receive(Instant::now(), self.address, from, &mut bytes[..len]);
                    }
                }
            }
        }
    }
}

impl State {
    fn receive(&mut self, now: Instant, to: SocketAddr, from: SocketAddr, bytes: &mut [u8]) {
        match (bytes.first(), bytes.get(1)) {
            (Some(0..=3), _) => {
                self.agent.handle_packet(now, to, from, bytes);
            }
            (Some(20..=63), _) if self.losing > 0 => self.losing -= 1,
            (Some(20..=63), _) => {
                if let Some(dtls) = &mut self.dtls {
                    dtls.handle_packet(now, bytes);
                }
            }
            (Some(128..=191), Some(192..=223)) => {
                let Some(keys) = &mut self.keys else { return };
                let len = keys.open_rtcp(bytes).expect("RTCP that opens");
                self.came.rtcp.push((now, bytes[..len].to_vec()));
            }
            (Some(128..=191), _) => {
                let Some(keys) = &mut self.keys else { return };
                // A retransmission without RTX is the same packet again.
                match keys.open_rtp(bytes) {
                    Ok(len) => self.came.rtp.push((now, bytes[..len].to_vec())),
                    Err(SrtpError::Replayed) => self.came.repeats += 1,
                    Err(error) => panic!("RTP that does not open: {error}"),
                }
            }
            _ => {}
        }
    }

    /// Lets the protocols act; returns when they want to again.
    fn turn(&mut self, now: Instant) -> Instant {
        if self.agent.poll_timeout().is_some_and(|at| at <= now) {
            self.agent.handle_timeout(now);
        }
        let mut bytes = [0; stun::MAX_MESSAGE];
        while let Some(sent) = self.agent.poll_transmit(&mut bytes) {
            self.out.push((sent.pair.remote, bytes[..sent.len].to_vec()));
        }
        while let Some(event) = self.agent.poll_event() {
            if let IceEvent::SelectedPair(selected) = event {
                self.path = Some(selected.pair.remote);
            }
        }
        let due = [self.agent.poll_timeout(), self.turn_dtls(now)];
        due.into_iter().flatten().min().unwrap_or(now + Duration::from_secs(1))
    }

    fn turn_dtls(&mut self, now: Instant) -> Option<Instant> {
        let (Some(dtls), Some(to)) = (&mut self.dtls, self.path) else { return None };
        dtls.start(now);
        if dtls.poll_timeout().is_some_and(|at| at <= now) {
            dtls.handle_timeout(now);
        }
        let mut bytes = [0; MAX_DATAGRAM];
        while let Some(len) = dtls.poll_output(&mut bytes) {
            self.out.push((to, bytes[..len].to_vec()));
        }
        while let Some(event) = dtls.poll_event() {
            if let DtlsEvent::Connected(done) = event {
                let material = done.srtp.expect("SRTP");
                self.keys = Some(Keys::new(&material, dtls.role()).expect("keys"));
            }
        }
        dtls.poll_timeout()
    }
}
