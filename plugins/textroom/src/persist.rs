//! Rooms on disk: groups of the plugin's own configuration file (plugin-textroom §7).

use crate::room::Settings;
use bifrons_core::api::json::Style;
use bifrons_core::config::{Group, Tree};

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

/// What a group says of its room.
pub(crate) fn settings(name: &str, group: &Group) -> Settings {
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

/// The group of a room.
pub(crate) fn group(settings: &Settings) -> Group {
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
    group
}
