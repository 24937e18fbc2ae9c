//! Distances that know how columns go together.
//!
//! The Mahalanobis distance under a covariance drawn towards its own diagonal mean (O. Ledoit and
//! M. Wolf, *A well-conditioned estimator for large-dimensional covariance matrices*, 2004, with a
//! fixed share), by Cholesky's decomposition.

/// Most concentration steps of [`Covariance::robust`]; the paper sees convergence within ten.
pub const STEPS: usize = 10;

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

    /// As [`Covariance::new`], of the `share` (`0.5..=1.0`) of the rows that lie closest together:
    /// up to [`STEPS`] concentration steps (P. Rousseeuw, K. Van Driessen, *A Fast Algorithm for
    /// the Minimum Covariance Determinant Estimator*, 1999) from the rows nearest to the medians
    /// of the columns. The start is fixed, not drawn, so that the same rows give the same bits.
    /// Cost: [`STEPS`] times that of [`Covariance::new`].
    pub fn robust(rows: &[f32], d: usize, share: f64, shrink: f64) -> Option<Self> {
        let n = rows.len().checked_div(d).filter(|n| 0 < *n)?;
        let n_kept = ((n as f64 * share.clamp(0.5, 1.0)) as usize).clamp(1, n);
        let medians: Vec<f64> = (0..d)
            .map(|i| crate::quantile::median(rows.iter().skip(i).step_by(d).map(|x| f64::from(*x))))
            .collect();
        let from_medians = |row: &[f32]| -> f64 {
            row.iter().zip(&medians).map(|(x, m)| (f64::from(*x) - m) * (f64::from(*x) - m)).sum()
        };
        let mut kept = closest(rows, d, n_kept, from_medians);
        let mut best = Self::of_rows(rows, d, &kept, shrink)?;
        let mut scratch = Vec::new();
        for _ in 0..STEPS {
            let next = closest(rows, d, n_kept, |row| best.squared_distance(row, &mut scratch));
            if next == kept {
                break;
            }
            kept = next;
            best = Self::of_rows(rows, d, &kept, shrink)?;
        }
        Some(best)
    }

    fn of_rows(rows: &[f32], d: usize, kept: &[usize], shrink: f64) -> Option<Self> {
        let chosen: Vec<f32> =
            kept.iter().flat_map(|at| &rows[at * d..(at + 1) * d]).copied().collect();
        Self::new(&chosen, d, shrink)
    }

    /// The centre, and the matrix (row-major, lower triangle, zeros above) whose product with a
    /// row's offset from the centre has the distance as its length: the inverse of the
    /// decomposed covariance. Cost: d³.
    pub fn whitening(&self) -> (Vec<f64>, Vec<f64>) {
        let d = self.mean.len();
        let mut inverse = vec![0.0; d * d];
        for column in 0..d {
            for i in column..d {
                let unit = if i == column { 1.0 } else { 0.0 };
                let known: f64 =
                    (column..i).map(|j| self.lower[i * d + j] * inverse[j * d + column]).sum();
                inverse[i * d + column] = (unit - known) / self.lower[i * d + i];
            }
        }
        (self.mean.clone(), inverse)
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

/// The `count` rows with the smallest `score`, ascending; of equal ones the first.
fn closest(
    rows: &[f32],
    d: usize,
    count: usize,
    mut score: impl FnMut(&[f32]) -> f64,
) -> Vec<usize> {
    let scores: Vec<f64> = rows.chunks_exact(d).map(&mut score).collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    order.truncate(count);
    order.sort_unstable();
    order
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

    /// Wild rows move the plain estimate, not the robust one; whitening gives the same distance.
    #[test]
    fn a_tenth_of_wild_rows_does_not_move_the_robust_centre() {
        let mut rows: Vec<f32> = (0..180).flat_map(|i| [(i % 13) as f32, (i % 7) as f32]).collect();
        rows.extend((0..20).flat_map(|i| [900.0 + i as f32, -900.0]));
        let plain = Covariance::new(&rows, 2, 0.001).unwrap();
        let robust = Covariance::robust(&rows, 2, 0.75, 0.001).unwrap();
        let mut scratch = Vec::new();
        assert!(plain.squared_distance(&[910.0, -900.0], &mut scratch) < 20.0);
        let far = robust.squared_distance(&[910.0, -900.0], &mut scratch);
        assert!(10_000.0 < far, "{far}");
        let (mean, inverse) = robust.whitening();
        let offset = [3.0 - mean[0], 5.0 - mean[1]];
        let z = [inverse[0] * offset[0], inverse[2] * offset[0] + inverse[3] * offset[1]];
        let by_matrix = z[0] * z[0] + z[1] * z[1];
        let direct = robust.squared_distance(&[3.0, 5.0], &mut scratch);
        assert!((by_matrix / direct - 1.0).abs() < 1e-9, "{by_matrix} {direct}");
        assert!(Covariance::robust(&[], 2, 0.75, 0.1).is_none());
    }

    #[test]
    fn no_rows_no_columns_and_no_spread_have_no_covariance() {
        assert!(Covariance::new(&[], 2, 0.1).is_none());
        assert!(Covariance::new(&[1.0], 0, 0.1).is_none());
        assert!(Covariance::new(&[3.0; 10], 2, 0.1).is_none());
    }
}
