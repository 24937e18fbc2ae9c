//! Which training rows look planted, and the reader of files of rows.
//!
//! Begins with [`read`], the project's one reader of files of rows. Engine-free and deterministic:
//! the same file gives the same values, on any number of threads.

pub mod read;
