//! What a token says: header and claims as JSON, bounded, read once.
//!
//! Invariants
//! - T1: a name that is said twice in one object makes the token malformed: two readers of it can
//!   never disagree about which is meant.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

/// Most groups, roles, scopes or audiences of a token.
pub(crate) const LIST_LEN_MAX: usize = 256;
/// Longest single text among the claims, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 512;
/// Latest date of a claim, in seconds since the Unix epoch: 2^40, the year 36,812.
const DATE_S_MAX: u64 = 1 << 40;

/// A token's header (RFC 7515, 4.1).
#[derive(serde::Deserialize)]
pub(crate) struct Header<'a> {
    #[serde(borrow)]
    pub(crate) alg: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) kid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) typ: Option<Cow<'a, str>>,
    crit: Option<IgnoredAny>,
    b64: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
    jku: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    enc: Option<IgnoredAny>,
    zip: Option<IgnoredAny>,
}

impl Header<'_> {
    /// Whether it asks for something that we do not do, or brings the key to check it with.
    pub(crate) fn is_hostile(&self) -> bool {
        let odd = [&self.crit, &self.b64, &self.jwk, &self.jku, &self.x5u, &self.enc, &self.zip];
        odd.iter().any(|field| field.is_some())
    }
}

/// Claims that are judged (RFC 7519, 4.1; RFC 9068; Microsoft Entra's and Kubernetes' own).
#[derive(serde::Deserialize)]
pub(crate) struct Claims<'a> {
    #[serde(borrow)]
    pub(crate) iss: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) sub: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) aud: Texts<'a>,
    pub(crate) exp: Option<Date>,
    pub(crate) nbf: Option<Date>,
    pub(crate) iat: Option<Date>,
    #[serde(borrow)]
    pub(crate) jti: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) uti: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) tid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) oid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    azp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    appid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    client_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) groups: Texts<'a>,
    #[serde(borrow, default)]
    pub(crate) roles: Texts<'a>,
    #[serde(borrow)]
    scp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
    hasgroups: Option<IgnoredAny>,
    #[serde(borrow, rename = "_claim_names")]
    claim_names: Option<BTreeMap<Cow<'a, str>, IgnoredAny>>,
    #[serde(borrow)]
    pub(crate) cnf: Option<Confirmation<'a>>,
    #[serde(borrow, rename = "kubernetes.io")]
    pub(crate) kubernetes: Option<Kubernetes<'a>>,
}

/// The key that a token is bound to (RFC 7800, 3.1; RFC 8705, 3.1; RFC 9449, 6.1).
#[derive(serde::Deserialize)]
pub(crate) struct Confirmation<'a> {
    #[serde(borrow, rename = "x5t#S256")]
    pub(crate) certificate: Option<Cow<'a, str>>,
    jkt: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
    jku: Option<IgnoredAny>,
    jwe: Option<IgnoredAny>,
    kid: Option<IgnoredAny>,
}

impl Confirmation<'_> {
    /// Whether it is bound in a way that we cannot check.
    pub(crate) fn is_foreign(&self) -> bool {
        let ways = [&self.jkt, &self.jwk, &self.jku, &self.jwe, &self.kid];
        self.certificate.is_none() || ways.iter().any(|way| way.is_some())
    }
}

/// What Kubernetes says about a service account's token (KEP-1205).
#[derive(serde::Deserialize)]
pub(crate) struct Kubernetes<'a> {
    #[serde(borrow)]
    pub(crate) namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) serviceaccount: Option<Reference<'a>>,
    #[serde(borrow)]
    pub(crate) pod: Option<Reference<'a>>,
}

/// A thing of a cluster.
#[derive(serde::Deserialize)]
pub(crate) struct Reference<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) uid: Option<Cow<'a, str>>,
}

impl Claims<'_> {
    /// Whether groups were left out because there were too many (Entra's "group overage").
    pub(crate) fn has_overage(&self) -> bool {
        let named = self.claim_names.as_ref().is_some_and(|names| names.contains_key("groups"));
        named || self.hasgroups.is_some()
    }

    /// The application that asked for the token: where several claims say one, they must agree.
    ///
    /// # Errors
    /// Where they do not.
    pub(crate) fn client(&self) -> Result<Option<&str>, ()> {
        let said = [&self.azp, &self.appid, &self.client_id];
        let mut said = said.into_iter().flatten().map(AsRef::as_ref);
        let first = said.next();
        if said.all(|other| Some(other) == first) { Ok(first) } else { Err(()) }
    }

    /// OAuth scopes: `scp` or `scope`, parted by spaces.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        let said = [&self.scp, &self.scope];
        let texts = said.into_iter().flatten();
        texts.flat_map(|text| text.split(' ')).filter(|scope| !scope.is_empty())
    }

    /// Whether every text and list is within its bound.
    pub(crate) fn is_bounded(&self) -> bool {
        let texts = [
            &self.iss,
            &self.sub,
            &self.jti,
            &self.uti,
            &self.tid,
            &self.oid,
            &self.azp,
            &self.appid,
            &self.client_id,
        ];
        let lists = [&self.aud, &self.groups, &self.roles];
        texts.iter().all(|text| text.as_ref().is_none_or(|text| text.len() <= TEXT_BYTES_MAX))
            && lists.iter().all(|list| list.0.iter().all(|text| text.len() <= TEXT_BYTES_MAX))
            && self.scopes().take(LIST_LEN_MAX.saturating_add(1)).count() <= LIST_LEN_MAX
    }
}

/// A date (RFC 7519, 2): whole seconds since the Unix epoch; fractions are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date(pub(crate) u64);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl Visitor<'_> for Seen {
            type Value = Date;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970")
            }

            fn visit_u64<E: de::Error>(self, secs: u64) -> Result<Date, E> {
                if secs <= DATE_S_MAX { Ok(Date(secs)) } else { Err(E::custom("too late")) }
            }

            fn visit_f64<E: de::Error>(self, secs: f64) -> Result<Date, E> {
                if (0.0..=DATE_S_MAX as f64).contains(&secs) {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "its range was just checked"
                    )]
                    return Ok(Date(secs as u64));
                }
                Err(E::custom("no date"))
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

/// A text or a list of texts.
#[derive(Default)]
pub(crate) struct Texts<'a>(pub(crate) Vec<Cow<'a, str>>);

impl Texts<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Seen<'a> {
            type Value = Texts<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Texts<'a>, E> {
                Ok(Texts(vec![Cow::Borrowed(text)]))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts<'a>, E> {
                Ok(Texts(vec![Cow::Owned(text.to_owned())]))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Texts<'a>, E> {
                Ok(Texts(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts<'a>, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element::<String>()? {
                    if LIST_LEN_MAX <= texts.len() {
                        return Err(de::Error::custom("too many"));
                    }
                    texts.push(Cow::Owned(text));
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(Seen(PhantomData))
    }
}
