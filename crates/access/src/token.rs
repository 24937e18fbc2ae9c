//! Tokens that an issuer signed: JSON Web Tokens (RFC 7519) as OpenID Connect providers, Microsoft
//! Entra and Kubernetes clusters give them out.
//!
//! Pure: an issuer's keys are handed in, the time is an argument. The signature is checked by
//! `ring` with the one algorithm that its key is for ([`JwkSet`]), then every claim against the
//! issuer's rules ([`IssuerRules`]). A token that was found good is remembered until something of
//! its issuers changes.

mod cache;
mod claims;
mod compact;
mod failure;
mod issuer;
mod jwk;
pub(crate) mod name;
#[cfg(test)]
mod tests;
mod verify;

pub use cache::CACHE_LEN_MAX;
pub use failure::TokenFailure;
pub use issuer::{
    AskAgain, ISSUERS_MAX, Issuer, IssuerKind, IssuerRules, Issuers, TokenKinds, TokenRefused,
};
pub use jwk::{Algorithm, AlgorithmError, JwkSet, JwkSetError, KEYS_MAX, SET_BYTES_MAX};
