//! Deterministic numeric kernels.
