//! The tables.

use std::collections::BTreeSet;

use super::*;

/// RU1, the half that the tables can tell; `check::tests` shows that each is reported.
#[test]
fn rules_are_sorted_unique_and_whole() {
    assert_eq!(FINDINGS.len(), 76);
    let mut seen = BTreeSet::new();
    for table in [FINDINGS, ADVICE, crate::drift::RULES] {
        assert!(table.is_sorted_by(|a, b| a.id < b.id));
        for rule in table {
            assert!(seen.insert(rule.id), "{} stands twice", rule.id);
            let (group, rest) = rule.id.split_once('-').unwrap();
            let name = format!("deploy.{}.{}", group.to_lowercase(), rest.to_lowercase());
            assert_eq!(rule.core.id, name);
            assert!(!rule.source.is_empty() && !rule.azure.is_empty(), "{}", rule.id);
            assert!(!rule.core.why.is_empty() && !rule.core.remedy.is_empty(), "{}", rule.id);
            assert_eq!(find(rule.id), Some(*rule));
        }
    }
    assert_eq!(RULES.len(), seen.len());
    assert!(RULES.iter().all(|rule| rule.atlas.is_none()));
}
