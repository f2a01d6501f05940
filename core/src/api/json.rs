//! JSON text in and out, within bounds.
//!
//! The syntax is that of the API's reference, which is stricter than a general parser in three
//! places (core-api §1.1): an integer outside signed 64 bits and a string with `\u0000` make the
//! message unparsable, and so does nesting without end. A scan over the bytes refuses those before
//! anything is allocated; the parser then does the rest. Of a repeated key the last value counts.

use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use serde_json::{Deserializer, Serializer, Value};
use std::fmt;
use std::io;

/// Deepest nesting taken.
pub const MAX_DEPTH: usize = 64;

/// Most values taken from one WebSocket message.
pub const MAX_VALUES: usize = 256;

/// Where and why a text is not acceptable JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// From 1.
    pub line: usize,
    /// From 0, in bytes.
    pub column: usize,
    /// For people.
    pub text: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{}): {}", self.line, self.column, self.text)
    }
}

impl std::error::Error for SyntaxError {}

impl From<serde_json::Error> for SyntaxError {
    fn from(error: serde_json::Error) -> Self {
        // The parser appends the place to its text; we say it ourselves.
        let mut text = error.to_string();
        if let Some(end) = text.rfind(" at line ") {
            text.truncate(end);
        }
        SyntaxError { line: error.line(), column: error.column(), text }
    }
}

/// Reads a text that holds exactly one value, of any kind.
pub fn parse_one(text: &[u8]) -> Result<Value, SyntaxError> {
    scan(text)?;
    Ok(serde_json::from_slice(text)?)
}

/// Reads a text that holds one or more objects or arrays one after the other, as one WebSocket
/// message may (transports-auth §3.3). If any part is not acceptable, nothing is returned; a bare
/// string, number or literal is not, nor is an empty text.
pub fn parse_many(text: &[u8]) -> Result<Vec<Value>, SyntaxError> {
    scan(text)?;
    let mut values = Vec::new();
    let mut stream = Deserializer::from_slice(text).into_iter::<Value>();
    loop {
        let start = stream.byte_offset();
        let Some(value) = stream.next() else { break };
        let value = value?;
        if !(value.is_object() || value.is_array()) {
            return Err(at(text, start, "'[' or '{' expected"));
        }
        if values.len() == MAX_VALUES {
            return Err(at(text, start, "too many values in one message"));
        }
        values.push(value);
    }
    if values.is_empty() { Err(at(text, 0, "'[' or '{' expected")) } else { Ok(values) }
}

/// An error at a byte offset.
fn at(text: &[u8], offset: usize, reason: &str) -> SyntaxError {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
    SyntaxError { line, column, text: reason.to_owned() }
}

/// Refuses what the parser would let pass: depth, integers beyond i64, `\u0000`. Anything
/// malformed is left for the parser to name.
fn scan(text: &[u8]) -> Result<(), SyntaxError> {
    let mut depth = 0usize;
    let mut index = 0usize;
    while let Some(byte) = text.get(index) {
        match byte {
            b'"' => {
                index = scan_string(text, index)?;
                continue;
            }
            b'-' | b'0'..=b'9' => {
                index = scan_number(text, index)?;
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(at(text, index, "maximum parsing depth reached"));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        index += 1;
    }
    Ok(())
}

/// From an opening quote to behind the closing one (or the end).
fn scan_string(text: &[u8], start: usize) -> Result<usize, SyntaxError> {
    let mut index = start + 1;
    loop {
        match text.get(index) {
            None => return Ok(index),
            Some(b'"') => return Ok(index + 1),
            Some(b'\\') => {
                if text.get(index + 1..index + 6) == Some(b"u0000") {
                    return Err(at(text, index, "\\u0000 is not allowed"));
                }
                index += 2;
            }
            Some(_) => index += 1,
        }
    }
}

/// From the first byte of a number to behind it.
fn scan_number(text: &[u8], start: usize) -> Result<usize, SyntaxError> {
    let rest = text.get(start..).unwrap_or_default();
    let part_of_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let length = rest.iter().take_while(|byte| part_of_number(byte)).count();
    let number = rest.get(..length).unwrap_or_default();
    let integer = !number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    // 18 digits always fit; only longer ones need a look.
    if integer && length > 18 {
        let fits = std::str::from_utf8(number).is_ok_and(|digits| digits.parse::<i64>().is_ok());
        if !fits {
            return Err(at(text, start, "too big integer"));
        }
    }
    Ok(start + length)
}

/// How a transport writes its messages (transports-auth §1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Three spaces a level.
    Indented,
    /// One line, spaces behind separators.
    Plain,
    /// No spaces.
    #[default]
    Compact,
}

impl Style {
    /// From the `json` key of a transport's configuration; `None` for an unknown word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "indented" => Some(Style::Indented),
            "plain" => Some(Style::Plain),
            "compact" => Some(Style::Compact),
            _ => None,
        }
    }
}

/// One line with a space behind each separator.
struct PlainFormatter;

impl Formatter for PlainFormatter {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(b": ")
    }
}

/// The value as text. Keys come in the order they were put in.
pub fn write(value: &Value, style: Style) -> String {
    let mut out = Vec::with_capacity(256);
    let written = match style {
        Style::Indented => write_with(&mut out, value, PrettyFormatter::with_indent(b"   ")),
        Style::Plain => write_with(&mut out, value, PlainFormatter),
        Style::Compact => write_with(&mut out, value, CompactFormatter),
    };
    debug_assert!(written.is_ok(), "a tree in memory always serializes");
    String::from_utf8(out).unwrap_or_default()
}

fn write_with<F: Formatter>(out: &mut Vec<u8>, value: &Value, form: F) -> serde_json::Result<()> {
    serde::Serialize::serialize(value, &mut Serializer::with_formatter(out, form))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn several_values_in_one_message() {
        let values = parse_many(b" {\"a\":1}{\"b\":2}\n[3] ").expect("three values");
        assert_eq!(values, [json!({"a":1}), json!({"b":2}), json!([3])]);
    }

    #[test]
    fn one_bad_part_spoils_the_message() {
        for bad in ["{\"a\":1}{\"b\":", "{} x", "", "  ", "\"text\"", "12", "null", "{}1"] {
            assert!(parse_many(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse_one(b"{}{}").is_err());
        let many = "{}".repeat(MAX_VALUES);
        assert_eq!(parse_many(many.as_bytes()).map(|v| v.len()), Ok(MAX_VALUES));
        assert!(parse_many((many + "{}").as_bytes()).is_err());
    }

    #[test]
    fn integers_end_at_64_signed_bits() {
        assert!(parse_one(b"[9223372036854775807,-9223372036854775808]").is_ok());
        for big in ["9223372036854775808", "-9223372036854775809", "99999999999999999999999"] {
            let error = parse_one(format!("{{\"x\":\n {big}}}").as_bytes()).expect_err(big);
            assert_eq!(error.to_string(), "(2,1): too big integer");
        }
        assert_eq!(parse_one(b"1e22").ok(), Some(json!(1e22)));
        assert!(parse_one(b"1e999").is_err());
        assert!(parse_one(b"[\"99999999999999999999\"]").is_ok(), "digits inside a string");
    }

    #[test]
    fn no_nul_in_strings_or_keys() {
        for bad in ["\"\\u0000\"", "{\"\\u0000\":1}", "[\"a\\\\\\u0000\"]"] {
            assert!(parse_one(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(parse_one(b"\"\\\\u0000\"").ok(), Some(json!("\\u0000")));
    }

    #[test]
    fn the_last_of_repeated_keys_counts() {
        assert_eq!(parse_one(b"{\"a\":1,\"b\":2,\"a\":3}").ok(), Some(json!({"a":3,"b":2})));
    }

    #[test]
    fn depth_is_bounded() {
        let nest = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(parse_one(nest(MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse_one(nest(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(parse_many("[".repeat(1_000_000).as_bytes()).is_err());
    }

    #[test]
    fn three_styles() {
        let value = json!({"janus":"ack","list":[1,{}],"none":[]});
        assert_eq!(write(&value, Style::Compact), r#"{"janus":"ack","list":[1,{}],"none":[]}"#);
        assert_eq!(write(&value, Style::Plain), r#"{"janus": "ack", "list": [1, {}], "none": []}"#);
        assert_eq!(
            write(&value, Style::Indented),
            "{\n   \"janus\": \"ack\",\n   \"list\": [\n      1,\n      {}\n   ],\n   \"none\": []\n}"
        );
        assert_eq!(Style::from_word("plain"), Some(Style::Plain));
        assert_eq!(Style::from_word("Plain"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            crate::api::fuzz_api(&bytes);
        }

        #[test]
        fn any_brackets_are_taken_or_refused(text in "[\\[\\]{}\":,0-9a-u\\\\ ]{0,200}") {
            crate::api::fuzz_api(text.as_bytes());
        }
    }
}
