//! Randomness from a seed, and where seeds come from.

/// SplitMix64: small, and good enough to lose packets by.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Rng(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 <= the number < `end`; `end` 0 counts as 1.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True in `per_mille` of 1000 cases.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }
}

/// The seeds a search runs: `fixed`, or with `BIFRONS_SIM_SEED` set `BIFRONS_SIM_COUNT` (1) seeds
/// from that one on.
pub(crate) fn seeds(fixed: &[u64]) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.trim().parse::<u64>().ok());
    match number("BIFRONS_SIM_SEED") {
        None => fixed.to_vec(),
        Some(first) => {
            let count = number("BIFRONS_SIM_COUNT").unwrap_or(1);
            (0..count).map(|step| first.wrapping_add(step)).collect()
        }
    }
}

/// Says which seed a failing test was running, when dropped by a panic.
pub(crate) struct Seeded(pub(crate) u64);

impl Drop for Seeded {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failing seed: {0}; run again with BIFRONS_SIM_SEED={0}", self.0);
        }
    }
}
