//! What follows when connectivity fails (webrtc-behaviour §1.4): wait a little, then hang up.
//!
//! ```text
//! idle ──failed, never connected──────────────────► waiting ──5 s and done, or 15 s──► hang up
//!  │ ▲                                                ▲  │
//!  │ └──────────────── connected ─────────────────────┼──┘
//!  └──failed after connected: `ice-failed` event──────┘   (hangup_on_failed: hang up at once)
//! ```

use std::time::{Duration, Instant};

/// How often a failure is looked at.
pub const FAILURE_TICK: Duration = Duration::from_millis(500);

/// After this long a failure is final, if nothing more can come from the peer.
pub const FAILURE_GRACE: Duration = Duration::from_secs(5);

/// After this long it is final in any case.
pub const FAILURE_LIMIT: Duration = Duration::from_secs(15);

/// The reason in the `hangup` event.
pub const ICE_FAILED: &str = "ICE failed";

/// What the owner has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureAction {
    /// Nothing yet.
    Wait,
    /// Send the `ice-failed` event and wait: a restart may rescue the connection.
    ReportIceFailed,
    /// Send the `ice-failed` event, then hang up with [`ICE_FAILED`].
    ReportAndHangUp,
    /// Hang up with [`ICE_FAILED`].
    HangUp,
}

/// How far signalling has come when the timer ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignallingProgress {
    /// The peer said it has no more candidates, or never trickles.
    pub trickling_done: bool,
    /// Offer and answer are both there.
    pub answered: bool,
}

/// The failure timer of one PeerConnection.
#[derive(Debug, Clone, Copy)]
pub struct FailureTimer {
    hangup_on_failed: bool,
    was_connected: bool,
    waiting: Option<Waiting>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    since: Instant,
    next_tick: Instant,
}

impl FailureTimer {
    /// A timer at rest; `hangup_on_failed` as configured.
    #[must_use]
    pub fn new(hangup_on_failed: bool) -> Self {
        Self { hangup_on_failed, was_connected: false, waiting: None }
    }

    /// ICE is connected: whatever was counted is forgotten.
    pub fn connected(&mut self) {
        self.was_connected = true;
        self.waiting = None;
    }

    /// ICE failed ([`super::IceEvent::Failed`] or [`super::IceEvent::Disconnected`]). A failure
    /// that is already being waited for changes nothing.
    pub fn failed(&mut self, now: Instant) -> FailureAction {
        if self.waiting.is_some() {
            return FailureAction::Wait;
        }
        if self.was_connected && self.hangup_on_failed {
            return FailureAction::ReportAndHangUp;
        }
        self.waiting = Some(Waiting { since: now, next_tick: now + FAILURE_TICK });
        if self.was_connected { FailureAction::ReportIceFailed } else { FailureAction::Wait }
    }

    /// When to call [`FailureTimer::handle_timeout`]; `None` at rest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.map(|w| w.next_tick)
    }

    /// A tick: [`FailureAction::Wait`] or, once, [`FailureAction::HangUp`].
    pub fn handle_timeout(&mut self, now: Instant, progress: SignallingProgress) -> FailureAction {
        let Some(waiting) = self.waiting.as_mut().filter(|w| now >= w.next_tick) else {
            return FailureAction::Wait;
        };
        waiting.next_tick = now + FAILURE_TICK;
        let waited = now.saturating_duration_since(waiting.since);
        let nothing_to_come = progress.trickling_done && progress.answered;
        if waited >= FAILURE_LIMIT || (waited >= FAILURE_GRACE && nothing_to_come) {
            self.waiting = None;
            return FailureAction::HangUp;
        }
        FailureAction::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: SignallingProgress = SignallingProgress { trickling_done: true, answered: true };
    const TRICKLING: SignallingProgress =
        SignallingProgress { trickling_done: false, answered: true };
    const UNANSWERED: SignallingProgress =
        SignallingProgress { trickling_done: true, answered: false };

    /// Ticks until the timer acts; how long that took.
    fn waits(timer: &mut FailureTimer, start: Instant, progress: SignallingProgress) -> Duration {
        while let Some(now) = timer.poll_timeout() {
            match timer.handle_timeout(now, progress) {
                FailureAction::Wait => {}
                FailureAction::HangUp => return now - start,
                other => panic!("unexpected {other:?}"),
            }
        }
        panic!("the timer stopped without a verdict");
    }

    #[test]
    fn a_first_failure_waits_five_seconds_or_fifteen() {
        for (progress, seconds) in [(DONE, 5), (TRICKLING, 15), (UNANSWERED, 15)] {
            let start = Instant::now();
            let mut timer = FailureTimer::new(true);
            assert_eq!(timer.failed(start), FailureAction::Wait);
            assert_eq!(waits(&mut timer, start, progress), Duration::from_secs(seconds));
            assert_eq!(timer.poll_timeout(), None);
        }
    }

    #[test]
    fn trickling_that_ends_late_shortens_the_wait() {
        let start = Instant::now();
        let mut timer = FailureTimer::new(false);
        timer.failed(start);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(timer.handle_timeout(at(7_000), TRICKLING), FailureAction::Wait);
        assert_eq!(timer.handle_timeout(at(7_500), DONE), FailureAction::HangUp);
    }

    #[test]
    fn recovering_cancels_and_a_second_failure_starts_over() {
        let start = Instant::now();
        let mut timer = FailureTimer::new(false);
        timer.failed(start);
        timer.connected();
        assert_eq!(timer.poll_timeout(), None);
        let late = start + Duration::from_secs(60);
        assert_eq!(timer.handle_timeout(late, DONE), FailureAction::Wait);
        assert_eq!(timer.failed(late), FailureAction::ReportIceFailed);
        assert_eq!(waits(&mut timer, late, DONE), Duration::from_secs(5));
    }

    #[test]
    fn a_failure_after_connected_is_reported_once_and_hangs_up_if_asked() {
        let now = Instant::now();
        let mut patient = FailureTimer::new(false);
        patient.connected();
        assert_eq!(patient.failed(now), FailureAction::ReportIceFailed);
        assert_eq!(patient.failed(now), FailureAction::Wait);
        let mut strict = FailureTimer::new(true);
        strict.connected();
        assert_eq!(strict.failed(now), FailureAction::ReportAndHangUp);
        assert_eq!(strict.poll_timeout(), None);
    }
}
