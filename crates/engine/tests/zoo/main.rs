//! Exported models of many kinds: the answers of onnxruntime and of the library that trained them.
//!
//! The files in `data/` are made by `tests/engine/zoo.py`. `BARTIZAN_ENGINE_ZOO` names another
//! folder of such files, with larger models, and has a table printed.

#[cfg(test)]
mod compare;
#[cfg(test)]
mod files;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
