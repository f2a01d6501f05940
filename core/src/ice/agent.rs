//! The contract between an ICE agent and the shard that drives it.
//!
//! Both agents are sans-IO: datagrams and instants in, datagrams and events out. After each call
//! that takes input the owner polls transmits and events until `None`, then asks for the timeout.
//! Events are differences of state, not a log: what was overtaken before it was polled is not
//! reported, so there is no queue to overflow.

use std::net::SocketAddr;
use std::time::Instant;

use super::candidate::{Candidate, CandidateKind, Unusable};
use super::credentials::Credentials;

/// Both ends of a path: which of our sockets, and the address behind which the peer was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressPair {
    /// Address of our socket.
    pub local: SocketAddr,
    /// The peer's address as we see it.
    pub remote: SocketAddr,
}

/// The pair media takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectedPair {
    /// Where to send from and to.
    pub pair: AddressPair,
    /// Kind of our candidate.
    pub local_kind: CandidateKind,
    /// Kind of the peer's candidate: peer-reflexive unless it was signalled.
    pub remote_kind: CandidateKind,
}

/// A datagram written into the caller's buffer by [`IceAgent::poll_transmit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// From which socket to which address.
    pub pair: AddressPair,
    /// Bytes used of the buffer.
    pub len: usize,
}

/// Where connectivity stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IceState {
    /// Nothing was sent or heard.
    #[default]
    New,
    /// Checks are under way and none has been nominated, or the nominated pair is being replaced.
    Checking,
    /// A nominated pair works.
    Connected,
    /// It did work and consent has expired (RFC 7675 §5.1); it may come back.
    Disconnected,
    /// It never worked and nothing is left to try; a new candidate may change that.
    Failed,
}

/// What an agent tells its owner. A pair is always validated before it is selected, and selected
/// before the agent says connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IceEvent {
    /// The state changed to [`IceState::Checking`]; also after a restart.
    Checking,
    /// The state changed to [`IceState::Connected`].
    Connected,
    /// Media goes by another pair from now on. The first one starts DTLS.
    SelectedPair(SelectedPair),
    /// A packet from there passed an integrity check: it may enter the table that classifies
    /// DTLS and SRTP. At most [`super::MAX_ADDRESSES`] are valid at any time.
    ValidatedAddress(AddressPair),
    /// That address has to leave the table.
    RetiredAddress(AddressPair),
    /// The state changed to [`IceState::Disconnected`]: tell [`super::FailureTimer`].
    Disconnected,
    /// The state changed to [`IceState::Failed`]: tell [`super::FailureTimer`].
    Failed,
}

/// Absolute counters of one agent since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IceStats {
    /// Checks that passed integrity.
    pub requests: u64,
    /// Responses to our checks that passed integrity.
    pub responses: u64,
    /// Messages dropped or answered with an error: malformed, foreign or wrongly signed.
    pub refused: u64,
    /// What a full table or a short buffer made us drop: replies, candidates, addresses.
    pub overflows: u64,
}

/// An ICE agent for one peer and one component. Plain data: it may move to another shard.
pub trait IceAgent: std::fmt::Debug + Send {
    /// Takes a STUN datagram that arrived at `local` from `from`. True if it was meant for this
    /// agent and passed its integrity check.
    fn handle_packet(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        bytes: &[u8],
    ) -> bool;

    /// Adds a candidate the peer signalled.
    ///
    /// # Errors
    /// Says why it is ignored; nothing else follows from that.
    fn add_remote_candidate(&mut self, candidate: &Candidate) -> Result<(), Unusable>;

    /// Adds an address of ours on a relay. Checks leave from it as from a socket: the owner takes
    /// a datagram from there to the relay. Kept over restarts. A lite agent has nothing to add.
    fn add_relayed(&mut self, now: Instant, relayed: SocketAddr) {
        let _ = (now, relayed);
    }

    /// Sets the peer's credentials: once after construction and once after each restart. Checking
    /// begins. Setting the same again changes nothing.
    fn set_remote_credentials(&mut self, now: Instant, remote: &Credentials);

    /// Starts a new ICE generation with new credentials of ours (RFC 8445 §9). Media stays on the
    /// old pair, and checks with the old credentials are answered, until a new pair is nominated.
    fn restart(&mut self, now: Instant, local: &Credentials);

    /// Writes the next datagram to send into `out`, which [`super::stun::MAX_MESSAGE`] bytes
    /// suffice for; what does not fit is dropped and counted.
    fn poll_transmit(&mut self, out: &mut [u8]) -> Option<Transmit>;

    /// The next difference of state that was not told yet.
    fn poll_event(&mut self) -> Option<IceEvent>;

    /// When [`IceAgent::handle_timeout`] wants to be called; ask again after every other call.
    fn poll_timeout(&mut self) -> Option<Instant>;

    /// Lets time pass.
    fn handle_timeout(&mut self, now: Instant);

    /// Where connectivity stands.
    fn state(&self) -> IceState;

    /// Counters.
    fn stats(&self) -> IceStats;
}
