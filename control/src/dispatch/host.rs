//! The host's side of the plugin contract.

use super::{Core, Deed, Errand, MAX_TIMERS, ServiceOrder};
use crate::auth::Tokens;
use bifrons_core::api::event;
use bifrons_core::media::{
    DataMessage, DataPlan, DataRefusal, DownReason, ForwarderId, IngestId, PeerId, Plan, Port,
    PortError, PortId, PortRequest,
};
use bifrons_core::plugin::{
    HandleKey, Home, Host, HttpRequest, OutgoingJsep, PushError, ReplyKey, Service, ServiceCommand,
    ServiceId, StoreRequest, Ticket, Verdict,
};
use serde_json::Value;
use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The dispatcher as one plugin sees it during one hook.
pub(super) struct View<'a> {
    pub(super) core: &'a mut Core,
    /// The plugin whose hook runs.
    pub(super) plugin: usize,
}

impl View<'_> {
    /// A ticket whose answer goes to this plugin.
    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.core.fresh());
        self.core.tickets.insert(ticket, self.plugin);
        ticket
    }
}

impl Host for View<'_> {
    fn now(&self) -> Instant {
        self.core.now.at
    }

    fn wall_us(&self) -> u64 {
        self.core.now.wall_us
    }

    fn random(&mut self) -> u64 {
        (self.core.random)()
    }

    fn push_event(
        &mut self,
        handle: HandleKey,
        transaction: Option<&str>,
        data: Value,
        jsep: Option<OutgoingJsep>,
    ) -> Result<(), PushError> {
        let core = &mut *self.core;
        if core.sessions.find(handle).is_none() {
            return Err(PushError::NoHandle);
        }
        if !data.is_object() {
            return Err(PushError::NotAnObject);
        }
        let jsep = match jsep {
            Some(jsep) => {
                let completed = core.negotiator.complete_local(handle, jsep, core.now.at);
                Some(completed.map_err(|_| PushError::BadSdp)?)
            }
            None => None,
        };
        let answered = jsep.is_some();
        if let Some(jsep) = &jsep {
            let text = |name: &str| jsep.get(name).and_then(Value::as_str).unwrap_or_default();
            core.note_description(handle, text("type"), text("sdp"), false);
        }
        let Some((session, from)) = core.sessions.find(handle) else {
            return Err(PushError::NoHandle);
        };
        let (owner, session_id) = (session.owner, session.id);
        let plugin = core.package_of(from.plugin);
        let message =
            event::plugin_event(core.sender(session, from), transaction, plugin, data, jsep);
        core.emit(owner, session_id, message);
        if answered {
            core.apply_early(handle);
        }
        Ok(())
    }

    fn reply(&mut self, key: ReplyKey, verdict: Verdict) {
        self.core.reply_deferred(key, verdict);
    }

    fn place(&mut self, handle: HandleKey, home: Home) {
        self.core.negotiator.place(handle, home);
    }

    fn shards(&self) -> u8 {
        self.core.negotiator.shards()
    }

    fn open_port(&mut self, request: PortRequest) -> Result<Port, PortError> {
        self.core.negotiator.open_port(&request, self.core.now.at)
    }

    fn port_age(&self, port: PortId) -> Option<Duration> {
        self.core.negotiator.port_age(port, self.core.now.at)
    }

    fn interface(&self, name: &str, v6: bool) -> Option<IpAddr> {
        self.core.negotiator.interface(name, v6)
    }

    fn close_port(&mut self, port: PortId) {
        let core = &mut *self.core;
        if core.negotiator.close_port(port)
            && let Some(key) = core.serving
        {
            core.closings.note(key, port, core.now.at);
        }
    }

    fn new_ingest(&mut self, shard: u8) -> IngestId {
        let ingest = IngestId { shard, number: self.core.fresh() as u32 };
        self.core.ingests.insert(ingest, self.plugin);
        ingest
    }

    fn new_forwarder(&mut self, shard: u8) -> ForwarderId {
        ForwarderId { shard, number: self.core.fresh() as u32 }
    }

    fn plan(&mut self, plan: Plan) {
        if let Plan::EndIngest { ingest } = plan {
            self.core.ingests.remove(&ingest);
        }
        self.core.negotiator.plan(plan);
    }

    fn plan_data(&mut self, plan: DataPlan) {
        self.core.negotiator.plan_data(plan);
    }

    fn send_data(&mut self, handle: HandleKey, message: DataMessage) -> Result<(), DataRefusal> {
        self.core.negotiator.send_data(handle, message)
    }

    fn peer(&self, handle: HandleKey) -> Option<PeerId> {
        self.core.negotiator.peer(handle)
    }

    fn is_up(&self, handle: HandleKey) -> bool {
        self.core.negotiator.is_up(handle)
    }

    fn close_pc(&mut self, handle: HandleKey) {
        self.core.hang_up(handle, DownReason::ClosePc);
    }

    fn end_session(&mut self, handle: HandleKey) {
        self.core.deeds.push_back(Deed::End(handle));
    }

    fn events_enabled(&self) -> bool {
        self.core.settings.events_enabled
    }

    fn notify_event(&mut self, handle: Option<HandleKey>, body: Value) {
        self.core.note_plugin(self.plugin, handle, body);
    }

    fn auth_is_signed(&self) -> bool {
        matches!(self.core.authority.tokens(), Tokens::Signed(_))
    }

    fn auth_signature_contains(&self, package: &str, token: &str, descriptor: &str) -> bool {
        match self.core.authority.tokens() {
            Tokens::Signed(signed) => {
                signed.contains(token, package, descriptor, self.core.unix_s())
            }
            Tokens::Off | Tokens::Stored(_) => false,
        }
    }

    fn after(&mut self, delay: Duration) -> Ticket {
        let ticket = self.ticket();
        let core = &mut *self.core;
        // Past the bound a timer fires at once rather than never: its owner is not left waiting.
        let full = core.timers.len() >= MAX_TIMERS;
        core.counters.timers_refused += u64::from(full);
        let delay = if full { Duration::ZERO } else { delay };
        core.timers.push(Reverse((core.now.at + delay, ticket)));
        ticket
    }

    fn resolve(&mut self, name: &str) -> Ticket {
        let ticket = self.ticket();
        self.core.errands.push_back(Errand::Resolve { ticket, name: name.to_owned() });
        ticket
    }

    fn http(&mut self, request: HttpRequest) -> Ticket {
        let ticket = self.ticket();
        self.core.errands.push_back(Errand::Http { ticket, request });
        ticket
    }

    fn store(&mut self, request: StoreRequest) -> Option<Ticket> {
        if request.path.is_none() && !self.core.facts.has_configs_folder {
            return None;
        }
        let ticket = self.ticket();
        let package = self.core.package_of(self.plugin);
        self.core.errands.push_back(Errand::Store { ticket, package, request });
        Some(ticket)
    }

    fn start_service(&mut self, service: Service) -> Option<ServiceId> {
        self.core.start_service(self.plugin, service)
    }

    fn tell_service(&mut self, service: ServiceId, command: ServiceCommand) {
        self.core.order_service(self.plugin, service, ServiceOrder::Tell(command));
    }

    fn stop_service(&mut self, service: ServiceId) {
        self.core.order_service(self.plugin, service, ServiceOrder::Stop);
    }
}
