//! The log: levels, and where it goes (transports-auth §13, `general`).

use super::Refusal;
use bifrons_core::config::settings::General;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::{Mutex, OnceLock};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The log file, while there is one.
static FILE: OnceLock<(String, Mutex<File>)> = OnceLock::new();

/// Starts logging as the settings say. Once a process.
pub(super) fn start(general: &General) -> Result<(), Refusal> {
    if let Some(path) = &general.log_to_file {
        let file = open(path).map_err(|error| format!("log file {path}: {error}"))?;
        let _ = FILE.set((path.clone(), Mutex::new(file)));
    }
    let sink = Sink { stdout: general.log_to_stdout };
    let log = tracing_subscriber::fmt()
        .with_max_level(level(general.debug_level))
        .with_ansi(general.debug_colors && general.log_to_file.is_none())
        .with_target(false)
        .with_writer(sink);
    if general.debug_timestamps {
        log.init()
    } else {
        log.without_time().init()
    }
    Ok(())
}

/// Opens the log file anew, after somebody moved the old one away.
pub(super) fn rotate() {
    let Some((path, file)) = FILE.get() else { return };
    match (open(path), file.lock()) {
        (Ok(fresh), Ok(mut file)) => *file = fresh,
        (Err(error), _) => tracing::error!("log file {path}: {error}"),
        (_, Err(_)) => {}
    }
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Janus's scale: 0 nothing, 1 fatal, 2 errors, 3 warnings, 4 the usual, 5 to 7 more and more.
fn level(debug_level: u8) -> LevelFilter {
    match debug_level {
        0 => LevelFilter::OFF,
        1 | 2 => LevelFilter::ERROR,
        3 => LevelFilter::WARN,
        4 => LevelFilter::INFO,
        5 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// Standard output, the file, or both.
#[derive(Clone, Copy, Debug)]
struct Sink {
    stdout: bool,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stdout {
            // A closed pipe must not stop the server.
            let _ = io::stdout().write_all(bytes);
        }
        if let Some((_, file)) = FILE.get()
            && let Ok(mut file) = file.lock()
        {
            let _ = file.write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_januss_scale() {
        assert_eq!(level(0), LevelFilter::OFF);
        assert_eq!(level(4), LevelFilter::INFO);
        assert_eq!(level(7), LevelFilter::TRACE);
    }
}
