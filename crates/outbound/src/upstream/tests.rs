//! Endpoints that answer, and endpoints that misbehave, on loopback.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use bartizan_core::Datatype;
use bartizan_core::Values;
use bartizan_core::contract::{ContractFile, Feature, Input, Output, Role, Table};

use super::*;

const SECRET: &str = "Bearer upstream-secret";

fn contract() -> Contract {
    let feature = |name: &str| Feature { name: name.into(), ..Feature::default() };
    let file = ContractFile {
        format: 1,
        description: String::new(),
        rows_max: None,
        body_bytes_max: None,
        subject: None,
        classes: Vec::new(),
        table: Table::default(),
        inputs: vec![Input {
            name: "X".into(),
            datatype: Datatype::Fp32,
            shape: vec![-1, 2],
            features: vec![feature("a"), feature("b")],
        }],
        outputs: vec![Output {
            name: "label".into(),
            datatype: Datatype::Int64,
            shape: vec![-1],
            role: Role::Label,
        }],
    };
    Contract::new(file, b"test").unwrap()
}

/// Answers one connection with `answer` and gives what it was sent.
fn serve(answer: &'static str, hang: Duration) -> (Uri, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap()).parse().unwrap();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut sent = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let n = stream.read(&mut buffer).unwrap();
            sent.extend_from_slice(&buffer[..n]);
            let text = String::from_utf8_lossy(&sent).to_lowercase();
            let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let claim = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                claim.and_then(|n| n.parse::<usize>().ok()).is_some_and(|n| n <= body.len())
            });
            if n == 0 || whole {
                break;
            }
        }
        stream.write_all(answer.as_bytes()).unwrap();
        std::thread::sleep(hang);
        String::from_utf8(sent).unwrap()
    });
    (url, served)
}

fn upstream(kind: Kind, url: Uri) -> Arc<Upstream> {
    let settings = UpstreamSettings {
        kind,
        url,
        authorization: Some(HeaderValue::from_static(SECRET)),
        certificate: None,
        https: HttpsSettings {
            deadline: Duration::from_secs(10),
            answer_bytes_max: 4096,
            ..HttpsSettings::default()
        },
    };
    Upstream::new(settings, &contract(), &UpstreamLoop::start().unwrap()).unwrap()
}

fn inputs() -> Vec<Tensor> {
    vec![Tensor::new("X", vec![2, 2], Values::Fp32(vec![0.5, 1.0, f32::NAN, 2.0])).unwrap()]
}

fn http(body: &str) -> &'static str {
    let head = "HTTP/1.1 200 OK\r\nx-ms-server-version: azmlinfsrv/1.5.1\r\ncontent-length: ";
    Box::leak(format!("{head}{}\r\n\r\n{body}", body.len()).into_boxed_str())
}

/// U1: each protocol is asked in its own words, from the tensors alone, and understood.
#[test]
fn every_protocol_is_asked_and_understood() {
    let split = r#"{"columns":["a","b"],"index":[0,1],"data":[[0.5,1.0],[null,2.0]]}"#;
    let data = Kind::AzureMl { rows_under: "data" };
    let input_data = Kind::AzureMl { rows_under: "input_data" };
    let oip = r#"{"model_name":"m","model_version":"v7","outputs":[{"name":"label","datatype":"INT64","shape":[2],"data":[1,0]}]}"#;
    for (kind, sent, answer, version) in [
        (Kind::Mlflow, format!(r#"{{"dataframe_split":{split}}}"#), r#"{"predictions":[1,0]}"#, "azmlinfsrv/1.5.1"),
        (input_data, format!(r#"{{"input_data":{split}}}"#), "[1,0]", "azmlinfsrv/1.5.1"),
        (data, r#"{"data":[[0.5,1.0],[null,2.0]]}"#.into(), r#"{"result":[1,0]}"#, "azmlinfsrv/1.5.1"),
        (
            Kind::OipRest,
            r#"{"inputs":[{"name":"X","datatype":"FP32","shape":[2,2],"data":[0.5,1.0,null,2.0]}]}"#.into(),
            oip,
            "v7",
        ),
    ] {
        let (url, served) = serve(http(answer), Duration::ZERO);
        let upstream = upstream(kind.clone(), url);
        let told = upstream.predict_within(&inputs(), Duration::from_secs(10)).unwrap();
        assert_eq!(*told.outputs[0].values(), Values::Int64(vec![1, 0]), "{kind:?}");
        let origin = told.origin.unwrap();
        assert_eq!(origin.version.as_deref(), Some(version));
        let request = served.join().unwrap();
        assert!(request.ends_with(&sent), "{request}");
        assert!(request.contains(SECRET), "the credential is shown");
    }
}

/// U2, and U1 for its errors: what misbehaves is no answer, and says nothing of what was sent.
#[test]
fn an_endpoint_that_misbehaves_gives_no_answer() {
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{}", "x".repeat(5000));
    let cases: [(&'static str, &str); 11] = [
        ("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n", "status 500"),
        (
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            "",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[1", ""),
        (Box::leak(long.into_boxed_str()), ""),
        ("garbage\r\n\r\n", ""),
        ("", ""),
        (http("{}"), "no rows"),
        (http(r#"{"predictions":[1]}"#), "for 2 rows"),
        (http(r#"{"predictions":[1,2,3]}"#), "for 2 rows"),
        (http(r#"{"predictions":["VALUE",0]}"#), "column `label`"),
        (http(r#"{"predictions":[1.5,0]}"#), "a fraction"),
    ];
    for (answer, reason) in cases {
        let (url, served) = serve(answer, Duration::ZERO);
        let error = upstream(Kind::Mlflow, url)
            .predict_within(&inputs(), Duration::from_secs(10))
            .unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, PredictError::Unavailable { .. }), "{answer:.40}: {text}");
        assert!(text.contains(reason), "{answer:.40}: {text}");
        for leak in ["upstream-secret", "VALUE", "0.5", "/x"] {
            assert!(!text.contains(leak), "{text}");
        }
        served.join().unwrap();
    }
}

/// U2: the request's own deadline ends the wait, however long the endpoint's is.
#[test]
fn an_endpoint_that_hangs_is_left_at_the_requests_deadline() {
    let (url, served) = serve("HTTP/1.1 200 OK\r\n", Duration::from_millis(300));
    let outcome = upstream(Kind::Mlflow, url).predict_within(&inputs(), Duration::from_millis(50));
    assert!(matches!(outcome, Err(PredictError::Deadline)), "{outcome:?}");
    served.join().unwrap();
}

/// U2: a pinned certificate that is not shown is no answer, nor is plain HTTP in its place.
#[test]
fn another_certificate_than_the_pinned_one_is_refused() {
    let (url, served) = serve(http(r#"{"predictions":[1,0]}"#), Duration::ZERO);
    let settings = UpstreamSettings {
        kind: Kind::Mlflow,
        url,
        authorization: None,
        certificate: Some(Digest::of(b"pinned")),
        https: HttpsSettings::default(),
    };
    let upstream = Upstream::new(settings, &contract(), &UpstreamLoop::start().unwrap()).unwrap();
    let error = upstream.predict_within(&inputs(), Duration::from_secs(10)).unwrap_err();
    assert!(error.to_string().contains("another certificate"), "{error}");
    served.join().unwrap();
}
