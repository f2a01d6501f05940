//! Rooms on disk: groups of the plugin's own configuration file (plugin-textroom §7).

use crate::room::Settings;
use bifrons_core::api::json::Style;
use bifrons_core::config::{Group, Tree, jcfg};
use bifrons_core::plugin::Id;
use bifrons_core::plugin::StoreRequest;
use std::collections::BTreeMap;

/// The `general` group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct General {
    /// Needed to create rooms and to list private ones.
    pub(crate) admin_key: Option<String>,
    /// How JSON is written on data channels.
    pub(crate) style: Style,
    /// Whether event handlers are told.
    pub(crate) events: bool,
    /// Whether ids are texts.
    pub(crate) string_ids: bool,
}

impl Default for General {
    fn default() -> Self {
        General { admin_key: None, style: Style::Compact, events: true, string_ids: false }
    }
}

fn filled(group: &Group, name: &str) -> Option<String> {
    group.get_str(name).map(|text| text.into_owned()).filter(|text| !text.is_empty())
}

impl General {
    /// Reads the group where there is one.
    pub(crate) fn read(tree: &Tree) -> Self {
        let Some(group) = tree.group("general") else { return Self::default() };
        let word = filled(group, "json");
        let style = word.as_deref().map_or(Some(Style::Compact), Style::from_word);
        if style.is_none() {
            tracing::warn!(?word, "json is indented, plain or compact; taking compact");
        }
        General {
            admin_key: filled(group, "admin_key"),
            style: style.unwrap_or(Style::Compact),
            events: group.get_bool("events").unwrap_or(true),
            string_ids: group.get_bool("string_ids").unwrap_or(false),
        }
    }
}

/// The rooms of a configuration. What is invalid, or there twice, is skipped with a warning.
pub(crate) fn rooms(tree: &Tree, string_ids: bool) -> BTreeMap<Id, Settings> {
    let mut rooms = BTreeMap::new();
    for (name, group) in tree.groups().filter(|(name, _)| !name.eq_ignore_ascii_case("general")) {
        match Id::of_group(name, string_ids) {
            None => {
                tracing::warn!(room = name, "the id of a room is a number above 0; skipped");
            }
            Some(id) if rooms.contains_key(&id) => {
                tracing::warn!(room = name, "this room is there already; skipped");
            }
            Some(id) => drop(rooms.insert(id, settings(name, group))),
        }
    }
    rooms
}

fn settings(name: &str, group: &Group) -> Settings {
    let history = group.get_u64("history").unwrap_or(0);
    Settings {
        description: filled(group, "description").unwrap_or_else(|| name.to_owned()),
        is_private: group.get_bool("is_private").unwrap_or(false),
        secret: filled(group, "secret"),
        pin: filled(group, "pin"),
        history: u16::try_from(history).unwrap_or(u16::MAX),
        post: filled(group, "post"),
    }
}

/// Puts a room into the configuration, in place of what was there under its id.
pub(crate) fn put(tree: &mut Tree, id: &Id, settings: &Settings) {
    let name = group_of(tree, id).unwrap_or_else(|| format!("room-{id}"));
    let mut group = Group::new();
    group.set("description", settings.description.as_str());
    if settings.is_private {
        group.set("is_private", true);
    }
    if settings.history > 0 {
        group.set("history", u32::from(settings.history));
    }
    for (key, text) in
        [("secret", &settings.secret), ("pin", &settings.pin), ("post", &settings.post)]
    {
        if let Some(text) = text {
            group.set(key, text.as_str());
        }
    }
    tree.set(&name, group);
}

/// Takes a room out of the configuration.
pub(crate) fn take_out(tree: &mut Tree, id: &Id) {
    if let Some(name) = group_of(tree, id) {
        tree.remove(&name);
    }
}

/// The whole file, for [`bifrons_core::plugin::Host::store`]; the error says what cannot be
/// written.
pub(crate) fn file(tree: &Tree) -> Result<StoreRequest, String> {
    let text = jcfg::write(tree).map_err(|error| error.to_string())?;
    Ok(StoreRequest { path: None, content: text.into_bytes() })
}

fn group_of(tree: &Tree, id: &Id) -> Option<String> {
    let texts = matches!(id, Id::Text(_));
    let same = |name: &&str| Id::of_group(name, texts).as_ref() == Some(id);
    tree.groups().map(|(name, _)| name).find(same).map(str::to_owned)
}
