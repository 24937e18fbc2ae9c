//! Tests of texts: who reads them, and that nobody's text is cleared by its name alone.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "tests may panic"
)]

use crate::Verdict;
use crate::testing::{scan, scan_named};

/// What people read is cleared under its own name; the same bytes elsewhere, and code, are not.
#[test]
fn only_prose_is_cleared_unjudged() {
    let text = b"This model was trained on cats.\nUse it with care.\n";
    for name in ["README.md", "LICENSE", "a/NOTICE.txt"] {
        assert_eq!(scan_named(name, text).verdict, Verdict::Cleared, "{name}");
    }
    for name in ["", "model.bin", "modeling_x.py", "setup.py", "run.sh"] {
        assert_eq!(scan_named(name, text).verdict, Verdict::NotCleared, "{name}");
    }
    assert_eq!(scan_named("README.md", b"cos\nsystem\n(S'id'\ntR.").verdict, Verdict::Hostile);
    assert_eq!(scan_named("README.md", b"a\x00b").verdict, Verdict::NotCleared);
}

/// XML is never cleared, and hostile where it declares entities that reach out.
#[test]
fn xml_that_reaches_out_is_hostile() {
    let openvino = "<?xml version=\"1.0\"?>\n<net name=\"x\" version=\"11\"><layers/></net>";
    let report = scan(openvino.as_bytes());
    assert_eq!((report.verdict, report.formats[0]), (Verdict::NotCleared, "openvino"));
    let pmml = "<?xml version=\"1.0\"?><PMML version=\"4.4\"></PMML>";
    assert_eq!(scan(pmml.as_bytes()).formats, ["pmml"]);
    let xxe = "<!DOCTYPE net [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><net>&x;</net>";
    assert_eq!(scan(xxe.as_bytes()).verdict, Verdict::Hostile);
}

/// A text that nothing else claims, with a template's marks, is judged as one.
#[test]
fn a_template_in_any_text_is_judged() {
    let text = b"Hello there,\nuser {{ ''.__class__ }}\n";
    for name in ["", "prompt.txt", "x.bin"] {
        assert_eq!(scan_named(name, text).verdict, Verdict::Hostile, "{name}");
    }
}

/// A graph in text form would pass for YAML.
#[test]
fn a_graph_in_text_form_is_not_cleared() {
    let text = b"node: {name: \"x\", op: \"PyFunc\"}\n";
    assert_eq!(scan_named("saved_model.pbtxt", text).verdict, Verdict::NotCleared);
}
