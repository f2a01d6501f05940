//! Packets and commands of ports: ingests in, feedback of forwarders in (`crate::port`).

use super::Shard;
use crate::port::{Feed, Ingest, MAX_INGESTS, Opener};
use crate::report::REPORT_US;
use bifrons_core::media::{
    Carries, Fact, ForwarderId, IngestId, IngestSetup, MediaKind, PortId, PortSocket, ShardEvent,
    SourceId,
};
use bifrons_core::rtcp::{Compound, Rtcp};
use bifrons_core::rtp::{MAX_PACKET, Packet, Ssrc, is_rtcp};
use bifrons_core::srtp::MasterKey;
use std::net::SocketAddr;

/// Forwarders whose feedback one port tells apart in one packet.
const ASKED: usize = 16;

impl Shard {
    pub(super) fn open_port(&mut self, id: PortId, socket: PortSocket, open: Option<MasterKey>) {
        // A checked key always fits.
        let opener = open.and_then(|key| Opener::new(&key).ok());
        self.ports.open(id, socket, opener);
    }

    pub(super) fn close_port(&mut self, id: PortId) {
        self.ports.close(id);
    }

    pub(super) fn set_ingest(&mut self, id: IngestId, setup: IngestSetup) {
        if let Some(have) = self.ingest_place(id).and_then(|at| self.ingests.get_mut(at as usize)) {
            have.setup = setup;
            let (key, buffer) = (have.source, have.keyframe_buffer());
            self.keep_bursts(key, buffer);
            return;
        }
        if self.ingests.len() >= MAX_INGESTS {
            self.counters.shed += 1;
            return;
        }
        let source = self.sources.find_or_make(SourceId::Ingest(id), setup.kind);
        let ingest = Ingest::new(id, setup, source);
        self.keep_bursts(source, ingest.keyframe_buffer());
        let place = self.ingests.insert(ingest);
        self.ingest_places.insert(id, place as u32);
        if setup.kind == MediaKind::Data {
            self.data.sources.entry(SourceId::Ingest(id)).or_default();
        }
    }

    pub(super) fn feed_ingest(&mut self, port: PortId, id: IngestId, carries: Carries) {
        let Some(place) = self.ingest_place(id) else { return };
        let messages = self.is_data_ingest(id) && carries != Carries::Rtcp;
        let Some(port) = self.ports.get_mut(port) else { return };
        if !port.add(Feed { ingest: place, carries }, messages) {
            self.counters.shed += 1;
            return;
        }
        let port = port.id;
        let Some(ingest) = self.ingests.get_mut(place as usize) else { return };
        match carries {
            Carries::Rtcp => ingest.rtcp = Some(port),
            Carries::Ssrcs(base) => ingest.expected = base,
            Carries::Layer(_) => {}
        }
    }

    pub(super) fn end_ingest(&mut self, id: IngestId) {
        let Some(place) = self.ingest_places.remove(&id) else { return };
        self.ports.forget_ingest(place);
        self.ingests.remove(place as usize);
        self.drop_source(SourceId::Ingest(id));
        self.data.sources.remove(&SourceId::Ingest(id));
    }

    pub(super) fn ingest_place(&self, id: IngestId) -> Option<u32> {
        self.ingest_places.get(&id).copied()
    }

    /// Takes a datagram that arrived at a port.
    pub(super) fn receive_at_port(&mut self, socket: u16, from: SocketAddr, bytes: &mut [u8]) {
        let Some(port) = self.ports.at_socket(socket) else {
            self.counters.stray += 1;
            return;
        };
        port.heard(self.now);
        if let Some(feed) = port.message_feed(bytes) {
            self.take_datagram(feed.ingest, feed.carries, bytes);
            return;
        }
        if port.takes_rtcp() {
            port.latched = Some(from);
            if bytes.get(1).is_some_and(|second| is_rtcp(*second)) {
                self.receive_port_rtcp(socket, bytes);
                return;
            }
            if !port.feeds.iter().any(|feed| feed.carries != Carries::Rtcp) {
                // A hello: it shows where its sender is, and that was noted.
                return;
            }
        }
        if bytes.len() > MAX_PACKET || !matches!(bytes.first(), Some(128..=191)) {
            self.counters.stray += 1;
            return;
        }
        let len = match &mut port.opener {
            None => bytes.len(),
            Some(opener) => match opener.open_rtp(bytes) {
                Ok(len) => len,
                Err(_) => {
                    self.counters.stray += 1;
                    return;
                }
            },
        };
        let bytes = &bytes[..len];
        let Ok(packet) = Packet::parse_header(bytes) else {
            self.counters.stray += 1;
            return;
        };
        let ssrc = packet.ssrc();
        let fed = port.feeds.iter().find_map(|feed| match feed.carries {
            Carries::Layer(layer) => Some((feed.ingest, layer)),
            Carries::Ssrcs(Ssrc(base)) => {
                let layer = u8::try_from(ssrc.0.wrapping_sub(base)).ok()?;
                (layer < 3).then_some((feed.ingest, layer))
            }
            Carries::Rtcp => None,
        });
        match fed {
            Some((place, layer)) => self.accept_ingest(place, layer, bytes),
            None => self.counters.unmatched += 1,
        }
    }

    /// Tells control which ingests fell silent; once a second.
    pub(super) fn watch_ingests(&mut self) {
        let now_us = self.now.us;
        let silence_us = self.config.no_media.as_micros() as u64;
        if self.ingests.is_empty() || silence_us == 0 || now_us < self.ingests_due_us {
            return;
        }
        self.ingests_due_us = now_us + REPORT_US;
        for (_, ingest) in &mut self.ingests {
            let simulcast = ingest.setup.simulcast;
            for (substream, layer) in (0u8..).zip(&mut ingest.layers) {
                if layer.receiving && now_us > layer.last_us + silence_us {
                    layer.receiving = false;
                    let substream = simulcast.then_some(substream);
                    let fact = Fact::Receiving { mindex: 0, substream, receiving: false };
                    self.events.push_back(ShardEvent::IngestFact { ingest: ingest.id, fact });
                }
            }
        }
    }

    /// When that is due next, while there are ingests.
    pub(super) fn ingests_due_us(&self) -> Option<u64> {
        let watches = !self.ingests.is_empty() && !self.config.no_media.is_zero();
        watches.then_some(self.ingests_due_us)
    }

    /// RTCP at a port: reports of an ingest's sender, feedback about what forwarders send.
    fn receive_port_rtcp(&mut self, socket: u16, bytes: &[u8]) {
        let Ok(compound) = Compound::parse(bytes) else {
            self.counters.stray += 1;
            return;
        };
        for part in compound.parts() {
            match part {
                Rtcp::SenderReport(report) => {
                    self.ingest_report(socket, report.sender, &report.info);
                }
                Rtcp::Pli(pli) => self.forwarder_asked(socket, pli.media),
                Rtcp::Fir(fir) => {
                    fir.entries().for_each(|entry| self.forwarder_asked(socket, entry.media));
                }
                _ => {}
            }
        }
    }

    /// The far side of a forwarder wants a keyframe: of what has that SSRC; where no forwarder is
    /// known by it, of all that report here.
    fn forwarder_asked(&mut self, socket: u16, media: Ssrc) {
        let Some(port) = self.ports.at_socket(socket) else { return };
        let mut wanted: [Option<SourceId>; ASKED] = [None; ASKED];
        for exact in [true, false] {
            let mut count = 0;
            for &place in &port.forwarders {
                let Some(forwarder) = self.forwarders.get(place as usize) else { continue };
                if exact && !forwarder.is_about(media) {
                    continue;
                }
                let source = forwarder.sink.source.and_then(|key| self.sources.get(key));
                if let (Some(source), Some(slot)) = (source, wanted.get_mut(count)) {
                    *slot = Some(source.id);
                    count += 1;
                }
            }
            if count > 0 {
                break;
            }
        }
        for source in wanted.into_iter().flatten() {
            self.want_keyframe(source);
        }
    }

    /// The place of a forwarder.
    pub(super) fn forwarder_place(&self, id: ForwarderId) -> Option<u32> {
        self.forwarder_places.get(&id).copied()
    }
}
