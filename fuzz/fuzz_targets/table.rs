//! Fuzz target `table`; see `src/targets.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bartizan_fuzz::targets::run("table", bytes));
