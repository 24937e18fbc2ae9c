//! The plan: one file that says what the environment shall be.
//!
//! Values are as written; `facts` applies Azure's defaults and reads the addresses. An `Option`
//! that is `None` means "not said", which is not the same as "none": no `peerings` is unknown,
//! an empty list is no peers.

pub mod facts;
mod keys;
mod read;
mod write;

pub use keys::{PLAN, schema_text};
pub(crate) use read::of_tree;
pub use read::{PlanError, Reading, read};
pub(crate) use write::to_value;
pub use write::{to_json, to_toml, to_yaml};

use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct Plan {
    #[serde(default)]
    pub mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    #[serde(default)]
    pub target: Target,
    #[serde(default)]
    pub channel: Channel,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    #[serde(default)]
    pub exposure: Exposure,
    pub region: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_subnet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_subnet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_allocation: Option<PodAllocation>,
    #[serde(default)]
    pub plugin: Plugin,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_mode: Option<PluginMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataplane: Option<Dataplane>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_cidr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_service_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_cidr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_bridge: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorized_ip_ranges: Vec<String>,
    #[serde(default)]
    pub outbound_type: OutboundType,
    #[serde(default)]
    pub local_accounts_disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocate_from: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vnet: Option<Vnet>,
    #[serde(default)]
    pub private_cluster: PrivateCluster,
    #[serde(default)]
    pub lb: LoadBalancer,
    #[serde(default)]
    pub identity: Identity,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Workspace>,
    #[serde(default, skip_serializing_if = "Hardening::is_unsaid")]
    pub hardening: Hardening,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
    #[serde(default)]
    pub subnets: Vec<Subnet>,
    #[serde(default)]
    pub pools: Vec<Pool>,
}

/// Declares an enumeration whose words in the file are given.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$more:meta])* $variant:ident = $word:literal, $said:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $(#[doc = $said] #[serde(rename = $word)] $(#[$more])* $variant,)*
        }

        impl $name {
            /// The words, in order.
            pub const WORDS: &[&str] = &[$($word),*];

            /// The word in the file.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

words!(
    /// Whether the cluster is made or is there.
    #[derive(Default)]
    Mode {
        #[default] Create = "create", "The cluster is made.";
        Attach = "attach", "An existing cluster is attached.";
    }
);
words!(
    /// Which generation of Azure ML drives the cluster.
    #[derive(Default)]
    Target {
        V1 = "v1", "SDK/CLI v1: `AksCompute`.";
        #[default] V2 = "v2", "AKS by ARM or `az`, with the Azure ML extension.";
    }
);
words!(
    /// Through what the environment is asked for.
    #[derive(Default)]
    Channel {
        #[default] Arm = "arm", "ARM template.";
        Cli = "cli", "`az`.";
        Sdk = "sdk", "Python SDK.";
        Studio = "studio", "The studio's web pages.";
    }
);
words!(
    /// Who serves.
    Profile {
        AzureMl = "azureml", "Attached to an Azure ML workspace.";
        Standalone = "standalone", "Bartizan serves by itself.";
    }
);
words!(
    /// Who may reach the endpoint.
    #[derive(Default)]
    Exposure {
        #[default] Private = "private", "Private addresses only.";
        Public = "public", "Also the internet.";
    }
);
words!(
    /// How pods of a pod subnet get addresses.
    PodAllocation {
        Dynamic = "dynamic", "In batches of 16 a node.";
        StaticBlock = "staticBlock", "In blocks of 16 reserved for each node.";
    }
);
words!(
    /// Network plugin.
    #[derive(Default)]
    Plugin {
        #[default] Azure = "azure", "Azure CNI.";
        Kubenet = "kubenet", "kubenet.";
        None = "none", "Bring your own.";
    }
);
words!(
    /// Mode of Azure CNI.
    PluginMode {
        Overlay = "overlay", "Pods have their own range.";
    }
);
words!(
    /// What moves packets.
    Dataplane {
        Azure = "azure", "Azure's own.";
        Cilium = "cilium", "Cilium.";
    }
);
words!(
    /// What enforces network policies.
    NetworkPolicy {
        None = "none", "Nothing.";
        Azure = "azure", "Azure Network Policy Manager.";
        Calico = "calico", "Calico.";
        Cilium = "cilium", "Cilium.";
    }
);
words!(
    /// How packets leave.
    #[derive(Default)]
    OutboundType {
        #[default] LoadBalancer = "loadBalancer", "By the public load balancer.";
        UserDefinedRouting = "userDefinedRouting", "By a route of the node subnet.";
        ManagedNatGateway = "managedNATGateway", "By a NAT gateway that AKS makes.";
        UserAssignedNatGateway = "userAssignedNATGateway", "By a NAT gateway of the node subnet.";
        None = "none", "They do not: network isolated cluster.";
        Block = "block", "They do not, and are stopped: network isolated cluster.";
    }
);
words!(
    /// Kind of load balancer.
    LbType {
        Internal = "internal", "Private address.";
        Public = "public", "Public address.";
    }
);
words!(
    /// Kind of the cluster's identity.
    #[derive(Default)]
    IdentityType {
        #[default] SystemAssigned = "systemAssigned", "Made with the cluster.";
        UserAssigned = "userAssigned", "Made before the cluster.";
        ServicePrincipal = "servicePrincipal", "An application with a secret.";
    }
);
words!(
    /// What a pool is for.
    PoolMode {
        System = "System", "The cluster's own pods.";
        User = "User", "Workloads.";
    }
);

/// The virtual network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct Vnet {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address_space: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_prem: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peerings: Option<Vec<Peer>>,
}

/// A peered virtual network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct Peer {
    pub name: String,
    #[serde(default)]
    pub address_space: Vec<String>,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct Subnet {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<u32>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub used_ips: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other_clusters: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_gateway: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_table: Option<RouteTable>,
}

/// What of a route table matters here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct RouteTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_next_hop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_ip: Option<String>,
}

/// A pool of nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct Pool {
    pub name: String,
    pub count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pods: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<Surge>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<PoolMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zones: Option<Vec<String>>,
}

/// How many nodes an upgrade adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Surge {
    /// So many.
    Nodes(u32),
    /// A share of the pool, as in `33%`.
    Share(String),
}

impl Surge {
    /// Nodes added to a pool of `count`, a share rounded up as AKS does.
    pub fn nodes(&self, count: u32) -> u32 {
        match self {
            Self::Nodes(nodes) => *nodes,
            Self::Share(text) => {
                let share: u64 =
                    text.strip_suffix('%').and_then(|digits| digits.parse().ok()).unwrap_or(0);
                let nodes = (u64::from(count) * share).div_ceil(100);
                u32::try_from(nodes).unwrap_or(u32::MAX)
            }
        }
    }
}

/// The API server's door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct PrivateCluster {
    #[serde(default)]
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_fqdn: Option<bool>,
    #[serde(default)]
    pub api_server_vnet_integration: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_server_subnet: Option<String>,
}

/// The endpoint's load balancer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct LoadBalancer {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<LbType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
}

/// As whom the cluster acts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct Identity {
    #[serde(rename = "type", default)]
    pub kind: IdentityType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
}

/// A role that the identity holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct Role {
    pub role: String,
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<String>>,
}

/// The Azure ML workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct Workspace {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_endpoint_vnets: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_ha: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_insecure_connections: Option<bool>,
}

/// Settings of the cluster beyond addresses; `None` is not said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct Hardening {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_policy: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_vault_secrets: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_encryption: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_command: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_logs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_dns: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_private: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entra_admins: Option<Vec<String>>,
}

impl Hardening {
    fn is_unsaid(&self) -> bool {
        *self == Self::default()
    }
}

/// Bartizan itself in the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct Serving {
    pub image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_gib: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_images: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<Egress>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard_state: Option<GuardState>,
}

/// A range and port that the server may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "`keys` documents every key once, for people and editors")]
pub struct Egress {
    pub cidr: String,
    pub port: u16,
}

words!(
    /// Where the registry lives.
    RegistryKind {
        Sqlite = "sqlite", "On the replica's own volume.";
        PostgreSql = "postgresql", "In PostgreSQL, shared by replicas.";
    }
);
words!(
    /// Where the guards' memory lives.
    GuardState {
        Local = "local", "In the replica.";
        Shared = "shared", "In Valkey or Redis, shared by replicas.";
    }
);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
