//! The npm packages of `xtask/e2e`, and the two client scripts the demo page loads from them.

use crate::Outcome;
use crate::command::Invocation;
use crate::debian;
use crate::tree::Tree;
use std::fs;
use std::path::Path;

/// What the demo page loads: its name there, and where npm puts it.
const SCRIPTS: &[(&str, &str)] = &[
    ("janus.js", "janus-gateway/npm/dist/janus.es.js"),
    ("adapter.js", "webrtc-adapter/out/adapter.js"),
];

/// Installs exactly what the lock file says, unless that was done before.
pub(crate) fn install(tree: &Tree) -> Outcome<()> {
    let folder = tree.e2e();
    let lock = read(&folder.join("package-lock.json"))?;
    let stamp = folder.join("node_modules").join(".installed-lock");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    debian::ensure(debian::CLIENTS)?;
    let done = Invocation::new("npm", "ci --ignore-scripts --no-audit --no-fund")
        .within(&folder)
        .run("fetching the JavaScript clients from npm")?;
    if !done {
        return Err("npm could not fetch the clients (its message is above); check that \
                    this machine reaches the npm registry and try again"
            .to_owned());
    }
    fs::write(&stamp, lock).map_err(|error| format!("{}: {error}", stamp.display()))
}

/// Puts the client scripts where the appliance looks for them: `<demos>/vendor`.
pub(crate) fn place_scripts(tree: &Tree) -> Outcome<()> {
    install(tree)?;
    let vendor = tree.demos().join("vendor");
    fs::create_dir_all(&vendor).map_err(|error| format!("{}: {error}", vendor.display()))?;
    for (name, source) in SCRIPTS {
        let bytes = read(&tree.e2e().join("node_modules").join(source))?;
        let place = vendor.join(name);
        fs::write(&place, bytes).map_err(|error| format!("{}: {error}", place.display()))?;
    }
    Ok(())
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
