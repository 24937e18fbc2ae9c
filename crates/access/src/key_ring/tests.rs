//! Tests.
use std::cell::Cell;
thread_local! { pub(super) static PROOFS: Cell<u32> = const { Cell::new(0) }; }
