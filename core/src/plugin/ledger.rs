//! Rooms and mountpoints that outlive the server: groups of the plugin's own configuration file.
//!
//! A [`Ledger`] owns the file's content for the plugin. `create`, `edit` and `destroy` end in
//! [`Ledger::conclude`]: with a change it puts the group into the content, or takes it out, has
//! the whole file written through [`Host::store`] and gives the reply back once the disk has
//! spoken, so that `permanent: true` is never said of what a kill could still undo. A change that
//! could not be written is taken back. Bounds: [`MAX_UNSTORED`] changes on their way to the disk,
//! the memory of one file; a change costs writing the whole file.
//!
//! In a plugin (`A` is whom to answer later, e.g. a [`super::ReplyKey`]; `None` for an operator,
//! who is answered at once):
//!
//! ```text
//! start:    self.ledger = Ledger::new(config, |what| tracing::warn!("{what}"));
//! request:  let permanent = self.ledger.asked(&body)?;         // refused without a file
//!           … the change itself, then the reply in `data` …
//!           let change = permanent.then(|| Change::put(name, group)); // or Change::remove(name)
//!           match self.ledger.conclude(host, change, Some(request.reply), data) {
//!               Concluded::Reply(data) => Verdict::Reply(Value::Object(data)),
//!               Concluded::Later => Verdict::Deferred,
//!           }
//! answered: if let Some((reply, data)) = self.ledger.stored(ticket, outcome) {
//!               host.reply(reply, Verdict::Reply(Value::Object(data)));
//!           }
//! ```
//!
//! Rooms stand under `room-<id>` ([`Ledger::room_name`], [`Ledger::rooms`]); a plugin with other
//! names (mountpoints: their own) reads [`Ledger::tree`] and says the name itself.

use super::request::Body;
use super::{Codes, Host, Id, Refusal, StoreRequest, Ticket};
use crate::config::{Group, Tree, Value as Setting, jcfg};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Changes that may be on their way to the disk; further ones are not made permanent.
pub const MAX_UNSTORED: usize = 1024;

/// The group that is no room.
const GENERAL: &str = "general";

/// What is to become of one group of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The group's name.
    name: String,
    /// Its content; `None` takes it out.
    group: Option<Group>,
}

impl Change {
    /// Puts a group in place of what was there under its name.
    pub fn put(name: impl Into<String>, group: Group) -> Self {
        Change { name: name.into(), group: Some(group) }
    }

    /// Takes a group out.
    pub fn remove(name: impl Into<String>) -> Self {
        Change { name: name.into(), group: None }
    }
}

/// What comes of a request that may have been permanent.
#[derive(Clone, Debug, PartialEq)]
pub enum Concluded {
    /// This reply, `permanent` set.
    Reply(Map<String, Value>),
    /// The reply comes from [`Ledger::stored`].
    Later,
}

/// A change that is being written, and what to answer then.
#[derive(Clone, Debug)]
struct Unstored<A> {
    asker: Option<A>,
    /// The answer, `permanent` still to be set.
    data: Map<String, Value>,
    name: String,
    /// The group as it was, to go back to.
    before: Option<Setting>,
}

/// See the module.
#[derive(Debug)]
pub struct Ledger<A> {
    /// `None` if there is no file to write into.
    tree: Option<Tree>,
    unstored: BTreeMap<Ticket, Unstored<A>>,
    /// Where to say what was skipped or did not reach the disk.
    log: fn(&str),
}

impl<A> Default for Ledger<A> {
    fn default() -> Self {
        Ledger { tree: None, unstored: BTreeMap::new(), log: |_| {} }
    }
}

impl<A> Ledger<A> {
    /// The ledger of a configuration; without one nothing is ever permanent. `log` is told of
    /// groups that are skipped and of changes that could not be stored.
    pub fn new(config: Option<&Tree>, log: fn(&str)) -> Self {
        Ledger { tree: config.cloned(), log, ..Ledger::default() }
    }

    /// The configuration as it is, or will be once everything is stored.
    pub fn tree(&self) -> Option<&Tree> {
        self.tree.as_ref()
    }

    /// Groups other than `general`, in the order of the file.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        let all = self.tree.iter().flat_map(|tree| tree.groups());
        all.filter(|(name, _)| !name.eq_ignore_ascii_case(GENERAL))
    }

    /// The rooms of the file by the id in their name, in the order of the file. What cannot be
    /// one, or is there twice, is skipped.
    pub fn rooms(&self, texts: bool) -> impl Iterator<Item = (Id, &str, &Group)> {
        let mut known = BTreeSet::new();
        self.groups().filter_map(move |(name, group)| {
            let Some(id) = Id::of_group(name, texts) else {
                (self.log)(&format!("{name}: the id of a room is a number above 0; skipped"));
                return None;
            };
            if !known.insert(id.clone()) {
                (self.log)(&format!("{name}: this room is there already; skipped"));
                return None;
            }
            Some((id, name, group))
        })
    }

    /// The name of a room's group: the one it has, or `room-<id>`.
    pub fn room_name(&self, id: &Id) -> String {
        let texts = matches!(id, Id::Text(_));
        let same = |name: &&str| Id::of_group(name, texts).as_ref() == Some(id);
        let known = self.groups().map(|(name, _)| name).find(same);
        known.map_or_else(|| format!("room-{id}"), str::to_owned)
    }

    /// Whether a request asks for `permanent` (its type is checked by then).
    ///
    /// # Errors
    /// [`Codes::UNKNOWN`] when there is no file to keep anything in.
    pub fn asked<C: Codes>(&self, body: &Body<'_, C>) -> Result<bool, Refusal<C>> {
        let permanent = body.flag("permanent").unwrap_or(false);
        if permanent && self.tree.is_none() {
            return Err(Refusal::new(C::UNKNOWN, "No configuration file to keep it in"));
        }
        Ok(permanent)
    }

    /// The reply to a change that took place, once it is on disk if it is to be. An operator
    /// (no `asker`) is answered at once: `permanent` then says what was set going.
    pub fn conclude(
        &mut self,
        host: &mut dyn Host,
        change: Option<Change>,
        asker: Option<A>,
        mut data: Map<String, Value>,
    ) -> Concluded {
        let ticket = change.map(|change| self.set_going(host, change));
        let waits = asker.is_some();
        let permanent = match ticket {
            None => false,
            Some(Err(reason)) => {
                (self.log)(&format!("not stored: {reason}"));
                false
            }
            Some(Ok((ticket, name, before))) => {
                let kept = if waits { std::mem::take(&mut data) } else { Map::new() };
                self.unstored.insert(ticket, Unstored { asker, data: kept, name, before });
                if waits {
                    return Concluded::Later;
                }
                true
            }
        };
        data.insert("permanent".to_owned(), Value::Bool(permanent));
        Concluded::Reply(data)
    }

    /// Changes the content and has it written; without effect where it cannot be.
    fn set_going(
        &mut self,
        host: &mut dyn Host,
        change: Change,
    ) -> Result<(Ticket, String, Option<Setting>), String> {
        let Change { name, group } = change;
        let Some(tree) = &mut self.tree else { return Err("no configuration file".to_owned()) };
        if self.unstored.len() >= MAX_UNSTORED {
            return Err(format!("{name}: too many changes wait for the disk"));
        }
        // Names of groups differ by more than case: another room's must not be overwritten.
        let other = tree.entry(&name).is_some_and(|entry| entry.name != name);
        if other || name.eq_ignore_ascii_case(GENERAL) {
            return Err(format!("{name}: the name of this group is taken"));
        }
        let before = tree.get(&name).cloned();
        restore(tree, &name, group.map(Setting::from));
        let written = jcfg::write(tree).map_err(|error| error.to_string()).and_then(|text| {
            let stored = host.store(StoreRequest { path: None, content: text.into_bytes() });
            stored.ok_or_else(|| "no folder of configurations".to_owned())
        });
        match written {
            Ok(ticket) => Ok((ticket, name, before)),
            Err(reason) => {
                let reason = format!("{name}: {reason}");
                restore(tree, &name, before);
                Err(reason)
            }
        }
    }

    /// The file is on disk, or not: whom to answer, and what. `None` for the tickets of others
    /// and for operators, who had their answer.
    pub fn stored(
        &mut self,
        ticket: Ticket,
        outcome: Result<(), String>,
    ) -> Option<(A, Map<String, Value>)> {
        let Unstored { asker, mut data, name, before } = self.unstored.remove(&ticket)?;
        let permanent = outcome.is_ok();
        if let Err(reason) = outcome {
            (self.log)(&format!("not stored: {name}: {reason}"));
            self.take_back(ticket, &name, before);
        }
        data.insert("permanent".to_owned(), Value::Bool(permanent));
        asker.map(|asker| (asker, data))
    }

    /// Undoes a change, or lets the next change of the same group go back to before both.
    fn take_back(&mut self, ticket: Ticket, name: &str, before: Option<Setting>) {
        let later = self.unstored.range_mut(ticket..).find(|(_, later)| later.name == name);
        match (later, &mut self.tree) {
            (Some((_, later)), _) => later.before = before,
            (None, Some(tree)) => restore(tree, name, before),
            (None, None) => {}
        }
    }
}

fn restore(tree: &mut Tree, name: &str, setting: Option<Setting>) {
    match setting {
        Some(setting) => tree.set(name, setting),
        None => drop(tree.remove(name)),
    }
}

#[cfg(test)]
mod tests;
