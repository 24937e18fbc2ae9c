//! Ranges outside the network: service and pod range, the network's own where it has none, the
//! Docker bridge.

use super::pack::{self, Request, first_fit, is_free, pack};
use super::{AllocateError, Shortage, inner};
use crate::addr::{Bare, Net, RangeSet, parse_v4};
use crate::check::{PLATFORM, PRIVATE, RESERVED};
use crate::plan::facts::{DNS_DEFAULT, Facts, POD_DEFAULT, SERVICE_DEFAULT};
use crate::plan::{Plan, Target};

/// Services get a /16 where there is room, and a /28 at least: the DNS is its tenth address.
const SERVICE_WANTED: u8 = 16;
const SERVICE_LEAST: u8 = 28;
/// A network that is made gets a /16 where there is room.
const VNET_WANTED: u8 = 16;
/// Docker's own default.
const DOCKER_DEFAULT: Net = Net::v4(172, 17, 0, 0, 16);

/// Places service range, pod range and network in one go, so that none takes another's room.
pub(super) fn place(plan: &mut Plan, lines: &mut Vec<String>) -> Result<(), AllocateError> {
    let facts = Facts::of(plan);
    let free = free(&facts);
    let mut requests = Vec::new();
    if plan.service_cidr.is_none() {
        requests.push(Request {
            name: "service range".into(),
            least: SERVICE_LEAST,
            wanted: SERVICE_WANTED,
            preferred: Some(SERVICE_DEFAULT),
        });
    }
    if plan.pod_cidr.is_none() && facts.has_node_blocks() {
        let (_, nodes) = facts.nodes();
        let least = pack::prefix_for(nodes.max(1).saturating_mul(256));
        let preferred = (POD_DEFAULT.prefix() <= least).then_some(POD_DEFAULT);
        let wanted = least.saturating_sub(1).min(POD_DEFAULT.prefix());
        requests.push(Request { name: "pod range".into(), least, wanted, preferred });
    }
    let wants_vnet = plan.vnet.as_ref().is_some_and(|vnet| vnet.address_space.is_empty());
    if wants_vnet {
        let least = inner::least_network(&facts);
        let wanted = VNET_WANTED.min(least);
        requests.push(Request { name: "network".into(), least, wanted, preferred: None });
    }
    // A DNS address that is given fixes where the service range is.
    let (free, pinned) = pin_service(&facts, free, &mut requests);
    let placed = pack(&free, &requests).ok_or_else(|| no_room(&free, &requests))?;
    let mut found: Vec<(String, Net)> =
        requests.iter().map(|request| request.name.clone()).zip(placed).collect();
    found.extend(pinned.map(|net| ("service range".to_owned(), net)));
    for (name, net) in found {
        let text = net.to_string();
        lines.push(format!("{name}: {net}, {}", reason(&name, &net)));
        match name.as_str() {
            "service range" => plan.service_cidr = Some(text),
            "pod range" => plan.pod_cidr = Some(text),
            _ => {
                if let Some(vnet) = &mut plan.vnet {
                    vnet.address_space = vec![text];
                }
            }
        }
    }
    Ok(())
}

fn reason(name: &str, net: &Net) -> &'static str {
    match name {
        "service range" if *net == SERVICE_DEFAULT => "Azure's default, overlaps nothing known",
        "pod range" if *net == POD_DEFAULT => "Azure's default, a /24 for each node fits",
        "pod range" => "a /24 for each node with surge, outside every known range",
        "network" => "room for every subnet, outside every known range",
        _ => "outside every known range",
    }
}

fn no_room(free: &RangeSet, requests: &[Request]) -> AllocateError {
    let shortages =
        pack::unplaced(free, requests).into_iter().map(|(what, needs, largest_free)| {
            let space = "the private ranges that no one uses".to_owned();
            Shortage { what, space, needs, largest_free }
        });
    AllocateError::NoRoom(shortages.collect())
}

/// What service and pod ranges may be taken from: `allocateFrom`, else all private ranges,
/// without every range that is known.
fn free(facts: &Facts<'_>) -> RangeSet {
    let plan = facts.plan;
    let from: Vec<Net> = match &plan.allocate_from {
        Some(texts) => {
            texts.iter().filter_map(|text| Net::parse_v4(text, Bare::Allowed).ok()).collect()
        }
        None => PRIVATE.to_vec(),
    };
    let mut free = RangeSet::of(&from);
    // Services and pods must be private, whatever may be allocated from.
    let mut public = RangeSet::of(&[Net::v4(0, 0, 0, 0, 0)]);
    for net in PRIVATE {
        public.remove(net);
    }
    for net in public.blocks() {
        free.remove(&net);
    }
    let known = facts.vnet.iter().chain(&facts.peers).chain(&facts.on_prem);
    for ranged in known {
        free.remove(&ranged.net);
    }
    for net in facts.subnets.iter().flatten().chain(RESERVED).chain(PLATFORM) {
        free.remove(net);
    }
    let given = [
        plan.service_cidr.as_ref().and(facts.service),
        plan.pod_cidr.as_ref().and(facts.pods),
        facts.docker,
        facts.lb_ip.map(|ip| Net::at(ip, 32)),
    ];
    for net in given.iter().flatten() {
        free.remove(net);
    }
    free
}

/// Takes the service range out of `requests` and places it around a DNS address that is given.
fn pin_service(
    facts: &Facts<'_>,
    mut free: RangeSet,
    requests: &mut Vec<Request>,
) -> (RangeSet, Option<Net>) {
    let given = facts.plan.dns_service_ip.as_deref().and_then(|text| parse_v4(text).ok());
    let (Some(dns), None) = (given, &facts.plan.service_cidr) else { return (free, None) };
    if dns == DNS_DEFAULT && is_free(&free, &SERVICE_DEFAULT) {
        return (free, None);
    }
    let fits = |prefix: u8| {
        let net = Net::at(dns, prefix).network();
        let is_late = net.first() + 1 < u128::from(dns);
        (is_late && is_free(&free, &net)).then_some(net)
    };
    let sizes = (12..=SERVICE_WANTED).rev().chain(SERVICE_WANTED + 1..=SERVICE_LEAST + 1);
    let mut sizes: Vec<u8> = sizes.collect();
    sizes.sort_by_key(|prefix| prefix.abs_diff(SERVICE_WANTED));
    let Some(net) = sizes.into_iter().find_map(fits) else { return (free, None) };
    requests.retain(|request| request.name != "service range");
    free.remove(&net);
    (free, Some(net))
}

/// Places the Docker bridge of target v1, which only nodes see: outside subnets, services and
/// pods, and outside everything else where that can be had.
pub(super) fn place_docker(plan: &mut Plan, lines: &mut Vec<String>) {
    if plan.target != Target::V1 || plan.docker_bridge.is_some() || plan.vnet.is_none() {
        return;
    }
    let facts = Facts::of(plan);
    let mut apart = RangeSet::of(PRIVATE);
    for net in facts.subnets.iter().flatten().chain(&facts.service).chain(&facts.pods) {
        apart.remove(net);
    }
    let mut far = apart.clone();
    for ranged in facts.vnet.iter().chain(&facts.peers).chain(&facts.on_prem) {
        far.remove(&ranged.net);
    }
    for net in RESERVED {
        far.remove(net);
    }
    let at_default = |free: &RangeSet| is_free(free, &DOCKER_DEFAULT).then_some(DOCKER_DEFAULT);
    let found = at_default(&far)
        .or_else(|| (16..=28).find_map(|prefix| first_fit(&far, prefix)))
        .or_else(|| (16..=28).find_map(|prefix| first_fit(&apart, prefix)));
    if let Some((net, host)) = found.and_then(|net| Some((net, net.host(1)?))) {
        let text = format!("{}/{}", crate::addr::show_v4(host), net.prefix());
        lines.push(format!("Docker bridge: {text}, overlaps no subnet, service or pod"));
        plan.docker_bridge = Some(text);
    }
}
