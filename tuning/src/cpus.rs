//! Sets of CPUs, in the two forms that the kernel writes them: lists (`0-3,8`) and masks (`ff`).
//!
//! Both are read leniently and bounded: a host's files are not ours, and a CPU number past
//! [`MOST_CPUS`] is not believed.

use std::collections::BTreeSet;
use std::fmt;

/// CPU numbers from here on are taken for nonsense; the kernel's own bound is 8192.
pub const MOST_CPUS: u16 = 8192;

/// A set of logical CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<u16>);

impl CpuSet {
    /// A list such as `0-3,8`; empty text is the empty set. `None` where it is not a list.
    pub fn from_list(text: &str) -> Option<Self> {
        let mut set = BTreeSet::new();
        for part in text.trim().split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            set.extend(first..=last);
        }
        Some(CpuSet(set))
    }

    /// A mask such as `ff` or `3,ffffffff` (words of 32 bits, the highest first).
    pub fn from_mask(text: &str) -> Option<Self> {
        let digits: String = text.trim().split(',').collect();
        if digits.is_empty() || digits.len() * 4 > usize::from(MOST_CPUS) {
            return None;
        }
        let mut set = BTreeSet::new();
        for (place, digit) in (0u16..).zip(digits.chars().rev()) {
            let bits = digit.to_digit(16)?;
            set.extend((0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| place * 4 + bit));
        }
        Some(CpuSet(set))
    }

    /// The mask that sysfs takes: hexadecimal words of 32 bits with commas, `0` for none.
    pub fn to_mask(&self) -> String {
        let words = usize::from(self.0.last().copied().unwrap_or(0)) / 32 + 1;
        let mut values = vec![0u32; words];
        for cpu in &self.0 {
            if let Some(word) = values.get_mut(usize::from(cpu / 32)) {
                *word |= 1 << (cpu % 32);
            }
        }
        let mut text = String::new();
        for value in values.iter().rev() {
            let word = if text.is_empty() { format!("{value:x}") } else { format!(",{value:08x}") };
            text.push_str(&word);
        }
        text
    }

    /// The CPUs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `cpu` is one of them.
    pub fn contains(&self, cpu: u16) -> bool {
        self.0.contains(&cpu)
    }
}

impl FromIterator<u16> for CpuSet {
    fn from_iter<T: IntoIterator<Item = u16>>(cpus: T) -> Self {
        CpuSet(cpus.into_iter().collect())
    }
}

/// As a list, `0-3,8`.
impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(u16, u16)> = Vec::new();
        for cpu in &self.0 {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == *cpu => *last = *cpu,
                _ => runs.push((*cpu, *cpu)),
            }
        }
        for (at, (first, last)) in runs.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

fn number(text: &str) -> Option<u16> {
    text.trim().parse().ok().filter(|cpu| *cpu < MOST_CPUS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back_in_the_kernels_form() {
        for text in ["", "0", "0-3", "0-3,8", "1,3,5-7"] {
            assert_eq!(CpuSet::from_list(text).expect("list").to_string(), text);
        }
        assert_eq!(CpuSet::from_list("3, 1-2\n").expect("list").to_string(), "1-3");
        for text in ["x", "1-", "-1", "9000", "1;2"] {
            assert_eq!(CpuSet::from_list(text), None, "{text}");
        }
    }

    #[test]
    fn masks_are_words_with_commas() {
        let set = CpuSet::from_mask("00000001,80000003\n").expect("mask");
        assert_eq!(set.to_string(), "0-1,31-32");
        assert_eq!(set.to_mask(), "1,80000003");
        assert_eq!(CpuSet::from_mask("00").expect("mask").to_mask(), "0");
        assert_eq!(CpuSet::from_mask("fe").expect("mask").to_string(), "1-7");
        for text in ["", "g", "0x3"] {
            assert_eq!(CpuSet::from_mask(text), None, "{text}");
        }
    }
}
