//! Tests of the failure throttle.

use super::*;
use crate::seed::Seed;
use proptest::prelude::*;

const NOW_NS: u64 = 1_000 * NS_PER_S;

fn throttle() -> FailureThrottle {
    FailureThrottle::new(&Seed::new(1))
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Has `source` fail until it is throttled, and says how often it could.
fn exhaust(throttle: &FailureThrottle, source: IpAddr, now_ns: u64) -> u64 {
    (0..).find(|_| throttle.note_failure(source, now_ns).is_err()).unwrap()
}

/// D1 from both sides: the tenth failure at once, the eleventh, and one a second later.
#[test]
fn a_source_has_a_burst_and_then_one_failure_a_second() {
    let (throttle, source) = (throttle(), address("192.0.2.1"));
    assert_eq!(throttle.check(source, NOW_NS), Ok(()));
    assert_eq!(exhaust(&throttle, source, NOW_NS), FAILURES_BURST);
    assert_eq!(throttle.check(source, NOW_NS), Err(RetryAfter { secs: 1 }));
    let next_ns = NOW_NS + FAILURE_INTERVAL_NS;
    assert_eq!(throttle.check(source, next_ns - 1), Err(RetryAfter { secs: 1 }));
    assert_eq!(throttle.check(source, next_ns), Ok(()));
    assert_eq!(exhaust(&throttle, source, next_ns), 1);
    assert_eq!(exhaust(&throttle, source, NOW_NS + 1_000 * NS_PER_S), FAILURES_BURST);
}

/// Checking counts nothing, and being throttled is no failure: waiting helps.
#[test]
fn neither_looking_nor_being_throttled_counts() {
    let (throttle, source) = (throttle(), address("192.0.2.1"));
    for _ in 0..100 {
        assert_eq!(throttle.check(source, NOW_NS), Ok(()));
    }
    assert_eq!(exhaust(&throttle, source, NOW_NS), FAILURES_BURST);
    for _ in 0..100 {
        assert_eq!(throttle.note_failure(source, NOW_NS), Err(RetryAfter { secs: 1 }));
    }
    assert_eq!(throttle.note_failure(source, NOW_NS + FAILURE_INTERVAL_NS), Ok(()));
}

/// D3: sources are told apart by address, IPv6 by its /64, and an IPv4 address is itself in
/// either notation.
#[test]
fn a_source_is_an_address_or_a_subscribers_net() {
    for (failing, other, is_same) in [
        ("192.0.2.1", "192.0.2.2", false),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ("0.0.0.1", "::1", false),
        ("192.0.2.1", "::192.0.2.1", false),
    ] {
        let throttle = throttle();
        exhaust(&throttle, address(failing), NOW_NS);
        let is_throttled = throttle.check(address(other), NOW_NS).is_err();
        assert_eq!(is_throttled, is_same, "{failing} and {other}");
    }
}

/// D2 and D3: a flood from more sources than there is memory for displaces, and throttles nobody
/// who has not failed himself.
#[test]
fn a_flood_of_sources_throttles_nobody_else() {
    let throttle = throttle();
    let flood = |count: u32| IpAddr::from((u128::from(count) << 64).to_be_bytes());
    for count in 1..=2 * SOURCES_MAX as u32 {
        assert_eq!(throttle.note_failure(flood(count), NOW_NS), Ok(()), "source {count}");
    }
    assert_eq!(throttle.places.lock().unwrap().len(), SOURCES_MAX);
    assert_eq!(exhaust(&throttle, address("192.0.2.1"), NOW_NS), FAILURES_BURST);
}

/// D2: of the sources that share a set, the one that owes least is displaced: here the newest of
/// five, while the four that owe a full burst stay throttled.
#[test]
fn the_source_that_owes_least_is_displaced() {
    let throttle = throttle();
    let first = address("10.0.0.0");
    let set = throttle.set_range(source_key(first));
    let mates: Vec<IpAddr> = (0_u32..)
        .map(|count| IpAddr::from((0x0a00_0000 + count).to_be_bytes()))
        .filter(|source| throttle.set_range(source_key(*source)) == set)
        .take(WAYS + 2)
        .collect();
    for source in &mates[..WAYS - 1] {
        exhaust(&throttle, *source, NOW_NS);
    }
    for source in &mates[WAYS - 1..] {
        assert_eq!(throttle.note_failure(*source, NOW_NS), Ok(()));
    }
    for source in &mates[..WAYS - 1] {
        assert!(throttle.check(*source, NOW_NS).is_err(), "{source} was displaced");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// D1 for any rhythm: failures answered as such never exceed the burst and one a second.
    #[test]
    fn no_rhythm_beats_the_rate(gaps_ms in prop::collection::vec(0_u64..1_500, 1..200)) {
        let (throttle, source) = (throttle(), address("192.0.2.1"));
        let (mut now_ns, mut answered) = (NOW_NS, 0);
        for gap_ms in gaps_ms {
            now_ns += gap_ms * 1_000_000;
            let allowed = throttle.check(source, now_ns);
            prop_assert_eq!(throttle.note_failure(source, now_ns), allowed);
            answered += u64::from(allowed.is_ok());
            prop_assert!(answered <= FAILURES_BURST + (now_ns - NOW_NS) / NS_PER_S);
        }
    }
}
