//! Configuration: the file grammars, the typed settings, and the command line.
//!
//! - [`jcfg`] and [`ini`] turn a text into a [`Tree`] and keep the place of every key; [`jcfg`]
//!   also writes one, for plugins with permanent rooms.
//! - [`section`] turns a tree into settings and reports what it could not use; [`settings`],
//!   [`transport`], [`event`] and [`logger`] are those of the server, its transports, event handlers
//!   and loggers. Plugins read their own trees, either directly ([`Group::get_bool`] and the like) or as [`Configured`] settings.
//! - [`command_line`] is what was given at start; [`load`] puts files, command line and the
//!   built-in samples together.
//!
//! Nothing here does I/O: files come through closures. Everything has a bound (bytes, words, depth,
//! includes, findings); reading is linear and happens at start, or when a plugin saves a room.

pub mod command_line;
pub mod diagnostic;
pub mod event;
pub mod fuzz;
pub mod ini;
pub mod jcfg;
pub mod load;
pub mod logger;
pub mod sample;
pub mod section;
pub mod settings;
pub mod token;
pub mod transport;
pub mod tree;

pub use command_line::{CommandLine, Exit};
pub use diagnostic::{Diagnostic, Position, Severity};
pub use load::{Configuration, embedded};
pub use logger::JsonLogSettings;
pub use section::{Configured, Key, Number, Reading, Section, Word};
pub use settings::Settings;
pub use transport::{
    HttpSettings, MqttSettings, NanomsgSettings, RabbitMqSettings, UnixSettings, WebSocketSettings,
};
pub use tree::{Element, Entry, Group, Tree, Value};

#[cfg(test)]
mod tests;
