//! Bartizan itself as Kubernetes objects, with a kustomization.

use serde_json::{Value, json};

use super::{Probes, admission};
use crate::addr::show_v4;
use crate::check::may_scale;
use crate::plan::Serving;
use crate::plan::facts::Facts;

pub(super) const NAME: &str = "bartizan";
/// The inference listener's port in the pod.
const HTTPS_PORT: u16 = 8443;
/// The port of health and metrics in the pod.
const OPERATIONS_PORT: u16 = 9090;
/// User and group of the image.
const UID: u32 = 65_532;
/// How long a server drains where nothing is said, in seconds.
const DRAIN_S: u32 = 30;
/// What a pod gets beyond its drain before it is killed, in seconds: closing the log.
const GRACE_S: u32 = 30;
const STORAGE_GIB: u32 = 64;
const ENVIRONMENT: &str = "/var/lib/bartizan/environment";
/// Replicas of an autoscaler follow this share of the CPU request, in percent.
const CPU_TARGET: u32 = 70;

/// Objects by file name, the kustomization last.
pub(super) fn all(
    facts: &Facts<'_>,
    serving: &Serving,
    probes: &Probes<'_>,
) -> Vec<(String, Value)> {
    let namespace = serving.namespace.as_deref().unwrap_or(NAME);
    let mut made = vec![
        ("namespace.yaml", namespace_object(namespace)),
        ("service-account.yaml", service_account(serving, namespace)),
        ("storage-class.yaml", storage_class()),
        ("service.yaml", service(facts, namespace)),
        ("service-pods.yaml", service_pods(namespace)),
        ("stateful-set.yaml", stateful_set(facts, serving, namespace, probes)),
        ("disruption-budget.yaml", disruption_budget(namespace)),
        ("policy-default-deny.yaml", default_deny(namespace)),
        ("policy-callers.yaml", callers(facts, serving, namespace)),
        ("policy-dns.yaml", dns(namespace)),
    ];
    if serving.egress.as_ref().is_some_and(|egress| !egress.is_empty()) {
        made.push(("policy-egress.yaml", egress(serving, namespace)));
    }
    if let Some(replicas_max) = serving.replicas_max.filter(|_| may_scale(facts, serving)) {
        made.push(("autoscaler.yaml", autoscaler(serving, namespace, replicas_max)));
    }
    made.extend(admission::policies(serving, namespace));
    let mut made: Vec<(String, Value)> =
        made.into_iter().map(|(name, object)| (name.to_owned(), object)).collect();
    made.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let resources: Vec<&String> = made.iter().map(|(name, _)| name).collect();
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": resources,
    });
    made.push(("kustomization.yaml".to_owned(), kustomization));
    made
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": NAME})
}

fn metadata(name: &str, namespace: &str) -> Value {
    json!({"name": name, "namespace": namespace, "labels": labels()})
}

fn namespace_object(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": namespace, "labels": {
            "app.kubernetes.io/name": NAME,
            "pod-security.kubernetes.io/audit": "restricted",
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/enforce-version": "latest",
            "pod-security.kubernetes.io/warn": "restricted",
        }},
    })
}

fn service_account(serving: &Serving, namespace: &str) -> Value {
    let mut account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(NAME, namespace),
        "automountServiceAccountToken": false,
    });
    if let Some(client) = &serving.identity_client_id {
        account["metadata"]["annotations"] = json!({"azure.workload.identity/client-id": client});
    }
    account
}

fn storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "bartizan-zone-redundant", "labels": labels()},
        "provisioner": "disk.csi.azure.com", "parameters": {"skuName": "Premium_ZRS"},
        "allowVolumeExpansion": true, "reclaimPolicy": "Retain",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

fn service(facts: &Facts<'_>, namespace: &str) -> Value {
    let mut metadata = metadata(NAME, namespace);
    let mut annotations =
        json!({"service.beta.kubernetes.io/azure-load-balancer-internal": "true"});
    if let Some(subnet) = &facts.plan.lb.subnet {
        annotations["service.beta.kubernetes.io/azure-load-balancer-internal-subnet"] =
            json!(subnet);
    }
    if let Some(ip) = facts.lb_ip {
        annotations["service.beta.kubernetes.io/azure-load-balancer-ipv4"] = json!(show_v4(ip));
    }
    metadata["annotations"] = annotations;
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {
            "type": "LoadBalancer", "selector": labels(),
            // Keeps the caller's address, by which policy and throttle know it.
            "externalTrafficPolicy": "Local",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"}],
        },
    })
}

/// Names for the pods of the set, one by one.
fn service_pods(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata("bartizan-pods", namespace),
        "spec": {
            "clusterIP": "None", "selector": labels(), "publishNotReadyAddresses": true,
            "ports": [{"name": "https", "port": HTTPS_PORT, "protocol": "TCP",
                "targetPort": "https"}],
        },
    })
}

fn stateful_set(
    facts: &Facts<'_>,
    serving: &Serving,
    namespace: &str,
    probes: &Probes<'_>,
) -> Value {
    let scales = may_scale(facts, serving);
    let replicas = if scales { serving.replicas.unwrap_or(1) } else { 1 };
    let storage = serving.storage_gib.unwrap_or(STORAGE_GIB);
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata(NAME, namespace),
        "spec": {
            "serviceName": "bartizan-pods", "replicas": replicas,
            "selector": {"matchLabels": labels()},
            "podManagementPolicy": "OrderedReady", "minReadySeconds": 10,
            "updateStrategy": {"type": "RollingUpdate"},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain",
                "whenScaled": "Retain"},
            "template": template(facts, serving, probes),
            "volumeClaimTemplates": [{
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"name": "ledger", "labels": labels()},
                "spec": {"accessModes": ["ReadWriteOncePod"],
                    "storageClassName": "bartizan-zone-redundant",
                    "resources": {"requests": {"storage": format!("{storage}Gi")}}},
            }],
        },
    })
}

fn template(facts: &Facts<'_>, serving: &Serving, probes: &Probes<'_>) -> Value {
    let drain_s = serving.drain_s.unwrap_or(DRAIN_S);
    let mut labels = labels();
    if serving.identity_client_id.is_some() {
        labels["azure.workload.identity/use"] = json!("true");
    }
    json!({
        "metadata": {"labels": labels},
        "spec": {
            "serviceAccountName": NAME, "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": drain_s + GRACE_S,
            "securityContext": {
                "fsGroup": UID, "fsGroupChangePolicy": "OnRootMismatch", "runAsGroup": UID,
                "runAsNonRoot": true, "runAsUser": UID,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [{
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
            }],
            "initContainers": [init_container(facts, serving)],
            "containers": [server(serving, probes)],
            "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}],
        },
    })
}

fn container(name: &str, serving: &Serving) -> Value {
    json!({
        "name": name, "image": serving.image, "imagePullPolicy": "Always",
        "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            "privileged": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
            "runAsUser": UID, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"},
            "limits": {"cpu": "4", "memory": "4Gi"}},
        "volumeMounts": [{"name": "ledger", "mountPath": "/var/lib/bartizan"},
            {"name": "tmp", "mountPath": "/tmp"}],
    })
}

/// Makes the environment on a new volume; the pod's ordinal names the replica, and so its log's
/// origin.
fn init_container(facts: &Facts<'_>, serving: &Serving) -> Value {
    let mut container = container("init", serving);
    let site: String = facts.plan.region.replace(' ', "").to_ascii_lowercase();
    let name = serving.namespace.as_deref().unwrap_or(NAME);
    container["args"] = json!([
        "init",
        ENVIRONMENT,
        "--if-absent",
        "--name",
        name,
        "--site",
        site,
        "--replica",
        "$(POD_NAME)",
        "--listen",
        format!("0.0.0.0:{HTTPS_PORT}"),
        "--operations",
        format!("0.0.0.0:{OPERATIONS_PORT}"),
    ]);
    container["env"] = json!([
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]);
    container
}

fn server(serving: &Serving, probes: &Probes<'_>) -> Value {
    let mut container = container("server", serving);
    container["args"] = json!(["--environment", ENVIRONMENT, "serve"]);
    container["ports"] = json!([
        {"name": "https", "containerPort": HTTPS_PORT, "protocol": "TCP"},
        {"name": "operations", "containerPort": OPERATIONS_PORT, "protocol": "TCP"},
    ]);
    for (probe, path, period_s, failures) in [
        ("startupProbe", probes.ready, 2, 150),
        ("readinessProbe", probes.ready, 5, 2),
        ("livenessProbe", probes.live, 10, 3),
    ] {
        container[probe] = json!({
            "httpGet": {"path": path, "port": "operations"},
            "periodSeconds": period_s, "failureThreshold": failures, "timeoutSeconds": 2,
        });
    }
    container
}

fn disruption_budget(namespace: &str) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": metadata(NAME, namespace),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels()}},
    })
}

fn autoscaler(serving: &Serving, namespace: &str, replicas_max: u32) -> Value {
    let replicas = serving.replicas.unwrap_or(1);
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(NAME, namespace),
        "spec": {
            "minReplicas": replicas, "maxReplicas": replicas_max.max(replicas),
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": NAME},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": CPU_TARGET}}}],
        },
    })
}

fn policy(name: &str, namespace: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": metadata(name, namespace), "spec": spec,
    })
}

fn default_deny(namespace: &str) -> Value {
    let spec = json!({"podSelector": {}, "policyTypes": ["Egress", "Ingress"]});
    policy("default-deny", namespace, &spec)
}

/// Who may call: the ranges that are said, else those of the network.
fn callers(facts: &Facts<'_>, serving: &Serving, namespace: &str) -> Value {
    let own = || facts.vnet.iter().map(|ranged| ranged.net.to_string()).collect();
    let ranges: Vec<String> = serving.callers.clone().unwrap_or_else(own);
    let from: Vec<Value> = ranges.iter().map(|cidr| json!({"ipBlock": {"cidr": cidr}})).collect();
    policy(
        "callers",
        namespace,
        &json!({
            "podSelector": {"matchLabels": labels()}, "policyTypes": ["Ingress"],
            "ingress": [{"from": from, "ports": [{"port": "https", "protocol": "TCP"}]}],
        }),
    )
}

fn dns(namespace: &str) -> Value {
    policy(
        "dns",
        namespace,
        &json!({
            "podSelector": {"matchLabels": labels()}, "policyTypes": ["Egress"],
            "egress": [{
                "to": [{
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                }],
                "ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
            }],
        }),
    )
}

fn egress(serving: &Serving, namespace: &str) -> Value {
    let rules: Vec<Value> = serving
        .egress
        .iter()
        .flatten()
        .map(|egress| {
            json!({
                "to": [{"ipBlock": {"cidr": egress.cidr}}],
                "ports": [{"port": egress.port, "protocol": "TCP"}],
            })
        })
        .collect();
    policy(
        "egress",
        namespace,
        &json!({
            "podSelector": {"matchLabels": labels()}, "policyTypes": ["Egress"], "egress": rules,
        }),
    )
}
