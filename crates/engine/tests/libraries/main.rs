//! Files of LightGBM and XGBoost beside the answers of these libraries.
//!
//! The files in `data/` are made by `tests/engine/libraries.py`; `BARTIZAN_ENGINE_LIBRARIES` names
//! another folder of such files, with larger models.

#![expect(clippy::wildcard_enum_match_arm, reason = "a type that is not wanted fails the test")]

#[cfg(test)]
mod answers;
#[cfg(test)]
mod exact;
#[cfg(test)]
mod hostile;
