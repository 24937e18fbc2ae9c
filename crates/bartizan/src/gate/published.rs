//! The published allow-list: its version and digest, signed by its maker, checked once before the
//! first scan of a process.
//!
//! Invariants
//! - GL1: no scan clears anything by a list whose signed statement does not name its very bytes.

use std::sync::OnceLock;

use bartizan_core::Digest;
use serde::Deserialize;

use super::dsse::{self, DsseError};

/// Type of the predicate in the statement.
const PREDICATE_TYPE: &str = "urn:bartizan:allow-list:v1";

/// What is known about the list, once its signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// Its version.
    pub(crate) version: u32,
    /// How many names it has.
    pub(crate) n_names: u64,
    /// Who signed it.
    pub(crate) maker: String,
}

/// Why the list does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    /// The envelope does not open.
    #[error("the allow-list's signature does not hold; sign it with `tools/allowlist/sign.py`")]
    Envelope(#[source] DsseError),
    /// GL1.
    #[error(
        "the allow-list is not the one that was signed; sign it with `tools/allowlist/sign.py`"
    )]
    OtherList,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Subject {
    digest: Sha256,
}

#[derive(Deserialize)]
struct Sha256 {
    sha256: String,
}

#[derive(Deserialize)]
struct Predicate {
    version: u32,
    names: u64,
}

/// The list that is built in, if its signature holds (GL1). Checked once; then a look.
///
/// # Errors
/// [`ListError`].
pub(crate) fn checked() -> Result<&'static Published, &'static ListError> {
    static CHECKED: OnceLock<Result<Published, ListError>> = OnceLock::new();
    let check = || {
        let (envelope, maker) = bartizan_scan::allow_signed();
        check(envelope.as_bytes(), maker, bartizan_scan::allow_digest())
    };
    CHECKED.get_or_init(check).as_ref()
}

fn check(envelope: &[u8], maker: &str, digest: Digest) -> Result<Published, ListError> {
    let keys = [maker.to_owned()];
    let opened = dsse::open(envelope, dsse::IN_TOTO, &keys).map_err(ListError::Envelope)?;
    let statement: Statement =
        serde_json::from_slice(&opened.payload).map_err(|_| ListError::OtherList)?;
    let names_it = matches!(statement.subject.as_slice(),
        [subject] if subject.digest.sha256 == digest.hex());
    if !names_it || statement.predicate_type != PREDICATE_TYPE {
        return Err(ListError::OtherList);
    }
    let Predicate { version, names } = statement.predicate;
    Ok(Published { version, n_names: names, maker: opened.key })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GL1 for the list as it is committed: signed, whole, and its version is its newest name's.
    #[test]
    fn the_list_that_is_built_in_is_the_one_that_was_signed() {
        let published = checked().unwrap();
        let entries = bartizan_scan::allow_entries();
        assert_eq!(published.n_names, entries.len() as u64);
        assert_eq!(Some(published.version), entries.iter().map(|entry| entry.since).max());
        assert!(published.n_names > 3_000);
    }

    /// GL1 from the other side: another list, another signer, another statement.
    #[test]
    fn another_list_or_signer_does_not_count() {
        let (envelope, maker) = bartizan_scan::allow_signed();
        let digest = bartizan_scan::allow_digest();
        assert!(check(envelope.as_bytes(), maker, digest).is_ok());
        let other = check(envelope.as_bytes(), maker, Digest::of(b"names"));
        assert!(matches!(other, Err(ListError::OtherList)), "{other:?}");
        let stranger = format!("ed25519:{}", "11".repeat(32));
        let stranger = check(envelope.as_bytes(), &stranger, digest);
        assert!(matches!(stranger, Err(ListError::Envelope(_))), "{stranger:?}");
        let cut = check(&envelope.as_bytes()[1..], maker, digest);
        assert!(matches!(cut, Err(ListError::Envelope(_))), "{cut:?}");
    }
}
