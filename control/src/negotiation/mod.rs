//! Between JSEP and the media plan: what the dispatcher asks of the WebRTC side.
//!
//! The dispatcher knows sessions, handles and plugins; it does not know SDP, ICE or shards. All of
//! that stands behind [`Negotiator`], one object for the whole server, addressed by handle. Every
//! call returns at once: an answer is built without asking a shard (design §4), and what shards
//! notice comes back later as [`PeerEvent`]s through `Core::peer_event`.

mod candidates;
mod connection;
mod data;
mod engine;
mod local;
mod ports;
mod relay;
mod remote;
mod reports;
mod routes;
mod settings;
mod shards;
mod slots;
#[cfg(test)]
mod tests;
mod view;

pub use candidates::PassedOver;
pub use engine::{Negotiation, Random};
pub use reports::{LineAbout, PeerReport};
pub use settings::NegotiationSettings;
pub use shards::{MAX_BACKLOG, RingShards, Shards};
pub use view::ConnectionView;

use crate::service::relay::RelayEvent;
use bifrons_core::api::{ApiError, JsepRequest};
use bifrons_core::media::{
    DataMessage, DataPlan, DataRefusal, DownReason, Fact, IngestId, MediaKind, Mindex, PeerId,
    PeerStatistics, Plan, Port, PortError, PortId, PortRequest, QueryTicket, ShardEvent, Tap,
    Tuning,
};
use bifrons_core::plugin::{HandleKey, Home, Jsep, OutgoingJsep};
use serde_json::Value;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What happened to a handle's PeerConnection, seen from the shards.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerEvent {
    /// Keys are agreed: once per PeerConnection, never for a renegotiation.
    Up(PeerId),
    /// It is gone, for a reason that did not come from the dispatcher.
    Down(DownReason),
    /// A shard noticed something.
    Fact(Fact),
    /// A message came on a data channel.
    Data(Box<DataMessage>),
    /// Data channels can be written to (again).
    DataReady,
    /// A candidate of ours, with the mid of the first line; `None` ends them.
    Candidate(Option<(String, String)>),
}

/// The WebRTC side of all handles. A handle that was never named has no PeerConnection.
pub trait Negotiator {
    /// A handle was attached in this session; the PeerConnections of a session that have no home of
    /// their own share a shard where possible. Without an `opaque_id` the session's id stands for the user.
    fn attached(&mut self, handle: HandleKey, session_id: u64, opaque_id: Option<&str>) {
        let _ = (handle, session_id, opaque_id);
    }

    /// Where a handle's PeerConnections have their home. One that no shard knows of yet moves there.
    fn place(&mut self, handle: HandleKey, home: Home) {
        let _ = (handle, home);
    }

    /// Takes a client's offer or answer, before the plugin sees the message. An error refuses the
    /// whole request and leaves the PeerConnection as it was (core-api §4.1 has the codes).
    fn apply_remote(
        &mut self,
        handle: HandleKey,
        jsep: &JsepRequest,
        now: Instant,
    ) -> Result<Jsep, ApiError>;

    /// Completes what a plugin answers or offers, brings the PeerConnection up or updates it, and
    /// returns the `jsep` object for the client (core-api §4.3).
    fn complete_local(
        &mut self,
        handle: HandleKey,
        jsep: OutgoingJsep,
        now: Instant,
    ) -> Result<Value, String>;

    /// Whether an offer/answer exchange is complete, so that candidates can be used. Until then
    /// they wait with the dispatcher.
    fn accepts_candidates(&self, handle: HandleKey) -> bool;

    /// The mid of the PeerConnection's first line: candidates of other lines do not matter, since
    /// everything is bundled.
    fn first_mid(&self, handle: HandleKey) -> Option<&str>;

    /// A candidate of the client for the first line; never empty. What cannot be read is ignored.
    fn candidate(&mut self, handle: HandleKey, line: &str);

    /// The client has no more candidates.
    fn end_of_candidates(&mut self, handle: HandleKey);

    /// The PeerConnection, from its negotiation to its end.
    fn peer(&self, handle: HandleKey) -> Option<PeerId>;

    /// Whether negotiation began and the PeerConnection has not ended.
    fn has_pc(&self, handle: HandleKey) -> bool;

    /// Whether keys are agreed.
    fn is_up(&self, handle: HandleKey) -> bool;

    /// Mid and kind of a line, for events.
    fn line(&self, handle: HandleKey, mindex: Mindex) -> Option<(&str, MediaKind)>;

    /// Ends the PeerConnection, with a close alert if it was up; true if there was one. No
    /// [`PeerEvent::Down`] follows.
    fn hangup(&mut self, handle: HandleKey, reason: DownReason) -> bool;

    /// The handle is gone: as [`Negotiator::hangup`], and nothing about it is kept.
    fn forget(&mut self, handle: HandleKey);

    /// Hands a plugin's plan to the shards.
    fn plan(&mut self, plan: Plan);

    /// Has the shard copy what a handle's PeerConnection receives and sends, this one and those
    /// after it; `None` ends that.
    fn tap(&mut self, handle: HandleKey, tap: Option<Tap>) {
        let _ = (handle, tap);
    }

    /// Changes settings of all shards.
    fn tune(&mut self, tuning: Tuning) {
        let _ = tuning;
    }

    /// PeerConnections on each shard.
    fn load(&self) -> Vec<usize> {
        Vec::new()
    }

    /// How many shards there are.
    fn shards(&self) -> u8 {
        1
    }

    /// Binds a UDP port and hands it to its shard.
    ///
    /// # Errors
    /// When the shard has as many as it takes, or the system refuses.
    fn open_port(&mut self, request: &PortRequest, now: Instant) -> Result<Port, PortError> {
        let _ = (request, now);
        Err(PortError::Unsupported)
    }

    /// How long ago something last arrived at a port; `None` if it is not open.
    fn port_age(&self, port: PortId, now: Instant) -> Option<Duration> {
        let _ = (port, now);
        None
    }

    /// The first address that an interface of the host has in one family.
    fn interface(&self, name: &str, v6: bool) -> Option<IpAddr> {
        let _ = (name, v6);
        None
    }

    /// Closes a port. True if [`Negotiator::poll_closed_port`] will tell when its number is free.
    fn close_port(&mut self, port: PortId) -> bool {
        let _ = port;
        false
    }

    /// The next port whose number is free again.
    fn poll_closed_port(&mut self) -> Option<PortId> {
        None
    }

    /// The next thing a shard noticed about an ingest.
    fn poll_ingest(&mut self) -> Option<(IngestId, Fact)> {
        None
    }

    /// Hands a plugin's plan about data channels to the shards.
    fn plan_data(&mut self, plan: DataPlan) {
        let _ = plan;
    }

    /// Sends a message on a data channel of the handle.
    fn send_data(&mut self, handle: HandleKey, message: DataMessage) -> Result<(), DataRefusal> {
        let _ = (handle, message);
        Err(DataRefusal::NotReady)
    }

    /// Asks every shard for its counters; each answers with [`ShardEvent::Counters`].
    fn ask_counters(&mut self) {}

    /// Takes what a shard says. What it means for handles is then at [`Negotiator::poll_event`].
    fn shard_event(&mut self, event: ShardEvent) {
        let _ = event;
    }

    /// Takes what became of a relay. What it means for handles is then at
    /// [`Negotiator::poll_event`].
    fn relay_event(&mut self, event: RelayEvent) {
        let _ = event;
    }

    /// The next event for a handle.
    fn poll_event(&mut self) -> Option<(HandleKey, PeerEvent)> {
        None
    }

    /// How many PeerConnections there are.
    fn count(&self) -> usize {
        0
    }

    /// From now on [`Negotiator::poll_report`] tells the last statistics of every PeerConnection
    /// that ends. False where that cannot be had.
    fn report_ends(&mut self) -> bool {
        false
    }

    /// Asks the shard for statistics; they come by [`Negotiator::poll_report`].
    fn ask_report(&mut self, handle: HandleKey) {
        let _ = handle;
    }

    /// Takes statistics that a shard was asked for, whoever wanted them.
    fn statistics(&mut self, ticket: QueryTicket, statistics: Option<&PeerStatistics>) {
        let _ = (ticket, statistics);
    }

    /// The next statistics that were asked for, or the last of a PeerConnection that ended.
    fn poll_report(&mut self) -> Option<PeerReport> {
        None
    }

    /// Sends commands that waited for a shard to have room. True while some still wait.
    fn flush(&mut self) -> bool {
        false
    }

    /// Asks the shard for a PeerConnection's statistics; `None` if no shard knows of it. The answer
    /// comes as [`ShardEvent::Statistics`] with this ticket; questions about one PeerConnection have
    /// the same ticket.
    fn ask_statistics(&mut self, handle: HandleKey) -> Option<QueryTicket> {
        let _ = handle;
        None
    }

    /// What control knows of a PeerConnection.
    fn view(&self, handle: HandleKey) -> Option<ConnectionView<'_>> {
        let _ = handle;
        None
    }
}
