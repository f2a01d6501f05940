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

pub(super) struct Established {
    session: Session,
    role: Role,
    /// A server's last flight, for a client that did not get it; empty for a client, whose last
    /// flight has been answered.
    last_flight: Vec<Vec<u8>>,
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
        Some(Established { session, role, last_flight, output: Outgoing::default(), refused: 0 })
    }

    /// Opens the records of a datagram.
    pub(super) fn receive(&mut self, datagram: &[u8], mut each: impl FnMut(Received)) {
        let mut records = Vec::new();
        self.refused += u64::from(sift(self.role, true, datagram, &mut records));
        for record in Records::new(&records) {
            let mut buf = [0; MAX_DATAGRAM];
            let Some(len) = self.session.open(&record, &mut buf) else {
                self.refused += 1;
                continue;
            };
            let content = buf.get(..len).unwrap_or_default();
            match (record.content, content) {
                (APPLICATION_DATA, data) => each(Received::Data(data.to_vec())),
                (ALERT, [2, description]) => each(Received::Closed(*description)),
                (ALERT, [1, 0]) => each(Received::Closed(0)),
                // A repeated Finished says that our last flight was lost; byte for byte it may go
                // again, for whoever has seen a record drops its like.
                (HANDSHAKE, _) => {
                    self.last_flight.iter().for_each(|datagram| self.output.push(datagram.clone()));
                }
                _ => self.refused += 1,
            }
        }
    }

    /// Seals application data; false when the output is full or the numbers are used up.
    pub(super) fn send(&mut self, data: &[u8]) -> bool {
        !self.output.is_full() && self.seal(APPLICATION_DATA, data)
    }

    /// Sends `close_notify`.
    pub(super) fn farewell(&mut self) {
        const CLOSE_NOTIFY: [u8; 2] = [1, 0];
        self.seal(ALERT, &CLOSE_NOTIFY);
    }

    fn seal(&mut self, content: u8, data: &[u8]) -> bool {
        let mut out = [0; MAX_DATAGRAM];
        let sealed = self.session.seal(content, data, &mut out).and_then(|len| out.get(..len));
        let taken = sealed.map(|record| self.output.push(record.to_vec()));
        taken.is_some()
    }
}
