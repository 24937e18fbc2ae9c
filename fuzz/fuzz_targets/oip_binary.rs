//! Fuzz target `oip_binary`; see `src/targets.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bartizan_fuzz::targets::run("oip_binary", bytes));
