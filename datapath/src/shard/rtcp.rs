//! RTCP of a peer: what it tells us, and what we tell it.

use super::Shard;
use crate::departure::Departing;
use crate::forward::{Sink, SourceKey};
use crate::peer::Peer;
use crate::tap::{Direction, TappedKind};
use bifrons_core::media::{Fact, PeerId, RoundTrip, ShardEvent, SourceId};
use bifrons_core::rtcp::{Compound, CompoundWriter, Nack, NtpTime, ReportBlock, Rtcp, SenderInfo};
use bifrons_core::rtp::{MAX_PACKET, Ssrc};

/// Room for a compound and its tag.
const ROOM: usize = MAX_PACKET;
/// A compound stays below this, so that it fits any path with its tag (webrtc-behaviour §7).
pub(super) const COMPOUND: usize = 1200;

impl Shard {
    pub(super) fn receive_rtcp(&mut self, slot: u32, bytes: &mut [u8]) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let Some(Ok(len)) = peer.keys.as_mut().map(|keys| keys.open_rtcp(bytes)) else {
            peer.unopened += 1;
            return;
        };
        self.tap.note(&mut peer.tapping, self.now, Direction::In, TappedKind::Rtcp, &bytes[..len]);
        let Ok(compound) = Compound::parse(&bytes[..len]) else {
            peer.unopened += 1;
            return;
        };
        for part in compound.parts() {
            self.rtcp_part(slot, part);
        }
        for part in compound.raw() {
            self.relay_feedback(slot, part);
        }
    }

    fn rtcp_part(&mut self, slot: u32, part: Rtcp<'_>) {
        match part {
            Rtcp::SenderReport(report) => {
                self.sender_report(slot, report.sender, &report.info);
                report.blocks().for_each(|block| self.report_block(slot, &block));
            }
            Rtcp::ReceiverReport(report) => {
                report.blocks().for_each(|block| self.report_block(slot, &block));
            }
            Rtcp::Nack(nack) => self.nack(slot, &nack),
            Rtcp::Pli(pli) => self.keyframe_asked(slot, pli.media),
            Rtcp::Fir(fir) => fir.entries().for_each(|e| self.keyframe_asked(slot, e.media)),
            Rtcp::Remb(remb) => {
                let Some(peer) = self.peers.at_mut(slot) else { return };
                peer.reports.remb_bps = remb.bitrate_bps;
                let event = Fact::Remb { bps: remb.bitrate_bps };
                let id = peer.id;
                self.tell(ShardEvent::Fact { peer: id, fact: event });
                self.pass_remb(slot, remb.bitrate_bps);
            }
            // A BYE closes nothing (webrtc-behaviour §7), transport-wide feedback about what we
            // send waits for bandwidth estimation, the rest is not for us.
            Rtcp::Bye(_)
            | Rtcp::Sdes(_)
            | Rtcp::TransportFeedback(_)
            | Rtcp::App(_)
            | Rtcp::Unknown(_) => {}
        }
    }

    /// A sender report of the peer, from which the next receiver report counts its delay.
    fn sender_report(&mut self, slot: u32, sender: Ssrc, info: &SenderInfo) {
        let now_us = self.now.us;
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let Some(role) = peer.streams.get(sender) else { return };
        let receive = peer.line_mut(role.mindex).and_then(|line| line.receive.as_mut());
        let Some(receive) = receive else { return };
        if let Some(layer) = receive.layers.get_mut(usize::from(role.layer)) {
            layer.stats.sender_report(info.ntp, now_us);
        }
        if receive.simulcast && !role.rtx {
            receive.set_clock(role.layer, info.ntp, info.rtp_timestamp);
        }
    }

    /// What the peer says about a stream of ours.
    fn report_block(&mut self, slot: u32, block: &ReportBlock) {
        let (now_us, ntp) = (self.now.us, NtpTime::from_unix_us(self.now.wall_us));
        let least_us = self.config.min_nack_queue.as_micros() as u64;
        let threshold = self.config.slow_link_losses;
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let id = peer.id;
        let Some((mindex, sink)) = sink_of(peer, block.ssrc) else { return };
        let before = sink.stats.lost_by_remote();
        let ntp = NtpTime(ntp.0.wrapping_add_signed(sink.ahead));
        let rtt_us = sink.stats.reported(block, ntp);
        let (sent, nacked) = (sink.stats.packets(), sink.stats.nacks());
        sink.quality.update(sent, nacked, block.highest_seq, block.lost, now_us);
        let newly = u32::try_from(block.lost.saturating_sub(before)).unwrap_or(0);
        if let Some(rtt_us) = rtt_us {
            let (lsr, dlsr) = (block.last_sr, block.delay_since_sr);
            peer.reports.round_trip = Some(RoundTrip { ntp: ntp.compact(), lsr, dlsr });
            peer.reports.round_trip(u32::try_from(rtt_us).unwrap_or(u32::MAX), least_us);
        }
        if threshold > 0 && newly >= threshold {
            let fact = Fact::SlowLink { mindex, uplink: true, lost: newly };
            self.tell(ShardEvent::Fact { peer: id, fact });
        }
    }

    /// Answers a NACK from the sink's history, within the rules of [`crate::retransmit`].
    fn nack(&mut self, slot: u32, nack: &Nack<'_>) {
        let now_us = self.now.us;
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let keep_us = peer.reports.keep_us;
        let Some((mindex, sink)) = sink_of(peer, nack.media) else { return };
        if !sink.nack {
            return;
        }
        let kind = sink.kind;
        let mut found = [None; 32];
        let mut count = 0;
        for seq in nack.seqs().take(1024) {
            sink.stats.nacked(1);
            if count < found.len() && sink.history.repeat(seq, now_us, keep_us) {
                found[count] = Some(seq);
                count += 1;
            }
        }
        for seq in found.into_iter().flatten() {
            if peer.waiting.push(kind, Departing::Again { mindex, seq }) {
                self.gate.offer(slot, true, now_us);
            } else {
                self.counters.shed += 1;
            }
        }
    }

    fn keyframe_asked(&mut self, slot: u32, media: Ssrc) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let Some((_, sink)) = sink_of(peer, media) else { return };
        sink.counts.keyframe_requests += 1;
        if let Some(source) = sink.source.and_then(|key| self.sources.get(key)) {
            let id = source.id;
            self.want_keyframe(id);
        }
    }

    /// Writes a compound for a peer, seals and queues it. False if there was nothing to say, or no
    /// way to say it yet.
    pub(super) fn send_compound(
        &mut self,
        slot: u32,
        write: impl FnOnce(&mut CompoundWriter<'_>, &mut Peer),
    ) -> bool {
        let Some(peer) = self.peers.at_mut(slot) else { return false };
        let (Some(path), Some(_)) = (peer.path, &peer.keys) else { return false };
        let id = peer.id;
        let room = self.outbox.room(ROOM);
        if room.len() < ROOM {
            return false;
        }
        let mut writer = CompoundWriter::new(&mut room[..COMPOUND]);
        write(&mut writer, peer);
        let len = writer.len();
        if len == 0 {
            return false;
        }
        let (out, kind) = (Direction::Out, TappedKind::Rtcp);
        self.tap.note(&mut peer.tapping, self.now, out, kind, &room[..len]);
        let sealed = peer.keys.as_mut().and_then(|keys| keys.seal_rtcp(room, len));
        if let Some(len) = sealed {
            path.send(id, &mut self.outbox, &mut self.outward, len);
        }
        sealed.is_some()
    }

    /// Asks the sender of a source for a keyframe: all its substreams (webrtc-behaviour §7).
    fn send_pli(&mut self, source: SourceId) -> bool {
        let SourceId::Line(line) = source else { return false };
        self.send_compound(line.peer.slot, |writer, peer| {
            let Some(line) = peer.line_mut(line.mindex) else { return };
            let Some(receive) = &mut line.receive else { return };
            for layer in &mut receive.layers {
                let Some(ssrc) = layer.ssrc else { continue };
                layer.keyframe_requests += 1;
                // 12 bytes each, at most three: there is room.
                let _ = writer.pli(line.ssrc, ssrc);
            }
        })
    }

    /// Sends the keyframe requests of a peer's sources that are due; returns when the next is.
    pub(super) fn send_keyframe_requests(&mut self, slot: u32) -> Option<u64> {
        let now_us = self.now.us;
        let mut next: Option<u64> = None;
        let mut index = 0;
        while let Some(key) = self.source_at(slot, index) {
            index += 1;
            let Some(source) = self.sources.get_mut(key) else { continue };
            let gap_us = u64::from(source.policy.keyframe_interval_s) * 1_000_000;
            if gap_us > 0 && source.keyframes.seen_us.is_some_and(|seen| now_us >= seen + gap_us) {
                source.keyframes.want();
                source.keyframes.seen_us = Some(now_us);
            }
            let id = source.id;
            let unsent = source.keyframes.take(now_us) && !self.send_pli(id);
            let Some(source) = self.sources.get_mut(key) else { continue };
            if unsent {
                // Not up, or its SSRC not known yet: asked again when media begins, or a second
                // later.
                source.keyframes.unsent();
            }
            let interval = source.keyframes.seen_us.filter(|_| gap_us > 0).map(|s| s + gap_us);
            next = [next, source.keyframes.due_us(), interval].into_iter().flatten().min();
        }
        next
    }

    /// The source of a peer's n-th receiving line.
    fn source_at(&self, slot: u32, index: usize) -> Option<SourceKey> {
        let lines = &self.peers.at(slot)?.lines;
        lines.iter().filter_map(|line| line.receive.as_ref()).nth(index).map(|r| r.source)
    }

    /// Sends one REMB to a peer (webrtc-behaviour §7: behind an empty receiver report).
    pub(super) fn remb_now(&mut self, id: PeerId, bps: u32) {
        if self.peers.get(id).is_none() {
            return;
        }
        self.send_compound(id.slot, |writer, peer| {
            let mut ssrcs = [Ssrc(0); 16];
            let mut count = 0;
            let layers = peer
                .lines
                .iter()
                .filter(|line| line.kind == bifrons_core::media::MediaKind::Video)
                .filter_map(|line| line.receive.as_ref())
                .flat_map(|receive| receive.layers.iter().filter_map(|layer| layer.ssrc));
            for (place, ssrc) in ssrcs.iter_mut().zip(layers) {
                *place = ssrc;
                count += 1;
            }
            let ours = peer.lines.first().map_or(Ssrc(0), |line| line.ssrc);
            let _ = writer.receiver_report(ours, &[]);
            let _ = writer.remb(ours, u64::from(bps), &ssrcs[..count]);
        });
    }

    /// As [`Shard::remb_now`], to the peer that sends a source.
    pub(super) fn send_remb(&mut self, key: SourceKey, bps: u32) {
        if let Some(SourceId::Line(line)) = self.sources.get(key).map(|source| source.id)
            && line.peer.shard == self.config.id
        {
            self.remb_now(line.peer, bps);
        }
    }
}

/// The sink that sends with this SSRC.
fn sink_of(peer: &mut Peer, ssrc: Ssrc) -> Option<(u16, &mut Sink)> {
    peer.lines.iter_mut().find_map(|line| {
        let mindex = line.mindex;
        line.sink.as_mut().filter(|sink| sink.ssrc == ssrc).map(|sink| (mindex, sink))
    })
}
