//! RE1, RE2 and RE3. The official schemas and the validators of Kubernetes are asked by `tests/deploy`.

use super::*;
use crate::check::tests::{changed, plan_of};

/// Paths of health; the real ones are the protocol's.
pub(crate) const PROBES: Probes<'_> = Probes { live: "/live", ready: "/ready" };
const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The base plan with Bartizan in it.
pub(crate) fn serving(changes: &str) -> Plan {
    let image = format!("crml.azurecr.io/bartizan@sha256:{DIGEST}");
    let mut plan = changed(changes);
    if plan.get("serving").is_none() {
        plan["serving"] = serde_json::json!({"image": image, "identityClientId": "c"});
    }
    plan_of(&plan)
}

#[test]
fn only_a_clean_plan_is_rendered() {
    assert!(matches!(
        render(&serving("/serviceCidr=10.1.0.0/16"), &PROBES),
        Err(RenderError::NotClean(_))
    ));
    assert!(matches!(
        render(&serving("/subnets/2/cidr="), &PROBES),
        Err(RenderError::NotSaid { .. })
    ));
    assert!(matches!(
        render(&serving("/outboundType=block; /profile=standalone"), &PROBES),
        Err(RenderError::Preview)
    ));
    assert_eq!(render(&serving("/networkPolicy=none"), &PROBES), Err(RenderError::NoPolicyEngine));
    assert_eq!(render(&serving("/networkPolicy="), &PROBES), Err(RenderError::NoPolicyEngine));
    assert_eq!(
        render(&serving("/lb={}; /exposure=public"), &PROBES),
        Err(RenderError::PublicServer)
    );
    for (changes, name) in
        [("/name=a'b", "a'b"), ("/subnets/2/name=[pe]", "[pe]"), ("/resourceGroup=$(id)", "$(id)")]
    {
        let name = name.to_owned();
        assert_eq!(render(&serving(changes), &PROBES), Err(RenderError::BadName { name }));
    }
    assert!(render(&serving(""), &PROBES).is_ok());
}

/// RE3: by digest, all of it.
#[test]
fn an_image_needs_its_whole_digest() {
    for image in [
        "bartizan:1.0".to_owned(),
        format!("bartizan@sha256:{}", &DIGEST[1..]),
        format!("bartizan@sha256:{}", DIGEST.to_uppercase()),
        format!("@sha256:{DIGEST}"),
        format!("a b@sha256:{DIGEST}"),
    ] {
        let mut plan = serving("");
        plan.serving.as_mut().unwrap().image = image.clone();
        assert_eq!(render(&plan, &PROBES), Err(RenderError::NoDigest { image }));
    }
}

/// RE2, and the same bytes for the same plan.
#[test]
fn nothing_rendered_is_public_and_bytes_are_stable() {
    let v1 = "/target=v1; /channel=sdk; /dockerBridge=172.17.0.1/16";
    let public = "/privateCluster={}; /authorizedIpRanges=[\"20.50.0.0/24\"]";
    for changes in ["", v1, public, "/profile=standalone; /localAccountsDisabled=true"] {
        let plan = serving(changes);
        let files = render(&plan, &PROBES).unwrap();
        assert_eq!(files, render(&plan, &PROBES).unwrap());
        let all: String = files.iter().map(|file| file.text.as_str()).collect();
        assert!(!all.contains("PublicIp\"") && !all.contains("in the studio"), "{changes}");
        let lines = all.lines().filter(|line| line.contains("type: LoadBalancer")).count();
        assert_eq!(lines, 1);
        assert!(all.contains("azure-load-balancer-internal: \"true\""));
        assert!(files.is_sorted_by(|a, b| a.name < b.name));
        assert!(files.iter().all(|file| file.text.ends_with('\n')), "{changes}");
    }
}

/// Whoever the cluster acts as gets the planned roles: by name where Azure makes the principal, by
/// its object id where it was there before.
#[test]
fn every_kind_of_identity_gets_its_planned_roles() {
    for (kind, expected) in [
        ("userAssigned", "userAssignedIdentities"),
        ("servicePrincipal", "parameters('servicePrincipalObjectId')"),
    ] {
        let plan =
            format!("/identity/type={kind}; /profile=standalone; /privateCluster/dnsZone=system");
        let plan = serving(&plan);
        let template = arm_template(&plan).unwrap();
        let all = template["resources"].as_array().unwrap();
        let nested =
            all.iter().filter_map(|one| one["properties"]["template"]["resources"].as_array());
        let roles: Vec<_> = nested
            .flatten()
            .chain(all)
            .filter(|one| one["type"] == "Microsoft.Authorization/roleAssignments")
            .collect();
        assert!(!roles.is_empty(), "{kind}");
        for role in roles {
            let principal = role["properties"]["principalId"].as_str().unwrap();
            assert!(principal.contains(expected), "{kind}: {principal}");
        }
        let declared = template["parameters"].as_object().unwrap();
        assert_eq!(declared.contains_key("servicePrincipalObjectId"), kind == "servicePrincipal");
    }
}

/// azureml-core 1.61 `validate_configuration`: all six network fields or none, and an internal
/// load balancer with its subnet.
#[test]
fn the_v1_compute_has_all_network_fields() {
    let v1 = "/target=v1; /channel=sdk; /dockerBridge=172.17.0.1/16";
    let template = arm_template(&serving(v1)).unwrap();
    let compute = find(&template, "Microsoft.MachineLearningServices/workspaces/computes");
    let settings = &compute["properties"]["properties"];
    let network = &settings["aksNetworkingConfiguration"];
    let subnet = network["subnetId"].as_str().unwrap();
    for part in ["rg-inference", "vnet-ml", "aks"] {
        assert!(subnet.contains(part), "{subnet}");
    }
    assert_eq!(network["serviceCidr"], "10.0.0.0/16");
    assert_eq!(network["dnsServiceIP"], "10.0.0.10");
    assert_eq!(network["dockerBridgeCidr"], "172.17.0.1/16");
    assert_eq!(settings["loadBalancerType"], "InternalLoadBalancer");
    assert_eq!(settings["loadBalancerSubnet"], "ilb");
    let public = format!("{v1}; /privateCluster={{}}; /authorizedIpRanges=[\"20.50.0.0/24\"]");
    let script = render(&serving(&public), &PROBES).unwrap();
    let sdk = &script.iter().find(|file| file.name == "sdk/attach.py").unwrap().text;
    for key in [
        "vnet_name",
        "vnet_resourcegroup_name",
        "subnet_name",
        "service_cidr",
        "dns_service_ip",
        "docker_bridge_cidr",
        "load_balancer_subnet",
    ] {
        assert!(sdk.contains(&format!("{key}=\"")), "{key} is not in\n{sdk}");
    }
    assert!(sdk.contains("load_balancer_type=\"InternalLoadBalancer\""));
}

pub(crate) fn find<'a>(template: &'a Value, kind: &str) -> &'a Value {
    let resources = template["resources"].as_array().unwrap();
    resources.iter().find(|resource| resource["type"] == kind).unwrap_or_else(|| panic!("{kind}"))
}

#[test]
fn replicas_and_autoscaler_need_shared_state_and_no_router_beside() {
    let scaled = |shared: &str, profile: &str| {
        let image = format!("i@sha256:{DIGEST}");
        let plan = serving(&format!(
            "/profile={profile}; /serving={{\"image\":\"{image}\",\"replicas\":3,\
             \"replicasMax\":6{shared}}}"
        ));
        let objects = objects(&plan, &PROBES).unwrap();
        let set = objects.iter().find(|(name, _)| name == "stateful-set.yaml").unwrap();
        let has_scaler = objects.iter().any(|(name, _)| name == "autoscaler.yaml");
        (set.1["spec"]["replicas"].as_u64().unwrap(), has_scaler)
    };
    let shared = ",\"registry\":\"postgresql\",\"guardState\":\"shared\"";
    assert_eq!(scaled("", "standalone"), (1, false));
    assert_eq!(scaled(",\"registry\":\"postgresql\"", "standalone"), (1, false));
    assert_eq!(scaled(shared, "azureml"), (1, false));
    assert_eq!(scaled(shared, "standalone"), (3, true));
}

/// The pod outlives its drain, and its volumes outlive the set.
#[test]
fn a_replica_has_its_own_lasting_volume() {
    let mut plan = serving("");
    plan.serving.as_mut().unwrap().drain_s = Some(120);
    let objects = objects(&plan, &PROBES).unwrap();
    let set = &objects.iter().find(|(name, _)| name == "stateful-set.yaml").unwrap().1["spec"];
    assert!(120 < set["template"]["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap());
    assert_eq!(set["persistentVolumeClaimRetentionPolicy"]["whenDeleted"], "Retain");
    assert_eq!(set["persistentVolumeClaimRetentionPolicy"]["whenScaled"], "Retain");
    assert_eq!(set["volumeClaimTemplates"].as_array().unwrap().len(), 1);
    let kustomization = &objects.last().unwrap().1;
    assert_eq!(kustomization["resources"].as_array().unwrap().len(), objects.len() - 1);
}

/// Names are foreign text: they cannot leave their quotes.
#[test]
fn names_do_not_become_commands() {
    assert_eq!(script::quoted("rg-ml"), "rg-ml");
    assert_eq!(script::quoted("a b"), "'a b'");
    assert_eq!(script::quoted("a'; rm -rf /; '"), "'a'\\''; rm -rf /; '\\'''");
    assert_eq!(script::quoted("$(id)"), "'$(id)'");
    assert_eq!(script::quoted(""), "''");
}

mod noise {
    use proptest::prelude::*;

    use super::{PROBES, render};
    use crate::check::tests::base;
    use crate::{allocate, check, fix, import, map, plan, read};

    /// Paths of values that are replaced by noise.
    const PATHS: &[&str] = &[
        "/region",
        "/target",
        "/serviceCidr",
        "/dnsServiceIp",
        "/podCidr",
        "/dockerBridge",
        "/outboundType",
        "/plugin",
        "/pluginMode",
        "/nodeSubnet",
        "/podSubnet",
        "/podAllocation",
        "/lb/type",
        "/lb/subnet",
        "/lb/ip",
        "/subnets/0/cidr",
        "/subnets/0/name",
        "/subnets/1/cidr",
        "/subnets/0/usedIps",
        "/subnets/1/addresses",
        "/vnet/addressSpace",
        "/vnet/onPrem",
        "/pools/0/count",
        "/pools/0/maxPods",
        "/pools/0/maxSurge",
        "/pools/1/minCount",
        "/privateCluster/dnsZone",
        "/privateCluster/apiServerSubnet",
        "/privateCluster/apiServerVnetIntegration",
        "/authorizedIpRanges",
        "/identity/type",
        "/identity/roles/0/scope",
        "/allocateFrom",
        "/channel",
        "/exposure",
        "/profile",
    ];
    /// Values that are valid somewhere, and edges.
    const VALUES: &[&str] = &[
        "null",
        "true",
        "0",
        "1",
        "250",
        "100000",
        "16777216",
        "\"\"",
        "\"v1\"",
        "\"azure\"",
        "\"kubenet\"",
        "\"none\"",
        "\"aks\"",
        "\"ilb\"",
        "\"api\"",
        "\"0.0.0.0/0\"",
        "\"255.255.255.255/32\"",
        "\"10.1.0.0/16\"",
        "\"10.0.0.0/31\"",
        "\"10.1.4.10\"",
        "\"255.255.255.255\"",
        "\"0.0.0.0\"",
        "\"::/0\"",
        "\"999.1.0.0/16\"",
        "[]",
        "[\"0.0.0.0/0\"]",
        "[\"10.1.0.0/30\", \"10.1.0.0/30\"]",
        "[\"0.0.0.0/32\", \"::1\"]",
        "[\"0.0.0.0/1\", \"128.0.0.0/1\"]",
        "\"100%\"",
        "\"studio\"",
        "\"standalone\"",
        "\"userAssigned\"",
        "\"servicePrincipal\"",
        "\"block\"",
        "\"staticBlock\"",
        "\"public\"",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whatever a plan says, everything that is done with it ends with an answer: no panic,
        /// no overflow, and a repaired plan has no more findings than before.
        #[test]
        fn any_plan_has_an_answer(
            changes in proptest::collection::vec((0..PATHS.len(), 0..VALUES.len()), 1..5)
        ) {
            let mut value = base();
            for (path, new) in changes {
                let (parent, key) = PATHS[path].rsplit_once('/').unwrap();
                let new = serde_json::from_str(VALUES[new]).unwrap();
                if let Some(map) = value.pointer_mut(parent).and_then(|at| at.as_object_mut()) {
                    map.insert(key.to_owned(), new);
                }
            }
            let text = value.to_string();
            let Ok(reading) = plan::read(text.as_bytes(), read::Format::Json) else {
                return Ok(());
            };
            let report = fix::check_with_fixes(&reading);
            let repaired = fix::repair(&reading.plan);
            prop_assert!(repaired.left.findings.len() <= report.findings.len());
            if let Ok(allocation) = allocate::auto(&reading.plan) {
                let left = check::check_plan(&allocation.plan);
                prop_assert_eq!(left.verdict(check::Strictness::Usual), check::Verdict::Clean);
            }
            let _ = (map::of(&reading.plan), render(&reading.plan, &PROBES));
            let _ = import::read(&[(text.as_bytes(), read::Format::Json)]);
        }
    }
}
