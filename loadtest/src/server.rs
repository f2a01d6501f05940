//! What a process costs, from the kernel's accounts in `/proc`.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// Kernel clock ticks a second in `/proc` (`USER_HZ`, 100 on every Linux Debian runs on).
const TICK: Duration = Duration::from_millis(10);

/// CPU time and memory of one process, all its threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Time in user mode, in steps of 10 ms.
    pub user: Duration,
    /// Time in the kernel on its behalf, in steps of 10 ms.
    pub system: Duration,
    /// Resident memory, bytes.
    pub resident: u64,
}

impl Account {
    /// Reads the account of process `pid`, or of this one for `None`.
    ///
    /// # Errors
    /// When there is no such process or `/proc` is of an unknown shape.
    pub fn read(pid: Option<u32>) -> io::Result<Self> {
        let base = pid.map_or("/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
        let stat = std::fs::read_to_string(format!("{base}/stat"))?;
        let status = std::fs::read_to_string(format!("{base}/status"))?;
        Self::parse(&stat, &status).ok_or_else(|| io::Error::other(format!("{base}: unreadable")))
    }

    /// User and system time together.
    #[must_use]
    pub fn busy(&self) -> Duration {
        self.user + self.system
    }

    /// proc(5): fields 14 and 15 of `stat`, counted behind the program's name; `VmRSS` of
    /// `status` in kB.
    fn parse(stat: &str, status: &str) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u32>().ok();
        let (user, system) = (TICK * ticks()?, TICK * ticks()?);
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(Self { user, system, resident: kilobytes * 1024 })
    }
}

/// Open file descriptors of a process.
///
/// # Errors
/// When there is no such process, or it is somebody else's.
pub fn descriptors(pid: u32) -> io::Result<u64> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64)
}

/// CPU time of each thread of a process so far, by the first word of its name; the first thread goes
/// by `main`, and threads of one name are added up.
///
/// # Errors
/// When there is no such process or `/proc` is of an unknown shape.
pub fn threads(pid: u32) -> io::Result<BTreeMap<String, Duration>> {
    let mut busy = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while the list is read.
        let Ok(stat) = std::fs::read_to_string(entry?.path().join("stat")) else { continue };
        let Some((id, rest)) = stat.split_once(" (") else { continue };
        let Some((name, fields)) = rest.rsplit_once(')') else { continue };
        let first = name.split(' ').next().unwrap_or(name);
        let name = if id == pid.to_string() { "main" } else { first };
        let mut fields = fields.split_whitespace().skip(11);
        let mut ticks = || fields.next().and_then(|field| field.parse::<u32>().ok()).unwrap_or(0);
        *busy.entry(name.to_owned()).or_default() += TICK * ticks() + TICK * ticks();
    }
    Ok(busy)
}

/// Time the whole host spent in soft interrupts so far, which the kernel may charge to no process.
///
/// # Errors
/// When `/proc/stat` cannot be read.
pub fn softirq() -> io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks = line.split_whitespace().nth(7).and_then(|field| field.parse::<u32>().ok());
    ticks.map(|ticks| TICK * ticks).ok_or_else(|| io::Error::other("/proc/stat: unreadable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_behind_a_name_with_spaces_and_brackets() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 9 1 1";
        let status = "Name:\ta (b) c\nVmRSS:\t    2048 kB\n";
        let account = Account::parse(stat, status).expect("readable");
        assert_eq!(account.busy(), Duration::from_secs(3));
        assert_eq!(account.resident, 2 << 20);
        assert_eq!(Account::parse("42 x", status), None);
    }
}
