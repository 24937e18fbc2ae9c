//! The public cases, and what they leave open.

use super::*;
use crate::read::Format;

use std::path::PathBuf;

/// The shared folder; `None` where it is missing, which only CI refuses.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("BARTIZAN_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    if folder.join("deploy-cases").is_dir() {
        return Some(folder);
    }
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!is_ci, "{} has no deploy-cases: set BARTIZAN_SHARED", folder.display());
    println!("skipped: {} has no deploy-cases", folder.display());
    None
}

/// The public cases: name, plan as JSON, expected ids.
pub(crate) fn cases() -> Vec<(String, String, Vec<String>)> {
    let Some(folder) = shared() else { return Vec::new() };
    let text = std::fs::read_to_string(folder.join("deploy-cases/public-cases.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let read = |case: &serde_json::Value| {
        let ids = case["expect"].as_array().unwrap().iter();
        let mut ids: Vec<String> = ids.map(|id| id.as_str().unwrap().to_owned()).collect();
        ids.sort();
        (case["name"].as_str().unwrap().to_owned(), case["plan"].to_string(), ids)
    };
    file["cases"].as_array().unwrap().iter().map(read).collect()
}

/// Every public case, set of rule ids equal.
#[test]
fn the_public_cases_are_judged_exactly() {
    let mut wrong = Vec::new();
    for (name, plan, expected) in cases() {
        let reading = crate::plan::read(plan.as_bytes(), Format::Json);
        let reading = reading.unwrap_or_else(|error| panic!("{name}: {:?}", error.problems()));
        let report = check(&reading);
        if report.ids() != expected {
            wrong.push(format!("{name}: expected {expected:?}, found {:?}", report.ids()));
        }
        assert!(report.unknown.is_empty(), "{name}: {:?}", report.unknown);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A clean private plan; the tests below change it.
pub(crate) fn base() -> serde_json::Value {
    serde_json::json!({
        "target": "v2", "channel": "arm", "exposure": "private", "region": "westeurope",
        "vnet": {"name": "vnet-ml", "region": "westeurope", "addressSpace": ["10.1.0.0/16"],
            "peerings": [{"name": "vnet-hub", "addressSpace": ["10.200.0.0/24"]}],
            "onPrem": ["192.168.0.0/16"]},
        "subnets": [
            {"name": "aks", "cidr": "10.1.0.0/24",
             "routeTable": {"defaultNextHop": "VirtualAppliance"}},
            {"name": "ilb", "cidr": "10.1.4.0/28"}, {"name": "pe", "cidr": "10.1.5.0/27"},
            {"name": "api", "cidr": "10.1.6.0/28",
             "delegation": "Microsoft.ContainerService/managedClusters"},
            {"name": "pods", "cidr": "10.1.16.0/20"}],
        "nodeSubnet": "aks", "plugin": "azure", "pluginMode": "overlay", "dataplane": "cilium",
        "networkPolicy": "cilium", "serviceCidr": "10.0.0.0/16", "dnsServiceIp": "10.0.0.10",
        "podCidr": "10.244.0.0/16",
        "pools": [{"name": "sys", "count": 3, "maxPods": 110, "maxSurge": 1},
                  {"name": "infer", "count": 10, "maxPods": 110, "maxSurge": 1}],
        "privateCluster": {"enabled": true, "dnsZone": "privatelink.westeurope.azmk8s.io",
            "publicFqdn": false, "apiServerVnetIntegration": false},
        "authorizedIpRanges": [], "outboundType": "userDefinedRouting",
        "lb": {"type": "internal", "subnet": "ilb", "ip": "10.1.4.10"},
        "identity": {"type": "userAssigned",
            "roles": [{"role": "Network Contributor", "scope": "resourceGroup"}]},
        "localAccountsDisabled": false,
        "workspace": {"region": "westeurope", "privateEndpointVnets": ["vnet-ml"]}
    })
}

/// `base` with values set: `path=json` separated by `; `, a missing value takes the key away.
pub(crate) fn changed(changes: &str) -> serde_json::Value {
    let mut plan = base();
    for change in changes.split("; ").filter(|change| !change.is_empty()) {
        let (path, value) = change.split_once('=').unwrap();
        let (parent, key) = path.rsplit_once('/').unwrap();
        let parent = plan.pointer_mut(parent).unwrap_or_else(|| panic!("{path}"));
        match (value, parent) {
            ("", serde_json::Value::Object(map)) => drop(map.remove(key)),
            (value, serde_json::Value::Object(map)) => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
                map.insert(key.to_owned(), value);
            }
            (value, parent) => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
                parent[key.parse::<usize>().unwrap()] = value;
            }
        }
    }
    plan
}

pub(crate) fn plan_of(value: &serde_json::Value) -> Plan {
    let reading = crate::plan::read(value.to_string().as_bytes(), Format::Json);
    reading.unwrap_or_else(|error| panic!("{:?}", error.problems())).plan
}

const V1: &str = "/target=v1; /channel=sdk; /dockerBridge=172.17.0.1/16";
const FLAT: &str = "/pluginMode=; /podCidr=; /dataplane=azure; /networkPolicy=calico";
const PUBLIC: &str = "/privateCluster={}; /authorizedIpRanges=[\"20.50.0.0/24\"]";
const API: &str =
    "/privateCluster/apiServerVnetIntegration=true; /privateCluster/apiServerSubnet=api";

/// Changes of the base plan with the exact set of rules: both sides of every edge. RU1.
#[rustfmt::skip]
const CHANGES: &[(&str, &str, &[&str])] = &[
    ("", "", &[]),
    ("", "/serviceCidr=999.1.0.0/16", &["ADDR-SYNTAX"]),
    ("", "/serviceCidr=fd00::/108", &["ADDR-SYNTAX"]),
    ("", "/lb/ip=10.1.4", &["ADDR-SYNTAX"]),
    ("", "/vnet/onPrem=[\"192.168.0.0\"]", &["ADDR-SYNTAX"]),
    ("", "/subnets/2/cidr=10.1.5.1/27", &["ADDR-HOSTBITS"]),
    ("", "/vnet/addressSpace=[\"10.1.0.1/16\"]", &["ADDR-HOSTBITS"]),
    (V1, "/dockerBridge=172.18.3.4/16", &["V1-RETIRED"]),
    ("", "/vnet/addressSpace=[\"10.1.0.0/16\",\"168.63.129.0/24\"]", &["VNET-PLATFORM"]),
    ("", "/vnet/addressSpace=[\"10.1.0.0/16\",\"168.63.128.0/24\"]", &[]),
    ("", "/vnet/addressSpace=[\"10.1.0.0/16\",\"172.31.255.0/24\"]", &["RSV-VNET"]),
    ("", "/vnet/addressSpace=[\"10.1.0.0/16\",\"172.29.0.0/16\"]", &[]),
    ("", "/serviceCidr=172.30.4.0/24; /dnsServiceIp=172.30.4.10", &["RSV-SVC"]),
    ("", "/podCidr=172.31.0.0/16", &["RSV-POD"]),
    ("", "/vnet/peerings/0/addressSpace/0=10.1.128.0/17", &["VNET-PEER"]),
    ("", "/vnet/onPrem=[\"10.1.0.0/24\"]", &["VNET-ONPREM"]),
    ("", "/vnet/region=northeurope", &["VNET-REGION"]),
    ("", "/vnet/region=West Europe", &[]),
    ("", "/subnets/2/cidr=10.2.5.0/27", &["SUB-OUTSIDE"]),
    ("", "/subnets/2/cidr=10.1.0.128/27", &["SUB-OVERLAP"]),
    ("", "/subnets/2/cidr=10.1.5.0/30", &["SUB-SIZE"]),
    ("", "/subnets/2/cidr=10.1.5.0/29", &[]),
    ("", "/nodeSubnet=nodes; /outboundType=loadBalancer", &["SUB-MISSING"]),
    (API, "/privateCluster/apiServerSubnet=", &["SUB-MISSING"]),
    ("", "/subnets/0/delegation=Microsoft.Web/serverFarms", &["SUB-DELEGATED"]),
    ("", "/plugin=kubenet; /pluginMode=; /subnets/0/otherClusters=1", &["NET-KUBENET", "SUB-SHARED"]),
    ("", "/subnets/0/otherClusters=1", &[]),
    ("", "/serviceCidr=10.1.5.0/24; /dnsServiceIp=10.1.5.10", &["SVC-SUBNET"]),
    ("", "/serviceCidr=10.1.240.0/24; /dnsServiceIp=10.1.240.10", &["SVC-VNET"]),
    ("", "/serviceCidr=10.200.0.0/16; /dnsServiceIp=10.200.0.10", &["SVC-PEER"]),
    ("", "/serviceCidr=192.168.0.0/20; /dnsServiceIp=192.168.0.10", &["SVC-ONPREM"]),
    ("", "/serviceCidr=10.64.0.0/11; /dnsServiceIp=10.64.0.10", &["SVC-SIZE"]),
    ("", "/serviceCidr=100.64.0.0/12; /dnsServiceIp=100.64.0.10", &[]),
    ("", "/serviceCidr=99.0.0.0/16; /dnsServiceIp=99.0.0.10", &["SVC-PUBLIC"]),
    ("", "/dnsServiceIp=10.1.0.10", &["DNS-OUTSIDE"]),
    ("", "/dnsServiceIp=10.0.0.0", &["DNS-FIRST"]),
    ("", "/dnsServiceIp=10.0.0.1", &["DNS-FIRST"]),
    ("", "/dnsServiceIp=10.0.0.2", &[]),
    (V1, "/dockerBridge=10.1.5.1/28", &["DBR-SUBNET", "V1-RETIRED"]),
    (V1, "/dockerBridge=10.0.0.1/16", &["DBR-SVC", "V1-RETIRED"]),
    (V1, "/dockerBridge=10.244.0.1/16", &["DBR-POD", "V1-RETIRED"]),
    ("", "/dockerBridge=172.17.0.1/16", &["DBR-OBSOLETE"]),
    ("", "/pluginMode=; /subnets/0/cidr=10.1.8.0/21", &["POD-MODE"]),
    ("", "/podCidr=10.1.0.0/20", &["POD-SUBNET"]),
    ("", "/podCidr=10.1.64.0/18", &["POD-VNET"]),
    ("", "/podCidr=10.0.0.0/15", &["POD-SUBNET", "POD-SVC"]),
    ("", "/podCidr=10.0.0.0/16", &["POD-SVC"]),
    ("", "/podCidr=10.200.0.0/16", &["POD-EXTERNAL"]),
    ("", "/podCidr=11.0.0.0/16", &["POD-PUBLIC"]),
    ("", "/podCidr=10.244.0.0/21", &["POD-SIZE"]),
    ("", "/podCidr=10.244.0.0/20", &[]),
    ("", "/podCidr=10.244.0.0/20; /pools/1/maxSurge=3", &["POD-SURGE"]),
    (FLAT, "/pools/0/maxPods=30; /pools/1/maxPods=30; /subnets/0/cidr=10.1.8.0/22", &[]),
    (FLAT, "/pools/0/maxPods=30; /pools/1/maxPods=30", &["SIZE-NODES"]),
    (FLAT, "/pools=[{\"name\":\"a\",\"count\":7,\"maxPods\":30,\"maxSurge\":1}]", &[]),
    (FLAT, "/pools=[{\"name\":\"a\",\"count\":7,\"maxPods\":30,\"maxSurge\":2}]", &["SIZE-SURGE"]),
    (FLAT, "/podSubnet=pods; /podAllocation=staticBlock; /pools/1/count=30", &[]),
    (FLAT, "/podSubnet=pods; /podAllocation=staticBlock; /pools/1/count=35", &["SIZE-PODS"]),
    (FLAT, "/podSubnet=pods; /pools/1/count=200", &[]),
    ("", "/pools/0/maxPods=9", &["PODS-RANGE"]),
    ("", "/pools/0/maxPods=251", &["PODS-RANGE"]),
    ("", "/pools/0/maxPods=250; /pools/1/maxPods=10", &[]),
    ("", "/pools/0/count=2; /pools/0/maxPods=14", &["PODS-MIN30"]),
    ("", "/pools/0/count=2; /pools/0/maxPods=15", &[]),
    ("", "/plugin=kubenet; /pluginMode=; /podCidr=10.64.0.0/12; /pools/1/count=398; /subnets/0/cidr=10.1.8.0/22", &["NET-KUBENET", "NODES-MAX"]),
    ("", "/plugin=kubenet; /pluginMode=; /podCidr=10.64.0.0/12; /pools/1/count=397; /subnets/0/cidr=10.1.8.0/22", &["NET-KUBENET"]),
    (API, "/subnets/3/cidr=10.1.6.0/29", &["API-SIZE"]),
    (API, "/subnets/3/delegation=", &["API-DELEGATION"]),
    (API, "/privateCluster/apiServerSubnet=aks", &["API-DELEGATION", "API-SHARED"]),
    (API, "", &[]),
    ("", "/authorizedIpRanges=[\"20.50.0.0/24\"]", &["PRIV-AUTHIP"]),
    ("", "/privateCluster/dnsZone=none", &["PRIV-DNSNONE"]),
    ("", "/privateCluster/dnsZone=privatelink.eastus.azmk8s.io", &["PRIV-ZONENAME"]),
    ("", "/privateCluster/dnsZone=a.privatelink.westeurope.azmk8s.io", &[]),
    ("", "/privateCluster/dnsZone=aprivatelink.westeurope.azmk8s.io", &["PRIV-ZONENAME"]),
    ("", "/identity/type=systemAssigned", &["PRIV-IDENTITY"]),
    ("", "/identity/type=systemAssigned; /privateCluster/dnsZone=system", &[]),
    ("", "/privateCluster/publicFqdn=true", &["PRIV-PUBLICFQDN"]),
    ("", "/privateCluster/publicFqdn=", &["PRIV-PUBLICFQDN"]),
    ("", "/privateCluster/publicFqdn=true; /profile=standalone", &[]),
    (PUBLIC, "", &[]),
    (PUBLIC, "/authorizedIpRanges=[]", &["PUB-OPEN"]),
    (PUBLIC, "/authorizedIpRanges=[\"0.0.0.0/32\",\"20.50.0.0/24\"]", &["AUTH-MIX"]),
    (PUBLIC, "/authorizedIpRanges=[\"0.0.0.0/32\"]", &[]),
    (PUBLIC, "/authorizedIpRanges=[\"100.64.1.0/24\",\"20.50.0.7\"]", &["AUTH-PRIVATE"]),
    (PUBLIC, "/authorizedIpRanges=[\"2a01:111::/32\"]", &["AUTH-IPV6"]),
    ("", "/subnets/0/routeTable=", &["OUT-NOROUTE"]),
    ("", "/subnets/0/routeTable/defaultNextHop=Internet", &["OUT-INTERNET"]),
    ("", "/outboundType=managedNATGateway", &["OUT-MANAGEDNAT"]),
    ("", "/outboundType=userAssignedNATGateway", &["OUT-NONAT"]),
    ("", "/outboundType=userAssignedNATGateway; /subnets/0/natGateway=true", &[]),
    ("", "/outboundType=none", &["OUT-ISOLATED"]),
    ("", "/outboundType=block; /profile=standalone", &[]),
    ("", "/lb={}", &["LB-PUBLIC"]),
    ("", "/lb={}; /exposure=public", &[]),
    ("", "/lb/type=public; /exposure=public", &["LB-SUBNET-PUBLIC"]),
    ("", "/lb/subnet=ibl", &["LB-SUBNET"]),
    ("", "/lb/ip=10.1.0.50", &["LB-IP-OUTSIDE"]),
    ("", "/lb/ip=10.1.4.3", &["LB-IP-RESERVED"]),
    ("", "/lb/ip=10.1.4.4", &[]),
    ("", "/lb/ip=10.1.4.15", &["LB-IP-RESERVED"]),
    ("", "/lb/ip=10.1.4.14", &[]),
    ("", "/serviceCidr=10.1.4.0/24; /dnsServiceIp=10.1.4.20", &["LB-IP-SVC", "SVC-SUBNET"]),
    ("", "/channel=studio", &["LB-STUDIO"]),
    ("", "/identity/roles=[]", &["RBAC-MISSING"]),
    ("", "/identity/roles/0/scope=subnet:aks", &["RBAC-MISSING"]),
    ("", "/identity/roles/0/role=Reader", &["RBAC-MISSING"]),
    ("", "/identity/roles/0/scope=vnet", &[]),
    (V1, "/identity/roles/0/scope=vnet", &["RBAC-SCOPE", "V1-RETIRED"]),
    ("", "/workspace/region=eastus", &["ML-REGION"]),
    ("", "/workspace/region=eastus; /workspace/privateEndpointVnets=[]", &[]),
    ("", "/workspace/privateEndpointVnets=[\"vnet-far\"]", &["ML-VNET"]),
    ("", "/workspace/privateEndpointVnets=[\"vnet-hub\"]", &[]),
    (V1, "/workspace/privateEndpointVnets=[\"vnet-hub\"]", &["ML-VNET", "V1-RETIRED"]),
    ("", "/localAccountsDisabled=true", &["ML-LOCALACCTS"]),
    ("", "/localAccountsDisabled=true; /profile=standalone", &[]),
    ("", "/identity/type=servicePrincipal; /privateCluster/dnsZone=system", &["ML-SP"]),
    (V1, "/identity/type=servicePrincipal; /privateCluster/dnsZone=system", &["V1-RETIRED"]),
    (V1, "/dockerBridge=", &["V1-INCOMPLETE", "V1-RETIRED"]),
    (V1, "", &["V1-RETIRED"]),
    ("", "/networkPolicy=azure", &["NET-NPM"]),
    ("", "/serviceCidr=; /dnsServiceIp=; /vnet/onPrem=[\"10.0.0.0/24\"]", &["SVC-ONPREM"]),
    ("", "/podCidr=; /vnet/onPrem=[\"10.244.9.0/24\"]", &["POD-EXTERNAL"]),
    ("", "/serviceCidr=10.96.0.0/16; /dnsServiceIp=", &["DNS-OUTSIDE"]),
];

/// All of [`CHANGES`], and those that are made.
pub(crate) fn changes() -> Vec<(String, Vec<&'static str>)> {
    let mut all: Vec<(String, Vec<&'static str>)> = CHANGES
        .iter()
        .map(|(first, then, ids)| (format!("{first}; {then}"), ids.to_vec()))
        .collect();
    for (n, ids) in [(200, vec![]), (201, vec!["AUTH-COUNT"])] {
        let ranges: Vec<String> = (0..n).map(|idx| format!("\"20.50.{idx}.0/24\"")).collect();
        all.push((format!("{PUBLIC}; /authorizedIpRanges=[{}]", ranges.join(",")), ids));
    }
    all
}

#[test]
fn each_rule_is_judged_from_both_sides_of_its_edge() {
    let mut wrong = Vec::new();
    let mut reported = std::collections::BTreeSet::new();
    for (changes, expected) in changes() {
        let found = check_plan(&plan_of(&changed(&changes))).ids();
        if found != expected {
            wrong.push(format!("{changes}: expected {expected:?}, found {found:?}"));
        }
        reported.extend(found);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for rule in crate::rules::FINDINGS {
        assert!(reported.contains(rule.id), "no plan shows {}", rule.id);
    }
}

/// CK1.
#[test]
fn the_order_of_lists_does_not_matter() {
    fn reversed(value: &serde_json::Value) -> serde_json::Value {
        match (value.as_array(), value.as_object()) {
            (Some(items), _) => items.iter().rev().map(reversed).collect(),
            (_, Some(map)) => {
                map.iter().map(|(key, below)| (key.clone(), reversed(below))).collect()
            }
            _ => value.clone(),
        }
    }
    let own = changes().into_iter().map(|(changes, _)| changed(&changes));
    let public = cases().into_iter().map(|(_, plan, _)| serde_json::from_str(&plan).unwrap());
    for plan in own.chain(public) {
        let (one, other) = (check_plan(&plan_of(&plan)), check_plan(&plan_of(&reversed(&plan))));
        assert_eq!(one.ids(), other.ids(), "{plan}");
        assert_eq!(one.advice.len(), other.advice.len(), "{plan}");
    }
}

/// CK2.
#[test]
fn what_is_not_said_is_named_and_never_clean_when_needed() {
    for (changes, path, verdict) in [
        ("/vnet/peerings=", "vnet.peerings", Verdict::Clean),
        ("/vnet/onPrem=", "vnet.onPrem", Verdict::Clean),
        ("/identity/roles=", "identity.roles", Verdict::Clean),
        ("/workspace/privateEndpointVnets=", "workspace.privateEndpointVnets", Verdict::Clean),
        ("/subnets/2/cidr=", "subnets[2].cidr", Verdict::NotUnderstood),
        ("/pools=[]", "pools", Verdict::NotUnderstood),
        ("/vnet/addressSpace=", "vnet.addressSpace", Verdict::NotUnderstood),
        ("/nodeSubnet=", "nodeSubnet", Verdict::NotUnderstood),
        ("/mode=attach", "clusterId", Verdict::NotUnderstood),
        ("/subnets/2/name=aks", "subnets[2].name", Verdict::NotUnderstood),
        (
            "/identity/roles=[{\"role\":\"Owner\",\"scope\":\"vnet\"},{\"role\":\"Owner\",\"scope\":\"akss\"}]",
            "identity.roles[1].scope",
            Verdict::NotUnderstood,
        ),
    ] {
        let report = check_plan(&plan_of(&changed(changes)));
        let paths: Vec<&str> = report.unknown.iter().map(|unknown| unknown.path.as_str()).collect();
        assert!(paths.contains(&path), "{changes}: {paths:?}");
        assert_eq!(report.verdict(Strictness::Usual), verdict, "{changes}: {:?}", report.ids());
    }
    let report = check_plan(&plan_of(&changed("/vnet/peerings=[]; /vnet/onPrem=[]")));
    assert_eq!(report.unknown, []);
}

/// Every advice rule is given by some plan, and advice is no finding.
#[test]
fn advice_is_apart_and_counts_only_when_strict() {
    let serving = format!("img@sha256:{}", "0".repeat(64));
    let serving = format!("{{\"image\":\"{serving}\",\"replicas\":2}}");
    let mut given = std::collections::BTreeSet::new();
    for changes in [
        PUBLIC.to_owned(),
        "/identity/type=systemAssigned; /privateCluster/dnsZone=system".to_owned(),
        "/hardening={\"workloadIdentity\":false,\"keyVaultSecrets\":false,\"azurePolicy\":false,\
         \"hostEncryption\":false,\"kms\":false,\"auditLogs\":false,\"registryPrivate\":false,\
         \"runCommand\":true,\"customDns\":[\"10.1.9.4\"]}"
            .to_owned(),
        "/profile=standalone".to_owned(),
        "/workspace/routerHa=true; /pools=[{\"name\":\"a\",\"count\":2}]; /kubernetesVersion=\"1.33\""
            .to_owned(),
        format!("/serving={serving}"),
    ] {
        let report = check_plan(&plan_of(&changed(&changes)));
        assert_eq!(report.ids(), [""; 0], "{changes}");
        assert_eq!(report.verdict(Strictness::Usual), Verdict::Clean);
        assert_eq!(report.verdict(Strictness::Strict), Verdict::Errors);
        given.extend(report.advice.iter().map(|advice| advice.rule.id));
    }
    for rule in crate::rules::ADVICE {
        assert!(given.contains(rule.id), "no plan shows {}", rule.id);
    }
}

/// Findings know line and column of the value at fault, in each language.
#[test]
fn a_finding_stands_where_its_value_stands() {
    let text = "region = \"westeurope\"\nserviceCidr = \"10.1.0.0/16\"\n\n[vnet]\nname = \"v\"\n\
                addressSpace = [\"10.1.0.0/16\"]\n\n[[subnets]]\nname = \"a\"\ncidr = \"10.1.0.0/30\"\n";
    let report = check(&crate::plan::read(text.as_bytes(), Format::Toml).unwrap());
    let at = |id: &str| report.findings.iter().find(|finding| finding.rule.id == id).unwrap().at;
    assert_eq!(at("SVC-SUBNET"), Pos { line: 2, column: 1 });
    assert_eq!(at("SUB-SIZE"), Pos { line: 10, column: 1 });
    assert_eq!(at("LB-PUBLIC"), Pos::START);
}
