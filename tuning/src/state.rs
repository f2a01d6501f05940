//! What was changed, and what it was before: `/var/lib/bifrons/tuning.json`.
//!
//! Written before the first change and after each one, whole and at once (aside, synced, renamed),
//! so that a crash at any instant leaves a file from which everything can be restored. The folder
//! belongs to the service's user, who is not trusted here: a file that is not our own user's is
//! refused, and so is a setting that this program would not make.

use crate::host::Host;
use crate::plan::{Fact, Plan};
use crate::setting::Setting;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

/// Where it is, unless said otherwise.
pub const STATE: &str = "/var/lib/bifrons/tuning.json";
/// A larger file is none of ours.
const MOST_BYTES: u64 = 4 << 20;

/// One setting that was, or may have been, changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(flatten)]
    pub(crate) setting: Setting,
    /// Before us; `None`: it was not there.
    pub(crate) was: Option<String>,
    /// What we mean to set; `None`: nothing, another change takes it along.
    pub(crate) goal: Option<String>,
    /// As we last left it.
    pub(crate) left: Option<String>,
}

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The kernel's name for this run of the host; what is not on disk ends with it.
    pub(crate) boot: String,
    /// Whether the folder of the file was there before.
    pub(crate) folder_was_there: bool,
    /// In the order in which they are made.
    pub(crate) entries: Vec<Entry>,
}

impl State {
    /// Nothing recorded, for this run of the host.
    pub(crate) fn new(host: &Host, path: &str) -> State {
        let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
        let folder_was_there = host.path(folder).is_dir();
        State { boot: boot(host), folder_was_there, entries: Vec::new() }
    }

    /// Reads the file; `None` where there is none. What a restart of the host has undone by itself
    /// is left out.
    ///
    /// # Errors
    /// A sentence where the file is not ours or cannot be understood.
    pub(crate) fn load(host: &Host, path: &str) -> Result<Option<State>, String> {
        let mut file = match fs::File::open(host.path(path)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{path} cannot be read: {error}")),
        };
        let owner = file.metadata().map(|data| data.uid()).ok();
        if owner.is_none() || owner != fs::metadata("/proc/self").map(|data| data.uid()).ok() {
            return Err(format!("{path} belongs to another user and is not trusted"));
        }
        let mut text = String::new();
        let read = file.by_ref().take(MOST_BYTES).read_to_string(&mut text);
        read.map_err(|error| format!("{path} cannot be read: {error}"))?;
        let mut state: State = serde_json::from_str(&text)
            .map_err(|error| format!("{path} cannot be understood: {error}"))?;
        if let Some(entry) = state.entries.iter().find(|entry| !entry.setting.is_sound()) {
            return Err(format!(
                "{path} names a setting that is none of ours: {:?}",
                entry.setting
            ));
        }
        let boot = boot(host);
        if state.boot != boot {
            state.entries.retain(|entry| entry.setting.is_lasting());
            state.boot = boot;
        }
        Ok(Some(state))
    }

    /// Writes the file.
    pub(crate) fn save(&self, host: &Host, path: &str) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        let written = host.put(path, &format!("{text}\n"));
        written.map_err(|error| format!("{path} cannot be written: {error}"))
    }

    /// Takes the file away, and its folder if we made it.
    pub(crate) fn forget(&self, host: &Host, path: &str) -> Result<(), String> {
        let removed = match self.folder_was_there {
            true => fs::remove_file(host.path(path)),
            false => host.remove(path),
        };
        removed.map_err(|error| format!("{path} cannot be removed: {error}"))
    }

    /// Records a setting before it is changed. What is recorded already keeps its oldest value.
    pub(crate) fn record(&mut self, fact: &Fact, goal: Option<String>) {
        match self.entries.iter_mut().find(|entry| entry.setting == fact.setting) {
            Some(entry) => entry.goal = goal.or(entry.goal.take()),
            None => self.entries.push(Entry {
                setting: fact.setting.clone(),
                was: fact.value.clone(),
                goal,
                left: fact.value.clone(),
            }),
        }
    }

    /// A setting of one of the plan's cards that we made for an earlier plan and that is not in
    /// this one: a rule for a shard that is no more, say, which nobody would look after.
    pub(crate) fn abandoned_by(&self, plan: &Plan) -> Option<&Setting> {
        let known = |setting: &Setting| plan.rules.iter().any(|rule| rule.fact.setting == *setting);
        let devs: Vec<&str> =
            plan.rules.iter().filter_map(|rule| rule.fact.setting.dev()).collect();
        let ours = self.entries.iter().filter(|entry| entry.goal.is_some());
        let mut settings = ours.map(|entry| &entry.setting);
        settings.find(|one| one.dev().is_some_and(|dev| devs.contains(&dev)) && !known(one))
    }

    /// Keeps only what is somebody else's by now, and what could not be restored, as it stands.
    /// Where that is a card's, everything recorded of the card stays: what is still to be restored
    /// may set the rest back once more.
    pub(crate) fn retain(&mut self, host: &Host, foreign: &[Setting], failed: &[Setting]) {
        let same = |one: &Setting, other: &Setting| {
            one == other || (one.dev().is_some() && one.dev() == other.dev())
        };
        let remains = |setting: &Setting| {
            foreign.iter().chain(failed).any(|remaining| same(remaining, setting))
        };
        self.entries.retain(|entry| remains(&entry.setting));
        for entry in self.entries.iter_mut().filter(|entry| !foreign.contains(&entry.setting)) {
            entry.left = entry.setting.present(host).or(entry.left.take());
        }
    }

    /// Notes how a setting stands after our step; after one that disturbs its card, how all of
    /// the card's settings stand.
    pub(crate) fn note(&mut self, host: &Host, setting: &Setting) {
        let dev = setting.dev().filter(|_| setting.disturbs());
        for entry in &mut self.entries {
            if entry.setting == *setting || (dev.is_some() && entry.setting.dev() == dev) {
                entry.left = entry.setting.present(host);
            }
        }
    }
}

fn boot(host: &Host) -> String {
    host.read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}
