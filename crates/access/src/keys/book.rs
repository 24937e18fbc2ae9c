//! The stored form of the key book: canonical JSON under a seal. `docs/formats/keyring.md`.
//!
//! The seal covers what the proofs of single keys cannot, because their secrets are not here when
//! it changes: revocation, rotation, and the table of names and pseudonyms. A book that was
//! changed without the MAC key is refused whole, before anything in it is trusted; an older book
//! put back in its place is not, and shows only in the policy digest of records.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bartizan_core::{Digest, EnvName, PrincipalName, Pseudonym};
use ring::hmac;

use crate::key_text::KeyId;
use crate::mac::{MacKey, Tag};

use super::{Entry, KEYS_MAX, Keys, PRINCIPALS_MAX, TTL_S_MAX};

/// Largest stored book, in bytes: a full one ([`KEYS_MAX`], [`PRINCIPALS_MAX`], scopes of
/// [`crate::SCOPES_BYTES_MAX`]) stays below.
pub const BOOK_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Keeps the seal apart from everything else that the MAC key signs.
const SEAL_DOMAIN: &[u8] = b"bartizan key book v1\0";

/// Why stored bytes are not a key book that can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// It has more bytes than a book can have.
    #[error("the key book has {bytes} bytes, the limit is {BOOK_BYTES_MAX}")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// It is not the JSON of a book.
    #[error("the key book is not well formed (line {line}, column {column}): {reason}")]
    Syntax {
        /// Line, counted from 1.
        line: usize,
        /// Column in bytes, counted from 1.
        column: usize,
        /// What the parser met.
        reason: String,
    },
    /// It is a book of another release.
    #[error("the key book has format {found}, this release reads format 1")]
    Format {
        /// What it says.
        found: u64,
    },
    /// Its seal does not fit.
    #[error(
        "the key book's seal does not fit `keyring.mac`: one of them was changed by something \
         else than bartizan; put back both from one backup"
    )]
    Altered,
    /// It is not spelled as bartizan spells it.
    #[error("the key book is not in its canonical form: put it back from a backup")]
    NotCanonical,
    /// One of its parts makes no sense, though it was sealed.
    #[error("the key book, `{place}`: {reason}")]
    Broken {
        /// Where.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'a> {
    book: Book<'a>,
    seal: Tag,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Book<'a> {
    format: u32,
    environment: Cow<'a, EnvName>,
    principals: Cow<'a, BTreeMap<PrincipalName, Pseudonym>>,
    keys: Cow<'a, BTreeMap<KeyId, Entry>>,
}

/// What can be read of a book of any format.
#[derive(serde::Deserialize)]
struct Probe {
    book: ProbeBook,
}

#[derive(serde::Deserialize)]
struct ProbeBook {
    format: u64,
}

impl Keys {
    /// The book as it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let book = Book {
            format: 1,
            environment: Cow::Borrowed(&self.environment),
            principals: Cow::Borrowed(&self.principals),
            keys: Cow::Borrowed(&self.entries),
        };
        canonical(&self.mac_key.hmac(), book)
    }

    /// The book that is stored as `bytes`, if it was sealed with `mac_key`.
    ///
    /// # Errors
    /// [`BookError`] naming the place; nothing of the book is used then.
    pub fn from_bytes(bytes: &[u8], mac_key: MacKey) -> Result<Self, BookError> {
        if BOOK_BYTES_MAX < bytes.len() {
            return Err(BookError::TooLarge { bytes: bytes.len() });
        }
        let sealed: Sealed<'_> =
            serde_json::from_slice(bytes).map_err(|error| match serde_json::from_slice(bytes) {
                Ok(Probe { book: ProbeBook { format } }) if format != 1 => {
                    BookError::Format { found: format }
                }
                _ => syntax(&error),
            })?;
        let Sealed { book, seal } = sealed;
        if book.format != 1 {
            return Err(BookError::Format { found: book.format.into() });
        }
        let (hmac, json) = (mac_key.hmac(), json(&book));
        let message = [SEAL_DOMAIN, &json].concat();
        hmac::verify(&hmac, &message, &seal.0).map_err(|_| BookError::Altered)?;
        if frame(&json, seal) != bytes {
            return Err(BookError::NotCanonical);
        }
        let keys = Self {
            environment: book.environment.into_owned(),
            mac_key,
            principals: book.principals.into_owned(),
            entries: book.keys.into_owned(),
        };
        keys.check()?;
        Ok(keys)
    }

    /// Digest of the book as it is stored.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Whether sealed content keeps the invariants, for the sake of books that a later release or
    /// another holder of the MAC key has sealed.
    fn check(&self) -> Result<(), BookError> {
        let broken = |place: String, reason: &str| {
            Err(BookError::Broken { place, reason: reason.to_owned() })
        };
        if KEYS_MAX < self.entries.len() {
            return broken("keys".into(), "there are more than 16384");
        }
        if PRINCIPALS_MAX < self.principals.len() {
            return broken("principals".into(), "there are more than 65536");
        }
        let mut pseudonyms = BTreeSet::new();
        for (name, pseudonym) in &self.principals {
            if !pseudonyms.insert(pseudonym) {
                return broken(format!("principals.{name}"), "another has the same pseudonym");
            }
        }
        for (id, entry) in &self.entries {
            let claims = &entry.claims;
            if let Err(error) = claims.scopes.check() {
                return broken(format!("keys.{id}.claims.scopes"), &error.to_string());
            }
            if !self.principals.contains_key(&claims.principal) {
                let reason = "`principals` does not have it";
                return broken(format!("keys.{id}.claims.principal"), reason);
            }
            let ttl_s = claims.expires_s.checked_sub(claims.created_s);
            if !ttl_s.is_some_and(|ttl_s| 1 <= ttl_s && ttl_s <= TTL_S_MAX) {
                let reason = "it is not 1 second to 366 days after `created_s`";
                return broken(format!("keys.{id}.claims.expires_s"), reason);
            }
        }
        Ok(())
    }
}

fn syntax(error: &serde_json::Error) -> BookError {
    let (line, column, reason) = (error.line(), error.column(), error.to_string());
    BookError::Syntax { line, column, reason }
}

fn json(book: &Book<'_>) -> Vec<u8> {
    // Names, numbers and sets always have a JSON form; the empty text would fit no seal.
    serde_json::to_vec(book).unwrap_or_default()
}

fn canonical(hmac: &hmac::Key, book: Book<'_>) -> Vec<u8> {
    let json = json(&book);
    let seal = Tag::of(hmac, &[SEAL_DOMAIN, &json]);
    frame(&json, seal)
}

/// The stored bytes, written by hand so that a book of 64 MiB is not serialised twice.
fn frame(book: &[u8], seal: Tag) -> Vec<u8> {
    let seal = bartizan_core::digest::hex(&seal.0);
    [b"{\"book\":", book, b",\"seal\":\"", seal.as_bytes(), b"\"}\n"].concat()
}

#[cfg(test)]
mod tests;
