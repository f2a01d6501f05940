//! `handle_info`: one handle, with its plugin's view and, live from its shard, its PeerConnection
//! (admin-events-recording §5).
//!
//! What only the shard knows is asked of it, and waited for at most [`SHARD_LIMIT`]. If it does not
//! answer, what control knows is shown all the same, and `missing` says what is not.

mod medium;
mod webrtc;

use super::{Fields, Outcome, Reply, Request};
use crate::capture::CaptureForm;
use crate::dispatch::Core;
use crate::negotiation::ConnectionView;
use crate::transport::Front;
use bifrons_core::api::{ApiError, Expect, optional};
use bifrons_core::media::PeerStatistics;
use bifrons_core::plugin::HandleKey;
use bifrons_core::sdp::Kind;
use serde_json::{Map, Value};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a shard may take.
const SHARD_LIMIT: Duration = Duration::from_millis(500);

/// An object under construction, in the order its fields are put in.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn put_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Value::Object(object.0)
    }
}

/// The clock of all times shown: microseconds since the server's start.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn us(self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.0);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

pub(super) fn perform(request: &Request<'_>, verb: &str, key: HandleKey) -> Option<Outcome> {
    (verb == "handle_info").then(|| {
        let work = info(request, key);
        work.unwrap_or_else(|error| Outcome::Now(Err(error)))
    })
}

fn info(request: &Request<'_>, key: HandleKey) -> Result<Outcome, ApiError> {
    let plugin_only = optional(request.fields(), "plugin_only", Expect::Bool)?;
    let plugin_only = plugin_only.and_then(Value::as_bool).unwrap_or(false);
    let has_pc = request.front.with(|core, _| core.connection_view(key).is_some());
    if plugin_only || !has_pc {
        return Ok(Outcome::Now(Ok(told(request.front, key, !plugin_only, None))));
    }
    let front = request.front.clone();
    Ok(Outcome::Later(Box::pin(async move {
        let statistics = front.peer_statistics(key, SHARD_LIMIT).await;
        Ok(told(&front, key, true, statistics.as_ref()))
    })))
}

/// The answer. A handle that ended while its shard was asked is told of as far as it can be.
fn told(
    front: &Rc<Front>,
    key: HandleKey,
    whole: bool,
    statistics: Option<&PeerStatistics>,
) -> Reply {
    let transports = front.transports();
    front.with(|core, now| {
        let clock = Clock(core.since());
        let mut info = Object::default();
        let Some((session, handle)) = core.sessions().find(key) else {
            return Reply::with("info", info);
        };
        let handle_id = handle.id;
        info.put("session_id", session.id);
        info.put("session_last_activity", clock.us(session.last_activity));
        let timeout = session.timeout.unwrap_or(core.settings().session_timeout);
        info.put("session_timeout", timeout.as_secs());
        let owner = transports.get(usize::from(session.owner.transport.0));
        let owner = owner.filter(|_| !session.orphaned);
        info.put_some("session_transport", owner.map(|transport| transport.about().package));
        info.put("handle_id", handle.id);
        info.put_some("opaque_id", handle.opaque_id.as_deref());
        info.put_some("token", handle.token.as_deref());
        info.put("loop-running", true);
        info.put("created", clock.us(handle.since));
        info.put("current_time", clock.us(now.at));
        info.put_some("plugin", core.package_of_handle(key));
        info.put_some("plugin_specific", core.query_handle(key));
        if whole {
            rest(core, key, clock, statistics, &mut info);
        }
        let mut fields = Fields::new();
        fields.insert("handle_id".to_owned(), handle_id.into());
        fields.insert("info".to_owned(), info.into());
        Reply::new(fields)
    })
}

/// What `plugin_only` leaves out.
fn rest(
    core: &Core,
    key: HandleKey,
    clock: Clock,
    statistics: Option<&PeerStatistics>,
    info: &mut Object,
) {
    let view = core.connection_view(key);
    let early = core.sessions().find(key).map_or(0, |(_, handle)| handle.early.len());
    info.put("flags", flags(view.as_ref(), early > 0));
    if let Some(view) = &view {
        info.put("agent-created", clock.us(view.since));
        info.put_some("agent-started", view.opened.map(|at| clock.us(at)));
        info.put("ice-mode", if view.ice_lite { "lite" } else { "full" });
        info.put("ice-role", if view.controlling { "controlling" } else { "controlled" });
    }
    let mut sdps = Object::default();
    if let Some(view) = &view {
        sdps.put_some("local", view.local_sdp.as_deref());
        sdps.put_some("remote", view.remote_sdp.as_deref());
    }
    info.put("sdps", sdps);
    info.put_some("pending-trickles", (early > 0).then_some(early));
    // Without a PeerConnection nothing can wait; a silent shard is named in `missing`.
    let queued = match (&view, statistics) {
        (None, _) => Some(0),
        (Some(_), statistics) => statistics.map(|statistics| statistics.way.queued),
    };
    info.put_some("queued-packets", queued);
    if let Some(capture) = core.capture(key) {
        let path = capture.path.to_string_lossy().into_owned();
        let (flag, file) = match capture.form {
            CaptureForm::Pcap => ("dump-to-pcap", "pcap-file"),
            CaptureForm::Text => ("dump-to-text2pcap", "text2pcap-file"),
        };
        info.put(flag, true);
        info.put(file, path);
    }
    if let Some(view) = &view {
        info.put("webrtc", webrtc::connection(view, statistics, clock));
    }
}

/// `has_early`: candidates wait for the exchange of descriptions.
fn flags(view: Option<&ConnectionView<'_>>, has_early: bool) -> Object {
    let is = |what: fn(&ConnectionView<'_>) -> bool| view.is_some_and(what);
    let mut flags = Object::default();
    let established = is(|view| view.rounds > 0);
    flags.put("got-offer", is(|view| view.rounds > 0 || view.owes_answer || view.awaits_answer));
    flags.put("got-answer", established);
    flags.put("negotiated", established);
    flags.put("processing-offer", is(|view| view.owes_answer));
    flags.put("starting", established);
    flags.put("ice-restart", is(|view| view.restarts));
    flags.put("ready", is(|view| view.is_up));
    flags.put("stopped", false);
    flags.put("alert", view.is_none());
    flags.put("trickle", has_early || is(|view| view.trickles));
    flags.put("all-trickles", is(|view| view.all_candidates));
    // Candidates of ours stand in every description, so none is ever sent again; the other flag is
    // false in every call of a stock Janus, too.
    flags.put("resend-trickles", false);
    flags.put("trickle-synced", false);
    let data = |view: &ConnectionView<'_>| {
        view.lines.iter().any(|line| line.accepted && line.kind == Kind::Application)
    };
    flags.put("data-channels", is(data));
    flags.put("has-audio", false);
    flags.put("has-video", false);
    flags.put("new-datachan-sdp", is(data));
    flags.put("rfc4588-rtx", is(|view| view.lines.iter().any(|line| !line.rtx.is_empty())));
    flags.put("cleaning", false);
    flags.put("e2ee", is(|view| view.e2ee));
    flags
}
