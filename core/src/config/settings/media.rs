//! Section `media` of `janus.jcfg` (reference: transports-auth §13, webrtc-behaviour §12).

use std::str::FromStr;

use super::super::section::Section;

/// Port of shard 0 when `rtp_port_range` does not say.
pub const DEFAULT_RTP_PORT_BASE: u16 = 9000;

/// UDP ports, both ends included. Reversed ends are swapped, an upper end of 0 is 65535
/// (reference: transports-auth §13); a lower end of 0 leaves the choice to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// Lowest port, or 0.
    pub low: u16,
    /// Highest port, at least `low`, never 0.
    pub high: u16,
}

impl FromStr for PortRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a port range such as 20000-40000";
        let (first, second) = text.split_once('-').ok_or(wrong)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong);
        let (first, second) = (port(first)?, port(second)?);
        Ok(match (first, second) {
            (low, 0) => Self { low, high: u16::MAX },
            (first, second) => Self { low: first.min(second), high: first.max(second) },
        })
    }
}

/// RTP, RTCP, DTLS.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// Gather IPv6 candidates.
    pub ipv6: bool,
    /// Gather link-local ones too.
    pub ipv6_linklocal: bool,
    /// Milliseconds of sent packets that are kept for retransmission, at least.
    pub min_nack_queue_ms: u32,
    /// UDP ports of PeerConnections; none: from [`DEFAULT_RTP_PORT_BASE`] up.
    pub rtp_port_range: Option<PortRange>,
    /// Largest DTLS datagram in bytes.
    pub dtls_mtu_bytes: u16,
    /// Seconds without media before a `media` event says so; 0: never.
    pub no_media_timer_s: u32,
    /// Lost packets in a second that cause a `slowlink` event; 0: none ever.
    pub slowlink_threshold: u32,
    /// Milliseconds between transport-wide feedback messages.
    pub twcc_period_ms: u32,
    /// Milliseconds before a DTLS flight is sent again.
    pub dtls_timeout_ms: u32,
    /// Keep fewer packets for retransmission to sinks that never ask.
    pub nack_optimizations: bool,
    /// DSCP of packets sent, 0..63.
    pub dscp: u8,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            ipv6: false,
            ipv6_linklocal: false,
            min_nack_queue_ms: 200,
            rtp_port_range: None,
            dtls_mtu_bytes: 1200,
            no_media_timer_s: 1,
            slowlink_threshold: 0,
            twcc_period_ms: 200,
            dtls_timeout_ms: 1000,
            nack_optimizations: false,
            dscp: 0,
        }
    }
}

impl Media {
    pub(super) fn read(&mut self, section: &mut Section<'_>) {
        section.flag("ipv6", &mut self.ipv6);
        section.flag("ipv6_linklocal", &mut self.ipv6_linklocal);
        let queue = &mut self.min_nack_queue_ms;
        section.number("min_nack_queue", queue, 0..=60_000, "milliseconds");
        let expected = "a port range such as \"20000-40000\"";
        let range = &mut self.rtp_port_range;
        section
            .parsed("rtp_port_range", range, "none", expected, |text| text.parse().ok().map(Some));
        section.number("dtls_mtu", &mut self.dtls_mtu_bytes, 256..=u16::MAX, "bytes");
        section.number("no_media_timer", &mut self.no_media_timer_s, 0..=86_400, "seconds");
        let threshold = &mut self.slowlink_threshold;
        section.number("slowlink_threshold", threshold, 0..=u32::MAX, "packets a second");
        section.number("twcc_period", &mut self.twcc_period_ms, 1..=10_000, "milliseconds");
        section.number("dtls_timeout", &mut self.dtls_timeout_ms, 1..=60_000, "milliseconds");
        section.flag("nack_optimizations", &mut self.nack_optimizations);
        section.number("dscp_tos", &mut self.dscp, 0..=63, "");
        section.number("dscp", &mut self.dscp, 0..=63, "");
    }

    /// Port of shard 0: the lower end of `rtp_port_range`, or [`DEFAULT_RTP_PORT_BASE`] as far as
    /// the range allows it.
    pub fn rtp_port_base(&self) -> u16 {
        match self.rtp_port_range {
            Some(PortRange { low: 0, high }) if high < DEFAULT_RTP_PORT_BASE => high.min(1024),
            None | Some(PortRange { low: 0, .. }) => DEFAULT_RTP_PORT_BASE,
            Some(PortRange { low, .. }) => low,
        }
    }

    /// Port of a shard, or `None` when the range has no port left for it.
    pub fn shard_port(&self, shard: u16) -> Option<u16> {
        let high = self.rtp_port_range.map_or(u16::MAX, |range| range.high);
        self.rtp_port_base().checked_add(shard).filter(|port| *port <= high)
    }
}
