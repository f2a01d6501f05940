//! ICE candidates as SDP attributes and trickle messages carry them (RFC 8839 §5.1, RFC 6544 §4.5).
//!
//! Parsing is bounded and loses nothing: what we do not know stays in `extensions` and prints back.
//! Whether a candidate is *used* is a second question, [`Candidate::unusable`], because Janus
//! acknowledges candidates that it then ignores.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// Longest candidate line taken, in bytes.
pub const MAX_CANDIDATE_LINE: usize = 1024;

/// Most extension attributes kept on one candidate; a line with more is refused.
pub const MAX_EXTENSIONS: usize = 16;

/// Longest foundation (RFC 8839 §5.1).
const MAX_FOUNDATION: usize = 32;

/// Longest host name (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;

/// One ICE candidate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Groups candidates of one kind, base and server; 1 to 32 characters.
    pub foundation: String,
    /// 1 for RTP (and, with rtcp-mux, RTCP); others are parsed and then ignored.
    pub component: u16,
    /// UDP, or TCP with its connection role.
    pub transport: Transport,
    /// As the sender computed it (RFC 8445 §5.1.2); 0 is parsed and then ignored.
    pub priority: u32,
    /// Where it is.
    pub address: ConnectionAddress,
    /// Its port; 9 with TCP active, where the port is not known.
    pub port: u16,
    /// How the address was learned.
    pub kind: CandidateKind,
    /// `raddr` and `rport`, text and port, when present: for people reading, never for sending.
    pub related: Option<(String, u16)>,
    /// Every other attribute in its order (`generation`, `ufrag`, `network-id`, …).
    pub extensions: Vec<(String, String)>,
}

/// Transport of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP with the role of its owner (RFC 6544 §4.5).
    Tcp(TcpType),
}

/// `tcptype`: which side opens the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpType {
    /// The candidate's owner connects.
    Active,
    /// The candidate's owner listens.
    Passive,
    /// Both connect at once.
    SimultaneousOpen,
}

/// `typ`: how an address was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// An address of an interface.
    Host,
    /// Seen by a STUN server.
    ServerReflexive,
    /// Seen by the peer in a connectivity check.
    PeerReflexive,
    /// Allocated on a TURN server.
    Relayed,
}

/// `connection-address`: an address, or a name somebody would have to resolve.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ConnectionAddress {
    /// A literal address.
    Ip(IpAddr),
    /// A name, at most 255 bytes. Unresolvable in here: control resolves it where configured and
    /// adds [`Candidate::resolved`]; an mDNS peer is reached as peer-reflexive all the same.
    Unresolvable(String),
}

/// Why a candidate that parsed is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// Component above 1: rtcp-mux is all we speak.
    Component,
    /// Priority 0, which the reference ignores.
    ZeroPriority,
    /// TCP while `ice_tcp` is off.
    Tcp,
    /// An mDNS name (`*.local`).
    Mdns,
    /// Another name.
    Name,
    /// An address nothing can be sent to: unspecified, multicast, broadcast, or port 0.
    Address,
    /// Its `ufrag` is not the peer's present one (RFC 8839 §5.1).
    OtherGeneration,
    /// The agent holds as many of the peer's candidates as it takes.
    TooMany,
}

/// Why a line is not a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CandidateError {
    /// Longer than [`MAX_CANDIDATE_LINE`], or a field longer than the RFC lets it be.
    #[error("candidate too long")]
    TooLong,
    /// Fewer than the eight mandatory fields, or an attribute without value.
    #[error("candidate ends early")]
    Truncated,
    /// Component, priority or port is no number of its range.
    #[error("candidate has a bad number")]
    BadNumber,
    /// Neither `udp` nor `tcp` with a known `tcptype`.
    #[error("candidate transport not supported")]
    Transport,
    /// No `typ`, or one that is not host, srflx, prflx or relay.
    #[error("candidate type not supported")]
    Kind,
    /// Neither an address nor anything like a host name.
    #[error("candidate address malformed")]
    Address,
    /// More than [`MAX_EXTENSIONS`] extension attributes.
    #[error("candidate has too many extensions")]
    TooManyExtensions,
}

impl Candidate {
    /// A host candidate of ours for component 1, based on the `index`-th most preferred of our
    /// addresses, which sets its foundation and priority (RFC 8445 §5.1.1.3, §5.1.2.1).
    #[must_use]
    pub fn host(addr: SocketAddr, transport: Transport, index: u16) -> Self {
        let prefix = if transport == Transport::Udp { "" } else { "t" };
        Self {
            foundation: format!("{prefix}{}", u32::from(index) + 1),
            component: 1,
            transport,
            priority: CandidateKind::Host.priority(transport, u16::MAX - index),
            address: ConnectionAddress::Ip(addr.ip()),
            port: addr.port(),
            kind: CandidateKind::Host,
            related: None,
            extensions: Vec::new(),
        }
    }

    /// Reads what a trickle message carries: `Ok(None)` for the empty string and for anything that
    /// holds `end-of-candidates`, both accepted and ignored (core-api §3.11).
    ///
    /// # Errors
    /// As [`Candidate::from_str`].
    pub fn parse_trickled(text: &str) -> Result<Option<Self>, CandidateError> {
        if text.is_empty() || text.contains("end-of-candidates") {
            return Ok(None);
        }
        text.parse().map(Some)
    }

    /// Why this candidate is not used, if it is not. `tcp` is whether ICE-TCP is switched on.
    #[must_use]
    pub fn unusable(&self, tcp: bool) -> Option<Unusable> {
        if self.component != 1 {
            return Some(Unusable::Component);
        }
        if self.priority == 0 {
            return Some(Unusable::ZeroPriority);
        }
        if !tcp && self.transport != Transport::Udp {
            return Some(Unusable::Tcp);
        }
        match &self.address {
            ConnectionAddress::Ip(ip) if self.port == 0 || !is_sendable(*ip) => {
                Some(Unusable::Address)
            }
            ConnectionAddress::Ip(_) => None,
            ConnectionAddress::Unresolvable(name) if is_mdns(name) => Some(Unusable::Mdns),
            ConnectionAddress::Unresolvable(_) => Some(Unusable::Name),
        }
    }

    /// A candidate of ours on a relay. `mapped` is what the relay saw us as: for people reading.
    #[must_use]
    pub fn relayed(addr: SocketAddr, mapped: Option<SocketAddr>) -> Self {
        let transport = Transport::Udp;
        Self {
            // Apart from those of sockets, which count from 1.
            foundation: "9999".to_owned(),
            component: 1,
            transport,
            priority: CandidateKind::Relayed.priority(transport, u16::MAX),
            address: ConnectionAddress::Ip(addr.ip()),
            port: addr.port(),
            kind: CandidateKind::Relayed,
            // RFC 8839 §5.1 wants the pair there; zeros hide it (§5.1, privacy).
            related: Some(mapped.map_or_else(
                || ("0.0.0.0".to_owned(), 0),
                |mapped| (mapped.ip().to_string(), mapped.port()),
            )),
            extensions: Vec::new(),
        }
    }

    /// The transport address; `None` while the name is not resolved.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.address {
            ConnectionAddress::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            ConnectionAddress::Unresolvable(_) => None,
        }
    }

    /// The same candidate at a resolved address.
    #[must_use]
    pub fn resolved(mut self, ip: IpAddr) -> Self {
        self.address = ConnectionAddress::Ip(ip);
        self
    }

    /// The value of the first extension attribute called `name` (`ufrag`, `generation`, …).
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl CandidateKind {
    /// Candidate priority for component 1 (RFC 8445 §5.1.2.1); TCP below UDP of the same kind as
    /// RFC 6544 §4.2 asks.
    #[must_use]
    pub fn priority(self, transport: Transport, local_preference: u16) -> u32 {
        let udp = transport == Transport::Udp;
        let type_preference: u32 = match self {
            Self::Host if udp => 126,
            Self::PeerReflexive if udp => 110,
            Self::ServerReflexive if udp => 100,
            Self::Host => 90,
            Self::PeerReflexive => 80,
            Self::ServerReflexive => 70,
            Self::Relayed if udp => 2,
            Self::Relayed => 1,
        };
        type_preference << 24 | u32::from(local_preference) << 8 | 255
    }

    /// The token after `typ`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }
}

impl TcpType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::SimultaneousOpen => "so",
        }
    }

    fn parse(token: &str) -> Result<Self, CandidateError> {
        [Self::Active, Self::Passive, Self::SimultaneousOpen]
            .into_iter()
            .find(|t| token.eq_ignore_ascii_case(t.as_str()))
            .ok_or(CandidateError::Transport)
    }
}

/// A name of the mDNS zone (RFC 8828 §5, RFC 6762 §3).
fn is_mdns(name: &str) -> bool {
    name.trim_end_matches('.').to_ascii_lowercase().ends_with(".local")
}

/// Whether one peer can live there.
fn is_sendable(ip: IpAddr) -> bool {
    let broadcast = IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    !ip.is_unspecified() && !ip.is_multicast() && ip != broadcast
}

/// The line with or without `candidate:` before it, as Janus takes it; `a=` is not stripped.
impl FromStr for Candidate {
    type Err = CandidateError;

    fn from_str(line: &str) -> Result<Self, CandidateError> {
        if line.len() > MAX_CANDIDATE_LINE {
            return Err(CandidateError::TooLong);
        }
        let line = line.strip_prefix("candidate:").unwrap_or(line);
        let mut tokens = line.split_ascii_whitespace();
        let mut next = || tokens.next().ok_or(CandidateError::Truncated);
        let foundation = next()?;
        if foundation.len() > MAX_FOUNDATION {
            return Err(CandidateError::TooLong);
        }
        let component = number(next()?)?;
        let transport = next()?;
        let priority = number(next()?)?;
        let address = next()?.parse()?;
        let port = number(next()?)?;
        if next()? != "typ" {
            return Err(CandidateError::Kind);
        }
        let kind = next()?.parse()?;
        let attributes = Attributes::parse(tokens)?;
        Ok(Self {
            foundation: foundation.to_owned(),
            component,
            transport: attributes.transport(transport)?,
            priority,
            address,
            port,
            kind,
            related: attributes.related()?,
            extensions: attributes.extensions,
        })
    }
}

/// The optional tail of a candidate line.
#[derive(Default)]
struct Attributes<'a> {
    raddr: Option<&'a str>,
    rport: Option<&'a str>,
    tcptype: Option<&'a str>,
    extensions: Vec<(String, String)>,
}

impl<'a> Attributes<'a> {
    fn parse(mut tokens: impl Iterator<Item = &'a str>) -> Result<Self, CandidateError> {
        let mut found = Self::default();
        while let Some(name) = tokens.next() {
            let value = tokens.next().ok_or(CandidateError::Truncated)?;
            match name {
                "raddr" => found.raddr = Some(value),
                "rport" => found.rport = Some(value),
                "tcptype" => found.tcptype = Some(value),
                _ if found.extensions.len() == MAX_EXTENSIONS => {
                    return Err(CandidateError::TooManyExtensions);
                }
                _ => found.extensions.push((name.to_owned(), value.to_owned())),
            }
        }
        Ok(found)
    }

    fn transport(&self, token: &str) -> Result<Transport, CandidateError> {
        if token.eq_ignore_ascii_case("udp") {
            return Ok(Transport::Udp);
        }
        match self.tcptype {
            Some(role) if token.eq_ignore_ascii_case("tcp") => {
                Ok(Transport::Tcp(TcpType::parse(role)?))
            }
            _ => Err(CandidateError::Transport),
        }
    }

    /// Half of it missing is no reason to lose the candidate: nothing is ever sent there.
    fn related(&self) -> Result<Option<(String, u16)>, CandidateError> {
        let (Some(raddr), Some(rport)) = (self.raddr, self.rport) else { return Ok(None) };
        Ok(Some((raddr.to_owned(), number(rport)?)))
    }
}

impl FromStr for ConnectionAddress {
    type Err = CandidateError;

    fn from_str(text: &str) -> Result<Self, CandidateError> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let plausible = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if text.len() > MAX_NAME || !text.bytes().all(plausible) {
            return Err(CandidateError::Address);
        }
        Ok(Self::Unresolvable(text.to_owned()))
    }
}

impl FromStr for CandidateKind {
    type Err = CandidateError;

    fn from_str(token: &str) -> Result<Self, CandidateError> {
        [Self::Host, Self::ServerReflexive, Self::PeerReflexive, Self::Relayed]
            .into_iter()
            .find(|kind| kind.as_str() == token)
            .ok_or(CandidateError::Kind)
    }
}

fn number<T: FromStr>(token: &str) -> Result<T, CandidateError> {
    // `parse` alone would take a leading plus sign.
    if !token.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CandidateError::BadNumber);
    }
    token.parse().map_err(|_| CandidateError::BadNumber)
}

impl fmt::Display for ConnectionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Unresolvable(name) => f.write_str(name),
        }
    }
}

/// `candidate:…` without `a=`: the form that trickle messages carry.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = if self.transport == Transport::Udp { "udp" } else { "tcp" };
        write!(
            f,
            "candidate:{} {} {transport} {} {} {} typ {}",
            self.foundation,
            self.component,
            self.priority,
            self.address,
            self.port,
            self.kind.as_str(),
        )?;
        if let Some((raddr, rport)) = &self.related {
            write!(f, " raddr {raddr} rport {rport}")?;
        }
        // RFC 6544 §4.5: after rel-addr and rel-port.
        if let Transport::Tcp(role) = self.transport {
            write!(f, " tcptype {}", role.as_str())?;
        }
        self.extensions.iter().try_for_each(|(name, value)| write!(f, " {name} {value}"))
    }
}

/// Fuzz body: no text may make the parser panic, and what parses survives printing.
pub fn fuzz_candidate(bytes: &[u8]) {
    let Ok(line) = str::from_utf8(bytes) else { return };
    if let Ok(Some(candidate)) = Candidate::parse_trickled(line) {
        let _ = candidate.unusable(true);
        assert_eq!(candidate.to_string().parse(), Ok(candidate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHROME: &str = "candidate:842163049 1 udp 1677729535 203.0.113.7 45664 typ srflx \
                          raddr 0.0.0.0 rport 0 generation 0 ufrag kZVX network-cost 999";

    fn parse(line: &str) -> Candidate {
        line.parse().unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    #[test]
    fn a_browser_candidate_prints_back_as_it_came() {
        let c = parse(CHROME);
        assert_eq!(c.to_string(), CHROME);
        assert_eq!(c.kind, CandidateKind::ServerReflexive);
        assert_eq!(c.socket_addr(), Some("203.0.113.7:45664".parse().expect("address")));
        assert_eq!(c.extension("ufrag"), Some("kZVX"));
        assert_eq!(c.unusable(false), None);
    }

    #[test]
    fn the_prefix_is_optional_and_a_equals_is_not_stripped() {
        let bare = CHROME.strip_prefix("candidate:").expect("prefix");
        assert_eq!(parse(bare), parse(CHROME));
        // `a=candidate:842163049` is read as a (legal length) foundation, as Janus does.
        assert_ne!(parse(&format!("a={CHROME}")).foundation, "842163049");
    }

    #[test]
    fn tcp_candidates_need_a_role_and_the_switch() {
        let c = parse("1 1 TCP 1518280447 192.0.2.7 9 typ host tcptype active");
        assert_eq!(c.transport, Transport::Tcp(TcpType::Active));
        assert_eq!((c.unusable(false), c.unusable(true)), (Some(Unusable::Tcp), None));
        let without = "1 1 tcp 1518280447 192.0.2.7 9 typ host".parse::<Candidate>();
        assert_eq!(without, Err(CandidateError::Transport));
    }

    #[test]
    fn webrtc_36_local_names_parse_and_are_not_used() {
        let name = "8f2a1b3c-0d1e-4f5a-9b8c-7d6e5f4a3b2c.local";
        let c = parse(&format!("1 1 udp 2122260223 {name} 50123 typ host"));
        assert_eq!(c.address, ConnectionAddress::Unresolvable(name.to_owned()));
        assert_eq!((c.unusable(false), c.socket_addr()), (Some(Unusable::Mdns), None));
        let ip = "192.0.2.1".parse().expect("address");
        assert_eq!(c.resolved(ip).unusable(false), None);
        let other = parse("1 1 udp 1 media.example.com 1 typ host");
        assert_eq!(other.unusable(false), Some(Unusable::Name));
    }

    #[test]
    fn component_two_and_priority_zero_are_ignored() {
        let rtcp = parse("1 2 udp 2122260222 192.0.2.7 50124 typ host");
        assert_eq!(rtcp.unusable(true), Some(Unusable::Component));
        let zero = parse("1 1 udp 0 192.0.2.7 50123 typ host");
        assert_eq!(zero.unusable(true), Some(Unusable::ZeroPriority));
    }

    #[test]
    fn nothing_is_sent_to_addresses_of_no_peer() {
        for address in ["0.0.0.0 5", "224.0.0.1 5", "255.255.255.255 5", ":: 5", "192.0.2.1 0"] {
            let c = parse(&format!("1 1 udp 1 {address} typ host"));
            assert_eq!(c.unusable(true), Some(Unusable::Address), "{address}");
        }
    }

    #[test]
    fn trickled_ends_are_no_candidates() {
        assert_eq!(Candidate::parse_trickled(""), Ok(None));
        assert_eq!(Candidate::parse_trickled("a=end-of-candidates"), Ok(None));
        assert!(matches!(Candidate::parse_trickled(CHROME), Ok(Some(_))));
        assert_eq!(Candidate::parse_trickled("nonsense"), Err(CandidateError::Truncated));
    }

    #[test]
    fn malformed_lines_say_why() {
        use CandidateError as E;
        let many = "x y ".repeat(MAX_EXTENSIONS + 1);
        let head = "1 1 udp 1 192.0.2.1 1 typ host";
        let cases = [
            ("1 1 udp 1 192.0.2.1 1 typ".to_owned(), E::Truncated),
            (format!("{head} raddr"), E::Truncated),
            (format!("{head} {many}"), E::TooManyExtensions),
            ("1 1 udp 1 192.0.2.1 1 kind host".to_owned(), E::Kind),
            ("1 1 udp 1 192.0.2.1 1 typ anycast".to_owned(), E::Kind),
            ("1 1 sctp 1 192.0.2.1 1 typ host".to_owned(), E::Transport),
            ("1 1 udp 4294967296 192.0.2.1 1 typ host".to_owned(), E::BadNumber),
            ("1 1 udp +1 192.0.2.1 1 typ host".to_owned(), E::BadNumber),
            ("1 1 udp 1 192.0.2.1 65536 typ host".to_owned(), E::BadNumber),
            ("1 1 udp 1 fe80::1%eth0 1 typ host".to_owned(), E::Address),
            (format!("{head} x {}", "y".repeat(MAX_CANDIDATE_LINE)), E::TooLong),
            (format!("{} 1 udp 1 192.0.2.1 1 typ host", "f".repeat(33)), E::TooLong),
        ];
        for (line, error) in cases {
            assert_eq!(line.parse::<Candidate>(), Err(error), "{line}");
        }
    }

    #[test]
    fn host_priorities_follow_the_formula_and_the_order() {
        let addr = "192.0.2.1:9000".parse().expect("address");
        let first = Candidate::host(addr, Transport::Udp, 0);
        let second = Candidate::host(addr, Transport::Udp, 1);
        assert_eq!(first.priority, 126 << 24 | 65535 << 8 | 255);
        assert!(second.priority < first.priority);
        assert_ne!(second.foundation, first.foundation);
        assert_eq!(first.to_string(), "candidate:1 1 udp 2130706431 192.0.2.1 9000 typ host");
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_what_parses_prints_stably(line in "[ -~]{0,200}") {
            fuzz_candidate(line.as_bytes());
            let typed = format!("1 1 udp 1 192.0.2.1 1 typ host {line}");
            fuzz_candidate(typed.as_bytes());
        }

        #[test]
        fn candidates_survive_printing(
            foundation in "[A-Za-z0-9+/]{1,32}", priority: u32, port: u16, v6: [u8; 16],
            name in "[a-z][a-z-]{0,10}", value in "[a-zA-Z0-9]{1,10}",
        ) {
            prop_assume!(!["raddr", "rport", "tcptype"].contains(&name.as_str()));
            let line = format!(
                "candidate:{foundation} 1 udp {priority} {} {port} typ relay {name} {value}",
                std::net::Ipv6Addr::from(v6),
            );
            prop_assert_eq!(parse(&line).to_string(), line);
        }
    }
}
