//! ARM templates.

use super::draft::{Draft, last_part};
use super::expression::Scope;
use super::{cluster, network};
use crate::read::{Node, ReadError};
use crate::role::NETWORK_CONTRIBUTOR_ID;

/// Deepest nesting of deployments and child resources.
const NESTED_MAX: usize = 8;

/// A resource with its type in lower case.
struct Resource {
    kind: String,
    node: Node,
}

pub(super) fn read(tree: &Node, draft: &mut Draft) -> Result<(), ReadError> {
    let mut resources = Vec::new();
    collect(tree, "", 0, &mut resources)?;
    let of = |kind: &'static str| resources.iter().filter(move |resource| resource.kind == kind);
    let properties = |resource: &Resource| {
        resource.node.get("properties").cloned().unwrap_or_else(|| resource.node.clone())
    };
    for resource in of("microsoft.network/virtualnetworks") {
        network::network(&resource.node, &properties(resource), draft);
    }
    for resource in of("microsoft.network/virtualnetworks/subnets") {
        network::subnet(&resource.node, &properties(resource), draft);
    }
    for resource in of("microsoft.network/virtualnetworks/virtualnetworkpeerings") {
        network::peering(&properties(resource), draft);
    }
    for resource in of("microsoft.containerservice/managedclusters") {
        cluster::cluster(&resource.node, &properties(resource), draft);
    }
    for resource in of("microsoft.machinelearningservices/workspaces/computes") {
        compute(&resource.node, draft);
    }
    for resource in of("microsoft.kubernetesconfiguration/extensions") {
        extension(&resource.node, draft);
    }
    for resource in of("microsoft.authorization/roleassignments") {
        role(&resource.node, draft);
    }
    let tables: Vec<(String, Option<Node>)> = of("microsoft.network/routetables")
        .filter_map(|resource| {
            let name = resource.node.get("name")?.text()?;
            let routes = resource.node.dig(&["properties", "routes"]);
            Some((last_part(name).to_owned(), network::default_hop(routes)))
        })
        .collect();
    network::settle_routes(&tables, draft);
    Ok(())
}

/// Resources of a template, those of nested deployments and child resources included, with their
/// expressions resolved.
fn collect(
    template: &Node,
    parent: &str,
    depth: usize,
    found: &mut Vec<Resource>,
) -> Result<(), ReadError> {
    if NESTED_MAX < depth {
        return Err(ReadError::new(template.at, format!("nested deeper than {NESTED_MAX}")));
    }
    let scope =
        Scope { parameters: template.get("parameters"), variables: template.get("variables") };
    let Some(resources) = template.get("resources") else { return Ok(()) };
    // Newer templates name their resources: a table instead of a list.
    let named = resources.entries().iter().map(|entry| &entry.node);
    for resource in resources.items().iter().chain(named) {
        let kind = resource.get("type").and_then(Node::text).unwrap_or_default();
        let kind = match parent {
            "" => kind.to_ascii_lowercase(),
            _ if kind.contains('.') => kind.to_ascii_lowercase(),
            parent => format!("{parent}/{kind}").to_ascii_lowercase(),
        };
        if let Some(inner) = resource.dig(&["properties", "template"]) {
            collect(inner, "", depth + 1, found)?;
            continue;
        }
        let node = scope.resolve(resource);
        if resource.get("resources").is_some() {
            collect(&node, &kind, depth + 1, found)?;
        }
        found.push(Resource { kind, node });
    }
    Ok(())
}

/// A compute of Azure ML: v1 has the network's settings, v2 only the attach.
fn compute(node: &Node, draft: &mut Draft) {
    let kind = node.dig(&["properties", "computeType"]).and_then(Node::text).unwrap_or_default();
    let name = node.get("name").and_then(Node::text).unwrap_or_default();
    if let Some((workspace, _)) = name.split_once('/') {
        draft.set_text("workspace.name", node.at, workspace);
        draft.set_from("workspace.region", node.get("location"));
    }
    if kind != "AKS" {
        return;
    }
    draft.set_text("target", node.at, "v1");
    if draft.get(&["region"]).is_none() {
        let location = node.dig(&["properties", "computeLocation"]).or(node.get("location"));
        draft.set_from("region", location);
    }
    let Some(settings) = node.dig(&["properties", "properties"]) else { return };
    if let Some(network) = settings.get("aksNetworkingConfiguration") {
        draft.set_name("nodeSubnet", network.get("subnetId"));
        draft.set_from("serviceCidr", network.get("serviceCidr"));
        draft.set_from("dnsServiceIp", network.get("dnsServiceIP"));
        draft.set_from("dockerBridge", network.get("dockerBridgeCidr"));
    }
    match settings.get("loadBalancerType").and_then(|kind| Some((kind.at, kind.text()?))) {
        Some((at, "InternalLoadBalancer")) => draft.set_text("lb.type", at, "internal"),
        Some((at, _)) => draft.set_text("lb.type", at, "public"),
        // Azure ML's default.
        None => draft.set_text("lb.type", settings.at, "public"),
    }
    draft.set_name("lb.subnet", settings.get("loadBalancerSubnet"));
    if let (None, Some(count)) = (draft.get(&["pools"]), settings.get("agentCount")) {
        draft.set_text("pools[+].name", count.at, "agentpool");
        draft.set("pools[0].count", count);
        draft.set_from("pools[0].vmSize", settings.get("agentVmSize"));
    }
}

/// The Azure ML extension: who serves, and through which load balancer.
fn extension(node: &Node, draft: &mut Draft) {
    let kind = node.dig(&["properties", "extensionType"]).and_then(Node::text).unwrap_or_default();
    if !kind.eq_ignore_ascii_case("microsoft.azureml.kubernetes") {
        return;
    }
    draft.set_text("profile", node.at, "azureml");
    let Some(settings) = node.dig(&["properties", "configurationSettings"]) else { return };
    let internal = settings.get("internalLoadBalancerProvider");
    let router =
        settings.get("inferenceRouterServiceType").and_then(Node::text).unwrap_or_default();
    if let Some(provider) = internal.filter(|node| node.text() == Some("azure")) {
        draft.set_text("lb.type", provider.at, "internal");
    } else if router.eq_ignore_ascii_case("loadBalancer") {
        draft.set_text("lb.type", settings.at, "public");
    }
    draft.set_from("workspace.tlsSecret", settings.get("sslSecret"));
    draft.set_from("workspace.tlsCname", settings.get("sslCname"));
}

fn role(node: &Node, draft: &mut Draft) {
    let Some(definition) = node.dig(&["properties", "roleDefinitionId"]) else { return };
    let Some(id) = definition.text().map(last_part) else { return };
    if id != NETWORK_CONTRIBUTOR_ID {
        return;
    }
    let idx = draft.get(&["identity", "roles"]).map_or(0, |roles| roles.items().len());
    draft.set_text("identity.roles[+].role", definition.at, "Network Contributor");
    let path = format!("identity.roles[{idx}].scope");
    let on = node.get("scope").and_then(|scope| Some((scope.at, scope.text()?)));
    match on {
        None => draft.set_text(&path, node.at, "resourceGroup"),
        Some((at, text)) if text.to_ascii_lowercase().contains("/subnets/") => {
            draft.set_text(&path, at, &format!("subnet:{}", last_part(text)));
        }
        Some((at, text)) if text.to_ascii_lowercase().contains("/virtualnetworks/") => {
            draft.set_text(&path, at, "vnet");
        }
        Some((at, text)) => draft.set_text(&path, at, text),
    }
}
