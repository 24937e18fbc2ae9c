//! Fuzz target `scan_hdf5`; see `src/targets.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bartizan_fuzz::targets::run("scan_hdf5", bytes));
