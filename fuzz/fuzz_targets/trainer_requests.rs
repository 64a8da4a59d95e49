//! Fuzzes `trainer_requests` of `digits-fuzz-trainer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| digits_fuzz::run(
    digits_fuzz_trainer::TARGETS,
    "trainer_requests",
    data
));
