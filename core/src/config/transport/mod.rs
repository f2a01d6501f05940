//! The settings of the transports, each from a file of its own (reference: transports-auth §1-7).

pub mod http;
pub mod mqtt;
pub mod nanomsg;
pub mod rabbitmq;
pub mod unix;
pub mod websockets;

pub use http::HttpSettings;
pub use mqtt::MqttSettings;
pub use nanomsg::NanomsgSettings;
pub use rabbitmq::RabbitMqSettings;
pub use unix::UnixSettings;
pub use websockets::WebSocketSettings;

use super::section::{Section, Word};
use crate::api::Style;

/// How JSON is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum JsonStyle {
    /// Three spaces a level.
    Indented,
    /// One line, with spaces after separators.
    Plain,
    /// One line, no spaces.
    #[default]
    Compact,
}

impl From<JsonStyle> for Style {
    fn from(style: JsonStyle) -> Self {
        match style {
            JsonStyle::Indented => Style::Indented,
            JsonStyle::Plain => Style::Plain,
            JsonStyle::Compact => Style::Compact,
        }
    }
}

impl Word for JsonStyle {
    const WORDS: &'static [(&'static str, Self)] =
        &[("compact", Self::Compact), ("plain", Self::Plain), ("indented", Self::Indented)];
}

/// Cross-origin rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cors {
    /// Value of `Access-Control-Allow-Origin`; none: `*`.
    pub allow_origin: Option<String>,
    /// Refuse requests whose origin is missing or does not begin with `allow_origin`.
    pub enforce_cors: bool,
}

impl Cors {
    fn read(&mut self, section: &mut Section<'_>) {
        section.text_option("allow_origin", &mut self.allow_origin);
        section.flag("enforce_cors", &mut self.enforce_cors);
        if self.enforce_cors && self.allow_origin.is_none() {
            section.warn("enforce_cors", "`enforce_cors` does nothing without `allow_origin`");
        }
    }
}

/// Certificate of a TLS listener.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TlsCertificates {
    /// Certificate file (PEM).
    pub cert_pem: Option<String>,
    /// Key file (PEM); none: the key is in `cert_pem`.
    pub cert_key: Option<String>,
    /// Passphrase of the key.
    pub cert_pwd: Option<String>,
    /// Ciphers, in the notation of Janus's TLS library; none: the built-in list.
    pub ciphers: Option<String>,
}

impl TlsCertificates {
    fn read(&mut self, section: &mut Section<'_>) {
        section.text_option("cert_pem", &mut self.cert_pem);
        section.text_option("cert_key", &mut self.cert_key);
        section.text_option("cert_pwd", &mut self.cert_pwd);
        section.text_option("ciphers", &mut self.ciphers);
    }

    /// File with the key: `cert_key`, else `cert_pem`.
    pub fn key_file(&self) -> Option<&str> {
        self.cert_key.as_deref().or(self.cert_pem.as_deref())
    }
}

/// Security towards a broker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BrokerTls {
    /// Whether TLS is spoken.
    pub enabled: bool,
    /// Refuse a broker whose certificate is not signed by somebody we trust.
    pub verify_peer: bool,
    /// Refuse a broker whose certificate is somebody else's.
    pub verify_hostname: bool,
    /// Whom we trust (PEM); none: whom the system trusts.
    pub cacert: Option<String>,
    /// Our own certificate (PEM).
    pub cert: Option<String>,
    /// Its key (PEM).
    pub key: Option<String>,
}

impl BrokerTls {
    /// Reads the five keys after the one that switches it on, in the order of the fields.
    pub fn read(&mut self, section: &mut Section<'_>, keys: [&'static str; 5]) {
        let [verify_peer, verify_hostname, cacert, cert, key] = keys;
        section.flag(verify_peer, &mut self.verify_peer);
        section.flag(verify_hostname, &mut self.verify_hostname);
        section.text_option(cacert, &mut self.cacert);
        section.text_option(cert, &mut self.cert);
        section.text_option(key, &mut self.key);
    }
}
