//! Hand-made ONNX files: what operators compute, and what hostile files do not do.

#[cfg(test)]
mod build;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod open;
#[cfg(test)]
mod operators;
#[cfg(test)]
mod trees;
