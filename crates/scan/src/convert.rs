//! From a cleared pickle of PyTorch or NumPy to safetensors: the tensors, and nothing that runs.
//!
//! The bytes are scanned first; only what is cleared is converted. Then a second, concrete reader
//! follows the same pickle and keeps what tensors are made of: names, element types, shapes, where
//! their bytes lie. It imports, calls and builds nothing either. What is no tensor is left out and
//! counted. Elements are written in row-major order, little endian, as safetensors wants them.
//!
//! Invariants
//! - CV1: nothing is converted that was not cleared, and what is converted are the scanned bytes;
//! - CV2: a tensor's elements are those that the file's own library would load, in its order;
//! - CV3: what the reader does not follow is an error, never a tensor that is wrong.

mod collect;
mod file;
mod layout;
mod rebuild;
mod walk;

use std::io;

use crate::engine::{Options, Report, scan};
use crate::verdict::Verdict;

pub use layout::Tensor;

/// Most tensors of one file.
pub const TENSORS_MAX: usize = 200_000;

/// Why a file is not converted.
#[derive(Clone, Debug, PartialEq)]
pub enum ConvertError {
    /// CV1: it is not cleared.
    NotCleared(Box<Report>),
    /// It is no file whose tensors can be read here.
    Unsupported(&'static str),
    /// CV3: its reader met something that it does not follow.
    Unfollowed {
        /// What, in our words.
        what: &'static str,
        /// Offset in the pickle, in bytes.
        offset: u64,
    },
}

impl std::fmt::Display for ConvertError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotCleared(report) => {
                write!(
                    f,
                    "it is {}, and only what is cleared is converted",
                    report.verdict.as_str()
                )
            }
            Self::Unsupported(what) => f.write_str(what),
            Self::Unfollowed { what, offset } => write!(f, "{what} (byte {offset} of its pickle)"),
        }
    }
}

impl std::error::Error for ConvertError {}

/// The tensors of a file, by name.
#[derive(Debug)]
pub struct Tensors<'a> {
    /// By name; each name once.
    pub tensors: Vec<Tensor<'a>>,
    /// Values that are no tensors and were left out.
    pub n_left_out: u64,
}

/// Scans `bytes` and reads its tensors, borrowing them.
///
/// # Errors
/// [`ConvertError`].
pub fn tensors<'a>(
    name: &str,
    bytes: &'a [u8],
    options: &Options<'_>,
) -> Result<Tensors<'a>, ConvertError> {
    let report = scan(name, &bytes, options);
    if report.verdict != Verdict::Cleared {
        return Err(ConvertError::NotCleared(Box::new(report)));
    }
    file::read(bytes)
}

impl Tensors<'_> {
    /// Writes them as a safetensors file.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut header = String::from("{\"__metadata__\":{\"format\":\"pt\"}");
        let mut at = 0_u64;
        for tensor in &self.tensors {
            let end = at.saturating_add(tensor.n_bytes());
            let name = json_text(&tensor.name);
            let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
            header.push_str(&format!(
                ",{name}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{at},{end}]}}",
                tensor.dtype,
                shape.join(",")
            ));
            at = end;
        }
        header.push('}');
        while !header.len().is_multiple_of(8) {
            header.push(' ');
        }
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        for tensor in &self.tensors {
            tensor.write(out)?;
        }
        Ok(())
    }
}

/// A text as JSON.
fn json_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
