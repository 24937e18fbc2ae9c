//! The cluster as an ARM resource.

use serde_json::{Value, json};

use super::arm::{identity_id, is_made_by_azureml, network_dependency};
use super::names::Names;
use crate::addr::show_v4;
use crate::plan::facts::{Facts, surge};
use crate::plan::{IdentityType, Plan, PodAllocation, Pool, PoolMode};

/// API of the cluster; the schema of the tests.
pub(super) const AKS_API: &str = "2026-05-01";
const VM_SIZE: &str = "Standard_D4ds_v5";

/// Whether this template makes the cluster: Azure ML v1 makes its own where it can.
pub(super) fn is_ours(facts: &Facts<'_>) -> bool {
    !is_made_by_azureml(facts)
}

pub(super) fn resource(facts: &Facts<'_>, names: &Names) -> Value {
    let plan = facts.plan;
    let mut depends = Vec::new();
    if plan.vnet.is_some() {
        depends.push(network_dependency(names));
    }
    let mut resource = json!({
        "type": "Microsoft.ContainerService/managedClusters", "apiVersion": AKS_API,
        "name": names.cluster, "location": plan.region,
        "sku": {"name": "Base", "tier": "Standard"},
        "properties": properties(facts, names),
    });
    match plan.identity.kind {
        IdentityType::UserAssigned => {
            depends.push(identity_id(names));
            if names.zone.is_some() {
                let zone = names.zone.as_deref().unwrap_or_default();
                depends
                    .push(format!("[resourceId('Microsoft.Network/privateDnsZones', '{zone}')]"));
            }
            let key = identity_id(names);
            resource["identity"] = json!({
                "type": "UserAssigned", "userAssignedIdentities": {key: {}},
            });
        }
        IdentityType::SystemAssigned => resource["identity"] = json!({"type": "SystemAssigned"}),
        IdentityType::ServicePrincipal => {
            resource["properties"]["servicePrincipalProfile"] = json!({
                "clientId": "[parameters('servicePrincipalId')]",
                "secret": "[parameters('servicePrincipalSecret')]",
            });
        }
    }
    resource["dependsOn"] = json!(depends);
    resource
}

fn properties(facts: &Facts<'_>, names: &Names) -> Value {
    let plan = facts.plan;
    let is_on = |switch: &Option<bool>| switch.unwrap_or(true);
    let hardening = &plan.hardening;
    let prefix = names.cluster.to_ascii_lowercase();
    let has_identity = is_on(&hardening.workload_identity);
    let mut properties = json!({
        "agentPoolProfiles": pools(facts, names),
        "apiServerAccessProfile": door(facts, names),
        "addonProfiles": {
            "azureKeyvaultSecretsProvider": {"enabled": is_on(&hardening.key_vault_secrets),
                "config": {"enableSecretRotation": "true"}},
            "azurepolicy": {"enabled": is_on(&hardening.azure_policy)},
        },
        "autoUpgradeProfile": {"nodeOSUpgradeChannel": "NodeImage", "upgradeChannel": "patch"},
        "disableLocalAccounts": plan.local_accounts_disabled,
        "enableRBAC": true,
        "networkProfile": network_profile(facts),
        "oidcIssuerProfile": {"enabled": has_identity},
        "securityProfile": {"imageCleaner": {"enabled": true, "intervalHours": 168},
            "workloadIdentity": {"enabled": has_identity}},
    });
    // With a zone of one's own the name is a subdomain of it, else a prefix of Azure's.
    let key = if names.zone.is_some() && plan.private_cluster.enabled {
        "fqdnSubdomain"
    } else {
        "dnsPrefix"
    };
    properties[key] = json!(prefix);
    if let Some(version) = &plan.kubernetes_version {
        properties["kubernetesVersion"] = json!(version);
    }
    if plan.local_accounts_disabled || hardening.entra_admins.is_some() {
        let admins = hardening.entra_admins.clone().unwrap_or_default();
        properties["aadProfile"] =
            json!({"adminGroupObjectIDs": admins, "enableAzureRBAC": true, "managed": true});
    }
    properties
}

fn door(facts: &Facts<'_>, names: &Names) -> Value {
    let plan = facts.plan;
    let door = &plan.private_cluster;
    let mut profile = json!({
        "disableRunCommand": !plan.hardening.run_command.unwrap_or(false),
        "enablePrivateCluster": door.enabled,
    });
    if door.enabled {
        profile["enablePrivateClusterPublicFQDN"] = json!(door.public_fqdn.unwrap_or(true));
        profile["privateDNSZone"] = match &names.zone {
            Some(zone) if door.dns_zone.as_deref().is_some_and(|given| !given.contains('/')) => {
                json!(format!("[resourceId('Microsoft.Network/privateDnsZones', '{zone}')]"))
            }
            _ => json!(door.dns_zone.as_deref().unwrap_or("system")),
        };
    } else if !plan.authorized_ip_ranges.is_empty() {
        profile["authorizedIPRanges"] = json!(plan.authorized_ip_ranges);
    }
    if door.api_server_vnet_integration {
        profile["enableVnetIntegration"] = json!(true);
        if let Some(subnet) = &door.api_server_subnet {
            profile["subnetId"] = json!(names.subnet_id(subnet));
        }
    }
    profile
}

fn network_profile(facts: &Facts<'_>) -> Value {
    let plan = facts.plan;
    let mut profile = json!({
        "loadBalancerSku": "standard",
        "networkPlugin": plan.plugin.as_str(),
        "outboundType": plan.outbound_type.as_str(),
    });
    for (key, value) in [
        ("networkPluginMode", plan.plugin_mode.map(crate::plan::PluginMode::as_str)),
        ("networkDataplane", plan.dataplane.map(crate::plan::Dataplane::as_str)),
        ("networkPolicy", plan.network_policy.map(crate::plan::NetworkPolicy::as_str)),
    ] {
        if let Some(value) = value {
            profile[key] = json!(value);
        }
    }
    if let Some(service) = facts.service {
        profile["serviceCidr"] = json!(service.to_string());
    }
    if let Some(dns) = facts.dns {
        profile["dnsServiceIP"] = json!(show_v4(dns));
    }
    if let Some(pods) = facts.pods {
        profile["podCidr"] = json!(pods.to_string());
    }
    profile
}

fn pools(facts: &Facts<'_>, names: &Names) -> Vec<Value> {
    let plan = facts.plan;
    plan.pools.iter().enumerate().map(|(idx, pool)| {
        let mut value = json!({
            "name": pool.name, "count": pool.min_count.unwrap_or(pool.count),
            "vmSize": pool.vm_size.as_deref().unwrap_or(VM_SIZE),
            "osType": "Linux", "type": "VirtualMachineScaleSets",
            "mode": mode(plan, idx, pool).as_str(),
            "maxPods": facts.max_pods(pool),
            "availabilityZones": zones(pool),
            "enableEncryptionAtHost": plan.hardening.host_encryption.unwrap_or(true),
            "enableNodePublicIP": false,
            "upgradeSettings": {"maxSurge": surge(pool).to_string()},
            "securityProfile": {"enableSecureBoot": true, "enableVTPM": true, "sshAccess": "Disabled"},
        });
        if let Some(least) = pool.min_count {
            value["enableAutoScaling"] = json!(true);
            value["minCount"] = json!(least);
            value["maxCount"] = json!(pool.count);
        }
        if let Some(subnet) = plan.node_subnet.as_ref().filter(|_| plan.vnet.is_some()) {
            value["vnetSubnetID"] = json!(names.subnet_id(subnet));
        }
        if let Some(subnet) = &plan.pod_subnet {
            value["podSubnetID"] = json!(names.subnet_id(subnet));
            let is_static = plan.pod_allocation == Some(PodAllocation::StaticBlock);
            let mode = if is_static { "StaticBlock" } else { "DynamicIndividual" };
            value["podIPAllocationMode"] = json!(mode);
        }
        value
    }).collect()
}

/// The first pool is System where none says so: a cluster needs one.
fn mode(plan: &Plan, idx: usize, pool: &Pool) -> PoolMode {
    let has_system = plan.pools.iter().any(|pool| pool.mode == Some(PoolMode::System));
    pool.mode.unwrap_or(match !has_system && idx == 0 {
        true => PoolMode::System,
        false => PoolMode::User,
    })
}

fn zones(pool: &Pool) -> Vec<String> {
    let default = || ["1", "2", "3"].map(str::to_owned).to_vec();
    pool.zones.clone().unwrap_or_else(default)
}

/// Machine size of the largest pool, for Azure ML v1.
pub(super) fn vm_size(plan: &Plan) -> &str {
    let largest = plan.pools.iter().max_by_key(|pool| pool.count);
    largest.and_then(|pool| pool.vm_size.as_deref()).unwrap_or(VM_SIZE)
}
