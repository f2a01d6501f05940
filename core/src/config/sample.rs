//! The convention of the sample files in `conf/`, so that a test can hold them to the code.
//!
//! A setting stands there as `name = value`, or at rest as `#name = value` with no space after the
//! `#`. The comment line before it ends in `Default: value`, in the grammar's own notation, or in
//! `Default: none`.

use super::diagnostic::Diagnostic;
use super::section::{Key, NONE};
use super::tree::{Group, Value};
use super::{jcfg, token};

/// A setting of a sample, with what its comment says.
#[derive(Debug, Clone, PartialEq)]
pub struct Documented {
    /// The group it stands in.
    pub section: String,
    /// Its name.
    pub name: String,
    /// The default its comment gives, in the grammar's notation; empty if the comment has none.
    pub default: String,
    /// Whether it stands at rest.
    pub is_at_rest: bool,
    /// The value it stands with, or would have if woken.
    pub value: Value,
}

/// The sample with every setting at rest woken up.
pub fn woken(text: &str) -> String {
    let wake = |line: &str| match resting(line) {
        Some(setting) => format!("{setting}\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(wake).collect()
}

/// Every setting of a sample, in order.
///
/// # Errors
/// What is wrong with the grammar once every setting is woken up.
pub fn documented(text: &str) -> Result<Vec<Documented>, Diagnostic> {
    let tree = jcfg::read_alone("sample", &woken(text))?;
    let mut lines = text.lines().map(str::trim);
    let mut all = Vec::new();
    for (section, group) in tree.groups() {
        for entry in group.entries() {
            let mut default = String::new();
            let line = lines.by_ref().find(|line| {
                let found = name_of(line) == Some(entry.name.as_str());
                if !found {
                    default = default_of(line).unwrap_or_default();
                }
                found
            });
            all.push(Documented {
                section: section.to_owned(),
                name: entry.name.clone(),
                default,
                is_at_rest: line.is_some_and(|line| line.starts_with('#')),
                value: entry.value.clone(),
            });
        }
    }
    Ok(all)
}

/// What a sample and the code disagree on: a key that only one of them has, a default that is not
/// the same, a setting at rest whose value is not its default. Empty when they agree.
///
/// # Errors
/// As [`documented`].
pub fn disagreements(text: &str, keys: &[Key]) -> Result<Vec<String>, Diagnostic> {
    let documented = documented(text)?;
    let mut wrong = Vec::new();
    for key in keys {
        let same = |one: &&Documented| one.section == key.section && one.name == key.name;
        if !documented.iter().any(|one| same(&one)) {
            wrong.push(format!("{}.{} is not in the sample", key.section, key.name));
        }
    }
    for one in &documented {
        let at = format!("{}.{}", one.section, one.name);
        match keys.iter().find(|key| key.section == one.section && key.name == one.name) {
            None => wrong.push(format!("{at} is not in the code")),
            Some(key) if key.default != one.default => wrong.push(format!(
                "{at}: the sample says the default is `{}`, the code `{}`",
                one.default, key.default
            )),
            Some(_) => {}
        }
        if one.is_at_rest && one.default != NONE && written(&one.value) != one.default {
            wrong.push(format!("{at} at rest is not its default `{}`", one.default));
        }
    }
    Ok(wrong)
}

/// A scalar or an empty array as the grammar writes it.
fn written(value: &Value) -> String {
    let mut group = Group::new();
    group.set("x", value.clone());
    let text = jcfg::write(&group).unwrap_or_default();
    text.trim().strip_prefix("x = ").unwrap_or_default().to_owned()
}

fn resting(line: &str) -> Option<&str> {
    let setting = line.trim_start().strip_prefix('#')?;
    name_of_setting(setting).map(|_| setting)
}

fn name_of(line: &str) -> Option<&str> {
    name_of_setting(line.strip_prefix('#').unwrap_or(line))
}

fn name_of_setting(setting: &str) -> Option<&str> {
    let (name, _) = setting.split_once(" =")?;
    token::is_name(name).then_some(name)
}

fn default_of(line: &str) -> Option<String> {
    let (_, default) = line.strip_prefix('#')?.split_once("Default: ")?;
    Some(default.trim().to_owned())
}
