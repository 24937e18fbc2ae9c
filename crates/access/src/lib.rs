//! Who is asking, and the least they may see.
//!
//! Pure decisions: time, randomness and stored bytes are arguments; nothing here opens a file, a
//! socket or a clock. [`Keys`] is the book in which an operator issues, rotates and revokes API
//! keys; [`KeyRing`] is the immutable snapshot of it that requests are held against; what a
//! [`Credential`] then may do is answered by the `permit_*` functions, whose results are the only
//! proofs that handlers accept: [`Policies`] must allow it, and the credential's own scopes too.
//! The stored bytes are described in `docs/formats/keyring.md`, every key's place and owner in
//! `docs/keys.md`.

mod approval;
mod certificate;
mod credential;
mod identities;
mod key_ring;
mod key_text;
mod keys;
mod mac;
mod permit;
mod policy;
mod revocation;
mod scopes;
#[cfg(test)]
mod seed;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod throttle;
mod token;

pub use approval::{
    APPROVALS_BYTES_MAX, ApprovalError, Approvals, GLASS_S_MAX, Glass, PENDING_MAX, PEOPLE,
    Pending, Person, REVIEWS_MAX, Sensitive, WAITING_BYTES_MAX,
};
pub use certificate::{
    CERTIFICATE_BYTES_MAX, CertificateFailure, PeerCertificate, SpiffeId, is_trust_domain,
};
pub use credential::{Credential, Identity, Method, Strength};
pub use identities::{Identities, Presented, TRUST_DOMAINS_MAX, TrustDomain, Unproven};
pub use key_ring::{AuthFailure, KeyRing};
pub use key_text::{IssuedKey, KeyId, KeyIdError};
pub use keys::{
    BOOK_BYTES_MAX, BookError, KEPT_AFTER_END_S, KEYS_MAX, KeyInfo, KeyState, Keys, KeysError,
    NewKey, OVERLAP_S_MAX, PRINCIPALS_MAX, Rotation, TTL_S_MAX,
};
pub use mac::MacKey;
pub use permit::{
    AdminPermit, Denied, DescribePermit, InferAsk, LocalPeer, MetricsPermit, Permit, Scene,
    TracePermit, permit_admin, permit_describe, permit_infer, permit_local, permit_metrics,
    permit_trace,
};
pub use policy::{
    AS_ISSUED_FILE, AccessQuestion, Circumstances, DEFAULT_PROJECT, MEMBERS_MAX, PLACES_MAX,
    POLICIES_MAX, POLICY_BYTES_MAX, POLICY_ID_BYTES_MAX, PROJECTS_FILE, PROJECTS_MAX, Policies,
    PolicyAction, PolicyError, PolicyFile, PolicyInfo, Project, Projects, Registrar, Resource,
    Role, Ruling, SCHEMA_TEXT, STARTER_FILE, Stage, UnknownAction, Who, Zone, as_issued, starter,
};
pub use revocation::{
    REVOCATIONS_BYTES_MAX, REVOCATIONS_MAX, Revocation, RevocationError, RevocationKind,
    Revocations, SharedError, SharedState,
};
pub use scopes::{
    Action, Assertion, DIGITS_MAX, ModelScope, SCOPES_BYTES_MAX, Scopes, ScopesError, WordError,
};
pub use throttle::{FAILURE_INTERVAL_NS, FAILURES_BURST, FailureThrottle, RetryAfter, SOURCES_MAX};
pub use token::{
    Algorithm, AlgorithmError, AskAgain, CACHE_LEN_MAX, ISSUERS_MAX, Issuer, IssuerKind,
    IssuerRules, Issuers, JwkSet, JwkSetError, KEYS_MAX as ISSUER_KEYS_MAX, SET_BYTES_MAX,
    TokenFailure, TokenKinds, TokenRefused,
};
