//! `trickle`: the client's candidates, early ones included (core-api §3.11).

use super::Core;
use bifrons_core::api::{ApiError, Candidate, ErrorCode, Trickle};
use bifrons_core::plugin::HandleKey;
use serde_json::{Map, Value};

impl Core {
    /// Uses the candidates, or keeps them unread until the offer/answer exchange is complete.
    pub(super) fn trickle(
        &mut self,
        key: HandleKey,
        fields: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        let trickle = Trickle::read(fields)?;
        if self.negotiator.accepts_candidates(key) {
            self.apply_early(key);
            return self.apply_trickle(key, &trickle);
        }
        let now = self.now.at;
        if let Some(handle) = self.sessions.find_mut(key) {
            self.counters.early_dropped += handle.early.push(now, trickle);
        }
        Ok(())
    }

    /// Uses what waited, if it is time; what waited too long is dropped without a word.
    pub(super) fn apply_early(&mut self, key: HandleKey) {
        if !self.negotiator.accepts_candidates(key) {
            return;
        }
        let Some(handle) = self.sessions.find_mut(key) else { return };
        for (since, trickle) in handle.early.take() {
            if self.now.at.saturating_duration_since(since) > self.settings.candidates_timeout {
                self.counters.early_dropped += 1;
                continue;
            }
            // It was acknowledged long ago: nobody is left to hear of an error.
            let _ = self.apply_trickle(key, &trickle);
        }
    }

    fn apply_trickle(&mut self, key: HandleKey, trickle: &Trickle) -> Result<(), ApiError> {
        match trickle {
            Trickle::One(value) => self.apply_candidate(key, Candidate::read(value)?),
            Trickle::Many(Value::Array(values)) => {
                // In an array, an element that is no object is as bad as one with bad fields.
                let objects = values.iter().filter(|value| value.is_object());
                for candidate in objects.filter_map(|value| Candidate::read(value).ok()) {
                    self.apply_candidate(key, candidate);
                }
            }
            Trickle::Many(_) => {
                let text = "candidates is not an array";
                return Err(ApiError::new(ErrorCode::InvalidElementType, text));
            }
        }
        Ok(())
    }

    /// Everything is bundled, so only candidates of the first line matter. An empty candidate, or
    /// an `end-of-candidates` line, does not end them: only `completed` does.
    fn apply_candidate(&mut self, key: HandleKey, candidate: Candidate) {
        match candidate {
            Candidate::End => self.negotiator.end_of_candidates(key),
            Candidate::Line { mid, mindex, line } => {
                let other_index = mindex.is_some_and(|index| index > 0);
                let first = self.negotiator.first_mid(key);
                let other_mid = matches!((&mid, first), (Some(mid), Some(first)) if mid != first);
                let empty = line.is_empty() || line.contains("end-of-candidates");
                if !(other_index || other_mid || empty) {
                    self.note_candidate(key, &line, true);
                    self.negotiator.candidate(key, &line);
                }
            }
        }
    }
}
