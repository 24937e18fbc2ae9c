//! Grammar at its edges, and every rounding against the standard library's.

use proptest::prelude::*;

use super::*;

/// The number, where all of `text` is one.
fn whole(text: &str) -> Option<Number<'_>> {
    scan(text, 0).ok().filter(|(_, end)| *end == text.len()).map(|(number, _)| number)
}

#[test]
fn only_numbers_of_json_are_numbers() {
    for text in ["0", "-0", "10", "1.5", "-1.5e10", "1E+2", "1e-2", "0.0", "0e0", "1e99999999999"] {
        assert!(whole(text).is_some(), "refused {text:?}");
    }
    for text in [
        "", "-", "+1", "01", "-01", "00", ".5", "1.", "1.e1", "1e", "1e+", "0x1", "1_0", "١", "--1",
    ] {
        assert!(whole(text).is_none(), "accepted {text:?}");
    }
}

#[test]
fn integers_are_exact_to_the_ends_of_64_bits_and_never_floats() {
    let integer = |text: &str| whole(text).unwrap().integer();
    for (text, expected) in [
        ("-0", Integer::Fits(0)),
        ("18446744073709551615", Integer::Fits(u64::MAX.into())),
        ("-18446744073709551615", Integer::Fits(-i128::from(u64::MAX))),
        ("18446744073709551616", Integer::Beyond),
        ("-9223372036854775808", Integer::Fits(i64::MIN.into())),
        ("9007199254740993", Integer::Fits(9_007_199_254_740_993)),
        ("1.0", Integer::Fraction),
        ("1e0", Integer::Fraction),
    ] {
        assert_eq!(integer(text), expected, "{text}");
    }
    assert_eq!(integer(&"9".repeat(4_000)), Integer::Beyond);
}

/// Texts on, just above and just below the middle of two `f32`: rounding by way of `f64` alone
/// would get those above and below wrong.
#[test]
fn single_precision_is_rounded_once() {
    for text in [
        "16777217",
        "16777217.0000000001",
        "16777216.9999999999",
        "1.00000005960464477539062500000000001",
        "1.000000059604644775390625",
        "1.00000005960464477539062499999999999",
        "0.1",
        "3.4028235677973366e38",
        "3.4028235677973365e38",
        "1e-46",
        "7.006492321624085e-46",
        "7.006492321624086e-46",
        "-0",
        "-0.0e5",
        "1e400",
        "-1e400",
        "0.00000000000000000000000000000000000000000001",
    ] {
        let expected: f32 = text.parse().unwrap();
        let found = whole(text).unwrap().to_f32();
        assert_eq!(found.to_bits(), expected.to_bits(), "{text}: {found} is not {expected}");
    }
}

/// Decimal texts of many shapes: short and long, near the middles of `f32`, huge and tiny.
fn decimal() -> impl Strategy<Value = String> {
    let nearly_middle = (any::<u32>(), -2..3_i64).prop_map(|(bits, ulps)| {
        let low = f64::from(f32::from_bits(bits & 0x7f7f_ffff));
        let high = f64::from(f32::from_bits(bits & 0x7f7f_ffff).next_up());
        let middle = low + (high - low) / 2.0;
        format!("{:?}", f64::from_bits(middle.to_bits().saturating_add_signed(ulps)))
    });
    let plain = ("-?", "0|[1-9][0-9]{0,24}", "(\\.[0-9]{1,24})?", "([eE][+-]?[0-9]{1,3})?")
        .prop_map(|(sign, whole, fraction, power)| format!("{sign}{whole}{fraction}{power}"));
    let short = (-99_999_999..99_999_999_i64, 0..9_usize)
        .prop_map(|(digits, places)| format!("{:.places$}", digits as f64 / 1e4));
    prop_oneof![
        any::<f32>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| format!("{x:?}")),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| format!("{x:?}")),
        nearly_middle,
        plain,
        short,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn floats_are_what_the_standard_library_reads(text in decimal()) {
        let number = whole(&text).unwrap();
        let (single, double): (f32, f64) = (text.parse().unwrap(), text.parse().unwrap());
        prop_assert_eq!(number.to_f32().to_bits(), single.to_bits());
        prop_assert_eq!(number.to_f64().to_bits(), double.to_bits());
        prop_assert_eq!(number.to_fp16(), half::fp16_from_f64(double));
        prop_assert_eq!(number.to_bf16(), half::bf16_from_f64(double));
    }

    #[test]
    fn integers_are_what_the_standard_library_reads(number in any::<i128>(), shift in 0..128_u32) {
        let number = number >> shift;
        let text = number.to_string();
        let fits = number.unsigned_abs() <= u128::from(u64::MAX);
        let expected = if fits { Integer::Fits(number) } else { Integer::Beyond };
        prop_assert_eq!(whole(&text).unwrap().integer(), expected);
    }
}
