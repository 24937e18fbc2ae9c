//! `terraform show -json` with the azurerm provider: blocks are lists of one.

use super::cluster::set_surge;
use super::draft::{Draft, last_part};
use super::network::{default_hop, settle_routes};
use crate::read::{Data, Node, ReadError};

/// Deepest nesting of modules.
const MODULES_MAX: usize = 16;

pub(super) fn read(tree: &Node, draft: &mut Draft) -> Result<(), ReadError> {
    let values = tree.get("values").or_else(|| tree.get("planned_values"));
    let Some(root) = values.and_then(|values| values.get("root_module")) else {
        return Err(ReadError::new(tree.at, "there is no root_module: apply or plan first"));
    };
    let mut found = Vec::new();
    collect(root, 0, &mut found)?;
    let of = |kind: &'static str| {
        found.iter().filter(move |(other, _)| *other == kind).map(|(_, values)| *values)
    };
    if of("azurerm_kubernetes_cluster").next().is_none() {
        let foreign =
            ["aws_eks_cluster", "google_container_cluster", "oci_containerengine_cluster"];
        let other = foreign.iter().find(|kind| found.iter().any(|(kind_of, _)| kind_of == *kind));
        let what = match other {
            Some(kind) => format!("`{kind}` is another cloud's cluster: only AKS is understood"),
            None => "there is no azurerm_kubernetes_cluster".to_owned(),
        };
        return Err(ReadError::new(root.at, what));
    }
    for values in of("azurerm_virtual_network") {
        network(values, draft);
    }
    for values in of("azurerm_subnet") {
        subnet(values, draft);
    }
    for values in of("azurerm_kubernetes_cluster") {
        cluster(values, draft);
    }
    for values in of("azurerm_kubernetes_cluster_node_pool") {
        pool(values, draft);
    }
    for values in of("azurerm_subnet_route_table_association") {
        let table = values.get("route_table_id").and_then(Node::text).map(last_part);
        if let (Some(idx), Some(table)) = (subnet_of(values, draft), table) {
            let path = format!("subnets[{idx}].routeTable.defaultNextHop");
            draft.set_text(&path, values.at, &format!("table:{table}"));
        }
    }
    for values in of("azurerm_subnet_nat_gateway_association") {
        if let Some(idx) = subnet_of(values, draft) {
            let yes = Node::new(values.at, Data::Bool(true));
            draft.set(&format!("subnets[{idx}].natGateway"), &yes);
        }
    }
    for values in of("azurerm_role_assignment") {
        role(values, draft);
    }
    let tables: Vec<(String, Option<Node>)> = of("azurerm_route_table")
        .filter_map(|values| {
            Some((values.get("name")?.text()?.to_owned(), default_hop(values.get("route"))))
        })
        .collect();
    settle_routes(&tables, draft);
    Ok(())
}

fn collect<'a>(
    module: &'a Node,
    depth: usize,
    found: &mut Vec<(&'a str, &'a Node)>,
) -> Result<(), ReadError> {
    if MODULES_MAX < depth {
        return Err(ReadError::new(module.at, format!("modules nested deeper than {MODULES_MAX}")));
    }
    for resource in module.get("resources").map(Node::items).unwrap_or_default() {
        let kind = resource.get("type").and_then(Node::text);
        if let (Some(kind), Some(values)) = (kind, resource.get("values")) {
            found.push((kind, values));
        }
    }
    for child in module.get("child_modules").map(Node::items).unwrap_or_default() {
        collect(child, depth + 1, found)?;
    }
    Ok(())
}

/// The first block called `key`.
fn block<'a>(values: &'a Node, key: &str) -> Option<&'a Node> {
    values.get(key).and_then(|list| list.items().first())
}

fn said<'a>(values: &'a Node, key: &str) -> Option<&'a Node> {
    values.get(key).filter(|node| node.text() != Some(""))
}

fn subnet_of(values: &Node, draft: &Draft) -> Option<usize> {
    let name = values.get("subnet_id").and_then(Node::text).map(last_part)?;
    let subnets = draft.get(&["subnets"])?.items();
    subnets.iter().position(|subnet| subnet.get("name").and_then(Node::text) == Some(name))
}

fn network(values: &Node, draft: &mut Draft) {
    draft.set_from("vnet.name", values.get("name"));
    draft.set_from("vnet.region", values.get("location"));
    draft.set_from("vnet.resourceGroup", values.get("resource_group_name"));
    draft.set_from("vnet.addressSpace", values.get("address_space"));
    for one in values.get("subnet").map(Node::items).unwrap_or_default() {
        subnet(one, draft);
    }
}

fn subnet(values: &Node, draft: &mut Draft) {
    let Some(name) = values.get("name").and_then(Node::text) else { return };
    let idx = draft.subnet(name, values.at);
    let listed = values.get("address_prefixes").and_then(|list| list.items().first());
    let cidr = said(values, "address_prefix").filter(|node| !node.is_null()).or(listed);
    draft.set_from(&format!("subnets[{idx}].cidr"), cidr);
    let service = block(values, "delegation").and_then(|one| block(one, "service_delegation"));
    let service = service.and_then(|one| one.get("name"));
    draft.set_from(&format!("subnets[{idx}].delegation"), service);
}

fn cluster(values: &Node, draft: &mut Draft) {
    for (path, key) in [
        ("name", "name"),
        ("region", "location"),
        ("resourceGroup", "resource_group_name"),
        ("kubernetesVersion", "kubernetes_version"),
        ("localAccountsDisabled", "local_account_disabled"),
        ("privateCluster.enabled", "private_cluster_enabled"),
        ("privateCluster.publicFqdn", "private_cluster_public_fqdn_enabled"),
        ("hardening.workloadIdentity", "workload_identity_enabled"),
        ("hardening.azurePolicy", "azure_policy_enabled"),
        ("hardening.runCommand", "run_command_enabled"),
    ] {
        draft.set_from(path, said(values, key));
    }
    if let Some(zone) = said(values, "private_dns_zone_id") {
        match zone.text().map(str::to_ascii_lowercase).as_deref() {
            Some(word @ ("system" | "none")) => {
                draft.set_text("privateCluster.dnsZone", zone.at, word);
            }
            _ => draft.set("privateCluster.dnsZone", zone),
        }
    }
    if let Some(profile) = block(values, "api_server_access_profile") {
        draft.set_from("authorizedIpRanges", profile.get("authorized_ip_ranges"));
        let integration = profile.get("virtual_network_integration_enabled");
        draft.set_from("privateCluster.apiServerVnetIntegration", integration);
        draft.set_name("privateCluster.apiServerSubnet", said(profile, "subnet_id"));
    }
    if let Some(profile) = block(values, "network_profile") {
        for (path, key) in [
            ("plugin", "network_plugin"),
            ("pluginMode", "network_plugin_mode"),
            ("dataplane", "network_data_plane"),
            ("networkPolicy", "network_policy"),
            ("serviceCidr", "service_cidr"),
            ("dnsServiceIp", "dns_service_ip"),
            ("podCidr", "pod_cidr"),
            ("dockerBridge", "docker_bridge_cidr"),
            ("outboundType", "outbound_type"),
        ] {
            draft.set_from(path, said(profile, key));
        }
    }
    identity(values, draft);
    if let Some(first) = block(values, "default_node_pool") {
        draft.set_name("nodeSubnet", said(first, "vnet_subnet_id"));
        draft.set_name("podSubnet", said(first, "pod_subnet_id"));
        pool(first, draft);
    }
}

fn identity(values: &Node, draft: &mut Draft) {
    if let Some(principal) = block(values, "service_principal") {
        draft.set_text("identity.type", principal.at, "servicePrincipal");
    }
    let Some(kind) = block(values, "identity").and_then(|one| one.get("type")) else { return };
    match kind.text().unwrap_or_default() {
        "SystemAssigned" => draft.set_text("identity.type", kind.at, "systemAssigned"),
        "UserAssigned" => draft.set_text("identity.type", kind.at, "userAssigned"),
        _ => draft.set("identity.type", kind),
    }
}

fn pool(values: &Node, draft: &mut Draft) {
    let Some(name) = values.get("name") else { return };
    let idx = draft.get(&["pools"]).map_or(0, |pools| pools.items().len());
    draft.set("pools[+].name", name);
    let at = |key: &str| format!("pools[{idx}].{key}");
    let scales = ["auto_scaling_enabled", "enable_auto_scaling"];
    let scales = scales.iter().any(|key| values.get(key).and_then(Node::bool) == Some(true));
    if scales {
        draft.set_from(&at("count"), values.get("max_count"));
        draft.set_from(&at("minCount"), values.get("min_count"));
    } else {
        let one = Node::new(values.at, Data::Int(1));
        let count = values.get("node_count").filter(|node| !node.is_null()).unwrap_or(&one);
        draft.set(&at("count"), count);
    }
    draft.set_from(&at("maxPods"), values.get("max_pods").filter(|node| node.int() != Some(0)));
    draft.set_from(&at("vmSize"), said(values, "vm_size"));
    draft.set_from(&at("mode"), said(values, "mode"));
    draft.set_from(&at("zones"), values.get("zones"));
    let surge = block(values, "upgrade_settings").and_then(|one| one.get("max_surge"));
    set_surge(&at("maxSurge"), surge, draft);
}

fn role(values: &Node, draft: &mut Draft) {
    let (Some(role), Some(scope)) = (said(values, "role_definition_name"), said(values, "scope"))
    else {
        return;
    };
    if role.is_null() {
        return;
    }
    let idx = draft.get(&["identity", "roles"]).map_or(0, |roles| roles.items().len());
    draft.set("identity.roles[+].role", role);
    draft.set(&format!("identity.roles[{idx}].scope"), scope);
}
