//! Quantiles of values in memory.

/// The `q` quantile (`0.0..=1.0`) of ascending `sorted`, linear between neighbours (R. J. Hyndman
/// and Y. Fan, *Sample Quantiles in Statistical Packages*, 1996, definition 7); NaN for no value.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = q.clamp(0.0, 1.0) * last as f64;
    let low = at as usize;
    let high = (low + 1).min(last);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

/// The finite ones of `values`, ascending.
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.into_iter().filter(|x| x.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// Median of the finite ones of `values`; NaN where there is none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(&sorted(values), 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        let values = sorted([3.0, f64::NAN, 1.0, 2.0, 4.0, f64::INFINITY]);
        assert_eq!(values, [1.0, 2.0, 3.0, 4.0]);
        for (q, expected) in [(0.0, 1.0), (0.5, 2.5), (1.0, 4.0), (1.0 / 3.0, 2.0)] {
            assert!((quantile(&values, q) - expected).abs() < 1e-12, "{q}");
        }
        assert!(quantile(&[], 0.5).is_nan());
        assert_eq!(median([5.0]), 5.0);
    }
}
