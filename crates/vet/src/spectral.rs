//! Spectral signatures: rows of a class that stand out along its widest direction.
//!
//! B. Tran, J. Li, A. Madry, *Spectral Signatures in Backdoor Attacks*, 2018: centre a class, find
//! its top singular direction by power iteration, square the projections. Evidence only: on clean
//! data a class stands out along its own directions too.

use bartizan_stats::quantile::{median, sorted};
use bartizan_stats::sum::dot_f32;

use crate::label::Labels;
use crate::sample::Sample;

/// Rounds of power iteration.
const ROUNDS: usize = 20;
/// Rows of a class that are looked at.
const ROWS_MAX: usize = 4_000;
/// Robust deviations from which on a row stands out.
const FAR: f64 = 5.0;

/// Share of the sample's rows that stand out in their class; `None` where rows have no numbers.
pub(crate) fn share(sample: &Sample, labels: &Labels) -> Option<f64> {
    let space = &sample.space;
    if space.d == 0 {
        return None;
    }
    let (mut far, mut all) = (0, 0);
    for class in 0..labels.n_classes as u32 {
        let rows: Vec<usize> =
            (0..space.n).filter(|at| labels.of_sample[*at] == class).take(ROWS_MAX).collect();
        let projections = projections(&rows, space);
        let sizes: Vec<f64> = projections.iter().map(|x| f64::from(x.abs())).collect();
        let spread = (1.4826 * median(sizes.iter().copied())).max(1e-9);
        let ascending = sorted(sizes);
        far += ascending.len() - ascending.partition_point(|size| *size < FAR * spread);
        all += rows.len();
    }
    Some(far as f64 / all.max(1) as f64)
}

/// Centred rows along their widest direction.
fn projections(rows: &[usize], space: &crate::space::Space) -> Vec<f32> {
    let n = rows.len().max(1) as f32;
    let mut mean = vec![0.0_f32; space.d];
    for row in rows {
        mean.iter_mut().zip(space.point(*row)).for_each(|(m, x)| *m += x / n);
    }
    let mut direction: Vec<f32> = (0..space.d).map(|at| 1.0 + (at % 7) as f32 * 0.1).collect();
    let along = |direction: &[f32]| -> Vec<f32> {
        let centre = dot_f32(&mean, direction);
        rows.iter().map(|row| dot_f32(space.point(*row), direction) - centre).collect()
    };
    for _ in 0..ROUNDS {
        let projected = along(&direction);
        let mut next = vec![0.0_f32; space.d];
        for (row, p) in rows.iter().zip(&projected) {
            let point = space.point(*row).iter().zip(&mean);
            next.iter_mut().zip(point).for_each(|(n, (x, m))| *n += p * (x - m));
        }
        let length = dot_f32(&next, &next).sqrt();
        if length <= 1e-12 {
            break;
        }
        direction = next.into_iter().map(|x| x / length).collect();
    }
    along(&direction)
}
