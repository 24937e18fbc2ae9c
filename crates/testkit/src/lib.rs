//! Simulated disk, clock and chance.
