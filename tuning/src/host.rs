//! The host: its files below a root, the commands that tell about it, the steps that change it.
//!
//! The running host has the root `/` and real commands. Any other root is a *tree*: a copy of
//! what a host shows, for tests and for planning away from the machine. There a command's output
//! is read from a file below `commands/` (see [`crate::tree`]) and a step changes these files as
//! the kernel would change what it shows.

use crate::step::Step;
use crate::tree;
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// See the module.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    /// Steps that still succeed, in a tree; `None`: all.
    patience: Cell<Option<u32>>,
}

impl Host {
    /// The host below `root`; `/` is the running one.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Host { root: root.into(), patience: Cell::new(None) }
    }

    /// A tree whose steps fail after the first `steps`: to see what is left behind.
    pub fn failing_after(self, steps: u32) -> Self {
        self.patience.set(Some(steps));
        self
    }

    /// Whether this is the running host.
    pub fn is_live(&self) -> bool {
        self.root == Path::new("/")
    }

    /// A file's content without surrounding white space; `None` where it cannot be read.
    pub fn read(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.path(path)).ok()?;
        Some(text.trim().to_owned())
    }

    /// A file's content as it is.
    pub fn read_whole(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    /// A sysctl's file by its dotted name. (Names of interfaces with dots are not asked for.)
    pub fn sysctl_path(name: &str) -> String {
        format!("/proc/sys/{}", name.replace('.', "/"))
    }

    /// Whether a file is there and its mode lets anybody write: the kernel shows a sysctl that
    /// belongs to another namespace as read-only.
    pub fn is_writable(&self, path: &str) -> bool {
        fs::metadata(self.path(path)).is_ok_and(|data| !data.permissions().readonly())
    }

    /// Names of the entries of a folder, sorted; none where it cannot be read.
    pub fn list(&self, path: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(path)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// What `ethtool -FLAG DEV` prints, also where it ends with an error after printing something;
    /// empty where it prints nothing.
    pub fn ethtool(&self, flag: char, dev: &str) -> String {
        if !self.is_live() {
            return tree::output(&self.root, &format!("ethtool/{dev}/{flag}"));
        }
        let arguments = [format!("-{flag}"), dev.to_owned()];
        shown(Command::new("ethtool").args(arguments))
    }

    /// The default routes of IPv4 (`4`) or IPv6 (`6`) as `ip -j` prints them.
    pub fn default_routes(&self, family: u8) -> String {
        if !self.is_live() {
            return tree::output(&self.root, &format!("ip/route{family}"));
        }
        let family = format!("-{family}");
        shown(Command::new("ip").args([&family, "-j", "route", "show", "default"]))
    }

    /// Numbers of the processes of this name.
    pub fn running(&self, name: &str) -> Vec<String> {
        let mut processes = self.list("/proc");
        processes.retain(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        processes
            .retain(|number| self.read(&format!("/proc/{number}/comm")).as_deref() == Some(name));
        processes
    }

    /// Does one step. Errors are one line, for people.
    pub fn perform(&self, step: &Step) -> Result<(), String> {
        if let Some(left) = self.patience.get() {
            let Some(left) = left.checked_sub(1) else { return Err("no more patience".into()) };
            self.patience.set(Some(left));
        }
        match step {
            Step::Write { path, text } if self.is_live() => write_kernel(&self.path(path), text),
            Step::Write { path, text } => tree::write(&self.root, path, text),
            Step::Put { path, text } => self.put(path, text).map_err(|error| error.to_string()),
            Step::Remove { path } => self.remove(path).map_err(|error| error.to_string()),
            Step::Run(words) if self.is_live() => run(words),
            Step::Run(words) => tree::run(&self.root, words),
        }
    }

    /// Replaces a file on disk at once, or not at all: written aside, synced, renamed.
    pub(crate) fn put(&self, path: &str, text: &str) -> std::io::Result<()> {
        let path = self.path(path);
        let aside = path.with_extension("new");
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Left behind by a crash, or laid there by somebody: never written through.
        let _ = fs::remove_file(&aside);
        let mut file = fs::File::create_new(&aside)?;
        file.write_all(text.as_bytes())?;
        // A tree is not worth waiting for the disk.
        if self.is_live() {
            file.sync_all()?;
        }
        fs::rename(&aside, &path)?;
        let folder = path.parent().filter(|_| self.is_live());
        folder.map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    }

    pub(crate) fn remove(&self, path: &str) -> std::io::Result<()> {
        let path = self.path(path);
        fs::remove_file(&path)?;
        // It stays where something else is in it.
        let _ = path.parent().map(fs::remove_dir);
        Ok(())
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

fn write_kernel(path: &Path, text: &str) -> Result<(), String> {
    // No O_CREAT: what the kernel does not show cannot be set.
    let file = fs::OpenOptions::new().write(true).open(path);
    // One write with the line's end, since an empty one would not reach the kernel.
    let written = file.and_then(|mut file| file.write_all(format!("{text}\n").as_bytes()));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

fn shown(command: &mut Command) -> String {
    match command.env("LC_ALL", "C").output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(_) => String::new(),
    }
}

fn run(words: &[String]) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output();
    let output = output.map_err(|error| format!("{program} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
    Err(if said.is_empty() { output.status.to_string() } else { said })
}
