//! The words of the .jcfg grammar: names, scalars, punctuation, comments, `@include`.
//!
//! The whole text becomes a row of tokens, each with its place; `@include` is resolved here, in
//! the middle of the row, as libconfig does it, through a closure of the caller's. Bounds: the
//! bytes of all files together, the tokens, the files, and how deep includes go. One pass, linear
//! in the text.

use std::sync::Arc;

use winnow::ascii::{digit0, digit1, multispace1};
use winnow::combinator::{alt, cut_err, opt, preceded, repeat, terminated};
use winnow::error::{AddContext, ErrMode, ModalResult, ParserError};
use winnow::prelude::*;
use winnow::stream::Stream;
use winnow::token::{any, one_of, take_till, take_until, take_while};

use super::diagnostic::{Diagnostic, Position};

/// Most bytes one configuration may have, included files and all.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most tokens one configuration may have.
pub const MAX_TOKENS: usize = 2_000_000;
/// Most files that one configuration may include, counting repetitions.
pub const MAX_INCLUDES: usize = 128;
/// How deep files may include one another (libconfig's own bound).
pub const MAX_INCLUDE_DEPTH: usize = 10;

/// The bounds of one reading; tests use smaller ones than [`FULL`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) bytes: usize,
    pub(super) tokens: usize,
}

/// The bounds of every reading of a file.
pub(super) const FULL: Bounds = Bounds { bytes: MAX_BYTES, tokens: MAX_TOKENS };

/// How the reader gets an included file: the name as written goes in, the text comes out, or a
/// sentence that says why not.
pub type Include<'a> = dyn FnMut(&str) -> Result<String, String> + 'a;

/// One word of the grammar.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// One of `: = ; , { } ( ) [ ]`.
    Mark(char),
}

impl Token {
    /// The token in the words of an error message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{}`", shorten(name)),
            Self::Text(_) => "a text".to_owned(),
            Self::Int(number) => format!("`{number}`"),
            Self::Float(number) => format!("`{number:?}`"),
            Self::Bool(flag) => format!("`{flag}`"),
            Self::Mark(mark) => format!("`{mark}`"),
        }
    }
}

/// A token and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) at: Position,
}

/// What a parser would have liked to see. Empty until a context names it; the innermost name wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected(pub(super) &'static str);

impl<I: Stream> ParserError<I> for Expected {
    type Inner = Self;

    fn from_input(_: &I) -> Self {
        Self("")
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

impl<I: Stream> AddContext<I, &'static str> for Expected {
    fn add_context(self, _: &I, _: &I::Checkpoint, context: &'static str) -> Self {
        if self.0.is_empty() { Self(context) } else { self }
    }
}

pub(super) type Parsed<O> = ModalResult<O, Expected>;

/// What stands at one place of the text.
enum Lexeme {
    Token(Token),
    Include(String),
}

/// Turns `text`, and what it includes, into tokens.
///
/// # Errors
/// The place and a sentence, when a bound is passed, a file cannot be included, or the text holds
/// something that is no word of the grammar.
pub(super) fn tokens(
    file: &str,
    text: &str,
    include: &mut Include<'_>,
    bounds: Bounds,
) -> Result<Vec<Placed>, Diagnostic> {
    let mut row = Row { include, bounds, placed: Vec::new(), bytes: 0, includes: 0 };
    row.file(file, text, 0)?;
    Ok(row.placed)
}

/// The row of tokens while it grows.
struct Row<'a, 'b> {
    include: &'a mut Include<'b>,
    bounds: Bounds,
    placed: Vec<Placed>,
    bytes: usize,
    includes: usize,
}

impl Row<'_, '_> {
    fn file(&mut self, name: &str, text: &str, depth: usize) -> Result<(), Diagnostic> {
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut at = Position::start_of(Arc::from(name));
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > self.bounds.bytes {
            let message = format!("more than {} bytes in all", self.bounds.bytes);
            return Err(Diagnostic::fatal(&at, message));
        }
        loop {
            let before = rest;
            blank.parse_next(&mut rest).map_err(|error| fault(&at, error, before))?;
            at.advance(consumed(before, rest));
            if rest.is_empty() {
                return Ok(());
            }
            let before = rest;
            let found = lexeme.parse_next(&mut rest).map_err(|error| fault(&at, error, before))?;
            match found {
                Lexeme::Token(token) => self.push(token, &at)?,
                Lexeme::Include(path) => self.include(&path, &at, depth + 1)?,
            }
            at.advance(consumed(before, rest));
        }
    }

    fn push(&mut self, token: Token, at: &Position) -> Result<(), Diagnostic> {
        if self.placed.len() >= self.bounds.tokens {
            return Err(Diagnostic::fatal(at, format!("more than {} words", self.bounds.tokens)));
        }
        self.placed.push(Placed { token, at: at.clone() });
        Ok(())
    }

    fn include(&mut self, path: &str, at: &Position, depth: usize) -> Result<(), Diagnostic> {
        self.includes += 1;
        if depth > MAX_INCLUDE_DEPTH {
            let message = format!("includes go deeper than {MAX_INCLUDE_DEPTH} files");
            return Err(Diagnostic::fatal(at, message));
        }
        if self.includes > MAX_INCLUDES {
            return Err(Diagnostic::fatal(at, format!("more than {MAX_INCLUDES} includes")));
        }
        let text = (self.include)(path).map_err(|reason| {
            Diagnostic::fatal(at, format!("cannot include \"{}\": {reason}", shorten(path)))
        })?;
        self.file(path, &text, depth)
    }
}

fn consumed<'t>(before: &'t str, rest: &str) -> &'t str {
    before.get(..before.len() - rest.len()).unwrap_or(before)
}

fn fault(at: &Position, error: ErrMode<Expected>, text: &str) -> Diagnostic {
    let (ErrMode::Backtrack(Expected(wanted)) | ErrMode::Cut(Expected(wanted))) = error else {
        return Diagnostic::fatal(at, "the text ends too early");
    };
    let found = text.chars().next().map_or(String::new(), |first| format!(", found {first:?}"));
    Diagnostic::fatal(at, format!("expected {wanted}{found}"))
}

/// The first characters of a name for a message.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(48).flat_map(char::escape_debug).collect()
}

/// White space and comments.
fn blank(input: &mut &str) -> Parsed<()> {
    repeat(0.., alt((multispace1, one_of(['\u{b}', '\u{c}']).take(), line_comment, block_comment)))
        .parse_next(input)
}

fn line_comment<'t>(input: &mut &'t str) -> Parsed<&'t str> {
    (alt(("#", "//")), take_till(0.., '\n')).take().parse_next(input)
}

fn block_comment<'t>(input: &mut &'t str) -> Parsed<&'t str> {
    preceded(
        "/*",
        cut_err(terminated(take_until(0.., "*/"), "*/").context("`*/` to end the comment")),
    )
    .parse_next(input)
}

const INCLUDED: &str = "a file name in quotes after @include";

fn lexeme(input: &mut &str) -> Parsed<Lexeme> {
    alt((
        name.map(Lexeme::Token),
        number.map(Lexeme::Token),
        text.map(|text| Lexeme::Token(Token::Text(text))),
        one_of([':', '=', ';', ',', '{', '}', '(', ')', '[', ']'])
            .map(|mark| Lexeme::Token(Token::Mark(mark))),
        preceded("@include", cut_err(preceded(blank, text).context(INCLUDED))).map(Lexeme::Include),
    ))
    .context("a name, a value or punctuation")
    .parse_next(input)
}

/// A name, or one of the two words that are booleans in any case.
fn name(input: &mut &str) -> Parsed<Token> {
    let word = (
        one_of(is_name_start),
        take_while(0.., |c: char| is_name_start(c) || c.is_ascii_digit() || matches!(c, '-' | '_')),
    )
        .take()
        .parse_next(input)?;
    Ok(match word {
        _ if word.eq_ignore_ascii_case("true") => Token::Bool(true),
        _ if word.eq_ignore_ascii_case("false") => Token::Bool(false),
        _ => Token::Name(word.to_owned()),
    })
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '*'
}

/// Whether the grammar can write `name` as the name of a setting.
pub(super) fn is_name(text: &str) -> bool {
    matches!(name.parse(text), Ok(Token::Name(_)))
}

fn number(input: &mut &str) -> Parsed<Token> {
    alt((hexadecimal, float, decimal)).parse_next(input)
}

fn hexadecimal(input: &mut &str) -> Parsed<Token> {
    let digits = preceded(alt(("0x", "0X")), take_while(1.., |c: char| c.is_ascii_hexdigit()));
    let digits = terminated(digits, suffix).parse_next(input)?;
    i64::from_str_radix(digits, 16).map(Token::Int).map_err(|_| too_large())
}

fn decimal(input: &mut &str) -> Parsed<Token> {
    let digits = terminated((opt(sign), digit1).take(), suffix).parse_next(input)?;
    digits.parse().map(Token::Int).map_err(|_| too_large())
}

/// `1.5`, `.5`, `1.`, `1e9`, `1.5e-3`: a point or an exponent makes it a float.
fn float(input: &mut &str) -> Parsed<Token> {
    let pointed = (digit0, '.', digit0, opt(exponent)).take();
    let raised = (digit1, exponent).take();
    let digits = (opt(sign), alt((pointed, raised))).take().parse_next(input)?;
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Token::Float(number)),
        _ => Err(ErrMode::Cut(Expected("a floating point number that a double can hold"))),
    }
}

fn exponent<'t>(input: &mut &'t str) -> Parsed<&'t str> {
    (one_of(['e', 'E']), opt(sign), digit1).take().parse_next(input)
}

fn sign(input: &mut &str) -> Parsed<char> {
    one_of(['+', '-']).parse_next(input)
}

fn suffix(input: &mut &str) -> Parsed<()> {
    repeat(0..=2, 'L').parse_next(input)
}

fn too_large() -> ErrMode<Expected> {
    ErrMode::Cut(Expected("an integer of at most 63 bits"))
}

/// A text in quotes. Bytes given by `\xHH` may build UTF-8; what does not is replaced.
fn text(input: &mut &str) -> Parsed<String> {
    '"'.parse_next(input)?;
    let mut bytes = Vec::new();
    loop {
        let plain: &str = take_till(0.., ['"', '\\']).parse_next(input)?;
        bytes.extend_from_slice(plain.as_bytes());
        match any.parse_next(input) {
            Ok('"') => break,
            Ok(_) => escape(&mut bytes, input)?,
            Err(ErrMode::<Expected>::Backtrack(_) | ErrMode::Cut(_) | ErrMode::Incomplete(_)) => {
                return Err(ErrMode::Cut(Expected(
                    "a closing quote for the text that begins here",
                )));
            }
        }
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// What follows a backslash. An unknown letter keeps its backslash, as in libconfig.
fn escape(bytes: &mut Vec<u8>, input: &mut &str) -> Parsed<()> {
    let letter = any.verify_map(|c: char| match c {
        'a' => Some(7),
        'b' => Some(8),
        't' => Some(b'\t'),
        'n' => Some(b'\n'),
        'v' => Some(11),
        'f' => Some(12),
        'r' => Some(b'\r'),
        '\\' => Some(b'\\'),
        '"' => Some(b'"'),
        _ => None,
    });
    let code = preceded('x', take_while(2..=2, |c: char| c.is_ascii_hexdigit()))
        .verify_map(|digits| u8::from_str_radix(digits, 16).ok());
    bytes.push(opt(alt((letter, code))).parse_next(input)?.unwrap_or(b'\\'));
    Ok(())
}
