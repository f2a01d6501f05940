//! A configuration as a tree of named values: what a file holds, whichever grammar it was in.
//!
//! Every entry and element keeps the place it was read from. Names are compared ignoring case and
//! any scalar can be asked for as text, number or boolean (reference: transports-auth §12), so
//! `port = 8088` and `Port = "8088"` are one setting. Groups are searched from the front: they hold
//! tens of entries, the file with thousands (permanent rooms) is walked once, at the start.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use super::diagnostic::Position;

/// One value. Two values are equal when they would print alike; places do not count.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// An integer, from decimal or hexadecimal.
    Int(i64),
    /// A finite floating point number.
    Float(f64),
    /// A quoted text; adjacent ones are already joined.
    Text(String),
    /// `[ … ]`: scalars.
    Array(Vec<Element>),
    /// `( … )`: anything.
    List(Vec<Element>),
    /// `{ … }`: named entries.
    Group(Group),
}

impl Value {
    /// The scalar as text: `true`, `8088`, `0.5`, or the text itself. `None` for the rest.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
            Self::Int(number) => Some(Cow::Owned(number.to_string())),
            Self::Float(number) => Some(Cow::Owned(format!("{number:?}"))),
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Array(_) | Self::List(_) | Self::Group(_) => None,
        }
    }

    /// The scalar as a boolean: true for `true`, `yes` and `1` in any case, false for any other
    /// scalar. `None` for arrays, lists and groups.
    pub fn bool(&self) -> Option<bool> {
        let text = self.text()?;
        Some(["true", "yes", "1"].iter().any(|word| text.trim().eq_ignore_ascii_case(word)))
    }

    /// The scalar as an unsigned number, `None` when it is not one.
    pub fn u64(&self) -> Option<u64> {
        self.text()?.trim().parse().ok()
    }

    /// The scalar as a signed number, `None` when it is not one.
    pub fn i64(&self) -> Option<i64> {
        self.text()?.trim().parse().ok()
    }

    /// The scalar as a finite floating point number, `None` when it is not one.
    pub fn f64(&self) -> Option<f64> {
        self.text()?.trim().parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// The elements of an array or a list; nothing for the rest.
    pub fn elements(&self) -> &[Element] {
        match self {
            Self::Array(elements) | Self::List(elements) => elements,
            _ => &[],
        }
    }

    /// The group, if it is one.
    pub fn group(&self) -> Option<&Group> {
        match self {
            Self::Group(group) => Some(group),
            _ => None,
        }
    }

    /// What the value is, in the words of an error message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a floating point number",
            Self::Text(_) => "a text",
            Self::Array(_) => "an array",
            Self::List(_) => "a list",
            Self::Group(_) => "a group",
        }
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(i64::from(number))
    }
}

impl From<u64> for Value {
    /// Numbers past `i64::MAX`, which the grammar cannot write, become text.
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or_else(|_| Self::Text(number.to_string()), Self::Int)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Group> for Value {
    fn from(group: Group) -> Self {
        Self::Group(group)
    }
}

/// An element of an array or a list, with its place.
#[derive(Debug, Clone)]
pub struct Element {
    /// The value.
    pub value: Value,
    /// Where it begins.
    pub at: Position,
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<V: Into<Value>> From<V> for Element {
    fn from(value: V) -> Self {
        Self { value: value.into(), at: Position::default() }
    }
}

/// A named value of a group, with the place of its name.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name as written.
    pub name: String,
    /// The value.
    pub value: Value,
    /// Where the name begins.
    pub at: Position,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.value == other.value
    }
}

/// Named values in the order of the file. Lookups ignore case; of two names that differ only in
/// case the first counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    entries: Vec<Entry>,
}

impl Group {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// All entries in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of this name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// The scalar of this name as text.
    pub fn get_str(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name)?.text()
    }

    /// The scalar of this name as a boolean (see [`Value::bool`]).
    pub fn get_bool(&self, name: &str) -> Option<bool> {
        self.get(name)?.bool()
    }

    /// The scalar of this name as an unsigned number.
    pub fn get_u64(&self, name: &str) -> Option<u64> {
        self.get(name)?.u64()
    }

    /// The scalar of this name as a signed number.
    pub fn get_i64(&self, name: &str) -> Option<i64> {
        self.get(name)?.i64()
    }

    /// The scalar of this name as a finite floating point number.
    pub fn get_f64(&self, name: &str) -> Option<f64> {
        self.get(name)?.f64()
    }

    /// The elements of the array or list of this name; nothing when there is none.
    pub fn get_elements(&self, name: &str) -> &[Element] {
        self.get(name).map_or(&[], Value::elements)
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.get(name)?.group()
    }

    /// The groups among the entries, in the order of the file: rooms, mountpoints.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.entries.iter().filter_map(|entry| Some((entry.name.as_str(), entry.value.group()?)))
    }

    /// Sets a value: in place if the name is there (its place and spelling stay), else at the end.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let known = self.entries.iter_mut().find(|entry| entry.name.eq_ignore_ascii_case(name));
        match known {
            Some(entry) => entry.value = value,
            None => self.push(name.to_owned(), value, Position::default()),
        }
    }

    /// Takes a value out, if the name is there.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.entries.iter().position(|entry| entry.name.eq_ignore_ascii_case(name))?;
        Some(self.entries.remove(index).value)
    }

    /// The group of this name for changing, made at the end if the name is not there. `None` when
    /// the name belongs to something that is not a group.
    pub fn group_mut(&mut self, name: &str) -> Option<&mut Group> {
        if self.entry(name).is_none() {
            self.push(name.to_owned(), Value::Group(Group::new()), Position::default());
        }
        self.entries.iter_mut().find(|entry| entry.name.eq_ignore_ascii_case(name)).and_then(
            |entry| match &mut entry.value {
                Value::Group(group) => Some(group),
                _ => None,
            },
        )
    }

    pub(super) fn push(&mut self, name: String, value: Value, at: Position) {
        self.entries.push(Entry { name, value, at });
    }
}

/// A whole file: its name and its outermost group, which it can be used as.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The file it was read from, as the caller named it; empty if made by the program.
    pub file: String,
    /// The outermost group: `general`, `room-1234` and so on.
    pub root: Group,
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}

impl Deref for Tree {
    type Target = Group;

    fn deref(&self) -> &Group {
        &self.root
    }
}

impl DerefMut for Tree {
    fn deref_mut(&mut self) -> &mut Group {
        &mut self.root
    }
}
