//! What each feature gives a score: TreeSHAP for trees, the terms of a linear model.

use bartizan_core::predictor::CONTRIBUTIONS;
use bartizan_core::{PredictError, Tensor, Values};

use super::{Body, TreesModel, shap, zeroed};

/// Each tree's mean, or why the trees cannot be explained.
pub(super) fn means(body: &Body) -> Result<Vec<f64>, &'static str> {
    const NO_COVERS: &str = "the file does not say how many training rows each node has seen";
    const TOO_DEEP: &str = "a tree is deeper than 128 levels";
    let why = |has_covers: bool, depth: usize| match has_covers {
        false => Some(NO_COVERS),
        true if shap::EXPLAIN_DEPTH_MAX < depth => Some(TOO_DEEP),
        true => None,
    };
    match body {
        Body::Double { forest, .. } if forest.is_linear() => {
            Err("its leaves are linear models, which TreeSHAP does not explain")
        }
        Body::Double { forest, .. } => {
            why(forest.has_covers(), forest.depth).map_or_else(|| Ok(shap::means(forest)), Err)
        }
        Body::Single { forest, .. } => {
            why(forest.has_covers(), forest.depth).map_or_else(|| Ok(shap::means(forest)), Err)
        }
        Body::Linear { .. } => Ok(Vec::new()),
    }
}

impl TreesModel {
    /// Contributions to each score before the objective, the base value last:
    /// `[n_rows, width + 1]`, or `[n_rows, n_scores, width + 1]` where there are several.
    pub(super) fn contributions(&self, inputs: &[Tensor]) -> Result<Tensor, PredictError> {
        let rows = self.check(inputs)?;
        let means = match &self.means {
            Ok(means) => means,
            Err(reason) => return Err(PredictError::Unexplained { reason: (*reason).into() }),
        };
        let (n, width) = (self.objective.n_scores, rows.row_len());
        let stride = n * (width + 1);
        if self.run_bytes_max < rows.n_rows().saturating_mul(8 * stride) {
            return Err(PredictError::Memory { limit_bytes: self.run_bytes_max });
        }
        let mut into = vec![0.0_f64; rows.n_rows() * stride];
        match (&self.body, rows.values()) {
            (Body::Double { forest, .. }, Values::Fp64(values)) => {
                for (row, into) in values.chunks_exact(width).zip(into.chunks_exact_mut(stride)) {
                    let row: Vec<f64> = row.iter().map(zeroed).collect();
                    shap::add(forest, means, &row, into);
                }
            }
            (Body::Single { forest, base }, Values::Fp32(values)) => {
                for (row, into) in values.chunks_exact(width).zip(into.chunks_exact_mut(stride)) {
                    shap::add(forest, means, row, into);
                    for (into, base) in into.chunks_exact_mut(width + 1).zip(base) {
                        into[width] += f64::from(*base);
                    }
                }
            }
            (Body::Linear { weights, base, .. }, Values::Fp32(values)) => {
                for (row, into) in values.chunks_exact(width).zip(into.chunks_exact_mut(stride)) {
                    for (at, into) in into.chunks_exact_mut(width + 1).enumerate() {
                        for (column, x) in row.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
                            into[column] = f64::from(x * weights[column * n + at]);
                        }
                        into[width] = f64::from(weights[width * n + at] + base[0]);
                    }
                }
            }
            _ => {}
        }
        let mut shape = vec![rows.n_rows() as u64];
        shape.extend((n != 1).then_some(n as u64));
        shape.push(width as u64 + 1);
        let values = super::objective::canonical(Values::Fp64(into));
        let told = || PredictError::Memory { limit_bytes: self.run_bytes_max };
        Tensor::new(CONTRIBUTIONS, shape, values).map_err(|_| told())
    }
}
