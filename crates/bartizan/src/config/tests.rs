//! The configuration from both sides.

use super::read::{Problem, parse};
use super::*;

fn problems(text: &str) -> Vec<String> {
    parse(text).map_or_else(
        |problems| problems.iter().map(Problem::to_string).collect(),
        |parsed| {
            let found = check::contradictions(&parsed);
            found.iter().map(Problem::to_string).collect()
        },
    )
}

#[test]
fn an_empty_file_is_the_default_configuration() {
    assert_eq!(parse("").unwrap().config, Config::default());
    let written = toml::to_string(&Config::default()).unwrap();
    assert_eq!(parse(&written).unwrap().config, Config::default());
    assert_eq!(problems(&written), Vec::<String>::new());
}

/// K1, and the place of every fault.
#[test]
fn what_is_wrong_is_said_with_its_place_and_the_way_out() {
    for (text, expected) in [
        (
            "[inference]\nadress = \"127.0.0.1:1\"\n",
            "line 2, column 1: `inference.adress`: unknown key; did you mean `address`?",
        ),
        ("[infrence]\n", "line 1, column 2: `infrence`: unknown key; did you mean `inference`?"),
        (
            "[log]\n  segment_bytes = 1\n",
            "line 2, column 3: `log.segment_bytes`: unknown key here; section `[ledger]` has one",
        ),
        ("[log]\nzzz = 1\n", "line 2, column 1: `log.zzz`: unknown key; known here: format, level"),
        (
            "[log]\nlevel = \"inof\"\n",
            "line 2, column 1: `log.level`: must be `error` or `warn` or `info` or `debug`; \
             did you mean `info`?",
        ),
        (
            "[limits]\nrows_max = \"many\"\n",
            "line 2, column 1: `limits.rows_max`: must be a whole number, is a text",
        ),
        (
            "[limits]\nrows_max = 0\n",
            "line 2, column 1: `limits.rows_max`: must be from 1 to 65536, is 0",
        ),
        (
            "[limits]\nrows_max = 65537\n",
            "line 2, column 1: `limits.rows_max`: must be from 1 to 65536, is 65537",
        ),
        (
            "[limits]\nrows_max = -1\n",
            "line 2, column 1: `limits.rows_max`: must be from 1 to 65536, is -1",
        ),
        (
            "[limits]\nrows_max = 1.5\n",
            "line 2, column 1: `limits.rows_max`: must be a whole number, \
             is a number with a fraction",
        ),
        ("limits = 3\n", "line 1, column 1: `limits`: must be a section, is a whole number"),
        (
            "[inference]\naddress = \"localhost:1\"\n",
            "line 2, column 1: `inference.address`: must be an IP address and a port, \
             like `127.0.0.1:8443` or `[::1]:8443`",
        ),
        (
            "[environment]\nname = \"Prod\"\n",
            "line 2, column 1: `environment.name`: must be 1 to 32 of a-z, 0-9 and `-`, \
             the first a letter",
        ),
    ] {
        assert_eq!(problems(text), [expected], "{text:?}");
    }
}

#[test]
fn all_faults_are_said_at_once() {
    let text = "[log]\nlevle = \"info\"\n[limits]\nrows_max = 0\nstreams_max = true\n";
    assert_eq!(problems(text).len(), 3, "{:?}", problems(text));
}

#[test]
fn numbers_at_their_bounds_are_accepted() {
    for text in ["rows_max = 1", "rows_max = 65536", "rows_max = 65_536", "rows_max = 0x10"] {
        assert_eq!(problems(&format!("[limits]\n{text}\n")), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_place() {
    for text in ["[log\n", "a = \n", "a = 1\na = 2\n", "\u{0}"] {
        let found = parse(text).unwrap_err();
        assert!(found.iter().all(|problem| problem.at.is_some()), "{text:?}: {found:?}");
    }
}

/// K2 and K3 from both sides: loopback may do without, nothing else may.
#[test]
fn nothing_listens_beyond_loopback_without_tls() {
    let file = |address: &str, tls: &str, temporary: bool| {
        format!(
            "[environment]\ntemporary = {temporary}\n\
             [inference]\naddress = \"{address}\"\ntls = \"{tls}\"\n"
        )
    };
    for (address, tls, temporary, allowed) in [
        ("127.0.0.1:1", "off", false, true),
        ("127.0.0.1:1", "on", true, true),
        ("127.9.9.9:1", "off", true, true),
        ("[::1]:1", "off", false, true),
        ("0.0.0.0:1", "on", false, true),
        ("10.0.0.1:1", "off", false, false),
        ("0.0.0.0:1", "off", false, false),
        ("[::]:1", "off", false, false),
        ("0.0.0.0:1", "on", true, false),
        ("[2001:db8::1]:1", "on", true, false),
    ] {
        let found = problems(&file(address, tls, temporary));
        assert_eq!(found.is_empty(), allowed, "{address} {tls} {temporary}: {found:?}");
    }
    let admin = "[admin]\naddress = \"0.0.0.0:1\"\n";
    assert_eq!(problems(admin), Vec::<String>::new());
    let plain = format!("{admin}[inference]\ntls = \"off\"\n");
    assert_eq!(problems(&plain).len(), 1);
    let operations = "[operations]\naddress = \"0.0.0.0:1\"\n";
    assert_eq!(problems(operations), Vec::<String>::new());
    let temporary = format!("[environment]\ntemporary = true\n{operations}");
    assert_eq!(problems(&temporary).len(), 1);
}

#[test]
fn contradictions_between_values_are_refused() {
    for text in [
        "[admin]\naddress = \"127.0.0.1:8443\"\n",
        "[inference]\naddress = \"0.0.0.0:9000\"\n[operations]\naddress = \"127.0.0.1:9000\"\n",
        "[ledger]\ndisk = \"memory\"\n",
        "[ledger]\nqueue_bytes_max = 1_048_576\nqueue_records_max = 64\n[limits]\nbody_bytes_max = 2_000_000\n",
    ] {
        assert_eq!(problems(text).len(), 1, "{text}: {:?}", problems(text));
    }
}
