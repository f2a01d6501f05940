//! How a setting is changed: one write to a file of the kernel, or one command.

use std::fmt;

/// One act upon the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write `text` to a file of the kernel (below `/proc` or `/sys`), which exists.
    Write {
        /// Absolute path.
        path: String,
        /// Without the line's end.
        text: String,
    },
    /// Make a file on disk with the folder around it, or replace it.
    Put {
        /// Absolute path.
        path: String,
        /// Whole content.
        text: String,
    },
    /// Take a file on disk away, and the folder around it if nothing else is in it.
    Remove {
        /// Absolute path.
        path: String,
    },
    /// Run a command: the program and its arguments.
    Run(Vec<String>),
}

impl Step {
    /// A command from its words in one text.
    pub(crate) fn run(words: &str) -> Step {
        Step::Run(words.split_whitespace().map(str::to_owned).collect())
    }
}

/// As a line for a shell.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Write { path, text } => match path.strip_prefix("/proc/sys/") {
                Some(name) => {
                    let mark = if text.is_empty() || text.contains(' ') { "\"" } else { "" };
                    write!(f, "sysctl -w {}={mark}{text}{mark}", name.replace('/', "."))
                }
                None => write!(f, "echo {text} > {path}"),
            },
            Step::Put { path, text } => {
                write!(f, "printf '{}' > {path}", text.replace('\n', "\\n"))
            }
            Step::Remove { path } => write!(f, "rm {path}"),
            Step::Run(words) => f.write_str(&words.join(" ")),
        }
    }
}
