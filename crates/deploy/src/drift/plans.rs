//! Two plans, key by key; lists of named things by name.

use serde_json::Value;

use super::Drift;
use super::quantity::same;
use super::rules as rule;
use crate::check::check_plan;
use crate::plan::facts::Facts;
use crate::plan::{Plan, to_value};
use crate::rules::{Level, Rule};

/// Keys that say how to get there, not what is there.
const INTENT: &[&str] = &[
    "mode",
    "channel",
    "exposure",
    "profile",
    "allocateFrom",
    "serving",
    "subscription",
    "clusterId",
    "name",
    "resourceGroup",
];
/// Keys that no export has.
const PLANNED_ONLY: &[&str] =
    &["addresses", "usedIps", "otherClusters", "onPrem", "nextHopIp", "privateEndpointVnets"];

pub(super) fn compare(expected: &Plan, found: &Plan) -> Vec<Drift> {
    let mut drifts = Vec::new();
    let (a, b) = (defaulted(expected), defaulted(found));
    walk(&a, &b, "", &mut drifts);
    opened(expected, found, &mut drifts);
    drifts
}

/// A plan with the defaults that a server would have filled in.
fn defaulted(plan: &Plan) -> Value {
    let facts = Facts::of(plan);
    let mut value = to_value(plan);
    for (key, text) in [
        ("serviceCidr", facts.service.map(|net| net.to_string())),
        ("dnsServiceIp", facts.dns.map(crate::addr::show_v4)),
        ("podCidr", facts.pods.map(|net| net.to_string())),
    ] {
        if let Some(text) = text {
            value[key] = Value::from(text);
        }
    }
    for (pool, said) in value["pools"].as_array_mut().into_iter().flatten().zip(&plan.pools) {
        pool["maxPods"] = Value::from(facts.max_pods(said));
        if let Some(object) = pool.as_object_mut() {
            object.insert("maxSurge".into(), crate::plan::facts::surge(said).into());
        }
    }
    value
}

fn walk(expected: &Value, found: &Value, path: &str, drifts: &mut Vec<Drift>) {
    let key = path.rsplit(['.', ']']).next().unwrap_or(path);
    if INTENT.contains(&path) || PLANNED_ONLY.contains(&key) {
        return;
    }
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, below) in a {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match b.get(key) {
                    Some(other) => walk(below, other, &path, drifts),
                    None => absent(below, &path, drifts),
                }
            }
            // A delegation or route that nobody planned.
            for key in ["delegation", "routeTable", "natGateway"] {
                if path.starts_with("subnets[")
                    && !a.contains_key(key)
                    && let Some(other) = b.get(key).filter(|other| **other != Value::Bool(false))
                {
                    add(&format!("{path}.{key}"), &Value::Null, other, drifts);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => list(a, b, path, drifts),
        (a, b) if same(key, a, b) => {}
        (a, b) => add(path, a, b, drifts),
    }
}

/// A key that the second state does not have: unknown (DR2), but for settings that an export
/// would show.
fn absent(expected: &Value, path: &str, drifts: &mut Vec<Drift>) {
    let is_shown = [
        "routeTable",
        "natGateway",
        "delegation",
        "dnsServiceIp",
        "serviceCidr",
        "podSubnet",
        "minCount",
        "networkPolicy",
        "dataplane",
        "pluginMode",
        "authorizedIpRanges",
    ];
    let key = path.rsplit(['.', ']']).next().unwrap_or(path);
    let is_empty = expected.as_array().is_some_and(Vec::is_empty)
        || matches!(expected.as_str(), Some("none" | "azure"))
        || *expected == Value::Bool(false);
    let has_hop = !expected.is_object() || !expected["defaultNextHop"].is_null();
    if is_shown.contains(&key) && !is_empty && has_hop {
        add(path, expected, &Value::Null, drifts);
    }
}

fn named<'a>(list: &'a [Value], name: &Value) -> Option<&'a Value> {
    list.iter().find(|item| item["name"] == *name)
}

fn list(a: &[Value], b: &[Value], path: &str, drifts: &mut Vec<Drift>) {
    let has_names = a.iter().chain(b).all(|item| item["name"].is_string());
    if has_names && !(a.is_empty() && b.is_empty()) {
        for item in a {
            let at = format!("{path}[{}]", item["name"].as_str().unwrap_or_default());
            match named(b, &item["name"]) {
                Some(other) => walk(item, other, &at, drifts),
                None => drifts.push(Drift {
                    rule: rule::DRIFT_MISSING,
                    path: at,
                    expected: item.clone(),
                    found: Value::Null,
                }),
            }
        }
        for item in b.iter().filter(|item| named(a, &item["name"]).is_none()) {
            // Another's subnet is no drift; what it collides with is told by the rules.
            if path != "subnets" {
                let at = format!("{path}[{}]", item["name"].as_str().unwrap_or_default());
                add(&at, &Value::Null, item, drifts);
            }
        }
        return;
    }
    let contains = |list: &[Value], item: &Value| list.iter().any(|other| equal(other, item));
    for item in a.iter().filter(|item| !contains(b, item)) {
        add(path, item, &Value::Null, drifts);
    }
    for item in b.iter().filter(|item| !contains(a, item)) {
        add(path, &Value::Null, item, drifts);
    }
}

/// Members of lists without names: texts, or roles.
fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_object(), b.as_object()) {
        (Some(a), Some(b)) => {
            a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(key, value, other)))
        }
        _ => a == b,
    }
}

fn add(path: &str, expected: &Value, found: &Value, drifts: &mut Vec<Drift>) {
    drifts.push(Drift {
        rule: rule_of(path),
        path: path.to_owned(),
        expected: expected.clone(),
        found: found.clone(),
    });
}

fn rule_of(path: &str) -> &'static Rule {
    let first = path.split(['.', '[']).next().unwrap_or(path);
    let last = path.rsplit(['.', ']']).next().unwrap_or(path);
    match (first, last) {
        ("vnet", _) if path.contains("peerings") => rule::DRIFT_PEER,
        ("subnets", "cidr") | ("vnet", "addressSpace") => rule::DRIFT_ADDRESS,
        ("subnets", "delegation") | ("nodeSubnet" | "podSubnet" | "podAllocation", _) => {
            rule::DRIFT_SUBNET
        }
        ("subnets", _) | ("outboundType", _) => rule::DRIFT_EGRESS,
        ("serviceCidr" | "dnsServiceIp" | "podCidr" | "dockerBridge", _) => rule::DRIFT_ADDRESS,
        ("vnet", "region") | ("region" | "target", _) => rule::DRIFT_PLACE,
        ("vnet", _) => rule::DRIFT_PLACE,
        ("plugin" | "pluginMode" | "dataplane" | "networkPolicy", _) => rule::DRIFT_POLICY,
        ("privateCluster" | "authorizedIpRanges", _) => rule::DRIFT_API,
        ("lb", _) => rule::DRIFT_LB,
        ("identity", _) if path.contains("roles") => rule::DRIFT_ROLE,
        ("identity", _) => rule::DRIFT_IDENTITY,
        ("localAccountsDisabled", _) => rule::DRIFT_ACCOUNT,
        ("kubernetesVersion", _) => rule::DRIFT_VERSION,
        ("pools", _) => rule::DRIFT_POOL,
        ("workspace", _) => rule::DRIFT_WORKSPACE,
        _ => rule::DRIFT_HARDENING,
    }
}

/// Rules that the second state breaks and the first does not.
fn opened(expected: &Plan, found: &Plan, drifts: &mut Vec<Drift>) {
    let before = check_plan(expected).ids();
    for finding in check_plan(found).findings {
        let is_new = !before.contains(&finding.rule.id);
        if is_new && finding.rule.level == Level::Error {
            drifts.push(Drift {
                rule: finding.rule,
                path: finding.path,
                expected: Value::Null,
                found: Value::from(finding.message),
            });
        }
    }
}
