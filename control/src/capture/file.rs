//! Where a capture may be written.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Component, Path, PathBuf};

/// Why a file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Below a protected folder, or a path that begins with a space.
    #[error("the folder is protected")]
    Protected,
    /// The file system refused; an existing file is not written to.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// `protected_folders`.
#[derive(Clone, Debug, Default)]
pub struct Folders(pub Vec<String>);

impl Folders {
    /// Opens a new file in `folder`, which is made if it is missing. Without a folder the file name
    /// may have one. What exists already is left alone: the reference appends a second header to
    /// it, which no tool can read.
    pub fn create(&self, folder: Option<&str>, name: &str) -> Result<(File, PathBuf), OpenError> {
        let path =
            folder.map_or_else(|| PathBuf::from(name), |folder| Path::new(folder).join(name));
        let path = plain(&std::path::absolute(&path)?);
        if [folder.unwrap_or_default(), name].iter().any(|part| part.starts_with(' ')) {
            return Err(OpenError::Protected);
        }
        self.check(&path)?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(parent)?;
        // Links may have led elsewhere.
        let parent = parent.canonicalize()?;
        self.check(&parent)?;
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok((file, path))
    }

    fn check(&self, path: &Path) -> Result<(), OpenError> {
        let folders = self.0.iter().filter(|folder| !folder.is_empty());
        match folders.map(|folder| plain(Path::new(folder))).any(|folder| path.starts_with(folder))
        {
            true => Err(OpenError::Protected),
            false => Ok(()),
        }
    }
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protected_folders_are_refused_however_they_are_written() {
        let base = std::env::temp_dir().join(format!("bifrons-capture-{}", std::process::id()));
        let (shut, open) = (base.join("shut"), base.join("open"));
        std::fs::create_dir_all(&shut).expect("a folder");
        std::fs::create_dir_all(&open).expect("a folder");
        std::os::unix::fs::symlink(&shut, open.join("link")).expect("a link");
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        let folders = Folders(vec![text(&shut)]);
        let refused = |folder: &str, name: &str| {
            matches!(folders.create(Some(folder), name), Err(OpenError::Protected))
        };
        assert!(refused(&text(&shut), "a"));
        assert!(refused(&text(&open), "../shut/a"));
        assert!(refused(&text(&open.join("link")), "a"));
        assert!(refused(&text(&open), " a") && refused(" /tmp", "a"));
        assert!(!refused(&text(&open.join("new/er")), "a"), "folders are made");
        let again = folders.create(Some(&text(&open.join("new/er"))), "a");
        assert!(matches!(again, Err(OpenError::Io(_))), "what is there stays as it is");
        std::fs::remove_dir_all(&base).expect("removed");
    }
}
