//! Advice: good practice that a plan may have reason not to follow. It never changes the exit
//! status unless asked to.

use super::Sink;
use crate::plan::facts::Facts;
use crate::plan::{GuardState, IdentityType, Plugin, PluginMode, RegistryKind, Serving, Target};
use crate::role;
use crate::rules::Rule;
use crate::rules::table as rule;

/// Oldest Kubernetes minor version with more than a month of support ahead (late 2026).
const MINOR_MIN: u32 = 35;

pub(super) fn check(facts: &Facts<'_>, sink: &mut Sink) {
    network(facts, sink);
    settings(facts, sink);
    azureml(facts, sink);
    if let Some(serving) = &facts.plan.serving {
        replicas(facts, serving, sink);
    }
}

fn network(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    let door = &plan.private_cluster;
    let roles = plan.identity.roles.as_deref().unwrap_or_default();
    if let Some(idx) = roles.iter().position(|held| role::may_join(held) && held.actions.is_none())
    {
        let message = format!("{} on {}", roles[idx].role, roles[idx].scope);
        sink.add(rule::SEC_NC_ROLE, format!("identity.roles[{idx}]"), message);
    }
    if plan.vnet.is_some() && plan.identity.kind == IdentityType::SystemAssigned {
        let message = "the identity is system-assigned".to_owned();
        sink.add(rule::SEC_IDENTITY, "identity.type", message);
    }
    if !door.enabled {
        let message = "the API server is public".to_owned();
        sink.add(rule::SEC_PRIVATE, "privateCluster.enabled", message);
    } else if facts.has_private_link() && facts.is_azureml {
        let message = "the API server stands behind a private link".to_owned();
        sink.add(rule::SEC_APIVNET, "privateCluster.apiServerVnetIntegration", message);
    }
    if door.enabled && plan.hardening.custom_dns.as_ref().is_some_and(|servers| !servers.is_empty())
    {
        let message = "the network has DNS servers of its own".to_owned();
        sink.add(rule::SEC_DNS, "hardening.customDns", message);
    }
    let has_overlay = plan.plugin == Plugin::Azure && plan.plugin_mode == Some(PluginMode::Overlay);
    if has_overlay && plan.vnet.is_some() {
        let message = "groups of the subnets are not part of the plan".to_owned();
        sink.add(rule::SEC_NSG, "nodeSubnet", message);
    }
    if facts.is_routed() {
        let message = "the rules of the firewall are not part of the plan".to_owned();
        sink.add(rule::SEC_EGRESS, "outboundType", message);
    }
}

fn settings(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    let hardening = &plan.hardening;
    // What is not said of these is turned on by `render`; advice is for what is said to be off.
    let switches: [(&Option<bool>, bool, &'static Rule, &str); 5] = [
        (&hardening.workload_identity, true, rule::SEC_WI, "workloadIdentity"),
        (&hardening.key_vault_secrets, true, rule::SEC_KV, "keyVaultSecrets"),
        (&hardening.azure_policy, true, rule::SEC_POLICY, "azurePolicy"),
        (&hardening.host_encryption, true, rule::SEC_HOSTENC, "hostEncryption"),
        (&hardening.run_command, false, rule::SEC_RUNCMD, "runCommand"),
    ];
    for (value, good, rule, key) in switches {
        if *value == Some(!good) {
            let message = format!("{key} is {}", !good);
            sink.add(rule, format!("hardening.{key}"), message);
        }
    }
    // These stand outside the templates: the plan can only say that somebody has seen to them.
    for (value, rule, key) in [
        (&hardening.kms, rule::SEC_KMS, "kms"),
        (&hardening.audit_logs, rule::SEC_LOGS, "auditLogs"),
        (&hardening.registry_private, rule::SEC_ACR, "registryPrivate"),
    ] {
        if *value != Some(true) {
            let said = if value.is_some() { "is false" } else { "is not said" };
            let message = format!("{key} {said}, and render does not set it up");
            sink.add(rule, format!("hardening.{key}"), message);
        }
    }
    if !facts.is_azureml && !plan.local_accounts_disabled {
        let message = "local accounts are on".to_owned();
        sink.add(rule::SEC_LOCAL, "localAccountsDisabled", message);
    }
    if let Some(version) = &plan.kubernetes_version {
        let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
        if minor.is_none_or(|minor| minor < MINOR_MIN) {
            let message = format!("version {version}, oldest recommended is 1.{MINOR_MIN}");
            sink.add(rule::SEC_VERSION, "kubernetesVersion", message);
        }
    }
}

fn azureml(facts: &Facts<'_>, sink: &mut Sink) {
    let plan = facts.plan;
    let Some(workspace) = plan.workspace.as_ref().filter(|_| facts.is_azureml) else { return };
    if plan.target != Target::V2 {
        return;
    }
    if workspace.allow_insecure_connections == Some(true) {
        let message = "allowInsecureConnections is true".to_owned();
        sink.add(rule::SEC_AMLTLS, "workspace.allowInsecureConnections", message);
    } else if workspace.tls_cname.is_none() {
        let message = "no name of the certificate is given".to_owned();
        sink.add(rule::SEC_AMLTLS, "workspace.tlsCname", message);
    }
    let (nodes, _) = facts.nodes();
    if workspace.router_ha == Some(true) && nodes < 3 {
        let message = format!("three replicas of the router, {nodes} node(s)");
        sink.add(rule::SEC_AMLHA, "workspace.routerHa", message);
    }
}

/// Whether more than one replica is rendered: with a shared registry and shared guard state, and
/// never beside Azure ML's inference router, which scales by itself.
pub(crate) fn may_scale(facts: &Facts<'_>, serving: &Serving) -> bool {
    serving.registry == Some(RegistryKind::PostgreSql)
        && serving.guard_state == Some(GuardState::Shared)
        && !facts.is_azureml
}

fn replicas(facts: &Facts<'_>, serving: &Serving, sink: &mut Sink) {
    let wanted = serving.replicas_max.max(serving.replicas).unwrap_or(1);
    if 1 < wanted && !may_scale(facts, serving) {
        let why = if facts.is_azureml {
            "beside Azure ML's router, which scales by itself; keep the model there as an upstream"
        } else {
            "without a shared registry and shared guard state"
        };
        let message = format!("{wanted} replicas are asked for, 1 is rendered: {why}");
        sink.add(rule::SEC_REPLICAS, "serving.replicas", message);
    }
    if serving.verified_images.is_none() {
        let message = "only the server's own image may run".to_owned();
        sink.add(rule::SEC_IMG, "serving.verifiedImages", message);
    }
    if facts.is_lb_internal() && facts.plan.lb.subnet.is_some() {
        let message = "the service names the subnet by annotation".to_owned();
        sink.add(rule::SEC_LBANN, "lb.subnet", message);
    }
}
