//! Fuzz target `scan_gguf`; see `src/targets.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bartizan_fuzz::targets::run("scan_gguf", bytes));
