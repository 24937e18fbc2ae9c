//! Metadata as clients read it.

use bartizan_core::contract::ContractFile;

use super::*;

fn text(body: impl AsRef<[u8]>) -> String {
    String::from_utf8(body.as_ref().to_vec()).unwrap()
}

#[test]
fn health_is_said_in_words_and_status() {
    let model: ModelName = "cancer".parse().unwrap();
    for (body, expected) in [
        (text(live(true)), r#"{"live":true}"#),
        (text(live(false)), r#"{"live":false}"#),
        (text(ready(true)), r#"{"ready":true}"#),
        (text(ready(false)), r#"{"ready":false}"#),
        (text(model_ready(&model, true)), r#"{"name":"cancer","ready":true}"#),
        (text(model_ready(&model, false)), r#"{"name":"cancer","ready":false}"#),
    ] {
        assert_eq!(body, expected);
    }
}

#[test]
fn a_server_names_its_extensions() {
    let metadata = ServerMetadata { name: "bartizan", version: "0.1.0", extensions: &["a"] };
    let expected = r#"{"name":"bartizan","version":"0.1.0","extensions":["a"]}"#;
    assert_eq!(text(server_metadata(&metadata)), expected);
}

/// M1 with every field that there is; of the contract no more than names, types and shapes.
#[test]
fn a_model_shows_its_contract() {
    let file: ContractFile = serde_json::from_str(
        r#"{"format":1,
        "inputs":[{"name":"X","datatype":"FP32","shape":[-1,30],"features":[{"name":"secret","max":3}]}],
        "outputs":[{"name":"label","datatype":"INT64","shape":[-1],"role":"label"}]}"#,
    )
    .unwrap();
    let contract = Contract::new(file, b"").unwrap();
    let name: ModelName = "cancer".parse().unwrap();
    let versions = ["1".parse().unwrap(), "12".parse().unwrap()];
    assert_eq!(
        text(model_metadata(&name, &versions, "onnx_native", &contract)),
        concat!(
            r#"{"name":"cancer","versions":["1","12"],"platform":"onnx_native","#,
            r#""inputs":[{"name":"X","datatype":"FP32","shape":[-1,30]}],"#,
            r#""outputs":[{"name":"label","datatype":"INT64","shape":[-1]}]}"#
        )
    );
}

#[test]
fn the_index_lists_models_with_their_state() {
    let name: ModelName = "cancer".parse().unwrap();
    let row = ModelState { name: &name, version: ModelVersion::FIRST, state: "READY", reason: "" };
    let expected = r#"[{"name":"cancer","version":"1","state":"READY","reason":""}]"#;
    assert_eq!(text(repository_index(&[row])), expected);
    assert_eq!(text(repository_index(&[])), "[]");
}
