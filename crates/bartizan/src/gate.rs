//! The model gate as the environment uses it: nothing is loaded that was not scanned and cleared.
//!
//! Invariants
//! - G1: what is loaded is what was scanned: a file is read into memory once, and those very bytes
//!   are scanned, hashed and loaded; the scan's digest is held against theirs;
//! - G2: what is not cleared is not loaded, and neither is what could not be scanned.

pub(crate) mod dsse;
pub(crate) mod exception;
pub(crate) mod extension;
pub(crate) mod files;
pub(crate) mod in_child;
pub(crate) mod in_process;
pub(crate) mod published;

use std::fmt;

use bartizan_core::{Digest, Rule, Severity};
use bartizan_ledger::{FindingList, RecordedFinding};
use bartizan_scan::{Report, Verdict, escape};

use crate::child::spawn::ChildError;
use crate::owner::operation::{Gate, GateFinding, GateOutcome, GateRun};
use exception::{Exception, ExceptionError};
use published::ListError;

/// Most findings of one file that are kept whole; the rest are counted.
pub(crate) const FINDINGS_MAX: usize = 64;
/// Most findings that a refusal tells in words.
const TOLD_MAX: usize = 3;

/// What was found, as the gate keeps it: foreign text is escaped already.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    /// The rule.
    pub(crate) rule: &'static Rule,
    /// What it is, in words.
    pub(crate) what: String,
    /// Member path inside the file; empty for the file itself.
    pub(crate) member: String,
    /// Offset in that member, in bytes.
    pub(crate) offset: u64,
    /// How often.
    pub(crate) count: u64,
}

/// What is concluded about a model's bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    /// The conclusion.
    pub(crate) verdict: Verdict,
    /// Digest of all bytes; absent where they were not all read.
    pub(crate) digest: Option<Digest>,
    /// What was found, at most [`FINDINGS_MAX`], the sternest first.
    pub(crate) found: Vec<Found>,
    /// How many more there were.
    pub(crate) n_more: u64,
}

impl Judged {
    /// What is kept of a scan's report.
    pub(crate) fn of(report: &Report) -> Self {
        let seen = report.sightings.iter().filter(|seen| seen.suppressed.is_none());
        let mut found: Vec<Found> = seen
            .map(|seen| Found {
                rule: seen.rule,
                what: seen.what.to_string(),
                member: seen.member.to_string(),
                offset: seen.offset,
                count: seen.count,
            })
            .collect();
        found.sort_by_key(|found| std::cmp::Reverse(found.rule.severity));
        let beyond = found.len().saturating_sub(FINDINGS_MAX);
        found.truncate(FINDINGS_MAX);
        let n_more = report.n_more.saturating_add(beyond as u64);
        Self { verdict: report.verdict, digest: report.digest, found, n_more }
    }

    /// As a record keeps it: rules, counts and severities, no word of the file's own (R2).
    pub(crate) fn recorded(&self) -> FindingList<'static> {
        let kept = self.found.iter().map(|found| RecordedFinding {
            rule: found.rule.id.into(),
            severity: found.rule.severity,
            field: None,
            row: None,
            count: found.count,
            score: 1.0,
        });
        FindingList { kept: kept.collect(), n_more: self.n_more }
    }

    /// As the record of a run that judged one file, `bytes` long, called `what`.
    pub(crate) fn run(&self, what: &str, bytes: u64) -> GateRun {
        let finding = |found: &Found| GateFinding {
            rule: found.rule.id.to_owned(),
            severity: found.rule.severity,
            count: found.count,
        };
        GateRun {
            gate: Gate::Scan,
            outcome: outcome(Some(self.verdict)),
            what: escape::text(what),
            summary: self.conclusion(),
            report: None,
            n_items: 1,
            bytes,
            findings: self.found.iter().map(finding).collect(),
            n_more: self.n_more,
        }
    }

    /// The conclusion for a record: the verdict, and by which rules and list of names.
    pub(crate) fn conclusion(&self) -> String {
        let list = bartizan_scan::allow_digest();
        format!("{}; rules {}, names {}", self.verdict.as_str(), bartizan_scan::RULES_VERSION, list)
    }
}

/// What a verdict is to a record; no file at all is no answer.
pub(crate) fn outcome(verdict: Option<Verdict>) -> GateOutcome {
    match verdict {
        Some(Verdict::Cleared) => GateOutcome::Passed,
        Some(Verdict::NotCleared | Verdict::Hostile) => GateOutcome::Refused,
        None => GateOutcome::Failed,
    }
}

/// Why a model is not loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GateError {
    /// G2: it was scanned, and is not cleared.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// G2: it could not be scanned.
    #[error("the model gate could not scan `{name}`, so it is not loaded")]
    Unscanned {
        /// What was to be scanned.
        name: String,
        /// Why not.
        source: ScanError,
    },
    /// G2: it is not cleared, and the exception that came with it does not count.
    #[error("the model gate does not clear `{name}`, and does not except it")]
    Exception {
        /// What was scanned.
        name: String,
        /// What was concluded.
        judged: Box<Judged>,
        /// Why the exception does not count.
        source: ExceptionError,
    },
    /// G1 is broken.
    #[error(
        "the model gate scanned other bytes of `{name}` than were read; it is not loaded; repeat it"
    )]
    OtherBytes {
        /// What was to be scanned.
        name: String,
    },
}

impl GateError {
    /// Whether we looked, and found that it does harm.
    pub(crate) fn is_no(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.judged.verdict == Verdict::Hostile)
    }
}

/// Why the scanner has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    /// The scanner's own process has none.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The allow-list is not the published one.
    #[error(transparent)]
    List(#[from] &'static ListError),
}

/// A refusal, in words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    /// What was scanned, as the operator calls it.
    pub(crate) name: String,
    /// What was concluded.
    pub(crate) judged: Judged,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, judged } = self;
        let word = match judged.verdict {
            Verdict::Hostile => "it is hostile",
            Verdict::NotCleared | Verdict::Cleared => "it is not cleared",
        };
        write!(f, "the model gate refuses `{}`: {word}", escape::text(name))?;
        let told = judged.found.iter().filter(|found| Severity::Info < found.rule.severity);
        for found in told.clone().take(TOLD_MAX) {
            write!(f, "; {} ({} at byte {}", found.what, found.rule.id, found.offset)?;
            if !found.member.is_empty() {
                write!(f, " of {}", found.member)?;
            }
            f.write_str(")")?;
        }
        let more = told.clone().skip(TOLD_MAX).count() as u64 + judged.n_more;
        if more > 0 {
            write!(f, "; and {more} findings more")?;
        }
        if let Some(first) = told.clone().next() {
            write!(f, "; what to do: {}", first.rule.remedy)?;
        }
        Ok(())
    }
}

/// Whatever scans bytes for an environment.
pub(crate) trait Scanner: Send + Sync {
    /// What loading `bytes` would do. `name` is for messages only.
    ///
    /// # Errors
    /// [`ScanError`] where there is no answer.
    fn scan(&self, name: &str, bytes: &[u8]) -> Result<Judged, ScanError>;

    /// How the scanner is shut in, in words; what is missing is said.
    fn confinement(&self) -> String;

    /// By which means it is shut in, and whether wholly; nothing where it is not.
    fn confined(&self) -> Vec<(&'static str, bool)> {
        Vec::new()
    }
}

/// What somebody brings who wants a model excepted, and what counts here.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rights<'a> {
    /// A signed exception.
    pub(crate) exception: Option<&'a [u8]>,
    /// Public keys that may except.
    pub(crate) keys: &'a [String],
    /// Now, in nanoseconds since the Unix epoch.
    pub(crate) now_ns: u64,
}

/// What the gate let through.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Passed {
    /// What was concluded.
    pub(crate) judged: Judged,
    /// By which exception it passed all the same, in words.
    pub(crate) excepted: Option<String>,
}

/// Lets `bytes` through, or says why not; see G1 and G2. What was concluded is handed back either
/// way, for the record.
///
/// # Errors
/// [`GateError`].
pub(crate) fn pass(
    scanner: &dyn Scanner,
    name: &str,
    bytes: &[u8],
    digest: Digest,
    rights: &Rights<'_>,
) -> Result<Passed, GateError> {
    let judged = scanner
        .scan(name, bytes)
        .map_err(|source| GateError::Unscanned { name: name.to_owned(), source })?;
    if judged.digest.is_some_and(|scanned| scanned != digest) {
        return Err(GateError::OtherBytes { name: name.to_owned() });
    }
    // A scan that ran out of its budget has no digest, and has not cleared anything either.
    if judged.digest == Some(digest) {
        if judged.verdict == Verdict::Cleared {
            return Ok(Passed { judged, excepted: None });
        }
        if let Some(bytes) = rights.exception {
            let name = name.to_owned();
            return match Exception::verify(bytes, rights.keys, digest, rights.now_ns) {
                Err(source) => Err(GateError::Exception { name, judged: Box::new(judged), source }),
                Ok((it, key)) if it.apply(&judged).verdict == Verdict::Cleared => {
                    let words = format!("excepted until {} by {key}: {}", it.until, it.reason);
                    Ok(Passed { judged, excepted: Some(escape::text(&words)) })
                }
                Ok((it, _)) => {
                    let judged = it.apply(&judged);
                    Err(GateError::Refused(Box::new(Refusal { name, judged })))
                }
            };
        }
    }
    Err(GateError::Refused(Box::new(Refusal { name: name.to_owned(), judged })))
}

#[cfg(test)]
mod tests {
    use super::in_process::InProcess;
    use super::*;

    const HOSTILE: &[u8] = b"cos\nsystem\n(S'id'\ntR.";

    fn judge(bytes: &[u8]) -> Result<Passed, GateError> {
        pass(&InProcess, "m.pkl", bytes, Digest::of(bytes), &Rights::default())
    }

    /// G2: hostile and unknown bytes do not pass, in words that say what and what to do.
    #[test]
    fn what_is_not_cleared_does_not_pass() {
        assert_eq!(judge(b"\x80\x04N.").unwrap().judged.verdict, Verdict::Cleared);
        let error = judge(HOSTILE).unwrap_err();
        let text = error.to_string();
        assert!(error.is_no());
        for part in ["m.pkl", "hostile", "calls os.system('id') on load", "what to do: do not load"]
        {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
        let error = judge(b"\x00\x01\x02\x03").unwrap_err();
        assert!(!error.is_no() && error.to_string().contains("not cleared"), "{error}");
    }

    /// G1: a scanner that saw other bytes clears nothing, and neither does one without a digest.
    #[test]
    fn a_verdict_about_other_bytes_does_not_count() {
        struct Elsewhere(Option<Digest>);
        impl Scanner for Elsewhere {
            fn scan(&self, _name: &str, _bytes: &[u8]) -> Result<Judged, ScanError> {
                let (verdict, digest, found) = (Verdict::Cleared, self.0, Vec::new());
                Ok(Judged { verdict, digest, found, n_more: 0 })
            }
            fn confinement(&self) -> String {
                String::new()
            }
        }
        let digest = Digest::of(b"these");
        assert!(pass(&Elsewhere(Some(digest)), "m", b"these", digest, &Rights::default()).is_ok());
        for other in [Some(Digest::of(b"those")), None] {
            assert!(
                pass(&Elsewhere(other), "m", b"these", digest, &Rights::default()).is_err(),
                "{other:?}"
            );
        }
    }

    /// G2: no answer is no yes.
    #[test]
    fn a_scanner_without_an_answer_lets_nothing_pass() {
        struct Silent;
        impl Scanner for Silent {
            fn scan(&self, _name: &str, _bytes: &[u8]) -> Result<Judged, ScanError> {
                Err(ScanError::Child(ChildError::Deadline { deadline_ms: 1 }))
            }
            fn confinement(&self) -> String {
                String::new()
            }
        }
        let error =
            pass(&Silent, "m", b"\x80\x04N.", Digest::of(b"\x80\x04N."), &Rights::default())
                .unwrap_err();
        assert!(!error.is_no() && error.to_string().contains("so it is not loaded"), "{error}");
    }

    /// GX1, GX2 at the gate: an exception lets one file through, and is told; a damaged one does not.
    #[test]
    fn an_excepted_file_passes_and_its_exception_is_told() {
        let folder = crate::testing::TempDir::new();
        let file = folder.path().join("k");
        let entropy = crate::testing::SeededEntropy::default();
        let keys = [exception::make_key(&file, &entropy).unwrap()];
        let odd = b"\x00\x01\x02\x03";
        let signed = Exception {
            digest: Digest::of(odd),
            rules: vec!["scan.file.unknown".to_owned()],
            reason: "reviewed".to_owned(),
            until: "2026-11-25".to_owned(),
        };
        let signed = signed.sign(&file).unwrap();
        let now_ns = 1_795_564_800_000_000_000;
        let rights = Rights { exception: Some(&signed), keys: &keys, now_ns };
        let passed = pass(&InProcess, "m", odd, Digest::of(odd), &rights).unwrap();
        assert_eq!(passed.judged.verdict, Verdict::NotCleared);
        assert!(passed.excepted.unwrap().starts_with("excepted until 2026-11-25 by ed25519:"));
        let late = Rights { now_ns: now_ns + 86_400_000_000_000, ..rights };
        for rights in
            [late, Rights { keys: &[], ..rights }, Rights { exception: Some(b"{}"), ..rights }]
        {
            let error = pass(&InProcess, "m", odd, Digest::of(odd), &rights).unwrap_err();
            assert!(matches!(error, GateError::Exception { .. }), "{error}");
        }
        let hostile = pass(&InProcess, "m", HOSTILE, Digest::of(HOSTILE), &rights).unwrap_err();
        assert!(matches!(hostile, GateError::Exception { .. }), "{hostile}");
    }

    /// R2: a record of a refusal holds no text out of the file.
    #[test]
    fn a_record_keeps_rules_and_no_foreign_text() {
        let Err(GateError::Refused(refusal)) = judge(HOSTILE) else { panic!("it passed") };
        let recorded = refusal.judged.recorded();
        assert!(recorded.kept.iter().any(|found| found.rule == "scan.pickle.call"));
        assert!(recorded.kept.iter().all(|found| found.field.is_none()));
        assert!(refusal.judged.conclusion().starts_with("hostile; rules "));
    }
}
