//! What arrived on one m-line (and layer).

use std::collections::VecDeque;

use bifrons_core::codec::Vp8Descriptor;
use str0m::rtp::{RtpHeader, RtpPacket};

use super::light::Heard;

/// SSRCs remembered per m-line.
const SSRCS: usize = 32;

/// Counts of one received stream. Packets are distinct ones: replays and duplicates are dropped
/// before they come here, and a retransmission counts as the packet it repeats.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Distinct packets.
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Video frames whose packets came in order and whole; for audio, packets.
    pub frames: u64,
    /// Those of the frames that are VP8 keyframes.
    pub keyframes: u64,
    /// Packets that came after one with a higher sequence number.
    pub reordered: u64,
    /// Packets (VP8 only) whose picture id stepped by other than 0 or 1 at a frame start.
    pub picture_id_jumps: u64,
    /// Times the RTP time stamp stepped back while the sequence number stepped on.
    pub timestamp_steps_back: u64,
    /// Newest VP8 temporal layer seen.
    pub temporal: Option<u8>,
    /// The SSRCs seen, in order, at most 32.
    pub ssrcs: Vec<u32>,
    /// Payload type of the newest packet.
    pub payload_type: u8,
    /// Newest headers, if the peer keeps them.
    pub headers: VecDeque<RtpHeader>,
    expected_before: u64,
    first_seq: u64,
    highest_seq: u64,
    highest_timestamp: u32,
    last_picture_id: Option<u16>,
    frame: Frame,
}

/// The frame being received in order.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    next_seq: u64,
    whole: bool,
    key: bool,
}

impl Received {
    /// Packets the sequence numbers say were sent, over all SSRCs.
    #[must_use]
    pub fn expected(&self) -> u64 {
        match self.packets {
            0 => 0,
            _ => self.expected_before + self.highest_seq - self.first_seq + 1,
        }
    }

    /// Packets that never came, though later ones did.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.packets)
    }

    /// Takes in one packet.
    pub(super) fn take(&mut self, packet: &RtpPacket, video: bool, keep_headers: usize) {
        let (seq, header) = (*packet.seq_no, &packet.header);
        self.follow(*header.ssrc, seq, header.timestamp);
        self.packets += 1;
        self.bytes += packet.payload.len() as u64;
        self.payload_type = *header.payload_type;
        if keep_headers > 0 {
            if self.headers.len() >= keep_headers {
                self.headers.pop_front();
            }
            self.headers.push_back(header.clone());
        }
        if video {
            self.video(seq, header.marker, &packet.payload);
        } else {
            self.frames += 1;
        }
    }

    /// Takes in one packet of a light receiver. Frames are told by their markers.
    pub(super) fn hear(&mut self, heard: &Heard, video: bool) {
        let first = self.packets == 0;
        self.follow(heard.ssrc, heard.index, heard.timestamp);
        self.packets += 1;
        self.bytes += heard.bytes as u64;
        self.payload_type = heard.payload_type;
        if !video {
            self.frames += 1;
            return;
        }
        self.temporal = Some(0);
        self.frame.whole &= heard.index == self.frame.next_seq;
        // Between two holds sources send whole frames, so the first packet begins one.
        self.frame.whole |= first;
        self.frame.next_seq = heard.index + 1;
        if heard.marker {
            self.frames += u64::from(self.frame.whole);
            self.frame.whole = true;
        }
    }

    /// Sequence numbers and time stamps, per SSRC.
    fn follow(&mut self, ssrc: u32, seq: u64, timestamp: u32) {
        if self.ssrcs.last() != Some(&ssrc) {
            self.expected_before = self.expected();
            (self.first_seq, self.highest_seq) = (seq, seq);
            self.highest_timestamp = timestamp;
            self.frame = Frame::default();
            if self.ssrcs.len() < SSRCS {
                self.ssrcs.push(ssrc);
            }
            return;
        }
        self.first_seq = self.first_seq.min(seq);
        if seq < self.highest_seq {
            self.reordered += 1;
            return;
        }
        let step = timestamp.wrapping_sub(self.highest_timestamp) as i32;
        self.timestamp_steps_back += u64::from(step < 0);
        (self.highest_seq, self.highest_timestamp) = (seq, timestamp);
    }

    fn video(&mut self, seq: u64, marker: bool, payload: &[u8]) {
        let descriptor = Vp8Descriptor::read(payload);
        let start = descriptor.filter(|d| d.partition_start && d.partition == 0);
        if let Some(start) = start {
            let key = start.is_keyframe(payload);
            self.frame = Frame { next_seq: seq, whole: true, key };
            let id = start.picture_id.map(|id| id.value);
            if let (Some(last), Some(id)) = (self.last_picture_id, start.picture_id) {
                let step = id.value.wrapping_sub(last) & id.mask();
                self.picture_id_jumps += u64::from(step > 1);
            }
            (self.last_picture_id, self.temporal) = (id, start.temporal);
        }
        self.frame.whole &= seq == self.frame.next_seq;
        self.frame.next_seq = seq + 1;
        if marker && self.frame.whole {
            self.frames += 1;
            self.keyframes += u64::from(self.frame.key);
            self.frame.whole = false;
        }
    }
}
