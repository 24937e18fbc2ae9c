//! What the cluster itself refuses: public load balancers anywhere, and foreign images in
//! Bartizan's namespace.

use serde_json::{Value, json};

use super::names::digest_of;
use crate::plan::Serving;

const INTERNAL: &str = "service.beta.kubernetes.io/azure-load-balancer-internal";

/// The policies and their bindings. Both fail closed.
pub(super) fn policies(serving: &Serving, namespace: &str) -> Vec<(&'static str, Value)> {
    let own = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    vec![
        ("admission-images.yaml", images(serving)),
        ("admission-images-binding.yaml", binding("bartizan-images", Some(&own))),
        ("admission-load-balancer.yaml", load_balancer()),
        ("admission-load-balancer-binding.yaml", binding("bartizan-load-balancer", None)),
    ]
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": super::objects::NAME}},
        "spec": spec,
    })
}

fn binding(name: &str, namespaces: Option<&Value>) -> Value {
    let mut spec = json!({"policyName": name, "validationActions": ["Deny", "Audit"]});
    if let Some(selector) = namespaces {
        spec["matchResources"] = json!({"namespaceSelector": selector});
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": super::objects::NAME}},
        "spec": spec,
    })
}

/// No public load balancer, in any namespace.
fn load_balancer() -> Value {
    let expression = format!(
        "object.spec.type != 'LoadBalancer' || (has(object.metadata.annotations) && '{INTERNAL}' \
         in object.metadata.annotations && object.metadata.annotations['{INTERNAL}'] == 'true')"
    );
    policy(
        "bartizan-load-balancer",
        &json!({
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["services"],
            }]},
            "validations": [{
                "expression": expression,
                "message": "a load balancer must be internal: annotate it \
                            azure-load-balancer-internal: \"true\"",
            }],
        }),
    )
}

/// Containers, init and ephemeral containers only from the list of verified digests; volumes are
/// no images.
fn images(serving: &Serving) -> Value {
    let listed = serving.verified_images.iter().flatten();
    let mut digests: Vec<String> = std::iter::once(&serving.image)
        .chain(listed)
        .filter_map(|image| Some(format!("'@sha256:{}'", digest_of(image)?)))
        .collect();
    digests.sort_unstable();
    digests.dedup();
    let check = |list: &str| {
        let is_listed = "variables.verified.exists(d, c.image.endsWith(d))";
        let all = format!("object.spec.{list}.all(c, {is_listed})");
        let expression = match list {
            "containers" => all,
            _ => format!("!has(object.spec.{list}) || {all}"),
        };
        json!({"expression": expression, "message": format!("{list}: an image is not verified")})
    };
    policy(
        "bartizan-images",
        &json!({
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["pods", "pods/ephemeralcontainers"],
            }]},
            "variables": [{"name": "verified", "expression": format!("[{}]", digests.join(", "))}],
            "validations": [
                check("containers"), check("initContainers"), check("ephemeralContainers"),
                {"expression": "!has(object.spec.volumes) || \
                                object.spec.volumes.all(v, !has(v.image))",
                 "message": "volumes: an image as a volume is not verified"},
            ],
        }),
    )
}
