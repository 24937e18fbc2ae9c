//! Candidates that move addresses: they leave open what shall be found anew.

use super::candidate::Draft;
use crate::addr::{Bare, Net};
use crate::check::Finding;
use crate::plan::facts::Facts;
use crate::plan::{Plan, Plugin, PluginMode, Target};

pub(super) fn drafts(plan: &Plan, finding: &Finding) -> Vec<Draft> {
    let mut drafts = obvious(plan, finding);
    let (group, _) = finding.rule.id.split_once('-').unwrap_or_default();
    match group {
        "ADDR" | "RSV" | "VNET" | "SUB" | "SVC" | "DNS" | "DBR" | "POD" | "SIZE" | "API" | "LB"
        | "PODS" | "V1" => {}
        _ => return drafts,
    }
    drafts.extend(open(plan, finding));
    drafts.extend(overlay(plan, finding));
    drafts
}

/// What was surely meant: host bits away, blanks away, a mask as a prefix length.
fn obvious(plan: &Plan, finding: &Finding) -> Vec<Draft> {
    if !finding.rule.id.starts_with("ADDR-") {
        return Vec::new();
    }
    let mut plan = plan.clone();
    let Some(text) = at_path(&mut plan, &finding.path) else { return Vec::new() };
    let Some(meant) = meant(text) else { return Vec::new() };
    let summary = format!("{} is {meant}", finding.path);
    *text = meant;
    vec![(summary, plan)]
}

fn meant(text: &str) -> Option<String> {
    if let Ok(net) = Net::parse_v4(text, Bare::Refused) {
        return (!net.is_network()).then(|| net.network().to_string());
    }
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text.as_str(), None),
    };
    let octets: Option<Vec<u8>> = address.split('.').map(|part| part.parse().ok()).collect();
    let address = match octets?.as_slice() {
        [a, b, c, d] => format!("{a}.{b}.{c}.{d}"),
        _ => return None,
    };
    let Some(prefix) = prefix else {
        return crate::addr::parse_v4(&address).is_ok().then_some(address);
    };
    let prefix = match crate::addr::parse_v4(prefix) {
        Ok(mask) if mask.leading_ones() + mask.trailing_zeros() == 32 => mask.leading_ones(),
        Ok(_) => return None,
        Err(_) => prefix.parse().ok()?,
    };
    Net::parse_v4(&format!("{address}/{prefix}"), Bare::Refused).ok().map(|net| net.to_string())
}

/// The text of an address at `path`.
fn at_path<'a>(plan: &'a mut Plan, path: &str) -> Option<&'a mut String> {
    let index = |prefix: &str| path.strip_prefix(prefix)?.split(']').next()?.parse::<usize>().ok();
    match path {
        "serviceCidr" => return plan.service_cidr.as_mut(),
        "podCidr" => return plan.pod_cidr.as_mut(),
        "dnsServiceIp" => return plan.dns_service_ip.as_mut(),
        "dockerBridge" => return plan.docker_bridge.as_mut(),
        "lb.ip" => return plan.lb.ip.as_mut(),
        _ => {}
    }
    if let Some(idx) = index("subnets[") {
        return plan.subnets.get_mut(idx)?.cidr.as_mut();
    }
    if let Some(idx) = index("authorizedIpRanges[") {
        return plan.authorized_ip_ranges.get_mut(idx);
    }
    if let Some(idx) = index("vnet.addressSpace[") {
        return plan.vnet.as_mut()?.address_space.get_mut(idx);
    }
    if let Some(idx) = index("vnet.onPrem[") {
        return plan.vnet.as_mut()?.on_prem.as_mut()?.get_mut(idx);
    }
    let peer = index("vnet.peerings[")?;
    let range = path.rsplit_once("addressSpace[")?.1.trim_end_matches(']').parse::<usize>().ok()?;
    let peers = plan.vnet.as_mut()?.peerings.as_mut()?;
    peers.get_mut(peer)?.address_space.get_mut(range)
}

/// What can be left open, from one value to the whole network.
fn open(plan: &Plan, finding: &Finding) -> Vec<Draft> {
    let rule = finding.rule.id;
    let mut drafts: Vec<Draft> = Vec::new();
    let mut draft = |summary: &str, change: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        drafts.push((summary.to_owned(), plan));
    };
    let path = finding.path.as_str();
    let subnet =
        path.strip_prefix("subnets[").and_then(|rest| rest.split(']').next()?.parse().ok());
    match path {
        "dnsServiceIp" => draft("take another DNS address", &|plan| plan.dns_service_ip = None),
        "podCidr" => draft("take another pod range", &|plan| plan.pod_cidr = None),
        "dockerBridge" if plan.target == Target::V1 => {
            draft("take another Docker bridge", &|plan| plan.docker_bridge = None);
        }
        _ => {}
    }
    if path == "serviceCidr" || rule.starts_with("DNS-") || rule == "LB-IP-SVC" {
        draft("take another service range", &open_service);
    }
    if path == "lb.ip" {
        draft("take another load balancer address", &|plan| plan.lb.ip = None);
    }
    if rule == "V1-INCOMPLETE" {
        draft("add what is missing", &|_| {});
        draft("add what is missing, in another service range", &open_service);
    }
    if let Some(idx) = subnet {
        draft("take another subnet range", &move |plan| open_subnet(plan, idx));
    }
    if subnet.is_some() || rule.starts_with("LB-") || rule.starts_with("SUB-") {
        draft("lay out all subnets anew", &open_subnets);
    }
    let range = path.strip_prefix("vnet.addressSpace[").map(|rest| rest.trim_end_matches(']'));
    if let Some(Ok(idx)) = range.map(str::parse::<usize>) {
        draft("leave the range out of the network", &move |plan| drop_range(plan, idx));
    }
    if path.starts_with("vnet.") || subnet.is_some() || rule.starts_with("SUB-") {
        draft("lay out the whole network anew", &open_network);
    }
    if ["serviceCidr", "podCidr", "vnet", "subnets"].iter().any(|start| path.starts_with(start)) {
        draft("lay out every range anew", &|plan| {
            open_network(plan);
            open_service(plan);
            plan.pod_cidr = None;
        });
    }
    drafts
}

fn open_service(plan: &mut Plan) {
    plan.service_cidr = None;
    plan.dns_service_ip = None;
}

fn open_subnet(plan: &mut Plan, idx: usize) {
    let is_lb = plan.lb.subnet.as_ref() == plan.subnets.get(idx).map(|subnet| &subnet.name);
    if let Some(subnet) = plan.subnets.get_mut(idx) {
        subnet.cidr = None;
    }
    if is_lb {
        plan.lb.ip = None;
    }
}

fn open_subnets(plan: &mut Plan) {
    for idx in 0..plan.subnets.len() {
        // A subnet that nobody sized keeps its size.
        let net = plan.subnets[idx].cidr.as_deref();
        let net = net.and_then(|text| Net::parse_v4(text, Bare::Refused).ok());
        if let (Some(net), None) = (net, plan.subnets[idx].addresses) {
            let is_role = role_names(plan).contains(&Some(&plan.subnets[idx].name));
            let size = u32::try_from(net.size().min(1 << 24)).unwrap_or(u32::MAX);
            let addresses = size.saturating_sub(5).max(1);
            if !is_role {
                plan.subnets[idx].addresses = Some(addresses);
            }
        }
        open_subnet(plan, idx);
    }
    plan.lb.ip = None;
}

fn role_names(plan: &Plan) -> [Option<&String>; 4] {
    let api = plan.private_cluster.api_server_subnet.as_ref();
    [plan.node_subnet.as_ref(), plan.pod_subnet.as_ref(), api, plan.lb.subnet.as_ref()]
}

fn open_network(plan: &mut Plan) {
    open_subnets(plan);
    if let Some(vnet) = &mut plan.vnet {
        vnet.address_space.clear();
    }
}

/// Takes a range away from the network, and moves the subnets that were in it.
fn drop_range(plan: &mut Plan, idx: usize) {
    let facts = Facts::of(plan);
    let path = format!("vnet.addressSpace[{idx}]");
    let range = facts.vnet.iter().find(|ranged| ranged.path == path).map(|ranged| ranged.net);
    let inside: Vec<usize> = facts
        .subnets
        .iter()
        .enumerate()
        .filter(|(_, net)| matches!((net, range), (Some(net), Some(range)) if range.overlaps(net)))
        .map(|(idx, _)| idx)
        .collect();
    for idx in inside {
        open_subnet(plan, idx);
    }
    if let Some(vnet) = plan.vnet.as_mut().filter(|vnet| idx < vnet.address_space.len()) {
        vnet.address_space.remove(idx);
    }
}

/// Where addresses cannot be found for pods, overlay needs few.
fn overlay(plan: &Plan, finding: &Finding) -> Vec<Draft> {
    let is_size = finding.rule.id.starts_with("SIZE-") || finding.rule.id == "POD-MODE";
    if !is_size || plan.plugin != Plugin::Azure || plan.plugin_mode.is_some() {
        return Vec::new();
    }
    let mut plan = plan.clone();
    plan.plugin_mode = Some(PluginMode::Overlay);
    plan.pod_subnet = None;
    plan.pod_allocation = None;
    vec![("give pods a range of their own (overlay)".to_owned(), plan)]
}
