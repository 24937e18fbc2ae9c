//! Somebody who proved who he is: the one value that every way of authenticating ends in.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bartizan_core::{AuthProof, Principal, PrincipalName, Pseudonym};

use crate::key_text::KeyId;
use crate::scopes::Scopes;

/// In which way somebody proved who he is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// An API key of this environment.
    ApiKey,
    /// A token that an issuer signed.
    Token,
    /// A client certificate of a trust domain.
    Certificate,
}

impl Method {
    /// The word for policies and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api-key",
            Self::Token => "oidc",
            Self::Certificate => "mtls",
        }
    }
}

/// What a thief of the presented text alone would gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Strength {
    /// Whoever holds the text is believed.
    Bearer = 0,
    /// A private key was used on this connection: a client certificate, or a token bound to one.
    Bound = 1,
}

/// What is known of a principal beside its name, all of it vouched for by who proved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// In which way it was proved.
    pub method: Method,
    /// How strong that is.
    pub strength: Strength,
    /// The configured name of the issuer or trust domain; none for keys of our own.
    pub issuer: Option<Box<str>>,
    /// The issuer's tenant (`tid`).
    pub tenant: Option<Box<str>>,
    /// The application that asked for the token (`azp`, `appid` or `client_id`).
    pub client: Option<Box<str>>,
    /// The Kubernetes pod that the token is bound to, by its uid.
    pub pod_uid: Option<Box<str>>,
    /// The token's own id (`jti`, `uti`), by which it can be revoked.
    pub token_id: Option<Box<str>>,
    /// `<issuer>/<group>`, `<issuer>/role:<role>`, `<issuer>/scope:<scope>`, sorted: no two
    /// issuers' groups can meet.
    pub groups: Box<[Box<str>]>,
}

impl Identity {
    /// That of a holder of one of our own keys.
    pub fn of_key() -> Self {
        Self {
            method: Method::ApiKey,
            strength: Strength::Bearer,
            issuer: None,
            tenant: None,
            client: None,
            pod_uid: None,
            token_id: None,
            groups: Box::default(),
        }
    }

    /// Takes in groups, roles and OAuth scopes of `issuer`.
    pub(crate) fn set_groups<'a>(
        &mut self,
        issuer: &str,
        groups: impl Iterator<Item = &'a str>,
        roles: impl Iterator<Item = &'a str>,
        scopes: impl Iterator<Item = &'a str>,
    ) {
        let all: BTreeSet<Box<str>> = groups
            .map(|group| format!("{issuer}/{group}"))
            .chain(roles.map(|role| format!("{issuer}/role:{role}")))
            .chain(scopes.map(|scope| format!("{issuer}/scope:{scope}")))
            .map(Into::into)
            .collect();
        self.groups = all.into_iter().collect();
    }
}

/// Somebody who proved who he is, and the most that he may do. Cheap to clone.
#[derive(Clone)]
pub struct Credential(Arc<Holder>);

struct Holder {
    principal: Principal,
    key_id: Option<KeyId>,
    identity: Identity,
    scopes: Scopes,
    ends_s: u64,
}

impl Credential {
    /// The holder of the key `key_id`.
    pub(crate) fn new(
        (name, pseudonym): (PrincipalName, Pseudonym),
        key_id: KeyId,
        scopes: Scopes,
        ends_s: u64,
    ) -> Self {
        let proof = AuthProof::ApiKey { key_id: key_id.as_str().into() };
        let principal = Principal { name, pseudonym, proof };
        let (key_id, identity) = (Some(key_id), Identity::of_key());
        Self(Arc::new(Holder { principal, key_id, identity, scopes, ends_s }))
    }

    /// Somebody whom an issuer or a trust domain vouches for until `ends_s`.
    pub(crate) fn federated(
        principal: Principal,
        identity: Identity,
        scopes: Scopes,
        ends_s: u64,
    ) -> Self {
        Self(Arc::new(Holder { principal, key_id: None, identity, scopes, ends_s }))
    }

    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// Which key proved it, where one of ours did.
    pub fn key_id(&self) -> Option<KeyId> {
        self.0.key_id
    }

    /// What is known beside the name.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Its groups, roles and OAuth scopes; see [`Identity::groups`].
    pub fn groups(&self) -> &[Box<str>] {
        &self.0.identity.groups
    }

    /// In which way it was proved: the word for policies.
    pub fn method(&self) -> &'static str {
        self.0.identity.method.as_str()
    }

    /// How strong the proof is: 0 for whoever holds the text, 1 where a private key was used.
    pub fn strength(&self) -> u8 {
        self.0.identity.strength as u8
    }

    /// The most that it covers: what its key was issued for, or what its issuer or trust domain
    /// may vouch for. Policies decide within.
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    /// When it ends, in seconds since the Unix epoch: it is good while `now_s` is below.
    pub fn expires_s(&self) -> u64 {
        self.0.ends_s
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Credential({}, {})",
            self.0.principal.pseudonym,
            self.0.principal.proof.describe()
        )
    }
}
