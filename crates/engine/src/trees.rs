//! Models as LightGBM and XGBoost save them, run as these libraries run them.
//!
//! Thresholds, sums, missing values and categories follow the library in its own type: LightGBM
//! in `f64`, XGBoost in `f32` from the base score on. The margins are equal to the library's bit by
//! bit; what an objective makes of them is too, but for the last place of an exponential.
//!
//! Invariants
//! - L1: any bytes give a [`TreesModel`] or a [`LoadError`], never a panic;
//! - L2: a row's output bits depend on the model and the row alone.

use bartizan_core::predictor::Dim;
use bartizan_core::{
    Datatype, PredictError, Predictor, Recipe, Signature, Tensor, TensorSpec, Values,
};

use crate::load::{LoadError, LoadLimits};
use crate::sniff::FileKind;

mod document;
mod explain;
mod forest;
mod lightgbm;
mod objective;
mod shap;
mod xgboost;

use forest::Forest;
use objective::{Objective, tensor};

/// Version of the arithmetic: it changes when a bit of any output may.
pub const VERSION: u32 = 1;
/// The adapter's name in recipes.
pub const ENGINE: &str = "trees";
/// Most features of a model.
const FEATURES_MAX: usize = 1 << 20;
/// Most scores of a row.
const SCORES_MAX: usize = 1 << 16;
/// Rough cost of one tree for one row, in nanoseconds.
const TREE_COST_NS: u64 = 10;
/// Name of the only input.
const INPUT: &str = "features";

/// What a file holds.
struct Read {
    body: Body,
    objective: Objective,
}

/// What makes scores.
enum Body {
    /// LightGBM: sums from zero, divided at last.
    Double { forest: Forest<f64>, divisor: f64 },
    /// XGBoost: sums from the base score on.
    Single { forest: Forest<f32>, base: Vec<f32> },
    /// XGBoost's linear models: bias and base score, then each column that is there.
    Linear { weights: Vec<f32>, base: Vec<f32>, width: usize },
}

/// Where a file is wrong, and why.
#[derive(Debug)]
struct Fault {
    place: String,
    reason: String,
}

fn fault(place: &str, reason: impl Into<String>) -> Fault {
    Fault { place: place.into(), reason: reason.into() }
}

/// A loaded model.
pub struct TreesModel {
    body: Body,
    objective: Objective,
    signature: Signature,
    recipe: Recipe,
    run_bytes_max: usize,
    /// Each tree's mean where the trees can be explained, or why they cannot.
    means: Result<Vec<f64>, &'static str>,
}

impl std::fmt::Debug for TreesModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TreesModel")
            .field("signature", &self.signature)
            .field("recipe", &self.recipe)
            .field("resident_bytes", &self.resident_bytes())
            .finish_non_exhaustive()
    }
}

/// Reads a file of `kind`, which is LightGBM's or one of XGBoost's.
///
/// # Errors
/// [`LoadError`] naming the place and what is wrong there.
pub fn load(bytes: &[u8], kind: FileKind, limits: &LoadLimits) -> Result<TreesModel, LoadError> {
    let is_lightgbm = kind == FileKind::LightGbm;
    let library = if is_lightgbm { "LightGBM" } else { "XGBoost" };
    let failed = |Fault { place, reason }| LoadError::Library { library, place, reason };
    if limits.file_bytes_max < bytes.len() {
        let (n, max) = (bytes.len(), limits.file_bytes_max);
        return Err(failed(fault("file", format!("it has {n} bytes, the limit is {max}"))));
    }
    let read = if is_lightgbm {
        lightgbm::read(bytes)
    } else {
        xgboost::read(bytes, kind == FileKind::XgBoostUbj)
    };
    let Read { body, objective } = read.map_err(failed)?;
    let (datatype, width) = match &body {
        Body::Double { forest, .. } => (Datatype::Fp64, forest.width),
        Body::Single { forest, .. } => (Datatype::Fp32, forest.width),
        Body::Linear { width, .. } => (Datatype::Fp32, *width),
    };
    let spec = |name: &str, datatype: Datatype, width: usize| TensorSpec {
        name: name.into(),
        datatype,
        shape: match width {
            0 => vec![Dim::Any],
            width => vec![Dim::Any, Dim::Fixed(width as u64)],
        },
        copes_with_missing: name == INPUT,
    };
    let outputs = objective.outputs(datatype);
    let signature = Signature {
        inputs: vec![spec(INPUT, datatype, width)],
        outputs: outputs.iter().map(|(name, datatype, n)| spec(name, *datatype, *n)).collect(),
        classes: (0..objective.n_classes()).map(|class| class.to_string()).collect(),
    };
    let settings = format!("library={}", library.to_ascii_lowercase());
    let recipe = Recipe { engine: ENGINE, version: VERSION.to_string(), settings };
    let run_bytes_max = limits.run_bytes_max;
    let means = explain::means(&body);
    let model = TreesModel { body, objective, signature, recipe, run_bytes_max, means };
    if limits.resident_bytes_max < model.resident_bytes() {
        let (bytes, limit) = (model.resident_bytes(), limits.resident_bytes_max);
        return Err(LoadError::TooLarge { bytes, limit });
    }
    Ok(model)
}

impl TreesModel {
    /// Scores before the objective, `[n_rows, n_scores]`: the library's `raw_score` (which is not
    /// averaged, even where answers are) or `output_margin`.
    ///
    /// # Errors
    /// As of [`Predictor::predict`].
    pub fn margins(&self, inputs: &[Tensor]) -> Result<Tensor, PredictError> {
        let rows = self.check(inputs)?;
        let values = match &self.body {
            Body::Double { forest, .. } => Values::Fp64(double(forest, 1.0, rows)),
            Body::Single { .. } | Body::Linear { .. } => Values::Fp32(self.single(rows)),
        };
        self.output("margin", rows.n_rows(), self.objective.n_scores, values)
    }

    fn single(&self, rows: &Tensor) -> Vec<f32> {
        let Values::Fp32(rows) = rows.values() else { return Vec::new() };
        match &self.body {
            Body::Double { .. } => Vec::new(),
            Body::Single { forest, base } => {
                let mut scores = base.repeat(rows.len() / forest.width);
                forest.add_scores(rows, &mut scores);
                scores
            }
            Body::Linear { weights, base, width } => {
                let n = base.len();
                let score = |row: &[f32], at: usize| {
                    // XGBoost 3 adds the first base score to every score.
                    let mut sum = weights[width * n + at] + base[0];
                    for (x, weights) in row.iter().zip(weights.chunks_exact(n)) {
                        if !x.is_nan() {
                            sum += x * weights[at];
                        }
                    }
                    sum
                };
                let rows = rows.chunks_exact(*width);
                rows.flat_map(|row| (0..n).map(move |at| score(row, at))).collect()
            }
        }
    }

    /// The only input, where the inputs fit the signature and the memory is enough.
    fn check<'t>(&self, inputs: &'t [Tensor]) -> Result<&'t Tensor, PredictError> {
        let refuse = |reason: String| Err(PredictError::Inputs { reason });
        let [rows] = inputs else {
            return refuse(format!("there are {} tensors, the model takes 1", inputs.len()));
        };
        let Some(spec) = self.signature.inputs.first() else {
            return refuse("the model takes none".into());
        };
        let width = match spec.shape.last() {
            Some(Dim::Fixed(width)) => *width,
            Some(Dim::Any) | None => 0,
        };
        let fits = matches!(rows.shape(), [_, columns] if *columns == width);
        if rows.name() != spec.name || rows.datatype() != spec.datatype || !fits {
            let (name, datatype, shape) = (rows.name(), rows.datatype(), rows.shape());
            let (wanted, of) = (&spec.name, spec.datatype);
            return refuse(format!(
                "`{name}` is {datatype} {shape:?}, the model takes `{wanted}`, {of} [rows, {width}]"
            ));
        }
        let per_row = 8 * (rows.row_len() + 4 * self.objective.n_scores + 4);
        if self.run_bytes_max < rows.n_rows().saturating_mul(per_row) {
            return Err(PredictError::Memory { limit_bytes: self.run_bytes_max });
        }
        Ok(rows)
    }

    fn output(
        &self,
        name: &str,
        n_rows: usize,
        width: usize,
        values: Values,
    ) -> Result<Tensor, PredictError> {
        let told = || PredictError::Inputs { reason: format!("`{name}` does not fit a tensor") };
        tensor(name, n_rows, width, values).ok_or_else(told)
    }
}

/// LightGBM's scores: values hardly different from zero are zero, as its own readers have it.
fn double(forest: &Forest<f64>, divisor: f64, rows: &Tensor) -> Vec<f64> {
    let Values::Fp64(rows) = rows.values() else { return Vec::new() };
    let rows: Vec<f64> = rows.iter().map(zeroed).collect();
    let mut scores = vec![0.0; rows.len() / forest.width * forest.n_scores];
    forest.add_scores(&rows, &mut scores);
    if divisor != 1.0 {
        scores.iter_mut().for_each(|score| *score /= divisor);
    }
    scores
}

fn zeroed(x: &f64) -> f64 {
    if x.abs() <= forest::ZERO { 0.0 } else { *x }
}

impl Predictor for TreesModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    fn is_row_invariant(&self) -> bool {
        true
    }

    fn resident_bytes(&self) -> usize {
        let body = match &self.body {
            Body::Double { forest, .. } => forest.resident_bytes(),
            Body::Single { forest, .. } => forest.resident_bytes(),
            Body::Linear { weights, .. } => size_of_val(weights.as_slice()),
        };
        body + self.means.as_ref().map_or(0, |means| 8 * means.len()) + size_of::<Self>()
    }

    fn row_cost_ns(&self) -> u64 {
        let n = match &self.body {
            Body::Double { forest, .. } => forest.roots.len(),
            Body::Single { forest, .. } => forest.roots.len(),
            Body::Linear { weights, .. } => weights.len() / 8,
        };
        TREE_COST_NS * n as u64 + 1
    }

    fn explain(&self, inputs: &[Tensor]) -> Result<Tensor, PredictError> {
        self.contributions(inputs)
    }

    fn predict(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, PredictError> {
        let rows = self.check(inputs)?;
        let (labels, values) = match &self.body {
            Body::Double { forest, divisor } => {
                let (labels, values) = self.objective.double(double(forest, *divisor, rows));
                (labels, Values::Fp64(values))
            }
            Body::Single { .. } | Body::Linear { .. } => {
                let (labels, values) = self.objective.single(self.single(rows));
                (labels, Values::Fp32(values))
            }
        };
        let mut labels = Some(Values::Int64(labels));
        let mut values = Some(values);
        let mut outputs = Vec::new();
        for (name, datatype, width) in self.objective.outputs(rows.datatype()) {
            let is_label = datatype == Datatype::Int64;
            let taken = if is_label { labels.take() } else { values.take() };
            let taken = taken.unwrap_or_else(|| Values::Int64(Vec::new()));
            outputs.push(self.output(name, rows.n_rows(), width, taken)?);
        }
        Ok(outputs)
    }
}
