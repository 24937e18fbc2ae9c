//! One function per parser of foreign bytes, for `cargo fuzz` and for the replay of the corpus in
//! the ordinary tests (`xtask/tests/corpus.rs` includes this file's module).

pub mod targets;
