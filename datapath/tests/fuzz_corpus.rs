//! Replays the seed corpora of `fuzz/` that belong to this crate under the stable compiler, each
//! whole, cut short and with a byte changed.

use std::fs;
use std::path::PathBuf;

#[test]
fn seal() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let entries = fs::read_dir(folder.join("corpus/seal")).expect("a corpus");
    let mut seeds = 0;
    for entry in entries {
        let seed = fs::read(entry.expect("entry").path()).expect("seed");
        bifrons_datapath::seal::fuzz_seal(&seed);
        for at in (0..seed.len()).step_by((seed.len() / 8).max(1)) {
            bifrons_datapath::seal::fuzz_seal(&seed[..at]);
            let mut changed = seed.clone();
            changed[at] ^= 0x81;
            bifrons_datapath::seal::fuzz_seal(&changed);
        }
        seeds += 1;
    }
    assert!(seeds > 0, "no seeds");
    assert!(folder.join("fuzz_targets/seal.rs").exists(), "not fuzzed");
}
