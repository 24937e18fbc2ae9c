//! Why a token proves nothing.

/// Why a presented token proves nothing. For the operator: a caller gets one answer for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenFailure {
    /// It is longer than 16 KiB, or one of its parts is longer than it can be.
    TooLong,
    /// It is no signed token in compact form, or its JSON is not that of one.
    Malformed,
    /// Its header asks for an extension, or brings the key to check it with.
    Header,
    /// Its algorithm is `none`, symmetric, unknown, or not one that its issuer may use.
    Algorithm,
    /// It is a token of another kind than an access token (`typ`).
    Kind,
    /// No issuer of that name is configured.
    UnknownIssuer,
    /// Its issuer's keys have not been had yet.
    NoKeys,
    /// Its issuer's keys were last seen too long ago.
    StaleKeys,
    /// Its issuer has no key of that id and algorithm.
    UnknownKey,
    /// The signature is not that of the key.
    Signature,
    /// It is for somebody else.
    Audience,
    /// Its time is over, or it says none.
    Expired,
    /// Its time has not come, or it was issued in the future.
    NotYet,
    /// It lives longer than tokens of its issuer may.
    TooLongLived,
    /// It is of another tenant.
    Tenant,
    /// The application that asked for it is not one of those configured.
    Client,
    /// It names nobody, or with a name that cannot be one.
    Subject,
    /// The issuer left its groups out because there are too many, so that what it may do is not
    /// known: assign app roles instead, or only groups of the application.
    GroupOverage,
    /// It is bound to no certificate, and its issuer's tokens must be.
    Unbound,
    /// It is bound to another certificate than the one shown, or none was shown.
    OtherCertificate,
    /// It is bound in a way that is not supported (DPoP).
    ForeignBinding,
    /// It is a service account's token that is bound to no pod.
    NoPod,
    /// It, or its principal, was revoked.
    Revoked,
}

impl TokenFailure {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::TooLong,
        Self::Malformed,
        Self::Header,
        Self::Algorithm,
        Self::Kind,
        Self::UnknownIssuer,
        Self::NoKeys,
        Self::StaleKeys,
        Self::UnknownKey,
        Self::Signature,
        Self::Audience,
        Self::Expired,
        Self::NotYet,
        Self::TooLongLived,
        Self::Tenant,
        Self::Client,
        Self::Subject,
        Self::GroupOverage,
        Self::Unbound,
        Self::OtherCertificate,
        Self::ForeignBinding,
        Self::NoPod,
        Self::Revoked,
    ];

    /// The word for records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "token-too-long",
            Self::Malformed => "token-malformed",
            Self::Header => "token-header",
            Self::Algorithm => "token-algorithm",
            Self::Kind => "token-kind",
            Self::UnknownIssuer => "token-unknown-issuer",
            Self::NoKeys => "token-no-issuer-keys",
            Self::StaleKeys => "token-stale-issuer-keys",
            Self::UnknownKey => "token-unknown-key",
            Self::Signature => "token-signature",
            Self::Audience => "token-audience",
            Self::Expired => "token-expired",
            Self::NotYet => "token-not-yet-valid",
            Self::TooLongLived => "token-too-long-lived",
            Self::Tenant => "token-tenant",
            Self::Client => "token-client",
            Self::Subject => "token-subject",
            Self::GroupOverage => "token-group-overage",
            Self::Unbound => "token-unbound",
            Self::OtherCertificate => "token-other-certificate",
            Self::ForeignBinding => "token-foreign-binding",
            Self::NoPod => "token-no-pod",
            Self::Revoked => "token-revoked",
        }
    }
}
