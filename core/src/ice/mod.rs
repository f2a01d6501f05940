//! ICE: credentials, candidates, connectivity.
//!
//! Sans-IO like the rest of the crate: datagrams, instants and random bytes come in, datagrams and
//! events go out.

mod candidate;
mod credentials;
pub mod stun;
mod ufrag;

pub use candidate::{
    Candidate, CandidateError, CandidateKind, ConnectionAddress, MAX_CANDIDATE_LINE,
    MAX_EXTENSIONS, TcpType, Transport, Unusable,
};
pub use credentials::{CREDENTIAL_RANDOM, Credentials, CredentialsError, MAX_PWD, MAX_UFRAG};
pub use ufrag::{MAX_SLOT, PeerTag, UFRAG_LEN, Ufrag};
