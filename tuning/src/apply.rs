//! Making a plan's changes.

use crate::host::Host;
use crate::plan::{Change, Plan};
use crate::state::State;

/// What came of it. Lines are for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was done, in order.
    pub done: Vec<String>,
    /// What was done otherwise than meant, or left undone with reason.
    pub remarks: Vec<String>,
    /// What failed; nothing was done after it (apply), or these could not be restored (revert).
    pub failures: Vec<String>,
}

/// Makes the changes of `plan`, each previous value recorded in the file `state` before the first
/// one, and stops at the first that fails. With nothing to do it touches nothing.
///
/// # Errors
/// A sentence where the record cannot be read or written; then nothing was changed.
pub fn apply(host: &Host, plan: &Plan, path: &str) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    if plan.changes().next().is_none() {
        return Ok(outcome);
    }
    let mut state = State::load(host, path)?.unwrap_or_else(|| State::new(host, path));
    if let Some(setting) = state.abandoned_by(plan) {
        return Err(format!(
            "an earlier apply, for another plan, set something that this one does not know \
             ({setting}): revert first"
        ));
    }
    plan.kept.iter().for_each(|fact| state.record(fact, None));
    // Also what is met now: a change of the number of queues may set it back.
    for change in &plan.rules {
        let goal = (!change.is_met()).then(|| change.goal.value());
        state.record(&change.fact, goal);
    }
    state.save(host, path)?;
    for change in &plan.rules {
        let now = change.fact.setting.present(host);
        if change.goal.is_met_by(now.as_deref()) {
            continue;
        }
        let made = make(host, change, now.as_deref(), &mut outcome);
        state.note(host, &change.fact.setting);
        if let Err(error) = made.and_then(|()| state.save(host, path)) {
            outcome.failures.push(format!("{}: {error}", change.fact.setting));
            break;
        }
    }
    Ok(outcome)
}

fn make(
    host: &Host,
    change: &Change,
    before: Option<&str>,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let (setting, goal) = (&change.fact.setting, change.goal.value());
    for step in setting.steps(host, Some(&goal))? {
        host.perform(&step)?;
    }
    let after = setting.present(host);
    outcome.done.push(format!("{setting}: {} -> {}", shown(before), shown(after.as_deref())));
    if !change.goal.is_met_by(after.as_deref()) {
        let after = shown(after.as_deref());
        outcome.remarks.push(format!("{setting}: asked for {goal}, and it took {after}"));
    }
    Ok(())
}

/// A value for people.
pub(crate) fn shown(value: Option<&str>) -> String {
    match value {
        None => "not there".to_owned(),
        Some("") => "none".to_owned(),
        Some(value) if value.contains('\n') => {
            let lines = value.lines().filter(|line| !line.starts_with(['#', '[']));
            lines.collect::<Vec<_>>().join(" ")
        }
        Some(value) => value.to_owned(),
    }
}
