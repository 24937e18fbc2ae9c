//! Simulated disk, clock and chance: the world as a value, so that a test can break it.
//!
//! Everything is decided by a seed; the same seed gives the same faults. Names core only.

mod clock;
mod disk;
mod entropy;

pub use clock::SimClock;
pub use disk::{Fault, SimDisk};
pub use entropy::{SimEntropy, SplitMix};
