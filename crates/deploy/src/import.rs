//! What people already have, as a plan: an ARM template, `az aks show` with `az network vnet
//! show`, Terraform's `show -json`.
//!
//! An export becomes a tree of plan keys whose values stand where they stood in the export, so
//! that findings point into it. What an export does not say stays unsaid.
//!
//! Invariants
//! - IM1: a value that could not be resolved is named, and a plan with one is never clean.

mod arm;
mod cluster;
mod draft;
mod expression;
mod network;
mod terraform;
#[cfg(test)]
pub(crate) mod tests;

use self::draft::Draft;
use crate::check::Unknown;
use crate::plan::{self, PlanError, Reading};
use crate::read::{Format, Node, ReadError};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plan.
    Plan,
    /// An ARM template.
    Arm,
    /// `az aks show`.
    AksShow,
    /// `az network vnet show`.
    VnetShow,
    /// `terraform show -json`.
    Terraform,
    /// Kubernetes objects: `kubectl get -o json` or rendered manifests.
    Kubernetes,
}

impl Kind {
    /// What to call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Arm => "ARM template",
            Self::AksShow => "az aks show",
            Self::VnetShow => "az network vnet show",
            Self::Terraform => "terraform show -json",
            Self::Kubernetes => "Kubernetes objects",
        }
    }

    /// What `tree` is; a table that is nothing else is a plan.
    ///
    /// # Errors
    /// Where it is surely something else, as another cloud's export.
    pub fn of(tree: &Node) -> Result<Self, ReadError> {
        let text = |path: &[&str]| tree.dig(path).and_then(Node::text).unwrap_or_default();
        let has = |key: &str| tree.get(key).is_some();
        let kind = text(&["type"]).to_ascii_lowercase();
        if text(&["$schema"]).to_ascii_lowercase().contains("deploymenttemplate") {
            return Ok(Self::Arm);
        }
        if kind == "microsoft.containerservice/managedclusters" {
            return Ok(Self::AksShow);
        }
        if kind == "microsoft.network/virtualnetworks" {
            return Ok(Self::VnetShow);
        }
        if has("format_version") && (has("values") || has("planned_values")) {
            return Ok(Self::Terraform);
        }
        if has("apiVersion") && has("kind") {
            return Ok(Self::Kubernetes);
        }
        let refuse = |what: &str| Err(ReadError::new(tree.at, what));
        if has("cluster") && text(&["cluster", "arn"]).starts_with("arn:aws") {
            return refuse("this is an export of AWS: only AKS is understood");
        }
        if text(&["selfLink"]).contains("googleapis") || kind.contains("gcp") {
            return refuse("this is an export of Google Cloud: only AKS is understood");
        }
        if kind.starts_with("microsoft.") {
            return refuse("this Azure resource is neither a cluster nor a virtual network");
        }
        if has("format_version") && has("terraform_version") {
            return refuse("this Terraform file has no values: use `terraform show -json`");
        }
        if tree.entries().is_empty() {
            return refuse("this is no table: a plan or an export is one");
        }
        Ok(Self::Plan)
    }
}

/// A plan from one or more files.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The plan and where its values stand.
    pub reading: Reading,
    /// Which of the files each value stands in cannot be told from its place when several were
    /// given; the first names the cluster.
    pub kinds: Vec<Kind>,
    /// What the files do not tell.
    pub unknown: Vec<Unknown>,
}

/// Why files are no plan.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read or is something else.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was read is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The files do not go together.
    #[error("{0}")]
    Mixed(String),
}

/// Reads a plan, or exports that make one together.
///
/// # Errors
/// [`ImportError`].
pub fn read(files: &[(&[u8], Format)]) -> Result<Imported, ImportError> {
    let mut trees = Vec::new();
    for (bytes, format) in files {
        let tree = crate::read::read(bytes, *format)?;
        trees.push((Kind::of(&tree)?, tree));
    }
    of_trees(trees)
}

/// As [`read`], from trees.
///
/// # Errors
/// [`ImportError`].
pub(crate) fn of_trees(trees: Vec<(Kind, Node)>) -> Result<Imported, ImportError> {
    let kinds: Vec<Kind> = trees.iter().map(|(kind, _)| *kind).collect();
    let mut draft = Draft::default();
    match kinds.as_slice() {
        [Kind::Plan] => {
            let (_, tree) = trees.into_iter().next().unwrap_or((Kind::Plan, empty()));
            let reading = plan::of_tree(tree)?;
            return Ok(Imported { reading, kinds, unknown: Vec::new() });
        }
        [] => return Err(ImportError::Mixed("no file is given".to_owned())),
        _ => {}
    }
    for (kind, tree) in &trees {
        match kind {
            Kind::Arm => arm::read(tree, &mut draft)?,
            Kind::AksShow => cluster::read(tree, &mut draft),
            Kind::VnetShow => network::read(tree, &mut draft),
            Kind::Terraform => terraform::read(tree, &mut draft)?,
            Kind::Plan | Kind::Kubernetes => {
                let what = format!("{} does not go together with an export", kind.as_str());
                return Err(ImportError::Mixed(what));
            }
        }
    }
    // Route tables that a network names and no file shows.
    network::settle_routes(&[], &mut draft);
    let (tree, unknown) = draft.finish()?;
    let reading = plan::of_tree(tree)?;
    Ok(Imported { reading, kinds, unknown })
}

fn empty() -> Node {
    Node::new(crate::read::Pos::START, crate::read::Data::Map(Vec::new()))
}
