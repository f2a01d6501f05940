#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bifrons_datapath::seal::fuzz_seal(data));
