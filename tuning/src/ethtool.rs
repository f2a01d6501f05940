//! What `ethtool` prints, read: `-i`, `-l`, `-g`, `-k`, `-x`, `-n` and `-c`.
//!
//! Each reader takes the whole text and gives what it could make out; a torn or foreign text
//! gives less, never a panic. Settings are named as `ethtool` takes them back.

use std::collections::BTreeMap;

/// `-i`: which driver, and where on the bus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Driver {
    pub(crate) name: String,
    /// PCI address such as `0000:3b:00.0`; empty for a device without one.
    pub(crate) bus: String,
}

/// `-l` or `-g`: the largest and the present numbers by their names in small letters (`rx`,
/// `tx`, `combined`); what is `n/a` is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) most: BTreeMap<String, u32>,
    pub(crate) now: BTreeMap<String, u32>,
}

/// `-k`: one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    pub(crate) on: bool,
    /// The driver does not let it be changed.
    pub(crate) fixed: bool,
}

/// `-n`: a steering rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) id: u32,
    /// `udp4` or `udp6`; anything else is empty.
    pub(crate) flow: &'static str,
    /// Destination port.
    pub(crate) port: u16,
    pub(crate) queue: u32,
    /// It asks for the destination port and for nothing else.
    pub(crate) plain: bool,
}

/// `-x`: the rings that the hash may choose, and the table it chooses from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) rings: u32,
    pub(crate) entries: Vec<u32>,
}

pub(crate) fn driver(text: &str) -> Driver {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    };
    Driver { name: field("driver"), bus: field("bus-info") }
}

pub(crate) fn limits(text: &str) -> Limits {
    let mut limits = Limits::default();
    let mut now = false;
    for line in text.lines() {
        now |= line.starts_with("Current hardware settings");
        let Some((name, value)) = line.split_once(':') else { continue };
        if let Ok(value) = value.trim().parse() {
            let side = if now { &mut limits.now } else { &mut limits.most };
            side.insert(name.trim().to_ascii_lowercase(), value);
        }
    }
    limits
}

/// By the long names that `-k` prints.
pub(crate) fn features(text: &str) -> BTreeMap<String, Feature> {
    let feature = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let mut words = value.split_whitespace();
        let on = match words.next()? {
            "on" => true,
            "off" => false,
            _ => return None,
        };
        Some((name.trim().to_owned(), Feature { on, fixed: words.any(|word| word == "[fixed]") }))
    };
    text.lines().filter_map(feature).collect()
}

/// The short names that `-K` wants for the features it has had longest; others go by the name
/// that `-k` prints.
pub(crate) fn feature_word(name: &str) -> &str {
    match name {
        "generic-receive-offload" => "gro",
        "generic-segmentation-offload" => "gso",
        "ntuple-filters" => "ntuple",
        "receive-hashing" => "rxhash",
        other => other,
    }
}

/// By the names that `-C` takes; `n/a` is left out.
pub(crate) fn coalesce(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let mut words = value.split_whitespace();
        let Some(first) = words.next() else { continue };
        if name.trim() == "Adaptive RX" {
            found.insert("adaptive-rx".to_owned(), first.to_owned());
            let tx = words.skip_while(|word| *word != "TX:").nth(1);
            found.extend(tx.map(|value| ("adaptive-tx".to_owned(), value.to_owned())));
        } else if first.bytes().all(|byte| byte.is_ascii_digit()) {
            found.insert(name.trim().to_owned(), first.to_owned());
        }
    }
    found.retain(|_, value| value != "n/a");
    found
}

/// `None` where the card has no table.
pub(crate) fn table(text: &str) -> Option<Table> {
    let (head, rest) = text.split_once('\n')?;
    let rings = head.split_once(" with ")?.1.split_whitespace().next()?.parse().ok()?;
    let mut entries = Vec::new();
    for line in rest.lines() {
        let Some((place, values)) = line.split_once(':') else { break };
        if place.trim().parse::<u32>().is_err() {
            break;
        }
        for value in values.split_whitespace() {
            entries.push(value.parse().ok()?);
        }
    }
    (!entries.is_empty()).then_some(Table { rings, entries })
}

impl Table {
    /// Whether a command can set it, and so restore it.
    pub(crate) fn can_be_set(&self) -> bool {
        !self.words().starts_with("entries")
    }

    /// Whether it is what a driver makes by itself, and makes anew with its queues.
    pub(crate) fn is_drivers_own(&self) -> bool {
        self.words() == format!("equal {}", self.rings)
    }

    /// The table in the words of `-X`: `equal N`, else `weight A B …` where blocks of equal
    /// entries can be told so, else `entries …`, which no command can bring back.
    pub(crate) fn words(&self) -> String {
        let highest = self.entries.iter().copied().max().unwrap_or(0);
        let turns = (0..=highest).cycle();
        if self.entries.iter().copied().eq(turns.take(self.entries.len())) {
            return format!("equal {}", highest + 1);
        }
        if self.entries.is_sorted() {
            let count = |queue| self.entries.iter().filter(|entry| **entry == queue).count();
            let weights: Vec<String> =
                (0..=highest).map(|queue| count(queue).to_string()).collect();
            return format!("weight {}", weights.join(" "));
        }
        let entries: Vec<String> = self.entries.iter().map(u32::to_string).collect();
        format!("entries {}", entries.join(" "))
    }
}

/// `None` where the rules cannot be listed.
pub(crate) fn rules(text: &str) -> Option<Vec<Rule>> {
    let listed = |line: &str| line.starts_with("Total ") && line.trim_end().ends_with("rules");
    if !text.lines().any(listed) {
        return None;
    }
    Some(text.split("Filter: ").skip(1).filter_map(rule).collect())
}

fn rule(text: &str) -> Option<Rule> {
    let mut lines = text.lines();
    let id = lines.next()?.trim().parse().ok()?;
    let mut rule = Rule { id, flow: "", port: 0, queue: 0, plain: true };
    for line in lines {
        let Some((name, value)) = line.trim().split_once(": ") else { continue };
        let masked = value.split_once(" mask: ");
        match (name, masked) {
            ("Rule Type", _) if value == "UDP over IPv4" => rule.flow = "udp4",
            ("Rule Type", _) if value == "UDP over IPv6" => rule.flow = "udp6",
            ("Dest port", Some((port, mask))) => {
                rule.port = port.trim().parse().ok()?;
                rule.plain &= mask.trim() == "0x0";
            }
            ("Action", _) => {
                rule.queue = value.strip_prefix("Direct to queue ")?.trim().parse().ok()?;
            }
            (_, Some((_, mask))) => rule.plain &= is_full(mask.trim()),
            _ => {}
        }
    }
    Some(rule)
}

/// A mask that masks everything out, in any of the forms there are.
fn is_full(mask: &str) -> bool {
    let hex = mask.strip_prefix("0x").unwrap_or(mask);
    mask == "255.255.255.255" || hex.chars().all(|c| c == 'f' || c == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_told_in_the_words_that_set_them() {
        let words = |entries: &[u32]| Table { rings: 8, entries: entries.to_vec() }.words();
        assert_eq!(words(&[0, 1, 2, 0, 1, 2, 0, 1]), "equal 3");
        assert_eq!(words(&[0; 8]), "equal 1");
        assert_eq!(words(&[0, 0, 0, 2, 2, 3, 3, 3]), "weight 3 0 2 3");
        assert_eq!(words(&[1, 0, 1, 0]), "entries 1 0 1 0");
    }

    #[test]
    fn coalescing_is_read_in_both_its_line_forms() {
        let read = coalesce(
            "Coalesce parameters for eth0:\nAdaptive RX: on  TX: n/a\n\nrx-usecs: 8\nrx-frames: n/a\nCQE mode RX: n/a  TX: n/a\n",
        );
        assert_eq!(read.get("adaptive-rx").map(String::as_str), Some("on"));
        assert_eq!(read.get("rx-usecs").map(String::as_str), Some("8"));
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn a_rule_that_asks_for_more_than_a_port_is_not_plain() {
        let text = |source: &str| {
            format!(
                "4 RX rings available\nTotal 1 rules\n\nFilter: 1023\n\tRule Type: UDP over IPv4\n\
                 \tSrc IP addr: {source}\n\tDest IP addr: 0.0.0.0 mask: 255.255.255.255\n\
                 \tTOS: 0x0 mask: 0xff\n\tSrc port: 0 mask: 0xffff\n\tDest port: 9001 mask: 0x0\n\
                 \tAction: Direct to queue 1\n\n"
            )
        };
        let plain = rules(&text("0.0.0.0 mask: 255.255.255.255")).expect("rules");
        let expected = Rule { id: 1023, flow: "udp4", port: 9001, queue: 1, plain: true };
        assert_eq!(plain, [expected]);
        let from = rules(&text("192.0.2.1 mask: 0.0.0.0")).expect("rules");
        assert!(!from[0].plain);
        assert_eq!(rules("4 RX rings available\n"), None);
    }
}
