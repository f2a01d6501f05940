#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bifrons_core::rtp::fuzz_rtp(data));
