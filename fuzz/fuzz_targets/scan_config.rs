//! Fuzz target `scan_config`; see `src/targets.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bartizan_fuzz::targets::run("scan_config", bytes));
