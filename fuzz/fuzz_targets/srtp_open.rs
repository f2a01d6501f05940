#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bifrons_core::srtp::fuzz_srtp_open(data));
