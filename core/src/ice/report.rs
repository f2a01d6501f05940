//! What an agent knows and what it has told: events come out as the difference.
//!
//! Holds the addresses whose packets passed an integrity check, at most [`MAX_ADDRESSES`], the
//! selected pair and the state. All of it is inline: no allocation, no queue.

use std::time::{Duration, Instant};

use super::agent::{AddressPair, IceEvent, IceState, SelectedPair};

/// Most address pairs of one peer that are valid at a time.
pub const MAX_ADDRESSES: usize = 8;

/// A pair silent for this long gives its place to a new one; a nominated newcomer does not wait.
const REPLACEABLE_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct Entry {
    pair: AddressPair,
    heard: Instant,
    told: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    entry: Option<Entry>,
    /// A former tenant the owner knows of and has to forget.
    retiring: Option<AddressPair>,
}

/// The reported half of an agent.
#[derive(Debug, Default)]
pub(super) struct Report {
    places: [Place; MAX_ADDRESSES],
    selected: Option<SelectedPair>,
    told_selected: Option<SelectedPair>,
    state: IceState,
    told_state: IceState,
    /// Nothing to tell unless set: keeps the common poll to one test.
    dirty: bool,
}

impl Report {
    /// Notes a packet from `pair` that passed its integrity check. False if the pair is new and
    /// there is no place for it. `nominated` takes the place of the longest silent one at once.
    pub(super) fn heard(&mut self, now: Instant, pair: AddressPair, nominated: bool) -> bool {
        let entries = self.places.iter_mut().filter_map(|p| p.entry.as_mut());
        if let Some(known) = entries.into_iter().find(|e| e.pair == pair) {
            known.heard = now;
            return true;
        }
        let Some(place) = self.free_place(now, nominated) else { return false };
        if let Some(old) = place.entry.replace(Entry { pair, heard: now, told: false })
            && old.told
        {
            place.retiring = Some(old.pair);
        }
        self.dirty = true;
        true
    }

    /// An empty place, else the longest silent one, never the selected pair's.
    fn free_place(&mut self, now: Instant, nominated: bool) -> Option<&mut Place> {
        let selected = self.selected.map(|s| s.pair);
        let place = self
            .places
            .iter_mut()
            .filter(|p| p.entry.is_none_or(|e| Some(e.pair) != selected))
            .min_by_key(|p| p.entry.map(|e| e.heard))?;
        let free = place.entry.is_none_or(|e| {
            nominated || now.saturating_duration_since(e.heard) >= REPLACEABLE_AFTER
        });
        free.then_some(place)
    }

    /// When a packet last came over `pair`.
    pub(super) fn last_heard(&self, pair: AddressPair) -> Option<Instant> {
        let entries = self.places.iter().filter_map(|p| p.entry.as_ref());
        entries.into_iter().find(|e| e.pair == pair).map(|e| e.heard)
    }

    pub(super) fn selected(&self) -> Option<SelectedPair> {
        self.selected
    }

    pub(super) fn select(&mut self, selected: SelectedPair) {
        self.selected = Some(selected);
        self.dirty = true;
    }

    pub(super) fn state(&self) -> IceState {
        self.state
    }

    pub(super) fn set_state(&mut self, state: IceState) {
        self.state = state;
        self.dirty = true;
    }

    /// The next difference: addresses, then the selected pair, then the state.
    pub(super) fn poll(&mut self) -> Option<IceEvent> {
        if !self.dirty {
            return None;
        }
        let event = self.next_difference();
        self.dirty = event.is_some();
        event
    }

    fn next_difference(&mut self) -> Option<IceEvent> {
        for place in &mut self.places {
            if let Some(pair) = place.retiring.take() {
                return Some(IceEvent::RetiredAddress(pair));
            }
            if let Some(entry) = place.entry.as_mut().filter(|e| !e.told) {
                entry.told = true;
                return Some(IceEvent::ValidatedAddress(entry.pair));
            }
        }
        if self.selected != self.told_selected {
            self.told_selected = self.selected;
            return self.selected.map(IceEvent::SelectedPair);
        }
        if self.state == self.told_state {
            return None;
        }
        self.told_state = self.state;
        match self.state {
            IceState::New => None,
            IceState::Checking => Some(IceEvent::Checking),
            IceState::Connected => Some(IceEvent::Connected),
            IceState::Disconnected => Some(IceEvent::Disconnected),
            IceState::Failed => Some(IceEvent::Failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ice::CandidateKind;

    fn pair(port: u16) -> AddressPair {
        AddressPair {
            local: ([192, 0, 2, 1], 9000).into(),
            remote: ([198, 51, 100, 1], port).into(),
        }
    }

    fn selected(port: u16) -> SelectedPair {
        SelectedPair {
            pair: pair(port),
            local_kind: CandidateKind::Host,
            remote_kind: CandidateKind::PeerReflexive,
        }
    }

    fn drain(report: &mut Report) -> Vec<IceEvent> {
        std::iter::from_fn(|| report.poll()).collect()
    }

    #[test]
    fn a_full_table_keeps_the_selected_pair_and_drops_the_longest_silent() {
        let start = Instant::now();
        let mut report = Report::default();
        for port in 0..8 {
            assert!(report.heard(start + Duration::from_secs(port.into()), pair(port), false));
        }
        report.select(selected(0));
        assert_eq!(drain(&mut report).len(), 9);

        // Port 1 spoke three seconds ago: not silent enough for a mere check, enough for a
        // nominated one.
        let now = start + Duration::from_secs(4);
        assert!(!report.heard(now, pair(100), false));
        assert!(report.heard(now, pair(101), true));
        let change = [IceEvent::RetiredAddress(pair(1)), IceEvent::ValidatedAddress(pair(101))];
        assert_eq!(drain(&mut report), change);

        let later = start + Duration::from_secs(7);
        assert!(report.heard(later, pair(102), false));
        assert_eq!(drain(&mut report)[0], IceEvent::RetiredAddress(pair(2)));
        assert_eq!(report.last_heard(pair(0)), Some(start));
        assert_eq!(report.last_heard(pair(2)), None);
    }

    #[test]
    fn what_was_never_told_is_never_retired() {
        let now = Instant::now();
        let mut report = Report::default();
        for port in 0..100 {
            assert!(report.heard(now, pair(port), true));
        }
        let events = drain(&mut report);
        assert_eq!(events.len(), MAX_ADDRESSES);
        assert!(events.iter().all(|e| matches!(e, IceEvent::ValidatedAddress(_))));
    }

    #[test]
    fn a_pair_is_validated_then_selected_then_connected() {
        let mut report = Report::default();
        report.set_state(IceState::Connected);
        report.select(selected(1));
        report.heard(Instant::now(), pair(1), true);
        let expected = [
            IceEvent::ValidatedAddress(pair(1)),
            IceEvent::SelectedPair(selected(1)),
            IceEvent::Connected,
        ];
        assert_eq!(drain(&mut report), expected);
        report.select(selected(1));
        assert_eq!(drain(&mut report), [], "selecting the same again is no news");
    }
}
