//! Where things lie: the source tree and the folder cargo builds into.

use crate::Outcome;
use std::env;
use std::path::{Path, PathBuf};

/// The two folders every command works in.
pub(crate) struct Tree {
    /// The workspace's root, holding the top `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's build folder: `target`, or where the user moved it.
    pub(crate) target: PathBuf,
}

impl Tree {
    /// Finds both from what cargo tells the program it runs.
    pub(crate) fn find() -> Outcome<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .ok_or("start this as `cargo xtask …` from inside the source tree")?;
        let root = Path::new(&manifest)
            .parent()
            .ok_or("the xtask folder has no parent folder; check out the tree again")?
            .to_path_buf();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
            || root.join("target"),
            |set| {
                let set = PathBuf::from(set);
                if set.is_absolute() { set } else { root.join(set) }
            },
        );
        Ok(Self { root, target })
    }

    /// The end-to-end runner's folder, which also holds the npm lock file.
    pub(crate) fn e2e(&self) -> PathBuf {
        self.root.join("xtask").join("e2e")
    }

    /// The appliance as built with `profile` (`release` or `ci`).
    pub(crate) fn appliance(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join("bifrons")
    }

    /// The folder of client scripts that the demo pages load, filled at build time.
    pub(crate) fn demos(&self) -> PathBuf {
        self.target.join("demos")
    }
}
