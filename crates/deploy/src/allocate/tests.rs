//! AL1, AL2 and AL3: against brute force on small spaces, and on whole plans.

use proptest::prelude::*;

use super::pack::{Request, is_free, pack, unplaced};
use super::*;
use crate::addr::{Net, RangeSet};
use crate::check::Strictness;
use crate::check::tests::{changed, plan_of};

/// Whether some choice of aligned blocks of these prefixes is free and disjoint, by trying all.
fn exists(free: &RangeSet, space: &Net, prefixes: &[u8]) -> bool {
    let Some((prefix, rest)) = prefixes.split_first() else { return true };
    let step = 1_u32 << (32 - prefix);
    let n = u32::try_from(space.size()).unwrap() / step;
    (0..n).any(|idx| {
        let net = Net::at(u32::try_from(space.first()).unwrap() + idx * step, *prefix);
        is_free(free, &net) && {
            let mut left = free.clone();
            left.remove(&net);
            exists(&left, space, rest)
        }
    })
}

const SPACE: Net = Net::v4(10, 1, 0, 0, 26);

fn taken() -> impl Strategy<Value = Vec<Net>> {
    let net = (0_u32..64, 28_u8..=31)
        .prop_map(|(at, prefix)| Net::at(0x0a01_0000 + at, prefix).network());
    proptest::collection::vec(net, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// AL3: a packing is found exactly when one exists, and it is free and disjoint.
    #[test]
    fn a_packing_is_found_if_and_only_if_one_exists(
        taken in taken(),
        least in proptest::collection::vec(27_u8..=30, 1..4),
    ) {
        let mut free = RangeSet::of(&[SPACE]);
        for net in &taken {
            free.remove(net);
        }
        let requests: Vec<Request> = least
            .iter()
            .enumerate()
            .map(|(idx, least)| Request {
                name: format!("s{idx}"),
                least: *least,
                wanted: least - 1,
                preferred: None,
            })
            .collect();
        let found = pack(&free, &requests);
        prop_assert_eq!(found.is_some(), exists(&free, &SPACE, &least));
        prop_assert_eq!(found.is_some(), unplaced(&free, &requests).is_empty());
        let mut left = free;
        for (net, request) in found.unwrap_or_default().iter().zip(&requests) {
            prop_assert!(is_free(&left, net), "{net} is taken");
            prop_assert!(request.wanted <= net.prefix() && net.prefix() <= request.least);
            left.remove(net);
        }
    }

    /// AL1, AL2 and AL3 on whole plans: clean, or proven impossible by trying every layout.
    #[test]
    fn a_plan_is_allocated_clean_or_impossible(
        taken in taken(),
        nodes in 1_u32..40,
        surge in 0_u32..4,
        is_flat in any::<bool>(),
        has_api in any::<bool>(),
    ) {
        let mut plan = plan_of(&changed(
            "/vnet/addressSpace=[\"10.1.0.0/26\"]; /subnets=[]; /serviceCidr=; /dnsServiceIp=; \
             /podCidr=; /lb={\"type\":\"internal\"}; /workspace="));
        plan.profile = Some(crate::plan::Profile::Standalone);
        plan.pools.truncate(1);
        plan.pools[0].count = nodes;
        plan.pools[0].max_pods = Some(if is_flat { 30 } else { 110 });
        plan.pools[0].max_surge = Some(crate::plan::Surge::Nodes(surge));
        if is_flat {
            plan.plugin_mode = None;
        }
        plan.private_cluster.api_server_vnet_integration = has_api;
        let mut free = RangeSet::of(&[SPACE]);
        let mut apart = RangeSet::default();
        for (idx, net) in taken.iter().filter(|net| net.prefix() <= 29).enumerate() {
            if !is_free(&free, net) {
                continue;
            }
            free.remove(net);
            apart.insert(net);
            plan.subnets.push(crate::plan::Subnet {
                name: format!("t{idx}"),
                cidr: Some(net.to_string()),
                ..Default::default()
            });
        }
        let each = if is_flat { 31 } else { 1 };
        let node = u64::from(nodes + surge) * each + u64::from(!has_api) + 5;
        let mut prefixes = vec![super::pack::prefix_for(node.max(8)), 29];
        if has_api {
            prefixes.push(28);
        }
        prefixes.sort_unstable();
        let is_possible = prefixes[0] >= 26 && exists(&free, &SPACE, &prefixes);
        match auto(&plan) {
            Ok(allocation) => {
                prop_assert!(is_possible);
                let report = crate::check::check_plan(&allocation.plan);
                prop_assert_eq!(report.ids(), Vec::<&str>::new());
                prop_assert_eq!(report.verdict(Strictness::Usual), Verdict::Clean);
                let mut reversed = plan.clone();
                reversed.subnets.reverse();
                let mut again = auto(&reversed).unwrap().plan;
                let mut first = allocation.plan;
                first.subnets.sort_by(|a, b| a.name.cmp(&b.name));
                again.subnets.sort_by(|a, b| a.name.cmp(&b.name));
                prop_assert_eq!(first, again);
            }
            Err(AllocateError::NoRoom(shortages)) => {
                prop_assert!(!is_possible, "{shortages:?}");
                prop_assert!(shortages.iter().all(|short| short.largest_free < short.needs));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

/// From almost nothing to a clean plan, for both options of the mission, explained.
#[test]
fn both_options_come_from_region_and_pools() {
    for door in ["", "privateCluster.enabled = true\nprivateCluster.publicFqdn = false\n"] {
        for target in ["v1", "v2"] {
            let text = format!(
                "region = \"westeurope\"\ntarget = \"{target}\"\npluginMode = \"overlay\"\n\
                 networkPolicy = \"calico\"\n{door}[workspace]\n[[pools]]\nname = \"a\"\ncount = 5\n"
            );
            let reading = crate::plan::read(text.as_bytes(), crate::read::Format::Toml).unwrap();
            let allocation = auto(&reading.plan).unwrap_or_else(|error| panic!("{text}{error}"));
            let plan = &allocation.plan;
            let report = crate::check::check_plan(plan);
            assert_eq!(report.verdict(Strictness::Usual), Verdict::Clean, "{:?}", report.ids());
            assert_eq!(plan.service_cidr.as_deref(), Some("10.0.0.0/16"));
            assert_eq!(plan.dns_service_ip.as_deref(), Some("10.0.0.10"));
            assert!(plan.subnets.iter().all(|subnet| subnet.cidr.is_some()));
            assert!(plan.lb.ip.is_some());
            assert_eq!(plan.identity.roles.as_ref().map(Vec::len), Some(1));
            assert_eq!(plan.docker_bridge.is_some(), target == "v1");
            assert!(allocation.lines.iter().any(|line| line.contains("subnet aks: ")));
            assert_eq!(auto(plan).unwrap().plan, *plan, "allocating twice changes something");
        }
    }
}

#[test]
fn what_is_missing_is_said_in_addresses() {
    let plan = plan_of(&changed(
        "/pluginMode=; /podCidr=; /subnets/0/cidr=; /vnet/addressSpace=[\"10.1.0.0/19\"]; \
         /pools/1/count=100; /pools/0/maxPods=50; /pools/1/maxPods=50",
    ));
    let error = auto(&plan).unwrap_err().to_string();
    assert_eq!(
        error,
        "subnet `aks` needs a block of 8192 addresses in the network, the largest free block has \
         2048: 6144 are missing"
    );
    let plan = plan_of(&changed("/allocateFrom=[\"10.1.0.0/16\"]; /serviceCidr="));
    let error = auto(&plan).unwrap_err();
    assert!(error.to_string().contains("service range needs a block of 16 addresses"), "{error}");
    assert!(matches!(auto(&plan_of(&changed("/pools=[]"))), Err(AllocateError::NotSaid(_))));
    let plan = plan_of(&changed("/vnet/peerings/0/addressSpace/0=10.1.0.0/17"));
    assert!(matches!(auto(&plan), Err(AllocateError::Given(_))));
}

/// A DNS or load balancer address that is given fixes the range around it.
#[test]
fn given_addresses_are_kept() {
    for (changes, service, ilb) in [
        ("/serviceCidr=; /dnsServiceIp=172.20.9.9", "172.20.0.0/16", "10.1.4.0/28"),
        ("/subnets/1/cidr=; /lb/ip=10.1.200.77", "10.0.0.0/16", "10.1.200.72/29"),
    ] {
        let plan = auto(&plan_of(&changed(changes))).unwrap().plan;
        assert_eq!(plan.service_cidr.as_deref(), Some(service), "{changes}");
        assert_eq!(plan.subnets[1].cidr.as_deref(), Some(ilb), "{changes}");
    }
}
