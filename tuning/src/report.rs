//! Plans and checks as text.

use crate::apply::shown;
use crate::host::Host;
use crate::plan::{Change, Goal, Plan};
use std::fmt::Write;

/// Every change before it is made: what is, what shall be, why, and how.
pub fn plan(host: &Host, plan: &Plan) -> String {
    let mut text = head(plan);
    let mut count = 0;
    for change in plan.changes() {
        count += 1;
        let is = shown(change.fact.value.as_deref());
        let goal = shown(Some(&change.goal.value()));
        let _ = writeln!(text, "\n{}: {is} -> {goal}", change.fact.setting);
        let _ = writeln!(text, "    because {}", change.why);
        match change.fact.setting.steps(host, Some(&change.goal.value())) {
            Ok(steps) => steps.iter().for_each(|step| text.push_str(&format!("    {step}\n"))),
            Err(_) => text.push_str("    (once the queue is there)\n"),
        }
    }
    let _ = match count {
        0 => writeln!(text, "\nNothing to do."),
        1 => writeln!(text, "\n1 change."),
        _ => writeln!(text, "\n{count} changes."),
    };
    notes(&mut text, plan);
    text
}

/// Every setting and how it stands.
pub fn check(plan: &Plan) -> String {
    let mut text = head(plan);
    text.push('\n');
    for change in &plan.rules {
        let (is, goal) = values(change);
        let _ = match change.is_met() {
            true => writeln!(text, "good  {}: {is}", change.fact.setting),
            false => writeln!(
                text,
                "OFF   {}: {is}, should be {goal}: {}",
                change.fact.setting, change.why
            ),
        };
    }
    notes(&mut text, plan);
    let off = plan.changes().count();
    let _ = match off {
        0 => writeln!(text, "\nIn tune."),
        _ => writeln!(text, "\n{off} of {} settings are off.", plan.rules.len()),
    };
    text
}

fn head(plan: &Plan) -> String {
    let layout = &plan.layout;
    let last = (0..layout.shards).rev().find_map(|shard| layout.port(shard));
    let cores: Vec<String> =
        (0..layout.shards).filter_map(|shard| Some(layout.core(shard)?.to_string())).collect();
    let (cores, control) = match (cores.is_empty(), layout.control) {
        (false, Some(control)) => (cores.join(" "), format!("core {control}")),
        _ => ("unknown cores".to_owned(), "an unknown core".to_owned()),
    };
    let cards = if plan.cards.is_empty() { "none".to_owned() } else { plan.cards.join(", ") };
    let ports = match last.unwrap_or(layout.base) {
        last if last == layout.base => format!("port {last}"),
        last => format!("ports {}-{last}", layout.base),
    };
    let shards = layout.shards;
    format!("{shards} shard(s) on {cores}, control on {control}, UDP {ports}, card: {cards}\n")
}

fn values(change: &Change) -> (String, String) {
    let goal = match &change.goal {
        Goal::Be(value) => shown(Some(value)),
        Goal::AtLeast(least) => format!("at least {least}"),
    };
    (shown(change.fact.value.as_deref()), goal)
}

fn notes(text: &mut String, plan: &Plan) {
    if !plan.notes.is_empty() {
        text.push_str("\nTo know:\n");
    }
    for note in &plan.notes {
        let _ = writeln!(text, "  - {note}");
    }
}
