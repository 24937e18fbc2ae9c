//! Single keys and values that make a reader import, fetch or run something.

use super::judge::{Frame, Plain};
use super::requirements;
use crate::escape;
use crate::pickle;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::template;
use crate::zip;

/// Keys under which readers expect the dotted name of what they call or import.
const TARGET_KEYS: &[&str] = &["_target_", "class_path", "impl", "init_method", "loader_module"];
/// Keys that are for jsonpickle and its like: their values are called.
const CODE_KEYS: &[&str] = &[
    "py/function",
    "py/mod",
    "py/newargs",
    "py/newobj",
    "py/object",
    "py/reduce",
    "py/repr",
    "py/type",
];
/// Keys by which readers of other languages choose a class.
const TYPE_KEYS: &[&str] = &["$type", "@class", "@type", "!type", ":serialized:"];
/// Keys of an MLmodel that name code beside the model.
const OWN_CODE_KEYS: &[&str] = &["code", "code_path", "code_paths", "model_code_path"];
/// Keys of an MLmodel and of an index of shards whose values are files beside it.
const FILE_KEYS: &[&str] = &[
    "artifact_path",
    "artifacts",
    "data",
    "model_data",
    "model_path",
    "pickled_model",
    "python_model",
    "weight_map",
    "weightsManifest",
];
/// Keys of transformers that name a repository from which code is fetched and run.
const HUB_KEYS: &[&str] =
    &["_attn_implementation", "attn_implementation", "custom_generate", "kernel_config"];
/// Modules of MLflow that load models by their own flavour.
const LOADERS: &[&str] = &[
    "mlflow.catboost",
    "mlflow.fastai",
    "mlflow.h2o",
    "mlflow.keras",
    "mlflow.langchain",
    "mlflow.lightgbm",
    "mlflow.onnx",
    "mlflow.paddle",
    "mlflow.pmdarima",
    "mlflow.prophet",
    "mlflow.pyfunc.model",
    "mlflow.pytorch",
    "mlflow.sentence_transformers",
    "mlflow.sklearn",
    "mlflow.spacy",
    "mlflow.spark",
    "mlflow.statsmodels",
    "mlflow.tensorflow",
    "mlflow.transformers",
    "mlflow.xgboost",
];

pub(super) fn key(scope: &mut Scope<'_>, key: &str, at: u64) {
    if CODE_KEYS.contains(&key) {
        let what =
            format!("`{}` makes a reader build an object by calling code", escape::text(key));
        scope.report(&rules::CONFIG_CODE, at, what);
    } else if TYPE_KEYS.contains(&key) {
        let what = format!("`{}` chooses a class or holds a pickle", escape::text(key));
        scope.report(&rules::CONFIG_TARGET, at, what);
    }
}

pub(super) fn plain(scope: &mut Scope<'_>, key: &str, value: Plain, at: u64) {
    if key == "trust_remote_code" && value != Plain::Bool(false) && value != Plain::Null {
        scope.report(&rules::CONFIG_TARGET, at, "`trust_remote_code` asks to run the model's code");
    }
}

pub(super) fn text(
    scope: &mut Scope<'_>,
    stack: &[Frame],
    key: &str,
    text: &str,
    at: u64,
) -> Result<(), Stop> {
    let under = |name: &str| key == name || stack.iter().any(|frame| *frame.key == *name);
    let is_dotted_target = key == "target" && text.contains('.') && is_dotted(text);
    if TARGET_KEYS.contains(&key) || is_dotted_target {
        target(scope, key, text, at);
    } else if key == "parent_library" {
        parent_library(scope, text, at);
    } else if key == "trust_remote_code" {
        scope.report(&rules::CONFIG_TARGET, at, "`trust_remote_code` asks to run the model's code");
    } else if under("auto_map") {
        let what = format!("`auto_map` runs `{}` from the model's folder", escape::text(text));
        scope.report(&rules::CONFIG_TARGET, at, what);
    }
    if FILE_KEYS.iter().any(|name| under(name)) && leads_out(text) {
        let what = format!("`{}` reads `{}`", escape::text(key), escape::text(text));
        scope.report(&rules::CONFIG_PATH, at, what);
    }
    if HUB_KEYS.iter().any(|name| under(name)) && text.contains('/') {
        let what = format!("`{}` fetches code from `{}`", escape::text(key), escape::text(text));
        scope.report(&rules::CONFIG_TARGET, at, what);
    }
    // An absolute path is often left behind by whoever saved; nobody climbs by accident.
    if key.ends_with("_file") && text.split(['/', '\\']).any(|part| part == "..") {
        let what = format!("`{}` reads `{}`", escape::text(key), escape::text(text));
        scope.report(&rules::CONFIG_PATH, at, what);
    }
    if OWN_CODE_KEYS.contains(&key) && under("flavors") {
        let what = format!("the model imports the code in `{}`", escape::text(text));
        scope.report(&rules::CONFIG_TARGET, at, what);
    }
    if key == "pip" {
        requirements::line(scope, text, at);
    }
    let is_template = key.contains("template") || under("chat_template");
    if is_template || text.contains("{%") || text.contains("{{") {
        template::judge(
            scope,
            text,
            at,
            if is_template { template::As::Template } else { template::As::Text },
        )?;
    }
    Ok(())
}

/// Judges the dotted name of something that a reader imports.
pub(super) fn target(scope: &mut Scope<'_>, key: &str, text: &str, at: u64) {
    let name = text.trim();
    let (module, last) = name.rsplit_once('.').unwrap_or((name, ""));
    let shown = format!("`{}` names `{}`", escape::text(key), escape::text(text));
    if LOADERS.contains(&name) || scope.allow.find(module, last).is_some() {
        return;
    }
    if let Some(advisories) = pickle::danger_of(name) {
        scope.report_known(&rules::CONFIG_CODE, at, shown, advisories);
    } else {
        scope.report(&rules::CONFIG_TARGET, at, shown);
    }
}

/// The module from which PEFT imports the class of a base model.
fn parent_library(scope: &mut Scope<'_>, text: &str, at: u64) {
    let known = ["diffusers.", "peft.", "timm.", "torch.nn.", "transformers."];
    let is_known = known.iter().any(|start| text.starts_with(start)) && is_dotted(text);
    if !is_known || pickle::danger_of(text).is_some() {
        target(scope, "parent_library", text, at);
    }
}

fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// Whether a text is an absolute path, an address, or climbs.
pub(super) fn is_path(text: &str) -> bool {
    text.len() > 1 && (leads_out(text) || text.starts_with("~/") || text.contains("://"))
}

fn leads_out(text: &str) -> bool {
    zip::leads_out(text) || text.contains("://") || text.starts_with("file:")
}
