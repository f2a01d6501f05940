//! One room: its settings, members and history.

use crate::MAX_HISTORY_BYTES;
use crate::posts::Posts;
use bifrons_core::plugin::HandleKey;
use bifrons_core::plugin::Id;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a room is set to, by `create`, `edit` or the configuration (plugin-textroom §4, §7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) description: String,
    pub(crate) is_private: bool,
    pub(crate) secret: Option<String>,
    pub(crate) pin: Option<String>,
    /// How many messages are kept.
    pub(crate) history: u16,
    /// Where public messages are posted.
    pub(crate) post: Option<String>,
}

/// Somebody in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) handle: HandleKey,
    pub(crate) display: Option<String>,
}

/// A message as it is kept.
#[derive(Clone, Debug)]
struct Kept {
    message: Value,
    weight: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) id: Id,
    pub(crate) settings: Settings,
    /// By name.
    pub(crate) members: BTreeMap<String, Member>,
    /// Tokens that may join; without it everybody may.
    pub(crate) allowed: Option<BTreeSet<String>>,
    history: VecDeque<Kept>,
    kept_bytes: usize,
    /// What its web server still has to hear.
    pub(crate) posts: Posts,
}

impl Room {
    pub(crate) fn new(id: Id, settings: Settings, allowed: Option<BTreeSet<String>>) -> Self {
        Room {
            id,
            settings,
            members: BTreeMap::new(),
            allowed,
            history: VecDeque::new(),
            kept_bytes: 0,
            posts: Posts::default(),
        }
    }

    /// An entry of `list`.
    pub(crate) fn describe(&self) -> Value {
        json!({
            "room": self.id,
            "description": self.settings.description,
            "pin_required": self.settings.pin.is_some(),
            "num_participants": self.members.len(),
            "history": self.settings.history,
        })
    }

    /// The members, all but one.
    pub(crate) fn participants(&self, but: Option<&str>) -> Vec<Value> {
        let others = self.members.iter().filter(|(name, _)| Some(name.as_str()) != but);
        let entry = |(name, member): (&String, &Member)| {
            let mut entry = json!({ "username": name });
            if let Some(display) = &member.display {
                entry["display"] = json!(display);
            }
            entry
        };
        others.map(entry).collect()
    }

    /// Keeps a public message or announcement, as far as the room keeps any.
    pub(crate) fn keep(&mut self, message: Value) {
        if self.settings.history == 0 {
            return;
        }
        let weight = message.to_string().len();
        self.kept_bytes += weight;
        self.history.push_back(Kept { message, weight });
        while self.history.len() > usize::from(self.settings.history)
            || self.kept_bytes > MAX_HISTORY_BYTES
        {
            let Some(oldest) = self.history.pop_front() else { break };
            self.kept_bytes -= oldest.weight;
        }
    }

    /// What was kept, oldest first.
    pub(crate) fn history(&self) -> impl Iterator<Item = &Value> {
        self.history.iter().map(|kept| &kept.message)
    }
}
