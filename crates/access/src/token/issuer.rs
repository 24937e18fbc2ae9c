//! Issuers whose tokens are taken: their rules, and their keys of one moment.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bartizan_core::{AuthProof, Digest, EnvName, Principal};

use super::cache::TokenCache;
use super::failure::TokenFailure;
use super::jwk::{Algorithm, JwkSet};
use super::verify::{Failed, Verified, verify};
use crate::certificate::PeerCertificate;
use crate::credential::{Credential, Strength};
use crate::key_ring::KeyRing;
use crate::scopes::Scopes;

/// Most issuers of an environment.
pub const ISSUERS_MAX: usize = 32;

/// What kind of issuer it is: where its tokens say who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerKind {
    /// Any that speaks OpenID Connect: `sub`.
    Oidc,
    /// Microsoft Entra: `oid` in the tenant `tid`.
    Entra,
    /// A Kubernetes cluster: service account and pod.
    Kubernetes,
}

/// Which tokens are taken, by what their header says they are (`typ`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKinds {
    /// `JWT`, `at+jwt`, or nothing.
    Any,
    /// `at+jwt` alone (RFC 9068).
    AccessOnly,
}

/// What tokens of one issuer are held against.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerRules {
    /// Its name here: the first part of its principals' names.
    pub name: EnvName,
    /// What kind it is.
    pub kind: IssuerKind,
    /// What `iss` must be, to the byte.
    pub issuer: String,
    /// What `aud` must be or have among its texts, to the byte.
    pub audience: String,
    /// The algorithms that it may use.
    pub algorithms: BTreeSet<Algorithm>,
    /// Which tokens.
    pub kinds: TokenKinds,
    /// What `tid` must be.
    pub tenant: Option<String>,
    /// The only applications that may have asked; any where empty.
    pub clients: BTreeSet<String>,
    /// How far the issuer's clock may be from ours, in seconds.
    pub skew_s: u64,
    /// Longest life of a token, in seconds.
    pub life_s_max: u64,
    /// How long its keys are good after they were last seen, in seconds.
    pub stale_s_max: u64,
    /// Whether every token must be bound to a client certificate (`cnf.x5t#S256`).
    pub needs_binding: bool,
    /// The most that its tokens can cover.
    pub scopes: Scopes,
}

/// An issuer and its keys, where it has been reached.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// What its tokens are held against.
    pub rules: Arc<IssuerRules>,
    /// Its keys.
    pub keys: Option<Arc<JwkSet>>,
}

/// All issuers of one moment, with the tokens of theirs that were verified. Share it in an `Arc`.
pub struct Issuers {
    issuers: Vec<Issuer>,
    cache: TokenCache,
    digest: Digest,
}

/// An issuer that may have published a missing key meanwhile: worth one look, within the limits
/// of looking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskAgain {
    /// Its name here.
    pub issuer: EnvName,
    /// SHA-256 of the missing key's id.
    pub key_id: Digest,
}

/// A token that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRefused {
    /// Why.
    pub failure: TokenFailure,
    /// Whose keys to look at once more.
    pub ask_again: Option<AskAgain>,
}

impl Issuers {
    /// These issuers, whose names and `issuer` texts differ.
    pub fn new(issuers: Vec<Issuer>) -> Self {
        let mut text = String::from("bartizan issuers 1\n");
        for Issuer { rules, keys } in &issuers {
            let keys = keys.as_ref().map(|keys| keys.digest());
            text += &format!("{rules:?} {keys:?}\n");
        }
        let digest = Digest::of(text.as_bytes());
        Self { issuers, cache: TokenCache::default(), digest }
    }

    /// The same issuers, `name` with these keys; a new cache.
    pub fn with_keys(&self, name: &EnvName, keys: Arc<JwkSet>) -> Self {
        let mut issuers = self.issuers.clone();
        for issuer in issuers.iter_mut().filter(|issuer| issuer.rules.name == *name) {
            issuer.keys = Some(keys.clone());
        }
        Self::new(issuers)
    }

    /// All of them.
    pub fn all(&self) -> &[Issuer] {
        &self.issuers
    }

    /// Digest of rules and keys: part of what records call the snapshot.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Who presents the token `text` on a connection with `certificate`, at `now_s` seconds since
    /// the Unix epoch. Some 2 us for a token that was seen before, else up to 150 us.
    ///
    /// # Errors
    /// [`TokenRefused`], which the caller must not learn.
    pub fn authenticate(
        &self,
        text: &str,
        certificate: Option<&PeerCertificate>,
        ring: &KeyRing,
        now_s: u64,
    ) -> Result<Credential, TokenRefused> {
        let verified = self.verified(text, now_s).map_err(|Failed { failure, wants }| {
            let asks = matches!(
                failure,
                TokenFailure::UnknownKey | TokenFailure::NoKeys | TokenFailure::StaleKeys
            );
            let ask_again = wants.filter(|_| asks).and_then(|(idx, key_id)| {
                let issuer = self.issuers.get(idx)?.rules.name.clone();
                Some(AskAgain { issuer, key_id })
            });
            TokenRefused { failure, ask_again }
        })?;
        let refused = |failure| TokenRefused { failure, ask_again: None };
        if let Some(bound_to) = verified.bound_to
            && certificate.is_none_or(|shown| shown.fingerprint().0 != bound_to)
        {
            return Err(refused(TokenFailure::OtherCertificate));
        }
        let unknown = || refused(TokenFailure::UnknownIssuer);
        let issuer = self.issuers.get(verified.issuer_idx).ok_or_else(unknown)?;
        let proof = AuthProof::Token {
            issuer: issuer.rules.name.as_str().into(),
            certificate: certificate.map(PeerCertificate::short),
        };
        let principal = Principal {
            name: verified.name.clone(),
            pseudonym: ring.federated_pseudonym(&verified.name),
            proof,
        };
        let mut identity = verified.identity.clone();
        if verified.bound_to.is_none() {
            identity.strength = Strength::Bearer;
        }
        Ok(Credential::federated(principal, identity, issuer.rules.scopes.clone(), verified.ends_s))
    }

    fn verified(&self, text: &str, now_s: u64) -> Result<Arc<Verified>, Failed> {
        if super::compact::TOKEN_BYTES_MAX < text.len() {
            return Err(TokenFailure::TooLong.into());
        }
        let digest = Digest::of(text.as_bytes());
        if let Some(known) = self.cache.find(&digest) {
            if known.ends_s <= now_s {
                return Err(TokenFailure::Expired.into());
            }
            if now_s < known.begins_s {
                return Err(TokenFailure::NotYet.into());
            }
            self.check_fresh(known.issuer_idx, now_s)?;
            return Ok(known);
        }
        let verified = Arc::new(verify(text, &self.issuers, now_s)?);
        self.cache.keep(digest, verified.clone());
        Ok(verified)
    }

    /// Keys that have grown stale take the tokens along that they verified.
    fn check_fresh(&self, issuer_idx: usize, now_s: u64) -> Result<(), Failed> {
        let is_fresh = self.issuers.get(issuer_idx).is_some_and(|issuer| {
            let seen_s = issuer.keys.as_ref().map_or(0, |keys| keys.seen_s());
            now_s < seen_s.saturating_add(issuer.rules.stale_s_max)
        });
        let failure = TokenFailure::StaleKeys;
        let wants = Some((issuer_idx, Digest::of(b"")));
        if is_fresh { Ok(()) } else { Err(Failed { failure, wants }) }
    }

    #[cfg(test)]
    pub(crate) fn n_cached(&self) -> usize {
        self.cache.len()
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuers({}, {})", self.issuers.len(), self.digest)
    }
}
