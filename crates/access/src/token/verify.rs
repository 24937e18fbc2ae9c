//! Judging a token: one function from text to what it proves.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use bartizan_core::{Digest, PrincipalName};

use super::claims::{Claims, Header};
use super::compact::{Compact, CompactError};
use super::failure::TokenFailure;
use super::issuer::{Issuer, IssuerKind, TokenKinds};
use super::jwk::Algorithm;
use super::name::{federated_name, kubernetes_name};
use crate::credential::{Identity, Method, Strength};

/// What a good token says, whoever presents it on whatever connection.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) name: PrincipalName,
    pub(crate) identity: Identity,
    /// Which of the issuers, by its place.
    pub(crate) issuer_idx: usize,
    /// SHA-256 of the certificate that it is bound to.
    pub(crate) bound_to: Option<[u8; 32]>,
    /// Good from, skew included.
    pub(crate) begins_s: u64,
    /// Good until, skew included.
    pub(crate) ends_s: u64,
}

/// A failure, and whose keys might have to be asked for once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) failure: TokenFailure,
    /// The issuer that might have published the missing key meanwhile, and what stands for the
    /// key's id.
    pub(crate) wants: Option<(usize, Digest)>,
}

impl From<TokenFailure> for Failed {
    fn from(failure: TokenFailure) -> Self {
        Self { failure, wants: None }
    }
}

impl From<CompactError> for TokenFailure {
    fn from(error: CompactError) -> Self {
        match error {
            CompactError::TooLong => Self::TooLong,
            CompactError::Malformed => Self::Malformed,
        }
    }
}

/// Judges `text` at `now_s` seconds since the Unix epoch. The signature is checked before any
/// claim but the issuer's name is looked at. 30 to 150 us.
pub(crate) fn verify(text: &str, issuers: &[Issuer], now_s: u64) -> Result<Verified, Failed> {
    let compact = Compact::parse(text).map_err(TokenFailure::from)?;
    let header: Header<'_> =
        serde_json::from_slice(&compact.header).map_err(|_| TokenFailure::Malformed)?;
    if header.is_hostile() {
        return Err(TokenFailure::Header.into());
    }
    let algorithm: Algorithm = header.alg.parse().map_err(|_| TokenFailure::Algorithm)?;
    let claims: Claims<'_> =
        serde_json::from_slice(&compact.payload).map_err(|_| TokenFailure::Malformed)?;
    if !claims.is_bounded() {
        return Err(TokenFailure::Malformed.into());
    }
    let said = claims.iss.as_deref().unwrap_or_default();
    let mut numbered = issuers.iter().enumerate();
    let (issuer_idx, issuer) = numbered
        .find(|(_, issuer)| issuer.rules.issuer == said)
        .ok_or(TokenFailure::UnknownIssuer)?;
    check_signature(&compact, &header, algorithm, issuer, now_s).map_err(|failure| {
        let key_id = Digest::of(header.kid.as_deref().unwrap_or_default().as_bytes());
        Failed { failure, wants: Some((issuer_idx, key_id)) }
    })?;
    let (begins_s, ends_s) = check_times(&claims, issuer, now_s)?;
    check_addressee(&header, &claims, issuer)?;
    let bound_to = binding(&claims, issuer)?;
    let (name, identity) = who(&claims, issuer)?;
    Ok(Verified { name, identity, issuer_idx, bound_to, begins_s, ends_s })
}

fn check_signature(
    compact: &Compact<'_>,
    header: &Header<'_>,
    algorithm: Algorithm,
    issuer: &Issuer,
    now_s: u64,
) -> Result<(), TokenFailure> {
    if !issuer.rules.algorithms.contains(&algorithm) {
        return Err(TokenFailure::Algorithm);
    }
    let keys = issuer.keys.as_ref().ok_or(TokenFailure::NoKeys)?;
    if keys.seen_s().saturating_add(issuer.rules.stale_s_max) <= now_s {
        return Err(TokenFailure::StaleKeys);
    }
    let kid = header.kid.as_deref();
    let Some(key) = keys.find(kid, algorithm) else {
        // Another algorithm under a known id is no reason to ask the issuer for its keys.
        let is_known = kid.is_some_and(|kid| keys.has(kid));
        return Err(if is_known { TokenFailure::Algorithm } else { TokenFailure::UnknownKey });
    };
    if key.algorithm != algorithm {
        return Err(TokenFailure::Algorithm);
    }
    if key.verifies(compact.signed, &compact.signature) {
        Ok(())
    } else {
        Err(TokenFailure::Signature)
    }
}

/// From when until when it is good, skew included.
fn check_times(
    claims: &Claims<'_>,
    issuer: &Issuer,
    now_s: u64,
) -> Result<(u64, u64), TokenFailure> {
    let rules = &issuer.rules;
    let expires_s = claims.exp.ok_or(TokenFailure::Expired)?.0;
    let ends_s = expires_s.saturating_add(rules.skew_s);
    if ends_s <= now_s {
        return Err(TokenFailure::Expired);
    }
    let begins = [claims.nbf, claims.iat].into_iter().flatten().map(|date| date.0).max();
    let begins_s = begins.unwrap_or(0).saturating_sub(rules.skew_s);
    if now_s < begins_s {
        return Err(TokenFailure::NotYet);
    }
    let since_s = claims.iat.map_or(now_s, |date| date.0);
    if rules.life_s_max < expires_s.saturating_sub(since_s) {
        return Err(TokenFailure::TooLongLived);
    }
    Ok((begins_s, ends_s))
}

fn check_addressee(
    header: &Header<'_>,
    claims: &Claims<'_>,
    issuer: &Issuer,
) -> Result<(), TokenFailure> {
    let rules = &issuer.rules;
    if !rules.kinds.takes(header.typ.as_deref()) {
        return Err(TokenFailure::Kind);
    }
    if !claims.aud.iter().any(|audience| audience == rules.audience) {
        return Err(TokenFailure::Audience);
    }
    if rules.tenant.is_some() && rules.tenant.as_deref() != claims.tid.as_deref() {
        return Err(TokenFailure::Tenant);
    }
    let client = claims.client().map_err(|()| TokenFailure::Client)?;
    if !rules.clients.is_empty() && !client.is_some_and(|client| rules.clients.contains(client)) {
        return Err(TokenFailure::Client);
    }
    if claims.has_overage() {
        return Err(TokenFailure::GroupOverage);
    }
    Ok(())
}

/// The certificate that it is bound to. A binding is never overlooked, whatever the rules say.
fn binding(claims: &Claims<'_>, issuer: &Issuer) -> Result<Option<[u8; 32]>, TokenFailure> {
    let Some(confirmation) = &claims.cnf else {
        let needs = issuer.rules.needs_binding;
        return if needs { Err(TokenFailure::Unbound) } else { Ok(None) };
    };
    if confirmation.is_foreign() {
        return Err(TokenFailure::ForeignBinding);
    }
    let text = confirmation.certificate.as_deref().unwrap_or_default();
    let bytes = super::compact::decode(text).and_then(|bytes| bytes.try_into().ok());
    bytes.map(Some).ok_or(TokenFailure::Malformed)
}

fn who(claims: &Claims<'_>, issuer: &Issuer) -> Result<(PrincipalName, Identity), TokenFailure> {
    let rules = &issuer.rules;
    let own = rules.name.as_str();
    let mut pod_uid = None;
    let name = match rules.kind {
        IssuerKind::Oidc => claims.sub.as_deref().and_then(|sub| federated_name(own, sub)),
        // `sub` differs from application to application, `oid` is the one name of a tenant.
        IssuerKind::Entra => claims.oid.as_deref().and_then(|oid| federated_name(own, oid)),
        IssuerKind::Kubernetes => {
            let said = claims.kubernetes.as_ref();
            let uid = said.and_then(|said| said.pod.as_ref()?.uid.as_deref());
            pod_uid = Some(uid.filter(|uid| !uid.is_empty()).ok_or(TokenFailure::NoPod)?.into());
            let namespace = said.and_then(|said| said.namespace.as_deref());
            let account = said.and_then(|said| said.serviceaccount.as_ref()?.name.as_deref());
            kubernetes_name(own, claims.sub.as_deref(), namespace, account)
        }
    };
    let name = name.ok_or(TokenFailure::Subject)?;
    let strength = if claims.cnf.is_some() { Strength::Bound } else { Strength::Bearer };
    let client = claims.client().ok().flatten();
    let mut identity = Identity {
        method: Method::Token,
        strength,
        issuer: Some(own.into()),
        tenant: claims.tid.as_deref().map(Into::into),
        client: client.map(Into::into),
        pod_uid,
        token_id: claims.jti.as_deref().or(claims.uti.as_deref()).map(Into::into),
        groups: Box::default(),
    };
    identity.set_groups(own, claims.groups.iter(), claims.roles.iter(), claims.scopes());
    Ok((name, identity))
}

impl TokenKinds {
    fn takes(self, typ: Option<&str>) -> bool {
        // RFC 7515, 4.1.9: `application/` may be left out, and case does not matter.
        let typ = typ.map(|text| {
            let text = text.to_ascii_lowercase();
            text.strip_prefix("application/").map_or(text.clone(), ToOwned::to_owned)
        });
        match (self, typ.as_deref()) {
            (_, Some("at+jwt")) | (Self::Any, None | Some("jwt")) => true,
            (Self::Any | Self::AccessOnly, _) => false,
        }
    }
}
