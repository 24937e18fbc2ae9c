//! `bartizan scan --explain RULE|NAME`.

use std::io;

use bartizan_scan::{Verdict, escape};

use super::policy::Policy;
use crate::answer::Answer;
use crate::cmd::{Failure, Outcome};
use crate::gate::published;

/// Explains a rule, or what the allow-list and `policy` say about a name on `today`.
///
/// # Errors
/// What is neither, or an answer that cannot be written.
pub(super) fn run(what: &str, policy: &Policy, today: &str, out: &mut dyn io::Write) -> Outcome {
    if let Some(rule) = bartizan_scan::rule(what) {
        let (severity, means) = (rule.severity.as_str(), Verdict::of(rule.severity).as_str());
        writeln!(out, "{} ({severity}: {means})\n\n{}", rule.id, rule.why)?;
        writeln!(out, "\nWhat to do: {}", rule.remedy)?;
        if let Some(atlas) = rule.atlas {
            writeln!(out, "MITRE ATLAS: {atlas}")?;
        }
        return Ok(Answer::Yes);
    }
    let allow = policy.allow_for_explanation(today);
    let Some(text) = bartizan_scan::explain_name(&allow, what) else {
        return Err(Failure::usage(format!(
            "`{}` is neither a rule nor a name like `collections.OrderedDict`",
            escape::text(what)
        )));
    };
    writeln!(out, "{text}")?;
    let list = published::checked().map_err(Failure::unknown)?;
    let published::Published { version, n_names, maker } = list;
    writeln!(
        out,
        "list: version {version}, {n_names} names, {}, signed by {maker}; rules: version {}",
        bartizan_scan::allow_digest(),
        bartizan_scan::RULES_VERSION,
    )?;
    Ok(Answer::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(what: &str) -> Option<String> {
        let mut out = Vec::new();
        run(what, &Policy::default(), "2027-01-01", &mut out).ok()?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn rules_and_names_are_explained_and_words_are_not() {
        let name = explained("sklearn.tree._classes.DecisionTreeClassifier").unwrap();
        for part in [
            "allowed, as state",
            "how: ",
            "why: ",
            "library: scikit-learn",
            "since: version 1",
            "source: ",
            "list: version 1, ",
            "signed by ed25519:",
        ] {
            assert!(name.contains(part), "{part:?} is not in {name:?}");
        }
        assert!(explained("scan.pickle.call").unwrap().contains("What to do: "));
        assert!(explained("word").is_none());
    }
}
