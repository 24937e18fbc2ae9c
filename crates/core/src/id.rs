//! Names and ids that are checked once, where they enter, and trusted ever after.
//!
//! Invariants
//! - N1: a [`ModelName`] or [`EnvName`] is 1 to its `LEN_MAX` bytes long;
//! - N2: its first byte is `a-z`, every other byte is `a-z`, `0-9` or `-`: safe as a path
//!   segment, a policy's entity id and a metric label.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::digest::{hex_pair, unhex};

/// Why a text is no name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has too many bytes.
    #[error("a name has at most {len_max} bytes, this has {len}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        len_max: usize,
    },
    /// It is empty, or its first byte is not a letter.
    #[error("a name starts with a letter a-z")]
    BadStart,
    /// It holds a byte that names do not have.
    #[error("byte {at} of the name is not a-z, 0-9 or `-`")]
    BadByte {
        /// Where, counted from 0.
        at: usize,
    },
}

fn check_name(text: &str, len_max: usize) -> Result<(), NameError> {
    let len = text.len();
    if len_max < len {
        return Err(NameError::TooLong { len, len_max });
    }
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(NameError::BadStart);
    }
    match text.find(|c: char| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        Some(at) => Err(NameError::BadByte { at }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $len_max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Longest name, in bytes.
            pub const LEN_MAX: usize = $len_max;

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check_name(text, Self::LEN_MAX)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// A model's registered name; see the module invariants.
    ModelName,
    64
);
name!(
    /// The name of an environment (`dev`, `training`, `inference`, `demo`...); see the module
    /// invariants.
    EnvName,
    32
);

/// A model's version: 1, 2, 3, ...; written without leading zeroes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ModelVersion(pub NonZeroU32);

impl ModelVersion {
    /// The first version of a model.
    pub const FIRST: Self = Self(NonZeroU32::MIN);
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that is no version.
#[derive(Debug, thiserror::Error)]
#[error("a version is a number from 1 to 4294967295 without leading zeroes")]
pub struct VersionError;

impl FromStr for ModelVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with(|c: char| matches!(c, '1'..='9')) {
            return Err(VersionError);
        }
        text.parse().map(Self).map_err(|_| VersionError)
    }
}

/// The id of one decision or tally: a UUID of version 7 (RFC 9562), so that ids sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId([u8; 16]);

impl DecisionId {
    /// Id of a decision begun at `wall_ns` since the Unix epoch; `random` makes it unique.
    pub fn new(wall_ns: u64, random: [u8; 10]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&(wall_ns / 1_000_000).to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        bytes[6] = bytes[6] & 0x0f | 0x70;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// The 16 bytes, most significant first.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Milliseconds since the Unix epoch at which the decision began.
    pub fn unix_ms(&self) -> u64 {
        self.0[..6].iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte))
    }
}

impl From<[u8; 16]> for DecisionId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One write: this is made twice for every decision.
        let (mut text, mut at) = ([b'-'; 36], 0);
        for (n, byte) in self.0.iter().enumerate() {
            if matches!(n, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at..at + 2].copy_from_slice(&hex_pair(*byte));
            at += 2;
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no decision id.
#[derive(Debug, thiserror::Error)]
#[error("a decision id looks like `018f6d2c-5b1e-7c3a-9f00-0123456789ab`")]
pub struct DecisionIdError;

impl FromStr for DecisionId {
    type Err = DecisionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes: [u8; 16] = unhex(&text.replace('-', ""))
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(DecisionIdError)?;
        let id = Self(bytes);
        // Only the canonical spelling: one id, one text.
        if id.to_string() == text { Ok(id) } else { Err(DecisionIdError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N1 and N2 from both sides: the last good name, and each nearest bad one.
    #[test]
    fn only_names_safe_in_a_path_are_accepted() {
        let longest = "a".repeat(ModelName::LEN_MAX);
        for text in ["a", "fraud-2", longest.as_str()] {
            assert!(text.parse::<ModelName>().is_ok(), "refused {text:?}");
        }
        for text in ["", "-a", "2a", "a/b", "..", "a\0b", "A", "é", &format!("{longest}a")] {
            assert!(text.parse::<ModelName>().is_err(), "accepted {text:?}");
        }
    }

    #[test]
    fn a_version_is_a_plain_positive_number() {
        assert_eq!("17".parse::<ModelVersion>().unwrap().to_string(), "17");
        for text in ["", "0", "01", "+1", "-1", "1.0", "4294967296", " 1"] {
            assert!(text.parse::<ModelVersion>().is_err(), "accepted {text:?}");
        }
    }

    #[test]
    fn decision_ids_are_uuids_of_version_7_and_sort_by_time() {
        let early = DecisionId::new(1_000_000_000_000, [0xff; 10]);
        let late = DecisionId::new(1_000_001_000_000, [0; 10]);
        assert!(early < late);
        assert_eq!(early.unix_ms(), 1_000_000);
        let text = early.to_string();
        assert_eq!((&text[14..15], &text[19..20]), ("7", "b"), "{text}");
        assert_eq!(text.parse::<DecisionId>().unwrap(), early);
        for bad in ["", "00", &text.to_uppercase(), &text.replace('-', "")] {
            assert!(bad.parse::<DecisionId>().is_err(), "accepted {bad:?}");
        }
    }
}
