//! One request's way, step by step, as types.
