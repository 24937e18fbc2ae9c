//! Names of principals whom somebody else vouches for.
//!
//! Invariants
//! - N1: two subjects never get one name: what a name cannot hold is escaped, and what does not
//!   fit is replaced by its digest, in forms that no other subject takes.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::fmt::Write as _;

use bartizan_core::{Digest, PrincipalName};

/// Stands before the two hexadecimal digits of a byte that a name cannot hold; before a digest it
/// is followed by `h`, which is no such digit.
const ESCAPE: char = '_';

/// `<issuer>/<subject>`: letters, digits and `. @ / -` as they are, every other byte as `_` and
/// two hexadecimal digits; see N1. `None` where the subject is empty.
pub(crate) fn federated_name(issuer: &str, subject: &str) -> Option<PrincipalName> {
    if subject.is_empty() {
        return None;
    }
    let mut name = format!("{issuer}/");
    for byte in subject.bytes() {
        if byte.is_ascii_alphanumeric() || b".@/-".contains(&byte) {
            name.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(name, "{ESCAPE}{byte:02x}");
        }
    }
    if PrincipalName::LEN_MAX < name.len() {
        name = format!("{issuer}/{ESCAPE}h{}", Digest::of(subject.as_bytes()).hex());
    }
    name.parse().ok()
}

/// `<issuer>/<namespace>/<account>`, where the subject says the same as the cluster's own claims.
pub(crate) fn kubernetes_name(
    issuer: &str,
    subject: Option<&str>,
    namespace: Option<&str>,
    account: Option<&str>,
) -> Option<PrincipalName> {
    let (namespace, account) = (namespace?, account?);
    // RFC 1123 labels, so that the parts cannot run into each other.
    let plain = |text: &str, also: &[u8]| {
        let fits = |byte: u8| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || byte == b'-'
                || also.contains(&byte)
        };
        !text.is_empty() && text.bytes().all(fits)
    };
    if subject? != format!("system:serviceaccount:{namespace}:{account}")
        || !plain(namespace, b"")
        || !plain(account, b".")
    {
        return None;
    }
    let name = format!("{issuer}/{namespace}/{account}");
    if name.len() <= PrincipalName::LEN_MAX {
        return name.parse().ok();
    }
    let digest = Digest::of(format!("{namespace}/{account}").as_bytes()).hex();
    format!("{issuer}/{ESCAPE}h{digest}").parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_subject_becomes_a_readable_name() {
        let name = |subject: &str| federated_name("corp", subject).unwrap().to_string();
        assert_eq!(name("alice@example.org"), "corp/alice@example.org");
        assert_eq!(name("auth0|5f_7"), "corp/auth0_7c5f_5f7");
        assert!(federated_name("corp", "").is_none());
        let longest = "a".repeat(PrincipalName::LEN_MAX - "corp/".len());
        assert_eq!(name(&longest), format!("corp/{longest}"));
        assert!(name(&format!("{longest}a")).starts_with("corp/_h"));
        let account = |sub: &str, ns: &str, sa: &str| {
            kubernetes_name("aks", Some(sub), Some(ns), Some(sa)).map(|name| name.to_string())
        };
        let sub = "system:serviceaccount:fraud:scorer";
        assert_eq!(account(sub, "fraud", "scorer").as_deref(), Some("aks/fraud/scorer"));
        for (sub, ns, sa) in [
            (sub, "fraud", "other"),
            (sub, "", "fraud:scorer"),
            ("system:serviceaccount:a:b/c", "a", "b/c"),
            ("system:node:x", "fraud", "scorer"),
        ] {
            assert_eq!(account(sub, ns, sa), None, "{sub}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// N1.
        #[test]
        fn no_two_subjects_share_a_name(
            subjects in prop::collection::btree_set("[a_|5cfh/]{1,6}|[a_]{120,126}", 2..12)
        ) {
            let mut seen = BTreeMap::new();
            for subject in subjects {
                let name = federated_name("i", &subject).unwrap();
                prop_assert_eq!(seen.insert(name, subject.clone()), None, "{}", subject);
            }
        }
    }
}
