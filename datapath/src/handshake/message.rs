//! What crosses between a shard and its handshake lane.

use bifrons_core::dtls::{Connected, Failure, Fingerprint, MAX_DATAGRAM, Role};
use bifrons_core::media::{DownReason, PeerId};

use crate::dtls_openssl::RecordLayer;

/// A datagram of at most [`MAX_DATAGRAM`] bytes, inline.
///
/// It travels boxed, and the box goes round: who receives one may fill it and send it back, so a
/// shard in steady state allocates none.
#[derive(Clone)]
pub struct Datagram {
    len: u16,
    bytes: [u8; MAX_DATAGRAM],
}

impl Datagram {
    /// An empty one.
    pub fn boxed() -> Box<Datagram> {
        Box::new(Datagram { len: 0, bytes: [0; MAX_DATAGRAM] })
    }

    /// A new one with these bytes; `None` when they are too many.
    pub fn copied(bytes: &[u8]) -> Option<Box<Datagram>> {
        let mut datagram = Datagram::boxed();
        datagram.fill(bytes).then_some(datagram)
    }

    /// Replaces the content; false, and nothing changed, when `bytes` are too many.
    pub fn fill(&mut self, bytes: &[u8]) -> bool {
        let Some(place) = self.bytes.get_mut(..bytes.len()) else { return false };
        place.copy_from_slice(bytes);
        self.len = bytes.len() as u16;
        true
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The content, to be worked on in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..usize::from(self.len)).unwrap_or_default()
    }

    /// Lets `write` fill the whole buffer; what it returns becomes the length.
    pub(super) fn fill_with(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        let len = write(&mut self.bytes);
        self.len = len.unwrap_or(0).min(MAX_DATAGRAM) as u16;
        len.is_some()
    }
}

impl std::fmt::Debug for Datagram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Datagram({} bytes)", self.len)
    }
}

/// Shard to lane. `Start`, `Fingerprint` and `Close` are state and must not be lost; records and
/// data may be dropped when the ring is full, DTLS and SCTP repeat them.
#[derive(Debug)]
pub enum ToLane {
    /// First candidate pair selected: begin. The 20 s limit runs from here. Ignored for a peer
    /// that the lane already has.
    Start {
        /// Which peer.
        peer: PeerId,
        /// Our role.
        role: Role,
        /// The peer's fingerprint; `None` if signalling has not told yet.
        fingerprint: Option<Fingerprint>,
    },
    /// Signalling told, or changed, the peer's fingerprint.
    Fingerprint {
        /// Which peer.
        peer: PeerId,
        /// What its certificate must hash to.
        fingerprint: Fingerprint,
    },
    /// A datagram that demultiplexing took for DTLS (RFC 7983).
    Record {
        /// Which peer.
        peer: PeerId,
        /// The datagram as received.
        datagram: Box<Datagram>,
    },
    /// Application data for the peer (an SCTP packet).
    Send {
        /// Which peer.
        peer: PeerId,
        /// The data; at most `MAX_DATAGRAM - MAX_RECORD_OVERHEAD` bytes.
        data: Box<Datagram>,
    },
    /// The peer has data channels: its records, once connected, are to move to the shard. Answered
    /// by `Records`; datagrams sent behind this are not looked at any more if they do move.
    Yield {
        /// Which peer.
        peer: PeerId,
    },
    /// Send `close_notify` if connected and forget the peer. No `Down` follows; records to send
    /// may, and then `Closed`.
    Close {
        /// Which peer.
        peer: PeerId,
    },
    /// Break something on purpose, for tests of the crash paths.
    Fault(Fault),
}

/// What [`ToLane::Fault`] breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Panics while handling this peer.
    Peer(PeerId),
    /// Panics outside any peer, which ends the thread.
    Thread,
}

/// Lane to shard.
#[derive(Debug)]
pub enum FromLane {
    /// Send this datagram over the peer's selected pair.
    Record {
        /// Which peer.
        peer: PeerId,
        /// The datagram.
        datagram: Box<Datagram>,
    },
    /// The handshake is done and the certificate is the right one. Once a peer.
    Connected {
        /// Which peer.
        peer: PeerId,
        /// The role we played, which says whose keys are whose.
        role: Role,
        /// SRTP profile and keys, certificate.
        connected: Connected,
    },
    /// We sent flights of the handshake again, as its timer wants (RFC 6347 §4.2.4).
    Repeated {
        /// Which peer.
        peer: PeerId,
        /// How many so far.
        flights: u32,
    },
    /// Application data from the peer (an SCTP packet).
    Data {
        /// Which peer.
        peer: PeerId,
        /// The data.
        data: Box<Datagram>,
    },
    /// Answer to [`ToLane::Yield`]: the records move to the shard, and the lane has forgotten the
    /// peer. `None`: they stay, for the suite is known to OpenSSL alone, and data go through the
    /// lane.
    Records {
        /// Which peer.
        peer: PeerId,
        /// Its record layer.
        layer: Option<Box<RecordLayer>>,
    },
    /// The peer is down and forgotten. The last message about it.
    Down {
        /// Which peer.
        peer: PeerId,
        /// Why.
        cause: DownCause,
    },
    /// Answer to [`ToLane::Close`], behind the last record to send.
    Closed {
        /// Which peer.
        peer: PeerId,
    },
    /// The lane's thread died and was started anew. Peers in the middle of a handshake or with
    /// data channels got a `Down`; other connected peers' media goes on, without a close alert.
    Restarted {
        /// Peers that were lost with it, of either kind.
        peers: u32,
    },
}

/// Why a lane gave a peer up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownCause {
    /// The peer closed after having been connected.
    Closed,
    /// It never got connected.
    Failed(Failure),
    /// The lane refused it: no room or no memory.
    Refused,
    /// A defect of ours ended it.
    Fault,
}

impl DownCause {
    /// What control tells the client.
    pub fn reason(self) -> DownReason {
        match self {
            DownCause::Failed(Failure::Timeout) => DownReason::DtlsTimeout,
            DownCause::Closed
            | DownCause::Failed(
                Failure::Alert(_) | Failure::Certificate | Failure::FingerprintMismatch,
            ) => DownReason::DtlsAlert,
            DownCause::Failed(Failure::Protocol(_)) | DownCause::Refused | DownCause::Fault => {
                DownReason::DtlsError
            }
        }
    }
}
