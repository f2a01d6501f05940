//! A card in a tree: what `ethtool -L`, `-G`, `-K`, `-X`, `-N` and `-C` do to its files.

use super::{online, save};
use crate::ethtool::{self, Rule};
use crate::host::Host;
use crate::irq;
use std::fs;
use std::path::{Path, PathBuf};

/// What `ethtool` says to a value that the driver does not take.
const INVALID: &str = "Invalid argument";
const UNSUPPORTED: &str = "Operation not supported";
/// Places that a card has for rules; ethtool fills them from the top.
const PLACES: u32 = 1024;

/// One interface of a tree.
pub(super) struct Card<'a> {
    root: &'a Path,
    dev: &'a str,
}

impl<'a> Card<'a> {
    pub(crate) fn of(root: &'a Path, dev: &'a str) -> Self {
        Card { root, dev }
    }

    /// `ethtool FLAG DEV REST`.
    pub(crate) fn set(&self, flag: &str, rest: &[&str]) -> Result<(), String> {
        match (flag, rest) {
            ("-K", [name, value @ ("on" | "off")]) => self.feature(name, value),
            ("-L", [kind, count]) => self.channels(kind, count),
            ("-G", [side, count]) => {
                self.limit('g', side, count)?;
                Ok(())
            }
            ("-C", [name, value]) => self.coalesce(name, value),
            ("-X", words) => self.table(words),
            ("-N", ["delete", id]) => self.delete(id),
            ("-N", ["flow-type", flow, "dst-port", port, "action", queue, place @ ..]) => {
                self.steer(flow, port, queue, place)
            }
            _ => Err(format!("ethtool: bad command line argument(s): {flag} {rest:?}")),
        }
    }

    fn file(&self, flag: char) -> PathBuf {
        self.root.join("commands/ethtool").join(self.dev).join(flag.to_string())
    }

    fn text(&self, flag: char) -> Result<String, String> {
        fs::read_to_string(self.file(flag)).map_err(|_| UNSUPPORTED.to_owned())
    }

    fn feature(&self, word: &str, value: &str) -> Result<(), String> {
        let text = self.text('k')?;
        let known = ethtool::features(&text);
        let found = known.iter().find(|(name, _)| ethtool::feature_word(name) == word);
        let (name, feature) = found.ok_or(INVALID)?;
        if feature.fixed {
            return Err("Could not change any device features".to_owned());
        }
        let line = |line: &str| {
            let (before, _) = line.split_once(':')?;
            (before.trim() == name).then(|| format!("{before}: {value}"))
        };
        save(&self.file('k'), &with_lines(&text, line))
    }

    /// Sets a number below the most in `-l` or `-g`; the number before it.
    fn limit(&self, flag: char, kind: &str, count: &str) -> Result<u32, String> {
        let text = self.text(flag)?;
        let limits = ethtool::limits(&text);
        let wanted: u32 = count.parse().map_err(|_| INVALID)?;
        let most = *limits.most.get(kind).ok_or(INVALID)?;
        let before = *limits.now.get(kind).ok_or(INVALID)?;
        if wanted == 0 || wanted > most {
            return Err(INVALID.to_owned());
        }
        let mut current = false;
        let line = |line: &str| {
            current |= line.starts_with("Current hardware settings");
            let (name, value) = line.split_once(':').filter(|_| current)?;
            let gap = &value[..value.len() - value.trim_start().len()];
            name.eq_ignore_ascii_case(kind).then(|| format!("{name}:{gap}{wanted}"))
        };
        save(&self.file(flag), &with_lines(&text, line))?;
        Ok(before)
    }

    fn channels(&self, kind: &str, count: &str) -> Result<(), String> {
        let wanted: u32 = count.parse().map_err(|_| INVALID)?;
        let table = ethtool::table(&self.text('x').unwrap_or_default());
        let rules = ethtool::rules(&self.text('n').unwrap_or_default()).unwrap_or_default();
        // A table that is not the driver's own stays, and must still name queues that exist.
        let ours = table.clone().filter(|table| !table.is_drivers_own());
        let named = ours.iter().flat_map(|table| table.entries.iter().copied());
        if kind != "tx" && named.chain(rules.iter().map(|rule| rule.queue)).any(|q| q >= wanted) {
            return Err("requested channel counts are too low for existing settings".to_owned());
        }
        self.limit('l', kind, count)?;
        if kind != "tx" {
            self.queues("rx", wanted)?;
            self.announce(wanted)?;
            if let Some(table) = table {
                let entries = match ours {
                    Some(table) => table.entries,
                    None => (0..wanted).cycle().take(table.entries.len()).collect(),
                };
                self.show_table(wanted, &entries)?;
            }
        }
        if kind != "rx" {
            self.queues("tx", wanted)?;
        }
        self.start_anew()
    }

    /// Queue folders of one side, as many as wanted; new ones look like the last.
    fn queues(&self, side: &str, wanted: u32) -> Result<(), String> {
        let folder = self.root.join("sys/class/net").join(self.dev).join("queues");
        let queue = |number: u32| folder.join(format!("{side}-{number}"));
        let last = (0..PLACES).take_while(|number| queue(*number).exists()).last().unwrap_or(0);
        let last = fs::read_dir(queue(last)).map_err(|error| error.to_string())?;
        let files: Vec<PathBuf> = last.filter_map(|entry| Some(entry.ok()?.path())).collect();
        for number in (0..PLACES).take_while(|number| *number < wanted || queue(*number).exists()) {
            if number >= wanted {
                fs::remove_dir_all(queue(number)).map_err(|error| error.to_string())?;
            } else if !queue(number).exists() {
                fs::create_dir(queue(number)).map_err(|error| error.to_string())?;
                for file in &files {
                    let text = fs::read_to_string(file).unwrap_or_default();
                    let name = file.file_name().unwrap_or_default();
                    let mask = name.to_string_lossy().ends_with("_cpus");
                    let text = if mask { zeros(&text) } else { "0\n".to_owned() };
                    save(&queue(number).join(name), &text)?;
                }
            }
        }
        Ok(())
    }

    /// What a driver forgets when it starts its queues: XPS, and where interrupts go.
    fn start_anew(&self) -> Result<(), String> {
        let folder = self.root.join("sys/class/net").join(self.dev).join("queues");
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let xps = entry.path().join("xps_cpus");
            if let Ok(text) = fs::read_to_string(&xps) {
                save(&xps, &zeros(&text))?;
            }
        }
        let online = online(self.root);
        for irq in irq::of(&Host::at(self.root), self.dev) {
            let file = self.root.join(format!("proc/irq/{}/smp_affinity_list", irq.number));
            if file.exists() && !online.is_empty() {
                save(&file, &format!("{online}\n"))?;
            }
        }
        Ok(())
    }

    /// The number of rings that `-n` begins with.
    fn announce(&self, rings: u32) -> Result<(), String> {
        let Ok(text) = self.text('n') else { return Ok(()) };
        let line = |line: &str| {
            line.ends_with("RX rings available").then(|| format!("{rings} RX rings available"))
        };
        save(&self.file('n'), &with_lines(&text, line))
    }

    fn table(&self, words: &[&str]) -> Result<(), String> {
        let table = ethtool::table(&self.text('x')?).ok_or(UNSUPPORTED)?;
        let size = table.entries.len();
        let numbers = |words: &[&str]| -> Result<Vec<u32>, String> {
            words.iter().map(|word| word.parse().map_err(|_| INVALID.to_owned())).collect()
        };
        let entries: Vec<u32> = match words {
            ["default"] => (0..table.rings).cycle().take(size).collect(),
            ["equal", count] => {
                let count: u32 = count.parse().map_err(|_| INVALID)?;
                (0..count).cycle().take(size).collect()
            }
            ["weight", weights @ ..] => {
                let weights = numbers(weights)?;
                let repeat = |(queue, weight): (u32, &u32)| vec![queue; *weight as usize];
                (0..).zip(&weights).flat_map(repeat).collect()
            }
            _ => return Err(INVALID.to_owned()),
        };
        if entries.len() != size || entries.iter().any(|queue| *queue >= table.rings) {
            return Err(INVALID.to_owned());
        }
        self.show_table(table.rings, &entries)
    }

    fn show_table(&self, rings: u32, entries: &[u32]) -> Result<(), String> {
        let text = self.text('x')?;
        let is_row = |line: &&str| {
            line.split_once(':').is_some_and(|(place, _)| place.trim().parse::<u32>().is_ok())
        };
        let mut shown =
            format!("RX flow hash indirection table for {} with {rings} RX ring(s):\n", self.dev);
        for (row, entries) in entries.chunks(8).enumerate() {
            shown.push_str(&format!("{:5}: ", row * 8));
            entries.iter().for_each(|queue| shown.push_str(&format!(" {queue:5}")));
            shown.push('\n');
        }
        for line in text.lines().skip(1).skip_while(is_row) {
            shown.push_str(line);
            shown.push('\n');
        }
        save(&self.file('x'), &shown)
    }

    fn rules(&self) -> Result<(String, Vec<Rule>), String> {
        let text = self.text('n')?;
        let rules = ethtool::rules(&text).ok_or(UNSUPPORTED)?;
        Ok((text, rules))
    }

    fn delete(&self, id: &str) -> Result<(), String> {
        let (text, rules) = self.rules()?;
        if !rules.iter().any(|rule| rule.id.to_string() == id) {
            return Err("Cannot delete classification rule: No such file or directory".to_owned());
        }
        let blocks = text.split("Filter: ").skip(1);
        let kept = blocks.filter(|block| block.lines().next() != Some(id)).map(str::to_owned);
        self.show_rules(kept.collect())
    }

    fn steer(&self, flow: &str, port: &str, queue: &str, place: &[&str]) -> Result<(), String> {
        let (text, rules) = self.rules()?;
        let features = ethtool::features(&self.text('k')?);
        let rings = text.split_whitespace().next().and_then(|rings| rings.parse().ok());
        let queue: u32 = queue.parse().map_err(|_| INVALID)?;
        let (word, none, full, class) = match flow {
            "udp4" => ("UDP over IPv4", "0.0.0.0", "255.255.255.255".to_owned(), "TOS"),
            "udp6" => ("UDP over IPv6", "::", ["ffff"; 8].join(":"), "Traffic Class"),
            _ => return Err(INVALID.to_owned()),
        };
        if !features.get("ntuple-filters").is_some_and(|f| f.on) || Some(queue) >= rings {
            return Err(format!("Cannot insert classification rule: {INVALID}"));
        }
        let id = match place {
            ["loc", id] => id.parse().map_err(|_| INVALID)?,
            _ => (0..PLACES).rev().find(|id| rules.iter().all(|r| r.id != *id)).ok_or(INVALID)?,
        };
        let block = format!(
            "{id}\n\tRule Type: {word}\n\tSrc IP addr: {none} mask: {full}\n\tDest IP addr: {none} \
             mask: {full}\n\t{class}: 0x0 mask: 0xff\n\tSrc port: 0 mask: 0xffff\n\tDest port: \
             {port} mask: 0x0\n\tAction: Direct to queue {queue}\n\n"
        );
        let mut blocks: Vec<String> =
            text.split("Filter: ").skip(1).map(str::to_owned).chain([block]).collect();
        let number = |block: &String| block.lines().next().and_then(|id| id.parse::<u32>().ok());
        blocks.sort_by_key(number);
        self.show_rules(blocks)
    }

    fn show_rules(&self, blocks: Vec<String>) -> Result<(), String> {
        let text = self.text('n')?;
        let head = text.lines().next().unwrap_or_default();
        let mut shown = format!("{head}\nTotal {} rules\n\n", blocks.len());
        blocks.iter().for_each(|block| shown.push_str(&format!("Filter: {block}")));
        save(&self.file('n'), &shown)
    }

    fn coalesce(&self, name: &str, value: &str) -> Result<(), String> {
        let text = self.text('c')?;
        if !ethtool::coalesce(&text).contains_key(name) {
            return Err(UNSUPPORTED.to_owned());
        }
        let line = |line: &str| {
            let (before, after) = line.split_once(':')?;
            if name == "adaptive-rx" && before == "Adaptive RX" {
                let tx = after.split_once(" TX:").map_or("", |(_, tx)| tx);
                return Some(format!("Adaptive RX: {value}  TX:{tx}"));
            }
            (before == name).then(|| format!("{name}:\t{value}"))
        };
        save(&self.file('c'), &with_lines(&text, line))
    }
}

/// The text with those lines replaced for which there is another.
fn with_lines(text: &str, mut other: impl FnMut(&str) -> Option<String>) -> String {
    let line = |line: &str| format!("{}\n", other(line).unwrap_or_else(|| line.to_owned()));
    text.lines().map(line).collect()
}

fn zeros(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_hexdigit() { '0' } else { c }).collect()
}
