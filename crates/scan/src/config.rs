//! Configurations: JSON and YAML of Keras, Hugging Face, Hydra, MLflow, skops, XGBoost and others,
//! and lists of packages.
//!
//! One judge reads values in order, whichever notation they are in, and judges them by their keys:
//! what a file is called decides nothing but which notation a text without marks is read as.
//!
//! Invariants
//! - C1: a class, function or module that a reader would import is listed or a finding, at any
//!   depth;
//! - C2: a key that is there twice is a finding: readers differ in which value they take.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

mod json;
mod judge;
mod objects;
mod requirements;
mod ubjson;
mod values;
mod yaml;

use judge::Judge;

use crate::json::text;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Head, Reader};
use crate::source::Stream;

/// Longest YAML text, in bytes.
const YAML_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub(crate) const JSON: Format =
    Format { name: "json", claims: is_json, reader: Reader::Forward(read_json) };
pub(crate) const UBJSON: Format =
    Format { name: "ubjson", claims: ubjson::claims, reader: Reader::Forward(read_ubjson) };
pub(crate) const YAML: Format =
    Format { name: "yaml", claims: |_| false, reader: Reader::Forward(read_yaml) };
pub(crate) const REQUIREMENTS: Format =
    Format { name: "requirements", claims: |_| false, reader: Reader::Forward(requirements::read) };

fn is_json(head: &Head<'_>) -> bool {
    let text = head.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head.bytes);
    let mut rest = text.iter().skip_while(|byte| byte.is_ascii_whitespace());
    let first = rest.next();
    let second = rest.find(|byte| !byte.is_ascii_whitespace());
    let second_of_list = |byte: &u8| byte.is_ascii_digit() || b"\"][{-tfn".contains(byte);
    match (first, second) {
        (Some(b'{'), Some(byte)) => matches!(byte, b'"' | b'}'),
        (Some(b'['), Some(byte)) => second_of_list(byte),
        _ => false,
    }
}

fn read_json(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    json::read(scope, stream, &mut Judge::default())
}

fn read_ubjson(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    ubjson::read(scope, stream, &mut Judge::default())
}

/// Judges a JSON text that another format carries.
pub(crate) fn judge_json(scope: &mut Scope<'_>, bytes: Vec<u8>) -> Result<(), Stop> {
    let view = crate::source::View::whole(&bytes);
    read_json(scope, &mut view.stream())
}

fn read_yaml(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    let all = stream.rest(YAML_BYTES_MAX)?;
    let text = text(&all)?;
    let mut judge = Judge::default();
    let done = yaml::read(scope, text, &mut judge);
    // What another parser of YAML might find where ours does not.
    if text.contains("!python/") || text.contains("2002:python") {
        scope.report(&rules::CONFIG_TARGET, 0, "it names a tag of Python's");
    }
    if text.matches("_target_").count() > judge.n_targets {
        scope.report(&rules::CONFIG_TARGET, 0, "`_target_` stands where no value follows");
    }
    done
}

/// The format of a text without marks. `name` is its file name.
pub(crate) fn of_text(text: &str, name: &str) -> Option<Format> {
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if name.contains("requirements") && ends(&[".txt"]) || requirements::claims(text) {
        return Some(REQUIREMENTS);
    }
    let yaml = ends(&[".yaml", ".yml"])
        || matches!(&*name, "mlmodel" | "mlproject")
        || text.contains("!!python/")
        || looks_like_yaml(text);
    yaml.then_some(YAML)
}

/// Whether the first line that says something is a key, or marks a document.
fn looks_like_yaml(text: &str) -> bool {
    let lines = text.lines().map(str::trim_end);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.trim_start().starts_with('#'));
    let Some(first) = lines.next() else { return false };
    let key = first.strip_prefix("- ").unwrap_or(first);
    let is_key = key.split_once(':').is_some_and(|(key, rest)| {
        (rest.is_empty() || rest.starts_with(' '))
            && !key.is_empty()
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./\"'$".contains(&byte))
    });
    is_key || first == "---" || first.starts_with("%YAML") || first.starts_with("--- ")
}

#[cfg(test)]
mod tests;
