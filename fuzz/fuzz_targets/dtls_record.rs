#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bifrons_core::dtls::fuzz_dtls_record(data));
