//! Trees for tests: unpacked from `fixtures/NAME.tree`, compared as a whole.
//!
//! A tree file holds `== PATH` lines, each followed by that file's content. `{0..3}` in a path
//! stands for four paths, and `{n}` in the content for the number. Lines before the first path
//! tell what host it is.

use bifrons_tune::Host;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The four cards.
pub(crate) const CARDS: [&str; 4] = ["virtio_net", "mlx5_core", "ice", "ena"];

/// A host made of files, in a folder of its own.
pub(crate) struct Tree(pub(crate) PathBuf);

impl Tree {
    /// Unpacks a fixture for the test `test`.
    pub(crate) fn of(card: &str, test: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let text = fs::read_to_string(path.join(format!("{card}.tree"))).expect("fixture");
        let tree = Tree::empty(&format!("{card}-{test}"));
        let text = text.split_once("== ").expect("a path").1;
        for part in text.split("\n== ") {
            let (path, content) = part.split_once('\n').expect("a line's end");
            let end = if text.ends_with(part) { "" } else { "\n" };
            tree.put(path, &format!("{content}{end}"));
        }
        tree
    }

    /// A host that shows nothing.
    pub(crate) fn empty(name: &str) -> Self {
        // In memory where there is such a place: these are thousands of small files.
        let memory = PathBuf::from("/dev/shm");
        let disk = || PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let base = if memory.is_dir() { memory } else { disk() };
        let root = base.join(format!("bifrons-tune-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("var/lib")).expect("folder");
        Tree(root)
    }

    pub(crate) fn host(&self) -> Host {
        Host::at(&self.0)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Files of a path with or without a range; a line's end is added where there is none.
    pub(crate) fn put(&self, path: &str, content: &str) {
        let range = path.split_once('{').and_then(|(before, rest)| {
            let (range, after) = rest.split_once('}')?;
            let (first, last) = range.split_once("..")?;
            Some((before, first.parse::<u32>().ok()?..=last.parse().ok()?, after))
        });
        let Some((before, range, after)) = range else { return self.put_one(path, content) };
        for number in range {
            let content = content.replace("{n}", &number.to_string());
            self.put_one(&format!("{before}{number}{after}"), &content);
        }
    }

    fn put_one(&self, path: &str, content: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        let end = if content.ends_with('\n') { "" } else { "\n" };
        fs::write(path, format!("{content}{end}")).expect("file");
    }

    /// Every file with its content, and every folder.
    pub(crate) fn snapshot(&self) -> BTreeMap<String, Option<String>> {
        let mut all = BTreeMap::new();
        gather(&self.0, &self.0, &mut all);
        all
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // What a failed test leaves behind is there to be looked at.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

fn gather(root: &Path, folder: &Path, all: &mut BTreeMap<String, Option<String>>) {
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        let name = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
        let content = (!path.is_dir()).then(|| fs::read_to_string(&path).expect("file"));
        if content.is_none() {
            gather(root, &path, all);
        }
        all.insert(name, content);
    }
}

/// What differs, for a message that can be read.
pub(crate) fn difference(
    before: &BTreeMap<String, Option<String>>,
    after: &BTreeMap<String, Option<String>>,
) -> Vec<String> {
    let names = before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>();
    let differs = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differs.map(|name| format!("{name}: {:?} -> {:?}", before.get(name), after.get(name))).collect()
}
