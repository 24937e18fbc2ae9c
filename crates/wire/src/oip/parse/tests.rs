//! Bodies as clients send them, bodies as nobody should, and any bytes at all.

use bartizan_core::{ModelName, ModelVersion, half};
use proptest::prelude::*;

use super::*;
use crate::oip::render_infer;
use crate::request::InferReply;

fn parse(body: &str) -> InferRequest {
    parse_infer(body.as_bytes(), &Limits::default()).unwrap_or_else(|e| panic!("{body}: {e}"))
}

fn refuse(body: &str) -> WireError {
    parse_infer(body.as_bytes(), &Limits::default()).expect_err(body)
}

/// A body of one input with `fields`.
fn input(fields: &str) -> String {
    format!(r#"{{"inputs":[{{{fields}}}]}}"#)
}

/// The values of one input of `datatype` and `shape`.
fn values(datatype: &str, shape: &str, data: &str) -> Values {
    let fields = format!(r#""name":"X","shape":{shape},"datatype":"{datatype}","data":{data}"#);
    parse(&input(&fields)).inputs.remove(0).values().clone()
}

/// Two bodies that `tritonclient` wrote (`set_data_from_numpy(binary_data=False)`): every
/// parameter that its `infer` has, an output wanted as JSON and one as binary; and its defaults
/// with a NaN.
#[test]
fn bodies_of_tritonclient_are_read() {
    let request = parse(
        r#"{"id":"7","inputs":[{"name":"X","shape":[1,2],"datatype":"INT64","data":[-9223372036854775808,9223372036854775807]}],"outputs":[{"name":"y","parameters":{"binary_data":false}},{"name":"z","parameters":{"binary_data":true}}],"parameters":{"sequence_id":1,"sequence_start":true,"sequence_end":false,"priority":3,"timeout":100,"bartizan-subject":"me"}}"#,
    );
    assert_eq!(request.id.as_deref(), Some("7"));
    let expected = Values::Int64(vec![i64::MIN, i64::MAX]);
    let expected = Tensor::new("X", vec![1, 2], expected).unwrap();
    assert_eq!(request.inputs, [expected]);
    assert_eq!(request.outputs, Some(vec!["y".into(), "z".into()]));
    assert_eq!(request.asserted.subject.as_deref(), Some("me"));
    let request = parse(
        r#"{"inputs":[{"name":"X","shape":[1,3],"datatype":"FP32","data":[1.0,NaN,Infinity]}],"parameters":{"binary_data_output":true}}"#,
    );
    let Values::Fp32(values) = request.inputs[0].values() else { panic!("no FP32") };
    assert!(values[0] == 1.0 && values[1].is_nan() && values[2] == f32::INFINITY);
    assert_eq!((request.outputs, request.asserted), (None, Asserted::default()));
}

/// `json.dumps` of nested lists with a missing value, and its NaN; `data` first, since a
/// dictionary has the order in which it was filled.
#[test]
fn a_body_of_python_requests_is_read() {
    let request = parse(
        "{\"inputs\": [{\"data\": [[1.0, NaN], [null, -Infinity], [1e-05, Infinity]], \
         \"name\": \"X\", \"datatype\": \"FP64\", \"shape\": [3, 2]}]}",
    );
    let Values::Fp64(values) = request.inputs[0].values() else { panic!("no FP64") };
    assert!(values[1].is_nan() && values[2].is_nan());
    assert_eq!((values[0], values[4]), (1.0, 1e-5));
    assert_eq!((values[3], values[5]), (f64::NEG_INFINITY, f64::INFINITY));
    assert_eq!(request.inputs[0].shape(), [3, 2]);
}

/// Several inputs, white space, escapes in keys, keys that nobody knows.
#[test]
fn a_body_written_by_hand_is_read() {
    let request = parse(
        r#"
        { "model_name" : "x", "extra" : { "deep" : [ [ { } ] ] },
          "inputs" : [
            { "na\u006de" : "city", "shape" : [ 2 ], "datatype" : "BYTES",
              "data" : [ "Z\u00fcrich", "" ], "note" : null },
            { "datatype" : "BOOL", "data" : [ [ true ], [ false ] ], "shape" : [ 2, 1 ],
              "name" : "flag", "parameters" : { "content_type" : "np" } }
          ] }
        "#,
    );
    let names: Vec<_> = request.inputs.iter().map(Tensor::name).collect();
    assert_eq!(names, ["city", "flag"]);
    let texts = vec!["Zürich".as_bytes().to_vec(), vec![]];
    assert_eq!(*request.inputs[0].values(), Values::Bytes(texts));
    assert_eq!(*request.inputs[1].values(), Values::Bool(vec![true, false]));
    assert!(request.id.is_none() && request.outputs.is_none());
}

#[test]
fn every_datatype_is_read_to_its_ends() {
    let ends =
        |datatype: &str, low: &str, high: &str| values(datatype, "[2]", &format!("[{low},{high}]"));
    assert_eq!(ends("UINT8", "0", "255"), Values::Uint8(vec![0, u8::MAX]));
    assert_eq!(ends("UINT16", "0", "65535"), Values::Uint16(vec![0, u16::MAX]));
    assert_eq!(ends("UINT32", "-0", "4294967295"), Values::Uint32(vec![0, u32::MAX]));
    let end = "18446744073709551615";
    assert_eq!(ends("UINT64", "0", end), Values::Uint64(vec![0, u64::MAX]));
    assert_eq!(ends("INT8", "-128", "127"), Values::Int8(vec![i8::MIN, i8::MAX]));
    assert_eq!(ends("INT16", "-32768", "32767"), Values::Int16(vec![i16::MIN, i16::MAX]));
    let (low, high) = ("-2147483648", "2147483647");
    assert_eq!(ends("INT32", low, high), Values::Int32(vec![i32::MIN, i32::MAX]));
    let (low, high) = ("-9223372036854775808", "9223372036854775807");
    assert_eq!(ends("INT64", low, high), Values::Int64(vec![i64::MIN, i64::MAX]));
    assert_eq!(ends("FP16", "0.1", "-65504"), Values::Fp16(vec![0x2e66, 0xfbff]));
    assert_eq!(ends("BF16", "0.1", "-1"), Values::Bf16(vec![0x3dcd, 0xbf80]));
    assert_eq!(ends("FP32", "3.4028235e38", "-0.0"), Values::Fp32(vec![f32::MAX, -0.0]));
    let end = "-1.7976931348623157e308";
    assert_eq!(ends("FP64", end, "5e-324"), Values::Fp64(vec![f64::MIN, 5e-324]));
    let Values::Fp16(bits) = ends("FP16", "null", "Infinity") else { panic!("no FP16") };
    assert!(half::fp16_to_f32(bits[0]).is_nan() && bits[1] == 0x7c00);
    let Values::Bf16(bits) = ends("BF16", "NaN", "-Infinity") else { panic!("no BF16") };
    assert!(half::bf16_to_f32(bits[0]).is_nan() && bits[1] == 0xff80);
}

#[test]
fn numbers_beyond_a_type_are_refused_with_its_range() {
    for (datatype, data, range) in [
        ("UINT8", "256", "0 to 255"),
        ("UINT8", "-1", "0 to 255"),
        ("UINT16", "65536", "0 to 65535"),
        ("UINT32", "4294967296", "0 to 4294967295"),
        ("UINT64", "18446744073709551616", "0 to 18446744073709551615"),
        ("UINT64", "-1", "0 to 18446744073709551615"),
        ("INT8", "128", "-128 to 127"),
        ("INT16", "-32769", "-32768 to 32767"),
        ("INT32", "2147483648", "-2147483648 to 2147483647"),
        ("INT64", "9223372036854775808", "to 9223372036854775807"),
        ("INT64", "-9223372036854775809", "-9223372036854775808 to"),
        ("FP16", "65520", "-65504 to 65504"),
        ("BF16", "3.4e38", "to 3.39e38"),
        ("FP32", "3.5e38", "to 3.4028235e38"),
        ("FP64", "-1e309", "-1.7976931348623157e308 to"),
    ] {
        let fields = format!(r#""name":"X","shape":[1],"datatype":"{datatype}","data":[{data}]"#);
        let error = refuse(&input(&fields));
        assert_eq!(error.code, RefusalCode::Malformed);
        assert!(error.message.contains(range), "{datatype} {data}: {error}");
        assert!(error.message.starts_with("`inputs[0].data`, byte "), "{error}");
    }
}

#[test]
fn data_is_flat_or_nested_exactly_as_shape_says() {
    let six = Values::Int32(vec![1, 2, 3, 4, 5, 6]);
    for (shape, data) in [
        ("[6]", "[1,2,3,4,5,6]"),
        ("[2,3]", "[1,2,3,4,5,6]"),
        ("[2,3]", "[[1,2,3],[4,5,6]]"),
        ("[3,1,2]", "[[[1,2]],[[3,4]],[[5,6]]]"),
        ("[1,1,1,1,1,1,1,6]", "[[[[[[[[1,2,3,4,5,6]]]]]]]]"),
    ] {
        assert_eq!(values("INT32", shape, data), six, "{shape} {data}");
    }
    for (shape, data) in [("[0]", "[]"), ("[0,3]", "[]"), ("[2,0]", "[[],[]]"), ("[2,0]", "[]")] {
        assert_eq!(values("INT32", shape, data), Values::Int32(vec![]), "{shape} {data}");
    }
    assert_eq!(values("INT32", "[]", "[7]"), Values::Int32(vec![7]));
    for (shape, data) in [
        ("[6]", "[[1,2,3],[4,5,6]]"),
        ("[2,3]", "[[1,2],[3,4],[5,6]]"),
        ("[2,3]", "[[1,2,3],[4,5,6],[7,8,9]]"),
        ("[2,3]", "[[1,2,3]]"),
        ("[2,3]", "[[1,2,3],[4,5]]"),
        ("[2,3]", "[[1,2,3],[4,5,6,7]]"),
        ("[2,3]", "[[1,2,3],4,5,6]"),
        ("[2,3]", "[1,2,3,[4,5,6]]"),
        ("[2,3]", "[[[1,2,3],[4,5,6]]]"),
        ("[3,1,2]", "[[1,2],[3,4],[5,6]]"),
        ("[2,3]", "[1,2,3,4,5]"),
        ("[2,3]", "[1,2,3,4,5,6,7]"),
        ("[2,3]", "[]"),
        ("[0,3]", "[1]"),
        ("[]", "[]"),
        ("[]", "[1,2]"),
        ("[]", "7"),
    ] {
        let fields = format!(r#""name":"X","shape":{shape},"datatype":"INT32","data":{data}"#);
        let error = refuse(&input(&fields));
        assert_eq!(error.code, RefusalCode::Malformed, "{shape} {data}: {error}");
        assert!(error.message.starts_with("`inputs[0].data`, byte "), "{error}");
    }
}

#[test]
fn what_is_asserted_is_read_and_never_printed() {
    let good = |fields: &str| {
        let tensor = r#"{"name":"X","shape":[1],"datatype":"INT8","data":[1]}"#;
        format!(r#"{{"parameters":{{{fields}}},"inputs":[{tensor}]}}"#)
    };
    let request = parse(&good(
        r#""bartizan-subject":"Ann","bartizan-end-user":"Bob","bartizan-purpose":"care",
        "bartizan-correlation-id":"c-1","other":[{}]"#,
    ));
    let asserted = &request.asserted;
    assert_eq!(asserted.subject.as_deref(), Some("Ann"));
    assert_eq!(asserted.end_user.as_deref(), Some("Bob"));
    assert_eq!(asserted.purpose.as_deref(), Some("care"));
    assert_eq!(asserted.correlation_id.as_deref(), Some("c-1"));
    let debug = format!("{request:?}");
    assert!(!debug.contains("Ann") && !debug.contains("c-1"), "{debug}");
    let longest = "a".repeat(limits::ASSERTED_BYTES_MAX);
    parse(&good(&format!(r#""bartizan-subject":"{longest}""#)));
    for (fields, code, expected) in [
        (
            format!(r#""bartizan-subject":"{longest}b""#),
            RefusalCode::TooLarge,
            "`parameters.bartizan-subject`: the text has 257 bytes, limit is 256",
        ),
        (
            r#""bartizan-purpose":"""#.into(),
            RefusalCode::Malformed,
            "`parameters.bartizan-purpose`: it must be a text of at least one character",
        ),
        (r#""bartizan-end-user":"a\nb""#.into(), RefusalCode::Malformed, "no control character"),
        (
            r#""bartizan-correlation-id":7"#.into(),
            RefusalCode::Malformed,
            "`parameters.bartizan-correlation-id`, byte 41: expected a text in double quotes, \
             found a number",
        ),
        (
            r#""bartizan-subjekt":"Ann""#.into(),
            RefusalCode::Malformed,
            "there is no such `bartizan-` parameter",
        ),
    ] {
        let error = refuse(&good(&fields));
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(expected), "{error}");
    }
}

/// Each row: a body, the code, and a part of what the caller is told.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn bad_bodies_are_refused_with_field_limit_and_remedy() {
    use RefusalCode::{Malformed, TooLarge, Unsupported};
    let x = r#""name":"X","shape":[1],"datatype":"FP32""#;
    let names = "a".repeat(NAME_BYTES_MAX + 1);
    let many = format!("{{\"inputs\":[{}]}}", vec![format!("{{{x},\"data\":[1]}}"); 65].join(","));
    let ok = format!(r#"{{"inputs":[{{{x},"data":[1]}}]"#);
    let deep = "[".repeat(100_000);
    let rows: Vec<(String, RefusalCode, &str)> = vec![
        ("".into(), Malformed, "the body is empty; send a JSON object with `inputs`"),
        (" \n".into(), Malformed, "expected an object, found the end of the body"),
        ("[]".into(), Malformed, "byte 0: expected an object, found a list"),
        ("null".into(), Malformed, "found `null`"),
        ("{}".into(), Malformed, "`inputs`: there are no tensors; give at least one"),
        (r#"{"inputs":[]}"#.into(), Malformed, "`inputs`: there are no tensors"),
        (r#"{"inputs":{}}"#.into(), Malformed, "`inputs`, byte 10: expected a list"),
        (r#"{"inputs":[1]}"#.into(), Malformed, "`inputs[0]`, byte 11: expected an object"),
        (r#"{"inputs":[{"#.into(), Malformed, "found the end of the body"),
        (r#"{"inputs":[{}]}"#.into(), Malformed, "`inputs[0].name`: it is missing"),
        (input(r#""name":"X""#), Malformed, "`inputs[0].datatype`: it is missing"),
        (
            input(r#""name":"X","datatype":"FP32","data":[1]"#),
            Malformed,
            "`inputs[0].shape`: it is missing; give the dimensions, as in [1, 30]",
        ),
        (input(x), Malformed, "`inputs[0].data`: it is missing"),
        (input(&format!(r#"{x},"data":1"#)), Malformed, "expected a list, found a number"),
        (input(&format!(r#"{x},"data":["1"]"#)), Malformed, "expected a number, `null` or `NaN`"),
        (input(&format!(r#"{x},"data":[true]"#)), Malformed, "found a boolean"),
        (input(&format!(r#"{x},"data":[1"#)), Malformed, "expected `,` or `]`"),
        (input(&format!(r#"{x},"data":[1],"data":[2]"#)), Malformed, "twice in one object"),
        (input(&format!(r#"{x},"shape":[1],"data":[2]"#)), Malformed, "`inputs[0]`, byte"),
        (r#"{"id":"a","id":"b"}"#.into(), Malformed, "byte 10: this key is there twice"),
        (format!("{ok}}}x"), Malformed, "expected the end of the body after the document"),
        (format!("{ok}}}{{}}"), Malformed, "after the document"),
        (ok.clone(), Malformed, "expected `,` or `}`"),
        (format!(r#"{ok},"id":7}}"#), Malformed, "`id`, byte"),
        (
            format!(r#"{ok},"id":"{names}"}}"#),
            TooLarge,
            "`id`: the text has 257 bytes, limit is 256",
        ),
        (format!(r#"{ok},"outputs":[{{}}]}}"#), Malformed, "`outputs[0].name`: it is missing"),
        (
            format!(r#"{ok},"outputs":[{{"name":"y"}},{{"name":"y"}}]}}"#),
            Malformed,
            "`outputs[1].name`: an output is asked for twice",
        ),
        (format!(r#"{ok},"x":{deep}}}"#), TooLarge, "too many lists and objects"),
        (format!(r#"{ok},"parameters":{{"a":{deep}}}}}"#), TooLarge, "limit is 32"),
        (many, TooLarge, "`inputs[64]`: a request has at most 64 of these"),
        (
            input(&format!(r#""name":"{names}""#)),
            TooLarge,
            "`inputs[0].name`: the text has 257 bytes, limit is 256",
        ),
        (input(r#""datatype":"float32""#), Malformed, "a datatype is BOOL, UINT8 to UINT64"),
        (input(r#""datatype":7"#), Malformed, "`inputs[0].datatype`, byte"),
        (input(r#""shape":7"#), Malformed, "`inputs[0].shape`, byte"),
        (input(r#""shape":[-1,30]"#), Malformed, "`inputs[0].shape[0]`, byte"),
        (input(r#""shape":[1.0]"#), Malformed, "a whole number, 0 or more"),
        (input(r#""shape":[1,1,1,1,1,1,1,1,1]"#), TooLarge, "at most 8 dimensions"),
        (
            input(r#""name":"X","shape":[1099511627776],"datatype":"FP32","data":[1]"#),
            TooLarge,
            "`inputs[0].shape`: a tensor has at most 16777216 elements",
        ),
        (
            input(r#""name":"X","shape":[4294967296,4294967296],"datatype":"FP32","data":[]"#),
            TooLarge,
            "at most 16777216 elements",
        ),
        (
            input(r#""name":"X","shape":[16777216],"datatype":"FP64","data":[1,2]"#),
            Malformed,
            "a list has 2 items, `shape` asks for 16777216",
        ),
        (
            input(&format!(r#"{x},"parameters":{{"binary_data_size":4}}"#)),
            Malformed,
            "`inputs[0]`: `binary_data_size` needs the header `inference-header-content-length`",
        ),
        (
            input(&format!(r#"{x},"parameters":{{"shared_memory_region":"r"}}"#)),
            Unsupported,
            "shared memory is not supported",
        ),
        (
            input(&format!(r#"{x},"parameters":{{"bartizan-subject":"r"}}"#)),
            Malformed,
            "belong to the request, not to a tensor",
        ),
        (
            format!(r#"{ok},"outputs":[{{"name":"y","parameters":{{"classification":3}}}}]}}"#),
            Unsupported,
            "`outputs[0].parameters`: `classification` is not supported",
        ),
        (format!(r#"{ok},"parameters":[]}}"#), Malformed, "`parameters`, byte"),
    ];
    for (body, code, expected) in rows {
        let error = refuse(&body);
        let start: String = body.chars().take(120).collect();
        assert_eq!(error.code, code, "{start}: {error}");
        assert!(error.message.contains(expected), "{start}: {error}");
        assert!(error.message.len() < 300, "{start}: {error}");
    }
}

#[test]
fn integer_tensors_take_no_floats_and_booleans_no_numbers() {
    for (datatype, data) in [
        ("INT64", "1.0"),
        ("INT64", "1e3"),
        ("INT64", "null"),
        ("INT64", "NaN"),
        ("UINT8", "true"),
        ("INT32", "\"1\""),
        ("BOOL", "1"),
        ("BOOL", "null"),
        ("BYTES", "1"),
        ("BYTES", "null"),
        ("FP32", "nan"),
        ("FP32", "Infinit"),
        ("FP32", "-NaN"),
        ("FP32", "\"NaN\""),
    ] {
        let fields = format!(r#""name":"X","shape":[1],"datatype":"{datatype}","data":[{data}]"#);
        let error = refuse(&input(&fields));
        assert_eq!(error.code, RefusalCode::Malformed, "{datatype} {data}: {error}");
    }
}

#[test]
fn bodies_that_are_not_utf_8_name_the_byte() {
    let error = parse_infer(b"{\"id\":\"a\xff\"}", &Limits::default()).unwrap_err();
    assert_eq!(error.message, "byte 8: the body is not UTF-8");
}

/// The last allowed byte and element from both sides.
#[test]
fn configured_limits_hold_exactly() {
    let body = input(r#""name":"X","shape":[3],"datatype":"INT8","data":[1,2,3]"#);
    let body = body.as_bytes();
    let limits =
        |body_bytes_max, elements_max| Limits { body_bytes_max, elements_max, ..Limits::default() };
    assert!(parse_infer(body, &limits(body.len(), 3)).is_ok());
    let error = parse_infer(body, &limits(body.len() - 1, 3)).unwrap_err();
    assert_eq!(error.code, RefusalCode::TooLarge);
    assert!(error.message.contains(&format!("limit is {}", body.len() - 1)), "{error}");
    let error = parse_infer(body, &limits(body.len(), 2)).unwrap_err();
    assert_eq!(error.code, RefusalCode::TooLarge);
    let deepest =
        r#""name":"X","shape":[1,1,1,1,1,1,1,1],"datatype":"INT8","data":[[[[[[[[1]]]]]]]]"#;
    let depth = |depth_max| {
        parse_infer(input(deepest).as_bytes(), &Limits { depth_max, ..Limits::default() })
    };
    assert!(depth(11).is_ok());
    assert_eq!(depth(10).unwrap_err().code, RefusalCode::TooLarge);
    let two = r#"{"name":"X","shape":[3],"datatype":"INT8","data":[1,2,3]}"#;
    let two = format!(r#"{{"inputs":[{two},{two}]}}"#);
    assert!(parse_infer(two.as_bytes(), &limits(1_000, 6)).is_ok());
    let error = parse_infer(two.as_bytes(), &limits(1_000, 5)).unwrap_err();
    assert!(error.message.starts_with("`inputs[1].shape`: the tensors of this request"), "{error}");
}

/// A claim of 128 MiB in a short body takes no more than the body could hold.
#[test]
fn memory_follows_the_body_and_not_its_claims() {
    assert_eq!(data::room(16_777_216, 20), 11);
    assert_eq!(data::room(3, 20), 3);
    let body = r#"[1,2,3]"#;
    let read = |n| data::read(&mut Reader::new(body, 1), Datatype::Fp64, &[n], n as usize);
    let Values::Fp64(values) = read(3).unwrap() else { panic!("no FP64") };
    assert!(values.capacity() <= body.len());
    assert!(read(16_777_216).is_err());
}

fn any_values(n: usize) -> impl Strategy<Value = Values> {
    use prop::collection::vec;
    prop_oneof![
        vec(any::<bool>(), n).prop_map(Values::Bool),
        vec(any::<u8>(), n).prop_map(Values::Uint8),
        vec(any::<u16>(), n).prop_map(Values::Uint16),
        vec(any::<u32>(), n).prop_map(Values::Uint32),
        vec(any::<u64>(), n).prop_map(Values::Uint64),
        vec(any::<i8>(), n).prop_map(Values::Int8),
        vec(any::<i16>(), n).prop_map(Values::Int16),
        vec(any::<i32>(), n).prop_map(Values::Int32),
        vec(any::<i64>(), n).prop_map(Values::Int64),
        vec(any::<u16>().prop_filter("finite", |x| x & 0x7c00 != 0x7c00), n).prop_map(Values::Fp16),
        vec(any::<u16>().prop_filter("finite", |x| x & 0x7f80 != 0x7f80), n).prop_map(Values::Bf16),
        vec(any::<u32>().prop_map(f32::from_bits), n).prop_map(Values::Fp32),
        vec(any::<u64>().prop_map(f64::from_bits), n).prop_map(Values::Fp64),
        vec(any::<String>().prop_map(String::into_bytes), n).prop_map(Values::Bytes),
    ]
}

fn any_tensor() -> impl Strategy<Value = Tensor> {
    (any::<String>(), prop::collection::vec(0..4_u64, 0..4))
        .prop_flat_map(|(name, shape)| {
            let n = shape.iter().product::<u64>() as usize;
            any_values(n).prop_map(move |values| (name.clone(), shape.clone(), values))
        })
        .prop_filter_map("short name", |(name, shape, values)| {
            let short = name.len() <= NAME_BYTES_MAX;
            if short { Tensor::new(name, shape, values).ok() } else { None }
        })
}

/// A reply's body, read back as a request: the two differ in the name of one key.
fn there_and_back(outputs: &[Tensor]) -> Vec<Tensor> {
    let model: ModelName = "m".parse().unwrap();
    let version = ModelVersion::FIRST;
    let reply =
        InferReply { model: &model, version, id: Some("\u{1}\"é"), outputs, parameters: &[] };
    let mut body = Vec::new();
    render_infer(&reply, &mut body).unwrap();
    let text = String::from_utf8(body).unwrap();
    serde_json::from_str::<serde::de::IgnoredAny>(&text).unwrap();
    let request = parse(&text.replacen("\"outputs\":[{", "\"inputs\":[{", 1));
    assert_eq!(request.id.as_deref(), Some("\u{1}\"é"));
    request.inputs
}

/// Canonical bytes: NaN equals NaN. Infinities are written as `null`, so they come back as NaN.
fn canonical(tensor: &Tensor) -> (String, Vec<u64>, Vec<u8>) {
    let mut values = tensor.values().clone();
    if let Values::Fp32(v) = &mut values {
        v.iter_mut().filter(|x| x.is_infinite()).for_each(|x| *x = f32::NAN);
    }
    if let Values::Fp64(v) = &mut values {
        v.iter_mut().filter(|x| x.is_infinite()).for_each(|x| *x = f64::NAN);
    }
    let mut bytes = Vec::new();
    values.canonical(0..values.len(), &mut bytes);
    (tensor.name().into(), tensor.shape().into(), bytes)
}

/// What KServe's Python library sends and answers where there is nothing to say.
#[test]
fn a_null_is_nothing_said() {
    let tensor = r#"{"name":"X","shape":[1],"datatype":"FP32","parameters":null,"data":[1.0]}"#;
    let plain = tensor.replace(r#""parameters":null,"#, "");
    let more = r#""id":null,"parameters":null,"outputs":null,"#;
    let said = format!(r#"{{{more}"inputs":[{tensor}]}}"#);
    let unsaid = format!(r#"{{"inputs":[{plain}]}}"#);
    let limits = Limits::default();
    let read = |body: &str| parse_infer(body.as_bytes(), &limits);
    assert_eq!(read(&said).unwrap(), read(&unsaid).unwrap());
    let answer = format!(r#"{{"id":null,"outputs":[{tensor}]}}"#);
    assert_eq!(parse_answer(answer.as_bytes(), &limits).unwrap().outputs.len(), 1);
    for broken in ["nul", "nothing", "n"] {
        assert!(read(&said.replacen("null", broken, 1)).is_err(), "{broken}");
    }
}

const GOOD: &str = r#"{"id":"a","parameters":{"bartizan-purpose":"p","x":[1,{"y":null}]},
"inputs":[{"name":"X","shape":[2,2],"datatype":"FP32","data":[[1.5,NaN],[null,-1e-3]]},
{"data":["a","\u00e9"],"name":"T","datatype":"BYTES","shape":[2]}],"outputs":[{"name":"y"}]}"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Every value of every type survives being written and read, bit for bit.
    #[test]
    fn what_is_written_is_read_back(tensors in prop::collection::vec(any_tensor(), 1..4)) {
        let back = there_and_back(&tensors);
        prop_assert_eq!(back.len(), tensors.len());
        for (back, tensor) in back.iter().zip(&tensors) {
            prop_assert_eq!(canonical(back), canonical(tensor));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_infer(&body, &Limits::default());
    }

    /// Good bodies with bytes replaced, cut out, doubled or moved.
    #[test]
    fn damaged_bodies_never_panic_and_never_echo(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..6),
    ) {
        let mut body = GOOD.replace("\"a\"", "\"QQQ\"").into_bytes();
        for (at, kind, byte) in edits {
            let at = at.index(body.len());
            match kind {
                0 => body[at] = byte,
                1 => drop(body.remove(at)),
                2 => body.insert(at, byte),
                _ => {
                    let piece = body[at..].iter().copied().take(9).collect::<Vec<_>>();
                    body.splice(0..0, piece);
                }
            }
            if body.is_empty() {
                break;
            }
        }
        if let Err(error) = parse_infer(&body, &Limits::default()) {
            prop_assert!(!error.message.contains("QQQ"), "{}", error);
        }
    }

    /// The order of keys changes nothing.
    #[test]
    fn keys_stand_in_any_order(order in Just(vec![0, 1, 2, 3]).prop_shuffle()) {
        let fields = [
            r#""name":"X""#, r#""shape":[2,2]"#, r#""datatype":"INT16""#, r#""data":[[1,2],[3,4]]"#,
        ];
        let fields: Vec<_> = order.iter().map(|n: &usize| fields[*n]).collect();
        let expected = Tensor::new("X", vec![2, 2], Values::Int16(vec![1, 2, 3, 4])).unwrap();
        prop_assert_eq!(parse(&input(&fields.join(","))).inputs, vec![expected]);
    }
}

/// The good body of the damage test is good, or that test would say nothing.
#[test]
fn the_body_that_is_damaged_is_good() {
    assert_eq!(parse(GOOD).inputs.len(), 2);
}
