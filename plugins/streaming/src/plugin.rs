//! Streaming behind the plugin contract: the tables, and which request goes where.

use crate::config::{self, General};
use crate::create::Making;
use crate::error::{Code, Refusal};
use crate::mountpoint::Mountpoint;
use crate::ports::Cursor;
use crate::viewer::Viewer;
use bifrons_core::api::{Expect, required};
use bifrons_core::config::Tree;
use bifrons_core::media::{Fact, PeerId};
use bifrons_core::plugin::{
    About, Answer, HandleKey, Host, Id, Ledger, Plugin, ReplyKey, Request, ServiceEvent, ServiceId,
    Ticket, Verdict,
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};

/// What clients attach to.
pub(crate) const PACKAGE: &str = "janus.plugin.streaming";

/// Whose a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It feeds all viewers of a mountpoint.
    Mountpoint(Id),
    /// It feeds this one.
    Viewer(HandleKey),
}

/// See the crate.
#[derive(Debug, Default)]
pub struct Streaming {
    pub(crate) general: General,
    /// The configuration that permanent mountpoints are written into.
    pub(crate) ledger: Ledger<ReplyKey>,
    pub(crate) mountpoints: BTreeMap<Id, Mountpoint>,
    /// Mountpoints whose file or server is being tried.
    pub(crate) making: HashMap<ServiceId, Making>,
    /// Mountpoints of the configuration whose ports were taken, and how often each was tried.
    pub(crate) late: HashMap<Ticket, (Map<String, Value>, u32)>,
    pub(crate) services: HashMap<ServiceId, Owner>,
    pub(crate) viewers: HashMap<HandleKey, Viewer>,
    pub(crate) cursor: Cursor,
    /// Mountpoints made so far: what spreads them over shards.
    pub(crate) made: u64,
    /// The handle whose request is being served, for event handlers.
    pub(crate) asker: Option<HandleKey>,
}

/// Requests that are answered by an event.
const ASYNCHRONOUS: [&str; 6] = ["watch", "start", "pause", "configure", "switch", "stop"];

/// The name of a request, in lower case.
fn name_of(body: &Map<String, Value>) -> Result<String, Refusal> {
    let name = required(body, "request", Expect::String)?;
    Ok(name.as_str().unwrap_or_default().to_ascii_lowercase())
}

impl Streaming {
    /// Serves a request that is answered by an event.
    fn serve(&mut self, host: &mut dyn Host, name: &str, request: &Request) -> Result<(), Refusal> {
        match name {
            "watch" => self.watch(host, request),
            "start" => self.start_viewing(host, request),
            "pause" => self.pause(host, request),
            "configure" => self.configure(host, request),
            "switch" => self.switch(host, request),
            _ => self.stop_viewing(host, request),
        }
    }

    /// The mountpoint of this id.
    pub(crate) fn mountpoint(&self, id: &Id) -> Result<&Mountpoint, Refusal> {
        self.mountpoints.get(id).ok_or_else(|| no_such_mountpoint(id))
    }

    /// Tells the event handlers, if anybody wants to know.
    pub(crate) fn tell_handlers(
        &self,
        host: &mut dyn Host,
        handle: Option<HandleKey>,
        body: impl FnOnce() -> Value,
    ) {
        if self.general.events && host.events_enabled() {
            host.notify_event(handle, body());
        }
    }
}

/// 455.
pub(crate) fn no_such_mountpoint(id: &Id) -> Refusal {
    Refusal::new(Code::NoSuchMountpoint, format!("No such mountpoint/stream {id}"))
}

impl Plugin for Streaming {
    fn about(&self) -> About {
        About {
            package: PACKAGE,
            name: "Bifrons Streaming",
            description: "Mountpoints of live, recorded and pulled media",
            author: "The Bifrons authors",
            version: 11,
            version_string: "0.0.11",
        }
    }

    fn start(&mut self, host: &mut dyn Host, config: Option<&Tree>) -> Result<(), String> {
        self.ledger = Ledger::new(config, |what| tracing::warn!("{what}"));
        self.general = config.map(General::read).unwrap_or_default();
        self.cursor = Cursor::new(self.general.ports);
        for request in config::requests(&self.ledger, self.general.string_ids) {
            self.load(host, request, 0);
        }
        Ok(())
    }

    fn create_session(&mut self, _host: &mut dyn Host, handle: HandleKey) -> Result<(), i32> {
        self.viewers.insert(handle, Viewer::default());
        Ok(())
    }

    fn handle_message(&mut self, host: &mut dyn Host, request: Request) -> Verdict {
        let name = match name_of(&request.body) {
            Ok(name) => name,
            Err(refusal) => return Verdict::Reply(refusal.event()),
        };
        if ASYNCHRONOUS.contains(&name.as_str()) {
            if let Err(refusal) = self.serve(host, &name, &request) {
                // A handle that is gone needs no refusal.
                let _ = host.push_event(
                    request.handle,
                    Some(&request.transaction),
                    refusal.event(),
                    None,
                );
            }
            return Verdict::Ack(None);
        }
        self.asker = Some(request.handle);
        let outcome = self.manage(host, &name, &request.body, Some(request.reply));
        self.asker = None;
        outcome.unwrap_or_else(|refusal| Verdict::Reply(refusal.event()))
    }

    fn handle_admin_message(
        &mut self,
        host: &mut dyn Host,
        body: &Value,
        reply: ReplyKey,
    ) -> Option<Verdict> {
        let outcome = (|| {
            let body = body.as_object().ok_or_else(|| {
                Refusal::new(Code::InvalidRequest, "The request should be an object")
            })?;
            let name = name_of(body)?;
            self.manage(host, &name, body, Some(reply))
        })();
        Some(outcome.unwrap_or_else(|refusal| Verdict::Reply(refusal.event())))
    }

    fn setup_media(&mut self, host: &mut dyn Host, handle: HandleKey, peer: PeerId) {
        self.viewer_up(host, handle, peer);
    }

    fn hangup_media(&mut self, host: &mut dyn Host, handle: HandleKey) {
        self.release(host, handle);
    }

    fn fact(&mut self, host: &mut dyn Host, handle: HandleKey, fact: &Fact) {
        self.viewer_fact(host, handle, fact);
    }

    fn data_ready(&mut self, _host: &mut dyn Host, handle: HandleKey) {
        if let Some(viewer) = self.viewers.get_mut(&handle) {
            viewer.data_ready = viewer.watching.is_some();
        }
    }

    fn destroy_session(&mut self, host: &mut dyn Host, handle: HandleKey) {
        self.release(host, handle);
        self.viewers.remove(&handle);
    }

    fn query_session(&self, handle: HandleKey) -> Value {
        self.describe(handle)
    }

    fn answered(&mut self, host: &mut dyn Host, ticket: Ticket, answer: Answer) {
        match answer {
            Answer::Stored(outcome) => self.saved(host, ticket, outcome),
            Answer::Elapsed => {
                if let Some((request, tries)) = self.late.remove(&ticket) {
                    self.load(host, request, tries);
                }
            }
            _ => {}
        }
    }

    fn service_event(&mut self, host: &mut dyn Host, service: ServiceId, event: &ServiceEvent) {
        self.heard(host, service, event);
    }
}
