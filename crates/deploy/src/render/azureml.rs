//! Azure ML: the v1 compute with its network settings, or the v2 extension and compute.

use serde_json::{Value, json};

use super::arm::{is_made_by_azureml, network_dependency};
use super::cluster::vm_size;
use super::names::{AZUREML_NAMESPACE, Names};
use crate::addr::show_v4;
use crate::plan::facts::Facts;
use crate::plan::{Mode, Target};

const AML_API: &str = "2026-05-01";
const EXTENSION_API: &str = "2023-05-01";
const EXTENSION_NAME: &str = "azureml";
/// The inference router's three replicas need as many nodes.
const NODES_FOR_HA: u64 = 3;

pub(super) fn resources(facts: &Facts<'_>, names: &Names) -> Vec<Value> {
    match facts.plan.target {
        Target::V1 => vec![placed(compute_v1(facts, names), names)],
        Target::V2 => {
            vec![extension(facts, names), placed(compute_v2(facts, names), names)]
        }
    }
}

/// A compute stands in the workspace's resource group.
fn placed(compute: Value, names: &Names) -> Value {
    if names.workspace_group == names.group {
        return compute;
    }
    let depends = compute["dependsOn"].clone();
    let mut inner = compute;
    if let Some(object) = inner.as_object_mut() {
        object.remove("dependsOn");
    }
    json!({
        "type": "Microsoft.Resources/deployments", "apiVersion": "2024-03-01", "name": "azureml",
        "resourceGroup": names.workspace_group, "dependsOn": depends,
        "properties": {"mode": "Incremental", "template": {
            "$schema":
                "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0", "resources": [inner],
        }},
    })
}

/// The v1 compute. Its network settings are whole or absent: subnet id (which names network,
/// resource group and subnet), service range, DNS and Docker bridge.
fn compute_v1(facts: &Facts<'_>, names: &Names) -> Value {
    let plan = facts.plan;
    let (nodes, _) = facts.nodes();
    let mut settings = json!({"clusterPurpose": "FastProd"});
    if is_made_by_azureml(facts) {
        settings["agentCount"] = json!(nodes);
        settings["agentVmSize"] = json!(vm_size(plan));
    }
    if let (Some(subnet), Some(_)) = (&plan.node_subnet, &plan.vnet) {
        settings["aksNetworkingConfiguration"] = json!({
            "subnetId": names.subnet_id(subnet),
            "serviceCidr": facts.service.map(|net| net.to_string()),
            "dnsServiceIP": facts.dns.map(show_v4),
            "dockerBridgeCidr": plan.docker_bridge,
        });
    }
    if facts.is_lb_internal() {
        settings["loadBalancerType"] = json!("InternalLoadBalancer");
        let subnet = plan.lb.subnet.as_ref().or(plan.node_subnet.as_ref());
        settings["loadBalancerSubnet"] = json!(subnet);
    } else {
        settings["loadBalancerType"] = json!("PublicIp");
    }
    if let Some(cname) = plan.workspace.as_ref().and_then(|ws| ws.tls_cname.as_ref()) {
        settings["sslConfiguration"] = json!({"cname": cname, "status": "Enabled"});
    }
    let mut properties = json!({
        "computeType": "AKS", "computeLocation": plan.region, "properties": settings,
    });
    let mut depends = Vec::new();
    if is_made_by_azureml(facts) {
        if plan.vnet.is_some() {
            depends.push(network_dependency(names));
        }
    } else {
        properties["resourceId"] = json!(names.cluster_id());
        depends.extend(cluster_dependency(facts, names));
    }
    compute(facts, names, &properties, &depends)
}

fn cluster_dependency(facts: &Facts<'_>, names: &Names) -> Option<String> {
    (facts.plan.mode == Mode::Create).then(|| names.cluster_id())
}

fn compute(facts: &Facts<'_>, names: &Names, properties: &Value, depends: &[String]) -> Value {
    let region = facts.plan.workspace.as_ref().and_then(|ws| ws.region.as_ref());
    json!({
        "type": "Microsoft.MachineLearningServices/workspaces/computes", "apiVersion": AML_API,
        // An expression: the schema's pattern of names knows no parent.
        "name": format!("[concat('{}', '/', '{}')]", names.workspace, names.compute),
        "location": region.unwrap_or(&facts.plan.region),
        "dependsOn": depends, "properties": properties,
    })
}

fn extension(facts: &Facts<'_>, names: &Names) -> Value {
    let settings = settings(facts);
    json!({
        "type": "Microsoft.KubernetesConfiguration/extensions", "apiVersion": EXTENSION_API,
        "name": EXTENSION_NAME,
        "scope": format!("Microsoft.ContainerService/managedClusters/{}", names.cluster),
        "dependsOn": cluster_dependency(facts, names).into_iter().collect::<Vec<_>>(),
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "autoUpgradeMinorVersion": true,
            "configurationSettings": settings,
            "extensionType": "Microsoft.AzureML.Kubernetes",
            "releaseTrain": "Stable",
            "scope": {"cluster": {"releaseNamespace": AZUREML_NAMESPACE}},
        },
    })
}

/// The extension's settings, as ARM, `az` and the extension itself take them: texts.
pub(super) fn settings(facts: &Facts<'_>) -> Value {
    let workspace = facts.plan.workspace.clone().unwrap_or_default();
    let (nodes, _) = facts.nodes();
    let text = |value: bool| if value { "True" } else { "False" };
    let is_open = workspace.allow_insecure_connections.unwrap_or(false);
    let has_ha = workspace.router_ha.unwrap_or(NODES_FOR_HA <= nodes);
    let mut settings = json!({
        "allowInsecureConnections": text(is_open),
        "enableInference": "True",
        "enableTraining": "False",
        "inferenceRouterHA": text(has_ha),
        "inferenceRouterServiceType": "loadBalancer",
    });
    if facts.is_lb_internal() {
        settings["internalLoadBalancerProvider"] = json!("azure");
    }
    if !is_open {
        let secret = workspace.tls_secret.as_deref().unwrap_or("azureml-fe-tls");
        settings["sslSecret"] = json!(secret);
        if let Some(cname) = &workspace.tls_cname {
            settings["sslCname"] = json!(cname);
        }
    }
    settings
}

fn compute_v2(facts: &Facts<'_>, names: &Names) -> Value {
    let extension = format!(
        "[extensionResourceId({}, 'Microsoft.KubernetesConfiguration/extensions', \
         '{EXTENSION_NAME}')]",
        names.cluster_id().trim_matches(['[', ']'])
    );
    let mut value = compute(
        facts,
        names,
        &json!({
            "computeType": "Kubernetes", "resourceId": names.cluster_id(),
            "properties": {"defaultInstanceType": "defaultinstancetype",
                "namespace": AZUREML_NAMESPACE},
        }),
        &[extension],
    );
    value["identity"] = json!({"type": "SystemAssigned"});
    value
}
