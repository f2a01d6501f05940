//! The client's candidates: which of them are of use (webrtc-behaviour §1.4).
//!
//! What cannot be used is passed over, counted and told at debug level; nobody is refused for it.
//! Names in `.local` (RFC 8828 §5) are among them, whatever `ignore_mdns` says: resolving them takes
//! multicast on the client's own network, and a client that hides its addresses is found without,
//! by the checks that it sends to ours.

use bifrons_core::ice::{Candidate, Unusable};
use bifrons_core::plugin::HandleKey;

/// Candidates passed over since the start, of all PeerConnections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// Names in `.local`.
    pub mdns: u64,
    /// All others: of component 2, over TCP, unreadable and the like.
    pub others: u64,
}

impl PassedOver {
    /// Those of a description that can be used.
    pub(super) fn sift(&mut self, handle: HandleKey, lines: &[String]) -> Vec<Candidate> {
        lines.iter().filter_map(|line| self.usable(handle, line)).collect()
    }

    /// One candidate, if it can be used.
    pub(super) fn usable(&mut self, handle: HandleKey, line: &str) -> Option<Candidate> {
        let unusable = match Candidate::parse_trickled(line) {
            Ok(None) => return None,
            Ok(Some(candidate)) => match candidate.unusable(false) {
                None => return Some(candidate),
                Some(why) => Some(why),
            },
            Err(_) => None,
        };
        let count = match unusable {
            Some(Unusable::Mdns) => &mut self.mdns,
            _ => &mut self.others,
        };
        *count += 1;
        tracing::debug!(handle = handle.0, line, why = ?unusable, "candidate not used");
        None
    }
}
