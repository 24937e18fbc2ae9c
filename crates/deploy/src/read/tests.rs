//! RD1 and RD2.

use proptest::prelude::*;

use super::*;

fn at(text: &str, format: Format) -> String {
    read(text.as_bytes(), format).map_or_else(|error| error.to_string(), |_| "read".to_owned())
}

/// One document in three languages is one tree, and each value knows where it stands.
#[test]
fn three_languages_make_one_tree() {
    let texts = [
        ("region = \"a\"\nn = [1, 2]\n[lb]\nip = \"x\"\n", Format::Toml, "4:6"),
        ("region: a\nn: [1, 2]\nlb:\n  ip: x\n", Format::Yaml, "4:3"),
        ("{\"region\": \"a\",\n \"n\": [1, 2],\n \"lb\": {\n \"ip\": \"x\"}}", Format::Json, "4:2"),
    ];
    let mut values = Vec::new();
    for (text, format, _) in texts {
        let tree = read(text.as_bytes(), format).unwrap();
        values.push(to_value(&tree));
        assert_eq!(tree.locate("lb.ip").line, 4, "{format:?}");
        assert_eq!(tree.locate("lb.ip.deeper").line, 4);
        assert_eq!(tree.locate("n[1]").line, 2);
    }
    assert_eq!(values[0], values[1]);
    assert_eq!(values[1], values[2]);
}

#[test]
fn columns_count_characters() {
    let tree = read("é: {ü: 1}\n".as_bytes(), Format::Yaml).unwrap();
    assert_eq!(tree.locate("é.ü"), Pos { line: 1, column: 5 });
    let tree = read("\"é\" = {\"ü\" = 1}\n".as_bytes(), Format::Toml).unwrap();
    assert_eq!(tree.locate("é.ü"), Pos { line: 1, column: 8 });
}

/// RD2.
#[test]
fn nothing_is_guessed() {
    for (text, format, what) in [
        ("{\"a\": 1, \"a\": 2}", Format::Json, "1:10: key `a` stands twice"),
        ("a: 1\na: 2\n", Format::Yaml, "2:1: key `a` stands twice"),
        ("a = 1\na = 2\n", Format::Toml, "2:1: not TOML"),
        ("a: &x [*x]\n", Format::Yaml, "cycle"),
        ("a: *nowhere\n", Format::Yaml, "not YAML"),
        ("a: !!python/object x\n", Format::Yaml, "a YAML tag"),
        ("a: 1\n---\nb: 1\n", Format::Yaml, "second document"),
        ("", Format::Yaml, "empty"),
        ("{\"a\": 99999999999999999999}", Format::Json, "out of range"),
        ("a = 1979-05-27", Format::Toml, "a date"),
        ("1: 2\n", Format::Yaml, "read"),
        ("? [1]\n: 2\n", Format::Yaml, "a key must be text"),
        ("{\"a\": 1} x", Format::Json, "not JSON"),
        ("{\"a\": NaN}", Format::Json, "not JSON"),
    ] {
        let said = at(text, format);
        assert!(said.contains(what), "{text:?}: {said}");
    }
    let error = read(b"a: \xff", Format::Yaml).unwrap_err();
    assert!(error.to_string().starts_with("1:4: not UTF-8"), "{error}");
}

/// RD1: depth and size from both sides.
#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for format in [Format::Json, Format::Yaml] {
        assert_eq!(at(&nested(60), format), "read", "{format:?}");
        assert_ne!(at(&nested(70), format), "read", "{format:?}");
        assert_ne!(at(&"[".repeat(100_000), format), "read", "{format:?}");
    }
    assert_ne!(at(&format!("a = {}", nested(100_000)), Format::Toml), "read");
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for idx in 1..12 {
        let alias = format!("*a{}", idx - 1);
        laughs.push_str(&format!("a{idx}: &a{idx} [{}]\n", vec![alias; 10].join(", ")));
    }
    assert!(at(&laughs, Format::Yaml).contains("more than"), "{}", at(&laughs, Format::Yaml));
    let large = vec![b' '; FILE_BYTES_MAX + 1];
    assert!(read(&large, Format::Json).unwrap_err().what.contains("limit is"));
}

#[test]
fn yaml_words_are_those_of_the_core_schema() {
    let tree = read(b"[yes, true, ~, 010, 1e3, 1.2.3, -4, '7', 0x10, .inf]", Format::Yaml).unwrap();
    let kinds: Vec<&str> = tree.items().iter().map(|item| item.data.kind()).collect();
    assert_eq!(
        kinds,
        [
            "text",
            "true or false",
            "null",
            "a whole number",
            "a fraction",
            "text",
            "a whole number",
            "text",
            "text",
            "text"
        ]
    );
}

proptest! {
    /// RD1: noise, and noise that looks like the language.
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Toml, Format::Yaml, Format::Json] {
            let _ = read_all(&bytes, format);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}:,\"'&*!|>?#%@`=. \n\t0-9a-cé\\\\-]{0,120}") {
        for format in [Format::Toml, Format::Yaml, Format::Json] {
            let _ = read_all(text.as_bytes(), format);
        }
    }
}
