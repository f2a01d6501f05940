//! The peer's candidates as far as an agent keeps them: addresses and how they were learned.

use std::net::SocketAddr;

use super::candidate::{Candidate, CandidateKind, Unusable};

/// Most signalled candidates of one ICE generation that are used.
pub const MAX_SIGNALLED: usize = 32;

/// Most peer-reflexive addresses of one ICE generation that are checked in return.
pub const MAX_LEARNED: usize = 16;

#[derive(Debug)]
pub(super) struct RemoteCandidates {
    /// Room for all of them from the start.
    known: Vec<(SocketAddr, CandidateKind)>,
    signalled: usize,
    learned: usize,
}

impl Default for RemoteCandidates {
    fn default() -> Self {
        let known = Vec::with_capacity(MAX_SIGNALLED + MAX_LEARNED);
        Self { known, signalled: 0, learned: 0 }
    }
}

impl RemoteCandidates {
    /// Notes a candidate from signalling. `Ok(false)`: it was known.
    pub(super) fn signalled(
        &mut self,
        candidate: &Candidate,
        remote_ufrag: Option<&str>,
    ) -> Result<bool, Unusable> {
        if let Some(reason) = candidate.unusable(false) {
            return Err(reason);
        }
        if let (Some(theirs), Some(ufrag)) = (remote_ufrag, candidate.extension("ufrag"))
            && theirs != ufrag
        {
            return Err(Unusable::OtherGeneration);
        }
        let addr = candidate.socket_addr().ok_or(Unusable::Name)?;
        if self.known.contains(&(addr, candidate.kind)) {
            return Ok(false);
        }
        if self.signalled == MAX_SIGNALLED {
            return Err(Unusable::TooMany);
        }
        self.signalled += 1;
        self.known.push((addr, candidate.kind));
        Ok(true)
    }

    /// Notes the source of a genuine check. False if it is new and there is no room.
    pub(super) fn learn(&mut self, addr: SocketAddr) -> bool {
        if self.known.iter().any(|(known, _)| *known == addr) {
            return true;
        }
        if self.learned == MAX_LEARNED {
            return false;
        }
        self.learned += 1;
        self.known.push((addr, CandidateKind::PeerReflexive));
        true
    }

    /// The kind of the candidate at `addr`; what signalling said goes before what was learned.
    pub(super) fn kind(&self, addr: SocketAddr) -> CandidateKind {
        let kinds = || self.known.iter().filter(|(known, _)| *known == addr).map(|(_, kind)| *kind);
        kinds()
            .find(|kind| *kind != CandidateKind::PeerReflexive)
            .unwrap_or(CandidateKind::PeerReflexive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(port: usize, tail: &str) -> Candidate {
        format!("1 1 udp 1 192.0.2.1 {port} typ host{tail}").parse().expect("candidate")
    }

    #[test]
    fn both_lists_are_bounded() {
        let mut remote = RemoteCandidates::default();
        for port in 1..=MAX_SIGNALLED {
            assert_eq!(remote.signalled(&candidate(port, ""), None), Ok(true));
        }
        assert_eq!(remote.signalled(&candidate(1, ""), None), Ok(false));
        assert_eq!(remote.signalled(&candidate(99, ""), None), Err(Unusable::TooMany));
        for port in 0..MAX_LEARNED {
            assert!(remote.learn(([198, 51, 100, 1], port as u16).into()));
        }
        assert!(remote.learn(([198, 51, 100, 1], 0).into()), "known already");
        assert!(remote.learn(([192, 0, 2, 1], 1).into()), "signalled already");
        assert!(!remote.learn(([198, 51, 100, 1], 999).into()));
    }

    #[test]
    fn signalling_names_the_kind_of_a_learned_address() {
        let mut remote = RemoteCandidates::default();
        let addr = ([192, 0, 2, 1], 7).into();
        assert!(remote.learn(addr));
        assert_eq!(remote.kind(addr), CandidateKind::PeerReflexive);
        assert_eq!(remote.signalled(&candidate(7, ""), None), Ok(true));
        assert_eq!(remote.kind(addr), CandidateKind::Host);
    }

    #[test]
    fn a_candidate_of_another_generation_is_not_used() {
        let mut remote = RemoteCandidates::default();
        let old = candidate(7, " ufrag old");
        assert_eq!(remote.signalled(&old, Some("new")), Err(Unusable::OtherGeneration));
        assert_eq!(remote.signalled(&old, Some("old")), Ok(true));
    }
}
