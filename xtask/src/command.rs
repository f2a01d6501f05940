//! Starts other programs and says which one is running.

use crate::Outcome;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A program to run, with its arguments, folder and environment.
pub(crate) struct Invocation {
    program: String,
    command: Command,
}

impl Invocation {
    /// `program` with the words of `arguments`, split at spaces.
    pub(crate) fn new(program: &str, arguments: &str) -> Self {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace());
        Self { program: program.to_owned(), command }
    }

    /// The cargo that started us.
    pub(crate) fn cargo(arguments: &str) -> Self {
        let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        Self::new(&program, arguments)
    }

    /// Adds one argument as it is.
    pub(crate) fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Runs it in `folder`.
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Sets one environment variable.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs it to the end on our own terminal; true when it reported success.
    pub(crate) fn run(mut self, title: &str) -> Outcome<bool> {
        let started = announce(title);
        let status = self.command.status().map_err(|error| not_started(&self.program, &error))?;
        conclude(title, started, status.success());
        Ok(status.success())
    }

    /// Runs it to the end, handing each line of its standard output to `line` as it is printed.
    pub(crate) fn run_lines(mut self, title: &str, mut line: impl FnMut(&str)) -> Outcome<bool> {
        let started = announce(title);
        self.command.stdout(Stdio::piped());
        let mut child = self.command.spawn().map_err(|error| not_started(&self.program, &error))?;
        if let Some(output) = child.stdout.take() {
            for text in BufReader::new(output).split(b'\n') {
                let text = text.map_err(|error| format!("{}: {error}", self.program))?;
                let text = String::from_utf8_lossy(&text);
                println!("{text}");
                line(&text);
            }
        }
        let status = child.wait().map_err(|error| format!("{}: {error}", self.program))?;
        conclude(title, started, status.success());
        Ok(status.success())
    }

    /// Runs it silently; true when it exists and reported success.
    pub(crate) fn holds(mut self) -> bool {
        self.command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Runs it silently; what it printed, trimmed, when it reported success.
    pub(crate) fn output(mut self) -> Option<String> {
        let output = self.command.stderr(Stdio::null()).stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    }

    /// The plain command, for callers that keep the child.
    pub(crate) fn into_inner(self) -> Command {
        self.command
    }
}

fn announce(title: &str) -> Instant {
    println!("── {title} …");
    Instant::now()
}

fn conclude(title: &str, started: Instant, held: bool) {
    let verdict = if held { "done" } else { "FAILED" };
    println!("── {title}: {verdict}, {:.1} s", started.elapsed().as_secs_f64());
}

fn not_started(program: &str, error: &std::io::Error) -> String {
    format!("could not start `{program}` ({error}); install it and try again")
}

/// True when `program` is an executable somewhere on the search path.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/sbin".into()])
            .any(|folder| folder.join(program).is_file())
    })
}
