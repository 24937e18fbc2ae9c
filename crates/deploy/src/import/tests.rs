//! IM1 and EX1.

use serde_json::json;

use super::*;
use crate::check::{Strictness, Verdict, check};
use crate::plan::Plan;
use crate::read::of_value;
use crate::render::arm_template;
use crate::render::tests::serving;

fn import(files: &[serde_json::Value]) -> Result<Imported, ImportError> {
    let texts: Vec<String> = files.iter().map(ToString::to_string).collect();
    let files: Vec<(&[u8], Format)> =
        texts.iter().map(|text| (text.as_bytes(), Format::Json)).collect();
    read(&files)
}

fn ids(imported: &Imported) -> Vec<&'static str> {
    check(&imported.reading).ids()
}

/// A template that was rendered is read back as the plan that it was rendered from.
#[test]
fn a_rendered_template_is_the_plan_again() {
    let v1 = "/target=v1; /channel=sdk; /dockerBridge=172.17.0.1/16";
    let flat = "/pluginMode=; /podCidr=; /dataplane=azure; /networkPolicy=calico; \
                /pools/0/maxPods=30; /pools/1/maxPods=30; /subnets/0/cidr=10.1.8.0/22";
    let api = "/privateCluster/apiServerVnetIntegration=true; /privateCluster/apiServerSubnet=api";
    let public = "/privateCluster={}; /authorizedIpRanges=[\"20.50.0.0/24\"]";
    let group = "/vnet/resourceGroup=rg-network";
    let nat = "/outboundType=userAssignedNATGateway; /subnets/0/natGateway=true";
    let v1_public = format!("{v1}; {public}; /subnets/0/cidr=10.1.8.0/22");
    for changes in ["", v1, flat, api, public, group, nat, v1_public.as_str()] {
        let plan = serving(changes);
        let template = arm_template(&plan).unwrap();
        let imported = import(&[template]).unwrap_or_else(|error| panic!("{changes}: {error:?}"));
        let found = &imported.reading.plan;
        assert!(
            imported.unknown.iter().all(|unknown| !unknown.is_needed),
            "{changes}: {:?}",
            imported.unknown
        );
        let network = |plan: &Plan| {
            let vnet = plan.vnet.clone().unwrap();
            let subnets: Vec<_> = plan
                .subnets
                .iter()
                .map(|subnet| {
                    (
                        subnet.name.clone(),
                        subnet.cidr.clone(),
                        subnet.delegation.clone(),
                        subnet.nat_gateway,
                        subnet
                            .route_table
                            .as_ref()
                            .and_then(|table| table.default_next_hop.clone()),
                    )
                })
                .collect();
            (vnet.name, vnet.address_space, subnets, plan.node_subnet.clone())
        };
        assert_eq!(network(found), network(&plan), "{changes}");
        let ranges = |plan: &Plan| {
            (plan.service_cidr.clone(), plan.dns_service_ip.clone(), plan.docker_bridge.clone())
        };
        assert_eq!(ranges(found), ranges(&plan), "{changes}");
        assert_eq!(found.target, plan.target, "{changes}");
        assert_eq!(found.lb.kind, plan.lb.kind, "{changes}");
        assert_eq!(found.outbound_type == plan.outbound_type, changes != v1_public, "{changes}");
        assert_eq!(ids(&imported), check_ids(&plan), "{changes}");
    }
}

fn check_ids(plan: &Plan) -> Vec<&'static str> {
    let mut ids = crate::check::check_plan(plan).ids();
    // Azure ML v1 makes its own cluster, whose door it does not describe.
    if crate::plan::facts::is_azureml(plan)
        && !plan.private_cluster.enabled
        && plan.target == crate::plan::Target::V1
    {
        ids.push("PUB-OPEN");
        ids.sort_unstable();
    }
    ids
}

fn aks_show() -> serde_json::Value {
    json!({
        "id": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks1",
        "type": "Microsoft.ContainerService/ManagedClusters", "name": "aks1",
        "location": "westeurope", "resourceGroup": "rg", "kubernetesVersion": "1.36.1",
        "identity": {"type": "SystemAssigned"}, "disableLocalAccounts": false,
        "agentPoolProfiles": [{"name": "nodepool1", "count": 3, "maxPods": 30, "mode": "System",
            "vmSize": "Standard_D4ds_v5", "enableAutoScaling": true, "minCount": 3, "maxCount": 9,
            "upgradeSettings": {"maxSurge": "10%"},
            "vnetSubnetId": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/aks"}],
        "apiServerAccessProfile": null,
        "networkProfile": {"networkPlugin": "azure", "networkPluginMode": null,
            "serviceCidr": "10.1.2.0/24", "dnsServiceIp": "10.1.2.10", "podCidr": null,
            "outboundType": "userDefinedRouting"}
    })
}

fn vnet_show() -> serde_json::Value {
    json!({
        "type": "Microsoft.Network/virtualNetworks", "name": "v", "location": "westeurope",
        "resourceGroup": "rg-net", "addressSpace": {"addressPrefixes": ["10.1.0.0/16"]},
        "subnets": [
            {"name": "aks", "addressPrefix": "10.1.0.0/25", "delegations": [],
             "routeTable": {"id": "/x/routeTables/rt1"}},
            {"name": "other", "addressPrefixes": ["10.1.2.0/24"], "delegations": []}],
        "virtualNetworkPeerings": [{"name": "to-hub", "remoteVirtualNetwork": {"id": "/x/hub"},
            "remoteAddressSpace": {"addressPrefixes": ["10.200.0.0/24"]}}]
    })
}

/// What is there is judged, and what the exports do not tell is said.
#[test]
fn az_output_is_judged() {
    let imported = import(&[aks_show(), vnet_show()]).unwrap();
    assert_eq!(ids(&imported), ["PUB-OPEN", "SIZE-NODES", "SVC-SUBNET"]);
    let said: Vec<&str> = imported.unknown.iter().map(|unknown| unknown.path.as_str()).collect();
    assert_eq!(said, ["subnets[0].routeTable.defaultNextHop", "lb"]);
    let plan = &imported.reading.plan;
    assert_eq!(plan.vnet.as_ref().unwrap().peerings.as_ref().unwrap()[0].name, "hub");
    assert_eq!(plan.pools[0].count, 9);
    assert_eq!(plan.identity.roles, None);
    let alone = import(&[aks_show()]).unwrap();
    assert!(alone.unknown.iter().any(|unknown| unknown.path == "vnet" && unknown.is_needed));
    assert!(import(&[vnet_show()]).is_err());
}

#[test]
fn terraform_is_judged() {
    let cluster = json!({
        "name": "aks1", "location": "westeurope", "resource_group_name": "rg",
        "local_account_disabled": false, "private_cluster_enabled": true,
        "private_cluster_public_fqdn_enabled": false, "private_dns_zone_id": "System",
        "default_node_pool": [{"name": "sys", "node_count": 3, "max_pods": 110,
            "vnet_subnet_id": "/x/virtualNetworks/v/subnets/aks",
            "upgrade_settings": [{"max_surge": "1"}]}],
        "network_profile": [{"network_plugin": "azure", "network_plugin_mode": "overlay",
            "pod_cidr": "10.244.0.0/24", "service_cidr": "10.0.0.0/16",
            "dns_service_ip": "10.0.0.10", "outbound_type": "userDefinedRouting"}],
        "identity": [{"type": "UserAssigned"}]
    });
    let resource = |kind: &str, values: serde_json::Value| json!({"type": kind, "values": values});
    let state = json!({
        "format_version": "1.0", "terraform_version": "1.11.4",
        "values": {"root_module": {"resources": [resource("azurerm_kubernetes_cluster", cluster)],
            "child_modules": [{"resources": [
                resource("azurerm_virtual_network", json!({"name": "v", "location": "westeurope",
                    "address_space": ["10.1.0.0/16"]})),
                resource("azurerm_subnet", json!({"name": "aks", "address_prefixes":
                    ["10.1.0.0/24"]})),
                resource("azurerm_route_table", json!({"name": "rt", "route": [{"name": "d",
                    "address_prefix": "0.0.0.0/0", "next_hop_type": "Internet"}]})),
                resource("azurerm_subnet_route_table_association", json!({
                    "subnet_id": "/x/subnets/aks", "route_table_id": "/x/routeTables/rt"})),
                resource("azurerm_role_assignment", json!({"role_definition_name":
                    "Network Contributor", "scope": "/x/y/z/q/w/e/virtualNetworks/v"})),
            ]}]}}
    });
    let imported = import(&[state]).unwrap();
    assert_eq!(ids(&imported), ["OUT-INTERNET", "POD-SIZE"]);
}

/// Other clouds and other resources are refused by name.
#[test]
fn what_is_not_aks_is_refused_by_name() {
    for (file, what) in [
        (json!({"cluster": {"arn": "arn:aws:eks:eu-west-1:1:cluster/x"}}), "AWS"),
        (json!({"selfLink": "https://container.googleapis.com/v1/x"}), "Google"),
        (json!({"type": "Microsoft.Storage/storageAccounts", "name": "x"}), "neither a cluster"),
        (
            json!({"format_version": "1.0", "values": {"root_module": {"resources": [
            {"type": "aws_eks_cluster", "values": {}}]}}}),
            "another cloud",
        ),
        (json!({"format_version": "1.0", "terraform_version": "1"}), "no values"),
        (json!({"$schema": "x/deploymentTemplate.json#", "resources": []}), "no cluster"),
        (json!([1]), "no table"),
        (json!({"apiVersion": "v1", "kind": "Pod"}), "does not go together"),
    ] {
        let error = import(std::slice::from_ref(&file)).unwrap_err().to_string();
        assert!(error.contains(what), "{file}: {error}");
    }
}

fn resolved(expression: &str, variables: &serde_json::Value) -> Option<String> {
    let variables = of_value(variables);
    let parameters = of_value(&json!({"p": {"defaultValue": "P"}, "none": {"type": "string"},
        "list": {"defaultValue": ["10.0.0.0/8"]}}));
    let scope = expression::Scope { parameters: Some(&parameters), variables: Some(&variables) };
    let node = scope.resolve(&of_value(&json!(expression)));
    let text = node.text().map(str::to_owned).unwrap_or_else(|| format!("{:?}", node.data));
    (!text.starts_with(draft::UNRESOLVED)).then_some(text)
}

/// EX1: what can be told is told, the rest is unresolved, and cycles end.
#[test]
fn expressions_are_resolved_or_named() {
    let variables = json!({"a": "x", "b": "[concat(variables('a'), '-', parameters('p'))]",
        "c": "[variables('d')]", "d": "[variables('c')]", "o": {"k": {"l": "deep"}}});
    for (expression, value) in [
        ("plain", Some("plain")),
        ("[[literal]", Some("[literal]")),
        ("[parameters('p')]", Some("P")),
        ("[variables('b')]", Some("x-P")),
        ("[variables('o').k.l]", Some("deep")),
        ("[toLower(concat('It''s ', parameters('p')))]", Some("it's p")),
        ("[format('{0}/{1}', 'v', variables('a'))]", Some("v/x")),
        (
            "[resourceId('rg', 'Microsoft.Network/virtualNetworks/subnets', 'v', 's')]",
            Some(
                "/subscriptions/this/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/s",
            ),
        ),
        ("[resourceId('Microsoft.Network/virtualNetworks/subnets', 'v')]", None),
        ("[parameters('none')]", None),
        ("[parameters('absent')]", None),
        ("[variables('c')]", None),
        ("[resourceGroup().location]", None),
        ("[concat('a'", None),
        ("[", None),
        ("[']", None),
    ] {
        assert_eq!(resolved(expression, &variables).as_deref(), value, "{expression}");
    }
    let deep = format!("[{}'x'{}]", "concat(".repeat(5_000), ")".repeat(5_000));
    assert_eq!(resolved(&deep, &variables), None);
}

/// IM1: a template whose ranges cannot be told is never clean.
#[test]
fn what_cannot_be_resolved_is_never_clean() {
    let mut template = arm_template(&serving("")).unwrap();
    for resource in template["resources"].as_array_mut().unwrap() {
        if resource["type"] == "Microsoft.Network/virtualNetworks" {
            resource["properties"]["subnets"][1]["properties"]["addressPrefix"] =
                json!("[variables('loop')]");
        }
    }
    template["variables"] = json!({"loop": "[variables('loop')]"});
    let imported = import(&[template]).unwrap();
    let unknown = &imported.unknown[0];
    assert_eq!(unknown.path, "subnets[1].cidr");
    assert!(unknown.is_needed && unknown.what.contains("variables('loop')"), "{unknown:?}");
    let report = check(&imported.reading);
    assert_ne!(report.verdict(Strictness::Usual), Verdict::Clean);
}
