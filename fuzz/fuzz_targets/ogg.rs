#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bifrons_core::ogg::fuzz_ogg(data));
