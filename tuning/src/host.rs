//! A host as files below a root: `/proc` and `/sys`, or a copy of them.

use std::fs;
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// The host whose files lie below `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Host { root: root.into() }
    }

    /// A file's content without surrounding white space; `None` where it cannot be read.
    pub fn read(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.path(path)).ok()?;
        Some(text.trim().to_owned())
    }

    /// A sysctl by its dotted name.
    pub fn sysctl(&self, name: &str) -> Option<String> {
        self.read(&format!("/proc/sys/{}", name.replace('.', "/")))
    }

    /// A limit of this process by the first words of its line in `/proc/self/limits`: the soft
    /// value, `None` where there is none stated; `unlimited` is the largest number.
    pub fn limit(&self, name: &str) -> Option<u64> {
        let limits = self.read("/proc/self/limits")?;
        let line = limits.lines().find(|line| line.starts_with(name))?;
        match line[name.len()..].split_whitespace().next()? {
            "unlimited" => Some(u64::MAX),
            value => value.parse().ok(),
        }
    }

    /// Names of the entries of a folder, sorted; none where it cannot be read.
    pub fn list(&self, path: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(path)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path)))
    }
}
