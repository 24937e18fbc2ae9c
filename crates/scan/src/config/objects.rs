//! Objects that a reader turns into instances of classes: Keras, skops, LangChain,
//! sentence-transformers, diffusers.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::judge::{Fact, Frame};
use super::values;
use crate::engine;
use crate::escape;
use crate::pickle;
use crate::rules;
use crate::scope::Scope;

/// Classes of Keras 3.15 and, as `function <module>`, its functions: module, name. Made by
/// `tests/scan/make_names.py`.
const KERAS: &str = include_str!("keras.tsv");
/// Types that skops 0.16 itself trusts.
const SKOPS: &str = include_str!("skops.tsv");

/// Classes of Keras that run code which comes with the model.
const KERAS_CODE: &[&str] =
    &["FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper", "__lambda__"];
/// Values that Keras writes as objects.
const KERAS_VALUES: &[&str] = &[
    "__bytes__",
    "__complex__",
    "__ellipsis__",
    "__keras_tensor__",
    "__numpy__",
    "__slice__",
    "__tensor__",
    "__tuple__",
    "__typespec__",
];
/// Functions of Keras that fetch files or switch off its own checks.
const KERAS_FUNCTIONS: &[&str] =
    &["enable_unsafe_deserialization", "get_file", "load_model", "load_weights", "save_model"];
/// Classes that TensorFlow's own Keras wrote and Keras 3 no longer has.
const KERAS_OLD: &[&str] = &[
    "BatchNormalizationV1",
    "BatchNormalizationV2",
    "CuDNNGRU",
    "CuDNNLSTM",
    "DenseFeatures",
    "GRUV1",
    "GRUV2",
    "LSTMV1",
    "LSTMV2",
    "Model",
    "Policy",
    "SyncBatchNormalization",
    "ThresholdedReLU",
];

/// Node types of skops 0.16.
const SKOPS_LOADERS: &[&str] = &[
    "BytearrayNode",
    "BytesNode",
    "CachedNode",
    "DTypeNode",
    "DefaultDictNode",
    "DictNode",
    "FunctionNode",
    "JsonNode",
    "ListNode",
    "LossNode",
    "MaskedArrayNode",
    "NdArrayNode",
    "ObjectNode",
    "PartialNode",
    "QuantileForestNode",
    "RandomGeneratorNode",
    "RandomStateNode",
    "SetNode",
    "SliceNode",
    "SparseMatrixNode",
    "TreeNode",
    "TupleNode",
    "TypeNode",
];

/// Judges an object at its end.
pub(super) fn judge(scope: &mut Scope<'_>, frame: &mut Frame, is_whole: bool, at: u64) {
    let text = |key: &str| frame.facts.get(key).and_then(Fact::text).map(str::to_owned);
    let has = |key: &str| frame.facts.contains_key(key);
    if let Some(class) = text("class_name")
        && (has("config") || has("module") || has("registered_name"))
    {
        engine::begin(scope, "keras");
        keras(scope, &class, frame, at);
        for (path, at) in std::mem::take(&mut frame.paths) {
            let what =
                format!("class `{}` is given `{}`", escape::text(&class), escape::text(&path));
            scope.report_known(&rules::KERAS_PATH, at, what, &["CVE-2025-12058"]);
        }
    }
    if let Some(class) = text("__class__")
        && (has("__loader__") || has("__module__"))
    {
        engine::begin(scope, "skops");
        let loader = text("__loader__").unwrap_or_else(|| "TypeNode".to_owned());
        skops(scope, &loader, &text("__module__").unwrap_or_default(), &class, at);
    }
    // Functions of skops' first protocol.
    if let (Some(module), Some(function)) = (text("module_path"), text("function")) {
        skops(scope, "FunctionNode", &module, &function, at);
    }
    if is_whole && has("cells") && has("nbformat") {
        scope.report(&rules::CONFIG_TARGET, at, "a notebook holds code");
    }
    if has("lc") && text("type").as_deref() == Some("constructor") {
        scope.report(&rules::CONFIG_TARGET, at, "a LangChain object names the class to construct");
    }
    if has("idx")
        && let Some(class) = text("type").filter(|class| class.contains('.'))
        && !is_sentence_module(&class)
    {
        values::target(scope, "type", &class, at);
    }
    if has("_class_name") {
        for (library, class) in &frame.pairs {
            if !matches!(&**library, "diffusers" | "transformers" | "stable_diffusion") {
                values::target(scope, "component", &format!("{library}.{class}"), at);
            }
        }
    }
    if is_whole && has("learner") && has("version") {
        engine::begin(scope, "xgboost");
    }
}

/// A class of sentence-transformers itself: modules in small letters, then its name.
fn is_sentence_module(path: &str) -> bool {
    let mut parts = path.split('.').rev();
    let is_class = parts.next().is_some_and(|class| {
        class.starts_with(|c: char| c.is_ascii_uppercase())
            && class.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    let is_module = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_class
        && path.starts_with("sentence_transformers.")
        && parts.all(is_module)
        && pickle::danger_of(path).is_none()
}

fn keras_list() -> &'static BTreeSet<(&'static str, &'static str)> {
    static LIST: OnceLock<BTreeSet<(&str, &str)>> = OnceLock::new();
    LIST.get_or_init(|| KERAS.lines().filter_map(|line| line.split_once('\t')).collect())
}

fn keras_names(functions: bool) -> &'static BTreeSet<&'static str> {
    static NAMES: OnceLock<[BTreeSet<&str>; 2]> = OnceLock::new();
    let [classes, own] = NAMES.get_or_init(|| {
        let (functions, classes): (Vec<_>, Vec<_>) =
            keras_list().iter().partition(|(module, _)| module.starts_with("function "));
        let names =
            |rows: Vec<(&'static str, &'static str)>| rows.iter().map(|row| row.1).collect();
        [names(classes), names(functions)]
    });
    if functions { own } else { classes }
}

fn keras(scope: &mut Scope<'_>, class: &str, frame: &Frame, at: u64) {
    let text = |key: &str| frame.facts.get(key).and_then(Fact::text);
    let module = text("module");
    let config = text("config");
    let name = if class == "function" { config.unwrap_or("") } else { class };
    let path = format!("{}.{name}", module.unwrap_or("builtins"));
    let shown = format!(
        "class `{}` of module `{}`",
        escape::text(name),
        escape::text(module.unwrap_or(""))
    );
    if KERAS_CODE.contains(&class) || KERAS_FUNCTIONS.contains(&name) {
        scope.report_known(&rules::KERAS_CODE, at, shown, KERAS_ADVISORIES);
        return;
    }
    // What is registered under this name in the process that loads would be used instead.
    let registered = text("registered_name").filter(|registered| !registered.is_empty());
    let is_own = registered.is_none_or(|registered| {
        registered == class
            || registered == name
            || registered.strip_prefix("keras>").or(registered.strip_prefix("Keras>"))
                == Some(class)
    });
    let listed = if class == "function" {
        match module {
            None | Some("builtins") => keras_names(true).contains(name),
            Some(module) => keras_list().contains(&(&*format!("function {module}"), name)),
        }
    } else {
        match module {
            None | Some("builtins") => {
                KERAS_VALUES.contains(&class)
                    || KERAS_OLD.contains(&class)
                    || keras_names(false).contains(class)
            }
            Some(module) => keras_list().contains(&(module, class)),
        }
    };
    if listed && is_own {
        return;
    }
    if let Some(advisories) = pickle::danger_of(&path) {
        // That a configuration may name any module at all is an advisory of its own.
        let known = if advisories.is_empty() { &["CVE-2025-1550"] } else { advisories };
        scope.report_known(&rules::KERAS_CODE, at, shown, known);
        return;
    }
    scope.report(&rules::KERAS_UNLISTED, at, shown);
}

const KERAS_ADVISORIES: &[&str] = &[
    "CVE-2024-3660",
    "CVE-2025-1550",
    "CVE-2025-8747",
    "CVE-2025-9905",
    "CVE-2025-9906",
    "CVE-2025-49655",
];

fn skops(scope: &mut Scope<'_>, loader: &str, module: &str, class: &str, at: u64) {
    let path = format!("{module}.{class}");
    let shown = format!("`{}` of type `{}`", escape::text(&path), escape::text(loader));
    let trusted = |path: &str| SKOPS.lines().any(|line| line == path);
    // Such a node takes its function by name from the module `operator`, whatever it says.
    let is_operator = loader == "OperatorFuncNode";
    if is_operator && !matches!(class, "itemgetter" | "attrgetter") {
        scope.report_known(&rules::SKOPS_CODE, at, shown, &["CVE-2025-54412"]);
    } else if let Some(advisories) = pickle::danger_of(&path).filter(|_| !trusted(&path)) {
        scope.report_known(&rules::SKOPS_CODE, at, shown, advisories);
    } else if loader == "MethodNode" {
        scope.report_known(&rules::SKOPS_UNLISTED, at, shown, &["CVE-2025-54413"]);
    } else if !(SKOPS_LOADERS.contains(&loader) || is_operator)
        || !(trusted(&path) || scope.allow.find(module, class).is_some())
    {
        scope.report(&rules::SKOPS_UNLISTED, at, shown);
    }
}
