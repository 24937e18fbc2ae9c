//! Rules about how many: nodes, pods, addresses.

use super::Sink;
use crate::plan::facts::{Facts, SUBNET_RESERVED};
use crate::plan::{Plugin, PodAllocation};
use crate::rules::table as rule;

/// Pods a node that AKS takes.
pub(crate) const PODS_A_NODE: std::ops::RangeInclusive<u32> = 10..=250;
/// Pods for which each pool must have room.
pub(crate) const PODS_A_POOL_MIN: u64 = 30;

/// Most nodes of a cluster with this plugin (aks concepts-network-azure-cni-overlay.md).
pub(crate) fn nodes_max(plugin: Plugin) -> u64 {
    match plugin {
        Plugin::Kubenet => 400,
        Plugin::Azure | Plugin::None => 5_000,
    }
}

pub(super) fn check(facts: &Facts<'_>, sink: &mut Sink) {
    node_subnet(facts, sink);
    pod_subnet(facts, sink);
    pod_range(facts, sink);
    pools(facts, sink);
}

/// Addresses of a subnet that are left for its users.
fn usable(size: u128) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX).saturating_sub(SUBNET_RESERVED)
}

fn node_subnet(facts: &Facts<'_>, sink: &mut Sink) {
    let Some((idx, net)) = facts.node.and_then(|idx| Some((idx, facts.subnets[idx]?))) else {
        return;
    };
    let name = &facts.plan.subnets[idx].name;
    let (least, with_surge) = facts.node_addresses();
    let (usable, path) = (usable(net.size()), format!("subnets[{idx}].cidr"));
    let short = |needed: u64| {
        format!(
            "subnet `{name}` {net} has {usable} usable addresses, {needed} are needed: {} are \
             missing",
            needed - usable
        )
    };
    if usable < least {
        sink.add(rule::SIZE_NODES, path, short(least));
    } else if usable < with_surge {
        sink.add(rule::SIZE_SURGE, path, format!("while an upgrade runs: {}", short(with_surge)));
    }
}

fn pod_subnet(facts: &Facts<'_>, sink: &mut Sink) {
    let Some((idx, net)) = facts.pod.and_then(|idx| Some((idx, facts.subnets[idx]?))) else {
        return;
    };
    let (usable, needed) = (usable(net.size()), facts.pod_addresses());
    if usable < needed {
        let name = &facts.plan.subnets[idx].name;
        let allocation = facts.plan.pod_allocation.unwrap_or(PodAllocation::Dynamic).as_str();
        let message = format!(
            "pod subnet `{name}` {net} has {usable} usable addresses, {allocation} allocation \
             needs {needed}: {} are missing",
            needed - usable
        );
        sink.add(rule::SIZE_PODS, format!("subnets[{idx}].cidr"), message);
    }
}

fn pod_range(facts: &Facts<'_>, sink: &mut Sink) {
    let Some(net) = facts.pods.filter(|_| facts.has_node_blocks()) else { return };
    let blocks = u64::try_from(net.size() / 256).unwrap_or(u64::MAX);
    let (least, with_surge) = facts.nodes();
    let short = |nodes: u64| {
        format!(
            "{net} has {blocks} blocks of /24, {nodes} nodes take one each: {} are missing",
            nodes - blocks
        )
    };
    if blocks < least {
        sink.add(rule::POD_SIZE, "podCidr", short(least));
    } else if blocks < with_surge {
        sink.add(
            rule::POD_SURGE,
            "podCidr",
            format!("while an upgrade runs: {}", short(with_surge)),
        );
    }
}

fn pools(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    for (idx, pool) in plan.pools.iter().enumerate() {
        let pods = facts.max_pods(pool);
        if !PODS_A_NODE.contains(&pods) {
            let message =
                format!("pool `{}` has {pods} pods a node, AKS takes 10 to 250", pool.name);
            sink.add(rule::PODS_RANGE, format!("pools[{idx}].maxPods"), message);
        }
    }
    if !sink.has(rule::PODS_RANGE) {
        for (idx, pool) in plan.pools.iter().enumerate() {
            let pods = u64::from(facts.max_pods(pool)) * u64::from(pool.count);
            if pods < PODS_A_POOL_MIN {
                let message = format!(
                    "pool `{}` has room for {pods} pods, {PODS_A_POOL_MIN} are needed",
                    pool.name
                );
                sink.add(rule::PODS_MIN30, format!("pools[{idx}].maxPods"), message);
            }
        }
    }
    let (nodes, _) = facts.nodes();
    let nodes_max = nodes_max(plan.plugin);
    if nodes_max < nodes {
        let plugin = plan.plugin.as_str();
        let message = format!("{nodes} nodes, {plugin} carries {nodes_max}");
        sink.add(rule::NODES_MAX, "pools", message);
    }
}
