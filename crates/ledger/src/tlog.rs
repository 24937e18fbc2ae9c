//! The log as others read it: the C2SP formats, byte for byte, in our own code.
//!
//! RFC 6962 for the tree, and of c2sp.org `tlog-tiles`, `signed-note`, `tlog-checkpoint`,
//! `tlog-cosignature`, `tlog-proof` and `tlog-policy`. Everything here is pure: it takes foreign
//! bytes, bounds them before it believes them, and never panics. What is signed and by whom is
//! here; when it may be signed is the publisher's matter (module `publish`).
//!
//! Invariants
//! - T1: a proof that verifies binds every one of its bytes: with one byte changed, of the proof,
//!   the leaf, the place or the checkpoint, it does not verify;
//! - T2: what is read has one spelling: numbers without leading zeroes, base 64 with its padding
//!   and no spare bits, lines that end.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

pub mod base64;
mod checkpoint;
mod key;
mod note;
mod policy;
mod proof;
mod prove;
mod served;
mod sign;
mod tile;
mod tree;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use key::{KeyKind, VerifierKey, VkeyError};
pub use note::{NOTE_BYTES_MAX, Note, NoteError, SIGNATURES_MAX, SignatureLine};
pub use policy::{Cosigned, JudgeError, Judgement, Policy, PolicyError, Quorum};
pub use proof::{PROOF_BYTES_MAX, ProofTextError, TlogProof};
pub use prove::{
    Nodes, TileNodeError, TileNodes, prove_consistency, prove_inclusion, subtree_root,
};
pub use served::{ReadServed, Served, ServedError, verify_served};
pub use sign::{NoteSigner, SignerError};
pub use tile::{
    BUNDLE_ENTRY_BYTES_MAX, BundleError, Resource, TILE_WIDTH, bundle_entries, push_bundle_entry,
    tiles_of,
};
pub use tree::{
    Frontier, Hash, PROOF_HASHES_MAX, ProofError, node_hash, verify_consistency, verify_inclusion,
};

/// A decimal number in its one spelling; `None` for anything else.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = plain && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
