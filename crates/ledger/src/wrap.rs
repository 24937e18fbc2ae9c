//! The port to whoever holds the key-encryption keys, and its adapter for a folder of files.
//!
//! A key-encryption key (KEK) wraps one thing: the key of one generation of the key store
//! ([`SealingKeys`](crate::SealingKeys)). Destroying it makes every byte of that generation
//! worthless, wherever a copy lies. A service (PKCS#11 token, key vault) never gives it out.
//!
//! Invariants
//! - KW1: what was wrapped under one KEK opens under no other, nor when a bit of it changed;
//! - KW2: a KEK that was destroyed unwraps nothing ever again; destroying it twice is no error;
//! - KW3: a KEK is durable before [`KeyWrap::create`] returns.

#[cfg(any(test, feature = "testing"))]
mod conformance;
mod file;

use std::fmt;

use bartizan_core::digest::hex;
use zeroize::Zeroizing;

#[cfg(any(test, feature = "testing"))]
pub use conformance::{WrapNonconformance, check_key_wrap};
pub use file::FileKeys;

/// Longest wrapped key, in bytes: what the header of a key store has room for.
pub const WRAPPED_BYTES_MAX: usize = 256;

/// Name of a key-encryption key: random, chosen by the caller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KekId(pub [u8; 16]);

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KekId({self})")
    }
}

/// How far the destruction of a KEK reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The key never left its service: with the service's word it is gone everywhere.
    Service,
    /// It lay in a file: overwritten in place and synced. Blocks that the file system or the
    /// device put elsewhere, snapshots and copies are out of reach.
    File,
}

impl Reach {
    /// What an operator must know after a destruction; empty where there is nothing to add.
    pub fn caveat(self) -> &'static str {
        match self {
            Self::Service => "",
            Self::File => {
                "the key-encryption key lay in a file: its blocks were overwritten in place, but \
                 copies, snapshots and blocks that the device moved are out of reach; destroy \
                 those yourself, or keep the key in a PKCS#11 token or a key vault"
            }
        }
    }
}

/// Why a key could not be made, used or destroyed. Names the service, never a key.
#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    /// There is no such KEK: never made, destroyed, or another service's.
    #[error(
        "`{service}` has no key-encryption key {kek}: it was destroyed, or this is not the service that made it"
    )]
    Absent {
        /// Which service.
        service: String,
        /// Which key.
        kek: KekId,
    },
    /// What was to be unwrapped is not what was wrapped.
    #[error("`{service}` does not open what key-encryption key {kek} is said to have wrapped")]
    Foreign {
        /// Which service.
        service: String,
        /// Which key.
        kek: KekId,
    },
    /// The service does not do it.
    #[error("`{service}` cannot {doing}")]
    Service {
        /// Which service.
        service: String,
        /// What was asked.
        doing: &'static str,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Holds key-encryption keys; see the module invariants. Every call may block: never on a
/// request's way. The suite that every adapter passes is `check_key_wrap`.
pub trait KeyWrap: Send + Sync {
    /// What it is, for people: `file`, `pkcs11`, `azure-key-vault`.
    fn service(&self) -> &'static str;

    /// How far [`KeyWrap::destroy`] reaches.
    fn reach(&self) -> Reach;

    /// Makes the KEK `kek`, which does not exist yet; see KW3.
    ///
    /// # Errors
    /// [`WrapError`]; the KEK may then exist, and is worth nothing.
    fn create(&self, kek: KekId) -> Result<(), WrapError>;

    /// Wraps `key` under `kek`, to at most [`WRAPPED_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`WrapError`].
    fn wrap(&self, kek: KekId, key: &[u8; 32]) -> Result<Vec<u8>, WrapError>;

    /// What [`KeyWrap::wrap`] wrapped under `kek`.
    ///
    /// # Errors
    /// [`WrapError`].
    fn unwrap(&self, kek: KekId, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, WrapError>;

    /// Destroys `kek`; see KW2. An absent one is destroyed already.
    ///
    /// # Errors
    /// [`WrapError`]; the KEK may then be there or not: destroy it again.
    fn destroy(&self, kek: KekId) -> Result<(), WrapError>;
}

/// Turns an error of a service into a [`WrapError`].
pub(crate) fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    service: &'static str,
    doing: &'static str,
) -> impl FnOnce(E) -> WrapError {
    move |source| WrapError::Service { service: service.to_owned(), doing, source: source.into() }
}
