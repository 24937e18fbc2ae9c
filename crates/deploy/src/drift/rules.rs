//! The rules of drift.

use bartizan_core::Severity;

use crate::rules::table::rules;
use crate::rules::{Level, Rule};

rules!(
    RULES, "Rules of drift.";
    DRIFT_ACCOUNT "DRIFT-ACCOUNT" "deploy.drift.account" Error High
        "who may administer the cluster has changed: local accounts, Kubernetes RBAC or Entra ID",
        "set it back, and find out who changed it",
        "plan against state",
        "none: the change is in force";
    DRIFT_ADDRESS "DRIFT-ADDRESS" "deploy.drift.address" Error High
        "a range or address is not the planned one",
        "move it back, or plan anew with the ranges as they are and check",
        "plan against state",
        "none: most ranges cannot be changed without making the cluster again";
    DRIFT_ADMISSION "DRIFT-ADMISSION" "deploy.drift.admission" Error Critical
        "what keeps foreign images, public load balancers or privileged pods out has changed",
        "apply the rendered policy again",
        "rendered objects against cluster",
        "none: the policy no longer holds";
    DRIFT_API "DRIFT-API" "deploy.drift.api" Error High
        "the API server's door has changed: private, public name, zone or authorized ranges",
        "set it back, and look who used the door meanwhile",
        "plan against state",
        "none: the change is in force";
    DRIFT_EGRESS "DRIFT-EGRESS" "deploy.drift.egress" Error High
        "the way out has changed: outbound type, default route or NAT gateway",
        "set it back",
        "plan against state",
        "none: packets leave another way";
    DRIFT_HARDENING "DRIFT-HARDENING" "deploy.drift.hardening" Warning Medium
        "a hardening setting is not the planned one",
        "set it back",
        "plan against state",
        "none: the change is in force";
    DRIFT_IDENTITY "DRIFT-IDENTITY" "deploy.drift.identity" Error High
        "cluster or pods act as another identity",
        "set it back, and look what the other identity may do",
        "plan against state",
        "none: the change is in force";
    DRIFT_IMAGE "DRIFT-IMAGE" "deploy.drift.image" Error Critical
        "an image that runs is not the rendered one",
        "apply the rendered workload again, and look where the image is from",
        "rendered objects against cluster",
        "none: the image runs";
    DRIFT_LB "DRIFT-LB" "deploy.drift.lb" Error Critical
        "the endpoint's load balancer has changed",
        "set it back to internal with its subnet and address",
        "plan against state",
        "none: the endpoint may stand on the internet";
    DRIFT_MISSING "DRIFT-MISSING" "deploy.drift.missing" Error High
        "something that was planned or rendered is not there",
        "apply it again",
        "plan against state",
        "none: it is gone";
    DRIFT_NETPOL "DRIFT-NETPOL" "deploy.drift.netpol" Error High
        "a network policy lets through other packets than the rendered one",
        "apply the rendered policy again",
        "rendered objects against cluster",
        "none: the change is in force";
    DRIFT_OBJECT "DRIFT-OBJECT" "deploy.drift.object" Warning Low
        "a field that was rendered has another value",
        "apply the rendered object again",
        "rendered objects against cluster",
        "none: the change is in force";
    DRIFT_PEER "DRIFT-PEER" "deploy.drift.peer" Error High
        "the network's peers or the ranges on premises are not the planned ones",
        "check the plan with the new ranges",
        "plan against state",
        "none: a new neighbour reaches the network";
    DRIFT_PLACE "DRIFT-PLACE" "deploy.drift.place" Error High
        "region, name or target is not the planned one: this is another environment",
        "compare with the right export",
        "plan against state",
        "none";
    DRIFT_POD "DRIFT-POD" "deploy.drift.pod" Error High
        "a pod's security settings are weaker or other than rendered",
        "apply the rendered workload again",
        "rendered objects against cluster",
        "none, where admission does not stop it";
    DRIFT_POLICY "DRIFT-POLICY" "deploy.drift.policy" Error High
        "the network plugin or the engine of network policies is not the planned one",
        "make the cluster again as planned, or plan anew",
        "plan against state",
        "none: network policies may not be enforced";
    DRIFT_POOL "DRIFT-POOL" "deploy.drift.pool" Warning Medium
        "a node pool is not the planned one",
        "scale it back, or plan anew and check that addresses suffice",
        "plan against state",
        "none until addresses run out";
    DRIFT_ROLE "DRIFT-ROLE" "deploy.drift.role" Error High
        "the roles of the cluster's identity are not the planned ones",
        "assign what is missing, take away what is too much",
        "plan against state",
        "AuthorizationFailed, where a role is missing";
    DRIFT_SCALE "DRIFT-SCALE" "deploy.drift.scale" Warning Medium
        "replicas, volumes or the disruption budget are not the rendered ones",
        "apply the rendered workload again",
        "rendered objects against cluster",
        "none: the change is in force";
    DRIFT_SUBNET "DRIFT-SUBNET" "deploy.drift.subnet" Error High
        "a subnet is used otherwise than planned",
        "set its delegation back, or plan anew",
        "plan against state",
        "none until the cluster is updated";
    DRIFT_VERSION "DRIFT-VERSION" "deploy.drift.version" Warning Medium
        "the Kubernetes version is not the planned one",
        "plan with the version as it is, or upgrade",
        "plan against state",
        "none: a version cannot be taken back";
    DRIFT_WORKSPACE "DRIFT-WORKSPACE" "deploy.drift.workspace" Warning Medium
        "the Azure ML workspace is not the planned one",
        "check the plan with the workspace as it is",
        "plan against state",
        "none";
);
