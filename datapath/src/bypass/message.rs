//! The few rtnetlink messages that the resolver asks for and is told (rtnetlink(7)).
//!
//! What the kernel sends is read as if it were a stranger's: every length is checked, a message that
//! is cut short ends the reading, an attribute that is not known is passed over.

use super::frame::Mac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = 16;
const ATTRIBUTE: usize = 4;
/// The upper two bits of an attribute's type are flags.
const TYPE: u16 = 0x3fff;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VLAN_PROTOCOL: u16 = 5;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_VIA: u16 = 18;
const RTA_ENCAP: u16 = 22;
const RTAX_MTU: u16 = 2;

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// All devices.
    Links,
    /// All local addresses.
    Addresses,
    /// All neighbours.
    Neighbours,
    /// The route a datagram to `to` takes, from `from` if that is known.
    Route { from: Option<IpAddr>, to: IpAddr },
}

impl Question {
    /// The message, numbered `number`.
    pub(crate) fn bytes(self, number: u32) -> Vec<u8> {
        let (kind, body, all) = match self {
            Question::Links => (libc::RTM_GETLINK, vec![0; 16], true),
            Question::Addresses => (libc::RTM_GETADDR, vec![0; 8], true),
            Question::Neighbours => (libc::RTM_GETNEIGH, vec![0; 12], true),
            Question::Route { from, to } => (libc::RTM_GETROUTE, route_question(from, to), false),
        };
        let all = if all { libc::NLM_F_DUMP } else { 0 };
        let flags = (libc::NLM_F_REQUEST | all) as u16;
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend_from_slice(&((HEADER + body.len()) as u32).to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&number.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&body);
        bytes
    }
}

fn route_question(from: Option<IpAddr>, to: IpAddr) -> Vec<u8> {
    let bits = |ip: Option<IpAddr>| ip.map_or(0, |ip| if ip.is_ipv6() { 128 } else { 32 });
    let family = if to.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    let mut body = vec![family as u8, bits(Some(to)), bits(from), 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (kind, ip) in [(RTA_DST, Some(to)), (RTA_SRC, from)] {
        let octets = match ip {
            Some(IpAddr::V4(ip)) => ip.octets().to_vec(),
            Some(IpAddr::V6(ip)) => ip.octets().to_vec(),
            None => continue,
        };
        body.extend_from_slice(&((ATTRIBUTE + octets.len()) as u16).to_ne_bytes());
        body.extend_from_slice(&kind.to_ne_bytes());
        body.extend_from_slice(&octets);
    }
    body
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its number.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: String,
    /// Its Ethernet address; `None` for devices of another kind, and for loopback.
    pub(crate) address: Option<Mac>,
    /// Whether it is up.
    pub(crate) up: bool,
    /// The longest IP packet it takes.
    pub(crate) mtu: u32,
    /// For an 802.1Q device: the one below it, and the VLAN's id.
    pub(crate) tagged: Option<(u32, u16)>,
}

/// A neighbour's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// The device it is behind.
    pub(crate) device: u32,
    /// Its IP address.
    pub(crate) ip: IpAddr,
    /// Its Ethernet address, if that may be used (`NUD_VALID`).
    pub(crate) address: Option<Mac>,
    /// The kernel would like it confirmed (`NUD_STALE`).
    pub(crate) stale: bool,
}

/// The route of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Plain unicast, not local, not by a tunnel of the route's own.
    pub(crate) unicast: bool,
    /// The device it leaves by.
    pub(crate) device: u32,
    /// The router, if there is one.
    pub(crate) gateway: Option<IpAddr>,
    /// The address the kernel would send from.
    pub(crate) source: Option<IpAddr>,
    /// The path's MTU where it is less than the device's.
    pub(crate) mtu: Option<u32>,
}

/// What the kernel said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A device is there, or has changed.
    Link(Link),
    /// A device is gone.
    LinkGone(u32),
    /// A device has this local address.
    Address(u32, IpAddr),
    /// A neighbour's entry.
    Neighbour(Neighbour),
    /// A neighbour's entry is gone.
    NeighbourGone(u32, IpAddr),
    /// A route: the answer, or a change of any.
    Route(Route),
    /// Something changed that routes depend on.
    RoutesChanged,
    /// The last of many answers.
    Done,
    /// Refused, with an error number.
    Refused(i32),
}

/// Everything that a received block of messages says; with a number, only what answers the question
/// of that number.
pub(crate) fn read(mut block: &[u8], number: Option<u32>) -> Vec<Told> {
    let mut all = Vec::new();
    while let Some(len) = array(block, 0).map(|len| u32::from_ne_bytes(len) as usize) {
        let Some(message) = block.get(..len).filter(|_| len >= HEADER) else { break };
        let kind = array(message, 4).map_or(0, u16::from_ne_bytes);
        let answers = array(message, 8).map(u32::from_ne_bytes);
        if number.is_none() || number == answers {
            all.extend(message.get(HEADER..).and_then(|body| read_one(kind, body)));
        }
        block = block.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

fn read_one(kind: u16, body: &[u8]) -> Option<Told> {
    const DONE: u16 = libc::NLMSG_DONE as u16;
    const ERROR: u16 = libc::NLMSG_ERROR as u16;
    match kind {
        DONE => Some(Told::Done),
        ERROR => Some(Told::Refused(array(body, 0).map_or(0, i32::from_ne_bytes).saturating_neg())),
        libc::RTM_NEWLINK => link(body).map(Told::Link),
        libc::RTM_DELLINK => link(body).map(|link| Told::LinkGone(link.index)),
        libc::RTM_NEWADDR => address(body),
        libc::RTM_NEWNEIGH => neighbour(body).map(Told::Neighbour),
        libc::RTM_DELNEIGH => neighbour(body).map(|had| Told::NeighbourGone(had.device, had.ip)),
        libc::RTM_NEWROUTE => route(body).map(Told::Route),
        libc::RTM_DELROUTE | libc::RTM_DELADDR | libc::RTM_NEWRULE | libc::RTM_DELRULE => {
            Some(Told::RoutesChanged)
        }
        _ => None,
    }
}

fn link(body: &[u8]) -> Option<Link> {
    let kind = u16::from_ne_bytes(array(body, 2)?);
    let index = u32::from_ne_bytes(array(body, 4)?);
    let flags = u32::from_ne_bytes(array(body, 8)?);
    let is = |flag: i32| flags & flag as u32 != 0;
    let (mut name, mut address, mut mtu) = (String::new(), None, 0);
    let (mut below, mut vlan) = (None, None);
    for (attribute, data) in attributes(body.get(16..)?) {
        match attribute {
            IFLA_ADDRESS => address = array::<6>(data, 0).filter(|_| data.len() == 6),
            IFLA_IFNAME => {
                name = String::from_utf8_lossy(data).trim_end_matches('\0').to_owned();
            }
            IFLA_MTU => mtu = u32_of(data)?,
            IFLA_LINK => below = u32_of(data),
            IFLA_LINKINFO => vlan = vlan_of(data),
            _ => {}
        }
    }
    let ethernet = kind == libc::ARPHRD_ETHER && !is(libc::IFF_LOOPBACK);
    Some(Link {
        index,
        name,
        address: address.filter(|address| ethernet && *address != [0; 6]),
        up: is(libc::IFF_UP),
        mtu,
        tagged: below.zip(vlan),
    })
}

/// The id of an 802.1Q device; of a device of another kind, or tagged otherwise, there is none.
fn vlan_of(info: &[u8]) -> Option<u16> {
    let find = |wanted| attributes(info).find(|(kind, _)| *kind == wanted).map(|(_, data)| data);
    let kind = find(IFLA_INFO_KIND)?;
    if kind.strip_suffix(b"\0").unwrap_or(kind) != b"vlan" {
        return None;
    }
    let (mut id, mut protocol) = (None, libc::ETH_P_8021Q as u16);
    for (kind, data) in attributes(find(IFLA_INFO_DATA)?) {
        match kind {
            IFLA_VLAN_ID => id = array(data, 0).map(u16::from_ne_bytes),
            IFLA_VLAN_PROTOCOL => protocol = u16::from_be_bytes(array(data, 0)?),
            _ => {}
        }
    }
    id.filter(|_| protocol == libc::ETH_P_8021Q as u16)
}

fn address(body: &[u8]) -> Option<Told> {
    let device = u32::from_ne_bytes(array(body, 4)?);
    let mut found = None;
    for (kind, data) in attributes(body.get(8..)?) {
        // Of a point-to-point device IFA_ADDRESS is the other end.
        match kind {
            IFA_LOCAL => found = ip(data),
            IFA_ADDRESS if found.is_none() => found = ip(data),
            _ => {}
        }
    }
    Some(Told::Address(device, found?))
}

fn neighbour(body: &[u8]) -> Option<Neighbour> {
    const VALID: u16 = libc::NUD_PERMANENT
        | libc::NUD_NOARP
        | libc::NUD_REACHABLE
        | libc::NUD_PROBE
        | libc::NUD_STALE
        | libc::NUD_DELAY;
    // Bridges tell of their forwarding tables in the same form.
    if ![libc::AF_INET, libc::AF_INET6].contains(&i32::from(*body.first()?)) {
        return None;
    }
    let device = u32::from_ne_bytes(array(body, 4)?);
    let state = u16::from_ne_bytes(array(body, 8)?);
    let (mut at, mut address) = (None, None);
    for (kind, data) in attributes(body.get(12..)?) {
        match kind {
            NDA_DST => at = ip(data),
            NDA_LLADDR => address = array::<6>(data, 0).filter(|_| data.len() == 6),
            _ => {}
        }
    }
    let address = address.filter(|address| state & VALID != 0 && *address != [0; 6]);
    Some(Neighbour { device, ip: at?, address, stale: state & libc::NUD_STALE != 0 })
}

fn route(body: &[u8]) -> Option<Route> {
    let kind = *body.get(7)?;
    let mut route = Route {
        unicast: kind == libc::RTN_UNICAST,
        device: 0,
        gateway: None,
        source: None,
        mtu: None,
    };
    for (kind, data) in attributes(body.get(12..)?) {
        match kind {
            RTA_OIF => route.device = u32_of(data)?,
            RTA_GATEWAY => route.gateway = ip(data),
            // A family, then the address: an IPv4 route by an IPv6 router (RFC 5549).
            RTA_VIA => route.gateway = data.get(2..).and_then(ip),
            RTA_PREFSRC => route.source = ip(data),
            RTA_METRICS => {
                let found = attributes(data).find(|(kind, _)| *kind == RTAX_MTU);
                route.mtu = found.and_then(|(_, data)| u32_of(data)).filter(|mtu| *mtu > 0);
            }
            RTA_ENCAP => route.unicast = false,
            _ => {}
        }
    }
    Some(route)
}

/// Types and contents of a run of attributes.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(array(bytes, 0)?));
        let kind = u16::from_ne_bytes(array(bytes, 2)?) & TYPE;
        let data = bytes.get(ATTRIBUTE..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, data))
    })
}

fn ip(data: &[u8]) -> Option<IpAddr> {
    match data.len() {
        4 => Some(Ipv4Addr::from(array::<4>(data, 0)?).into()),
        16 => Some(Ipv6Addr::from(array::<16>(data, 0)?).into()),
        _ => None,
    }
}

fn u32_of(data: &[u8]) -> Option<u32> {
    array(data, 0).map(u32::from_ne_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + data.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let mut bytes = ((16 + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&[0; 10]);
        bytes.extend_from_slice(&body);
        bytes
    }

    #[test]
    fn a_tagged_device_names_the_one_below_it() {
        let data = [attribute(5, &[0x81, 0]), attribute(1, &100u16.to_ne_bytes())].concat();
        let info = [attribute(1, b"vlan\0"), attribute(2, &data)].concat();
        let mut head = [0; 16];
        head[2..4].copy_from_slice(&1u16.to_ne_bytes());
        head[4..8].copy_from_slice(&7u32.to_ne_bytes());
        head[8..12].copy_from_slice(&1u32.to_ne_bytes());
        let bytes = message(
            16,
            &[
                &head,
                &attribute(3, b"eth0.100\0"),
                &attribute(1, &[2, 0, 0, 0, 0, 9]),
                &attribute(4, &1500u32.to_ne_bytes()),
                &attribute(5, &3u32.to_ne_bytes()),
                &attribute(18 | 0x8000, &info),
            ],
        );
        let expected = Link {
            index: 7,
            name: "eth0.100".to_owned(),
            address: Some([2, 0, 0, 0, 0, 9]),
            up: true,
            mtu: 1500,
            tagged: Some((3, 100)),
        };
        assert_eq!(read(&bytes, None), [Told::Link(expected)]);
    }

    #[test]
    fn a_neighbour_without_a_valid_state_has_no_address() {
        let entry = |state: u16| {
            let mut head = [0; 12];
            head[0] = libc::AF_INET as u8;
            head[4..8].copy_from_slice(&2u32.to_ne_bytes());
            head[8..10].copy_from_slice(&state.to_ne_bytes());
            let parts: [&[u8]; 3] =
                [&head, &attribute(1, &[192, 0, 2, 9]), &attribute(2, &[2, 0, 0, 0, 0, 9])];
            match &read(&message(28, &parts), None)[..] {
                [Told::Neighbour(one)] => (one.address.is_some(), one.stale),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(entry(libc::NUD_REACHABLE), (true, false));
        assert_eq!(entry(libc::NUD_STALE), (true, true));
        assert_eq!(entry(libc::NUD_PERMANENT), (true, false));
        assert_eq!(entry(libc::NUD_INCOMPLETE), (false, false));
        assert_eq!(entry(libc::NUD_FAILED), (false, false));
    }

    #[test]
    fn a_route_says_router_device_source_and_narrow_path() {
        let mut head = [0; 12];
        head[7] = libc::RTN_UNICAST;
        let metrics = attribute(2, &1400u32.to_ne_bytes());
        let bytes = message(
            24,
            &[
                &head,
                &attribute(4, &2u32.to_ne_bytes()),
                &attribute(5, &[10, 0, 0, 254]),
                &attribute(7, &[10, 0, 0, 1]),
                &attribute(8, &metrics),
            ],
        );
        let mut expected = Route {
            unicast: true,
            device: 2,
            gateway: Some([10, 0, 0, 254].into()),
            source: Some([10, 0, 0, 1].into()),
            mtu: Some(1400),
        };
        assert_eq!(read(&bytes, None), [Told::Route(expected)]);
        let tunnel = [&bytes[..], &attribute(22, &[0; 4])].concat();
        let mut tunnel = tunnel;
        let len = tunnel.len() as u32;
        tunnel[..4].copy_from_slice(&len.to_ne_bytes());
        expected.unicast = false;
        assert_eq!(read(&tunnel, None), [Told::Route(expected)]);
    }

    #[test]
    fn what_is_cut_short_ends_the_reading() {
        let whole = [message(3, &[&[0; 4]]), message(2, &[&(-1i32).to_ne_bytes()])].concat();
        assert_eq!(read(&whole, None), [Told::Done, Told::Refused(1)]);
        assert_eq!(read(&whole, Some(0)).len(), 2);
        assert_eq!(read(&whole, Some(1)), [], "the answer to another question");
        for len in 0..whole.len() {
            assert!(read(&whole[..len], None).len() <= 1, "{len}");
        }
        for kind in [16, 20, 24, 28] {
            for len in 0..40 {
                let body: Vec<u8> = (0..len).map(|at: u8| at.wrapping_mul(37)).collect();
                let _ = read(&message(kind, &[&body]), None);
            }
        }
        assert_eq!(read(&[0; 64], None), [], "a length of 0 does not turn in circles");
    }

    #[test]
    fn a_question_about_a_route_names_both_ends() {
        let from = Some([10, 0, 0, 1].into());
        let bytes = Question::Route { from, to: [10, 0, 0, 2].into() }.bytes(7);
        assert_eq!(bytes.len(), 16 + 12 + 8 + 8);
        assert_eq!(bytes[..4], 44u32.to_ne_bytes());
        assert_eq!(bytes[4..6], 26u16.to_ne_bytes());
        assert_eq!(bytes[16..19], [2, 32, 32]);
        assert_eq!(bytes[32..36], [10, 0, 0, 2]);
        assert_eq!(bytes[40..44], [10, 0, 0, 1]);
    }
}
