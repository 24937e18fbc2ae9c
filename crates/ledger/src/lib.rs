//! The append-only record of every decision.
