//! What a plugin may do to the world.

use super::{
    HandleKey, Home, HttpRequest, HttpResponse, OutgoingJsep, ReplyKey, Service, ServiceCommand,
    ServiceId, Verdict,
};
use crate::media::{
    DataMessage, DataPlan, DataRefusal, ForwarderId, IngestId, PeerId, Plan, Port, PortError,
    PortId, PortRequest,
};
use serde_json::Value;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Ties a later answer to what was asked. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Why an event was not delivered (plugin-api §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// The session is gone (458).
    NoSession,
    /// The handle is gone, or its negotiation was stopped (459).
    NoHandle,
    /// The data is not an object (455).
    NotAnObject,
    /// The description could not be completed (465).
    BadSdp,
}

impl PushError {
    /// The Janus error code.
    pub fn code(self) -> i32 {
        match self {
            PushError::NoSession => 458,
            PushError::NoHandle => 459,
            PushError::NotAnObject => 455,
            PushError::BadSdp => 465,
        }
    }
}

/// Something to be kept on disk: written to a temporary file, synced, then renamed over `path`, so
/// that a kill at any instant leaves the old content or the new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRequest {
    /// The plugin's own configuration file (`<configs folder>/<package>.jcfg`) if `None`.
    pub path: Option<PathBuf>,
    /// The whole content.
    pub content: Vec<u8>,
}

/// What comes back for a [`Ticket`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The delay is over.
    Elapsed,
    /// Addresses of a name, or why there are none.
    Resolved(Result<Vec<IpAddr>, String>),
    /// The file is on disk, or why not.
    Stored(Result<(), String>),
    /// What the web server said, or why it was not heard.
    Http(Result<HttpResponse, String>),
}

/// The host's side of the contract. Calls about a handle that is gone do nothing.
pub trait Host {
    /// The current time; virtual in simulations. The same for the whole of one hook call.
    fn now(&self) -> Instant;

    /// Wall clock in microseconds since 1970, for file names and events.
    fn wall_us(&self) -> u64;

    /// A uniformly random number.
    fn random(&mut self) -> u64;

    /// Sends `event` with `plugindata.data = data`. With a `jsep` the host completes it (ICE,
    /// DTLS, SSRCs, candidates) and brings up or updates the handle's PeerConnection at once.
    /// `transaction` only for the one event that answers an asynchronous request.
    fn push_event(
        &mut self,
        handle: HandleKey,
        transaction: Option<&str>,
        data: Value,
        jsep: Option<OutgoingJsep>,
    ) -> Result<(), PushError>;

    /// Answers a request whose verdict was [`Verdict::Deferred`].
    fn reply(&mut self, key: ReplyKey, verdict: Verdict);

    /// Hands a plan to the shards. About a peer that is gone: nothing happens.
    fn plan(&mut self, plan: Plan);

    /// How many shards there are: what has no PeerConnection to be near to is spread over them.
    fn shards(&self) -> u8 {
        1
    }

    /// Binds a UDP port at once and hands it to its shard. It is the plugin's until
    /// [`Host::close_port`].
    ///
    /// # Errors
    /// When the shard has as many ports as it takes, or the system refuses.
    fn open_port(&mut self, request: PortRequest) -> Result<Port, PortError> {
        let _ = request;
        Err(PortError::Unsupported)
    }

    /// The address that an interface of the host has in one family, the first of them; `None` if
    /// there is no interface of that name, or it has none.
    fn interface(&self, name: &str, v6: bool) -> Option<IpAddr> {
        let _ = (name, v6);
        None
    }

    /// Closes a port.
    fn close_port(&mut self, port: PortId) {
        let _ = port;
    }

    /// How long ago something last arrived at a port, at most 100 ms too high; since its opening if
    /// nothing did. `None` if it is not open (plugin-streaming §3, `age_ms`).
    fn port_age(&self, port: PortId) -> Option<Duration> {
        let _ = port;
        None
    }

    /// A name for an ingest on that shard; its facts come to this plugin.
    fn new_ingest(&mut self, shard: u8) -> IngestId {
        IngestId { shard, number: self.random() as u32 }
    }

    /// A name for a forwarder on that shard.
    fn new_forwarder(&mut self, shard: u8) -> ForwarderId {
        ForwarderId { shard, number: self.random() as u32 }
    }

    /// Hands a plan about data channels to the shards. About a peer that is gone: nothing happens.
    fn plan_data(&mut self, plan: DataPlan) {
        let _ = plan;
    }

    /// Sends a message on a data channel of the handle. It is queued, in order, and may be sent
    /// before the channels are up; a channel with an unknown label is opened, reliable and ordered.
    fn send_data(&mut self, handle: HandleKey, message: DataMessage) -> Result<(), DataRefusal> {
        let _ = (handle, message);
        Err(DataRefusal::NotReady)
    }

    /// Says where the handle's PeerConnections have their home from now on. One that is up stays
    /// where it is.
    fn place(&mut self, handle: HandleKey, home: Home) {
        let _ = (handle, home);
    }

    /// The handle's PeerConnection, from its negotiation to its end.
    fn peer(&self, handle: HandleKey) -> Option<PeerId>;

    /// Whether the handle's PeerConnection is up (keys agreed).
    fn is_up(&self, handle: HandleKey) -> bool;

    /// Ends the handle's PeerConnection; `hangup_media` follows if negotiation had begun. The
    /// handle stays.
    fn close_pc(&mut self, handle: HandleKey);

    /// Detaches the handle; `destroy_session` follows and the client gets `detached`.
    fn end_session(&mut self, handle: HandleKey);

    /// Whether any event handler listens: ask before building an event.
    fn events_enabled(&self) -> bool;

    /// Hands an event of type "plugin" to the event handlers.
    fn notify_event(&mut self, handle: Option<HandleKey>, body: Value);

    /// Whether signed tokens are in use.
    fn auth_is_signed(&self) -> bool;

    /// Whether `token` is valid, unexpired, of this plugin's realm, and grants `descriptor`.
    fn auth_signature_contains(&self, package: &str, token: &str, descriptor: &str) -> bool;

    /// Answers [`Answer::Elapsed`] after `delay`.
    fn after(&mut self, delay: Duration) -> Ticket;

    /// Answers [`Answer::Resolved`].
    fn resolve(&mut self, name: &str) -> Ticket;

    /// Answers [`Answer::Http`].
    fn http(&mut self, request: HttpRequest) -> Ticket;

    /// Answers [`Answer::Stored`]; `None` at once when there is nowhere to store (no
    /// configuration folder).
    fn store(&mut self, request: StoreRequest) -> Option<Ticket>;

    /// Starts a service, paused; what comes of it comes through
    /// [`Plugin::service_event`](super::Plugin::service_event), never within this call. `None`
    /// where this host runs none.
    fn start_service(&mut self, service: Service) -> Option<ServiceId> {
        let _ = service;
        None
    }

    /// Tells a service something. One that is gone: nothing happens.
    fn tell_service(&mut self, service: ServiceId, command: ServiceCommand) {
        let _ = (service, command);
    }

    /// Ends a service; an RTSP session is torn down. The ingests it fed stay.
    fn stop_service(&mut self, service: ServiceId) {
        let _ = service;
    }
}

/// Conveniences over [`Host`].
pub trait HostExt: Host {
    /// Sends an event that answers nothing and carries no description.
    fn notify(&mut self, handle: HandleKey, data: Value) {
        // The handle may have gone between two events of one request: nothing to do then.
        let _ = self.push_event(handle, None, data, None);
    }
}

impl<H: Host + ?Sized> HostExt for H {}
