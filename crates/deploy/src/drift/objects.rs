//! Kubernetes objects: every field that was rendered must be there with its value; what else a
//! cluster adds is silent, unless it opens something.

use serde_json::Value;

use super::Drift;
use super::quantity::same;
use super::rules as rule;
use crate::rules::Rule;

/// Lists in which a further member opens something: a container, a rule, a permission.
const CLOSED: &[&str] = &[
    "containers",
    "initContainers",
    "ephemeralContainers",
    "ingress",
    "egress",
    "from",
    "to",
    "ports",
    "resourceRules",
    "add",
    "validationActions",
    "policyTypes",
];
/// What a pod may not have when nobody rendered it.
const HOST: &[&str] = &["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"];
const INTERNAL: &str = "service.beta.kubernetes.io/azure-load-balancer-internal";

pub(super) fn compare(expected: &[Value], found: &[Value]) -> Vec<Drift> {
    let mut drifts = Vec::new();
    for object in expected {
        match found.iter().find(|other| key(other) == key(object)) {
            Some(other) => {
                let mut walker = Walker { object, drifts: &mut drifts };
                walker.walk(object, other, "");
                walker.host(other);
            }
            None => drifts.push(Drift {
                rule: rule::DRIFT_MISSING,
                path: name(object),
                expected: Value::from(name(object)),
                found: Value::Null,
            }),
        }
    }
    for object in found {
        if !expected.iter().any(|other| key(other) == key(object)) {
            added(expected, object, &mut drifts);
        }
    }
    drifts
}

/// Group, kind, namespace and name; the version may differ.
fn key(object: &Value) -> (String, String, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let group = text(&object["apiVersion"]);
    let group = group.rsplit_once('/').map_or(String::new(), |(group, _)| group.to_owned());
    let metadata = &object["metadata"];
    (group, text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

fn name(object: &Value) -> String {
    let (_, kind, namespace, name) = key(object);
    if namespace.is_empty() {
        format!("{kind}/{name}")
    } else {
        format!("{kind}/{namespace}/{name}")
    }
}

/// An object that nobody rendered, where it opens something.
fn added(expected: &[Value], object: &Value, drifts: &mut Vec<Drift>) {
    let (_, kind, namespace, _) = key(object);
    let is_ours = expected.iter().any(|other| key(other).2 == namespace && !namespace.is_empty());
    let rule = match kind.as_str() {
        "NetworkPolicy" if is_ours => rule::DRIFT_NETPOL,
        "Service" if object["spec"]["type"] == "LoadBalancer" => {
            let is_internal = object["metadata"]["annotations"][INTERNAL] == "true";
            if is_internal {
                return;
            }
            rule::DRIFT_LB
        }
        _ => return,
    };
    let found = Value::from(name(object));
    drifts.push(Drift { rule, path: name(object), expected: Value::Null, found });
}

struct Walker<'a> {
    object: &'a Value,
    drifts: &'a mut Vec<Drift>,
}

impl Walker<'_> {
    fn add(&mut self, path: &str, expected: &Value, found: &Value) {
        let kind = self.object["kind"].as_str().unwrap_or_default();
        self.drifts.push(Drift {
            rule: rule_of(kind, path),
            path: format!("{} {path}", name(self.object)),
            expected: expected.clone(),
            found: found.clone(),
        });
    }

    fn walk(&mut self, expected: &Value, found: &Value, path: &str) {
        let key = path.rsplit('.').next().unwrap_or(path);
        let key = key.split('[').next().unwrap_or(key);
        match (expected, found) {
            (Value::Object(a), Value::Object(b)) => {
                for (key, below) in a {
                    if path.is_empty() && key == "apiVersion" {
                        continue;
                    }
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    match b.get(key) {
                        Some(other) => self.walk(below, other, &path),
                        None if is_zero(below) => {}
                        None => self.add(&path, below, &Value::Null),
                    }
                }
                // An empty selector selects everything: a member narrows it.
                if key == "podSelector" && a.is_empty() && !b.is_empty() {
                    self.add(path, expected, found);
                }
            }
            (Value::Array(a), Value::Array(b)) => self.list(a, b, path, key),
            (a, b) if same(key, a, b) => {}
            (a, b) => self.add(path, a, b),
        }
    }

    fn list(&mut self, a: &[Value], b: &[Value], path: &str, key: &str) {
        let mut taken = vec![false; b.len()];
        for (idx, item) in a.iter().enumerate() {
            let at = match item["name"].as_str() {
                Some(name) => format!("{path}[{name}]"),
                None => format!("{path}[{idx}]"),
            };
            let partner = partner(item, idx, a, b, &taken);
            match partner {
                Some(other) => {
                    taken[other] = true;
                    self.walk(item, &b[other], &at);
                }
                None => self.add(&at, item, &Value::Null),
            }
        }
        for (item, _) in b.iter().zip(&taken).filter(|(_, taken)| !**taken) {
            if CLOSED.contains(&key) || a.iter().all(Value::is_string) {
                self.add(path, &Value::Null, item);
            }
        }
    }

    /// What opens the host to a pod, though nobody rendered the field.
    fn host(&mut self, found: &Value) {
        let spec = &found["spec"]["template"]["spec"];
        for key in HOST {
            if spec[*key] == true && self.object["spec"]["template"]["spec"][*key] != true {
                self.add(&format!("spec.template.spec.{key}"), &Value::Null, &spec[*key]);
            }
        }
        for volume in spec["volumes"].as_array().into_iter().flatten() {
            if volume.get("hostPath").is_some() {
                self.add("spec.template.spec.volumes.hostPath", &Value::Null, volume);
            }
        }
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array().into_iter().flatten() {
                let added = &container["securityContext"]["capabilities"]["add"];
                if added.as_array().is_some_and(|list| !list.is_empty()) {
                    let path =
                        format!("spec.template.spec.{list}.securityContext.capabilities.add");
                    self.add(&path, &Value::Null, added);
                }
            }
        }
    }
}

/// The member of `b` that stands for `item`: by name, else an equal one, else the one at its
/// place.
fn partner(item: &Value, idx: usize, a: &[Value], b: &[Value], taken: &[bool]) -> Option<usize> {
    let free = |other: &usize| !taken[*other];
    let all = || (0..b.len()).filter(free);
    // A volume claim template has its name in `metadata`.
    let name = |value: &Value| {
        let name = value["name"].as_str().or_else(|| value["metadata"]["name"].as_str());
        name.map(str::to_owned)
    };
    if let Some(wanted) = name(item) {
        return all().find(|other| name(&b[*other]).as_ref() == Some(&wanted));
    }
    let equal = |value: &Value| {
        let mut drifts = Vec::new();
        let object = Value::Null;
        Walker { object: &object, drifts: &mut drifts }.walk(item, value, "");
        drifts.is_empty()
    };
    all().find(|other| equal(&b[*other])).or_else(|| {
        let is_claimed = |other: usize| a.contains(&b[other]);
        (idx < b.len() && !taken[idx] && !is_claimed(idx)).then_some(idx)
    })
}

/// What a server leaves out because it is the same as absent.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

fn rule_of(kind: &str, path: &str) -> &'static Rule {
    let has = |part: &str| path.contains(part);
    match kind {
        "Namespace" | "ValidatingAdmissionPolicy" | "ValidatingAdmissionPolicyBinding" => {
            rule::DRIFT_ADMISSION
        }
        "NetworkPolicy" => rule::DRIFT_NETPOL,
        "Service" => rule::DRIFT_LB,
        "ServiceAccount" => rule::DRIFT_IDENTITY,
        "StorageClass" | "PodDisruptionBudget" | "HorizontalPodAutoscaler" => rule::DRIFT_SCALE,
        _ if path.ends_with(".image")
            || path.ends_with("ontainers")
            || has("ephemeralContainers") =>
        {
            rule::DRIFT_IMAGE
        }
        _ if has("securityContext") || has(".host") || has("shareProcess") || has("automount") => {
            rule::DRIFT_POD
        }
        _ if has("serviceAccountName") || has("workload.identity") => rule::DRIFT_IDENTITY,
        _ if has("replicas") || has("volumeClaim") || has("persistentVolumeClaim") => {
            rule::DRIFT_SCALE
        }
        _ => rule::DRIFT_OBJECT,
    }
}
