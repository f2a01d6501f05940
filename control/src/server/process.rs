//! Process matters: background, pid file, limits (transports-auth §14).

use super::Refusal;
use bifrons_core::config::settings::General;
use sd_notify::NotifyState;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Says that the process is the one in the background already.
const MARK: &str = "BIFRONS_IN_BACKGROUND";

/// Starts the program anew in the background if it is to run there: threads do not survive a fork,
/// a fresh process has none. True in the process that may end.
pub(super) fn goes_to_background(
    general: &General,
    arguments: &[OsString],
) -> Result<bool, Refusal> {
    if !general.daemonize || std::env::var_os(MARK).is_some() {
        return Ok(false);
    }
    let program = std::env::current_exe()
        .map_err(|error| format!("cannot find its own program for the background: {error}"))?;
    let started = Command::new(program)
        .args(arguments.iter().skip(1))
        .env(MARK, "1")
        .current_dir(&general.daemon_folder)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn();
    started.map_err(|error| format!("cannot start in the background: {error}"))?;
    Ok(true)
}

/// Tells the service manager, if there is one, how the server does (sd_notify(3)).
pub(super) fn tell_manager(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// Writes the process id to the pid file and keeps it locked as long as the answer lives.
pub(super) fn write_pid_file(general: &General) -> Result<Option<File>, Refusal> {
    let Some(path) = &general.pid_file else { return Ok(None) };
    let failed = |error| format!("pid file {path}: {error}");
    let mut file =
        OpenOptions::new().create(true).write(true).truncate(false).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(format!("pid file {path} is locked: another server runs"));
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(Some(file))
}

/// Refuses to start with fewer open files than the operator wants.
pub(super) fn check_limits(general: &General) -> Result<(), Refusal> {
    let Some(wanted) = general.check_openfiles_limit else { return Ok(()) };
    let limits = std::fs::read_to_string("/proc/self/limits")
        .map_err(|error| format!("the limit of open files cannot be read: {error}"))?;
    match open_files(&limits) {
        Some(have) if have < wanted => Err(format!(
            "the limit of open files is {have}, and {wanted} are asked for; raise it (ulimit -n)"
        )),
        _ => Ok(()),
    }
}

/// The soft limit of open files in `/proc/self/limits`; `None` if there is none.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::open_files;

    #[test]
    fn reads_the_soft_limit() {
        let limits = "Max processes             7  8 processes\n\
                      Max open files            1024                 1048576  files\n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("Max open files            unlimited unlimited files\n"), None);
    }
}
