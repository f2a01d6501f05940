//! `cargo xtask test e2e`: real browsers and clients against the built appliance.
//!
//! The runner itself is `xtask/e2e/run.mjs`; here it gets what it needs and its count is read.

use crate::command::Invocation;
use crate::tally::{Tally, named_result};
use crate::tree::Tree;
use crate::{Outcome, clients, debian, serve};

/// The Python client, at the version the scenarios were written against.
const AIORTC: &str = "aiortc==1.16.0";

/// Prepares everything the scenarios use, runs them, adds their count to `tally`.
///
/// `rest` goes to the runner: `--server janus`, `--only PATTERN`, `--browsers chromium`, ….
pub(crate) fn run(tree: &Tree, rest: &[String], tally: &mut Tally) -> Outcome<()> {
    debian::ensure(debian::NETWORK)?;
    debian::ensure(debian::BROWSERS)?;
    debian::ensure(debian::CAMERA)?;
    debian::ensure(debian::SENDERS)?;
    let against_janus = rest.windows(2).any(|pair| pair == ["--server", "janus"]);
    if against_janus {
        debian::ensure(debian::STOCK_JANUS)?;
    }
    clients::place_scripts(tree)?;
    let (python, whip) = (python(tree)?, whip(tree)?);
    let mut runner = Invocation::new("node", "run.mjs").within(&tree.e2e());
    if !against_janus {
        serve::build_for_tests(tree)?;
        runner = runner.arg("--binary").arg(tree.appliance("ci"));
    }
    runner = runner.arg("--artifacts").arg(tree.target.join("e2e"));
    runner = runner.arg("--demos").arg(tree.demos()).arg("--python").arg(python);
    runner = runner.arg("--whip").arg(whip);
    for word in rest {
        runner = runner.arg(word);
    }
    let mut count = None;
    let held = runner.run_lines("end-to-end scenarios", |line| {
        count = named_result("end to end", line).or(count);
    })?;
    let (passed, failed) = count.unwrap_or((0, 1));
    tally.add("end to end", passed, if held { failed } else { failed.max(1) });
    Ok(())
}

/// Debian's WHIP server, unpacked below the build folder. What it requires is in our lock file.
fn whip(tree: &Tree) -> Outcome<std::path::PathBuf> {
    let folder = tree.target.join("whip");
    if !folder.join("usr/share/simple-whip-server/src/server.js").is_file() {
        debian::unpack("simple-whip-server", &folder)?;
    }
    Ok(folder)
}

/// A Python with aiortc, in an environment of its own below the build folder.
fn python(tree: &Tree) -> Outcome<std::path::PathBuf> {
    let folder = tree.target.join("aiortc");
    let python = folder.join("bin").join("python3");
    let check =
        format!("import aiortc, sys; sys.exit('aiortc=='+aiortc.__version__ != '{AIORTC}')");
    if Invocation::new(&python.to_string_lossy(), "-c").arg(&check).holds() {
        return Ok(python);
    }
    let made = Invocation::new("python3", "-m venv").arg(&folder).run("making a Python folder")?;
    let fetched = made
        && Invocation::new(&python.to_string_lossy(), "-m pip install --quiet --only-binary :all:")
            .arg(AIORTC)
            .arg("aiohttp")
            .run("fetching aiortc from PyPI")?;
    if fetched {
        return Ok(python);
    }
    Err("the Python client could not be installed (the message is above); check that this \
         machine reaches PyPI and try again"
        .to_owned())
}
