//! Bodies as they go out.

use bartizan_core::{DecisionId, ModelName, ModelVersion};

use super::*;

fn render(outputs: &[Tensor], parameters: &[(&str, ParameterValue<'_>)]) -> String {
    let model: ModelName = "cancer".parse().unwrap();
    let version = "3".parse::<ModelVersion>().unwrap();
    let mut out = Vec::new();
    let reply = InferReply { model: &model, version, id: None, outputs, parameters };
    render_infer(&reply, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn tensor(values: Values) -> Tensor {
    Tensor::new("y", vec![values.len() as u64], values).unwrap()
}

#[test]
fn a_reply_is_the_protocols_json() {
    let label = Tensor::new("label", vec![1], Values::Int64(vec![-1])).unwrap();
    let probs = Tensor::new("p", vec![1, 2], Values::Fp32(vec![0.1, 0.9])).unwrap();
    let parameters = [
        ("a", ParameterValue::Bool(true)),
        ("b", ParameterValue::Int(-7)),
        ("c", ParameterValue::Text("x\"y")),
    ];
    assert_eq!(
        render(&[label, probs], &parameters),
        concat!(
            r#"{"model_name":"cancer","model_version":"3","#,
            r#""parameters":{"a":true,"b":-7,"c":"x\"y"},"outputs":["#,
            r#"{"name":"label","datatype":"INT64","shape":[1],"data":[-1]},"#,
            r#"{"name":"p","datatype":"FP32","shape":[1,2],"data":[0.1,0.9]}]}"#
        )
    );
    assert_eq!(render(&[], &[]), r#"{"model_name":"cancer","model_version":"3","outputs":[]}"#);
}

/// JSON has no NaN and no infinity: strict clients would fail on the whole answer.
#[test]
fn what_json_cannot_carry_is_null() {
    for values in [
        Values::Fp16(vec![0x7c00, 0x7e00, 0x3c00]),
        Values::Bf16(vec![0xff80, 0x7fc0, 0x3f80]),
        Values::Fp32(vec![f32::INFINITY, f32::NAN, 1.0]),
        Values::Fp64(vec![f64::NEG_INFINITY, f64::NAN, 1.0]),
    ] {
        let text = render(&[tensor(values)], &[]);
        assert!(text.contains(r#""data":[null,null,1.0]"#), "{text}");
    }
}

#[test]
fn texts_are_escaped() {
    let value = "\u{0}\u{1f} \"\\/\u{7f}é\n".as_bytes().to_vec();
    let text = render(&[tensor(Values::Bytes(vec![value, vec![]]))], &[]);
    let expected = "[\"\\u0000\\u001f \\\"\\\\/\u{7f}é\\u000a\",\"\"]";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn bytes_that_are_no_text_leave_the_buffer_alone() {
    let outputs = [tensor(Values::Int8(vec![1])), tensor(Values::Bytes(vec![vec![0xff]]))];
    let model: ModelName = "m".parse().unwrap();
    let version = ModelVersion::FIRST;
    let reply = InferReply { model: &model, version, id: None, outputs: &outputs, parameters: &[] };
    let mut out = b"before".to_vec();
    let error = render_infer(&reply, &mut out).unwrap_err();
    assert_eq!(error.code, RefusalCode::Internal);
    assert_eq!(error.message, "output `y` holds BYTES that are not UTF-8, which JSON cannot carry");
    assert_eq!(out, b"before");
}

#[test]
fn an_error_says_sentence_code_and_decision() {
    let mut out = Vec::new();
    render_error(&Refusal::new(RefusalCode::InputRefused), &mut out);
    let text = std::str::from_utf8(&out).unwrap();
    assert_eq!(text, r#"{"error":"the input was refused","code":"input-refused"}"#);
    let mut refusal = Refusal::new(RefusalCode::Malformed).because("say \"what\"");
    refusal.decision = Some(DecisionId::from([7; 16]));
    out.clear();
    render_error(&refusal, &mut out);
    assert_eq!(
        std::str::from_utf8(&out).unwrap(),
        concat!(
            r#"{"error":"say \"what\"","code":"malformed","#,
            r#""decision":"07070707-0707-0707-0707-070707070707"}"#
        )
    );
}
