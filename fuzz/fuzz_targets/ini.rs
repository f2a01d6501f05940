#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bifrons_core::config::fuzz::fuzz_ini(data));
