//! FX1, on the public cases and on every change of the base plan.

use super::*;
use crate::check::Strictness;
use crate::check::tests::{cases, changed, changes, plan_of};
use crate::plan::{read, to_json, to_toml, to_yaml};
use crate::read::Format;

fn plans() -> Vec<(String, Plan)> {
    let public = cases()
        .into_iter()
        .map(|(name, plan, _)| (name, read(plan.as_bytes(), Format::Json).unwrap().plan));
    let own = changes().into_iter().map(|(changes, _)| {
        let plan = plan_of(&changed(&changes));
        (changes, plan)
    });
    public.chain(own).collect()
}

/// Findings for which no repair can be honest: a slip in a neighbour's range is the neighbour's
/// to correct.
fn is_beyond_repair(finding: &Finding) -> bool {
    finding.rule.id == "ADDR-SYNTAX" && finding.path.starts_with("vnet.")
}

/// FX1: each repair alone removes its finding and adds none.
#[test]
fn a_repair_removes_its_finding_and_adds_none() {
    let mut wrong = Vec::new();
    for (name, plan) in plans() {
        let mut report = check_plan(&plan);
        let before = keys(&report.findings);
        propose(&plan, &mut report);
        for finding in &report.findings {
            let Some(fix) = &finding.fix else {
                if !is_beyond_repair(finding) {
                    wrong.push(format!("{name}: no repair of {}", finding.rule.id));
                }
                continue;
            };
            let text = apply(&to_json(&plan), Format::Json, &fix.edits).unwrap();
            let after = read(text.as_bytes(), Format::Json).unwrap().plan;
            let left = check_plan(&after);
            let n_of = |findings: &[Finding]| {
                findings.iter().filter(|other| other.rule.id == finding.rule.id).count()
            };
            assert!(n_of(&left.findings) < n_of(&report.findings), "{name}: {}", fix.summary);
            let added: Vec<_> = left
                .ids()
                .into_iter()
                .filter(|id| !before.iter().any(|key| key.0 == *id))
                .collect();
            assert!(added.is_empty(), "{name}: {} adds {added:?}", fix.summary);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All repairs together leave nothing, in the text of each language.
#[test]
fn a_repaired_file_is_clean() {
    for (name, plan) in plans() {
        if check_plan(&plan).findings.iter().any(is_beyond_repair) {
            continue;
        }
        let repaired = repair(&plan);
        assert_eq!(repaired.left.ids(), [""; 0], "{name}: {:?}", repaired.lines);
        for (text, format) in [
            (to_toml(&plan), Format::Toml),
            (to_yaml(&plan), Format::Yaml),
            (to_json(&plan), Format::Json),
        ] {
            let text = apply(&text, format, &repaired.edits)
                .unwrap_or_else(|error| panic!("{name} {format:?}: {error}\n{text}"));
            let after = read(text.as_bytes(), format)
                .unwrap_or_else(|error| panic!("{name}: {:?}\n{text}", error.problems()));
            assert_eq!(after.plan, repaired.plan, "{name} {format:?}\n{text}");
            let report = check_plan(&after.plan);
            assert_eq!(report.verdict(Strictness::Usual), crate::check::Verdict::Clean);
        }
    }
}

/// TOML keeps comments and layout, and only what was repaired changes.
#[test]
fn a_toml_file_keeps_its_comments() {
    let text = "# ours\nregion = \"westeurope\" # here\nserviceCidr = \"10.1.0.0/16\"   # collides\n\n\
                [vnet]\nname = \"v\"\naddressSpace = [\"10.1.0.0/16\"]\n\n[[subnets]]\nname = \"a\"\n\
                cidr = \"10.1.0.0/24\"\n";
    let edits = [
        Edit { path: "serviceCidr".into(), from: None, to: Some("10.0.0.0/16".into()) },
        Edit { path: "lb.type".into(), from: None, to: Some("internal".into()) },
        Edit {
            path: "subnets[1]".into(),
            from: None,
            to: Some(serde_json::json!({"name": "b", "cidr": "10.1.1.0/24"})),
        },
    ];
    let after = apply(text, Format::Toml, &edits).unwrap();
    assert_eq!(
        after,
        "# ours\nregion = \"westeurope\" # here\nserviceCidr = \"10.0.0.0/16\"   # collides\n\n\
         [vnet]\nname = \"v\"\naddressSpace = [\"10.1.0.0/16\"]\n\n[[subnets]]\nname = \"a\"\n\
         cidr = \"10.1.0.0/24\"\n\n[[subnets]]\ncidr = \"10.1.1.0/24\"\nname = \"b\"\n\n\
         [lb]\ntype = \"internal\"\n"
    );
}

#[test]
fn what_was_surely_meant_is_proposed_first() {
    for (written, meant) in [
        ("10.1.5.1/27", "10.1.5.0/27"),
        (" 10.1.5.0/27", "10.1.5.0/27"),
        ("10.1.05.0/27", "10.1.5.0/27"),
        ("10.1.5.0/255.255.255.224", "10.1.5.0/27"),
        ("10.1.5.0/027", "10.1.5.0/27"),
    ] {
        let plan = plan_of(&changed(&format!("/subnets/2/cidr={written}")));
        let mut report = check_plan(&plan);
        propose(&plan, &mut report);
        let fix = report.findings[0].fix.clone().unwrap_or_else(|| panic!("{written}"));
        assert_eq!(fix.edits.len(), 1, "{written}: {}", fix.summary);
        assert_eq!(fix.edits[0].to, Some(meant.into()), "{written}");
    }
}

/// A plan that is wrong everywhere gets its first repairs, and ends.
#[test]
fn repairs_are_bounded() {
    let mut value = changed("");
    let subnets: Vec<serde_json::Value> = (0..600)
        .map(|idx| serde_json::json!({"name": format!("s{idx}"), "cidr": "10.1.0.0/24"}))
        .collect();
    value["subnets"] = subnets.into();
    value["nodeSubnet"] = "s0".into();
    value["lb"] = serde_json::json!({"type": "internal"});
    let plan = plan_of(&value);
    let mut report = check_plan(&plan);
    assert!(500 < report.findings.len());
    propose(&plan, &mut report);
    assert!(report.findings.iter().any(|finding| finding.fix.is_some()));
    assert!(repair(&plan).left.findings.len() < report.findings.len());
}
