//! Distances that know how columns go together.
//!
//! The Mahalanobis distance under a covariance drawn towards its own diagonal mean (O. Ledoit and
//! M. Wolf, *A well-conditioned estimator for large-dimensional covariance matrices*, 2004, with a
//! fixed share), by Cholesky's decomposition.

/// A centre and the decomposed covariance around it.
#[derive(Clone, Debug)]
pub struct Covariance {
    mean: Vec<f64>,
    /// Lower triangle, row-major, whole rows.
    lower: Vec<f64>,
}

impl Covariance {
    /// Of `rows` (row-major, `d` numbers a row, finite); `shrink` of the mean variance is put on
    /// the diagonal. `None` where there are no rows or no columns, or no spread at all.
    /// Cost: rows x d² + d³.
    pub fn new(rows: &[f32], d: usize, shrink: f64) -> Option<Self> {
        let n = rows.len().checked_div(d).filter(|n| 0 < *n)?;
        let mut mean = vec![0.0; d];
        for row in rows.chunks_exact(d) {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += f64::from(*x) / n as f64);
        }
        let mut a = vec![0.0; d * d];
        let mut centred = vec![0.0; d];
        for row in rows.chunks_exact(d) {
            centred.iter_mut().zip(row).zip(&mean).for_each(|((c, x), m)| *c = f64::from(*x) - m);
            for i in 0..d {
                let x = centred[i];
                for (a, y) in a[i * d..i * d + i + 1].iter_mut().zip(&centred) {
                    *a += x * y;
                }
            }
        }
        let trace: f64 = (0..d).map(|i| a[i * d + i]).sum();
        let ridge = shrink * trace / d as f64;
        if ridge <= 0.0 || !ridge.is_finite() {
            return None;
        }
        let scale = 1.0 / n as f64;
        for i in 0..d {
            a[i * d + i] += ridge;
            a[i * d..i * d + i + 1].iter_mut().for_each(|x| *x *= scale);
        }
        decompose(&mut a, d)?;
        Some(Self { mean, lower: a })
    }

    /// Squared distance of `row`; `scratch` is used and grown as needed.
    pub fn squared_distance(&self, row: &[f32], scratch: &mut Vec<f64>) -> f64 {
        let d = self.mean.len();
        scratch.clear();
        let mut sum = 0.0;
        for (i, (x, mean)) in row.iter().zip(&self.mean).enumerate() {
            let own = &self.lower[i * d..i * d + i];
            let known: f64 = own.iter().zip(scratch.iter()).map(|(l, z)| l * z).sum();
            let z = (f64::from(*x) - mean - known) / self.lower[i * d + i];
            scratch.push(z);
            sum += z * z;
        }
        sum
    }
}

/// Cholesky's decomposition in place; `None` where the matrix is not positive definite.
fn decompose(a: &mut [f64], d: usize) -> Option<()> {
    for j in 0..d {
        for i in j..d {
            let (x, y) = (&a[i * d..i * d + j], &a[j * d..j * d + j]);
            let dot: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
            let rest = a[i * d + j] - dot;
            if i == j {
                if rest <= 0.0 {
                    return None;
                }
                a[j * d + j] = rest.sqrt();
            } else {
                a[i * d + j] = rest / a[j * d + j];
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_against_the_grain_is_farther_than_one_along_it() {
        let rows: Vec<f32> = (0..400).flat_map(|i| [i as f32, i as f32 + (i % 3) as f32]).collect();
        let covariance = Covariance::new(&rows, 2, 0.001).unwrap();
        let mut scratch = Vec::new();
        let along = covariance.squared_distance(&[390.0, 391.0], &mut scratch);
        let across = covariance.squared_distance(&[190.0, 220.0], &mut scratch);
        assert!(4.0 * along < across, "{along} {across}");
        let centre = covariance.squared_distance(&[199.5, 200.5], &mut scratch);
        assert!(centre < 0.1, "{centre}");
    }

    #[test]
    fn no_rows_no_columns_and_no_spread_have_no_covariance() {
        assert!(Covariance::new(&[], 2, 0.1).is_none());
        assert!(Covariance::new(&[1.0], 0, 0.1).is_none());
        assert!(Covariance::new(&[3.0; 10], 2, 0.1).is_none());
    }
}
