//! Messages, against the generated code and against what must be refused.

use std::collections::BTreeMap;

use bartizan_core::{ModelName, ModelVersion, Tensor, Values};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::{InferReply, Limits, ParameterValue};

type Input = pb::model_infer_request::InferInputTensor;

fn input(name: &str, datatype: &str, shape: &[i64], contents: pb::InferTensorContents) -> Input {
    Input {
        name: name.into(),
        datatype: datatype.into(),
        shape: shape.to_vec(),
        parameters: BTreeMap::new(),
        contents: Some(contents),
    }
}

fn request(inputs: Vec<Input>, raw: &[&[u8]]) -> pb::ModelInferRequest {
    pb::ModelInferRequest {
        model_name: "m".into(),
        inputs,
        raw_input_contents: raw.iter().map(|raw| bytes::Bytes::copy_from_slice(raw)).collect(),
        ..Default::default()
    }
}

fn parse(request: &pb::ModelInferRequest) -> Result<GrpcInfer, crate::WireError> {
    parse_infer(&request.encode_to_vec(), &Limits::default())
}

fn ints(values: &[i32]) -> pb::InferTensorContents {
    pb::InferTensorContents { int_contents: values.to_vec(), ..Default::default() }
}

/// One input of every type that has typed contents, at an end of its range.
fn typed_inputs() -> Vec<Input> {
    let one = |name, datatype, shape: &[i64], fill: fn(&mut pb::InferTensorContents)| {
        let mut contents = pb::InferTensorContents::default();
        fill(&mut contents);
        input(name, datatype, shape, contents)
    };
    vec![
        one("a", "BOOL", &[2], |contents| contents.bool_contents = vec![true, false]),
        one("b", "INT8", &[2], |contents| contents.int_contents = vec![-128, 127]),
        one("c", "INT16", &[1], |contents| contents.int_contents = vec![-32768]),
        one("d", "INT32", &[1], |contents| contents.int_contents = vec![i32::MIN]),
        one("e", "INT64", &[1], |contents| contents.int64_contents = vec![i64::MIN]),
        one("f", "UINT8", &[1], |contents| contents.uint_contents = vec![255]),
        one("g", "UINT64", &[1], |contents| contents.uint64_contents = vec![u64::MAX]),
        one("h", "FP32", &[2], |contents| contents.fp32_contents = vec![0.5, -0.0]),
        one("i", "FP64", &[1], |contents| contents.fp64_contents = vec![5e-324]),
        one("j", "BYTES", &[2], |contents| {
            contents.bytes_contents = vec![vec![0xff].into(), vec![].into()];
        }),
    ]
}

/// Typed contents of every type that has them, and all that a request says beside.
#[test]
fn typed_contents_are_read() {
    let mut asked = request(typed_inputs(), &[]);
    asked.model_version = "3".into();
    asked.id = "seven".into();
    asked.outputs = vec![pb::model_infer_request::InferRequestedOutputTensor {
        name: "y".into(),
        parameters: BTreeMap::new(),
    }];
    let me = pb::InferParameter {
        parameter_choice: Some(pb::infer_parameter::ParameterChoice::StringParam("me".into())),
    };
    asked.parameters = BTreeMap::from([("bartizan-subject".to_owned(), me)]);
    let message = asked.encode_to_vec();
    assert_eq!(target(&message).unwrap(), Target { model: "m", version: "3" });
    let read = parse(&asked).unwrap();
    assert!(!read.is_raw);
    assert_eq!(read.request.id.as_deref(), Some("seven"));
    assert_eq!(read.request.outputs, Some(vec!["y".into()]));
    assert_eq!(read.request.asserted.subject.as_deref(), Some("me"));
    let values: Vec<_> = read.request.inputs.iter().map(|tensor| tensor.values().clone()).collect();
    let expected = vec![
        Values::Bool(vec![true, false]),
        Values::Int8(vec![-128, 127]),
        Values::Int16(vec![-32768]),
        Values::Int32(vec![i32::MIN]),
        Values::Int64(vec![i64::MIN]),
        Values::Uint8(vec![255]),
        Values::Uint64(vec![u64::MAX]),
        Values::Fp32(vec![0.5, -0.0]),
        Values::Fp64(vec![5e-324]),
        Values::Bytes(vec![vec![0xff], vec![]]),
    ];
    assert_eq!(values, expected);
}

/// Each wrong message is refused in its place, and says nothing of its values.
#[test]
fn wrong_contents_are_refused_in_their_place() {
    let none = pb::InferTensorContents::default;
    let floats = pb::InferTensorContents { fp32_contents: vec![1.0], ..none() };
    let raw4: &[&[u8]] = &[&[0; 4]];
    let cases = [
        (request(vec![], &[]), "`inputs`: there are no tensors"),
        (
            request(vec![input("a", "INT32", &[1], ints(&[1]))], raw4),
            "`inputs[0].contents`: it has values although",
        ),
        (
            request(
                vec![input("a", "INT32", &[1], none()), input("b", "INT32", &[1], none())],
                raw4,
            ),
            "there are 1 for 2 inputs",
        ),
        (
            request(vec![input("a", "INT32", &[1], floats)], &[]),
            "values of INT32 belong into `int_contents` alone",
        ),
        (request(vec![input("a", "INT8", &[1], ints(&[128]))], &[]), "outside the range of INT8"),
        (
            request(vec![input("a", "INT32", &[2], ints(&[1]))], &[]),
            "fewer values than `shape` asks for: 2",
        ),
        (
            request(vec![input("a", "INT32", &[1], ints(&[1, 2]))], &[]),
            "more values than `shape` asks for: 1",
        ),
        (request(vec![input("a", "FP16", &[1], none())], &[]), "send it in `raw_input_contents`"),
        (request(vec![input("a", "INT32", &[2], none())], raw4), "2 elements of INT32 are 8 bytes"),
        (request(vec![input("a", "fp32", &[1], none())], raw4), "`inputs[0].datatype`"),
        (request(vec![input("", "INT32", &[1], none())], raw4), "`inputs[0].name`"),
        (request(vec![input("a", "INT32", &[-1], none())], raw4), "`inputs[0].shape`: a dimension"),
        (request(vec![input("a", "INT32", &[1; 9], none())], raw4), "at most 8 dimensions"),
        (
            request(vec![input("a", "INT32", &[i64::MAX], ints(&[1]))], &[]),
            "at most 16777216 elements",
        ),
    ];
    for (asked, words) in cases {
        let error = parse(&asked).unwrap_err();
        assert!(error.message.contains(words), "{words}: {error}");
    }
    let error = parse_infer(&[0x0b], &Limits::default()).unwrap_err();
    assert!(error.message.contains("wire type"), "{error}");
}

/// A body of empty messages is refused before it has cost more than a few of them.
#[test]
fn many_empty_messages_cost_nothing() {
    for (tag, limit) in
        [(0x2a_u8, "inputs"), (0x32, "outputs"), (0x3a, "raw_input"), (0x22, "parameters")]
    {
        let body = [tag, 0].repeat(1_000_000);
        let error = parse_infer(&body, &Limits::default()).unwrap_err();
        assert!(error.message.contains(limit), "{error}");
    }
}

#[test]
fn shared_memory_and_what_we_do_not_know_is_refused() {
    let parameter = |key: &str| {
        let value = pb::InferParameter {
            parameter_choice: Some(pb::infer_parameter::ParameterChoice::Int64Param(1)),
        };
        BTreeMap::from([(key.to_owned(), value)])
    };
    for (key, code) in [
        ("shared_memory_region", Some(RefusalCode::Unsupported)),
        ("bartizan-subject", Some(RefusalCode::Malformed)),
        ("anything", None),
    ] {
        let mut asked = request(vec![input("a", "INT32", &[1], ints(&[1]))], &[]);
        asked.inputs[0].parameters = parameter(key);
        assert_eq!(parse(&asked).err().map(|error| error.code), code, "{key}");
    }
    for (key, code) in [
        ("bartizan-subject", Some(RefusalCode::Malformed)),
        ("bartizan-nothing", Some(RefusalCode::Malformed)),
        ("sequence_id", None),
    ] {
        let mut asked = request(vec![input("a", "INT32", &[1], ints(&[1]))], &[]);
        asked.parameters = parameter(key);
        assert_eq!(parse(&asked).err().map(|error| error.code), code, "{key}");
    }
}

#[test]
fn an_answer_is_typed_or_raw_and_a_streamed_one_begins_with_it() {
    let model: ModelName = "m".parse().unwrap();
    let outputs = [
        Tensor::new("y", vec![1, 2], Values::Fp32(vec![0.5, 1.0])).unwrap(),
        Tensor::new("n", vec![1], Values::Int64(vec![-1])).unwrap(),
    ];
    let parameters = [("bartizan-top-k", ParameterValue::Int(1))];
    let reply = InferReply {
        model: &model,
        version: ModelVersion::FIRST,
        id: Some("7"),
        outputs: &outputs,
        parameters: &parameters,
    };
    let typed = pb::ModelInferResponse::decode(render_infer(&reply, false).as_slice()).unwrap();
    assert_eq!(typed.outputs[0].contents.as_ref().unwrap().fp32_contents, [0.5, 1.0]);
    assert!(typed.raw_output_contents.is_empty());
    let bytes = render_infer(&reply, true);
    let raw = pb::ModelInferResponse::decode(bytes.as_slice()).unwrap();
    assert_eq!(raw.raw_output_contents[0][..], [0, 0, 0, 0x3f, 0, 0, 0x80, 0x3f]);
    assert!(raw.outputs[0].contents.is_none() && raw.id == "7" && raw.parameters.len() == 1);
    let streamed = render_streamed(&bytes, &[("bartizan-decision", "d")]);
    let streamed = pb::ModelStreamInferResponse::decode(streamed.as_slice()).unwrap();
    let response = streamed.infer_response.unwrap();
    assert_eq!((response.outputs, response.parameters.len()), (raw.outputs, 2));
    let half = [Tensor::new("h", vec![1], Values::Fp16(vec![0x3c00])).unwrap()];
    let reply = InferReply { outputs: &half, ..reply };
    let raw = pb::ModelInferResponse::decode(render_infer(&reply, false).as_slice()).unwrap();
    assert_eq!(raw.raw_output_contents.len(), 1);
}

#[test]
fn a_status_message_is_percent_encoded() {
    let mut out = String::new();
    encode_message("100 % of `é`\n".as_bytes(), &mut out);
    assert_eq!(out, "100 %25 of `%C3%A9`%0A");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What generated code reads and holds the protocol's rules, we read to the same values; what
    /// it cannot read, we refuse.
    #[test]
    fn we_read_what_generated_code_reads(
        flags in any::<u8>(), values in prop::collection::vec(any::<i32>(), 0..6),
        cut in any::<prop::sample::Index>(), bit in 0..8_u8
    ) {
        let n = i64::try_from(values.len()).unwrap();
        let mut asked = request(vec![input("a", "INT32", &[n], ints(&values))], &[]);
        if flags & 1 == 1 { asked.id = "id".into(); }
        let message = asked.encode_to_vec();
        let read = parse_infer(&message, &Limits::default()).unwrap();
        prop_assert_eq!(read.request.inputs[0].values(), &Values::Int32(values));
        let mut changed = message;
        let at = cut.index(changed.len());
        changed[at] ^= 1 << bit;
        if let Ok(read) = parse_infer(&changed, &Limits::default()) {
            let theirs = pb::ModelInferRequest::decode(changed.as_slice());
            prop_assert!(theirs.is_ok(), "we took what generated code does not: {changed:?}");
            let theirs = theirs.unwrap();
            prop_assert_eq!(read.request.inputs.len(), theirs.inputs.len());
            prop_assert_eq!(read.request.inputs[0].name(), theirs.inputs[0].name.as_str());
        }
    }
}
