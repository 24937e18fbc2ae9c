//! A plan after Azure's defaults, with addresses read and names resolved: what the rules judge.
//!
//! A text that is no address is remembered in `unread` and is absent everywhere else, so that
//! one slip is one finding.

use crate::addr::{AddrError, Bare, Net, parse_v4};
use crate::plan::{LbType, OutboundType, Plan, Plugin, PluginMode, Pool, Profile, Surge, Target};

/// AKS's default service range (ARM schema 2026-05-01; azure-cli 2.91).
pub const SERVICE_DEFAULT: Net = Net::v4(10, 0, 0, 0, 16);
/// AKS's default DNS address (ARM schema 2026-05-01).
pub const DNS_DEFAULT: u32 = 0x0a00_000a;
/// AKS's default pod range of overlay and kubenet (ARM schema 2026-05-01).
pub const POD_DEFAULT: Net = Net::v4(10, 244, 0, 0, 16);
/// Addresses that Azure keeps of every subnet: the first four and the last.
pub const SUBNET_RESERVED: u64 = 5;

/// A range and the path of the text it was read from.
#[derive(Clone, Debug)]
pub struct Ranged {
    /// The range.
    pub net: Net,
    /// Its path in the plan.
    pub path: String,
    /// Whose it is, for messages: the name of a peer, or empty.
    pub name: String,
}

/// See the module.
#[derive(Debug)]
pub struct Facts<'a> {
    /// What was read.
    pub plan: &'a Plan,
    /// Whether the cluster is attached to Azure ML.
    pub is_azureml: bool,
    /// Ranges of the virtual network.
    pub vnet: Vec<Ranged>,
    /// Ranges of its peers.
    pub peers: Vec<Ranged>,
    /// Ranges on premises.
    pub on_prem: Vec<Ranged>,
    /// Range of each subnet of the plan, by position.
    pub subnets: Vec<Option<Net>>,
    /// Service range, after the default.
    pub service: Option<Net>,
    /// DNS address, after the default.
    pub dns: Option<u32>,
    /// Pod range, after the default; none where pods have no range of their own.
    pub pods: Option<Net>,
    /// Docker bridge.
    pub docker: Option<Net>,
    /// Position of the node subnet.
    pub node: Option<usize>,
    /// Position of the pod subnet.
    pub pod: Option<usize>,
    /// Position of the API server's subnet.
    pub api: Option<usize>,
    /// Position of the internal load balancer's subnet: the node subnet where none is named.
    pub lb: Option<usize>,
    /// Address of the load balancer.
    pub lb_ip: Option<u32>,
    /// Authorized ranges that are ranges.
    pub authorized: Vec<Ranged>,
    /// Texts that are no addresses, with their paths.
    pub unread: Vec<(String, AddrError)>,
}

impl<'a> Facts<'a> {
    /// Reads every address of a plan. O(size of the plan).
    pub fn of(plan: &'a Plan) -> Self {
        let mut reader = Reader { unread: Vec::new() };
        let find = |name: &Option<String>| {
            let name = name.as_deref()?;
            plan.subnets.iter().position(|subnet| subnet.name == name)
        };
        let vnet = plan.vnet.as_ref();
        let vnet_ranges = vnet.map(|vnet| vnet.address_space.as_slice()).unwrap_or_default();
        let on_prem = vnet.and_then(|vnet| vnet.on_prem.as_deref()).unwrap_or_default();
        let peers = vnet.and_then(|vnet| vnet.peerings.as_deref()).unwrap_or_default();
        // Azure ML v1 sends no defaults for a network of one's own: it refuses (V1-INCOMPLETE).
        let has_defaults = !(plan.target == Target::V1 && vnet.is_some());
        let service = reader.v4(plan.service_cidr.as_deref(), Bare::Refused, "serviceCidr");
        let dns = reader.address(plan.dns_service_ip.as_deref(), "dnsServiceIp");
        let pods = reader.v4(plan.pod_cidr.as_deref(), Bare::Refused, "podCidr");
        let docker = reader.v4(plan.docker_bridge.as_deref(), Bare::Refused, "dockerBridge");
        let node = find(&plan.node_subnet);
        let named_lb = find(&plan.lb.subnet);
        Self {
            plan,
            is_azureml: is_azureml(plan),
            vnet: reader.list(vnet_ranges, "vnet.addressSpace", ""),
            on_prem: reader.list(on_prem, "vnet.onPrem", "on premises"),
            peers: reader.peers(peers),
            subnets: reader.subnets(plan),
            service: match plan.service_cidr {
                None if has_defaults => Some(SERVICE_DEFAULT),
                _ => service,
            },
            dns: match plan.dns_service_ip {
                None if has_defaults => Some(DNS_DEFAULT),
                _ => dns,
            },
            pods: match plan.pod_cidr {
                None if has_pod_range(plan) => Some(POD_DEFAULT),
                _ => pods,
            },
            docker,
            node,
            pod: find(&plan.pod_subnet),
            api: find(&plan.private_cluster.api_server_subnet),
            lb: if plan.lb.subnet.is_some() { named_lb } else { node },
            lb_ip: reader.address(plan.lb.ip.as_deref(), "lb.ip"),
            authorized: reader.authorized(&plan.authorized_ip_ranges),
            unread: reader.unread,
        }
    }

    /// Whether the endpoint's load balancer is internal; Azure's default is public.
    pub fn is_lb_internal(&self) -> bool {
        self.plan.lb.kind == Some(LbType::Internal)
    }

    /// Whether pods take addresses of the node subnet (Azure CNI node subnet).
    pub fn is_flat(&self) -> bool {
        let plan = self.plan;
        plan.plugin == Plugin::Azure && plan.plugin_mode.is_none() && plan.pod_subnet.is_none()
    }

    /// Whether each node takes a /24 of the pod range (overlay and kubenet).
    pub fn has_node_blocks(&self) -> bool {
        has_pod_range(self.plan)
    }

    /// Whether the API server stands behind a private endpoint in the node subnet.
    pub fn has_private_link(&self) -> bool {
        let door = &self.plan.private_cluster;
        door.enabled && !door.api_server_vnet_integration
    }

    /// Whether packets leave by a route of the node subnet.
    pub fn is_routed(&self) -> bool {
        self.plan.outbound_type == OutboundType::UserDefinedRouting
    }

    /// Nodes of all pools, at most and with those that an upgrade adds.
    pub fn nodes(&self) -> (u64, u64) {
        self.plan.pools.iter().fold((0, 0), |(count, with_surge), pool| {
            let nodes = u64::from(pool.count);
            (count + nodes, with_surge + nodes + u64::from(surge(pool)))
        })
    }

    /// Addresses that the node subnet must have beyond those that Azure keeps: at most, and with
    /// surge.
    pub fn node_addresses(&self) -> (u64, u64) {
        let mut fixed = u64::from(self.has_private_link());
        if self.is_lb_internal() && self.lb.is_some() && self.lb == self.node {
            fixed += 1;
        }
        if let Some(subnet) = self.node.and_then(|idx| self.plan.subnets.get(idx)) {
            fixed += u64::from(subnet.used_ips);
        }
        self.plan.pools.iter().fold((fixed, fixed), |(least, with_surge), pool| {
            let each = if self.is_flat() { 1 + u64::from(self.max_pods(pool)) } else { 1 };
            let nodes = u64::from(pool.count);
            (least + nodes * each, with_surge + (nodes + u64::from(surge(pool))) * each)
        })
    }

    /// Addresses that the pod subnet must have beyond those that Azure keeps.
    pub fn pod_addresses(&self) -> u64 {
        let is_static = self.plan.pod_allocation == Some(crate::plan::PodAllocation::StaticBlock);
        self.plan.pools.iter().fold(0, |sum, pool| {
            let pods = u64::from(self.max_pods(pool));
            let each = if is_static { 16 * (pods + 1).div_ceil(16) } else { 16 };
            sum + u64::from(pool.count) * each
        })
    }

    /// Pods a node, after AKS's default for the plugin.
    pub fn max_pods(&self, pool: &Pool) -> u32 {
        pool.max_pods.unwrap_or(match self.plan.plugin {
            Plugin::Kubenet => 110,
            Plugin::None => 250,
            Plugin::Azure if self.is_flat() => 30,
            Plugin::Azure => 250,
        })
    }
}

/// Nodes that an upgrade adds to `pool`; AKS's default is 10 %.
pub fn surge(pool: &Pool) -> u32 {
    match &pool.max_surge {
        Some(surge) => surge.nodes(pool.count),
        None => Surge::Share("10%".to_owned()).nodes(pool.count),
    }
}

/// Whether the cluster is attached to Azure ML: as said, else where a workspace is given or the
/// target is v1.
pub fn is_azureml(plan: &Plan) -> bool {
    match plan.profile {
        Some(Profile::AzureMl) => true,
        Some(Profile::Standalone) => false,
        None => plan.workspace.is_some() || plan.target == Target::V1,
    }
}

fn has_pod_range(plan: &Plan) -> bool {
    match plan.plugin {
        Plugin::Kubenet => true,
        Plugin::Azure => plan.plugin_mode == Some(PluginMode::Overlay),
        Plugin::None => false,
    }
}

struct Reader {
    unread: Vec<(String, AddrError)>,
}

impl Reader {
    fn keep<T>(&mut self, result: Result<T, AddrError>, path: &dyn Fn() -> String) -> Option<T> {
        result.map_err(|error| self.unread.push((path(), error))).ok()
    }

    fn v4(&mut self, text: Option<&str>, bare: Bare, path: &str) -> Option<Net> {
        let result = Net::parse_v4(text?, bare);
        self.keep(result, &|| path.to_owned())
    }

    fn address(&mut self, text: Option<&str>, path: &str) -> Option<u32> {
        let result = parse_v4(text?);
        self.keep(result, &|| path.to_owned())
    }

    /// Networks may be dual-stack: IPv6 ranges are compared among themselves.
    fn list(&mut self, texts: &[String], path: &str, name: &str) -> Vec<Ranged> {
        let mut ranges = Vec::with_capacity(texts.len());
        for (idx, text) in texts.iter().enumerate() {
            let path = || format!("{path}[{idx}]");
            if let Some(net) = self.keep(Net::parse(text, Bare::Refused), &path) {
                ranges.push(Ranged { net, path: path(), name: name.to_owned() });
            }
        }
        ranges
    }

    fn peers(&mut self, peers: &[crate::plan::Peer]) -> Vec<Ranged> {
        let mut ranges = Vec::new();
        for (idx, peer) in peers.iter().enumerate() {
            let path = format!("vnet.peerings[{idx}].addressSpace");
            ranges.extend(self.list(&peer.address_space, &path, &peer.name));
        }
        ranges
    }

    fn subnets(&mut self, plan: &Plan) -> Vec<Option<Net>> {
        let mut ranges = Vec::with_capacity(plan.subnets.len());
        for (idx, subnet) in plan.subnets.iter().enumerate() {
            let net = subnet.cidr.as_deref().and_then(|text| {
                self.keep(Net::parse_v4(text, Bare::Refused), &|| format!("subnets[{idx}].cidr"))
            });
            ranges.push(net);
        }
        ranges
    }

    fn authorized(&mut self, texts: &[String]) -> Vec<Ranged> {
        let mut ranges = Vec::with_capacity(texts.len());
        for (idx, text) in texts.iter().enumerate() {
            let path = || format!("authorizedIpRanges[{idx}]");
            if let Some(net) = self.keep(Net::parse(text, Bare::Allowed), &path) {
                ranges.push(Ranged { net, path: path(), name: String::new() });
            }
        }
        ranges
    }
}
