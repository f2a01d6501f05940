//! From the packets of many peers to groups for the kernels.
//!
//! A run is what one peer gets: packets under one key. Each lane works through a run and then takes
//! the next one, so a key is copied into its lane once a run and not once a packet. In every step
//! the lanes whose packets are about equally long form a group; the others wait for the next step.

use super::ctr::{self, Iv, Keys, Lane, SCRATCH};
use super::ghash::{self, Powers};
use super::key::{Cipher, LaneKey};
use super::lanes::{Four, Row, Two};
use super::sha1::{self, MOST_PACKETS, Message};
use super::{Job, Kernel, Run, SenderKey};

/// Packets of a group differ by fewer blocks than this.
const ALIKE_BLOCKS: usize = 8;

/// Seals or encrypts one group of `N` lanes.
type Group<const N: usize> = unsafe fn(&Keys, &[Lane; N]);

/// The kernels of one register width, compiled for its target features.
struct Width<const N: usize> {
    gcm128: Group<N>,
    gcm256: Group<N>,
    cm: Group<N>,
    tags: unsafe fn(&[Message]) -> [[u8; 12]; MOST_PACKETS],
    /// Fewer packets than this are sealed one by one: under GCM, and under CM with SHA-1.
    least_gcm: usize,
    least_cm: usize,
}

/// The four entries of a register width, each with the target features that its body needs.
macro_rules! entries {
    ($name:ident, $register:ty, $lanes:literal, $features:literal) => {
        mod $name {
            use super::*;

            #[target_feature(enable = $features)]
            pub(super) unsafe fn gcm128(keys: &Keys, lanes: &[Lane; $lanes]) {
                // SAFETY: the features are those of this function; the rest as the caller vouches.
                unsafe { ctr::seal_gcm::<$register, $lanes, 10>(keys, lanes) }
            }

            #[target_feature(enable = $features)]
            pub(super) unsafe fn gcm256(keys: &Keys, lanes: &[Lane; $lanes]) {
                // SAFETY: as above.
                unsafe { ctr::seal_gcm::<$register, $lanes, 14>(keys, lanes) }
            }

            #[target_feature(enable = $features)]
            pub(super) unsafe fn cm(keys: &Keys, lanes: &[Lane; $lanes]) {
                // SAFETY: as above.
                unsafe { ctr::crypt::<$register, $lanes, 10>(keys, lanes) }
            }

            #[target_feature(enable = $features)]
            pub(super) unsafe fn tags(messages: &[Message]) -> [[u8; 12]; MOST_PACKETS] {
                // SAFETY: as above.
                unsafe { sha1::tags::<$register>(messages) }
            }
        }
    };
}

entries!(two, Two, 2, "avx2,bmi2,aes,pclmulqdq,vaes,vpclmulqdq");
entries!(four, Four, 4, "avx2,bmi2,avx512f,avx512bw,avx512vl,aes,pclmulqdq,vaes,vpclmulqdq");

static TWO: Width<2> = Width {
    gcm128: two::gcm128,
    gcm256: two::gcm256,
    cm: two::cm,
    tags: two::tags,
    least_gcm: 2,
    least_cm: 4,
};

static FOUR: Width<4> = Width {
    gcm128: four::gcm128,
    gcm256: four::gcm256,
    cm: four::cm,
    tags: four::tags,
    least_gcm: 2,
    least_cm: 6,
};

/// Seals all jobs of all runs, each of which fits the room.
pub(super) fn seal(kernel: Kernel, room: &mut [u8], jobs: &[Job<'_>], runs: &[Run<'_>]) {
    match kernel {
        Kernel::Vaes256 => TWO.seal(room, jobs, runs),
        Kernel::Vaes512 => FOUR.seal(room, jobs, runs),
        _ => runs.iter().for_each(|run| seal_singly(room, jobs, run.clone())),
    }
}

/// The tags of a few messages.
#[cfg(test)]
pub(super) fn tags(kernel: Kernel, messages: &[Message]) -> [[u8; 12]; MOST_PACKETS] {
    let tags = if kernel == Kernel::Vaes512 { FOUR.tags } else { TWO.tags };
    // SAFETY: the tests name only kernels of this CPU, and messages that are there.
    unsafe { tags(messages) }
}

impl<const N: usize> Width<N> {
    fn seal(&self, room: &mut [u8], jobs: &[Job<'_>], runs: &[Run<'_>]) {
        for cipher in [Cipher::Gcm128, Cipher::Gcm256, Cipher::CmSha1] {
            let ours = runs.iter().filter(|run| run.cipher() == Some(cipher)).cloned();
            let count: usize = ours.clone().map(|run| run.jobs.len()).sum();
            match cipher {
                _ if count == 0 => {}
                Cipher::CmSha1 => self.seal_cm(room, jobs, ours, count),
                _ if count < self.least_gcm => ours.for_each(|run| seal_singly(room, jobs, run)),
                Cipher::Gcm128 => self.packing(self.least_gcm).seal(self.gcm128, room, jobs, ours),
                Cipher::Gcm256 => self.packing(self.least_gcm).seal(self.gcm256, room, jobs, ours),
            }
        }
        let others = runs.iter().filter(|run| run.cipher().is_none()).cloned();
        others.for_each(|run| seal_singly(room, jobs, run));
    }

    fn packing<'k>(&self, least: usize) -> Packing<'k, N> {
        Packing::new(least)
    }

    /// AES-CM in groups, then HMAC-SHA1 over as many packets as the register has words. What is
    /// left over and too little for a round of SHA-1 goes the scalar way.
    fn seal_cm<'k>(
        &self,
        room: &mut [u8],
        jobs: &[Job<'_>],
        runs: impl Iterator<Item = Run<'k>> + Clone,
        count: usize,
    ) {
        let rest = match count % (4 * N) {
            rest if rest < self.least_cm => rest,
            _ => 0,
        };
        let count = count - rest;
        if count == 0 {
            return runs.for_each(|run| seal_singly(room, jobs, run));
        }
        let mut left = count;
        let shares = runs.map(move |run| {
            let taken = left.min(run.jobs.len());
            left -= taken;
            run.split(taken)
        });
        let ours = shares.clone().map(|(ours, _)| ours);
        self.packing(1).seal(self.cm, room, jobs, ours.clone());
        let packets = ours.flat_map(|run| run.jobs.clone().map(move |job| (job, run.key)));
        self.append_tags(room, jobs, packets, count);
        shares.for_each(|(_, rest)| seal_singly(room, jobs, rest));
    }

    /// Appends the HMAC of so many packets, whose text is encrypted.
    fn append_tags<'k>(
        &self,
        room: &mut [u8],
        jobs: &[Job<'_>],
        mut packets: impl Iterator<Item = (usize, &'k SenderKey)>,
        of: usize,
    ) {
        let nothing =
            Message { bytes: room.as_ptr(), len: 0, rollover: 0, inner: [0; 5], outer: [0; 5] };
        for _ in 0..of.div_ceil(4 * N) {
            let mut messages = [nothing; MOST_PACKETS];
            let mut places = [(0, 0); MOST_PACKETS];
            let mut count = 0;
            for (job, key) in packets.by_ref().take(4 * N) {
                let (job, Some(key)) = (&jobs[job], &key.lanes) else { continue };
                let len = job.header_len + job.len;
                messages[count] = Message {
                    bytes: room[job.at..job.at + len].as_ptr(),
                    len,
                    rollover: (job.index >> 16) as u32,
                    inner: key.inner,
                    outer: key.outer,
                };
                places[count] = (job.at + len, key.tag_len);
                count += 1;
            }
            // SAFETY: a width is only chosen where the CPU has its features; the messages lie in
            // `room`, which is not written to meanwhile.
            let tags = unsafe { (self.tags)(&messages[..count]) };
            for (tag, (at, len)) in tags.iter().zip(places).take(count) {
                room[at..at + len].copy_from_slice(&tag[..len]);
            }
        }
    }
}

/// The scalar way.
fn seal_singly(room: &mut [u8], jobs: &[Job<'_>], run: Run<'_>) {
    for job in &jobs[run.jobs] {
        seal_one(room, job, run.key);
    }
}

fn seal_one(room: &mut [u8], job: &Job<'_>, key: &SenderKey) {
    let packet = &mut room[job.at..job.end()];
    let sealed = match job.text {
        Some(text) => key.scalar.seal_rtp(job.index, packet, job.header_len, text),
        None => {
            let len = job.header_len + job.len;
            key.scalar.seal_rtp_in_place(job.index, packet, job.header_len, len)
        }
    };
    if sealed.is_err() {
        // Cannot be, as the job fits; plain text must not leave in any case.
        debug_assert!(false, "a job that fits is sealed");
        packet.fill(0);
    }
}

/// A lane at work on its run.
#[derive(Clone, Copy)]
struct Cursor<'k> {
    keys: Option<(&'k SenderKey, &'k LaneKey)>,
    next: usize,
    end: usize,
}

/// Lanes with their keys, and what they work on.
struct Packing<'k, const N: usize> {
    keys: Keys,
    lanes: [Cursor<'k>; N],
    /// Groups of fewer packets are sealed one by one.
    least: usize,
    scratch: [u8; SCRATCH],
}

impl<'k, const N: usize> Packing<'k, N> {
    fn new(least: usize) -> Self {
        let rows = [Row::ZERO; ghash::POWERS];
        let powers = Powers { whole: rows, cross: rows };
        let keys = Keys { round: [Row::ZERO; super::key::MOST_ROUND_KEYS], powers };
        let lanes = [Cursor { keys: None, next: 0, end: 0 }; N];
        Packing { keys, lanes, least, scratch: [0; SCRATCH] }
    }

    fn seal(
        &mut self,
        group: Group<N>,
        room: &mut [u8],
        jobs: &[Job<'_>],
        runs: impl Iterator<Item = Run<'k>>,
    ) {
        let mut runs = runs.filter(|run| !run.jobs.is_empty());
        loop {
            let mut heads = [None; N];
            let mut tallest = None;
            for (lane, head) in heads.iter_mut().enumerate() {
                if self.lanes[lane].next == self.lanes[lane].end && !self.refill(lane, &mut runs) {
                    continue;
                }
                let job = &jobs[self.lanes[lane].next];
                tallest = tallest.max(Some(job.blocks()));
                *head = Some(job);
            }
            let Some(tallest) = tallest else { return };
            self.step(group, room, &heads, tallest);
        }
    }

    /// Gives a lane that is through the next run and its key; false if there is none.
    fn refill(&mut self, lane: usize, runs: &mut impl Iterator<Item = Run<'k>>) -> bool {
        let next = runs.next().and_then(|run| Some((run.key, run.key.lanes.as_ref()?, run.jobs)));
        let Some((key, ours, jobs)) = next else {
            self.lanes[lane] = Cursor { keys: None, next: 0, end: 0 };
            return false;
        };
        self.keys.set(lane, ours);
        self.lanes[lane] = Cursor { keys: Some((key, ours)), next: jobs.start, end: jobs.end };
        true
    }

    /// Seals those of the lanes' packets that are about as long as the longest.
    fn step(
        &mut self,
        group: Group<N>,
        room: &mut [u8],
        heads: &[Option<&Job<'_>>; N],
        tallest: usize,
    ) {
        let base = room.as_mut_ptr();
        // A lane without a packet does the work of another one and writes it where nobody looks.
        let nothing = std::ptr::null_mut();
        let iv = LaneKey::no_iv();
        let mut model = Lane { packet: nothing, header_len: 12, text: nothing, len: 0, iv };
        let mut lanes = [model; N];
        let (mut together, mut sole) = (0, None);
        for (lane, head) in heads.iter().enumerate() {
            let (Some(job), Some((key, ours))) = (head, self.lanes[lane].keys) else { continue };
            // A packet without text has no last block to align.
            if job.blocks() + ALIKE_BLOCKS <= tallest || (job.len == 0) != (tallest == 0) {
                continue;
            }
            self.lanes[lane].next += 1;
            if tallest == 0 {
                seal_one(room, job, key);
                continue;
            }
            lanes[lane] = job.lane(base, ours.iv(ssrc_at(room, job.at), job.index));
            model = lanes[lane];
            together += 1;
            sole = Some((job, key));
        }
        if together < self.least {
            // Two packets are the fewest worth a group, so there is one at most.
            return sole.into_iter().for_each(|(job, key)| seal_one(room, job, key));
        }
        if together < N {
            let idle = Lane { packet: self.scratch.as_mut_ptr(), header_len: 12, ..model };
            lanes.iter_mut().filter(|lane| lane.packet.is_null()).for_each(|lane| *lane = idle);
        }
        // SAFETY: a width is only chosen where the CPU has its features. Each lane's packet was
        // found to fit the room with header, text and 16 bytes, and the scratch; its text is a
        // slice of that length, or lies in the packet.
        unsafe { group(&self.keys, &lanes) };
    }
}

impl Keys {
    /// Copies a key into a lane.
    fn set(&mut self, lane: usize, key: &LaneKey) {
        for (row, block) in self.round.iter_mut().zip(&key.round) {
            row.0[lane] = *block;
        }
        let powers = self.powers.whole.iter_mut().zip(&mut self.powers.cross);
        for ((whole, cross), &power) in powers.zip(&key.h) {
            whole.0[lane] = power;
            cross.0[lane] = ghash::cross(power);
        }
    }
}

impl Job<'_> {
    #[inline]
    fn blocks(&self) -> usize {
        self.len.div_ceil(16)
    }

    /// The packet as a lane wants it; `room` is the room it lies in.
    #[inline]
    fn lane(&self, room: *mut u8, iv: Iv) -> Lane {
        let packet = room.wrapping_add(self.at);
        let in_place = packet.wrapping_add(self.header_len).cast_const();
        let text = self.text.map_or(in_place, <[u8]>::as_ptr);
        Lane { packet, header_len: self.header_len, text, len: self.len, iv }
    }
}

#[inline]
fn ssrc_at(room: &[u8], at: usize) -> u32 {
    room[at + 8..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}
