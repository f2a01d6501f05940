//! Registers of 128-bit lanes, one packet a lane, and what the kernels ask of them.
//!
//! The kernels are written once over [`Lanes`]. [`Two`] is a 256-bit register (VAES and
//! VPCLMULQDQ with AVX2), [`Four`] a 512-bit one (AVX-512). Every method is a handful of
//! instructions and must be inlined into a function that has the register's target features; that
//! is the one condition under which any of them may be called.

use std::arch::x86_64::*;

/// 16 bytes: an AES block, a lane.
pub(super) type Block = [u8; 16];

/// The widest register's lanes.
pub(super) const MOST_LANES: usize = 4;

/// One 16-byte aligned row of blocks, lane by lane, as wide as the widest register.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Row(pub(super) [Block; MOST_LANES]);

impl Row {
    /// All bits clear.
    pub(super) const ZERO: Row = Row([[0; 16]; MOST_LANES]);
}

/// A register of `COUNT` lanes.
///
/// # Safety
/// The methods are safe to call only where the CPU has the register's target features. Pointers
/// must be good for 16 bytes each; they need no alignment.
pub(super) unsafe trait Lanes: Copy {
    /// Lanes of 128 bits.
    const COUNT: usize;

    /// The first lanes of a row.
    unsafe fn load(row: &Row) -> Self;
    /// Writes all lanes to the front of a row.
    unsafe fn store(self, row: &mut Row);
    /// One block in every lane.
    unsafe fn splat(block: &Block) -> Self;
    /// A block from each lane's pointer, `offset` bytes on; `N` is at least `COUNT`.
    unsafe fn gather<const N: usize>(from: &[*const u8; N], offset: usize) -> Self;
    /// A block to each lane's pointer, `offset` bytes on; `N` is at least `COUNT`.
    unsafe fn scatter<const N: usize>(self, to: &[*mut u8; N], offset: usize);

    /// Bitwise exclusive or.
    unsafe fn xor(self, other: Self) -> Self;
    /// Bitwise and.
    unsafe fn and(self, other: Self) -> Self;
    /// Adds byte by byte, wrapping.
    unsafe fn add_bytes(self, other: Self) -> Self;
    /// In each lane: byte `i` becomes byte `index[i]`, or zero where the index's top bit is set.
    unsafe fn shuffle(self, index: Self) -> Self;
    /// Swaps the halves of each lane.
    unsafe fn swap_halves(self) -> Self;
    /// One AES round.
    unsafe fn aes(self, key: Self) -> Self;
    /// The last AES round.
    unsafe fn aes_last(self, key: Self) -> Self;
    /// Carry-less product of the low halves.
    unsafe fn multiply_low(self, other: Self) -> Self;
    /// Carry-less product of the high halves.
    unsafe fn multiply_high(self, other: Self) -> Self;

    /// Adds 32-bit words.
    unsafe fn add_words(self, other: Self) -> Self;
    /// Rotates 32-bit words left.
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self;
    /// SHA-1's Ch: `other` where our bit is set, else `third`.
    unsafe fn choose(self, other: Self, third: Self) -> Self;
    /// SHA-1's Parity.
    unsafe fn parity(self, other: Self, third: Self) -> Self;
    /// SHA-1's Maj.
    unsafe fn majority(self, other: Self, third: Self) -> Self;
    /// Interleaves the low words of each lane.
    unsafe fn unpack_low_words(self, other: Self) -> Self;
    /// Interleaves the high words of each lane.
    unsafe fn unpack_high_words(self, other: Self) -> Self;
    /// The low halves of each lane, ours first.
    unsafe fn unpack_low_halves(self, other: Self) -> Self;
    /// The high halves of each lane, ours first.
    unsafe fn unpack_high_halves(self, other: Self) -> Self;
}

/// Two packets in a 256-bit register: needs AVX2, VAES, VPCLMULQDQ.
#[derive(Clone, Copy)]
pub(super) struct Two(__m256i);

/// Four packets in a 512-bit register: needs AVX-512F and BW, VAES, VPCLMULQDQ.
#[derive(Clone, Copy)]
pub(super) struct Four(__m512i);

/// Methods that are one intrinsic of the same shape.
macro_rules! plain {
    ($($name:ident => $intrinsic:ident),* $(,)?) => {$(
        #[inline(always)]
        unsafe fn $name(self, other: Self) -> Self {
            // SAFETY: the caller vouches for the target features.
            Self(unsafe { $intrinsic(self.0, other.0) })
        }
    )*};
}

/// Carry-less products: one intrinsic with a choice of halves.
macro_rules! products {
    ($intrinsic:ident) => {
        #[inline(always)]
        unsafe fn multiply_low(self, other: Self) -> Self {
            // SAFETY: the caller vouches for the target features.
            Self(unsafe { $intrinsic::<0x00>(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn multiply_high(self, other: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { $intrinsic::<0x11>(self.0, other.0) })
        }
    };
}

// SAFETY: every method does what the trait says with the instructions of AVX2, VAES and
// VPCLMULQDQ, and touches memory only through the pointers given.
unsafe impl Lanes for Two {
    const COUNT: usize = 2;

    #[inline(always)]
    unsafe fn load(row: &Row) -> Self {
        // SAFETY: a row is longer than the register and aligned to 64.
        Self(unsafe { _mm256_load_si256(std::ptr::from_ref(row).cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, row: &mut Row) {
        // SAFETY: as in `load`.
        unsafe { _mm256_store_si256(std::ptr::from_mut(row).cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn splat(block: &Block) -> Self {
        // SAFETY: a block has the 16 bytes read.
        Self(unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(block.as_ptr().cast())) })
    }

    #[inline(always)]
    unsafe fn gather<const N: usize>(from: &[*const u8; N], offset: usize) -> Self {
        // SAFETY: the caller vouches for 16 bytes behind each pointer.
        unsafe {
            let low = _mm_loadu_si128(from[0].wrapping_add(offset).cast());
            let high = _mm_loadu_si128(from[1].wrapping_add(offset).cast());
            Self(_mm256_set_m128i(high, low))
        }
    }

    #[inline(always)]
    unsafe fn scatter<const N: usize>(self, to: &[*mut u8; N], offset: usize) {
        // SAFETY: the caller vouches for 16 bytes behind each pointer.
        unsafe {
            let low = _mm256_castsi256_si128(self.0);
            let high = _mm256_extracti128_si256::<1>(self.0);
            _mm_storeu_si128(to[0].wrapping_add(offset).cast(), low);
            _mm_storeu_si128(to[1].wrapping_add(offset).cast(), high);
        }
    }

    plain! {
        xor => _mm256_xor_si256,
        and => _mm256_and_si256,
        add_bytes => _mm256_add_epi8,
        shuffle => _mm256_shuffle_epi8,
        aes => _mm256_aesenc_epi128,
        aes_last => _mm256_aesenclast_epi128,
        add_words => _mm256_add_epi32,
        unpack_low_words => _mm256_unpacklo_epi32,
        unpack_high_words => _mm256_unpackhi_epi32,
        unpack_low_halves => _mm256_unpacklo_epi64,
        unpack_high_halves => _mm256_unpackhi_epi64,
    }
    products!(_mm256_clmulepi64_epi128);

    #[inline(always)]
    unsafe fn swap_halves(self) -> Self {
        // SAFETY: the caller vouches for the target features.
        Self(unsafe { _mm256_shuffle_epi32::<0x4E>(self.0) })
    }

    #[inline(always)]
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        // SAFETY: the caller vouches for the target features.
        unsafe {
            let left = _mm256_slli_epi32::<LEFT>(self.0);
            Self(_mm256_or_si256(left, _mm256_srli_epi32::<RIGHT>(self.0)))
        }
    }

    #[inline(always)]
    unsafe fn choose(self, other: Self, third: Self) -> Self {
        // SAFETY: the caller vouches for the target features.
        unsafe { third.xor(self.and(other.xor(third))) }
    }

    #[inline(always)]
    unsafe fn parity(self, other: Self, third: Self) -> Self {
        // SAFETY: the caller vouches for the target features.
        unsafe { self.xor(other).xor(third) }
    }

    #[inline(always)]
    unsafe fn majority(self, other: Self, third: Self) -> Self {
        // SAFETY: the caller vouches for the target features. The two terms share no bit.
        unsafe { self.and(other).xor(third.and(self.xor(other))) }
    }
}

// SAFETY: every method does what the trait says with the instructions of AVX-512F and BW, VAES and
// VPCLMULQDQ, and touches memory only through the pointers given.
unsafe impl Lanes for Four {
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn load(row: &Row) -> Self {
        // SAFETY: a row is as long as the register and aligned to 64.
        Self(unsafe { _mm512_load_si512(std::ptr::from_ref(row).cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, row: &mut Row) {
        // SAFETY: as in `load`.
        unsafe { _mm512_store_si512(std::ptr::from_mut(row).cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn splat(block: &Block) -> Self {
        // SAFETY: a block has the 16 bytes read.
        Self(unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(block.as_ptr().cast())) })
    }

    #[inline(always)]
    unsafe fn gather<const N: usize>(from: &[*const u8; N], offset: usize) -> Self {
        // SAFETY: the caller vouches for 16 bytes behind each pointer.
        unsafe {
            let a = _mm_loadu_si128(from[0].wrapping_add(offset).cast());
            let b = _mm_loadu_si128(from[1].wrapping_add(offset).cast());
            let c = _mm_loadu_si128(from[2].wrapping_add(offset).cast());
            let d = _mm_loadu_si128(from[3].wrapping_add(offset).cast());
            let low = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(a), b);
            Self(_mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(low, c), d))
        }
    }

    #[inline(always)]
    unsafe fn scatter<const N: usize>(self, to: &[*mut u8; N], offset: usize) {
        // SAFETY: the caller vouches for 16 bytes behind each pointer.
        unsafe {
            let (first, second) = (to[0].wrapping_add(offset), to[1].wrapping_add(offset));
            let (third, fourth) = (to[2].wrapping_add(offset), to[3].wrapping_add(offset));
            _mm_storeu_si128(first.cast(), _mm512_castsi512_si128(self.0));
            _mm_storeu_si128(second.cast(), _mm512_extracti32x4_epi32::<1>(self.0));
            _mm_storeu_si128(third.cast(), _mm512_extracti32x4_epi32::<2>(self.0));
            _mm_storeu_si128(fourth.cast(), _mm512_extracti32x4_epi32::<3>(self.0));
        }
    }

    plain! {
        xor => _mm512_xor_si512,
        and => _mm512_and_si512,
        add_bytes => _mm512_add_epi8,
        shuffle => _mm512_shuffle_epi8,
        aes => _mm512_aesenc_epi128,
        aes_last => _mm512_aesenclast_epi128,
        add_words => _mm512_add_epi32,
        unpack_low_words => _mm512_unpacklo_epi32,
        unpack_high_words => _mm512_unpackhi_epi32,
        unpack_low_halves => _mm512_unpacklo_epi64,
        unpack_high_halves => _mm512_unpackhi_epi64,
    }
    products!(_mm512_clmulepi64_epi128);

    #[inline(always)]
    unsafe fn swap_halves(self) -> Self {
        // SAFETY: the caller vouches for the target features.
        Self(unsafe { _mm512_shuffle_epi32::<0x4E>(self.0) })
    }

    #[inline(always)]
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        // SAFETY: the caller vouches for the target features.
        Self(unsafe { _mm512_rol_epi32::<LEFT>(self.0) })
    }

    #[inline(always)]
    unsafe fn choose(self, other: Self, third: Self) -> Self {
        // SAFETY: the caller vouches for the target features. 0xCA: a ? b : c.
        Self(unsafe { _mm512_ternarylogic_epi32::<0xCA>(self.0, other.0, third.0) })
    }

    #[inline(always)]
    unsafe fn parity(self, other: Self, third: Self) -> Self {
        // SAFETY: as above. 0x96: a ^ b ^ c.
        Self(unsafe { _mm512_ternarylogic_epi32::<0x96>(self.0, other.0, third.0) })
    }

    #[inline(always)]
    unsafe fn majority(self, other: Self, third: Self) -> Self {
        // SAFETY: as above. 0xE8: two of three.
        Self(unsafe { _mm512_ternarylogic_epi32::<0xE8>(self.0, other.0, third.0) })
    }
}
