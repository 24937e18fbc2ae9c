//! Every key of a plan: what it may be and what it means. Check, JSON Schema and manual are made
//! from this table.

use serde_json::{Value, json};

use super::{
    Channel, Dataplane, Exposure, GuardState, IdentityType, LbType, Mode, NetworkPolicy,
    OutboundType, Plugin, PluginMode, PodAllocation, PoolMode, Profile, RegistryKind, Target,
};
use crate::read::shape::{self, Key, Shape};

/// Most subnets of a virtual network (Azure's limit is 3,000).
const SUBNETS_MAX: usize = 3_000;
/// Most peers of a virtual network (Azure's limit is 500, 1,000 with Virtual Network Manager).
const PEERS_MAX: usize = 1_000;
/// Most ranges of one network.
const RANGES_MAX: usize = 500;
/// Most node pools of a cluster (AKS's limit is 100).
const POOLS_MAX: usize = 100;
/// Most nodes that a pool may claim; what AKS allows is a rule's question.
const NODES_MAX: i64 = 100_000;

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, is_required: false, doc }
}

const fn must(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, is_required: true, doc }
}

const RANGES: Shape = Shape::List(&Shape::Range, RANGES_MAX);
const MANY_RANGES: Shape = Shape::List(&Shape::Range, 4_096);
const TEXTS: Shape = Shape::List(&Shape::Text, 256);

/// The shape of a plan.
pub static PLAN: Shape = Shape::Table(&[
    key(
        "mode",
        Shape::Choice(Mode::WORDS),
        "Make the cluster, or attach an existing one. Default create.",
    ),
    key("clusterId", Shape::Text, "Resource id of the existing cluster (mode attach)."),
    key("name", Shape::Text, "Name of the cluster. Default aks-inference."),
    key("subscription", Shape::Text, "Subscription id of the cluster."),
    key("resourceGroup", Shape::Text, "Resource group of the cluster. Default rg-inference."),
    key(
        "target",
        Shape::Choice(Target::WORDS),
        "v1: AksCompute of Azure ML v1. v2: AKS with the Azure ML extension. Default v2.",
    ),
    key(
        "channel",
        Shape::Choice(Channel::WORDS),
        "Through what the environment is asked for. Default arm.",
    ),
    key(
        "profile",
        Shape::Choice(Profile::WORDS),
        "azureml: attached to a workspace. standalone: Bartizan serves by itself. Default azureml where a workspace is given.",
    ),
    key("exposure", Shape::Choice(Exposure::WORDS), "Who may reach the endpoint. Default private."),
    must("region", Shape::Text, "Azure region of the cluster, as in westeurope."),
    key("kubernetesVersion", Shape::Text, "Kubernetes version, as in 1.36."),
    key("nodeSubnet", Shape::Text, "Name of the subnet of the nodes."),
    key("podSubnet", Shape::Text, "Name of the subnet of the pods (Azure CNI with a pod subnet)."),
    key(
        "podAllocation",
        Shape::Choice(PodAllocation::WORDS),
        "How pods of a pod subnet get addresses. Default dynamic.",
    ),
    key("plugin", Shape::Choice(Plugin::WORDS), "Network plugin. Default azure."),
    key(
        "pluginMode",
        Shape::Choice(PluginMode::WORDS),
        "overlay: pods have their own range. Default: pods share the node subnet.",
    ),
    key("dataplane", Shape::Choice(Dataplane::WORDS), "What moves packets. Default azure."),
    key(
        "networkPolicy",
        Shape::Choice(NetworkPolicy::WORDS),
        "What enforces network policies. Default none.",
    ),
    key(
        "serviceCidr",
        Shape::Range,
        "Range of the cluster's services. Azure's default 10.0.0.0/16.",
    ),
    key(
        "dnsServiceIp",
        Shape::Address,
        "Address of the cluster's DNS, in serviceCidr. Azure's default 10.0.0.10.",
    ),
    key(
        "podCidr",
        Shape::Range,
        "Range of the pods (overlay and kubenet). Azure's default 10.244.0.0/16.",
    ),
    key(
        "dockerBridge",
        Shape::Range,
        "Docker bridge: a host address with a prefix length, as in 172.17.0.1/16 (target v1).",
    ),
    key(
        "authorizedIpRanges",
        MANY_RANGES,
        "Who may reach a public API server; 0.0.0.0/32 alone means the cluster's own nodes only.",
    ),
    key(
        "outboundType",
        Shape::Choice(OutboundType::WORDS),
        "How packets leave the cluster. Azure's default loadBalancer.",
    ),
    key(
        "localAccountsDisabled",
        Shape::Bool,
        "Whether the cluster's local accounts are off. Default false.",
    ),
    key(
        "allocateFrom",
        RANGES,
        "Where `plan --auto` may take service and pod ranges from. Default: RFC 1918 and RFC 6598.",
    ),
    key("vnet", Shape::Table(VNET), "The virtual network of the nodes. Absent: AKS makes its own."),
    key("privateCluster", Shape::Table(PRIVATE_CLUSTER), "The API server's door."),
    key("lb", Shape::Table(LB), "The load balancer of the endpoint."),
    key("identity", Shape::Table(IDENTITY), "As whom the cluster acts."),
    key("workspace", Shape::Table(WORKSPACE), "The Azure ML workspace."),
    key("hardening", Shape::Table(HARDENING), "Settings of the cluster beyond addresses."),
    key("serving", Shape::Table(SERVING), "Bartizan itself in the cluster."),
    key(
        "subnets",
        Shape::List(&Shape::Table(SUBNET), SUBNETS_MAX),
        "All subnets of the virtual network, also those of others.",
    ),
    key("pools", Shape::List(&Shape::Table(POOL), POOLS_MAX), "Node pools."),
]);

const VNET: &[Key] = &[
    must("name", Shape::Text, "Name of the virtual network."),
    key("region", Shape::Text, "Its region. Default: the cluster's."),
    key("resourceGroup", Shape::Text, "Its resource group. Default: the cluster's."),
    key("addressSpace", RANGES, "Its ranges."),
    key(
        "onPrem",
        MANY_RANGES,
        "Ranges on premises that are routed to it. Absent: not known; [] means none.",
    ),
    key(
        "peerings",
        Shape::List(&Shape::Table(PEER), PEERS_MAX),
        "Peered networks. Absent: not known; [] means none.",
    ),
];

const PEER: &[Key] = &[
    must("name", Shape::Text, "Name of the peered network."),
    key("addressSpace", RANGES, "Its ranges."),
];

const SUBNET: &[Key] = &[
    must("name", Shape::Text, "Name of the subnet."),
    key("cidr", Shape::Range, "Its range. Absent: `plan --auto` allocates it."),
    key(
        "addresses",
        Shape::Count(1, 16_777_216),
        "How many usable addresses it needs (`plan --auto`).",
    ),
    key("usedIps", Shape::Count(0, 16_777_216), "Addresses taken besides nodes. Default 0."),
    key("otherClusters", Shape::Count(0, 1_000), "Other clusters that use it. Default 0."),
    key(
        "delegation",
        Shape::Text,
        "Service that it is delegated to, as in Microsoft.ContainerService/managedClusters.",
    ),
    key("natGateway", Shape::Bool, "Whether a NAT gateway is attached. Default false."),
    key("routeTable", Shape::Table(ROUTE_TABLE), "What of its route table matters."),
];

const ROUTE_TABLE: &[Key] = &[
    key(
        "defaultNextHop",
        Shape::Text,
        "Next hop of 0.0.0.0/0: VirtualAppliance, VirtualNetworkGateway, Internet, None.",
    ),
    key("nextHopIp", Shape::Address, "Address of the virtual appliance."),
];

const POOL: &[Key] = &[
    must("name", Shape::Text, "Name of the pool."),
    must("count", Shape::Count(0, NODES_MAX), "Largest number of nodes: the autoscaler's maximum."),
    key("minCount", Shape::Count(0, NODES_MAX), "The autoscaler's minimum. Absent: no autoscaler."),
    key(
        "maxPods",
        Shape::Count(0, 1_000),
        "Pods a node. Azure's default 250 with overlay or a pod subnet, 110 with kubenet, else 30.",
    ),
    key("maxSurge", Shape::Surge, "Nodes that an upgrade adds. Azure's default 10%."),
    key(
        "mode",
        Shape::Choice(PoolMode::WORDS),
        "System or User. Default: the first pool is System, others User.",
    ),
    key("vmSize", Shape::Text, "Size of its machines. Default Standard_D4ds_v5."),
    key("zones", Shape::List(&Shape::Text, 8), "Availability zones. Default 1, 2, 3."),
];

const PRIVATE_CLUSTER: &[Key] = &[
    key(
        "enabled",
        Shape::Bool,
        "Whether the API server has private addresses only. Default false.",
    ),
    key(
        "dnsZone",
        Shape::Text,
        "system, none, or a zone: its name or resource id. Azure's default system.",
    ),
    key(
        "publicFqdn",
        Shape::Bool,
        "Whether a private API server also has a public name. Azure's default true.",
    ),
    key(
        "apiServerVnetIntegration",
        Shape::Bool,
        "Whether the API server stands in a subnet of the network, instead of behind a private link.",
    ),
    key("apiServerSubnet", Shape::Text, "Name of that subnet."),
];

const LB: &[Key] = &[
    key("type", Shape::Choice(LbType::WORDS), "internal or public. Azure's default public."),
    key("subnet", Shape::Text, "Name of its subnet. Default: the node subnet."),
    key("ip", Shape::Address, "Its address. Absent: Azure picks one."),
];

const IDENTITY: &[Key] = &[
    key("type", Shape::Choice(IdentityType::WORDS), "Kind of identity. Default systemAssigned."),
    key("name", Shape::Text, "Name of a user-assigned identity. Default id-<cluster>."),
    key(
        "roles",
        Shape::List(&Shape::Table(ROLE), 256),
        "Role assignments. Absent: not known; [] means none.",
    ),
];

const ROLE: &[Key] = &[
    must("role", Shape::Text, "Name or id of the role, as in Network Contributor."),
    must(
        "scope",
        Shape::Text,
        "resourceGroup (of the network), vnet, subnet:<name>, subscription, or a resource id.",
    ),
    key("actions", TEXTS, "Actions of a custom role."),
];

const WORKSPACE: &[Key] = &[
    key("name", Shape::Text, "Name of the workspace. Default mlw-inference."),
    key("region", Shape::Text, "Its region. Default: the cluster's."),
    key("resourceGroup", Shape::Text, "Its resource group. Default: the cluster's."),
    key(
        "privateEndpointVnets",
        TEXTS,
        "Networks in which it has private endpoints. Absent: not known; [] means none.",
    ),
    key(
        "tlsSecret",
        Shape::Text,
        "Kubernetes secret with certificate and key of the inference router. Default azureml-fe-tls.",
    ),
    key("tlsCname", Shape::Text, "Name in that certificate."),
    key(
        "routerHa",
        Shape::Bool,
        "Whether the inference router has three replicas. Default: where three nodes are planned.",
    ),
    key(
        "allowInsecureConnections",
        Shape::Bool,
        "Whether the router takes plain HTTP. Default false.",
    ),
];

const HARDENING: &[Key] = &[
    key("workloadIdentity", Shape::Bool, "Workload identity with OIDC issuer."),
    key("azurePolicy", Shape::Bool, "Azure Policy add-on."),
    key("keyVaultSecrets", Shape::Bool, "Key Vault CSI driver with rotation."),
    key("hostEncryption", Shape::Bool, "Encryption at host of the pools."),
    key("kms", Shape::Bool, "KMS data encryption of Kubernetes secrets."),
    key("runCommand", Shape::Bool, "Whether `az aks command invoke` works; render turns it off."),
    key("auditLogs", Shape::Bool, "kube-audit-admin and guard to a Log Analytics workspace."),
    key(
        "customDns",
        Shape::List(&Shape::Address, 16),
        "DNS servers of the network, where they are not Azure's.",
    ),
    key("registryPrivate", Shape::Bool, "Whether the container registry has a private endpoint."),
    key(
        "entraAdmins",
        TEXTS,
        "Object ids of the Entra groups that administer the cluster (standalone).",
    ),
];

const SERVING: &[Key] = &[
    must("image", Shape::Text, "Image by digest: registry/name@sha256:<64 hexadecimal digits>."),
    key("namespace", Shape::Text, "Namespace. Default bartizan."),
    key(
        "replicas",
        Shape::Count(1, 100),
        "Replicas. Default 1; more need postgresql and shared guard state.",
    ),
    key(
        "replicasMax",
        Shape::Count(1, 100),
        "Most replicas of an autoscaler. Absent: no autoscaler.",
    ),
    key("storageGib", Shape::Count(1, 32_767), "Volume of a replica's ledger, in GiB. Default 64."),
    key(
        "drainS",
        Shape::Count(1, 3_600),
        "How long a stopping server finishes its requests, in seconds. Default 30.",
    ),
    key("identityClientId", Shape::Text, "Client id of the workload identity."),
    key(
        "verifiedImages",
        TEXTS,
        "Images by digest that may run in the namespace; `image` always may.",
    ),
    key(
        "callers",
        RANGES,
        "Ranges that may call the endpoint. Default: the ranges of the network.",
    ),
    key(
        "egress",
        Shape::List(&Shape::Table(EGRESS), 256),
        "Ranges and ports that the server may call. Default: DNS only.",
    ),
    key(
        "registry",
        Shape::Choice(RegistryKind::WORDS),
        "Where the registry lives. Default sqlite.",
    ),
    key(
        "guardState",
        Shape::Choice(GuardState::WORDS),
        "Where the guards' memory lives. Default local.",
    ),
];

const EGRESS: &[Key] =
    &[must("cidr", Shape::Range, "Range."), must("port", Shape::Count(1, 65_535), "TCP port.")];

/// The JSON Schema of a plan as it is published, for editors.
pub fn schema_text() -> String {
    let mut schema = shape::schema(&PLAN);
    if let Some(root) = schema.as_object_mut() {
        root.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".into(), json!("aks.toml"));
        let doc = "Plan of a private AKS inference environment (`bartizan aks`)";
        root.insert("description".into(), Value::from(doc));
    }
    crate::render::json_text(&schema)
}
