//! Runs a model within bounds.
