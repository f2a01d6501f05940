//! GHASH (NIST SP 800-38D §6.4) of several packets at once, each under its own key.
//!
//! A block is byte-reversed into a register, which makes it a polynomial with its bits in reverse
//! order. A power of H is kept shifted by one bit, which spares the shift that a product of
//! reversed polynomials otherwise needs; then two carry-less products with 0xC2·2⁵⁶ reduce it. Up
//! to [`POWERS`] blocks are multiplied, each by its power, and summed before one reduction.

use super::lanes::{Block, Lanes, Row};

/// Powers of H kept for a key, thus blocks summed before a reduction.
pub(super) const POWERS: usize = 8;

/// Reverses the bytes of a block.
pub(super) const REVERSE: Block = [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];
/// The reduction's constant in both halves.
const FOLD: Block = [0, 0, 0, 0, 0, 0, 0, 0xC2, 0, 0, 0, 0, 0, 0, 0, 0xC2];

/// The powers of H of each lane's key: row `i` holds H^(i+1), `cross` the sums of their halves.
#[derive(Clone)]
pub(super) struct Powers {
    pub(super) whole: [Row; POWERS],
    pub(super) cross: [Row; POWERS],
}

/// Products that wait to be reduced.
#[derive(Clone, Copy)]
pub(super) struct Sum<V> {
    low: V,
    middle: V,
    high: V,
}

impl<V: Lanes> Sum<V> {
    /// Nothing yet.
    ///
    /// # Safety
    /// As [`Lanes`].
    #[inline(always)]
    pub(super) unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for the target features.
        let zero = unsafe { V::splat(&[0; 16]) };
        Sum { low: zero, middle: zero, high: zero }
    }

    /// Adds a reversed block times H^`power`, after Karatsuba.
    ///
    /// # Safety
    /// As [`Lanes`].
    #[inline(always)]
    pub(super) unsafe fn add(&mut self, block: V, powers: &Powers, power: usize) {
        // SAFETY: the caller vouches for the target features.
        unsafe {
            let whole = V::load(&powers.whole[power - 1]);
            let cross = V::load(&powers.cross[power - 1]);
            self.low = self.low.xor(block.multiply_low(whole));
            self.high = self.high.xor(block.multiply_high(whole));
            let folded = block.xor(block.swap_halves());
            self.middle = self.middle.xor(folded.multiply_low(cross));
        }
    }

    /// The sum in the field.
    ///
    /// # Safety
    /// As [`Lanes`].
    #[inline(always)]
    pub(super) unsafe fn reduce(self) -> V {
        // SAFETY: the caller vouches for the target features.
        unsafe {
            let fold = V::splat(&FOLD);
            let middle = self.middle.parity(self.low, self.high);
            let middle = middle.parity(self.low.swap_halves(), fold.multiply_low(self.low));
            self.high.parity(middle.swap_halves(), fold.multiply_low(middle))
        }
    }
}

/// H^1 to H^[`POWERS`] in the form the kernels multiply with: reversed and shifted.
pub(super) fn powers(h: &Block) -> [Block; POWERS] {
    let h = u128::from_be_bytes(*h);
    let mut power = h;
    let mut powers = [[0; 16]; POWERS];
    for to in &mut powers {
        *to = shifted(power).to_le_bytes();
        power = product(power, h);
    }
    powers
}

/// A reversed polynomial shifted by one (divided by x) in the field.
const fn shifted(value: u128) -> u128 {
    let carry = 0u128.wrapping_sub(value >> 127);
    (value << 1) ^ (carry & 0xC200_0000_0000_0000_0000_0000_0000_0001)
}

/// The halves of a prepared power summed, in both halves.
pub(super) const fn cross(power: Block) -> Block {
    let value = u128::from_le_bytes(power);
    (value ^ value.rotate_left(64)).to_le_bytes()
}

/// The product in the field (SP 800-38D §6.3), bit by bit without a branch: key set-up only.
const fn product(a: u128, mut b: u128) -> u128 {
    let (mut sum, mut bit) = (0, 128);
    while bit > 0 {
        bit -= 1;
        sum ^= b & 0u128.wrapping_sub(a >> bit & 1);
        b = (b >> 1) ^ (0u128.wrapping_sub(b & 1) & 0xE1 << 120);
    }
    sum
}
