//! Bodies with raw tensors behind their JSON, both ways.

use bartizan_core::{ModelName, ModelVersion, Values};
use proptest::prelude::*;

use crate::oip::{parse_infer, parse_infer_binary, render_infer, render_infer_binary};
use crate::{BinaryWish, InferReply, InferRequest, Limits};

use super::*;

fn body(json: &str, raw: &[u8]) -> (Vec<u8>, usize) {
    ([json.as_bytes(), raw].concat(), json.len())
}

fn parse(json: &str, raw: &[u8]) -> Result<InferRequest, WireError> {
    let (body, json_bytes) = body(json, raw);
    parse_infer_binary(&body, json_bytes, &Limits::default())
}

/// As `tritonclient` writes it: two raw inputs and one in JSON between them.
#[test]
fn raw_and_json_inputs_stand_side_by_side() {
    let json = r#"{"inputs":[
        {"name":"a","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}},
        {"name":"b","shape":[1],"datatype":"INT64","data":[7]},
        {"parameters":{"binary_data_size":6},"name":"c","shape":[1,1],"datatype":"BYTES"}],
        "outputs":[{"name":"y","parameters":{"binary_data":true}},{"name":"z"}]}"#;
    let raw = [&1.5_f32.to_le_bytes()[..], &f32::NAN.to_le_bytes(), &[2, 0, 0, 0], b"hi"].concat();
    let request = parse(json, &raw).unwrap();
    let names: Vec<_> = request.inputs.iter().map(Tensor::name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let Values::Fp32(a) = request.inputs[0].values() else { panic!("no FP32") };
    assert!(a[0] == 1.5 && a[1].to_bits() == f32::NAN.to_bits());
    assert_eq!(*request.inputs[1].values(), Values::Int64(vec![7]));
    assert_eq!(*request.inputs[2].values(), Values::Bytes(vec![b"hi".to_vec()]));
    assert!(request.binary.is_for("y") && !request.binary.is_for("z"));
}

/// Each place says what is wrong, and no byte is ever read twice or left over.
#[test]
fn sizes_that_are_not_what_follows_are_refused() {
    let input = |size: &str| {
        format!(
            r#"{{"inputs":[{{"name":"a","shape":[2],"datatype":"INT32","parameters":{{"binary_data_size":{size}}}}}]}}"#
        )
    };
    assert!(parse(&input("8"), &[0; 8]).is_ok());
    for (size, raw, word) in [
        ("8", 7, "only 7 bytes are left"),
        ("8", 9, "1 bytes follow behind"),
        ("4", 4, "2 elements of INT32 are 8 bytes, there are 4"),
        ("9", 9, "are 8 bytes, there are 9"),
        ("18446744073709551615", 8, "only 8 bytes are left"),
        ("18446744073709551616", 8, "a whole number of bytes"),
        ("-1", 8, "a whole number of bytes"),
        ("8.0", 8, "a whole number of bytes"),
        ("\"8\"", 8, "a number"),
    ] {
        let error = parse(&input(size), &vec![0; raw]).unwrap_err();
        assert!(error.message.contains(word), "{size} {raw}: {error}");
    }
    let twice = r#"{"inputs":[
        {"name":"a","shape":[1],"datatype":"INT32","parameters":{"binary_data_size":4}},
        {"name":"b","shape":[1],"datatype":"INT32","parameters":{"binary_data_size":4}}]}"#;
    let error = parse(twice, &[0; 4]).unwrap_err();
    assert_eq!(error.message, "`inputs[1]`: `binary_data_size` is 4, only 0 bytes are left");
    let both = r#"{"inputs":[{"name":"a","shape":[1],"datatype":"INT32","data":[1],
        "parameters":{"binary_data_size":4}}]}"#;
    assert!(parse(both, &[0; 4]).unwrap_err().message.contains("not both"));
    let huge = r#"{"inputs":[{"name":"a","shape":[99999999999],"datatype":"BYTES",
        "parameters":{"binary_data_size":4}}]}"#;
    assert_eq!(parse(huge, &[0; 4]).unwrap_err().code, RefusalCode::TooLarge);
}

#[test]
fn the_length_of_the_json_must_be_within_the_body() {
    let json = r#"{"inputs":[{"name":"a","shape":[1],"datatype":"INT32","data":[1]}]}"#;
    let limits = Limits::default();
    let at = |json_bytes| parse_infer_binary(json.as_bytes(), json_bytes, &limits);
    assert!(at(json.len()).is_ok());
    assert!(at(json.len() + 1).unwrap_err().message.contains("the body has 67"));
    assert!(at(json.len() - 1).is_err() && at(0).is_err());
    assert!(at(usize::MAX).is_err());
    for text in ["", "-1", "+1", " 1", "1.0", "0x1", "9999999999999999999", "1,1"] {
        assert!(header_length(text).is_err(), "took {text:?}");
    }
    assert_eq!(header_length("067").unwrap(), 67);
    let raw = r#"{"inputs":[{"name":"a","shape":[1],"datatype":"INT32",
        "parameters":{"binary_data_size":4}}]}"#;
    let error = parse_infer(raw.as_bytes(), &limits).unwrap_err();
    assert!(error.message.contains("inference-header-content-length"), "{error}");
}

#[test]
fn an_output_says_more_than_the_request() {
    let wish = |parameters: &str, output: &str| {
        let json = format!(
            r#"{{"parameters":{parameters},"outputs":[{{"name":"y","parameters":{output}}}],
            "inputs":[{{"name":"a","shape":[1],"datatype":"INT32","data":[1]}}]}}"#
        );
        parse_infer(json.as_bytes(), &Limits::default()).unwrap().binary
    };
    let all = wish(r#"{"binary_data_output":true}"#, "{}");
    assert!(all.is_for("y") && all.is_for("z"));
    let but_one = wish(r#"{"binary_data_output":true}"#, r#"{"binary_data":false}"#);
    assert!(!but_one.is_for("y") && but_one.is_for("z"));
    let one = wish("{}", r#"{"binary_data":true}"#);
    assert!(one.is_for("y") && !one.is_for("z") && !one.is_none());
    assert!(wish("{}", "{}").is_none());
}

fn reply_of(outputs: &[Tensor], wish: &BinaryWish) -> (Vec<u8>, Option<usize>) {
    let model: ModelName = "m".parse().unwrap();
    let version = ModelVersion::FIRST;
    let reply = InferReply { model: &model, version, id: None, outputs, parameters: &[] };
    let mut out = Vec::new();
    let json_bytes = render_infer_binary(&reply, wish, &mut out).unwrap();
    if wish.is_none() {
        let mut json = Vec::new();
        render_infer(&reply, &mut json).unwrap();
        assert_eq!((json, None), (out.clone(), json_bytes));
    }
    (out, json_bytes)
}

#[test]
fn an_answer_has_its_raw_tensors_behind_its_json() {
    let outputs = [
        Tensor::new("y", vec![1, 2], Values::Fp32(vec![0.5, -1.0])).unwrap(),
        Tensor::new("label", vec![1], Values::Int64(vec![3])).unwrap(),
        Tensor::new("t", vec![1], Values::Bytes(vec![vec![0xff]])).unwrap(),
    ];
    let named = vec![("label".into(), false)];
    let (out, json_bytes) = reply_of(&outputs, &BinaryWish { by_default: true, named });
    let (json, raw) = out.split_at(json_bytes.unwrap());
    assert_eq!(
        std::str::from_utf8(json).unwrap(),
        concat!(
            r#"{"model_name":"m","model_version":"1","outputs":["#,
            r#"{"name":"y","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}},"#,
            r#"{"name":"label","datatype":"INT64","shape":[1],"data":[3]},"#,
            r#"{"name":"t","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}]}"#
        )
    );
    assert_eq!(raw, [0, 0, 0, 0x3f, 0, 0, 0x80, 0xbf, 1, 0, 0, 0, 0xff]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A finite number comes back from JSON with the bits that it has in binary.
    #[test]
    fn json_and_binary_carry_the_same_bits(bits in prop::collection::vec(any::<u32>(), 1..20)) {
        let values: Vec<f32> =
            bits.into_iter().map(f32::from_bits).filter(|x| x.is_finite()).collect();
        let shape = vec![values.len() as u64];
        let outputs = [Tensor::new("a", shape.clone(), Values::Fp32(values.clone())).unwrap()];
        let (json, none) = reply_of(&outputs, &BinaryWish::default());
        prop_assert!(none.is_none());
        let text = std::str::from_utf8(&json).unwrap().replace("\"outputs\"", "\"inputs\"");
        let read = parse_infer(text.as_bytes(), &Limits::default()).unwrap();
        let Values::Fp32(read) = read.inputs[0].values() else { panic!("no FP32") };
        let of_json: Vec<_> = read.iter().map(|x| x.to_bits()).collect();
        let wish = BinaryWish { by_default: true, named: vec![] };
        let (both, json_bytes) = reply_of(&outputs, &wish);
        let of_binary: Vec<_> = both[json_bytes.unwrap()..]
            .chunks(4)
            .map(|item| u32::from_le_bytes(item.try_into().unwrap()))
            .collect();
        prop_assert_eq!(of_json, of_binary);
    }
}
