//! Rules about addresses: what they are, and what must not overlap.

use super::Sink;
use crate::addr::{Net, show_v4};
use crate::plan::facts::{Facts, Ranged};
use crate::plan::{LbType, Plugin, Target};
use crate::rules::Rule;
use crate::rules::table as rule;

/// Ranges of Azure's platform (Cloud Adoption Framework, plan-for-ip-addressing).
pub(crate) const PLATFORM: &[Net] = &[
    Net::v4(224, 0, 0, 0, 4),
    Net::v4(255, 255, 255, 255, 32),
    Net::v4(127, 0, 0, 0, 8),
    Net::v4(169, 254, 0, 0, 16),
    Net::v4(168, 63, 129, 16, 32),
];
/// Ranges that AKS keeps for itself (aks concepts-network-cni-overview.md).
pub(crate) const RESERVED: &[Net] = &[
    Net::v4(169, 254, 0, 0, 16),
    Net::v4(172, 30, 0, 0, 16),
    Net::v4(172, 31, 0, 0, 16),
    Net::v4(192, 0, 2, 0, 24),
];
/// Private ranges (RFC 1918, RFC 6598).
pub(crate) const PRIVATE: &[Net] = &[
    Net::v4(10, 0, 0, 0, 8),
    Net::v4(172, 16, 0, 0, 12),
    Net::v4(192, 168, 0, 0, 16),
    Net::v4(100, 64, 0, 0, 10),
];

pub(super) fn check(facts: &Facts<'_>, sink: &mut Sink) {
    written(facts, sink);
    network(facts, sink);
    subnets(facts, sink);
    service(facts, sink);
    dns(facts, sink);
    docker(facts, sink);
    pods(facts, sink);
    load_balancer(facts, sink);
}

fn written(facts: &Facts<'_>, sink: &mut Sink) {
    for (path, error) in &facts.unread {
        sink.add(rule::ADDR_SYNTAX, path, error.to_string());
    }
    let mut host_bits = |net: &Net, path: String| {
        if !net.is_network() {
            let message = format!("{net} has host bits: the range is {}", net.network());
            sink.add(rule::ADDR_HOSTBITS, path, message);
        }
    };
    for ranged in &facts.vnet {
        host_bits(&ranged.net, ranged.path.clone());
    }
    for (idx, net) in facts.subnets.iter().enumerate() {
        if let Some(net) = net {
            host_bits(net, format!("subnets[{idx}].cidr"));
        }
    }
    for (net, path) in [(facts.service, "serviceCidr"), (facts.pods, "podCidr")] {
        if let Some(net) = net {
            host_bits(&net, path.to_owned());
        }
    }
}

fn touches(
    sink: &mut Sink,
    rule: &'static Rule,
    net: &Net,
    path: &str,
    others: &[Net],
    whose: &str,
) {
    if let Some(other) = others.iter().find(|other| other.overlaps(net)) {
        sink.add(rule, path, format!("{net} touches {other}, {whose}"));
    }
}

/// One finding for each of `others` that `net` overlaps.
fn apart(
    sink: &mut Sink,
    rule: &'static Rule,
    what: &str,
    net: &Net,
    path: &str,
    others: &[Ranged],
) -> bool {
    let mut is_apart = true;
    for other in others.iter().filter(|other| other.net.overlaps(net)) {
        is_apart = false;
        let name =
            if other.name.is_empty() { String::new() } else { format!(" of {}", other.name) };
        let n = other.net.n_common(net);
        let message = format!("{what} {net} overlaps {}{name}: {n} addresses in common", other.net);
        sink.add(rule, path, message);
    }
    is_apart
}

fn network(facts: &Facts<'_>, sink: &mut Sink) {
    for own in &facts.vnet {
        let (net, path) = (&own.net, own.path.as_str());
        touches(sink, rule::VNET_PLATFORM, net, path, PLATFORM, "which Azure's platform uses");
        touches(sink, rule::RSV_VNET, net, path, RESERVED, "which AKS keeps for itself");
        apart(sink, rule::VNET_PEER, "the network's range", net, path, &facts.peers);
        apart(sink, rule::VNET_ONPREM, "the network's range", net, path, &facts.on_prem);
    }
    let plan = facts.plan;
    let region = plan.vnet.as_ref().and_then(|vnet| vnet.region.as_deref());
    if let Some(region) = region.filter(|region| !same_region(region, &plan.region)) {
        let message = format!("the network is in {region}, the cluster in {}", plan.region);
        sink.add(rule::VNET_REGION, "vnet.region", message);
    }
}

/// `West Europe` and `westeurope` are one region.
pub(crate) fn same_region(a: &str, b: &str) -> bool {
    let squash = |text: &str| text.replace(' ', "").to_ascii_lowercase();
    squash(a) == squash(b)
}

fn subnets(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    let mut by_address: Vec<(Net, usize)> = Vec::new();
    for (idx, net) in facts.subnets.iter().enumerate() {
        let (Some(net), path) = (net, format!("subnets[{idx}].cidr")) else { continue };
        by_address.push((*net, idx));
        let name = &plan.subnets[idx].name;
        let is_vnet_known = !facts.vnet.is_empty();
        if is_vnet_known && !facts.vnet.iter().any(|own| own.net.contains(net)) {
            let message = format!("subnet `{name}` {net} is in none of the network's ranges");
            sink.add(rule::SUB_OUTSIDE, &path, message);
        }
        if net.prefix() < 2 || 29 < net.prefix() {
            let message = format!("subnet `{name}` {net}: Azure's subnets are /2 to /29");
            sink.add(rule::SUB_SIZE, &path, message);
        }
    }
    by_address.sort_by_key(|(net, idx)| (net.first(), net.prefix(), *idx));
    // Ranges are nested or apart, so that the open ones form a stack.
    let mut open: Vec<(Net, usize)> = Vec::new();
    for (net, idx) in by_address {
        while open.last().is_some_and(|(last, _)| last.last() < net.first()) {
            open.pop();
        }
        if let Some((other, other_idx)) = open.last() {
            let (name, other_name) = (&plan.subnets[idx].name, &plan.subnets[*other_idx].name);
            let message = format!("subnets `{name}` {net} and `{other_name}` {other} overlap");
            sink.add(rule::SUB_OVERLAP, format!("subnets[{idx}].cidr"), message);
        }
        open.push((net, idx));
    }
}

fn overlapping_subnet<'a>(facts: &'a Facts<'_>, net: &Net) -> Vec<(&'a str, Net)> {
    let named = facts.plan.subnets.iter().zip(&facts.subnets);
    named
        .filter_map(|(subnet, range)| Some((subnet.name.as_str(), (*range)?)))
        .filter(|(_, range)| range.overlaps(net))
        .collect()
}

/// As [`apart`] for subnets; at most three are named.
fn apart_from_subnets(
    facts: &Facts<'_>,
    sink: &mut Sink,
    rule: &'static Rule,
    what: &str,
    net: &Net,
    path: &str,
) -> bool {
    let found = overlapping_subnet(facts, net);
    if found.is_empty() {
        return true;
    }
    let names: Vec<String> =
        found.iter().take(3).map(|(name, range)| format!("`{name}` {range}")).collect();
    let more =
        if 3 < found.len() { format!(" and {} more", found.len() - 3) } else { String::new() };
    sink.add(rule, path, format!("{what} {net} overlaps subnet {}{more}", names.join(", ")));
    false
}

fn said(is_said: bool) -> &'static str {
    if is_said { "" } else { " (Azure's default: the plan says nothing)" }
}

fn service(facts: &Facts<'_>, sink: &mut Sink) {
    let Some(net) = facts.service else { return };
    let path = "serviceCidr";
    let what = format!("the service range{}", said(facts.plan.service_cidr.is_some()));
    touches(sink, rule::RSV_SVC, &net, path, RESERVED, "which AKS keeps for itself");
    if apart_from_subnets(facts, sink, rule::SVC_SUBNET, &what, &net, path) {
        apart(sink, rule::SVC_VNET, &what, &net, path, &facts.vnet);
    }
    apart(sink, rule::SVC_PEER, &what, &net, path, &facts.peers);
    apart(sink, rule::SVC_ONPREM, &what, &net, path, &facts.on_prem);
    if net.prefix() < 12 {
        sink.add(rule::SVC_SIZE, path, format!("{what} {net} is larger than a /12"));
    }
    if !PRIVATE.iter().any(|private| private.contains(&net)) {
        sink.add(rule::SVC_PUBLIC, path, format!("{what} {net} is public"));
    }
}

fn dns(facts: &Facts<'_>, sink: &mut Sink) {
    let (Some(service), Some(dns)) = (facts.service, facts.dns) else { return };
    let path = "dnsServiceIp";
    let what = format!("{}{}", show_v4(dns), said(facts.plan.dns_service_ip.is_some()));
    if !service.contains_address(dns) {
        let message = format!("{what} is not in the service range {}", service.network());
        sink.add(rule::DNS_OUTSIDE, path, message);
    } else if u128::from(dns) <= service.first() + 1 {
        let message = format!("{what} is one of the first two addresses of {}", service.network());
        sink.add(rule::DNS_FIRST, path, message);
    }
}

fn docker(facts: &Facts<'_>, sink: &mut Sink) {
    let path = "dockerBridge";
    if facts.plan.docker_bridge.is_some() && facts.plan.target == Target::V2 {
        sink.add(rule::DBR_OBSOLETE, path, "target v2 has no Docker bridge".to_owned());
    }
    let Some(net) = facts.docker else { return };
    let net = net.network();
    apart_from_subnets(facts, sink, rule::DBR_SUBNET, "the Docker bridge", &net, path);
    for (other, rule, name) in
        [(facts.service, rule::DBR_SVC, "service"), (facts.pods, rule::DBR_POD, "pod")]
    {
        if let Some(other) = other.filter(|other| other.overlaps(&net)) {
            sink.add(
                rule,
                path,
                format!("the Docker bridge {net} overlaps the {name} range {other}"),
            );
        }
    }
}

fn pods(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    let path = "podCidr";
    let is_said = plan.pod_cidr.is_some();
    if is_said && plan.plugin == Plugin::Azure && plan.plugin_mode.is_none() {
        let message = "podCidr is given, and pluginMode is not overlay".to_owned();
        sink.add(rule::POD_MODE, path, message);
    }
    let Some(net) = facts.pods else { return };
    let what = format!("the pod range{}", said(is_said));
    touches(sink, rule::RSV_POD, &net, path, RESERVED, "which AKS keeps for itself");
    if apart_from_subnets(facts, sink, rule::POD_SUBNET, &what, &net, path) {
        apart(sink, rule::POD_VNET, &what, &net, path, &facts.vnet);
    }
    if let Some(service) = facts.service.filter(|service| service.overlaps(&net)) {
        let n = service.n_common(&net);
        let message =
            format!("{what} {net} overlaps the service range {service}: {n} addresses in common");
        sink.add(rule::POD_SVC, path, message);
    }
    apart(sink, rule::POD_EXTERNAL, &what, &net, path, &facts.peers);
    apart(sink, rule::POD_EXTERNAL, &what, &net, path, &facts.on_prem);
    if !PRIVATE.iter().any(|private| private.contains(&net)) {
        sink.add(rule::POD_PUBLIC, path, format!("{what} {net} is public"));
    }
}

fn load_balancer(facts: &Facts<'_>, sink: &mut Sink) {
    let lb = &facts.plan.lb;
    if let Some(name) = &lb.subnet {
        if lb.kind != Some(LbType::Internal) {
            let message = format!("subnet `{name}` is given for a public load balancer");
            sink.add(rule::LB_SUBNET_PUBLIC, "lb.subnet", message);
        }
        if facts.lb.is_none() {
            sink.add(rule::LB_SUBNET, "lb.subnet", format!("there is no subnet `{name}`"));
        }
    }
    let Some(ip) = facts.lb_ip else { return };
    let shown = show_v4(ip);
    if let Some(service) = facts.service.filter(|service| service.contains_address(ip)) {
        let message = format!("{shown} is in the service range {service}");
        sink.add(rule::LB_IP_SVC, "lb.ip", message);
    }
    let Some(net) = facts.lb.and_then(|idx| facts.subnets.get(idx).copied().flatten()) else {
        return;
    };
    if !net.contains_address(ip) {
        let message = format!("{shown} is not in the load balancer's subnet {}", net.network());
        sink.add(rule::LB_IP_OUTSIDE, "lb.ip", message);
    } else if is_reserved(&net, ip) {
        let message = format!("{shown} is one of the five addresses of {} that Azure keeps", net);
        sink.add(rule::LB_IP_RESERVED, "lb.ip", message);
    }
}

/// Whether Azure keeps this address of the subnet: the first four and the last.
pub(crate) fn is_reserved(subnet: &Net, address: u32) -> bool {
    let address = u128::from(address);
    address < subnet.first() + 4 || address == subnet.last()
}
