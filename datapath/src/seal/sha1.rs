//! HMAC-SHA1 (RFC 2104, RFC 3174) over many packets at once, one in each 32-bit lane: eight in a
//! 256-bit register, sixteen in a 512-bit one.
//!
//! The packets' blocks are read where they lie and transposed; the last one or two, with rollover
//! counter (RFC 3711 §4.2), padding and length, are made in a buffer of their own. A lane that is
//! through keeps its state while the others go on.

use super::lanes::{Block, Lanes, Row};

/// Packets of the widest kernel.
pub(super) const MOST_PACKETS: usize = 16;
/// Bytes of a SHA-1 block.
const BLOCK: usize = 64;
/// The state before the first block.
const START: [u32; 5] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
/// One constant for each twenty rounds.
const ROUND: [u32; 4] = [0x5A82_7999, 0x6ED9_EBA1, 0x8F1B_BCDC, 0xCA62_C1D6];
/// Reverses the bytes of each word.
const BIG_ENDIAN: Block = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];

/// One packet to authenticate.
#[derive(Clone, Copy)]
pub(super) struct Message {
    /// Header and cipher text.
    pub(super) bytes: *const u8,
    pub(super) len: usize,
    /// The rollover counter, authenticated behind them.
    pub(super) rollover: u32,
    /// States of the key, see [`hmac_states`].
    pub(super) inner: [u32; 5],
    pub(super) outer: [u32; 5],
}

impl Row {
    fn set_word(&mut self, at: usize, word: u32) {
        self.0[at / 4][at % 4 * 4..][..4].copy_from_slice(&word.to_le_bytes());
    }

    fn word(&self, at: usize) -> u32 {
        let words = self.0[at / 4].as_chunks::<4>().0;
        u32::from_le_bytes(words[at % 4])
    }
}

/// SHA-1's state after the padded key: for the inner and for the outer hash (RFC 2104 §2, §4).
pub(super) fn hmac_states(key: &[u8]) -> ([u32; 5], [u32; 5]) {
    let state = |pad: u8| {
        let mut block = [pad; BLOCK];
        for (to, from) in block.iter_mut().zip(key) {
            *to ^= from;
        }
        compress_one(START, &block)
    };
    (state(0x36), state(0x5C))
}

/// One block, one message: key set-up only.
fn compress_one(state: [u32; 5], block: &[u8; BLOCK]) -> [u32; 5] {
    let mut w = [0u32; 80];
    for (to, from) in w.iter_mut().zip(block.as_chunks::<4>().0) {
        *to = u32::from_be_bytes(*from);
    }
    for t in 16..80 {
        w[t] = (w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = state;
    for (t, w) in w.into_iter().enumerate() {
        let f = match t / 20 {
            0 => (b & c) | (!b & d),
            2 => (b & c) | (b & d) | (c & d),
            _ => b ^ c ^ d,
        };
        let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(w);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next.wrapping_add(ROUND[t / 20]));
    }
    let [p, q, r, s, t] = state;
    [a.wrapping_add(p), b.wrapping_add(q), c.wrapping_add(r), d.wrapping_add(s), e.wrapping_add(t)]
}

/// Reads one block from each pointer; word `n` of all lanes comes to stand in register `n`.
#[inline(always)]
unsafe fn transpose<V: Lanes>(from: &[*const u8; MOST_PACKETS]) -> [V; 16] {
    // SAFETY: the caller vouches for the target features and for 64 bytes behind each pointer.
    unsafe {
        let order = V::splat(&BIG_ENDIAN);
        let mut words = [order; 16];
        for (n, four) in words.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let mut rows = [order; 4];
            for (lane, row) in rows.iter_mut().enumerate() {
                let from = [from[lane], from[lane + 4], from[lane + 8], from[lane + 12]];
                *row = V::gather(&from, 16 * n).shuffle(order);
            }
            let [a, b, c, d] = rows;
            let (ab, cd) = (a.unpack_low_words(b), c.unpack_low_words(d));
            let (ab_high, cd_high) = (a.unpack_high_words(b), c.unpack_high_words(d));
            *four = [
                ab.unpack_low_halves(cd),
                ab.unpack_high_halves(cd),
                ab_high.unpack_low_halves(cd_high),
                ab_high.unpack_high_halves(cd_high),
            ];
        }
        words
    }
}

/// One round; the caller rotates the names.
macro_rules! round {
    ($w:ident, $k:ident, $f:ident, $t:expr, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
        if $t >= 16 {
            let old = $w[$t % 16].xor($w[($t + 2) % 16]);
            $w[$t % 16] = old.parity($w[($t + 8) % 16], $w[($t + 13) % 16]).rotate::<1, 31>();
        }
        let mixed = $b.$f($c, $d).add_words($e.add_words($w[$t % 16].add_words($k)));
        $e = $a.rotate::<5, 27>().add_words(mixed);
        $b = $b.rotate::<30, 2>();
    };
}

/// Twenty rounds with one function.
macro_rules! twenty {
    ($w:ident, $f:ident, $first:expr, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
        let k = V::splat(&words_of(ROUND[$first / 20]));
        twenty!(@five $w, k, $f, $first, $a $b $c $d $e);
        twenty!(@five $w, k, $f, $first + 5, $a $b $c $d $e);
        twenty!(@five $w, k, $f, $first + 10, $a $b $c $d $e);
        twenty!(@five $w, k, $f, $first + 15, $a $b $c $d $e);
    };
    (@five $w:ident, $k:ident, $f:ident, $t:expr, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
        round!($w, $k, $f, $t, $a $b $c $d $e);
        round!($w, $k, $f, $t + 1, $e $a $b $c $d);
        round!($w, $k, $f, $t + 2, $d $e $a $b $c);
        round!($w, $k, $f, $t + 3, $c $d $e $a $b);
        round!($w, $k, $f, $t + 4, $b $c $d $e $a);
    };
}

/// A word four times.
const fn words_of(word: u32) -> Block {
    let [a, b, c, d] = word.to_le_bytes();
    [a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d]
}

/// The compression function (RFC 3174 §6.1) in all lanes.
#[inline(always)]
unsafe fn compress<V: Lanes>(state: [V; 5], mut w: [V; 16]) -> [V; 5] {
    let [mut a, mut b, mut c, mut d, mut e] = state;
    // SAFETY: the caller vouches for the target features.
    unsafe {
        twenty!(w, choose, 0, a b c d e);
        twenty!(w, parity, 20, a b c d e);
        twenty!(w, majority, 40, a b c d e);
        twenty!(w, parity, 60, a b c d e);
        let [p, q, r, s, t] = state;
        [a.add_words(p), b.add_words(q), c.add_words(r), d.add_words(s), e.add_words(t)]
    }
}

/// A message's blocks: those that lie in it, and its end with what follows.
struct Tail {
    whole: usize,
    blocks: usize,
    bytes: [u8; 2 * BLOCK],
}

impl Tail {
    /// # Safety
    /// The message's bytes are there.
    unsafe fn of(message: &Message) -> Self {
        let (whole, rest) = (message.len / BLOCK, message.len % BLOCK);
        let mut bytes = [0; 2 * BLOCK];
        // SAFETY: the last `rest` bytes of the message; fewer than the array holds.
        unsafe {
            let from = message.bytes.add(whole * BLOCK);
            std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), rest);
        }
        bytes[rest..rest + 4].copy_from_slice(&message.rollover.to_be_bytes());
        bytes[rest + 4] = 0x80;
        let more = if rest + 4 + 1 + 8 > BLOCK { 2 } else { 1 };
        // The padded key came before.
        let bits = 8 * (BLOCK + message.len + 4) as u64;
        bytes[more * BLOCK - 8..more * BLOCK].copy_from_slice(&bits.to_be_bytes());
        Tail { whole, blocks: whole + more, bytes }
    }
}

/// A state of each message, word by word.
#[inline(always)]
unsafe fn load_states<V: Lanes>(messages: &[Message], of: impl Fn(&Message) -> [u32; 5]) -> [V; 5] {
    let mut rows = [Row::ZERO; 5];
    for (lane, message) in messages.iter().enumerate() {
        for (row, word) in rows.iter_mut().zip(of(message)) {
            row.set_word(lane, word);
        }
    }
    // SAFETY: the caller vouches for the target features.
    unsafe {
        let [a, b, c, d, e] = &rows;
        [V::load(a), V::load(b), V::load(c), V::load(d), V::load(e)]
    }
}

/// The first twelve bytes of every message's HMAC. At most four messages for each of the register's
/// lanes are looked at.
///
/// # Safety
/// The CPU has the register's target features; the messages' bytes are there.
#[inline(always)]
pub(super) unsafe fn tags<V: Lanes>(messages: &[Message]) -> [[u8; 12]; MOST_PACKETS] {
    let messages = &messages[..messages.len().min(4 * V::COUNT)];
    // SAFETY: as the caller vouches. Lanes without a message, and those that are through, read an
    // array of their own.
    unsafe {
        let idle = [0u8; BLOCK];
        let mut tails: [Option<Tail>; MOST_PACKETS] = [const { None }; MOST_PACKETS];
        for (tail, message) in tails.iter_mut().zip(messages) {
            *tail = Some(Tail::of(message));
        }
        let lengths = tails.iter().flatten().map(|tail| tail.blocks);
        let (most, least) = (lengths.clone().max().unwrap_or(0), lengths.min().unwrap_or(0));
        let mut state = load_states::<V>(messages, |message| message.inner);
        for at in 0..most {
            let mut from = [idle.as_ptr(); MOST_PACKETS];
            let mut live = Row::ZERO;
            for (lane, (tail, message)) in tails.iter().flatten().zip(messages).enumerate() {
                if at < tail.whole {
                    from[lane] = message.bytes.add(at * BLOCK);
                } else if at < tail.blocks {
                    from[lane] = tail.bytes[(at - tail.whole) * BLOCK..].as_ptr();
                }
                if at >= least && at < tail.blocks {
                    live.set_word(lane, u32::MAX);
                }
            }
            let next = compress(state, transpose::<V>(&from));
            if at < least {
                state = next;
                continue;
            }
            let live = V::load(&live);
            for (old, new) in state.iter_mut().zip(next) {
                *old = live.choose(new, *old);
            }
        }
        finish(messages, state)
    }
}

/// The outer hash, over the digest of the inner one.
#[inline(always)]
unsafe fn finish<V: Lanes>(messages: &[Message], inner: [V; 5]) -> [[u8; 12]; MOST_PACKETS] {
    // SAFETY: the caller vouches for the target features.
    unsafe {
        let mut words = [V::splat(&[0; 16]); 16];
        words[..5].copy_from_slice(&inner);
        words[5] = V::splat(&words_of(1 << 31));
        words[15] = V::splat(&words_of(8 * (BLOCK as u32 + 20)));
        let outer = load_states::<V>(messages, |message| message.outer);
        let digest = compress(outer, words);
        let mut rows = [Row::ZERO; 3];
        for (row, word) in rows.iter_mut().zip(digest) {
            word.store(row);
        }
        let mut tags = [[0; 12]; MOST_PACKETS];
        for (lane, tag) in tags.iter_mut().enumerate() {
            for (to, row) in tag.as_chunks_mut::<4>().0.iter_mut().zip(&rows) {
                *to = row.word(lane).to_be_bytes();
            }
        }
        tags
    }
}
