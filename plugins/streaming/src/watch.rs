//! Requests of a viewer about its PeerConnection: watch, start, pause, stop, and its end
//! (plugin-streaming §5).

use crate::api::{ARRAY, Body, FLAG, Field, TEXT, UINT, Want, may};
use crate::error::{Code, Refusal, not_watching};
use crate::management::ID;
use crate::mountpoint::{Kind, Mountpoint};
use crate::offer;
use crate::plugin::{Owner, Streaming};
use crate::ports;
use crate::relay;
use crate::viewer::{Line, Own, Viewer};
use bifrons_core::media::{MediaKind, Mindex, PeerId, Plan};
use bifrons_core::plugin::{
    HandleKey, Home, Host, HostExt, JsepKind, OutgoingJsep, PushError, Request, ServiceCommand,
    take_layers,
};
use bifrons_core::sdp::Sdp;
use serde_json::{Value, json};

/// Fields of `watch`.
const WATCH: [Field; 12] = [
    ID,
    may("pin", TEXT),
    may("media", ARRAY),
    may("restart", FLAG),
    may("offer_audio", FLAG),
    may("offer_video", FLAG),
    may("offer_data", FLAG),
    may("substream", Want::Layer),
    may("temporal", Want::Layer),
    may("fallback", UINT),
    may("spatial_layer", Want::Layer),
    may("temporal_layer", Want::Layer),
];

/// An event of a viewer.
pub(crate) fn result(result: Value) -> Value {
    json!({ "streaming": "event", "result": result })
}

impl Streaming {
    /// Answers a request with `{status}`.
    fn answer(&self, host: &mut dyn Host, request: &Request, status: &str) {
        let data = result(json!({ "status": status }));
        // A handle that is gone needs no answer.
        let _ = host.push_event(request.handle, Some(&request.transaction), data, None);
    }

    /// Tells the event handlers what a viewer does.
    pub(crate) fn tell_of(&self, host: &mut dyn Host, handle: HandleKey, status: &str) {
        let id = self.viewers.get(&handle).and_then(|viewer| viewer.watching.clone());
        self.tell_handlers(host, Some(handle), || json!({ "status": status, "id": id }));
    }

    /// `watch`: an offer to the viewer, or an answer to its own.
    pub(crate) fn watch(&mut self, host: &mut dyn Host, request: &Request) -> Result<(), Refusal> {
        let body = Body::checked(&request.body, self.general.string_ids, &WATCH)?;
        let mids = body.texts("media")?.unwrap_or_default();
        let mountpoint = self.mountpoint(&body.the_id("id")?)?;
        body.prove("pin", mountpoint.profile.pin.as_deref())?;
        let restart = body.flag("restart").unwrap_or(false);
        let viewer = self.viewers.get(&request.handle).ok_or_else(not_watching)?;
        let again = match &viewer.watching {
            None if restart => return Err(not_watching()),
            None => false,
            Some(id) if *id != mountpoint.id => {
                return Err(Refusal::new(Code::InvalidState, "Already watching a stream"));
            }
            Some(_) if viewer.peer.is_none() || viewer.offers != request.jsep.is_some() => {
                let text = "Already watching this stream: it cannot be renegotiated now";
                return Err(Refusal::new(Code::InvalidState, text));
            }
            Some(_) => true,
        };
        let mut next = viewer.clone();
        next.version += 1;
        let jsep = match &request.jsep {
            Some(jsep) if jsep.kind != JsepKind::Offer => {
                return Err(Refusal::new(Code::InvalidSdp, "An offer was expected, not an answer"));
            }
            Some(jsep) => {
                let (sdp, lines) = offer::answer(mountpoint, &jsep.sdp);
                next.offers = true;
                renew(&mut next.lines, lines);
                outgoing(JsepKind::Answer, sdp, mountpoint, false)
            }
            None => {
                if !again {
                    next.lines = lines_of(mountpoint, &body, &mids);
                }
                if next.lines.is_empty() {
                    let text = "Can't offer an SDP with no stream";
                    return Err(Refusal::new(Code::InvalidRequest, text));
                }
                let sdp = offer::offer(mountpoint, &next.lines, next.version);
                outgoing(JsepKind::Offer, sdp, mountpoint, restart)
            }
        };
        next.watching = Some(mountpoint.id.clone());
        host.place(request.handle, Home::Shard(mountpoint.shard));
        let status = match (next.offers, restart) {
            (true, _) => "starting",
            (false, true) => "updating",
            (false, false) => "preparing",
        };
        self.bind(host, request, next, status, jsep)
    }

    /// Takes a viewer over once its description is out; else everything is as it was.
    fn bind(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
        next: Viewer,
        status: &str,
        jsep: OutgoingJsep,
    ) -> Result<(), Refusal> {
        let handle = request.handle;
        let (id, offers) = (next.watching.clone(), next.offers);
        let former = self.viewers.insert(handle, next);
        let data = result(json!({ "status": status }));
        if host.push_event(handle, Some(&request.transaction), data, Some(jsep))
            == Err(PushError::BadSdp)
        {
            self.viewers.insert(handle, former.unwrap_or_default());
            return Err(Refusal::new(Code::InvalidSdp, "The description could not be made"));
        }
        if let Some(mountpoint) = id.as_ref().and_then(|id| self.mountpoints.get_mut(id)) {
            mountpoint.viewers.insert(handle);
        }
        self.sync(host, handle);
        if offers {
            self.tell_of(host, handle, "starting");
        }
        Ok(())
    }

    /// `start`: settles an offer, or resumes.
    pub(crate) fn start_viewing(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
    ) -> Result<(), Refusal> {
        let viewer = self.watching(request.handle)?;
        if request.jsep.as_ref().is_some_and(|jsep| jsep.kind != JsepKind::Answer) {
            return Err(Refusal::new(Code::InvalidSdp, "An answer was expected, not an offer"));
        }
        viewer.paused = false;
        let status = if viewer.peer.is_some() { "started" } else { "starting" };
        self.hold(host, request.handle);
        self.answer(host, request, status);
        self.tell_of(host, request.handle, "starting");
        Ok(())
    }

    /// `pause`: nothing flows until the next `start`.
    pub(crate) fn pause(&mut self, host: &mut dyn Host, request: &Request) -> Result<(), Refusal> {
        self.watching(request.handle)?.paused = true;
        self.hold(host, request.handle);
        self.answer(host, request, "pausing");
        self.tell_of(host, request.handle, "pausing");
        Ok(())
    }

    /// `stop`: the PeerConnection ends; the handle may watch again.
    pub(crate) fn stop_viewing(
        &mut self,
        host: &mut dyn Host,
        request: &Request,
    ) -> Result<(), Refusal> {
        let up = self.viewers.get(&request.handle).is_some_and(|viewer| viewer.peer.is_some());
        self.answer(host, request, if up { "stopping" } else { "idle" });
        if up {
            self.tell_of(host, request.handle, "stopping");
        }
        if self.release(host, request.handle) {
            host.close_pc(request.handle);
        }
        Ok(())
    }

    /// The viewer of a handle that watches something; 455 for one that does not.
    pub(crate) fn watching(&mut self, handle: HandleKey) -> Result<&mut Viewer, Refusal> {
        let viewer = self.viewers.get_mut(&handle).filter(|viewer| viewer.watching.is_some());
        viewer.ok_or_else(not_watching)
    }

    /// Tells the shards what a viewer gets now.
    pub(crate) fn sync(&mut self, host: &mut dyn Host, handle: HandleKey) {
        let Some(viewer) = self.viewers.get_mut(&handle) else { return };
        let mountpoint = viewer.watching.as_ref().and_then(|id| self.mountpoints.get(id));
        relay::sync(host, mountpoint, viewer);
    }

    /// A viewer was paused or resumed: so is what plays for it alone.
    fn hold(&mut self, host: &mut dyn Host, handle: HandleKey) {
        self.sync(host, handle);
        let Some(viewer) = self.viewers.get(&handle) else { return };
        let mountpoint = viewer.watching.as_ref().and_then(|id| self.mountpoints.get(id));
        if let (Some(own), Some(mountpoint)) = (viewer.own, mountpoint) {
            let command = match mountpoint.enabled && !viewer.paused {
                true => ServiceCommand::Resume,
                false => ServiceCommand::Pause,
            };
            host.tell_service(own.service, command);
        }
    }

    /// The PeerConnection is up: what is kept and what comes flows.
    pub(crate) fn viewer_up(&mut self, host: &mut dyn Host, handle: HandleKey, peer: PeerId) {
        let Ok(viewer) = self.watching(handle) else { return };
        viewer.peer = Some(peer);
        self.play_alone(host, handle, peer);
        self.hold(host, handle);
        if let Some(viewer) = self.viewers.get(&handle) {
            relay::ask_keyframes(host, viewer);
        }
        host.notify(handle, result(json!({ "status": "started" })));
        self.tell_of(host, handle, "started");
    }

    /// On demand: the file from its beginning, near the viewer.
    fn play_alone(&mut self, host: &mut dyn Host, handle: HandleKey, peer: PeerId) {
        let Some(viewer) = self.viewers.get_mut(&handle) else { return };
        let mountpoint = viewer.watching.as_ref().and_then(|id| self.mountpoints.get(id));
        let Some(mountpoint) = mountpoint else { return };
        let Kind::OnDemand(file) = &mountpoint.kind else { return };
        let Some(ingest) = ports::portless(host, peer.shard, &file.stream(), &mountpoint.rules)
        else {
            return;
        };
        let Some(service) = host.start_service(file.player(ingest)) else {
            return host.plan(Plan::EndIngest { ingest });
        };
        viewer.own = Some(Own { service, ingest });
        self.services.insert(service, Owner::Viewer(handle));
    }

    /// The viewer watches nothing any more; false if it did not anyway.
    pub(crate) fn release(&mut self, host: &mut dyn Host, handle: HandleKey) -> bool {
        let Some(viewer) = self.viewers.get_mut(&handle) else { return false };
        let Some(id) = viewer.watching.take() else { return false };
        relay::sync(host, None, viewer);
        if let Some(own) = viewer.own.take() {
            host.stop_service(own.service);
            host.plan(Plan::EndIngest { ingest: own.ingest });
            self.services.remove(&own.service);
        }
        *viewer = Viewer::default();
        if let Some(mountpoint) = self.mountpoints.get_mut(&id) {
            mountpoint.viewers.remove(&handle);
        }
        true
    }

    /// Ends a viewer's PeerConnection, telling it why.
    pub(crate) fn dismiss(&mut self, host: &mut dyn Host, handle: HandleKey, status: &str) {
        if self.release(host, handle) {
            host.notify(handle, result(json!({ "status": status })));
            host.close_pc(handle);
        }
    }
}

fn outgoing(kind: JsepKind, sdp: Sdp, mountpoint: &Mountpoint, restart: bool) -> OutgoingJsep {
    OutgoingJsep { kind, sdp, e2ee: mountpoint.rules.e2ee, restart }
}

/// The lines of a first offer: streams of these mids (all if there are none), of the kinds that
/// the older keys leave in.
fn lines_of(mountpoint: &Mountpoint, body: &Body<'_>, mids: &[String]) -> Vec<Line> {
    let wanted = |kind: MediaKind| match kind {
        MediaKind::Audio => body.flag("offer_audio"),
        MediaKind::Video => body.flag("offer_video"),
        MediaKind::Data => body.flag("offer_data"),
    };
    let mut lines: Vec<Line> = Vec::new();
    for (at, stream) in mountpoint.streams.iter().enumerate() {
        let spec = &stream.spec;
        let named = mids.is_empty() || mids.contains(&spec.mid);
        if !named || !spec.is_offered() || wanted(spec.kind) == Some(false) {
            continue;
        }
        let mindex = Mindex::try_from(lines.len()).unwrap_or(Mindex::MAX);
        let mut line = Line::new(at, mindex, spec);
        take_layers(&mut line.target, body);
        lines.push(line);
    }
    lines
}

/// Lines of a new answer; those that were there before keep what was set for them.
fn renew(lines: &mut Vec<Line>, new: Vec<Line>) {
    let former = std::mem::replace(lines, new);
    for line in lines {
        if let Some(old) = former.iter().find(|old| old.mindex == line.mindex) {
            let (stream, pt, mid) = (line.stream, line.pt, line.mid.clone());
            *line = Line { stream, pt, mid, ..old.clone() };
        }
    }
}
