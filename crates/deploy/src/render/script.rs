//! The same by `az` and by the Python SDK. An internal load balancer is asked for there, never in
//! the studio.

use std::fmt::Write as _;

use super::azureml;
use super::names::{AZUREML_NAMESPACE, Names};
use crate::addr::show_v4;
use crate::plan::facts::Facts;
use crate::plan::{Mode, Target};

/// Text as one word of a POSIX shell.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Text as a Python literal: JSON's escapes are Python's.
fn python(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

const HEAD: &str = "\
#!/bin/sh
# Made by `bartizan aks render`. Deploys arm/main.json, then attaches what ARM does not.
set -eu
here=$(CDPATH= cd -- \"$(dirname -- \"$0\")\" && pwd)
";

pub(super) fn az(facts: &Facts<'_>, names: &Names) -> String {
    let plan = facts.plan;
    let mut out = HEAD.to_owned();
    let group = quoted(&names.group);
    if let Some(subscription) = &plan.subscription {
        let _ = writeln!(out, "az account set --subscription {}", quoted(subscription));
    }
    let region = quoted(&plan.region);
    if plan.mode == Mode::Create {
        let _ = writeln!(out, "az group create --name {group} --location {region} --output none");
        if names.vnet_group != names.group && plan.vnet.is_some() {
            let network = quoted(&names.vnet_group);
            let _ =
                writeln!(out, "az group create --name {network} --location {region} --output none");
        }
    }
    let _ = writeln!(
        out,
        "az deployment group create --resource-group {group} --name bartizan \\\n    \
         --template-file \"$here/../arm/main.json\" \"$@\" --output none"
    );
    if facts.is_azureml && plan.target == Target::V2 {
        out.push_str(
            "\n# The same extension and compute, one by one, for a cluster that is there:\n",
        );
        out.push_str(&extension(facts, names));
        let workspace = quoted(&names.workspace);
        let workspace_group = quoted(&names.workspace_group);
        let _ = writeln!(
            out,
            "# az ml compute attach --type Kubernetes --identity-type SystemAssigned \\\n#     \
             --resource-group {workspace_group} --workspace-name {workspace} --name {} \\\n#     \
             --namespace {AZUREML_NAMESPACE} \\\n#     --resource-id \"$(az aks show \
             --resource-group {group} --name {} --query id --output tsv)\"",
            quoted(&names.compute),
            quoted(&names.cluster),
        );
    }
    if plan.serving.is_some() {
        let cluster = quoted(&names.cluster);
        let _ = writeln!(
            out,
            "\n# From a machine that reaches the API server:\n\
             # az aks get-credentials --resource-group {group} --name {cluster}\n\
             # kubectl apply --kustomize \"$here/../k8s\""
        );
    }
    out
}

fn extension(facts: &Facts<'_>, names: &Names) -> String {
    let mut out = format!(
        "# az k8s-extension create --name azureml --extension-type Microsoft.AzureML.Kubernetes \
         \\\n#     --cluster-type managedClusters --cluster-name {} --resource-group {} \\\n#     \
         --scope cluster --release-namespace {AZUREML_NAMESPACE} \\\n#     --config",
        quoted(&names.cluster),
        quoted(&names.group)
    );
    let settings = azureml::settings(facts);
    let mut pairs: Vec<String> = settings
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort_unstable();
    for pair in pairs {
        let _ = write!(out, " \\\n#         {}", quoted(&pair));
    }
    out.push('\n');
    out
}

/// The Python snippet: empty where no workspace is attached.
pub(super) fn sdk(facts: &Facts<'_>, names: &Names) -> String {
    if !facts.is_azureml {
        return String::new();
    }
    match facts.plan.target {
        Target::V1 => sdk_v1(facts, names),
        Target::V2 => sdk_v2(facts, names),
    }
}

fn sdk_v2(facts: &Facts<'_>, names: &Names) -> String {
    let subscription = match &facts.plan.subscription {
        Some(subscription) => python(subscription),
        None => "os.environ[\"AZURE_SUBSCRIPTION_ID\"]".to_owned(),
    };
    let (group, cluster) = (python(&names.group), python(&names.cluster));
    format!(
        "\"\"\"Made by `bartizan aks render`: attaches the cluster to the workspace (azure-ai-ml).\n\n\
         The internal load balancer is a setting of the extension (internalLoadBalancerProvider=azure\n\
         in arm/main.json and az/deploy.sh); the studio has no field for it.\n\"\"\"\n\n\
         import os\n\n\
         from azure.ai.ml import MLClient\n\
         from azure.ai.ml.entities import IdentityConfiguration, KubernetesCompute\n\
         from azure.identity import DefaultAzureCredential\n\n\
         SUBSCRIPTION = {subscription}\n\
         CLUSTER_ID = (\n    f\"/subscriptions/{{SUBSCRIPTION}}/resourceGroups/\"\n    + {group}\n    \
         + \"/providers/Microsoft.ContainerService/managedClusters/\"\n    + {cluster}\n)\n\n\
         client = MLClient(\n    DefaultAzureCredential(),\n    subscription_id=SUBSCRIPTION,\n    \
         resource_group_name={},\n    workspace_name={},\n)\n\
         compute = KubernetesCompute(\n    name={},\n    resource_id=CLUSTER_ID,\n    \
         namespace={},\n    identity=IdentityConfiguration(type=\"SystemAssigned\"),\n)\n\
         client.compute.begin_create_or_update(compute).result()\n",
        python(&names.workspace_group),
        python(&names.workspace),
        python(&names.compute),
        python(AZUREML_NAMESPACE),
    )
}

fn sdk_v1(facts: &Facts<'_>, names: &Names) -> String {
    let plan = facts.plan;
    let mut arguments = vec![
        format!("location={}", python(&plan.region)),
        format!("agent_count={}", facts.nodes().0),
        format!("vm_size={}", python(super::cluster::vm_size(plan))),
    ];
    let attach = plan.mode == Mode::Attach || super::cluster::is_ours(facts);
    if attach {
        arguments = vec![
            format!("resource_group={}", python(&names.group)),
            format!("cluster_name={}", python(&names.cluster)),
        ];
    } else if let (Some(subnet), Some(_)) = (&plan.node_subnet, &plan.vnet) {
        let service = facts.service.map(|net| net.to_string()).unwrap_or_default();
        let dns = facts.dns.map(show_v4).unwrap_or_default();
        let docker = plan.docker_bridge.clone().unwrap_or_default();
        for (key, value) in [
            ("vnet_name", names.vnet.as_str()),
            ("vnet_resourcegroup_name", &names.vnet_group),
            ("subnet_name", subnet),
            ("service_cidr", &service),
            ("dns_service_ip", &dns),
            ("docker_bridge_cidr", &docker),
        ] {
            arguments.push(format!("{key}={}", python(value)));
        }
    }
    if facts.is_lb_internal() {
        arguments.push("load_balancer_type=\"InternalLoadBalancer\"".to_owned());
        if let Some(subnet) = plan.lb.subnet.as_ref().or(plan.node_subnet.as_ref()) {
            arguments.push(format!("load_balancer_subnet={}", python(subnet)));
        }
    }
    let call = if attach { "attach_configuration" } else { "provisioning_configuration" };
    let act = if attach { "attach" } else { "create" };
    format!(
        "\"\"\"Made by `bartizan aks render`: the compute of Azure ML v1 (azureml-core).\"\"\"\n\n\
         from azureml.core import Workspace\n\
         from azureml.core.compute import AksCompute, ComputeTarget\n\n\
         workspace = Workspace.from_config()\n\
         configuration = AksCompute.{call}(\n    {},\n)\n\
         compute = ComputeTarget.{act}(workspace, {}, configuration)\n\
         compute.wait_for_completion(show_output=True)\n",
        arguments.join(",\n    "),
        python(&names.compute),
    )
}
