//! What event handlers hear of PeerConnections: descriptions, ICE, DTLS, media, statistics
//! (admin-events-recording §7, types 8, 16 and 32).
//!
//! ```text
//!  first description     second description     selected pair        keys          end
//!  ───────────────────► gathering ───► connecting ───► connected, ready ───► webrtcup ───► hangup
//! ```
//! Bounds: an entry for each PeerConnection that is up or being closed.

use super::Core;
use super::events::Subject;
use crate::event::{EventKind, statistics};
use crate::negotiation::PeerReport;
use bifrons_core::ice::{CandidateKind, SelectedPair};
use bifrons_core::media::{DownReason, Fact};
use bifrons_core::plugin::HandleKey;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

const ICE: u8 = 1;
const LOCAL_CANDIDATE: u8 = 2;
const REMOTE_CANDIDATE: u8 = 3;
const PAIR: u8 = 4;
const DTLS: u8 = 5;
const CONNECTION: u8 = 6;
const MEDIA: u8 = 1;
const SLOW_LINK: u8 = 2;
const STATISTICS: u8 = 3;

/// What was told about a PeerConnection.
#[derive(Debug, Default)]
struct Told {
    /// The user name fragments whose candidates were told: a restart has others.
    local: Option<String>,
    remote: Option<String>,
    /// The ICE state.
    ice: &'static str,
    handshake: bool,
    /// Flights of it that were sent again.
    repeats: u32,
    /// When its statistics are due.
    report_at: Option<Instant>,
}

/// See the module.
#[derive(Default)]
pub(super) struct PeerEvents {
    told: HashMap<HandleKey, Told>,
    due: BinaryHeap<Reverse<(Instant, HandleKey)>>,
    /// Ended, and waiting for their last statistics.
    ended: HashMap<HandleKey, VecDeque<(Subject, DownReason)>>,
}

impl PeerEvents {
    /// When statistics are due next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }
}

impl Core {
    fn note_webrtc(&mut self, key: HandleKey, subtype: u8, mut body: Value) {
        let Some(about) = self.subject(key) else { return };
        if subtype != CONNECTION {
            body["stream_id"] = 1.into();
            body["component_id"] = 1.into();
        }
        self.note(EventKind::WebRtc, subtype, about, body);
    }

    fn note_ice(&mut self, key: HandleKey, state: &'static str) {
        let told = self.peer_events.told.entry(key).or_default();
        if std::mem::replace(&mut told.ice, state) != state {
            self.note_webrtc(key, ICE, json!({ "ice": state }));
        }
    }

    fn note_dtls(&mut self, key: HandleKey, state: &str) {
        let Some(about) = self.subject(key) else { return };
        let repeats = self.peer_events.told.get(&key).map_or(0, |told| told.repeats);
        self.note(EventKind::WebRtc, DTLS, about, dtls(state, repeats));
    }

    /// Candidates of a description, unless they were told already.
    fn note_candidates(&mut self, key: HandleKey, sdp: &str, remote: bool) {
        let ufrag = attribute(sdp, "ice-ufrag:").next().map(str::to_owned);
        let told = self.peer_events.told.entry(key).or_default();
        let known = if remote { &mut told.remote } else { &mut told.local };
        if *known == ufrag {
            return;
        }
        *known = ufrag;
        let mut lines: Vec<&str> = Vec::new();
        for line in attribute(sdp, "candidate:") {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        for line in lines {
            self.note_candidate(key, line, remote);
        }
    }

    /// One candidate: what stands behind `candidate:`.
    pub(super) fn note_candidate(&mut self, key: HandleKey, line: &str, remote: bool) {
        if !self.has_listeners() {
            return;
        }
        let line = line.strip_prefix("a=").unwrap_or(line);
        let line = line.strip_prefix("candidate:").unwrap_or(line).trim();
        if remote {
            self.note_webrtc(key, REMOTE_CANDIDATE, json!({ "remote-candidate": line }));
        } else {
            self.note_webrtc(key, LOCAL_CANDIDATE, json!({ "local-candidate": line }));
        }
    }

    /// A description was taken (`remote`) or is about to be sent.
    pub(super) fn note_description(&mut self, key: HandleKey, kind: &str, sdp: &str, remote: bool) {
        if !self.has_listeners() {
            return;
        }
        let is_offer = kind == "offer";
        let tell = |core: &mut Core| {
            let Some(about) = core.subject(key) else { return };
            let owner = if remote { "remote" } else { "local" };
            let body = json!({ "owner": owner, "jsep": { "type": kind, "sdp": sdp } });
            core.note(EventKind::Jsep, 0, about, body);
        };
        if remote {
            tell(self);
        }
        if is_offer && !self.peer_events.told.contains_key(&key) {
            self.note_ice(key, "gathering");
        }
        let completes = self.peer_events.told.get(&key).is_some_and(|told| {
            let known = if remote { &told.remote } else { &told.local };
            !is_offer && known.as_deref() != attribute(sdp, "ice-ufrag:").next()
        });
        self.note_candidates(key, sdp, remote);
        if !remote {
            tell(self);
        }
        if completes {
            self.note_ice(key, "connecting");
        }
    }

    /// What a shard noticed; `tell` sends it to the client as well.
    pub(super) fn note_fact(&mut self, key: HandleKey, fact: &Fact) {
        if !self.has_listeners() {
            return;
        }
        let line = |core: &Core, mindex| {
            let (mid, kind) = core.media_line(key, mindex)?;
            Some((mid.to_owned(), kind, core.subject(key)?))
        };
        match *fact {
            Fact::Path(selected) => self.note_path(key, selected),
            Fact::IceFailed => self.note_ice(key, "failed"),
            Fact::HandshakeRepeats(flights) => {
                self.peer_events.told.entry(key).or_default().repeats = flights;
            }
            Fact::Receiving { mindex, substream, receiving } => {
                let Some((mid, kind, about)) = line(self, mindex) else { return };
                let mut body = json!({ "media": kind, "mid": mid });
                if let Some(substream) = substream {
                    body["substream"] = substream.into();
                }
                body["receiving"] = receiving.into();
                let timer_s = self.settings.no_media_timer_s;
                if !receiving && timer_s > 1 {
                    body["seconds"] = timer_s.into();
                }
                self.note(EventKind::Media, MEDIA, about, body);
            }
            Fact::SlowLink { mindex, uplink, lost } => {
                let Some((mid, kind, about)) = line(self, mindex) else { return };
                let side = if uplink { "uplink" } else { "downlink" };
                let body =
                    json!({ "mid": mid, "media": kind, "slow_link": side, "lost_lastsec": lost });
                self.note(EventKind::Media, SLOW_LINK, about, body);
            }
            _ => {}
        }
    }

    fn note_path(&mut self, key: HandleKey, selected: SelectedPair) {
        let SelectedPair { pair, local_kind, remote_kind } = selected;
        let (local, remote) = (end(pair.local, local_kind), end(pair.remote, remote_kind));
        let body = json!({
            "selected-pair": format!("{} <-> {}", local.0, remote.0),
            "candidates": { "local": local.1, "remote": remote.1 },
        });
        self.note_webrtc(key, PAIR, body);
        self.note_ice(key, "connected");
        self.note_ice(key, "ready");
        let told = self.peer_events.told.entry(key).or_default();
        if !std::mem::replace(&mut told.handshake, true) {
            self.note_dtls(key, "trying");
        }
    }

    /// Keys are agreed.
    pub(super) fn note_keys(&mut self, key: HandleKey) {
        if self.has_listeners() {
            self.note_dtls(key, "connected");
        }
    }

    /// The PeerConnection is up: statistics begin.
    pub(super) fn note_up(&mut self, key: HandleKey) {
        if !self.has_listeners() {
            return;
        }
        self.note_webrtc(key, CONNECTION, json!({ "connection": "webrtcup" }));
        if !self.settings.stats_period.is_zero() {
            self.report_later(key);
        }
    }

    fn report_later(&mut self, key: HandleKey) {
        let at = self.now.at + self.settings.stats_period;
        self.peer_events.told.entry(key).or_default().report_at = Some(at);
        self.peer_events.due.push(Reverse((at, key)));
    }

    /// Asks for the statistics that are due.
    pub(super) fn ask_reports(&mut self) {
        while let Some(Reverse((at, key))) = self.peer_events.due.peek().copied() {
            if at > self.now.at {
                return;
            }
            self.peer_events.due.pop();
            let told = self.peer_events.told.get(&key);
            // Another time was set, or the PeerConnection is gone.
            if told.and_then(|told| told.report_at) == Some(at) {
                self.negotiator.ask_report(key);
                self.report_later(key);
            }
        }
    }

    /// The PeerConnection of a handle, which may be in no table any more, ended.
    pub(super) fn note_down(&mut self, key: HandleKey, about: Subject, reason: DownReason) {
        if !self.has_listeners() {
            return;
        }
        let told = self.peer_events.told.remove(&key);
        if reason == DownReason::IceFailed && told.is_some() {
            let body = json!({ "ice": "failed", "stream_id": 1, "component_id": 1 });
            self.note(EventKind::WebRtc, ICE, about.clone(), body);
        }
        if matches!(reason, DownReason::DtlsTimeout | DownReason::DtlsError)
            && let Some(told) = told.filter(|told| told.handshake)
        {
            self.note(EventKind::WebRtc, DTLS, about.clone(), dtls("failed", told.repeats));
        }
        if self.reports_ends {
            self.peer_events.ended.entry(key).or_default().push_back((about, reason));
        } else {
            self.note_hangup(about, reason);
        }
    }

    fn note_hangup(&mut self, about: Subject, reason: DownReason) {
        let body = json!({ "connection": "hangup", "reason": reason.text() });
        self.note(EventKind::WebRtc, CONNECTION, about, body);
    }

    /// Statistics that were asked for, or the last ones of a PeerConnection.
    pub(super) fn take_report(&mut self, report: PeerReport) {
        let key = report.handle;
        let ended = match report.is_last {
            false => None,
            true => {
                let Some(waiting) = self.peer_events.ended.get_mut(&key) else { return };
                let first = waiting.pop_front();
                if waiting.is_empty() {
                    self.peer_events.ended.remove(&key);
                }
                first
            }
        };
        let about = match &ended {
            Some((about, _)) => about.clone(),
            None => match self.subject(key) {
                Some(about) => about,
                None => return,
            },
        };
        if let Some(of) = &report.statistics {
            let bodies = statistics::bodies(&report.lines, of);
            if self.settings.combine_media_stats {
                self.note(EventKind::Media, STATISTICS, about, Value::Array(bodies));
            } else {
                for body in bodies {
                    self.note(EventKind::Media, STATISTICS, about.clone(), body);
                }
            }
        }
        if let Some((about, reason)) = ended {
            self.note_hangup(about, reason);
        }
    }
}

/// A state of DTLS, and how many flights of the handshake were sent again until then.
fn dtls(state: &str, repeats: u32) -> Value {
    json!({ "dtls": state, "stream_id": 1, "component_id": 1, "retransmissions": repeats })
}

/// Values of an attribute, at whatever level it stands.
fn attribute<'a>(sdp: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = sdp.lines().filter_map(|line| line.strip_prefix("a="));
    lines.filter_map(move |line| line.strip_prefix(name)).map(str::trim)
}

/// One end of a pair, as text and as an object.
fn end(at: SocketAddr, kind: CandidateKind) -> (String, Value) {
    let (ip, port, kind) = (at.ip().to_canonical(), at.port(), kind.as_str());
    let text = format!("{ip}:{port} [{kind},udp]");
    let family = if ip.is_ipv4() { 4 } else { 6 };
    let object = json!({
        "address": ip.to_string(), "port": port, "type": kind, "transport": "udp", "family": family,
    });
    (text, object)
}
