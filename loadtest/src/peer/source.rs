//! Synthetic media: what looks like VP8 and Opus to everything that reads headers only.
//!
//! A VP8 frame begins with a true frame tag (RFC 6386 §9.1: key or not, start code, 320x180) and
//! each packet with a true payload descriptor (RFC 7741: 15-bit picture id, TL0PICIDX, TID); the
//! rest is zeros up to the [`Stamp`]. Cost: one allocation a packet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::media::MediaKind;

use super::{Clip, Shape, Stamp};

/// VP8 payload descriptor bytes this source writes.
const DESCRIPTOR: usize = 6;
/// Smallest payload: descriptor, keyframe header, stamp.
const SMALLEST: usize = DESCRIPTOR + 10 + Stamp::LEN;
/// Opus TOC: CELT full band, 20 ms, mono, one frame (RFC 6716 §3.1).
const OPUS_TOC: u8 = 31 << 3;
/// A source that fell behind by this much skips ahead instead of bursting.
const LAG: Duration = Duration::from_millis(500);

/// One RTP packet to write.
pub(super) struct Written {
    pub(super) seq: u64,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) payload: Vec<u8>,
}

/// A running source.
pub(super) struct Source {
    shape: Shape,
    kind: MediaKind,
    due: Instant,
    seq: u64,
    timestamp: u32,
    frame: u32,
    picture_id: u16,
    tl0: u8,
    since_key: u32,
    key_wanted: bool,
    skipped: u64,
    held: bool,
    /// What is played instead of synthetic media, and the frame that is next.
    clip: Option<(Arc<Clip>, usize)>,
    /// Packets of the running frame that leave later, and when.
    pending: VecDeque<(Instant, Written)>,
}

impl Source {
    pub(super) fn new(kind: MediaKind, shape: Shape, now: Instant) -> Self {
        let seq = u64::from(shape.first_seq);
        let key_wanted = true;
        let (timestamp, frame, picture_id, tl0, since_key) = (90_000, 0, 100, 0, 0);
        Self {
            shape,
            kind,
            due: now,
            seq,
            timestamp,
            frame,
            picture_id,
            tl0,
            since_key,
            key_wanted,
            skipped: 0,
            held: false,
            clip: None,
            pending: VecDeque::new(),
        }
    }

    /// Frames left out since the last call because nobody asked for them in time.
    pub(super) fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }

    /// When the next packet is due; `None` while the source is held and its last frame is out.
    pub(super) fn due(&self) -> Option<Instant> {
        let next = (!self.held).then_some(self.due);
        let pending = self.pending.front().map(|(at, _)| *at);
        next.into_iter().chain(pending).min()
    }

    /// Whether something is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// Begins no more frames, or goes on where it stopped: what was due meanwhile is due now.
    pub(super) fn hold(&mut self, held: bool, now: Instant) {
        self.held = held;
        self.due = self.due.max(now);
    }

    pub(super) fn kind(&self) -> MediaKind {
        self.kind
    }

    /// The next frame is a keyframe.
    pub(super) fn request_keyframe(&mut self) {
        self.key_wanted = true;
    }

    pub(super) fn set_shape(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// Plays a clip from its start, from the next frame on.
    pub(super) fn play(&mut self, clip: Arc<Clip>) {
        self.clip = Some((clip, 0));
    }

    /// Writes what is due at `now` into `out`: the frame, or as much of it as does not leave later.
    /// Returns whether a frame began, and then whether it is a keyframe.
    pub(super) fn write(
        &mut self,
        now: Instant,
        stamp: Stamp,
        out: &mut Vec<Written>,
    ) -> Option<bool> {
        let mut began = None;
        if !self.held && self.due <= now {
            began = Some(self.frame(now));
        }
        while let Some((at, _)) = self.pending.front()
            && *at <= now
        {
            let Some((_, mut packet)) = self.pending.pop_front() else { break };
            if self.clip.is_none() {
                stamp.write(&mut packet.payload);
            }
            out.push(packet);
        }
        began
    }

    /// Makes the frame that is due; returns whether it is a keyframe.
    fn frame(&mut self, now: Instant) -> bool {
        let interval = self.clip.as_ref().map(|(clip, _)| clip.interval);
        let interval = interval.unwrap_or(self.shape.frame_interval).max(Duration::from_millis(1));
        let start = self.due.min(now);
        self.due += interval;
        if now.saturating_duration_since(self.due) > LAG {
            let behind = now.saturating_duration_since(self.due);
            self.skipped += (behind.as_micros() / interval.as_micros()) as u64;
            self.due = now + interval;
        }
        let mut packets = Vec::new();
        let clip = self.clip.clone();
        let key = match self.kind {
            _ if clip.is_some() => clip.is_some_and(|clip| self.recorded(clip, &mut packets)),
            MediaKind::Audio => {
                self.opus(&mut packets);
                false
            }
            MediaKind::Video => self.vp8(&mut packets),
        };
        let steps = packets.len().saturating_sub(1).max(1) as u32;
        let step = self.shape.spread.min(interval) / steps;
        let times = (0..).map(|at| start + step * at);
        self.pending.extend(times.zip(packets));
        let clock = if self.kind.is_audio() { 48_000 } else { 90_000 };
        let ticks = interval.as_micros() * clock / 1_000_000;
        self.timestamp = self.timestamp.wrapping_add(ticks as u32);
        self.frame = self.frame.wrapping_add(1);
        key
    }

    fn push(&mut self, marker: bool, payload: Vec<u8>, out: &mut Vec<Written>) {
        out.push(Written { seq: self.seq, timestamp: self.timestamp, marker, payload });
        self.seq += 1;
    }

    /// The next frame of a clip; whether it is a keyframe.
    fn recorded(&mut self, (clip, at): (Arc<Clip>, usize), out: &mut Vec<Written>) -> bool {
        let at = if std::mem::take(&mut self.key_wanted) { 0 } else { at };
        let Some(frame) = clip.frames.get(at).or(clip.frames.first()) else { return false };
        if self.kind.is_audio() {
            self.push(self.frame == 0, frame.clone(), out);
        } else {
            let size = self.shape.packet_bytes.saturating_sub(DESCRIPTOR).max(1);
            let packets = frame.len().div_ceil(size);
            self.tl0 = self.tl0.wrapping_add(1);
            for (index, part) in frame.chunks(size).enumerate() {
                let mut payload = vec![0; DESCRIPTOR];
                self.describe(&mut payload, index == 0, 0, false);
                payload.extend_from_slice(part);
                self.push(index + 1 == packets, payload, out);
            }
            self.picture_id = (self.picture_id + 1) & 0x7FFF;
        }
        let key = self.kind.is_video() && frame.first().is_some_and(|first| first & 1 == 0);
        self.clip = Some((clip.clone(), (at + 1) % clip.frames.len().max(1)));
        key
    }

    fn opus(&mut self, out: &mut Vec<Written>) {
        let mut payload = vec![0; self.shape.packet_bytes.max(SMALLEST)];
        if let Some(toc) = payload.first_mut() {
            *toc = OPUS_TOC;
        }
        self.push(self.frame == 0, payload, out);
    }

    /// Temporal layer of the running frame and whether it is discardable.
    fn temporal(&self) -> (u8, bool) {
        match (self.shape.temporal_layers, self.since_key % 4) {
            (2, 1 | 3) => (1, true),
            (3, 1 | 3) => (2, true),
            (3, 2) => (1, false),
            _ => (0, false),
        }
    }

    fn vp8(&mut self, out: &mut Vec<Written>) -> bool {
        let every = self.shape.keyframe_every;
        let key = self.key_wanted || (every > 0 && self.since_key >= every);
        if key {
            (self.key_wanted, self.since_key) = (false, 0);
        }
        let (tid, discardable) = self.temporal();
        if tid == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        let micros = self.shape.frame_interval.as_micros() as u64;
        let frame_bytes = (self.shape.rate_bps * micros / 8_000_000) as usize;
        let size = self.shape.packet_bytes.max(SMALLEST);
        let packets = frame_bytes.div_ceil(size).max(1);
        let each = (frame_bytes / packets).max(SMALLEST);
        for index in 0..packets {
            let mut payload = vec![0; each];
            let first = index == 0;
            self.describe(&mut payload, first, tid, discardable);
            if first {
                tag(&mut payload, key);
            }
            self.push(index + 1 == packets, payload, out);
        }
        self.picture_id = (self.picture_id + 1) & 0x7FFF;
        self.since_key += 1;
        key
    }

    /// RFC 7741 §4.2: X, N, S, then I, L and T with their fields.
    fn describe(&self, payload: &mut [u8], first: bool, tid: u8, discardable: bool) {
        let [high, low] = (self.picture_id | 0x8000).to_be_bytes();
        let lead = 0x80 | u8::from(discardable) << 5 | u8::from(first) << 4;
        let sync = u8::from(tid > 0) << 5;
        let descriptor = [lead, 0xE0, high, low, self.tl0, tid << 6 | sync];
        if let Some(front) = payload.first_chunk_mut::<DESCRIPTOR>() {
            *front = descriptor;
        }
    }
}

/// RFC 6386 §9.1: the frame tag, and a keyframe's start code and size, behind the descriptor.
fn tag(payload: &mut [u8], key: bool) {
    let Some(body) = payload.get_mut(DESCRIPTOR..DESCRIPTOR + 10) else { return };
    if key {
        body.copy_from_slice(&[0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xB4, 0x00]);
    } else if let Some(first) = body.first_mut() {
        *first = 0x11;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bifrons_core::codec::Vp8Descriptor;

    fn frames(source: &mut Source, count: u32) -> Vec<(bool, Vec<Written>)> {
        (0..count)
            .map(|_| {
                let mut out = Vec::new();
                let key = source.write(source.due, Stamp(7), &mut out);
                (key == Some(true), out)
            })
            .collect()
    }

    #[test]
    fn a_paced_frame_leaves_packet_by_packet() {
        let spread = Duration::from_millis(18);
        let shape = Shape { spread, ..Shape::video(2_000_000) };
        let start = Instant::now();
        let mut source = Source::new(MediaKind::Video, shape, start);
        let mut out = Vec::new();
        let mut times = Vec::new();
        while out.len() < 11 {
            let due = source.due().expect("not held");
            source.write(due, Stamp(due.duration_since(start).as_nanos() as u64), &mut out);
            times.push(due.duration_since(start).as_millis());
        }
        assert_eq!(times, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 40]);
        assert_eq!(Stamp::read(&out[3].payload), Some(Stamp(6_000_000)));
        assert!(out[9].marker && !out[8].marker);
        source.hold(true, start);
        while let Some(due) = source.due() {
            assert_eq!(source.write(due, Stamp(0), &mut out), None);
        }
        assert!(out.len() == 20 && out[19].marker, "a frame that was begun is ended");
    }

    #[test]
    fn vp8_frames_read_back_as_what_they_are() {
        let mut source = Source::new(MediaKind::Video, Shape::video(2_000_000), Instant::now());
        let sent = frames(&mut source, 3);
        for (number, (key, packets)) in sent.iter().enumerate() {
            assert_eq!(*key, number == 0);
            assert_eq!(packets.len(), 10);
            for (at, packet) in packets.iter().enumerate() {
                let d = Vp8Descriptor::read(&packet.payload).expect("descriptor");
                assert_eq!(d.partition_start, at == 0);
                assert_eq!(d.picture_id.map(|id| id.value), Some(100 + number as u16));
                assert_eq!(d.is_keyframe(&packet.payload), number == 0 && at == 0);
                assert_eq!(packet.marker, at == 9);
                assert_eq!(Stamp::read(&packet.payload), Some(Stamp(7)));
            }
        }
        let bytes: usize = sent[1].1.iter().map(|p| p.payload.len()).sum();
        assert_eq!(bytes, 10_000);
    }

    #[test]
    fn a_clip_is_played_as_it_is_and_starts_again_when_a_keyframe_is_wanted() {
        let frames: Vec<Vec<u8>> = vec![vec![0x10; 2500], vec![0x11; 40], vec![0x11; 41]];
        let clip = Clip { frames: frames.clone(), interval: Duration::from_millis(33) };
        let mut source = Source::new(MediaKind::Video, Shape::video(1), Instant::now());
        source.play(Arc::new(clip));
        let sent = |source: &mut Source| {
            let mut out = Vec::new();
            let key = source.write(source.due, Stamp(7), &mut out);
            assert!(out.last().is_some_and(|last| last.marker));
            let joined: Vec<u8> =
                out.iter().flat_map(|p| p.payload[DESCRIPTOR..].to_vec()).collect();
            (key, out.len(), joined)
        };
        assert_eq!(sent(&mut source), (Some(true), 3, frames[0].clone()));
        assert_eq!(sent(&mut source), (Some(false), 1, frames[1].clone()));
        source.request_keyframe();
        assert_eq!(sent(&mut source).2, frames[0]);
        assert_eq!(sent(&mut source).2, frames[1]);
        assert_eq!(sent(&mut source).2, frames[2]);
        assert_eq!(sent(&mut source), (Some(true), 3, frames[0].clone()));
    }

    #[test]
    fn a_keyframe_comes_when_asked_for_and_on_its_interval() {
        let shape = Shape { keyframe_every: 5, ..Shape::video(100_000) };
        let mut source = Source::new(MediaKind::Video, shape, Instant::now());
        let keys: Vec<_> = frames(&mut source, 7).iter().map(|f| f.0).collect();
        assert_eq!(keys, [true, false, false, false, false, true, false]);
        source.request_keyframe();
        assert!(frames(&mut source, 1)[0].0);
    }

    #[test]
    fn sequence_numbers_run_on_past_the_wrap() {
        let shape = Shape { first_seq: 65_535, ..Shape::audio() };
        let mut source = Source::new(MediaKind::Audio, shape, Instant::now());
        let seqs: Vec<_> = frames(&mut source, 3).iter().map(|f| f.1[0].seq).collect();
        assert_eq!(seqs, [65_535, 65_536, 65_537]);
    }

    #[test]
    fn three_temporal_layers_follow_the_pattern() {
        let shape = Shape { temporal_layers: 3, ..Shape::video(100_000) };
        let mut source = Source::new(MediaKind::Video, shape, Instant::now());
        let layers: Vec<_> = frames(&mut source, 8)
            .iter()
            .map(|f| Vp8Descriptor::read(&f.1[0].payload).and_then(|d| d.temporal))
            .collect();
        assert_eq!(layers, [0, 2, 1, 2, 0, 2, 1, 2].map(Some));
    }
}
