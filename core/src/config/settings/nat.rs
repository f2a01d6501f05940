//! Section `nat` of `janus.jcfg` (reference: transports-auth §13, webrtc-behaviour §12).

use std::net::IpAddr;

use super::super::section::{Section, Word};

/// How ICE picks its pair when controlling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IceNomination {
    /// Every check nominates.
    Aggressive,
    /// One check nominates, after the rest (RFC 8445 §8.1.1).
    Regular,
}

impl Word for IceNomination {
    const WORDS: &'static [(&'static str, Self)] =
        &[("aggressive", Self::Aggressive), ("regular", Self::Regular)];
}

/// How a TURN server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnType {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Word for TurnType {
    const WORDS: &'static [(&'static str, Self)] =
        &[("udp", Self::Udp), ("tcp", Self::Tcp), ("tls", Self::Tls)];
}

/// How the TURN REST API is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestMethod {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
}

impl Word for RestMethod {
    const WORDS: &'static [(&'static str, Self)] = &[("GET", Self::Get), ("POST", Self::Post)];
}

/// ICE, STUN, TURN.
#[derive(Debug, Clone, PartialEq)]
pub struct Nat {
    /// STUN server for server-reflexive candidates.
    pub stun_server: Option<String>,
    /// Its UDP port.
    pub stun_port: u16,
    /// Trickle our candidates instead of writing them into the SDP.
    pub full_trickle: bool,
    /// Nomination when controlling.
    pub ice_nomination: IceNomination,
    /// Consent checks on the selected pair (RFC 7675).
    pub ice_consent_freshness: bool,
    /// Keep alive by connectivity checks instead of indications.
    pub ice_keepalive_conncheck: bool,
    /// ICE lite (RFC 8445 §2.5): for servers with a public address.
    pub ice_lite: bool,
    /// Gather TCP candidates (RFC 6544).
    pub ice_tcp: bool,
    /// Hang up as soon as ICE fails.
    pub hangup_on_failed: bool,
    /// Drop `.local` candidates at once.
    pub ignore_mdns: bool,
    /// Public addresses that stand in for ours in candidates.
    pub nat_1_1_mapping: Vec<IpAddr>,
    /// Offer the own addresses besides the mapped ones.
    pub keep_private_host: bool,
    /// TURN server.
    pub turn_server: Option<String>,
    /// Its port.
    pub turn_port: u16,
    /// How it is reached.
    pub turn_type: TurnType,
    /// Its user.
    pub turn_user: Option<String>,
    /// Its password.
    pub turn_pwd: Option<String>,
    /// Address of a TURN REST API that gives credentials.
    pub turn_rest_api: Option<String>,
    /// Its key.
    pub turn_rest_api_key: Option<String>,
    /// How it is asked.
    pub turn_rest_api_method: RestMethod,
    /// Seconds it has for an answer.
    pub turn_rest_api_timeout_s: u32,
    /// Let a client force relayed candidates.
    pub allow_force_relay: bool,
    /// Interfaces or address prefixes to gather from; empty: all. Entries are compared as they
    /// stand, a leading space included (webrtc-behaviour checklist 35).
    pub ice_enforce_list: Vec<String>,
    /// Interfaces or address prefixes not to gather from; compared as they stand.
    pub ice_ignore_list: Vec<String>,
    /// Start although the STUN or TURN server does not answer.
    pub ignore_unreachable_ice_server: bool,
}

impl Default for Nat {
    fn default() -> Self {
        Self {
            stun_server: None,
            stun_port: 3478,
            full_trickle: false,
            ice_nomination: IceNomination::Aggressive,
            ice_consent_freshness: false,
            ice_keepalive_conncheck: false,
            ice_lite: false,
            ice_tcp: false,
            hangup_on_failed: false,
            ignore_mdns: false,
            nat_1_1_mapping: Vec::new(),
            keep_private_host: false,
            turn_server: None,
            turn_port: 3478,
            turn_type: TurnType::Udp,
            turn_user: None,
            turn_pwd: None,
            turn_rest_api: None,
            turn_rest_api_key: None,
            turn_rest_api_method: RestMethod::Post,
            turn_rest_api_timeout_s: 10,
            allow_force_relay: false,
            ice_enforce_list: Vec::new(),
            ice_ignore_list: Vec::new(),
            ignore_unreachable_ice_server: false,
        }
    }
}

impl Nat {
    pub(super) fn read(&mut self, section: &mut Section<'_>) {
        section.text_option("stun_server", &mut self.stun_server);
        section.number("stun_port", &mut self.stun_port, 1..=u16::MAX, "");
        section.flag("full_trickle", &mut self.full_trickle);
        section.word("ice_nomination", &mut self.ice_nomination);
        section.flag("ice_consent_freshness", &mut self.ice_consent_freshness);
        section.flag("ice_keepalive_conncheck", &mut self.ice_keepalive_conncheck);
        section.flag("ice_lite", &mut self.ice_lite);
        section.flag("ice_tcp", &mut self.ice_tcp);
        section.flag("hangup_on_failed", &mut self.hangup_on_failed);
        section.flag("ignore_mdns", &mut self.ignore_mdns);
        section.items("nat_1_1_mapping", &mut self.nat_1_1_mapping, "IP addresses", |item| {
            item.trim().parse().ok().map(|address| vec![address])
        });
        section.flag("keep_private_host", &mut self.keep_private_host);
        self.read_turn(section);
        section.flag("allow_force_relay", &mut self.allow_force_relay);
        section.words_as_they_stand("ice_enforce_list", &mut self.ice_enforce_list);
        section.words_as_they_stand("ice_ignore_list", &mut self.ice_ignore_list);
        section.flag("ignore_unreachable_ice_server", &mut self.ignore_unreachable_ice_server);
        section.accepted("nice_debug");
        section.accepted("libnice_debug");
    }

    fn read_turn(&mut self, section: &mut Section<'_>) {
        section.text_option("turn_server", &mut self.turn_server);
        section.number("turn_port", &mut self.turn_port, 1..=u16::MAX, "");
        section.word("turn_type", &mut self.turn_type);
        section.text_option("turn_user", &mut self.turn_user);
        section.text_option("turn_pwd", &mut self.turn_pwd);
        section.text_option("turn_rest_api", &mut self.turn_rest_api);
        section.text_option("turn_rest_api_key", &mut self.turn_rest_api_key);
        section.word("turn_rest_api_method", &mut self.turn_rest_api_method);
        let timeout = &mut self.turn_rest_api_timeout_s;
        section.number("turn_rest_api_timeout", timeout, 1..=3600, "seconds");
    }
}
