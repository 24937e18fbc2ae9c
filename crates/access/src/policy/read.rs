//! Policy files to policies, or to an error that names the file, the line, the policy and the way
//! out.
//!
//! Every policy names itself by `@id`, which becomes its id in records and answers: Cedar's own
//! ids (`policy0`, `policy1`) say nothing. Annotations are obligations or explanations; an unknown
//! one is an error, since a misspelt obligation would withhold nothing.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_core::{Obligations, Retention};
use cedar_policy::{Policy, PolicyId, PolicySet, ResourceConstraint, ValidationMode, Validator};
use miette::Diagnostic;

use super::projects::{Flaw, Projects};
use super::schema::{KINDS, SCHEMA};
use crate::scopes::DIGITS_MAX;

/// Most policies of an environment.
pub const POLICIES_MAX: usize = 4_096;
/// Largest text of all policy files together, in bytes.
pub const POLICY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest id of a policy, in bytes: it stands in records.
pub const POLICY_ID_BYTES_MAX: usize = 64;
/// What a file of one project's own policies is called: this, the project, `.cedar`.
const PROJECT_FILE_PREFIX: &str = "project-";
/// Most rows a day that a policy may allow: more is no limit.
const ROWS_PER_DAY_MAX: u64 = 1_000_000_000_000;
/// Annotations that explain.
const EXPLANATIONS: [&str; 2] = ["id", "reason"];
/// Annotations that oblige; [`oblige`] reads each.
const OBLIGATIONS: [&str; 7] =
    ["outputs", "topK", "digits", "labelOnly", "retainInputs", "retention", "rowsPerDay"];
/// Annotations that a later release enforces: until then a policy that relies on one is refused,
/// since it would oblige nobody.
const NOT_ENFORCED_YET: [&str; 1] = ["people"];

/// A file of policies, or `projects.toml`: its name and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// Its name, for errors and for its place in the digest.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What is wrong with policies, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {}{reason}", policy.as_ref().map_or_else(String::new, |id| format!("policy `{id}`: ")))]
pub struct PolicyError {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The policy, where it is one's.
    pub policy: Option<String>,
    /// What is wrong, and the remedy.
    pub reason: String,
}

/// One policy, with what it obliges to.
pub(super) struct Read {
    pub(super) policy: Policy,
    pub(super) obligations: Obligations,
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) reason: Option<String>,
}

/// All policies of `files`, checked against the schema and, with `projects`, against each other.
pub(super) fn policies(
    files: &[PolicyFile],
    projects: &Projects,
) -> Result<BTreeMap<String, Read>, Vec<PolicyError>> {
    let n_bytes: usize = files.iter().map(|file| file.text.len()).sum();
    if POLICY_BYTES_MAX < n_bytes {
        let reason = format!("the policies have {n_bytes} bytes, the limit is {POLICY_BYTES_MAX}");
        return Err(vec![error_in(&files[0], 1, None, reason)]);
    }
    let (mut all, mut errors) = (BTreeMap::new(), Vec::new());
    for file in files {
        match PolicySet::from_str_of(file) {
            Ok(set) => read_file(file, &set, projects, &mut all, &mut errors),
            Err(mut found) => errors.append(&mut found),
        }
    }
    if POLICIES_MAX < all.len() {
        let reason = format!("there are {} policies, the limit is {POLICIES_MAX}", all.len());
        errors.push(error_in(&files[0], 1, None, reason));
    }
    if errors.is_empty() {
        errors = validate(&all);
    }
    if errors.is_empty() { Ok(all) } else { Err(errors) }
}

/// `projects.toml`, or what is wrong with it.
pub(super) fn projects(file: &PolicyFile) -> Result<Projects, Vec<PolicyError>> {
    Projects::parse(&file.text).map_err(|flaw| {
        let Flaw { offset, name, reason } = flaw;
        let quoted = format!("\"{name}\"");
        let found = || file.text.find(&quoted).or_else(|| file.text.find(&name));
        let line = offset.or_else(found).map_or(1, |at| line_at(&file.text, at));
        let named = if name.is_empty() { reason } else { format!("`{name}`: {reason}") };
        vec![error_in(file, line, None, named)]
    })
}

trait FromFile: Sized {
    fn from_str_of(file: &PolicyFile) -> Result<Self, Vec<PolicyError>>;
}

impl FromFile for PolicySet {
    fn from_str_of(file: &PolicyFile) -> Result<Self, Vec<PolicyError>> {
        file.text.parse::<Self>().map_err(|errors| {
            errors
                .iter()
                .map(|error| {
                    let line = line_of(&file.text, error).unwrap_or(1);
                    error_in(file, line, None, sentence(error))
                })
                .collect()
        })
    }
}

fn read_file(
    file: &PolicyFile,
    set: &PolicySet,
    projects: &Projects,
    all: &mut BTreeMap<String, Read>,
    errors: &mut Vec<PolicyError>,
) {
    if let Some(template) = set.templates().next() {
        let reason = "templates (`?principal`, `?resource`) are not taken: write the policy out";
        let id = template.annotation("id").map(str::to_owned);
        errors.push(error_in(file, 1, id, reason.into()));
    }
    let own_project =
        file.name.strip_prefix(PROJECT_FILE_PREFIX).and_then(|name| name.strip_suffix(".cedar"));
    // The parser numbers policies as they stand in the text, and keeps their texts.
    let mut in_order: Vec<&Policy> = set.policies().collect();
    in_order.sort_by_key(|policy| number_of(policy));
    let mut from = 0;
    for policy in in_order {
        let line = place_of(&file.text, policy, &mut from);
        let id = policy.annotation("id").unwrap_or_default().to_owned();
        let mut wrong = |reason: String| {
            let named = (!id.is_empty()).then(|| id.clone());
            errors.push(error_in(file, line, named, reason));
        };
        if !is_id(&id) {
            wrong(format!(
                "a policy names itself: put `@id(\"some-name\")` before it, 1 to \
                 {POLICY_ID_BYTES_MAX} of a-z, A-Z, 0-9, `-`, `_`, `.` and `/`"
            ));
            continue;
        }
        if let Some(name) = own_project
            && let Err(reason) = check_confined(policy, name, projects)
        {
            wrong(reason);
            continue;
        }
        match oblige(policy) {
            Ok(obligations) => {
                if let Some(Read { file: other, line, .. }) = all.get(&id) {
                    wrong(format!("{other}:{line} has a policy of this id: choose another"));
                    continue;
                }
                let reason = policy.annotation("reason").map(str::to_owned);
                let policy = policy.new_id(PolicyId::new(&id));
                let file = file.name.clone();
                all.insert(id, Read { policy, obligations, file, line, reason });
            }
            Err(reason) => wrong(reason),
        }
    }
}

fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    !text.is_empty() && text.len() <= POLICY_ID_BYTES_MAX && text.bytes().all(plain)
}

/// A project's own policies are about what is the project's.
fn check_confined(policy: &Policy, name: &str, projects: &Projects) -> Result<(), String> {
    if projects.get(name).is_none() {
        return Err(format!("projects.toml has no project `{name}`: add it, or rename the file"));
    }
    let confined = match policy.resource_constraint() {
        ResourceConstraint::In(entity)
        | ResourceConstraint::IsIn(_, entity)
        | ResourceConstraint::Eq(entity) => {
            *entity.type_name() == KINDS.Project && entity.id().unescaped() == name
        }
        ResourceConstraint::Any | ResourceConstraint::Is(_) => false,
    };
    if confined {
        return Ok(());
    }
    Err(format!(
        "the policies of this file are the project's own: say `resource in Project::\"{name}\"`, \
         or move it to a file of the environment's"
    ))
}

/// What the annotations of `policy` oblige to.
fn oblige(policy: &Policy) -> Result<Obligations, String> {
    let mut obligations = Obligations::default();
    for (key, value) in policy.annotations() {
        if EXPLANATIONS.contains(&key) {
            continue;
        }
        if NOT_ENFORCED_YET.contains(&key) {
            return Err(format!(
                "`@{key}` is not enforced by this release, so it is not accepted: take it out, or \
                 forbid what it should have limited"
            ));
        }
        if !OBLIGATIONS.contains(&key) {
            return Err(format!(
                "there is no annotation `@{key}`: those that explain are @{}; those that oblige \
                 are @{}",
                EXPLANATIONS.join(", @"),
                OBLIGATIONS.join(", @")
            ));
        }
        if policy.effect() == cedar_policy::Effect::Forbid {
            return Err(format!("`@{key}` obliges whom a policy permits; this one forbids"));
        }
        let number = |max: u64| {
            let number = value.parse::<u64>().ok().filter(|number| 1 <= *number && *number <= max);
            number.ok_or_else(|| format!("`@{key}` is a number from 1 to {max}, not `{value}`"))
        };
        match key {
            "outputs" => obligations.outputs = Some(names(key, value)?),
            "topK" => obligations.top_k = Some(number(u64::from(u32::MAX))? as u32),
            "digits" => match value.parse::<u8>() {
                Ok(digits) if digits <= DIGITS_MAX => obligations.digits = Some(digits),
                Ok(_) | Err(_) => {
                    return Err(format!("`@digits` is 0 to {DIGITS_MAX}, not `{value}`"));
                }
            },
            "retainInputs" if value == "none" => obligations.retain_inputs = Some(BTreeSet::new()),
            "retainInputs" => obligations.retain_inputs = Some(names(key, value)?),
            "retention" => {
                let class = Retention::ALL.iter().find(|class| class.as_str() == value);
                let known = || format!("`@retention` is brief, standard or long, not `{value}`");
                obligations.retention = Some(*class.ok_or_else(known)?);
            }
            "rowsPerDay" => obligations.rows_per_day = Some(number(ROWS_PER_DAY_MAX)?),
            "labelOnly" if value == "true" => obligations.label_only = true,
            _ => return Err("`@labelOnly` is \"true\", or left out".into()),
        }
    }
    Ok(obligations)
}

/// Names divided by commas, at least one.
fn names(key: &str, value: &str) -> Result<BTreeSet<String>, String> {
    let names: BTreeSet<String> = value
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err(format!("`@{key}` lists names divided by commas; this lists none"));
    }
    Ok(names)
}

fn validate(all: &BTreeMap<String, Read>) -> Vec<PolicyError> {
    let mut set = PolicySet::new();
    for read in all.values() {
        if let Err(error) = set.add(read.policy.clone()) {
            return vec![error_of(read, None, error.to_string())];
        }
    }
    let result = Validator::new(SCHEMA.clone()).validate(&set, ValidationMode::Strict);
    let of = |id: &PolicyId, diagnostic: &dyn Diagnostic| {
        let id: &str = id.as_ref();
        all.get(id).map(|read| error_of(read, Some(id), sentence(diagnostic)))
    };
    // A warning is a policy that can never apply, or letters that look like others: neither may
    // pass for what its author meant.
    let errors = result.validation_errors().filter_map(|error| of(error.policy_id(), error));
    let warnings =
        result.validation_warnings().filter_map(|warning| of(warning.policy_id(), warning));
    let mut found: Vec<_> = errors.chain(warnings).collect();
    found.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    found
}

/// What a diagnostic of Cedar says, in one line: the message, then the help.
fn sentence(diagnostic: &dyn Diagnostic) -> String {
    let mut text = diagnostic.to_string();
    if let Some(prefix) = text.find("validation error on policy").or(text.find("for policy `"))
        && let Some(end) = text[prefix..].find(", ")
    {
        text.replace_range(..prefix + end + 2, "");
    }
    if let Some(label) = diagnostic.labels().and_then(|mut labels| labels.next())
        && let Some(said) = label.label()
    {
        text.push_str(&format!(" ({said})"));
    }
    if let Some(help) = diagnostic.help() {
        text.push_str(&format!("; {help}"));
    }
    text.replace('\n', " ")
}

fn line_of(text: &str, diagnostic: &dyn Diagnostic) -> Option<usize> {
    let label = diagnostic.labels()?.next()?;
    Some(line_at(text, label.offset()))
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// `3` of `policy3`.
fn number_of(policy: &Policy) -> usize {
    let id: &str = policy.id().as_ref();
    id.trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

/// The line of `policy` in `text`, looked for from `from` on, which then stands behind it.
fn place_of(text: &str, policy: &Policy, from: &mut usize) -> usize {
    let own = policy.to_string();
    let rest = text.get(*from..).unwrap_or_default();
    match rest.find(own.trim()) {
        Some(at) => {
            let start = *from + at;
            *from = start + own.trim().len();
            line_at(text, start)
        }
        None => line_at(text, *from),
    }
}

fn error_of(read: &Read, policy: Option<&str>, reason: String) -> PolicyError {
    let (file, line) = (read.file.clone(), read.line);
    PolicyError { file, line, policy: policy.map(str::to_owned), reason }
}

fn error_in(file: &PolicyFile, line: usize, policy: Option<String>, reason: String) -> PolicyError {
    PolicyError { file: file.name.clone(), line, policy, reason }
}
