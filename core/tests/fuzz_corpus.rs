//! Replays the seed corpora of `fuzz/` under the stable compiler: every target has seeds, and its
//! body holds for each of them, for each cut short, and for each with a byte changed.

use std::fs;
use std::path::PathBuf;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut seeds = 0;
    for entry in entries {
        let seed = fs::read(entry.expect("entry").path()).expect("seed");
        body(&seed);
        let step = (seed.len() / 64).max(1);
        for at in (0..seed.len()).step_by(step) {
            body(&seed[..at]);
            let mut changed = seed.clone();
            changed[at] ^= 0x81;
            body(&changed);
        }
        seeds += 1;
    }
    assert!(seeds > 0, "{target} has no seeds");
    let source = format!("../fuzz/fuzz_targets/{target}.rs");
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(source);
    assert!(source.exists(), "{target} is not fuzzed");
}

macro_rules! corpora {
    ($($name:ident => $body:path),* $(,)?) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name), $body);
        }
    )*};
}

corpora! {
    api => bifrons_core::api::fuzz_api,
    candidate => bifrons_core::ice::fuzz_candidate,
    dtls_record => bifrons_core::dtls::fuzz_dtls_record,
    ini => bifrons_core::config::fuzz::fuzz_ini,
    jcfg => bifrons_core::config::fuzz::fuzz_jcfg,
    ogg => bifrons_core::ogg::fuzz_ogg,
    presentation => bifrons_core::sdp::fuzz_presentation,
    rtcp => bifrons_core::rtcp::fuzz_rtcp,
    rtp => bifrons_core::rtp::fuzz_rtp,
    sdp => bifrons_core::sdp::fuzz_sdp,
    srtp_open => bifrons_core::srtp::fuzz_srtp_open,
    stun => bifrons_core::ice::fuzz_stun,
    dcep => bifrons_core::sctp::fuzz_dcep,
    sctp => bifrons_core::sctp::fuzz_sctp,
}
