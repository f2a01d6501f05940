//! The plan: what is, what shall be, and why; and what this host cannot do.

use crate::cpus::CpuSet;
use crate::host::Host;
use crate::layout::{Ask, Layout, Part};
use crate::nic::{self, Nic};
use crate::setting::Setting;
use crate::{plan_host, plan_nic};

/// A setting and its value, as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What.
    pub setting: Setting,
    /// `None`: it is not there (yet).
    pub value: Option<String>,
}

/// What a setting shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Just this.
    Be(String),
    /// This number or a higher one: somebody may have had reasons to go further.
    AtLeast(u64),
}

/// A setting as it is and as it shall be. They may agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is.
    pub fact: Fact,
    /// What shall be.
    pub goal: Goal,
    /// Why, in half a sentence.
    pub why: &'static str,
}

/// See the module. A plan is a value: making one changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Shards, cores and ports it is made for.
    pub layout: Layout,
    /// Cards it is about, by interface and driver.
    pub cards: Vec<String>,
    /// Every setting looked at, in the order in which they are to be made.
    pub rules: Vec<Change>,
    /// Settings that a change takes along, to be recorded so that they can be restored.
    pub kept: Vec<Fact>,
    /// What cannot be done here and what else to know, in sentences.
    pub notes: Vec<String>,
}

impl Goal {
    /// Whether a value meets it.
    pub fn is_met_by(&self, value: Option<&str>) -> bool {
        match self {
            Goal::Be(goal) => value == Some(goal),
            Goal::AtLeast(least) => {
                value.and_then(|value| value.parse().ok()).is_some_and(|value: u64| value >= *least)
            }
        }
    }

    /// The value that would be set.
    pub fn value(&self) -> String {
        match self {
            Goal::Be(value) => value.clone(),
            Goal::AtLeast(least) => least.to_string(),
        }
    }
}

impl Change {
    /// Whether there is nothing to do.
    pub fn is_met(&self) -> bool {
        self.goal.is_met_by(self.fact.value.as_deref())
    }
}

impl Plan {
    /// Looks at the host and decides. Reads only.
    pub fn of(host: &Host, ask: &Ask) -> Plan {
        let mut plan = Plan::default();
        plan.layout = Layout::of(host, ask, &mut plan.notes);
        let wanted = |part: Part| ask.only.is_empty() || ask.only.contains(&part);
        if wanted(Part::Nic) {
            plan.interfaces(host, ask);
        }
        if wanted(Part::Net) {
            plan_host::network(host, ask, &mut plan);
        }
        if wanted(Part::Host) {
            plan_host::machine(host, &mut plan);
        }
        plan
    }

    /// What is to be done.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.rules.iter().filter(|change| !change.is_met())
    }

    pub(crate) fn be(&mut self, host: &Host, setting: Setting, goal: &str, why: &'static str) {
        self.rule(host, setting, Goal::Be(goal.to_owned()), why);
    }

    pub(crate) fn at_least(
        &mut self,
        host: &Host,
        setting: Setting,
        least: u64,
        why: &'static str,
    ) {
        self.rule(host, setting, Goal::AtLeast(least), why);
    }

    pub(crate) fn note(&mut self, sentence: String) {
        self.notes.push(sentence);
    }

    fn rule(&mut self, host: &Host, setting: Setting, goal: Goal, why: &'static str) {
        let fact = Fact { value: setting.present(host), setting };
        self.rules.push(Change { fact, goal, why });
    }

    fn interfaces(&mut self, host: &Host, ask: &Ask) {
        let mut devs = ask.interfaces.clone();
        if devs.is_empty() {
            devs.extend(nic::default_interface(host));
        }
        if devs.is_empty() {
            self.note("There is no default route: no card is looked at; name one.".to_owned());
        }
        for dev in devs {
            match Nic::probe(host, &dev) {
                Some(nic) => {
                    self.cards.push(nic.name());
                    plan_nic::card(host, &nic, self);
                }
                None => self.note(format!("There is no interface {dev}.")),
            }
        }
    }
}

/// Cores of one package that are threads of the same core, told where shards share one.
pub(crate) fn siblings(host: &Host, core: u16) -> CpuSet {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    host.read(&path).and_then(|list| CpuSet::from_list(&list)).unwrap_or_default()
}
