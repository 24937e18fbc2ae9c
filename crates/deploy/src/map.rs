//! The address space of a plan as values: every range, and where two ranges may not meet but do.
//! The roof draws it.

use crate::addr::{Net, show_v4};
use crate::check::RESERVED;
use crate::plan::Plan;
use crate::plan::facts::Facts;

/// What a range is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Band {
    /// A range of the network.
    Network,
    /// A subnet.
    Subnet,
    /// The service range.
    Services,
    /// The pod range.
    Pods,
    /// The Docker bridge.
    Docker,
    /// A peered network.
    Peer,
    /// A range on premises.
    OnPremises,
    /// A range that AKS keeps for itself; listed only where it is touched.
    Reserved,
}

impl Band {
    /// What to call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Subnet => "subnet",
            Self::Services => "services",
            Self::Pods => "pods",
            Self::Docker => "Docker bridge",
            Self::Peer => "peer",
            Self::OnPremises => "on premises",
            Self::Reserved => "kept by AKS",
        }
    }

    /// Whether ranges of the two may not have an address in common.
    fn excludes(self, other: Self) -> bool {
        use Band::{Docker, Network, OnPremises, Peer, Pods, Reserved, Services, Subnet};
        let (low, high) = if self <= other { (self, other) } else { (other, self) };
        match (low, high) {
            (Subnet, Subnet) => true,
            (Network, Subnet | Docker | Network) => false,
            (Network | Services | Pods, Reserved) => true,
            (Subnet | Docker | Peer | OnPremises | Reserved, Reserved) => false,
            (Docker | Subnet, Peer | OnPremises) => false,
            (Peer | OnPremises, Peer | OnPremises) => false,
            (low, high) => low != high,
        }
    }
}

/// One range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub band: Band,
    /// Its name; empty where it has none.
    pub name: String,
    /// As written.
    pub text: String,
    /// First address.
    pub first: u32,
    /// Last address.
    pub last: u32,
    /// Parts that another range has too, with whose.
    pub collisions: Vec<Collision>,
}

/// Addresses that two ranges have and may not both have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision {
    /// First address.
    pub first: u32,
    /// Last address.
    pub last: u32,
    /// The other range.
    pub with: String,
}

/// An address worth a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// `DNS` or `load balancer`.
    pub name: &'static str,
    /// The address.
    pub address: u32,
    /// Whether it lies outside the range that it must lie in.
    pub is_outside: bool,
}

/// The map.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Map {
    /// Ranges, by band and address.
    pub rows: Vec<Row>,
    /// Single addresses.
    pub marks: Vec<Mark>,
}

/// The map of a plan. IPv6 ranges and what is no range are left out. O(n²) of its ranges.
pub fn of(plan: &Plan) -> Map {
    let facts = Facts::of(plan);
    let mut rows = Vec::new();
    let mut add = |band: Band, name: &str, net: &Net| {
        let (Ok(first), Ok(last)) = (u32::try_from(net.first()), u32::try_from(net.last())) else {
            return;
        };
        if !net.is_v6() {
            let (name, text) = (name.to_owned(), net.to_string());
            rows.push(Row { band, name, text, first, last, collisions: Vec::new() });
        }
    };
    let vnet_name = plan.vnet.as_ref().map(|vnet| vnet.name.as_str()).unwrap_or_default();
    for ranged in &facts.vnet {
        add(Band::Network, vnet_name, &ranged.net);
    }
    for (subnet, net) in plan.subnets.iter().zip(&facts.subnets) {
        if let Some(net) = net {
            add(Band::Subnet, &subnet.name, net);
        }
    }
    for (band, net) in
        [(Band::Services, facts.service), (Band::Pods, facts.pods), (Band::Docker, facts.docker)]
    {
        if let Some(net) = net {
            add(band, "", &net);
        }
    }
    for ranged in &facts.peers {
        add(Band::Peer, &ranged.name, &ranged.net);
    }
    for ranged in &facts.on_prem {
        add(Band::OnPremises, "", &ranged.net);
    }
    let is_touched = |net: &&Net| {
        let own = facts.vnet.iter().map(|ranged| ranged.net);
        own.chain(facts.service).chain(facts.pods).any(|other| other.overlaps(net))
    };
    for net in RESERVED.iter().filter(is_touched) {
        add(Band::Reserved, "", net);
    }
    rows.sort_by(|a, b| {
        (a.band, a.first, a.last, &a.name).cmp(&(b.band, b.first, b.last, &b.name))
    });
    collide(&mut rows);
    Map { rows, marks: marks(&facts) }
}

fn collide(rows: &mut [Row]) {
    for idx in 0..rows.len() {
        let own = &rows[idx];
        let mut found = Vec::new();
        for (other_idx, other) in rows.iter().enumerate() {
            let meets = own.first <= other.last && other.first <= own.last;
            if other_idx != idx && meets && own.band.excludes(other.band) {
                let (first, last) = (own.first.max(other.first), own.last.min(other.last));
                let with = format!("{} {} {}", other.band.as_str(), other.name, other.text);
                let with = with.replace("  ", " ");
                found.push(Collision { first, last, with });
            }
        }
        rows[idx].collisions = found;
    }
}

fn marks(facts: &Facts<'_>) -> Vec<Mark> {
    let mut marks = Vec::new();
    if let (Some(dns), Some(service)) = (facts.dns, facts.service) {
        let is_outside = !service.contains_address(dns);
        marks.push(Mark { name: "DNS", address: dns, is_outside });
    }
    if let Some(address) = facts.lb_ip {
        let subnet = facts.lb.and_then(|idx| facts.subnets.get(idx).copied().flatten());
        let is_outside = subnet.is_some_and(|net| !net.contains_address(address));
        marks.push(Mark { name: "load balancer", address, is_outside });
    }
    marks
}

impl Mark {
    /// Name and address.
    pub fn label(&self) -> String {
        format!("{} {}", self.name, show_v4(self.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_plan;
    use crate::check::tests::{changed, changes, plan_of};

    /// The map is red exactly where a rule about overlaps finds something.
    #[test]
    fn collisions_are_those_that_the_rules_find() {
        let overlaps = [
            "VNET-PEER",
            "VNET-ONPREM",
            "RSV-VNET",
            "RSV-SVC",
            "RSV-POD",
            "SUB-OVERLAP",
            "SVC-SUBNET",
            "SVC-VNET",
            "SVC-PEER",
            "SVC-ONPREM",
            "DBR-SUBNET",
            "DBR-SVC",
            "DBR-POD",
            "POD-SUBNET",
            "POD-VNET",
            "POD-SVC",
            "POD-EXTERNAL",
        ];
        for (changes, _) in changes() {
            let plan = plan_of(&changed(&changes));
            let ids = check_plan(&plan).ids();
            let is_red = of(&plan).rows.iter().any(|row| !row.collisions.is_empty());
            let is_found = ids.iter().any(|id| overlaps.contains(id));
            assert_eq!(is_red, is_found, "{changes}: {ids:?}");
        }
    }

    #[test]
    fn both_sides_of_a_collision_are_named() {
        let map = of(&plan_of(&changed("/serviceCidr=10.1.0.0/24; /dnsServiceIp=10.9.0.1")));
        let row = |band| map.rows.iter().find(|row| row.band == band).unwrap();
        let services = row(Band::Services);
        assert_eq!(services.collisions.len(), 2);
        assert_eq!(services.collisions[1].with, "subnet aks 10.1.0.0/24");
        assert_eq!(row(Band::Subnet).collisions[0].with, "services 10.1.0.0/24");
        assert!(map.marks[0].is_outside && !map.marks[1].is_outside);
    }
}
