//! `scan.toml`: names a user vouches for, and findings a user accepts, each for one file's digest,
//! with a reason, until a day; and signed extensions of the allow-list, with the keys that count.

use std::path::{Path, PathBuf};

use bartizan_core::Digest;
use bartizan_scan::{Allow, Budget, Report};

use crate::cmd::Failure;
use crate::files;
use crate::gate::exception::{is_day, public_key};
use crate::gate::extension::{AddedRole, Counted, EXTENSION_BYTES_MAX};

/// Longest policy, in bytes.
const POLICY_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The whole file.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    #[serde(default)]
    allow: Vec<AllowName>,
    #[serde(default)]
    suppress: Vec<Suppress>,
    #[serde(default)]
    budget: Limits,
    #[serde(default)]
    extensions: Extensions,
    /// The extensions, read and checked.
    #[serde(skip)]
    counted: Vec<Counted>,
}

/// Signed extensions, and who may extend.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Extensions {
    /// Files, from the policy's folder.
    files: Vec<PathBuf>,
    /// Public keys.
    keys: Vec<String>,
}

/// A name that pickles of one file may import.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowName {
    module: String,
    name: String,
    role: AddedRole,
    digest: Digest,
    reason: String,
    expires: Day,
}

/// A rule that does not count for one file.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Suppress {
    rule: String,
    digest: Digest,
    reason: String,
    expires: Day,
}

/// Budgets that differ from the built-in ones.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    decoded_bytes_max: Option<u64>,
    ratio_max: Option<u64>,
    depth_max: Option<u32>,
    members_max: Option<u64>,
    opcodes_max: Option<u64>,
    time_ms_max: Option<u64>,
}

/// A day, `2027-01-31`, as text that sorts by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
struct Day(String);

impl TryFrom<String> for Day {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if is_day(&text) { Ok(Self(text)) } else { Err("a day is written like 2027-01-31") }
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// What cannot be read, is no policy, names no rule, or gives no reason.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let size = std::fs::metadata(path)?.len();
        if POLICY_BYTES_MAX < size {
            let what = format!("the policy has {size} bytes, limit is {POLICY_BYTES_MAX}");
            return Err(Failure::usage(what));
        }
        let mut policy = Self::parse(&std::fs::read_to_string(path)?)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for file in &policy.extensions.files {
            let file = folder.join(file);
            let bytes =
                files::read_bounded(&file, EXTENSION_BYTES_MAX).map_err(Failure::unknown)?;
            let counted = Counted::open(&bytes, &policy.extensions.keys);
            policy.counted.push(counted.map_err(Failure::unknown)?);
        }
        Ok(policy)
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let policy: Self = toml::from_str(text).map_err(Failure::usage)?;
        for entry in &policy.suppress {
            if bartizan_scan::rule(&entry.rule).is_none() {
                return Err(Failure::usage(format!("`{}` is no rule of the scan", entry.rule)));
            }
        }
        let reasons = policy.allow.iter().map(|entry| &entry.reason);
        let mut reasons = reasons.chain(policy.suppress.iter().map(|entry| &entry.reason));
        if reasons.any(|reason| reason.trim().is_empty()) {
            return Err(Failure::usage("each entry of the policy needs a `reason`"));
        }
        for key in &policy.extensions.keys {
            public_key(key).map_err(Failure::usage)?;
        }
        Ok(policy)
    }

    /// The budgets to scan with.
    pub(crate) fn budget(&self) -> Budget {
        let (standard, limits) = (Budget::default(), &self.budget);
        Budget {
            decoded_bytes_max: limits.decoded_bytes_max.unwrap_or(standard.decoded_bytes_max),
            ratio_max: limits.ratio_max.unwrap_or(standard.ratio_max),
            depth_max: limits.depth_max.unwrap_or(standard.depth_max),
            members_max: limits.members_max.unwrap_or(standard.members_max),
            opcodes_max: limits.opcodes_max.unwrap_or(standard.opcodes_max),
            time_ms_max: limits.time_ms_max.unwrap_or(standard.time_ms_max),
            ..standard
        }
    }

    /// Names that the file with `digest`, which came with the publisher's statement `published`,
    /// may import on `today`, if there are any.
    pub(crate) fn allow_for(
        &self,
        digest: Digest,
        published: Option<&[u8]>,
        today: &str,
    ) -> Option<Allow> {
        let mut allow = Allow::new();
        let mut any = false;
        for entry in &self.allow {
            if entry.digest == digest && today <= entry.expires.0.as_str() {
                add(&mut allow, entry);
                any = true;
            }
        }
        for counted in &self.counted {
            any |= counted.add_to(&mut allow, digest, published, today);
        }
        any.then_some(allow)
    }

    /// All names that it adds on `today` for any file: to explain what is thought of one.
    pub(crate) fn allow_for_explanation(&self, today: &str) -> Allow {
        let mut allow = Allow::new();
        for entry in self.allow.iter().filter(|entry| today <= entry.expires.0.as_str()) {
            add(&mut allow, entry);
        }
        for counted in &self.counted {
            counted.add_for_explanation(&mut allow, today);
        }
        allow
    }

    /// Marks what is accepted for the file of this report.
    pub(crate) fn apply(&self, report: &mut Report, today: &str) {
        for entry in &self.suppress {
            if report.digest == Some(entry.digest) && today <= entry.expires.0.as_str() {
                report.suppress(&entry.rule, &entry.reason);
            }
        }
    }

    /// Whether it has names to add, for which the digest must be known before the scan.
    pub(crate) fn has_names(&self) -> bool {
        !self.allow.is_empty() || !self.counted.is_empty()
    }
}

fn add(allow: &mut Allow, entry: &AllowName) {
    let AllowName { module, name, role, digest, reason, expires } = entry;
    let by = format!("by the policy for {digest} until {}: {reason}", expires.0);
    allow.add(module, name, role.role(), &by);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry counts for its digest, up to its last day, and needs a reason and a real rule.
    #[test]
    fn an_exception_is_for_one_file_and_ends() {
        let digest = Digest::of(b"x");
        let text = format!(
            "[[allow]]\nmodule = \"mine\"\nname = \"Model\"\nrole = \"state\"\ndigest = \"{digest}\"\nreason = \"reviewed\"\nexpires = \"2027-01-31\"\n"
        );
        let policy = Policy::parse(&text).unwrap();
        assert!(policy.has_names());
        assert!(policy.allow_for(digest, None, "2027-01-31").is_some());
        assert!(policy.allow_for(digest, None, "2027-02-01").is_none());
        assert!(policy.allow_for(Digest::of(b"y"), None, "2027-01-31").is_none());
        assert!(Policy::parse(&text.replace("reviewed", " ")).is_err());
        assert!(Policy::parse(&text.replace("2027-01-31", "soon")).is_err());
        assert!(Policy::parse(&text.replace("reason", "raison")).is_err());
        let suppress = format!(
            "[[suppress]]\nrule = \"scan.file.unknown\"\ndigest = \"{digest}\"\nreason = \"r\"\nexpires = \"2027-01-31\"\n"
        );
        assert!(Policy::parse(&suppress).is_ok());
        assert!(Policy::parse(&suppress.replace("file.unknown", "nothing")).is_err());
    }
}
