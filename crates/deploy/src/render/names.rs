//! Names and resource ids, after defaults.

use crate::check::custom_zone;
use crate::plan::facts::Facts;
use crate::plan::{IdentityType, Mode};

/// Namespace of the Azure ML extension and of its workloads.
pub(super) const AZUREML_NAMESPACE: &str = "azureml";

/// What things are called.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Cluster.
    pub(crate) cluster: String,
    /// Resource group of the cluster.
    pub(crate) group: String,
    /// Network.
    pub(crate) vnet: String,
    /// Resource group of the network.
    pub(crate) vnet_group: String,
    /// User-assigned identity.
    pub(crate) identity: String,
    /// Workspace.
    pub(crate) workspace: String,
    /// Resource group of the workspace.
    pub(crate) workspace_group: String,
    /// Compute in the workspace.
    pub(crate) compute: String,
    /// Private DNS zone of one's own.
    pub(crate) zone: Option<String>,
}

impl Names {
    pub(crate) fn of(facts: &Facts<'_>) -> Self {
        let plan = facts.plan;
        let text = |value: &Option<String>, default: &str| {
            value.clone().unwrap_or_else(|| default.to_owned())
        };
        let id: Vec<&str> = match (&plan.mode, &plan.cluster_id) {
            (Mode::Attach, Some(id)) => id.split('/').filter(|part| !part.is_empty()).collect(),
            _ => Vec::new(),
        };
        let (cluster, group) = match id.as_slice() {
            [_, _, _, group, _, _, _, name] => ((*name).to_owned(), (*group).to_owned()),
            _ => (text(&plan.name, "aks-inference"), text(&plan.resource_group, "rg-inference")),
        };
        let vnet = plan.vnet.as_ref();
        let workspace = plan.workspace.as_ref();
        Self {
            vnet: vnet.map(|vnet| vnet.name.clone()).unwrap_or_default(),
            vnet_group: text(&vnet.and_then(|vnet| vnet.resource_group.clone()), &group),
            identity: text(&plan.identity.name, &format!("id-{cluster}")),
            workspace: text(&workspace.and_then(|ws| ws.name.clone()), "mlw-inference"),
            workspace_group: text(&workspace.and_then(|ws| ws.resource_group.clone()), &group),
            compute: compute_name(&cluster),
            zone: plan.private_cluster.dns_zone.as_deref().and_then(custom_zone),
            cluster,
            group,
        }
    }

    /// ARM expression of a subnet's id.
    pub(super) fn subnet_id(&self, subnet: &str) -> String {
        let Self { vnet, vnet_group, .. } = self;
        format!(
            "[resourceId('{vnet_group}', 'Microsoft.Network/virtualNetworks/subnets', '{vnet}', \
             '{subnet}')]"
        )
    }

    /// ARM expression of the cluster's id.
    pub(super) fn cluster_id(&self) -> String {
        let Self { cluster, group, .. } = self;
        format!(
            "[resourceId('{group}', 'Microsoft.ContainerService/managedClusters', '{cluster}')]"
        )
    }
}

/// A compute's name: letters, digits and hyphens, at most 24, not ending in a hyphen and digits
/// (schema 2026-05-01).
fn compute_name(cluster: &str) -> String {
    let name: String =
        cluster.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(21).collect();
    let name = name.trim_matches('-');
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let name = if starts { name.to_owned() } else { format!("a{name}") };
    let tail = name.rsplit('-').next().unwrap_or_default();
    let is_number = name.contains('-') && tail.bytes().all(|byte| byte.is_ascii_digit());
    if is_number || name.len() < 3 { format!("{name}-ml") } else { name }
}

/// The digest of `registry/name@sha256:…`, where it has one of 64 hexadecimal digits.
pub(super) fn digest_of(image: &str) -> Option<&str> {
    let (name, digest) = image.rsplit_once("@sha256:")?;
    let is_hex =
        digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/' | b':')
        });
    (is_hex && is_name).then_some(digest)
}

/// Whether the cluster has a user-assigned identity.
pub(super) fn is_user_assigned(facts: &Facts<'_>) -> bool {
    facts.plan.identity.kind == IdentityType::UserAssigned
}
