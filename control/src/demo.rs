//! The demo page: files to serve below `/demo/`, looked up by name, never by path on disk.
//!
//! The pages are compiled in. The two client scripts they load (janus.js and the WebRTC adapter)
//! belong to others and are not part of the product; they are read once, at start, from a folder
//! that `cargo xtask run` fills. Whatever a request asks for, nothing outside the fixed table can
//! come back and no request touches the disk. Cost: the files stay in memory, about 250 KB, and
//! a script above 1 MiB is not taken.
//!
//! Mounting it on the HTTP transport takes one line before the Janus paths are looked at:
//! [`DemoPages::answer`] returns `None` for every path that is not the demo's.

use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The address the pages are mounted at, without the closing slash.
pub const PREFIX: &str = "/demo";

/// The environment variable that names the folder holding `vendor/janus.js`.
pub const FOLDER_VARIABLE: &str = "BIFRONS_DEMOS";

/// Headers that go with every demo file: no guessing of types, no stale copies, no foreign code.
pub const HEADERS: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-cache"),
    (
        "content-security-policy",
        "default-src 'self'; connect-src 'self' ws: wss: http: https:; \
         media-src 'self' blob: mediastream:; img-src 'self' data:",
    ),
];

/// The largest client script taken, in bytes.
const SCRIPT_LIMIT: u64 = 1 << 20;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The pages of our own: name below the prefix, media type, content.
const PAGES: &[(&str, &str, &[u8])] = &[
    ("", HTML, include_bytes!("../../demos/index.html")),
    ("index.html", HTML, include_bytes!("../../demos/index.html")),
    ("style.css", CSS, include_bytes!("../../demos/style.css")),
    ("mark.svg", SVG, include_bytes!("../../demos/mark.svg")),
    ("room.js", SCRIPT, include_bytes!("../../demos/room.js")),
    ("participant.js", SCRIPT, include_bytes!("../../demos/participant.js")),
    ("viewer.js", SCRIPT, include_bytes!("../../demos/viewer.js")),
    ("tiles.js", SCRIPT, include_bytes!("../../demos/tiles.js")),
    ("capture.js", SCRIPT, include_bytes!("../../demos/capture.js")),
    ("measure.js", SCRIPT, include_bytes!("../../demos/measure.js")),
];

/// The scripts of others: name below the prefix, and below the folder.
const SCRIPTS: [&str; 2] = ["vendor/janus.js", "vendor/adapter.js"];

/// What a request below [`PREFIX`] gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DemoAnswer {
    /// 200 with this body, plus [`HEADERS`].
    File {
        /// The `content-type` header.
        content_type: &'static str,
        /// The whole body; a cheap reference, not a copy.
        body: Bytes,
    },
    /// 302 to this address: the prefix without its slash would break the page's relative links.
    Moved(&'static str),
    /// 404: no such demo file.
    Missing,
}

/// The demo's files, ready to serve.
#[derive(Debug, Clone, Default)]
pub struct DemoPages {
    scripts: [Option<Bytes>; 2],
}

impl DemoPages {
    /// Reads the client scripts from `folder`; without it the page says what is missing.
    ///
    /// The problems, one for each script that could not be read, are for the log: the server
    /// runs without them.
    pub fn load(folder: Option<&Path>) -> (Self, Vec<io::Error>) {
        let mut problems = Vec::new();
        let scripts = SCRIPTS.map(|name| {
            let path = folder?.join(name);
            read(&path).map_err(|error| problems.push(named(&path, &error))).ok()
        });
        (Self { scripts }, problems)
    }

    /// Where the scripts are: the folder named by [`FOLDER_VARIABLE`], or `demos` beside the
    /// program.
    pub fn folder() -> Option<PathBuf> {
        let named = std::env::var_os(FOLDER_VARIABLE).filter(|name| !name.is_empty());
        let beside = || Some(std::env::current_exe().ok()?.parent()?.join("demos"));
        named.map(PathBuf::from).or_else(beside).filter(|folder| folder.is_dir())
    }

    /// What `path`, the request's path without its query, gets; `None` when it is not ours.
    pub fn answer(&self, path: &str) -> Option<DemoAnswer> {
        let rest = path.strip_prefix(PREFIX)?;
        if rest.is_empty() {
            return Some(DemoAnswer::Moved("/demo/"));
        }
        let name = rest.strip_prefix('/')?;
        Some(self.page(name).or_else(|| self.script(name)).unwrap_or(DemoAnswer::Missing))
    }

    fn page(&self, name: &str) -> Option<DemoAnswer> {
        let (_, content_type, body) = PAGES.iter().find(|(page, _, _)| *page == name)?;
        Some(DemoAnswer::File { content_type, body: Bytes::from_static(body) })
    }

    fn script(&self, name: &str) -> Option<DemoAnswer> {
        let place = SCRIPTS.iter().position(|script| *script == name)?;
        let body = self.scripts.get(place)?.clone()?;
        Some(DemoAnswer::File { content_type: SCRIPT, body })
    }
}

fn read(path: &Path) -> io::Result<Bytes> {
    let mut body = Vec::new();
    File::open(path)?.take(SCRIPT_LIMIT + 1).read_to_end(&mut body)?;
    if body.len() as u64 > SCRIPT_LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(body.into())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> DemoPages {
        DemoPages { scripts: [Some(Bytes::from_static(b"export {}")), None] }
    }

    fn type_of(answer: Option<DemoAnswer>) -> Option<&'static str> {
        match answer {
            Some(DemoAnswer::File { content_type, .. }) => Some(content_type),
            _ => None,
        }
    }

    #[test]
    fn serves_the_page_its_parts_and_the_scripts_it_has() {
        let pages = pages();
        assert_eq!(type_of(pages.answer("/demo/")), Some(HTML));
        assert_eq!(type_of(pages.answer("/demo/style.css")), Some(CSS));
        assert_eq!(type_of(pages.answer("/demo/vendor/janus.js")), Some(SCRIPT));
        assert_eq!(pages.answer("/demo/vendor/adapter.js"), Some(DemoAnswer::Missing));
    }

    #[test]
    fn the_bare_prefix_is_sent_to_the_folder() {
        assert_eq!(pages().answer("/demo"), Some(DemoAnswer::Moved("/demo/")));
    }

    #[test]
    fn leaves_every_other_path_to_the_api() {
        for path in ["/", "/janus", "/demolition", "/demo.html", "", "demo/", "/janus/demo/"] {
            assert_eq!(pages().answer(path), None, "{path}");
        }
    }

    #[test]
    fn no_path_reaches_a_file_outside_the_table() {
        for name in [
            "../Cargo.toml",
            "%2e%2e/Cargo.toml",
            "/etc/passwd",
            "vendor/../room.js",
            "vendor/",
            ".",
        ] {
            assert_eq!(
                pages().answer(&format!("/demo/{name}")),
                Some(DemoAnswer::Missing),
                "{name}"
            );
        }
    }

    #[test]
    fn every_local_file_a_page_names_is_in_the_table() {
        for (page, _, body) in PAGES {
            let text = String::from_utf8_lossy(body);
            let names = ["src=\"", "href=\"", "from './", "import('./"]
                .iter()
                .flat_map(|mark| text.split(mark).skip(1))
                .filter_map(|rest| rest.split(['"', '\'']).next());
            for name in names.filter(|name| !name.is_empty()) {
                let known = PAGES.iter().any(|(known, _, _)| *known == name);
                assert!(known || SCRIPTS.contains(&name), "{page} names {name}");
            }
        }
    }

    #[test]
    fn a_missing_folder_is_reported_for_each_script() {
        let (pages, problems) = DemoPages::load(Some(Path::new("/nonexistent")));
        assert_eq!(problems.len(), 2);
        assert_eq!(pages.answer("/demo/vendor/janus.js"), Some(DemoAnswer::Missing));
        assert!(DemoPages::load(None).1.is_empty());
    }
}
