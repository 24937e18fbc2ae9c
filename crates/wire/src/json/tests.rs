//! The parser against `serde_json`, and its own rules.

use proptest::prelude::*;

use super::*;
use crate::WireError;

fn skip(text: &str, depth_max: usize) -> Result<(), WireError> {
    let mut reader = Reader::new(text, depth_max);
    reader.skip()?;
    Ok(reader.finish()?)
}

fn string(text: &str) -> Result<String, WireError> {
    let mut reader = Reader::new(text, 1);
    let read = reader.string()?.into_owned();
    reader.finish()?;
    Ok(read)
}

#[test]
fn values_are_skipped_exactly_where_they_are_json() {
    for text in [
        "{}",
        "[]",
        " [ ] ",
        "[[],{}]",
        r#"{"a":[{"b":[]},1],"c":"d"}"#,
        "\"\"",
        "1.5e3",
        "true",
        "null",
        "[NaN,-Infinity,Infinity]",
        "{\"a\":{}}",
    ] {
        assert!(skip(text, 8).is_ok(), "refused {text}: {}", skip(text, 8).unwrap_err());
    }
    for text in [
        "",
        "[",
        "]",
        "{",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{1:2}",
        "[}",
        "{]",
        "{\"a\":1]",
        "[1}",
        "truth",
        "nul",
        "NaNs",
        "Infinit",
        "[1]]",
        "'a'",
        "\"a",
        "1 2",
        "/**/1",
        "\u{feff}1",
        "-Inf",
        "--1",
    ] {
        assert!(skip(text, 8).is_err(), "accepted {text:?}");
    }
}

/// J2 from both sides, for what is skipped and for what is read, and whatever is configured.
#[test]
fn the_last_allowed_depth_is_allowed_and_the_next_is_not() {
    let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    for (max, effective) in [(3, 3), (64, 64), (usize::MAX, 64)] {
        assert!(skip(&lists(effective), max).is_ok());
        assert!(skip(&objects(effective), max).is_ok());
        for text in [lists(effective + 1), objects(effective + 1), lists(1_000_000)] {
            let error = skip(&text, max).unwrap_err();
            assert_eq!(error.code, RefusalCode::TooLarge);
            assert!(error.message.contains(&format!("limit is {effective}")), "{error}");
        }
    }
    assert!(skip("[[],[],[],[{}],{}]", 3).is_ok(), "what is closed does not count");
}

#[test]
fn texts_are_unescaped() {
    for (text, expected) in [
        (r#""""#, ""),
        (r#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{c}\n\r\tz"),
        (r#""\u00e9\u20AC""#, "é€"),
        (r#""\ud83d\ude00x""#, "😀x"),
        (r#""é😀""#, "é😀"),
        (r#""\u0000""#, "\0"),
    ] {
        assert_eq!(string(text).unwrap(), expected, "{text}");
    }
    for text in [
        r#""\ud83d""#,
        r#""\ud83dx""#,
        r#""\ud83d\u0041""#,
        r#""\ude00""#,
        r#""\x""#,
        r#""\u12""#,
        r#""\u12g4""#,
        "\"\n\"",
        "\"\0\"",
        r#""\"#,
        r#""\u"#,
    ] {
        assert!(string(text).is_err(), "accepted {text:?}");
    }
}

/// Reads an object of numbers.
fn object(text: &str) -> Result<usize, WireError> {
    let mut n_keys = 0;
    Reader::new(text, 4).object(|reader, _| {
        n_keys += 1;
        reader.skip()
    })?;
    Ok(n_keys)
}

/// J3: twice is twice, however it is written; and from both sides of the number of keys.
#[test]
fn a_key_stands_once_and_keys_are_few() {
    assert_eq!(object(r#"{"a":1,"b":2,"A":3,"":4}"#).unwrap(), 4);
    for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":2,"\u0061":3}"#, r#"{"":1,"":2}"#] {
        let error = object(text).unwrap_err();
        assert!(error.message.contains("twice"), "{text}: {error}");
    }
    let keys = |n: usize| {
        let keys: Vec<_> = (0..n).map(|n| format!("\"k{n}\":0")).collect();
        format!("{{{}}}", keys.join(","))
    };
    assert_eq!(object(&keys(KEYS_MAX)).unwrap(), KEYS_MAX);
    let error = object(&keys(KEYS_MAX + 1)).unwrap_err();
    assert_eq!(error.code, RefusalCode::TooLarge);
    assert_eq!(error.message, "an object has at most 64 keys, this has more");
}

/// Any JSON value.
fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// J1: whatever the text, the end is not passed and something was looked at.
    #[test]
    fn any_text_is_read_to_its_end_at_most(text in "[\\[\\]{}:,\"0-9eE.ntfNI\\\\u \\PC-]{0,60}") {
        let mut reader = Reader::new(&text, 8);
        let read = reader.skip().is_ok();
        prop_assert!(reader.at() <= text.len());
        prop_assert!(!read || 0 < reader.at());
        let _ = Reader::new(&text, 8).object(|reader, _| reader.skip());
        let _ = Reader::new(&text, 8).list(|reader, _| reader.skip());
    }

    #[test]
    fn what_serde_json_writes_is_skipped(value in json(), is_pretty in any::<bool>()) {
        let text =
            if is_pretty { format!("{value:#}") } else { value.to_string() };
        prop_assert!(skip(&text, 16).is_ok(), "{}", text);
    }

    #[test]
    fn texts_are_what_serde_json_reads(text in "\"([^\"\\\\\\x00-\\x1f]|\\\\[\"\\\\/bfnrtux]|\\\\u[0-9a-fA-Fd]{4})*\"") {
        let expected = serde_json::from_str::<String>(&text).ok();
        prop_assert_eq!(string(&text).ok(), expected);
    }

    /// One byte changed, and the two parsers still agree (but for Python's tokens).
    #[test]
    fn damaged_json_is_refused_where_serde_json_refuses_it(
        value in json(),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(&b"[]{}:,\"\\0-.e tn"[..]),
    ) {
        let mut bytes = value.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            // A raw value is syntax only: no number is too large for it.
            let expected = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            prop_assert_eq!(skip(text, 64).is_ok(), expected, "{}", text);
        }
    }
}
