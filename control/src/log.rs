//! The log: levels, form, and where it goes (admin-events-recording §9, transports-auth §13).
//!
//! Level, timestamps and colours can be changed while the server runs. A line costs one formatting
//! into a buffer of its own and a write; what the level leaves out costs one comparison.

mod json;

pub(crate) use json::ABOUT as JSON_ABOUT;

use bifrons_core::config::JsonLogSettings;
use bifrons_core::config::load::JSON_LOGGER;
use bifrons_core::config::settings::General;
use json::JsonLog;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

/// The highest level there is.
pub const MAX_LEVEL: u8 = 7;

/// The log file, while there is one.
static FILE: OnceLock<(String, Mutex<File>)> = OnceLock::new();

/// The package that operators know the JSON logger by.
pub(crate) const JSON_PACKAGE: &str = JSON_LOGGER;

/// The JSON logger, while there is one.
static JSON: OnceLock<Mutex<JsonLog>> = OnceLock::new();

/// `log_prefix`.
static PREFIX: OnceLock<String> = OnceLock::new();

/// What decides which lines are written, once the log has started.
static FILTER: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

static LEVEL: AtomicU8 = AtomicU8::new(4);
static TIMESTAMPS: AtomicBool = AtomicBool::new(false);
static COLORS: AtomicBool = AtomicBool::new(true);

/// Starts logging as the settings say. Once a process.
pub(crate) fn start(general: &General) -> Result<(), String> {
    if let Some(path) = &general.log_to_file {
        let file = open(path).map_err(|error| format!("log file {path}: {error}"))?;
        let _ = FILE.set((path.clone(), Mutex::new(file)));
    }
    if let Some(prefix) = &general.log_prefix {
        let _ = PREFIX.set(prefix.clone());
    }
    LEVEL.store(general.debug_level, Ordering::Relaxed);
    set_timestamps(general.debug_timestamps);
    set_colors(general.debug_colors);
    let (filter, handle) = reload::Layer::new(filter(general.debug_level));
    let _ = FILTER.set(handle);
    let sink = Sink { stdout: general.log_to_stdout };
    let lines = tracing_subscriber::fmt::layer().event_format(Lines).with_writer(sink);
    Registry::default().with(filter).with(lines).init();
    Ok(())
}

/// Writes the log as JSON too, from now on. Once a process.
pub(crate) fn start_json(from: &JsonLogSettings) -> Result<(), String> {
    let _ = JSON.set(Mutex::new(JsonLog::start(from)?));
    Ok(())
}

/// Whether the log is written as JSON too.
pub(crate) fn has_json() -> bool {
    JSON.get().is_some()
}

/// The level in force, 0 to 7.
pub fn level() -> u8 {
    LEVEL.load(Ordering::Relaxed)
}

/// Changes the level; above 7 counts as 7.
pub fn set_level(level: u8) {
    LEVEL.store(level.min(MAX_LEVEL), Ordering::Relaxed);
    if let Some(handle) = FILTER.get() {
        // It fails only after the log has ended.
        let _ = handle.reload(filter(level));
    }
}

/// Whether lines begin with the time.
pub fn timestamps() -> bool {
    TIMESTAMPS.load(Ordering::Relaxed)
}

/// Switches the time at the beginning of lines.
pub fn set_timestamps(on: bool) {
    TIMESTAMPS.store(on, Ordering::Relaxed);
}

/// Whether the words before lines are coloured where the log goes to the standard output.
pub fn colors() -> bool {
    COLORS.load(Ordering::Relaxed)
}

/// Switches colours.
pub fn set_colors(on: bool) {
    COLORS.store(on, Ordering::Relaxed);
}

/// Opens the log's files anew, after somebody moved the old ones away.
pub(crate) fn rotate() {
    let json = JSON.get().and_then(|json| json.lock().ok()?.rotate().err());
    if let Some(error) = json {
        tracing::error!("JSON log: {error}");
    }
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
fn filter(level: u8) -> LevelFilter {
    match level {
        0 => LevelFilter::OFF,
        1 | 2 => LevelFilter::ERROR,
        3 => LevelFilter::WARN,
        4 => LevelFilter::INFO,
        5 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// One event, one line: the time, the word for its level, where an error comes from, the text.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if let Some(prefix) = PREFIX.get() {
            writer.write_str(prefix)?;
        }
        if timestamps() {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            writer.write_str(&timestamp(since.as_secs()))?;
        }
        let colors = colors() && FILE.get().is_none() && !has_json();
        match *event.metadata().level() {
            Level::ERROR if colors => writer.write_str("\x1b[31m[ERR]\x1b[0m ")?,
            Level::ERROR => writer.write_str("[ERR] ")?,
            Level::WARN if colors => writer.write_str("\x1b[33m[WARN]\x1b[0m ")?,
            Level::WARN => writer.write_str("[WARN] ")?,
            _ => {}
        }
        if let (&Level::ERROR, Some(file)) = (event.metadata().level(), event.metadata().file()) {
            write!(writer, "[{file}:{}] ", event.metadata().line().unwrap_or(0))?;
        }
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// `[Www Mon dd hh:mm:ss yyyy] ` in UTC.
fn timestamp(unix_s: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = date(days);
    let weekday = DAYS.get((days % 7) as usize).unwrap_or(&"");
    let month = MONTHS.get(month).unwrap_or(&"");
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("[{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}] ")
}

/// Year, month from 0 and day from 1, of a day since 1970.
fn date(mut days: u64) -> (u64, usize, u64) {
    let mut year = 1970;
    let leap = |year: u64| {
        (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
    };
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

/// Standard output, the file, the JSON file, or all of them.
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
        if let Some(json) = JSON.get()
            && let Ok(mut json) = json.lock()
        {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let unix_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
            let _ = json.write(unix_us, &String::from_utf8_lossy(bytes));
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
        assert_eq!(filter(0), LevelFilter::OFF);
        assert_eq!(filter(4), LevelFilter::INFO);
        assert_eq!(filter(7), LevelFilter::TRACE);
    }

    #[test]
    fn the_time_is_written_as_janus_writes_it() {
        assert_eq!(timestamp(0), "[Thu Jan  1 00:00:00 1970] ");
        assert_eq!(timestamp(951_827_696), "[Tue Feb 29 12:34:56 2000] ");
        assert_eq!(timestamp(1_893_456_000), "[Tue Jan  1 00:00:00 2030] ");
    }
}
