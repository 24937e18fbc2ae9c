//! The cases against answers that hold and answers that do not.

use std::collections::BTreeSet;

use super::*;

const METADATA: &[u8] = br#"{"name":"m","inputs":[{"name":"a","datatype":"FP32","shape":[-1,2]}]}"#;
const PLAIN: &str = r#"{"model_name":"m","model_version":"1","id":"seven","outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[0.5]}]}"#;

fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Answer { status, headers, body: body.to_vec() }
}

fn subject() -> Subject {
    let mut subject = Subject::of_metadata("m", METADATA).unwrap();
    subject.keep_answer(&answer(200, &[], PLAIN.as_bytes())).unwrap();
    subject
}

fn check(id: &str, answer: &Answer) -> Result<(), String> {
    cases().find(|case| case.id == id).unwrap().check(&subject(), answer)
}

#[test]
fn cases_have_names_of_their_own_and_say_what_a_client_sees() {
    let ids: BTreeSet<_> = cases().map(|case| case.id).collect();
    assert_eq!(ids.len(), cases().count());
    for case in cases() {
        let question = case.question(&subject());
        assert_eq!(question.is_grpc, case.id.starts_with("grpc-"), "{}", case.id);
        assert!(question.path.starts_with('/') && !case.sees.is_empty(), "{}", case.id);
    }
}

#[test]
fn an_error_has_the_shape_that_clients_read() {
    let of = |status, body: &[u8]| check("rest-unknown-model", &answer(status, &[], body));
    assert_eq!(of(404, br#"{"error":"none"}"#), Ok(()));
    for (status, body) in [
        (404, &br#"{"detail":"none"}"#[..]),
        (404, b"none"),
        (404, br#"{"error":{"message":"none"}}"#),
        (500, br#"{"error":"none"}"#),
        (200, br#"{"error":"none"}"#),
    ] {
        assert!(of(status, body).is_err(), "{status} {}", String::from_utf8_lossy(body));
    }
}

#[test]
fn raw_outputs_have_the_bits_of_json() {
    let json = PLAIN.replace("\"data\":[0.5]", "\"parameters\":{\"binary_data_size\":4}");
    let of = |raw: &[u8], length: &str| {
        let body = [json.as_bytes(), raw].concat();
        check("rest-raw-raw", &answer(200, &[(crate::oip::HEADER_LENGTH, length)], &body))
    };
    let length = json.len().to_string();
    assert_eq!(of(&0.5_f32.to_le_bytes(), &length), Ok(()));
    assert!(of(&0.25_f32.to_le_bytes(), &length).unwrap_err().contains("other bits"));
    assert!(of(&[0; 3], &length).is_err() && of(&[0; 4], "x").is_err());
    let json_only = check("rest-raw-raw", &answer(200, &[], PLAIN.as_bytes()));
    assert!(json_only.unwrap_err().contains("all JSON"));
    assert_eq!(check("rest-raw-json", &answer(200, &[], PLAIN.as_bytes())), Ok(()));
    assert!(check("rest-raw-json", &answer(422, &[], b"{}")).is_err());
}

#[test]
fn a_call_is_judged_by_its_status_and_its_message() {
    let framed = |message: &[u8]| [&[0, 0, 0, 0, 2][..], message].concat();
    let ok = [("grpc-status", "0")];
    assert_eq!(check("grpc-live", &answer(200, &ok, &framed(&[8, 1]))), Ok(()));
    assert!(check("grpc-live", &answer(200, &ok, &framed(&[8, 0]))).is_err());
    assert!(check("grpc-live", &answer(200, &[], &framed(&[8, 1]))).is_err());
    for (status, holds) in [("3", true), ("0", false), ("13", false)] {
        let mixed = check("grpc-mixed", &answer(200, &[("grpc-status", status)], b""));
        assert_eq!(mixed.is_ok(), holds, "{status}");
    }
}
