//! AD1: address arithmetic from both sides of every edge.

use proptest::prelude::*;

use super::*;

fn net(text: &str) -> Net {
    Net::parse(text, Bare::Refused).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn only_what_azure_takes_is_a_range() {
    for text in ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.1/16", "255.255.255.255/32", "fd00::/8"] {
        assert_eq!(net(text).to_string(), text);
    }
    for text in [
        "",
        "/",
        "10.0.0.0",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "999.1.0.0/16",
        "10.0.0.256/8",
        "10.0.0.0/255.0.0.0",
        " 10.0.0.0/8",
        "10.00.0.0/8",
        "10.0.0.0/8/8",
        "fd00::/129",
        "ten/8",
        "10.0.0.0.0/8",
        "١٠.0.0.0/8",
    ] {
        assert!(Net::parse(text, Bare::Refused).is_err(), "accepted {text:?}");
    }
    assert_eq!(Net::parse("10.0.0.1", Bare::Allowed).map(|net| net.prefix()), Ok(32));
    assert!(Net::parse_v4("fd00::/8", Bare::Refused).is_err());
    assert!(parse_v4("10.0.0.1/32").is_err() && parse_v4("::1").is_err());
}

#[test]
fn messages_say_what_is_wrong() {
    let message = |text| Net::parse(text, Bare::Refused).unwrap_err().to_string();
    assert!(message("999.1.0.0/16").contains("`999`"));
    assert!(message("10.0.0.0/33").contains("0 to 32"));
    assert!(message("10.0.0.0").contains("10.0.0.0/24"));
    assert!(message(&"9".repeat(5_000)).len() < 300);
}

#[test]
fn ranges_that_touch_do_not_overlap() {
    assert!(!net("10.0.0.0/25").overlaps(&net("10.0.0.128/25")));
    assert!(net("10.0.0.0/24").overlaps(&net("10.0.0.128/25")));
    assert!(net("0.0.0.0/0").overlaps(&net("255.255.255.255/32")));
    assert!(!net("::/0").overlaps(&net("0.0.0.0/0")));
    assert_eq!(net("0.0.0.0/0").size(), 1 << 32);
    assert_eq!(net("10.0.0.7/32").size(), 1);
    assert_eq!(net("10.0.0.0/29").host(7), Some(0x0a00_0007));
    assert_eq!(net("10.0.0.0/29").host(8), None);
    assert_eq!(net("255.255.255.255/32").host(1), None);
    assert!(!net("10.0.0.1/24").is_network() && net("10.0.0.0/24").is_network());
}

/// A range within `10.0.0.0/24`, small enough to count by hand.
fn small() -> impl Strategy<Value = Net> {
    (0_u32..256, 24_u8..=32).prop_map(|(host, prefix)| Net::at(0x0a00_0000 | host, prefix))
}

fn members(net: &Net) -> Vec<u128> {
    (net.first()..=net.last()).collect()
}

proptest! {
    /// AD1 against counting.
    #[test]
    fn overlap_is_a_common_address(a in small(), b in small()) {
        let (in_a, in_b) = (members(&a), members(&b));
        let common = in_a.iter().filter(|address| in_b.contains(address)).count();
        prop_assert_eq!(a.overlaps(&b), 0 < common);
        prop_assert_eq!(a.n_common(&b), common as u128);
        prop_assert_eq!(a.contains(&b), common == in_b.len());
        prop_assert_eq!(a.size(), in_a.len() as u128);
    }

    /// A set has exactly the addresses that were put in and not taken out, and its blocks are
    /// aligned, disjoint and complete.
    #[test]
    fn a_set_counts_as_by_hand(
        put in proptest::collection::vec(small(), 0..8),
        taken in proptest::collection::vec(small(), 0..8),
    ) {
        let mut set = RangeSet::of(&put);
        let mut by_hand: std::collections::BTreeSet<u128> = put.iter().flat_map(members).collect();
        for net in &taken {
            set.remove(net);
            for address in members(net) {
                by_hand.remove(&address);
            }
        }
        prop_assert_eq!(set.n_addresses(), by_hand.len() as u64);
        let blocks = set.blocks();
        prop_assert!(blocks.iter().all(Net::is_network));
        let listed: Vec<u128> = blocks.iter().flat_map(members).collect();
        prop_assert_eq!(listed, by_hand.into_iter().collect::<Vec<_>>());
    }
}
