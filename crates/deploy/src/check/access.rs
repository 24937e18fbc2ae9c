//! Rules about who reaches what: names, API server, the way out, load balancer, roles, Azure ML.

use super::Sink;
use super::address::same_region;
use crate::addr::Net;
use crate::plan::facts::Facts;
use crate::plan::{Channel, Exposure, IdentityType, NetworkPolicy, OutboundType, Plugin, Target};
use crate::role;
use crate::rules::table as rule;

/// What the API server's subnet is delegated to.
pub(crate) const API_DELEGATION: &str = "Microsoft.ContainerService/managedClusters";
/// The range that means "nobody but the nodes".
pub(crate) const NODES_ONLY: &str = "0.0.0.0/32";
/// Addresses that no packet of the internet comes from (IANA special-purpose registry, the
/// entries that are not globally reachable; RFC 6890).
pub(crate) const NOT_GLOBAL: &[Net] = &[
    Net::v4(0, 0, 0, 0, 8),
    Net::v4(10, 0, 0, 0, 8),
    Net::v4(100, 64, 0, 0, 10),
    Net::v4(127, 0, 0, 0, 8),
    Net::v4(169, 254, 0, 0, 16),
    Net::v4(172, 16, 0, 0, 12),
    Net::v4(192, 0, 0, 0, 24),
    Net::v4(192, 0, 2, 0, 24),
    Net::v4(192, 168, 0, 0, 16),
    Net::v4(198, 18, 0, 0, 15),
    Net::v4(198, 51, 100, 0, 24),
    Net::v4(203, 0, 113, 0, 24),
    Net::v4(224, 0, 0, 0, 4),
    Net::v4(240, 0, 0, 0, 4),
];

pub(super) fn check(facts: &Facts<'_>, sink: &mut Sink) {
    names(facts, sink);
    node_subnet(facts, sink);
    api_subnet(facts, sink);
    private_cluster(facts, sink);
    authorized(facts, sink);
    outbound(facts, sink);
    exposure(facts, sink);
    roles(facts, sink);
    workspace(facts, sink);
    ends(facts, sink);
}

fn names(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    let door = &plan.private_cluster;
    for (name, found, path) in [
        (&plan.node_subnet, facts.node, "nodeSubnet"),
        (&plan.pod_subnet, facts.pod, "podSubnet"),
        (&door.api_server_subnet, facts.api, "privateCluster.apiServerSubnet"),
    ] {
        if let (Some(name), None) = (name, found) {
            let known = plan.subnets.iter().map(|subnet| subnet.name.as_str());
            let near = crate::read::nearest(name, known);
            let near = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            sink.add(rule::SUB_MISSING, path, format!("there is no subnet `{name}`{near}"));
        }
    }
    let needs_api = door.api_server_vnet_integration && plan.vnet.is_some();
    if needs_api && door.api_server_subnet.is_none() {
        let message = "the API server stands in the network, and its subnet is not named";
        sink.add(rule::SUB_MISSING, "privateCluster.apiServerSubnet", message.to_owned());
    }
}

fn node_subnet(facts: &Facts<'_>, sink: &mut Sink) {
    let Some(idx) = facts.node else { return };
    let subnet = &facts.plan.subnets[idx];
    if let Some(delegation) = &subnet.delegation {
        let message = format!("node subnet `{}` is delegated to {delegation}", subnet.name);
        sink.add(rule::SUB_DELEGATED, format!("subnets[{idx}].delegation"), message);
    }
    if facts.plan.plugin == Plugin::Kubenet && 0 < subnet.other_clusters {
        let message =
            format!("{} other cluster(s) use node subnet `{}`", subnet.other_clusters, subnet.name);
        sink.add(rule::SUB_SHARED, format!("subnets[{idx}].otherClusters"), message);
    }
}

fn api_subnet(facts: &Facts<'_>, sink: &mut Sink) {
    let door = &facts.plan.private_cluster;
    let Some(idx) = facts.api.filter(|_| door.api_server_vnet_integration) else { return };
    let subnet = &facts.plan.subnets[idx];
    if let Some(net) = facts.subnets[idx].filter(|net| 28 < net.prefix()) {
        let message = format!("subnet `{}` {net} is smaller than /28", subnet.name);
        sink.add(rule::API_SIZE, format!("subnets[{idx}].cidr"), message);
    }
    let delegation = subnet.delegation.as_deref().unwrap_or("nothing");
    if !delegation.eq_ignore_ascii_case(API_DELEGATION) {
        let message = format!("subnet `{}` is delegated to {delegation}", subnet.name);
        sink.add(rule::API_DELEGATION, format!("subnets[{idx}].delegation"), message);
    }
    if facts.node == Some(idx) {
        let message = format!("subnet `{}` is also the node subnet", subnet.name);
        sink.add(rule::API_SHARED, "privateCluster.apiServerSubnet", message);
    }
}

/// The zone's name where it is a zone of one's own: the last part of a resource id, in lower
/// case.
pub(crate) fn custom_zone(text: &str) -> Option<String> {
    let name = text.rsplit('/').next().unwrap_or(text).to_ascii_lowercase();
    let is_word = matches!(name.as_str(), "system" | "none");
    (!is_word).then_some(name)
}

fn private_cluster(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    let door = &plan.private_cluster;
    if !door.enabled {
        if plan.authorized_ip_ranges.is_empty() {
            let message = "the API server is public and names no authorized ranges".to_owned();
            sink.add(rule::PUB_OPEN, "authorizedIpRanges", message);
        }
        return;
    }
    if !plan.authorized_ip_ranges.is_empty() {
        let n = plan.authorized_ip_ranges.len();
        let message = format!("{n} authorized range(s) on a private cluster");
        sink.add(rule::PRIV_AUTHIP, "authorizedIpRanges", message);
    }
    // AKS gives a private cluster a public name too unless told not to.
    let has_public_name = door.public_fqdn.unwrap_or(true);
    let zone = door.dns_zone.as_deref().unwrap_or("system");
    if zone.eq_ignore_ascii_case("none") && !has_public_name {
        let message = "no private zone and no public name".to_owned();
        sink.add(rule::PRIV_DNSNONE, "privateCluster.dnsZone", message);
    }
    if let Some(zone) = custom_zone(zone) {
        zone_rules(facts, sink, &zone);
    }
    if has_public_name && facts.is_azureml {
        let default = if door.public_fqdn.is_none() { " (Azure's default)" } else { "" };
        let message = format!("publicFqdn is true{default}");
        sink.add(rule::PRIV_PUBLICFQDN, "privateCluster.publicFqdn", message);
    }
}

fn zone_rules(facts: &Facts<'_>, sink: &mut Sink, zone: &str) {
    let plan = facts.plan;
    let region = plan.region.replace(' ', "").to_ascii_lowercase();
    let is_named = |first: &str| {
        let wanted = format!("{first}.{region}.azmk8s.io");
        zone == wanted || zone.ends_with(&format!(".{wanted}"))
    };
    // API server VNet integration has no private link, and takes `private.` as well.
    let is_integrated = plan.private_cluster.api_server_vnet_integration;
    let is_right = is_named("privatelink") || is_integrated && is_named("private");
    if !is_right {
        let message = format!("`{zone}` is not privatelink.{region}.azmk8s.io or a subzone of it");
        sink.add(rule::PRIV_ZONENAME, "privateCluster.dnsZone", message);
    }
    if plan.identity.kind != IdentityType::UserAssigned {
        let kind = plan.identity.kind.as_str();
        let message = format!("zone `{zone}` with identity {kind}");
        sink.add(rule::PRIV_IDENTITY, "identity.type", message);
    }
}

fn authorized(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    let ranges = &plan.authorized_ip_ranges;
    if 1 < ranges.len() && ranges.iter().any(|range| range == NODES_ONLY) {
        let message = format!("{NODES_ONLY} stands beside {} other range(s)", ranges.len() - 1);
        sink.add(rule::AUTH_MIX, "authorizedIpRanges", message);
    }
    for ranged in &facts.authorized {
        let net = &ranged.net;
        if net.is_v6() {
            sink.add(rule::AUTH_IPV6, &ranged.path, format!("{net} is IPv6"));
        } else if *net != Net::v4(0, 0, 0, 0, 32)
            && let Some(other) = NOT_GLOBAL.iter().find(|other| other.overlaps(net))
        {
            sink.add(rule::AUTH_PRIVATE, &ranged.path, format!("{net} touches {other}"));
        }
    }
    let n_max = authorized_max(facts);
    if n_max < ranges.len() {
        let message = format!("{} ranges, AKS takes {n_max}", ranges.len());
        sink.add(rule::AUTH_COUNT, "authorizedIpRanges", message);
    }
}

/// Most authorized ranges (aks api-server-authorized-ip-ranges.md).
pub(crate) fn authorized_max(facts: &Facts<'_>) -> usize {
    if facts.plan.private_cluster.api_server_vnet_integration { 2_000 } else { 200 }
}

fn outbound(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    let node = facts.node.map(|idx| (idx, &plan.subnets[idx]));
    match (plan.outbound_type, node) {
        (OutboundType::UserDefinedRouting, Some((idx, subnet))) => {
            let path = format!("subnets[{idx}].routeTable");
            let hop =
                subnet.route_table.as_ref().and_then(|table| table.default_next_hop.as_deref());
            match hop {
                None => {
                    let message = format!("node subnet `{}` has no default route", subnet.name);
                    sink.add(rule::OUT_NOROUTE, path, message);
                }
                Some(hop) if hop.eq_ignore_ascii_case("internet") => {
                    let message =
                        format!("the default route of `{}` points at Internet", subnet.name);
                    sink.add(rule::OUT_INTERNET, format!("{path}.defaultNextHop"), message);
                }
                Some(_) => {}
            }
        }
        (OutboundType::ManagedNatGateway, _) if plan.vnet.is_some() => {
            let message = "managedNATGateway with a network of one's own".to_owned();
            sink.add(rule::OUT_MANAGEDNAT, "outboundType", message);
        }
        (OutboundType::UserAssignedNatGateway, Some((idx, subnet)))
            if subnet.nat_gateway != Some(true) =>
        {
            let message = format!("node subnet `{}` has no NAT gateway", subnet.name);
            sink.add(rule::OUT_NONAT, format!("subnets[{idx}].natGateway"), message);
        }
        (OutboundType::None | OutboundType::Block, _) if facts.is_azureml => {
            let message = format!("outboundType {}", plan.outbound_type.as_str());
            sink.add(rule::OUT_ISOLATED, "outboundType", message);
        }
        _ => {}
    }
}

fn exposure(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    if plan.exposure == Exposure::Private && !facts.is_lb_internal() {
        let default = if plan.lb.kind.is_none() { " (Azure's default)" } else { "" };
        let message = format!("exposure is private, lb.type is public{default}");
        sink.add(rule::LB_PUBLIC, "lb.type", message);
    }
    if plan.channel == Channel::Studio && facts.is_lb_internal() {
        let message = "lb.type is internal, channel is studio".to_owned();
        sink.add(rule::LB_STUDIO, "channel", message);
    }
}

fn roles(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    let (Some(roles), true) = (&plan.identity.roles, plan.vnet.is_some()) else { return };
    let missing = role::uncovered(facts, roles);
    if !missing.is_empty() {
        let names = missing.join("`, `");
        let message = format!("the identity may not join subnet `{names}`");
        sink.add(rule::RBAC_MISSING, "identity.roles", message);
    } else if plan.target == Target::V1 && !role::is_on_resource_group(facts, roles) {
        let message = "no Network Contributor on the network's resource group".to_owned();
        sink.add(rule::RBAC_SCOPE, "identity.roles", message);
    }
}

fn workspace(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    if !facts.is_azureml {
        return;
    }
    if plan.local_accounts_disabled {
        let message = "local accounts are off".to_owned();
        sink.add(rule::ML_LOCALACCTS, "localAccountsDisabled", message);
    }
    if plan.target == Target::V2 && plan.identity.kind == IdentityType::ServicePrincipal {
        let message = "the identity is a service principal".to_owned();
        sink.add(rule::ML_SP, "identity.type", message);
    }
    let Some(workspace) = &plan.workspace else { return };
    let endpoints = workspace.private_endpoint_vnets.as_deref().unwrap_or_default();
    if endpoints.is_empty() {
        return;
    }
    if let Some(region) =
        workspace.region.as_deref().filter(|region| !same_region(region, &plan.region))
    {
        let message = format!("the workspace is in {region}, the cluster in {}", plan.region);
        sink.add(rule::ML_REGION, "workspace.region", message);
    }
    let Some(vnet) = &plan.vnet else { return };
    let peers = vnet.peerings.as_deref().unwrap_or_default();
    let is_near = |name: &String| {
        *name == vnet.name
            || plan.target == Target::V2 && peers.iter().any(|peer| peer.name == *name)
    };
    let may_be_peer = plan.target == Target::V2 && vnet.peerings.is_none();
    if !endpoints.iter().any(is_near) && !may_be_peer {
        let message = format!("private endpoints are in {}", endpoints.join(", "));
        sink.add(rule::ML_VNET, "workspace.privateEndpointVnets", message);
    }
}

fn ends(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    if plan.target == Target::V1 {
        if plan.vnet.is_some() {
            let missing: Vec<&str> = [
                (plan.service_cidr.is_none(), "serviceCidr"),
                (plan.dns_service_ip.is_none(), "dnsServiceIp"),
                (plan.docker_bridge.is_none(), "dockerBridge"),
            ]
            .iter()
            .filter_map(|(is_missing, key)| is_missing.then_some(*key))
            .collect();
            if let [first, ..] = missing.as_slice() {
                let message = format!("{} missing", missing.join(", "));
                sink.add(rule::V1_INCOMPLETE, *first, message);
            }
        }
        sink.add(rule::V1_RETIRED, "target", "target is v1".to_owned());
    }
    if plan.plugin == Plugin::Kubenet {
        sink.add(rule::NET_KUBENET, "plugin", "plugin is kubenet".to_owned());
    }
    if plan.network_policy == Some(NetworkPolicy::Azure) {
        sink.add(rule::NET_NPM, "networkPolicy", "networkPolicy is azure".to_owned());
    }
}
