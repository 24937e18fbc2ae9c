//! Callers that send tables: Azure ML, MLflow, KServe v1.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "stage/stage.rs"]
mod stage;

use bartizan_access::{ModelScope, Scopes};
use bartizan_core::Obligations;
use bartizan_gateway::HttpLimits;
use bartizan_ledger::{Body, Record};
use stage::{Stage, ask, request};

const ROWS: &str = r#"{"instances":[[0.5,1]]}"#;

fn limits() -> HttpLimits {
    HttpLimits { lanes: 1, ..HttpLimits::default() }
}

fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// Each protocol is answered in its own shape, recorded under its own name, and says no in its
/// own words; nothing is answered without a record.
#[test]
fn every_protocol_is_answered_and_refused_in_its_own_words() {
    let stage = Stage::start(limits());
    let address = stage.server.addresses().inference;
    let key = format!("authorization: Bearer {}\r\n", stage.key);
    let csv = format!("{key}content-type: text/csv\r\n");
    let xml = format!("{key}content-type: text/xml\r\n");
    let cases = [
        ("/score", &key, r#"{"data":[[0.5,1]]}"#, 200, "[1]"),
        ("/score", &key, r#"{"Inputs":[[0.5,1]]}"#, 200, r#"{"Results":[1]}"#),
        ("/score", &key, "{", 400, r#"{"message":"#),
        ("/score", &key, r#"{"data":[[0.5]]}"#, 400, r#"{"message":"#),
        ("/score", &xml, "<a/>", 415, r#"{"message":"#),
        ("/invocations", &key, ROWS, 200, r#"{"predictions":[1]}"#),
        ("/invocations", &csv, "0,1\n0.5,1\n0.5,1\n", 200, r#"{"predictions":[1,1]}"#),
        ("/invocations", &key, "[]", 400, r#"{"error_code":"BAD_REQUEST","message":"#),
        ("/invocations", &xml, "<a/>", 415, r#"{"error_code":"#),
        ("/v1/models/puppet:predict", &key, ROWS, 200, r#"{"predictions":[1]}"#),
        ("/v1/models/puppet:predict", &key, "{}", 400, r#"{"error":"#),
        ("/v1/models/other:predict", &key, ROWS, 404, r#"{"error":"#),
    ];
    let mut told = Vec::new();
    for (path, headers, sent, status, begin) in cases {
        let (found, text) = ask(address, &request("POST", path, headers, sent));
        assert_eq!(found, status, "{path} {sent}: {text}");
        assert!(body(&text).starts_with(begin), "{path} {sent}: {text}");
        let id = text.lines().find_map(|line| line.strip_prefix("bartizan-decision: "));
        told.push((id.unwrap().to_owned(), path));
    }
    for (leaf, (id, path)) in stage.end().iter().zip(&told) {
        let record = Record::decode(leaf).unwrap();
        let Body::Decision(decision) = record.body else { panic!("{path}") };
        assert_eq!(record.id.to_string(), *id);
        let name = match path.get(..3) {
            Some("/sc") => "azure-ml",
            Some("/in") => "mlflow",
            _ => "kserve-v1",
        };
        assert_eq!(decision.protocol, name, "{path}");
    }
}

/// What each protocol asks beside inference; strangers get constants and refusals alone.
#[test]
fn what_is_asked_beside_inference_has_each_protocols_shape() {
    let stage = Stage::start(limits());
    let address = stage.server.addresses().inference;
    let key = format!("authorization: Bearer {}\r\n", stage.key);
    for (path, headers, status, wanted) in [
        ("/", "", 200, "Healthy"),
        ("/ping", "", 200, "\n"),
        ("/health", "", 200, "\n"),
        ("/version", "", 401, r#""error_code":"UNAUTHENTICATED""#),
        ("/swagger.json", "", 401, r#"{"message":"#),
        ("/v1/models", "", 401, r#"{"error":"#),
        ("/v1/nowhere", "", 401, r#"{"error":"#),
        ("/version", &key, 200, env!("CARGO_PKG_VERSION")),
        ("/swagger.json", &key, 200, r#""swagger":"2.0""#),
        ("/swagger.json?version=3", &key, 200, r#""openapi":"3.0.3""#),
        ("/swagger.json?version=4", &key, 404, r#"{"message":"#),
        ("/v1/models", &key, 200, r#"{"models":["puppet"]}"#),
        ("/v1/models/puppet", &key, 200, r#"{"name":"puppet","ready":true}"#),
        ("/v1/models/puppet:predict", &key, 405, r#"{"error":"#),
        ("/score", &key, 405, r#"{"message":"#),
    ] {
        let (found, text) = ask(address, &request("GET", path, headers, ""));
        assert_eq!(found, status, "{path}: {text}");
        assert!(body(&text).contains(wanted), "{path}: {text}");
        let version = text.contains("x-ms-server-version: bartizan/");
        assert_eq!(version, matches!(path.get(..3), Some("/sw" | "/sc") | None), "{path}: {text}");
    }
    stage.end();
}

/// Both sides of the limit of request ids; what is echoed, and what is made up.
#[test]
fn azure_ml_request_ids_are_echoed_within_their_limit() {
    let stage = Stage::start(limits());
    let address = stage.server.addresses().inference;
    let ask_with = |headers: String| {
        let headers = format!("authorization: Bearer {}\r\n{headers}", stage.key);
        let (status, text) =
            ask(address, &request("POST", "/score", &headers, r#"{"data":[[0.5,1]]}"#));
        let header = |name: &str| {
            let find = |line: &str| line.strip_prefix(&format!("{name}: ")).map(str::to_owned);
            text.lines().find_map(find)
        };
        let ids = ["x-request-id", "x-ms-client-request-id", "x-ms-request-id"].map(header);
        (status, ids, header("bartizan-decision"), header("x-ms-run-function-failed"))
    };
    let some = |text: &str| Some(text.to_owned());
    let (status, ids, decision, failed) = ask_with(String::new());
    assert_eq!((status, failed), (200, some("False")));
    assert_eq!(ids, [decision.clone(), None, decision]);
    let (_, ids, ..) = ask_with("x-request-id: r\r\nx-ms-client-request-id: c\r\n".into());
    assert_eq!(ids, [some("r"), some("c"), some("c")]);
    let longest = "x".repeat(100);
    let (status, ids, ..) = ask_with(format!("x-request-id: {longest}\r\n"));
    assert_eq!((status, &ids[0], &ids[2]), (200, &Some(longest.clone()), &Some(longest.clone())));
    let (status, _, _, failed) = ask_with(format!("x-ms-client-request-id: {longest}x\r\n"));
    assert_eq!((status, failed), (431, some("True")));
    stage.end();
}

/// Which model is meant where the path names none.
#[test]
fn a_deployment_is_named_by_its_header_or_is_the_only_model() {
    let stage = Stage::start(limits());
    let address = stage.server.addresses().inference;
    for (deployment, status) in
        [("puppet", 200), ("puppet-1", 200), ("puppet-2", 404), ("other", 404), ("../x", 404)]
    {
        let headers = format!(
            "authorization: Bearer {}\r\nazureml-model-deployment: {deployment}\r\n",
            stage.key
        );
        let (found, text) =
            ask(address, &request("POST", "/score", &headers, r#"{"data":[[0.5,1]]}"#));
        assert_eq!(found, status, "{deployment}: {text}");
    }
    stage.end();
    let other = Some(("other".parse().unwrap(), None));
    let stage = Stage::start(HttpLimits { implied_model: other, ..limits() });
    let key = format!("authorization: Bearer {}\r\n", stage.key);
    let address = stage.server.addresses().inference;
    let (status, text) = ask(address, &request("POST", "/invocations", &key, ROWS));
    assert_eq!(status, 404, "{text}");
    stage.end();
}

/// A withheld output is in no byte, header or error of any protocol; what was rounded is said.
#[test]
fn obligations_hold_in_every_table() {
    let only = |obligations| Scopes { obligations, ..Scopes::inference(ModelScope::All) };
    let label = only(Obligations { label_only: true, ..Obligations::default() });
    let scores = Some(["scores".to_owned()].into());
    let rounded = only(Obligations { outputs: scores, digits: Some(1), ..Obligations::default() });
    let posts = [
        ("/score", r#"{"data":[[0.123456,1]]}"#),
        ("/score", r#"{"Inputs":[[0.123456,1]],"GlobalParameters":{"method":"predict_proba"}}"#),
        ("/invocations", r#"{"instances":[[0.123456,1]]}"#),
        ("/v1/models/puppet:predict", r#"{"instances":[[0.123456,1]]}"#),
    ];
    let stage = Stage::with(limits(), label);
    let key = format!("authorization: Bearer {}\r\n", stage.key);
    for (path, sent) in posts {
        let (status, text) =
            ask(stage.server.addresses().inference, &request("POST", path, &key, sent));
        let wanted = if sent.contains("proba") { 403 } else { 200 };
        assert_eq!(status, wanted, "{path}: {text}");
        assert!(!text.contains("0.12"), "{path}: {text}");
    }
    stage.end();
    let stage = Stage::with(limits(), rounded);
    let key = format!("authorization: Bearer {}\r\n", stage.key);
    for (path, sent) in posts {
        let (status, text) =
            ask(stage.server.addresses().inference, &request("POST", path, &key, sent));
        assert_eq!(status, 200, "{path}: {text}");
        assert!(text.contains("[[0.1,1.0]]") && !text.contains("0.12"), "{path}: {text}");
        assert!(text.contains("bartizan-digits: 1\r\n"), "{path}: {text}");
    }
    stage.end();
}

/// Without what is another in every answer: its id, its receipt, its time.
fn normal(text: &str) -> String {
    let id = text.lines().find_map(|line| line.strip_prefix("bartizan-decision: "));
    let varies = ["bartizan-decision: ", "bartizan-receipt: ", "date: ", "server-timing: "];
    let lines = text.split_inclusive('\n');
    let kept: String =
        lines.filter(|line| !varies.iter().any(|name| line.starts_with(name))).collect();
    id.map_or(kept.clone(), |id| kept.replace(id, "ID"))
}

/// A withheld output moves no byte: requests whose answers differ only in what is withheld are
/// answered alike, header by header and byte by byte, in every protocol of this port and in its
/// errors. (The puppet's label is always 1, its scores are its inputs.)
#[test]
fn answers_that_differ_in_what_is_withheld_are_the_same_bytes() {
    let obligations = Obligations { label_only: true, ..Obligations::default() };
    let scopes = Scopes { obligations, ..Scopes::inference(ModelScope::All) };
    let stage = Stage::with(limits(), scopes);
    let address = stage.server.addresses().inference;
    let key = format!("authorization: Bearer {}\r\n", stage.key);
    let csv = format!("{key}content-type: text/csv\r\n");
    let input = |values: &str, more: &str| {
        format!(
            "{{\"inputs\":[{{\"name\":\"X\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[{values}]}}]{more}}}"
        )
    };
    let infer = "/v2/models/puppet/infer";
    let all = |a: &str, b: &str| -> Vec<(&str, &String, String)> {
        let values = format!("{a},{b}");
        let binary = ",\"parameters\":{\"binary_data_output\":true}";
        let withheld = ",\"outputs\":[{\"name\":\"scores\"}]";
        vec![
            (infer, &key, input(&values, "")),
            (infer, &key, input(&values, binary)),
            (infer, &key, input(&values, withheld)),
            ("/score", &key, format!("{{\"data\":[[{values}]]}}")),
            ("/score", &key, format!("{{\"Inputs\":[[{values}]]}}")),
            (
                "/score",
                &key,
                format!(
                    "{{\"Inputs\":[[{values}]],\"GlobalParameters\":{{\"method\":\"predict_proba\"}}}}"
                ),
            ),
            ("/invocations", &key, format!("{{\"instances\":[[{values}]]}}")),
            ("/invocations", &csv, format!("0,1\n{values}\n")),
            ("/v1/models/puppet:predict", &key, format!("{{\"instances\":[[{values}]]}}")),
        ]
    };
    let answers = |a: &str, b: &str| -> Vec<String> {
        let ask_one = |(path, headers, sent): &(&str, &String, String)| {
            let (status, text) = ask(address, &request("POST", path, headers, sent));
            assert!([200, 403].contains(&status), "{path} {sent}: {text}");
            normal(&text)
        };
        all(a, b).iter().map(ask_one).collect()
    };
    let first = answers("0", "1");
    for (a, b) in [("0.123456", "1"), ("1e-30", "-7.5"), ("3.4e38", "0"), ("-0.0", "0.33333334")] {
        for (n, (one, other)) in first.iter().zip(answers(a, b)).enumerate() {
            assert_eq!(*one, other, "case {n} with {a},{b}");
        }
    }
    let leaves = stage.end();
    assert_eq!(leaves.len(), 5 * first.len(), "each of them is on record");
}
