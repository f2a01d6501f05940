//! Bodies of the fuzz targets, plain functions so that tests run them too.

use super::{ini, jcfg};

/// Reads arbitrary bytes as .jcfg, with includes that include themselves, and checks that what
/// could be read is written and read again as the same tree.
///
/// # Panics
/// When a tree that was read cannot be written, or reads back as another one: a defect.
pub fn fuzz_jcfg(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut include = |name: &str| match name {
        "" => Err("no name".to_owned()),
        "again" => Ok(text.clone().into_owned()),
        name => Ok(name.to_owned()),
    };
    if let Ok(tree) = jcfg::read("fuzz.jcfg", &text, &mut include) {
        let written = jcfg::write(&tree).expect("a tree that was read can be written");
        let again = jcfg::read_alone("again.jcfg", &written).expect("what was written can be read");
        assert_eq!(tree, again);
    }
}

/// Reads arbitrary bytes as .cfg.
pub fn fuzz_ini(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok((tree, diagnostics)) = ini::read("fuzz.cfg", &text) {
        assert!(tree.entries().len() + diagnostics.len() <= data.len());
    }
}
