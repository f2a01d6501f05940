//! The settings of the event handlers, each from a file of its own (reference:
//! admin-events-recording §8).

pub mod gelf;
pub mod http;
pub mod mqtt;
pub mod nanomsg;
pub mod rabbitmq;
pub mod websocket;

pub use gelf::{GelfEventSettings, GelfProtocol};
pub use http::SampleEventSettings;
pub use mqtt::MqttEventSettings;
pub use nanomsg::NanomsgEventSettings;
pub use rabbitmq::RabbitMqEventSettings;
pub use websocket::WsEventSettings;

use super::section::Section;
use super::transport::JsonStyle;

/// What every event handler's file has in its section `general`.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSettings {
    /// Whether the handler runs.
    pub enabled: bool,
    /// Kinds of events: `all`, `none`, or words with commas between them. Without it, none.
    pub events: Option<String>,
    /// How JSON is written.
    pub json: JsonStyle,
    /// Events that wait together leave together, as an array. Not every handler has it.
    pub grouping: bool,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self { enabled: false, events: None, json: JsonStyle::default(), grouping: true }
    }
}

impl EventSettings {
    /// Reads the keys that every handler has.
    pub fn read(&mut self, section: &mut Section<'_>) {
        section.flag("enabled", &mut self.enabled);
        section.text_option("events", &mut self.events);
        section.word("json", &mut self.json);
    }

    /// Reads `grouping`, for handlers that can.
    pub fn read_grouping(&mut self, section: &mut Section<'_>) {
        section.flag("grouping", &mut self.grouping);
    }
}
