//! The tables: 76 rules of findings, the advice, and all of them as every gate's rules.

use bartizan_core::Severity;

use super::{Level, Rule};

/// Declares rules and the table of them, sorted by id.
macro_rules! rules {
    ($table:ident, $doc:literal; $($name:ident $id:literal $core:literal $level:ident $severity:ident
        $why:literal, $remedy:literal, $source:literal, $azure:literal;)*) => {
        $(
            #[doc = $why]
            pub(crate) const $name: &Rule = &Rule {
                id: $id,
                level: Level::$level,
                source: $source,
                azure: $azure,
                core: bartizan_core::Rule {
                    id: $core,
                    severity: Severity::$severity,
                    why: $why,
                    remedy: $remedy,
                    atlas: None,
                },
            };
        )*

        #[doc = $doc]
        pub const $table: &[&Rule] = &[$($name),*];
    };
}
pub(crate) use rules;

rules!(
    FINDINGS, "Rules whose findings are errors and warnings.";
    ADDR_HOSTBITS "ADDR-HOSTBITS" "deploy.addr.hostbits" Error High
        "a range has host bits: it is read differently by different tools",
        "write the first address of the range",
        "aks api-server-authorized-ip-ranges.md; azure-cli ip_network strict parse",
        "400 InvalidParameter: the address prefix is not a valid CIDR block";
    ADDR_SYNTAX "ADDR-SYNTAX" "deploy.addr.syntax" Error High
        "a text is no address or no range, so that nothing can be said about what it stands for",
        "write four numbers from 0 to 255 and a prefix length from 0 to 32",
        "azure-cli test_validators.py test_invalid_ip; ARM schema 2026-05-01",
        "the request is refused with 400 InvalidParameter, or, where only the pattern of the ARM schema looks, accepted and refused later";
    API_DELEGATION "API-DELEGATION" "deploy.api.delegation" Error High
        "the API server's subnet is not delegated to AKS, which must put its load balancer there",
        "delegate it to Microsoft.ContainerService/managedClusters",
        "aks api-server-vnet-integration.md",
        "400: the subnet must be delegated to Microsoft.ContainerService/managedClusters";
    API_SHARED "API-SHARED" "deploy.api.shared" Error High
        "API server and nodes share a subnet; the API server needs one of its own",
        "give the API server its own subnet",
        "aks api-server-vnet-integration.md",
        "400: the subnet of the API server cannot hold nodes";
    API_SIZE "API-SIZE" "deploy.api.size" Error High
        "the API server's subnet is smaller than /28",
        "take a /28 or larger",
        "aks api-server-vnet-integration.md",
        "400: the subnet of the API server is too small";
    AUTH_COUNT "AUTH-COUNT" "deploy.auth.count" Error High
        "more authorized ranges than AKS takes: 200, or 2000 with API server VNet integration",
        "join neighbouring ranges",
        "aks api-server-authorized-ip-ranges.md",
        "400: too many authorized IP ranges";
    AUTH_IPV6 "AUTH-IPV6" "deploy.auth.ipv6" Error High
        "an authorized range is IPv6, which AKS does not take",
        "list the IPv4 addresses behind which your machines are",
        "azure-cli test_validators.py test_IPv6",
        "400; az stops with a usage error";
    AUTH_MIX "AUTH-MIX" "deploy.auth.mix" Error High
        "0.0.0.0/32 means nobody but the nodes, and does not go together with other ranges",
        "keep either 0.0.0.0/32 alone or the other ranges",
        "azure-cli test_validators.py test_simultaneous_allow_and_disallow_with_spaces",
        "400; az stops with a usage error";
    AUTH_PRIVATE "AUTH-PRIVATE" "deploy.auth.private" Error High
        "an authorized range is not global: no packet arrives at a public API server from it",
        "list the public addresses behind which your machines are",
        "azure-cli test_validators.py test_local_ip_address",
        "400; az stops with a usage error";
    DBR_OBSOLETE "DBR-OBSOLETE" "deploy.dbr.obsolete" Warning Medium
        "a Docker bridge is given for a target that has none: nodes run containerd",
        "leave dockerBridge out",
        "Azure/AKS#3534; azure-cli _params.py (hidden, deprecated)",
        "none: it is ignored, and gone from the API since 2023-04-01";
    DBR_POD "DBR-POD" "deploy.dbr.pod" Warning Medium
        "the Docker bridge overlaps the pod range",
        "take a range outside the pod range, such as 172.17.0.1/16",
        "aks operator-best-practices-network.md",
        "none: containers started by Docker on a node shadow pods";
    DBR_SUBNET "DBR-SUBNET" "deploy.dbr.subnet" Error High
        "the Docker bridge overlaps a subnet: its machines cannot be reached from a node",
        "take a range that no subnet uses, such as 172.17.0.1/16",
        "azureml v1 how-to-secure-inferencing-vnet.md",
        "the compute is refused by Azure ML, or connections from nodes into that subnet hang";
    DBR_SVC "DBR-SVC" "deploy.dbr.svc" Error High
        "the Docker bridge overlaps the service range: services cannot be reached from a node",
        "take a range outside the service range, such as 172.17.0.1/16",
        "azureml v1 how-to-secure-inferencing-vnet.md",
        "the compute is refused by Azure ML";
    DNS_FIRST "DNS-FIRST" "deploy.dns.first" Error High
        "the first two addresses of the service range are taken: the network's own and the API server's",
        "take a later address; the tenth is usual",
        "aks concepts-network-legacy-cni.md",
        "400 InvalidParameter: dnsServiceIP must not be the first address of serviceCidr";
    DNS_OUTSIDE "DNS-OUTSIDE" "deploy.dns.outside" Error High
        "the DNS address is not in the service range: no pod could resolve a name",
        "take an address of the service range; the tenth is usual",
        "azureml v1 how-to-secure-inferencing-vnet.md",
        "400 InvalidParameter: dnsServiceIP is not within serviceCidr";
    LB_IP_OUTSIDE "LB-IP-OUTSIDE" "deploy.lb.ip-outside" Error High
        "the load balancer's address is not in its subnet",
        "take an address of that subnet",
        "aks internal-lb.md",
        "PrivateIPAddressNotInSubnet: the service waits for its address for ever";
    LB_IP_RESERVED "LB-IP-RESERVED" "deploy.lb.ip-reserved" Error High
        "the load balancer's address is one of the five that Azure keeps of each subnet",
        "take the fifth address of the subnet or a later one, but the last",
        "aks internal-lb.md",
        "PrivateIPAddressInReservedRange: the service waits for its address for ever";
    LB_IP_SVC "LB-IP-SVC" "deploy.lb.ip-svc" Error High
        "the load balancer's address lies in the service range: pods that call it end inside the cluster",
        "take an address outside the service range",
        "aks internal-lb.md",
        "none: the endpoint cannot be reached from pods";
    LB_PUBLIC "LB-PUBLIC" "deploy.lb.public" Error High
        "the endpoint shall be private, and its load balancer is public",
        "set lb.type to internal",
        "mission document; azureml v1 how-to-secure-inferencing-vnet.md",
        "none: the endpoint stands on the internet";
    LB_STUDIO "LB-STUDIO" "deploy.lb.studio" Error High
        "the studio has no field for an internal load balancer: asked for there, it becomes public",
        "ask through ARM, the CLI or the SDK",
        "azureml v1 how-to-secure-inferencing-vnet.md",
        "none: the endpoint stands on the internet";
    LB_SUBNET "LB-SUBNET" "deploy.lb.subnet" Error High
        "the load balancer's subnet is not in the cluster's network",
        "add the subnet, or correct the name",
        "aks internal-lb.md",
        "the service waits for its address for ever: subnet not found";
    LB_SUBNET_PUBLIC "LB-SUBNET-PUBLIC" "deploy.lb.subnet-public" Error High
        "a public load balancer has no subnet",
        "set lb.type to internal, or leave lb.subnet out",
        "azureml-core 1.61 aks.py docstring",
        "azureml refuses the pair; else the subnet is ignored and the address is public";
    ML_LOCALACCTS "ML-LOCALACCTS" "deploy.ml.localaccts" Error High
        "Azure ML attaches a cluster through its local accounts, and they are off",
        "set localAccountsDisabled to false, or use profile standalone",
        "azureml how-to-deploy-kubernetes-extension.md",
        "the extension fails: getting static credentials is not allowed";
    ML_REGION "ML-REGION" "deploy.ml.region" Error High
        "a workspace with a private endpoint and the cluster are in two regions",
        "put both into one region",
        "azureml how-to-secure-kubernetes-inferencing-environment.md",
        "the attach fails";
    ML_SP "ML-SP" "deploy.ml.sp" Error High
        "the Azure ML extension does not support a cluster with a service principal",
        "use a managed identity",
        "azureml how-to-deploy-kubernetes-extension.md",
        "the extension does not install";
    ML_VNET "ML-VNET" "deploy.ml.vnet" Error High
        "the workspace's private endpoint is in a network that the cluster does not reach",
        "add a private endpoint in the cluster's network (v2: or in a peered one)",
        "azureml v1 and v2 secure inferencing pages",
        "the attach fails: the workspace's name resolves to an address that cannot be reached";
    NET_KUBENET "NET-KUBENET" "deploy.net.kubenet" Warning Medium
        "kubenet ends on 2028-03-31",
        "move to Azure CNI overlay",
        "aks includes/kubenet-retirement.md",
        "none until then";
    NET_NPM "NET-NPM" "deploy.net.npm" Warning Medium
        "Azure Network Policy Manager ends on Linux on 2028-09-30",
        "move to Cilium",
        "aks includes/azure-network-policy-manager-linux-retirement.md",
        "none until then";
    NODES_MAX "NODES-MAX" "deploy.nodes.max" Error High
        "more nodes than the network plugin carries: 400 with kubenet, 5000 else",
        "plan fewer nodes, or leave kubenet",
        "aks concepts-network-azure-cni-overlay.md",
        "400: the limit of nodes is exceeded";
    OUT_INTERNET "OUT-INTERNET" "deploy.out.internet" Error High
        "packets shall leave by a route, and the default route leads straight to the internet",
        "let 0.0.0.0/0 point at a virtual appliance",
        "aks egress-udr.md",
        "400: a default route to Internet is refused with userDefinedRouting";
    OUT_ISOLATED "OUT-ISOLATED" "deploy.out.isolated" Error High
        "the Azure ML extension must reach Azure ML, and a network isolated cluster reaches nothing",
        "use userDefinedRouting with a firewall, or profile standalone",
        "aks concepts-network-isolated.md",
        "the extension does not install";
    OUT_MANAGEDNAT "OUT-MANAGEDNAT" "deploy.out.managednat" Error High
        "AKS makes a NAT gateway only for a network that it makes itself",
        "attach a NAT gateway to the subnet and say userAssignedNATGateway",
        "azure-cli managed_cluster_decorator.py; egress-outboundtype.md",
        "400: managedNATGateway cannot be combined with a custom VNet";
    OUT_NONAT "OUT-NONAT" "deploy.out.nonat" Error High
        "packets shall leave by the subnet's NAT gateway, and it has none",
        "attach a NAT gateway to the node subnet",
        "aks egress-outboundtype.md",
        "400: the subnet has no NAT gateway";
    OUT_NOROUTE "OUT-NOROUTE" "deploy.out.noroute" Error High
        "packets shall leave by a route, and the node subnet has no default route",
        "attach a route table with 0.0.0.0/0 to the firewall",
        "aks egress-udr.md; azure-cli _raise_missing_vnet_subnet_for_outbound_type",
        "400 ExistingRouteTableNotAssociatedWithSubnet, or nodes that cannot fetch their images";
    POD_EXTERNAL "POD-EXTERNAL" "deploy.pod.external" Error High
        "the pod range overlaps a range that peers or premises use: pods cannot reach it",
        "take a pod range that nobody outside uses",
        "aks concepts-network-azure-cni-overlay.md",
        "none: connections from pods to that range end in the cluster";
    POD_MODE "POD-MODE" "deploy.pod.mode" Error High
        "with Azure CNI only overlay has a pod range; else pods take addresses of a subnet",
        "leave podCidr out, or set pluginMode overlay",
        "azure-cli managed_cluster_decorator.py",
        "400: podCidr cannot be used with network plugin azure without overlay";
    POD_PUBLIC "POD-PUBLIC" "deploy.pod.public" Warning Medium
        "the pod range is public, which Microsoft does not support",
        "take a range from RFC 1918 or RFC 6598",
        "aks concepts-network-azure-cni-overlay.md",
        "none: outside the scope of support";
    POD_SIZE "POD-SIZE" "deploy.pod.size" Error High
        "each node takes a /24 of the pod range, and it has too few for all nodes",
        "take a larger pod range, or fewer nodes",
        "AKS-Construction#701 (InsufficientSubnetSize, networkProfile.podCIDR)",
        "InsufficientSubnetSize (networkProfile.podCIDR)";
    POD_SUBNET "POD-SUBNET" "deploy.pod.subnet" Error High
        "the pod range overlaps a subnet: pods cannot reach its machines",
        "take a pod range outside the network",
        "aks concepts-network-azure-cni-overlay.md",
        "400: podCidr overlaps the subnet; else connections into that subnet hang";
    POD_SURGE "POD-SURGE" "deploy.pod.surge" Warning Medium
        "each node takes a /24 of the pod range, and it has too few while an upgrade adds nodes",
        "take a larger pod range, or a smaller surge",
        "aks concepts-network-ip-address-planning.md",
        "an upgrade stops with InsufficientSubnetSize";
    POD_SVC "POD-SVC" "deploy.pod.svc" Error High
        "pod and service range overlap: one address would be both",
        "take two ranges that have no address in common",
        "aks concepts-network-azure-cni-overlay.md",
        "400 InvalidParameter: podCidr and serviceCidr overlap";
    POD_VNET "POD-VNET" "deploy.pod.vnet" Warning Medium
        "the pod range overlaps the network's range: no subnet is there yet, but the first one will collide",
        "take a pod range outside the network",
        "aks concepts-network-azure-cni-overlay.md",
        "none today";
    PODS_MIN30 "PODS-MIN30" "deploy.pods.min30" Error High
        "a pool must have room for 30 pods, which the cluster's own need",
        "raise maxPods or count until their product is 30",
        "aks concepts-network-ip-address-planning.md",
        "InsufficientAgentPoolMaxPodsPerAgentPool";
    PODS_RANGE "PODS-RANGE" "deploy.pods.range" Error High
        "AKS takes 10 to 250 pods a node",
        "set maxPods to 10 to 250",
        "aks concepts-network-ip-address-planning.md",
        "400 InvalidParameter: maxPods";
    PRIV_AUTHIP "PRIV-AUTHIP" "deploy.priv.authip" Error High
        "authorized ranges guard a public API server; a private one has none",
        "leave authorizedIpRanges out, or make the API server public",
        "aks private-clusters.md; azure-cli managed_cluster_decorator.py",
        "400: authorized IP ranges cannot be combined with a private cluster";
    PRIV_DNSNONE "PRIV-DNSNONE" "deploy.priv.dnsnone" Error High
        "a private API server without zone and without public name cannot be found by name",
        "set dnsZone to system, or publicFqdn to true",
        "aks private-clusters.md",
        "400: private DNS zone none needs the public FQDN";
    PRIV_IDENTITY "PRIV-IDENTITY" "deploy.priv.identity" Error High
        "AKS writes into a zone of one's own as the cluster's identity, which must exist before the cluster",
        "use a user-assigned identity with Private DNS Zone Contributor on the zone",
        "aks private-clusters.md",
        "400: a custom private DNS zone needs a user-assigned identity";
    PRIV_PUBLICFQDN "PRIV-PUBLICFQDN" "deploy.priv.publicfqdn" Error High
        "Azure ML does not support a private cluster that also has a public name",
        "set publicFqdn to false",
        "azureml how-to-secure-kubernetes-inferencing-environment.md",
        "the attach fails: the extension cannot reach the API server";
    PRIV_ZONENAME "PRIV-ZONENAME" "deploy.priv.zonename" Error High
        "the private zone has not the name that AKS asks for",
        "name it privatelink.<region>.azmk8s.io or a subzone of that",
        "aks private-clusters.md",
        "400: the name of the private DNS zone is not taken";
    PUB_OPEN "PUB-OPEN" "deploy.pub.open" Warning Medium
        "the API server can be reached from the whole internet",
        "list the ranges that may reach it, or make the cluster private",
        "PSRule AZR-000030; checkov CKV_AZURE_6",
        "none: it stands open";
    RBAC_MISSING "RBAC-MISSING" "deploy.rbac.missing" Error High
        "the cluster's identity may not join every subnet that it uses",
        "give it Network Contributor on the network's resource group, or on each subnet",
        "aks concepts-network-cni-overview.md; internal-lb.md",
        "LinkedAuthorizationFailed, or AuthorizationFailed on subnets/read while the service waits for its address";
    RBAC_SCOPE "RBAC-SCOPE" "deploy.rbac.scope" Warning Medium
        "Azure ML v1 asks for the role on the resource group that holds the network",
        "assign Network Contributor there",
        "azureml v1 how-to-secure-inferencing-vnet.md; mission document",
        "the attach of Azure ML v1 fails late, though AKS itself is content";
    RSV_POD "RSV-POD" "deploy.rsv.pod" Error High
        "the pod range touches a range that AKS keeps for itself",
        "take another pod range, such as Azure's default 10.244.0.0/16 where it is free",
        "aks concepts-network-cni-overview.md",
        "400 InvalidParameter: podCidr is in a reserved range";
    RSV_SVC "RSV-SVC" "deploy.rsv.svc" Error High
        "the service range touches a range that AKS keeps for itself",
        "take another service range, such as Azure's default 10.0.0.0/16 where it is free",
        "aks concepts-network-cni-overview.md; Azure/AKS#2234",
        "400 InvalidParameter: serviceCidr is in a reserved range";
    RSV_VNET "RSV-VNET" "deploy.rsv.vnet" Error High
        "the network's range touches a range that AKS keeps for itself",
        "take another range for the network",
        "aks concepts-network-cni-overview.md",
        "nodes come up, but cluster components and the network are confused: the cluster does not get ready";
    SIZE_NODES "SIZE-NODES" "deploy.size.nodes" Error High
        "the node subnet has too few addresses for all nodes",
        "take a larger subnet, fewer nodes, fewer pods a node, or overlay",
        "aks concepts-network-ip-address-planning.md; Azure/AKS#456; private-clusters.md",
        "InsufficientSubnetSize";
    SIZE_PODS "SIZE-PODS" "deploy.size.pods" Error High
        "the pod subnet has too few addresses for all nodes",
        "take a larger pod subnet",
        "aks concepts-network-azure-cni-pod-subnet.md",
        "InsufficientSubnetSize, or pods wait for an address for ever";
    SIZE_SURGE "SIZE-SURGE" "deploy.size.surge" Warning Medium
        "the node subnet has too few addresses while an upgrade adds nodes",
        "take a larger subnet, or a smaller surge",
        "aks concepts-network-ip-address-planning.md",
        "an upgrade stops with InsufficientSubnetSize or SubnetIsFull";
    SUB_DELEGATED "SUB-DELEGATED" "deploy.sub.delegated" Error High
        "the node subnet is delegated to another service, which then owns it",
        "take the delegation away, or use another subnet",
        "aks concepts-network-cni-overview.md",
        "the cluster is refused: the subnet is delegated";
    SUB_MISSING "SUB-MISSING" "deploy.sub.missing" Error High
        "a subnet that the plan names is not in the plan",
        "add the subnet, or correct the name",
        "azure-cli TestVNetSubnetId / TestPodSubnetId (resource must resolve)",
        "404 ResourceNotFound, or InvalidResourceReference at deployment";
    SUB_OUTSIDE "SUB-OUTSIDE" "deploy.sub.outside" Error High
        "a subnet lies outside the network's ranges",
        "move the subnet, or add its range to the network",
        "ARM NetcfgSubnetRangeOutsideVnet (azure-docs#123869)",
        "NetcfgSubnetRangeOutsideVnet";
    SUB_OVERLAP "SUB-OVERLAP" "deploy.sub.overlap" Error High
        "two subnets have addresses in common",
        "move or shrink one of them",
        "ARM NetcfgSubnetRangesOverlap (azure-docs#123869, azure-cli#10917)",
        "NetcfgSubnetRangesOverlap";
    SUB_SHARED "SUB-SHARED" "deploy.sub.shared" Error High
        "with kubenet each cluster writes its own routes, and two clusters in one subnet overwrite each other's",
        "give each cluster its own subnet, or leave kubenet",
        "aks configure-kubenet.md",
        "routes of one cluster disappear: its pods lose each other";
    SUB_SIZE "SUB-SIZE" "deploy.sub.size" Error High
        "Azure has no subnet of this size: /2 to /29",
        "take a prefix length from 2 to 29",
        "CAF plan-for-ip-addressing",
        "the subnet is refused: Azure keeps five addresses of each, and nothing would be left";
    SVC_ONPREM "SVC-ONPREM" "deploy.svc.onprem" Error High
        "the service range overlaps a range on premises: pods cannot reach the machines there",
        "take a service range that is not routed on premises",
        "aks concepts-network-legacy-cni.md",
        "none: connections from pods to premises end in the cluster";
    SVC_PEER "SVC-PEER" "deploy.svc.peer" Error High
        "the service range overlaps a peered network: pods cannot reach the machines there",
        "take a service range that no peer uses",
        "aks concepts-network-legacy-cni.md",
        "none: connections from pods to the peer end in the cluster";
    SVC_PUBLIC "SVC-PUBLIC" "deploy.svc.public" Warning Medium
        "the service range is public: machines on the internet that own these addresses cannot be reached from pods",
        "take a range from RFC 1918 or RFC 6598",
        "aks concepts-network-legacy-cni.md",
        "none: the owners of these addresses are shadowed";
    SVC_SIZE "SVC-SIZE" "deploy.svc.size" Error High
        "the service range is larger than Kubernetes takes",
        "take a prefix length of 12 or more; /16 is usual",
        "aks concepts-network-ip-address-planning.md",
        "400: serviceCidr is too large; kube-apiserver does not start with it";
    SVC_SUBNET "SVC-SUBNET" "deploy.svc.subnet" Error High
        "the service range overlaps a subnet: an address there would be a service inside the cluster and a machine outside",
        "take a service range outside the network",
        "azureml v1 how-to-secure-inferencing-vnet.md; ServiceCidrOverlapExistingSubnetsCidr",
        "ServiceCidrOverlapExistingSubnetsCidr";
    SVC_VNET "SVC-VNET" "deploy.svc.vnet" Warning Medium
        "the service range overlaps the network's range: no subnet is there yet, but the first one will collide",
        "take a service range outside the network",
        "aks concepts-network-legacy-cni.md FAQ",
        "none today; ServiceCidrOverlapExistingSubnetsCidr at the next update once a subnet is there";
    V1_INCOMPLETE "V1-INCOMPLETE" "deploy.v1.incomplete" Error High
        "Azure ML v1 takes the network settings whole or not at all, and some are missing",
        "give serviceCidr, dnsServiceIp and dockerBridge",
        "azureml-core 1.61 aks.py validate_configuration",
        "azureml-core refuses before it sends: validate_configuration";
    V1_RETIRED "V1-RETIRED" "deploy.v1.retired" Warning Medium
        "the tools of Azure ML v1 are retired: the CLI since 2025-09-30, the SDK without support since 2026-06-30",
        "move to target v2",
        "azureml CLI v1 deprecation note",
        "none: the API still answers";
    VNET_ONPREM "VNET-ONPREM" "deploy.vnet.onprem" Error High
        "the network's range overlaps a range on premises: packets for it go the wrong way",
        "give the network a range that is not routed on premises",
        "aks operator-best-practices-network.md; concepts-network-legacy-cni.md",
        "nothing is refused: the route that is more specific wins, and connections hang";
    VNET_PEER "VNET-PEER" "deploy.vnet.peer" Error High
        "the network's range overlaps a peered network's: addresses in both cannot be told apart",
        "give one of the two networks another range",
        "aks concepts-network-legacy-cni.md (Virtual network peering)",
        "peering is refused with VnetAddressSpacesOverlap";
    VNET_PLATFORM "VNET-PLATFORM" "deploy.vnet.platform" Error High
        "the network's range touches addresses that Azure's platform itself uses",
        "take the range from RFC 1918",
        "Cloud Adoption Framework plan-for-ip-addressing; VNet FAQ",
        "the network is refused, or DNS, health probes and instance metadata do not work";
    VNET_REGION "VNET-REGION" "deploy.vnet.region" Error High
        "network and cluster are in two regions; a cluster's nodes stand in a network of its own region",
        "put both into one region",
        "aks concepts-network-legacy-cni.md",
        "400: the subnet is not in the region of the cluster";
);

rules!(
    ADVICE, "Rules whose findings are advice.";
    SEC_ACR "SEC-ACR" "deploy.sec.acr" Advice Medium
        "the container registry can be reached from the internet",
        "use registry Premium with a private endpoint in the same or a peered network, and the trusted-services exception",
        "azureml how-to-secure-kubernetes-inferencing-environment.md",
        "none";
    SEC_AMLHA "SEC-AMLHA" "deploy.sec.amlha" Advice Medium
        "the inference router's three replicas need three nodes of at least 4 vCPU and 14 GB",
        "plan three nodes, or set workspace.routerHa to false",
        "azureml how-to-deploy-kubernetes-extension.md",
        "none";
    SEC_AMLTLS "SEC-AMLTLS" "deploy.sec.amltls" Advice High
        "the inference router answers without TLS, or has no certificate name",
        "set workspace.tlsSecret and workspace.tlsCname, and allowInsecureConnections to false",
        "azureml how-to-deploy-kubernetes-extension.md",
        "none";
    SEC_APIVNET "SEC-APIVNET" "deploy.sec.apivnet" Advice Low
        "API server VNet integration needs no tunnel and keeps its address, in a delegated /28 of its own; it blocks v4 and later machine sizes on encrypted networks",
        "set apiServerVnetIntegration and give it a subnet",
        "aks api-server-vnet-integration.md",
        "none";
    SEC_DNS "SEC-DNS" "deploy.sec.dns" Advice Medium
        "DNS servers of one's own must forward the private zone to 168.63.129.16, which is linked to the node network only",
        "forward the zone, and link it to the network of the DNS servers",
        "aks private-clusters.md",
        "none";
    SEC_EGRESS "SEC-EGRESS" "deploy.sec.egress" Advice Medium
        "the firewall behind the default route must let AKS and Azure ML reach their services",
        "allow the lists that `bartizan aks render` writes as egress.md",
        "aks outbound-rules-control-egress.md; azureml how-to-access-azureml-behind-firewall.md",
        "none";
    SEC_HOSTENC "SEC-HOSTENC" "deploy.sec.hostenc" Advice Medium
        "temporary disks and caches of the nodes are not encrypted, which can be asked for only when a pool is made",
        "set hardening.hostEncryption to true",
        "aks enable-host-encryption.md, use-cvm.md",
        "none";
    SEC_IDENTITY "SEC-IDENTITY" "deploy.sec.identity" Advice Medium
        "a system-assigned identity exists only with the cluster, so that its role on an own subnet cannot be granted before",
        "use a user-assigned identity: ARM and Terraform then grant the role first",
        "aks configure-kubenet.md",
        "none";
    SEC_IMG "SEC-IMG" "deploy.sec.img" Advice Low
        "AKS's Image Integrity is a preview and not in API 2026-05-01: images are verified by the rendered admission policy instead",
        "list serving.verifiedImages by digest",
        "aks image-integrity.md",
        "none";
    SEC_KMS "SEC-KMS" "deploy.sec.kms" Advice Medium
        "Kubernetes secrets are not encrypted with a key of one's own",
        "set hardening.kms to true (Kubernetes 1.33 and later; the older KMS page is legacy)",
        "aks use-kms-etcd-encryption.md",
        "none";
    SEC_KV "SEC-KV" "deploy.sec.kv" Advice Medium
        "secrets are not taken from Key Vault with rotation",
        "set hardening.keyVaultSecrets to true and give the vault a private endpoint",
        "PSRule AZR-000033/34; CKV_AZURE_172",
        "none";
    SEC_LBANN "SEC-LBANN" "deploy.sec.lbann" Advice Low
        "the load balancer's subnet is asked for by annotation: values must be text, and spec.loadBalancerIP is deprecated",
        "use the rendered service as it is",
        "aks internal-lb.md",
        "none";
    SEC_LOCAL "SEC-LOCAL" "deploy.sec.local" Advice High
        "local accounts pass by Entra ID: whoever has the cluster's certificate is its administrator",
        "set localAccountsDisabled to true (profile standalone)",
        "PSRule AZR-000029/31/32 against azureml how-to-deploy-kubernetes-extension.md",
        "none";
    SEC_LOGS "SEC-LOGS" "deploy.sec.logs" Advice Medium
        "who did what in the cluster is not logged",
        "set hardening.auditLogs to true: kube-audit-admin and guard",
        "PSRule AZR-000022/445",
        "none";
    SEC_NC_ROLE "SEC-NC-ROLE" "deploy.sec.nc-role" Advice Low
        "the role is wider than joining a subnet needs: Network Contributor (4d97b98b-1d4f-4787-a291-c67834d212e7) may change the whole network",
        "a custom role with subnets/join/action and subnets/read on each subnet is the least that works",
        "AKS-Construction bicep/aksnetcontrib.bicep; aks concepts-network-cni-overview.md",
        "none";
    SEC_NSG "SEC-NSG" "deploy.sec.nsg" Advice Low
        "security groups of the subnets must allow node to node, and for overlay node to pod and pod to pod, on all ports; \"deny all outbound\" is not supported",
        "check the groups of the node subnet before deploying",
        "aks concepts-network-azure-cni-overlay.md, outbound-rules-control-egress.md",
        "none";
    SEC_POLICY "SEC-POLICY" "deploy.sec.policy" Advice Medium
        "without the Azure Policy add-on nothing keeps the cluster's rules",
        "set hardening.azurePolicy to true; Pod Security restricted is rendered for the namespace",
        "PSRule AZR-000028; CKV_AZURE_116",
        "none";
    SEC_PRIVATE "SEC-PRIVATE" "deploy.sec.private" Advice Medium
        "the API server has a public address; with private link its endpoint stands in the first pool's subnet and may move when the cluster is stopped, after which Azure ML computes are attached again",
        "make the cluster private; for Azure ML prefer API server VNet integration",
        "aks private-clusters.md; azureml how-to-secure-kubernetes-inferencing-environment.md",
        "none";
    SEC_REPLICAS "SEC-REPLICAS" "deploy.sec.replicas" Advice Medium
        "more than one replica needs a shared registry and shared guard state: without them two replicas disagree about models and about clients",
        "set serving.registry to postgresql and serving.guardState to shared, or keep one replica",
        "bartizan: how it grows",
        "none";
    SEC_RUNCMD "SEC-RUNCMD" "deploy.sec.runcmd" Advice Medium
        "`az aks command invoke` runs commands in the cluster past its private API server",
        "set hardening.runCommand to false and reach the cluster by a peered network, VPN or Bastion",
        "aks private-cluster-connect.md",
        "none";
    SEC_VERSION "SEC-VERSION" "deploy.sec.version" Advice Medium
        "the Kubernetes version is out of support, or about to be, or not said",
        "use 1.35 or later; Azure ML supports the newest three",
        "aks supported-kubernetes-versions.md; azureml reference-kubernetes",
        "none";
    SEC_WI "SEC-WI" "deploy.sec.wi" Advice Medium
        "without workload identity pods need secrets to reach Azure, and pod identity is dead",
        "set hardening.workloadIdentity to true",
        "aks use-azure-ad-pod-identity.md",
        "none";
);

/// Every rule of this gate in the words of all gates.
pub const RULES: &[&bartizan_core::Rule] = &core_rules();

const fn core_rules() -> [&'static bartizan_core::Rule; N_RULES] {
    let mut rules = [&FINDINGS[0].core; N_RULES];
    let mut idx = 0;
    while idx < N_RULES {
        rules[idx] = if idx < FINDINGS.len() {
            &FINDINGS[idx].core
        } else if idx < FINDINGS.len() + ADVICE.len() {
            &ADVICE[idx - FINDINGS.len()].core
        } else {
            &crate::drift::RULES[idx - FINDINGS.len() - ADVICE.len()].core
        };
        idx += 1;
    }
    rules
}

const N_RULES: usize = FINDINGS.len() + ADVICE.len() + crate::drift::RULES.len();
