//! Header templates: everything in front of the payload that does not change from packet to packet
//! of one destination.
//!
//! A [`Frame`] is a virtio-net header (`linux/virtio_net.h`, as `PACKET_VNET_HDR` takes it), an
//! Ethernet header with or without an 802.1Q tag, an IPv4 (RFC 791) or IPv6 (RFC 8200) header and a
//! UDP header (RFC 768). Lengths, the IPv4 header's checksum and the UDP checksum's start are filled
//! in by [`Frame::write`]: one copy of at most 76 bytes and two short sums. The UDP checksum itself
//! is left to the device (or the kernel, where the device does not): the field holds the sum of the
//! pseudo-header, as `VIRTIO_NET_HDR_F_NEEDS_CSUM` wants it.

use std::net::{IpAddr, SocketAddr};

/// Bytes of the virtio-net header.
pub(crate) const VNET: usize = 10;
const ETHERNET: usize = 14;
const TAG: usize = 4;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
/// Bytes of the longest template: IPv6 in a tagged frame.
pub(crate) const LONGEST: usize = VNET + ETHERNET + TAG + IPV6 + UDP;

const NEEDS_CSUM: u8 = 1;
const GSO_UDP_L4: u8 = 5;
/// Where the UDP header has its checksum.
const CHECKSUM_AT: usize = 6;
const PROTOCOL_UDP: u8 = 17;

/// An Ethernet address.
pub(crate) type Mac = [u8; 6];

/// The way to the next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    /// Ours.
    pub(crate) from: Mac,
    /// The neighbour's.
    pub(crate) to: Mac,
    /// The 802.1Q VLAN id, 1..=4094, where the frame is to be tagged.
    pub(crate) vlan: Option<u16>,
    /// The longest IP packet that the path takes.
    pub(crate) mtu: u16,
}

/// What IP headers say besides addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marking {
    /// Differentiated services code point, 0..=63 (RFC 2474).
    pub(crate) dscp: u8,
    /// TTL or hop limit.
    pub(crate) hops: u8,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    bytes: [u8; LONGEST],
    len: u8,
    ip_at: u8,
    v6: bool,
    mtu: u16,
    /// The IPv4 header's sum without its length and checksum.
    ip_sum: u32,
    /// The pseudo-header's without the length.
    udp_sum: u32,
}

impl Frame {
    /// The template for datagrams from `from` to `to` by way of `hop`; `None` if the addresses are
    /// of two families.
    pub(crate) fn new(
        hop: &Hop,
        from: SocketAddr,
        to: SocketAddr,
        marking: Marking,
    ) -> Option<Self> {
        let mut head = Head { bytes: [0; LONGEST], len: VNET };
        head.ethernet(hop, to.is_ipv6());
        let ip_at = head.len;
        match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                // Version 4, five words; identification 0 with "don't fragment" (RFC 6864 §4.1).
                head.put(&[0x45, marking.dscp << 2, 0, 0, 0, 0, 0x40, 0]);
                head.put(&[marking.hops, PROTOCOL_UDP, 0, 0]);
                head.put(&from.octets());
                head.put(&to.octets());
            }
            (IpAddr::V6(from_ip), IpAddr::V6(to_ip)) => {
                let class = u32::from(marking.dscp) << 22;
                head.put(&(6 << 28 | class | flow_label(from, to)).to_be_bytes());
                head.put(&[0, 0, PROTOCOL_UDP, marking.hops]);
                head.put(&from_ip.octets());
                head.put(&to_ip.octets());
            }
            _ => return None,
        }
        let udp_at = head.len;
        head.put(&from.port().to_be_bytes());
        head.put(&to.port().to_be_bytes());
        head.put(&[0; 4]);
        head.offload(udp_at);
        let ip = head.bytes.get(ip_at..udp_at)?;
        let addresses = ip.get(if to.is_ipv6() { 8 } else { 12 }..)?;
        Some(Frame {
            ip_sum: sum(ip),
            udp_sum: sum(addresses) + u32::from(PROTOCOL_UDP),
            bytes: head.bytes,
            len: head.len as u8,
            ip_at: ip_at as u8,
            v6: to.is_ipv6(),
            mtu: hop.mtu,
        })
    }

    /// Bytes that [`Frame::write`] writes.
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether a datagram of so many bytes passes the path in one piece.
    pub(crate) fn passes(&self, datagram: usize) -> bool {
        self.ip_len() + UDP + datagram <= usize::from(self.mtu)
    }

    fn ip_len(&self) -> usize {
        if self.v6 { IPV6 } else { IPV4 }
    }

    /// Writes the headers of `payload` bytes, which the device is to cut into datagrams of
    /// `segment` bytes unless that is 0. `None` if they do not fit `out` or an IP packet.
    #[inline]
    pub(crate) fn write(&self, out: &mut [u8], payload: usize, segment: u16) -> Option<usize> {
        let len = self.len();
        let udp_len = u16::try_from(payload + UDP).ok()?;
        let ip_len = udp_len.checked_add(IPV4 as u16)?;
        out.get_mut(..len)?.copy_from_slice(self.bytes.get(..len)?);
        let ip = usize::from(self.ip_at);
        if self.v6 {
            put_u16(out, ip + 4, udp_len);
        } else {
            put_u16(out, ip + 2, ip_len);
            put_u16(out, ip + 10, !fold(self.ip_sum + u32::from(ip_len)));
        }
        let udp = ip + self.ip_len();
        put_u16(out, udp + 4, udp_len);
        put_u16(out, udp + CHECKSUM_AT, fold(self.udp_sum + u32::from(udp_len)));
        if segment > 0 {
            *out.get_mut(1)? = GSO_UDP_L4;
            out.get_mut(4..6)?.copy_from_slice(&segment.to_ne_bytes());
        }
        Some(len)
    }
}

/// A template in the making.
struct Head {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Head {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    fn ethernet(&mut self, hop: &Hop, v6: bool) {
        self.put(&hop.to);
        self.put(&hop.from);
        if let Some(id) = hop.vlan {
            self.put(&(libc::ETH_P_8021Q as u16).to_be_bytes());
            self.put(&(id & 0xfff).to_be_bytes());
        }
        let kind = if v6 { libc::ETH_P_IPV6 } else { libc::ETH_P_IP };
        self.put(&(kind as u16).to_be_bytes());
    }

    /// The virtio-net header, in the host's byte order: where the checksum starts and goes to.
    fn offload(&mut self, udp_at: usize) {
        let fields = [self.len - VNET, 0, udp_at - VNET, CHECKSUM_AT];
        self.bytes[0] = NEEDS_CSUM;
        for (place, value) in self.bytes[2..VNET].chunks_exact_mut(2).zip(fields) {
            place.copy_from_slice(&(value as u16).to_ne_bytes());
        }
    }
}

fn put_u16(out: &mut [u8], at: usize, value: u16) {
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// The sum of big-endian words (RFC 1071), not folded; `bytes` are few.
fn sum(bytes: &[u8]) -> u32 {
    let word = |pair: &[u8]| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    };
    bytes.chunks(2).map(word).sum()
}

fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

/// A flow label that routers can spread flows by (RFC 6437 §3): the same for all of one flow.
fn flow_label(from: SocketAddr, to: SocketAddr) -> u32 {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    };
    let ports = u128::from(from.port()) << 16 | u128::from(to.port());
    let words = [octets(from.ip()), octets(to.ip()), ports];
    let mix = words.into_iter().fold(0x9e37_79b9_7f4a_7c15_u64, |state, word| {
        let word = (word >> 64) as u64 ^ word as u64;
        (state ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29)
    });
    (mix >> 44) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOP: Hop =
        Hop { from: [2, 0, 0, 0, 0, 1], to: [2, 0, 0, 0, 0, 2], vlan: None, mtu: 1500 };
    const MARKING: Marking = Marking { dscp: 46, hops: 64 };

    /// RFC 1071 the slow way, a byte at a time: no table, no early fold, carries around the end.
    fn checksum(bytes: &[u8]) -> u16 {
        let mut sum = 0u16;
        for (at, &byte) in bytes.iter().enumerate() {
            let word = if at % 2 == 0 { u16::from(byte) << 8 } else { u16::from(byte) };
            let (next, carry) = sum.overflowing_add(word);
            sum = next + u16::from(carry);
        }
        sum
    }

    /// What a device does with a frame: takes it apart, cuts it, finishes the checksums. Returns
    /// the IP packets. Reads with offsets of its own.
    fn transmit(frame: &[u8]) -> Vec<Vec<u8>> {
        let word = |at: usize| usize::from(u16::from_ne_bytes([frame[at], frame[at + 1]]));
        let (flags, kind, segment) = (frame[0], frame[1], word(4));
        let (start, offset) = (word(6), word(8));
        assert_eq!((flags, offset), (1, 6));
        let wire = &frame[10..];
        let mut ip_at = 14;
        if wire[12..14] == [0x81, 0] {
            ip_at += 4;
        }
        let v6 = wire[ip_at - 2..ip_at] == [0x86, 0xdd];
        let header = if v6 { 40 } else { 20 };
        assert_eq!(start, ip_at + header);
        assert_eq!(word(2), start + 8, "all headers are told to be linear");
        let payload = &wire[start + 8..];
        let piece = if kind == 5 { segment } else { payload.len().max(1) };
        assert_eq!(kind == 5, segment > 0);
        // The sum in the field was made with the length of the whole.
        let whole = u32::from(u16::from_be_bytes([wire[start + 4], wire[start + 5]]));
        let partial = u32::from(u16::from_be_bytes([wire[start + 6], wire[start + 7]]));
        assert_eq!(whole as usize, payload.len() + 8);
        let mut packets = Vec::new();
        for piece in payload.chunks(piece) {
            let mut packet = wire[ip_at..start + 8].to_vec();
            packet.extend_from_slice(piece);
            let udp_len = (piece.len() + 8) as u16;
            let udp = header;
            packet[udp + 4..udp + 6].copy_from_slice(&udp_len.to_be_bytes());
            let mut seed = partial + (0xffff - whole) + u32::from(udp_len);
            while seed > 0xffff {
                seed = (seed & 0xffff) + (seed >> 16);
            }
            packet[udp + 6..udp + 8].copy_from_slice(&(seed as u16).to_be_bytes());
            let done = !checksum(&packet[udp..]);
            packet[udp + 6..udp + 8].copy_from_slice(&done.to_be_bytes());
            if v6 {
                packet[4..6].copy_from_slice(&udp_len.to_be_bytes());
            } else {
                if kind == 5 {
                    packet[2..4].copy_from_slice(&(udp_len + 20).to_be_bytes());
                    packet[10..12].fill(0);
                    let done = !checksum(&packet[..20]);
                    packet[10..12].copy_from_slice(&done.to_be_bytes());
                }
                assert_eq!(checksum(&packet[..20]), 0xffff, "IPv4 header");
            }
            packets.push(packet);
        }
        packets
    }

    /// The UDP checksum over a pseudo-header that is written out here.
    fn is_genuine(packet: &[u8]) -> bool {
        let v6 = packet[0] >> 4 == 6;
        let (addresses, udp) =
            if v6 { (&packet[8..40], &packet[40..]) } else { (&packet[12..20], &packet[20..]) };
        let mut all = addresses.to_vec();
        all.extend_from_slice(&(udp.len() as u32).to_be_bytes());
        all.extend_from_slice(&[0, 0, 0, 17]);
        all.extend_from_slice(udp);
        checksum(&all) == 0xffff
    }

    fn made(hop: &Hop, from: &str, to: &str, payload: &[u8], segment: u16) -> Vec<u8> {
        let (from, to) = (from.parse().expect("address"), to.parse().expect("address"));
        let frame = Frame::new(hop, from, to, MARKING).expect("one family");
        let mut out = vec![0xaa; frame.len() + payload.len()];
        let len = frame.write(&mut out, payload.len(), segment).expect("room");
        assert_eq!(len, frame.len());
        out[len..].copy_from_slice(payload);
        out
    }

    fn text(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
    }

    #[test]
    fn an_ipv4_frame_has_every_field_where_it_belongs() {
        let out = made(&HOP, "192.0.2.1:9000", "198.51.100.7:40000", b"hello", 0);
        let expected = [
            1, 0, 42, 0, 0, 0, 34, 0, 6, 0, // virtio-net
            2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, // Ethernet
            0x45, 184, 0, 33, 0, 0, 0x40, 0, 64, 17,
        ];
        assert_eq!(out[..expected.len()], expected);
        assert_eq!(out[36..44], [192, 0, 2, 1, 198, 51, 100, 7]);
        assert_eq!(out[44..50], [0x23, 0x28, 0x9c, 0x40, 0, 13]);
        let packets = transmit(&out);
        assert_eq!(packets.len(), 1);
        assert!(is_genuine(&packets[0]));
        assert_eq!(&packets[0][28..], b"hello");
    }

    #[test]
    fn checksums_hold_in_both_families_tagged_or_not_cut_or_not() {
        let pairs = [
            ("10.0.0.1:9000", "10.255.255.254:65535"),
            ("255.255.255.254:65535", "255.255.255.253:65534"),
            ("[2001:db8::1]:9000", "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:1"),
        ];
        for (from, to) in pairs {
            for vlan in [None, Some(100), Some(4094)] {
                for len in [0, 1, 160, 1199, 1200] {
                    let out = made(&Hop { vlan, ..HOP }, from, to, &text(len), 0);
                    if let Some(id) = vlan {
                        assert_eq!(out[22..24], [0x81, 0]);
                        assert_eq!(out[24..26], u16::to_be_bytes(id));
                    }
                    let [packet] = &transmit(&out)[..] else {
                        assert_eq!(len, 0);
                        continue;
                    };
                    assert!(is_genuine(packet), "{from} {to} {vlan:?} {len}");
                }
                let out = made(&Hop { vlan, ..HOP }, from, to, &text(1200 * 15 + 33), 1200);
                let packets = transmit(&out);
                assert_eq!(packets.len(), 16);
                assert!(packets.iter().all(|packet| is_genuine(packet)));
            }
        }
    }

    #[test]
    fn an_ipv6_frame_carries_class_label_and_hop_limit() {
        let out = made(&HOP, "[2001:db8::1]:9000", "[2001:db8::2]:9001", b"x", 0);
        let first = u32::from_be_bytes([out[24], out[25], out[26], out[27]]);
        assert_eq!((first >> 28, first >> 22 & 0x3f, first >> 20 & 3), (6, 46, 0));
        assert_eq!(out[28..32], [0, 9, 17, 64]);
        let other = made(&HOP, "[2001:db8::1]:9000", "[2001:db8::2]:9002", b"x", 0);
        assert_ne!(out[24..28], other[24..28], "another flow, another label");
        let again = made(&HOP, "[2001:db8::1]:9000", "[2001:db8::2]:9001", b"yz", 0);
        assert_eq!(out[24..28], again[24..28]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let addresses = |from: &str, to: &str| {
            (from.parse::<SocketAddr>().expect("one"), to.parse::<SocketAddr>().expect("one"))
        };
        let (from, to) = addresses("192.0.2.1:1", "[2001:db8::1]:1");
        assert_eq!(Frame::new(&HOP, from, to, MARKING), None);
        let (from, to) = addresses("192.0.2.1:1", "192.0.2.2:1");
        let v4 = Frame::new(&HOP, from, to, MARKING).expect("a frame");
        assert!(v4.passes(1472) && !v4.passes(1473));
        assert_eq!(v4.write(&mut [0; 51], 5, 0), None, "no room for the headers");
        assert_eq!(v4.write(&mut [0; 80], 65_508, 0), None, "longer than an IP packet");
        assert!(v4.write(&mut [0; 80], 65_507, 0).is_some());
        let (from, to) = addresses("[2001:db8::1]:1", "[2001:db8::2]:1");
        let v6 = Frame::new(&HOP, from, to, MARKING).expect("a frame");
        assert!(v6.passes(1452) && !v6.passes(1453));
    }
}
