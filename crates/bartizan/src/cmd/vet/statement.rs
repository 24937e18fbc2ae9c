//! An unsigned in-toto statement (attestation framework 1.0) about a data set: whoever ran the
//! vetting signs it with a key of his own.

use bartizan_core::Digest;
use bartizan_vet::Report;
use serde_json::json;

use super::load::{FileDigest, Loaded};
use crate::cmd::Failure;
use crate::render::vet as render;

/// Kind of the predicate.
const PREDICATE_TYPE: &str = "https://bartizan.dev/attestation/vet/v1";

/// The statement's text: subjects are the files; the predicate holds verdict, findings, what was
/// not covered, and digests of everything that went in.
pub(super) fn statement(
    report: &Report,
    files: &[FileDigest],
    baseline: Option<&Loaded>,
    policy: &str,
    seed: u64,
) -> Result<String, Failure> {
    let subject =
        |file: &FileDigest| json!({"name": file.name, "digest": {"sha256": file.digest.hex()}});
    let groups = |file: &FileDigest| {
        let groups: Vec<String> = file.row_groups.iter().map(Digest::hex).collect();
        json!({"name": file.name, "bytes": file.bytes, "row_groups_sha256": groups})
    };
    let value = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": files.iter().map(subject).collect::<Vec<_>>(),
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "tool": {"name": "bartizan", "version": env!("CARGO_PKG_VERSION")},
            "verdict": report.verdict.as_str(),
            "n_rows": report.n_rows,
            "n_columns": report.n_columns,
            "seed": seed,
            "policy_sha256": Digest::of(policy.as_bytes()).hex(),
            "baseline": baseline.map(|base| base.digests.iter().map(subject).collect::<Vec<_>>()),
            "files": files.iter().map(groups).collect::<Vec<_>>(),
            "findings": report.findings.iter().map(render::for_record).collect::<Vec<_>>(),
            "not_covered": report.not_covered.iter().map(|n| json!({"what": n.what, "why": n.why})).collect::<Vec<_>>(),
        },
    });
    let mut text = serde_json::to_string_pretty(&value)?;
    text.push('\n');
    Ok(text)
}
