//! Fuzzes `connect` of `digits-fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| digits_fuzz::run(digits_fuzz::TARGETS, "connect", data));
