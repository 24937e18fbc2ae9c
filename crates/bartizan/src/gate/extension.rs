//! Extensions of the allow-list: names that somebody vouches for, signed.
//!
//! An extension adds names for files with given digests, or for files of given publishers: those
//! that a publisher's key has signed as its own. It has a reason and a last day, and is signed by
//! a key that the policy of whoever scans lists. `docs/formats/extension.md` tells it byte by byte.
//!
//! Invariants
//! - EX1: an extension counts for the files it is for, up to and with its last day (UTC), if a
//!   key of the policy signed it;
//! - EX2: it adds names; it never changes how a published name may be used, and never adds one
//!   whose calls are judged.

use bartizan_core::Digest;
use bartizan_scan::{Allow, Role};
use ring::signature::Ed25519KeyPair;
use serde::{Deserialize, Serialize};

use super::dsse::{self, DsseError};
use super::exception::{is_day, is_reason, public_key};

/// Longest extension, in bytes.
pub(crate) const EXTENSION_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest statement of a publisher, in bytes.
pub(crate) const PUBLISHED_BYTES_MAX: u64 = 64 * 1024;
/// What stands behind a file's name to name its publisher's statement.
pub(crate) const PUBLISHED_SUFFIX: &str = ".published.json";
/// Most names of one extension.
const NAMES_MAX: usize = 10_000;
/// Most digests or publishers of one extension.
const SCOPE_MAX: usize = 10_000;
/// Longest module or name, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Type of the payload.
const KIND: &str = "application/vnd.bartizan.allow-extension.v1+json";
/// Type of the predicate of a publisher's statement.
const PUBLISHED: &str = "urn:bartizan:published:v1";

/// Why an extension does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExtensionError {
    /// The envelope does not open.
    #[error(
        "the extension does not open; make it with `bartizan model extend`, and list its key under `extensions.keys` of the policy if it may extend"
    )]
    Envelope(#[source] DsseError),
    /// What was signed is not written as extensions are.
    #[error("the extension does not read; make one with `bartizan model extend`")]
    Syntax(#[source] serde_json::Error),
    /// Too little or too much of something.
    #[error(
        "an extension has 1 to {NAMES_MAX} names of at most {NAME_BYTES_MAX} bytes, a digest or a publisher's key (at most {SCOPE_MAX}), a reason of at most 200 bytes, and a last day like 2027-01-31"
    )]
    Shape,
    /// A name that is not written as one.
    #[error(
        "`{text}` is no name of the form `module:name=role` with the role state, class, function or reference"
    )]
    Name {
        /// What stands there.
        text: String,
    },
}

/// How an added name may be used; judged ones cannot be added (EX2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AddedRole {
    State,
    Class,
    Function,
    Reference,
}

impl AddedRole {
    /// As the scan knows it.
    pub(crate) fn role(self) -> Role {
        match self {
            Self::State => Role::State,
            Self::Class => Role::Class,
            Self::Function => Role::Function,
            Self::Reference => Role::Reference,
        }
    }
}

/// One added name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddedName {
    module: String,
    name: String,
    role: AddedRole,
}

impl std::str::FromStr for AddedName {
    type Err = ExtensionError;

    fn from_str(text: &str) -> Result<Self, ExtensionError> {
        let bad = || ExtensionError::Name { text: text.chars().take(200).collect() };
        let (path, role) = text.split_once('=').ok_or_else(bad)?;
        let (module, name) = path.split_once(':').ok_or_else(bad)?;
        let all = [AddedRole::State, AddedRole::Class, AddedRole::Function, AddedRole::Reference];
        let role = all.into_iter().find(|it| it.role().as_str() == role).ok_or_else(bad)?;
        Ok(Self { module: module.to_owned(), name: name.to_owned(), role })
    }
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extension {
    /// Files that it is for.
    #[serde(default)]
    pub(crate) digests: Vec<Digest>,
    /// Public keys of publishers whose files it is for.
    #[serde(default)]
    pub(crate) publishers: Vec<String>,
    /// What it adds.
    pub(crate) names: Vec<AddedName>,
    /// Why.
    pub(crate) reason: String,
    /// Last day on which it counts, `2027-01-31`, UTC.
    pub(crate) until: String,
}

impl Extension {
    fn check(&self) -> Result<(), ExtensionError> {
        let Self { digests, publishers, names, reason, until } = self;
        let scope = digests.len().max(publishers.len());
        let fits = |text: &str| !text.is_empty() && text.len() <= NAME_BYTES_MAX;
        let whole = (1..=SCOPE_MAX).contains(&scope)
            && (1..=NAMES_MAX).contains(&names.len())
            && names.iter().all(|it| fits(&it.module) && fits(&it.name))
            && publishers.iter().all(|key| public_key(key).is_ok());
        if whole && is_reason(reason) && is_day(until) {
            Ok(())
        } else {
            Err(ExtensionError::Shape)
        }
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`ExtensionError`].
    pub(crate) fn sign(&self, pair: &Ed25519KeyPair) -> Result<Vec<u8>, ExtensionError> {
        self.check()?;
        let payload = serde_json::to_vec(self).map_err(ExtensionError::Syntax)?;
        dsse::seal(pair, KIND, &payload).map_err(ExtensionError::Syntax)
    }
}

/// An extension whose signature holds.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    extension: Extension,
    key: String,
}

impl Counted {
    /// The extension in `bytes`, if one of `keys` has signed it (EX1).
    ///
    /// # Errors
    /// [`ExtensionError`].
    pub(crate) fn open(bytes: &[u8], keys: &[String]) -> Result<Self, ExtensionError> {
        let opened = dsse::open(bytes, KIND, keys).map_err(ExtensionError::Envelope)?;
        let extension: Extension =
            serde_json::from_slice(&opened.payload).map_err(ExtensionError::Syntax)?;
        extension.check()?;
        Ok(Self { extension, key: opened.key })
    }

    /// Adds its names to `allow` if it counts on the day `today` for a file with `digest` that came
    /// with the publisher's statement `published`. Whether it does.
    pub(crate) fn add_to(
        &self,
        allow: &mut Allow,
        digest: Digest,
        published: Option<&[u8]>,
        today: &str,
    ) -> bool {
        let it = &self.extension;
        if it.until.as_str() < today {
            return false;
        }
        let publisher = || {
            let statement = published?;
            it.publishers.iter().find(|key| is_published(statement, key, digest))
        };
        let whose = if it.digests.contains(&digest) {
            "for this digest".to_owned()
        } else if let Some(key) = publisher() {
            format!("for files of publisher {key}")
        } else {
            return false;
        };
        self.add(allow, &whose);
        true
    }

    /// Adds its names whatever the file is: to explain what is thought of a name.
    pub(crate) fn add_for_explanation(&self, allow: &mut Allow, today: &str) {
        if today <= self.extension.until.as_str() {
            self.add(allow, "for the files that it names");
        }
    }

    fn add(&self, allow: &mut Allow, whose: &str) {
        let Extension { names, reason, until, .. } = &self.extension;
        let by = format!("by an extension of {} {whose} until {until}: {reason}", self.key);
        for AddedName { module, name, role } in names {
            allow.add(module, name, role.role(), &by);
        }
    }
}

/// An in-toto statement, as far as a publisher makes one.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: Sha256,
}

#[derive(Serialize, Deserialize)]
struct Sha256 {
    sha256: String,
}

/// A publisher's statement that a file, called `name`, is its own.
///
/// # Errors
/// What cannot be written as JSON.
pub(crate) fn publish(
    pair: &Ed25519KeyPair,
    name: &str,
    digest: Digest,
) -> serde_json::Result<Vec<u8>> {
    let statement = Statement {
        kind: "https://in-toto.io/Statement/v1".to_owned(),
        subject: vec![Subject { name: name.to_owned(), digest: Sha256 { sha256: digest.hex() } }],
        predicate_type: PUBLISHED.to_owned(),
    };
    dsse::seal(pair, dsse::IN_TOTO, &serde_json::to_vec(&statement)?)
}

/// Whether `key` signed a file with `digest` as its own.
fn is_published(statement: &[u8], key: &str, digest: Digest) -> bool {
    let opened = dsse::open(statement, dsse::IN_TOTO, &[key.to_owned()]).ok();
    let statement = opened.and_then(|it| serde_json::from_slice::<Statement>(&it.payload).ok());
    statement.is_some_and(|it| {
        it.predicate_type == PUBLISHED
            && it.subject.iter().any(|subject| subject.digest.sha256 == digest.hex())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::exception::key_text;
    use ring::signature::KeyPair as _;

    fn pair(seed: u8) -> (Ed25519KeyPair, String) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = key_text(pair.public_key().as_ref());
        (pair, key)
    }

    fn extension() -> Extension {
        Extension {
            digests: vec![Digest::of(b"mine")],
            publishers: vec![pair(2).1],
            names: vec!["mine.models:Scaler=state".parse().unwrap()],
            reason: "MODEL-42".to_owned(),
            until: "2027-01-31".to_owned(),
        }
    }

    /// EX1 from both sides: key, day, digest, publisher.
    #[test]
    fn an_extension_counts_for_its_files_until_its_day_by_a_listed_key() {
        let ((reviewer, key), (publisher, _), (stranger, _)) = (pair(1), pair(2), pair(3));
        let signed = extension().sign(&reviewer).unwrap();
        assert!(Counted::open(&signed, &[pair(3).1]).is_err());
        let counted = Counted::open(&signed, std::slice::from_ref(&key)).unwrap();
        let adds = |digest: Digest, published: Option<&[u8]>, today: &str| {
            let mut allow = Allow::new();
            let counts = counted.add_to(&mut allow, digest, published, today);
            let found = allow.find("mine.models", "Scaler").map(|it| it.library.to_owned());
            assert_eq!(counts, found.is_some());
            found
        };
        let by = adds(Digest::of(b"mine"), None, "2027-01-31").unwrap();
        assert!(by.contains(&key) && by.contains("MODEL-42") && by.contains("2027-01-31"), "{by}");
        assert_eq!(adds(Digest::of(b"mine"), None, "2027-02-01"), None);
        let theirs = Digest::of(b"theirs");
        assert_eq!(adds(theirs, None, "2027-01-31"), None);
        let statement = publish(&publisher, "theirs.pkl", theirs).unwrap();
        assert!(adds(theirs, Some(&statement), "2027-01-31").unwrap().contains("publisher"));
        assert_eq!(adds(Digest::of(b"others"), Some(&statement), "2027-01-31"), None);
        let forged = publish(&stranger, "theirs.pkl", theirs).unwrap();
        assert_eq!(adds(theirs, Some(&forged), "2027-01-31"), None);
    }

    /// EX2: judged roles cannot be written down, and a published name keeps its role.
    #[test]
    fn an_extension_adds_names_and_changes_none() {
        assert!("builtins:getattr=judged".parse::<AddedName>().is_err());
        let mut it = extension();
        it.names = vec!["builtins:getattr=function".parse().unwrap()];
        let (reviewer, key) = pair(1);
        let counted = Counted::open(&it.sign(&reviewer).unwrap(), &[key]).unwrap();
        let mut allow = Allow::new();
        assert!(counted.add_to(&mut allow, Digest::of(b"mine"), None, "2027-01-01"));
        assert_eq!(allow.find("builtins", "getattr").unwrap().role, Role::Judged);
    }

    #[test]
    fn an_extension_for_nothing_or_without_reason_or_day_is_not_signed() {
        let bad: [fn(&mut Extension); 6] = [
            |it| it.names.clear(),
            |it| it.reason.clear(),
            |it| it.until = "soon".to_owned(),
            |it| {
                it.digests.clear();
                it.publishers.clear();
            },
            |it| it.publishers = vec!["somebody".to_owned()],
            |it| it.names = vec![format!("a:{}=state", "x".repeat(129)).parse().unwrap()],
        ];
        for change in bad {
            let mut it = extension();
            change(&mut it);
            assert!(matches!(it.sign(&pair(1).0), Err(ExtensionError::Shape)), "{it:?}");
        }
        for text in ["a.b", "a:b", "a=state", "a:b=any"] {
            assert!(text.parse::<AddedName>().is_err(), "{text}");
        }
    }
}
