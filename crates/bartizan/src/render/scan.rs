//! What a scan concluded, for people, as JSON, SARIF 2.1.0 and an in-toto statement.
//!
//! Every text of an attacker's is escaped by the scan already; file names are escaped here.

use std::io;

use bartizan_core::Severity;
use bartizan_scan::{Report, Sighting, Verdict, escape};
use serde_json::{Value, json};

/// Type of the predicate in the statement.
const PREDICATE_TYPE: &str = "urn:bartizan:scan:v1";

/// One file and what was concluded.
#[derive(Clone, Debug)]
pub(crate) struct Scanned {
    /// Where it is, as it was given or found.
    pub(crate) path: String,
    /// What was concluded.
    pub(crate) report: Report,
}

/// The sternest verdict; none of no files.
pub(crate) fn worst(scanned: &[Scanned]) -> Option<Verdict> {
    scanned.iter().map(|one| one.report.verdict).max()
}

/// One line a file, and below it what was found.
pub(crate) fn text(scanned: &[Scanned], out: &mut dyn io::Write) -> io::Result<()> {
    for Scanned { path, report } in scanned {
        let word = match report.verdict {
            Verdict::Cleared => "cleared",
            Verdict::NotCleared => "not cleared",
            Verdict::Hostile => "HOSTILE",
        };
        writeln!(out, "{word:<11}  {}  ({})", escape::text(path), report.formats.join(", "))?;
        for seen in &report.sightings {
            sighting(seen, out)?;
        }
        if report.n_more > 0 {
            writeln!(out, "    and {} more", report.n_more)?;
        }
        if let Some(seen) = sternest(report) {
            writeln!(out, "    what to do: {}", seen.rule.remedy)?;
        }
    }
    let n = |verdict| scanned.iter().filter(|one| one.report.verdict == verdict).count();
    writeln!(
        out,
        "{} {}: {} cleared, {} not cleared, {} hostile",
        scanned.len(),
        if scanned.len() == 1 { "file" } else { "files" },
        n(Verdict::Cleared),
        n(Verdict::NotCleared),
        n(Verdict::Hostile),
    )
}

fn sternest(report: &Report) -> Option<&Sighting> {
    let counts = |seen: &&Sighting| {
        seen.suppressed.is_none() && Verdict::of(seen.rule.severity) != Verdict::Cleared
    };
    // The first of the sternest: later ones mostly follow from it.
    report.sightings.iter().filter(counts).rev().max_by_key(|seen| seen.rule.severity)
}

fn sighting(seen: &Sighting, out: &mut dyn io::Write) -> io::Result<()> {
    let severity = seen.rule.severity.as_str();
    write!(out, "    {severity:<8} {}  {}", seen.rule.id, seen.what)?;
    write!(out, "  (byte {}", seen.offset)?;
    if !seen.member.is_empty() {
        write!(out, " of {}", seen.member)?;
    }
    if seen.count > 1 {
        write!(out, ", {} times", seen.count)?;
    }
    if !seen.advisories.is_empty() {
        write!(out, "; {}", seen.advisories.join(", "))?;
    }
    write!(out, ")")?;
    match &seen.suppressed {
        Some(reason) => writeln!(out, "  accepted: {reason}"),
        None => writeln!(out),
    }
}

fn finding(seen: &Sighting) -> Value {
    json!({
        "rule": seen.rule.id,
        "severity": seen.rule.severity.as_str(),
        "what": seen.what,
        "why": seen.rule.why,
        "remedy": seen.rule.remedy,
        "member": seen.member,
        "offset": seen.offset,
        "count": seen.count,
        "advisories": seen.advisories,
        "atlas": seen.rule.atlas,
        "suppressed": seen.suppressed,
    })
}

/// What scanned: version of the program, of the rules, of the list of names.
fn scanner() -> Value {
    let list = crate::gate::published::checked().ok();
    json!({
        "name": "bartizan",
        "version": env!("CARGO_PKG_VERSION"),
        "rules": bartizan_scan::RULES_VERSION,
        "allow_list": bartizan_scan::allow_digest(),
        "allow_list_version": list.map(|list| list.version),
        "allow_list_signer": list.map(|list| list.maker.as_str()),
    })
}

/// The whole as JSON; `docs/formats/scan-report.schema.json` is its schema.
pub(crate) fn json(scanned: &[Scanned]) -> Value {
    let files: Vec<_> = scanned
        .iter()
        .map(|Scanned { path, report }| {
            json!({
                "path": path,
                "verdict": report.verdict.as_str(),
                "formats": report.formats,
                "bytes": report.bytes,
                "digest": report.digest,
                "findings": report.sightings.iter().map(finding).collect::<Vec<_>>(),
                "findings_more": report.n_more,
            })
        })
        .collect();
    let verdict = worst(scanned).unwrap_or(Verdict::NotCleared).as_str();
    json!({ "version": 1, "scanner": scanner(), "verdict": verdict, "files": files })
}

/// JSON in ASCII alone: file names keep every character, and none of them reaches a terminal raw.
pub(crate) fn ascii(value: &Value) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && c != '\x7f' {
            out.push(c);
        } else {
            // Outside of texts JSON has ASCII only.
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Ok(out)
}

/// The whole as SARIF 2.1.0 (OASIS).
pub(crate) fn sarif(scanned: &[Scanned]) -> Value {
    let rules: Vec<_> = bartizan_scan::RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.why },
                "help": { "text": rule.remedy },
                "defaultConfiguration": { "level": level(rule.severity) },
                "properties": {
                    "tags": ["security", "machine-learning"],
                    "security-severity": security_severity(rule.severity),
                },
            })
        })
        .collect();
    let artifacts: Vec<_> = scanned
        .iter()
        .map(|Scanned { path, report }| {
            let mut artifact = json!({ "location": { "uri": uri(path) }, "length": report.bytes });
            if let Some(digest) = report.digest {
                artifact["hashes"] = json!({ "sha-256": digest.hex() });
            }
            artifact
        })
        .collect();
    let results: Vec<_> = scanned
        .iter()
        .enumerate()
        .flat_map(|(at, one)| {
            one.report.sightings.iter().map(move |seen| result(at, &one.path, seen))
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "bartizan",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "artifacts": artifacts,
            "results": results,
            "columnKind": "unicodeCodePoints",
        }],
    })
}

fn result(artifact: usize, path: &str, seen: &Sighting) -> Value {
    let place = if seen.member.is_empty() { String::new() } else { format!(" in {}", seen.member) };
    let mut result = json!({
        "ruleId": seen.rule.id,
        "level": level(seen.rule.severity),
        "message": { "text": format!("{}{place}", seen.what) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(path), "index": artifact },
            // An offset inside a member is none in the file: that one stands in the properties.
            "region": { "byteOffset": if seen.member.is_empty() { seen.offset } else { 0 } },
        } }],
        "occurrenceCount": seen.count.max(1),
        "properties": {
            "member": seen.member,
            "offset": seen.offset,
            "advisories": seen.advisories,
        },
    });
    if let Some(reason) = &seen.suppressed {
        result["suppressions"] = json!([{ "kind": "external", "justification": reason }]);
    }
    result
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "note",
        Severity::Low | Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    }
}

/// The number by which code scanning of GitHub sorts.
fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "0.0",
        Severity::Low => "3.0",
        Severity::Medium => "5.5",
        Severity::High => "8.0",
        Severity::Critical => "9.5",
    }
}

/// A path as a URI reference: everything but unreserved characters and slashes is encoded.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    if path.starts_with('/') { format!("file://{out}") } else { out }
}

/// An in-toto statement (v1) about all files that could be hashed. Unsigned: whoever ran the scan
/// signs it.
pub(crate) fn statement(scanned: &[Scanned]) -> Value {
    let subject: Vec<_> = scanned
        .iter()
        .filter_map(|Scanned { path, report }| {
            Some(json!({ "name": path, "digest": { "sha256": report.digest?.hex() } }))
        })
        .collect();
    let report = json(scanned);
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "scanner": report["scanner"],
            "verdict": report["verdict"],
            "files": report["files"],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character survives, and none that could steer a terminal is raw.
    #[test]
    fn json_is_ascii_and_means_the_same() {
        let value = json!({ "path": "e\u{202e}f\u{7f}\u{1b}\u{1f600}.pkl" });
        let text = ascii(&value).unwrap();
        assert!(text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    /// A URI has no character that a reader could take for its end.
    #[test]
    fn a_path_becomes_a_uri() {
        assert_eq!(uri("a b/ü\n.pkl"), "a%20b/%C3%BC%0A.pkl");
        assert_eq!(uri("/tmp/x"), "file:///tmp/x");
    }
}
