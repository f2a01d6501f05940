//! What was found wrong in a configuration, and where.
//!
//! One value per finding, kept in the order of the file, so that the log of a start reads like a
//! proof-read copy of the configuration. The reader stops collecting at [`MAX_DIAGNOSTICS`].

use std::fmt;
use std::sync::Arc;

/// Most findings one reading keeps; what comes after is dropped, because a file that wrong is
/// better looked at than listed.
pub const MAX_DIAGNOSTICS: usize = 256;

/// A place in a configuration file. Lines and columns count from 1, columns in characters; line 0
/// stands for the file as a whole, or for a setting that came from no file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// Name of the file as the caller gave it, empty for values made by the program.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Position {
    /// The start of `file`.
    pub fn start_of(file: Arc<str>) -> Self {
        Self { file, line: 1, column: 1 }
    }

    /// `file` as a whole.
    pub fn whole(file: &str) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }

    /// Moves the position over `text`.
    pub(super) fn advance(&mut self, text: &str) {
        let lines = text.bytes().filter(|&byte| byte == b'\n').count();
        let tail = text.rsplit('\n').next().unwrap_or(text);
        let columns = u32::try_from(tail.chars().count()).unwrap_or(u32::MAX);
        if lines == 0 {
            self.column = self.column.saturating_add(columns);
        } else {
            self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
            self.column = columns.saturating_add(1);
        }
    }
}

impl Default for Position {
    fn default() -> Self {
        Self::whole("")
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Something was ignored or replaced by its default; the start goes on.
    Warning,
    /// The file cannot be used as it stands.
    Fatal,
}

/// One finding: a place, a severity, and a sentence that says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostic {
    /// File, as the caller named it; empty for the command line.
    pub file: Arc<str>,
    /// Line from 1, or 0 for the file as a whole.
    pub line: u32,
    /// Column from 1 in characters, or 0 for the file as a whole.
    pub column: u32,
    /// Whether the start can go on.
    pub severity: Severity,
    /// What is wrong and what was expected instead.
    pub message: String,
}

impl Diagnostic {
    /// A finding that lets the start go on.
    pub fn warning(at: &Position, message: impl Into<String>) -> Self {
        Self::at(at, Severity::Warning, message.into())
    }

    /// A finding that makes the file unusable.
    pub fn fatal(at: &Position, message: impl Into<String>) -> Self {
        Self::at(at, Severity::Fatal, message.into())
    }

    /// Whether the file cannot be used as it stands.
    pub fn is_fatal(&self) -> bool {
        self.severity == Severity::Fatal
    }

    fn at(at: &Position, severity: Severity, message: String) -> Self {
        let Position { file, line, column } = at.clone();
        Self { file, line, column, severity, message }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.is_empty(), self.line) {
            (true, _) => out.write_str(&self.message),
            (false, 0) => write!(out, "{}: {}", self.file, self.message),
            (false, line) => {
                write!(out, "{}:{line}:{}: {}", self.file, self.column, self.message)
            }
        }
    }
}
