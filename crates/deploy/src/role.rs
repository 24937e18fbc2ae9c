//! What a role on a scope allows over the plan's subnets.

use crate::plan::Role;
use crate::plan::facts::Facts;

/// Role id of Network Contributor, the same in every tenant.
pub(crate) const NETWORK_CONTRIBUTOR_ID: &str = "4d97b98b-1d4f-4787-a291-c67834d212e7";
const JOIN: &str = "microsoft.network/virtualnetworks/subnets/join/action";
const READ: &str = "microsoft.network/virtualnetworks/subnets/read";

/// What a scope covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything in the subscription.
    Subscription,
    /// Everything in the resource group of the network.
    ResourceGroup,
    /// The network.
    Vnet,
    /// One subnet, by name.
    Subnet(String),
    /// Something else.
    Elsewhere,
}

/// What a scope's text means in this plan: a word, a subnet's or the network's name, or a
/// resource id.
pub(crate) fn scope(facts: &Facts<'_>, text: &str) -> Scope {
    let plan = facts.plan;
    let vnet_name = plan.vnet.as_ref().map(|vnet| vnet.name.as_str()).unwrap_or_default();
    if text.starts_with('/') {
        return resource_scope(facts, text, vnet_name);
    }
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "subscription" => return Scope::Subscription,
        "resourcegroup" => return Scope::ResourceGroup,
        "vnet" | "virtualnetwork" => return Scope::Vnet,
        "subnet" | "nodesubnet" => {
            return Scope::Subnet(plan.node_subnet.clone().unwrap_or_default());
        }
        _ => {}
    }
    let named = ["subnet:", "subnets/", "subnet/", "vnet/subnets/"]
        .iter()
        .find(|prefix| lower.starts_with(**prefix))
        .and_then(|prefix| text.get(prefix.len()..));
    let name = named.unwrap_or(text);
    if plan.subnets.iter().any(|subnet| subnet.name == name) {
        Scope::Subnet(name.to_owned())
    } else if name == vnet_name || lower.strip_prefix("vnet:").is_some_and(|name| name == vnet_name)
    {
        Scope::Vnet
    } else {
        Scope::Elsewhere
    }
}

fn resource_scope(facts: &Facts<'_>, id: &str, vnet_name: &str) -> Scope {
    let parts: Vec<&str> = id.split('/').filter(|part| !part.is_empty()).collect();
    let plan = facts.plan;
    let group = plan.vnet.as_ref().and_then(|vnet| vnet.resource_group.as_deref());
    let group = group.or(plan.resource_group.as_deref());
    let is_group = |name: &str| group.is_none_or(|group| group.eq_ignore_ascii_case(name));
    match parts.as_slice() {
        [_, _] => Scope::Subscription,
        [_, _, _, name] if is_group(name) => Scope::ResourceGroup,
        [_, _, _, _, _, _, _, vnet] if vnet.eq_ignore_ascii_case(vnet_name) => Scope::Vnet,
        [_, _, _, _, _, _, _, vnet, _, subnet] if vnet.eq_ignore_ascii_case(vnet_name) => {
            Scope::Subnet((*subnet).to_owned())
        }
        _ => Scope::Elsewhere,
    }
}

/// Whether the role may join and read subnets.
pub(crate) fn may_join(role: &Role) -> bool {
    let name = role.role.to_ascii_lowercase();
    let name = name.rsplit('/').next().unwrap_or_default();
    if matches!(name, "network contributor" | "contributor" | "owner" | NETWORK_CONTRIBUTOR_ID) {
        return true;
    }
    let listed: Vec<String> = match &role.actions {
        Some(actions) => actions.iter().map(|action| action.to_ascii_lowercase()).collect(),
        // A custom role may be written as the actions that it has.
        None => role.role.to_ascii_lowercase().split([',', '+', ' ']).map(str::to_owned).collect(),
    };
    let allows = |action: &str| {
        let short = action.rsplit("subnets/").next().unwrap_or_default();
        let word = short.split('/').next().unwrap_or_default();
        listed.iter().any(|given| {
            given == action
                || given == short
                || given == word
                || given.strip_suffix('*').is_some_and(|prefix| action.starts_with(prefix))
                || given.strip_prefix("subnets/").is_some_and(|rest| rest == short || rest == word)
        })
    };
    allows(JOIN) && allows(READ)
}

/// Names of the subnets that the cluster uses and no role lets it join, sorted.
pub(crate) fn uncovered(facts: &Facts<'_>, roles: &[Role]) -> Vec<String> {
    let scopes: Vec<Scope> =
        roles.iter().filter(|role| may_join(role)).map(|role| scope(facts, &role.scope)).collect();
    let is_covered = |name: &str| {
        scopes.iter().any(|scope| match scope {
            Scope::Subscription | Scope::ResourceGroup | Scope::Vnet => true,
            Scope::Subnet(subnet) => subnet == name,
            Scope::Elsewhere => false,
        })
    };
    used_subnets(facts).into_iter().filter(|name| !is_covered(name)).collect()
}

/// Names of the subnets that the cluster uses, sorted, each once: also those that the plan names
/// and does not have.
pub(crate) fn used_subnets(facts: &Facts<'_>) -> Vec<String> {
    let plan = facts.plan;
    let door = &plan.private_cluster;
    let api = door.api_server_subnet.as_ref().filter(|_| door.api_server_vnet_integration);
    let lb = plan.lb.subnet.as_ref().filter(|_| facts.is_lb_internal());
    let mut names: Vec<String> = [plan.node_subnet.as_ref(), plan.pod_subnet.as_ref(), api, lb]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether a role that may join stands on the resource group of the network itself.
pub(crate) fn is_on_resource_group(facts: &Facts<'_>, roles: &[Role]) -> bool {
    roles.iter().any(|role| may_join(role) && scope(facts, &role.scope) == Scope::ResourceGroup)
}
