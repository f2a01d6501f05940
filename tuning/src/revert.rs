//! Restoring what was recorded.
//!
//! Backwards, since what came later was built on what came before; then once more forwards, for
//! what a change of the number of queues took along. A value that is neither what was before nor
//! what we left belongs to somebody else by now: it stays, unless forced.

use crate::apply::{Outcome, shown};
use crate::host::Host;
use crate::setting::Setting;
use crate::state::{Entry, State};

/// Restores what the file `path` records; with `force` also what somebody else changed since.
/// The file goes when everything is as it was, and keeps what is not.
///
/// # Errors
/// A sentence where the record cannot be read or written.
pub fn revert(host: &Host, path: &str, force: bool) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let Some(mut state) = State::load(host, path)? else {
        outcome.remarks.push("Nothing is recorded: there is nothing to restore.".to_owned());
        return Ok(outcome);
    };
    let is_foreign = |entry: &Entry| !force && belongs_elsewhere(host, entry);
    let (foreign, ours): (Vec<Entry>, Vec<Entry>) =
        state.entries.iter().cloned().partition(is_foreign);
    for entry in &foreign {
        let is = shown(entry.setting.present(host).as_deref());
        outcome.remarks.push(format!(
            "{}: somebody made it {is} since; it is left so (it was {})",
            entry.setting,
            shown(entry.was.as_deref())
        ));
    }
    for entry in ours.iter().rev() {
        // What fails here fails for now: it is tried again below.
        if let Ok(Some(done)) = restore(host, entry, true) {
            outcome.done.push(done);
            if entry.setting.disturbs() {
                state.note(host, &entry.setting);
                state.save(host, path)?;
            }
        }
    }
    let foreign: Vec<Setting> = foreign.into_iter().map(|entry| entry.setting).collect();
    let mut failed = Vec::new();
    for entry in ours {
        match restore(host, &entry, false) {
            Ok(done) => outcome.done.extend(done),
            Err(error) => {
                outcome.failures.push(format!("{}: {error}", entry.setting));
                failed.push(entry.setting);
            }
        }
    }
    state.retain(host, &foreign, &failed);
    if state.entries.is_empty() {
        state.forget(host, path)?
    } else {
        state.save(host, path)?
    }
    Ok(outcome)
}

fn belongs_elsewhere(host: &Host, entry: &Entry) -> bool {
    let now = entry.setting.present(host);
    now.is_some() && now != entry.was && now != entry.left && now != entry.goal
}

/// Makes a setting what it was; a line if there was something to do.
fn restore(host: &Host, entry: &Entry, backwards: bool) -> Result<Option<String>, String> {
    let setting = &entry.setting;
    let now = setting.present(host);
    if setting.is_hidden(host) {
        return Err("its rules cannot be listed now".to_owned());
    }
    let absent = now.is_none() && !matches!(setting, Setting::Steer { .. } | Setting::Limits);
    if now == entry.was || (absent && setting.is_gone(host)) {
        return Ok(None);
    }
    if absent {
        return Err(format!("it cannot be read now; it was {}", shown(entry.was.as_deref())));
    }
    let steps = match setting {
        // The driver's own table: it follows the number of queues, which is restored after it.
        Setting::Indirection { dev } if backwards => {
            vec![crate::step::Step::run(&format!("ethtool -X {dev} default"))]
        }
        _ => setting.steps(host, entry.was.as_deref())?,
    };
    for step in steps {
        host.perform(&step)?;
    }
    let after = setting.present(host);
    if after != entry.was && !backwards {
        return Err(format!("it took {}", shown(after.as_deref())));
    }
    Ok(Some(format!("{setting}: {} -> {}", shown(now.as_deref()), shown(after.as_deref()))))
}
