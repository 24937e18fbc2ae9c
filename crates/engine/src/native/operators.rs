//! The operators that `native` runs: the one table from which plans, errors and docs are made.

use super::LoadError;
use super::node::{Compiled, NodeContext};
use super::op::{
    argmax, arithmetic, cast, concat, constant, extract, gemm, linear, matmul, normalizer, reshape,
    scaler, softmax, unary,
};
use super::tree;

/// Newest version of the operator set `ai.onnx` whose operators were read.
pub const OPSET_MAX: i64 = 28;
/// Newest version of the operator set `ai.onnx.ml` whose operators were read.
pub const OPSET_ML_MAX: i64 = 5;
/// Oldest version of the operator set `ai.onnx`.
const OPSET_MIN: i64 = 7;

/// Domain of the operators of classical machine learning.
pub const ML: &str = "ai.onnx.ml";

/// What an operator does with a missing value (NaN) in its first input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It has a rule for it.
    Copes,
    /// It gives it on as it is.
    PassesOn,
    /// It computes with it, and the result is NaN or means nothing.
    Spoils,
}

/// One operator in a range of versions of its operator set within which it means the same.
#[derive(Clone, Copy)]
pub struct OperatorInfo {
    /// `""` for `ai.onnx`.
    pub domain: &'static str,
    /// The operator's name.
    pub name: &'static str,
    /// First version of the operator set.
    pub since: i64,
    /// Last version of the operator set.
    pub until: i64,
    /// What it does with missing values.
    pub missing: Missing,
    pub(crate) compile: Compile,
}

pub(crate) type Compile = fn(&mut NodeContext<'_>) -> Result<Compiled, LoadError>;

impl std::fmt::Debug for OperatorInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{} {}..={}", self.domain, self.name, self.since, self.until)
    }
}

const fn plain(
    name: &'static str,
    (since, until): (i64, i64),
    missing: Missing,
    compile: Compile,
) -> OperatorInfo {
    OperatorInfo { domain: "", name, since, until, missing, compile }
}

const fn ml(
    name: &'static str,
    (since, until): (i64, i64),
    missing: Missing,
    compile: Compile,
) -> OperatorInfo {
    OperatorInfo { domain: ML, name, since, until, missing, compile }
}

const ALL: (i64, i64) = (OPSET_MIN, OPSET_MAX);
const ALL_ML: (i64, i64) = (1, OPSET_ML_MAX);

/// All operators, by domain and name.
pub const OPERATORS: &[OperatorInfo] = &[
    plain("Add", ALL, Missing::Spoils, arithmetic::add),
    plain("ArgMax", ALL, Missing::Spoils, argmax::compile),
    plain("Cast", ALL, Missing::PassesOn, cast::compile),
    plain("Concat", ALL, Missing::PassesOn, concat::compile),
    plain("Constant", ALL, Missing::Spoils, constant::compile),
    plain("Div", ALL, Missing::Spoils, arithmetic::div),
    plain("Flatten", ALL, Missing::PassesOn, reshape::flatten),
    plain("Gemm", ALL, Missing::Spoils, gemm::compile),
    plain("Identity", ALL, Missing::PassesOn, reshape::identity),
    plain("MatMul", ALL, Missing::Spoils, matmul::compile),
    plain("Mul", ALL, Missing::Spoils, arithmetic::mul),
    plain("Relu", ALL, Missing::Spoils, unary::relu),
    plain("Reshape", ALL, Missing::PassesOn, reshape::compile),
    plain("Sigmoid", ALL, Missing::Spoils, unary::sigmoid),
    plain("Softmax", (OPSET_MIN, 12), Missing::Spoils, softmax::flattening),
    plain("Softmax", (13, OPSET_MAX), Missing::Spoils, softmax::along_axis),
    plain("Sub", ALL, Missing::Spoils, arithmetic::sub),
    plain("Tanh", ALL, Missing::Spoils, unary::tanh),
    ml("ArrayFeatureExtractor", ALL_ML, Missing::PassesOn, extract::compile),
    ml("LinearClassifier", ALL_ML, Missing::Spoils, linear::classifier),
    ml("LinearRegressor", ALL_ML, Missing::Spoils, linear::regressor),
    ml("Normalizer", ALL_ML, Missing::Spoils, normalizer::compile),
    ml("Scaler", ALL_ML, Missing::Spoils, scaler::compile),
    ml("TreeEnsembleClassifier", ALL_ML, Missing::Copes, tree::classifier),
    ml("TreeEnsembleRegressor", ALL_ML, Missing::Copes, tree::regressor),
];

/// Domain as people write it.
pub(crate) fn domain_name(domain: &str) -> &str {
    if domain.is_empty() { "ai.onnx" } else { domain }
}

/// Refuses an operator set that is not known in that version.
pub(crate) fn check_opset(domain: &str, version: i64) -> Result<(), LoadError> {
    let known = match domain {
        "" => OPSET_MIN..=OPSET_MAX,
        ML => 1..=OPSET_ML_MAX,
        // Import alone means nothing; a node of that domain is refused by name.
        _ => return Ok(()),
    };
    if known.contains(&version) {
        return Ok(());
    }
    let (oldest, newest) = (*known.start(), *known.end());
    Err(LoadError::Opset { domain: domain_name(domain).into(), version, oldest, newest })
}

/// The operator, where the table has it in that version.
pub(crate) fn find(domain: &str, name: &str, opset: i64) -> Option<&'static OperatorInfo> {
    OPERATORS.iter().find(|info| {
        (info.domain, info.name) == (domain, name) && info.since <= opset && opset <= info.until
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_no_two_rows_overlap() {
        for pair in OPERATORS.windows(2) {
            let key = |info: &OperatorInfo| (info.domain, info.name, info.since);
            assert!(key(&pair[0]) < key(&pair[1]), "{pair:?}");
            let same = (pair[0].domain, pair[0].name) == (pair[1].domain, pair[1].name);
            assert!(!same || pair[0].until < pair[1].since, "{pair:?}");
        }
        assert!(find("", "Softmax", 12).is_some_and(|info| info.until == 12));
        assert!(find("", "Softmax", 13).is_some_and(|info| info.since == 13));
        assert!(find("", "Softmax", 6).is_none());
        assert!(find(ML, "Softmax", 1).is_none());
    }
}
