//! A plan as what carries it out: ARM templates, an `az` script, a Python snippet, Kubernetes
//! manifests. Pure and byte-stable: the same plan gives the same bytes.
//!
//! Invariants
//! - RE1: a plan that is not clean is not rendered;
//! - RE2: a rendered plan never asks for a public load balancer, and never "in the studio";
//! - RE3: an image is rendered by digest only, and only listed digests may run.

mod admission;
mod arm;
mod azureml;
mod cluster;
mod egress;
mod names;
mod objects;
mod script;
#[cfg(test)]
pub(crate) mod tests;
mod text;

pub(crate) use names::Names;
pub(crate) use text::{json_of, yaml_of};
pub use text::{json_text, yaml_text};

use serde_json::Value;

use crate::check::{Finding, Strictness, Verdict, check_plan};
use crate::plan::facts::Facts;
use crate::plan::{LbType, NetworkPolicy, OutboundType, Plan};
use crate::rules::Level;

/// A rendered file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path below the folder that is rendered into.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Where the server's health is asked, which the protocol's own crates know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes<'a> {
    /// Path that answers while the process lives.
    pub live: &'a str,
    /// Path that answers while the server would answer requests.
    pub ready: &'a str,
}

/// Why a plan was not rendered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RenderError {
    /// It has errors.
    #[error("the plan has {} error(s), first {}: run `bartizan aks check --fix`", .0.len(), first(.0))]
    NotClean(Vec<Finding>),
    /// A part of it could not be judged.
    #[error("{path}: {what}")]
    NotSaid {
        /// Path of the part.
        path: String,
        /// What is not said.
        what: String,
    },
    /// The server's image has no digest.
    #[error("serving.image `{image}` names no digest: write registry/name@sha256:<64 hex digits>")]
    NoDigest {
        /// What was written.
        image: String,
    },
    /// Network policies would be written and not enforced.
    #[error(
        "serving needs network policies, and networkPolicy is none: set it to cilium or calico"
    )]
    NoPolicyEngine,
    /// The stable API does not have it.
    #[error("outboundType block is a preview: API 2026-05-01 has none")]
    Preview,
    /// A name that Azure would not take, and that could leave its quotes in a template or script.
    #[error(
        "the name `{name}` has other characters than letters, digits and -_.() and does not begin \
         with a letter or digit"
    )]
    BadName {
        /// What was written.
        name: String,
    },
    /// The server would be reachable from outside.
    #[error("serving needs lb.type internal")]
    PublicServer,
}

fn first(findings: &[Finding]) -> &'static str {
    findings.first().map_or("", |finding| finding.rule.id)
}

/// Everything that carries out `plan`, sorted by name.
///
/// # Errors
/// [`RenderError`].
pub fn render(plan: &Plan, probes: &Probes<'_>) -> Result<Vec<File>, RenderError> {
    admit(plan)?;
    let facts = Facts::of(plan);
    let names = Names::of(&facts);
    let mut files = vec![
        file("arm/main.json", json_text(&arm::template(&facts, &names))),
        file("az/deploy.sh", script::az(&facts, &names)),
        file("sdk/attach.py", script::sdk(&facts, &names)),
    ];
    if facts.is_routed() {
        files.push(file("egress.md", egress::page(&facts)));
    }
    for (name, object) in objects(plan, probes)? {
        files.push(file(&format!("k8s/{name}"), yaml_text(&object)));
    }
    files.retain(|file| !file.text.is_empty());
    files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// The ARM template of a plan, for comparison with an export.
///
/// # Errors
/// [`RenderError`].
pub fn arm_template(plan: &Plan) -> Result<Value, RenderError> {
    admit(plan)?;
    let facts = Facts::of(plan);
    Ok(arm::template(&facts, &Names::of(&facts)))
}

/// The Kubernetes objects of a plan with the names of their files, the kustomization among them;
/// none where the plan has no `serving`.
///
/// # Errors
/// [`RenderError`].
pub fn objects(plan: &Plan, probes: &Probes<'_>) -> Result<Vec<(String, Value)>, RenderError> {
    admit(plan)?;
    let Some(serving) = &plan.serving else { return Ok(Vec::new()) };
    if plan.lb.kind != Some(LbType::Internal) {
        return Err(RenderError::PublicServer);
    }
    if matches!(plan.network_policy, None | Some(NetworkPolicy::None)) {
        return Err(RenderError::NoPolicyEngine);
    }
    let listed = serving.verified_images.iter().flatten();
    for image in std::iter::once(&serving.image).chain(listed) {
        if names::digest_of(image).is_none() {
            return Err(RenderError::NoDigest { image: image.clone() });
        }
    }
    Ok(objects::all(&Facts::of(plan), serving, probes))
}

/// RE1.
fn admit(plan: &Plan) -> Result<(), RenderError> {
    let report = check_plan(plan);
    match report.verdict(Strictness::Usual) {
        Verdict::Clean if plan.outbound_type == OutboundType::Block => Err(RenderError::Preview),
        Verdict::Clean => check_names(plan),
        Verdict::Errors => {
            let is_error = |finding: &Finding| finding.rule.level == Level::Error;
            Err(RenderError::NotClean(report.findings.into_iter().filter(is_error).collect()))
        }
        Verdict::NotUnderstood => {
            let needed = report.unknown.into_iter().find(|unknown| unknown.is_needed);
            let (path, what) =
                needed.map(|unknown| (unknown.path, unknown.what)).unwrap_or_default();
            Err(RenderError::NotSaid { path, what })
        }
    }
}

/// Every name that is written into a template, a script or an object.
fn check_names(plan: &Plan) -> Result<(), RenderError> {
    let facts = Facts::of(plan);
    let names = Names::of(&facts);
    let own = [
        &names.cluster,
        &names.group,
        &names.vnet,
        &names.vnet_group,
        &names.identity,
        &names.workspace,
        &names.workspace_group,
    ];
    let subnets = plan.subnets.iter().map(|subnet| &subnet.name);
    let pools = plan.pools.iter().map(|pool| &pool.name);
    let serving = plan.serving.iter().filter_map(|serving| serving.namespace.as_ref());
    let all = own.into_iter().chain(subnets).chain(pools).chain(serving).chain(&names.zone);
    let is_bad = |name: &&String| {
        let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.()".contains(c);
        let is_good = starts && name.chars().all(plain);
        !name.is_empty() && !is_good
    };
    match all.into_iter().find(is_bad) {
        Some(name) => Err(RenderError::BadName { name: name.clone() }),
        None => Ok(()),
    }
}

fn file(name: &str, text: String) -> File {
    File { name: name.to_owned(), text }
}
