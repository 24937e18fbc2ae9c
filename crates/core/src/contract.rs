//! Contracts: what a model accepts and what its answers mean.
//!
//! A contract is written by the model's owner (TOML, format 1, `docs/formats/contract.md`), or
//! inferred from the model's own signature. This module says what is a contract and whether it
//! fits a signature; `guard` holds requests against it.
//!
//! Invariants
//! - C1: names of inputs are unique, as are names of outputs;
//! - C2: an input lists no feature, one for all its columns, or one a column;
//! - C3: `min <= max`, both finite, of numbers only; categories are unique and stand only where
//!   elements are integers or `BYTES`;
//! - C4: only floating-point features may be missing;
//! - C5: no two classes have one value;
//! - C6: what `[table]` names are outputs of the contract, and its texts are short.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::limits;
use crate::predictor::{Dim, Signature, TensorSpec};
use crate::tensor::Datatype;

mod table;

pub use table::{AnswerShape, ExtraColumns, Table};

/// Whether a feature may have no value (NaN, or `null` in JSON).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// A missing value is refused.
    #[default]
    Refused,
    /// A missing value is given to the model as NaN.
    Allowed,
}

impl Missing {
    fn is_refused(&self) -> bool {
        *self == Self::Refused
    }
}

/// One value of a categorical feature: a number or a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Category {
    /// For integer features.
    Number(i64),
    /// For `BYTES` features.
    Text(String),
}

/// What one column of an input may hold.
#[derive(Clone, Debug, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Feature {
    /// Its name: what findings call it and what columns of a file are matched by.
    pub name: String,
    /// Its unit, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether it may be missing.
    #[serde(skip_serializing_if = "Missing::is_refused")]
    pub missing: Missing,
    /// Hard limit: a smaller value is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Hard limit: a larger value is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Its only values; anything else is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub categories: Option<BTreeSet<Category>>,
}

/// One input.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name in the model.
    pub name: String,
    /// Type of its elements.
    pub datatype: Datatype,
    /// Its shape; -1 is any number, the first dimension counts rows.
    pub shape: Vec<i64>,
    /// Its columns; see C2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
}

impl Input {
    /// The feature of column `column_idx` of a row, if the contract describes it.
    pub fn feature(&self, column_idx: usize) -> Option<&Feature> {
        if self.features.len() == 1 { self.features.first() } else { self.features.get(column_idx) }
    }

    /// What findings call column `column_idx`: `radius`, `pixel[3]` or `X[3]`.
    pub fn column_name(&self, column_idx: usize) -> String {
        match (self.features.len(), self.features.get(column_idx)) {
            (0, _) => format!("{}[{column_idx}]", self.name),
            (1, _) if self.row_len() != Some(1) => {
                format!("{}[{column_idx}]", self.features[0].name)
            }
            (_, Some(feature)) => feature.name.clone(),
            (_, None) => format!("{}[{column_idx}]", self.name),
        }
    }

    /// Elements of one row, where the shape fixes them.
    pub fn row_len(&self) -> Option<u64> {
        self.shape.iter().skip(1).try_fold(1_u64, |product, dim| {
            u64::try_from(*dim).ok().and_then(|dim| product.checked_mul(dim))
        })
    }
}

/// What an output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The chosen class.
    Label,
    /// One probability a class.
    Probabilities,
    /// Scores, distances, regressions: numbers that can be rounded.
    Scores,
    /// Anything else.
    #[default]
    Other,
}

/// One class of a classifier.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// What the model answers.
    pub value: Category,
    /// What that means to people.
    pub meaning: String,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Its name in the model.
    pub name: String,
    /// Type of its elements.
    pub datatype: Datatype,
    /// Its shape; -1 is any number.
    pub shape: Vec<i64>,
    /// What it is for.
    #[serde(default)]
    pub role: Role,
}

/// The file's own shape, before the invariants are checked.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractFile {
    /// Format of the file: 1.
    pub format: u32,
    /// What the model is for, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Most rows of one request; [`limits::ROWS_MAX`] where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_max: Option<u64>,
    /// Longest request body in bytes; the server's limit where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes_max: Option<usize>,
    /// Input or feature whose value says who a row is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Classes in the order of the probabilities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Class>,
    /// How protocols that send tables of rows and columns meet the model.
    #[serde(default, skip_serializing_if = "Table::is_default")]
    pub table: Table,
    /// Inputs in the model's order.
    pub inputs: Vec<Input>,
    /// Outputs in the model's order.
    pub outputs: Vec<Output>,
}

/// Why a text is no contract, or not this model's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// A format of another release.
    #[error("contract has format {found}, this release reads format 1")]
    Format {
        /// What the file says.
        found: u32,
    },
    /// One of the invariants, or a bound, is broken.
    #[error("contract, {place}: {reason}")]
    Broken {
        /// Input, feature or output.
        place: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The model says otherwise.
    #[error("contract contradicts the model, {place}: contract says {contract}, model {model}")]
    Contradiction {
        /// Input or output.
        place: String,
        /// What the contract says.
        contract: String,
        /// What the model says.
        model: String,
    },
}

/// A checked contract; see the module invariants.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    file: ContractFile,
    digest: Digest,
}

impl Contract {
    /// Checks the invariants. `bytes` are the file's own, whose digest goes into records.
    ///
    /// # Errors
    /// [`ContractError`] naming the place.
    pub fn new(file: ContractFile, bytes: &[u8]) -> Result<Self, ContractError> {
        check(&file)?;
        Ok(Self { file, digest: Digest::of(bytes) })
    }

    /// What a model's own signature promises: names, types, shapes, classes. A model that copes
    /// with missing values may be given them.
    pub fn infer(signature: &Signature) -> ContractFile {
        let input = |spec: &TensorSpec| {
            let name = spec.name.clone();
            let missing =
                Feature { name: name.clone(), missing: Missing::Allowed, ..Feature::default() };
            let copes = spec.copes_with_missing && is_float(spec.datatype);
            let features = if copes { vec![missing] } else { Vec::new() };
            Input { name, datatype: spec.datatype, shape: dims(spec), features }
        };
        let class = |name: &String| Class {
            value: name.parse().map_or_else(|_| Category::Text(name.clone()), Category::Number),
            meaning: name.clone(),
        };
        let n_classes = signature.classes.len() as u64;
        let output = |spec: &TensorSpec| Output {
            name: spec.name.clone(),
            datatype: spec.datatype,
            shape: dims(spec),
            role: infer_role(spec, n_classes),
        };
        ContractFile {
            format: 1,
            description: String::new(),
            rows_max: None,
            body_bytes_max: None,
            subject: None,
            classes: signature.classes.iter().map(class).collect(),
            table: Table::default(),
            inputs: signature.inputs.iter().map(input).collect(),
            outputs: signature.outputs.iter().map(output).collect(),
        }
    }

    /// Checks that this is a contract of a model with `signature`: it may be narrower (a fixed
    /// dimension where the model takes any, fewer outputs), never other or wider.
    ///
    /// # Errors
    /// [`ContractError::Contradiction`] naming the first difference.
    pub fn check_fits(&self, signature: &Signature) -> Result<(), ContractError> {
        let names = |specs: &[TensorSpec]| {
            specs.iter().map(|spec| format!("`{}`", spec.name)).collect::<Vec<_>>().join(", ")
        };
        let told: Vec<_> = self.file.inputs.iter().map(|input| input.name.as_str()).collect();
        if told.len() != signature.inputs.len() {
            return Err(contradiction(
                "inputs",
                format!("{} ({})", told.len(), told.join(", ")),
                format!("{} ({})", signature.inputs.len(), names(&signature.inputs)),
            ));
        }
        for input in &self.file.inputs {
            let spec = signature.inputs.iter().find(|spec| spec.name == input.name);
            let place = format!("input `{}`", input.name);
            check_spec(&place, input.datatype, &input.shape, spec, || names(&signature.inputs))?;
        }
        for output in &self.file.outputs {
            let spec = signature.outputs.iter().find(|spec| spec.name == output.name);
            let place = format!("output `{}`", output.name);
            check_spec(&place, output.datatype, &output.shape, spec, || names(&signature.outputs))?;
        }
        Ok(())
    }

    /// The contract's fields.
    pub fn file(&self) -> &ContractFile {
        &self.file
    }

    /// Digest of the bytes it was read from.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Inputs in the model's order.
    pub fn inputs(&self) -> &[Input] {
        &self.file.inputs
    }

    /// Outputs in the model's order.
    pub fn outputs(&self) -> &[Output] {
        &self.file.outputs
    }

    /// Most rows of one request.
    pub fn rows_max(&self) -> u64 {
        self.file.rows_max.unwrap_or(limits::ROWS_MAX)
    }
}

fn contradiction(place: &str, contract: String, model: String) -> ContractError {
    ContractError::Contradiction { place: place.into(), contract, model }
}

fn dims(spec: &TensorSpec) -> Vec<i64> {
    spec.shape.iter().map(|dim| dim.as_i64()).collect()
}

fn is_float(datatype: Datatype) -> bool {
    matches!(datatype, Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64)
}

fn infer_role(spec: &TensorSpec, n_classes: u64) -> Role {
    let float = is_float(spec.datatype);
    let per_class = spec.shape.last() == Some(&Dim::Fixed(n_classes)) && 1 < n_classes;
    match (float, per_class, n_classes) {
        (true, true, _) => Role::Probabilities,
        (true, false, _) => Role::Scores,
        (false, _, 1..) => Role::Label,
        (false, _, 0) => Role::Other,
    }
}

fn check_spec(
    place: &str,
    datatype: Datatype,
    shape: &[i64],
    spec: Option<&TensorSpec>,
    names: impl Fn() -> String,
) -> Result<(), ContractError> {
    let Some(spec) = spec else {
        return Err(contradiction(place, "it exists".into(), format!("has only {}", names())));
    };
    if spec.datatype != datatype {
        return Err(contradiction(place, datatype.to_string(), spec.datatype.to_string()));
    }
    let fits = |(told, dim): (&i64, &Dim)| *dim == Dim::Any || *told == dim.as_i64();
    if spec.shape.len() != shape.len() || !shape.iter().zip(&spec.shape).all(fits) {
        let model = format!("shape {:?}", dims(spec));
        return Err(contradiction(place, format!("shape {shape:?}"), model));
    }
    Ok(())
}

fn check(file: &ContractFile) -> Result<(), ContractError> {
    if file.format != 1 {
        return Err(ContractError::Format { found: file.format });
    }
    let broken =
        |place: String, reason: &str| Err(ContractError::Broken { place, reason: reason.into() });
    let count = file.inputs.len().max(file.outputs.len());
    if file.inputs.is_empty() || file.outputs.is_empty() || limits::TENSORS_MAX < count {
        return broken("tensors".into(), "there must be 1 to 64 inputs and 1 to 64 outputs");
    }
    if file.rows_max.is_some_and(|rows| rows == 0 || limits::ROWS_MAX < rows) {
        return broken("rows_max".into(), "it must be from 1 to 65536");
    }
    let mut seen = BTreeSet::new();
    if !file.classes.iter().all(|class| seen.insert(&class.value)) {
        return broken("classes".into(), "two classes have one value");
    }
    let mut seen = BTreeSet::new();
    for input in &file.inputs {
        let place = format!("input `{}`", input.name);
        if !seen.insert(&input.name) {
            return broken(place, "two inputs have this name");
        }
        check_input(&place, input)?;
    }
    let mut seen = BTreeSet::new();
    for output in &file.outputs {
        let place = format!("output `{}`", output.name);
        if !seen.insert(&output.name) {
            return broken(place, "two outputs have this name");
        }
        check_shape(&place, &output.shape)?;
    }
    table::check(&file.table, &file.outputs)?;
    let Some(subject) = &file.subject else { return Ok(()) };
    let known = file.inputs.iter().any(|input| {
        input.name == *subject || input.features.iter().any(|feature| feature.name == *subject)
    });
    if known { Ok(()) } else { broken("subject".into(), "no input or feature has this name") }
}

fn check_shape(place: &str, shape: &[i64]) -> Result<(), ContractError> {
    let bad = limits::DIMS_MAX < shape.len() || shape.iter().any(|dim| *dim < -1);
    if bad {
        let reason = "a shape has at most 8 dimensions, each 0 or more, or -1 for any".into();
        return Err(ContractError::Broken { place: place.into(), reason });
    }
    Ok(())
}

fn check_input(place: &str, input: &Input) -> Result<(), ContractError> {
    check_shape(place, &input.shape)?;
    let broken = |place: String, reason: String| Err(ContractError::Broken { place, reason });
    let n_features = input.features.len() as u64;
    if 1 < n_features && input.row_len() != Some(n_features) {
        let columns = input.row_len().map_or("any number of".into(), |len| len.to_string());
        let reason = format!("it lists {n_features} features but has {columns} columns");
        return broken(place.into(), reason);
    }
    let mut seen = BTreeSet::new();
    for feature in &input.features {
        let place = format!("{place}, feature `{}`", feature.name);
        if feature.name.is_empty() || !seen.insert(&feature.name) {
            return broken(place, "its name is empty or used twice".into());
        }
        check_feature(&place, feature, input.datatype)?;
    }
    Ok(())
}

fn check_feature(place: &str, feature: &Feature, datatype: Datatype) -> Result<(), ContractError> {
    let broken =
        |reason: &str| Err(ContractError::Broken { place: place.into(), reason: reason.into() });
    if !feature.missing.is_refused() && !is_float(datatype) {
        return broken("`missing` needs a floating-point type, which has NaN for it");
    }
    let limits = [feature.min, feature.max];
    if limits.iter().flatten().any(|limit| !limit.is_finite()) {
        return broken("`min` and `max` must be finite");
    }
    if datatype == Datatype::Bytes && limits.iter().any(Option::is_some) {
        return broken("`min` and `max` are for numbers; give texts `categories`");
    }
    if let [Some(min), Some(max)] = limits
        && max < min
    {
        return broken("`min` is above `max`");
    }
    let Some(categories) = &feature.categories else { return Ok(()) };
    let fits = |category: &Category| match category {
        Category::Number(_) => !is_float(datatype) && datatype != Datatype::Bytes,
        Category::Text(_) => datatype == Datatype::Bytes,
    };
    if categories.is_empty() || !categories.iter().all(fits) {
        return broken("`categories` are numbers for integer types and texts for BYTES");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
