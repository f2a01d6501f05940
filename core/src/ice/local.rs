//! Which local addresses we bind and which candidates we advertise for them.
//!
//! Pure functions of the host's interface addresses and the `nat`/`media` settings
//! (webrtc-behaviour §1.2, §1.3). Run once at start; nothing here is on a packet's way.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::candidate::{Candidate, TcpType, Transport};

/// Most addresses bound; each is a socket on every shard.
pub const MAX_LOCAL_ADDRESSES: usize = 32;

/// An address of an interface that is up and running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface's name; also the scope of a link-local address.
    pub name: String,
    /// One of its addresses.
    pub ip: IpAddr,
}

/// A comma list of interface names and address prefixes, as `ice_enforce_list` and
/// `ice_ignore_list` hold them. An entry matches what *starts* with it. Entries are used verbatim,
/// untrimmed: one with a leading blank matches nothing, in Janus too. Empty ones are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrefixList(Vec<String>);

impl PrefixList {
    /// Splits the configured text.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        Self(list.split(',').filter(|entry| !entry.is_empty()).map(str::to_owned).collect())
    }

    /// Whether no entry is left, which is as good as not configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|entry| text.starts_with(entry.as_str()))
    }
}

/// The settings that decide.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalRules {
    /// `ice_enforce_list`: when set, nothing else is used.
    pub enforce: PrefixList,
    /// `ice_ignore_list`: not used; interface names in it count only without an enforce list.
    pub ignore: PrefixList,
    /// `ipv6`: use IPv6 at all.
    pub ipv6: bool,
    /// `ipv6_linklocal`: use `fe80::/10` as well; needs `ipv6`.
    pub ipv6_linklocal: bool,
    /// `nat_1_1_mapping`: public addresses that stand for ours of the same family.
    pub nat_1_1_mapping: Vec<IpAddr>,
    /// `keep_private_host`: advertise the unmapped address too.
    pub keep_private_host: bool,
    /// `ice_tcp`: advertise a passive TCP candidate beside each UDP one.
    pub tcp: bool,
}

/// What to bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPlan {
    /// Addresses to bind a socket to, most preferred first, at most [`MAX_LOCAL_ADDRESSES`].
    /// Empty when the rules leave nothing: the caller has to say so loudly and not start
    /// (checklist 45; Janus falls back to every address there).
    pub bind: Vec<InterfaceAddress>,
    /// Usable addresses above the bound.
    pub left_out: usize,
}

impl LocalPlan {
    /// Applies `rules` to the addresses of all interfaces that are up, in the host's order.
    ///
    /// Loopback is skipped unless there is nothing else at all: a box without a network still
    /// serves itself.
    #[must_use]
    pub fn new(addresses: &[InterfaceAddress], rules: &LocalRules) -> Self {
        let only_loopback = addresses.iter().all(|a| a.ip.is_loopback() || a.ip.is_unspecified());
        let mut bind: Vec<InterfaceAddress> = Vec::new();
        for address in addresses {
            let known = bind.iter().any(|bound| bound.ip == address.ip);
            let usable = only_loopback || !address.ip.is_loopback();
            if usable && !known && rules.allow_family(address.ip) && rules.allow_entry(address) {
                bind.push(address.clone());
            }
        }
        let left_out = bind.len().saturating_sub(MAX_LOCAL_ADDRESSES);
        bind.truncate(MAX_LOCAL_ADDRESSES);
        Self { bind, left_out }
    }

    /// The candidates of a shard that listens on `port` of every bound address. Mapped addresses
    /// share foundation and priority with the socket they stand for; two sockets behind one public
    /// address yield one candidate.
    #[must_use]
    pub fn candidates(&self, rules: &LocalRules, port: u16) -> Vec<Candidate> {
        let mut advertised: Vec<Candidate> = Vec::new();
        for (index, bound) in (0..).zip(&self.bind) {
            for ip in rules.advertised_for(bound.ip) {
                for transport in rules.transports() {
                    let addr = SocketAddr::new(ip, port);
                    let candidate = Candidate::host(addr, transport, index);
                    let same =
                        |c: &Candidate| c.transport == transport && c.address == candidate.address;
                    if !advertised.iter().any(same) {
                        advertised.push(candidate);
                    }
                }
            }
        }
        advertised
    }

    /// The address for `c=` and `o=`: the first public one, else the first bound.
    #[must_use]
    pub fn session_address(&self, rules: &LocalRules) -> Option<IpAddr> {
        rules.nat_1_1_mapping.first().copied().or_else(|| self.bind.first().map(|b| b.ip))
    }
}

impl LocalRules {
    fn allow_family(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => !ip.is_unspecified(),
            IpAddr::V6(ip) if !self.ipv6 || ip.is_unspecified() => false,
            IpAddr::V6(ip) => self.ipv6_linklocal || !is_linklocal(ip),
        }
    }

    fn allow_entry(&self, address: &InterfaceAddress) -> bool {
        let text = address.ip.to_string();
        if self.ignore.matches(&text) {
            return false;
        }
        if self.enforce.is_empty() {
            return !self.ignore.matches(&address.name);
        }
        self.enforce.matches(&address.name) || self.enforce.matches(&text)
    }

    fn advertised_for(&self, ip: IpAddr) -> Vec<IpAddr> {
        let same_family = |public: &&IpAddr| public.is_ipv4() == ip.is_ipv4();
        let mut advertised: Vec<IpAddr> =
            self.nat_1_1_mapping.iter().filter(same_family).copied().collect();
        if advertised.is_empty() || self.keep_private_host {
            advertised.push(ip);
        }
        advertised
    }

    fn transports(&self) -> impl Iterator<Item = Transport> + use<> {
        let tcp = self.tcp.then_some(Transport::Tcp(TcpType::Passive));
        [Transport::Udp].into_iter().chain(tcp)
    }
}

fn is_linklocal(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces(list: &[(&str, &str)]) -> Vec<InterfaceAddress> {
        let address = |(name, ip): &(&str, &str)| InterfaceAddress {
            name: (*name).to_owned(),
            ip: ip.parse().expect("address"),
        };
        list.iter().map(address).collect()
    }

    fn usual() -> Vec<InterfaceAddress> {
        interfaces(&[
            ("lo", "127.0.0.1"),
            ("eth0", "10.0.0.5"),
            ("eth0", "fe80::1"),
            ("eth0", "2001:db8::5"),
            ("eth1", "192.168.7.5"),
            ("vmnet8", "172.16.0.1"),
        ])
    }

    fn bound(addresses: &[InterfaceAddress], rules: &LocalRules) -> Vec<String> {
        LocalPlan::new(addresses, rules).bind.iter().map(|b| b.ip.to_string()).collect()
    }

    /// `address:port` of each candidate.
    fn advertised(rules: &LocalRules) -> Vec<String> {
        let plan = LocalPlan::new(&usual(), rules);
        let text = |c: &Candidate| format!("{} {}", c.address, c.port);
        plan.candidates(rules, 9001).iter().map(text).collect()
    }

    fn lists(enforce: &str, ignore: &str) -> LocalRules {
        LocalRules {
            enforce: PrefixList::parse(enforce),
            ignore: PrefixList::parse(ignore),
            ..LocalRules::default()
        }
    }

    fn nat(public: &[&str]) -> Vec<IpAddr> {
        public.iter().map(|ip| ip.parse().expect("address")).collect()
    }

    #[test]
    fn loopback_and_ipv6_are_off_by_default() {
        assert_eq!(bound(&usual(), &lists("", "")), ["10.0.0.5", "192.168.7.5", "172.16.0.1"]);
        let nowhere = interfaces(&[("eth0", "0.0.0.0"), ("eth0", "::"), ("eth0", "10.0.0.5")]);
        let rules = LocalRules { ipv6: true, ..LocalRules::default() };
        assert_eq!(bound(&nowhere, &rules), ["10.0.0.5"]);
    }

    #[test]
    fn link_local_needs_both_switches() {
        let mut rules = lists("eth0", "");
        rules.ipv6_linklocal = true;
        assert_eq!(bound(&usual(), &rules), ["10.0.0.5"]);
        rules.ipv6 = true;
        assert_eq!(bound(&usual(), &rules), ["10.0.0.5", "fe80::1", "2001:db8::5"]);
        rules.ipv6_linklocal = false;
        assert_eq!(bound(&usual(), &rules), ["10.0.0.5", "2001:db8::5"]);
    }

    #[test]
    fn a_box_with_loopback_alone_serves_itself() {
        let only = interfaces(&[("lo", "127.0.0.1"), ("lo", "::1")]);
        assert_eq!(bound(&only, &lists("", "")), ["127.0.0.1"]);
        let rules = LocalRules { ipv6: true, ..LocalRules::default() };
        assert_eq!(bound(&only, &rules), ["127.0.0.1", "::1"]);
        // An interface that the rules exclude is still a network: loopback stays out.
        let other = interfaces(&[("lo", "127.0.0.1"), ("eth0", "10.0.0.5")]);
        assert_eq!(bound(&other, &lists("", "eth0")), [""; 0]);
    }

    #[test]
    fn webrtc_34_nat_mapping_replaces_hosts() {
        let mut rules = lists("eth", "");
        rules.ipv6 = true;
        rules.nat_1_1_mapping = nat(&["203.0.113.7"]);
        // Both private IPv4 addresses become the one public address; IPv6 is untouched.
        assert_eq!(advertised(&rules), ["203.0.113.7 9001", "2001:db8::5 9001"]);
        rules.nat_1_1_mapping = nat(&["203.0.113.7", "203.0.113.8", "2001:db8::99"]);
        let all = ["203.0.113.7 9001", "203.0.113.8 9001", "2001:db8::99 9001"];
        assert_eq!(advertised(&rules), all);
    }

    #[test]
    fn webrtc_34_keep_private_host_yields_both() {
        let mut rules = lists("eth0", "");
        rules.nat_1_1_mapping = nat(&["203.0.113.7"]);
        rules.keep_private_host = true;
        assert_eq!(advertised(&rules), ["203.0.113.7 9001", "10.0.0.5 9001"]);
        // Without a mapping of that family the switch does nothing.
        rules.nat_1_1_mapping = nat(&["2001:db8::99"]);
        assert_eq!(advertised(&rules), ["10.0.0.5 9001"]);
    }

    #[test]
    fn webrtc_35_enforce_list_restricts_by_name_or_address() {
        assert_eq!(bound(&usual(), &lists("eth1", "")), ["192.168.7.5"]);
        assert_eq!(bound(&usual(), &lists("10.", "")), ["10.0.0.5"]);
        assert_eq!(bound(&usual(), &lists("eth", "")), ["10.0.0.5", "192.168.7.5"]);
    }

    #[test]
    fn webrtc_35_ignore_list_removes_address_prefixes() {
        assert_eq!(bound(&usual(), &lists("", "vmnet")), ["10.0.0.5", "192.168.7.5"]);
        assert_eq!(bound(&usual(), &lists("", "192.168.")), ["10.0.0.5", "172.16.0.1"]);
        // With an enforce list its names no longer count, its addresses do.
        assert_eq!(bound(&usual(), &lists("eth", "eth1")), ["10.0.0.5", "192.168.7.5"]);
        assert_eq!(bound(&usual(), &lists("eth", "192.168")), ["10.0.0.5"]);
    }

    #[test]
    fn webrtc_35_a_leading_space_makes_an_entry_void() {
        let spaced = lists("", "172., 192.168");
        assert_eq!(bound(&usual(), &spaced), ["10.0.0.5", "192.168.7.5"]);
        assert_eq!(bound(&usual(), &lists(" eth0,eth1", "")), ["192.168.7.5"]);
        assert_eq!(bound(&usual(), &lists(",", ",")).len(), 3, "empty entries match nothing");
    }

    #[test]
    fn webrtc_45_an_enforce_list_that_matches_nothing_leaves_nothing() {
        for enforce in ["tun0", " eth0", "lo"] {
            let plan = LocalPlan::new(&usual(), &lists(enforce, ""));
            assert_eq!(plan.bind, [], "{enforce}");
            assert_eq!(plan.candidates(&lists(enforce, ""), 9000), []);
            assert_eq!(plan.session_address(&lists(enforce, "")), None);
        }
    }

    #[test]
    fn tcp_candidates_stand_beside_udp() {
        let mut rules = lists("eth0", "");
        rules.tcp = true;
        let plan = LocalPlan::new(&usual(), &rules);
        let [udp, tcp] = plan.candidates(&rules, 9000).try_into().expect("two");
        assert_eq!(tcp.transport, Transport::Tcp(TcpType::Passive));
        assert!(tcp.priority < udp.priority && tcp.foundation != udp.foundation);
        assert!(tcp.to_string().ends_with("typ host tcptype passive"));
    }

    #[test]
    fn the_number_of_sockets_is_bounded() {
        let many: Vec<_> = (0..40)
            .map(|i| InterfaceAddress { name: "eth0".into(), ip: [10, 0, 0, i].into() })
            .chain(usual())
            .collect();
        let plan = LocalPlan::new(&many, &lists("eth0", ""));
        // 10.0.0.5 comes twice and counts once.
        assert_eq!((plan.bind.len(), plan.left_out), (MAX_LOCAL_ADDRESSES, 8));
    }

    #[test]
    fn the_session_address_is_public_if_there_is_one() {
        let mut rules = lists("eth0", "");
        let plan = LocalPlan::new(&usual(), &rules);
        assert_eq!(plan.session_address(&rules), Some([10, 0, 0, 5].into()));
        rules.nat_1_1_mapping = nat(&["203.0.113.7"]);
        assert_eq!(plan.session_address(&rules), Some([203, 0, 113, 7].into()));
    }
}
