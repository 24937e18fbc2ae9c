//! Everybody that is not known by a key of our own: issuers, trust domains, and who was revoked.
//! One value, replaced whole, that a request is authenticated by to its end.
//!
//! Invariants
//! - M1: of several credentials on one request each must prove itself, and the request acts as one
//!   principal: that of the key or token, where there is one, else that of the certificate; the
//!   other never adds to what it covers;
//! - M2: who was revoked is refused whichever of his credentials he shows.

use std::fmt;
use std::sync::Arc;

use bartizan_core::{AuthProof, Digest, EnvName, Principal};

use crate::certificate::{CertificateFailure, PeerCertificate};
use crate::credential::{Credential, Identity, Method, Strength};
use crate::key_ring::KeyRing;
use crate::revocation::Revocations;
use crate::scopes::Scopes;
use crate::token::{AskAgain, Issuers, TokenFailure};

/// Most trust domains of an environment.
pub const TRUST_DOMAINS_MAX: usize = 32;
/// What stands in records where nothing was shown.
const NO_CREDENTIAL: &str = "no-credential";

/// A domain whose certificates are taken. The roots that may vouch for it are the TLS layer's.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustDomain {
    /// Its name, as SPIFFE ids spell it.
    pub domain: Box<str>,
    /// The most that its certificates can cover.
    pub scopes: Scopes,
}

/// What a request shows.
#[derive(Clone, Copy, Default)]
pub struct Presented<'a> {
    /// The text behind `Bearer`.
    pub bearer: Option<&'a str>,
    /// The client certificate of the connection, whose chain TLS has checked.
    pub certificate: Option<&'a PeerCertificate>,
}

/// Why a request is nobody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unproven {
    /// The word for records and metrics; the caller gets one answer for all.
    pub reason: &'static str,
    /// The issuer whose keys are worth one more look.
    pub ask_again: Option<AskAgain>,
}

impl Unproven {
    fn because(reason: &'static str) -> Self {
        Self { reason, ask_again: None }
    }

    /// Whether nothing was shown at all.
    pub fn is_silent(&self) -> bool {
        self.reason == NO_CREDENTIAL
    }
}

/// Issuers, trust domains and revocations of one moment; see the module.
pub struct Identities {
    issuers: Arc<Issuers>,
    domains: Arc<[TrustDomain]>,
    revocations: Arc<Revocations>,
    digest: Digest,
}

impl Identities {
    /// Of these.
    pub fn new(
        issuers: Arc<Issuers>,
        domains: Arc<[TrustDomain]>,
        revocations: Arc<Revocations>,
    ) -> Self {
        let text = format!(
            "bartizan identities 1\n{}\n{domains:?}\n{}\n",
            issuers.digest(),
            revocations.digest()
        );
        Self { issuers, domains, revocations, digest: Digest::of(text.as_bytes()) }
    }

    /// Nobody.
    pub fn none() -> Self {
        Self::new(Arc::new(Issuers::new(Vec::new())), Arc::default(), Arc::default())
    }

    /// The same with these issuers.
    pub fn with_issuers(&self, issuers: Arc<Issuers>) -> Self {
        Self::new(issuers, self.domains.clone(), self.revocations.clone())
    }

    /// The same with these revocations.
    pub fn with_revocations(&self, revocations: Arc<Revocations>) -> Self {
        Self::new(self.issuers.clone(), self.domains.clone(), revocations)
    }

    /// The issuers of tokens.
    pub fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    /// The same issuers with these keys of `name`.
    pub fn with_keys(&self, name: &EnvName, keys: Arc<crate::token::JwkSet>) -> Self {
        self.with_issuers(Arc::new(self.issuers.with_keys(name, keys)))
    }

    /// The same list of who was revoked, to be put into others.
    pub fn shared_revocations(&self) -> Arc<Revocations> {
        self.revocations.clone()
    }

    /// Who was revoked.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Part of what records call the snapshot.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Who shows `presented` at `now_s` seconds since the Unix epoch; see M1. A microsecond for a
    /// key, two for a token that was seen before, up to 150 for one that was not.
    ///
    /// # Errors
    /// [`Unproven`], which the caller must not learn.
    pub fn authenticate(
        &self,
        presented: Presented<'_>,
        ring: &KeyRing,
        now_s: u64,
    ) -> Result<Credential, Unproven> {
        let Presented { bearer, certificate } = presented;
        let shown = certificate.map(|shown| self.certificate(shown, ring, now_s)).transpose();
        let shown = shown.map_err(|failure| Unproven::because(failure.as_str()))?;
        let credential = match bearer {
            None => shown.ok_or_else(|| Unproven::because(NO_CREDENTIAL))?,
            Some(text) if is_token(text) => {
                let asked = self.issuers.authenticate(text, certificate, ring, now_s);
                asked.map_err(|refused| Unproven {
                    reason: refused.failure.as_str(),
                    ask_again: refused.ask_again,
                })?
            }
            Some(text) => ring
                .authenticate(text, now_s)
                .map_err(|failure| Unproven::because(failure.as_str()))?,
        };
        if self.revocations.covers(&credential, None) {
            let word = match credential.identity().method {
                Method::ApiKey => crate::key_ring::AuthFailure::Revoked.as_str(),
                Method::Token => TokenFailure::Revoked.as_str(),
                Method::Certificate => CertificateFailure::Revoked.as_str(),
            };
            return Err(Unproven::because(word));
        }
        Ok(credential)
    }

    fn certificate(
        &self,
        shown: &PeerCertificate,
        ring: &KeyRing,
        now_s: u64,
    ) -> Result<Credential, CertificateFailure> {
        let id = shown.id().ok_or(CertificateFailure::NoId)?;
        let domain = self.domains.iter().find(|domain| *domain.domain == *id.domain());
        let domain = domain.ok_or(CertificateFailure::UnknownDomain)?;
        let (begins_s, ends_s) = shown.validity();
        if now_s < begins_s || ends_s < now_s {
            return Err(CertificateFailure::Expired);
        }
        let name = id.principal().ok_or(CertificateFailure::NoId)?;
        let pseudonym = ring.federated_pseudonym(&name);
        let proof = AuthProof::Certificate { fingerprint: shown.short() };
        let identity = Identity {
            method: Method::Certificate,
            strength: Strength::Bound,
            issuer: Some(domain.domain.clone()),
            ..Identity::of_key()
        };
        let credential = Credential::federated(
            Principal { name, pseudonym, proof },
            identity,
            domain.scopes.clone(),
            ends_s.saturating_add(1),
        );
        if self.revocations.covers(&credential, Some(shown)) {
            return Err(CertificateFailure::Revoked);
        }
        Ok(credential)
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({:?}, {} trust domains)", self.issuers, self.domains.len())
    }
}

/// Whether a bearer's text is meant as a token: no key has a point in it.
fn is_token(text: &str) -> bool {
    text.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Keys, NewKey};
    use crate::mac::MacKey;
    use crate::revocation::{Revocation, RevocationKind};
    use crate::scopes::ModelScope;
    use crate::seed::Seed;

    const SVID: &[u8] = include_bytes!("../testdata/svid.der");
    const NAME: &str = "spiffe/prod.example/ns/fraud/sa/scorer";
    /// Within the certificate's time.
    const NOW_S: u64 = 1_800_000_000;

    fn identities(domain: &str, revoked: &[Revocation]) -> Identities {
        let scopes = Scopes::inference(ModelScope::All);
        let domains = [TrustDomain { domain: domain.into(), scopes }];
        let mut revocations = Revocations::default();
        for revocation in revoked {
            revocations = revocations.with(revocation.clone(), 0).unwrap();
        }
        let issuers = Arc::new(Issuers::new(Vec::new()));
        Identities::new(issuers, Arc::new(domains), Arc::new(revocations))
    }

    fn keys() -> (KeyRing, String) {
        let entropy = Seed::new(1);
        let mut keys = Keys::new("dev".parse().unwrap(), MacKey::random(&entropy));
        let scopes = Scopes::inference(ModelScope::All);
        let new = NewKey { principal: "ann".parse().unwrap(), scopes, ttl_s: 1_000 };
        let text = keys.issue(&new, NOW_S, &entropy).unwrap().reveal().to_string();
        (keys.ring(), text)
    }

    /// M1: each must prove itself; the key acts, the certificate adds nothing.
    #[test]
    fn several_credentials_must_each_be_good_and_none_widens_another() {
        let (ring, key) = keys();
        let shown = PeerCertificate::parse(SVID).unwrap();
        let known = identities("prod.example", &[]);
        let ask = |identities: &Identities, bearer, certificate| {
            identities.authenticate(Presented { bearer, certificate }, &ring, NOW_S)
        };
        let both = ask(&known, Some(&key), Some(&shown)).unwrap();
        assert_eq!((both.principal().name.as_str(), both.method()), ("ann", "api-key"));
        assert_eq!(both.strength(), 0);
        let alone = ask(&known, None, Some(&shown)).unwrap();
        assert_eq!((alone.principal().name.as_str(), alone.method()), (NAME, "mtls"));
        assert_eq!(alone.strength(), 1);
        assert_eq!(ask(&known, None, None).unwrap_err().reason, "no-credential");
        let reason = |identities: &Identities, bearer, certificate| {
            ask(identities, bearer, certificate).unwrap_err().reason
        };
        let stranger = identities("other.example", &[]);
        assert_eq!(reason(&stranger, Some(&key), Some(&shown)), "certificate-unknown-domain");
        assert_eq!(reason(&known, Some("bz_x"), Some(&shown)), "malformed-key");
        assert_eq!(reason(&known, Some("a.b.c"), Some(&shown)), "token-malformed");
        let presented = Presented { bearer: Some(&key), certificate: Some(&shown) };
        let late = shown.validity().1 + 1;
        let late = known.authenticate(presented, &ring, late).unwrap_err();
        assert_eq!(late.reason, "certificate-expired");
    }

    /// M2.
    #[test]
    fn who_was_revoked_is_refused_by_whatever_he_shows() {
        let (ring, key) = keys();
        let shown = PeerCertificate::parse(SVID).unwrap();
        let id = key.split('_').nth(2).unwrap();
        for (kind, value, key_falls, certificate_falls) in [
            (RevocationKind::Key, id, true, false),
            (RevocationKind::Principal, "ann", true, false),
            (RevocationKind::Principal, NAME, false, true),
            (RevocationKind::Certificate, &shown.fingerprint().hex(), false, true),
            (RevocationKind::Principal, "bob", false, false),
        ] {
            let revoked = Revocation { kind, value: value.into(), until_s: u64::MAX };
            let identities = identities("prod.example", &[revoked]);
            let by_key = Presented { bearer: Some(&key), certificate: None };
            let by_certificate = Presented { bearer: None, certificate: Some(&shown) };
            let falls = |presented| identities.authenticate(presented, &ring, NOW_S).is_err();
            assert_eq!(falls(by_key), key_falls, "{kind:?} {value}");
            assert_eq!(falls(by_certificate), certificate_falls, "{kind:?} {value}");
        }
    }
}
