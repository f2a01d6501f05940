//! The event handlers that the configuration switches on.

use super::{FeedSettings, Hub, Mask};
use bifrons_core::api::Style;
use bifrons_core::config::event::EventSettings;
use bifrons_core::config::transport::JsonStyle;
use bifrons_core::config::{Configuration, Configured};
use std::path::Path;
use std::rc::Rc;

/// Makes every handler that is switched on. One that cannot be made is left out, and the log says
/// so; the others run. Without `events.broadcast` there is none.
pub fn open(configuration: &mut Configuration) -> Rc<Hub> {
    let hub = Hub::new(configuration.settings.general.server_name.clone());
    if !configuration.settings.events.broadcast {
        return hub;
    }
    hub
}

/// The settings of a handler, unless it is on the `disable` list; `name` is the middle of the
/// library name, as in `libjanus_wsevh.so`.
pub fn settings<C: Configured>(configuration: &mut Configuration, name: &str) -> Option<C> {
    if configuration.settings.events.is_disabled(name) {
        tracing::info!(name, "event handler is switched off");
        return None;
    }
    let known = configuration.diagnostics.len();
    let package = format!("janus.eventhandler.{name}");
    let tree = configuration.package(&package, &mut |path: &Path| std::fs::read(path));
    let (settings, found) = C::from_tree(&tree);
    for found in configuration.diagnostics.iter().skip(known).chain(&found) {
        tracing::warn!("{found}");
    }
    Some(settings)
}

/// What a handler's file says to its feed.
pub fn feed(from: &EventSettings) -> FeedSettings {
    let style = match from.json {
        JsonStyle::Indented => Style::Indented,
        JsonStyle::Plain => Style::Plain,
        JsonStyle::Compact => Style::Compact,
    };
    FeedSettings { mask: Mask::read(from.events.as_deref()), grouping: from.grouping, style }
}
