//! Candidates that change settings.

use super::candidate::Draft;
use crate::addr::{Bare, Net, RangeSet};
use crate::allocate::add_subnet;
use crate::check::{
    API_DELEGATION, Finding, NODES_ONLY, NOT_GLOBAL, PODS_A_NODE, PODS_A_POOL_MIN, authorized_max,
    custom_zone, nodes_max,
};
use crate::plan::facts::Facts;
use crate::plan::{
    Channel, Dataplane, IdentityType, LbType, NetworkPolicy, OutboundType, Plan, Plugin,
    PluginMode, Role, RouteTable, Target,
};
use crate::read::nearest;

/// Drafts of one finding under construction.
struct Drafts<'a> {
    plan: &'a Plan,
    made: Vec<Draft>,
}

impl Drafts<'_> {
    fn add(&mut self, summary: impl Into<String>, change: impl FnOnce(&mut Plan)) {
        let mut plan = self.plan.clone();
        change(&mut plan);
        self.made.push((summary.into(), plan));
    }
}

pub(super) fn drafts(plan: &Plan, finding: &Finding) -> Vec<Draft> {
    let mut drafts = Drafts { plan, made: Vec::new() };
    let group = finding.rule.id.split('-').next().unwrap_or_default();
    match group {
        "SUB" | "API" | "LB" => subnets(&mut drafts, finding),
        "PODS" | "NODES" => pools(&mut drafts, finding),
        "PRIV" | "PUB" => door(&mut drafts, finding),
        "AUTH" => authorized(&mut drafts, finding),
        "OUT" => outbound(&mut drafts, finding),
        "RBAC" | "ML" | "VNET" => places(&mut drafts, finding),
        "DBR" | "POD" | "NET" | "V1" => retired(&mut drafts, finding),
        _ => {}
    }
    drafts.made
}

fn name_of(plan: &Plan, idx: Option<usize>) -> String {
    idx.map(|idx| plan.subnets[idx].name.clone()).unwrap_or_default()
}

/// A name that no subnet has.
fn fresh(plan: &Plan, name: &str) -> String {
    let is_taken = |name: &str| plan.subnets.iter().any(|subnet| subnet.name == name);
    let mut candidates =
        std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}-{number}")));
    candidates.find(|name| !is_taken(name)).unwrap_or_default()
}

fn subnets(drafts: &mut Drafts<'_>, finding: &Finding) {
    let plan = drafts.plan;
    let facts = Facts::of(plan);
    let (node, api) = (facts.node, facts.api);
    match finding.rule.id {
        "SUB-MISSING" => missing(drafts, &finding.path),
        "SUB-DELEGATED" => {
            drafts.add("take the delegation away", |plan| {
                if let Some(idx) = node {
                    plan.subnets[idx].delegation = None;
                }
            });
            own_node_subnet(drafts);
        }
        "SUB-SHARED" => own_node_subnet(drafts),
        "API-DELEGATION" | "API-SHARED" => {
            let is_ready = |idx: usize| {
                let delegation = plan.subnets[idx].delegation.as_deref().unwrap_or_default();
                delegation.eq_ignore_ascii_case(API_DELEGATION) && Some(idx) != node
            };
            if let Some(idx) = (0..plan.subnets.len()).find(|idx| is_ready(*idx)) {
                let name = name_of(plan, Some(idx));
                drafts.add(format!("use subnet {name} for the API server"), |plan| {
                    plan.private_cluster.api_server_subnet = Some(name);
                });
            }
            if finding.rule.id == "API-DELEGATION" && api != node {
                drafts.add(format!("delegate the subnet to {API_DELEGATION}"), |plan| {
                    if let Some(idx) = api {
                        plan.subnets[idx].delegation = Some(API_DELEGATION.to_owned());
                    }
                });
            }
            let name = fresh(plan, "aks-api");
            drafts.add(format!("give the API server its own subnet {name}"), |plan| {
                plan.private_cluster.api_server_subnet = Some(name.clone());
                add_subnet(plan, &name, &mut Vec::new());
            });
        }
        _ => load_balancer(drafts, finding),
    }
}

fn own_node_subnet(drafts: &mut Drafts<'_>) {
    let name = fresh(drafts.plan, "aks-nodes");
    drafts.add(format!("give the nodes their own subnet {name}"), |plan| {
        // A load balancer without a subnet of its own moves with the nodes.
        let route = Facts::of(plan).node.and_then(|idx| plan.subnets[idx].route_table.clone());
        plan.node_subnet = Some(name.clone());
        add_subnet(plan, &name, &mut Vec::new());
        if let (Some(subnet), Some(route)) = (plan.subnets.last_mut(), route) {
            subnet.route_table = Some(route);
        }
    });
}

fn missing(drafts: &mut Drafts<'_>, path: &str) {
    fn slot<'a>(plan: &'a mut Plan, path: &str) -> &'a mut Option<String> {
        match path {
            "nodeSubnet" => &mut plan.node_subnet,
            "podSubnet" => &mut plan.pod_subnet,
            "lb.subnet" => &mut plan.lb.subnet,
            _ => &mut plan.private_cluster.api_server_subnet,
        }
    }
    let mut copy = drafts.plan.clone();
    let named = slot(&mut copy, path).clone();
    if let Some(name) = &named {
        let known = drafts.plan.subnets.iter().map(|subnet| subnet.name.as_str());
        if let Some(near) = nearest(name, known) {
            let near = near.to_owned();
            drafts.add(format!("{path} is {near}"), |plan| *slot(plan, path) = Some(near));
        }
    }
    let name = named.unwrap_or_else(|| fresh(drafts.plan, "aks-api"));
    drafts.add(format!("add subnet {name}"), |plan| {
        *slot(plan, path) = Some(name.clone());
        add_subnet(plan, &name, &mut Vec::new());
    });
}

fn load_balancer(drafts: &mut Drafts<'_>, finding: &Finding) {
    match finding.rule.id {
        "LB-PUBLIC" | "LB-SUBNET-PUBLIC" => {
            let is_studio = drafts.plan.channel == Channel::Studio;
            let channel = if is_studio { Channel::Arm } else { drafts.plan.channel };
            drafts.add("make the load balancer internal", |plan| {
                plan.lb.kind = Some(LbType::Internal);
                plan.channel = channel;
            });
            let name = fresh(drafts.plan, "ilb");
            drafts.add(
                format!("make the load balancer internal, in its own subnet {name}"),
                |plan| {
                    plan.lb.kind = Some(LbType::Internal);
                    plan.channel = channel;
                    plan.lb.subnet = Some(name.clone());
                    plan.lb.ip = None;
                    add_subnet(plan, &name, &mut Vec::new());
                },
            );
            drafts.add("leave the load balancer's subnet out", |plan| plan.lb.subnet = None);
        }
        "LB-SUBNET" => missing(drafts, "lb.subnet"),
        "LB-STUDIO" => drafts.add("ask through ARM", |plan| plan.channel = Channel::Arm),
        _ => {}
    }
}

fn pools(drafts: &mut Drafts<'_>, finding: &Finding) {
    let idx =
        finding.path.strip_prefix("pools[").and_then(|rest| rest.split(']').next()?.parse().ok());
    let idx: Option<usize> = idx;
    match (finding.rule.id, idx) {
        ("PODS-RANGE" | "PODS-MIN30", Some(idx)) => {
            let pool = &drafts.plan.pools[idx];
            let pods = pool.max_pods.unwrap_or(30);
            let count = pool.count.max(1);
            let least = u32::try_from(PODS_A_POOL_MIN).unwrap_or(30).div_ceil(count);
            let pods = pods.clamp(*PODS_A_NODE.start(), *PODS_A_NODE.end()).max(least);
            let change = move |plan: &mut Plan| {
                plan.pools[idx].max_pods = Some(pods);
                plan.pools[idx].count = count;
            };
            drafts.add(format!("maxPods {pods}"), change);
            drafts.add(format!("maxPods {pods}, in a larger node subnet"), |plan| {
                change(plan);
                for at in [Facts::of(plan).node, Facts::of(plan).pod].into_iter().flatten() {
                    plan.subnets[at].cidr = None;
                }
            });
        }
        ("NODES-MAX", _) => {
            if drafts.plan.plugin == Plugin::Kubenet {
                drafts.add("move to Azure CNI overlay", to_overlay);
            }
            let nodes_max = nodes_max(drafts.plan.plugin);
            drafts.add(format!("plan {nodes_max} nodes"), |plan| shrink(plan, nodes_max));
        }
        _ => {}
    }
}

/// Takes nodes away from the largest pools until `nodes_max` are left.
fn shrink(plan: &mut Plan, nodes_max: u64) {
    let sum: u64 = plan.pools.iter().map(|pool| u64::from(pool.count)).sum();
    let mut excess = sum.saturating_sub(nodes_max);
    let mut order: Vec<usize> = (0..plan.pools.len()).collect();
    order.sort_by_key(|idx| std::cmp::Reverse(plan.pools[*idx].count));
    for idx in order {
        let spare = u64::from(plan.pools[idx].count.saturating_sub(3)).min(excess);
        plan.pools[idx].count -= u32::try_from(spare).unwrap_or(0);
        excess -= spare;
    }
}

fn door(drafts: &mut Drafts<'_>, finding: &Finding) {
    let plan = drafts.plan;
    match finding.rule.id {
        "PRIV-AUTHIP" => {
            drafts.add("leave the authorized ranges out", |plan| plan.authorized_ip_ranges.clear());
        }
        "PRIV-DNSNONE" => drafts.add("let AKS keep the zone", |plan| {
            plan.private_cluster.dns_zone = Some("system".to_owned());
        }),
        "PRIV-ZONENAME" => {
            let region = plan.region.replace(' ', "").to_lowercase();
            let name = format!("privatelink.{region}.azmk8s.io");
            let given = plan.private_cluster.dns_zone.clone().unwrap_or_default();
            let zone = match given.rsplit_once('/') {
                Some((before, _)) => format!("{before}/{name}"),
                None => name,
            };
            drafts.add(format!("name the zone {zone}"), |plan| {
                plan.private_cluster.dns_zone = Some(zone);
            });
        }
        "PRIV-IDENTITY" => {
            drafts.add("use a user-assigned identity", |plan| {
                plan.identity.kind = IdentityType::UserAssigned;
            });
        }
        "PRIV-PUBLICFQDN" => {
            drafts.add("leave the public name out", |plan| {
                plan.private_cluster.public_fqdn = Some(false);
            });
            let is_none = plan.private_cluster.dns_zone.as_deref().and_then(custom_zone).is_none();
            if is_none {
                drafts.add("leave the public name out, let AKS keep the zone", |plan| {
                    plan.private_cluster.public_fqdn = Some(false);
                    plan.private_cluster.dns_zone = Some("system".to_owned());
                });
            }
        }
        "PUB-OPEN" => {
            let summary = format!("authorize {NODES_ONLY}, the nodes alone, until you list yours");
            drafts.add(summary, |plan| plan.authorized_ip_ranges = vec![NODES_ONLY.to_owned()]);
        }
        _ => {}
    }
}

fn authorized(drafts: &mut Drafts<'_>, finding: &Finding) {
    let keep = |plan: &mut Plan, keep: &dyn Fn(&Net) -> bool| {
        plan.authorized_ip_ranges.retain(|text| match Net::parse(text, Bare::Allowed) {
            Ok(net) => keep(&net),
            Err(_) => true,
        });
        if plan.authorized_ip_ranges.is_empty() && !plan.private_cluster.enabled {
            plan.authorized_ip_ranges.push(NODES_ONLY.to_owned());
        }
    };
    match finding.rule.id {
        "AUTH-MIX" => drafts.add(format!("leave {NODES_ONLY} out"), |plan| {
            plan.authorized_ip_ranges.retain(|range| range != NODES_ONLY);
        }),
        "AUTH-PRIVATE" => drafts.add("leave the ranges out that are not global", |plan| {
            let is_alone = plan.authorized_ip_ranges.len() == 1;
            keep(plan, &|net| {
                let is_nodes = !is_alone && *net == Net::v4(0, 0, 0, 0, 32);
                is_nodes || !NOT_GLOBAL.iter().any(|other| other.overlaps(net))
            });
        }),
        "AUTH-IPV6" => drafts.add("leave IPv6 out", |plan| keep(plan, &|net| !net.is_v6())),
        "AUTH-COUNT" => {
            let nets: Vec<Net> = drafts
                .plan
                .authorized_ip_ranges
                .iter()
                .filter_map(|text| Net::parse(text, Bare::Allowed).ok())
                .collect();
            let joined = RangeSet::of(&nets).blocks();
            let n_max = authorized_max(&Facts::of(drafts.plan));
            if nets.len() == drafts.plan.authorized_ip_ranges.len() && joined.len() <= n_max {
                let summary =
                    format!("join neighbours: {} ranges, the same addresses", joined.len());
                drafts.add(summary, |plan| {
                    plan.authorized_ip_ranges = joined.iter().map(ToString::to_string).collect();
                });
            }
        }
        _ => {}
    }
}

fn outbound(drafts: &mut Drafts<'_>, finding: &Finding) {
    let node = Facts::of(drafts.plan).node;
    let route = |plan: &mut Plan| {
        if let Some(idx) = node {
            let table = plan.subnets[idx].route_table.get_or_insert_with(RouteTable::default);
            table.default_next_hop = Some("VirtualAppliance".to_owned());
        }
    };
    let nat = |plan: &mut Plan| {
        if let Some(idx) = node {
            plan.subnets[idx].nat_gateway = Some(true);
        }
    };
    match finding.rule.id {
        "OUT-NOROUTE" | "OUT-INTERNET" => {
            drafts.add("let the default route point at a firewall", route);
        }
        "OUT-MANAGEDNAT" => drafts.add("attach a NAT gateway to the node subnet", |plan| {
            plan.outbound_type = OutboundType::UserAssignedNatGateway;
            nat(plan);
        }),
        "OUT-NONAT" => drafts.add("attach a NAT gateway to the node subnet", nat),
        "OUT-ISOLATED" => drafts.add("route through a firewall", |plan| {
            plan.outbound_type = OutboundType::UserDefinedRouting;
            route(plan);
        }),
        _ => {}
    }
}

fn places(drafts: &mut Drafts<'_>, finding: &Finding) {
    let region = drafts.plan.region.clone();
    match finding.rule.id {
        "RBAC-MISSING" | "RBAC-SCOPE" => {
            let summary = "assign Network Contributor on the network's resource group";
            drafts.add(summary, |plan| {
                plan.identity.roles.get_or_insert_default().push(Role {
                    role: "Network Contributor".to_owned(),
                    scope: "resourceGroup".to_owned(),
                    actions: None,
                });
            });
        }
        "ML-REGION" => drafts.add(format!("use a workspace in {region}"), |plan| {
            plan.workspace.get_or_insert_default().region = Some(region);
        }),
        "ML-VNET" => {
            drafts.add(
                "add a private endpoint of the workspace in the cluster's network",
                |plan| {
                    if let (Some(workspace), Some(vnet)) = (&mut plan.workspace, &plan.vnet) {
                        workspace
                            .private_endpoint_vnets
                            .get_or_insert_default()
                            .push(vnet.name.clone());
                    }
                },
            );
        }
        "ML-LOCALACCTS" => {
            drafts.add("leave local accounts on", |plan| plan.local_accounts_disabled = false);
        }
        "ML-SP" => drafts.add("use a user-assigned identity", |plan| {
            plan.identity.kind = IdentityType::UserAssigned;
        }),
        "VNET-REGION" => drafts.add(format!("use a network in {region}"), |plan| {
            if let Some(vnet) = &mut plan.vnet {
                vnet.region = Some(region);
            }
        }),
        _ => {}
    }
}

fn to_overlay(plan: &mut Plan) {
    plan.plugin = Plugin::Azure;
    plan.plugin_mode = Some(PluginMode::Overlay);
}

fn retired(drafts: &mut Drafts<'_>, finding: &Finding) {
    match finding.rule.id {
        "DBR-OBSOLETE" => {
            drafts.add("leave the Docker bridge out", |plan| plan.docker_bridge = None)
        }
        rule if rule.starts_with("DBR-") && drafts.plan.target == Target::V2 => {
            drafts.add("leave the Docker bridge out", |plan| plan.docker_bridge = None);
        }
        "POD-MODE" => drafts.add("leave the pod range out", |plan| plan.pod_cidr = None),
        "NET-KUBENET" => {
            drafts.add("move to Azure CNI overlay", to_overlay);
            drafts.add("move to Azure CNI overlay with another pod range", |plan| {
                to_overlay(plan);
                plan.pod_cidr = None;
            });
        }
        "NET-NPM" if drafts.plan.plugin == Plugin::Azure => {
            drafts.add("move to Cilium", |plan| {
                plan.network_policy = Some(NetworkPolicy::Cilium);
                plan.dataplane = Some(Dataplane::Cilium);
            });
        }
        "NET-NPM" => {
            drafts.add("move to Calico", |plan| plan.network_policy = Some(NetworkPolicy::Calico));
        }
        "V1-RETIRED" => drafts.add("move to target v2", |plan| {
            plan.target = Target::V2;
            plan.channel = Channel::Arm;
            plan.docker_bridge = None;
            if plan.identity.kind == IdentityType::ServicePrincipal {
                plan.identity.kind = IdentityType::UserAssigned;
            }
        }),
        _ => {}
    }
}
