//! What a shard reports to a peer by the clock: reports each second, transport-wide feedback,
//! questions for missing packets; and to control: silence, losses, statistics.

use super::Shard;
use crate::peer::{Layer, Peer, PeerLine};
use crate::report::REPORT_US;
use bifrons_core::media::{
    Fact, LayerStatistics, LineStatistics, PeerId, PeerStatistics, ShardEvent, SourceId,
    WayStatistics,
};
use bifrons_core::rtcp::{CompoundWriter, NACK_WINDOW, NtpTime};
use bifrons_core::rtp::{Seq, Ssrc};

/// The canonical name in every SDES (webrtc-behaviour §7).
const CNAME: &str = "janus";

impl Shard {
    /// Keys are there: reports begin, and sent packets are kept from now on.
    pub(super) fn begin_reports(&mut self, slot: u32) {
        let now_us = self.now.us;
        let least_us = self.config.min_nack_queue.as_micros() as u64;
        let Some(peer) = self.peers.at_mut(slot) else { return };
        peer.reports.due_us = Some(now_us + REPORT_US);
        peer.reports.keep_us = least_us.min(1_000_000);
        self.timers.arm(slot, now_us + REPORT_US);
    }

    /// Does what of a peer's reporting is due, and arms the next.
    pub(super) fn report_timeout(&mut self, slot: u32) {
        let now_us = self.now.us;
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now_us);
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let reports = &mut peer.reports;
        let (report, feedback, nacks) =
            (due(reports.due_us), due(reports.feedback_due_us), due(reports.nack_due_us));
        if report {
            reports.due_us = Some(now_us + REPORT_US);
            self.send_reports(slot);
            self.watch_media(slot);
            if let Some(peer) = self.peers.at_mut(slot) {
                roll_second(peer);
            }
        }
        if feedback {
            self.send_feedback(slot);
        }
        if nacks {
            self.send_nacks(slot);
        }
        let keyframe_us = self.send_keyframe_requests(slot);
        let Some(peer) = self.peers.at(slot) else { return };
        if let Some(at_us) = [peer.reports.due(), keyframe_us].into_iter().flatten().min() {
            self.timers.arm(slot, at_us.max(now_us + 1));
        }
    }

    /// One compound (more, if it runs over) for all lines: SR and SDES where we send, RR where we
    /// receive.
    fn send_reports(&mut self, slot: u32) {
        let (now_us, ntp) = (self.now.us, NtpTime::from_unix_us(self.now.wall_us));
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let count = peer.lines.len();
        for sink in peer.lines.iter_mut().filter_map(|line| line.sink.as_mut()) {
            let source = sink.source.and_then(|key| self.sources.get(key));
            sink.note_clock(source.map(|source| &source.clock), ntp, now_us);
        }
        let mut next = 0;
        while next < count {
            let start = next;
            self.send_compound(slot, |writer, peer| {
                while let Some(line) = peer.lines.get_mut(next) {
                    if report_line(writer, line, ntp, now_us).is_none() && next > start {
                        return;
                    }
                    next += 1;
                }
            });
            if next == start {
                return;
            }
        }
    }

    fn send_feedback(&mut self, slot: u32) {
        let again_us = self.now.us + self.config.twcc_period.as_micros() as u64;
        self.send_compound(slot, |writer, peer| {
            let Some((ours, media)) = feedback_ssrcs(peer) else { return };
            let Some(arrivals) = peer.reports.arrivals_mut() else { return };
            // What does not fit stays for the next period.
            let _ = arrivals.write(writer, ours, media);
        });
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let waits = peer.reports.arrivals_mut().is_some_and(|arrivals| !arrivals.is_empty());
        peer.reports.feedback_due_us = waits.then_some(again_us);
    }

    fn send_nacks(&mut self, slot: u32) {
        let now_us = self.now.us;
        self.send_compound(slot, |writer, peer| {
            let mut next: Option<u64> = None;
            for line in &mut peer.lines {
                let Some(receive) = &mut line.receive else { continue };
                for layer in &mut receive.layers {
                    nack_layer(writer, line.ssrc, layer, now_us);
                    let due = layer.nacks.as_ref().and_then(|nacks| nacks.deadline_us());
                    next = [next, due].into_iter().flatten().min();
                }
            }
            peer.reports.nack_due_us = next;
        });
    }

    /// Tells control which lines fell silent, and which lost too much in the last second.
    fn watch_media(&mut self, slot: u32) {
        let silence_us = self.config.no_media.as_micros() as u64;
        let (now_us, threshold) = (self.now.us, i64::from(self.config.slow_link_losses));
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let id = peer.id;
        let mut facts = Vec::new();
        for line in &mut peer.lines {
            let Some(receive) = &mut line.receive else { continue };
            for (substream, layer) in receive.layers.iter_mut().enumerate() {
                let mindex = line.mindex;
                let silent = silence_us > 0 && now_us > layer.last_us + silence_us;
                if layer.receiving && silent {
                    layer.receiving = false;
                    let substream = receive.simulcast.then_some(substream as u8);
                    facts.push(Fact::Receiving { mindex, substream, receiving: false });
                }
                let lost = layer.stats.lost();
                let newly = lost - std::mem::replace(&mut layer.lost_before, lost);
                if substream == 0 && threshold > 0 && newly >= threshold {
                    let lost = u32::try_from(newly).unwrap_or(u32::MAX);
                    facts.push(Fact::SlowLink { mindex, uplink: false, lost });
                }
            }
        }
        for fact in facts {
            self.tell(ShardEvent::Fact { peer: id, fact });
        }
    }

    /// A policy with a keyframe interval needs its timer.
    pub(super) fn arm_keyframe_interval(&mut self, id: SourceId) {
        // Those of an ingest are asked for with its packets.
        let SourceId::Line(line) = id else { return };
        if line.peer.shard == self.config.id && self.peers.get(line.peer).is_some() {
            self.timers.arm(line.peer.slot, self.now.us + 1);
        }
    }

    /// A peer's statistics now.
    pub(super) fn statistics(&self, id: PeerId) -> Option<PeerStatistics> {
        let peer = self.peers.get(id)?;
        Some(PeerStatistics {
            rtt_ms: peer.reports.rtt_us / 1000,
            round_trip: peer.reports.round_trip,
            remb_bps: peer.reports.remb_bps,
            profile: peer.keys.as_ref().map(|keys| keys.profile().name()),
            unopened: peer.unopened,
            way: WayStatistics {
                ice: peer.agent.state(),
                queued: u32::try_from(peer.waiting.len()).unwrap_or(u32::MAX),
                ..peer.way
            },
            nack_queue_ms: u32::try_from(peer.reports.keep_us / 1000).unwrap_or(u32::MAX),
            lines: peer.lines.iter().filter(|l| l.is_active()).map(line_statistics).collect(),
        })
    }
}

/// Writes one line's part of the reports; `None` when it does not fit any more.
fn report_line(
    writer: &mut CompoundWriter<'_>,
    line: &mut PeerLine,
    ntp: NtpTime,
    now_us: u64,
) -> Option<()> {
    let ours = line.ssrc;
    let info = line.sink.as_ref().and_then(|sink| sink.stats.sender_info(ntp, now_us));
    if let Some(mut info) = info {
        if let Some(told) = line.sink.as_ref().and_then(|sink| sink.told) {
            (info.ntp, info.rtp_timestamp) = told;
        }
        writer.sender_report(ours, &info, &[]).ok()?;
        writer.sdes_cname(ours, CNAME).ok()?;
    }
    let Some(receive) = &mut line.receive else { return Some(()) };
    for layer in &mut receive.layers {
        let block = layer.ssrc.and_then(|ssrc| layer.stats.report_block(ssrc, now_us));
        if let Some(block) = block {
            writer.receiver_report(ours, &[block]).ok()?;
        }
    }
    Some(())
}

/// Our SSRC and the first video SSRC that arrives (webrtc-behaviour §7.1).
fn feedback_ssrcs(peer: &Peer) -> Option<(Ssrc, Ssrc)> {
    peer.lines.iter().find_map(|line| {
        let receive = line.receive.as_ref().filter(|receive| receive.transport_cc)?;
        let media = receive.layers.iter().find_map(|layer| layer.ssrc)?;
        Some((line.ssrc, media))
    })
}

fn nack_layer(writer: &mut CompoundWriter<'_>, ours: Ssrc, layer: &mut Layer, now_us: u64) {
    let (Some(ssrc), Some(nacks)) = (layer.ssrc, &mut layer.nacks) else { return };
    let mut seqs = [Seq(0); NACK_WINDOW as usize];
    let count = nacks.due(now_us, &mut seqs);
    if count > 0 {
        // A question that finds no room is asked again by the tracker's own second round.
        let _ = writer.nack(ours, ssrc, seqs[..count].iter().copied());
    }
}

/// A second of a peer's streams is over.
fn roll_second(peer: &mut Peer) {
    for line in &mut peer.lines {
        for layer in line.receive.iter_mut().flat_map(|receive| &mut receive.layers) {
            let stats = &layer.stats;
            layer.second.roll(stats.bytes());
            layer.quality.update(stats.expected(), stats.packets(), stats.retransmitted());
        }
        if let Some(sink) = &mut line.sink {
            sink.second.roll(sink.stats.bytes());
        }
    }
}

fn line_statistics(line: &PeerLine) -> LineStatistics {
    let received = line.receive.iter().flat_map(|receive| &receive.layers);
    let received = received.filter(|layer| layer.ssrc.is_some()).map(|layer| LayerStatistics {
        ssrc: layer.ssrc.map_or(0, |ssrc| ssrc.0),
        packets: layer.stats.packets(),
        bytes: layer.stats.bytes(),
        bytes_last_second: layer.second.bytes(),
        lost: layer.stats.lost(),
        jitter_ms: layer.stats.jitter_ms(),
        nacks: layer.nacks.as_ref().map_or(0, |nacks| nacks.asked()),
        retransmissions: layer.stats.retransmitted(),
        keyframe_requests: layer.keyframe_requests,
        dropped: layer.dropped,
        link: layer.quality.link,
        media: layer.quality.media,
    });
    let sent = line.sink.as_ref().map(|sink| LayerStatistics {
        ssrc: sink.ssrc.0,
        packets: sink.stats.packets(),
        bytes: sink.stats.bytes(),
        bytes_last_second: sink.second.bytes(),
        lost: i64::from(sink.stats.lost_by_remote()),
        jitter_ms: sink.stats.remote_jitter_ms(),
        nacks: sink.stats.nacks(),
        retransmissions: sink.counts.retransmissions,
        keyframe_requests: sink.counts.keyframe_requests,
        dropped: sink.counts.shed,
        link: sink.quality.link,
        media: sink.quality.media,
    });
    LineStatistics {
        mindex: line.mindex,
        kind: Some(line.kind),
        received: received.collect(),
        sent: sent.unwrap_or_default(),
    }
}
