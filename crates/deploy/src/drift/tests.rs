//! DR1 and DR2: scripted edits of a rendered state, found and named; benign ones silent.

use serde_json::{Value, json};

use super::*;
use crate::render::tests::serving;
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

type Edit = (&'static str, &'static str, Value);

const AKS: &str = "Microsoft.ContainerService/managedClusters";
const VNET: &str = "Microsoft.Network/virtualNetworks";
const EXTENSION: &str = "Microsoft.KubernetesConfiguration/extensions";

/// Drift of a template after one edit.
fn arm_drift((who, pointer, value): &Edit) -> Vec<&'static str> {
    let mut template = arm_template(&plan()).unwrap();
    set(template["resources"].as_array_mut().unwrap(), who, pointer, value.clone());
    ids(&compare(&planned(), &state_of(&[template])).unwrap())
}

/// Drift of a cluster after one edit.
fn object_drift((who, pointer, value): &Edit) -> Vec<&'static str> {
    let mut objects = rendered(&plan()).unwrap();
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
    let objects = rendered(&plan()).unwrap();
    assert_eq!(compare(&planned(), &state_of(&[list(&objects)])).unwrap().drifts, []);
    assert_eq!(compare(&planned(), &planned()).unwrap().drifts, []);
}

#[test]
fn thirty_edits_are_found_and_named() {
    let arm: Vec<(Edit, &str)> = vec![
        ((AKS, "/properties/networkProfile/serviceCidr", json!("10.8.0.0/16")), "DRIFT-ADDRESS"),
        ((AKS, "/properties/networkProfile/podCidr", json!("10.240.0.0/16")), "DRIFT-ADDRESS"),
        (
            (VNET, "/properties/subnets/0/properties/addressPrefix", json!("10.1.0.0/25")),
            "DRIFT-ADDRESS",
        ),
        (
            (VNET, "/properties/addressSpace/addressPrefixes/-", json!("10.9.0.0/16")),
            "DRIFT-ADDRESS",
        ),
        ((VNET, "/properties/subnets/3/properties/delegations", Value::Null), "DRIFT-SUBNET"),
        ((VNET, "/properties/subnets/1", json!({"name": "x"})), "DRIFT-MISSING"),
        (
            (AKS, "/properties/apiServerAccessProfile/enablePrivateCluster", json!(false)),
            "DRIFT-API",
        ),
        (
            (AKS, "/properties/apiServerAccessProfile/enablePrivateClusterPublicFQDN", json!(true)),
            "DRIFT-API",
        ),
        ((AKS, "/properties/networkProfile/outboundType", json!("loadBalancer")), "DRIFT-EGRESS"),
        (
            (
                "Microsoft.Network/routeTables",
                "/properties/routes/0/properties/nextHopType",
                json!("Internet"),
            ),
            "DRIFT-EGRESS",
        ),
        ((AKS, "/properties/networkProfile/networkPolicy", json!("none")), "DRIFT-POLICY"),
        ((AKS, "/properties/disableLocalAccounts", json!(true)), "DRIFT-ACCOUNT"),
        ((AKS, "/identity/type", json!("SystemAssigned")), "DRIFT-IDENTITY"),
        ((AKS, "/properties/agentPoolProfiles/1/maxCount", json!(40)), "DRIFT-POOL"),
        (
            (
                EXTENSION,
                "/properties/configurationSettings/internalLoadBalancerProvider",
                Value::Null,
            ),
            "DRIFT-LB",
        ),
    ];
    let image = json!("evil.example/x@sha256:00");
    let container = json!({"name": "extra", "image": image});
    let objects: Vec<(Edit, &str)> = vec![
        (("StatefulSet", "/spec/template/spec/containers/0/image", image.clone()), "DRIFT-IMAGE"),
        (("StatefulSet", "/spec/template/spec/containers/-", container), "DRIFT-IMAGE"),
        (
            (
                "StatefulSet",
                "/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem",
                json!(false),
            ),
            "DRIFT-POD",
        ),
        (
            ("StatefulSet", "/spec/template/spec/securityContext/runAsNonRoot", Value::Null),
            "DRIFT-POD",
        ),
        (("StatefulSet", "/spec/template/spec/hostNetwork", json!(true)), "DRIFT-POD"),
        (("StatefulSet", "/spec/replicas", json!(3)), "DRIFT-SCALE"),
        (
            (
                "StatefulSet",
                "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted",
                json!("Delete"),
            ),
            "DRIFT-SCALE",
        ),
        (
            ("StatefulSet", "/spec/template/spec/terminationGracePeriodSeconds", json!(5)),
            "DRIFT-OBJECT",
        ),
        (
            (
                "Namespace",
                "/metadata/labels/pod-security.kubernetes.io~1enforce",
                json!("privileged"),
            ),
            "DRIFT-ADMISSION",
        ),
        (
            ("ValidatingAdmissionPolicy:bartizan-images", "/spec/failurePolicy", json!("Ignore")),
            "DRIFT-ADMISSION",
        ),
        (
            (
                "ValidatingAdmissionPolicy:bartizan-load-balancer",
                "/spec/validations/0/expression",
                json!("true"),
            ),
            "DRIFT-ADMISSION",
        ),
        (("NetworkPolicy:default-deny", "/spec/policyTypes/1", json!("Egress")), "DRIFT-NETPOL"),
        (
            (
                "NetworkPolicy:callers",
                "/spec/ingress/0/from/-",
                json!({"ipBlock": {"cidr": "0.0.0.0/0"}}),
            ),
            "DRIFT-NETPOL",
        ),
        (("Service:bartizan", "/metadata/annotations", json!({})), "DRIFT-LB"),
        (
            (
                "ServiceAccount",
                "/metadata/annotations/azure.workload.identity~1client-id",
                json!("other"),
            ),
            "DRIFT-IDENTITY",
        ),
        (("StorageClass", "/reclaimPolicy", json!("Delete")), "DRIFT-SCALE"),
    ];
    let n_edits = arm.len() + objects.len();
    assert!(30 <= n_edits, "{n_edits}");
    let mut wrong = Vec::new();
    for (edit, rule) in &arm {
        let found = arm_drift(edit);
        if !found.contains(rule) {
            wrong.push(format!("{} {}: {rule}, found {found:?}", edit.0, edit.1));
        }
    }
    for (edit, rule) in &objects {
        let edit = (edit.0, edit.1, edit.2.clone());
        let found = object_drift(&edit);
        if found != [*rule] {
            wrong.push(format!("{} {}: {rule}, found {found:?}", edit.0, edit.1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn twenty_benign_edits_are_silent() {
    let arm: Vec<Edit> = vec![
        (AKS, "/location", json!("West Europe")),
        (AKS, "/tags", json!({"owner": "ml"})),
        (AKS, "/properties/provisioningState", json!("Succeeded")),
        (AKS, "/properties/fqdn", json!("x.privatelink.westeurope.azmk8s.io")),
        (AKS, "/properties/agentPoolProfiles/1/count", json!(7)),
        (AKS, "/properties/agentPoolProfiles/0/nodeImageVersion", json!("AKSUbuntu-2404")),
        (AKS, "/properties/networkProfile/podCidrs", json!(["10.244.0.0/16"])),
        (
            VNET,
            "/properties/subnets/-",
            json!({"name": "others", "properties": {"addressPrefix": "10.1.200.0/24"}}),
        ),
        (VNET, "/properties/enableDdosProtection", json!(false)),
        (
            VNET,
            "/properties/subnets/3/properties/delegations/0/properties/serviceName",
            json!("microsoft.containerservice/managedclusters"),
        ),
    ];
    let objects: Vec<Edit> = vec![
        ("StatefulSet", "/status", json!({"replicas": 1})),
        ("StatefulSet", "/metadata/managedFields", json!([{"manager": "kubectl"}])),
        ("StatefulSet", "/metadata/resourceVersion", json!("12345")),
        ("StatefulSet", "/spec/revisionHistoryLimit", json!(10)),
        ("StatefulSet", "/spec/template/spec/dnsPolicy", json!("ClusterFirst")),
        ("StatefulSet", "/spec/template/spec/containers/0/resources/requests/cpu", json!("1000m")),
        ("StatefulSet", "/spec/template/spec/containers/0/terminationMessagePath", json!("/dev/x")),
        (
            "StatefulSet",
            "/spec/template/spec/volumes/-",
            json!({"name": "azure-identity-token", "projected": {}}),
        ),
        (
            "StatefulSet",
            "/spec/template/spec/initContainers/0/env/-",
            json!({"name": "AZURE_TENANT_ID", "value": "t"}),
        ),
        ("Service:bartizan", "/spec/clusterIP", json!("10.0.3.4")),
        (
            "Service:bartizan",
            "/status",
            json!({"loadBalancer": {"ingress": [{"ip": "10.1.4.10"}]}}),
        ),
        ("Service:bartizan", "/spec/ports/0/nodePort", json!(31_000)),
        ("Namespace", "/metadata/labels/team", json!("ml")),
        ("ServiceAccount", "/automountServiceAccountToken", Value::Null),
    ];
    assert!(20 <= arm.len() + objects.len());
    let mut wrong = Vec::new();
    for (edit, found) in arm
        .iter()
        .map(|edit| (edit, arm_drift(edit)))
        .chain(objects.iter().map(|edit| (edit, object_drift(edit))))
    {
        if !found.is_empty() {
            wrong.push(format!("{} {}: {found:?}", edit.0, edit.1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An object that nobody rendered is drift where it opens something, and only there.
#[test]
fn what_is_added_is_drift_where_it_opens_something() {
    let mut objects = rendered(&plan()).unwrap();
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
    let objects = state_of(&[list(&rendered(&plan()).unwrap())]);
    assert!(matches!(compare(&objects, &planned()), Err(DiffError::Kinds(_))));
    let bare = state_of(&[crate::check::tests::base()]);
    assert!(matches!(compare(&bare, &objects), Err(DiffError::Kinds(_))));
}
