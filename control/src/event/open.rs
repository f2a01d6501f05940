//! The event handlers that the configuration switches on.

use super::gelf::GelfEvents;
use super::http::HttpEvents;
use super::mqtt::MqttEvents;
use super::nanomsg::NanomsgEvents;
use super::rabbitmq::RabbitMqEvents;
use super::websocket::WsEvents;
use super::{FeedSettings, Hub, Mask};
use bifrons_core::config::event::{
    EventSettings, GelfEventSettings, MqttEventSettings, NanomsgEventSettings,
    RabbitMqEventSettings, SampleEventSettings, WsEventSettings,
};
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
    if let Some(from) = settings::<SampleEventSettings>(configuration, "sampleevh") {
        report("sampleevh", from.common.enabled, || HttpEvents::start(&hub, &from).map(drop));
    }
    if let Some(from) = settings::<WsEventSettings>(configuration, "wsevh") {
        report("wsevh", from.common.enabled, || WsEvents::start(&hub, &from).map(drop));
    }
    if let Some(from) = settings::<GelfEventSettings>(configuration, "gelfevh") {
        report("gelfevh", from.common.enabled, || GelfEvents::start(&hub, &from).map(drop));
    }
    if let Some(from) = settings::<RabbitMqEventSettings>(configuration, "rabbitmqevh") {
        report("rabbitmqevh", from.common.enabled, || RabbitMqEvents::start(&hub, &from).map(drop));
    }
    if let Some(from) = settings::<MqttEventSettings>(configuration, "mqttevh") {
        report("mqttevh", from.common.enabled, || MqttEvents::start(&hub, &from).map(drop));
    }
    if let Some(from) = settings::<NanomsgEventSettings>(configuration, "nanomsgevh") {
        report("nanomsgevh", from.common.enabled, || NanomsgEvents::start(&hub, &from).map(drop));
    }
    hub
}

/// Starts a handler, if it is switched on, and says in the log what came of it.
fn report(name: &str, enabled: bool, start: impl FnOnce() -> Result<(), String>) {
    if !enabled {
        return;
    }
    match start() {
        Ok(()) => tracing::info!(name, "event handler runs"),
        Err(reason) => tracing::error!("event handler {name} left out: {reason}"),
    }
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
pub fn feed_settings(from: &EventSettings) -> FeedSettings {
    FeedSettings {
        mask: Mask::read(from.events.as_deref()),
        grouping: from.grouping,
        style: from.json.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_that_lacks_its_backend_says_so() {
        let hub = Hub::new("tester");
        let faults = [
            HttpEvents::start(&hub, &SampleEventSettings::default()).err(),
            WsEvents::start(&hub, &WsEventSettings::default()).err(),
            GelfEvents::start(&hub, &GelfEventSettings::default()).err(),
        ];
        assert!(faults.iter().flatten().all(|fault| fault.contains("backend")), "{faults:?}");
        assert!(hub.is_empty() && faults.iter().all(Option::is_some));
    }
}
