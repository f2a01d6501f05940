//! From a tree to typed settings: one call a key, which names it, its type and its bounds.
//!
//! A settings struct starts at its defaults and reads over them. A key that is absent changes
//! nothing; a bad value is reported and changes nothing; a key nobody asked for is reported and
//! ignored (reference: transports-auth §12, "unknown keys: ignored"). Each call also notes the key
//! with its default, which is how the sample files are held to the code.

use std::collections::HashSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Position};
use super::token::shorten;
use super::tree::{Group, Value};

/// The default of a key that has none, as written in [`Key::default`] and in the sample files.
pub const NONE: &str = "none";

/// One key that the code knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The group it stands in.
    pub section: String,
    /// Its name.
    pub name: &'static str,
    /// Its default as the grammar writes it (`true`, `60`, `"/janus"`, `[ ]`), or [`NONE`].
    pub default: String,
}

/// Settings that are read from a file of their own.
pub trait Configured: Default {
    /// Reads over the current values.
    fn read(&mut self, reading: &mut Reading<'_>);

    /// The settings that `tree` gives, and what was found wrong in it.
    fn from_tree(tree: &Group) -> (Self, Vec<Diagnostic>) {
        let mut settings = Self::default();
        let mut reading = Reading::new(tree);
        settings.read(&mut reading);
        (settings, reading.finish())
    }

    /// Every key there is, with its default.
    fn keys() -> Vec<Key> {
        let nothing = Group::new();
        let mut reading = Reading::new(&nothing);
        Self::default().read(&mut reading);
        reading.keys
    }
}

/// A word that stands for a value: `"udp"`, `"auto"`.
pub trait Word: Copy + PartialEq + 'static {
    /// All words, each with its value; compared ignoring case. The first word of a value is the
    /// one it is written with.
    const WORDS: &'static [(&'static str, Self)];

    /// The word of this value.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }

    /// The value of this word.
    fn from_word(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, v)| *v)
    }
}

/// A number type that settings can have.
pub trait Number: Copy + PartialOrd + Display + TryFrom<u64> {}
impl<N: Copy + PartialOrd + Display + TryFrom<u64>> Number for N {}

/// One reading of one tree: the findings and the keys, over all its sections.
pub struct Reading<'t> {
    tree: &'t Group,
    sections: HashSet<String>,
    keys: Vec<Key>,
    diagnostics: Vec<Diagnostic>,
}

impl<'t> Reading<'t> {
    /// Begins to read `tree`.
    pub fn new(tree: &'t Group) -> Self {
        Self { tree, sections: HashSet::new(), keys: Vec::new(), diagnostics: Vec::new() }
    }

    /// The tree that is read.
    pub fn tree(&self) -> &'t Group {
        self.tree
    }

    /// Reads the group called `name`, or its defaults if there is none. Keys of the group that
    /// `read` does not ask for are reported.
    pub fn section(&mut self, name: &str, read: impl FnOnce(&mut Section<'_>)) {
        self.section_of(name, self.tree.group(name), read);
    }

    /// Reads a group found by other means, such as one room of many.
    pub fn section_of(
        &mut self,
        name: &str,
        group: Option<&Group>,
        read: impl FnOnce(&mut Section<'_>),
    ) {
        let found = std::mem::take(&mut self.diagnostics);
        let mut section = Section { name, group, keys: Vec::new(), diagnostics: found };
        read(&mut section);
        section.report_unknown();
        self.sections.insert(name.to_ascii_lowercase());
        self.keys.append(&mut section.keys);
        self.diagnostics = section.diagnostics;
    }

    /// Adds a finding of the caller's.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        report(&mut self.diagnostics, diagnostic);
    }

    /// The findings in the order of the file, with one for each outermost name that no section was
    /// read for.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        for entry in self.tree.entries() {
            if !self.sections.contains(&entry.name.to_ascii_lowercase()) {
                let message = format!("unknown section `{}` ignored", shorten(&entry.name));
                report(&mut self.diagnostics, Diagnostic::warning(&entry.at, message));
            } else if entry.value.group().is_none() {
                let message = format!("`{}` expects a group in {{ }}; ignored", entry.name);
                report(&mut self.diagnostics, Diagnostic::warning(&entry.at, message));
            }
        }
        let place = |found: &Diagnostic| (found.file.clone(), found.line, found.column);
        self.diagnostics.sort_by_key(place);
        self.diagnostics
    }
}

fn report(diagnostics: &mut Vec<Diagnostic>, diagnostic: Diagnostic) {
    if diagnostics.len() < MAX_DIAGNOSTICS {
        diagnostics.push(diagnostic);
    }
}

/// One group while it is read.
pub struct Section<'g> {
    name: &'g str,
    group: Option<&'g Group>,
    keys: Vec<Key>,
    diagnostics: Vec<Diagnostic>,
}

impl<'g> Section<'g> {
    /// A boolean: true for `true`, `yes`, `1` in any case, false for any other scalar; one that is
    /// not `false`, `no`, `0` either is reported all the same.
    pub fn flag(&mut self, name: &'static str, into: &mut bool) {
        let default = into.to_string();
        self.value(name, default, "true or false", into, Value::bool);
        let Some(entry) = self.group.and_then(|group| group.entry(name)) else { return };
        let known = ["true", "yes", "1", "false", "no", "0"];
        if let Some(text) = entry.value.text()
            && !known.iter().any(|word| text.trim().eq_ignore_ascii_case(word))
        {
            let message = format!("`{name}` expects true or false; `{}` is false", shorten(&text));
            report(&mut self.diagnostics, Diagnostic::warning(&entry.at, message));
        }
    }

    /// A number within `bounds`, both ends included, in `unit`.
    pub fn number<N: Number>(
        &mut self,
        name: &'static str,
        into: &mut N,
        bounds: RangeInclusive<N>,
        unit: &str,
    ) {
        let default = into.to_string();
        let expected = number_expected(&bounds, unit);
        self.value(name, default, &expected, into, |value| bounded(value, &bounds));
    }

    /// As [`number`](Self::number), for a key without a default.
    pub fn number_option<N: Number>(
        &mut self,
        name: &'static str,
        into: &mut Option<N>,
        bounds: RangeInclusive<N>,
        unit: &str,
    ) {
        let default = into.map_or_else(|| NONE.to_owned(), |number| number.to_string());
        let expected = number_expected(&bounds, unit);
        self.value(name, default, &expected, into, |value| bounded(value, &bounds).map(Some));
    }

    /// A text that cannot be empty.
    pub fn text(&mut self, name: &'static str, into: &mut String) {
        let default = quoted(into);
        self.value(name, default, "a text that is not empty", into, |value| {
            value.text().filter(|text| !text.is_empty()).map(|text| text.into_owned())
        });
    }

    /// A text that may be absent; an empty one is none.
    pub fn text_option(&mut self, name: &'static str, into: &mut Option<String>) {
        let default = into.as_deref().map_or_else(|| NONE.to_owned(), quoted);
        self.value(name, default, "a text", into, |value| {
            value.text().map(|text| Some(text.into_owned()).filter(|text| !text.is_empty()))
        });
    }

    /// One of the words of `W`.
    pub fn word<W: Word>(&mut self, name: &'static str, into: &mut W) {
        let words: Vec<&str> = W::WORDS.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of {}", words.join(", "));
        let default = quoted(into.word());
        self.value(name, default, &expected, into, |value| W::from_word(&value.text()?));
    }

    /// Anything that has a parser: `parse` gives `None` for what is not `expected`.
    pub fn parsed<T>(
        &mut self,
        name: &'static str,
        into: &mut T,
        default: impl Into<String>,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) {
        self.value(name, default.into(), expected, into, |value| parse(&value.text()?));
    }

    /// Texts, as an array, a list, or one text with commas. White space around each is dropped,
    /// and so are empty ones.
    pub fn words(&mut self, name: &'static str, into: &mut Vec<String>) {
        self.items(name, into, "texts, as an array or separated by commas", |item| {
            Some(vec![item.trim().to_owned()].into_iter().filter(|item| !item.is_empty()).collect())
        });
    }

    /// As [`words`](Self::words), with the white space kept: lists where Janus compares an entry
    /// as it stands, so that one with a leading space has no effect.
    pub fn words_as_they_stand(&mut self, name: &'static str, into: &mut Vec<String>) {
        self.items(name, into, "texts, as an array or separated by commas", |item| {
            Some(vec![item.to_owned()].into_iter().filter(|item| !item.is_empty()).collect())
        });
    }

    /// A list of anything, as an array, a list, or one text with commas. `parse` turns one item
    /// into any number of values, or `None` for what is not `expected`: that item is reported and
    /// left out. The default of such a key is always empty.
    pub fn items<T>(
        &mut self,
        name: &'static str,
        into: &mut Vec<T>,
        expected: &str,
        parse: impl Fn(&str) -> Option<Vec<T>>,
    ) {
        self.note(name, "[ ]".to_owned());
        let Some(entry) = self.group.and_then(|group| group.entry(name)) else { return };
        let mut found = Vec::new();
        let mut item = |value: &Value, at: &Position, text: Option<&str>| match text
            .and_then(|text| if text.is_empty() { Some(vec![]) } else { parse(text) })
        {
            Some(values) => found.extend(values),
            None => {
                let what = text.map_or_else(|| value.kind().to_owned(), shorten);
                let message = format!("`{name}` expects {expected}; {what} left out");
                report(&mut self.diagnostics, Diagnostic::warning(at, message));
            }
        };
        match &entry.value {
            Value::Array(elements) | Value::List(elements) => {
                for element in elements {
                    item(&element.value, &element.at, element.value.text().as_deref());
                }
            }
            value => match value.text() {
                Some(text) => text.split(',').for_each(|part| item(value, &entry.at, Some(part))),
                None => item(value, &entry.at, None),
            },
        }
        *into = found;
    }

    /// A key that Janus has and that has nothing to set here: accepted, ignored.
    pub fn accepted(&mut self, name: &'static str) {
        self.note(name, NONE.to_owned());
    }

    /// The former name of a flag: read where the group has it, and not documented.
    pub fn former_flag(&mut self, name: &'static str, into: &mut bool) {
        if self.has(name) {
            self.flag(name, into);
        }
    }

    /// The raw value of a key, for what has a form of its own; notes the key.
    pub fn raw(&mut self, name: &'static str) -> Option<&'g Value> {
        self.note(name, NONE.to_owned());
        self.group?.get(name)
    }

    /// Whether the group has this key.
    pub fn has(&self, name: &str) -> bool {
        self.group.is_some_and(|group| group.entry(name).is_some())
    }

    /// Adds a finding at the place of a key, if the group has it.
    pub fn warn(&mut self, name: &str, message: impl Into<String>) {
        if let Some(entry) = self.group.and_then(|group| group.entry(name)) {
            report(&mut self.diagnostics, Diagnostic::warning(&entry.at, message));
        }
    }

    fn value<T>(
        &mut self,
        name: &'static str,
        default: String,
        expected: &str,
        into: &mut T,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) {
        self.note(name, default.clone());
        let Some(entry) = self.group.and_then(|group| group.entry(name)) else { return };
        match parse(&entry.value) {
            Some(value) => *into = value,
            None => {
                let found = entry.value.text();
                let found = found.map_or_else(|| entry.value.kind().to_owned(), |t| shorten(&t));
                let message =
                    format!("`{name}` expects {expected}, found {found}; {default} stays");
                report(&mut self.diagnostics, Diagnostic::warning(&entry.at, message));
            }
        }
    }

    fn note(&mut self, name: &'static str, default: String) {
        self.keys.push(Key { section: self.name.to_owned(), name, default });
    }

    fn report_unknown(&mut self) {
        let mut seen = HashSet::new();
        for entry in self.group.map_or(&[][..], Group::entries) {
            let lower = entry.name.to_ascii_lowercase();
            let known = self.keys.iter().any(|key| key.name == lower);
            let name = shorten(&entry.name);
            let message = match (known, seen.insert(lower)) {
                (true, true) => continue,
                (true, false) => format!("`{name}` is set twice; the first counts"),
                (false, _) => format!("unknown key `{name}` in `{}` ignored", shorten(self.name)),
            };
            report(&mut self.diagnostics, Diagnostic::warning(&entry.at, message));
        }
    }
}

fn bounded<N: Number>(value: &Value, bounds: &RangeInclusive<N>) -> Option<N> {
    N::try_from(value.u64()?).ok().filter(|number| bounds.contains(number))
}

fn number_expected<N: Number>(bounds: &RangeInclusive<N>, unit: &str) -> String {
    let gap = if unit.is_empty() { "" } else { " " };
    format!("an integer from {} to {}{gap}{unit}", bounds.start(), bounds.end())
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
