//! A virtual network as ARM and `az network vnet show` write it.

use super::draft::{Draft, last_part};
use crate::read::{Data, Node, Pos};

/// `az network vnet show`.
pub(super) fn read(tree: &Node, draft: &mut Draft) {
    network(tree, tree, draft);
    draft.set_from("vnet.resourceGroup", tree.get("resourceGroup"));
}

/// A network: `resource` has name and location, `properties` the rest.
pub(super) fn network(resource: &Node, properties: &Node, draft: &mut Draft) {
    draft.set_name("vnet.name", resource.get("name"));
    draft.set_from("vnet.region", resource.get("location"));
    draft.set_from("vnet.addressSpace", properties.dig(&["addressSpace", "addressPrefixes"]));
    draft.set_from("hardening.customDns", properties.dig(&["dhcpOptions", "dnsServers"]));
    for one in properties.get("subnets").map(Node::items).unwrap_or_default() {
        subnet(one, one.get("properties").unwrap_or(one), draft);
    }
    if let Some(peerings) = properties.get("virtualNetworkPeerings").filter(|node| !node.is_null())
    {
        if peerings.items().is_empty() {
            draft.set("vnet.peerings", &Node::new(peerings.at, Data::List(Vec::new())));
        }
        for one in peerings.items() {
            peering(one.get("properties").unwrap_or(one), draft);
        }
    }
}

/// A peering: a name and the other side's ranges.
pub(super) fn peering(properties: &Node, draft: &mut Draft) {
    let Some(remote) = properties.dig(&["remoteVirtualNetwork", "id"]) else { return };
    let idx = draft.get(&["vnet", "peerings"]).map_or(0, |peers| peers.items().len());
    draft.set_name("vnet.peerings[+].name", Some(remote));
    let ranges = properties
        .dig(&["remoteAddressSpace", "addressPrefixes"])
        .or_else(|| properties.dig(&["remoteVirtualNetworkAddressSpace", "addressPrefixes"]));
    draft.set_from(&format!("vnet.peerings[{idx}].addressSpace"), ranges);
}

/// A subnet.
pub(super) fn subnet(resource: &Node, properties: &Node, draft: &mut Draft) {
    let Some(name) = resource.get("name").and_then(Node::text) else {
        if let Some(name) = resource.get("name") {
            draft.set("subnets", name);
        }
        return;
    };
    let idx = draft.subnet(last_part(name), resource.at);
    let at = |key: &str| format!("subnets[{idx}].{key}");
    let listed = properties.get("addressPrefixes").and_then(|list| list.items().first());
    let is_set = |node: &&Node| !node.is_null();
    draft.set_from(&at("cidr"), properties.get("addressPrefix").filter(is_set).or(listed));
    let delegation = properties.get("delegations").and_then(|list| list.items().first());
    let service = delegation
        .and_then(|one| one.dig(&["properties", "serviceName"]).or_else(|| one.get("serviceName")));
    draft.set_from(&at("delegation"), service);
    if let Some(gateway) = properties.get("natGateway").filter(is_set) {
        draft.set(&at("natGateway"), &Node::new(gateway.at, Data::Bool(true)));
    }
    if let Some(table) = properties.get("routeTable").filter(is_set) {
        let name = table.get("id").and_then(Node::text).map(last_part).unwrap_or_default();
        draft.set_text(&at("routeTable.defaultNextHop"), table.at, &format!("table:{name}"));
    }
}

/// Replaces the names of route tables by what their default route points at, where that is known.
pub(super) fn settle_routes(tables: &[(String, Option<Node>)], draft: &mut Draft) {
    let subnets: Vec<(usize, Pos, String)> = draft
        .get(&["subnets"])
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .enumerate()
        .filter_map(|(idx, subnet)| {
            let hop = subnet.dig(&["routeTable", "defaultNextHop"])?;
            Some((idx, hop.at, hop.text()?.strip_prefix("table:")?.to_owned()))
        })
        .collect();
    for (idx, at, table) in subnets {
        let path = format!("subnets[{idx}].routeTable.defaultNextHop");
        match tables.iter().find(|(name, _)| *name == table) {
            Some((_, Some(hop))) => draft.set(&path, hop),
            Some((_, None)) => {
                let empty = Node::new(at, Data::Map(Vec::new()));
                draft.set(&format!("subnets[{idx}].routeTable"), &empty);
            }
            None => {
                let what = format!(
                    "the routes of table `{table}` are not in the files: OUT-NOROUTE and \
                     OUT-INTERNET were not checked"
                );
                draft.say(&path, what);
                draft.set_text(&path, at, "Unknown");
            }
        }
    }
}

/// What the default route among `routes` points at.
pub(super) fn default_hop(routes: Option<&Node>) -> Option<Node> {
    let routes = routes.map(Node::items).unwrap_or_default();
    routes.iter().find_map(|route| {
        let properties = route.get("properties").unwrap_or(route);
        let prefix = properties.get("addressPrefix").or(properties.get("address_prefix"))?;
        let hop = properties.get("nextHopType").or(properties.get("next_hop_type"))?;
        (prefix.text() == Some("0.0.0.0/0")).then(|| hop.clone())
    })
}
