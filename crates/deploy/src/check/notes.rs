//! What the plan does not say, and remarks that are no findings.

use super::{Report, Unknown};
use crate::addr::show_v4;
use crate::plan::facts::Facts;
use crate::plan::{Mode, Target};
use crate::role::{Scope, scope};

pub(super) fn note(facts: &Facts<'_>, report: &mut Report) {
    network(facts, report);
    parts(facts, report);
    remarks(facts, report);
}

fn unknown(report: &mut Report, path: &str, what: &str) {
    let (path, what) = (path.to_owned(), what.to_owned());
    report.unknown.push(Unknown { path, what, is_needed: false });
}

fn network(facts: &Facts<'_>, report: &mut Report) {
    let plan = facts.plan;
    let Some(vnet) = &plan.vnet else {
        let what = "no network is given, so AKS makes its own: subnets, peers and roles were not \
                    checked";
        return unknown(report, "vnet", what);
    };
    if vnet.peerings.is_none() {
        let what = "no peers are given, which is not the same as no peers: VNET-PEER, SVC-PEER \
                    and POD-EXTERNAL were not checked against any; write peerings = [] if there \
                    are none";
        unknown(report, "vnet.peerings", what);
    }
    if vnet.on_prem.is_none() {
        let what = "no ranges on premises are given: VNET-ONPREM, SVC-ONPREM and POD-EXTERNAL \
                    were not checked against any; write onPrem = [] if there are none";
        unknown(report, "vnet.onPrem", what);
    }
    if plan.identity.roles.is_none() {
        let what = "no role assignments are given: RBAC-MISSING and RBAC-SCOPE were not checked";
        unknown(report, "identity.roles", what);
    }
    let endpoints = plan.workspace.as_ref().map(|workspace| &workspace.private_endpoint_vnets);
    if facts.is_azureml && endpoints.is_none_or(Option::is_none) {
        let what = "it is not said where the workspace has private endpoints: ML-REGION and \
                    ML-VNET were not checked";
        unknown(report, "workspace.privateEndpointVnets", what);
    }
}

/// What must be known before a plan can be called clean.
fn parts(facts: &Facts<'_>, report: &mut Report) {
    let plan = facts.plan;
    let mut need = |path: String, what: &str| {
        report.unknown.push(Unknown { path, what: what.to_owned(), is_needed: true });
    };
    if let Some(vnet) = &plan.vnet {
        if vnet.address_space.is_empty() {
            need(
                "vnet.addressSpace".into(),
                "the network has no range: `aks plan --auto` finds one",
            );
        }
        if plan.node_subnet.is_none() {
            need("nodeSubnet".into(), "it is not said in which subnet the nodes are");
        }
        for (idx, peer) in vnet.peerings.iter().flatten().enumerate() {
            if peer.address_space.is_empty() {
                let path = format!("vnet.peerings[{idx}].addressSpace");
                need(path, "the peer has no range, so that nothing was checked against it");
            }
        }
    }
    for (idx, subnet) in plan.subnets.iter().enumerate() {
        if subnet.cidr.is_none() {
            let what = "the subnet has no range: `aks plan --auto` allocates one";
            need(format!("subnets[{idx}].cidr"), what);
        }
    }
    for (path, names) in [
        ("subnets", plan.subnets.iter().map(|subnet| subnet.name.as_str()).collect::<Vec<_>>()),
        ("pools", plan.pools.iter().map(|pool| pool.name.as_str()).collect()),
    ] {
        let mut sorted = names.clone();
        sorted.sort_unstable();
        if let Some(twin) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let idx = names.iter().rposition(|name| *name == twin[0]).unwrap_or(0);
            let path = format!("{path}[{idx}].name");
            need(path, "the name stands twice, so that it is not clear which is meant");
        }
    }
    if plan.pools.is_empty() {
        need("pools".into(), "no node pool is given: sizes were not checked");
    }
    if plan.mode == Mode::Attach && plan.cluster_id.is_none() {
        need("clusterId".into(), "mode is attach, and the cluster is not named");
    }
    for (idx, role) in plan.identity.roles.iter().flatten().enumerate() {
        if plan.vnet.is_some() && scope(facts, &role.scope) == Scope::Elsewhere {
            let known = plan.subnets.iter().map(|subnet| subnet.name.as_str());
            let near = crate::read::nearest(&role.scope, known.chain(["resourceGroup", "vnet"]));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let what = format!("`{}` is no scope of this plan{near}", role.scope);
            let is_needed = !role.scope.starts_with('/');
            let path = format!("identity.roles[{idx}].scope");
            report.unknown.push(Unknown { path, what, is_needed });
        }
    }
}

fn remarks(facts: &Facts<'_>, report: &mut Report) {
    if let (Some(service), Some(dns)) = (facts.service, facts.dns)
        && service.contains_address(dns)
        && let Some(tenth) = service.host(10).filter(|tenth| *tenth != dns)
    {
        report.notes.push(format!(
            "dnsServiceIp {}: the tenth address, {}, is usual",
            show_v4(dns),
            show_v4(tenth)
        ));
    }
    for ranged in &facts.authorized {
        if !ranged.net.is_network() {
            let network = ranged.net.network();
            report.notes.push(format!("{}: write {network}, without host bits", ranged.path));
        }
    }
    if facts.service.is_some_and(|net| net.prefix() == 12) {
        report.notes.push(
            "serviceCidr is a /12: Microsoft says smaller than /12, Kubernetes takes it".to_owned(),
        );
    }
    let has_v6 = facts.vnet.iter().chain(&facts.peers).chain(&facts.on_prem);
    if has_v6.into_iter().any(|ranged| ranged.net.is_v6()) {
        report.notes.push("IPv6 ranges were compared with each other only".to_owned());
    }
    if facts.plan.target == Target::V1 {
        report.notes.push(
            "role scope: Azure ML v1 asks for the network's resource group, AKS for the subnets \
             (and the network for a load balancer in another subnet); both are right for their own \
             check"
                .to_owned(),
        );
    }
}
