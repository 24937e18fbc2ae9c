//! DR1 and DR2: scripted edits of a rendered state, found and named; benign ones silent.

use serde_json::{Value, json};

use super::*;
use crate::render::tests::{PROBES, serving};
use crate::render::{arm_template, json_text};

fn plan() -> Plan {
    serving("/pools/1/minCount=2")
}

/// A state from values, as files would bring them.
fn state_of(values: &[Value]) -> State {
    let texts: Vec<String> = values.iter().map(json_text).collect();
    let files: Vec<(&[u8], Format)> =
        texts.iter().map(|text| (text.as_bytes(), Format::Json)).collect();
    state(&files).unwrap()
}

fn planned() -> State {
    state_of(&[crate::plan::to_value(&plan())])
}

fn list(objects: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": objects})
}

/// Sets what `pointer` of the resource or object called `who` points at.
fn set(state: &mut [Value], who: &str, pointer: &str, value: Value) {
    let (kind, name) = match who.split_once(':') {
        Some((kind, name)) => (kind, Some(name)),
        None => (who, None),
    };
    let is_it = |object: &&mut Value| {
        let found = object["type"].as_str().or(object["kind"].as_str());
        found == Some(kind) && name.is_none_or(|name| object["metadata"]["name"] == name)
    };
    let object = state.iter_mut().find(is_it).unwrap_or_else(|| panic!("{who}"));
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = &key.replace("~1", "/");
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{who} {pointer}"));
    match (value, parent) {
        (Value::Null, Value::Object(map)) => {
            drop(map.remove(key).unwrap_or_else(|| panic!("{pointer}")))
        }
        (value, Value::Array(items)) if key == "-" => items.push(value),
        (value, Value::Array(items)) => items[key.parse::<usize>().unwrap()] = value,
        (value, parent) => parent[key] = value,
    }
}

/// As [`super::compare`], with the tests' own probes.
fn compare(expected: &State, found: &State) -> Result<Comparison, DiffError> {
    super::compare(expected, found, &PROBES)
}

type Edit = (&'static str, &'static str, Value);

const AKS: &str = "Microsoft.ContainerService/managedClusters";
const VNET: &str = "Microsoft.Network/virtualNetworks";
const ROUTES: &str = "Microsoft.Network/routeTables";
const SET: &str = "StatefulSet";
const EXTENSION: &str = "Microsoft.KubernetesConfiguration/extensions";

/// Drift of a template after one edit.
fn arm_drift((who, pointer, value): &Edit) -> Vec<&'static str> {
    let mut template = arm_template(&plan()).unwrap();
    set(template["resources"].as_array_mut().unwrap(), who, pointer, value.clone());
    ids(&compare(&planned(), &state_of(&[template])).unwrap())
}

/// Drift of a cluster after one edit.
fn object_drift((who, pointer, value): &Edit) -> Vec<&'static str> {
    let mut objects = rendered(&plan(), &PROBES).unwrap();
    set(&mut objects, who, pointer, value.clone());
    ids(&compare(&planned(), &state_of(&[list(&objects)])).unwrap())
}

fn ids(comparison: &Comparison) -> Vec<&'static str> {
    let mut ids: Vec<&str> = comparison.drifts.iter().map(|drift| drift.rule.id).collect();
    ids.dedup();
    ids
}

#[test]
fn a_rendered_state_has_not_drifted() {
    let template = arm_template(&plan()).unwrap();
    let comparison = compare(&planned(), &state_of(&[template])).unwrap();
    assert_eq!(comparison.drifts, []);
    let objects = rendered(&plan(), &PROBES).unwrap();
    assert_eq!(compare(&planned(), &state_of(&[list(&objects)])).unwrap().drifts, []);
    assert_eq!(compare(&planned(), &planned()).unwrap().drifts, []);
}

/// Edits of the rendered template: resource, pointer, value as JSON (nothing takes it away), and
/// the rule that must name it.
#[rustfmt::skip]
const ARM_EDITS: &[(&str, &str, &str, &str)] = &[
    (AKS, "/properties/networkProfile/serviceCidr", "\"10.8.0.0/16\"", "DRIFT-ADDRESS"),
    (AKS, "/properties/networkProfile/podCidr", "\"10.240.0.0/16\"", "DRIFT-ADDRESS"),
    (VNET, "/properties/subnets/0/properties/addressPrefix", "\"10.1.0.0/25\"", "DRIFT-ADDRESS"),
    (VNET, "/properties/addressSpace/addressPrefixes/-", "\"10.9.0.0/16\"", "DRIFT-ADDRESS"),
    (VNET, "/properties/subnets/3/properties/delegations", "", "DRIFT-SUBNET"),
    (VNET, "/properties/subnets/1", "{\"name\": \"x\"}", "DRIFT-MISSING"),
    (AKS, "/properties/apiServerAccessProfile/enablePrivateCluster", "false", "DRIFT-API"),
    (AKS, "/properties/apiServerAccessProfile/enablePrivateClusterPublicFQDN", "true", "DRIFT-API"),
    (AKS, "/properties/networkProfile/outboundType", "\"loadBalancer\"", "DRIFT-EGRESS"),
    (ROUTES, "/properties/routes/0/properties/nextHopType", "\"Internet\"", "DRIFT-EGRESS"),
    (AKS, "/properties/networkProfile/networkPolicy", "\"none\"", "DRIFT-POLICY"),
    (AKS, "/properties/disableLocalAccounts", "true", "DRIFT-ACCOUNT"),
    (AKS, "/identity/type", "\"SystemAssigned\"", "DRIFT-IDENTITY"),
    (AKS, "/properties/agentPoolProfiles/1/maxCount", "40", "DRIFT-POOL"),
    (EXTENSION, "/properties/configurationSettings/internalLoadBalancerProvider", "", "DRIFT-LB"),
];

/// Edits of the rendered objects, likewise.
#[rustfmt::skip]
const OBJECT_EDITS: &[(&str, &str, &str, &str)] = &[
    (SET, "/spec/template/spec/containers/0/image", "\"evil.example/x@sha256:00\"", "DRIFT-IMAGE"),
    (SET, "/spec/template/spec/containers/-", "{\"name\": \"extra\", \"image\": \"x\"}", "DRIFT-IMAGE"),
    (SET, "/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem", "false", "DRIFT-POD"),
    (SET, "/spec/template/spec/securityContext/runAsNonRoot", "", "DRIFT-POD"),
    (SET, "/spec/template/spec/hostNetwork", "true", "DRIFT-POD"),
    (SET, "/spec/replicas", "3", "DRIFT-SCALE"),
    (SET, "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted", "\"Delete\"", "DRIFT-SCALE"),
    (SET, "/spec/template/spec/terminationGracePeriodSeconds", "5", "DRIFT-OBJECT"),
    ("Namespace", "/metadata/labels/pod-security.kubernetes.io~1enforce", "\"privileged\"", "DRIFT-ADMISSION"),
    ("ValidatingAdmissionPolicy:bartizan-images", "/spec/failurePolicy", "\"Ignore\"", "DRIFT-ADMISSION"),
    ("ValidatingAdmissionPolicy:bartizan-load-balancer", "/spec/validations/0/expression", "\"true\"", "DRIFT-ADMISSION"),
    ("NetworkPolicy:default-deny", "/spec/policyTypes/1", "\"Egress\"", "DRIFT-NETPOL"),
    ("NetworkPolicy:callers", "/spec/ingress/0/from/-", "{\"ipBlock\": {\"cidr\": \"0.0.0.0/0\"}}", "DRIFT-NETPOL"),
    ("Service:bartizan", "/metadata/annotations", "{}", "DRIFT-LB"),
    ("ServiceAccount", "/metadata/annotations/azure.workload.identity~1client-id", "\"other\"", "DRIFT-IDENTITY"),
    ("StorageClass", "/reclaimPolicy", "\"Delete\"", "DRIFT-SCALE"),
];

/// Edits of the template that change nothing of what was planned.
#[rustfmt::skip]
const ARM_BENIGN: &[(&str, &str, &str)] = &[
    (AKS, "/location", "\"West Europe\""),
    (AKS, "/tags", "{\"owner\": \"ml\"}"),
    (AKS, "/properties/provisioningState", "\"Succeeded\""),
    (AKS, "/properties/fqdn", "\"x.privatelink.westeurope.azmk8s.io\""),
    (AKS, "/properties/agentPoolProfiles/1/count", "7"),
    (AKS, "/properties/agentPoolProfiles/0/nodeImageVersion", "\"AKSUbuntu-2404\""),
    (AKS, "/properties/networkProfile/podCidrs", "[\"10.244.0.0/16\"]"),
    (VNET, "/properties/subnets/-", "{\"name\": \"others\", \"properties\": {\"addressPrefix\": \"10.1.200.0/24\"}}"),
    (VNET, "/properties/enableDdosProtection", "false"),
    (VNET, "/properties/subnets/3/properties/delegations/0/properties/serviceName", "\"microsoft.containerservice/managedclusters\""),
];

/// The same for objects: what servers, webhooks and other managers add.
#[rustfmt::skip]
const OBJECT_BENIGN: &[(&str, &str, &str)] = &[
    (SET, "/status", "{\"replicas\": 1}"),
    (SET, "/metadata/managedFields", "[{\"manager\": \"kubectl\"}]"),
    (SET, "/metadata/resourceVersion", "\"12345\""),
    (SET, "/spec/revisionHistoryLimit", "10"),
    (SET, "/spec/template/spec/dnsPolicy", "\"ClusterFirst\""),
    (SET, "/spec/template/spec/containers/0/resources/requests/cpu", "\"1000m\""),
    (SET, "/spec/template/spec/containers/0/terminationMessagePath", "\"/dev/x\""),
    (SET, "/spec/template/spec/volumes/-", "{\"name\": \"azure-identity-token\", \"projected\": {}}"),
    (SET, "/spec/template/spec/initContainers/0/env/-", "{\"name\": \"AZURE_TENANT_ID\", \"value\": \"t\"}"),
    ("Service:bartizan", "/spec/clusterIP", "\"10.0.3.4\""),
    ("Service:bartizan", "/status", "{\"loadBalancer\": {\"ingress\": [{\"ip\": \"10.1.4.10\"}]}}"),
    ("Service:bartizan", "/spec/ports/0/nodePort", "31000"),
    ("Namespace", "/metadata/labels/team", "\"ml\""),
    ("ServiceAccount", "/automountServiceAccountToken", ""),
];

fn edit(who: &'static str, pointer: &'static str, value: &str) -> Edit {
    let value = if value.is_empty() { Value::Null } else { serde_json::from_str(value).unwrap() };
    (who, pointer, value)
}

/// Every edit is named; of an object exactly so, of a template beside the rules that it breaks.
#[test]
fn thirty_edits_are_found_and_named() {
    assert!(30 <= ARM_EDITS.len() + OBJECT_EDITS.len());
    let mut wrong = Vec::new();
    for (who, pointer, value, rule) in ARM_EDITS {
        let found = arm_drift(&edit(who, pointer, value));
        if !found.contains(rule) {
            wrong.push(format!("{who} {pointer}: {rule}, found {found:?}"));
        }
    }
    for (who, pointer, value, rule) in OBJECT_EDITS {
        let found = object_drift(&edit(who, pointer, value));
        if found != [*rule] {
            wrong.push(format!("{who} {pointer}: {rule}, found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn twenty_benign_edits_are_silent() {
    assert!(20 <= ARM_BENIGN.len() + OBJECT_BENIGN.len());
    let arm = ARM_BENIGN
        .iter()
        .map(|(who, pointer, value)| (pointer, arm_drift(&edit(who, pointer, value))));
    let objects = OBJECT_BENIGN
        .iter()
        .map(|(who, pointer, value)| (pointer, object_drift(&edit(who, pointer, value))));
    for (pointer, found) in arm.chain(objects) {
        assert!(found.is_empty(), "{pointer}: {found:?}");
    }
}

/// An object that nobody rendered is drift where it opens something, and only there.
#[test]
fn what_is_added_is_drift_where_it_opens_something() {
    let mut objects = rendered(&plan(), &PROBES).unwrap();
    let count =
        |objects: &[Value]| compare(&planned(), &state_of(&[list(objects)])).unwrap().drifts.len();
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "open", "namespace": "bartizan"}, "spec": {"podSelector": {}}});
    objects.push(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "kube-root-ca.crt", "namespace": "bartizan"}}));
    assert_eq!(count(&objects), 0);
    objects.push(policy);
    assert_eq!(count(&objects), 1);
    objects.push(json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "door", "namespace": "default"}, "spec": {"type": "LoadBalancer"}}));
    assert_eq!(count(&objects), 2);
    objects.retain(|object| object["kind"] != "PodDisruptionBudget");
    assert_eq!(count(&objects), 3);
}

/// Each rule of drift is reported by something above; here those that are not.
#[test]
fn the_rest_of_the_rules_is_reported() {
    let compare_plans = |changes: &str| {
        ids(&compare(&planned(), &state_of(&[crate::plan::to_value(&serving(changes))])).unwrap())
    };
    let base = "/pools/1/minCount=2";
    for (changes, rule) in [
        ("/vnet/peerings/0/addressSpace/0=10.201.0.0/24", "DRIFT-PEER"),
        ("/identity/roles/0/scope=vnet", "DRIFT-ROLE"),
        ("/target=v1; /dockerBridge=172.17.0.1/16", "DRIFT-PLACE"),
        ("/workspace/region=eastus; /workspace/privateEndpointVnets=[]", "DRIFT-WORKSPACE"),
    ] {
        let found = compare_plans(&format!("{base}; {changes}"));
        assert!(found.contains(&rule), "{changes}: {found:?}");
    }
    let a = state_of(&[crate::plan::to_value(&serving(
        "/kubernetesVersion=\"1.36\"; /hardening={\"kms\":true}",
    ))]);
    let b = state_of(&[crate::plan::to_value(&serving(
        "/kubernetesVersion=\"1.37\"; /hardening={\"kms\":false}",
    ))]);
    assert_eq!(ids(&compare(&a, &b).unwrap()), ["DRIFT-HARDENING", "DRIFT-VERSION"]);
}

#[test]
fn states_of_other_kinds_are_refused() {
    let objects = state_of(&[list(&rendered(&plan(), &PROBES).unwrap())]);
    assert!(matches!(compare(&objects, &planned()), Err(DiffError::Kinds(_))));
    let bare = state_of(&[crate::check::tests::base()]);
    assert!(matches!(compare(&bare, &objects), Err(DiffError::Kinds(_))));
}
