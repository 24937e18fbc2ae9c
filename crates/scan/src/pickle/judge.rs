//! What is thought of a name, before anything is done with it.

use std::collections::HashSet;
use std::sync::OnceLock;

use super::danger::{self, Danger};
use super::special::Special;
use crate::allow::{self, Allow, Entry, Origin, Role};
use crate::escape;

/// What is known about an imported name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// On the list, to be used so.
    Listed(Role),
    /// On the list; calls are judged by their arguments.
    Judged(Special),
    /// Known to run code or reach outside.
    Dangerous(&'static Danger),
    /// Not known; `walks` says that the name itself reaches through a module or function.
    Unlisted { walks: bool },
}

/// Attributes that change how Python treats an object that has them.
const SPECIAL_ATTRIBUTES: &[&str] = &[
    "__builtins__",
    "__call__",
    "__class__",
    "__class_getitem__",
    "__code__",
    "__del__",
    "__dict__",
    "__enter__",
    "__exit__",
    "__getattr__",
    "__getattribute__",
    "__getitem__",
    "__getstate__",
    "__globals__",
    "__import__",
    "__init__",
    "__init_subclass__",
    "__iter__",
    "__loader__",
    "__new__",
    "__next__",
    "__path__",
    "__reduce__",
    "__reduce_ex__",
    "__set_name__",
    "__setattr__",
    "__setitem__",
    "__setstate__",
    "__spec__",
];

/// Whether setting this attribute redirects later code.
pub(super) fn is_special_attribute(text: &str) -> bool {
    text.starts_with("__") && SPECIAL_ATTRIBUTES.binary_search(&text).is_ok()
}

/// Whether bytes are a dotted Python name.
pub(super) fn is_name(text: &[u8]) -> bool {
    !text.is_empty()
        && text.split(|&byte| byte == b'.').all(|part| {
            part.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
                && part.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        })
}

/// Whether a text is a module or name of the built-in list: such are kept even when the table of
/// texts is full.
pub(super) fn is_listed_word(text: &str) -> bool {
    static WORDS: OnceLock<HashSet<&'static str>> = OnceLock::new();
    WORDS
        .get_or_init(|| allow::entries().iter().flat_map(|e| [e.module, e.name]).collect())
        .contains(text)
}

/// What is thought of `module.name`.
pub(super) fn standing(allow: &Allow, module: &str, name: &str) -> Standing {
    if let Some(entry) = allow.find(module, name) {
        return match entry.role {
            Role::Judged => match Special::of(module, name) {
                Some(special) => Standing::Judged(special),
                // A policy cannot make up judgement that is not in the code.
                None => Standing::Listed(Role::Reference),
            },
            role @ (Role::State | Role::Class | Role::Function | Role::Reference) => {
                Standing::Listed(role)
            }
        };
    }
    if let Some(danger) = danger::find(module, name) {
        return Standing::Dangerous(danger);
    }
    // `serialization.os`, `eval.__call__`: an attribute of something that is no class.
    let mut parts = name.split('.');
    let first_is_class = parts.next().is_some_and(|part| {
        part.trim_start_matches('_').starts_with(|c: char| c.is_ascii_uppercase())
    });
    let mut n_more = 0_usize;
    let walks_dunder = parts
        .inspect(|_| n_more = n_more.saturating_add(1))
        .any(|part| part.starts_with("__") && part.ends_with("__"));
    Standing::Unlisted { walks: walks_dunder || (n_more > 0 && !first_is_class) }
}

/// Why a name is or is not cleared, in words of several lines: what the list says, how the name
/// may be used and why, which library it is from, since which version of the list it is there and
/// how it came there. `path` is `module.name`, or `module:name` where the name itself has dots.
///
/// `None` where `path` is no such path.
pub fn explain(allow: &Allow, path: &str) -> Option<String> {
    let (module, name) = split(allow, path)?;
    let shown = escape::text(&format!("{module}.{name}"));
    let standing = standing(allow, module, name);
    let text = match standing {
        Standing::Listed(_) | Standing::Judged(_) => match allow.find(module, name) {
            Some(entry) => format!("{shown}: allowed, as {}", listed(&entry)),
            None => format!("{shown}: allowed"),
        },
        Standing::Dangerous(danger) => {
            let known = danger.advisories.join(", ");
            let lies = format!("{shown}: hostile\nwhy: it is or lies in `{}`", danger.path);
            let lies = format!("{lies}, which runs code or reaches outside the model");
            if known.is_empty() { lies } else { format!("{lies}\nadvisories: {known}") }
        }
        Standing::Unlisted { walks: true } => {
            format!("{shown}: hostile\nwhy: the name reaches through a module or function")
        }
        Standing::Unlisted { walks: false } => format!(
            "{shown}: not cleared\nwhy: it is on no list; whoever knows it can add it for one \
             digest or one publisher (docs/scan-allow.md)"
        ),
    };
    Some(text)
}

/// The lines about a listed name.
fn listed(entry: &Entry<'_>) -> String {
    let Entry { role, library, since, origin, .. } = entry;
    let head = format!("{}\nhow: {}\nwhy: {}", role.as_str(), role.use_in_words(), role.why());
    if *origin == Origin::Added {
        return format!("{head}\nsource: {}, {library}", origin.as_str());
    }
    let read = match allow::versions_read(library) {
        Some(versions) if *origin != Origin::Reviewed => format!(", read of {versions}"),
        Some(_) | None => String::new(),
    };
    let source = origin.as_str();
    format!(
        "{head}\nlibrary: {library}{read}\nsince: version {since} of the list\nsource: {source}"
    )
}

/// Module and name of a path: where its parts can be told apart in several ways, the way that the
/// list knows, else at the last dot.
fn split<'a>(allow: &Allow, path: &'a str) -> Option<(&'a str, &'a str)> {
    if let Some(told) = path.split_once(':') {
        return Some(told);
    }
    let dots = path.rmatch_indices('.').map(|(at, _)| path.split_at(at));
    let mut ways = dots.map(|(module, rest)| (module, rest.get(1..).unwrap_or("")));
    let listed = ways.clone().find(|(module, name)| allow.find(module, name).is_some());
    listed.or_else(|| ways.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name is judged whole: attributes of listed names are not listed, walks are hostile.
    #[test]
    fn a_listed_name_does_not_vouch_for_its_attributes() {
        let allow = Allow::new();
        assert!(SPECIAL_ATTRIBUTES.is_sorted());
        let of = |module, name| standing(&allow, module, name);
        assert_eq!(of("collections", "OrderedDict"), Standing::Listed(Role::Class));
        assert!(matches!(of("torch", "serialization.os.system"), Standing::Dangerous(_)));
        assert!(matches!(of("pathlib", "os.system"), Standing::Dangerous(_)));
        assert!(matches!(of("builtins", "eval.__call__"), Standing::Dangerous(_)));
        assert!(matches!(of("collections", "_sys.exit"), Standing::Dangerous(_)));
        assert_eq!(of("scipy", "special.x"), Standing::Unlisted { walks: true });
        assert_eq!(of("mine", "Outer.Inner"), Standing::Unlisted { walks: false });
        assert_eq!(of("mine", "Outer.__init__"), Standing::Unlisted { walks: true });
    }

    /// Each decision is explained: how, why, from where, since when; also what is not on the list.
    #[test]
    fn each_decision_is_explained() {
        let mut allow = Allow::new();
        allow.add("mine", "Model", Role::State, "by ed25519:ab until 2027-01-31: MODEL-42");
        for (path, parts) in [
            (
                "sklearn.tree._classes.DecisionTreeClassifier",
                &[
                    "allowed, as state",
                    "how: a bare",
                    "why: no code",
                    "library: scikit-learn",
                    "1.9.1",
                    "since: version 1 of the list",
                    "source: a class",
                ][..],
            ),
            ("zoneinfo.ZoneInfo._unpickle", &["allowed, as function", "chosen by a person"]),
            ("builtins.getattr", &["as judged", "each call is judged"]),
            ("mine:Model", &["as state", "added by whoever scans, by ed25519:ab until 2027-01-31"]),
            ("mine.Other", &["not cleared", "on no list"]),
            ("os.system", &["hostile", "runs code"]),
            ("pip.main", &["hostile", "CVE-2025-1716"]),
            ("torch:serialization.load.x", &["hostile"]),
        ] {
            let text = explain(&allow, path).unwrap();
            for part in parts {
                assert!(text.contains(part), "{part:?} is not in {text:?}");
            }
        }
        assert_eq!(explain(&allow, "word"), None);
    }
}
