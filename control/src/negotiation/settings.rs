//! What the configuration says to the negotiation, once and for all peers.

use bifrons_core::config::settings::Setup;
use bifrons_core::ice::{Candidate, LocalPlan, LocalRules};
use std::net::{IpAddr, Ipv4Addr};

/// Settings that hold for every PeerConnection of the server.
#[derive(Clone, Debug)]
pub struct NegotiationSettings {
    /// SHA-256 of our certificate, hex bytes with colons.
    pub fingerprint: String,
    /// Candidates go out as events instead of in the description.
    pub full_trickle: bool,
    /// Our agents answer checks and send none.
    pub ice_lite: bool,
    /// A client may ask that nothing but a relay of ours is used.
    pub allow_force_relay: bool,
    /// Our DTLS role when the client leaves it to us.
    pub setup: Setup,
    /// Address for `o=` and `c=`; connectivity does not depend on it.
    pub session_address: IpAddr,
    /// False only under `no_webrtc_encryption`: profile `RTP/AVPF`, no fingerprint, no `setup`.
    pub encrypted: bool,
    /// Which addresses stand for ours in candidates.
    pub rules: LocalRules,
    /// The bound addresses.
    pub local: LocalPlan,
}

impl NegotiationSettings {
    /// The settings of a server whose sockets are bound by `local` under `rules`; everything else
    /// at its default.
    pub fn new(fingerprint: String, local: LocalPlan, rules: LocalRules) -> Self {
        let session_address = local.session_address(&rules);
        NegotiationSettings {
            fingerprint,
            encrypted: true,
            full_trickle: false,
            ice_lite: false,
            allow_force_relay: false,
            setup: Setup::Passive,
            session_address: session_address.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            rules,
            local,
        }
    }

    /// Our candidates on a shard that listens on `port`, as attribute lines.
    pub(super) fn candidates(&self, port: u16) -> Vec<String> {
        self.local.candidates(&self.rules, port).iter().map(Candidate::to_string).collect()
    }
}
