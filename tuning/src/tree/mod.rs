//! A tree: a host as files, for tests and for planning away from the machine.
//!
//! ```text
//! proc/…, sys/…, etc/…, var/…     as on the host, as far as they matter
//! commands/ethtool/DEV/FLAG       what `ethtool -FLAG DEV` prints (FLAG: i l g k x n c)
//! commands/ip/route4, route6      what `ip -4 -j route show default` prints, and `ip -6 …`
//! ```
//!
//! A command whose file is missing prints nothing, as one that fails. Steps change the files as
//! the kernel and the card's driver would change what they show, side effects too: a new number
//! of queues makes and removes queue folders, starts XPS and interrupts' affinities anew and
//! fills a hash table that nobody set; and they are refused for the reasons of the real ones (a
//! fixed feature, more than the most, a queue that a rule still names). So a check after an apply
//! reads what the steps did, and not what they meant to do.

mod card;

use crate::cpus::CpuSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a command prints.
pub(crate) fn output(root: &Path, command: &str) -> String {
    fs::read_to_string(root.join("commands").join(command)).unwrap_or_default()
}

/// A write to a file of the kernel.
pub(crate) fn write(root: &Path, path: &str, text: &str) -> Result<(), String> {
    let file = root.join(path.trim_start_matches('/'));
    let Ok(before) = fs::read_to_string(&file) else { return Err(format!("{path}: not there")) };
    let invalid = || format!("{path}: invalid argument");
    let text = match path.rsplit('/').next().unwrap_or_default() {
        "rps_cpus" | "xps_cpus" => {
            let set = CpuSet::from_mask(text).ok_or_else(invalid)?;
            padded(&set, before.trim()).ok_or_else(invalid)?
        }
        "smp_affinity_list" => {
            let set = CpuSet::from_list(text).ok_or_else(invalid)?;
            let online = online(root);
            if !online.is_empty() && !set.iter().any(|cpu| online.contains(cpu)) {
                return Err(invalid());
            }
            set.to_string()
        }
        "scaling_governor" => {
            let offers = file.with_file_name("scaling_available_governors");
            let offers = fs::read_to_string(offers).unwrap_or_default();
            offers.split_whitespace().find(|offer| *offer == text).ok_or_else(invalid)?.to_owned()
        }
        _ => text.to_owned(),
    };
    save(&file, &format!("{text}\n"))
}

/// A command that changes something.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["systemctl", "daemon-reload"] => Ok(()),
        ["ethtool", flag, dev, rest @ ..] => card::Card::of(root, dev).set(flag, rest),
        _ => Err(format!("{}: not found", words.join(" "))),
    }
}

/// A mask as wide as the kernel has CPUs, which is as wide as it was; `None` if it does not fit.
fn padded(set: &CpuSet, before: &str) -> Option<String> {
    let width = before.chars().filter(|c| *c != ',').count();
    let digits: String = set.to_mask().split(',').collect();
    let digits = digits.trim_start_matches('0');
    let zeros = "0".repeat(width.checked_sub(digits.len())?);
    let all: Vec<char> = zeros.chars().chain(digits.chars()).collect();
    let mut words: Vec<String> = all.rchunks(8).map(|word| word.iter().collect()).collect();
    words.reverse();
    Some(words.join(","))
}

fn online(root: &Path) -> CpuSet {
    let list = fs::read_to_string(root.join("sys/devices/system/cpu/online")).unwrap_or_default();
    CpuSet::from_list(&list).unwrap_or_default()
}

fn save(file: &PathBuf, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}
