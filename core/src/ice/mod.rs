//! ICE: credentials, candidates, connectivity.
//!
//! Sans-IO like the rest of the crate: datagrams, instants and random bytes come in, datagrams and
//! events go out. [`LiteAgent`] answers checks and nothing else, without allocating; [`FullAgent`]
//! sends its own. Which of the peers a datagram is for is read off the datagram itself
//! ([`stun::owner`]), because we choose ufrags and transaction ids.

mod agent;
mod candidate;
mod credentials;
mod failure;
mod full;
mod lite;
mod local;
mod local_key;
mod remote;
mod reply;
mod report;
pub mod stun;
#[cfg(test)]
mod tests;
mod ufrag;

pub use agent::{AddressPair, IceAgent, IceEvent, IceState, IceStats, SelectedPair, Transmit};
pub use candidate::{
    Candidate, CandidateError, CandidateKind, ConnectionAddress, MAX_CANDIDATE_LINE,
    MAX_EXTENSIONS, TcpType, Transport, Unusable, fuzz_candidate,
};
pub use credentials::{CREDENTIAL_RANDOM, Credentials, CredentialsError, MAX_PWD, MAX_UFRAG};
pub use failure::{
    FAILURE_GRACE, FAILURE_LIMIT, FAILURE_TICK, FailureAction, FailureTimer, ICE_FAILED,
    SignallingProgress,
};
pub use full::{FullAgent, FullConfig};
pub use lite::{LITE_CONSENT, LiteAgent};
pub use local::{InterfaceAddress, LocalPlan, LocalRules, MAX_LOCAL_ADDRESSES, PrefixList};
pub use remote::{MAX_LEARNED, MAX_SIGNALLED};
pub use report::MAX_ADDRESSES;
pub use stun::fuzz_stun;
pub use ufrag::{UFRAG_LEN, Ufrag};
