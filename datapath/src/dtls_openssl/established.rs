//! A connection after OpenSSL: a [`Session`] and the little it needs around it.

use bifrons_core::dtls::record::{Records, sift};
use bifrons_core::dtls::session::{ALERT, APPLICATION_DATA, HANDSHAKE};
use bifrons_core::dtls::{MAX_DATAGRAM, Role, Secrets, Session, Suite};
use openssl::ssl::SslRef;

use super::wire::{Outgoing, Wire};

/// What a received record asks of the engine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Application data.
    Data(Vec<u8>),
    /// The peer has closed, by `close_notify` (0) or a fatal alert.
    Closed(u8),
}

/// The records of a connection after its handshake: plain data that may move to another thread.
pub struct RecordLayer {
    session: Session,
    role: Role,
    /// A server's last flight, for a client that did not get it; empty for a client, whose last
    /// flight has been answered.
    last_flight: Vec<Vec<u8>>,
}

/// What a record was.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened<'a> {
    /// Application data.
    Data(&'a [u8]),
    /// The peer has closed, by `close_notify` (0) or a fatal alert.
    Closed(u8),
    /// This datagram of our last flight has to go again.
    Again(&'a [u8]),
}

impl RecordLayer {
    /// Opens the records of a datagram; returns how many were refused.
    pub fn open(&mut self, datagram: &[u8], mut each: impl FnMut(Opened<'_>)) -> u64 {
        let mut records = Vec::new();
        let mut refused = u64::from(sift(self.role, true, datagram, &mut records));
        for record in Records::new(&records) {
            let mut buf = [0; MAX_DATAGRAM];
            let Some(len) = self.session.open(&record, &mut buf) else {
                refused += 1;
                continue;
            };
            let content = buf.get(..len).unwrap_or_default();
            match (record.content, content) {
                (APPLICATION_DATA, data) => each(Opened::Data(data)),
                (ALERT, [2, description]) => each(Opened::Closed(*description)),
                (ALERT, [1, 0]) => each(Opened::Closed(0)),
                // A repeated Finished says that our last flight was lost; byte for byte it may go
                // again, for whoever has seen a record drops its like.
                (HANDSHAKE, _) => {
                    self.last_flight.iter().for_each(|datagram| each(Opened::Again(datagram)));
                }
                _ => refused += 1,
            }
        }
        refused
    }

    /// Writes application data as a record into `out`; its length, unless it does not fit or the
    /// record numbers are used up.
    pub fn seal(&mut self, data: &[u8], out: &mut [u8]) -> Option<usize> {
        self.session.seal(APPLICATION_DATA, data, out)
    }

    /// Writes `close_notify` into `out`; its length.
    pub fn farewell(&mut self, out: &mut [u8]) -> Option<usize> {
        const CLOSE_NOTIFY: [u8; 2] = [1, 0];
        self.session.seal(ALERT, &CLOSE_NOTIFY, out)
    }
}

impl std::fmt::Debug for RecordLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.session.fmt(f)
    }
}

pub(super) struct Established {
    layer: RecordLayer,
    pub(super) output: Outgoing,
    pub(super) refused: u64,
}

impl Established {
    /// Takes over from OpenSSL; `None` when the suite is none of ours, and OpenSSL stays.
    /// `last_flight` is what the handshake's last step sent.
    pub(super) fn take_over(
        ssl: &SslRef,
        wire: &Wire,
        role: Role,
        last_flight: Vec<Vec<u8>>,
    ) -> Option<Established> {
        let suite = Suite::from_id(u16::from_be_bytes(ssl.current_cipher()?.protocol_id()))?;
        let (next_sequence, next_explicit) = wire.sealed()?;
        let mut secrets = Secrets {
            suite,
            role,
            master: [0; 48],
            client_random: [0; 32],
            server_random: [0; 32],
            next_sequence,
            next_explicit,
        };
        let whole = ssl.session()?.master_key(&mut secrets.master) == 48
            && ssl.client_random(&mut secrets.client_random) == 32
            && ssl.server_random(&mut secrets.server_random) == 32;
        let session = Session::new(&secrets).filter(|_| whole)?;
        let last_flight = if role == Role::Server { last_flight } else { Vec::new() };
        let layer = RecordLayer { session, role, last_flight };
        Some(Established { layer, output: Outgoing::default(), refused: 0 })
    }

    /// What is left when somebody else carries the datagrams.
    pub(super) fn into_layer(self) -> RecordLayer {
        self.layer
    }

    /// Opens the records of a datagram.
    pub(super) fn receive(&mut self, datagram: &[u8], mut each: impl FnMut(Received)) {
        let Established { layer, output, refused } = self;
        *refused += layer.open(datagram, |opened| match opened {
            Opened::Data(data) => each(Received::Data(data.to_vec())),
            Opened::Closed(alert) => each(Received::Closed(alert)),
            Opened::Again(datagram) => output.push(datagram.to_vec()),
        });
    }

    /// Seals application data; false when the output is full or the numbers are used up.
    pub(super) fn send(&mut self, data: &[u8]) -> bool {
        !self.output.is_full() && self.put(|layer, out| layer.seal(data, out))
    }

    /// Sends `close_notify`.
    pub(super) fn farewell(&mut self) {
        self.put(RecordLayer::farewell);
    }

    fn put(&mut self, write: impl FnOnce(&mut RecordLayer, &mut [u8]) -> Option<usize>) -> bool {
        let mut out = [0; MAX_DATAGRAM];
        let sealed = write(&mut self.layer, &mut out).and_then(|len| out.get(..len));
        let taken = sealed.map(|record| self.output.push(record.to_vec()));
        taken.is_some()
    }
}
