//! The older .cfg form: `[section]`, `key = value` or `key => value`, `;` comments, `\;` for a
//! semicolon (reference: transports-auth §12). It yields the same tree as .jcfg, with texts only.
//!
//! Lines that mean nothing are reported and skipped, because Janus lives with them too. Bounds:
//! [`super::token::MAX_BYTES`], [`super::token::MAX_TOKENS`] keys; linear in the text.

use std::collections::HashMap;
use std::sync::Arc;

use winnow::ascii::space0;
use winnow::combinator::{alt, delimited, preceded, separated_pair};
use winnow::prelude::*;
use winnow::token::{rest, take_till};

use super::diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Position};
use super::token::{MAX_BYTES, MAX_TOKENS, Parsed, shorten};
use super::tree::{Group, Tree, Value};

/// What one line says.
#[derive(Debug, PartialEq)]
enum Line<'t> {
    Section(&'t str),
    Setting(&'t str, &'t str),
}

/// Reads a .cfg text; the findings are warnings about lines that were skipped.
///
/// # Errors
/// A fatal finding when the text passes a bound.
pub fn read(file: &str, text: &str) -> Result<(Tree, Vec<Diagnostic>), Diagnostic> {
    if text.len() > MAX_BYTES {
        return Err(Diagnostic::fatal(
            &Position::whole(file),
            format!("more than {MAX_BYTES} bytes"),
        ));
    }
    let mut sections = Sections::default();
    let mut diagnostics = Vec::new();
    let mut at = Position::start_of(Arc::from(file));
    for full in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
        let code = without_comment(full);
        match line.parse(code.as_str().trim()) {
            _ if code.trim().is_empty() => {}
            Ok(Line::Section(name)) => sections.open(name, &at),
            Ok(Line::Setting(name, value)) => sections.set(name, value, &at)?,
            Err(_) if diagnostics.len() < MAX_DIAGNOSTICS => {
                let message = "expected `[section]`, `key = value` or `; comment`; line skipped";
                diagnostics.push(Diagnostic::warning(&at, message));
            }
            Err(_) => {}
        }
        at.line = at.line.saturating_add(1);
    }
    Ok((Tree { file: file.to_owned(), root: sections.tree() }, diagnostics))
}

fn line<'t>(input: &mut &'t str) -> Parsed<Line<'t>> {
    let section = delimited('[', take_till(1.., ']'), ']').map(|name: &str| name.trim());
    let key = take_till(1.., '=').map(|name: &str| name.trim());
    let sign = alt(("=>", "="));
    let value = preceded(space0, rest).map(|value: &str| value.trim());
    alt((
        section.verify(|name: &str| !name.is_empty()).map(Line::Section),
        separated_pair(key.verify(|name: &str| !name.is_empty()), sign, value)
            .map(|(key, value)| Line::Setting(key, value)),
    ))
    .parse_next(input)
}

/// The line up to its comment, with `\;` made a plain semicolon.
fn without_comment(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ';' => break,
            '\\' if chars.next_if_eq(&';').is_some() => code.push(';'),
            c => code.push(c),
        }
    }
    code
}

/// The sections so far; a section named again goes on where it stopped.
#[derive(Default)]
struct Sections {
    top: Group,
    groups: Vec<(String, Position, Group)>,
    by_name: HashMap<String, usize>,
    current: Option<usize>,
    settings: usize,
}

impl Sections {
    fn open(&mut self, name: &str, at: &Position) {
        let next = self.groups.len();
        let index = *self.by_name.entry(name.to_ascii_lowercase()).or_insert(next);
        if index == next {
            self.groups.push((name.to_owned(), at.clone(), Group::new()));
        }
        self.current = Some(index);
    }

    fn set(&mut self, name: &str, value: &str, at: &Position) -> Result<(), Diagnostic> {
        self.settings += 1;
        if self.settings > MAX_TOKENS {
            let message = format!("more than {MAX_TOKENS} settings, at {}", shorten(name));
            return Err(Diagnostic::fatal(at, message));
        }
        let index = self.current.unwrap_or(usize::MAX);
        let group = self.groups.get_mut(index).map_or(&mut self.top, |(_, _, group)| group);
        group.push(name.to_owned(), Value::Text(value.to_owned()), at.clone());
        Ok(())
    }

    fn tree(self) -> Group {
        let mut root = self.top;
        for (name, at, group) in self.groups {
            root.push(name, Value::Group(group), at);
        }
        root
    }
}
