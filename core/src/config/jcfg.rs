//! The .jcfg grammar (libconfig's, reference: transports-auth §12), reading and writing.
//!
//! ```text
//! settings := ( name ( '=' | ':' ) value ( ';' | ',' )? )*
//! value    := scalar | '{' settings '}' | '[' ( scalar ( ',' scalar )* ','? )? ']'
//!           | '(' ( value ( ',' value )* ','? )? ')'
//! scalar   := bool | int | float | text+
//! ```
//!
//! Bounds: those of [`super::token`], and [`MAX_DEPTH`] for groups and lists inside one another,
//! which also bounds the stack. Reading is linear in the text. Writing keeps values, names and
//! order; comments and includes are not part of the tree and are lost, as with Janus.

use std::collections::HashMap;
use std::fmt::Write as _;

use winnow::combinator::{alt, opt};
use winnow::error::ErrMode;
use winnow::prelude::*;
use winnow::stream::TokenSlice;
use winnow::token::any;

use super::diagnostic::{Diagnostic, Position};
use super::token::{self, Bounds, Expected, Include, Parsed, Placed, Token};
use super::tree::{Element, Group, Tree, Value};

/// How deep groups, lists and arrays may stand in one another.
pub const MAX_DEPTH: usize = 32;

type Tokens<'t> = TokenSlice<'t, Placed>;

/// Reads a .jcfg text. `file` is the name for messages; `include` gets the texts of `@include`.
///
/// # Errors
/// A fatal finding with file, line, column and what was expected. Hostile text cannot do more.
pub fn read(file: &str, text: &str, include: &mut Include<'_>) -> Result<Tree, Diagnostic> {
    read_within(file, text, include, token::FULL)
}

pub(super) fn read_within(
    file: &str,
    text: &str,
    include: &mut Include<'_>,
    bounds: Bounds,
) -> Result<Tree, Diagnostic> {
    let placed = token::tokens(file, text, include, bounds)?;
    let mut input = TokenSlice::new(placed.as_slice());
    let group = settings(&mut input, 0).map_err(|error| fault(file, &placed, &input, error))?;
    if input.is_empty() {
        return Ok(Tree { file: file.to_owned(), root: group });
    }
    let stray = ErrMode::Cut(Expected("a name to begin a setting"));
    Err(fault(file, &placed, &input, stray))
}

/// Reads a .jcfg text in which `@include` is refused.
///
/// # Errors
/// As [`read`].
pub fn read_alone(file: &str, text: &str) -> Result<Tree, Diagnostic> {
    read(file, text, &mut |_| Err("includes are not possible here".to_owned()))
}

fn fault(file: &str, placed: &[Placed], rest: &Tokens<'_>, error: ErrMode<Expected>) -> Diagnostic {
    let wanted = match error {
        ErrMode::Backtrack(Expected(wanted)) | ErrMode::Cut(Expected(wanted)) => wanted,
        ErrMode::Incomplete(_) => "more text",
    };
    if let Some(next) = rest.first() {
        if wanted == TAKEN {
            let message = format!("{} is set twice in this group", next.token.describe());
            return Diagnostic::fatal(&next.at, message);
        }
        let found = next.token.describe();
        return Diagnostic::fatal(&next.at, format!("expected {wanted}, found {found}"));
    }
    let end = placed.last().map_or_else(|| Position::whole(file), |last| last.at.clone());
    Diagnostic::fatal(&end, format!("expected {wanted} after this, but the file ends"))
}

/// Marks the one fault that is no expectation: libconfig refuses a name given twice in a group.
const TAKEN: &str = "a name that is not taken";

fn settings(input: &mut Tokens<'_>, depth: usize) -> Parsed<Group> {
    let mut group = Group::new();
    let mut taken = HashMap::new();
    while let Some(Placed { token: Token::Name(name), at }) = input.first().cloned() {
        if taken.insert(name.clone(), ()).is_some() {
            return Err(ErrMode::Cut(Expected(TAKEN)));
        }
        any.parse_next(input)?;
        alt((mark('='), mark(':'))).context("`=` or `:` after the name").parse_next(input)?;
        let value = value(input, depth)?.value;
        opt(alt((mark(';'), mark(',')))).parse_next(input)?;
        group.push(name, value, at);
    }
    Ok(group)
}

fn value(input: &mut Tokens<'_>, depth: usize) -> Parsed<Element> {
    let Some(Placed { token, at }) = input.first() else {
        return Err(ErrMode::Cut(Expected("a value")));
    };
    let at = at.clone();
    let value = match token {
        Token::Mark('{' | '[' | '(') if depth >= MAX_DEPTH => {
            return Err(ErrMode::Cut(Expected("no more than 32 groups and lists in one another")));
        }
        Token::Mark('{') => Value::Group(group(input, depth + 1)?),
        Token::Mark('[') => Value::Array(elements(input, depth + 1, ']', true)?),
        Token::Mark('(') => Value::List(elements(input, depth + 1, ')', false)?),
        _ => scalar(input)?,
    };
    Ok(Element { value, at })
}

fn group(input: &mut Tokens<'_>, depth: usize) -> Parsed<Group> {
    any.parse_next(input)?;
    let group = settings(input, depth)?;
    mark('}').context("a name, or `}` to end the group").parse_next(input)?;
    Ok(group)
}

fn elements(
    input: &mut Tokens<'_>,
    depth: usize,
    end: char,
    scalars: bool,
) -> Parsed<Vec<Element>> {
    any.parse_next(input)?;
    let mut elements = Vec::new();
    loop {
        if opt(mark(end)).parse_next(input)?.is_some() {
            return Ok(elements);
        }
        if scalars && matches!(input.first(), Some(Placed { token: Token::Mark(_), .. })) {
            return Err(ErrMode::Cut(Expected("a scalar or `]` in the array")));
        }
        elements.push(value(input, depth)?);
        if opt(mark(',')).parse_next(input)?.is_none() {
            let wanted = if scalars { "`,` or `]` in the array" } else { "`,` or `)` in the list" };
            mark(end).context(wanted).parse_next(input)?;
            return Ok(elements);
        }
    }
}

fn scalar(input: &mut Tokens<'_>) -> Parsed<Value> {
    let value = match input.first().map(|placed| &placed.token) {
        Some(Token::Bool(flag)) => Value::Bool(*flag),
        Some(Token::Int(number)) => Value::Int(*number),
        Some(Token::Float(number)) => Value::Float(*number),
        Some(Token::Text(text)) => Value::Text(text.clone()),
        _ => return Err(ErrMode::Cut(Expected("a value (texts need quotes)"))),
    };
    any.parse_next(input)?;
    let Value::Text(mut joined) = value else {
        return Ok(value);
    };
    while let Some(Token::Text(more)) = input.first().map(|placed| &placed.token) {
        joined.push_str(more);
        any.parse_next(input)?;
    }
    Ok(Value::Text(joined))
}

fn mark<'t>(wanted: char) -> impl ModalParser<Tokens<'t>, (), Expected> {
    any.verify(move |placed: &&Placed| placed.token == Token::Mark(wanted)).void()
}

/// Why a tree cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The grammar has no such name: letters, digits, `-`, `_`, `*`, beginning with a letter.
    #[error("`{0}` cannot be the name of a setting")]
    Name(String),
    /// Infinity and NaN have no form in the grammar.
    #[error("`{0}` is a number that cannot be written")]
    Number(String),
    /// An array holds something that is no scalar.
    #[error("an array can hold scalars only")]
    Array,
    /// More than [`MAX_DEPTH`] groups and lists in one another.
    #[error("more than {MAX_DEPTH} groups and lists in one another")]
    Depth,
    /// Two entries of one group have the same name.
    #[error("`{0}` is set twice in one group")]
    Twice(String),
}

/// Writes a tree as .jcfg text that [`read`] turns into an equal tree. Nothing is written unless
/// all of it can be, so that a file on disk is never replaced by a broken one. libconfig reads the
/// text too, provided that the elements of each array are of one type.
///
/// # Errors
/// See [`WriteError`]: only trees made or changed by the program can run into one.
pub fn write(tree: &Group) -> Result<String, WriteError> {
    let mut out = String::new();
    write_settings(&mut out, tree, 0)?;
    Ok(out)
}

fn write_settings(out: &mut String, group: &Group, depth: usize) -> Result<(), WriteError> {
    let mut taken = HashMap::new();
    for entry in group.entries() {
        if !token::is_name(&entry.name) {
            return Err(WriteError::Name(entry.name.clone()));
        }
        if taken.insert(entry.name.as_str(), ()).is_some() {
            return Err(WriteError::Twice(entry.name.clone()));
        }
        indent(out, depth);
        out.push_str(&entry.name);
        out.push_str(if matches!(entry.value, Value::Group(_)) { ": " } else { " = " });
        write_value(out, &entry.value, depth)?;
        out.push('\n');
    }
    Ok(())
}

fn write_value(out: &mut String, value: &Value, depth: usize) -> Result<(), WriteError> {
    if depth >= MAX_DEPTH && value.text().is_none() {
        return Err(WriteError::Depth);
    }
    match value {
        Value::Text(text) => write_text(out, text),
        Value::Float(number) if !number.is_finite() => {
            return Err(WriteError::Number(number.to_string()));
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            out.push_str(&value.text().unwrap_or_default());
            // Without the suffix, libconfig before 1.7 cuts an integer to 32 bits.
            if matches!(value, Value::Int(number) if i32::try_from(*number).is_err()) {
                out.push('L');
            }
        }
        Value::Array(elements) => write_array(out, elements, depth)?,
        Value::List(elements) => write_list(out, elements, depth)?,
        Value::Group(group) => {
            out.push_str("{\n");
            write_settings(out, group, depth + 1)?;
            indent(out, depth);
            out.push('}');
        }
    }
    Ok(())
}

fn write_array(out: &mut String, elements: &[Element], depth: usize) -> Result<(), WriteError> {
    out.push('[');
    for (index, element) in elements.iter().enumerate() {
        if element.value.text().is_none() {
            return Err(WriteError::Array);
        }
        out.push_str(if index == 0 { " " } else { ", " });
        write_value(out, &element.value, depth)?;
    }
    out.push_str(" ]");
    Ok(())
}

fn write_list(out: &mut String, elements: &[Element], depth: usize) -> Result<(), WriteError> {
    out.push_str("(\n");
    for (index, element) in elements.iter().enumerate() {
        indent(out, depth + 1);
        write_value(out, &element.value, depth + 1)?;
        out.push_str(if index + 1 == elements.len() { "\n" } else { ",\n" });
    }
    indent(out, depth);
    out.push(')');
    Ok(())
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Writing to a String cannot fail.
            c if c.is_ascii_control() => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn indent(out: &mut String, depth: usize) {
    (0..depth).for_each(|_| out.push('\t'));
}
