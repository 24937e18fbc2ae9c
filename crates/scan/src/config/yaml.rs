//! YAML: events of a parser, tags and aliases judged; nothing is built, aliases are not followed.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::judge::{Judge, Plain};
use crate::escape;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;

/// Most levels.
const DEPTH_MAX: usize = 100;
/// Most anchors of texts.
const ANCHORS_MAX: usize = 4096;
/// Values that PyYAML makes of its own tags without calling anything.
const PLAIN_TAGS: &[&str] = &[
    "bool", "bytes", "complex", "dict", "float", "int", "list", "long", "none", "str", "tuple",
    "unicode",
];

/// An open mapping or sequence.
struct Level {
    is_map: bool,
    /// Whether the next value of a mapping is a key.
    wants_key: bool,
}

/// Reads all documents of a text.
pub(super) fn read(scope: &mut Scope<'_>, text: &str, judge: &mut Judge) -> Result<(), Stop> {
    let mut levels: Vec<Level> = Vec::new();
    let mut anchors: BTreeMap<usize, Box<str>> = BTreeMap::new();
    for event in Parser::new_from_str(text) {
        scope.meter.steps(1)?;
        let (event, span) = event.map_err(|_| Stop::broken(0, "the YAML is malformed"))?;
        let at = span.start.index() as u64;
        let mut is_key = levels.last().is_some_and(|level| level.is_map && level.wants_key);
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                tag_is_plain(scope, tag.as_deref(), at);
                if 0 < anchor && anchors.len() < ANCHORS_MAX {
                    anchors.insert(anchor, value.as_ref().into());
                }
                scalar(scope, judge, is_key, &value, style, at)?;
            }
            Event::Alias(anchor) => {
                // An alias of a text is that text; what an alias of more holds was judged there.
                let value = anchors.get(&anchor).cloned();
                match (value, is_key) {
                    (Some(value), _) => {
                        scalar(scope, judge, is_key, &value, ScalarStyle::DoubleQuoted, at)?;
                    }
                    (None, true) => return Err(Stop::broken(at, "a key of the YAML is an alias")),
                    (None, false) => judge.plain(scope, &Plain::Null, at)?,
                }
            }
            Event::SequenceStart(_, tag) | Event::MappingStart(_, tag) if is_key => {
                tag_is_plain(scope, tag.as_deref(), at);
                return Err(Stop::broken(at, "a key of the YAML is no text"));
            }
            Event::SequenceStart(_, tag) => {
                tag_is_plain(scope, tag.as_deref(), at);
                judge.open(scope, false, at)?;
                levels.push(Level { is_map: false, wants_key: false });
                continue;
            }
            Event::MappingStart(_, tag) => {
                tag_is_plain(scope, tag.as_deref(), at);
                judge.open(scope, true, at)?;
                levels.push(Level { is_map: true, wants_key: true });
                if DEPTH_MAX < levels.len() {
                    return Err(Stop::Budget("depth of YAML"));
                }
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                levels.pop();
                judge.close(scope, at)?;
                is_key = false;
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
        }
        if let Some(level) = levels.last_mut()
            && level.is_map
        {
            level.wants_key = !is_key;
        }
    }
    Ok(())
}

fn scalar(
    scope: &mut Scope<'_>,
    judge: &mut Judge,
    is_key: bool,
    value: &str,
    style: ScalarStyle,
    at: u64,
) -> Result<(), Stop> {
    if is_key {
        return judge.key(scope, value, at);
    }
    let plain = style == ScalarStyle::Plain;
    match value {
        "" | "~" | "null" | "Null" | "NULL" if plain => judge.plain(scope, &Plain::Null, at),
        // YAML 1.1, which PyYAML reads, has more words for both.
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if plain => {
            judge.plain(scope, &Plain::Bool(false), at)
        }
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if plain => {
            judge.plain(scope, &Plain::Bool(true), at)
        }
        value => judge.text(scope, value, at),
    }
}

/// Judges a tag: PyYAML's for objects, names and modules run code.
fn tag_is_plain(scope: &mut Scope<'_>, tag: Option<&Tag>, at: u64) {
    let Some(tag) = tag else { return };
    let full = format!("{}{}", tag.handle, tag.suffix);
    let core = full.strip_prefix("tag:yaml.org,2002:").or(full.strip_prefix("!!")).unwrap_or(&full);
    let what = format!("the tag `{}`", escape::text(&full));
    if let Some((_, kind)) = core.split_once("python/") {
        if !PLAIN_TAGS.contains(&kind) {
            scope.report(&rules::CONFIG_CODE, at, what);
        }
    } else if core.starts_with('!') || core.contains([':', '/']) {
        scope.report(&rules::CONFIG_TARGET, at, what);
    }
}
