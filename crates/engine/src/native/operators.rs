//! The operators that `native` runs: the one table from which plans, errors and docs are made.

use super::LoadError;
use super::node::{Compiled, NodeContext};
use super::op::{
    arithmetic, cast, constant, distance, encode, extract, gemm, linear, matmul, normalizer,
    rearrange, reduce, reshape, scaler, softmax, svm, unary,
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

/// Domain of the operators that onnxruntime adds.
pub(crate) const MICROSOFT: &str = "com.microsoft";

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

/// An operator that onnxruntime adds, in version 1 of its set.
const fn microsoft(name: &'static str, missing: Missing, compile: Compile) -> OperatorInfo {
    OperatorInfo { domain: MICROSOFT, name, since: 1, until: 1, missing, compile }
}

const ALL: (i64, i64) = (OPSET_MIN, OPSET_MAX);
const ALL_ML: (i64, i64) = (1, OPSET_ML_MAX);

/// All operators, by domain and name.
pub const OPERATORS: &[OperatorInfo] = &[
    plain("Abs", ALL, Missing::Spoils, unary::abs),
    plain("Add", ALL, Missing::Spoils, arithmetic::add),
    plain("And", ALL, Missing::Spoils, arithmetic::and),
    plain("ArgMax", ALL, Missing::Spoils, reduce::arg_max),
    plain("ArgMin", ALL, Missing::Spoils, reduce::arg_min),
    plain("BatchNormalization", ALL, Missing::Spoils, distance::batch_normalization),
    plain("Cast", ALL, Missing::PassesOn, cast::compile),
    plain("CastLike", ALL, Missing::PassesOn, cast::like),
    plain("Ceil", ALL, Missing::PassesOn, unary::ceil),
    plain("Clip", ALL, Missing::PassesOn, unary::clip),
    plain("Concat", ALL, Missing::PassesOn, rearrange::concat),
    plain("Constant", ALL, Missing::Spoils, constant::compile),
    plain("ConstantOfShape", ALL, Missing::Copes, rearrange::constant_of_shape),
    plain("CumSum", ALL, Missing::Spoils, reduce::cum_sum),
    plain("Div", ALL, Missing::Spoils, arithmetic::div),
    plain("Dropout", ALL, Missing::PassesOn, reshape::dropout),
    plain("Elu", ALL, Missing::Spoils, unary::elu),
    plain("Equal", ALL, Missing::Spoils, arithmetic::equal),
    plain("Erf", ALL, Missing::Spoils, unary::erf_of),
    plain("Exp", ALL, Missing::Spoils, unary::exp_of),
    plain("Expand", ALL, Missing::PassesOn, rearrange::expand),
    plain("Flatten", ALL, Missing::PassesOn, reshape::flatten),
    plain("Floor", ALL, Missing::PassesOn, unary::floor),
    plain("Gather", ALL, Missing::PassesOn, rearrange::gather),
    plain("GatherElements", ALL, Missing::PassesOn, rearrange::gather_elements),
    plain("Gelu", ALL, Missing::Spoils, unary::gelu),
    plain("Gemm", ALL, Missing::Spoils, gemm::compile),
    plain("Greater", ALL, Missing::Spoils, arithmetic::greater),
    plain("GreaterOrEqual", ALL, Missing::Spoils, arithmetic::greater_or_equal),
    plain("HardSigmoid", ALL, Missing::Spoils, unary::hard_sigmoid),
    plain("Identity", ALL, Missing::PassesOn, reshape::identity),
    plain("IsInf", ALL, Missing::Spoils, unary::is_inf),
    plain("IsNaN", ALL, Missing::Copes, unary::is_nan),
    plain("LeakyRelu", ALL, Missing::Spoils, unary::leaky_relu),
    plain("Less", ALL, Missing::Spoils, arithmetic::less),
    plain("LessOrEqual", ALL, Missing::Spoils, arithmetic::less_or_equal),
    plain("Log", ALL, Missing::Spoils, unary::log_of),
    plain("LogSoftmax", (OPSET_MIN, 12), Missing::Spoils, softmax::log_flattening),
    plain("LogSoftmax", (13, OPSET_MAX), Missing::Spoils, softmax::log_along_axis),
    plain("LpNormalization", ALL, Missing::Spoils, reduce::lp_normalization),
    plain("MatMul", ALL, Missing::Spoils, matmul::compile),
    plain("Max", ALL, Missing::Spoils, arithmetic::max),
    plain("Mean", ALL, Missing::Spoils, arithmetic::mean),
    plain("Min", ALL, Missing::Spoils, arithmetic::min),
    plain("Mod", ALL, Missing::Spoils, arithmetic::modulo),
    plain("Mul", ALL, Missing::Spoils, arithmetic::mul),
    plain("Neg", ALL, Missing::Spoils, unary::neg),
    plain("Not", ALL, Missing::Spoils, unary::not),
    plain("Or", ALL, Missing::Spoils, arithmetic::or),
    plain("Pow", ALL, Missing::Spoils, arithmetic::power),
    plain("Reciprocal", ALL, Missing::Spoils, unary::reciprocal),
    plain("ReduceL1", ALL, Missing::Spoils, reduce::l1),
    plain("ReduceL2", ALL, Missing::Spoils, reduce::l2),
    plain("ReduceLogSum", ALL, Missing::Spoils, reduce::log_sum),
    plain("ReduceLogSumExp", ALL, Missing::Spoils, reduce::log_sum_exp),
    plain("ReduceMax", ALL, Missing::Spoils, reduce::max),
    plain("ReduceMean", ALL, Missing::Spoils, reduce::mean),
    plain("ReduceMin", ALL, Missing::Spoils, reduce::min),
    plain("ReduceProd", ALL, Missing::Spoils, reduce::prod),
    plain("ReduceSum", ALL, Missing::Spoils, reduce::sum),
    plain("ReduceSumSquare", ALL, Missing::Spoils, reduce::sum_square),
    plain("Relu", ALL, Missing::Spoils, unary::relu),
    plain("Reshape", ALL, Missing::PassesOn, reshape::compile),
    plain("Round", ALL, Missing::PassesOn, unary::round),
    plain("Selu", ALL, Missing::Spoils, unary::selu),
    plain("Shape", ALL, Missing::Copes, rearrange::shape),
    plain("Sigmoid", ALL, Missing::Spoils, unary::sigmoid_of),
    plain("Sign", ALL, Missing::Spoils, unary::sign),
    plain("Size", ALL, Missing::Copes, rearrange::size),
    plain("Slice", ALL, Missing::PassesOn, rearrange::slice),
    plain("Softmax", (OPSET_MIN, 12), Missing::Spoils, softmax::flattening),
    plain("Softmax", (13, OPSET_MAX), Missing::Spoils, softmax::along_axis),
    plain("Softplus", ALL, Missing::Spoils, unary::softplus_of),
    plain("Softsign", ALL, Missing::Spoils, unary::softsign),
    plain("Split", ALL, Missing::PassesOn, rearrange::split),
    plain("Sqrt", ALL, Missing::Spoils, unary::sqrt),
    plain("Squeeze", ALL, Missing::PassesOn, reshape::squeeze),
    plain("Sub", ALL, Missing::Spoils, arithmetic::sub),
    plain("Sum", ALL, Missing::Spoils, arithmetic::sum),
    plain("Tanh", ALL, Missing::Spoils, unary::tanh_of),
    plain("Tile", ALL, Missing::PassesOn, rearrange::tile),
    plain("TopK", ALL, Missing::Spoils, reduce::top_k),
    plain("Transpose", ALL, Missing::PassesOn, rearrange::transpose),
    plain("Unsqueeze", ALL, Missing::PassesOn, reshape::unsqueeze),
    plain("Where", ALL, Missing::Spoils, arithmetic::choose),
    plain("Xor", ALL, Missing::Spoils, arithmetic::xor),
    ml("ArrayFeatureExtractor", ALL_ML, Missing::PassesOn, extract::compile),
    ml("Binarizer", ALL_ML, Missing::Spoils, encode::binarizer),
    ml("CategoryMapper", ALL_ML, Missing::Spoils, encode::category_mapper),
    ml("FeatureVectorizer", ALL_ML, Missing::PassesOn, encode::feature_vectorizer),
    ml("Imputer", ALL_ML, Missing::Copes, encode::imputer),
    ml("LabelEncoder", (1, 1), Missing::Spoils, encode::label_positions),
    ml("LabelEncoder", (2, OPSET_ML_MAX), Missing::Spoils, encode::label_encoder),
    ml("LinearClassifier", ALL_ML, Missing::Spoils, linear::classifier),
    ml("LinearRegressor", ALL_ML, Missing::Spoils, linear::regressor),
    ml("Normalizer", ALL_ML, Missing::Spoils, normalizer::compile),
    ml("OneHotEncoder", ALL_ML, Missing::Spoils, encode::one_hot),
    ml("SVMClassifier", ALL_ML, Missing::Spoils, svm::classifier),
    ml("SVMRegressor", ALL_ML, Missing::Spoils, svm::regressor),
    ml("Scaler", ALL_ML, Missing::PassesOn, scaler::compile),
    ml("TreeEnsemble", (5, OPSET_ML_MAX), Missing::Copes, tree::ensemble),
    ml("TreeEnsembleClassifier", ALL_ML, Missing::Copes, tree::classifier),
    ml("TreeEnsembleRegressor", ALL_ML, Missing::Copes, tree::regressor),
    ml("ZipMap", ALL_ML, Missing::PassesOn, encode::zip_map),
    microsoft("CDist", Missing::Spoils, distance::compile),
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
