//! How handles and sessions end, and what time does to them (core-api §7).

use super::events::Subject;
use super::{Core, Deed, Moment, Outgoing, Owner, SWEEP_PERIOD, SessionEnd};
use crate::session::{Handle, Session};
use bifrons_core::api::event;
use bifrons_core::media::DownReason;
use bifrons_core::plugin::{Answer, HandleKey, Ticket};
use std::cmp::Reverse;
use std::time::Instant;

impl Core {
    /// When [`Core::tick`] has something to do next.
    pub fn next_deadline(&self) -> Instant {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let closings = self.closings.next_deadline();
        let others = [timer, self.peer_events.next_deadline(), self.next_update, closings];
        others.into_iter().flatten().fold(self.next_sweep, Instant::min)
    }

    /// Lets time act: plugin timers, and every two seconds the sweep for expired sessions.
    pub fn tick(&mut self, now: Moment) {
        self.now = now;
        while let Some(Reverse((at, ticket))) = self.timers.peek().copied() {
            if at > now.at {
                break;
            }
            self.timers.pop();
            self.give_answer(ticket, Answer::Elapsed);
        }
        if now.at >= self.next_sweep {
            self.next_sweep = now.at + SWEEP_PERIOD;
            self.sweep();
        }
        self.expire_closings();
        self.ask_reports();
        self.note_update();
        self.settle();
    }

    /// An answer to an errand.
    pub fn answered(&mut self, now: Moment, ticket: Ticket, answer: Answer) {
        self.now = now;
        self.give_answer(ticket, answer);
        self.settle();
    }

    fn give_answer(&mut self, ticket: Ticket, answer: Answer) {
        if let Some(plugin) = self.tickets.remove(&ticket) {
            self.call(plugin, |plugin, host| plugin.answered(host, ticket, answer));
        }
    }

    fn sweep(&mut self) {
        let (now, settings) = (self.now.at, &self.settings);
        let fate = |session: &Session| {
            let idle = now.saturating_duration_since(session.last_activity);
            let timeout = session.timeout.unwrap_or(settings.session_timeout);
            if !timeout.is_zero() && idle >= timeout {
                Some((session.id, SessionEnd::TimedOut))
            } else if session.orphaned && idle >= settings.reclaim_timeout {
                Some((session.id, SessionEnd::Abandoned))
            } else {
                None
            }
        };
        let ended: Vec<_> = self.sessions.iter().filter_map(fate).collect();
        for (session_id, why) in ended {
            self.end_session(session_id, why);
        }
    }

    /// A connection closed: its sessions end, or wait to be claimed.
    pub fn connection_gone(&mut self, now: Moment, owner: Owner) {
        self.now = now;
        for session_id in self.sessions.owned_by(owner) {
            if self.settings.reclaim_timeout.is_zero() {
                self.end_session(session_id, SessionEnd::Abandoned);
            } else if let Some(session) = self.sessions.get_mut(session_id) {
                session.orphaned = true;
            }
        }
        self.settle();
    }

    /// A long poll was issued for a session: activity (core-api §7). False if there is none.
    pub fn touch(&mut self, now: Moment, session_id: u64) -> bool {
        self.now = now;
        let session = self.sessions.get_mut(session_id);
        session.map(|session| session.last_activity = now.at).is_some()
    }

    /// Ends a session. It leaves the tables first, so that nothing its plugins say of its handles
    /// is delivered any more.
    pub(super) fn end_session(&mut self, session_id: u64, why: SessionEnd) {
        let Some(session) = self.sessions.remove(session_id) else { return };
        let owner = session.owner;
        if why == SessionEnd::TimedOut {
            self.emit(owner, session_id, event::timeout(session_id));
        }
        self.note_over(&session, why == SessionEnd::TimedOut);
        for handle in session.handles.values() {
            self.retire(session_id, handle);
        }
        self.send(Outgoing::Over { owner, session_id, why });
    }

    /// Ends a handle, and tells its client.
    pub(super) fn detach(&mut self, key: HandleKey) {
        let Some((session_id, handle)) = self.sessions.detach(key) else { return };
        self.retire(session_id, &handle);
        if let Some(session) = self.sessions.get(session_id) {
            let message = event::detached(self.sender(session, &handle));
            self.emit(session.owner, session_id, message);
        }
    }

    /// The end of a handle that is in no table any more.
    fn retire(&mut self, session_id: u64, handle: &Handle) {
        let key = handle.key;
        if self.negotiator.hangup(key, DownReason::Detach) {
            self.note_down(key, Subject::handle(session_id, handle), DownReason::Detach);
        }
        self.fail_pending(key);
        let capture = self.captures.remove(&key);
        self.ended_captures.extend(capture.map(|capture| capture.id));
        self.call(handle.plugin, |plugin, host| plugin.destroy_session(host, key));
        self.negotiator.forget(key);
        let event = self.handle_event("detached", session_id, handle);
        self.events.extend(event);
    }

    /// Closes a handle's PeerConnection, if it has one: the plugin hears of it, then the client.
    pub(super) fn hang_up(&mut self, key: HandleKey, reason: DownReason) {
        if self.negotiator.hangup(key, reason) {
            self.deeds.push_back(Deed::HungUp(key, reason));
        }
    }

    /// Does what hooks asked for and takes what the WebRTC side has to say, until nothing is left.
    /// Each deed ends something, and shards say a bounded number of things: so this ends.
    pub(super) fn settle(&mut self) {
        loop {
            if let Some(deed) = self.deeds.pop_front() {
                match deed {
                    Deed::HungUp(key, reason) => self.peer_down(key, reason),
                    Deed::End(key) => self.detach(key),
                }
            } else if let Some((key, what)) = self.negotiator.poll_event() {
                self.take_peer_event(key, what);
            } else if let Some(port) = self.negotiator.poll_closed_port() {
                self.port_closed(port);
            } else if let Some(report) = self.negotiator.poll_report() {
                self.take_report(report);
            } else if let Some((ingest, fact)) = self.negotiator.poll_ingest() {
                if let Some(&plugin) = self.ingests.get(&ingest) {
                    self.call(plugin, |plugin, host| plugin.ingest_fact(host, ingest, &fact));
                }
            } else {
                return;
            }
        }
    }
}
