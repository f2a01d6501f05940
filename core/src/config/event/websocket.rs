//! `janus.eventhandler.wsevh.jcfg` (reference: admin-events-recording §8.2).

use super::super::section::{Configured, Reading};
use super::EventSettings;

/// Settings of the handler that sends events over a WebSocket.
#[derive(Debug, Clone, PartialEq)]
pub struct WsEventSettings {
    /// What every handler has.
    pub common: EventSettings,
    /// Where to connect: a `ws://` or `wss://` URL.
    pub backend: Option<String>,
    /// The subprotocol offered.
    pub subprotocol: String,
    /// Events kept while there is no connection; 0: as many as the handler's queue takes.
    pub events_cap_on_reconnect: u32,
    /// Levels of the library's log; accepted and not used.
    pub ws_logging: Option<String>,
}

impl Default for WsEventSettings {
    fn default() -> Self {
        Self {
            common: EventSettings::default(),
            backend: None,
            subprotocol: "janus-event-handlers".to_owned(),
            events_cap_on_reconnect: 0,
            ws_logging: None,
        }
    }
}

impl Configured for WsEventSettings {
    fn read(&mut self, reading: &mut Reading<'_>) {
        reading.section("general", |section| {
            self.common.read(section);
            self.common.read_grouping(section);
            section.text_option("backend", &mut self.backend);
            section.text("subprotocol", &mut self.subprotocol);
            let cap = &mut self.events_cap_on_reconnect;
            section.number("events_cap_on_reconnect", cap, 0..=u32::MAX, "events");
            section.text_option("ws_logging", &mut self.ws_logging);
        });
    }
}
