//! The ARM template: network, identity, roles, private DNS, cluster, Azure ML.

use serde_json::{Value, json};

use super::names::{Names, is_user_assigned};
use super::{azureml, cluster};
use crate::plan::facts::Facts;
use crate::plan::{IdentityType, Mode, Target};
use crate::role::{NETWORK_CONTRIBUTOR_ID, Scope, may_join, scope};

const NETWORK_API: &str = "2024-05-01";
const IDENTITY_API: &str = "2023-01-31";
const ROLE_API: &str = "2022-04-01";
const ZONE_API: &str = "2024-06-01";
const DEPLOYMENT_API: &str = "2024-03-01";
/// Parameter with the object id of the service principal.
const SP_OBJECT_ID: &str = "servicePrincipalObjectId";
/// Role id of Private DNS Zone Contributor, the same in every tenant.
const ZONE_CONTRIBUTOR_ID: &str = "b12aa53e-6015-4669-85d0-8515ebb3ae7f";

/// The whole template.
pub(super) fn template(facts: &Facts<'_>, names: &Names) -> Value {
    let plan = facts.plan;
    let mut resources = Vec::new();
    let is_made = plan.mode == Mode::Create;
    let has_cluster = is_made && cluster::is_ours(facts);
    if is_made && plan.vnet.is_some() {
        place(&mut resources, network(facts, names), "network", names);
    }
    if has_cluster && is_user_assigned(facts) {
        resources.push(json!({
            "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
            "apiVersion": IDENTITY_API, "name": names.identity, "location": plan.region,
        }));
    }
    if has_cluster {
        if let Some(zone) = &names.zone {
            resources.extend(private_zone(facts, names, zone));
        }
        resources.push(cluster::resource(facts, names));
    }
    if plan.vnet.is_some() && has_cluster {
        place(&mut resources, roles(facts, names), "roles", names);
    }
    if facts.is_azureml {
        resources.extend(azureml::resources(facts, names));
    }
    json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": parameters(facts),
        "resources": resources,
    })
}

fn parameters(facts: &Facts<'_>) -> Value {
    let mut parameters = serde_json::Map::new();
    let needs_firewall = facts.is_routed() && next_hop(facts).is_none();
    if needs_firewall && facts.plan.mode == Mode::Create {
        let about = "Private address of the firewall that the default route points at";
        parameters.insert(
            "firewallIp".into(),
            json!({"type": "string", "metadata": {"description": about}}),
        );
    }
    if facts.plan.identity.kind == IdentityType::ServicePrincipal {
        parameters.insert("servicePrincipalId".into(), json!({"type": "string"}));
        parameters.insert("servicePrincipalSecret".into(), json!({"type": "securestring"}));
        let about = "Object id of the service principal: az ad sp show --id APP --query id";
        parameters.insert(
            SP_OBJECT_ID.into(),
            json!({"type": "string", "metadata": {"description": about}}),
        );
    }
    Value::Object(parameters)
}

/// Puts resources where the network is: beside the others, or in a nested deployment in the
/// network's own resource group.
fn place(resources: &mut Vec<Value>, network: Vec<Value>, name: &str, names: &Names) {
    if network.is_empty() {
        return;
    }
    if names.vnet_group == names.group {
        resources.extend(network);
        return;
    }
    let mut depends: Vec<Value> = Vec::new();
    let mut inner = network;
    for resource in &mut inner {
        // Dependencies on what stands outside move to the deployment.
        if let Some(object) = resource.as_object_mut()
            && let Some(Value::Array(listed)) = object.remove("dependsOn")
        {
            let is_inside =
                |id: &Value| id.as_str().is_some_and(|id| id.contains("Microsoft.Network"));
            let (inside, outside): (Vec<Value>, Vec<Value>) =
                listed.into_iter().partition(|id| is_inside(id) && name == "network");
            depends.extend(outside);
            if !inside.is_empty() {
                object.insert("dependsOn".into(), Value::Array(inside));
            }
        }
    }
    depends.sort_unstable_by_key(ToString::to_string);
    depends.dedup();
    resources.push(json!({
        "type": "Microsoft.Resources/deployments", "apiVersion": DEPLOYMENT_API, "name": name,
        "resourceGroup": names.vnet_group, "dependsOn": depends,
        "properties": {"mode": "Incremental", "template": {
            "$schema":
                "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0", "resources": inner,
        }},
    }));
}

fn next_hop(facts: &Facts<'_>) -> Option<String> {
    let subnet = &facts.plan.subnets[facts.node?];
    subnet.route_table.as_ref()?.next_hop_ip.clone()
}

fn network(facts: &Facts<'_>, names: &Names) -> Vec<Value> {
    let plan = facts.plan;
    let Some(vnet) = &plan.vnet else { return Vec::new() };
    let location = vnet.region.as_ref().unwrap_or(&plan.region);
    let (mut made, mut depends) = (Vec::new(), Vec::new());
    for subnet in &plan.subnets {
        if subnet.route_table.as_ref().is_some_and(|table| table.default_next_hop.is_some()) {
            depends.push(id("routeTables", &format!("rt-{}", subnet.name)));
            made.push(route_table(facts, &subnet.name, location));
        }
        if subnet.nat_gateway == Some(true) {
            depends.push(id("natGateways", &format!("nat-{}", subnet.name)));
            made.extend(nat_gateway(&subnet.name, location));
        }
    }
    let subnets: Vec<Value> = plan
        .subnets
        .iter()
        .map(|subnet| {
            let mut properties =
                json!({"addressPrefix": subnet.cidr, "defaultOutboundAccess": false});
            if let Some(delegation) = &subnet.delegation {
                properties["delegations"] =
                    json!([{"name": "delegation", "properties": {"serviceName": delegation}}]);
            }
            if subnet.route_table.as_ref().is_some_and(|table| table.default_next_hop.is_some()) {
                properties["routeTable"] =
                    json!({"id": id("routeTables", &format!("rt-{}", subnet.name))});
            }
            if subnet.nat_gateway == Some(true) {
                properties["natGateway"] =
                    json!({"id": id("natGateways", &format!("nat-{}", subnet.name))});
            }
            json!({"name": subnet.name, "properties": properties})
        })
        .collect();
    let mut properties = json!({
        "addressSpace": {"addressPrefixes": vnet.address_space}, "subnets": subnets,
    });
    if let Some(servers) = &plan.hardening.custom_dns {
        properties["dhcpOptions"] = json!({"dnsServers": servers});
    }
    made.push(json!({
        "type": "Microsoft.Network/virtualNetworks", "apiVersion": NETWORK_API,
        "name": names.vnet, "location": location, "dependsOn": depends, "properties": properties,
    }));
    made
}

fn id(kind: &str, name: &str) -> String {
    format!("[resourceId('Microsoft.Network/{kind}', '{name}')]")
}

fn route_table(facts: &Facts<'_>, subnet: &str, location: &str) -> Value {
    let plan = facts.plan;
    let found = plan.subnets.iter().find(|other| other.name == subnet);
    let table = found.and_then(|subnet| subnet.route_table.clone()).unwrap_or_default();
    let hop = table.default_next_hop.unwrap_or_default();
    let mut route = json!({"addressPrefix": "0.0.0.0/0", "nextHopType": hop});
    if hop == "VirtualAppliance" {
        let address = table.next_hop_ip.unwrap_or_else(|| "[parameters('firewallIp')]".to_owned());
        route["nextHopIpAddress"] = json!(address);
    }
    json!({
        "type": "Microsoft.Network/routeTables", "apiVersion": NETWORK_API,
        "name": format!("rt-{subnet}"), "location": location,
        "properties": {"disableBgpRoutePropagation": true,
            "routes": [{"name": "default", "properties": route}]},
    })
}

fn nat_gateway(subnet: &str, location: &str) -> [Value; 2] {
    let address = format!("pip-nat-{subnet}");
    [
        json!({
            "type": "Microsoft.Network/publicIPAddresses", "apiVersion": NETWORK_API,
            "name": address, "location": location, "sku": {"name": "Standard"},
            "properties": {"publicIPAllocationMethod": "Static"},
        }),
        json!({
            "type": "Microsoft.Network/natGateways", "apiVersion": NETWORK_API,
            "name": format!("nat-{subnet}"), "location": location, "sku": {"name": "Standard"},
            "dependsOn": [id("publicIPAddresses", &address)],
            "properties": {"publicIpAddresses": [{"id": id("publicIPAddresses", &address)}]},
        }),
    ]
}

fn private_zone(facts: &Facts<'_>, names: &Names, zone: &str) -> Vec<Value> {
    let vnet = format!(
        "[resourceId('{}', 'Microsoft.Network/virtualNetworks', '{}')]",
        names.vnet_group, names.vnet
    );
    let zone_id = id("privateDnsZones", zone);
    vec![
        json!({
            "type": "Microsoft.Network/privateDnsZones", "apiVersion": ZONE_API, "name": zone,
            "location": "global",
        }),
        json!({
            "type": "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
            "apiVersion": ZONE_API, "name": format!("{zone}/{}", names.vnet),
            "location": "global", "dependsOn": [zone_id, network_dependency(names)],
            "properties": {"registrationEnabled": false, "virtualNetwork": {"id": vnet}},
        }),
        role(
            &format!("Microsoft.Network/privateDnsZones/{zone}"),
            ZONE_CONTRIBUTOR_ID,
            facts,
            names,
            &zone_id,
        ),
    ]
}

/// What to wait for so that the network is there.
pub(super) fn network_dependency(names: &Names) -> String {
    if names.vnet_group == names.group {
        id("virtualNetworks", &names.vnet)
    } else {
        "[resourceId('Microsoft.Resources/deployments', 'network')]".to_owned()
    }
}

/// A role of the cluster's identity on one resource of this deployment.
fn role(scope: &str, role_id: &str, facts: &Facts<'_>, names: &Names, depends: &str) -> Value {
    let mut role = assignment(&format!("'{scope}', '{role_id}', '{}'", names.identity), role_id);
    let Principal { id, waits_for } = principal(facts, names);
    let waits: Vec<String> = [depends.to_owned()].into_iter().chain(waits_for).collect();
    role["scope"] = json!(scope);
    role["dependsOn"] = json!(waits);
    role["properties"]["principalId"] = json!(id);
    role
}

fn assignment(seed: &str, role_id: &str) -> Value {
    json!({
        "type": "Microsoft.Authorization/roleAssignments", "apiVersion": ROLE_API,
        "name": format!("[guid(resourceGroup().id, {seed})]"),
        "properties": {
            "principalType": "ServicePrincipal",
            "roleDefinitionId": format!(
                "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{role_id}')]"
            ),
        },
    })
}

pub(super) fn identity_id(names: &Names) -> String {
    let Names { identity, group, .. } = names;
    format!(
        "[resourceId('{group}', 'Microsoft.ManagedIdentity/userAssignedIdentities', '{identity}')]"
    )
}

fn identity_principal(names: &Names) -> String {
    let Names { identity, group, .. } = names;
    format!(
        "[reference(resourceId('{group}', 'Microsoft.ManagedIdentity/userAssignedIdentities', \
         '{identity}'), '{IDENTITY_API}').principalId]"
    )
}

/// Whom the cluster acts as.
struct Principal {
    /// The object id that roles are assigned to, as an expression.
    id: String,
    /// What has to be there before it can be assigned anything.
    waits_for: Option<String>,
}

fn principal(facts: &Facts<'_>, names: &Names) -> Principal {
    match facts.plan.identity.kind {
        IdentityType::UserAssigned => {
            Principal { id: identity_principal(names), waits_for: Some(identity_id(names)) }
        }
        IdentityType::SystemAssigned => {
            let cluster = names.cluster_id();
            let id = cluster.trim_matches(['[', ']']);
            let api = cluster::AKS_API;
            let id = format!("[reference({id}, '{api}', 'Full').identity.principalId]");
            Principal { id, waits_for: Some(cluster) }
        }
        // Its application id is not what roles are assigned to, so its object id is asked for.
        IdentityType::ServicePrincipal => {
            Principal { id: format!("[parameters('{SP_OBJECT_ID}')]"), waits_for: None }
        }
    }
}

/// The planned roles over the network.
fn roles(facts: &Facts<'_>, names: &Names) -> Vec<Value> {
    let plan = facts.plan;
    let Principal { id: principal, waits_for } = principal(facts, names);
    let mut made = Vec::new();
    for held in plan.identity.roles.iter().flatten().filter(|held| may_join(held)) {
        let vnet = format!("Microsoft.Network/virtualNetworks/{}", names.vnet);
        let on = match scope(facts, &held.scope) {
            Scope::ResourceGroup => None,
            Scope::Vnet => Some(vnet),
            Scope::Subnet(name) => Some(format!("{vnet}/subnets/{name}")),
            // Wider or elsewhere: not for this template to assign.
            Scope::Subscription | Scope::Elsewhere => continue,
        };
        let seed = format!("'{}', '{}'", on.as_deref().unwrap_or("network"), names.cluster);
        let mut assigned = assignment(&seed, NETWORK_CONTRIBUTOR_ID);
        let mut waits: Vec<String> = waits_for.iter().cloned().collect();
        if let Some(on) = on {
            assigned["scope"] = json!(on);
            waits.push(network_dependency(names));
        }
        assigned["dependsOn"] = json!(waits);
        assigned["properties"]["principalId"] = json!(principal);
        made.push(assigned);
    }
    made
}

/// Whether Azure ML v1 makes the cluster itself.
pub(super) fn is_made_by_azureml(facts: &Facts<'_>) -> bool {
    let plan = facts.plan;
    let door = &plan.private_cluster;
    plan.target == Target::V1
        && plan.mode == Mode::Create
        && !door.enabled
        && !door.api_server_vnet_integration
}
