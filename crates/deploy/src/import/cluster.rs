//! A managed cluster as ARM and `az aks show` write it: the same words, in `properties` or flat.

use super::draft::{Draft, last_part};
use crate::read::{Data, Node};

/// `az aks show`.
pub(super) fn read(tree: &Node, draft: &mut Draft) {
    cluster(tree, tree, draft);
    draft.set_text("mode", tree.at, "attach");
    draft.set_from("clusterId", tree.get("id"));
    draft.set_from("resourceGroup", tree.get("resourceGroup"));
}

/// A cluster: `resource` has name, location and identity, `properties` the rest.
pub(super) fn cluster(resource: &Node, properties: &Node, draft: &mut Draft) {
    draft.set_name("name", resource.get("name"));
    draft.set_from("region", resource.get("location"));
    draft.set_from("kubernetesVersion", properties.get("kubernetesVersion"));
    draft.set_from("localAccountsDisabled", properties.get("disableLocalAccounts"));
    identity(resource, properties, draft);
    network(properties, draft);
    door(properties, draft);
    hardening(properties, draft);
    let pools = properties.get("agentPoolProfiles").map(Node::items).unwrap_or_default();
    for one in pools {
        pool(one, draft);
    }
    if let Some(first) = pools.first() {
        draft.set_name("nodeSubnet", first.get("vnetSubnetID").or(first.get("vnetSubnetId")));
        draft.set_name("podSubnet", first.get("podSubnetID").or(first.get("podSubnetId")));
        let allocation = first.get("podIPAllocationMode").or(first.get("podIpAllocationMode"));
        if let Some(node) = allocation.filter(|node| node.text() == Some("StaticBlock")) {
            draft.set_text("podAllocation", node.at, "staticBlock");
        }
    }
}

fn identity(resource: &Node, properties: &Node, draft: &mut Draft) {
    let Some(kind) = resource.dig(&["identity", "type"]) else {
        if let Some(principal) = properties.get("servicePrincipalProfile") {
            let is_real = principal.get("clientId").and_then(Node::text) != Some("msi");
            let kind = if is_real { "servicePrincipal" } else { "systemAssigned" };
            draft.set_text("identity.type", principal.at, kind);
        }
        return;
    };
    let word = match kind.text().unwrap_or_default().to_ascii_lowercase().as_str() {
        "systemassigned" => "systemAssigned",
        "userassigned" => "userAssigned",
        _ => return draft.set("identity.type", kind),
    };
    draft.set_text("identity.type", kind.at, word);
    let ids = resource.dig(&["identity", "userAssignedIdentities"]);
    if let Some(entry) = ids.and_then(|ids| ids.entries().first()) {
        let name = last_part(entry.key.trim_end_matches([']', ')', '\''])).to_owned();
        let name = name.rsplit('\'').next().unwrap_or(&name).to_owned();
        draft.set_text("identity.name", entry.at, &name);
    }
}

fn network(properties: &Node, draft: &mut Draft) {
    let Some(profile) = properties.get("networkProfile") else { return };
    for (path, key) in [
        ("plugin", "networkPlugin"),
        ("pluginMode", "networkPluginMode"),
        ("dataplane", "networkDataplane"),
        ("networkPolicy", "networkPolicy"),
        ("serviceCidr", "serviceCidr"),
        ("podCidr", "podCidr"),
        ("outboundType", "outboundType"),
        ("dockerBridge", "dockerBridgeCidr"),
    ] {
        let is_set = |node: &&Node| node.text() != Some("");
        draft.set_from(path, profile.get(key).filter(is_set));
    }
    let dns = profile.get("dnsServiceIP").or(profile.get("dnsServiceIp"));
    draft.set_from("dnsServiceIp", dns.filter(|node| node.text() != Some("")));
}

fn door(properties: &Node, draft: &mut Draft) {
    let Some(profile) = properties.get("apiServerAccessProfile").filter(|node| !node.is_null())
    else {
        return;
    };
    for (path, keys) in [
        ("privateCluster.enabled", ["enablePrivateCluster", "enablePrivateCluster"]),
        (
            "privateCluster.publicFqdn",
            ["enablePrivateClusterPublicFQDN", "enablePrivateClusterPublicFqdn"],
        ),
        (
            "privateCluster.apiServerVnetIntegration",
            ["enableVnetIntegration", "enableVnetIntegration"],
        ),
        ("authorizedIpRanges", ["authorizedIPRanges", "authorizedIpRanges"]),
    ] {
        draft.set_from(path, keys.iter().find_map(|key| profile.get(key)));
    }
    let zone = profile.get("privateDNSZone").or(profile.get("privateDnsZone"));
    draft.set_from("privateCluster.dnsZone", zone.filter(|node| node.text() != Some("")));
    draft.set_name("privateCluster.apiServerSubnet", profile.get("subnetId"));
    if let Some(node) = profile.get("disableRunCommand")
        && let Some(is_off) = node.bool()
    {
        draft.set("hardening.runCommand", &Node::new(node.at, Data::Bool(!is_off)));
    }
}

fn hardening(properties: &Node, draft: &mut Draft) {
    let workload = properties.dig(&["securityProfile", "workloadIdentity", "enabled"]);
    draft.set_from("hardening.workloadIdentity", workload);
    let kms = properties.dig(&["securityProfile", "azureKeyVaultKms", "enabled"]);
    draft.set_from("hardening.kms", kms);
    for entry in properties.get("addonProfiles").map(Node::entries).unwrap_or_default() {
        let path = match entry.key.to_ascii_lowercase().as_str() {
            "azurepolicy" => "hardening.azurePolicy",
            "azurekeyvaultsecretsprovider" => "hardening.keyVaultSecrets",
            _ => continue,
        };
        draft.set_from(path, entry.node.get("enabled"));
    }
    let pools = properties.get("agentPoolProfiles").map(Node::items).unwrap_or_default();
    let encrypted: Vec<&Node> =
        pools.iter().filter_map(|pool| pool.get("enableEncryptionAtHost")).collect();
    if let Some(first) = encrypted.first().filter(|node| node.bool().is_some()) {
        let all = encrypted.len() == pools.len()
            && encrypted.iter().all(|node| node.bool() == Some(true));
        draft.set("hardening.hostEncryption", &Node::new(first.at, Data::Bool(all)));
    }
}

fn pool(node: &Node, draft: &mut Draft) {
    let Some(name) = node.get("name") else { return };
    let idx = draft.get(&["pools"]).map_or(0, |pools| pools.items().len());
    draft.set("pools[+].name", name);
    let at = |key: &str| format!("pools[{idx}].{key}");
    let scales = node.get("enableAutoScaling").and_then(Node::bool) == Some(true);
    if scales {
        draft.set_from(&at("count"), node.get("maxCount"));
        draft.set_from(&at("minCount"), node.get("minCount"));
    } else {
        let one = Node::new(node.at, Data::Int(1));
        draft.set(&at("count"), node.get("count").unwrap_or(&one));
    }
    for key in ["maxPods", "mode", "vmSize"] {
        draft.set_from(&at(key), node.get(key));
    }
    draft.set_from(&at("zones"), node.get("availabilityZones"));
    let surge = node.dig(&["upgradeSettings", "maxSurge"]);
    set_surge(&at("maxSurge"), surge, draft);
}

/// `"1"` is a number of nodes, `"33%"` a share.
pub(super) fn set_surge(path: &str, node: Option<&Node>, draft: &mut Draft) {
    let number = node.and_then(|node| Some((node.at, node.text()?.parse::<i64>().ok()?)));
    match (node, number) {
        (_, Some((at, number))) => draft.set(path, &Node::new(at, Data::Int(number))),
        (Some(node), None) if node.text() != Some("") => draft.set(path, node),
        _ => {}
    }
}
