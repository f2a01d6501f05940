//! AES in counter mode over the packets of a group, one a lane: alone for AES-CM (RFC 3711 §4.1.1),
//! with GHASH for AES-GCM (RFC 7714, NIST SP 800-38D).
//!
//! Packets of a group may differ in length. They are aligned at their ends: the last block of each,
//! whole or not, is done in one step for all lanes, and a shorter one joins some blocks later. A
//! packet has fewer than 255 blocks, so the block counter is stepped in its lowest byte alone.

use super::ghash::{POWERS, Powers, REVERSE, Sum};
use super::key::MOST_ROUND_KEYS;
use super::lanes::{Block, Lanes, Row};

/// Blocks of each lane in flight.
const IN_FLIGHT: usize = POWERS;
/// Bytes that lanes without a packet of their own write to: the longest packet and a block.
pub(super) const SCRATCH: usize = 2048;

/// 16 bytes of this from `16 - n` on keep the first `n` bytes of a block.
static KEEP: [u8; 32] = {
    let mut keep = [0; 32];
    let mut at = 0;
    while at < 16 {
        keep[at] = 0xFF;
        at += 1;
    }
    keep
};

/// 16 bytes of this from `n` on move a block `n` bytes to the front.
static MOVE: [u8; 32] = {
    let mut step = [0x80; 32];
    let mut at = 0;
    while at < 16 {
        step[at] = at as u8;
        at += 1;
    }
    step
};

/// Keys of a group, lane by lane.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) round: [Row; MOST_ROUND_KEYS],
    pub(super) powers: Powers,
}

/// The packet of one lane. `packet` has room for header, text and a GCM tag (also with AES-CM, where
/// the bytes after the text are only read).
#[derive(Clone, Copy)]
pub(super) struct Lane {
    /// The header, and behind it room for the text.
    pub(super) packet: *mut u8,
    /// At least 12.
    pub(super) header_len: usize,
    /// The plain text, possibly `packet + header_len` itself.
    pub(super) text: *const u8,
    /// At least 1, at most what [`SCRATCH`] holds with header and tag.
    pub(super) len: usize,
    /// Nonce or counter block, its block counter zero.
    pub(super) iv: Iv,
}

/// A block in one register, which spares the way through two halves.
pub(super) type Iv = std::arch::x86_64::__m128i;

impl Lane {
    /// Blocks of text, the last one possibly not whole.
    pub(super) fn blocks(&self) -> usize {
        self.len.div_ceil(16)
    }

    /// Bytes in the last block, 1..=16.
    fn rest(&self) -> usize {
        (self.len - 1) % 16 + 1
    }
}

/// What a group works on, worked out once.
struct Plan<const N: usize> {
    text: [*const u8; N],
    out: [*mut u8; N],
    blocks: usize,
    /// Blocks after which each lane joins.
    joins: [usize; N],
    /// The latest of them.
    ragged: usize,
}

impl<const N: usize> Plan<N> {
    #[inline(always)]
    fn new(lanes: &[Lane; N]) -> Self {
        let (mut blocks, mut least) = (0, usize::MAX);
        for lane in lanes {
            blocks = blocks.max(lane.blocks());
            least = least.min(lane.blocks());
        }
        let mut plan = Plan {
            text: [std::ptr::null(); N],
            out: [std::ptr::null_mut(); N],
            blocks,
            joins: [0; N],
            ragged: blocks - least,
        };
        for (n, lane) in lanes.iter().enumerate() {
            let late = blocks - lane.blocks();
            plan.joins[n] = late;
            plan.text[n] = lane.text.wrapping_sub(16 * late);
            plan.out[n] = lane.packet.wrapping_add(lane.header_len).wrapping_sub(16 * late);
        }
        plan
    }

    /// The counters of the blocks from which the lanes set out, the first block of text having
    /// number `first`.
    #[inline(always)]
    unsafe fn counter<V: Lanes>(&self, iv: V, first: u8) -> V {
        // SAFETY: the caller vouches for the target features.
        unsafe {
            let counter = iv.add_bytes(V::splat(&counting(first)));
            if self.ragged == 0 {
                return counter;
            }
            let mut late = Row::ZERO;
            for (block, join) in late.0.iter_mut().zip(self.joins) {
                *block = counting(0u8.wrapping_sub(join as u8));
            }
            counter.add_bytes(V::load(&late))
        }
    }
}

/// A block counter that says `number`.
const fn counting(number: u8) -> Block {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number]
}

/// Runs the counter through all rounds but the last, for so many blocks; steps it behind them.
#[inline(always)]
unsafe fn rounds<V: Lanes, const ROUNDS: usize, const BLOCKS: usize>(
    round: &[Row; MOST_ROUND_KEYS],
    counter: &mut V,
) -> [V; BLOCKS] {
    // SAFETY: the caller vouches for the target features.
    unsafe {
        let key = V::load(&round[0]);
        let one = V::splat(&counting(1));
        let mut blocks = [*counter; BLOCKS];
        for block in &mut blocks {
            *block = counter.xor(key);
            *counter = counter.add_bytes(one);
        }
        for row in &round[1..ROUNDS] {
            let key = V::load(row);
            for block in &mut blocks {
                *block = block.aes(key);
            }
        }
        blocks
    }
}

/// Encrypts whole blocks of every lane, `at` blocks on; returns the cipher text.
#[inline(always)]
unsafe fn encrypt<V: Lanes, const N: usize, const ROUNDS: usize, const BLOCKS: usize>(
    round: &[Row; MOST_ROUND_KEYS],
    counter: &mut V,
    plan: &Plan<N>,
    at: usize,
) -> [V; BLOCKS] {
    // SAFETY: the caller vouches for the target features, and that all lanes have these blocks.
    unsafe {
        let mut blocks = rounds::<V, ROUNDS, BLOCKS>(round, counter);
        let last = V::load(&round[ROUNDS]);
        for (n, block) in blocks.iter_mut().enumerate() {
            let text = V::gather(&plan.text, 16 * (at + n));
            *block = block.aes_last(last.xor(text));
            block.scatter(&plan.out, 16 * (at + n));
        }
        blocks
    }
}

/// Hashes blocks of cipher text behind `hash`.
#[inline(always)]
unsafe fn absorb<V: Lanes, const BLOCKS: usize>(
    hash: V,
    blocks: [V; BLOCKS],
    powers: &Powers,
) -> V {
    // SAFETY: the caller vouches for the target features.
    unsafe {
        let reverse = V::splat(&REVERSE);
        let mut sum = Sum::zero();
        for (n, block) in blocks.into_iter().enumerate() {
            let mut block = block.shuffle(reverse);
            if n == 0 {
                block = block.xor(hash);
            }
            sum.add(block, powers, BLOCKS - n);
        }
        sum.reduce()
    }
}

/// A group under way.
struct Walk<'a, V, const N: usize> {
    keys: &'a Keys,
    plan: &'a Plan<N>,
    counter: V,
    hash: V,
}

impl<V: Lanes, const N: usize> Walk<'_, V, N> {
    /// Whole blocks of all lanes.
    #[inline(always)]
    unsafe fn step<const ROUNDS: usize, const GCM: bool, const BLOCKS: usize>(
        &mut self,
        at: usize,
    ) {
        // SAFETY: the caller vouches for the target features, and that all lanes have these blocks.
        unsafe {
            let Walk { keys, plan, counter, hash } = self;
            let blocks = encrypt::<V, N, ROUNDS, BLOCKS>(&keys.round, counter, plan, at);
            if GCM {
                *hash = absorb(*hash, blocks, &keys.powers);
            }
        }
    }

    /// One whole block of those lanes that have joined; the others rest.
    #[inline(always)]
    unsafe fn ragged_step<const ROUNDS: usize, const GCM: bool>(&mut self, at: usize) {
        let (mut nowhere, nothing) = ([0u8; 16], [0u8; 16]);
        let (mut text, mut out) = (self.plan.text, self.plan.out);
        let mut keep = [KEEP.as_ptr(); N];
        for lane in 0..N {
            if at < self.plan.joins[lane] {
                // Pointers are taken `at` blocks on.
                text[lane] = nothing.as_ptr().wrapping_sub(16 * at);
                out[lane] = nowhere.as_mut_ptr().wrapping_sub(16 * at);
                keep[lane] = KEEP.as_ptr().wrapping_add(16);
            }
        }
        // SAFETY: the caller vouches for the target features. Lanes that have joined have this
        // block, the others read and write the arrays above, which outlive the call.
        unsafe {
            let [block] = rounds::<V, ROUNDS, 1>(&self.keys.round, &mut self.counter);
            let last = V::load(&self.keys.round[ROUNDS]);
            let block = block.aes_last(last.xor(V::gather(&text, 16 * at)));
            block.scatter(&out, 16 * at);
            if GCM {
                let keep = V::gather(&keep, 0);
                let new = absorb(self.hash, [block], &self.keys.powers);
                self.hash = self.hash.xor(self.hash.xor(new).and(keep));
            }
        }
    }

    /// All whole blocks but the last block.
    #[inline(always)]
    unsafe fn bulk<const ROUNDS: usize, const GCM: bool>(&mut self) {
        let (mut at, end) = (self.plan.ragged, self.plan.blocks - 1);
        // SAFETY: the caller vouches for the target features; the last block of every lane is
        // number `end`, and from `ragged` on every lane has joined.
        unsafe {
            for at in 0..at {
                self.ragged_step::<ROUNDS, GCM>(at);
            }
            let odd = (end - at) % IN_FLIGHT;
            match odd {
                1 => self.step::<ROUNDS, GCM, 1>(at),
                2 => self.step::<ROUNDS, GCM, 2>(at),
                3 => self.step::<ROUNDS, GCM, 3>(at),
                4 => self.step::<ROUNDS, GCM, 4>(at),
                5 => self.step::<ROUNDS, GCM, 5>(at),
                6 => self.step::<ROUNDS, GCM, 6>(at),
                7 => self.step::<ROUNDS, GCM, 7>(at),
                _ => {}
            }
            at += odd;
            while at < end {
                self.step::<ROUNDS, GCM, IN_FLIGHT>(at);
                at += IN_FLIGHT;
            }
        }
    }
}

/// The last block of every lane's text, its bytes at the front.
#[inline(always)]
unsafe fn last_text<V: Lanes, const N: usize>(lanes: &[Lane; N]) -> V {
    let mut short = [[0u8; 16]; N];
    let (mut from, mut by) = ([MOVE.as_ptr(); N], [MOVE.as_ptr(); N]);
    for (n, lane) in lanes.iter().enumerate() {
        let Lane { text, len, .. } = *lane;
        if len >= 16 {
            from[n] = text.wrapping_add(len - 16);
            by[n] = MOVE.as_ptr().wrapping_add(16 - lane.rest());
        } else {
            // SAFETY: the text has `len` bytes, fewer than the array.
            unsafe { std::ptr::copy_nonoverlapping(text, short[n].as_mut_ptr(), len) };
            from[n] = short[n].as_ptr();
        }
    }
    // SAFETY: the caller vouches for the target features; the pointers lead to the last 16 bytes of
    // a text, to an array of 16, and into a table with 16 bytes behind.
    unsafe { V::gather(&from, 0).shuffle(V::gather(&by, 0)) }
}

/// The lanes' ivs.
#[inline(always)]
unsafe fn ivs<V: Lanes, const N: usize>(lanes: &[Lane; N]) -> V {
    let mut from = [std::ptr::null(); N];
    for (from, lane) in from.iter_mut().zip(lanes) {
        *from = (&raw const lane.iv).cast();
    }
    // SAFETY: the caller vouches for the target features; an iv has 16 bytes.
    unsafe { V::gather(&from, 0) }
}

/// Encrypts a group's texts by counter mode alone. `N` is the register's count of lanes.
///
/// # Safety
/// The CPU has the register's target features, and each lane is as [`Lane`] says.
#[inline(always)]
pub(super) unsafe fn crypt<V: Lanes, const N: usize, const ROUNDS: usize>(
    keys: &Keys,
    lanes: &[Lane; N],
) {
    let plan = Plan::new(lanes);
    // SAFETY: as the caller vouches; the last block is written exactly.
    unsafe {
        let counter = plan.counter(ivs::<V, N>(lanes), 0);
        let mut walk = Walk { keys, plan: &plan, counter, hash: counter };
        walk.bulk::<ROUNDS, false>();
        let text = last_text::<V, N>(lanes);
        let [block] = rounds::<V, ROUNDS, 1>(&keys.round, &mut walk.counter);
        let mut row = Row::ZERO;
        block.aes_last(V::load(&keys.round[ROUNDS]).xor(text)).store(&mut row);
        for (lane, block) in lanes.iter().zip(&row.0) {
            let at = lane.header_len + lane.len - lane.rest();
            std::ptr::copy_nonoverlapping(block.as_ptr(), lane.packet.add(at), lane.rest());
        }
    }
}

/// Seals a group by AES-GCM, header as associated data, tag behind the text. `N` is the register's
/// count of lanes.
///
/// # Safety
/// The CPU has the register's target features, and each lane is as [`Lane`] says.
#[inline(always)]
pub(super) unsafe fn seal_gcm<V: Lanes, const N: usize, const ROUNDS: usize>(
    keys: &Keys,
    lanes: &[Lane; N],
) {
    let plan = Plan::new(lanes);
    // SAFETY: as the caller vouches. The last block is written whole; what is too much of it lies
    // where the tag is written next.
    unsafe {
        let iv = ivs::<V, N>(lanes);
        let hash = hash_headers::<V, N>(keys, lanes);
        let mut walk = Walk { keys, plan: &plan, counter: plan.counter(iv, 2), hash };
        walk.bulk::<ROUNDS, true>();
        let text = last_text::<V, N>(lanes);
        let last = V::load(&keys.round[ROUNDS]);
        let [block] = rounds::<V, ROUNDS, 1>(&keys.round, &mut walk.counter);
        let mut first = iv.add_bytes(V::splat(&counting(1)));
        let [mask] = rounds::<V, ROUNDS, 1>(&keys.round, &mut first);
        let block = block.aes_last(last.xor(text));
        block.scatter(&plan.out, 16 * (plan.blocks - 1));
        let sum = hash_ends(keys, lanes, walk.hash, block);
        let tag = sum.shuffle(V::splat(&REVERSE)).xor(mask.aes_last(last));
        let mut behind = [std::ptr::null_mut(); N];
        for (to, lane) in behind.iter_mut().zip(lanes) {
            *to = lane.packet.wrapping_add(lane.header_len + lane.len);
        }
        tag.scatter(&behind, 0);
    }
}

/// Hashes every lane's header, each padded with zeros to whole blocks (RFC 7714 §9.1); one with
/// fewer blocks joins later.
#[inline(always)]
unsafe fn hash_headers<V: Lanes, const N: usize>(keys: &Keys, lanes: &[Lane; N]) -> V {
    let mut most = 0;
    for lane in lanes {
        most = most.max(lane.header_len.div_ceil(16));
    }
    // SAFETY: the caller vouches for the target features.
    unsafe {
        let mut hash = V::splat(&[0; 16]);
        let mut at = 0;
        while at < most {
            let together = (most - at).min(POWERS);
            let mut sum = Sum::zero();
            for n in 0..together {
                let mut block: V = header_block(lanes, most, at + n);
                if n == 0 {
                    block = block.xor(hash);
                }
                sum.add(block, &keys.powers, together - n);
            }
            hash = sum.reduce();
            at += together;
        }
        hash
    }
}

/// Block `at` of headers that are aligned at their ends, the longest having `most` blocks.
#[inline(always)]
unsafe fn header_block<V: Lanes, const N: usize>(lanes: &[Lane; N], most: usize, at: usize) -> V {
    let (mut from, mut keep) = ([KEEP.as_ptr(); N], [KEEP.as_ptr(); N]);
    for (n, lane) in lanes.iter().enumerate() {
        let late = most - lane.header_len.div_ceil(16);
        keep[n] = keep[n].wrapping_add(16);
        if at >= late {
            let start = 16 * (at - late);
            from[n] = lane.packet.cast_const().wrapping_add(start);
            keep[n] = keep[n].wrapping_sub((lane.header_len - start).min(16));
        }
    }
    // SAFETY: the caller vouches for the target features. A header's last block may run into the
    // text and the tag's room behind, which are there; the mask takes those bytes off.
    unsafe {
        let block = V::gather(&from, 0).and(V::gather(&keep, 0));
        block.shuffle(V::splat(&REVERSE))
    }
}

/// Hashes the last block of text, whatever stands behind its end, and the block of lengths.
#[inline(always)]
unsafe fn hash_ends<V: Lanes, const N: usize>(
    keys: &Keys,
    lanes: &[Lane; N],
    hash: V,
    block: V,
) -> V {
    let mut keep = [KEEP.as_ptr(); N];
    let mut lengths = Row::ZERO;
    for (n, lane) in lanes.iter().enumerate() {
        keep[n] = keep[n].wrapping_add(16 - lane.rest());
        // The block's bytes reversed: both lengths in bits, big-endian, the header's first.
        let bits = ((8 * lane.header_len as u128) << 64) | (8 * lane.len as u128);
        lengths.0[n] = bits.to_le_bytes();
    }
    // SAFETY: the caller vouches for the target features; the table has 16 bytes behind `keep`.
    unsafe {
        let block = block.and(V::gather(&keep, 0)).shuffle(V::splat(&REVERSE));
        let mut sum = Sum::zero();
        sum.add(block.xor(hash), &keys.powers, 2);
        sum.add(V::load(&lengths), &keys.powers, 1);
        sum.reduce()
    }
}
