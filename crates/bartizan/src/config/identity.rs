//! `[[issuer]]`, `[[trust]]`, `[shared]` and `[approvals]`: whom others vouch for, and what takes
//! two people.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_access::{
    Action, Algorithm, Assertion, ISSUERS_MAX, IssuerKind, IssuerRules, ModelScope, Scopes,
    Sensitive, TRUST_DOMAINS_MAX, TokenKinds, TrustDomain, is_trust_domain,
};
use bartizan_core::{EnvName, ModelName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::read::{Parsed, Problem};

/// What kind of issuer it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Any that speaks OpenID Connect; principals are named by `sub`.
    #[default]
    Oidc,
    /// Microsoft Entra; principals are named by `oid`, and `tenant` is needed.
    Entra,
    /// A Kubernetes cluster; principals are service accounts, and tokens must name their pod.
    Kubernetes,
}

/// Which tokens are taken, by the `typ` of their header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tokens {
    /// `JWT`, `at+jwt`, or nothing.
    #[default]
    Any,
    /// `at+jwt` alone (RFC 9068).
    AtJwt,
}

/// An issuer whose tokens are taken as credentials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issuer {
    /// Its name here: the first part of its principals' names.
    #[schemars(with = "String", length(min = 1, max = 32), regex(pattern = r"^[a-z][a-z0-9-]*$"))]
    pub(crate) name: EnvName,
    /// `oidc`, `entra` or `kubernetes`.
    #[serde(default)]
    pub(crate) kind: Kind,
    /// What `iss` in its tokens is, to the byte.
    pub(crate) issuer: String,
    /// What `aud` in its tokens must be or have, to the byte: this service in this environment.
    pub(crate) audience: String,
    /// Algorithms that it may sign with: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384,
    /// EdDSA.
    #[serde(default = "algorithms")]
    pub(crate) algorithms: Vec<String>,
    /// `any` or `at-jwt`.
    #[serde(default)]
    pub(crate) tokens: Tokens,
    /// What `tid` in its tokens must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
    /// The only applications (`azp`, `appid`, `client_id`) that may have asked for a token; any
    /// where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) clients: Vec<String>,
    /// How far its clock may be from ours, in seconds.
    #[serde(default = "skew")]
    #[schemars(range(min = 0, max = 300))]
    pub(crate) skew_s: u32,
    /// Longest life of a token, in seconds.
    #[serde(default = "life")]
    #[schemars(range(min = 60, max = 31_622_400))]
    pub(crate) life_s_max: u32,
    /// How long its keys are good after they were last seen, in seconds.
    #[serde(default = "stale")]
    #[schemars(range(min = 60, max = 604_800))]
    pub(crate) stale_s_max: u32,
    /// Whether every token must be bound to a client certificate (`cnf.x5t#S256`, RFC 8705).
    #[serde(default)]
    pub(crate) bound: bool,
    /// Address of its key set, where it is not to be discovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keys_url: Option<String>,
    /// File with its key set, where it is not to be asked; relative to the environment's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) keys_file: Option<PathBuf>,
    /// PEM file with the only roots to believe when it is asked; the system's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) roots: Option<PathBuf>,
    /// The most that its tokens can be used for: infer, describe, admin, metrics, trace.
    #[serde(default = "actions")]
    pub(crate) actions: Vec<String>,
    /// The only models that its tokens can be used for; all where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) models: Vec<String>,
}

/// A SPIFFE trust domain whose client certificates are taken as credentials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trust {
    /// Its name, as in `spiffe://<domain>/...`.
    pub(crate) domain: String,
    /// PEM file with the roots that may vouch for it; relative to the environment's folder.
    #[schemars(with = "String")]
    pub(crate) roots: PathBuf,
    /// PEM file with revocation lists of whoever issues its certificates; where there is one, a
    /// certificate that no list in it covers, or whose list is out of date, is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) revoked: Option<PathBuf>,
    /// The most that its certificates can be used for: infer, describe, admin, metrics, trace.
    #[serde(default = "actions")]
    pub(crate) actions: Vec<String>,
    /// The only models that its certificates can be used for; all where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) models: Vec<String>,
}

/// What replicas of one environment share about access.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Shared {
    /// Folder that all replicas see, for what was revoked; relative to the environment's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) folder: Option<PathBuf>,
    /// How long a replica serves while that folder is out of reach, in seconds; then requests are
    /// refused with 503.
    #[schemars(range(min = 1, max = 60))]
    pub(crate) stale_s_max: u32,
}

impl Default for Shared {
    fn default() -> Self {
        Self { folder: None, stale_s_max: 60 }
    }
}

/// What takes two people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Approvals {
    /// What takes two people, neither of them a local user or an API key: erase, prune,
    /// key-rotation, hold-release, policy-change, revoke.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) operations: Vec<String>,
    /// How long a request waits for the second person, in seconds.
    #[schemars(range(min = 60, max = 604_800))]
    pub(crate) expire_s: u32,
}

impl Default for Approvals {
    fn default() -> Self {
        Self { operations: Vec::new(), expire_s: 86_400 }
    }
}

fn algorithms() -> Vec<String> {
    ["RS256", "PS256", "ES256", "ES384", "EdDSA"].map(ToOwned::to_owned).to_vec()
}

fn actions() -> Vec<String> {
    ["infer", "describe"].map(ToOwned::to_owned).to_vec()
}

fn skew() -> u32 {
    60
}

fn life() -> u32 {
    172_800
}

fn stale() -> u32 {
    86_400
}

impl Issuer {
    /// What its tokens are held against.
    ///
    /// # Errors
    /// The key that is wrong, and how.
    pub(crate) fn rules(&self) -> Result<IssuerRules, (&'static str, String)> {
        let mut algorithms = BTreeSet::new();
        for text in &self.algorithms {
            let algorithm: Algorithm =
                text.parse().map_err(|error| ("algorithms", format!("`{text}`: {error}")))?;
            algorithms.insert(algorithm);
        }
        if algorithms.is_empty() {
            return Err(("algorithms", "lists none: no token could be verified".to_owned()));
        }
        Ok(IssuerRules {
            name: self.name.clone(),
            kind: match self.kind {
                Kind::Oidc => IssuerKind::Oidc,
                Kind::Entra => IssuerKind::Entra,
                Kind::Kubernetes => IssuerKind::Kubernetes,
            },
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            algorithms,
            kinds: match self.tokens {
                Tokens::Any => TokenKinds::Any,
                Tokens::AtJwt => TokenKinds::AccessOnly,
            },
            tenant: self.tenant.clone(),
            clients: self.clients.iter().cloned().collect(),
            skew_s: self.skew_s.into(),
            life_s_max: self.life_s_max.into(),
            stale_s_max: self.stale_s_max.into(),
            needs_binding: self.bound,
            scopes: ceiling(&self.actions, &self.models)?,
        })
    }
}

impl Trust {
    /// What its certificates can cover.
    ///
    /// # Errors
    /// The key that is wrong, and how.
    pub(crate) fn domain(&self) -> Result<TrustDomain, (&'static str, String)> {
        let domain = self.domain.as_str().into();
        Ok(TrustDomain { domain, scopes: ceiling(&self.actions, &self.models)? })
    }
}

/// The most that an issuer or a trust domain can give. What its principals may assert is for
/// policies to say.
fn ceiling(actions: &[String], models: &[String]) -> Result<Scopes, (&'static str, String)> {
    let mut all = BTreeSet::new();
    for text in actions {
        let action: Action =
            text.parse().map_err(|error| ("actions", format!("`{text}`: {error}")))?;
        all.insert(action);
    }
    if all.is_empty() {
        return Err(("actions", "lists none: nothing could be done with it".to_owned()));
    }
    let mut named = BTreeSet::new();
    for text in models {
        let name: ModelName =
            text.parse().map_err(|error| ("models", format!("`{text}`: {error}")))?;
        named.insert(name);
    }
    let models = if named.is_empty() { ModelScope::All } else { ModelScope::Some(named) };
    let may_assert = Assertion::ALL.iter().copied().collect();
    Ok(Scopes { actions: all, may_assert, ..Scopes::inference(models) })
}

/// What is wrong with issuers and trust domains beyond their shape.
pub(super) fn contradictions(parsed: &Parsed) -> Vec<Problem> {
    let mut found = Vec::new();
    for (idx, text) in parsed.config.approvals.operations.iter().enumerate() {
        if !Sensitive::ALL.iter().any(|one| one.as_str() == text) {
            let words: Vec<_> = Sensitive::ALL.iter().map(|one| one.as_str()).collect();
            let message = format!("`{text}`: it is one of {}", words.join(", "));
            found.push(parsed.problem(&format!("approvals.operations[{idx}]"), message));
        }
    }
    let (issuers, domains) = (&parsed.config.issuer, &parsed.config.trust);
    if ISSUERS_MAX < issuers.len() {
        found.push(parsed.problem("issuer", format!("there are at most {ISSUERS_MAX}")));
    }
    if TRUST_DOMAINS_MAX < domains.len() {
        found.push(parsed.problem("trust", format!("there are at most {TRUST_DOMAINS_MAX}")));
    }
    for (idx, issuer) in issuers.iter().enumerate() {
        let mut say = |key: &str, message: String| {
            found.push(parsed.problem(&format!("issuer[{idx}].{key}"), message));
        };
        if let Err((key, message)) = issuer.rules() {
            say(key, message);
        }
        if matches!(issuer.name.as_str(), "spiffe" | "local") {
            say("name", "is the name of our own kinds of principals; choose another".to_owned());
        }
        let others = issuers.iter().take(idx);
        if others.clone().any(|other| other.name == issuer.name) {
            say("name", "is taken by another issuer; its principals would be mixed up".to_owned());
        }
        if others.clone().any(|other| other.issuer == issuer.issuer) {
            say("issuer", "is configured twice; one entry with one audience".to_owned());
        }
        if issuer.audience.is_empty() {
            say("audience", "is empty; it must name this service".to_owned());
        }
        if issuer.kind == Kind::Entra && issuer.tenant.is_none() {
            let message = "`entra` needs it: without a tenant every Entra customer would be let in";
            say("tenant", message.to_owned());
        }
        if issuer.keys_url.is_some() && issuer.keys_file.is_some() {
            say("keys_file", "contradicts `keys_url`; give one of them".to_owned());
        }
    }
    for (idx, trust) in domains.iter().enumerate() {
        let mut say = |key: &str, message: String| {
            found.push(parsed.problem(&format!("trust[{idx}].{key}"), message));
        };
        if let Err((key, message)) = trust.domain() {
            say(key, message);
        }
        if !is_trust_domain(&trust.domain) {
            say("domain", "is no trust domain: 1 to 255 of a-z, 0-9, `.`, `-` and `_`".to_owned());
        }
        if domains.iter().take(idx).any(|other| other.domain == trust.domain) {
            say("domain", "is configured twice; put all its roots into one file".to_owned());
        }
    }
    found
}

/// The rules of all issuers, in their order. What is wrong was said by [`contradictions`].
pub(crate) fn all_rules(issuers: &[Issuer]) -> Vec<(Arc<IssuerRules>, &Issuer)> {
    issuers.iter().filter_map(|one| Some((Arc::new(one.rules().ok()?), one))).collect()
}

impl Trust {
    /// The domain of the administrators that `bartizan init` makes, for an environment of this
    /// name, with the file of its only authority.
    pub(crate) fn of_administrators(environment: &EnvName, roots: PathBuf) -> Self {
        let actions = [Action::Describe, Action::Admin, Action::Metrics, Action::Trace];
        Self {
            domain: administrators_domain(environment),
            roots,
            revoked: None,
            actions: actions.iter().map(ToString::to_string).collect(),
            models: Vec::new(),
        }
    }
}

/// The trust domain of the administrators that `bartizan init` makes.
pub(crate) fn administrators_domain(environment: &EnvName) -> String {
    format!("admin.{environment}")
}
