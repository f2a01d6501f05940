//! What monitors read: the server's counters in Prometheus's text form, at `/metrics` of the Admin
//! API's HTTP listeners where that is switched on.
//!
//! Everything is a snapshot. Shards are asked for their counters and have [`SHARD_LIMIT`] to answer;
//! one that does not is shown with `bifrons_shard_up` 0 and nothing else. Bounds: the page has a few
//! lines for each shard, transport and event handler, and none for sessions or rooms. Cost: nothing
//! until it is asked for, but for one entry in [`Latency`] a request.

mod exposition;

use crate::transport::Front;
use bifrons_core::media::{BypassCounters, ShardCounters};
use exposition::{Family, Page};
use hdrhistogram::Histogram;
use std::rc::Rc;
use std::time::Duration;

/// What a monitor is told the page is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long shards may take to answer.
pub const SHARD_LIMIT: Duration = Duration::from_millis(500);

/// How long requests took, in microseconds: from their arrival at the dispatcher to everything that
/// came of them being queued.
#[derive(Debug)]
pub struct Latency {
    taken: Histogram<u64>,
    sum_us: u64,
}

impl Default for Latency {
    fn default() -> Self {
        // The bounds are sound, and numbers beyond them count as the bound.
        let taken = Histogram::new_with_bounds(1, 60_000_000, 2);
        Latency { taken: taken.expect("sound bounds"), sum_us: 0 }
    }
}

impl Latency {
    /// A request took so long.
    pub fn record(&mut self, taken: Duration) {
        let us = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        self.taken.saturating_record(us);
        self.sum_us = self.sum_us.saturating_add(us);
    }
}

/// The page.
pub async fn page(front: &Rc<Front>) -> String {
    let shards = front.shard_counters(SHARD_LIMIT).await;
    let mut page = Page::default();
    server(&mut page, front);
    requests(&mut page, front);
    doors(&mut page, front);
    handlers(&mut page, front);
    of_shards(&mut page, &shards);
    page.finish()
}

fn server(page: &mut Page, front: &Rc<Front>) {
    let (sessions, handles, connections, accepting) = front.with(|core, _| {
        let handles: usize = core.sessions().iter().map(|session| session.handles.len()).sum();
        let connections: usize = core.shard_load().iter().sum();
        (core.sessions().iter().count(), handles, connections, core.is_accepting())
    });
    let version = env!("CARGO_PKG_VERSION");
    page.gauge("bifrons_build_info", "The program; always 1.").put(&[("version", version)], 1);
    page.gauge("bifrons_sessions", "Sessions.").put(&[], sessions as u64);
    page.gauge("bifrons_handles", "Handles of all sessions.").put(&[], handles as u64);
    page.gauge("bifrons_peer_connections", "PeerConnections, as control knows them.")
        .put(&[], connections as u64);
    page.gauge("bifrons_accepting_sessions", "1 while new sessions are served.")
        .put(&[], u64::from(accepting));
}

fn requests(page: &mut Page, front: &Rc<Front>) {
    let counters = front.with(|core, _| core.counters());
    page.counter("bifrons_requests_total", "Requests of the Janus API, sound or not.")
        .put(&[], counters.requests);
    page.counter("bifrons_request_errors_total", "Requests answered with an error.")
        .put(&[], counters.errors);
    page.counter("bifrons_malformed_total", "Messages that were no request: no JSON, too long.")
        .put(&[], front.malformed());
    let mut refused =
        page.counter("bifrons_refused_total", "What found a table or a queue full, by which.");
    for (table, count) in [
        ("sessions", counters.sessions_refused),
        ("handles", counters.handles_refused),
        ("early_candidates", counters.early_dropped),
        ("deferred_requests", counters.deferred_refused),
        ("plugin_timers", counters.timers_refused),
    ] {
        refused.put(&[("table", table)], count);
    }
    drop(refused);
    page.counter("bifrons_plugin_failures_total", "Hooks of plugins that panicked.")
        .put(&[], counters.hooks_failed);
    front.with_latency(|latency| {
        let help = "Time the control thread took for a request of the Janus API.";
        let mut family = page.summary("bifrons_request_seconds", help);
        for quantile in [0.5, 0.9, 0.99, 0.999] {
            let us = latency.taken.value_at_quantile(quantile);
            family.put_quantile(quantile, us as f64 / 1e6);
        }
        family.put_sum(latency.sum_us as f64 / 1e6, latency.taken.len());
    });
}

fn doors(page: &mut Page, front: &Rc<Front>) {
    let transports = front.transports();
    let help = "What transports took, refused and dropped, by transport and what it was.";
    let mut family = page.counter("bifrons_transport_total", help);
    for transport in transports {
        let package = transport.about().package;
        for (what, count) in transport.tally() {
            family.put(&[("transport", package), ("what", what)], count);
        }
    }
}

fn handlers(page: &mut Page, front: &Rc<Front>) {
    let help = "Events by handler and what became of them; waiting are those accepted and nothing \
                else yet.";
    let mut family = page.counter("bifrons_events_total", help);
    for (handler, counted) in front.hub().iter().flat_map(|hub| hub.counters()) {
        for (outcome, count) in [
            ("accepted", counted.accepted),
            ("delivered", counted.delivered),
            ("dropped", counted.dropped),
            ("lost", counted.lost),
        ] {
            family.put(&[("handler", handler), ("outcome", outcome)], count);
        }
    }
}

/// Name, help and value of a number that only grows.
type Total = (&'static str, &'static str, fn(&ShardCounters) -> u64);

const SHARD_TOTALS: &[Total] = &[
    ("received", "Datagrams received.", |counters| counters.received),
    ("sent", "Datagrams sent.", |counters| counters.sent),
    ("forwarded", "RTP packets forwarded, one for each sink.", |counters| counters.forwarded),
    ("stray", "Datagrams from unknown addresses, or of no known protocol.", |c| c.stray),
    ("shed", "Packets that found a queue, ring or socket full.", |counters| counters.shed),
    ("feedback_lost", "Feedback for another shard that found its ring full.", |counters| {
        counters.feedback_lost
    }),
    ("unmatched", "RTP that opened but belonged to no line.", |counters| counters.unmatched),
    ("events_waited", "Events that found control's ring full and waited.", |counters| {
        counters.events_waited
    }),
];

/// Why trains left by a socket though packet rings were asked for, and how many did.
type Cause = (&'static str, fn(&BypassCounters) -> u64);

const CAUSES: &[Cause] = &[
    ("unresolved", |counted| counted.unresolved),
    ("unfit", |counted| counted.unfit),
    ("refreshed", |counted| counted.refreshed),
    ("too_long", |counted| counted.too_long),
    ("full", |counted| counted.full),
];

fn of_rings(page: &mut Page, shards: &[(String, BypassCounters)]) {
    let help = "Frames that drivers took from packet rings.";
    let mut frames = page.counter("bifrons_ring_frames_total", help);
    for (shard, counted) in shards {
        frames.put(&[("shard", shard)], counted.frames);
    }
    drop(frames);
    let help = "Datagrams in those frames.";
    let mut datagrams = page.counter("bifrons_ring_datagrams_total", help);
    for (shard, counted) in shards {
        datagrams.put(&[("shard", shard)], counted.datagrams);
    }
    drop(datagrams);
    let help = "Trains that left by a UDP socket and not by a packet ring, by cause.";
    let mut fallbacks = page.counter("bifrons_ring_fallbacks_total", help);
    for (shard, counted) in shards {
        for (cause, count) in CAUSES {
            fallbacks.put(&[("shard", shard), ("cause", cause)], count(counted));
        }
    }
}

fn of_shards(page: &mut Page, shards: &[Option<ShardCounters>]) {
    let names: Vec<String> = (0..shards.len()).map(|shard| shard.to_string()).collect();
    let each = |family: &mut Family<'_>, value: &dyn Fn(&ShardCounters) -> u64| {
        for (name, counters) in names.iter().zip(shards) {
            if let Some(counters) = counters {
                family.put(&[("shard", name)], value(counters));
            }
        }
    };
    let mut up = page.gauge("bifrons_shard_up", "1 if the shard answered within half a second.");
    for (name, counters) in names.iter().zip(shards) {
        up.put(&[("shard", name)], u64::from(counters.is_some()));
    }
    drop(up);
    let help = "Peers on a shard, as it knows them.";
    each(&mut page.gauge("bifrons_shard_peers", help), &|counters| counters.peers.into());
    for (name, help, value) in SHARD_TOTALS {
        let name = format!("bifrons_shard_{name}_total");
        each(&mut page.counter(&name, help), value);
    }
    let answered = names.into_iter().zip(shards);
    let rings = answered.filter_map(|(name, counters)| Some((name, counters.as_ref()?.bypass)));
    let rings: Vec<_> =
        rings.filter(|(_, counted)| *counted != BypassCounters::default()).collect();
    if !rings.is_empty() {
        of_rings(page, &rings);
    }
}
