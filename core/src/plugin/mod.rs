//! The contract between the host (control) and a plugin (design §1 rule 3, plugin-api Part B).
//!
//! A plugin is a plain single-threaded state machine on the control thread. It sees handles,
//! requests, session descriptions without transport details, and facts; it never sees a packet, a
//! socket, a thread or a shard. It acts on the world through [`Host`] alone. Nothing in here
//! blocks: what takes time answers later through [`Plugin::answered`].
//!
//! What plugins would else each write again is here too: ids ([`Id`]), errors ([`Codes`],
//! [`Refusal`]), the reading of requests ([`request`]), and entries that outlive the server
//! ([`Ledger`]).
//!
//! Order per handle, kept by the host: `create_session` < `handle_message` < `setup_media` <
//! facts < `hangup_media` < `destroy_session`, which is the last call for that handle. Events that
//! a plugin pushes inside `handle_message` leave after that request's own reply.

mod home;
mod host;
mod http;
mod id;
mod jsep;
pub mod ledger;
mod refusal;
pub mod request;
mod service;
mod verdict;
mod wish;

pub use home::Home;
pub use host::{Answer, Host, HostExt, PushError, StoreRequest, Ticket};
pub use http::{HttpMethod, HttpRequest, HttpResponse};
pub use id::Id;
pub use jsep::{Jsep, JsepKind, OutgoingJsep, SimulcastLine, SvcLine};
pub use ledger::{Change, Concluded, Ledger};
pub use refusal::{Codes, Refusal};
pub use service::{
    PlayerFormat, PlayerSetup, RtspSetup, RtspTransport, Service, ServiceCommand, ServiceEvent,
    ServiceId, ServiceMedium,
};
pub use verdict::{ReplyKey, Request, Verdict};
pub use wish::{DelayLimits, layer_key, take_layers};

use crate::config::Tree;
use crate::media::{DataMessage, Fact, IngestId, PeerId};
use serde_json::Value;

/// One attached handle, for its whole life. Unique in the process and never used again (a
/// client's handle ids are unique within their session only).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandleKey(pub u64);

/// What `info` says about a plugin, and what clients attach to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// What clients name in `attach`, e.g. `janus.plugin.echotest`.
    pub package: &'static str,
    /// For people.
    pub name: &'static str,
    /// For people.
    pub description: &'static str,
    /// For people.
    pub author: &'static str,
    /// The numeric version.
    pub version: u32,
    /// The version as text.
    pub version_string: &'static str,
}

impl About {
    /// A module of this project, at its first version.
    pub const fn ours(
        package: &'static str,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        let (author, version_string) = ("The Bifrons authors", "0.1.0");
        About { package, name, description, author, version: 1, version_string }
    }
}

/// Version of this contract; a plugin built against a lower one is skipped with a log line.
pub const CONTRACT_VERSION: u32 = 1;

/// A plugin: hooks that the host calls, one at a time.
pub trait Plugin {
    /// Metadata, the same at any time.
    fn about(&self) -> About;

    /// The version of the contract the plugin was built against.
    fn contract_version(&self) -> u32 {
        CONTRACT_VERSION
    }

    /// Called once before any session, with the plugin's own configuration file where there is
    /// one. An error leaves the plugin out (logged); the server serves the rest.
    fn start(&mut self, host: &mut dyn Host, config: Option<&Tree>) -> Result<(), String>;

    /// A client attached. An error code refuses it (461); no other hook sees that handle then.
    fn create_session(&mut self, host: &mut dyn Host, handle: HandleKey) -> Result<(), i32>;

    /// A client's `message`. Exactly one verdict; see [`Verdict`].
    fn handle_message(&mut self, host: &mut dyn Host, request: Request) -> Verdict;

    /// An Admin API `message_plugin`, without a session: a reply, or deferred, and then
    /// [`Host::reply`] under this key within 8 s. `None` where the plugin has no such hook.
    fn handle_admin_message(
        &mut self,
        host: &mut dyn Host,
        body: &Value,
        reply: ReplyKey,
    ) -> Option<Verdict> {
        let _ = (host, body, reply);
        None
    }

    /// The PeerConnection is up (keys agreed). Once per PeerConnection, not for renegotiations.
    fn setup_media(&mut self, host: &mut dyn Host, handle: HandleKey, peer: PeerId);

    /// The PeerConnection is gone. Per-call state goes back to its defaults: the handle may
    /// negotiate anew. May come without a `setup_media`, if negotiation had begun.
    fn hangup_media(&mut self, host: &mut dyn Host, handle: HandleKey);

    /// Something was noticed about the handle's media.
    fn fact(&mut self, host: &mut dyn Host, handle: HandleKey, fact: &Fact) {
        let _ = (host, handle, fact);
    }

    /// Something was noticed about an ingest of the plugin's.
    fn ingest_fact(&mut self, host: &mut dyn Host, ingest: IngestId, fact: &Fact) {
        let _ = (host, ingest, fact);
    }

    /// A message came on one of the handle's data channels. Not called for a source whose
    /// delivery was turned off ([`crate::media::DataPlan::Deliver`]).
    fn incoming_data(&mut self, host: &mut dyn Host, handle: HandleKey, message: &DataMessage) {
        let _ = (host, handle, message);
    }

    /// The handle's data channels can be written to: the first time, and whenever everything that
    /// was sent has reached the peer.
    fn data_ready(&mut self, host: &mut dyn Host, handle: HandleKey) {
        let _ = (host, handle);
    }

    /// The handle is gone: the last call for it. Does its own hangup work where needed, since
    /// `hangup_media` is not called for a detach.
    fn destroy_session(&mut self, host: &mut dyn Host, handle: HandleKey);

    /// What `handle_info` shows as `plugin_specific`: an object, without secrets. Anything that is
    /// not an object is left out.
    fn query_session(&self, handle: HandleKey) -> Value;

    /// An answer to something the plugin asked of the host.
    fn answered(&mut self, host: &mut dyn Host, ticket: Ticket, answer: Answer) {
        let _ = (host, ticket, answer);
    }

    /// Something came of a service of the plugin's. Not called once it was stopped.
    fn service_event(&mut self, host: &mut dyn Host, service: ServiceId, event: &ServiceEvent) {
        let _ = (host, service, event);
    }

    /// The server stops; no hook follows.
    fn stop(&mut self, host: &mut dyn Host) {
        let _ = host;
    }
}
