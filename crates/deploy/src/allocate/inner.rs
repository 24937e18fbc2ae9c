//! Addresses inside the network: subnets, then DNS and load balancer.

use super::pack::{Request, first_fit, is_free, pack, prefix_for, size, unplaced};
use super::{AllocateError, Growth, Shortage};
use crate::addr::{Net, RangeSet, show_v4};
use crate::check::{API_DELEGATION, PLATFORM, PRIVATE, RESERVED, is_reserved};
use crate::plan::facts::{Facts, SUBNET_RESERVED};
use crate::plan::{Exposure, LbType, OutboundType, Plan, Role, RouteTable, Subnet, Vnet};

/// Smallest subnet that Azure has, in addresses.
const SUBNET_LEAST: u64 = 8;
/// Smallest subnet of an API server, in addresses.
const API_LEAST: u64 = 16;
/// Addresses of a private endpoint subnet where nothing is said: workspace, registry, vault, and
/// two of the storage account.
const ENDPOINTS: u32 = 11;

/// Says what the mission asks for where the plan says nothing: internal load balancer, role over
/// the network. Names the subnets that the plan needs and does not name, and adds those that it names and
/// does not have.
pub(super) fn name_subnets(plan: &mut Plan, lines: &mut Vec<String>) {
    if plan.vnet.is_none() {
        lines.push("network: vnet-inference, since none is given".to_owned());
        plan.vnet = Some(Vnet {
            name: "vnet-inference".to_owned(),
            region: None,
            resource_group: None,
            address_space: Vec::new(),
            on_prem: None,
            peerings: None,
        });
    }
    if plan.lb.kind.is_none() && plan.exposure == Exposure::Private {
        lines.push("load balancer: internal, since exposure is private".to_owned());
        plan.lb.kind = Some(LbType::Internal);
    }
    if plan.identity.roles.is_none() {
        lines.push("role: Network Contributor on the network's resource group".to_owned());
        let (role, scope) = ("Network Contributor".to_owned(), "resourceGroup".to_owned());
        plan.identity.roles = Some(vec![Role { role, scope, actions: None }]);
    }
    let node = plan.node_subnet.get_or_insert_with(|| "aks".to_owned()).clone();
    add_subnet(plan, &node, lines);
    if let Some(pod) = plan.pod_subnet.clone() {
        add_subnet(plan, &pod, lines);
    }
    if plan.private_cluster.api_server_vnet_integration {
        let api =
            plan.private_cluster.api_server_subnet.get_or_insert_with(|| "aks-api".to_owned());
        let api = api.clone();
        add_subnet(plan, &api, lines);
    }
    if plan.lb.kind == Some(LbType::Internal) {
        let lb = plan.lb.subnet.get_or_insert_with(|| "ilb".to_owned()).clone();
        add_subnet(plan, &lb, lines);
    }
    let is_endpoint = |subnet: &Subnet| subnet.name == "pe";
    if plan.workspace.is_some() && plan.subnets.len() < 4 && !plan.subnets.iter().any(is_endpoint) {
        add_subnet(plan, "pe", lines);
        if let Some(subnet) = plan.subnets.iter_mut().find(|subnet| is_endpoint(subnet)) {
            subnet.addresses.get_or_insert(ENDPOINTS);
        }
    }
}

/// Adds a subnet without range where there is none of this name, with what its role needs.
pub(crate) fn add_subnet(plan: &mut Plan, name: &str, lines: &mut Vec<String>) {
    if plan.subnets.iter().any(|subnet| subnet.name == name) {
        return;
    }
    lines.push(format!("subnet {name}: added, since the plan needs it"));
    let is_node = plan.node_subnet.as_deref() == Some(name);
    let is_api = plan.private_cluster.api_server_subnet.as_deref() == Some(name);
    let is_routed = is_node && plan.outbound_type == OutboundType::UserDefinedRouting;
    let has_nat = is_node && plan.outbound_type == OutboundType::UserAssignedNatGateway;
    plan.subnets.push(Subnet {
        name: name.to_owned(),
        delegation: (is_api && !is_node).then(|| API_DELEGATION.to_owned()),
        nat_gateway: has_nat.then_some(true),
        route_table: is_routed.then(|| RouteTable {
            default_next_hop: Some("VirtualAppliance".to_owned()),
            next_hop_ip: None,
        }),
        ..Subnet::default()
    });
}

/// How many addresses the subnet at `idx` needs at least, those of Azure included.
fn needs(facts: &Facts<'_>, idx: usize) -> u64 {
    let subnet = &facts.plan.subnets[idx];
    let said = u64::from(subnet.addresses.unwrap_or(0)).max(u64::from(subnet.used_ips));
    let mut users = said;
    let mut least = SUBNET_LEAST;
    if facts.node == Some(idx) {
        let (_, with_surge) = facts.node_addresses();
        users = users.max(with_surge);
    }
    if facts.pod == Some(idx) {
        users = users.max(facts.pod_addresses());
    }
    if facts.lb == Some(idx) && facts.is_lb_internal() && facts.node != Some(idx) {
        users = users.max(u64::from(subnet.used_ips) + 1);
    }
    if facts.api == Some(idx) && facts.plan.private_cluster.api_server_vnet_integration {
        least = API_LEAST;
    }
    (users + SUBNET_RESERVED).max(least)
}

/// Prefix of a network in which every open subnet fits, with the least sizes.
pub(super) fn least_network(facts: &Facts<'_>) -> u8 {
    let open = (0..facts.plan.subnets.len()).filter(|idx| facts.plan.subnets[*idx].cidr.is_none());
    let sum: u64 = open.map(|idx| size(prefix_for(needs(facts, idx)))).sum();
    prefix_for(sum.max(SUBNET_LEAST)).min(29)
}

/// Free addresses of the network: without its subnets, and without what no subnet may touch.
fn free(facts: &Facts<'_>) -> RangeSet {
    let own: Vec<Net> = facts.vnet.iter().map(|ranged| ranged.net).collect();
    let mut free = RangeSet::of(&own);
    let taken = facts.subnets.iter().flatten();
    let others = [facts.service, facts.pods, facts.docker];
    for net in taken.chain(others.iter().flatten()) {
        free.remove(net);
    }
    free
}

/// Gives every subnet without a range one.
pub(super) fn place(
    plan: &mut Plan,
    growth: Growth,
    lines: &mut Vec<String>,
) -> Result<(), AllocateError> {
    if plan.vnet.is_none() {
        return Ok(());
    }
    pin_lb_subnet(plan, lines);
    let facts = Facts::of(plan);
    let open: Vec<usize> =
        (0..plan.subnets.len()).filter(|idx| plan.subnets[*idx].cidr.is_none()).collect();
    let requests: Vec<Request> = open
        .iter()
        .map(|idx| Request::of(plan.subnets[*idx].name.clone(), needs(&facts, *idx)))
        .collect();
    let space = free(&facts);
    let Some(placed) = pack(&space, &requests) else {
        let missing = unplaced(&space, &requests);
        if growth == Growth::Allowed {
            return grow(plan, &missing, lines);
        }
        let shortage = |(what, needs, largest_free): (String, u64, u64)| Shortage {
            what: format!("subnet `{what}`"),
            space: "the network".to_owned(),
            needs,
            largest_free,
        };
        return Err(AllocateError::NoRoom(missing.into_iter().map(shortage).collect()));
    };
    let mut found: Vec<(Net, usize, String)> = open
        .into_iter()
        .zip(placed)
        .map(|(idx, net)| (net, idx, explain(&facts, idx, &net)))
        .collect();
    found.sort_unstable_by_key(|(net, idx, _)| (*net, *idx));
    for (net, idx, line) in found {
        plan.subnets[idx].cidr = Some(net.to_string());
        lines.push(line);
    }
    Ok(())
}

fn explain(facts: &Facts<'_>, idx: usize, net: &Net) -> String {
    let plan = facts.plan;
    let mut parts = Vec::new();
    if facts.node == Some(idx) {
        let (nodes, with_surge) = facts.nodes();
        let surge = with_surge - nodes;
        let pods = if facts.is_flat() { ", each with its pods," } else { "" };
        parts.push(format!("{nodes} nodes and {surge} of surge{pods}"));
        if facts.has_private_link() {
            parts.push("1 private endpoint".to_owned());
        }
    }
    if facts.pod == Some(idx) {
        parts.push(format!("{} pods' addresses", facts.pod_addresses()));
    }
    if facts.lb == Some(idx) && facts.is_lb_internal() {
        parts.push("1 load balancer".to_owned());
    }
    if facts.api == Some(idx) {
        parts.push("the API server".to_owned());
    }
    if let Some(addresses) = plan.subnets[idx].addresses {
        parts.push(format!("{addresses} asked for"));
    }
    parts.push(format!("{SUBNET_RESERVED} that Azure keeps"));
    let (needs, name) = (needs(facts, idx), &plan.subnets[idx].name);
    let least = prefix_for(needs);
    let room = if net.prefix() < least { ", room to double" } else { ", no room to double" };
    format!("subnet {name}: {net}, needs {needs} ({}): /{least}{room}", parts.join(" + "))
}

/// A load balancer's address that is given fixes where its subnet is: the smallest free block
/// around it that serves.
fn pin_lb_subnet(plan: &mut Plan, lines: &mut Vec<String>) {
    let facts = Facts::of(plan);
    let (Some(ip), Some(idx)) = (facts.lb_ip, facts.lb) else { return };
    if plan.subnets[idx].cidr.is_some() {
        return;
    }
    let free = free(&facts);
    let least = prefix_for(needs(&facts, idx));
    let serves = |prefix: &u8| {
        let net = Net::at(ip, *prefix).network();
        is_free(&free, &net) && !is_reserved(&net, ip)
    };
    if let Some(prefix) = (2..=least).rev().find(serves) {
        let net = Net::at(ip, prefix).network();
        lines.push(format!(
            "subnet {}: {net}, around lb.ip {}",
            plan.subnets[idx].name,
            show_v4(ip)
        ));
        plan.subnets[idx].cidr = Some(net.to_string());
    }
}

/// Adds a range to the network that holds what found no place, then places again.
fn grow(
    plan: &mut Plan,
    missing: &[(String, u64, u64)],
    lines: &mut Vec<String>,
) -> Result<(), AllocateError> {
    let needs: u64 = missing.iter().map(|(_, needs, _)| *needs).sum();
    let facts = Facts::of(plan);
    // A network's range need not be private, but this one is chosen here.
    let mut free = RangeSet::of(&PRIVATE[..3]);
    for ranged in facts.vnet.iter().chain(&facts.peers).chain(&facts.on_prem) {
        free.remove(&ranged.net);
    }
    let given = [facts.service, facts.pods, facts.docker];
    let kept = RESERVED.iter().chain(PLATFORM).chain(given.iter().flatten());
    for net in kept.chain(facts.subnets.iter().flatten()) {
        free.remove(net);
    }
    let net = first_fit(&free, prefix_for(needs)).ok_or_else(|| {
        let what = "a further range of the network".to_owned();
        let space = "the private ranges that no one uses".to_owned();
        let needs = size(prefix_for(needs));
        AllocateError::NoRoom(vec![Shortage { what, space, needs, largest_free: 0 }])
    })?;
    lines.push(format!("network: further range {net}, since {needs} addresses are missing"));
    if let Some(vnet) = &mut plan.vnet {
        vnet.address_space.push(net.to_string());
    }
    place(plan, Growth::Fixed, lines)
}

/// DNS: the tenth address of the service range. Load balancer: the tenth of its own subnet, or
/// the first that Azure does not keep; in a subnet of nodes Azure picks.
pub(super) fn place_addresses(plan: &mut Plan, lines: &mut Vec<String>) {
    let facts = Facts::of(plan);
    let mut dns = None;
    if plan.dns_service_ip.is_none() {
        let service = facts.service.map(|net| net.network());
        dns = service.and_then(|net| net.host(10).or_else(|| net.host(2)));
    }
    let mut ip = None;
    let own_subnet = facts.lb.filter(|idx| Some(*idx) != facts.node && Some(*idx) != facts.pod);
    if let (true, None, Some(idx)) = (facts.is_lb_internal(), &plan.lb.ip, own_subnet) {
        let usable = |net: Net| {
            let hosts = [10, 4, 5, 6].into_iter().filter_map(move |host| net.host(host));
            hosts.into_iter().find(|host| {
                let is_service = facts.service.is_some_and(|net| net.contains_address(*host));
                !is_reserved(&net, *host) && !is_service
            })
        };
        ip = facts.subnets[idx].map(|net| net.network()).and_then(usable);
    }
    if let Some(dns) = dns {
        lines.push(format!("DNS: {}, the tenth address of the service range", show_v4(dns)));
        plan.dns_service_ip = Some(show_v4(dns));
    }
    if let Some(ip) = ip {
        lines.push(format!("load balancer: {}, free in its subnet", show_v4(ip)));
        plan.lb.ip = Some(show_v4(ip));
    }
}
